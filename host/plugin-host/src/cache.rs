//! [`Cache`]: compiled components on disk, so that a start does not compile.
//!
//! A compiled component is native code that the host maps and runs. So only files that this module wrote itself are
//! loaded: from a directory that nobody else can write to, and only if they hash to what was written. It never
//! fails: whatever is wrong with the cache, the component is compiled.

use std::fs::{DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use oc_mirror_model::digest::{Algorithm, Digest};
use rustix::fs::OFlags;
use wasmtime::Engine;
use wasmtime::component::Component;

/// Compiled components of one engine.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    /// What the compiled form depends on besides the component.
    environment: String,
}

impl Cache {
    /// Opens a directory, making it if needed. Nothing if it is not ours alone.
    pub(crate) fn open(dir: &Path, engine: &Engine, host_version: &str) -> Option<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).ok()?;
        let found = std::fs::symlink_metadata(dir).ok()?;
        if !found.is_dir() || !is_private(&found) {
            return None;
        }
        let mut hasher = StableHasher(Algorithm::Sha256.hasher());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let environment = format!("{host_version} {}", hasher.0.finish());
        Some(Self { dir: dir.to_owned(), environment })
    }

    fn paths(&self, component: &Digest) -> (PathBuf, PathBuf) {
        let key = Digest::of(format!("{component} {}", self.environment).as_bytes());
        let blob = self.dir.join(format!("{}.cwasm", key.hex()));
        let sum = blob.with_extension("sha256");
        (blob, sum)
    }

    /// Loads the compiled form of a component, if it is there and whole.
    pub(crate) fn load(&self, engine: &Engine, component: &Digest) -> Option<Component> {
        let (blob, sum) = self.paths(component);
        let expected: Digest = String::from_utf8(read_private(&sum)?).ok()?.parse().ok()?;
        let loaded = (Digest::of(&read_private(&blob)?) == expected)
            .then(|| {
                // SAFETY: the bytes must be what `Component::serialize` of a compatible engine returned, and the file
                // must not change while it is mapped. The directory and the file belong to this user and nobody else
                // can write to them (`open`, `read_private`), the name covers version and settings of the engine, the
                // content has just been compared with the hash that `store` wrote, and `store` only ever renames
                // whole files into place, so a mapped file is replaced but never modified.
                #[allow(unsafe_code)]
                unsafe {
                    Component::deserialize_file(engine, &blob)
                }
            })
            .and_then(Result::ok);
        if loaded.is_none() {
            // A leftover is of no use to anybody, and the next `store` would replace it anyway.
            let _ = std::fs::remove_file(&sum);
            let _ = std::fs::remove_file(&blob);
        }
        loaded
    }

    /// Keeps the compiled form of a component, if it can.
    pub(crate) fn store(&self, digest: &Digest, component: &Component) {
        let (blob, sum) = self.paths(digest);
        let Ok(bytes) = component.serialize() else { return };
        let hash = Digest::of(&bytes).to_string();
        // The sum comes last: a blob without one, or with that of another, is never loaded.
        let _ = replace(&self.dir, &blob, &bytes).and_then(|()| replace(&self.dir, &sum, hash.as_bytes()));
    }
}

/// A file that appears whole or not at all.
fn replace(dir: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_data()?;
    file.persist(path)?;
    Ok(())
}

/// Reads a file that only this user can write to; links are not followed.
fn read_private(path: &Path) -> Option<Vec<u8>> {
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let mut file: File = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let found = file.metadata().ok()?;
    if !found.is_file() || !is_private(&found) {
        return None;
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).ok()?);
    file.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn is_private(found: &std::fs::Metadata) -> bool {
    found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0
}

/// Feeds what implements [`Hash`] to a hash that is the same in every process.
struct StableHasher(oc_mirror_model::digest::Hasher);

impl Hasher for StableHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0 // Nobody asks: the digest is taken instead.
    }
}
