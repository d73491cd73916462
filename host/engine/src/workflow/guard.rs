//! [`Guard`]: no image is read any further than its manifest unless a `policy.json` allows it, whoever asks for it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use oc_mirror_model::digest::Digest;
use oc_mirror_model::reference::Source;
use oc_mirror_model::signer::Signer;

use super::images::Origin;
use crate::content::{ContentError, ContentErrorKind};
use crate::source::HttpFetch;
use crate::trust::image::StoredImage;
use crate::trust::policy::{ImagePolicy, PolicyRefusal, RefusalKind};
use crate::trust::registries_d::RegistriesD;

/// Who signed an image, or why it may not pass.
type Judged = Result<Arc<[Signer]>, PolicyRefusal>;

/// A policy, and where signatures are.
pub struct Guard {
    policy: ImagePolicy,
    registries_d: Arc<RegistriesD>,
    http: Arc<dyn HttpFetch>,
    judged: Mutex<HashMap<(Source, Digest), Judged>>,
}

impl Guard {
    /// Makes a guard of a policy.
    pub fn new(policy: ImagePolicy, registries_d: RegistriesD, http: Arc<dyn HttpFetch>) -> Self {
        Self { policy, registries_d: Arc::new(registries_d), http, judged: Mutex::default() }
    }

    /// Lets an image pass and returns who signed it, or says why not. What was built in `scratch` comes from this run itself, and was made of what
    /// has passed.
    pub(super) async fn admit(
        &self,
        source: &Source,
        origin: &Origin,
        digest: &Digest,
        scratch: &Path,
    ) -> Result<Arc<[Signer]>, ContentError> {
        if matches!(source, Source::Layout(layout) if layout.path.starts_with(scratch)) {
            return Ok(Arc::default());
        }
        let key = (source.clone(), digest.clone());
        let known = self.judged.lock().expect("no holder panics").get(&key).cloned();
        let verdict = match known {
            Some(verdict) => verdict,
            None => {
                let verdict = self.judge(source, origin, digest).await;
                // What could not be found out may be the next time.
                if !verdict.as_ref().is_err_and(PolicyRefusal::is_temporary) {
                    self.judged.lock().expect("no holder panics").insert(key, verdict.clone());
                }
                verdict
            }
        };
        verdict.map_err(|refusal| refused(source, refusal))
    }

    async fn judge(
        &self,
        source: &Source,
        origin: &Origin,
        digest: &Digest,
    ) -> Result<Arc<[Signer]>, PolicyRefusal> {
        let image = StoredImage {
            source: source.clone(),
            digest: digest.clone(),
            read: origin.read.clone(),
            repository: origin.repository.clone(),
            registries_d: self.registries_d.clone(),
            http: self.http.clone(),
        };
        self.policy.check(&image).await.map(Into::into)
    }
}

fn refused(source: &Source, refusal: PolicyRefusal) -> ContentError {
    let kind = match refusal.kind {
        RefusalKind::Unavailable => ContentErrorKind::Unavailable("its signatures cannot be read".to_owned()),
        _ => ContentErrorKind::Refused("it is not signed as it has to be".to_owned()),
    };
    ContentError::with_source(source.to_string(), kind, refusal)
}
