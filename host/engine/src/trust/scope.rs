//! [`scopes`]: the names under which policies and `registries.d` may speak of an image, the most specific first.

use std::path::Path;

use oc_mirror_model::reference::{Reference, Source, Tag};

/// Returns the transport, as containers/image calls it.
pub(super) fn transport(source: &Source) -> &'static str {
    match source {
        Source::Registry(_) => "docker",
        Source::Layout(_) => "oci",
    }
}

/// Returns the reference by which an image is meant: its digest if one was written, else its tag, else `latest`.
///
/// A tag beside a digest says nothing about what is pulled.
pub(super) fn meant(reference: &Reference) -> Reference {
    match (&reference.digest, &reference.tag) {
        (Some(digest), _) => reference.pinned(digest),
        (None, Some(_)) => reference.clone(),
        (None, None) => {
            let latest = "latest".parse::<Tag>().expect("it is a tag");
            Reference { tag: Some(latest), ..reference.clone() }
        }
    }
}

/// Returns the names, the most specific first: the image itself, its repository, the paths above, the host, and hosts
/// with `*`; or the directory and those above it.
pub(super) fn scopes(source: &Source) -> Vec<String> {
    match source {
        Source::Registry(reference) => of_reference(reference),
        Source::Layout(layout) => {
            // Scopes are absolute, and no link leads around them.
            let dir = layout.path.canonicalize().unwrap_or_else(|_| layout.path.clone());
            let mut found = vec![format!("{}:{}", dir.display(), layout.name.as_deref().unwrap_or(""))];
            let dirs = dir.ancestors().filter(|dir| *dir != Path::new("/") && *dir != Path::new(""));
            found.extend(dirs.map(|dir| dir.display().to_string()));
            found
        }
    }
}

fn of_reference(reference: &Reference) -> Vec<String> {
    let name = reference.name();
    let mut found = vec![meant(reference).to_string(), name.clone()];
    let slashes: Vec<usize> = name.match_indices('/').map(|(at, _)| at).collect();
    found.extend(slashes.iter().rev().map(|at| name[..*at].to_owned()));
    // Wildcards stand for hosts on any port.
    let host = reference.registry.host();
    if !host.starts_with('[') {
        found.extend(host.match_indices('.').map(|(at, _)| format!("*{}", &host[at..])));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[rstest]
    #[case("quay.io/a/b:1", &["quay.io/a/b:1", "quay.io/a/b", "quay.io/a", "quay.io", "*.io"])]
    #[case("quay.io/a", &["quay.io/a:latest", "quay.io/a", "quay.io", "*.io"])]
    #[case("r.example.com:5000/a:1", &["r.example.com:5000/a:1", "r.example.com:5000/a", "r.example.com:5000", "*.example.com", "*.com"])]
    #[case("localhost:5000/a:1", &["localhost:5000/a:1", "localhost:5000/a", "localhost:5000"])]
    #[case("busybox:1", &["docker.io/library/busybox:1", "docker.io/library/busybox", "docker.io/library", "docker.io", "*.io"])]
    #[case("oci:/var/images/x:name", &["/var/images/x:name", "/var/images/x", "/var/images", "/var"])]
    fn names(#[case] source: &str, #[case] expected: &[&str]) {
        assert_eq!(scopes(&source.parse().unwrap()), expected);
    }

    #[test]
    fn links_do_not_lead_around_a_scope() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().canonicalize().unwrap().join("real"), dir.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let found = scopes(&format!("oci:{}", link.display()).parse().unwrap());
        assert_eq!(found[1], real.display().to_string());
    }

    #[test]
    fn a_digest_counts_more_than_a_tag() {
        let source: Source = format!("quay.io/a:1@{DIGEST}").parse().unwrap();
        assert_eq!(scopes(&source)[..2], [format!("quay.io/a@{DIGEST}"), "quay.io/a".to_owned()]);
    }

    proptest! {
        #[test]
        fn each_name_is_within_the_next(host in "[a-z]{1,4}(\\.[a-z]{1,4}){0,3}\\.[a-z]{2,3}", path in "[a-z]{1,4}(/[a-z]{1,4}){0,4}") {
            let found = scopes(&format!("{host}/{path}:1").parse().unwrap());
            for pair in found.windows(2) {
                let within = |outer: &str, inner: &str| match (outer.strip_prefix('*'), inner.strip_prefix('*')) {
                    (Some(outer), Some(inner)) => inner.ends_with(outer),
                    (Some(outer), None) => inner.ends_with(outer),
                    _ => inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with(['/', ':'])),
                };
                prop_assert!(within(&pair[1], &pair[0]), "{} within {}", pair[0], pair[1]);
            }
            prop_assert_eq!(found.len(), 2 + path.split('/').count() + host.matches('.').count());
        }
    }
}
