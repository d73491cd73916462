//! Signatures of releases: [`ReleaseSignatures`] finds them in public stores and verifies them.
//!
//! The rules are those of the cluster (library-go's `verify`) in the cluster's order, and one of ours: a signature of
//! 4.18.29 does not make the same payload 4.18.30, whatever a graph says.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use async_trait::async_trait;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::reference::Reference;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::Url;

use self::faults::{error, of_message};
use super::fetch::{FetchFault, fetch};
use super::openpgp::{InvalidKeyring, Keyring as Certificates};
use super::simple_signing::{ATOMIC, Claim};
use crate::report::{Event, SharedEvents};
use crate::source::{
    HttpFetch, Keyring, Payload, SignatureError, SignatureFault, SignatureFaultKind, Signatures,
    VerifiedSignature,
};

mod faults;
#[cfg(test)]
mod tests;

/// The most signatures that a store may have of one payload; the cluster stops there too.
pub const MOST_SIGNATURES: u32 = 9;

const MIRROR: &str = "https://mirror.openshift.com/pub/openshift-v4/signatures/openshift/release";
const OFFICIAL: &str =
    "https://storage.googleapis.com/openshift-release/official/signatures/openshift/release";
const CI: &str = "https://storage.googleapis.com/openshift-ci-release/releases/signatures/openshift/release";

const OCP_KEYS: [&[u8]; 2] =
    [include_bytes!("keys/redhat-release.asc"), include_bytes!("keys/redhat-beta-2.asc")];
const OKD_KEYS: [&[u8]; 4] = [
    include_bytes!("keys/openshift-ci-4.asc"),
    include_bytes!("keys/openshift-ci-3.asc"),
    include_bytes!("keys/openshift-ci-2.asc"),
    include_bytes!("keys/openshift-ci.asc"),
];

/// How signatures of releases are verified.
#[derive(Clone, Debug)]
pub struct ReleaseSettings {
    /// The address of the one store to ask, instead of the public ones.
    pub store: Option<String>,
    /// The keys that count, binary or armored, instead of those that come with the program.
    pub keys: Option<Vec<u8>>,
    /// Verifies nothing, and says so for every payload.
    pub ignore: bool,
    /// The present time.
    pub now: SystemTime,
}

/// Signatures that were mirrored along with what they sign: on a disk, or in a registry.
///
/// Nothing is trusted for being near: they are verified like those of any other store.
#[async_trait]
pub trait SignatureStore: Send + Sync {
    /// Returns a name for messages.
    fn name(&self) -> String;

    /// Returns the signatures of a payload with their numbers, from 1; none if there are none. The error says in words why
    /// the place cannot be asked.
    async fn signatures(&self, payload: &Digest) -> Result<Vec<(u32, Vec<u8>)>, String>;
}

/// The settings make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReleaseSettings {
    /// The store's address is none.
    #[error("the store of release signatures is not an HTTP address without user name, query and fragment")]
    Store,
    /// The keys are none.
    #[error("the keys for release signatures cannot be used")]
    Keys(#[source] InvalidKeyring),
}

/// Finds and verifies signatures of releases, each once per run.
pub struct ReleaseSignatures {
    http: Arc<dyn HttpFetch>,
    events: SharedEvents,
    store: Option<Url>,
    /// Asked before those of the web.
    mirrored: Vec<Arc<dyn SignatureStore>>,
    /// Whether stores of the web are not to be asked.
    only_mirrored: bool,
    keys: Option<Certificates>,
    ignore: bool,
    now: SystemTime,
    known: Mutex<Known>,
}

type Outcome = Result<Vec<VerifiedSignature>, SignatureError>;

/// What this run has learned.
#[derive(Default)]
struct Known {
    outcomes: HashMap<(Digest, Keyring, Option<String>), Outcome>,
    admitted: BTreeSet<Digest>,
    warned: BTreeSet<Digest>,
}

impl ReleaseSignatures {
    /// Checks the settings; asks nobody yet.
    pub fn new(
        settings: ReleaseSettings,
        http: Arc<dyn HttpFetch>,
        events: SharedEvents,
    ) -> Result<Self, InvalidReleaseSettings> {
        let ReleaseSettings { store, keys, ignore, now } = settings;
        let store = store.map(|text| store_url(&text).ok_or(InvalidReleaseSettings::Store)).transpose()?;
        let keys = keys.map(|bytes| Certificates::parse(&bytes)).transpose();
        let keys = keys.map_err(InvalidReleaseSettings::Keys)?;
        let mirrored = Vec::new();
        Ok(Self {
            http,
            events,
            store,
            mirrored,
            only_mirrored: false,
            keys,
            ignore,
            now,
            known: Mutex::default(),
        })
    }

    /// Asks these first, in turn; and nobody else, if `only` is set.
    #[must_use]
    pub fn with_mirrored(mut self, stores: Vec<Arc<dyn SignatureStore>>, only: bool) -> Self {
        self.mirrored = stores;
        self.only_mirrored = only;
        self
    }

    fn stores(&self, keyring: Keyring) -> Vec<Url> {
        if let Some(store) = &self.store {
            return vec![store.clone()];
        }
        let public: &[&str] = match keyring {
            Keyring::Ocp => &[MIRROR, OFFICIAL],
            Keyring::Okd => &[CI, MIRROR, OFFICIAL],
        };
        public.iter().map(|text| store_url(text).expect("the addresses in this file are valid")).collect()
    }

    fn certificates(&self, keyring: Keyring) -> Certificates {
        if let Some(keys) = &self.keys {
            return keys.clone();
        }
        embedded(keyring)
    }

    async fn search(&self, payload: &Payload) -> Outcome {
        let certificates = self.certificates(payload.keyring);
        let mut faults = Vec::new();
        for store in &self.mirrored {
            let good = self.search_mirrored(store.as_ref(), payload, &certificates, &mut faults).await;
            if !good.is_empty() {
                return Ok(good);
            }
        }
        let web = if self.only_mirrored { Vec::new() } else { self.stores(payload.keyring) };
        for store in web {
            let good = self.search_store(&store, payload, &certificates, &mut faults).await;
            if !good.is_empty() {
                return Ok(good);
            }
        }
        Err(error(payload, faults, self.keys.is_some()))
    }

    async fn search_mirrored(
        &self,
        store: &dyn SignatureStore,
        payload: &Payload,
        certificates: &Certificates,
        faults: &mut Vec<SignatureFault>,
    ) -> Vec<VerifiedSignature> {
        let name = store.name();
        let found = store.signatures(&payload.digest).await.unwrap_or_else(|reason| {
            let text = format!("{name} cannot be asked: {reason}");
            faults.push(SignatureFault { kind: SignatureFaultKind::Unavailable, text });
            Vec::new()
        });
        let mut good = Vec::new();
        for (number, bytes) in found {
            match checked(payload, &bytes, certificates, self.now) {
                Ok(signature) => {
                    good.push(VerifiedSignature { number, store: name.clone(), bytes, ..signature });
                }
                Err((kind, text)) => {
                    let text = format!("signature {number} in {name} {text}");
                    faults.push(SignatureFault { kind, text });
                }
            }
        }
        good
    }

    /// Returns the signatures of one store that hold. All of them are kept, since a cluster may know fewer keys.
    async fn search_store(
        &self,
        store: &Url,
        payload: &Payload,
        certificates: &Certificates,
        faults: &mut Vec<SignatureFault>,
    ) -> Vec<VerifiedSignature> {
        let mut good = Vec::new();
        // An address without a path is written with a slash all the same.
        let base = store.as_str().trim_end_matches('/');
        let (algorithm, hex) = (payload.digest.algorithm().as_str(), payload.digest.hex());
        for number in 1..=MOST_SIGNATURES {
            let url = format!("{base}/{algorithm}={hex}/signature-{number}");
            match fetch(&*self.http, store, &url).await {
                Ok(None) => break,
                Ok(Some(bytes)) => match checked(payload, &bytes, certificates, self.now) {
                    Ok(found) => {
                        good.push(VerifiedSignature { number, store: base.to_owned(), bytes, ..found });
                    }
                    Err((kind, text)) => {
                        faults.push(SignatureFault { kind, text: format!("`{url}` {text}") });
                    }
                },
                Err(FetchFault::TooLong(text)) => {
                    faults.push(SignatureFault { kind: SignatureFaultKind::Damaged, text });
                }
                Err(FetchFault::Unavailable(text)) => {
                    faults.push(SignatureFault { kind: SignatureFaultKind::Unavailable, text });
                    break;
                }
            }
        }
        good
    }
}

#[async_trait]
impl Signatures for ReleaseSignatures {
    async fn verify(&self, payload: &Payload) -> Outcome {
        if self.ignore {
            if self.known().warned.insert(payload.digest.clone()) {
                let subject = payload.digest.to_string();
                let message = "this release is mirrored without looking at its signature, as was asked for";
                self.events.event(Event::Warning { subject: &subject, message });
            }
            return Ok(Vec::new());
        }
        let key = (payload.digest.clone(), payload.keyring, payload.version.clone());
        if let Some(outcome) = self.known().outcomes.get(&key) {
            return outcome.clone();
        }
        let outcome = self.search(payload).await;
        let mut known = self.known();
        if outcome.is_ok() {
            known.admitted.insert(payload.digest.clone());
        }
        known.outcomes.insert(key, outcome.clone());
        outcome
    }

    fn admits(&self, digest: &Digest) -> bool {
        self.ignore || self.known().admitted.contains(digest)
    }
}

impl ReleaseSignatures {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().expect("no holder panics")
    }
}

/// Returns the keys that come with the program.
fn embedded(keyring: Keyring) -> Certificates {
    let files: &[&[u8]] = match keyring {
        Keyring::Ocp => &OCP_KEYS,
        Keyring::Okd => &OKD_KEYS,
    };
    let parse = |bytes: &&[u8]| Certificates::parse(bytes).expect("the keys in this directory can be read");
    Certificates::join(files.iter().map(parse))
}

fn store_url(text: &str) -> Option<Url> {
    let url = Url::parse(text.trim_end_matches('/')).ok()?;
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    (plain && matches!(url.scheme(), "http" | "https") && url.host().is_some()).then_some(url)
}

/// Verifies one signature and what it says, in the cluster's order. Its place is filled in by the caller.
fn checked(
    payload: &Payload,
    bytes: &[u8],
    certificates: &Certificates,
    now: SystemTime,
) -> Result<VerifiedSignature, (SignatureFaultKind, String)> {
    use SignatureFaultKind::{NotAnImage, OtherIdentity, OtherImage};
    let message = certificates.verify(bytes, now).map_err(|e| (of_message(e.kind), e.text))?;
    let claim = Claim::parse(&message.body)
        .map_err(|e| (NotAnImage, format!("is signed, and does not name an image as it should: {e}")))?;
    if claim.kind != ATOMIC {
        return Err((NotAnImage, format!("is signed, and of another type than `{ATOMIC}`")));
    }
    if !claim.is_about(&payload.digest) {
        let shown: String = claim.digest.chars().filter(|c| !c.is_control()).take(160).collect();
        return Err((OtherImage, format!("signs another image: `{shown}`")));
    }
    if let Some(version) = &payload.version
        && !is_version(&claim.identity, version)
    {
        let shown: String = claim.identity.chars().filter(|c| !c.is_control()).take(200).collect();
        return Err((OtherIdentity, format!("signs it as `{shown}`, not as {version}")));
    }
    Ok(VerifiedSignature {
        number: 0,
        store: String::new(),
        identity: claim.identity,
        key: message.key,
        signer: message.signer,
        created: message.created.and_then(|at| OffsetDateTime::from(at).format(&Rfc3339).ok()),
        bytes: Vec::new(),
    })
}

/// Answers whether the name that a signature gives to a release is one of that version: its tag is the version, or the
/// version and an architecture (`4.18.30-x86_64`, `4.18.30-multi`).
///
/// Otherwise a graph could name a signed older payload as a newer version. `4.18.0-rc.1-x86_64` is not 4.18.0:
/// pre-releases have a dot, and architectures have none.
fn is_version(identity: &str, version: &str) -> bool {
    let version = version.split_once('+').map_or(version, |(version, _)| version);
    // A digest in the name says nothing: the one that counts has been compared.
    let name = identity.split_once('@').map_or(identity, |(name, _)| name);
    let Ok(Reference { tag: Some(tag), .. }) = name.parse::<Reference>() else { return false };
    match tag.as_str().strip_prefix(version) {
        Some("") => true,
        Some(rest) => rest.starts_with('-') && !rest.contains('.'),
        None => false,
    }
}
