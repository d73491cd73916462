//! What there is to mirror: images that share layers, and change from sequence to sequence.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::random::Random;

/// The media types that are used.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A manifest with its media type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its media type.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What a repository holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repository {
    /// Blobs by digest.
    pub blobs: BTreeMap<String, Vec<u8>>,
    /// Manifests by digest.
    pub manifests: BTreeMap<String, Manifest>,
    /// Digests by tag.
    pub tags: BTreeMap<String, String>,
}

/// What a registry holds, by repository.
pub type Repositories = BTreeMap<String, Repository>;

/// The images of one sequence.
#[derive(Clone, Debug, Default)]
pub struct Release {
    /// What the source registry holds then.
    pub repositories: Repositories,
    /// What is wanted: names of images without the registry.
    pub wanted: Vec<String>,
}

/// Returns the digest of bytes, as registries write it.
pub fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// Makes what there is at each of so many sequences.
pub fn releases(seed: u64, count: usize) -> Vec<Release> {
    let mut random = Random::about(seed, "content", 0);
    let pool: Vec<Vec<u8>> = (0..random.within(2, 6)).map(|_| layer(&mut random)).collect();
    let mut images: Vec<(String, String)> = Vec::new();
    let mut release = Release::default();
    let mut releases = Vec::new();
    for number in 0..count {
        let first = if number == 0 { random.within(1, 3) } else { random.below(3) };
        for _ in 0..first {
            let name = format!("apps/{}", ["web", "db", "cache", "queue", "log"][random.below(5) as usize]);
            let tag = format!("v{}", images.len());
            images.push((name, tag));
            let last = images.len() - 1;
            put(&mut release.repositories, &mut random, &pool, &images[last]);
        }
        // Tags that move.
        if number > 0 && random.chance(500) {
            let moved = random.below(images.len() as u64) as usize;
            put(&mut release.repositories, &mut random, &pool, &images[moved]);
        }
        release.wanted = images.iter().map(|(name, tag)| format!("{name}:{tag}")).collect();
        if random.chance(150) && release.wanted.len() > 1 {
            release.wanted.remove(0);
        }
        releases.push(release.clone());
    }
    releases
}

fn layer(random: &mut Random) -> Vec<u8> {
    let len = match random.below(10) {
        0 => 0,
        1..=5 => random.within(1, 900),
        6..=8 => random.within(1_000, 40_000),
        _ => random.within(100_000, 400_000),
    };
    random.bytes(len as usize)
}

fn put(
    repositories: &mut Repositories,
    random: &mut Random,
    pool: &[Vec<u8>],
    (name, tag): &(String, String),
) {
    let repository = repositories.entry(name.clone()).or_default();
    let digest = match random.chance(250) {
        false => image(repository, random, pool, "amd64").0,
        true => {
            let children: Vec<Value> = ["amd64", "arm64"]
                .into_iter()
                .map(|architecture| {
                    let (digest, size) = image(repository, random, pool, architecture);
                    json!({ "mediaType": MANIFEST, "digest": digest, "size": size,
                            "platform": { "os": "linux", "architecture": architecture } })
                })
                .collect();
            let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children });
            manifest(repository, INDEX, &index).0
        }
    };
    repository.tags.insert(tag.clone(), digest);
}

fn image(
    repository: &mut Repository,
    random: &mut Random,
    pool: &[Vec<u8>],
    architecture: &str,
) -> (String, usize) {
    let count = if random.chance(30) { random.within(60, 90) } else { random.within(0, 4) };
    let mut layers = Vec::new();
    for _ in 0..count {
        let bytes = match count > 10 || random.chance(400) {
            true => {
                let len = random.within(1, 300) as usize;
                random.bytes(len)
            }
            false => pool[random.below(pool.len() as u64) as usize].clone(),
        };
        layers.push(blob(repository, LAYER, bytes));
    }
    let unique = format!("{:x}", random.draw());
    let config = json!({ "architecture": architecture, "os": "linux", "author": unique,
                         "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|l| l["digest"].clone()).collect::<Vec<_>>() } });
    let config = blob(repository, CONFIG, config.to_string().into_bytes());
    let document = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
    manifest(repository, MANIFEST, &document)
}

fn blob(repository: &mut Repository, media_type: &str, bytes: Vec<u8>) -> Value {
    let descriptor = json!({ "mediaType": media_type, "digest": digest(&bytes), "size": bytes.len() });
    repository.blobs.insert(digest(&bytes), bytes);
    descriptor
}

fn manifest(repository: &mut Repository, media_type: &str, document: &Value) -> (String, usize) {
    let bytes = document.to_string().into_bytes();
    let (name, len) = (digest(&bytes), bytes.len());
    repository.manifests.insert(name.clone(), Manifest { media_type: media_type.to_owned(), bytes });
    (name, len)
}

/// Returns what a manifest names: blobs, and manifests.
pub fn children(manifest: &Manifest) -> (Vec<(String, u64)>, Vec<String>) {
    let Ok(document) = serde_json::from_slice::<Value>(&manifest.bytes) else { return Default::default() };
    let digest_of = |descriptor: &Value| descriptor["digest"].as_str().unwrap_or_default().to_owned();
    let blob = |descriptor: &Value| (digest_of(descriptor), descriptor["size"].as_u64().unwrap_or_default());
    let list = |name: &str| document[name].as_array().cloned().unwrap_or_default();
    let config = document.get("config").into_iter().map(blob);
    (
        config.chain(list("layers").iter().map(blob)).collect(),
        list("manifests").iter().map(digest_of).collect(),
    )
}
