//! [`improve`]: changes wishes until all that clusters need is selected.

use std::collections::BTreeMap;

use super::way::{Found, Ways};
use super::{Kind, Selected};
use crate::ask::Graphs;
use crate::channel;
use crate::problem::SelectError;
use crate::select::{Wish, select};
use crate::version::Version;

/// Which wish is to select a release.
enum Home {
    /// One that there is.
    Wish(usize),
    /// A new one.
    Channel(String),
}

/// How wishes are changed.
#[derive(Clone, Copy)]
struct Style {
    /// New wishes are for shortest paths.
    new_shortest: bool,
    /// Wishes for shortest paths become ranges.
    no_shortest: bool,
}

/// Some wishes, and what they lead to.
struct Tried {
    wishes: Vec<Wish>,
    selected: Selected,
    found: Found,
}

/// Finds the wishes that select what clusters need: of those that miss the fewest releases the ones that select the
/// fewest, and of these the ones with the fewest changes.
pub(super) fn improve<G: Graphs>(
    ways: &mut Ways<'_, '_, G>,
    before: &Selected,
) -> Result<(Vec<Wish>, Selected), G::Error> {
    let unchanged = ways.fleet.wishes.clone();
    let found = ways.find(before)?;
    let mut best = Tried { wishes: unchanged, selected: before.clone(), found };
    if best.missing().is_empty() {
        return Ok((best.wishes, best.selected));
    }
    for seed in seeds(&ways.fleet.wishes, &best.missing()) {
        let Some(seed) = attempt(ways, seed)? else { continue };
        for wishes in settlements(ways, &seed)? {
            let tried = attempt(ways, wishes)?;
            best = better(ways, best, tried);
        }
        best = better(ways, best, Some(seed));
    }
    Ok((best.wishes, best.selected))
}

impl Tried {
    /// Returns what is needed and not selected.
    fn missing(&self) -> Vec<Kind> {
        let needed = self.found.needed.keys();
        needed.filter(|version| !self.selected.has(version)).cloned().collect()
    }

    /// Returns what is wrong with it, least first.
    fn cost(&self, before: &[Wish]) -> (usize, usize, usize) {
        (self.missing().len(), self.selected.count(), changes(before, &self.wishes))
    }
}

/// Looks what wishes lead to; nothing if they cannot be selected.
fn attempt<G: Graphs>(ways: &mut Ways<'_, '_, G>, wishes: Vec<Wish>) -> Result<Option<Tried>, G::Error> {
    match select(&wishes, &ways.fleet.options, ways.known) {
        Ok(selection) => {
            let selected = Selected::of(&selection);
            let found = ways.find(&selected)?;
            Ok(Some(Tried { wishes, selected, found }))
        }
        Err(SelectError::Graphs(error)) => Err(error),
        Err(SelectError::Problems(_)) => Ok(None),
    }
}

fn better<G: Graphs>(ways: &Ways<'_, '_, G>, best: Tried, tried: Option<Tried>) -> Tried {
    let before = &ways.fleet.wishes;
    match tried {
        Some(tried) if tried.cost(before) < best.cost(before) => tried,
        _ => best,
    }
}

/// Counts what somebody has to write.
fn changes(before: &[Wish], after: &[Wish]) -> usize {
    let of_one = |(old, new): (&Wish, &Wish)| {
        usize::from(old.min != new.min)
            + usize::from(old.max != new.max)
            + usize::from(old.shortest_path != new.shortest_path)
    };
    before.iter().zip(after).map(of_one).sum::<usize>() + 3 * after.len().saturating_sub(before.len())
}

/// Returns what changes begin with: nothing, or one wish for a shortest path that begins lower. A wish for a head can
/// become one for the shortest path to it.
fn seeds(wishes: &[Wish], missing: &[Kind]) -> Vec<Vec<Wish>> {
    let mut seeds = vec![wishes.to_vec()];
    for (place, wish) in wishes.iter().enumerate().filter(|(_, w)| w.shortest_path || w.is_head_only()) {
        let mut changed = wishes.to_vec();
        for (_, version) in missing.iter().filter(|(okd, _)| *okd == wish.okd) {
            widen(&mut changed[place], version);
        }
        changed[place].shortest_path = true;
        seeds.push(changed);
    }
    seeds
}

/// Returns the ways to select what some wishes still miss.
fn settlements<G: Graphs>(ways: &mut Ways<'_, '_, G>, seed: &Tried) -> Result<Vec<Vec<Wish>>, G::Error> {
    let mut homes = Vec::new();
    for version in seed.missing() {
        if let Some(home) = home(ways, &version, seed.found.channels.get(&version))? {
            homes.push((version, home));
        }
    }
    let styles = [(true, false), (true, true), (false, false), (false, true)];
    let settled = styles.map(|(new_shortest, no_shortest)| {
        settled(&seed.wishes, &homes, Style { new_shortest, no_shortest })
    });
    Ok(if homes.is_empty() { Vec::new() } else { settled.into() })
}

/// Finds the wish that is to select a release: that for its minor version, else a new one for it, else any that can.
fn home<G: Graphs>(
    ways: &mut Ways<'_, '_, G>,
    (okd, version): &Kind,
    channels: Option<&Vec<String>>,
) -> Result<Option<Home>, G::Error> {
    let is_own = |name: &str| channel::parse(name).is_some_and(|(_, line)| line == version.line());
    let mut any = None;
    for (place, wish) in ways.fleet.wishes.iter().enumerate().filter(|(_, wish)| wish.okd == *okd) {
        if ways.known.get(*okd, &wish.channel)?.find(version).is_none() {
            continue;
        }
        if is_own(&wish.channel) {
            return Ok(Some(Home::Wish(place)));
        }
        any = any.or(Some(Home::Wish(place)));
    }
    let mut new = None;
    for name in channels.into_iter().flatten() {
        if ways.known.get(*okd, name)?.find(version).is_none() {
            continue;
        }
        if is_own(name) {
            return Ok(Some(Home::Channel(name.clone())));
        }
        new = new.or_else(|| Some(Home::Channel(name.clone())));
    }
    Ok(any.or(new))
}

/// Changes the wishes so that each release has its home.
fn settled(wishes: &[Wish], homes: &[(Kind, Home)], style: Style) -> Vec<Wish> {
    let mut changed = wishes.to_vec();
    let mut new: BTreeMap<(bool, &str), Wish> = BTreeMap::new();
    for ((okd, version), home) in homes {
        match home {
            Home::Wish(place) => {
                let wish = &mut changed[*place];
                widen(wish, version);
                wish.shortest_path &= !style.no_shortest;
            }
            Home::Channel(name) => {
                let wish = new.entry((*okd, name.as_str())).or_insert_with(|| Wish {
                    channel: name.clone(),
                    okd: *okd,
                    min: Some(version.clone()),
                    max: Some(version.clone()),
                    ..Wish::default()
                });
                widen(wish, version);
                wish.shortest_path = style.new_shortest && wish.min != wish.max;
            }
        }
    }
    // By version, as somebody would write them: `stable-4.9` comes before `stable-4.10`.
    let mut new: Vec<Wish> = new.into_values().collect();
    new.sort_by(|a, b| a.min.cmp(&b.min));
    changed.extend(new);
    changed
}

/// Widens the range of a wish to a version.
fn widen(wish: &mut Wish, version: &Version) {
    let is_head_only = wish.min.is_none() && wish.max.is_none() && !wish.full;
    match &wish.min {
        Some(min) if version < min => wish.min = Some(version.clone()),
        // What reaches down to the first release stays so.
        None if is_head_only => wish.min = Some(version.clone()),
        _ => {}
    }
    if wish.max.as_ref().is_some_and(|max| version > max) {
        wish.max = Some(version.clone());
    }
}
