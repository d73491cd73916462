//! [`reconcile`]: how clusters get to a version with what the wishes mirror, and how the wishes have to change for it.

mod change;
mod known;
#[cfg(test)]
mod tests;
mod way;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ask::Graphs;
use crate::graph::Risk;
use crate::problem::{Problem, SelectError};
use crate::select::{Options, Selection, Wish, select};
use crate::version::Version;
use known::Known;
use way::Ways;

/// A cluster, as far as its releases go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// Its name, for the answer.
    pub name: String,
    /// The release that it runs.
    pub version: Version,
    /// The release that it is being updated to, if it is.
    #[serde(default)]
    pub updating_to: Option<Version>,
    /// The channel that it follows.
    #[serde(default)]
    pub channel: Option<String>,
}

/// What somebody wants to know about clusters of one architecture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    /// The clusters.
    pub clusters: Vec<Cluster>,
    /// The version to bring them to; the highest that the wishes select where none is given.
    pub target: Option<Version>,
    /// What is mirrored.
    pub wishes: Vec<Wish>,
    /// What it was changed to before, for clusters of all architectures; where it is given, nothing is changed.
    pub changed: Option<Vec<Wish>>,
    /// What decides besides the wishes.
    pub options: Options,
}

/// How the clusters get there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// The way of each cluster, as the clusters were given.
    pub ways: Vec<Way>,
    /// The releases on these ways that are not mirrored, by ascending version.
    pub missing: Vec<MissingRelease>,
    /// The wishes as they were, with what they need to mirror everything that is missing. Their places stay; new ones
    /// come last.
    pub wishes: Vec<Wish>,
    /// What somebody could do without, or should know.
    pub remarks: Vec<String>,
}

/// The way of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Way {
    /// The cluster.
    pub cluster: String,
    /// Where it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Version>,
    /// Where it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Version>,
    /// The updates, in order; none if there is nothing to do, or no way.
    pub steps: Vec<Hop>,
    /// What somebody should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why there is no way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// An update on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hop {
    /// The version to update from.
    pub from: Version,
    /// The version to update to.
    pub to: Version,
    /// The channel to be in for it.
    pub channel: String,
    /// Tells whether the cluster has to be switched to that channel first.
    pub switch: bool,
    /// The release image to update to.
    pub payload: String,
    /// Tells whether the wishes, as they were, mirror that release.
    pub mirrored: bool,
    /// Tells whether the update is recommended on conditions only.
    pub is_conditional: bool,
    /// Tells whether all risks are accepted.
    pub is_accepted: bool,
    /// The risks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub risks: Vec<Risk>,
}

/// A release that some cluster needs and that is not mirrored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MissingRelease {
    /// The version.
    pub version: Version,
    /// The clusters that need it.
    pub needed_by: Vec<String>,
    /// Tells whether the changed wishes mirror it.
    pub closed: bool,
}

/// A version of OpenShift, or of OKD.
pub(crate) type Kind = (bool, Version);

/// Finds the ways of clusters to a version, and the smallest change of the wishes by which all releases on them are
/// mirrored: of the changes that close all gaps it is the one that mirrors the fewest releases.
///
/// A cluster's own release counts as on its way: an update service only knows of updates from releases that it has.
/// A way prefers releases that are mirrored, or needed by a cluster on a lower version, unless that means a risk.
pub fn reconcile<G: Graphs>(fleet: &Fleet, graphs: &mut G) -> Result<Reconciled, G::Error> {
    let mut known = Known::new(graphs);
    let before = match select(&fleet.wishes, &fleet.options, &mut known) {
        Ok(selection) => Selected::of(&selection),
        Err(SelectError::Graphs(error)) => return Err(error),
        Err(SelectError::Problems(problems)) => return Ok(unusable(fleet, &problems)),
    };
    let targets = [false, true].map(|okd| fleet.target.clone().or_else(|| before.highest(okd)));
    let mut ways = Ways { fleet, known: &mut known, targets };
    let (wishes, after) = match &fleet.changed {
        None => change::improve(&mut ways, &before)?,
        Some(changed) => match select(changed, &fleet.options, ways.known) {
            Ok(selection) => (changed.clone(), Selected::of(&selection)),
            Err(SelectError::Graphs(error)) => return Err(error),
            // What is right for one architecture may not be for another.
            Err(SelectError::Problems(_)) => (fleet.wishes.clone(), before.clone()),
        },
    };
    let found = ways.find(&after)?;
    let mut result = Reconciled { wishes, ..Reconciled::default() };
    for (version, needed_by) in &found.needed {
        if !before.has(version) {
            let closed = after.has(version);
            let needed_by = needed_by.iter().cloned().collect();
            result.missing.push(MissingRelease { version: version.1.clone(), needed_by, closed });
        }
    }
    result.remarks = remarks(fleet, &mut known, &found.needed)?;
    result.ways = found.ways;
    for way in &mut result.ways {
        let okd = way.from.as_ref().is_some_and(Version::is_okd);
        for hop in &mut way.steps {
            hop.mirrored = before.has(&(okd, hop.to.clone()));
        }
    }
    Ok(result)
}

/// The releases that some wishes select.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selected {
    versions: BTreeSet<Kind>,
}

impl Selected {
    pub(crate) fn of(selection: &Selection) -> Self {
        let versions = selection.releases.iter().map(|release| (release.okd, release.version.clone()));
        Self { versions: versions.collect() }
    }

    pub(crate) fn has(&self, version: &Kind) -> bool {
        self.versions.contains(version)
    }

    pub(crate) fn count(&self) -> usize {
        self.versions.len()
    }

    fn highest(&self, okd: bool) -> Option<Version> {
        self.versions.iter().filter(|(kind, _)| *kind == okd).map(|(_, version)| version.clone()).next_back()
    }
}

/// The answer where the wishes themselves are wrong.
fn unusable(fleet: &Fleet, problems: &[Problem]) -> Reconciled {
    let texts: Vec<String> = problems.iter().map(Problem::to_string).collect();
    let problem = Problem::new("release.selection", "the configuration's own channels cannot be used")
        .hint(texts.join("; "));
    let ways = fleet.clusters.iter().map(|cluster| Way {
        cluster: cluster.name.clone(),
        from: Some(cluster.version.clone()),
        problem: Some(problem.clone()),
        ..Way::default()
    });
    Reconciled { ways: ways.collect(), wishes: fleet.wishes.clone(), ..Reconciled::default() }
}

/// Says which wishes no cluster needs, and which reach lower than any cluster needs.
fn remarks<G: Graphs>(
    fleet: &Fleet,
    known: &mut Known<'_, G>,
    needed: &BTreeMap<Kind, BTreeSet<String>>,
) -> Result<Vec<String>, G::Error> {
    let mut remarks = Vec::new();
    for wish in &fleet.wishes {
        let alone = match select(std::slice::from_ref(wish), &fleet.options, known) {
            Ok(selection) => Selected::of(&selection),
            Err(SelectError::Graphs(error)) => return Err(error),
            Err(SelectError::Problems(_)) => continue,
        };
        let used: Vec<&Version> =
            needed.keys().filter(|version| alone.has(version)).map(|(_, version)| version).collect();
        match (used.first(), &wish.min) {
            (None, _) => {
                remarks.push(format!("channel `{}`: no cluster needs a release of it", wish.channel))
            }
            (Some(lowest), Some(min)) if *lowest > min => remarks.push(format!(
                "channel `{}` begins with {min}, and no cluster needs a release below {lowest}",
                wish.channel
            )),
            _ => {}
        }
    }
    Ok(remarks)
}
