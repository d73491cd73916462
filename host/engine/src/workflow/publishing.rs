//! Puts the images of an imageset or a direct run at the target: [`publish`]. Signatures come before what they sign, so that
//! no tag leads to something unsigned on the way. Catalogs come last, and only where all that they offer is there.

use oc_mirror_model::imageset::ImageEntry;
use oc_mirror_model::report::{Failure, exit};
use oc_mirror_model::request::kind;

use super::companions::exit_code;
use super::from_disk::Destination;
use super::prepare::image_failure;
use crate::plan::imageset::is_offered_by;
use crate::transfer::publish::{PublishImage, Publisher};

/// An image of which is known that it cannot be published.
pub(super) struct Missing {
    /// Why.
    pub(super) failure: Failure,
    /// The catalogs that offer it.
    pub(super) offered_by: Vec<String>,
}

/// Publishes images; returns what went wrong with each that is not there now, those among them of which that is known before.
pub(super) async fn publish(
    publisher: &Publisher,
    destination: &Destination,
    images: &[ImageEntry],
    missing: &[Missing],
) -> Vec<Failure> {
    let (companions, images): (Vec<_>, Vec<_>) = images.iter().partition(|i| i.request.is_companion());
    let (lists, attached): (Vec<_>, Vec<_>) =
        companions.into_iter().partition(|i| i.request.kind == kind::REFERRERS);
    let (catalogs, others): (Vec<_>, Vec<_>) =
        images.into_iter().partition(|i| i.request.kind == kind::CATALOG);
    // What is beside an image that a catalog offers is missed by whoever checks it, and fails the run; but the catalog
    // offers nothing that is not there.
    let mut failures: Vec<Failure> = missing.iter().map(|missing| missing.failure.clone()).collect();
    // A list may take over the tag of an image, which has another one by now.
    for some in [&attached, &others, &lists] {
        if publisher.stops() && !failures.is_empty() {
            return failures;
        }
        if std::ptr::eq(some, &others) {
            publisher.bulk_is_next();
        }
        failures.extend(all(publisher, destination, some).await);
    }
    if publisher.stops() && !failures.is_empty() {
        return failures;
    }
    let missing_of = |catalog: &ImageEntry| {
        let offers = |missing: &&Missing| missing.offered_by.contains(&catalog.request.origin);
        failed_of(catalog, &others, &failures) + missing.iter().filter(offers).count()
    };
    let (whole, broken): (Vec<_>, Vec<_>) =
        catalogs.into_iter().partition(|catalog| missing_of(catalog) == 0);
    let withheld: Vec<Failure> =
        broken.iter().map(|catalog| withheld(catalog, missing_of(catalog))).collect();
    failures.extend(withheld);
    failures.extend(all(publisher, destination, &whole).await);
    failures
}

async fn all(publisher: &Publisher, destination: &Destination, images: &[&ImageEntry]) -> Vec<Failure> {
    let wanted: Vec<PublishImage> = images.iter().map(|image| destination.publish_image(image)).collect();
    let failed = publisher.publish(&wanted).await.into_iter().map(|(failed, error)| {
        let of = images.iter().find(|image| image.request.origin == failed.origin);
        let kind = of.map(|image| image.request.kind.as_str()).unwrap_or_default();
        let failure = image_failure(&failed.origin, kind, &error);
        Failure { exit_code: of.map_or(failure.exit_code, |image| exit_code(&image.request)), ..failure }
    });
    failed.collect()
}

/// Counts the images of a catalog that could not be published.
fn failed_of(catalog: &ImageEntry, others: &[&ImageEntry], failures: &[Failure]) -> usize {
    let offers = |image: &&&ImageEntry| is_offered_by(&image.request, &catalog.request.origin);
    let failed = |image: &&&ImageEntry| failures.iter().any(|f| f.subject == image.request.origin);
    others.iter().filter(offers).filter(failed).count()
}

/// Says that a catalog is not published, for images that it offers are missing.
pub(super) fn withheld(catalog: &ImageEntry, missing: usize) -> Failure {
    let images = if missing == 1 { "1 image that it offers is" } else { "images that it offers are" };
    let count = if missing == 1 { String::new() } else { format!("{missing} ") };
    Failure {
        subject: catalog.request.origin.clone(),
        kind: catalog.request.kind.clone(),
        message: format!("the catalog was not published, since {count}{images} not there"),
        hint: Some("see what is wrong with those images; the same command goes on from here".to_owned()),
        exit_code: exit::for_kind(&catalog.request.kind),
    }
}
