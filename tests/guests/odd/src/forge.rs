//! Hands over what a host must not take: names with escapes, forged digests, paths that lead elsewhere. Tells what it answered.

use oc_mirror_plugin_sdk::host::plan;
use oc_mirror_plugin_sdk::{Error, ImageRequest, Platform, Sink, explain};

use crate::image;

/// What was tried, in words without the text itself, and what the host answered.
pub(crate) type Answers = Vec<(String, String)>;

/// Names of images that are none, or of another place than a registry.
const NAMES: [(&str, &str); 16] = [
    ("nothing", ""),
    ("an escape", "registry.example/\u{1b}[31mred:1"),
    ("a new line", "registry.example/a:1\nERROR forged"),
    ("a carriage return", "registry.example/a:1\r"),
    ("a direction", "registry.example/a\u{202e}b:1"),
    ("a parent", "registry.example/a/../../b:1"),
    ("no path", "registry.example/"),
    ("a query", "registry.example/a:1?x=y"),
    ("a password", "user:secret@registry.example/a:1"),
    ("a file", "file:///etc/passwd"),
    ("a layout", "oci:/etc"),
    ("an option", "--help"),
    ("a digest of letters", "registry.example/a@sha256:zz"),
    ("a short digest", "registry.example/a@sha256:00"),
    (
        "an upper digest",
        "registry.example/a@sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ),
    ("another algorithm", "registry.example/a@md5:d41d8cd98f00b204e9800998ecf8427e"),
];

/// Paths that lead out of the place they are put into.
const PATHS: [(&str, &str); 9] = [
    ("a parent", "../up"),
    ("a parent inside", "a/../../up"),
    ("a root", "/etc/passwd"),
    ("a backslash", "a\\..\\up"),
    ("a zero", "a\0b"),
    ("an escape", "\u{1b}[2J"),
    ("a dot", "./a"),
    ("two slashes", "a//b"),
    ("nothing", ""),
];

pub(crate) fn from_source(out: &Sink) -> Answers {
    let mut answers = Answers::new();
    let mut told = |what: String, result: Result<(), Error>| {
        answers.push((what, result.map_or_else(|error| explain(&error), |()| "ok".to_owned())));
    };
    for (what, name) in NAMES {
        told(format!("source {what}"), wish(out, |wish| wish.source = name.to_owned()));
        // Where the user says that a layout is, an image of it may be called after it.
        if what != "a layout" {
            told(format!("origin {what}"), wish(out, |wish| wish.origin = name.to_owned()));
        }
    }
    let long = format!("registry.example/{}:1", "a".repeat(70_000));
    told("source too long".to_owned(), wish(out, |wish| wish.source = long.clone()));
    for (what, path) in PATHS.into_iter().filter(|(what, _)| *what != "nothing") {
        told(format!("repository {what}"), wish(out, |wish| wish.target_repository = Some(path.to_owned())));
        told(format!("tag {what}"), wish(out, |wish| wish.target_tag = Some(path.to_owned())));
    }
    for (what, kind) in [("an escape", "\u{1b}[31m"), ("a space", "two words"), ("nothing", "")] {
        told(format!("kind {what}"), wish(out, |wish| wish.kind = kind.to_owned()));
        told(format!("document {what}"), out.resource_document(kind, &crate::example_document()));
    }
    told("document a parent".to_owned(), out.resource_document("../up", &crate::example_document()));
    told("platform an escape".to_owned(), wish(out, |wish| wish.platforms = vec![platform("\u{1b}[31m")]));
    for (what, path) in PATHS {
        told(format!("artifact {what}"), out.artifact(path).map(drop));
    }
    // In an image a path may begin at its root, and a backslash is a letter.
    let elsewhere = |what: &str| what != "a root" && what != "a backslash";
    for (what, path) in PATHS.into_iter().filter(|(what, _)| elsewhere(what)) {
        told(format!("file {what}"), build(out, |builder| builder.file(path, 0o644).map(drop)));
        told(format!("append {what}"), build(out, |builder| builder.append(path, 0o644, b"x")));
        told(format!("remove {what}"), build(out, |builder| builder.remove(path)));
        told(format!("clear {what}"), build(out, |builder| builder.clear(path, 0o755)));
    }
    answers
}

fn wish(out: &Sink, spoil: impl FnOnce(&mut ImageRequest)) -> Result<(), Error> {
    let mut wish = image(0);
    spoil(&mut wish);
    out.images(&[wish]).map(drop)
}

fn platform(architecture: &str) -> Platform {
    Platform { os: "linux".to_owned(), arch: architecture.to_owned(), variant: None }
}

/// Something may only be noticed when the image is finished.
fn build(out: &Sink, spoil: impl FnOnce(&plan::ImageBuilder) -> Result<(), Error>) -> Result<(), Error> {
    let builder = out.build(&plan::BuildSpec {
        kind: "catalog".to_owned(),
        origin: "registry.example/forged/built:1".to_owned(),
        target_repository: "forged/built".to_owned(),
        target_tag: "1".to_owned(),
        base: None,
        platforms: vec![platform("amd64")],
        provenance: Vec::new(),
    })?;
    spoil(&builder)?;
    builder.finish().map(drop)
}
