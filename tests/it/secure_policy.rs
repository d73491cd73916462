//! `--secure-policy`: nothing that `policy.json` does not allow is read any further than its manifest.

use oc_mirror_testkit::{Image, ImageBuilder, IndexBuilder, Signer};
use serde_json::json;

use crate::lab::{Lab, Run, join, names_in};

/// A registry, a signer whose key the policy names, and a lookaside with signatures.
struct Signed {
    lab: Lab,
    signer: Signer,
}

impl Signed {
    fn new() -> Self {
        let (lab, signer) = (Lab::new(), Signer::new());
        let key = lab.context.write("key.asc", signer.public_key());
        let scope = json!([{
            "type": "signedBy",
            "keyType": "GPGKeys",
            "keyPath": key,
            "signedIdentity": {"type": "matchRepository"},
        }]);
        lab.context.write(
            "policy.json",
            json!({
                "default": [{"type": "reject"}],
                "transports": {"docker": {lab.source.host(): scope}},
            })
            .to_string(),
        );
        std::fs::create_dir_all(lab.path("registries.d")).expect("the test's own directory");
        let lookaside = lab.file("lookaside");
        lab.context.write(
            "registries.d/lab.yaml",
            json!({"docker": {lab.source.host(): {"lookaside": lookaside}}}).to_string(),
        );
        Self { lab, signer }
    }

    /// Signs an image under the name of a repository.
    fn sign(&self, image: &Image, repository: &str) {
        let bytes = self.signer.sign(&image.digest, &self.lab.source.reference(repository, "v1"));
        let directory = format!("lookaside/{repository}@{}", image.digest.replace(':', "="));
        std::fs::create_dir_all(self.lab.path(&directory)).expect("the test's own directory");
        self.lab.context.write(&format!("{directory}/signature-1"), bytes);
    }

    fn arguments(&self) -> Vec<String> {
        let path = |name: &str| self.lab.path(name).display().to_string();
        ["--secure-policy", "--policy", &path("policy.json"), "--registries.d", &path("registries.d")]
            .map(str::to_owned)
            .to_vec()
    }

    fn make(&self) -> Run {
        let arguments = self.arguments();
        self.lab.make(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

fn image(seed: u64, platform: &str) -> Image {
    ImageBuilder::new().platform(platform).random_layer(seed, 2_000).build()
}

#[test]
fn a_signed_image_passes() {
    let signed = Signed::new();
    let app = image(1, "linux/amd64");
    signed.lab.configure(&[signed.lab.push(&app, "team/app", "v1")]);
    signed.sign(&app, "team/app");
    signed.make().expect(0);
    signed.lab.publish("disk", &[]).expect(0);
    signed.lab.assert_published(&app, "team/app", "v1");
}

#[test]
fn an_unsigned_image_is_not_read() {
    let signed = Signed::new();
    let app = image(1, "linux/amd64");
    signed.lab.configure(&[signed.lab.push(&app, "team/app", "v1")]);
    signed.lab.source.clear_log();
    let run = signed.make();
    run.assert_refused(8, "is not signed as it has to be");
    assert!(signed.lab.source.log().iter().all(|line| !line.path.contains("/blobs/")), "a blob was read");
    assert!(names_in(&signed.lab.path("disk")).iter().all(|name| !name.ends_with(".tar")));
}

#[test]
fn a_signature_of_another_image_is_none() {
    let signed = Signed::new();
    let (app, other) = (image(1, "linux/amd64"), image(2, "linux/amd64"));
    signed.lab.configure(&[signed.lab.push(&app, "team/app", "v1")]);
    let bytes = signed.signer.sign(&other.digest, &signed.lab.source.reference("team/app", "v1"));
    let directory = format!("lookaside/team/app@{}", app.digest.replace(':', "="));
    std::fs::create_dir_all(signed.lab.path(&directory)).expect("the test's own directory");
    signed.lab.context.write(&format!("{directory}/signature-1"), bytes);
    signed.make().assert_refused(8, &other.digest);
}

#[test]
fn each_image_of_an_index_is_signed() {
    let signed = Signed::new();
    let (amd64, arm64) = (image(1, "linux/amd64"), image(2, "linux/arm64"));
    let index = IndexBuilder::new().child(&amd64).child(&arm64).build();
    signed.lab.configure(&[signed.lab.push(&index, "team/app", "v1")]);
    signed.sign(&index, "team/app");
    signed.sign(&amd64, "team/app");
    signed.make().assert_refused(8, "is not signed as it has to be");
    signed.sign(&arm64, "team/app");
    signed.make().expect(0);
}

#[test]
fn what_the_policy_has_no_scope_for_is_rejected() {
    let signed = Signed::new();
    let app = image(1, "linux/amd64");
    signed.lab.configure(&[signed.lab.push(&app, "team/app", "v1")]);
    signed.lab.context.write("policy.json", json!({"default": [{"type": "reject"}]}).to_string());
    signed.make().assert_refused(8, "rejects it");
}

#[test]
fn wrong_arguments() {
    let signed = Signed::new();
    let app = image(1, "linux/amd64");
    signed.lab.configure(&[signed.lab.push(&app, "team/app", "v1")]);
    signed.lab.context.write("policy.json", "{\"default\": [{\"type\": \"acceptAnything\"}]}");
    signed.make().assert_refused(1, "is not a policy");
    let target = format!("docker://{}", signed.lab.target.host());
    let from = signed.lab.file("disk");
    let run = signed.lab.run(&join(&["--from", &from, &target], &["--secure-policy"]));
    run.assert_refused(1, "--secure-policy is for images that come from registries");
}

/// A plugin that is asked by itself sees no more than it would in a run.
#[test]
fn a_plugin_that_is_tried_is_guarded_too() {
    let mut signed = Signed::new();
    let (app, other) = (image(1, "linux/amd64"), image(2, "linux/amd64"));
    let names = [signed.lab.push(&app, "team/app", "v1"), signed.lab.push(&other, "team/other", "v1")];
    signed.sign(&app, "team/app");
    signed.lab.context.write("settings.yaml", "maxLayers: 3\n");
    let arguments = signed.arguments();
    let guard: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let asked = |more: &[&str]| {
        let asked = ["plugin", "run", "limits", "--settings", "settings.yaml", "--src-tls-verify=false"];
        let images = ["--image", names[0].as_str(), "--image", &names[1]];
        signed.lab.context.run(&[&asked[..], &images, more].concat())
    };
    let unguarded = asked(&guard[1..]).expect_code(0);
    assert!(
        unguarded.raw_stderr.contains("have no effect without --secure-policy"),
        "{}",
        unguarded.raw_stderr
    );
    let recorded = asked(&[&guard[..], &["--record", "a.jsonl"]].concat()).expect_code(1);
    assert!(recorded.raw_stdout.contains(&format!("allow  {}\n", names[0])), "{}", recorded.raw_stdout);
    assert!(recorded.raw_stdout.contains("it is not signed as it has to be"), "{}", recorded.raw_stdout);
    assert!(recorded.raw_stdout.ends_with("1 allowed, 0 with warnings, 0 denied, 1 not judged\n"));
    signed.lab.source.stop();
    let asked = [
        "plugin",
        "run",
        "limits",
        "--settings",
        "settings.yaml",
        "--image",
        &names[0],
        "--image",
        &names[1],
    ];
    let replayed =
        signed.lab.context.run(&[&asked[..], &guard, &["--replay", "a.jsonl"]].concat()).expect_code(1);
    assert_eq!(replayed.raw_stdout, recorded.raw_stdout);
}
