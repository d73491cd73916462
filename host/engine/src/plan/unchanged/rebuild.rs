//! Makes an image out of what a record says of it: [`rebuild`].

use oc_mirror_model::ImageRequest;
use oc_mirror_model::attributes::Attributes;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::{ImageEntry, UnchangedImage};
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::media_type;
use oc_mirror_model::metadata::{Chain, ChartUse, ImageRecord, Offer, Reason};
use oc_mirror_model::reference::Repository;
use oc_mirror_model::request::{Destination, kind, provenance};

use crate::plan::imageset::CATALOG;

/// Makes an image of its records, the first being its own, and of what the chain knows of its content; nothing where that is too
/// little. It gets the same records again.
///
/// `path` is its repository below the target's prefix, and `subject` the image that it is about.
pub(super) fn rebuild(
    chain: &Chain,
    records: &[&ImageRecord],
    path: Repository,
    subject: Option<&UnchangedImage>,
) -> Option<ImageEntry> {
    let (own, others) = records.split_first()?;
    let descriptor = |digest: &Digest| {
        let blob = chain.blobs.get(digest)?;
        Some(Descriptor::new(&blob.media_type, digest.clone(), blob.size))
    };
    let content: Option<Vec<Descriptor>> = chain.content_of(&own.digest)?.iter().map(descriptor).collect();
    let (mut manifests, blobs): (Vec<_>, Vec<_>) = content?.into_iter().partition(Descriptor::is_manifest);
    // Children come before what names them.
    manifests.sort_by_key(|m| (m.digest == own.digest, media_type::is_index(&m.media_type)));
    let mut facts = facts(own);
    if let Some(subject) = subject {
        facts.insert(provenance::SUBJECT_ORIGIN.to_owned(), subject.origin.clone());
        facts.insert(provenance::SUBJECT_KIND.to_owned(), subject.kind.clone());
    }
    if own.kind == kind::REFERRERS {
        let listed = manifests.iter().filter(|m| m.digest != own.digest).map(|m| m.digest.to_string());
        facts.insert(provenance::REFERRERS.to_owned(), listed.collect::<Vec<_>>().join("\n"));
    }
    let also: Vec<String> = others.iter().map(|other| format!("{} {}", other.kind, other.origin)).collect();
    if !also.is_empty() {
        facts.insert(provenance::ALSO.to_owned(), also.join("\n"));
    }
    let destination = Destination { repository: path, tag: own.destination.tag.clone() };
    Some(ImageEntry {
        plugin: String::new(),
        request: ImageRequest {
            source: own.origin.clone(),
            origin: own.origin.clone(),
            kind: own.kind.clone(),
            target_repository: Some(destination.repository.clone()),
            target_tag: Some(destination.tag.clone()),
            platforms: Vec::new(),
            with_referrers: false,
            provenance: facts,
        },
        destination,
        root: descriptor(&own.digest)?,
        manifests: manifests.into(),
        blobs: blobs.into(),
        sparse: false,
    })
}

/// Returns the provenance that these reasons would be read off.
fn facts(record: &ImageRecord) -> Attributes {
    let mut facts = Attributes::new();
    let mut offers: Vec<&Offer> = Vec::new();
    let mut charts: Vec<&ChartUse> = Vec::new();
    let mut named: Vec<&str> = Vec::new();
    let has_said_all = has_said_all(record);
    for reason in &record.reasons {
        match reason {
            // Who names it by its origin says so with that.
            Reason::Named { origin } if *origin == record.origin && !has_said_all => {}
            Reason::Named { origin } => named.push(origin),
            Reason::Bundle(offer) => offers.push(offer),
            Reason::Chart(chart) => charts.push(chart),
            Reason::Release { version, architecture, channels } => {
                facts.insert(provenance::RELEASE.to_owned(), version.clone());
                facts.insert(provenance::ARCHITECTURE.to_owned(), architecture.clone());
                facts.insert(provenance::CHANNEL.to_owned(), channels.join(" "));
            }
            Reason::Subject { digest } => {
                facts.insert(provenance::SUBJECT.to_owned(), digest.to_string());
            }
        }
    }
    if !named.is_empty() {
        facts.insert(provenance::WANTED.to_owned(), named.join("\n"));
    }
    if !offers.is_empty() {
        let mut catalogs: Vec<&str> = offers.iter().map(|offer| offer.catalog.as_str()).collect();
        catalogs.sort_unstable();
        catalogs.dedup();
        facts.insert(CATALOG.to_owned(), catalogs.join("\n"));
        facts.insert(provenance::OFFERS.to_owned(), ImageRequest::written_offers(offers));
    }
    if !charts.is_empty() {
        facts.insert(provenance::CHARTS.to_owned(), ImageRequest::written_charts(charts));
    }
    facts
}

/// Answers whether an image is wanted for the sake of bundles or charts, whatever it is called.
fn has_said_all(record: &ImageRecord) -> bool {
    match record.kind.as_str() {
        kind::BUNDLE | kind::RELATED => true,
        kind::HELM => record.reasons.iter().any(|reason| matches!(reason, Reason::Chart(_))),
        _ => false,
    }
}
