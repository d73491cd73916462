//! Tells what images take, from their manifests alone: [`measure`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::Manifest;
use oc_mirror_model::reference::Source;
use serde::Serialize;

use super::Run;
use super::images::{OpenImage, Origins, RunImages};
use crate::content::ContentError;

/// How many images are looked at side by side.
const AT_ONCE: usize = 8;

/// What images take together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// How many of them were found.
    pub images: usize,
    /// The bytes of their manifests, configurations and layers for all platforms, each counted once.
    pub bytes: u64,
    /// Those that could not be measured.
    pub failed: Vec<Unmeasured>,
}

/// An image that could not be measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unmeasured {
    /// Its reference, as it was given.
    pub image: String,
    /// What went wrong.
    pub reason: String,
}

/// Adds up what images take that are given by their references. Nothing but manifests is fetched.
pub async fn measure(origins: Arc<dyn Origins>, run: &Run, images: &[String]) -> Measured {
    let opened = RunImages::new(origins, run.retry, run.events.clone(), HashSet::new(), None, None, None);
    let opened = &opened;
    let found = stream::iter(images.to_vec())
        .map(|image| async move {
            let outcome = content(opened, &image).await;
            (image, outcome)
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let mut measured = Measured::default();
    let mut blobs: HashMap<Digest, u64> = HashMap::new();
    for (image, outcome) in found {
        match outcome {
            Ok(content) => {
                measured.images += 1;
                blobs.extend(content);
            }
            Err(reason) => measured.failed.push(Unmeasured { image, reason }),
        }
    }
    measured.failed.sort_by(|a, b| a.image.cmp(&b.image));
    measured.bytes = blobs.values().sum();
    measured
}

/// Returns all that an image consists of.
async fn content(images: &RunImages, image: &str) -> Result<Vec<(Digest, u64)>, String> {
    let source: Source = image.parse().map_err(|error| explain(&error))?;
    let root = images.open_image(&source).await.map_err(|error: ContentError| explain(&error))?;
    let mut content = Vec::new();
    let mut open: Vec<OpenImage> = vec![root];
    while let Some(next) = open.pop() {
        let manifest = next.raw();
        content.push((manifest.digest().clone(), manifest.descriptor().size));
        match manifest.view() {
            Manifest::Image(found) => {
                content.extend(found.blobs().map(|blob| (blob.digest.clone(), blob.size)))
            }
            Manifest::Index(index) => {
                for child in &index.manifests {
                    open.push(next.open_child(child).await.map_err(|error| explain(&error))?);
                }
            }
        }
    }
    Ok(content)
}

fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
