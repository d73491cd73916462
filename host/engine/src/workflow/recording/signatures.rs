//! Signatures of releases: [`Recording`] and [`Replaying`].

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oc_mirror_model::digest::Digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::entry::{Call, Outcome};
use super::recorder::Recorder;
use super::replay::Replay;
use crate::source::{
    Keyring, Payload, SignatureError, SignatureFault, SignatureFaultKind, Signatures, VerifiedSignature,
};

/// The form of [`VerifiedSignature`].
#[derive(Serialize, Deserialize)]
#[serde(remote = "VerifiedSignature")]
struct Verified {
    number: u32,
    store: String,
    identity: String,
    key: String,
    signer: String,
    created: Option<String>,
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    bytes: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct One(#[serde(with = "Verified")] VerifiedSignature);

fn to_base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    STANDARD.encode(bytes).serialize(serializer)
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    STANDARD.decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

/// The form of [`SignatureError`].
#[derive(Serialize, Deserialize)]
struct Failed {
    reasons: Vec<SignatureFault>,
    hint: Option<String>,
}

fn call_of(payload: &Payload) -> Call {
    let keyring = match payload.keyring {
        Keyring::Ocp => "ocp",
        Keyring::Okd => "okd",
    };
    Call::Signatures {
        digest: payload.digest.clone(),
        version: payload.version.clone(),
        keyring: keyring.to_owned(),
    }
}

/// Signatures that are written down.
pub(super) struct Recording {
    inner: Arc<dyn Signatures>,
    recorder: Arc<Recorder>,
}

impl Recording {
    pub(super) fn new(inner: Arc<dyn Signatures>, recorder: Arc<Recorder>) -> Self {
        Self { inner, recorder }
    }
}

#[async_trait]
impl Signatures for Recording {
    async fn verify(&self, payload: &Payload) -> Result<Vec<VerifiedSignature>, SignatureError> {
        let answer = self.inner.verify(payload).await;
        let failed =
            |error: &SignatureError| Failed { reasons: error.reasons.clone(), hint: error.hint.clone() };
        let found = |found: &Vec<VerifiedSignature>| found.iter().cloned().map(One).collect::<Vec<_>>();
        self.recorder.note(call_of(payload), Outcome::of(&answer.as_ref().map(found).map_err(failed)));
        answer
    }

    fn admits(&self, digest: &Digest) -> bool {
        self.inner.admits(digest)
    }
}

/// Signatures of a recording.
pub(super) struct Replaying {
    replay: Arc<Replay>,
    verified: Mutex<Vec<Digest>>,
}

impl Replaying {
    pub(super) fn new(replay: Arc<Replay>) -> Self {
        Self { replay, verified: Mutex::default() }
    }
}

#[async_trait]
impl Signatures for Replaying {
    async fn verify(&self, payload: &Payload) -> Result<Vec<VerifiedSignature>, SignatureError> {
        let digest = payload.digest.clone();
        let no = |kind, text| {
            let reasons = vec![SignatureFault { kind, text }];
            SignatureError { digest: digest.clone(), reasons, hint: None }
        };
        let call = call_of(payload);
        let found = self.replay.answer(&call).map_err(|text| no(SignatureFaultKind::Unavailable, text))?;
        let read: Result<Vec<One>, Failed> = found.read().map_err(|e| {
            no(SignatureFaultKind::Damaged, format!("the recording is damaged where it has {call}: {e}"))
        })?;
        match read {
            Ok(found) => {
                self.verified.lock().expect("no holder of this lock panics").push(digest.clone());
                Ok(found.into_iter().map(|One(signature)| signature).collect())
            }
            Err(Failed { reasons, hint }) => Err(SignatureError { digest, reasons, hint }),
        }
    }

    fn admits(&self, digest: &Digest) -> bool {
        self.verified.lock().expect("no holder of this lock panics").contains(digest)
    }
}
