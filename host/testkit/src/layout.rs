//! Writing an [`Image`] as an OCI image layout, the directory form that `skopeo` calls `oci:`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::image::Image;

impl Image {
    /// Adds the image to the layout in `directory`, which is made when absent, under a name unless that is empty.
    pub fn write_layout(&self, directory: &Path, name: &str) {
        let blobs = directory.join("blobs/sha256");
        fs::create_dir_all(&blobs).expect("the test's own directory is writable");
        write(&directory.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#);
        for blob in self.blobs() {
            write(&blobs.join(hex(&blob.digest)), &blob.bytes);
        }
        for image in self.tree() {
            write(&blobs.join(hex(&image.digest)), &image.manifest);
        }
        let path = directory.join("index.json");
        let mut index = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).expect("an index.json written by this function"),
            Err(_) => json!({ "schemaVersion": 2, "manifests": [] }),
        };
        list(&mut index, self.descriptor(), name);
        write(&path, index.to_string().as_bytes());
    }
}

fn list(index: &mut Value, mut descriptor: Value, name: &str) {
    const NAME: &str = "org.opencontainers.image.ref.name";
    if !name.is_empty() {
        descriptor["annotations"] = json!({ NAME: name });
    }
    let entries = index["manifests"].as_array_mut().expect("an index lists manifests");
    entries.retain(|entry| name.is_empty() || entry["annotations"][NAME] != json!(name));
    entries.push(descriptor);
}

fn hex(digest: &str) -> &str {
    digest.strip_prefix("sha256:").expect("this crate makes SHA-256 digests only")
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|e| panic!("writing {}: {e}", path.display()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ImageBuilder;

    #[test]
    fn a_second_image_joins_the_first_and_a_name_moves() {
        let dir = tempfile::tempdir().unwrap();
        let one = ImageBuilder::new().layer(&[("a", "1")]).build();
        let two = ImageBuilder::new().layer(&[("a", "2")]).build();
        one.write_layout(dir.path(), "one");
        one.write_layout(dir.path(), "moved");
        two.write_layout(dir.path(), "moved");
        let index: Value = serde_json::from_slice(&fs::read(dir.path().join("index.json")).unwrap()).unwrap();
        let digests: Vec<_> = index["manifests"].as_array().unwrap().iter().map(|m| &m["digest"]).collect();
        assert_eq!(digests, [&json!(one.digest), &json!(two.digest)]);
        assert_eq!(fs::read(dir.path().join("blobs/sha256").join(hex(&two.digest))).unwrap(), two.manifest);
    }
}
