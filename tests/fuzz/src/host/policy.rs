//! `policy.json`: what rejects everything lets nothing pass, and what asks for a signature lets nothing pass that has none.

use std::time::SystemTime;

use async_trait::async_trait;
use oc_mirror_engine::content::ContentError;
use oc_mirror_engine::trust::image::{Attachment, SignedImage};
use oc_mirror_engine::trust::policy::ImagePolicy;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::reference::Source;
use serde_json::Value;

use super::aid::wait;
use crate::target::{Input, Target};

/// Policies of containers/image.
pub const POLICY: Target = Target { name: "policy", longest: 16 << 10, memory: 32 << 20, check };

/// An image with signatures that nobody made.
struct Image {
    source: Source,
    digest: Digest,
    signatures: bool,
}

#[async_trait]
impl SignedImage for Image {
    fn source(&self) -> &Source {
        &self.source
    }

    fn digest(&self) -> &Digest {
        &self.digest
    }

    async fn sigstore_attachments(&self) -> Result<Vec<Attachment>, ContentError> {
        let made_up = Attachment {
            payload: b"{}".to_vec(),
            signature: "AAAA".to_owned(),
            annotations: Default::default(),
        };
        Ok(if self.signatures { vec![made_up] } else { Vec::new() })
    }

    async fn lookaside_signatures(&self) -> Result<Vec<Vec<u8>>, ContentError> {
        Ok(if self.signatures { vec![b"\x90\x0d\x03nothing".to_vec()] } else { Vec::new() })
    }
}

fn check(data: &[u8]) {
    let mut input = Input(data);
    let signatures = input.byte() % 2 == 0;
    let policy = ImagePolicy::parse("policy.json", input.0, SystemTime::UNIX_EPOCH);
    let Ok(policy) = policy else { return };
    let document: Value = serde_json::from_slice(input.0).expect("a policy is JSON");
    // Which files there are is none of a fuzzer's business.
    if names_files(&document) {
        return;
    }
    for name in ["docker://r.example/team/app:v1", "docker://docker.io/library/nginx", "oci:/srv/layout:app"]
    {
        let image = Image { source: name.parse().expect("a source"), digest: Digest::of(b"x"), signatures };
        match wait(policy.check(&image)) {
            Ok(signers) => {
                assert!(signers.is_empty(), "nobody has signed, and {signers:?} has");
                let accepts = |list: &Value| {
                    list.as_array()
                        .is_some_and(|all| all.iter().all(|one| one["type"] == "insecureAcceptAnything"))
                };
                assert!(
                    any_list(&document, &accepts),
                    "{name} passes, though nothing in the policy accepts anything"
                );
            }
            Err(refusal) => {
                assert!(!refusal.reasons.is_empty() && !refusal.hint().is_empty());
                assert!(!refusal.is_temporary(), "{refusal}");
            }
        }
    }
}

/// Answers whether any list of requirements in a policy is so.
fn any_list(document: &Value, is_so: &dyn Fn(&Value) -> bool) -> bool {
    let scopes = document["transports"].as_object().into_iter().flat_map(|all| all.values());
    let lists = scopes.filter_map(Value::as_object).flat_map(|scopes| scopes.values());
    lists.chain([&document["default"]]).any(is_so)
}

fn names_files(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.iter().any(|(key, value)| key.contains("Path") || names_files(value)),
        Value::Array(list) => list.iter().any(names_files),
        _ => false,
    }
}
