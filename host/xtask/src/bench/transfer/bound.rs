//! The least that has to be done: what no client can do without, and nothing else.
//!
//! Pulling: curl gets each distinct manifest, configuration and layer once, over eight connections, into files. Pushing:
//! each distinct blob is sent once, each further repository takes it over by a mount, and each manifest is sent.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::client::{Body, CONNECTIONS, MANIFEST, for_each};
use super::sets::{Blob, Set};
use crate::run::Tool;

/// Returns the command that gets everything once, into `out`.
pub(super) fn curl(set: &Set, host: &str, out: &Path) -> Result<Tool, String> {
    get(set, None, host, out)
}

/// Returns the command that gets what `set` has more than `known`, into `out`. Every tag may have moved and have got a
/// signature meanwhile, so each manifest is asked for, and each repository's list of tags.
pub(super) fn curl_again(set: &Set, known: &Set, host: &str, out: &Path) -> Result<Tool, String> {
    get(set, Some(known), host, out)
}

fn get(set: &Set, known: Option<&Set>, host: &str, out: &Path) -> Result<Tool, String> {
    let files = out.join("files");
    let config = out.join("curl.cfg");
    let mut text = String::new();
    let mut add = |repository: &str, kind: &str, blob: &Blob| {
        let file = files.join(blob.digest.trim_start_matches("sha256:"));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "url = \"http://{host}/v2/{repository}/{kind}/{}\"\noutput = \"{}\"",
            blob.digest,
            file.display()
        );
    };
    set.images.iter().for_each(|image| add(&image.repository, "manifests", &image.manifest));
    let have: HashSet<&str> =
        known.iter().flat_map(|set| set.blobs()).map(|(_, blob)| blob.digest.as_str()).collect();
    let wanted = set.blobs().into_iter().filter(|(_, blob)| !have.contains(blob.digest.as_str()));
    wanted.for_each(|(repository, blob)| add(repository, "blobs", blob));
    if known.is_some() {
        for (number, image) in set.images.iter().enumerate() {
            let file = files.join(format!("tags-{number}"));
            let _ = writeln!(
                text,
                "url = \"http://{host}/v2/{}/tags/list\"\noutput = \"{}\"",
                image.repository,
                file.display()
            );
        }
    }
    let written = fs::create_dir_all(&files).and_then(|()| fs::write(&config, text));
    written.map_err(|e| format!("cannot write `{}`: {e}", config.display()))?;
    let accept = format!("Accept: {MANIFEST}");
    let connections = CONNECTIONS.to_string();
    let args =
        ["-q", "--silent", "--show-error", "--fail", "-Z", "--parallel-max", &connections, "-H", &accept];
    Ok(Tool::new("curl").args(args).args(["-K"]).path(&config))
}

/// Sends everything to an empty registry.
pub(super) fn push(set: &Set, host: &str) -> Result<(), String> {
    let blobs = set.blobs();
    for_each(host, &blobs, |connection, (repository, blob)| {
        connection.upload(repository, blob, Body::File(&set.file(blob)))
    })?;
    for_each(host, &mounts(set), |connection, (repository, blob, from)| {
        connection.mount(repository, blob, from)
    })?;
    for_each(host, &set.images, |connection, image| {
        let target = format!("/v2/{}/manifests/v1", image.repository);
        connection.ask("PUT", &target, Body::File(&set.file(&image.manifest)), 201).map(drop)
    })
}

/// Returns what further repositories take over, and from where.
fn mounts(set: &Set) -> Vec<(&str, &Blob, &str)> {
    let first: HashMap<&str, &str> =
        set.blobs().into_iter().map(|(repository, blob)| (blob.digest.as_str(), repository)).collect();
    let mut mounts = Vec::new();
    for image in &set.images {
        for blob in &image.blobs {
            let from = first.get(blob.digest.as_str()).copied().unwrap_or_default();
            if from != image.repository {
                mounts.push((image.repository.as_str(), blob, from));
            }
        }
    }
    mounts
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::sets::Image;
    use super::*;

    #[test]
    fn a_blob_is_mounted_from_where_it_was_sent_first() {
        let blob = |digest: &str| Blob { digest: digest.to_owned(), size: 1 };
        let image = |repository: &str| Image {
            repository: repository.to_owned(),
            manifest: blob(repository),
            blobs: vec![blob("shared"), blob(&format!("own-{repository}"))],
        };
        let images = vec![image("a"), image("b"), image("c")];
        let set = Set { name: "S".to_owned(), images, storage: PathBuf::new() };
        let found: Vec<_> =
            mounts(&set).into_iter().map(|(to, blob, from)| (to, &*blob.digest, from)).collect();
        assert_eq!(found, [("b", "shared", "a"), ("c", "shared", "a")]);
    }
}
