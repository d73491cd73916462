//! Policies at work: when they are asked, what becomes of their answers, and what is written down of that.

use oc_mirror_testkit::{Image, ImageBuilder, workspace_root};
use serde_json::{Value, json};

use crate::blocked::build_example;
use crate::lab::{Chunks, Lab, content_of};

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
    assert!(described.raw_stdout.contains("no-shells (deny-file 0.1.0)  2      1"), "{}", described.raw_stdout);

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
    let broken = ImageBuilder::new().blob("application/vnd.oci.image.layer.v1.tar+gzip", b"no archive", &[]).build();
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
