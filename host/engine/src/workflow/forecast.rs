//! What a dry run finds out about the run itself: [`of_imageset`] and [`Rehearsal`], and the files that it leaves.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use oc_mirror_model::digest::Digest;
use oc_mirror_model::forecast::{Amount, Forecast};
use oc_mirror_model::imageset::ImageEntry;
use oc_mirror_model::manifest::Descriptor;

use super::from_disk::Destination;
use super::images::{Origin, RunImages};
use super::origins::Sources;
use super::{WorkflowError, Workspace};
use crate::transfer::imagined::{Asked, Imagined};

/// What is about to be made or sent: a line for each image, `source=destination`.
const MAPPING: &str = "mapping.txt";
/// The lines of images of which something is not yet where they go.
const MISSING: &str = "missing.txt";

/// What an imageset is made of.
pub(super) struct Content<'a> {
    /// All images that are wanted.
    pub(super) images: &'a [ImageEntry],
    /// Where they can be had.
    pub(super) sources: &'a Sources,
    /// Manifests and configurations that were read by now.
    pub(super) read: &'a RunImages,
    /// What a run that was cut off has left.
    pub(super) left: &'a HashSet<Digest>,
}

/// Tells what it takes to make an imageset.
pub(super) fn of_imageset(content: &Content<'_>, is_new: impl Fn(&Digest) -> bool) -> Forecast {
    let mut forecast = Forecast::default();
    let mut seen = HashSet::new();
    for image in content.images {
        for blob in image.blobs.iter().filter(|blob| seen.insert(&blob.digest)) {
            if !is_new(&blob.digest) {
                forecast.shipped.add(blob.size);
                continue;
            }
            let origin = content.sources.of(&image.root.digest, &blob.digest);
            match place_to_ask(content, origin.map(Arc::as_ref), blob) {
                None => forecast.at_hand.add(blob.size),
                Some(place) => {
                    forecast.fetch.add(blob.size);
                    forecast.fetch_from.entry(place).or_default().add(blob.size);
                }
            }
        }
    }
    ask_for(&mut forecast);
    forecast
}

/// Returns the name of the place that has to be asked for a blob; nothing if it is here.
fn place_to_ask(content: &Content<'_>, origin: Option<&Origin>, blob: &Descriptor) -> Option<String> {
    let is_here = content.left.contains(&blob.digest)
        || content.read.document(&blob.digest).is_some()
        || origin.is_none_or(|origin| origin.read.is_at_hand(blob));
    match is_here {
        true => None,
        false => origin.map(|origin| place_name(&origin.read.name())),
    }
}

/// A registry is named by its host alone.
fn place_name(name: &str) -> String {
    name.strip_prefix("registry ").unwrap_or(name).to_owned()
}

/// Counts a request for each blob that is fetched.
fn ask_for(forecast: &mut Forecast) {
    for (place, amount) in &forecast.fetch_from {
        *forecast.requests.entry(place.clone()).or_default() += amount.blobs;
    }
}

/// Tells what several targets together ask registries for.
pub(super) fn of_copy(asked: &Asked) -> Forecast {
    let mut forecast = Forecast::default();
    for (place, amount) in asked.by_place() {
        forecast.fetch.add_all(amount);
        forecast.fetch_from.insert(place_name(&place), amount);
    }
    ask_for(&mut forecast);
    forecast
}

/// A target that is published to in thought.
pub(super) struct Rehearsal {
    imagined: Arc<Imagined>,
    /// The target, which takes everything and keeps nothing.
    pub(super) destination: Destination,
    blobs: Vec<Descriptor>,
}

impl Rehearsal {
    /// Begins at a target as it is.
    pub(super) fn at(destination: &Destination) -> Self {
        let imagined = Arc::new(Imagined::new(destination.endpoint.clone()));
        let destination = Destination { endpoint: imagined.clone(), ..destination.clone() };
        Self { imagined, destination, blobs: Vec::new() }
    }

    /// Notes what images that were published consist of.
    pub(super) fn note(&mut self, images: &[ImageEntry]) {
        self.blobs.extend(images.iter().flat_map(|image| image.blobs.iter().cloned()));
    }

    /// Returns what would have moved.
    pub(super) fn forecast(&self) -> Forecast {
        let (send, at_target) = self.imagined.split(&self.blobs);
        let registry = self.destination.target.registry.to_string();
        let requests = BTreeMap::from([(registry, self.imagined.requests())]);
        Forecast { send, at_target, requests, ..Forecast::default() }
    }

    /// Writes the names of images at the target, and of those of them of which something would be sent.
    pub(super) fn keep_mapping(
        &self,
        workspace: &Workspace,
        images: &[ImageEntry],
    ) -> Result<(), WorkflowError> {
        let is_missing = |image: &&ImageEntry| self.imagined.split(&image.blobs).0 != Amount::default();
        let missing: Vec<ImageEntry> = images.iter().filter(is_missing).cloned().collect();
        let directory = self.destination.kept_in("dry-run");
        let lines = |images: &[ImageEntry]| self.destination.mapping(images);
        keep(workspace, &directory, &lines(images), &lines(&missing))
    }
}

/// Writes both lists into the workspace. Where nothing is missing there is no list of it, as with oc-mirror v2.
pub(super) fn keep(
    workspace: &Workspace,
    directory: &str,
    mapping: &str,
    missing: &str,
) -> Result<(), WorkflowError> {
    workspace.write(&format!("{directory}/{MAPPING}"), mapping.as_bytes())?;
    let name = format!("{directory}/{MISSING}");
    match missing.is_empty() {
        true => workspace.remove(&name),
        false => workspace.write(&name, missing.as_bytes()),
    }
}
