//! The [`Set`]s of images that are mirrored. Their layers are tar archives of random bytes, compressed with nothing saved,
//! so that no tool gains by compressing anew. The same number of the same family is the same image on every machine.
//!
//! A family is generated once, into a registry whose storage is kept, and is extended when more of it is asked for.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::client::{Body, Connection, MANIFEST, for_each};
use super::random::Random;
use super::registry::Registry;

/// Changes with what is generated, so that what an older program made is not taken for it.
const VERSION: u64 = 1;
/// How many images are generated before that is noted.
const STEP: usize = 2_000;
/// How many bases the images of [`Family::Shared`] are built on, by turns.
const BASES: usize = 5;
/// What part of a base each of its layers is.
const BASE_LAYERS: [f64; 4] = [0.62, 0.25, 0.1, 0.03];
/// When everything was made.
const CREATED: &str = "2023-11-14T22:13:20Z";
/// The same in seconds.
const CREATED_SECONDS: u64 = 1_700_000_000;

/// Images of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Five bases of 30–80 MB in four layers, and on one of them three layers of 0.2–5 MB.
    Shared,
    /// Two layers of 30 KB.
    Little,
    /// One layer of 1 GiB.
    Big,
}

/// A blob or manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blob {
    pub(super) digest: String,
    pub(super) size: u64,
}

/// A layer of a base, of which further images need more than its digest.
#[derive(Clone, Debug)]
struct Layer {
    blob: Blob,
    diff_id: String,
}

/// One image, tagged `v1`.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) repository: String,
    pub(super) manifest: Blob,
    /// The configuration, then the layers.
    pub(super) blobs: Vec<Blob>,
}

/// The first images of a family, and the storage of a registry that has them.
#[derive(Clone, Debug)]
pub(super) struct Set {
    pub(super) name: String,
    pub(super) images: Vec<Image>,
    pub(super) storage: PathBuf,
}

impl Family {
    fn letter(self) -> char {
        match self {
            Self::Shared => 's',
            Self::Little => 'l',
            Self::Big => 'b',
        }
    }

    fn repository(self, number: usize) -> String {
        format!("{0}/img{number:03}", self.letter())
    }

    /// Returns the sizes of an image's own layers.
    fn sizes(self, number: usize) -> Vec<u64> {
        let mut random = Random::of(&format!("{self:?}/{number}"));
        match self {
            Self::Shared => (0..3).map(|_| random.log_uniform(0.2e6, 5e6) as u64).collect(),
            Self::Little => vec![30_000; 2],
            Self::Big => vec![1 << 30],
        }
    }
}

impl Set {
    /// Returns the first images of a family, generated where they are not there yet.
    pub(super) fn have(dir: &Path, family: Family, count: usize, name: &str) -> Result<Self, String> {
        let dir = dir.join(format!("{family:?}").to_lowercase());
        fs::create_dir_all(&dir).map_err(|e| format!("cannot make `{}`: {e}", dir.display()))?;
        let storage = dir.join("storage");
        let file = dir.join("made.json");
        let mut made = Made::read(&file);
        if made.images.len() < count {
            println!("    {name}: generating {} images, once", count - made.images.len());
            if made.images.is_empty() && storage.exists() {
                fs::remove_dir_all(&storage).map_err(|e| format!("`{}`: {e}", storage.display()))?;
            }
            let registry =
                Registry::start(&dir, &storage, &crate::quickstart::server::free_address()?, false)?;
            let maker = Maker { family, host: &registry.host, scratch: dir.join("scratch") };
            // In steps, so that not all is lost when it is interrupted.
            while made.images.len() < count {
                let next = count.min(made.images.len() + STEP);
                maker.extend(&mut made, next)?;
                made.write(&file)?;
            }
        }
        made.images.truncate(count);
        Ok(Self { name: name.to_owned(), images: made.images, storage })
    }

    /// Returns the first images of this set as a set of their own.
    pub(super) fn first(&self, count: usize, name: &str) -> Self {
        let images = self.images.iter().take(count).cloned().collect();
        Self { name: name.to_owned(), images, storage: self.storage.clone() }
    }

    /// Returns each distinct blob once, with the first repository that has it.
    pub(super) fn blobs(&self) -> Vec<(&str, &Blob)> {
        let mut seen = HashSet::new();
        let all =
            self.images.iter().flat_map(|image| image.blobs.iter().map(|b| (image.repository.as_str(), b)));
        all.filter(|(_, blob)| seen.insert(&blob.digest)).collect()
    }

    /// Returns the bytes of all distinct manifests and blobs.
    pub(super) fn bytes(&self) -> u64 {
        let manifests: u64 = self.images.iter().map(|image| image.manifest.size).sum();
        manifests + self.blobs().iter().map(|(_, blob)| blob.size).sum::<u64>()
    }

    /// Returns where the registry keeps the bytes of a blob or manifest.
    pub(super) fn file(&self, blob: &Blob) -> PathBuf {
        let hex = blob.digest.trim_start_matches("sha256:");
        self.storage.join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data")
    }

    /// Fails unless a registry has every image under its tag.
    pub(super) fn verify(&self, host: &str) -> Result<(), String> {
        for_each(host, &self.images, |connection, image| {
            let target = format!("/v2/{}/manifests/v1", image.repository);
            let found = connection.ask("HEAD", &target, Body::Nothing, 200)?.digest;
            match found == image.manifest.digest {
                true => Ok(()),
                false => Err(format!("{} at {host} is {found}", image.repository)),
            }
        })
    }
}

/// What has been generated of a family.
#[derive(Clone, Debug, Default)]
struct Made {
    bases: Vec<Vec<Layer>>,
    images: Vec<Image>,
}

impl Made {
    /// Reads what was made, which is nothing where it cannot be read.
    fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap_or_default();
        serde_json::from_str(&text).ok().and_then(|value| Self::parse(&value)).unwrap_or_default()
    }

    fn parse(value: &Value) -> Option<Self> {
        if value["version"] != json!(VERSION) {
            return None;
        }
        let blob =
            |value: &Value| Some(Blob { digest: value[0].as_str()?.to_owned(), size: value[1].as_u64()? });
        let layer =
            |value: &Value| Some(Layer { blob: blob(value)?, diff_id: value[2].as_str()?.to_owned() });
        let base = |value: &Value| value.as_array()?.iter().map(layer).collect();
        let image = |value: &Value| {
            let repository = value["repository"].as_str()?.to_owned();
            let blobs = value["blobs"].as_array()?.iter().map(blob).collect::<Option<_>>()?;
            Some(Image { repository, manifest: blob(&value["manifest"])?, blobs })
        };
        Some(Self {
            bases: value["bases"].as_array()?.iter().map(base).collect::<Option<_>>()?,
            images: value["images"].as_array()?.iter().map(image).collect::<Option<_>>()?,
        })
    }

    /// Writes it durably: it says that the storage beside it is whole.
    fn write(&self, file: &Path) -> Result<(), String> {
        let blob = |blob: &Blob| json!([blob.digest, blob.size]);
        let layer = |layer: &Layer| json!([layer.blob.digest, layer.blob.size, layer.diff_id]);
        let base = |base: &Vec<Layer>| base.iter().map(layer).collect::<Vec<_>>();
        let image = |image: &Image| {
            json!({
                "repository": image.repository,
                "manifest": blob(&image.manifest),
                "blobs": image.blobs.iter().map(blob).collect::<Vec<_>>(),
            })
        };
        let text = json!({
            "version": VERSION,
            "bases": self.bases.iter().map(base).collect::<Vec<_>>(),
            "images": self.images.iter().map(image).collect::<Vec<_>>(),
        })
        .to_string();
        let next = file.with_extension("json.next");
        let written = fs::write(&next, text).and_then(|()| fs::rename(&next, file));
        written.map_err(|e| format!("cannot write `{}`: {e}", file.display()))
    }
}

/// Generates images and pushes them.
struct Maker<'a> {
    family: Family,
    host: &'a str,
    scratch: PathBuf,
}

impl Maker<'_> {
    fn extend(&self, made: &mut Made, count: usize) -> Result<(), String> {
        fs::create_dir_all(&self.scratch).map_err(|e| format!("`{}`: {e}", self.scratch.display()))?;
        if self.family == Family::Shared && made.bases.is_empty() {
            let mut connection = Connection::open(self.host)?;
            for number in 0..BASES {
                made.bases.push(self.base(&mut connection, number)?);
            }
        }
        let numbers: Range<usize> = made.images.len()..count;
        let images = Mutex::new(Vec::new());
        let numbers: Vec<usize> = numbers.collect();
        for_each(self.host, &numbers, |connection, number| {
            let image = self.image(connection, *number, &made.bases)?;
            images.lock().map_err(|e| e.to_string())?.push((*number, image));
            Ok(())
        })?;
        let mut images = images.into_inner().map_err(|e| e.to_string())?;
        images.sort_by_key(|(number, _)| *number);
        made.images.extend(images.into_iter().map(|(_, image)| image));
        fs::remove_dir_all(&self.scratch).map_err(|e| format!("`{}`: {e}", self.scratch.display()))
    }

    fn base(&self, connection: &mut Connection, number: usize) -> Result<Vec<Layer>, String> {
        let total = Random::of(&format!("base{number}")).uniform(30e6, 80e6);
        let repository = format!("s/base{number}");
        let layer = |(position, part): (usize, &f64)| {
            self.layer(connection, &repository, &format!("base{number}/{position}"), (total * part) as u64)
        };
        BASE_LAYERS.iter().enumerate().map(layer).collect()
    }

    /// Makes a layer and sends it.
    fn layer(
        &self,
        connection: &mut Connection,
        repository: &str,
        name: &str,
        size: u64,
    ) -> Result<Layer, String> {
        let path = self.scratch.join(name.replace('/', "-"));
        let layer = write_layer(&path, name, size).map_err(|e| format!("`{}`: {e}", path.display()))?;
        connection.upload(repository, &layer.blob, Body::File(&path))?;
        fs::remove_file(&path).map_err(|e| format!("`{}`: {e}", path.display()))?;
        Ok(layer)
    }

    fn image(
        &self,
        connection: &mut Connection,
        number: usize,
        bases: &[Vec<Layer>],
    ) -> Result<Image, String> {
        let repository = self.family.repository(number);
        let mut layers = Vec::new();
        if let Some(base) = bases.get(number % BASES) {
            for layer in base {
                connection.mount(&repository, &layer.blob, &format!("s/base{}", number % BASES))?;
            }
            layers.extend(base.iter().cloned());
        }
        for (position, size) in self.family.sizes(number).into_iter().enumerate() {
            let name = format!("{}{number}/{position}", self.family.letter());
            layers.push(self.layer(connection, &repository, &name, size)?);
        }
        let history =
            |layer| json!({ "created": CREATED, "created_by": format!("layer {layer} of {number}") });
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "created": CREATED,
            "config": { "Env": ["PATH=/bin"], "Cmd": ["/bin/true"], "Labels": { "number": number.to_string() } },
            "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|l| &l.diff_id).collect::<Vec<_>>() },
            "history": (0..layers.len()).map(history).collect::<Vec<_>>(),
        })
        .to_string();
        let config_blob = blob_of(config.as_bytes());
        connection.upload(&repository, &config_blob, Body::Bytes(config.as_bytes()))?;
        let layer = |layer: &Layer| {
            let kind = "application/vnd.oci.image.layer.v1.tar+gzip";
            json!({ "mediaType": kind, "digest": layer.blob.digest, "size": layer.blob.size })
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": config_blob.digest,
                "size": config_blob.size,
            },
            "layers": layers.iter().map(layer).collect::<Vec<_>>(),
        })
        .to_string();
        let target = format!("/v2/{repository}/manifests/v1");
        connection.ask("PUT", &target, Body::Bytes(manifest.as_bytes()), 201)?;
        let blobs = std::iter::once(config_blob).chain(layers.into_iter().map(|layer| layer.blob)).collect();
        Ok(Image { repository, manifest: blob_of(manifest.as_bytes()), blobs })
    }
}

fn blob_of(bytes: &[u8]) -> Blob {
    Blob { digest: oc_mirror_testkit::sha256(bytes), size: bytes.len() as u64 }
}

/// Writes a tar archive of one file with random bytes, wrapped for gzip and not compressed.
fn write_layer(path: &Path, name: &str, size: u64) -> io::Result<Layer> {
    let file = Hashed::new(BufWriter::with_capacity(1 << 20, File::create(path)?));
    let mut tar = Hashed::new(GzBuilder::new().mtime(0).write(file, Compression::none()));
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(CREATED_SECONDS);
    let mut archive = tar::Builder::new(&mut tar);
    archive.append_data(&mut header, name, Random::of(name).take(size))?;
    archive.finish()?;
    drop(archive);
    let (gzip, diff_id, _) = tar.done();
    let (mut file, digest, size) = gzip.finish()?.done();
    file.flush()?;
    Ok(Layer { blob: Blob { digest, size }, diff_id })
}

/// Hashes and counts what is written through it.
struct Hashed<W> {
    inner: W,
    hash: Sha256,
    size: u64,
}

impl<W> Hashed<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), size: 0 }
    }

    /// Returns the writer, the digest and the number of bytes.
    fn done(self) -> (W, String, u64) {
        let hex: String = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        (self.inner, format!("sha256:{hex}"), self.size)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_a_compressed_archive_and_known_by_its_digests() {
        let dir = std::env::temp_dir().join(format!("xtask-layer-{}", std::process::id()));
        let layer = write_layer(&dir, "s7/0", 100_000).unwrap();
        let bytes = fs::read(&dir).unwrap();
        fs::remove_file(&dir).unwrap();
        assert_eq!(layer.blob, blob_of(&bytes));
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut tar).unwrap();
        assert_eq!(layer.diff_id, blob_of(&tar).digest);
        let mut archive = tar::Archive::new(tar.as_slice());
        let sizes: Vec<u64> = archive.entries().unwrap().map(|entry| entry.unwrap().size()).collect();
        assert_eq!(sizes, [100_000]);
    }

    #[test]
    fn what_was_made_is_read_again_unless_another_version_made_it() {
        let blob = |digest: &str| Blob { digest: digest.to_owned(), size: 7 };
        let made = Made {
            bases: vec![vec![Layer { blob: blob("sha256:b"), diff_id: "sha256:d".to_owned() }]],
            images: vec![Image {
                repository: "s/img000".to_owned(),
                manifest: blob("sha256:m"),
                blobs: vec![blob("sha256:c"), blob("sha256:b")],
            }],
        };
        let file = std::env::temp_dir().join(format!("xtask-made-{}.json", std::process::id()));
        made.write(&file).unwrap();
        let read = Made::read(&file);
        let changed = fs::read_to_string(&file).unwrap().replace("\"version\":1", "\"version\":0");
        fs::write(&file, changed).unwrap();
        let other = Made::read(&file);
        fs::remove_file(&file).unwrap();
        assert_eq!(format!("{read:?}"), format!("{made:?}"));
        assert!(other.images.is_empty());
    }

    #[test]
    fn a_blob_that_images_share_is_counted_once() {
        let blob = |digest: &str, size| Blob { digest: digest.to_owned(), size };
        let image = |repository: &str, own: &str| Image {
            repository: repository.to_owned(),
            manifest: blob("m", 1),
            blobs: vec![blob(own, 10), blob("shared", 100)],
        };
        let images = vec![image("a", "x"), image("b", "y")];
        let set = Set { name: "S".to_owned(), images, storage: PathBuf::new() };
        assert_eq!(set.bytes(), 2 + 10 + 10 + 100);
        let first: Vec<_> = set.blobs().iter().map(|(repository, blob)| (*repository, blob.size)).collect();
        assert_eq!(first, [("a", 10), ("a", 100), ("b", 10)]);
    }
}
