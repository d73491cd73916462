//! What people see of clusters: what would change, and what became of it.

use oc_mirror_model::cluster_report::{
    ClusterOutcome, ClusterReport, FieldChange, NodeEffect, NodeReport, ResourceOutcome, ResourceReport,
};
use oc_mirror_model::progress::ProgressEvent;
use serde_json::Value;

use crate::output::{clean, line, said};
use crate::progress::{self, tell};

/// How many fields of one resource are shown to somebody who is to agree.
const MOST_FIELDS: usize = 20;
/// How many reasons are shown for what happens to nodes.
const MOST_REASONS: usize = 5;
/// How many characters of a value are shown.
const LONGEST_VALUE: usize = 100;

/// Shows on stderr what would change.
pub(crate) fn preview(report: &ClusterReport) {
    said(&plan(report, MOST_FIELDS));
}

/// Asks a question, and leaves the cursor behind it.
pub(crate) fn question(text: &str) {
    said(&format!("\n{text}"));
}

/// Prints what would change, all of it.
pub(crate) fn print_plans(reports: &[ClusterReport]) {
    for report in reports {
        line(plan(report, usize::MAX).trim_end());
    }
}

/// Prints what became of clusters, a line for each.
pub(crate) fn print_results(reports: &[ClusterReport]) {
    for report in reports {
        line(&clean(&format!("{}: {}", report.name, result(report))));
    }
}

/// Shows what failed and is not ready, on stderr, with what to do about it.
pub(crate) fn failures(reports: &[ClusterReport]) {
    let mut hints: Vec<&String> = Vec::new();
    for report in reports {
        let told = report.resources.iter().filter(|line| line.outcome.is_failure());
        let told = told.filter_map(|line| Some((format!("{}: ", line.title()), line.failure.as_ref()?)));
        let told = report.error.iter().map(|error| (String::new(), error)).chain(told);
        for (title, failure) in told {
            failed(format!("{}: {title}{}", report.name, failure.message), failure.hint.clone());
            hints.extend(failure.hint.iter().filter(|hint| !hints.contains(hint)).collect::<Vec<_>>());
        }
        for text in &report.not_ready {
            failed(format!("{}: not ready: {text}", report.name), None);
        }
    }
    for (place, hint) in hints.iter().enumerate().filter(|_| !progress::is_json()) {
        said(&format!("{}hint: {hint}\n", if place == 0 { "\n" } else { "" }));
    }
}

fn failed(message: String, hint: Option<String>) {
    match progress::is_json() {
        true => tell(ProgressEvent::Error { message, causes: Vec::new(), hint }),
        false => said(&format!("error: {message}\n")),
    }
}

fn plan(report: &ClusterReport, most_fields: usize) -> String {
    let version = report.version.as_ref().map(|v| format!(", Kubernetes {v}")).unwrap_or_default();
    let mut lines = vec![format!("cluster {} ({}{version})", report.name, report.server)];
    for resource in &report.resources {
        lines.extend(of_resource(resource, most_fields));
    }
    lines.extend(of_nodes(&report.nodes));
    lines.extend(report.warnings.iter().map(|text| format!("  warning: {text}")));
    lines.extend(report.error.iter().map(|error| format!("  {}", error.message)));
    if report.error.is_none() && !report.has_changes() {
        lines.push("  nothing changes".to_owned());
    }
    lines.iter().map(|text| format!("{}\n", clean(text))).collect()
}

fn of_resource(resource: &ResourceReport, most_fields: usize) -> Vec<String> {
    let why = match (&resource.failure, resource.outcome) {
        (Some(failure), _) => format!(": {}", failure.message),
        (None, ResourceOutcome::Unwanted) => {
            ": the chain made it and does not want it any more; --prune-resources removes it".to_owned()
        }
        (None, _) => String::new(),
    };
    let mut lines = vec![format!("  {:<9}  {}{why}", outcome(resource.outcome), resource.title())];
    let indent = " ".repeat(15);
    lines.extend(resource.conflicts.iter().map(|c| format!("{indent}{} is set by {}", c.field, c.owner)));
    lines.extend(
        resource.changes.iter().take(most_fields).map(|change| format!("{indent}{}", of_field(change))),
    );
    let more = resource.changes.len().saturating_sub(most_fields);
    if more > 0 {
        lines.push(format!("{indent}and {more} more; --dry-run shows all"));
    }
    lines
}

fn outcome(outcome: ResourceOutcome) -> &'static str {
    match outcome {
        ResourceOutcome::Created => "created",
        ResourceOutcome::Changed => "changed",
        ResourceOutcome::Unchanged => "unchanged",
        ResourceOutcome::Unwanted => "unwanted",
        ResourceOutcome::Removed => "removed",
        ResourceOutcome::Skipped => "skipped",
        ResourceOutcome::Conflict => "conflict",
        ResourceOutcome::Failed => "failed",
    }
}

fn of_field(change: &FieldChange) -> String {
    let shown = |value: &Option<Value>| match value {
        None => "nothing".to_owned(),
        Some(value) => {
            let text = value.to_string();
            match text.char_indices().nth(LONGEST_VALUE) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        }
    };
    format!("{}: {} -> {}", change.path, shown(&change.old), shown(&change.new))
}

fn of_nodes(nodes: &NodeReport) -> Vec<String> {
    let what = match nodes.effect {
        NodeEffect::None => return vec!["  nodes: not touched".to_owned()],
        NodeEffect::Reload => "read their configuration again; pods stay where they are, nothing restarts",
        NodeEffect::Drain => "drained one after the other, without a restart; their pods move",
        NodeEffect::Reboot => "drained and restarted one after the other",
    };
    let pools: Vec<String> = nodes
        .pools
        .iter()
        .map(|pool| format!("{} ({}{})", pool.name, pool.machines, if pool.paused { ", paused" } else { "" }))
        .collect();
    let pools = if pools.is_empty() { String::new() } else { format!(": {}", pools.join(", ")) };
    let mut lines = vec![format!("  nodes: {what}{pools}")];
    lines.extend(nodes.reasons.iter().take(MOST_REASONS).map(|reason| format!("         {reason}")));
    let more = nodes.reasons.len().saturating_sub(MOST_REASONS);
    if more > 0 {
        lines.push(format!("         and {more} more reasons"));
    }
    lines
}

fn result(report: &ClusterReport) -> String {
    let state = match report.outcome {
        ClusterOutcome::Planned => "looked at",
        ClusterOutcome::Declined => return "nothing was changed, as nobody agreed".to_owned(),
        ClusterOutcome::Applied => "applied",
        ClusterOutcome::Incomplete => "not all of it was applied",
        ClusterOutcome::Failed => return "nothing was changed".to_owned(),
    };
    let order = [
        ResourceOutcome::Created,
        ResourceOutcome::Changed,
        ResourceOutcome::Unchanged,
        ResourceOutcome::Removed,
        ResourceOutcome::Unwanted,
        ResourceOutcome::Skipped,
        ResourceOutcome::Conflict,
        ResourceOutcome::Failed,
    ];
    let counts: Vec<String> = order
        .iter()
        .map(|kind| (report.resources.iter().filter(|line| line.outcome == *kind).count(), outcome(*kind)))
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    let waited = if report.not_ready.is_empty() { "" } else { "; not ready yet" };
    format!("{state}: {}{waited}", counts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut() {
        let change =
            FieldChange { path: "spec.image".to_owned(), old: None, new: Some("x".repeat(300).into()) };
        let shown = of_field(&change);
        assert!(shown.starts_with("spec.image: nothing -> \"xxx") && shown.ends_with("x…"), "{shown}");
        assert!(shown.chars().count() < 130, "{shown}");
    }

    #[test]
    fn many_fields_are_counted() {
        let change = |n: usize| FieldChange { path: format!("a[{n}]"), old: None, new: None };
        let resource = ResourceReport {
            kind: "ConfigMap".to_owned(),
            namespace: None,
            name: "a".to_owned(),
            outcome: ResourceOutcome::Changed,
            changes: (0..30).map(change).collect(),
            conflicts: Vec::new(),
            failure: None,
        };
        let lines = of_resource(&resource, MOST_FIELDS);
        assert_eq!(lines.len(), 22);
        assert_eq!(lines[21].trim(), "and 10 more; --dry-run shows all");
    }
}
