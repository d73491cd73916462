//! Takes bundles out of a selection that lack images, and repairs the channels that they were in.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::{self, GraphFault};
use crate::model::{Bundle, Catalog, ChannelEntry, Package};
use crate::nearest::quoted;
use crate::problem::Note;
use crate::select::{KeptEntry, SelectedChannel, SelectedPackage, Selection};

/// A bundle that was taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Its package.
    pub package: String,
    /// Its name.
    pub bundle: String,
    /// Why.
    pub reason: String,
}

impl Selection {
    /// Takes out the bundles any image of which is unavailable; `unavailable` tells why an image is.
    ///
    /// Channels are repaired so that they stay valid, and notes tell how. A bundle that no kept bundle leads to any
    /// more goes too. Empty channels and packages go; a default channel that goes is replaced by the channel with
    /// the highest version.
    pub fn without(
        &mut self,
        catalog: &Catalog,
        unavailable: &dyn Fn(&str) -> Option<String>,
    ) -> Vec<Dropped> {
        let mut images = Images { unavailable, known: BTreeMap::new() };
        let mut dropped = Vec::new();
        for kept in &mut self.packages {
            let Some(package) = catalog.package(&kept.name) else { continue };
            let bundles = kept.bundles.iter().filter_map(|name| package.bundle(name));
            let dead: BTreeMap<&str, String> =
                bundles.filter_map(|bundle| Some((bundle.name.as_str(), images.fault(bundle)?))).collect();
            if !dead.is_empty() {
                self.untouched = false;
                dropped.extend(take_out(package, kept, &dead, &mut self.notes));
            }
        }
        self.packages.retain(|kept| !kept.channels.is_empty());
        dropped
    }
}

/// What is known of images; each is asked for once.
struct Images<'a, 'c> {
    unavailable: &'a dyn Fn(&str) -> Option<String>,
    known: BTreeMap<&'c str, Option<String>>,
}

impl<'c> Images<'_, 'c> {
    fn fault(&mut self, bundle: &'c Bundle) -> Option<String> {
        let images = [&bundle.image].into_iter().chain(&bundle.related).filter(|image| !image.is_empty());
        images.into_iter().find_map(|image| {
            let reason = self.known.entry(image).or_insert_with(|| (self.unavailable)(image)).as_ref()?;
            Some(format!("the image `{image}` is not available: {reason}"))
        })
    }
}

fn take_out(
    package: &Package,
    kept: &mut SelectedPackage,
    dead: &BTreeMap<&str, String>,
    notes: &mut Vec<Note>,
) -> Vec<Dropped> {
    let before = kept.bundles.clone();
    for channel in &mut kept.channels {
        let mut repair = Repair::new(channel, dead);
        repair.run();
        let messages = repair.messages;
        channel.entries = repair.entries;
        notes.extend(
            messages.into_iter().map(|message| Note::new("rewritten-channel", &package.name, message)),
        );
        if channel.entries.is_empty() {
            let message = format!("channel `{}` is left out: none of its bundles is complete", channel.name);
            notes.push(Note::new("dropped-channel", &package.name, message));
        }
    }
    kept.channels.retain(|channel| !channel.entries.is_empty());
    kept.settle(package);
    move_default(kept, notes);
    let gone = before.into_iter().filter(|bundle| !kept.has(bundle));
    gone.map(|bundle| {
        let unreachable = || "no kept bundle leads to it any more".to_owned();
        let reason = dead.get(bundle.as_str()).cloned().unwrap_or_else(unreachable);
        Dropped { package: package.name.clone(), bundle, reason }
    })
    .collect()
}

/// Chooses a default channel if the present one is gone.
fn move_default(kept: &mut SelectedPackage, notes: &mut Vec<Note>) {
    if kept.channels.is_empty() {
        let message = "the package is left out: none of its bundles is complete";
        return notes.push(Note::new("dropped-package", &kept.name, message));
    }
    if kept.channel(&kept.default_channel).is_some() {
        return;
    }
    let highest = |channel: &SelectedChannel| {
        let versions = channel.entries.iter().filter_map(|kept| kept.version.clone());
        versions.max_by(|a, b| a.cmp_precedence(b))
    };
    // Among equals the first one of the catalog is taken.
    let best = kept.channels.iter().rev().max_by(|a, b| highest(a).cmp(&highest(b)));
    let Some(name) = best.map(|channel| channel.name.clone()) else { return };
    let message =
        format!("the default channel is `{name}` instead of `{}`, which is gone", kept.default_channel);
    notes.push(Note::new("default-channel", &kept.name, message));
    kept.default_channel = name;
}

/// A channel that loses entries.
struct Repair<'a> {
    name: String,
    before: Vec<ChannelEntry>,
    entries: Vec<KeptEntry>,
    dead: &'a BTreeMap<&'a str, String>,
    messages: Vec<String>,
}

impl<'a> Repair<'a> {
    fn new(channel: &SelectedChannel, dead: &'a BTreeMap<&'a str, String>) -> Self {
        let alive = channel.entries.iter().filter(|kept| !dead.contains_key(kept.entry.name.as_str()));
        Self {
            name: channel.name.clone(),
            before: channel.entries.iter().map(|kept| kept.entry.clone()).collect(),
            entries: alive.cloned().collect(),
            dead,
            messages: Vec::new(),
        }
    }

    fn run(&mut self) {
        let before: Vec<_> = self.before.iter().collect();
        // A channel that was not valid before, as `full` may keep it, cannot be repaired.
        if self.entries.len() == self.before.len() || !graph::validate(&before).is_empty() {
            return;
        }
        self.close_gaps();
        // Each round connects or removes an entry.
        for _ in 0..=2 * self.before.len() {
            let Some(stray) = self.stray() else { return };
            self.connect_or_remove(&stray);
        }
    }

    /// Finds an entry of the channel as it was, if it is gone.
    fn gone(&self, name: &str) -> Option<&ChannelEntry> {
        self.before.iter().find(|entry| entry.name == name && self.dead.contains_key(name))
    }

    /// Lets entries replace what is below the entries that are gone.
    fn close_gaps(&mut self) {
        for place in 0..self.entries.len() {
            let mut gap = Vec::new();
            let mut inherited = Vec::new();
            let mut below = self.entries[place].entry.replaces.clone();
            while let Some(entry) = self.gone(&below).filter(|entry| !gap.contains(&entry.name)) {
                gap.push(entry.name.clone());
                inherited.extend(entry.skips.iter().cloned());
                below.clone_from(&entry.replaces);
            }
            let has_below = self.entries.iter().any(|kept| kept.entry.name == below);
            if gap.is_empty() || !has_below {
                // With nothing below, the entry is the end of the chain and may replace something that is not there.
                continue;
            }
            let kept = &mut self.entries[place];
            self.messages.push(format!(
                "`{}` in channel `{}` replaces `{below}` instead of {}, and skips that",
                kept.entry.name,
                self.name,
                quoted(&gap)
            ));
            for skip in gap.into_iter().chain(inherited) {
                if skip != below && skip != kept.entry.name && !kept.entry.skips.contains(&skip) {
                    kept.entry.skips.push(skip);
                }
            }
            kept.entry.replaces = below;
            kept.rewritten = true;
        }
    }

    /// Finds an entry because of which the channel is not valid.
    fn stray(&self) -> Option<String> {
        let entries: Vec<_> = self.entries.iter().map(|kept| &kept.entry).collect();
        match graph::validate(&entries).into_iter().next()? {
            GraphFault::Heads(names) => {
                let head = self.next_head(&names)?;
                names.into_iter().find(|name| *name != head)
            }
            GraphFault::Stranded(names) => names.into_iter().next(),
            _ => None,
        }
    }

    /// Chooses a head: the next on the chain of the old head, or else the highest version.
    fn next_head(&self, heads: &[String]) -> Option<String> {
        let before: Vec<_> = self.before.iter().collect();
        let old = graph::heads(&before).first().copied()?;
        let chain = graph::chain(&before, old);
        let next = chain.iter().find(|entry| heads.contains(&entry.name)).map(|entry| entry.name.clone());
        let candidates = || self.entries.iter().filter(|kept| heads.contains(&kept.entry.name));
        next.or_else(|| {
            let highest = candidates().max_by(|a, b| a.version.cmp(&b.version))?;
            Some(highest.entry.name.clone())
        })
    }

    /// Lets an entry be skipped by one that led to it over entries which are gone; removes it if there is none.
    fn connect_or_remove(&mut self, stray: &str) {
        let above = (0..self.entries.len()).find(|place| {
            let entry = &self.entries[*place].entry;
            entry.name != stray
                && !entry.skips.iter().any(|skip| skip == stray)
                && self.led(&entry.name, stray)
        });
        match above {
            Some(place) => {
                let kept = &mut self.entries[place];
                kept.entry.skips.push(stray.to_owned());
                kept.rewritten = true;
                let message = format!("`{}` in channel `{}` skips `{stray}`", kept.entry.name, self.name);
                self.messages.push(message);
            }
            None => {
                self.entries.retain(|kept| kept.entry.name != stray);
                let message = format!(
                    "`{stray}` is left out of channel `{}`: nothing that is left leads to it",
                    self.name
                );
                self.messages.push(message);
            }
        }
    }

    /// Tells whether edges led from one entry to another over entries that are gone.
    fn led(&self, from: &str, to: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = vec![from];
        while let Some(name) = open.pop() {
            let Some(entry) = self.before.iter().find(|entry| entry.name == name) else { continue };
            for below in [&entry.replaces].into_iter().chain(&entry.skips) {
                if below == to && name != from {
                    return true;
                }
                if self.gone(below).is_some() && seen.insert(below.as_str()) {
                    open.push(below);
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{catalog, kept, v2};
    use rstest::rstest;
    use serde_json::json;

    fn without(text: &str, dead: &[&str]) -> (Selection, Vec<Dropped>) {
        let catalog = catalog(text);
        let mut selection =
            v2(&catalog, json!({"full": true, "packages": [{"name": "p"}]})).expect("a selection");
        let gone = |image: &str| {
            let version = image.strip_prefix("quay.io/p/operator:v")?;
            dead.contains(&version).then(|| "404".to_owned())
        };
        let dropped = selection.without(&catalog, &gone);
        for kept in &selection.packages {
            assert!(kept.channel(&kept.default_channel).is_some());
            for channel in &kept.channels {
                let entries: Vec<_> = channel.entries.iter().map(|kept| &kept.entry).collect();
                assert_eq!(graph::validate(&entries), [], "{entries:?}");
            }
        }
        (selection, dropped)
    }

    #[rstest]
    #[case("p a: p.v3>p.v2 p.v2>p.v1 p.v1", "3", "v2>v1 v1")]
    #[case("p a: p.v3>p.v2 p.v2>p.v1 p.v1", "2", "v3>v1!v2 v1")]
    #[case("p a: p.v3>p.v2 p.v2>p.v1 p.v1", "1", "v3>v2 v2>v1")]
    #[case("p a: p.v4>p.v3 p.v3>p.v2!p.v9 p.v2>p.v1 p.v1", "3 2", "v4>v1!v3!v2!v9 v1")]
    // The head skips what comes to be the head.
    #[case("p a: p.v4>p.v1!p.v3!p.v2 p.v3>p.v1!p.v2 p.v2>p.v1 p.v1", "4", "v3>v1!v2 v2>v1 v1")]
    // What only the head skipped is not reachable without it.
    #[case("p a: p.v4>p.v2!p.v3 p.v3 p.v2>p.v1 p.v1", "4", "v2>v1 v1")]
    // What something that is skipped itself skipped.
    #[case("p a: p.v4>p.v1!p.v3 p.v3!p.v2 p.v2 p.v1", "3", "v4>v1!v3!v2 v2 v1")]
    // What the end of the chain skipped.
    #[case("p a: p.v4>p.v3 p.v3!p.v2 p.v2", "3", "v4>v3!v2 v2")]
    #[case("p a: p.v4!p.v3!p.v2 p.v3 p.v2", "3", "v4!v3!v2 v2")]
    fn repairs(#[case] text: &str, #[case] dead: &str, #[case] expected: &str) {
        let text = with_versions(text);
        let dead: Vec<_> = dead.split(' ').map(|major| format!("{major}.0.0")).collect();
        let (selection, dropped) = without(&text, &dead.iter().map(String::as_str).collect::<Vec<_>>());
        let write = |kept: &KeptEntry| {
            let short = |name: &str| name.replace("p.", "").replace(".0.0", "");
            let mut text = short(&kept.entry.name);
            if !kept.entry.replaces.is_empty() {
                text.push_str(&format!(">{}", short(&kept.entry.replaces)));
            }
            kept.entry.skips.iter().for_each(|skip| text.push_str(&format!("!{}", short(skip))));
            text
        };
        let entries: Vec<_> = selection.packages[0].channels[0].entries.iter().map(write).collect();
        assert_eq!(entries.join(" "), expected);
        assert!(dropped.iter().any(|dropped| dropped.reason.contains("404")));
    }

    /// Makes `p.v3` of a text `p.v3.0.0`.
    fn with_versions(text: &str) -> String {
        let mut out = String::new();
        for (place, c) in text.char_indices() {
            out.push(c);
            let before = text[..place].chars().last();
            if c.is_ascii_digit() && before == Some('v') {
                out.push_str(".0.0");
            }
        }
        out
    }

    #[test]
    fn empty_channels_and_packages_go() {
        let text = "p a: p.v1.0.0\np b: p.v2.0.0 p.v3.0.0>p.v2.0.0\np c: p.v2.5.0";
        let (selection, dropped) = without(text, &["1.0.0"]);
        assert_eq!((kept(&selection).as_str(), dropped.len()), ("p/b=2.0.0,3.0.0 p/c=2.5.0", 1));
        assert_eq!(selection.packages[0].default_channel, "b");
        let codes: Vec<_> = selection.notes.iter().map(|note| note.code).collect();
        assert_eq!(codes, ["dropped-channel", "default-channel"]);
        let (selection, dropped) = without("p a: p.v1.0.0", &["1.0.0"]);
        assert_eq!((selection.packages.len(), dropped.len()), (0, 1));
    }

    #[test]
    fn nothing_changes_if_all_is_there() {
        let catalog = catalog("p a: p.v1.0.0");
        let mut selection = v2(&catalog, json!({"full": true})).expect("a selection");
        let before = selection.clone();
        assert_eq!(selection.without(&catalog, &|_| None), []);
        assert_eq!(selection, before);
        selection.without(&catalog, &|_| Some("404".into()));
        assert!(!selection.untouched);
    }
}
