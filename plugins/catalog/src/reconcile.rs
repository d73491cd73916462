//! [`reconcile`]: how installed operators get to the heads that are mirrored, and how entries have to change for it.

mod change;
mod openshift;
#[cfg(test)]
mod tests;
mod way;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::Catalog;
use crate::problem::Problem;
use crate::select::{Selection, State, select};
use crate::settings::{Entry, Rules};
pub use openshift::Block;
use way::{Leg, Position};
pub use way::{OperatorHop, Stage};

/// An operator on a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Installed {
    /// The cluster.
    pub cluster: String,
    /// The package.
    pub package: String,
    /// The channels that it may follow; the default channel where none is named.
    #[serde(default)]
    pub channels: Vec<String>,
    /// The bundle that is installed.
    #[serde(default)]
    pub bundle: Option<String>,
    /// Its version.
    #[serde(default)]
    pub version: Option<String>,
    /// The highest minor version of OpenShift that it may run on, as the cluster has it.
    #[serde(default)]
    pub max_openshift: Option<String>,
    /// The minor versions of OpenShift that the cluster is to be updated to, in order.
    #[serde(default)]
    pub passes: Vec<String>,
    /// Which of the offers its catalog is, in the order in which the cluster has them.
    #[serde(skip)]
    pub offers: Vec<usize>,
}

/// A catalog, and what is mirrored of it.
#[derive(Clone, Debug)]
pub struct Offer<'a> {
    /// The catalog, as far as it matters.
    pub catalog: &'a Catalog,
    /// The entry of the configuration.
    pub entry: Entry,
    /// Tells whether the configuration does not have the entry yet. One without packages then has none.
    pub is_new: bool,
}

/// How operators get there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// The way of each operator, as they were given.
    pub ways: Vec<OperatorWay>,
    /// What is on these ways and not mirrored.
    pub missing: Vec<MissingBundle>,
    /// The entries of the offers, with what they need to mirror everything that is missing.
    pub entries: Vec<Entry>,
    /// What somebody could do without.
    pub remarks: Vec<String>,
}

/// The way of an operator, through one catalog after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorWay {
    /// The cluster.
    pub cluster: String,
    /// The package.
    pub package: String,
    /// The bundle that is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The ways through each catalog.
    pub stages: Vec<Stage>,
    /// What has to happen before the cluster is updated to a minor version of OpenShift.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<Block>,
    /// What somebody should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why there is no way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// What of a bundle's place is not mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Lacking {
    /// The whole catalog.
    Catalog,
    /// The whole package.
    Package,
    /// The whole channel.
    Channel,
    /// Only the bundle.
    Bundle,
}

/// A bundle that some cluster needs and that is not mirrored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MissingBundle {
    /// What of its place is missing.
    pub what: Lacking,
    /// The catalog.
    pub catalog: String,
    /// The package.
    pub package: String,
    /// The channel.
    pub channel: String,
    /// The bundle.
    pub bundle: String,
    /// The clusters that need it.
    pub needed_by: Vec<String>,
    /// Tells whether the changed entries mirror it.
    pub closed: bool,
}

/// What an operator needs of a channel of an offer.
#[derive(Clone, Debug)]
struct Need {
    offer: usize,
    package: String,
    cluster: String,
    from: Position,
    /// Whether it is what is installed now.
    is_first: bool,
    leg: Leg,
}

/// What the entries of all offers select; the error says why nothing can be selected.
type Selections = Vec<Result<Selection, String>>;

/// Finds the ways of operators to the heads that are mirrored, and the smallest change of the entries by which every
/// bundle on them is mirrored: of the changes that close all gaps it is the one that mirrors the fewest bundles.
///
/// What is installed counts as on the way where the catalog still has it: its images are needed while it runs. An
/// operator goes through its offers in their order, from the head of one to that of the next.
pub fn reconcile(offers: &[Offer<'_>], rules: Rules, installed: &[Installed]) -> Reconciled {
    let before: Selections = offers.iter().map(|offer| selected(offer, &offer.entry, rules)).collect();
    let (_, needs) = ways(offers, &before, installed);
    let mut result = Reconciled::default();
    for (place, offer) in offers.iter().enumerate() {
        let mut entry = offer.entry.clone();
        let own: Vec<&Need> = needs.iter().filter(|need| need.offer == place).collect();
        let packages: BTreeSet<&str> = own.iter().map(|need| need.package.as_str()).collect();
        for package in packages {
            let of_package: Vec<&Need> = own.iter().copied().filter(|need| need.package == package).collect();
            entry = change::improve(offer, entry, rules, package, &of_package);
        }
        result.entries.push(entry);
    }
    let after: Selections =
        offers.iter().zip(&result.entries).map(|(offer, entry)| selected(offer, entry, rules)).collect();
    let (ways, needs) = ways(offers, &after, installed);
    result.ways = ways;
    for way in &mut result.ways {
        for stage in &mut way.stages {
            let kept = before.get(stage.offer).and_then(|kept| kept.as_ref().ok());
            for hop in &mut stage.hops {
                hop.mirrored =
                    kept.is_some_and(|kept| keeps(kept, &way.package, &stage.channel, &hop.bundle));
            }
        }
    }
    result.missing = missing(offers, &before, &after, &needs);
    result.remarks = remarks(offers, installed);
    result
}

/// Selects what an entry asks for.
fn selected(offer: &Offer<'_>, entry: &Entry, rules: Rules) -> Result<Selection, String> {
    if offer.is_new && entry.listed().is_empty() {
        let nothing = Entry { full: true, ..entry.clone() };
        let empty = Catalog::default();
        return select(&empty, &nothing, rules, &State::default()).map_err(|problems| problems.to_string());
    }
    select(offer.catalog, entry, rules, &State::default()).map_err(|problems| problems.to_string())
}

fn keeps(selection: &Selection, package: &str, channel: &str, bundle: &str) -> bool {
    let channel = selection.package(package).and_then(|package| package.channel(channel));
    channel.is_some_and(|channel| channel.has(bundle))
}

/// Finds the ways of all operators, and what they need of the offers.
fn ways(
    offers: &[Offer<'_>],
    selections: &Selections,
    installed: &[Installed],
) -> (Vec<OperatorWay>, Vec<Need>) {
    let mut needs = Vec::new();
    let ways = installed.iter().map(|operator| way_of(offers, selections, operator, &mut needs)).collect();
    (ways, needs)
}

fn way_of(
    offers: &[Offer<'_>],
    selections: &Selections,
    operator: &Installed,
    needs: &mut Vec<Need>,
) -> OperatorWay {
    let mut way = OperatorWay {
        cluster: operator.cluster.clone(),
        package: operator.package.clone(),
        bundle: operator.bundle.clone(),
        version: operator.version.clone(),
        ..OperatorWay::default()
    };
    let mut at = Position::of(operator);
    let mut channels = operator.channels.clone();
    if operator.bundle.is_none() {
        way.notes.push("it is not installed yet".to_owned());
    }
    for &offer in &operator.offers {
        let (Some(Offer { catalog, entry, .. }), Some(selection)) =
            (offers.get(offer), selections.get(offer))
        else {
            continue;
        };
        let selection = match selection {
            Ok(selection) => selection,
            Err(reason) => {
                let text = format!("the configuration's entry for `{}` cannot be used", entry.catalog);
                way.problem = Some(Problem::new("operators.selection", text).hint(reason.as_str()));
                return way;
            }
        };
        let Some(package) = catalog.package(&operator.package) else {
            way.notes.push(format!("`{}` does not have the package", entry.catalog));
            continue;
        };
        match way::find(package, selection.package(&package.name), &channels, &at) {
            Ok(leg) => {
                let is_first = way.stages.is_empty();
                way.notes.extend(leg.note.clone());
                way.stages.push(Stage::of(package, &entry.catalog, offer, &leg));
                let next = Position::at(package, &leg.head);
                channels = vec![leg.channel.clone()];
                needs.push(Need {
                    offer,
                    package: package.name.clone(),
                    cluster: operator.cluster.clone(),
                    from: std::mem::replace(&mut at, next),
                    is_first,
                    leg,
                });
            }
            Err(problem) => {
                way.problem = Some(problem);
                return way;
            }
        }
    }
    if way.stages.is_empty() {
        let text = "no catalog of the configuration has the package";
        way.problem = Some(Problem::new("operators.unknown-package", text));
        return way;
    }
    openshift::judge(offers, operator, &mut way);
    way
}

/// Lists what is needed and was not mirrored.
fn missing(
    offers: &[Offer<'_>],
    before: &Selections,
    after: &Selections,
    needs: &[Need],
) -> Vec<MissingBundle> {
    let mut found: BTreeMap<(usize, &str, &str, &str), BTreeSet<&str>> = BTreeMap::new();
    let has = |selections: &Selections, offer: usize, package: &str, channel: &str, bundle: &str| {
        let kept = selections.get(offer).and_then(|kept| kept.as_ref().ok());
        kept.is_some_and(|kept| keeps(kept, package, channel, bundle))
    };
    for need in needs {
        let Some(package) = offers[need.offer].catalog.package(&need.package) else { continue };
        for bundle in need.bundles(package) {
            if !has(before, need.offer, &need.package, &need.leg.channel, bundle) {
                let key = (need.offer, need.package.as_str(), need.leg.channel.as_str(), bundle);
                found.entry(key).or_default().insert(&need.cluster);
            }
        }
    }
    let lacking = |offer: usize, package: &str, channel: &str| {
        let kept =
            before.get(offer).and_then(|kept| kept.as_ref().ok()).and_then(|kept| kept.package(package));
        match kept {
            _ if offers[offer].is_new => Lacking::Catalog,
            None => Lacking::Package,
            Some(kept) if kept.channel(channel).is_none() => Lacking::Channel,
            Some(_) => Lacking::Bundle,
        }
    };
    let missing = found.into_iter().map(|((offer, package, channel, bundle), clusters)| MissingBundle {
        what: lacking(offer, package, channel),
        catalog: offers[offer].entry.catalog.clone(),
        package: package.to_owned(),
        channel: channel.to_owned(),
        bundle: bundle.to_owned(),
        needed_by: clusters.into_iter().map(str::to_owned).collect(),
        closed: has(after, offer, package, channel, bundle),
    });
    missing.collect()
}

/// Says which packages and catalogs no cluster uses.
fn remarks(offers: &[Offer<'_>], installed: &[Installed]) -> Vec<String> {
    let mut remarks = Vec::new();
    for (place, offer) in offers.iter().enumerate().filter(|(_, offer)| !offer.is_new) {
        let catalog = &offer.entry.catalog;
        let used: BTreeSet<&str> = installed
            .iter()
            .filter(|operator| operator.offers.contains(&place))
            .map(|operator| operator.package.as_str())
            .collect();
        if used.is_empty() {
            remarks.push(format!("`{catalog}`: no cluster has an operator of it"));
            continue;
        }
        let unused = offer.entry.listed().iter().filter(|package| !used.contains(package.name.as_str()));
        remarks.extend(
            unused.map(|package| format!("`{catalog}`: no cluster has the package `{}`", package.name)),
        );
    }
    remarks
}
