//! Questions to a registry that only trying answers: does it take an index whose images are not all there?

use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::RawManifest;
use oc_mirror_model::media_type;
use oc_mirror_model::reference::Repository;

use super::auth::Scope;
use super::client::Client;
use crate::content::{ContentError, ContentErrorKind};

/// The image that the probe's index names and no registry has.
const NOBODY: &[u8] = b"oc-mirror: an image that is not there, named to see whether an index may do so";

impl Client {
    /// Answers whether the registry takes a sparse index, one that names images it does not have.
    ///
    /// The specification leaves that to the registry, so it is tried: an index of 400 bytes, always the same, which names one
    /// image that does not exist, is put into the repository `scratch` by its digest, without a tag. A registry that refuses it is
    /// left as it was. One that takes it is asked to delete it; if it does not allow that, the untagged index stays (and with it the
    /// repository, if it was new) until the registry's own garbage collection. Doing it again adds nothing.
    pub async fn supports_sparse_index(&self, scratch: &Repository) -> Result<bool, ContentError> {
        let probe = sparse_index();
        let subject = self.subject(scratch, '@', probe.digest());
        let scope = Scope::push(scratch);
        let reference = probe.digest().to_string();
        let answer = self.send_manifest(scratch, &reference, &probe, &scope, &subject).await?;
        if answer.status.is_success() {
            // Whether it can be deleted is the registry's decision; the answer does not depend on it.
            let _ = self.delete_manifest(scratch, probe.digest()).await;
            return Ok(true);
        }
        let said = answer.answer();
        let about_index =
            said.has_code(&["MANIFEST_BLOB_UNKNOWN", "MANIFEST_UNKNOWN", "MANIFEST_INVALID", "BLOB_UNKNOWN"]);
        let elsewhere =
            said.has_code(&["NAME_UNKNOWN", "NAME_INVALID", "DENIED", "UNAUTHORIZED", "UNSUPPORTED"]);
        match answer.status.as_u16() {
            _ if about_index => Ok(false),
            400 | 404 | 409 | 412 | 422 if !elsewhere => Ok(false),
            _ => Err(answer.error(&subject)),
        }
    }

    /// Returns the error for a registry that takes no sparse index, with the remedy.
    pub fn sparse_refused(&self) -> ContentError {
        let text = "the registry takes no index without all of its images; mirror all platforms of such images, or use a \
                    registry that allows it";
        ContentError::new(self.registry().as_str(), ContentErrorKind::Refused(text.to_owned()))
    }
}

fn sparse_index() -> RawManifest {
    let nobody = Digest::of(NOBODY);
    let index = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": [{
            "mediaType": media_type::OCI_MANIFEST,
            "digest": nobody,
            "size": NOBODY.len(),
            "platform": { "architecture": "amd64", "os": "linux" },
        }],
    });
    RawManifest::parse(index.to_string().into_bytes(), Some(media_type::OCI_INDEX)).expect("this is an index")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_is_always_the_same() {
        assert_eq!(sparse_index(), sparse_index());
        assert!(sparse_index().bytes().len() < 400);
    }
}
