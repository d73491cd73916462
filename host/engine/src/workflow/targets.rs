//! Several targets in one run: [`Targets`] gives each a directory of its own in the workspace, and puts their reports
//! together.

use std::sync::Arc;

use oc_mirror_model::forecast::Forecast;
use oc_mirror_model::report::{Failure, ImagesetReport, RunReport, TargetReport};

use super::from_disk::{Destination, add_totals};
use super::prepare::chain_of;
use super::workspace::directory_of;
use super::{Run, WorkflowError};
use crate::report::SideBySide;

/// What an imageset's outcome is called where it is not the same at all targets.
const VARIES: &str = "varies";

/// The targets of a run that has several.
pub(super) struct Targets {
    /// The targets, in the order that they were named in.
    pub(super) destinations: Vec<Destination>,
}

impl Targets {
    /// Gives each of several targets a directory of its own.
    pub(super) fn of(destinations: &[Destination]) -> Self {
        let own = |destination: &Destination| {
            let name = directory_of(&destination.target.to_string());
            Destination { directory: Some(name), ..destination.clone() }
        };
        match destinations {
            [only] => Self { destinations: vec![only.clone()] },
            several => Self { destinations: several.iter().map(own).collect() },
        }
    }

    /// Returns how to go about it at all targets at the same time: what happens at several is told as one step.
    pub(super) fn side_by_side(&self, run: &Run) -> Run {
        match self.destinations.len() {
            1 => run.clone(),
            _ => Run { events: Arc::new(SideBySide::new(run.events.clone())), ..run.clone() },
        }
    }

    /// Completes the report of a run with what became of each target. What stopped a run that has one only is its error.
    pub(super) fn outcome(
        &self,
        mut report: RunReport,
        mut outcomes: Vec<Result<RunReport, WorkflowError>>,
    ) -> Result<RunReport, WorkflowError> {
        if self.destinations.len() > 1 {
            return Ok(self.report(report, outcomes));
        }
        let Some(own) = outcomes.pop() else { return Ok(report) };
        let own = own?;
        report.imagesets.extend(own.imagesets);
        report.registries.extend(own.registries);
        report.warnings.extend(own.warnings);
        report.notes.extend(own.notes);
        report.failures.extend(own.failures);
        report.quarantined.extend(own.quarantined);
        report.pruned = own.pruned;
        add_forecast(&mut report, own.forecast);
        add_totals(&mut report.totals, own.totals);
        Ok(report)
    }

    /// Adds to `report` what became of each target, in their order.
    pub(super) fn report(
        &self,
        mut report: RunReport,
        outcomes: Vec<Result<RunReport, WorkflowError>>,
    ) -> RunReport {
        for (destination, outcome) in self.destinations.iter().zip(outcomes) {
            let target = destination.target.to_string();
            let own = outcome.unwrap_or_else(|error| {
                let mut own = RunReport::new(report.workflow, report.dry_run);
                own.failures.push(failure(&target, &error));
                own
            });
            add(&mut report, destination.directory.as_deref(), target, own);
        }
        report.imagesets = together(&report.targets);
        report
    }
}

/// Adds what became of one target.
fn add(report: &mut RunReport, directory: Option<&str>, target: String, own: RunReport) {
    let of_target = |text: &String| format!("{target}: {text}");
    report.uid = report.uid.or(own.uid);
    let new = |list: &RunReport| list.images.iter().map(|i| i.new_bytes).sum::<u64>();
    if report.images.is_empty() || new(&*report) < new(&own) {
        report.images = own.images;
        report.contents = own.contents;
    }
    report.registries.extend(only_new(own.registries, &report.registries));
    report.refused.extend(only_new(own.refused, &report.refused));
    report.notes.extend(own.notes.iter().map(of_target));
    report.warnings.extend(own.warnings.iter().map(of_target));
    let there = |failure: &Failure| match failure.subject == target {
        true => failure.clone(),
        false => Failure { message: of_target(&failure.message), ..failure.clone() },
    };
    report.failures.extend(own.failures.iter().map(there));
    // What no target can have, since the imageset lacks it, is said once.
    let (made_without, left_out): (Vec<_>, Vec<_>) =
        own.quarantined.iter().partition(|failure| failure.exit_code == 0);
    report.quarantined.extend(only_new(made_without.into_iter().cloned().collect(), &report.quarantined));
    report.quarantined.extend(left_out.into_iter().map(there));
    add_forecast(report, own.forecast);
    add_totals(&mut report.totals, own.totals.clone());
    report.targets.push(TargetReport {
        target,
        directory: directory.unwrap_or_default().to_owned(),
        imagesets: own.imagesets,
        warnings: own.warnings,
        failures: own.failures,
        quarantined: own.quarantined,
        totals: own.totals,
    });
}

/// Adds what would be done at one target to what would be done once for all of them.
fn add_forecast(report: &mut RunReport, own: Option<Forecast>) {
    match (&mut report.forecast, own) {
        (Some(all), Some(own)) => all.add_target(own),
        (none, own) => *none = own.or(none.take()),
    }
}

/// Turns what stopped the run at one target into a failure of that target.
fn failure(target: &str, error: &WorkflowError) -> Failure {
    Failure {
        subject: target.to_owned(),
        kind: String::new(),
        message: chain_of(error),
        hint: error.hint(),
        exit_code: error.exit_code(),
    }
}

fn only_new<T: PartialEq>(more: Vec<T>, known: &[T]) -> Vec<T> {
    more.into_iter().filter(|item| !known.contains(item)).collect()
}

/// Lists each imageset once, with the outcome that it had everywhere.
fn together(targets: &[TargetReport]) -> Vec<ImagesetReport> {
    let mut all: Vec<ImagesetReport> = Vec::new();
    for imageset in targets.iter().flat_map(|target| &target.imagesets) {
        match all.iter_mut().find(|known| known.sequence == imageset.sequence) {
            Some(known) if known.outcome == imageset.outcome => {}
            Some(known) => VARIES.clone_into(&mut known.outcome),
            None => all.push(imageset.clone()),
        }
    }
    all.sort_by_key(|imageset| imageset.sequence);
    // A target that was refused, or failed before it came to an imageset, does not have it.
    for imageset in &mut all {
        let is_listed =
            |target: &TargetReport| target.imagesets.iter().any(|i| i.sequence == imageset.sequence);
        if !targets.iter().all(is_listed) {
            VARIES.clone_into(&mut imageset.outcome);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_put_together() {
        let imageset = |sequence, outcome: &str| ImagesetReport {
            sequence,
            base: sequence - 1,
            index: None,
            chunks: Vec::new(),
            bytes: 0,
            saved_bytes: 0,
            outcome: outcome.to_owned(),
        };
        let target = |imagesets| TargetReport {
            target: String::new(),
            directory: String::new(),
            imagesets,
            warnings: Vec::new(),
            failures: Vec::new(),
            quarantined: Vec::new(),
            totals: Default::default(),
        };
        let a = target(vec![imageset(1, "published"), imageset(2, "published"), imageset(3, "published")]);
        let b = target(vec![imageset(1, "already published"), imageset(2, "published")]);
        let outcomes: Vec<_> = together(&[a, b]).into_iter().map(|i| (i.sequence, i.outcome)).collect();
        let expected = [(1, "varies"), (2, "published"), (3, "varies")];
        assert_eq!(outcomes, expected.map(|(sequence, outcome)| (sequence, outcome.to_owned())));
    }
}
