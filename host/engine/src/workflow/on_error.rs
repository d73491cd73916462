//! What a run does about what cannot be had: [`OnError`], and how it is told in reports, imagesets and records.

use std::borrow::Cow;

use oc_mirror_model::imageset::{ImageEntry, Index, QuarantinedImage, UnchangedImage};
use oc_mirror_model::report::{Failure, RunReport, exit};
use oc_mirror_model::request::kind;
use oc_mirror_model::shared::Shared;

use super::companions::of_image;
use super::prepare::chain_of;
use super::{Run, WorkflowError};
use crate::source::{Reason, Unavailable};

/// What a run does about images that cannot be had or published. Whatever it does, an image is in wholly or not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// Do the rest, then end without an imageset or record. The next run goes on from there.
    #[default]
    Finish,
    /// End at the first failure. The next run goes on from there as well.
    Stop,
    /// Leave out what cannot be had, and with it every operator bundle that needs it; releases are never left out. The imageset
    /// and the record say what is not in them.
    Quarantine,
}

/// Answers whether the rest makes sense without it: a release without one of its images does not, nor do bundles without
/// their catalog.
pub(super) fn can_be_left_out(kind: &str) -> bool {
    !matches!(kind, "" | kind::CATALOG) && can_be_left_out_there(kind)
}

/// Answers whether the rest makes sense at a target without it. A catalog that is withheld leaves bundles behind that nobody is
/// offered, which does no harm.
fn can_be_left_out_there(kind: &str) -> bool {
    !matches!(kind, "" | kind::RELEASE | kind::RELEASE_CONTENT | kind::GRAPH)
}

/// Returns what to do without in another attempt, if the user wants that and all that failed can be done without.
pub(super) fn do_without(
    run: &Run,
    failures: &[Failure],
    report: &mut RunReport,
) -> Option<Vec<Unavailable>> {
    if run.on_error != OnError::Quarantine || !failures.iter().all(|f| can_be_left_out(&f.kind)) {
        return None;
    }
    failures.iter().for_each(|failure| note_quarantined(report, failure.clone()));
    Some(failures.iter().map(unavailable).collect())
}

/// Says that an image is missing, to a source that may do without it.
pub(super) fn unavailable(failure: &Failure) -> Unavailable {
    Unavailable { origin: failure.subject.clone(), reason: Reason::Missing, message: failure.message.clone() }
}

/// Notes something that is left out, once.
pub(super) fn note_quarantined(report: &mut RunReport, failure: Failure) {
    if !report.quarantined.iter().any(|f| (&f.subject, &f.kind) == (&failure.subject, &failure.kind)) {
        report.quarantined.push(failure);
    }
}

/// Returns what an imageset has to say of what is left out of it, in order.
pub(super) fn quarantined(report: &RunReport) -> Vec<QuarantinedImage> {
    let mut all: Vec<QuarantinedImage> = report.quarantined.iter().map(quarantined_image).collect();
    all.sort();
    all
}

fn quarantined_image(failure: &Failure) -> QuarantinedImage {
    QuarantinedImage {
        origin: failure.subject.clone(),
        kind: failure.kind.clone(),
        reason: failure.message.clone(),
    }
}

/// Reports what was left out of an imageset when it was made. It adds nothing to the exit code of the run that publishes.
pub(super) fn note_made_without(report: &mut RunReport, index: &Index) {
    for image in &index.quarantined {
        let failure = Failure {
            subject: image.origin.clone(),
            kind: image.kind.clone(),
            message: format!("not in imageset {}: {}", index.sequence, image.reason),
            hint: None,
            exit_code: exit::OK,
        };
        note_quarantined(report, failure);
    }
}

/// Puts in quarantine what could not be published, if the user wants that and the rest makes sense without it. Returns what
/// the record is to say was published: the record must not promise what is not there, so that it is asked for again.
///
/// Nothing if that is not so; then the failures stay what they are.
pub(super) fn published_without<'i>(
    run: &Run,
    index: &'i Index,
    report: &mut RunReport,
) -> Option<Cow<'i, Index>> {
    if report.failures.is_empty() {
        return Some(Cow::Borrowed(index));
    }
    if run.on_error != OnError::Quarantine {
        return None;
    }
    let failed: Vec<Failure> = report.failures.iter().map(|f| of_image(f.clone(), &index.images)).collect();
    if !failed.iter().all(|f| can_be_left_out_there(&f.kind)) {
        return None;
    }
    let is_out = |image: &ImageEntry| {
        let named = |failure: &Failure| failure.subject == image.request.origin;
        report.failures.iter().any(named) || failed.iter().any(named)
    };
    let is_left = |image: &UnchangedImage| {
        let named = |failure: &Failure| failure.subject == image.origin;
        !report.failures.iter().any(named) && !failed.iter().any(named)
    };
    let kept: Vec<bool> = index.images.iter().map(|image| !is_out(image)).collect();
    let images: Vec<ImageEntry> = kept_of(&index.images, &kept);
    let positions = kept_of(&index.positions, &kept);
    let unchanged: Vec<Shared<UnchangedImage>> =
        index.unchanged.iter().filter(|image| is_left(image)).cloned().collect();
    // A target that took nothing is no target that lacks something.
    if unchanged.is_empty() && images.iter().all(|image| image.request.is_companion()) {
        return None;
    }
    report.failures.clear();
    let mut quarantined = index.quarantined.clone();
    for failure in failed {
        quarantined.push(quarantined_image(&failure));
        note_quarantined(report, failure);
    }
    quarantined.sort();
    quarantined.dedup_by(|a, b| a.origin == b.origin && a.kind == b.kind);
    Some(Cow::Owned(Index { images, positions, unchanged, quarantined, ..index.clone() }))
}

fn kept_of<T: Clone>(list: &[T], kept: &[bool]) -> Vec<T> {
    list.iter().zip(kept).filter(|(_, kept)| **kept).map(|(item, _)| item.clone()).collect()
}

/// Turns what stopped a part of the run into a failure beside others.
pub(super) fn as_failure(subject: &str, error: &WorkflowError) -> Failure {
    Failure {
        subject: subject.to_owned(),
        kind: String::new(),
        message: chain_of(error),
        hint: error.hint(),
        exit_code: error.exit_code(),
    }
}
