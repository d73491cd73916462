//! What must hold at every moment, whatever has happened: looked at without the engine.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::content::{Repositories, Repository, children, digest};

/// What is wrong.
pub type Broken = String;

/// An imageset as it is in a directory: its chunks in order.
pub type Chunks = Vec<(String, Vec<u8>)>;

/// Finds the imagesets of a directory by their sequence: files that bear their final names.
pub fn imagesets(dir: &Path) -> BTreeMap<u64, Chunks> {
    let mut found: BTreeMap<u64, Chunks> = BTreeMap::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let numbers = name
            .strip_prefix("mirror_seq")
            .and_then(|n| n.strip_suffix(".tar"))
            .and_then(|n| n.split_once('_'));
        if let Some((sequence, _)) = numbers
            && let Ok(sequence) = sequence.parse()
        {
            found.entry(sequence).or_default().push((name, fs::read(entry.path()).unwrap_or_default()));
        }
    }
    found.values_mut().for_each(|chunks| chunks.sort());
    // Chunk 0 gets its name last: without it there is no imageset yet.
    found.retain(|_, chunks| chunks.first().is_some_and(|(name, _)| name.ends_with("_000000.tar")));
    found
}

/// Checks an imageset that bears its name: all its bytes are there, and each blob is what it is called.
pub fn imageset(chunks: &Chunks) -> Result<(), Broken> {
    let mut parts: BTreeMap<String, BTreeMap<u64, Vec<u8>>> = BTreeMap::new();
    let mut index = Value::Null;
    for (chunk, bytes) in chunks {
        let wrong = |what: &dyn std::fmt::Display| format!("{chunk}: {what}");
        let mut archive = tar::Archive::new(bytes.as_slice());
        for entry in archive.entries().map_err(|e| wrong(&e))? {
            let mut entry = entry.map_err(|e| wrong(&e))?;
            let name = entry.path().map_err(|e| wrong(&e))?.to_string_lossy().into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(|e| wrong(&e))?;
            if name == "imageset.json" && chunk.ends_with("_000000.tar") {
                index = serde_json::from_slice(&content).map_err(|e| wrong(&e))?;
            } else if name != "imageset.json" {
                let (whole, part) = match name.split_once(".part-") {
                    Some((whole, part)) => {
                        (whole.to_owned(), part.split_once("-of-").map_or(0, |(n, _)| n.parse().unwrap_or(0)))
                    }
                    None => (name, 0),
                };
                parts.entry(whole).or_default().insert(part, content);
            }
        }
    }
    let entries = index["entries"].as_array().ok_or("imageset.json has no entries")?;
    if index["chunks"].as_array().map(Vec::len) != Some(chunks.len()) {
        return Err(format!("{} chunks are there, and the index says {}", chunks.len(), index["chunks"]));
    }
    for entry in entries {
        let wanted = entry["digest"].as_str().unwrap_or_default();
        let path = match entry["path"].as_str() {
            Some(path) => path.to_owned(),
            None => format!("blobs/{}", wanted.replace(':', "/")),
        };
        let whole: Vec<u8> = match parts.get(&path) {
            Some(parts) => parts.values().flatten().copied().collect(),
            None if entry["size"].as_u64() == Some(0) => Vec::new(),
            None => return Err(format!("{path} is not there")),
        };
        if digest(&whole) != wanted {
            return Err(format!("{path} does not have the digest {wanted}: {} bytes", whole.len()));
        }
    }
    Ok(())
}

/// Checks a registry: nothing has another digest than its name, and whatever a tag or manifest reaches is there.
pub fn registry(repositories: &Repositories) -> Result<(), Broken> {
    for (name, repository) in repositories {
        for (wanted, bytes) in &repository.blobs {
            if digest(bytes) != *wanted {
                return Err(format!("{name}: blob {wanted} has other bytes"));
            }
        }
        for (wanted, manifest) in &repository.manifests {
            if digest(&manifest.bytes) != *wanted {
                return Err(format!("{name}: manifest {wanted} has other bytes"));
            }
        }
        for (tag, root) in &repository.tags {
            reaches(repository, root).map_err(|what| format!("{name}:{tag}: {what}"))?;
        }
    }
    Ok(())
}

fn reaches(repository: &Repository, root: &str) -> Result<(), Broken> {
    let manifest = repository.manifests.get(root).ok_or_else(|| format!("manifest {root} is not there"))?;
    let (blobs, manifests) = children(manifest);
    for (blob, size) in blobs {
        match repository.blobs.get(&blob) {
            Some(bytes) if bytes.len() as u64 == size => {}
            Some(_) => return Err(format!("blob {blob} has another size")),
            None => return Err(format!("blob {blob} is not there")),
        }
    }
    manifests.iter().try_for_each(|child| reaches(repository, child))
}

/// Returns the sequence of the record in a workspace; nothing if there is none. A record that cannot be read is broken.
pub fn recorded(workspace: &Path) -> Result<Option<u64>, Broken> {
    let bytes = match fs::read(workspace.join("working-dir/metadata.json")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(|e| format!("the record cannot be read: {e}"))?,
    };
    let record: Value = serde_json::from_slice(&bytes).map_err(|e| format!("the record is damaged: {e}"))?;
    let sequences = record["imagesets"].as_array().ok_or("the record lists no imagesets")?;
    Ok(sequences.iter().filter_map(|i| i["sequence"].as_u64()).max())
}

/// Returns the images of a registry that users see: digests by name and tag, without the records of chains.
pub fn images(repositories: &Repositories) -> BTreeMap<String, String> {
    let named = |(name, repository): (&String, &Repository)| {
        let tags = repository.tags.iter();
        tags.map(|(tag, digest)| (format!("{name}:{tag}"), digest.clone())).collect::<Vec<_>>()
    };
    let users = repositories.iter().filter(|(name, _)| !name.ends_with("oc-mirror"));
    users.flat_map(named).collect()
}
