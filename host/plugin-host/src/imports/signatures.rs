//! `signatures`: who signed a release. The host looks, checks and decides; the guest is told.

use oc_mirror_engine::source::{Keyring, Payload, SignatureError, VerifiedSignature};

use crate::bindings::oc_mirror::plugin::signatures::{self, Host};
use crate::bindings::oc_mirror::plugin::types::{Coded, Error};
use crate::fault::{Answer, Fault};
use crate::grants::Access;
use crate::state::StoreState;
use crate::text::{MESSAGE, clean};

impl Host for StoreState {
    async fn verify(&mut self, payload: signatures::Payload) -> Answer<Vec<signatures::Signature>> {
        self.check(Access::Signatures)?;
        let payload = checked(payload)?;
        self.charge_requests(1)?;
        let service = self.services()?.signatures.clone();
        let found = service.verify(&payload).await?;
        Ok(found.into_iter().map(told).collect())
    }
}

fn checked(payload: signatures::Payload) -> Answer<Payload> {
    let digest = payload.digest.parse().map_err(|e| Fault::invalid(format!("`digest`: {e}")))?;
    let keyring = match payload.keyring.as_str() {
        "ocp" => Keyring::Ocp,
        "okd" => Keyring::Okd,
        other => {
            return Err(Fault::invalid(format!(
                "there is no keyring `{}`; there are `ocp` and `okd`",
                clean(other, 80)
            )));
        }
    };
    Ok(Payload { digest, version: payload.version, keyring })
}

fn told(signature: VerifiedSignature) -> signatures::Signature {
    let VerifiedSignature { number, store, identity, key, signer, created, bytes } = signature;
    signatures::Signature { number, store, identity, key, signer, created, bytes }
}

impl From<SignatureError> for Fault {
    fn from(error: SignatureError) -> Self {
        let weightiest = error.reasons.first().map_or("missing", |fault| fault.kind.as_str());
        let hint = error.hint.as_ref().map_or_else(String::new, |hint| format!("; hint: {hint}"));
        Self::Answer(Error::Other(Coded {
            code: format!("signature.{weightiest}"),
            message: clean(&format!("{error}{hint}"), MESSAGE),
        }))
    }
}
