//! Words for what is wrong: the order of faults, and what to do about the weightiest.

use super::super::openpgp::MessageFaultKind;
use crate::source::{Payload, SignatureError, SignatureFault, SignatureFaultKind};

/// Puts faults in order and adds what to do. None at all means that every store said there is no signature.
pub(super) fn error(payload: &Payload, mut faults: Vec<SignatureFault>, own_keys: bool) -> SignatureError {
    if faults.is_empty() {
        let text = "no store has a signature of it".to_owned();
        faults.push(SignatureFault { kind: SignatureFaultKind::Missing, text });
    }
    // Stable, so that faults of one kind stay in the order of stores and numbers.
    faults.sort_by_key(|fault| weight(fault.kind));
    let hint = hint(faults[0].kind, own_keys).to_owned();
    SignatureError { digest: payload.digest.clone(), reasons: faults, hint: Some(hint) }
}

/// The weightiest first: what points at an attack comes before what points at a setting, and that before what is just
/// not there.
fn weight(kind: SignatureFaultKind) -> u8 {
    match kind {
        SignatureFaultKind::Forged => 0,
        SignatureFaultKind::OtherImage => 1,
        SignatureFaultKind::OtherIdentity => 2,
        SignatureFaultKind::NotAnImage => 3,
        SignatureFaultKind::Revoked => 4,
        SignatureFaultKind::Weak => 5,
        SignatureFaultKind::Expired => 6,
        SignatureFaultKind::UnknownKey => 7,
        SignatureFaultKind::Damaged => 8,
        SignatureFaultKind::Unavailable => 9,
        SignatureFaultKind::Missing => 10,
    }
}

fn hint(kind: SignatureFaultKind, own_keys: bool) -> &'static str {
    match kind {
        SignatureFaultKind::Forged => {
            "do not use this release: its signature, or what it signs, was changed; report it to whoever runs the store"
        }
        SignatureFaultKind::OtherImage => {
            "the store has another image's signature under this digest; do not use this release until that is explained"
        }
        SignatureFaultKind::OtherIdentity => {
            "the update graph calls this payload by a version that its signer did not; check `UPDATE_URL_OVERRIDE`"
        }
        SignatureFaultKind::NotAnImage => {
            "the store has something else in the place of signatures; check `OCP_SIGNATURE_URL`"
        }
        SignatureFaultKind::Revoked => {
            "do not use this release: whoever owns the key says that it must not count any more"
        }
        SignatureFaultKind::Weak => "ask for a signature by a stronger key",
        SignatureFaultKind::Expired if own_keys => {
            "give a newer copy of the key in `OCP_SIGNATURE_VERIFICATION_PK`, and check the clock of this machine"
        }
        SignatureFaultKind::Expired => {
            "releases signed by a key that expired since are not taken; check the clock of this machine, or give a newer copy of the key in `OCP_SIGNATURE_VERIFICATION_PK`"
        }
        SignatureFaultKind::UnknownKey if own_keys => {
            "the keys in `OCP_SIGNATURE_VERIFICATION_PK` are the only ones that count; add the one that signs these releases"
        }
        SignatureFaultKind::UnknownKey => {
            "if you trust whoever signed it, give the public key in `OCP_SIGNATURE_VERIFICATION_PK`"
        }
        SignatureFaultKind::Damaged => "try again; if it stays, name another store in `OCP_SIGNATURE_URL`",
        SignatureFaultKind::Unavailable => {
            "check the way to the store (proxy, certificates), or name one that can be reached in `OCP_SIGNATURE_URL`"
        }
        SignatureFaultKind::Missing => {
            "name a store that has it in `OCP_SIGNATURE_URL`; `--ignore-release-signature` mirrors releases that nobody vouches for, and clusters refuse to update to them unless forced"
        }
    }
}

/// What a fault of a message is for a release.
pub(super) fn of_message(kind: MessageFaultKind) -> SignatureFaultKind {
    match kind {
        // Not `Missing`: that is what stores say, and something is there.
        MessageFaultKind::Damaged | MessageFaultKind::Unsigned => SignatureFaultKind::Damaged,
        MessageFaultKind::Forged => SignatureFaultKind::Forged,
        MessageFaultKind::UnknownKey => SignatureFaultKind::UnknownKey,
        MessageFaultKind::Expired => SignatureFaultKind::Expired,
        MessageFaultKind::Revoked => SignatureFaultKind::Revoked,
        MessageFaultKind::Weak => SignatureFaultKind::Weak,
    }
}
