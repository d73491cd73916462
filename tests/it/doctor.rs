//! `oc-mirror doctor`: what it says of places that are in order, and of those that are not.

use oc_mirror_model::checkup::{Checked, Checkup, Outcome};

use oc_mirror_testkit::{
    Action, Bearer, CommandOutput, FaultRegistry, ImageBuilder, Registry, Rule, TestContext,
};

use crate::lab::context;

const PLAIN: [&str; 2] = ["--src-tls-verify=false", "--dest-tls-verify=false"];

fn configure(context: &TestContext, images: &[String]) {
    let images: String = images.iter().map(|image| format!("  - name: {image}\n")).collect();
    let head = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n  additionalImages:\n";
    context.write("isc.yaml", format!("{head}{images}"));
}

/// Runs it with the configuration and returns what it found.
fn found(context: &TestContext, args: &[&str]) -> (CommandOutput, Checkup) {
    let args = [&["doctor", "-c", "isc.yaml", "-o", "json"], args].concat();
    let output = context.run(&args);
    let checkup =
        serde_json::from_str(&output.raw_stdout).unwrap_or_else(|e| panic!("{e}: {}", output.snapshot()));
    (output, checkup)
}

#[track_caller]
fn one<'a>(checkup: &'a Checkup, subject: &str, what: &str) -> &'a Checked {
    let found = checkup.checks.iter().find(|checked| checked.subject == subject && checked.what == what);
    found.unwrap_or_else(|| panic!("no {what} of {subject} in {checkup:#?}"))
}

#[test]
fn places_in_order() {
    let (source, target) = (Registry::start(), Registry::start());
    source.push(&ImageBuilder::new().layer(&[("a", "1")]).build(), "team/app", "v1");
    let context = context();
    configure(&context, &[source.reference("team/app", "v1")]);
    let to = format!("docker://{}/mirror", target.host());
    let (output, checkup) =
        found(&context, &[&[to.as_str(), "--workspace", "file://work"], &PLAIN[..]].concat());
    assert_eq!((output.code, checkup.count(Outcome::Failed)), (0, 0), "{}", output.snapshot());
    assert_eq!(one(&checkup, &format!("{}/team/app", source.host()), "credential").message, "none is needed");
    let at_target = format!("{}/mirror", target.host());
    assert!(one(&checkup, &at_target, "registry").message.starts_with("docker-registry"), "{checkup:#?}");
    for what in ["push", "referrers", "uploads"] {
        assert_eq!(one(&checkup, &at_target, what).outcome, Outcome::Ok);
    }
    assert_eq!(one(&checkup, &target.host(), "clock").outcome, Outcome::Ok);
    assert_eq!(one(&checkup, "work", "workspace").message, "it is not there yet, and can be made in .");
    assert!(!context.work().join("work").exists(), "looking makes nothing");
    assert!(target.repositories().is_empty(), "nothing was pushed: {:?}", target.repositories());
    one(&checkup, "this machine", "open files");
    // The same for people.
    let text = context.run(&[&["doctor", "-c", "isc.yaml", &to], &PLAIN[..]].concat()).expect_code(0);
    assert!(text.stdout.starts_with("STATE"), "{}", text.stdout);
    assert!(text.stderr.starts_with("0 failed, "), "{}", text.stderr);
}

#[test]
fn certificates_are_looked_at() {
    let registry = Registry::builder().tls().start();
    let context = context();
    configure(&context, &[registry.reference("team/app", "v1")]);
    let (output, checkup) = found(&context, &[]);
    let address = one(&checkup, &registry.host(), "address");
    assert_eq!((output.code, address.outcome), (1, Outcome::Failed));
    assert!(address.hint.as_deref().is_some_and(|hint| hint.contains("--ca-file")), "{address:?}");
    let authority = registry.certificates().expect("TLS").authority.display().to_string();
    let (output, checkup) = found(&context, &["--ca-file", &authority]);
    assert_eq!(output.code, 0, "{}", output.snapshot());
    assert!(
        one(&checkup, &registry.host(), "certificate").message.starts_with("it is valid for "),
        "{checkup:#?}"
    );
    // It answers, but has no such image.
    let image = one(&checkup, &format!("{}/team/app", registry.host()), "image");
    assert_eq!(image.outcome, Outcome::Warning);
}

#[test]
fn credentials_are_tried() {
    let registry = Registry::start();
    registry.push(&ImageBuilder::new().layer(&[("a", "1")]).build(), "team/app", "v1");
    let front = FaultRegistry::with_bearer(&registry, Bearer::new().credentials("alice", "hunter2"));
    let context = context();
    configure(&context, &[format!("{}/team/app:v1", front.host())]);
    let to = format!("docker://{}", front.host());
    let subject = format!("{}/team/app", front.host());
    let with = |password: Option<&str>| {
        let auths = password.map(|password| {
            let auth = oc_mirror_testkit::basic_authorization("alice", password);
            serde_json::json!({ front.host(): { "auth": auth.trim_start_matches("Basic ") } })
        });
        let auths = serde_json::json!({ "auths": auths.unwrap_or_else(|| serde_json::json!({})) });
        context.write("auth.json", auths.to_string());
        let (output, checkup) =
            found(&context, &[&["--authfile", "auth.json", to.as_str()], &PLAIN[..]].concat());
        assert!(
            !output.raw_stdout.contains("hunter") && !output.raw_stderr.contains("hunter"),
            "{}",
            output.snapshot()
        );
        (output.code, one(&checkup, &subject, "credential").clone())
    };
    let (code, none) = with(None);
    assert_eq!((code, none.message.as_str()), (1, "a credential is needed, and there is none"));
    assert!(none.hint.is_some_and(|hint| hint.contains("podman login")));
    let (code, wrong) = with(Some("hunter1"));
    assert_eq!(code, 1);
    assert!(wrong.message.starts_with("the credential is not taken"), "{wrong:?}");
    assert_eq!(
        with(Some("hunter2")),
        (
            0,
            Checked {
                hint: None,
                outcome: Outcome::Ok,
                subject: subject.clone(),
                what: "credential".into(),
                message: "there is one, and it is taken".into()
            }
        )
    );
}

#[test]
fn places_out_of_order() {
    let registry = Registry::start();
    registry.push(&ImageBuilder::new().layer(&[("a", "1")]).build(), "team/app", "v1");
    let late = FaultRegistry::before(&registry);
    let date = Action::SetHeader("Date".to_owned(), "Sun, 06 Nov 1994 08:49:37 GMT".to_owned());
    late.rule(Rule::on("GET", "/v2/").then(date));
    let mut gone = Registry::start();
    gone.stop();
    let context = context();
    configure(&context, &[format!("{}/team/app:v1", late.host()), gone.reference("team/app", "v1")]);
    let (output, checkup) =
        found(&context, &[&["--workspace", "file://isc.yaml/below"], &PLAIN[..]].concat());
    assert_eq!(output.code, 1);
    assert_eq!(one(&checkup, &late.host(), "clock").outcome, Outcome::Failed);
    let address = one(&checkup, &gone.host(), "address");
    assert!(address.outcome == Outcome::Failed && address.message.contains("refused"), "{address:?}");
    assert_eq!(one(&checkup, "isc.yaml/below", "workspace").outcome, Outcome::Failed);
    for checked in checkup.checks.iter().filter(|checked| checked.outcome != Outcome::Ok) {
        assert!(checked.hint.is_some(), "{checked:?}");
    }
}

#[test]
fn update_graphs_are_asked_for() {
    let server = FaultRegistry::alone();
    let context = context().env("UPDATE_URL_OVERRIDE", &format!("{}/graph", server.url()));
    context.write(
        "isc.yaml",
        "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n  platform:\n    release: 127.0.0.1:1/a/b:v1\n    \
         channels: []\n    graph: true\n    graphDataURL: GRAPH\n".replace("GRAPH", &format!("{}/data", server.url())),
    );
    server.rule(Rule::on("GET", "/data").then(Action::status(503)));
    let (output, checkup) = found(&context, &PLAIN);
    assert_eq!(output.code, 1);
    let answer = one(&checkup, &format!("{}/data", server.url()), "answer");
    assert!(answer.message.contains("503"), "{answer:?}");
    assert_eq!(server.count("GET", "/graph"), 0, "no channel is asked for");
}

#[test]
fn what_is_no_destination_is_refused() {
    let output = context().run(&["doctor", "s3://bucket"]).expect_code(1);
    assert!(
        output.stderr.starts_with("error: `s3://bucket` is no destination that can be looked at\n"),
        "{}",
        output.stderr
    );
}
