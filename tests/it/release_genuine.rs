//! Genuine signatures of Red Hat's and of OpenShift's builds, against the keys that come with the program.

use oc_mirror_testkit::{UpdateServer, fixtures};
use rstest::rstest;
use serde_json::json;

use crate::lab::{Lab, names_in, read};

/// OpenShift 4.15.0 for x86_64.
const RELEASE: &str = "0da6316466d60a3a4535d5fed3589feb0391989982fba59d47d4c729912d6363";
/// A release of OpenShift's builds of 2019.
const OF_BUILDS: &str = "edd9824f0404f1a139688017e7001370e2f3fbc088b94da84506653b473fe140";

/// Which signature the store has.
enum Stored {
    Genuine,
    OfAnother,
    OfBuilds,
    Flipped,
    Truncated,
    Nothing,
}

impl Stored {
    fn bytes(&self) -> Option<Vec<u8>> {
        let fixtures = fixtures().expect("the caller looked");
        let genuine =
            || read(&fixtures.join("release/openshift__oc-mirror/internal/e2e/signatures/signature-1"));
        Some(match self {
            Self::Genuine => genuine(),
            Self::OfAnother => read(&fixtures.join("images/noo-bundle-image/signature-1")),
            Self::OfBuilds => read(&fixtures.join(format!(
                "release/openshift__library-go/pkg/verify/testdata/signatures/sha256={OF_BUILDS}/signature-1"
            ))),
            Self::Flipped => {
                let mut bytes = genuine();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                bytes
            }
            Self::Truncated => {
                let mut bytes = genuine();
                bytes.truncate(bytes.len() - 100);
                bytes
            }
            Self::Nothing => return None,
        })
    }
}

/// Asks for a release of which only the signature is there, and returns the lab and what was said.
fn ask(repository: &str, hex: &str, stored: &Stored) -> (Lab, String) {
    let (mut lab, server) = (Lab::new(), UpdateServer::start());
    lab.context = lab.context.env("OCP_SIGNATURE_URL", &server.store_url());
    if let Some(bytes) = stored.bytes() {
        server.signature(&format!("sha256:{hex}"), bytes);
    }
    let release = lab.source.reference(repository, &format!("sha256:{hex}"));
    lab.configure_mirror(json!({ "platform": { "release": release } }));
    lab.source.clear_log();
    let run = lab.make(&["--retry-times", "0"]).expect(2);
    assert!(names_in(&lab.path("disk")).iter().all(|name| !name.ends_with(".tar")));
    let said = run.output.raw_stderr.clone();
    (lab, said)
}

#[test]
fn a_genuine_signature_holds() {
    if fixtures().is_none() {
        return;
    }
    let (lab, said) = ask("openshift-release-dev/ocp-release", RELEASE, &Stored::Genuine);
    // It is verified, and then the payload is asked for, which nobody has here.
    assert!(!said.contains("signature.") && said.contains("not found"), "{said}");
    assert!(lab.source.log().iter().any(|line| line.path.contains(RELEASE)));
}

#[rstest]
#[case::of_another_image(Stored::OfAnother, "signature.other-image")]
#[case::by_a_key_for_okd(Stored::OfBuilds, "signature.unknown-key")]
#[case::flipped_bit(Stored::Flipped, "signature.forged")]
#[case::truncated(Stored::Truncated, "signature.damaged")]
#[case::nothing(Stored::Nothing, "signature.missing")]
fn anything_else_is_refused(#[case] stored: Stored, #[case] code: &str) {
    if fixtures().is_none() {
        return;
    }
    let (lab, said) = ask("openshift-release-dev/ocp-release", RELEASE, &stored);
    assert!(said.contains(code), "`{code}` in {said}");
    assert_eq!(lab.source.log(), [], "nothing of the release is asked for");
}

#[test]
fn the_key_of_the_builds_of_2019_has_expired() {
    if fixtures().is_none() {
        return;
    }
    let (lab, said) = ask("openshift/okd", OF_BUILDS, &Stored::OfBuilds);
    assert!(said.contains("signature.expired"), "{said}");
    assert_eq!(lab.source.log(), [], "nothing of the release is asked for");
}
