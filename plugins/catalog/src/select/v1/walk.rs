//! Walks through the upgrade graph of a channel, along `replaces` only.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;

use crate::graph::{self, GraphFault};
use crate::model::{Channel, ChannelEntry, Package};
use crate::problem::Problem;

/// Finds the head of a channel.
pub(in super::super) fn head<'a>(
    package: &Package,
    channel: &'a Channel,
) -> Result<&'a ChannelEntry, Problem> {
    let entries: Vec<_> = channel.entries.iter().collect();
    let fault = match graph::heads(&entries).as_slice() {
        [head] => return Ok(head),
        [] if entries.is_empty() => GraphFault::Empty,
        [] => GraphFault::NoHead,
        heads => GraphFault::Heads(heads.iter().map(|head| head.name.clone()).collect()),
    };
    let message = format!("channel `{}` {fault}", channel.name);
    Err(Problem::new("operators.channel-graph", message)
        .package(&package.name)
        .file(package.file_name(channel.file))
        .hint("list other channels"))
}

/// Finds the entries of a version. One that only adds a pre-release to it counts: 2.2.0-0 is 2.2.0.
pub(super) fn with_version<'a>(
    package: &'a Package,
    channel: &'a Channel,
    version: &'a Version,
) -> impl Iterator<Item = &'a ChannelEntry> {
    let wanted = version.to_string();
    channel.entries.iter().filter(move |entry| {
        let text = package.version(&entry.name).map(ToString::to_string);
        text.is_some_and(|text| text == wanted || text.split('-').next() == Some(wanted.as_str()))
    })
}

/// Finds what leads from an entry to the head: everything that replaces the place where the chains of the two meet.
/// The entry alone if the chains do not meet.
pub(super) fn to_head(
    package: &Package,
    channel: &Channel,
    start: &ChannelEntry,
) -> Result<BTreeSet<String>, Problem> {
    let head = head(package, channel)?;
    let alone = BTreeSet::from([start.name.clone()]);
    if start.name == head.name {
        return Ok(alone);
    }
    let entries: Vec<_> = channel.entries.iter().collect();
    let below = |entry| {
        let chain = graph::chain(&entries, entry);
        chain.into_iter().map(|entry| entry.replaces.as_str()).filter(|name| !name.is_empty())
    };
    let starts: BTreeSet<&str> = [start.name.as_str()].into_iter().chain(below(start)).collect();
    let meeting = match starts.contains(head.name.as_str()) {
        true => Some(head.name.as_str()),
        false => below(head).find(|name| starts.contains(name)),
    };
    let Some(meeting) = meeting else { return Ok(alone) };
    let mut found = above(&entries, meeting);
    for entry in graph::chain(&entries, start).into_iter().take_while(|entry| entry.name != meeting) {
        found.remove(entry.name.as_str());
    }
    found.extend([start.name.as_str(), head.name.as_str()]);
    Ok(found.into_iter().map(str::to_owned).collect())
}

/// Finds all that replaces a name, directly or not.
fn above<'a>(entries: &[&'a ChannelEntry], name: &'a str) -> BTreeSet<&'a str> {
    let mut replacers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| !entry.replaces.is_empty()) {
        replacers.entry(&entry.replaces).or_default().push(&entry.name);
    }
    let mut found = BTreeSet::new();
    let mut open = vec![name];
    while let Some(name) = open.pop() {
        for replacer in replacers.get(name).into_iter().flatten() {
            if found.insert(*replacer) {
                open.push(replacer);
            }
        }
    }
    found
}
