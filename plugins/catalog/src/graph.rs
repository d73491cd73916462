//! [`Graph`]: the upgrade graph of a channel, and the rules that a channel has to keep.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;

use semver::Version;

use crate::model::ChannelEntry;
use crate::nearest::quoted;
use crate::version::Range;

/// What is wrong with a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GraphFault {
    /// It has no entries.
    Empty,
    /// Two entries have this name.
    Duplicate(String),
    /// The entry replaces itself.
    ReplacesItself(String),
    /// The entry skips itself.
    SkipsItself(String),
    /// Every entry is replaced or skipped by another one.
    NoHead,
    /// Several entries are replaced and skipped by none.
    Heads(Vec<String>),
    /// The edges go round in a circle.
    Cycle,
    /// Entries that cannot be reached from the head.
    Stranded(Vec<String>),
}

impl fmt::Display for GraphFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("has no entries"),
            Self::Duplicate(name) => write!(f, "has the entry `{name}` twice"),
            Self::ReplacesItself(name) => write!(f, "has an entry `{name}` that replaces itself"),
            Self::SkipsItself(name) => write!(f, "has an entry `{name}` that skips itself"),
            Self::NoHead => f.write_str("has no head: every entry is replaced or skipped by another one"),
            Self::Heads(names) => write!(f, "has several heads: {}", quoted(names)),
            Self::Cycle => f.write_str("has an upgrade graph with a cycle"),
            Self::Stranded(names) => {
                write!(f, "has entries that cannot be reached from its head: {}", quoted(names))
            }
        }
    }
}

/// The upgrade graph of a channel: one head, no cycles.
#[derive(Debug)]
pub(crate) struct Graph<'a> {
    chain: Vec<&'a ChannelEntry>,
    names: HashSet<&'a str>,
}

/// What a range keeps of a channel.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept<'a> {
    pub(crate) names: BTreeSet<&'a str>,
    /// Those that are not in the range, but between others that are.
    pub(crate) outside: Vec<&'a str>,
}

/// Finds the entries that no other one replaces or skips.
pub(crate) fn heads<'a>(entries: &[&'a ChannelEntry]) -> Vec<&'a ChannelEntry> {
    let below: HashSet<&str> = entries.iter().flat_map(|entry| edges(entry)).collect();
    entries.iter().filter(|entry| !below.contains(entry.name.as_str())).copied().collect()
}

fn edges(entry: &ChannelEntry) -> impl Iterator<Item = &str> {
    let replaces = Some(entry.replaces.as_str()).filter(|name| !name.is_empty());
    replaces.into_iter().chain(entry.skips.iter().map(String::as_str))
}

impl<'a> Graph<'a> {
    /// Builds the graph of `replaces` and `skips`. Edges may lead out of the channel.
    pub(crate) fn new(entries: &'a [ChannelEntry]) -> Result<Self, Vec<GraphFault>> {
        let entries: Vec<&ChannelEntry> = entries.iter().collect();
        let mut faults = own_faults(&entries);
        let heads = heads(&entries);
        match heads.len() {
            _ if entries.is_empty() => {}
            0 => faults.push(GraphFault::NoHead),
            1 => {}
            _ => faults.push(GraphFault::Heads(sorted_names(&heads))),
        }
        if let ([], [head]) = (faults.as_slice(), heads.as_slice()) {
            match has_cycle(&entries, head) {
                false => {
                    let names = entries.iter().map(|entry| entry.name.as_str()).collect();
                    return Ok(Self { chain: chain(&entries, head), names });
                }
                true => faults.push(GraphFault::Cycle),
            }
        }
        Err(faults)
    }

    /// Returns the head.
    pub(crate) fn head(&self) -> &'a ChannelEntry {
        self.chain[0]
    }

    /// Returns the head, what it replaces, what that replaces and so on, within the channel.
    #[cfg(test)]
    pub(crate) fn chain(&self) -> &[&'a ChannelEntry] {
        &self.chain
    }

    /// Finds the smallest piece of the chain that holds all versions of a range, with what it skips in the range.
    ///
    /// Every node of the chain counts the new versions in the range at and below it. The lowest node with the
    /// highest count becomes the head; the piece ends before the first node that counts none.
    pub(crate) fn in_range(&self, range: &Range, version: impl Fn(&str) -> Option<&'a Version>) -> Kept<'a> {
        // An edge out of the channel leads to something without a version, even if a bundle has that name.
        let version = |name: &str| version(name).filter(|_| self.names.contains(name));
        let matches = |name: &str| version(name).is_some_and(|version| range.matches(version));
        let mut seen = HashSet::new();
        let mut count = 0;
        let mut counts = vec![0_usize; self.chain.len()];
        for (place, entry) in self.chain.iter().enumerate().rev() {
            let names = [entry.name.as_str()].into_iter().chain(entry.skips.iter().map(String::as_str));
            count += names.filter(|name| matches(name) && seen.insert(*name)).count();
            counts[place] = count;
        }
        let Some(most) = counts.first().copied().filter(|most| *most > 0) else { return Kept::default() };
        let head = counts.iter().rposition(|count| *count == most).unwrap_or(0);
        let tail = counts.iter().position(|count| *count == 0).unwrap_or(counts.len());
        let mut kept = Kept::default();
        for entry in &self.chain[head..tail] {
            kept.names.insert(&entry.name);
            if !matches(&entry.name) {
                kept.outside.push(&entry.name);
            }
            kept.names.extend(entry.skips.iter().map(String::as_str).filter(|name| matches(name)));
        }
        kept
    }

    /// Adds bundles to kept ones so that the kept piece of the chain has no gap.
    ///
    /// None if a bundle is neither on the chain nor skipped by a node of it.
    pub(crate) fn widen(&self, kept: &BTreeSet<String>, add: &str) -> Option<BTreeSet<String>> {
        let place = |name: &str| {
            let on_chain = self.chain.iter().position(|entry| entry.name == name);
            on_chain
                .or_else(|| self.chain.iter().position(|entry| entry.skips.iter().any(|skip| skip == name)))
        };
        let added = place(add)?;
        let places = kept.iter().filter_map(|name| place(name)).chain([added]);
        let (top, bottom) = places.fold((added, added), |(top, bottom), at| (top.min(at), bottom.max(at)));
        let piece = self.chain[top..=bottom].iter().map(|entry| entry.name.clone());
        Some(piece.chain(kept.iter().cloned()).chain([add.to_owned()]).collect())
    }
}

/// Checks the entries by themselves.
fn own_faults(entries: &[&ChannelEntry]) -> Vec<GraphFault> {
    let mut faults = Vec::new();
    if entries.is_empty() {
        faults.push(GraphFault::Empty);
    }
    let mut seen = HashSet::new();
    for entry in entries {
        if !seen.insert(entry.name.as_str()) {
            faults.push(GraphFault::Duplicate(entry.name.clone()));
        }
        if entry.replaces == entry.name {
            faults.push(GraphFault::ReplacesItself(entry.name.clone()));
        }
        if entry.skips.contains(&entry.name) {
            faults.push(GraphFault::SkipsItself(entry.name.clone()));
        }
    }
    faults
}

fn sorted_names(entries: &[&ChannelEntry]) -> Vec<String> {
    let mut names: Vec<_> = entries.iter().map(|entry| entry.name.clone()).collect();
    names.sort_unstable();
    names
}

/// Tells whether sorting topologically from the head leaves edges over.
fn has_cycle(entries: &[&ChannelEntry], head: &ChannelEntry) -> bool {
    let by_name: HashMap<&str, &ChannelEntry> =
        entries.iter().map(|entry| (entry.name.as_str(), *entry)).collect();
    let mut incoming: HashMap<&str, HashSet<&str>> = HashMap::new();
    for entry in entries {
        for below in edges(entry) {
            incoming.entry(below).or_default().insert(&entry.name);
        }
    }
    let mut open = vec![head.name.as_str()];
    while let Some(name) = open.pop() {
        let Some(entry) = by_name.get(name) else { continue };
        for below in edges(entry) {
            let Some(sources) = incoming.get_mut(below) else { continue };
            sources.remove(name);
            if sources.is_empty() {
                incoming.remove(below);
                open.push(below);
            }
        }
    }
    !incoming.is_empty()
}

/// Follows `replaces` from the head, within the entries. Ends at a name met before, so that it always ends.
pub(crate) fn chain<'a>(entries: &[&'a ChannelEntry], head: &'a ChannelEntry) -> Vec<&'a ChannelEntry> {
    let by_name: HashMap<&str, &'a ChannelEntry> =
        entries.iter().map(|entry| (entry.name.as_str(), *entry)).collect();
    let mut seen = HashSet::new();
    let mut chain = Vec::new();
    let mut next = Some(head);
    while let Some(entry) = next.filter(|entry| seen.insert(entry.name.as_str())) {
        chain.push(entry);
        next = by_name.get(entry.replaces.as_str()).copied();
    }
    chain
}

/// Checks a channel as opm does when it serves a catalog.
///
/// One head; no cycle among `replaces`; every entry is on the chain of the head or skipped by an entry. An edge of
/// `replaces` to a skipped entry does not count.
pub(crate) fn validate(entries: &[&ChannelEntry]) -> Vec<GraphFault> {
    let mut faults = own_faults(entries);
    let heads = heads(entries);
    match heads.as_slice() {
        _ if entries.is_empty() => {}
        [] => faults.push(GraphFault::NoHead),
        [head] => faults.extend(below_head(entries, head)),
        _ => faults.push(GraphFault::Heads(sorted_names(&heads))),
    }
    faults
}

fn below_head(entries: &[&ChannelEntry], head: &ChannelEntry) -> Option<GraphFault> {
    let by_name: HashMap<&str, &ChannelEntry> =
        entries.iter().map(|entry| (entry.name.as_str(), *entry)).collect();
    let skipped: HashSet<&str> =
        entries.iter().flat_map(|entry| entry.skips.iter().map(String::as_str)).collect();
    let mut reached = HashSet::from([head.name.as_str()]);
    let mut next = Some(&head);
    while let Some(entry) = next {
        let below = entry.replaces.as_str();
        if below.is_empty() || skipped.contains(below) {
            break;
        }
        if !reached.insert(below) {
            return Some(GraphFault::Cycle);
        }
        next = by_name.get(below);
    }
    let stranded: Vec<_> = entries
        .iter()
        .filter(|entry| !reached.contains(entry.name.as_str()) && !skipped.contains(entry.name.as_str()))
        .copied()
        .collect();
    (!stranded.is_empty()).then(|| GraphFault::Stranded(sorted_names(&stranded)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// Reads `c>b!x!y b>a a`: c replaces b and skips x and y.
    fn entries(text: &str) -> Vec<ChannelEntry> {
        let entry = |word: &str| {
            let mut parts = word.split('!');
            let (name, replaces) =
                parts.next().map_or(("", ""), |edge| edge.split_once('>').unwrap_or((edge, "")));
            let skips = parts.map(str::to_owned).collect();
            ChannelEntry { name: name.into(), replaces: replaces.into(), skips, skip_range: String::new() }
        };
        text.split_whitespace().map(entry).collect()
    }

    #[rstest]
    #[case("a b>a c>b", "c b a")]
    #[case("c>b b>gone", "c b")]
    #[case("c!b!a b a", "c")]
    #[case("c>a!b b>a a", "c a")]
    #[case("b>a!a a", "b a")]
    fn chains(#[case] text: &str, #[case] expected: &str) {
        let entries = entries(text);
        let graph = Graph::new(&entries).expect("a graph");
        let chain: Vec<_> = graph.chain().iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(chain.join(" "), expected);
        assert_eq!(graph.head().name, chain[0]);
    }

    #[rstest]
    #[case("", GraphFault::Empty)]
    #[case("b>a a a", GraphFault::Duplicate("a".into()))]
    #[case("b>a a>a", GraphFault::ReplacesItself("a".into()))]
    #[case("b>a a!a", GraphFault::SkipsItself("a".into()))]
    #[case("a>b b>a", GraphFault::NoHead)]
    #[case("d c>a b>a a", GraphFault::Heads(vec!["b".into(), "c".into(), "d".into()]))]
    #[case("c>b b>a a>b", GraphFault::Cycle)]
    #[case("x a>b b>a", GraphFault::Cycle)]
    fn faults(#[case] text: &str, #[case] fault: GraphFault) {
        let found = Graph::new(&entries(text)).expect_err("a fault");
        assert!(found.contains(&fault), "{found:?}");
    }

    #[rstest]
    #[case("1.0.0", "1.2.0", "1.0.0 1.1.0 1.2.0", "")]
    #[case("1.1.0", "", "1.1.0 1.2.0 1.3.0", "")]
    #[case("", "1.1.0", "1.0.0 1.1.0", "")]
    #[case("1.2.0", "1.2.0", "1.2.0", "")]
    #[case("9.0.0", "", "", "")]
    fn a_line(#[case] min: &str, #[case] max: &str, #[case] names: &str, #[case] outside: &str) {
        check("1.0.0 1.1.0>1.0.0 1.2.0>1.1.0 1.3.0>1.2.0", min, max, names, outside);
    }

    #[rstest]
    // A skipped version in the range needs the one that skips it.
    #[case("3.0.0>1.0.0!2.0.0 2.0.0 1.0.0", "2.0.0", "2.0.0", "2.0.0 3.0.0", "3.0.0")]
    // An older version stands between two that match.
    #[case("3.0.0>1.0.0 1.0.0>2.0.0 2.0.0", "2.0.0", "3.0.0", "1.0.0 2.0.0 3.0.0", "1.0.0")]
    // The lowest node that counts all is the head, and the tail stays out.
    #[case("4.0.0>3.0.0 3.0.0>2.0.0 2.0.0>1.0.0 1.0.0", "2.0.0", "3.0.0", "2.0.0 3.0.0", "")]
    // Skipped twice counts once.
    #[case("4.0.0>3.0.0!2.0.0 3.0.0!2.0.0 2.0.0", "2.0.0", "2.0.0", "2.0.0 3.0.0", "3.0.0")]
    fn with_skips(
        #[case] text: &str,
        #[case] min: &str,
        #[case] max: &str,
        #[case] names: &str,
        #[case] outside: &str,
    ) {
        check(text, min, max, names, outside);
    }

    fn check(text: &str, min: &str, max: &str, names: &str, outside: &str) {
        let entries = entries(text);
        let versions: HashMap<String, Version> =
            entries.iter().map(|e| (e.name.clone(), e.name.parse().expect("a version"))).collect();
        let range = Range::new(Some(min), Some(max)).expect("versions").expect("a range");
        let kept = Graph::new(&entries).expect("a graph").in_range(&range, |name| versions.get(name));
        assert_eq!(kept.names.into_iter().collect::<Vec<_>>().join(" "), names);
        assert_eq!(kept.outside.join(" "), outside);
    }

    #[rstest]
    #[case("d", "b", "b c d")]
    #[case("b", "d", "b c d")]
    #[case("d", "x", "c d x")]
    #[case("", "c", "c")]
    fn widening_leaves_no_gap(#[case] kept: &str, #[case] add: &str, #[case] expected: &str) {
        let entries = entries("d>c c>b!x x b>a a");
        let kept = kept.split_whitespace().map(str::to_owned).collect();
        let wide = Graph::new(&entries).expect("a graph").widen(&kept, add).expect("reachable");
        assert_eq!(wide.into_iter().collect::<Vec<_>>().join(" "), expected);
    }

    #[rstest]
    #[case("b>a a", None)]
    #[case("b>gone", None)]
    #[case("c>a!b b>a a", None)]
    #[case("", Some(GraphFault::Empty))]
    #[case("c>b a", Some(GraphFault::Heads(vec!["a".into(), "c".into()])))]
    #[case("a>b b>a", Some(GraphFault::NoHead))]
    #[case("c>b!x b>a a>b", Some(GraphFault::Cycle))]
    #[case("d>c!b c b>a a", Some(GraphFault::Stranded(vec!["a".into()])))]
    fn as_opm_does(#[case] text: &str, #[case] fault: Option<GraphFault>) {
        let entries = entries(text);
        assert_eq!(validate(&entries.iter().collect::<Vec<_>>()).into_iter().next(), fault);
    }
}
