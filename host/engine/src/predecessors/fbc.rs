//! Names of images in file-based catalogs: [`Images`] reads them document by document.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use serde::Deserialize;

use crate::content::BlobStream;
use crate::content::documents::Documents;

/// The images that catalogs name, and whether they are bundles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Images(pub(super) BTreeMap<String, bool>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    schema: String,
    #[serde(default)]
    image: Option<String>,
    #[serde(default)]
    related_images: Option<Vec<Related>>,
}

#[derive(Deserialize)]
struct Related {
    #[serde(default)]
    image: String,
}

impl Images {
    /// Reads the images of one file. What is no document of a catalog ends it: what was read so far counts, and the reason is
    /// returned.
    pub(super) async fn read(&mut self, mut stream: BlobStream) -> Result<(), String> {
        let mut documents = Documents::new();
        loop {
            while let Some(text) = documents.next_document().map_err(|e| e.to_string())? {
                self.take(&text)?;
            }
            if documents.has_ended() {
                return Ok(());
            }
            let piece = stream.try_next().await.map_err(|e| e.to_string())?;
            documents.push(piece.as_deref().unwrap_or_default());
        }
    }

    fn take(&mut self, text: &str) -> Result<(), String> {
        let document: Document = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if document.schema != "olm.bundle" {
            return Ok(());
        }
        for related in document.related_images.into_iter().flatten().filter(|r| !r.image.is_empty()) {
            self.0.entry(related.image).or_insert(false);
        }
        if let Some(image) = document.image.filter(|image| !image.is_empty()) {
            self.0.insert(image, true);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[tokio::test]
    async fn bundles_and_what_they_need() {
        let text = r#"{"schema":"olm.package","name":"p"}
            {"schema":"olm.bundle","image":"r/bundle:1","relatedImages":[{"name":"","image":"r/bundle:1"},
            {"name":"op","image":"r/op@sha256:0"},{"name":"empty","image":""}]}"#;
        let pieces: Vec<_> = text.as_bytes().chunks(7).map(|p| Ok(Bytes::copy_from_slice(p))).collect();
        let mut images = Images::default();
        images.read(Box::pin(futures_util::stream::iter(pieces))).await.expect("a catalog");
        let found: Vec<(&str, bool)> = images.0.iter().map(|(name, is)| (name.as_str(), *is)).collect();
        assert_eq!(found, [("r/bundle:1", true), ("r/op@sha256:0", false)]);
    }
}
