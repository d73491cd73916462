//! Credentials and certificates.

use oc_mirror_testkit::{Image, ImageBuilder, PASSWORD, Registry, Skopeo, USER, write_auth_file};

use crate::lab::{Lab, Run, context, join};

fn image() -> Image {
    ImageBuilder::new().random_layer(1, 20_000).build()
}

#[track_caller]
fn assert_no_secret(run: &Run) {
    let shown = run.output.snapshot();
    for secret in [PASSWORD, "dGVzdGVyOnRlc3RwYXNz"] {
        assert!(!shown.contains(secret) && !run.output.raw_stderr.contains(secret), "{shown}");
    }
}

#[test]
fn both_sides_ask_for_a_password() {
    let mut lab = Lab::with(Registry::builder().auth().start(), Registry::builder().auth().start());
    lab.configure(&[lab.push(&image(), "team/app", "v1")]);
    let auth = lab.path("auth.json");
    write_auth_file(&auth, &[(&lab.source.host(), USER, PASSWORD), (&lab.target.host(), USER, PASSWORD)]);
    let authfile = ["--authfile", auth.to_str().unwrap(), "--log-level", "debug"];
    let made = lab.make(&authfile).expect(0);
    assert_no_secret(&made);
    lab.source.stop();
    let published = lab.publish("disk", &authfile).expect(0);
    assert_no_secret(&published);
    assert_eq!(lab.target.digest_of("team/app", "v1"), Some(image().digest));
    let skopeo = Skopeo::new().login(&lab.target.host(), USER, PASSWORD);
    skopeo.pull(&format!("docker://{}", lab.target.reference("team/app", "v1")));
}

#[test]
fn a_wrong_password_is_told_once_with_a_hint() {
    let lab = Lab::with(Registry::start(), Registry::builder().auth().start());
    lab.configure(&[lab.push(&image(), "team/app", "v1")]);
    lab.make(&[]).expect(0);
    let auth = lab.path("auth.json");
    write_auth_file(&auth, &[(&lab.target.host(), USER, "a-wrong-one")]);
    let run = lab.publish("disk", &["--authfile", auth.to_str().unwrap()]);
    run.assert_refused(1, &lab.target.host());
    assert!(!run.output.raw_stderr.contains("a-wrong-one"));
    assert!(lab.target.tags("team/app").is_empty());
}

#[test]
fn a_source_without_credentials_is_an_images_failure() {
    let lab = Lab::with(Registry::builder().auth().start(), Registry::start());
    lab.configure(&[lab.push(&image(), "team/app", "v1")]);
    let run = lab.make(&[]);
    assert_ne!(run.output.code, 0);
    assert!(run.output.raw_stderr.contains("hint: "), "{}", run.output.snapshot());
}

/// Runs without the switches that the lab adds for plain registries.
fn run_verified(lab: &Lab, args: &[&str]) -> oc_mirror_testkit::CommandOutput {
    lab.context.run(&join(&["-o", "json"], args))
}

#[test]
fn certificates_are_verified_against_a_given_authority() {
    let lab = Lab::with(Registry::builder().tls().start(), Registry::builder().tls().start());
    image().push(&lab.source, "team/app", "v1");
    lab.configure(&[lab.source.reference("team/app", "v1")]);
    let authority = |registry: &Registry| {
        registry.certificates().expect("a registry with TLS").authority.display().to_string()
    };
    let directory = lab.file("disk");
    let made = run_verified(&lab, &["-c", "isc.yaml", &directory, "--ca-file", &authority(&lab.source)]);
    made.expect_code(0);
    let to = format!("docker://{}", lab.target.host());
    let published = run_verified(&lab, &["--from", &directory, &to, "--ca-file", &authority(&lab.target)]);
    published.expect_code(0);
    let plain = Registry::builder().storage(lab.target.storage()).start();
    assert_eq!(plain.digest_of("team/app", "v1"), Some(image().digest));
}

#[test]
fn an_unknown_authority_is_an_error_with_a_hint() {
    let lab = Lab::with(Registry::start(), Registry::builder().tls().start());
    lab.configure(&[lab.push(&image(), "team/app", "v1")]);
    lab.make(&[]).expect(0);
    let to = format!("docker://{}", lab.target.host());
    let directory = lab.file("disk");
    let refused = run_verified(&lab, &["--from", &directory, &to]);
    assert_ne!(refused.code, 0);
    assert!(refused.raw_stderr.contains("certificate"), "{}", refused.snapshot());
    assert!(refused.raw_stderr.contains("--ca-file"), "the hint names the cure: {}", refused.snapshot());
    run_verified(&lab, &["--from", &directory, &to, "--dest-tls-verify=false"]).expect_code(0);
}

#[test]
fn a_plain_registry_is_not_spoken_to_unless_told_so() {
    let lab = Lab::new();
    lab.configure(&[lab.push(&image(), "team/app", "v1")]);
    lab.make(&[]).expect(0);
    let to = format!("docker://{}", lab.target.host());
    let refused = run_verified(&lab, &["--from", &lab.file("disk"), &to]);
    assert_ne!(refused.code, 0, "{}", refused.snapshot());
    assert!(refused.raw_stderr.contains("--dest-tls-verify"), "{}", refused.snapshot());
}

#[test]
fn credentials_are_found_where_podman_and_docker_keep_them() {
    let source = Registry::builder().auth().start();
    image().push(&source, "team/app", "v1");
    for place in ["run/containers/auth.json", "home/.docker/config.json"] {
        let context = context();
        let root = context.work().parent().expect("the working directory has a parent").to_path_buf();
        std::fs::create_dir_all(root.join(place).parent().unwrap()).unwrap();
        write_auth_file(&root.join(place), &[(&source.host(), USER, PASSWORD)]);
        let yaml = format!(
            "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n  additionalImages:\n  - name: {}\n",
            source.reference("team/app", "v1")
        );
        context.write("isc.yaml", yaml);
        let directory = format!("file://{}", context.work().join("disk").display());
        crate::lab::run(&context, &["-c", "isc.yaml", &directory]).expect(0);
    }
}
