//! Who signed an image: [`Trust`] says whose signatures count, [`Signer`] is one that holds.

use std::collections::BTreeMap;

/// Whose signatures of images count. Texts are PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Public keys, one in each text.
    pub keys: Vec<String>,
    /// Who may have signed with a short-lived certificate instead of a key.
    pub identities: Vec<Identity>,
    /// Certificates of the authorities that issue these.
    pub authorities: Vec<String>,
    /// Public keys of transparency logs, one in each text. With any, one of them has to have seen a signature.
    pub logs: Vec<String>,
    /// Which name a signature has to give to the image.
    pub name: SignedName,
}

/// Somebody whom an authority knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who vouched for them to the authority: `https://accounts.google.com`.
    pub issuer: String,
    /// Their address, or that of a workflow; `*` stands for anything.
    pub subject: String,
}

/// Which name a signature has to give to an image. The digest has to be the image's in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignedName {
    /// Any, as cosign has it: images are copied along with their signatures.
    #[default]
    Any,
    /// That of the repository which it comes from.
    Repository,
}

/// A signature that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// Of which kind it is.
    pub kind: SignerKind,
    /// Who signed: the subject of a certificate, or the fingerprint of a key.
    pub identity: String,
    /// What that follows from: the issuer of a certificate's subject, or the fingerprint of a key.
    pub verified_by: String,
    /// What else the signature says: `reference`, the name that it gives to the image.
    pub claims: BTreeMap<String, String>,
}

/// The kinds of signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignerKind {
    /// By an OpenPGP key.
    OpenPgp,
    /// In the manner of cosign, by a key.
    Key,
    /// In the manner of cosign, by a certificate.
    Certificate,
}

impl SignerKind {
    /// Returns the word of the plugins' contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenPgp => "openpgp",
            Self::Key => "key",
            Self::Certificate => "certificate",
        }
    }
}
