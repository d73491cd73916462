//! [`Document`]: `policy.json`, read as strictly as containers/image does. A word that is not understood is an error, since
//! it may be a condition.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oc_mirror_model::reference::Source;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::identity::SignedIdentity;
use super::keys::{Keys, Named};
use crate::trust::openpgp::Keyring;
use crate::trust::public_key::PublicKey;
use crate::trust::scope::{scopes, transport};

/// A policy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    default: Requirements,
    #[serde(default)]
    transports: Unique<Unique<Requirements>>,
}

impl Document {
    /// Reads a policy. The text says what is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let document: Self = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        for scope in document.transports.0.get("oci").into_iter().flat_map(|scopes| scopes.0.keys()) {
            if !scope.is_empty() && !is_directory(scope) {
                return Err(format!("the scope `{scope}` of `oci` is not an absolute, plain path"));
            }
        }
        Ok(document)
    }

    /// Returns what is asked of an image, and the scope that asks for it.
    pub(super) fn requirements(&self, source: &Source) -> (String, &[Requirement]) {
        let transport = transport(source);
        let Some(own) = self.transports.0.get(transport) else { return self.fallback() };
        for name in scopes(source) {
            if let Some(found) = own.0.get(&name) {
                return (format!("`{name}` of `{transport}`"), &found.0);
            }
        }
        match own.0.get("") {
            Some(found) => (format!("the default of `{transport}`"), &found.0),
            None => self.fallback(),
        }
    }

    fn fallback(&self) -> (String, &[Requirement]) {
        ("the default".to_owned(), &self.default.0)
    }
}

fn is_directory(scope: &str) -> bool {
    let dir = scope.split_once(':').map_or(scope, |(dir, _)| dir);
    dir.strip_prefix('/').is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | "..")))
}

/// What is asked of an image: all of it, and at least one thing.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Vec<Requirement>")]
struct Requirements(Vec<Requirement>);

impl TryFrom<Vec<Requirement>> for Requirements {
    type Error = &'static str;

    fn try_from(all: Vec<Requirement>) -> Result<Self, Self::Error> {
        if all.is_empty() { Err("a list of requirements must not be empty") } else { Ok(Self(all)) }
    }
}

/// One thing that is asked of an image.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
pub(super) enum Requirement {
    /// Nothing.
    #[serde(rename = "insecureAcceptAnything")]
    Accept(Nothing),
    /// It may not be used.
    #[serde(rename = "reject")]
    Reject(Nothing),
    /// An OpenPGP signature.
    #[serde(rename = "signedBy")]
    SignedBy(SignedBy),
    /// A signature of a layer of it, which nobody has ever implemented.
    #[serde(rename = "signedBaseLayer")]
    #[expect(dead_code, reason = "it is read to be strict about what is written, and then refused")]
    SignedBaseLayer(SignedBaseLayer),
    /// A signature in the manner of cosign.
    #[serde(rename = "sigstoreSigned")]
    Sigstore(Box<Sigstore>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct SignedBaseLayer {
    #[serde(rename = "baseLayerIdentity")]
    _identity: SignedIdentity,
}

/// How a key that signs is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum KeyType {
    /// It is in the file.
    #[serde(rename = "GPGKeys")]
    GpgKeys,
    /// It is signed by a key in the file; never implemented, like the next two.
    #[serde(rename = "signedByGPGKeys")]
    SignedByGpgKeys,
    #[serde(rename = "X509Certificates")]
    X509Certificates,
    #[serde(rename = "signedByX509CAs")]
    SignedByX509Cas,
}

/// An OpenPGP signature is asked for.
#[derive(Debug, Deserialize)]
#[serde(try_from = "WrittenSignedBy")]
pub(super) struct SignedBy {
    pub(super) key_type: KeyType,
    pub(super) keys: Keys<Keyring>,
    pub(super) identity: SignedIdentity,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WrittenSignedBy {
    key_type: KeyType,
    #[serde(default, deserialize_with = "some")]
    key_path: Option<String>,
    #[serde(default, deserialize_with = "some")]
    key_paths: Option<Vec<String>>,
    #[serde(default, deserialize_with = "some")]
    key_data: Option<Bytes>,
    #[serde(default, deserialize_with = "some")]
    signed_identity: Option<SignedIdentity>,
}

impl TryFrom<WrittenSignedBy> for SignedBy {
    type Error = String;

    fn try_from(written: WrittenSignedBy) -> Result<Self, String> {
        let data = written.key_data.map(|bytes| bytes.0);
        let named = Named { path: written.key_path, paths: written.key_paths, data, datas: None };
        let keys = Keys::named(named, "the key of `signedBy`")?;
        Ok(Self {
            key_type: written.key_type,
            keys: keys.ok_or("`signedBy` needs `keyPath`, `keyPaths` or `keyData`")?,
            identity: written.signed_identity.unwrap_or_default(),
        })
    }
}

/// A signature in the manner of cosign is asked for.
#[derive(Debug, Deserialize)]
#[serde(try_from = "WrittenSigstore")]
pub(super) struct Sigstore {
    pub(super) signer: Signer,
    pub(super) log: Option<Keys<Vec<PublicKey>>>,
    pub(super) identity: SignedIdentity,
}

/// Who has to have signed.
#[derive(Debug)]
pub(super) enum Signer {
    /// One of these keys.
    Keys(Keys<Vec<PublicKey>>),
    /// Somebody with a certificate of Fulcio.
    Fulcio,
    /// Somebody with a certificate of an authority.
    Pki,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WrittenSigstore {
    #[serde(default, deserialize_with = "some")]
    key_path: Option<String>,
    #[serde(default, deserialize_with = "some")]
    key_paths: Option<Vec<String>>,
    #[serde(default, deserialize_with = "some")]
    key_data: Option<Bytes>,
    #[serde(default, deserialize_with = "some")]
    key_datas: Option<Vec<Bytes>>,
    #[serde(default, deserialize_with = "some")]
    fulcio: Option<Fulcio>,
    #[serde(default, deserialize_with = "some")]
    pki: Option<Pki>,
    #[serde(default, deserialize_with = "some")]
    rekor_public_key_path: Option<String>,
    #[serde(default, deserialize_with = "some")]
    rekor_public_key_paths: Option<Vec<String>>,
    #[serde(default, deserialize_with = "some")]
    rekor_public_key_data: Option<Bytes>,
    #[serde(default, deserialize_with = "some")]
    rekor_public_key_datas: Option<Vec<Bytes>>,
    #[serde(default, deserialize_with = "some")]
    signed_identity: Option<SignedIdentity>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Fulcio {
    #[serde(default, rename = "caPath")]
    _ca_path: Option<String>,
    #[serde(default, rename = "caData")]
    _ca_data: Option<Bytes>,
    #[serde(rename = "oidcIssuer")]
    _oidc_issuer: String,
    #[serde(rename = "subjectEmail")]
    _subject_email: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Pki {
    #[serde(default, rename = "caRootsPath")]
    _roots_path: Option<String>,
    #[serde(default, rename = "caRootsData")]
    _roots_data: Option<Bytes>,
    #[serde(default, rename = "caIntermediatesPath")]
    _intermediates_path: Option<String>,
    #[serde(default, rename = "caIntermediatesData")]
    _intermediates_data: Option<Bytes>,
    #[serde(default, rename = "subjectEmail")]
    _subject_email: Option<String>,
    #[serde(default, rename = "subjectHostname")]
    _subject_hostname: Option<String>,
}

impl TryFrom<WrittenSigstore> for Sigstore {
    type Error = String;

    fn try_from(written: WrittenSigstore) -> Result<Self, String> {
        let plain = |bytes: Option<Bytes>| bytes.map(|bytes| bytes.0);
        let all = |list: Option<Vec<Bytes>>| list.map(|list| list.into_iter().map(|bytes| bytes.0).collect());
        let keys = Named {
            path: written.key_path,
            paths: written.key_paths,
            data: plain(written.key_data),
            datas: all(written.key_datas),
        };
        let keys = Keys::named(keys, "the key of `sigstoreSigned`")?.map(Signer::Keys);
        let log = Named {
            path: written.rekor_public_key_path,
            paths: written.rekor_public_key_paths,
            data: plain(written.rekor_public_key_data),
            datas: all(written.rekor_public_key_datas),
        };
        let log = Keys::named(log, "the key of the log")?;
        let fulcio = written.fulcio.map(|_| Signer::Fulcio);
        let pki = written.pki.map(|_| Signer::Pki);
        let mut signers = [keys, fulcio, pki].into_iter().flatten();
        let (Some(signer), None) = (signers.next(), signers.next()) else {
            return Err("`sigstoreSigned` needs either a key, or `fulcio`, or `pki`".to_owned());
        };
        match (&signer, &log) {
            (Signer::Fulcio, None) => return Err("`fulcio` needs a key of the log".to_owned()),
            (Signer::Pki, Some(_)) => return Err("`pki` goes without a key of the log".to_owned()),
            _ => {}
        }
        Ok(Self { signer, log, identity: written.signed_identity.unwrap_or_default() })
    }
}

/// Base64, with padding.
struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(|_| D::Error::custom("data in a policy is in base64"))
    }
}

/// What is written is there: `null` is not the same as nothing.
fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// An object in which no key is written twice.
#[derive(Debug)]
struct Unique<T>(BTreeMap<String, T>);

impl<T> Default for Unique<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Unique<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueVisitor(PhantomData))
    }
}

struct UniqueVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for UniqueVisitor<T> {
    type Value = Unique<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique<T>, A::Error> {
        let mut found = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value()?;
            if found.insert(key.clone(), value).is_some() {
                return Err(A::Error::custom(format_args!("`{key}` is written twice")));
            }
        }
        Ok(Unique(found))
    }
}
