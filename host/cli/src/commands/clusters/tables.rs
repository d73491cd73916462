//! A plan for people.

use oc_mirror_model::clusters::{ClusterPlan, OperatorWay, PlanProblem, PlannedCluster, ReleaseStep};
use oc_mirror_model::config::EditAction;

use crate::output::table;

/// What stands where nothing is to be done.
const NOTHING: &str = "-";
/// How many clusters are named in a cell.
const MOST_NAMES: usize = 4;

/// Writes a plan as tables and lists; what is empty is left out.
pub(super) fn plan(plan: &ClusterPlan) -> String {
    let sections = [
        ("Releases:", releases(plan)),
        ("Operators:", operators(plan)),
        ("Before updates of OpenShift:", blocks(plan)),
        ("Risks:", risks(plan)),
        ("Without a way:", problems(plan)),
        ("Missing in the configuration:", missing(plan)),
        ("Changes of the configuration that close this:", edits(plan)),
        ("Notes:", notes(plan)),
    ];
    let written = sections.into_iter().filter(|(_, text)| !text.is_empty());
    let mut text = written.map(|(title, text)| format!("{title}\n{text}")).collect::<Vec<_>>().join("\n");
    if plan.missing.is_empty() {
        text.push_str("\nThe configuration mirrors all that these clusters need.\n");
    }
    text
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

fn releases(plan: &ClusterPlan) -> String {
    let mut rows = Vec::new();
    for cluster in &plan.clusters {
        let release = &cluster.release;
        let from = release.from.clone().unwrap_or_default();
        let start = |to: &str, channel: &str, mirrored: &str| {
            let cells = [&cluster.name, &release.architecture, &from, to, channel, mirrored];
            cells.map(str::to_owned).to_vec()
        };
        match (&release.problem, release.steps.as_slice()) {
            (Some(_), _) => rows.push(start("no way", NOTHING, NOTHING)),
            (None, []) => rows.push(start(NOTHING, NOTHING, NOTHING)),
            (None, steps) => rows.extend(steps.iter().map(|step| of_step(cluster, step))),
        }
    }
    table(&["CLUSTER", "ARCHITECTURE", "FROM", "TO", "IN CHANNEL", "MIRRORED"], rows)
}

fn of_step(cluster: &PlannedCluster, step: &ReleaseStep) -> Vec<String> {
    let channel = if step.switch { format!("{} (switch)", step.channel) } else { step.channel.clone() };
    let architecture = cluster.release.architecture.clone();
    vec![cluster.name.clone(), architecture, step.from.clone(), step.to.clone(), channel, yes(step.mirrored)]
}

/// The operator of a row, told from others of the same package by its namespace, if that is known.
fn named(way: &OperatorWay) -> String {
    match &way.namespace {
        Some(namespace) => format!("{namespace}/{}", way.package),
        None => way.package.clone(),
    }
}

fn operators(plan: &ClusterPlan) -> String {
    let mut rows = Vec::new();
    for cluster in &plan.clusters {
        for way in &cluster.operators {
            let mut from = way.bundle.clone().unwrap_or_else(|| NOTHING.to_owned());
            let mut row = |from: &str, to: &str, channel: &str, catalog: &str, mirrored: &str| {
                let cells = [&cluster.name, &named(way), from, to, channel, catalog, mirrored];
                rows.push(cells.map(str::to_owned).to_vec());
            };
            if way.problem.is_some() {
                row(&from, "no way", NOTHING, NOTHING, NOTHING);
            } else if way.is_done() {
                let stage = way.stages.first();
                let channel = stage.map_or(NOTHING, |stage| stage.channel.as_str());
                row(&from, NOTHING, channel, stage.map_or(NOTHING, |stage| &stage.catalog), NOTHING);
            }
            for stage in &way.stages {
                let mut channel = stage.channel.clone();
                if stage.switch_from.is_some() {
                    channel.push_str(" (switch)");
                }
                for hop in &stage.hops {
                    row(&from, &hop.bundle, &channel, &stage.catalog, &yes(hop.mirrored));
                    from.clone_from(&hop.bundle);
                    channel.clone_from(&stage.channel);
                }
            }
        }
    }
    match rows.is_empty() {
        true => String::new(),
        false => table(&["CLUSTER", "OPERATOR", "FROM", "TO", "IN CHANNEL", "OF CATALOG", "MIRRORED"], rows),
    }
}

fn blocks(plan: &ClusterPlan) -> String {
    let mut text = String::new();
    for cluster in &plan.clusters {
        for way in &cluster.operators {
            for block in &way.blocks {
                let (name, openshift) = (named(way), &block.openshift);
                let line = match (&block.needs, &block.hint) {
                    (Some(bundle), _) => format!("update {name} to {bundle} before OpenShift {openshift}"),
                    (None, hint) => format!(
                        "{name} keeps it below OpenShift {openshift}: {}",
                        hint.as_deref().unwrap_or("nothing on its way may run there")
                    ),
                };
                text.push_str(&format!("  {}: {line}\n", cluster.name));
            }
        }
    }
    text
}

fn risks(plan: &ClusterPlan) -> String {
    let mut lines: Vec<String> = Vec::new();
    for cluster in &plan.clusters {
        for step in cluster.release.steps.iter().filter(|step| step.is_conditional) {
            let accepted = if step.is_accepted { " (accepted)" } else { "" };
            for risk in &step.risks {
                let message = risk.message.trim().replace('\n', " ");
                lines.push(format!(
                    "  {}: {} -> {}: {}{accepted}: {message} {}",
                    cluster.name, step.from, step.to, risk.name, risk.url
                ));
            }
            if step.risks.is_empty() {
                lines.push(format!(
                    "  {}: {} -> {}: the update service does not say which{accepted}",
                    cluster.name, step.from, step.to
                ));
            }
        }
    }
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn problems(plan: &ClusterPlan) -> String {
    let mut text = String::new();
    let mut add = |cluster: &str, what: &str, problem: &PlanProblem| {
        let hint = problem.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        text.push_str(&format!("  {cluster}: {what}{}{hint}\n", problem.message));
    };
    for cluster in &plan.clusters {
        if let Some(problem) = &cluster.release.problem {
            add(&cluster.name, "", problem);
        }
        for way in &cluster.operators {
            if let Some(problem) = &way.problem {
                add(&cluster.name, &format!("{}: ", named(way)), problem);
            }
        }
    }
    text
}

fn missing(plan: &ClusterPlan) -> String {
    if plan.missing.is_empty() {
        return String::new();
    }
    let row = |gap: &oc_mirror_model::clusters::Gap| {
        let mut clusters: Vec<&str> = gap.needed_by.iter().take(MOST_NAMES).map(String::as_str).collect();
        let more = format!("and {} more", gap.needed_by.len().saturating_sub(MOST_NAMES));
        if gap.needed_by.len() > MOST_NAMES {
            clusters.push(&more);
        }
        let of = gap.of.clone().unwrap_or_else(|| NOTHING.to_owned());
        let closed = if gap.closed { "" } else { "cannot be closed by a change" };
        vec![gap.what.clone(), gap.name.clone(), of, clusters.join(", "), closed.to_owned()]
    };
    table(&["WHAT", "NAME", "OF", "NEEDED BY", ""], plan.missing.iter().map(row).collect())
}

fn edits(plan: &ClusterPlan) -> String {
    let line = |edit: &oc_mirror_model::config::Edit| {
        let value = match edit.value.as_str() {
            Some("") => "nothing".to_owned(),
            Some(text) => text.to_owned(),
            None => edit.value.to_string(),
        };
        let why = if edit.why.is_empty() { String::new() } else { format!("   # {}", edit.why) };
        match edit.action {
            EditAction::Set => format!("  {} = {value}{why}\n", edit.at),
            EditAction::Append => format!("  {} + {value}{why}\n", edit.at),
        }
    };
    plan.edits.iter().map(line).collect()
}

fn notes(plan: &ClusterPlan) -> String {
    let mut lines = Vec::new();
    for cluster in &plan.clusters {
        lines.extend(cluster.release.notes.iter().map(|note| format!("{}: {note}", cluster.name)));
        for way in &cluster.operators {
            lines.extend(way.notes.iter().map(|note| format!("{}: {}: {note}", cluster.name, named(way))));
        }
    }
    lines.extend(plan.remarks.iter().cloned());
    lines.iter().map(|line| format!("  {line}\n")).collect()
}
