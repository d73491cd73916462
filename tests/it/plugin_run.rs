//! `plugin run`: one plugin against a registry or a web server, and against a recording of them when they are gone.

use std::path::Path;

use oc_mirror_testkit::{
    Action, CommandOutput, FaultRegistry, ImageBuilder, PASSWORD, Registry, Rule, USER, basic_authorization,
    workspace_root, write_auth_file,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::blocked::build_example;
use crate::lab::Lab;
use crate::plugin_failures::odd;
use crate::policies::Key;
use crate::shop::Shop;

/// Runs `plugin run` without verification of certificates.
fn run(lab: &Lab, args: &[&str]) -> CommandOutput {
    lab.context.run(&[&["plugin", "run"], args, &["--src-tls-verify=false"]].concat())
}

fn example(path: &str) -> String {
    build_example(&workspace_root().join("examples").join(path)).display().to_string()
}

/// Pushes an image with this label to the source.
fn labelled(lab: &Lab, tag: &str, stage: &str) -> String {
    let image = ImageBuilder::new().label("stage", stage).layer(&[("tag", tag)]).build();
    lab.push(&image, "team/app", tag)
}

fn value(output: &CommandOutput) -> Value {
    serde_json::from_str(&output.raw_stdout).expect("JSON")
}

/// Fails the test if any of this is in a recording.
#[track_caller]
fn assert_lacks(recording: &Path, secrets: &[&str]) {
    let text = std::fs::read_to_string(recording).expect("the recording is there");
    for secret in secrets {
        assert!(!text.to_lowercase().contains(&secret.to_lowercase()), "`{secret}` in\n{text}");
    }
}

#[test]
fn a_policy_says_the_same_when_the_registry_is_gone() {
    // skopeo, which the test kit pushes with, has no password here.
    let open = Registry::start();
    let mut lab = Lab::with(open, Registry::start());
    let (beta, good) = (labelled(&lab, "beta", "beta"), labelled(&lab, "final", "final"));
    let locked = Registry::builder().auth().storage(lab.source.storage()).start();
    let named = |name: &str| name.replace(&lab.source.host(), &locked.host());
    let (beta, good) = (named(&beta), named(&good));
    let auth = lab.path("auth.json");
    write_auth_file(&auth, &[(&locked.host(), USER, PASSWORD)]);
    let auth = auth.display().to_string();
    let plugin = example("policies/deny-label");
    lab.context.write("settings.yaml", "label: stage\nvalue: beta\n");
    let asked = [plugin.as_str(), "--settings", "settings.yaml", "--image", &beta, "--image", &good];

    let args = [&asked[..], &["--authfile", &auth, "--record", "a.jsonl"]].concat();
    let recorded = run(&lab, &args).expect_code(1);
    assert!(recorded.raw_stdout.contains(&format!("deny   {beta}\n")), "{}", recorded.raw_stdout);
    assert!(recorded.raw_stdout.contains(&format!("allow  {good}\n")), "{}", recorded.raw_stdout);
    assert!(recorded.raw_stdout.contains("(deny-label)"), "{}", recorded.raw_stdout);
    assert!(recorded.raw_stdout.ends_with("1 allowed, 0 with warnings, 1 denied, 0 not judged\n"));
    let basic = basic_authorization(USER, PASSWORD);
    let basic = basic.strip_prefix("Basic ").expect("basic");
    assert_lacks(&lab.path("a.jsonl"), &[PASSWORD, USER, basic, "authorization"]);

    // Nothing is left to ask, and nobody to ask for.
    drop(locked);
    lab.source.stop();
    let replayed = run(&lab, &[&asked[..], &["--replay", "a.jsonl"]].concat()).expect_code(1);
    assert_eq!(replayed.raw_stdout, recorded.raw_stdout);
    // The witness that it was the registry that answered before.
    let gone = run(&lab, &[&asked[..], &["--retry-times", "0"]].concat());
    assert_ne!(gone.code, 0, "{}", gone.snapshot());

    let only = [plugin.as_str(), "--settings", "settings.yaml", "--image", &good, "-o", "json"];
    let replayed = run(&lab, &[&only[..], &["--replay", "a.jsonl"]].concat()).expect_code(0);
    let said = value(&replayed);
    assert_eq!(said["verdicts"][0]["verdict"], "allow", "{said}");
    assert_eq!(said["counts"], json!({"allow": 1, "warn": 0, "deny": 0, "failed": 0}));

    let other = good.replace(":final", ":other");
    let args = [&only[..], &["--image", &other, "--replay", "a.jsonl"]].concat();
    let lacking = run(&lab, &args).expect_code(1);
    assert_eq!(value(&lacking)["counts"]["allow"], 1, "{}", lacking.raw_stdout);
    let error = format!("error: not in the recording: origin {other}");
    assert!(lacking.raw_stderr.contains(&error), "{}", lacking.raw_stderr);
}

#[test]
fn a_source_lists_the_same_tags_when_the_registry_is_gone() {
    let mut lab = Lab::new();
    for tag in ["v1.0", "v1.1", "v2.0"] {
        labelled(&lab, tag, "any");
    }
    let repository = format!("{}/team/app", lab.source.host());
    let plugin = format!("file:{}", example("sources/tags"));
    let grant = format!("registry:{}", lab.source.host());
    lab.configure_mirror(json!({"plugins": [{
        "name": "versions", "source": plugin, "config": {"repository": repository, "prefix": "v1."}, "grants": [grant],
    }]}));
    let asked = ["-c", "isc.yaml", "--entry", "versions", "-o", "json"];
    let recorded = run(&lab, &[&asked[..], &["--record", "a.jsonl"]].concat()).expect_code(0);
    let said = value(&recorded);
    let images: Vec<&str> = said["images"]
        .as_array()
        .expect("images")
        .iter()
        .map(|i| i["origin"].as_str().expect("text"))
        .collect();
    assert_eq!(images, [format!("{repository}:v1.0"), format!("{repository}:v1.1")]);
    assert_eq!(said["images"][0]["target"], "team/app:v1.0");
    assert_eq!(said["plugin"]["name"], "versions");

    lab.source.stop();
    let replay = ["--replay", "a.jsonl"];
    let replayed = run(&lab, &[&asked[..], &replay].concat()).expect_code(0);
    assert_eq!(replayed.raw_stdout, recorded.raw_stdout);
    let text = run(&lab, &[&asked[..4], &replay].concat()).expect_code(0);
    assert!(text.raw_stdout.contains("AT THE TARGET"), "{}", text.raw_stdout);
    assert!(text.raw_stdout.ends_with("2 images (0 built), 0 files, 0 resources, 0 warnings, 0 notes\n"));
    // Without the grant of its entry, it gets nothing.
    lab.context.write("settings.yaml", json!({"repository": repository}).to_string());
    let denied = run(&lab, &[&plugin, "--settings", "settings.yaml", "--replay", "a.jsonl"]).expect_code(1);
    assert!(denied.raw_stderr.contains("denied"), "{}", denied.raw_stderr);
    assert!(denied.raw_stderr.contains("or give it with --grant"), "{}", denied.raw_stderr);
}

#[test]
fn a_list_is_recorded_without_what_is_secret() {
    let lab = Lab::new();
    let server = FaultRegistry::alone();
    let headers = ["Set-Cookie", "WWW-Authenticate"].map(|h| (h.to_owned(), "session=hunter2".to_owned()));
    let list = b"quay.io/team/app:1\n".to_vec();
    server.rule(Rule::on("GET", "^/list").then(Action::Answer(200, headers.to_vec(), list)));
    let url = |path: &str| json!({"url": format!("{}/{path}?key=hunter2", server.url())}).to_string();
    lab.context.write("settings.yaml", url("list"));
    lab.context.write("other.yaml", url("other"));
    let plugin = example("sources/list");
    let grant = format!("http:{}", server.url());
    let asked = |settings: &'static str| {
        [plugin.clone(), "--settings".into(), settings.into(), "--grant".into(), grant.clone()]
    };
    let with = |settings: &'static str, more: &[&str]| {
        let asked = asked(settings);
        let args: Vec<&str> = asked.iter().map(String::as_str).chain(more.iter().copied()).collect();
        run(&lab, &args)
    };
    let recorded = with("settings.yaml", &["--record", "a.jsonl"]).expect_code(0);
    assert!(recorded.raw_stdout.contains("quay.io/team/app:1"), "{}", recorded.raw_stdout);
    assert!(recorded.raw_stderr.contains("recorded 1 answer in a.jsonl"), "{}", recorded.raw_stderr);
    assert_lacks(&lab.path("a.jsonl"), &["hunter2", "set-cookie", "www-authenticate", "?key"]);
    let host = server.host();
    drop(server);

    let replayed = with("settings.yaml", &["--replay", "a.jsonl"]).expect_code(0);
    assert_eq!(replayed.raw_stdout, recorded.raw_stdout);
    let lacking = with("other.yaml", &["--replay", "a.jsonl"]).expect_code(1);
    let error = format!("error: not in the recording: http GET http://{host}/other\n");
    assert!(lacking.raw_stderr.contains(&error), "{}", lacking.raw_stderr);
    assert!(lacking.raw_stderr.contains("plugin `list` 0.1.0 failed in `collect`"), "{}", lacking.raw_stderr);
    assert_eq!(lacking.raw_stdout, "");
}

#[test]
fn signatures_beside_images_are_verified_again() {
    let mut lab = Lab::new();
    let key = Key::new();
    let image = ImageBuilder::new().layer(&[("app", "signed")]).build();
    let (signed, unsigned) = (lab.push(&image, "team/signed", "v1"), labelled(&lab, "v1", "any"));
    key.sign(&lab, &image, "team/signed");
    let settings = |key: &str| json!({"keys": [key]}).to_string();
    lab.context.write("settings.yaml", settings(&key.public));
    lab.context.write("other.yaml", settings(&Key::new().public));
    let asked = |lab: &Lab, settings: &str, how: &str, recording: &str| {
        let images = ["--image", &signed, "--image", &unsigned];
        let args = ["builtin:require-signature", "--settings", settings, "-o", "json", how, recording];
        run(lab, &[&args[..], &images].concat()).expect_code(1)
    };
    let recorded = asked(&lab, "settings.yaml", "--record", "a.jsonl");
    let verdicts = |output: &CommandOutput| {
        let said = value(output);
        [0, 1].map(|n| said["verdicts"][n]["verdict"].as_str().expect("a verdict").to_owned())
    };
    assert_eq!(verdicts(&recorded), ["allow", "deny"], "{}", recorded.raw_stdout);
    // Other keys are told of the same signatures.
    let other = asked(&lab, "other.yaml", "--record", "b.jsonl");
    assert_eq!(verdicts(&other), ["deny", "deny"], "{}", other.raw_stdout);

    lab.source.stop();
    assert_eq!(asked(&lab, "settings.yaml", "--replay", "a.jsonl").raw_stdout, recorded.raw_stdout);
    assert_eq!(asked(&lab, "other.yaml", "--replay", "a.jsonl").raw_stdout, other.raw_stdout);
}

#[test]
fn a_catalog_that_is_built_on_another_one_is_built_again_without_it() {
    let mut shop = Shop::new();
    let (_, catalog) = shop.usual();
    let settings = json!({"rules": "v2alpha1", "catalogs": [{"entry": {"catalog": catalog}}]});
    shop.lab.context.write("settings.yaml", settings.to_string());
    let grants = ["registry", "build", "artifact", "cache", "state"].map(|grant| format!("--grant={grant}"));
    let grants: Vec<&str> = grants.iter().map(String::as_str).collect();
    let asked = [&["builtin:operator", "--settings", "settings.yaml", "-o", "json"], &grants[..]].concat();
    let recorded = run(&shop.lab, &[&asked[..], &["--record", "a.jsonl"]].concat()).expect_code(0);
    let said = value(&recorded);
    assert_eq!(said["counts"]["generated"], 1, "{said}");
    shop.lab.source.stop();
    let replayed = run(&shop.lab, &[&asked[..], &["--replay", "a.jsonl"]].concat()).expect_code(0);
    assert_eq!(replayed.raw_stdout, recorded.raw_stdout);
}

#[rstest]
#[case::nothing_to_judge(&["block"], "is a policy, and there is nothing to judge", "name images with --image")]
#[case::a_source_that_judges(&["additional", "--image", "a.example/b:1"], "`additional` is no policy", "leave out --image")]
#[case::no_image(&["block", "--image", "A B"], "A B", "name images as HOST/REPOSITORY:TAG")]
#[case::no_such_plugin(&["none.wasm"], "`none.wasm` cannot be used", "give the path of a component")]
#[case::a_file_that_is_no_recording(&["additional", "--replay", "isc.yaml"], "the recording `isc.yaml` is none", "a recording is")]
#[case::no_such_recording(&["additional", "--replay", "none.jsonl"], "`none.jsonl` cannot be read", "a recording is")]
#[case::precious(&["additional", "--settings", "none.yaml", "--record", "isc.yaml"], "`none.yaml`", "")]
#[case::would_be_lost(&["additional", "--record", "isc.yaml"], "would replace a file that is no recording", "name another file")]
#[case::no_directory(&["additional", "--record", "none/a.jsonl"], "the recording `none/a.jsonl` cannot be written", "")]
#[case::no_such_entry(&["-c", "isc.yaml", "--entry", "none"], "no entry of `isc.yaml` is named `none`", "there are `mine`")]
#[case::settings(&["block", "--settings", "wrong.yaml", "--image", "a.example/b:1"], "rules", "")]
#[case::grants(&["additional", "--grant", "everything"], "the grants of `additional` cannot be used", "grant what")]
fn wrong_arguments_are_told(#[case] args: &[&str], #[case] error: &str, #[case] hint: &str) {
    let lab = Lab::new();
    lab.configure_mirror(json!({"policies": [{"name": "mine", "source": "builtin:block"}]}));
    lab.context.write("wrong.yaml", "rules: 1\n");
    let before = std::fs::read(lab.path("isc.yaml")).expect("written above");
    let output = run(&lab, args).expect_code(1);
    assert!(output.raw_stderr.contains(error), "{}", output.raw_stderr);
    assert!(output.raw_stderr.contains(&format!("hint: {hint}")) || hint.is_empty(), "{}", output.raw_stderr);
    assert_eq!(std::fs::read(lab.path("isc.yaml")).expect("still there"), before);
}

/// A source is asked as the next run of a workspace would ask it.
#[test]
fn a_source_remembers_what_a_workspace_has_of_it() {
    let lab = Lab::new();
    let image = labelled(&lab, "v1", "any");
    lab.configure_mirror(json!({
        "additionalImages": [{"name": image}],
        "plugins": [{
            "name": "odd", "source": format!("file:{}", odd().display()), "config": {"behaviour": "reach"},
            "grants": ["state", "cache"],
        }],
    }));
    let answers = |more: &[&str]| {
        let asked = [&["-c", "isc.yaml", "--entry", "odd", "-o", "json"], more].concat();
        let said = value(&run(&lab, &asked).expect_code(0));
        let answer = |call: &str| {
            let warnings = said["warnings"].as_array().expect("warnings");
            let found = warnings.iter().find(|warning| warning["code"] == format!("reach.{call}"));
            found.expect("it was asked")["message"].as_str().expect("text").to_owned()
        };
        answer("plan.load-state")
    };
    assert_eq!(answers(&[]), "ok none");
    let none = run(&lab, &["-c", "isc.yaml", "--entry", "odd", "--workspace", "file://disk"]).expect_code(1);
    assert!(none.raw_stderr.contains("there is no workspace in `disk`"), "{}", none.raw_stderr);
    // The image that it asks for is nowhere, and is left out.
    lab.make(&["--on-error", "quarantine", "--retry-times", "0"]).expect(8);
    let record = lab.path("disk/working-dir/metadata.json");
    let before = std::fs::read(&record).expect("the record");
    assert_eq!(answers(&["--workspace", "file://disk"]), r#"ok {"reached":true}"#);
    assert_eq!(std::fs::read(&record).expect("the record"), before);
    assert_eq!(answers(&[]), "ok none");
}

#[test]
fn a_replay_fetches_no_plugin() {
    let lab = Lab::new();
    let name = format!("docker://{}/plugins/list:1", lab.source.host());
    lab.context.write("settings.yaml", json!({"images": []}).to_string());
    let made = ["additional", "--settings", "settings.yaml", "--record", "b.jsonl"];
    run(&lab, &made).expect_code(0);
    let output = run(&lab, &[&name, "--replay", "b.jsonl"]).expect_code(1);
    assert!(output.raw_stderr.contains("is in a registry, and --replay asks none"), "{}", output.raw_stderr);
    assert!(lab.source.log().is_empty());
}
