//! Policies at work: when they are asked, what becomes of their answers, and what is written down of that.

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oc_mirror_testkit::{Image, ImageBuilder, IndexBuilder, workspace_root};
use rstest::rstest;
use serde_json::{Value, json};

use crate::blocked::build_example;
use crate::lab::{Chunks, Lab, content_of};
use crate::real_image::{REPOSITORY, fill};
use crate::real_signatures;

fn plain() -> Image {
    ImageBuilder::new().layer(&[("app", "plain")]).random_layer(1, 20_000).build()
}

/// An image with a shell, which an upper layer of another one removes.
fn shell() -> Image {
    ImageBuilder::new().layer(&[("bin/sh", "#!")]).random_layer(2, 20_000).build()
}

fn deny_file() -> Value {
    let component = build_example(&workspace_root().join("examples/policies/deny-file"));
    json!({
        "name": "no-shells",
        "source": format!("file:{}", component.display()),
        "config": { "paths": ["/bin/sh"] },
    })
}

fn with(policy: Value, changes: Value) -> Value {
    let mut policy = policy;
    for (key, value) in changes.as_object().expect("keys") {
        policy[key] = value.clone();
    }
    policy
}

fn configure(lab: &Lab, images: &[&str], policies: &[Value]) {
    let images: Vec<Value> = images.iter().map(|name| json!({ "name": name })).collect();
    lab.configure_mirror(json!({ "additionalImages": images, "policies": policies }));
}

/// Two images in the source, and the names that they have there.
fn two(lab: &Lab) -> [String; 2] {
    [lab.push(&plain(), "team/plain", "v1"), lab.push(&shell(), "team/shell", "v1")]
}

/// How often each layer of an image was fetched.
fn fetched(lab: &Lab, image: &Image) -> Vec<usize> {
    let log = lab.source.log();
    let fetched = |digest: &String| {
        log.iter().filter(|line| line.method == "GET" && line.path.contains(digest.as_str())).count()
    };
    image.layer_digests().iter().map(fetched).collect()
}

#[test]
fn a_plan_that_content_speaks_against_is_not_kept_to() {
    let lab = Lab::new();
    let [plain_name, shell_name] = two(&lab);
    let plan = |images: &[&str]| {
        configure(&lab, images, &[deny_file()]);
        let (disk, fixed) = (lab.file("disk"), "--src-tls-verify=false");
        lab.context.run(&["plan", "-c", "isc.yaml", "-o", "plan.json", fixed, &disk]).expect_code(0);
        lab.context.run(&["execute", "--plan", "plan.json", fixed])
    };
    // What only content shows is taken for granted, and is so here.
    plan(&[&plain_name]).expect_code(0);
    let audit = &Chunks::of(&lab.path("disk"), 1).index()["policies"][0];
    assert_eq!((&audit["asked"], &audit["allowed"]), (&json!(1), &json!(1)));
    let third = ImageBuilder::new().layer(&[("app", "third")]).build();
    let third_name = lab.push(&third, "team/third", "v1");
    let refused = plan(&[&plain_name, &third_name, &shell_name]);
    assert_eq!(refused.code, 1, "{}", refused.snapshot());
    let words = format!("`{shell_name}` is refused now");
    assert!(refused.raw_stderr.contains(&words), "{}", refused.snapshot());
    let left = crate::lab::names_in(&lab.path("disk"));
    assert!(left.iter().all(|name| !name.starts_with("mirror_seq2")), "{left:?}");
}

#[test]
fn content_is_judged_where_it_was_fetched() {
    let mut lab = Lab::new();
    let [plain_name, shell_name] = two(&lab);
    configure(&lab, &[&plain_name, &shell_name], &[deny_file()]);
    let run = lab.make(&["--dry-run"]).expect(0);
    assert_eq!((run.report().images.len(), run.report().refused.len()), (2, 0));
    assert!(run.report().notes.iter().any(|note| note.contains("no-shells")), "{:?}", run.report().notes);
    assert_eq!(run.report().policies[0].asked, 0);
    lab.source.clear_log();

    let run = lab.make(&[]).expect(0);
    let [refused] = run.report().refused.as_slice() else { panic!("{:?}", run.report().refused) };
    assert_eq!((refused.origin.as_str(), refused.code.as_str()), (shell_name.as_str(), "deny-file"));
    assert_eq!(refused.digest.as_ref().map(ToString::to_string), Some(shell().digest));
    for image in [plain(), shell()] {
        assert_eq!(fetched(&lab, &image), [1, 1], "nothing is fetched for the policy alone");
    }
    let audit = &run.report().policies[0];
    assert_eq!((audit.asked, audit.allowed, audit.denied), (2, 1, 1));

    let chunks = Chunks::of(&lab.path("disk"), 1);
    let carried = chunks.blobs();
    assert!(content_of(&plain()).is_subset(&carried));
    assert!(content_of(&shell()).difference(&content_of(&plain())).all(|digest| !carried.contains(digest)));
    let index = chunks.index();
    assert_eq!(index["policies"], serde_json::to_value(&run.report().policies).expect("a document"));
    assert_eq!(index["refused"][0]["stage"], "content");
    assert_eq!(index["policies"][0]["findings"][0]["images"], json!([shell_name]));
    let described = lab.context.run(&["describe", &lab.file("disk")]);
    assert!(
        described.raw_stdout.contains("no-shells (deny-file 0.1.0)  2      1"),
        "{}",
        described.raw_stdout
    );

    // Nothing is new, and it is judged all the same.
    let run = lab.make(&[]).expect(0);
    assert_eq!(run.outcomes(), [(1, "nothing new")]);
    assert_eq!((run.report().refused.len(), run.report().policies[0].asked), (1, 2));
    lab.source.stop();
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&plain(), "team/plain", "v1");
    assert!(lab.target.tags("team/shell").is_empty());
}

#[test]
fn what_was_mirrored_before_is_judged_by_a_policy_that_is_new() {
    let lab = Lab::new();
    let [plain_name, shell_name] = two(&lab);
    configure(&lab, &[&plain_name, &shell_name], &[]);
    lab.make(&[]).expect(0);
    configure(&lab, &[&plain_name, &shell_name], &[deny_file()]);
    let run = lab.make(&[]).expect(0);
    assert_eq!(run.outcomes(), [(2, "made")]);
    assert_eq!(run.report().refused.len(), 1);
    let index = Chunks::of(&lab.path("disk"), 2).index();
    let left: Vec<&str> =
        index["unchanged"].as_array().expect("a list").iter().filter_map(|i| i["origin"].as_str()).collect();
    assert_eq!(left, [plain_name]);
}

#[test]
fn a_policy_that_only_watches_is_on_record() {
    let lab = Lab::new();
    let [plain_name, shell_name] = two(&lab);
    configure(&lab, &[&plain_name, &shell_name], &[with(deny_file(), json!({ "mode": "monitor" }))]);
    let run = lab.make(&[]).expect(0);
    let report = run.report();
    assert_eq!((report.images.len(), report.refused.len()), (2, 0));
    let audit = &report.policies[0];
    assert_eq!((audit.asked, audit.allowed, audit.denied), (2, 1, 1));
    assert_eq!(fetched(&lab, &shell()), [1, 1]);
    let index = Chunks::of(&lab.path("disk"), 1).index();
    assert_eq!(index["policies"][0]["mode"], "monitor");
    assert_eq!(index["policies"][0]["findings"][0]["verdict"], "deny");
    assert!(run.output.raw_stderr.contains("/bin/sh"), "{}", run.output.raw_stderr);
}

#[test]
fn to_a_mirror_content_is_judged_before_it_is_copied() {
    let lab = Lab::new();
    let [plain_name, shell_name] = two(&lab);
    configure(&lab, &[&plain_name, &shell_name], &[deny_file()]);
    let to = format!("docker://{}", lab.target.host());
    let arguments = ["-c", "isc.yaml", "--workspace", &lab.file("w"), &to];
    let run = lab.run(&arguments).expect(0);
    assert_eq!(run.report().refused.len(), 1);
    assert_eq!((run.report().policies[0].asked, run.report().policies[0].denied), (2, 1));
    lab.assert_published(&plain(), "team/plain", "v1");
    assert!(!lab.target.repositories().contains(&"team/shell".to_owned()), "nothing of it got there");
}

#[test]
fn a_policy_that_breaks_refuses_unless_the_user_has_it_otherwise() {
    let lab = Lab::new();
    // No archive, so whoever looks into it fails.
    let broken =
        ImageBuilder::new().blob("application/vnd.oci.image.layer.v1.tar+gzip", b"no archive", &[]).build();
    let [plain_name, broken_name] =
        [lab.push(&plain(), "team/plain", "v1"), lab.push(&broken, "team/broken", "v1")];
    configure(&lab, &[&plain_name, &broken_name], &[deny_file()]);
    let run = lab.make(&["--dry-run"]);
    assert_eq!(run.output.code, 0);
    let run = lab.make(&[]).expect(1);
    assert!(run.report().failures.iter().any(|f| f.subject == "no-shells"), "{:?}", run.report().failures);

    configure(&lab, &[&plain_name, &broken_name], &[with(deny_file(), json!({ "failure": "allow" }))]);
    let run = lab.make(&[]).expect(0);
    assert_eq!((run.report().images.len(), run.report().refused.len()), (2, 0));
    let audit = &run.report().policies[0];
    assert_eq!((audit.asked, audit.allowed, audit.failed), (2, 1, 1));
    assert!(run.output.raw_stderr.contains("policy.failed"), "{}", run.output.raw_stderr);
    let index = Chunks::of(&lab.path("disk"), 1).index();
    assert_eq!(index["policies"][0]["failure"], "allow");
    assert_eq!(index["policies"][0]["findings"][0]["verdict"], "failed");
}

/// A key in the manner of cosign, made by `openssl`, which shares no code with the program.
pub(crate) struct Key {
    dir: tempfile::TempDir,
    pub(crate) public: String,
}

impl Key {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory for temporary files");
        let file = |name: &str| dir.path().join(name).display().to_string();
        openssl(&["ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", &file("key.pem")]);
        openssl(&["ec", "-in", &file("key.pem"), "-pubout", "-out", &file("key.pub")]);
        let public = std::fs::read_to_string(file("key.pub")).expect("it was made");
        Self { dir, public }
    }

    /// Puts a signature of an image beside it.
    pub(crate) fn sign(&self, lab: &Lab, image: &Image, repository: &str) {
        let payload = json!({
            "critical": {
                "type": "cosign container image signature",
                "image": { "docker-manifest-digest": image.digest },
                "identity": { "docker-reference": format!("{}/{repository}", lab.source.host()) },
            },
            "optional": null,
        });
        let (payload, file) =
            (payload.to_string(), |name: &str| self.dir.path().join(name).display().to_string());
        std::fs::write(file("payload"), &payload).expect("the test's own directory");
        openssl(&[
            "dgst",
            "-sha256",
            "-sign",
            &file("key.pem"),
            "-out",
            &file("signature"),
            &file("payload"),
        ]);
        let signature = STANDARD.encode(std::fs::read(file("signature")).expect("it was made"));
        let annotations = [("dev.cosignproject.cosign/signature", signature.as_str())];
        let media_type = "application/vnd.dev.cosign.simplesigning.v1+json";
        let signed = ImageBuilder::new().blob(media_type, payload.as_bytes(), &annotations).build();
        lab.source.push(&signed, repository, &format!("{}.sig", image.digest.replace(':', "-")));
    }
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output();
    let output = output.expect("`cargo xtask setup` installs openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn require(config: Value) -> Value {
    json!({ "name": "signed", "source": "builtin:require-signature", "config": config })
}

/// The codes of what is refused, by image.
fn refused(run: &crate::lab::Run) -> Vec<(String, String)> {
    run.report().refused.iter().map(|r| (r.origin.clone(), r.code.clone())).collect()
}

#[test]
fn only_what_the_right_people_have_signed_passes() {
    let lab = Lab::new();
    let (ours, theirs) = (Key::new(), Key::new());
    let (by_us, by_them) = (plain(), shell());
    let nobody = ImageBuilder::new().layer(&[("app", "unsigned")]).build();
    let ours_name = lab.push(&by_us, "team/ours", "v1");
    let theirs_name = lab.push(&by_them, "team/theirs", "v1");
    let unsigned_name = lab.push(&nobody, "team/unsigned", "v1");
    let exempt_name = lab.push(&nobody, "other/unsigned", "v1");
    ours.sign(&lab, &by_us, "team/ours");
    theirs.sign(&lab, &by_them, "team/theirs");
    let images = [ours_name.as_str(), &theirs_name, &unsigned_name, &exempt_name];
    let exempt = format!("{}/other", lab.source.host());
    configure(&lab, &images, &[require(json!({ "keys": [ours.public], "exempt": [exempt] }))]);
    let run = lab.make(&["--dry-run"]).expect(0);
    let expected = [
        (theirs_name.clone(), "require-signature.not-accepted".to_owned()),
        (unsigned_name.clone(), "require-signature.missing".to_owned()),
    ];
    assert_eq!(refused(&run), expected);

    // Two keys, of which one is enough, or not.
    let both = json!([ours.public, theirs.public]);
    configure(&lab, &images, &[require(json!({ "keys": both, "name": "repository" }))]);
    let codes: Vec<String> = refused(&lab.make(&["--dry-run"]).expect(0)).into_iter().map(|r| r.1).collect();
    assert_eq!(codes, ["require-signature.missing"; 2]);
    configure(&lab, &images[..2], &[require(json!({ "keys": both, "threshold": 2 }))]);
    let codes: Vec<String> = refused(&lab.make(&["--dry-run"]).expect(0)).into_iter().map(|r| r.1).collect();
    assert_eq!(codes, ["require-signature.threshold"; 2]);
    theirs.sign(&lab, &by_us, "team/elsewhere");
    configure(&lab, &images[..1], &[require(json!({ "keys": [theirs.public] }))]);
    assert_eq!(refused(&lab.make(&["--dry-run"]).expect(0)).len(), 1, "what lies elsewhere is not beside it");
    configure(&lab, &images[..1], &[require(json!({ "keys": [ours.public], "logs": [theirs.public] }))]);
    let run = lab.make(&["--dry-run"]).expect(0);
    assert!(run.report().refused[0].message.contains("not in the log"), "{:?}", run.report().refused);
}

/// A key in a file beside the configuration counts like one that is written there, and travels in the resolved configuration.
#[test]
fn keys_can_be_in_files() {
    let lab = Lab::new();
    let (ours, theirs) = (Key::new(), Key::new());
    let (by_us, by_them) = (plain(), shell());
    let names = [lab.push(&by_us, "team/ours", "v1"), lab.push(&by_them, "team/theirs", "v1")];
    ours.sign(&lab, &by_us, "team/ours");
    theirs.sign(&lab, &by_them, "team/theirs");
    lab.context.write("keys/ours.pub", &ours.public);
    let policy = |files: Value, config: Value| {
        let source = "builtin:require-signature";
        json!({"name": "signed", "source": source, "config": config, "configFiles": files})
    };
    let images = [names[0].as_str(), &names[1]];
    configure(&lab, &images, &[policy(json!({"keys": ["keys/ours.pub"]}), Value::Null)]);
    let run = lab.make(&[]).expect(0);
    assert_eq!(refused(&run), [(names[1].clone(), "require-signature.not-accepted".to_owned())]);
    let resolved = std::fs::read_to_string(lab.path("disk/working-dir/resolved-config.yaml")).expect("there");
    let body = ours.public.lines().nth(1).expect("a line of the key");
    assert!(resolved.contains(body) && !resolved.contains("configFiles"), "{resolved}");
    let both = policy(json!({"keys": ["keys/ours.pub"]}), json!({"keys": [theirs.public]}));
    configure(&lab, &images, &[both]);
    assert_eq!(refused(&lab.make(&["--dry-run"]).expect(0)), []);
    // One by itself sees them too.
    let asked = [
        "plugin",
        "run",
        "-c",
        "isc.yaml",
        "--entry",
        "signed",
        "--image",
        &names[0],
        "--src-tls-verify=false",
    ];
    lab.context.run(&asked).expect_code(0);
}

#[rstest]
#[case(json!({"keys": ["gone.pub"]}), json!({}), "the file for `keys` of `signed`")]
#[case(json!({"keys": []}), json!({}), "no file is named")]
#[case(json!({"keys": "a.pub"}), json!({"keys": ["x"]}), "`config.keys` is written there already")]
#[case(json!({"keys": ["a.pub"]}), json!({"keys": "x"}), "`config.keys` is no list, to which texts could be added")]
#[case(json!({"keys": ["a.pub"]}), json!([]), "`config` has no keys")]
#[case(json!({"keys": ["private.key"]}), json!({}), "has a private key")]
#[case(json!({"keys": ["a.pub"]}), json!({}), "does not match")]
fn files_that_are_no_keys_are_told(#[case] files: Value, #[case] config: Value, #[case] message: &str) {
    let lab = Lab::new();
    lab.context.write("a.pub", "no key");
    lab.context.write("private.key", "-----BEGIN PRIVATE KEY-----\n");
    let policy = json!({
        "name": "signed", "source": "builtin:require-signature", "config": config, "configFiles": files,
    });
    configure(&lab, &["quay.io/team/app:1"], &[policy]);
    let output = lab.make(&[]).expect(1).output;
    assert!(output.stderr.contains(message), "{}", output.snapshot());
}

#[test]
fn real_signatures_of_cosign_count() {
    let lab = Lab::new();
    if fill(&lab.source).is_none() {
        return;
    }
    let key = real_signatures::key_of(&lab.source);
    let name = lab.source.reference(REPOSITORY, "latest");
    configure(&lab, &[&name], &[require(json!({ "keys": [key] }))]);
    assert_eq!(refused(&lab.make(&["--dry-run"]).expect(0)), []);
    // It was signed in another repository, and copied along with its signatures.
    configure(&lab, &[&name], &[require(json!({ "keys": [key], "name": "repository" }))]);
    assert_eq!(refused(&lab.make(&["--dry-run"]).expect(0)).len(), 1);
    configure(&lab, &[&name], &[require(json!({ "keys": [include_str!("other-key.pem")] }))]);
    assert_eq!(refused(&lab.make(&["--dry-run"]).expect(0))[0].1, "require-signature.not-accepted");
}

#[test]
fn limits_hold_for_each_image_and_for_the_run() {
    let lab = Lab::new();
    let amd = ImageBuilder::new().layer(&[("app", "1")]).build();
    let arm = ImageBuilder::new().platform("linux/arm64").random_layer(5, 50_000).build();
    // Two images for one platform: neither may hide the other.
    let large = ImageBuilder::new().random_layer(6, 90_000).build();
    let twins = IndexBuilder::new().child(&amd).child(&large).build();
    let both = IndexBuilder::new().child(&amd).child(&arm).build();
    let names = [("amd", &amd), ("arm", &arm), ("twins", &twins), ("both", &both)]
        .map(|(name, image)| lab.push(image, &format!("team/{name}"), "v1"));
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let limits = |config: Value| json!({ "name": "bounds", "source": "builtin:limits", "config": config });
    let found = |config: Value| {
        configure(&lab, &all, &[limits(config)]);
        let found = refused(&lab.make(&["--dry-run"]).expect(0));
        found
            .into_iter()
            .map(|(image, code)| format!("{} {code}", image.rsplit('/').next().expect("a part")))
            .collect::<Vec<String>>()
    };
    assert_eq!(found(json!({ "maxImageSize": "80kB" })), ["twins:v1 limits.size"]);
    assert_eq!(
        found(json!({ "architectures": ["amd64"] })),
        ["arm:v1 limits.architecture", "both:v1 limits.architecture"]
    );
    assert_eq!(
        found(json!({ "required": ["arm64"] })),
        ["amd:v1 limits.required", "twins:v1 limits.required"]
    );
    assert_eq!(found(json!({ "maxImages": 4 })), Vec::<String>::new());
    assert_eq!(found(json!({ "maxImages": 3 })).len(), 4);
    assert_eq!(found(json!({ "maxAgeDays": 30 })).len(), 4, "images of tests do not say when they were made");
    assert_eq!(found(json!({ "maxAgeDays": 30, "undated": "allow" })), Vec::<String>::new());
    let exempt = format!("{}/team/twins", lab.source.host());
    assert_eq!(found(json!({ "maxImageSize": "80kB", "exempt": [exempt] })), Vec::<String>::new());
}

#[test]
fn wrong_settings_are_told_with_their_places() {
    let lab = Lab::new();
    let text = "\
kind: ImageSetConfiguration
apiVersion: mirror.openshift.io/v2alpha1
mirror:
  additionalImages:
    - name: quay.io/team/app:1
  policies:
    - name: bounds
      source: builtin:limits
      config:
        maxImagSize: 3GB
        maxLayers: many
        undated: maybe
        architectures:
          - amd64
          - \"\"
";
    lab.context.write("isc.yaml", text);
    insta::assert_snapshot!("settings_of_a_policy", lab.make(&[]).output.snapshot());
    // What the schema cannot know, the plugin says, and it is told in the same way.
    lab.context.write(
        "isc.yaml",
        text.replace("maxImagSize: 3GB", "maxImageSize: 0MB")
            .replace("many", "3")
            .replace("maybe", "deny")
            .replace("\"\"", "arm64"),
    );
    insta::assert_snapshot!("settings_that_a_plugin_refuses", lab.make(&[]).output.snapshot());
    lab.context.write(
        "isc.yaml",
        text.replace("limits", "require-signature").split("      config:").next().expect("a part"),
    );
    insta::assert_snapshot!("settings_that_are_missing", lab.make(&[]).output.snapshot());
}
