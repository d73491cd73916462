//! What is about an image and lies beside it: signatures, attestations, bills of materials and other referrers.
//! [`Companions`] finds them for every image, whatever asked for it, and for each image of an index; they are carried as
//! ordinary images, byte for byte, under the names that clients look for.
//!
//! What is not there is no error, and is counted; what cannot be looked for is one, of the image that it belongs to:
//! otherwise a registry that denies an answer would silently take the signatures away.

mod search;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use oc_mirror_model::attributes::Attributes;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::ImageEntry;
use oc_mirror_model::media_type;
use oc_mirror_model::reference::{Repository, Source};
use oc_mirror_model::report::{Failure, RunReport, exit};
use oc_mirror_model::request::{Destination, ImageRequest, kind, provenance};

pub(super) use search::Companions;
use search::{Companion, home_key};

use super::images::Origin;
use super::prepare::image_failure;
use super::resolve::ResolvedImage;
use crate::transfer::ReferrersOf;

/// So many images are looked at before the repositories that they are in are forgotten: what is known of a repository serves its other
/// images, which come one after the other as a rule, and there may be as many repositories as images.
const PART: usize = 1024;
/// So many repositories are remembered from one part to the next.
const MOST_HOMES: usize = 256;

/// A companion on its way to one repository.
pub(super) struct Carried {
    /// What is planned, stored and published.
    pub entry: ImageEntry,
    /// Where its bytes are.
    pub origin: Arc<Origin>,
    /// Where its root is, if that was made here.
    pub made: Option<Origin>,
}

/// What is beside the images of a run.
pub(super) struct Beside {
    /// The images of which everything could be looked for.
    pub images: Vec<ResolvedImage>,
    /// What is beside them.
    pub carried: Vec<Carried>,
    /// What went wrong with the others.
    pub failures: Vec<Failure>,
}

impl Companions<'_> {
    /// Finds what is beside images. Those that were built in `scratch` are nobody else's, and have nothing.
    pub(super) async fn beside(&self, images: Vec<ResolvedImage>, scratch: &Path) -> Beside {
        self.begin(&images, scratch);
        for part in images.chunks(PART) {
            let homes = part.iter().map(|image| self.home_of(image, scratch));
            let wanted = part.iter().zip(homes).flat_map(|(image, home)| {
                let digests = image.entry.manifests.iter().map(|m| m.digest.clone());
                home.into_iter()
                    .flat_map(move |home| digests.clone().map(move |digest| (home.clone(), digest)))
            });
            self.search(wanted.collect()).await;
            self.leave(MOST_HOMES);
        }
        let (mut images, mut carried, mut failures) = (images, Vec::new(), Vec::new());
        images.retain(|image| {
            match home_key(image, scratch).map(|key| self.carried(image, &key)).transpose() {
                Ok(more) => {
                    carried.extend(more.unwrap_or_default());
                    true
                }
                Err(failure) => {
                    failures.push(failure);
                    false
                }
            }
        });
        Beside { images, carried, failures }
    }

    /// Returns what goes along with one image, companions of companions included.
    fn carried(&self, image: &ResolvedImage, home: &str) -> Result<Vec<Carried>, Failure> {
        let mut carried = Vec::new();
        let mut seen = HashSet::new();
        let mut open: Vec<Digest> = image.entry.manifests.iter().rev().map(|m| m.digest.clone()).collect();
        while let Some(subject) = open.pop() {
            if !seen.insert(subject.clone()) {
                continue;
            }
            let Some(outcome) = self.found(home, &subject) else { continue };
            let found = outcome.as_ref().as_ref().map_err(|error| {
                image_failure(&image.entry.request.origin, &image.entry.request.kind, error)
            })?;
            for companion in found {
                open.extend(companion.subjects());
                carried.push(carry(image, &subject, companion));
            }
        }
        Ok(carried)
    }
}

fn carry(image: &ResolvedImage, subject: &Digest, companion: &Companion) -> Carried {
    let of = &image.entry.request;
    let mut facts = Attributes::from([
        (provenance::SUBJECT.to_owned(), subject.to_string()),
        (provenance::SUBJECT_ORIGIN.to_owned(), of.origin.clone()),
        (provenance::SUBJECT_KIND.to_owned(), of.kind.clone()),
    ]);
    if companion.kind == kind::REFERRERS {
        let listed: Vec<String> = companion.listed.iter().map(Digest::to_string).collect();
        facts.insert(provenance::REFERRERS.to_owned(), listed.join("\n"));
        if companion.tagged {
            facts.insert(provenance::TAGGED.to_owned(), "true".to_owned());
        }
    }
    let named =
        |text: &str| text.parse::<Source>().ok().map(|s| search::beside(&s, &companion.tag).to_string());
    let source = named(&of.source).unwrap_or_else(|| of.source.clone());
    let destination =
        Destination { repository: image.entry.destination.repository.clone(), tag: companion.tag.clone() };
    let request = ImageRequest {
        origin: named(&of.origin).unwrap_or_else(|| source.clone()),
        source,
        kind: companion.kind.to_owned(),
        target_repository: Some(destination.repository.clone()),
        target_tag: Some(destination.tag.clone()),
        platforms: Vec::new(),
        with_referrers: false,
        provenance: facts,
    };
    let entry = ImageEntry {
        plugin: image.entry.plugin.clone(),
        request,
        destination,
        root: companion.root.clone(),
        manifests: companion.manifests.clone(),
        blobs: companion.blobs.clone(),
        sparse: false,
    };
    Carried { entry, origin: companion.origin.clone(), made: companion.made.clone() }
}

/// Finds room for companions among images: no two things go to one name. Returns those that have it, and says what has
/// not.
///
/// An image that is asked for by its digest alone is tagged `sha256-<hex>`, which is where clients look for its referrers.
/// The list gets the tag, and the image, which nobody pulls by it, becomes `sha256-<hex>.image`.
pub(super) fn make_room(images: &mut [ImageEntry], carried: Vec<Carried>) -> (Vec<Carried>, Vec<String>) {
    let lists: HashMap<Destination, Option<Digest>> = carried
        .iter()
        .filter(|c| c.entry.request.kind == kind::REFERRERS)
        .map(|c| (c.entry.destination.clone(), c.entry.request.subject()))
        .collect();
    for image in images.iter_mut() {
        if lists.get(&image.destination).is_some_and(|subject| *subject == Some(image.root.digest.clone()))
            && let Ok(tag) = format!("{}.image", image.destination.tag).parse()
        {
            image.destination.tag = tag;
        }
    }
    let mut taken: HashMap<Destination, Digest> =
        images.iter().map(|i| (i.destination.clone(), i.root.digest.clone())).collect();
    let (mut placed, mut warnings) = (Vec::new(), Vec::new());
    for companion in carried {
        let ImageEntry { destination, root, request, .. } = &companion.entry;
        let there = taken.entry(destination.clone()).or_insert_with(|| root.digest.clone());
        if *there == root.digest {
            placed.push(companion);
        } else {
            let Destination { repository, tag } = destination;
            let origin = &request.origin;
            warnings.push(format!("`{origin}` is left out: another image goes to `{repository}:{tag}`"));
        }
    }
    (placed, warnings)
}

/// Says of a failed companion that its image failed, as it does where the user can do without images: one that is signed
/// is not mirrored without its signature. Other failures stay as they are.
pub(super) fn of_image(failure: Failure, entries: &[ImageEntry]) -> Failure {
    let companions = entries.iter().filter(|e| e.request.is_companion());
    let failed = companions.into_iter().find(|e| e.request.origin == failure.subject);
    let Some(request) = failed.map(|e| &e.request) else { return failure };
    let fact = |key: &str| request.provenance.get(key).unwrap_or_default().to_owned();
    Failure {
        subject: fact(provenance::SUBJECT_ORIGIN),
        kind: fact(provenance::SUBJECT_KIND),
        message: format!("`{}`: {}", request.origin, failure.message),
        exit_code: exit_code(request),
        ..failure
    }
}

/// Returns the bit of the exit code for a failed image; a companion has that of its image.
pub(super) fn exit_code(request: &ImageRequest) -> u8 {
    let of = request.provenance.get(provenance::SUBJECT_KIND).filter(|_| request.is_companion());
    exit::for_kind(of.unwrap_or(&request.kind))
}

/// Returns what the publisher has to know of a list of referrers.
pub(super) fn referrers_of(image: &ImageEntry) -> Option<ReferrersOf> {
    let request = &image.request;
    let subject = request.subject().filter(|_| request.kind == kind::REFERRERS)?;
    let listed = request.provenance.get(provenance::REFERRERS)?;
    Some(ReferrersOf {
        subject,
        listed: listed.lines().filter_map(|line| line.parse().ok()).collect(),
        tagged: request.provenance.contains_key(provenance::TAGGED),
    })
}

/// Which manifests of which repositories have companions, and of what kinds.
pub(super) struct Table<'a> {
    kinds: HashMap<(&'a Repository, Digest), Vec<&'a str>>,
}

impl<'a> Table<'a> {
    /// Reads it off the images of a run.
    pub(super) fn new(entries: &'a [ImageEntry]) -> Self {
        let mut kinds: HashMap<_, Vec<_>> = HashMap::new();
        for entry in entries.iter().filter(|e| e.request.is_companion()) {
            if let Some(subject) = entry.request.subject() {
                let place = (&entry.destination.repository, subject);
                kinds.entry(place).or_default().push(entry.request.kind.as_str());
            }
        }
        Self { kinds }
    }

    fn of(&self, image: &'a ImageEntry, digest: &Digest) -> &[&'a str] {
        self.kinds.get(&(&image.destination.repository, digest.clone())).map_or(&[], Vec::as_slice)
    }

    /// Counts what is about an image and the images of an index.
    pub(super) fn count(&self, image: &'a ImageEntry) -> u64 {
        image.manifests.iter().map(|m| self.of(image, &m.digest).len() as u64).sum()
    }

    /// Answers whether an image has a signature, or some other referrer, which may be one.
    fn has_signature(&self, image: &'a ImageEntry) -> bool {
        let kinds = image.manifests.iter().flat_map(|m| self.of(image, &m.digest));
        kinds.into_iter().any(|k| matches!(*k, kind::SIGNATURE | kind::REFERRERS))
    }

    /// Answers whether each image that a node would run is signed the way OpenShift looks for it.
    fn is_signed_for_nodes(&self, image: &'a ImageEntry) -> bool {
        let run = image.manifests.iter().filter(|m| !media_type::is_index(&m.media_type));
        run.into_iter().all(|m| self.of(image, &m.digest).contains(&kind::SIGNATURE))
    }
}

/// Notes which images have no signature. `generated` is what was built in this run, which can have none.
pub(super) fn note(entries: &[ImageEntry], generated: &HashSet<Destination>, report: &mut RunReport) {
    let table = Table::new(entries);
    let (companions, asked): (Vec<_>, Vec<_>) = entries.iter().partition(|e| e.request.is_companion());
    // Somebody may ask for a signature as for an image, or for an image twice.
    let mut seen: HashSet<&Destination> = companions.iter().map(|e| &e.destination).collect();
    seen.extend(generated);
    let images: Vec<&ImageEntry> = asked.into_iter().filter(|e| seen.insert(&e.destination)).collect();
    let unsigned = images.iter().filter(|image| !table.has_signature(image));
    report.unsigned = unsigned.map(|image| image.request.origin.clone()).collect();
    let is_release = |kind: &str| matches!(kind, kind::RELEASE | kind::RELEASE_CONTENT);
    let releases = images.iter().filter(|e| is_release(&e.request.kind));
    let missing = releases.clone().filter(|image| !table.is_signed_for_nodes(image)).count();
    if missing > 0 {
        let all = releases.count();
        let warning = format!(
            "{missing} of {all} images of releases have no signature (tag `sha256-….sig`) where they come from; \
             OpenShift 4.21 and later verify those of `ocp-release`, and refuse images without"
        );
        if !report.warnings.contains(&warning) {
            report.warnings.push(warning);
        }
    }
}

#[cfg(test)]
mod tests;
