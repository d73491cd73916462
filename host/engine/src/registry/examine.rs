//! Questions to a registry before anything is sent to it: what it is, where one may push, and what it takes.

use bytes::Bytes;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::media_type;
use oc_mirror_model::reference::Repository;
use reqwest::Method;

use super::answer::{MAX_ERROR_BYTES, RegistryAnswer, of_net};
use super::auth::Scope;
use super::client::Client;
use super::profile::{Because, Found, Product, Profile, is_zot};
use super::transport::Call;
use crate::content::{ContentError, ContentErrorKind, ContentWrite};
use crate::net::Greeting;

/// What the probe's layer consists of.
const LAYER: &[u8] =
    b"oc-mirror: a layer that is put to see whether manifests of OCI's media types are taken";
/// The longest list of extensions that is read.
const MAX_EXTENSIONS: u64 = 256 << 10;

impl Client {
    /// Returns what the registry shows of itself: its clock, and until when its certificate counts.
    pub async fn greeting(&self) -> Result<Greeting, ContentError> {
        let url = self.transport.endpoint().await?;
        let greeting = Greeting::of(&self.transport.http, url).await;
        greeting.map_err(|error| of_net(self.registry().as_str(), &error))
    }

    /// Answers whether the registry has the referrers API.
    pub async fn has_referrers_api(&self, repository: &Repository) -> Result<bool, ContentError> {
        let nobody = Digest::of(LAYER);
        Ok(self.referrers_by_api(repository, &nobody, None).await?.is_some())
    }

    /// Finds out which profile the registry has.
    ///
    /// Its name and first answer decide. zot has nothing in them, so a registry that is not told apart by anything else is asked
    /// which extensions it has, as OCI's conventions allow; one that knows none answers 404.
    pub async fn profile(&self) -> Result<Found, ContentError> {
        self.transport.endpoint().await?;
        let found = self.transport.found();
        let is_sure = match found.because {
            Because::Said | Because::Name => true,
            Because::Answer(_) => found.profile.product != Product::DockerRegistry,
            Because::Nothing => false,
        };
        if is_sure {
            return Ok(found);
        }
        let scope = Scope::registry();
        let call = Call::new(Method::GET, "_oci/ext/discover", &scope, self.registry().as_str());
        // Whatever goes wrong here, what was found before is as good as it was.
        let answer = self.transport.try_small(&call, MAX_EXTENSIONS).await;
        if answer.is_ok_and(|answer| answer.status.is_success() && is_zot(&answer.body)) {
            let found =
                Found { profile: Profile::of(Product::Zot), because: Because::Answer("its extensions") };
            self.transport.note_found(found);
            return Ok(found);
        }
        Ok(found)
    }

    /// Answers whether a push to a repository may begin: nothing, or what the registry says against it.
    ///
    /// An upload is opened and given up at once, which leaves nothing that could be seen. Where pushing creates repositories,
    /// it may create this one.
    pub async fn may_push(&self, repository: &Repository) -> Result<Option<String>, ContentError> {
        let subject = format!("{}/{repository}", self.registry());
        let scope = Scope::push(repository);
        let call = Call::new(Method::POST, format!("{repository}/blobs/uploads/"), &scope, &subject);
        let answer = match self.transport.small(&call, MAX_ERROR_BYTES).await {
            Ok(answer) => answer,
            Err(error) => {
                return match error.kind() {
                    ContentErrorKind::Unauthorized | ContentErrorKind::Denied => {
                        Ok(Some(error.kind().to_string()))
                    }
                    _ => Err(error),
                };
            }
        };
        if answer.status.is_success() {
            if let Ok(session) = self.session(&answer, &subject) {
                self.cancel(&session, &scope).await;
            }
            return Ok(None);
        }
        Ok(Some(answer.answer().to_string()))
    }

    /// Answers whether the registry takes images with OCI's media types: nothing, or what it says against them.
    ///
    /// An image of two small blobs, always the same, is put into the repository `scratch` by its digest, without a tag, and
    /// deleted again if the registry allows that. Doing it again adds nothing.
    pub async fn takes_oci(&self, scratch: &Repository) -> Result<Option<String>, ContentError> {
        let (config, manifest) = oci_image();
        for bytes in [&config, LAYER] {
            let blob = Descriptor::of("application/octet-stream", bytes);
            if !self.has_blob(scratch, &blob).await? {
                let body = futures_util::stream::iter([Ok(Bytes::copy_from_slice(bytes))]);
                self.put_blob(scratch, &blob, Box::pin(body)).await?;
            }
        }
        let subject = self.subject(scratch, '@', manifest.digest());
        let scope = Scope::push(scratch);
        let reference = manifest.digest().to_string();
        let answer = self.send_manifest(scratch, &reference, &manifest, &scope, &subject).await?;
        match answer.status.as_u16() {
            200..=299 => {
                // Whether it can be deleted is the registry's decision; the answer does not depend on it.
                let _ = self.delete_manifest(scratch, manifest.digest()).await;
                Ok(None)
            }
            400 | 404 | 405 | 406 | 409 | 415 | 422 if !is_about_access(&answer.answer()) => {
                Ok(Some(answer.answer().to_string()))
            }
            _ => Err(answer.error(&subject)),
        }
    }
}

fn is_about_access(said: &RegistryAnswer) -> bool {
    said.has_code(&["NAME_UNKNOWN", "NAME_INVALID", "DENIED", "UNAUTHORIZED", "TOOMANYREQUESTS"])
}

/// Makes the configuration and the manifest of an image like the one that records a chain.
fn oci_image() -> (Vec<u8>, RawManifest) {
    let config = serde_json::json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(LAYER)] },
    });
    let config = config.to_string().into_bytes();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": Descriptor::of(media_type::OCI_CONFIG, &config),
        "layers": [Descriptor::of(media_type::METADATA, LAYER)],
    });
    let manifest = RawManifest::parse(manifest.to_string().into_bytes(), Some(media_type::OCI_MANIFEST));
    (config, manifest.expect("this is a manifest"))
}
