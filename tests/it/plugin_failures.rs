//! A plugin that misbehaves beside content that does not: the failure has its name, and the rest is mirrored as `--on-error`
//! says.

use std::path::{Path, PathBuf};

use oc_mirror_guest_build::GuestBuild;
use oc_mirror_testkit::{Action, FileServer, Image, ImageBuilder, LogLine, Rule, workspace_root};
use rstest::rstest;
use serde_json::{Value, json};

use crate::lab::{Lab, names_in};

/// The guest of `tests/guests` that misbehaves as its settings say.
pub(crate) fn odd() -> PathBuf {
    let build = GuestBuild {
        manifest_dir: workspace_root().join("tests/guests"),
        target_dir: Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests"),
        packages: vec!["oc-mirror-guest-odd".to_owned()],
    };
    build.build().expect("the guest compiles")[0].path.clone()
}

/// An image that everybody wants, and the guest as a plugin.
fn configure(lab: &Lab, section: &str, settings: Value, grants: &[String]) -> Image {
    let image = ImageBuilder::new().layer(&[("app", "wanted")]).build();
    let name = lab.push(&image, "team/wanted", "v1");
    lab.configure_mirror(json!({
        "additionalImages": [{"name": name}],
        section: [{
            "name": "odd", "source": format!("file:{}", odd().display()), "config": settings, "grants": grants,
        }],
    }));
    image
}

#[rstest]
#[case::traps(json!({"behaviour": "trap", "count": 100}), "finish", "trapped: unreachable")]
#[case::eats_memory(json!({"behaviour": "grab"}), "quarantine", "asked for more than 256 MiB of memory")]
#[case::recurses(json!({"behaviour": "recurse"}), "finish", "trapped: call stack exhausted")]
#[case::shouts(json!({"behaviour": "shout", "count": 102_400}), "quarantine", "handed more than 8 MiB to the host")]
fn a_source_that_fails_leaves_the_rest_unharmed(
    #[case] settings: Value,
    #[case] on_error: &str,
    #[case] cause: &str,
) {
    let lab = Lab::new();
    let image = configure(&lab, "plugins", settings, &[]);

    // What it would have asked for is not known, so it cannot be left out; all else is fetched.
    let run = lab.make(&["--on-error", on_error]).expect(8);
    let [failure] = run.report().failures.as_slice() else { panic!("{}", run.output.snapshot()) };
    assert_eq!(failure.subject, "odd");
    assert!(failure.message.starts_with("plugin `odd` 0.1.0 failed in `collect`: "), "{failure:?}");
    assert!(failure.message.contains(cause), "{failure:?}");
    assert!(run.output.raw_stderr.contains("plugin `odd` 0.1.0"), "{}", run.output.snapshot());
    assert!(!names_in(&lab.path("disk")).iter().any(|name| name.starts_with("mirror_seq")));
    let layers = || {
        let is_layer = |line: &LogLine| line.method == "GET" && line.path.contains(&image.layer_digests()[0]);
        lab.source.log().iter().filter(|line| is_layer(line)).count()
    };
    assert_eq!(layers(), 1, "the other content was fetched");

    // Once the plugin is mended, or gone, nothing is fetched again.
    lab.configure(&[lab.source.reference("team/wanted", "v1")]);
    let run = lab.make(&[]).expect(0);
    assert_eq!(run.outcomes(), [(1, "made")], "{}", run.output.snapshot());
    assert_eq!(layers(), 1, "it was there already");
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&image, "team/wanted", "v1");
}

#[test]
fn a_policy_that_fails_lets_nothing_pass() {
    let lab = Lab::new();
    configure(&lab, "policies", json!({"behaviour": "trap", "at": "evaluate"}), &[]);
    let run = lab.make(&[]);
    assert_ne!(run.output.code, 0, "{}", run.output.snapshot());
    assert!(run.output.raw_stderr.contains("odd"), "{}", run.output.snapshot());
    assert!(!names_in(&lab.path("disk")).iter().any(|name| name.starts_with("mirror_seq")));
}

/// Addresses that are nobody's business, and places that no grant covers: by name, by number, by redirect.
#[test]
fn a_plugin_fetches_nothing_but_what_is_granted() {
    let lab = Lab::new();
    let (granted, other) = (FileServer::start(), FileServer::start());
    other.put("/secret", b"{}");
    let redirect = |to: String| {
        let headers = vec![("Location".to_owned(), to)];
        Action::Answer(302, headers, Vec::new())
    };
    let rule = |path: &str, to: String| {
        granted.rule(Rule::on("GET", path).then(redirect(to)));
    };
    rule("^/away", format!("{}/secret", other.url()));
    rule("^/metadata", "http://169.254.169.254/latest/meta-data/".to_owned());
    rule("^/number", "http://2852039166/latest/meta-data/".to_owned());
    rule("^/mapped", "http://[::ffff:a9fe:a9fe]/latest/meta-data/".to_owned());
    let open = [
        "http:https://*".to_owned(),
        format!("http:{}", granted.url()),
        "http:http://169.254.169.254".to_owned(),
    ];
    for (url, grants) in [
        (format!("{}/secret", other.url()), &open[..]),
        (format!("{}/away", granted.url()), &open[..]),
        (format!("{}/metadata", granted.url()), &open[..]),
        (format!("{}/number", granted.url()), &open[..]),
        (format!("{}/mapped", granted.url()), &open[..]),
        ("http://169.254.169.254/latest/meta-data/".to_owned(), &open[..]),
        ("https://169.254.169.254/".to_owned(), &open[..]),
        ("https://2852039166/".to_owned(), &open[..]),
        ("https://0xa9.0xfe.0xa9.0xfe/".to_owned(), &open[..]),
        ("https://[::ffff:169.254.169.254]/".to_owned(), &open[..]),
        ("https://[64:ff9b::a9fe:a9fe]/".to_owned(), &open[..]),
        ("file:///etc/passwd".to_owned(), &open[..]),
        (format!("{}/secret", granted.url()), &[][..]),
    ] {
        configure(&lab, "plugins", json!({"behaviour": "reach", "url": url}), grants);
        let run = lab.make(&["--dry-run", "--retry-times", "0"]);
        let warnings = &run.report().warnings;
        let answer = warnings.iter().find(|line| line.ends_with(" (reach.http.fetch)"));
        let answer = answer.unwrap_or_else(|| panic!("{url}: {}", run.output.snapshot()));
        let answer = answer.strip_prefix("odd: ").expect("the name of the plugin");
        let is_refused = answer.starts_with("denied: ") || answer.starts_with("invalid: ");
        assert!(is_refused, "{url}: {answer}");
    }
    assert_eq!(other.count("GET", ".*"), 0, "nobody came");
}
