//! `registries.conf`, `auth.json` and `registries.d`: whatever they say, images are looked for at names of images.

use std::path::PathBuf;

use oc_mirror_engine::net::Secret;
use oc_mirror_engine::registry::CredentialStore;
use oc_mirror_engine::registry::conf::RegistriesConf;
use oc_mirror_engine::trust::registries_d::RegistriesD;
use oc_mirror_model::reference::Reference;

use super::aid::wait;
use crate::target::{Input, Target};

/// The files of containers/image about registries.
pub const REGISTRIES_CONF: Target =
    Target { name: "registries_conf", longest: 16 << 10, memory: 32 << 20, check };

const IMAGES: [&str; 6] = [
    "registry.example:5000/team/app:v1",
    "quay.io/a/b@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "docker.io/library/nginx",
    "a.b.example/c",
    "example/d/e/f:latest",
    "localhost/g",
];

fn check(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() % 3 {
        0 => conf(&mut input),
        1 => auth(&mut input),
        _ => registries_d(&mut input),
    }
}

fn texts(input: &mut Input<'_>, name: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    while !input.is_empty() && files.len() < 4 {
        let text = String::from_utf8_lossy(input.part()).into_owned();
        files.push((PathBuf::from(format!("/{name}.{}", files.len())), text));
    }
    files
}

fn conf(input: &mut Input<'_>) {
    let files = texts(input, "registries.conf");
    let lines: Vec<usize> = files.iter().map(|(_, text)| text.lines().count() + 1).collect();
    let within = |line: usize| line >= 1 && lines.iter().any(|most| line <= *most);
    match RegistriesConf::from_files(files) {
        Ok((conf, remarks)) => {
            assert!(remarks.iter().all(|remark| within(remark.at.line)), "{remarks:?}");
            for image in IMAGES {
                let reference: Reference = image.parse().expect("a reference");
                if let Ok(places) = conf.places(&reference) {
                    // The image itself is the last of them, or what stands for it.
                    assert!(places.last().is_some_and(|place| !place.is_mirror));
                    for place in places {
                        let text = place.reference.to_string();
                        assert_eq!(
                            text.parse::<Reference>().as_ref(),
                            Ok(&place.reference),
                            "{image} is at {text}"
                        );
                        assert_eq!(place.reference.digest, reference.digest, "{image} is at {text}");
                    }
                }
                let _ = (
                    conf.endpoint(image),
                    conf.is_mirrored_only(&reference),
                    conf.concerns(&reference.registry),
                );
            }
            for name in ["nginx", "nginx:1@sha256:x", "team/app:v1", "a"] {
                for candidate in conf.candidates(name).ok().flatten().unwrap_or_default() {
                    let text = candidate.to_string();
                    assert_eq!(text.parse::<Reference>().as_ref(), Ok(&candidate), "{name} may be {text}");
                }
            }
        }
        Err(error) => assert!(within(error.at.line) && error.at.column >= 1, "{error}"),
    }
}

fn auth(input: &mut Input<'_>) {
    // No helper is asked: which programs there are is none of a fuzzer's business.
    let files = texts(input, "auth.json");
    if files
        .iter()
        .any(|(_, text)| text.contains("credHelpers") || text.contains("credsStore") || text.contains("\\u"))
    {
        return;
    }
    let files = files.into_iter().map(|(path, text)| (path, Secret::new(text))).collect();
    let Ok(store) = CredentialStore::from_files(files) else { return };
    for image in IMAGES {
        let reference: Reference = image.parse().expect("a reference");
        let found = wait(store.lookup(&reference.registry, Some(&reference.repository)));
        // Its debug form is what may end up in a log.
        let _ = format!("{found:?}");
    }
}

fn registries_d(input: &mut Input<'_>) {
    let mut directory = RegistriesD::default();
    for (path, text) in texts(input, "registries.d") {
        if directory.add(&path.display().to_string(), text.as_bytes()).is_err() {
            return;
        }
    }
    for image in IMAGES {
        let reference: Reference = image.parse().expect("a reference");
        if let Some(url) = directory.lookaside(&reference) {
            assert!(matches!(url.scheme(), "http" | "https" | "file"), "{url}");
        }
        let _ = directory.uses_attachments(&reference);
    }
}
