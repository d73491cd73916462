//! Problems and notes that say what there is instead.

use std::collections::BTreeSet;

use crate::ask::{Asked, Graphs};
use crate::channel::{self, Line, PREFIXES};
use crate::graph::{Graph, Risk};
use crate::problem::{Note, Problem};
use crate::search::{Accept, Route};
use crate::version::Version;

/// Says that a channel has no releases, and which similar ones have.
pub(crate) fn no_channel<G: Graphs>(asked: &mut Asked<'_, G>, okd: bool, name: &str) -> Problem {
    let problem = Problem::new("release.channel", format!("channel `{name}` has no releases"));
    let line = channel::parse(name).map(|(_, line)| line).or_else(|| line_in(name));
    let Some(line) = line.filter(|_| !okd) else {
        return problem.hint("channels are named like `stable-4.14`");
    };
    let others: Vec<String> = candidates(line).filter(|other| other != name).collect();
    let found: Vec<String> = others.into_iter().filter(|other| !asked.probe(okd, other).is_empty()).collect();
    match found.is_empty() {
        true => problem.hint(format!("no channel of {}.{} has any", line.0, line.1)),
        false => problem.hint(format!("channels that have some: {}", quoted(&found))),
    }
}

/// Says that a channel does not have a version, which ones it has that are close, and which channels have it.
pub(crate) fn no_version<G: Graphs>(
    asked: &mut Asked<'_, G>,
    okd: bool,
    channels: &[String],
    graph: &Graph,
    version: &Version,
) -> Problem {
    let (noun, verb) = if channels.len() == 1 { ("channel", "does") } else { ("channels", "do") };
    let text = format!("{noun} {} {verb} not have version {version}", quoted(channels));
    let near: Vec<String> = near(graph, version).iter().map(Version::to_string).collect();
    let mut hint = format!("the nearest versions there are {}", near.join(", "));
    let having = channels_having(asked, okd, version);
    let having: Vec<String> = having.into_iter().filter(|name| !channels.contains(name)).collect();
    match having.is_empty() {
        true => hint.push_str("; no other channel has it either"),
        false => hint.push_str(&format!("; channels that have it: {}", quoted(&having))),
    }
    Problem::new("release.version", text).hint(hint)
}

/// Returns up to two versions below and two above.
fn near(graph: &Graph, version: &Version) -> Vec<Version> {
    let mut versions: Vec<&Version> = graph.ascending().map(|node| &node.version).collect();
    versions.dedup();
    let split = versions.partition_point(|other| *other < version);
    let range = split.saturating_sub(2)..(split + 2).min(versions.len());
    versions[range].iter().map(|version| (*version).clone()).collect()
}

/// Returns the channels of the version's own minor that have it, and those that these name.
pub(crate) fn channels_having<G: Graphs>(
    asked: &mut Asked<'_, G>,
    okd: bool,
    version: &Version,
) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if okd {
        return found;
    }
    for name in candidates(version.line()) {
        let graph = asked.probe(okd, &name);
        if let Some(node) = graph.find(version) {
            found.extend(node.channels().into_iter().map(str::to_owned));
            found.insert(name);
        }
    }
    found
}

fn candidates(line: Line) -> impl Iterator<Item = String> {
    PREFIXES.into_iter().map(move |prefix| channel::name(prefix, line))
}

/// Finds `X.Y` somewhere in a text, as in `4.14` or `stable4.14`.
fn line_in(text: &str) -> Option<Line> {
    text.split(|c: char| !(c.is_ascii_digit() || c == '.')).find_map(channel::parse_line)
}

/// Tells of the risks of a route that are not accepted, and of a shorter route.
pub(crate) fn about_risks(graph: &Graph, accept: &Accept, route: &Route, notes: &mut Vec<Note>) {
    let version = |place: usize| &graph.nodes()[place].version;
    for pair in route.nodes.windows(2) {
        let Some(risks) = unaccepted(graph, accept, pair[0], pair[1]) else { continue };
        let text = format!(
            "no path from {} to {} is without risks; the update from {} to {} has these: {}",
            version(route.nodes[0]),
            version(route.nodes[route.nodes.len() - 1]),
            version(pair[0]),
            version(pair[1]),
            list(&risks)
        );
        push(notes, Note::warning("release.risk", text));
    }
    let Some(shorter) = &route.shorter else { return };
    let mut risks: Vec<Risk> = Vec::new();
    for pair in shorter.windows(2) {
        for risk in unaccepted(graph, accept, pair[0], pair[1]).unwrap_or_default() {
            if !risks.iter().any(|known| known.name == risk.name) {
                risks.push(risk);
            }
        }
    }
    let text = format!(
        "from {} to {}, {} would do instead of {}, at these risks: {}",
        version(shorter[0]),
        version(shorter[shorter.len() - 1]),
        match shorter.len() - 1 {
            1 => "1 update".to_owned(),
            count => format!("{count} updates"),
        },
        route.nodes.len() - 1,
        list(&risks)
    );
    push(notes, Note::info("release.shorter-path", text));
}

/// Adds a note unless it was made before.
pub(crate) fn push(notes: &mut Vec<Note>, note: Note) {
    if !notes.contains(&note) {
        notes.push(note);
    }
}

/// Returns the risks of an update that keep it from being used.
fn unaccepted(graph: &Graph, accept: &Accept, from: usize, to: usize) -> Option<Vec<Risk>> {
    let edge = graph.edge(from, to)?;
    edge.condition()?;
    let risks = graph.risks_of(edge);
    if accept.covers(risks) {
        return None;
    }
    let unknown = |risk: &&Risk| !accept.covers(std::slice::from_ref(*risk));
    Some(risks.iter().filter(unknown).cloned().collect())
}

fn list(risks: &[Risk]) -> String {
    let one = |risk: &Risk| match risk.url.is_empty() {
        true => format!("{} (accept it with `--accept-risks {}`)", risk.name, risk.name),
        false => format!("{} ({}; accept it with `--accept-risks {}`)", risk.name, risk.url, risk.name),
    };
    match risks {
        [] => "the update service does not say which".to_owned(),
        risks => risks.iter().map(one).collect::<Vec<_>>().join(", "),
    }
}

/// Lists names as they are written in messages.
pub(crate) fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
