//! `oc-mirror serve` for others than the own machine: over TLS, and to users only.

use std::path::{Path, PathBuf};
use std::process::Command;

use oc_mirror_testkit::{Certificates, Image, ImageBuilder, Skopeo, http, write_auth_file};

use crate::lab::{Lab, join, read};
use crate::serve::Served;

/// `admin` with the password `writes`, and `node` with `reads`, hashed by `htpasswd -B`.
const PASSWORDS: &str = include_str!("serve-passwords");

fn image() -> Image {
    ImageBuilder::new().random_layer(1, 50_000).build()
}

fn passwords(lab: &Lab) -> String {
    lab.context.write("passwords", PASSWORDS).display().to_string()
}

/// A directory as skopeo wants it: nothing but what is to be trusted.
fn trusted(lab: &Lab, authority: &Path) -> String {
    let dir = lab.path("trusted");
    std::fs::create_dir_all(&dir).expect("the test's own directory is writable");
    std::fs::copy(authority, dir.join("ca.crt")).expect("the authority is there");
    dir.display().to_string()
}

fn authority(lab: &Lab, served: &str) -> PathBuf {
    lab.path(served).join("working-dir/serve/ca.crt")
}

fn succeeds(output: &std::process::Output) -> bool {
    output.status.success()
}

#[test]
fn publishing_to_a_served_directory_over_tls_with_a_password() {
    let lab = Lab::new();
    let passwords = passwords(&lab);
    lab.configure(&[lab.push(&image(), "team/app", "v1")]);
    lab.make(&[]).expect(0);
    let path = lab.path("registry");
    let serve = ["--tls-self-signed", "--htpasswd", &passwords, "--reader", "node"];
    let served = Served::start_with(&lab.context, &path, &serve);
    let ca = authority(&lab, "registry");
    let auth = lab.path("auth.json");
    write_auth_file(&auth, &[(&served.host(), "admin", "writes")]);
    let (from, to) = (lab.file("disk"), format!("docker://{}/far", served.host()));
    let ca = ca.display().to_string();
    let args = ["--from", &from, &to, "--ca-file", &ca];
    let authfile = auth.display().to_string();

    // Neither without trust, nor without a password, nor as somebody who may only read.
    let untrusted = lab.context.run(&["--from", &from, &to, "--authfile", &authfile, "--retry-times", "0"]);
    assert_eq!(untrusted.code, 1, "{}", untrusted.snapshot());
    assert!(untrusted.raw_stderr.contains("--ca-file"), "{}", untrusted.snapshot());
    let unknown = lab.context.run(&args);
    assert_eq!(unknown.code, 1, "{}", unknown.snapshot());
    let reader = lab.path("reader.json").display().to_string();
    write_auth_file(Path::new(&reader), &[(&served.host(), "node", "reads")]);
    let denied = lab.context.run(&join(&args, &["--authfile", &reader, "--retry-times", "0"]));
    assert_ne!(denied.code, 0, "{}", denied.snapshot());

    let published = lab.context.run(&join(&args, &["--authfile", &authfile])).expect_code(0);
    for secret in ["writes", "YWRtaW46d3JpdGVz", "$2y$"] {
        assert!(!published.raw_stderr.contains(secret) && !served.said().contains(secret));
    }
    // A cluster's node may read.
    let cert_dir = trusted(&lab, Path::new(&ca));
    let reference = format!("docker://{}", served.reference("far/team/app", "v1"));
    let inspect = ["inspect", "--raw", "--cert-dir", &cert_dir, &reference];
    let node = Skopeo::new().login(&served.host(), "node", "reads");
    assert_eq!(node.run(&inspect).stdout, image().manifest);
    let to = format!("dir:{}", lab.path("pulled").display());
    let copy = ["copy", "--src-cert-dir", &cert_dir, &reference, &to];
    assert!(succeeds(&node.run(&copy)));
    assert!(!succeeds(&Skopeo::new().run(&inspect)), "nobody reads without a password");
    assert!(!succeeds(&Skopeo::new().login(&served.host(), "node", "wrong").run(&inspect)));
    assert!(!succeeds(&node.run(&["inspect", "--raw", &reference])), "nor without trust");
    let push = ["copy", "--src-cert-dir", &cert_dir, "--dest-cert-dir", &cert_dir, &reference];
    let elsewhere = format!("docker://{}", served.reference("far/other", "v1"));
    assert!(!succeeds(&node.run(&join(&push, &[&elsewhere]))), "who reads does not write");
    let admin = Skopeo::new().login(&served.host(), "admin", "writes");
    assert!(succeeds(&admin.run(&join(&push, &[&elsewhere]))));
}

#[test]
fn the_authority_stays_and_is_told() {
    let lab = Lab::new();
    let path = lab.path("registry");
    let first =
        Served::start_with(&lab.context, &path, &["--tls-self-signed", "--tls-name", "mirror.example"]);
    let said = first.said();
    drop(first);
    let ca = authority(&lab, "registry");
    let before = read(&ca);
    let shown = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
        .arg(&ca)
        .output()
        .expect("this machine has openssl");
    let shown = String::from_utf8(shown.stdout).expect("text");
    let fingerprint = shown.trim().split_once('=').expect("NAME=FINGERPRINT").1;
    assert!(said.contains(fingerprint), "{fingerprint} in {said}");
    assert!(said.contains("mirror.example") && said.contains(&ca.display().to_string()), "{said}");

    image().write_layout(&lab.path("layout"), "v1");
    let again = Served::start_with(&lab.context, &path, &["--tls-self-signed"]);
    assert_eq!(read(&ca), before);
    let from = format!("oci:{}:v1", lab.path("layout").display());
    let to = format!("docker://{}", again.reference("team/app", "v1"));
    let output = Skopeo::new().run(&["copy", "--dest-cert-dir", &trusted(&lab, &ca), &from, &to]);
    assert!(succeeds(&output), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_imageset_is_read_by_everybody_over_tls_with_a_certificate_of_ones_own() {
    let lab = Lab::new();
    lab.configure(&[lab.push(&image(), "team/app", "v1")]);
    lab.make(&[]).expect(0);
    let made = Certificates::make(&lab.path("."));
    let (certificate, key) = (made.certificate.display().to_string(), made.key.display().to_string());
    let serve = ["--tls-cert", &certificate, "--tls-key", &key, "--anonymous-read"];
    let served = Served::start_with(&lab.context, &lab.path("disk"), &serve);
    let reference = format!("docker://{}", served.reference("team/app", "v1"));
    let cert_dir = made.authority.parent().expect("a directory").display().to_string();
    let inspect = ["inspect", "--raw", "--cert-dir", &cert_dir, &reference];
    assert_eq!(Skopeo::new().run(&inspect).stdout, image().manifest);
}

#[test]
fn who_may_read_without_a_password_is_told_how_to_write() {
    let lab = Lab::new();
    let passwords = passwords(&lab);
    let path = lab.path("registry");
    let served = Served::start_with(&lab.context, &path, &["--htpasswd", &passwords, "--anonymous-read"]);
    image().write_layout(&lab.path("layout"), "v1");
    let from = format!("oci:{}:v1", lab.path("layout").display());
    let reference = format!("docker://{}", served.reference("team/app", "v1"));
    let push = ["copy", "--dest-tls-verify=false", &from, &reference];
    assert!(!succeeds(&Skopeo::new().run(&push)));
    let admin = Skopeo::new().login(&served.host(), "admin", "writes");
    let output = admin.run(&push);
    assert!(succeeds(&output), "{}", String::from_utf8_lossy(&output.stderr));
    Skopeo::new().pull(&reference);
    let greeting = http::get(&served.host(), "/v2/", &[]).expect("an answer");
    assert_eq!(greeting.status, 200);
    assert!(greeting.header("www-authenticate").is_some_and(|value| value.starts_with("Basic realm=")));
    let refused =
        http::request(&served.host(), "POST", "/v2/team/x/blobs/uploads/", &[], &[]).expect("an answer");
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").is_some_and(|value| value.starts_with("Basic realm=")));
    assert!(refused.text().contains("UNAUTHORIZED"), "{}", refused.text());
}

#[test]
fn what_would_be_open_to_all_is_refused() {
    let lab = Lab::new();
    let passwords = passwords(&lab);
    lab.configure(&[lab.push(&image(), "team/app", "v1")]);
    lab.make(&[]).expect(0);
    let (registry, disk) = (lab.path("registry"), lab.path("disk"));
    let (registry, disk) = (registry.to_str().expect("plain"), disk.to_str().expect("plain"));
    let everywhere = ["--listen", "0.0.0.0:0"];
    for (dir, more, words) in [
        (registry, vec![], "without TLS and without a password file"),
        (registry, vec!["--tls-self-signed"], "without a password file"),
        (registry, vec!["--tls-self-signed", "--anonymous-read"], "without a password file"),
        (registry, vec!["--htpasswd", &passwords], "without TLS"),
        (disk, vec!["--tls-self-signed"], "without a password file"),
    ] {
        let output = lab.context.run(&[&["serve", dir], &everywhere[..], &more].concat()).expect_code(1);
        assert!(output.raw_stderr.contains(words), "{}", output.snapshot());
        assert!(output.raw_stderr.contains("hint: ") && output.raw_stderr.contains("--insecure"));
    }
    for (args, words) in [
        (vec!["--htpasswd", "missing"], "cannot be read"),
        (vec!["--htpasswd", "isc.yaml"], "cannot be used"),
        (vec!["--htpasswd", &passwords, "--reader", "nobody"], "no user `nobody`"),
        (vec!["--tls-cert", "isc.yaml", "--tls-key", "isc.yaml"], "the certificate cannot be used"),
        (vec!["--tls-self-signed", "--tls-name", "not a name"], "neither a host name"),
    ] {
        let output = lab.context.run(&[&["serve", registry][..], &args].concat()).expect_code(1);
        assert!(output.raw_stderr.contains(words), "{}", output.snapshot());
        assert!(output.raw_stderr.contains("hint: "), "{}", output.snapshot());
    }
}
