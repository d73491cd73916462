use rstest::rstest;

use super::*;
use crate::report::Events;
use crate::trust::testing::{Answer, TestKey, Web, claim, day, fixture};
use SignatureFaultKind as Kind;

const STORE: &str = "https://store.example/signatures";
const NAME: &str = "quay.io/openshift-release-dev/ocp-release:4.18.30-x86_64";

#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Events for Log {
    fn event(&self, event: Event<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}

fn payload() -> Payload {
    let digest = Digest::of(b"a payload");
    Payload { digest, version: Some("4.18.30".to_owned()), keyring: Keyring::Ocp }
}

fn place(store: &str, number: u32) -> String {
    format!("{store}/sha256={}/signature-{number}", payload().digest.hex())
}

fn signatures(web: Arc<Web>, keys: Option<Vec<u8>>, store: Option<&str>) -> ReleaseSignatures {
    let settings = ReleaseSettings { store: store.map(String::from), keys, ignore: false, now: day(20) };
    ReleaseSignatures::new(settings, web, Arc::new(Log::default())).unwrap()
}

async fn verify(web: Web, key: &TestKey) -> (Outcome, Arc<Web>) {
    let web = Arc::new(web);
    let signatures = signatures(web.clone(), Some(key.public()), Some(STORE));
    let outcome = signatures.verify(&payload()).await;
    assert_eq!(signatures.admits(&payload().digest), outcome.is_ok());
    (outcome, web)
}

fn kinds(error: &SignatureError) -> Vec<Kind> {
    println!("{error}\nhint: {}", error.hint.as_deref().unwrap());
    error.reasons.iter().map(|reason| reason.kind).collect()
}

fn good(key: &TestKey) -> Vec<u8> {
    key.sign(&claim(ATOMIC, &payload().digest.to_string(), NAME))
}

#[tokio::test]
async fn a_good_signature_is_found_behind_bad_ones() {
    let key = TestKey::new("Us");
    let web = Web::default()
        .with(&place(STORE, 1), Answer::Body(b"<html>".to_vec()))
        .with(&place(STORE, 2), Answer::Body(good(&TestKey::new("Them"))))
        .with(&place(STORE, 3), Answer::Body(good(&key)))
        .with(&place(STORE, 5), Answer::Body(good(&key)));
    let (outcome, web) = verify(web, &key).await;
    let [found] = &outcome.unwrap()[..] else { panic!("one") };
    assert_eq!((found.number, found.store.as_str(), found.identity.as_str()), (3, STORE, NAME));
    assert_eq!((&*found.key, &*found.signer), (&*key.fingerprint(), "Us"));
    assert_eq!(found.created.as_deref(), Some("2024-01-11T00:00:00Z"));
    assert!(key.public().len() > 10 && found.bytes.len() > 100);
    assert_eq!(web.asked(), (1..=4).map(|n| place(STORE, n)).collect::<Vec<_>>(), "a gap ends the search");
}

#[tokio::test]
async fn no_more_than_nine_are_looked_at() {
    let key = TestKey::new("Us");
    let web = (1..=20).fold(Web::default(), |web, n| web.with(&place(STORE, n), Answer::Body(b"x".to_vec())));
    let (outcome, web) = verify(web, &key).await;
    assert_eq!(kinds(&outcome.unwrap_err()), [Kind::Damaged; 9]);
    assert_eq!(web.asked().len(), 9);
}

#[rstest]
#[case::missing(None, Kind::Missing)]
#[case::forbidden(Some(Answer::Status(403)), Kind::Unavailable)]
#[case::failing(Some(Answer::Status(503)), Kind::Unavailable)]
#[case::unreachable(Some(Answer::Unreachable), Kind::Unavailable)]
#[case::broken(Some(Answer::Broken), Kind::Unavailable)]
#[case::empty(Some(Answer::Body(Vec::new())), Kind::Damaged)]
#[case::long(Some(Answer::Body(vec![0x99; 60 << 10])), Kind::Damaged)]
#[tokio::test]
async fn what_stores_answer(#[case] answer: Option<Answer>, #[case] expected: Kind) {
    let web = answer.into_iter().fold(Web::default(), |web, answer| web.with(&place(STORE, 1), answer));
    let (outcome, _) = verify(web, &TestKey::new("Us")).await;
    let error = outcome.unwrap_err();
    assert_eq!(kinds(&error), [expected]);
    let loud = error.hint.unwrap().contains("--ignore-release-signature");
    assert_eq!(loud, expected == Kind::Missing, "a way around is only named where nothing is known");
}

#[rstest]
#[case::other_type(claim("cosign container image signature", "", NAME), Kind::NotAnImage)]
#[case::no_json(b"hello".to_vec(), Kind::NotAnImage)]
#[case::no_name(claim(ATOMIC, &payload().digest.to_string(), ""), Kind::NotAnImage)]
#[case::other_image(claim(ATOMIC, &Digest::of(b"other").to_string(), NAME), Kind::OtherImage)]
#[case::other_version(claim(ATOMIC, &payload().digest.to_string(), "q.io/r:4.18.29-x86_64"), Kind::OtherIdentity)]
#[tokio::test]
async fn what_is_signed_counts(#[case] body: Vec<u8>, #[case] expected: Kind) {
    let key = TestKey::new("Us");
    let (outcome, _) =
        verify(Web::default().with(&place(STORE, 1), Answer::Body(key.sign(&body))), &key).await;
    assert_eq!(kinds(&outcome.unwrap_err()), [expected]);
}

#[rstest]
#[case("quay.io/r/ocp-release:4.18.30", "4.18.30", true)]
#[case("quay.io/r/ocp-release:4.18.30-x86_64", "4.18.30", true)]
#[case("quay.io/r/ocp-release:4.18.30-multi-x86_64", "4.18.30", true)]
#[case("quay.io/r/ocp-release:4.18.30-x86_64", "4.18.30+amd64", true)]
#[case("quay.io/r/ocp-release:4.18.0-rc.1-x86_64", "4.18.0-rc.1", true)]
#[case("registry.ci.openshift.org/origin/release:4.19.0-okd-scos.16", "4.19.0-okd-scos.16", true)]
#[case("quay.io/r/ocp-release:4.18.0-rc.1-x86_64", "4.18.0", false)]
#[case("quay.io/r/ocp-release:4.18.30-x86_64@sha256:00", "4.18.30", true)]
#[case("quay.io/r/ocp-release@sha256:4.18.30", "4.18.30", false)]
#[case("quay.io/r/ocp-release:4.18.3-x86_64", "4.18.30", false)]
#[case("quay.io/r/ocp-release:4.18.30-x86_64", "4.18.3", false)]
#[case("quay.io/r/ocp-release:14.18.30-x86_64", "4.18.30", false)]
#[case("quay.io/r/ocp-release", "4.18.30", false)]
#[case("quay.io:4/4.18.30", "4.18.30", false)]
#[case("not a name", "4.18.30", false)]
fn versions(#[case] identity: &str, #[case] version: &str, #[case] expected: bool) {
    assert_eq!(is_version(identity, version), expected);
}

#[tokio::test]
async fn all_stores_are_asked_and_faults_come_in_order() {
    let mut forged = good(&TestKey::new("x"));
    forged.truncate(40);
    let web = Web::default()
        .with(&place(CI, 1), Answer::Unreachable)
        .with(&place(MIRROR, 1), Answer::Body(forged))
        .with(&place(MIRROR, 2), Answer::Body(good(&TestKey::new("x"))));
    let web = Arc::new(web);
    let okd = Payload { keyring: Keyring::Okd, ..payload() };
    let error = signatures(web.clone(), None, None).verify(&okd).await.unwrap_err();
    assert_eq!(kinds(&error), [Kind::UnknownKey, Kind::Damaged, Kind::Unavailable]);
    assert_eq!(web.asked().len(), 5);
}

#[tokio::test]
async fn each_payload_is_looked_up_once() {
    let key = TestKey::new("Us");
    let web = Arc::new(Web::default().with(&place(STORE, 1), Answer::Body(good(&key))));
    let signatures = signatures(web.clone(), Some(key.armored()), Some(&format!("{STORE}/")));
    let first = signatures.verify(&payload()).await.unwrap();
    assert_eq!(signatures.verify(&payload()).await.unwrap(), first);
    assert_eq!(web.asked().len(), 2);
    let root = "https://store.example";
    let web = Arc::new(Web::default().with(&place(root, 1), Answer::Body(good(&key))));
    let at_root = self::signatures(web, Some(key.public()), Some(root)).verify(&payload()).await.unwrap();
    assert_eq!(at_root[0].store, root);
    let other = Payload { version: Some("4.18.31".to_owned()), ..payload() };
    assert_eq!(kinds(&signatures.verify(&other).await.unwrap_err()), [Kind::OtherIdentity]);
}

#[tokio::test]
async fn ignoring_is_loud() {
    let (web, log) = (Arc::new(Web::default()), Arc::new(Log::default()));
    let settings = ReleaseSettings { store: None, keys: None, ignore: true, now: day(20) };
    let signatures = ReleaseSignatures::new(settings, web.clone(), log.clone()).unwrap();
    for _ in 0..2 {
        assert_eq!(signatures.verify(&payload()).await, Ok(Vec::new()));
    }
    assert!(signatures.admits(&Digest::of(b"anything")));
    assert_eq!((web.asked().len(), log.0.lock().unwrap().len()), (0, 1));
}

#[rstest]
#[case("not an address")]
#[case("file:///signatures")]
#[case("https://user:word@store.example/")]
#[case("https://store.example/?token=x")]
fn settings_are_checked(#[case] store: &str) {
    let bad = ReleaseSettings { store: Some(store.into()), keys: None, ignore: false, now: day(0) };
    let made = ReleaseSignatures::new(bad, Arc::new(Web::default()), Arc::new(Log::default()));
    assert_eq!(made.err(), Some(InvalidReleaseSettings::Store));
    let bad = ReleaseSettings { store: None, keys: Some(store.into()), ignore: false, now: day(0) };
    let made = ReleaseSignatures::new(bad, Arc::new(Web::default()), Arc::new(Log::default()));
    assert!(matches!(made.err(), Some(InvalidReleaseSettings::Keys(_))));
}

#[test]
fn the_keys_are_those_of_the_readme() {
    let text = include_str!("../keys/README.md");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
    let found = [Keyring::Ocp, Keyring::Okd].map(|ring| embedded(ring).fingerprints()).concat();
    assert_eq!(found.len(), rows.len());
    for fingerprint in found {
        assert!(rows.iter().any(|row| row.contains(&fingerprint)), "{fingerprint}");
    }
}

const RED_HAT: &str = "release/openshift__oc-mirror/internal/e2e/signatures/signature-1";
const BUNDLE: &str = "images/noo-bundle-image/signature-";

fn real(digest: &str, version: Option<&str>, keyring: Keyring) -> Payload {
    Payload { digest: digest.parse().unwrap(), version: version.map(String::from), keyring }
}

fn judge(payload: &Payload, bytes: &[u8]) -> Result<VerifiedSignature, Kind> {
    let outcome = checked(payload, bytes, &embedded(payload.keyring), day(1060));
    println!("{:?}", outcome.as_ref().map(|f| (&f.identity, &f.signer, &f.created)));
    outcome.map_err(|(kind, _)| kind)
}

#[test]
fn a_release_of_red_hat() {
    let Some(bytes) = fixture(RED_HAT) else { return };
    let digest = "sha256:0da63164";
    let text = fixture(RED_HAT).map(|b| embedded(Keyring::Ocp).verify(&b, day(1060)).unwrap().body).unwrap();
    let claim = Claim::parse(&text).unwrap();
    assert!(claim.digest.starts_with(digest));
    let payload = real(&claim.digest, Some("4.15.0"), Keyring::Ocp);
    let found = judge(&payload, &bytes).unwrap();
    assert_eq!(found.identity, "quay.io/openshift-release-dev/ocp-release:4.15.0-x86_64");
    assert_eq!(found.key, "567E347AD0044ADE55BA8A5F199E2F91FD431D51");
    assert_eq!(found.signer, "Red Hat, Inc. (release key 2) <security@redhat.com>");
    let newer = Payload { version: Some("4.15.1".to_owned()), ..payload.clone() };
    assert_eq!(judge(&newer, &bytes), Err(Kind::OtherIdentity));
    let okd = Payload { keyring: Keyring::Okd, ..payload.clone() };
    assert_eq!(judge(&okd, &bytes), Err(Kind::UnknownKey));
    assert_eq!(judge(&payload, &bytes[..bytes.len() - 1]), Err(Kind::Damaged));
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert!(matches!(judge(&payload, &flipped), Err(Kind::Forged | Kind::Damaged)));
}

/// Signatures of version 3, of another bundle than the one they lie beside.
#[test]
fn a_signature_of_another_image() {
    for number in 1..=4 {
        let Some(bytes) = fixture(&format!("{BUNDLE}{number}")) else { return };
        let wrong = real(&Digest::of(b"noo").to_string(), None, Keyring::Ocp);
        assert_eq!(judge(&wrong, &bytes), Err(Kind::OtherImage));
        let text = embedded(Keyring::Ocp).verify(&bytes, day(1060)).unwrap().body;
        let right = real(&Claim::parse(&text).unwrap().digest, None, Keyring::Ocp);
        assert!(right.digest.to_string().starts_with("sha256:50b94026"), "{}", right.digest);
        assert!(judge(&right, &bytes).is_ok());
    }
}

#[test]
fn a_key_that_expired_since() {
    const DIGEST: &str = "sha256=edd9824f0404f1a139688017e7001370e2f3fbc088b94da84506653b473fe140";
    let path = format!("release/openshift__library-go/pkg/verify/testdata/signatures/{DIGEST}/signature-1");
    let Some(bytes) = fixture(&path) else { return };
    let payload = real(&DIGEST.replace('=', ":"), None, Keyring::Okd);
    assert_eq!(judge(&payload, &bytes), Err(Kind::Expired));
    let back_then = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_580_000_000);
    let outcome = checked(&payload, &bytes, &embedded(Keyring::Okd), back_then);
    println!("in January 2020: {outcome:?}");
    assert!(outcome.is_ok());
}
