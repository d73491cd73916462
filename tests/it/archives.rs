//! Archives as the predecessors make them, packed by `tar`: [`V1`] of images, [`V2`] of the directory that docker-registry
//! keeps its content in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use oc_mirror_testkit::{Image, sha256};
use serde_json::{Value, json};

use crate::lab::Lab;

/// An imageset of oc-mirror v1.
pub(crate) struct V1 {
    pub(crate) uid: &'static str,
    pub(crate) sequence: u64,
    pub(crate) single_use: bool,
    pub(crate) operators: Vec<Value>,
    files: BTreeMap<String, Vec<u8>>,
    tags: Vec<(String, String)>,
    new: Vec<Value>,
    kept: Vec<Value>,
}

impl V1 {
    pub(crate) fn new(sequence: u64) -> Self {
        Self {
            uid: "22222222-2222-4333-8444-555555555555",
            sequence,
            single_use: false,
            operators: Vec::new(),
            files: BTreeMap::new(),
            tags: Vec::new(),
            new: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// Adds an image that this imageset brings, but for the blobs that are left out.
    pub(crate) fn image(
        mut self,
        image: &Image,
        path: &str,
        tag: &str,
        kind: &str,
        without: &[&str],
    ) -> Self {
        for manifest in image.tree() {
            let digest = &manifest.digest;
            self.files.insert(format!("v2/{path}/manifests/{digest}"), manifest.manifest.clone());
            self.files.insert(format!("blobs/{digest}"), manifest.manifest.clone());
        }
        for blob in image.blobs().iter().filter(|blob| !without.contains(&blob.digest.as_str())) {
            self.files.insert(format!("blobs/{}", blob.digest), blob.bytes.clone());
        }
        self.tags.push((format!("v2/{path}/manifests/{tag}"), image.digest.clone()));
        self.new.extend(associations(image, path, tag, kind));
        self
    }

    /// Adds an image that an earlier imageset brought, and that is still wanted.
    pub(crate) fn kept(mut self, image: &Image, path: &str, tag: &str) -> Self {
        self.kept.extend(associations(image, path, tag, "generic"));
        self
    }

    /// Adds any other file.
    pub(crate) fn file(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.files.insert(name.to_owned(), content.as_ref().to_vec());
        self
    }

    /// Returns what it says of itself.
    pub(crate) fn metadata(&self) -> Value {
        json!({
            "kind": "Metadata",
            "apiVersion": "mirror.openshift.io/v1alpha2",
            "uid": self.uid,
            "singleUse": self.single_use,
            "pastMirror": {
                "timestamp": 1_700_000_000 + self.sequence,
                "sequence": self.sequence,
                "mirror": {"platform": {}, "helm": {}},
                "operators": self.operators,
                "associations": self.new,
            },
            "pastAssociations": self.kept.iter().chain(&self.new).collect::<Vec<_>>(),
        })
    }

    /// Writes it into a directory below the working directory.
    pub(crate) fn write(&self, lab: &Lab, directory: &str) -> PathBuf {
        let scratch = lab.path(&format!("{directory}.tree"));
        write(&scratch, "publish/.metadata.json", self.metadata().to_string().as_bytes());
        std::fs::create_dir_all(scratch.join("charts")).expect("writable");
        for (name, content) in &self.files {
            write(&scratch, name, content);
        }
        for (link, to) in &self.tags {
            std::os::unix::fs::symlink(to, scratch.join(link)).expect("writable");
        }
        let file = lab.path(directory).join(format!("mirror_seq{}_000000.tar", self.sequence));
        std::fs::create_dir_all(lab.path(directory)).expect("writable");
        let mut members = vec!["publish/.metadata.json".to_owned(), "charts".to_owned()];
        for name in self.files.keys().chain(self.tags.iter().map(|(link, _)| link)) {
            if !name.starts_with("charts/") {
                members.push(name.clone());
            }
        }
        tar("-cf", &file, &scratch, &members);
        file
    }
}

/// Returns what v1 notes of an image, and of those that an index names.
fn associations(image: &Image, path: &str, tag: &str, kind: &str) -> Vec<Value> {
    let one = |manifest: &Image, name: String, tag: &str| {
        let layers: Vec<String> = manifest
            .layers
            .iter()
            .map(|layer| layer.blob.digest.clone())
            .chain(manifest.config.iter().map(|config| config.digest.clone()))
            .collect();
        let children: Vec<&String> = manifest.children.iter().map(|child| &child.digest).collect();
        let mut found = json!({
            "name": name, "path": path, "id": manifest.digest, "tagSymlink": tag, "type": kind,
        });
        match children.is_empty() {
            true => found["layerDigests"] = json!(layers),
            false => found["manifestDigests"] = json!(children),
        }
        found
    };
    let mut all: Vec<Value> =
        image.children.iter().map(|child| one(child, child.digest.clone(), "")).collect();
    all.push(one(image, format!("registry.example/{path}@{}", image.digest), tag));
    all
}

/// The archive of a run of oc-mirror v2: what a registry keeps in its directory, and a working directory.
pub(crate) struct V2<'a> {
    storage: &'a Path,
    working_dir: BTreeMap<String, Vec<u8>>,
    configuration: Option<Value>,
    /// Digests that earlier archives have brought.
    history: Vec<String>,
    /// The most bytes of content in a file.
    limit: u64,
}

impl<'a> V2<'a> {
    /// Packs what a registry has, which plays the cache.
    pub(crate) fn of(storage: &'a Path) -> Self {
        Self {
            storage,
            working_dir: BTreeMap::new(),
            configuration: None,
            history: Vec::new(),
            limit: u64::MAX,
        }
    }

    /// Adds the configuration, given its `mirror` section.
    pub(crate) fn configured(mut self, mirror: Value) -> Self {
        self.configuration = Some(json!({
            "kind": "ImageSetConfiguration", "apiVersion": "mirror.openshift.io/v2alpha1", "mirror": mirror,
        }));
        self
    }

    /// Adds a file of the working directory.
    pub(crate) fn file(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.working_dir.insert(name.to_owned(), content.as_ref().to_vec());
        self
    }

    /// Leaves out blobs that earlier archives have brought.
    pub(crate) fn without(mut self, digests: &[String]) -> Self {
        self.history = digests.to_vec();
        self
    }

    /// Begins a new file whenever one would have more bytes of content than this.
    pub(crate) fn chunks_of(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }

    /// Writes it into a directory below the working directory; returns its files.
    pub(crate) fn write(&self, lab: &Lab, directory: &str) -> Vec<PathBuf> {
        let scratch = lab.path(&format!("{directory}.tree"));
        let out = lab.path(directory);
        std::fs::create_dir_all(&out).expect("writable");
        for (name, content) in &self.working_dir {
            write(&scratch, &format!("working-dir/{name}"), content);
        }
        if let Some(configuration) = &self.configuration {
            write(&scratch, "isc_2025-06-01T10:00:00Z", configuration.to_string().as_bytes());
        }
        let is_old = |name: &String| {
            let parts: Vec<&str> = name.split('/').collect();
            let hex = parts.iter().rev().nth(1).copied().unwrap_or_default();
            name.ends_with("/data") && self.history.contains(&format!("sha256:{hex}"))
        };
        let mut cached = files_in(self.storage);
        cached.retain(|name| name.starts_with("docker/registry/v2/") && !is_old(name));
        // The repositories come first, as v2 has it.
        cached.sort_by_key(|name| (!name.contains("/repositories/"), name.clone()));
        let own = files_in(&scratch);
        let members =
            cached.iter().map(|name| (self.storage, name)).chain(own.iter().map(|n| (scratch.as_path(), n)));
        let mut chunks: Vec<Vec<(&Path, &String)>> = vec![Vec::new()];
        let mut filled = 0;
        for (base, name) in members {
            let size = std::fs::metadata(base.join(name)).expect("it was listed").len();
            if filled + size > self.limit && filled > 0 {
                chunks.push(Vec::new());
                filled = 0;
            }
            filled += size;
            chunks.last_mut().expect("there is one").push((base, name));
        }
        let mut files = Vec::new();
        for (number, members) in (1..).zip(chunks) {
            let file = out.join(format!("mirror_{number:06}.tar"));
            for (count, base) in [self.storage, scratch.as_path()].into_iter().enumerate() {
                let of: Vec<String> =
                    members.iter().filter(|(of, _)| *of == base).map(|(_, name)| (*name).clone()).collect();
                if count == 0 || !of.is_empty() {
                    tar(if count == 0 { "-cf" } else { "-rf" }, &file, base, &of);
                }
            }
            files.push(file);
        }
        files
    }
}

/// Adds a member of any name and kind to a tar file, as `tar` has it below `base`.
pub(crate) fn append(file: &Path, base: &Path, member: &str) {
    tar("-rf", file, base, &[member.to_owned()]);
}

/// Returns a member of a tar file.
pub(crate) fn member(file: &Path, name: &str) -> Vec<u8> {
    let output = Command::new("tar").arg("-xOf").arg(file).arg(name).output().expect("this machine has tar");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Changes a byte of a blob in a tar file, wherever it is.
#[track_caller]
pub(crate) fn flip(file: &Path, content: &[u8]) {
    let mut bytes = std::fs::read(file).expect("readable");
    let start = &content[..content.len().min(64)];
    let mut at: Vec<usize> = Vec::new();
    for place in (0..bytes.len()).step_by(512) {
        if bytes[place..].starts_with(start) {
            at.push(place);
        }
    }
    assert!(!at.is_empty(), "{} is in {}", sha256(content), file.display());
    for place in at {
        bytes[place + content.len() / 2] ^= 1;
    }
    std::fs::write(file, bytes).expect("writable");
}

fn tar(mode: &str, file: &Path, base: &Path, members: &[String]) {
    let list = file.with_extension("list");
    std::fs::write(&list, members.join("\n")).expect("writable");
    let output = Command::new("tar")
        .args(["--format=ustar", "--no-recursion", "-P", mode])
        .arg(file)
        .arg("-C")
        .arg(base)
        .arg("-T")
        .arg(&list)
        .output()
        .expect("this machine has tar");
    std::fs::remove_file(&list).expect("writable");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn write(base: &Path, name: &str, content: &[u8]) {
    let path = base.join(name);
    std::fs::create_dir_all(path.parent().expect("it is below")).expect("writable");
    std::fs::write(path, content).expect("writable");
}

/// Lists regular files below a directory, by their paths there.
fn files_in(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![root.to_path_buf()];
    while let Some(directory) = pending.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().expect("known").is_dir() {
                pending.push(path);
            } else {
                found.push(path.strip_prefix(root).expect("it is below").display().to_string());
            }
        }
    }
    found.sort();
    found
}
