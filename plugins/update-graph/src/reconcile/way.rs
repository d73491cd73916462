//! [`Ways`]: the ways of all clusters through what is mirrored.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::known::Known;
use super::{Cluster, Fleet, Hop, Kind, Selected, Way};
use crate::ask::{Asked, Graphs};
use crate::channel::{self, PREFIXES};
use crate::explain;
use crate::join::Joined;
use crate::problem::Problem;
use crate::search::route_through;
use crate::version::Version;

/// Finds ways to the targets.
pub(super) struct Ways<'a, 'g, G: Graphs> {
    pub(super) fleet: &'a Fleet,
    pub(super) known: &'a mut Known<'g, G>,
    /// That of OpenShift and that of OKD.
    pub(super) targets: [Option<Version>; 2],
}

/// The ways of all clusters, and what they need.
#[derive(Default)]
pub(super) struct Found {
    pub(super) ways: Vec<Way>,
    /// The releases that are needed, and by which clusters.
    pub(super) needed: BTreeMap<Kind, BTreeSet<String>>,
    /// The channels in which they were found.
    pub(super) channels: BTreeMap<Kind, Vec<String>>,
}

/// A route through channels.
struct Routed {
    joined: Rc<Joined>,
    /// Places in the joined graph.
    nodes: Vec<usize>,
}

impl<G: Graphs> Ways<'_, '_, G> {
    /// Finds the way of every cluster, those on lower versions first.
    pub(super) fn find(&mut self, selected: &Selected) -> Result<Found, G::Error> {
        let fleet = self.fleet;
        let mut order: Vec<(usize, &Cluster)> = fleet.clusters.iter().enumerate().collect();
        order.sort_by(|(_, a), (_, b)| start(a).cmp(start(b)).then_with(|| a.name.cmp(&b.name)));
        let mut found = Found { ways: vec![Way::default(); order.len()], ..Found::default() };
        for (place, cluster) in order {
            found.ways[place] = self.of_cluster(cluster, selected, &mut found)?;
        }
        Ok(found)
    }

    fn of_cluster(
        &mut self,
        cluster: &Cluster,
        selected: &Selected,
        found: &mut Found,
    ) -> Result<Way, G::Error> {
        let okd = cluster.version.is_okd();
        let from = start(cluster);
        let mut way = Way { cluster: cluster.name.clone(), from: Some(from.clone()), ..Way::default() };
        if let Some(to) = &cluster.updating_to {
            way.notes.push(format!("an update from {} to {to} is under way", cluster.version));
        }
        let Some(target) = self.targets[usize::from(okd)].clone() else {
            let what = if okd { "OKD" } else { "OpenShift" };
            let text =
                format!("the configuration mirrors no release of {what}, so there is nothing to update to");
            way.problem =
                Some(Problem::new("release.target", text).hint("name a version with --target X.Y.Z"));
            return Ok(way);
        };
        way.target = Some(target.clone());
        if *from > target {
            way.notes.push(format!("it is above {target} already"));
            return Ok(way);
        }
        let preferred = |version: &Version, found: &Found| {
            let kind = (okd, version.clone());
            selected.has(&kind) || found.needed.contains_key(&kind)
        };
        let Some(Routed { joined, nodes }) =
            self.route(okd, cluster, &target, |version| preferred(version, found))?
        else {
            way.problem = Some(self.nowhere(okd, from, &target));
            return Ok(way);
        };
        let versions: Vec<Version> =
            nodes.iter().map(|place| joined.graph.nodes()[*place].version.clone()).collect();
        self.hops(okd, cluster, &joined, &nodes, &mut way)?;
        eus_to_eus(cluster, &joined, from, &target, &mut way);
        for version in versions.into_iter().chain([cluster.version.clone()]) {
            let kind = (okd, version);
            found.channels.entry(kind.clone()).or_insert_with(|| joined.channels.clone());
            found.needed.entry(kind).or_default().insert(cluster.name.clone());
        }
        Ok(way)
    }

    /// Finds the way in the first kind of channels that has one.
    fn route(
        &mut self,
        okd: bool,
        cluster: &Cluster,
        target: &Version,
        preferred: impl Fn(&Version) -> bool,
    ) -> Result<Option<Routed>, G::Error> {
        let from = start(cluster);
        let accept = &self.fleet.options.accept;
        let through = |joined: Rc<Joined>| {
            let graph = &joined.graph;
            let (start, end) = graph.place(from).zip(graph.place(target))?;
            let is_preferred = |place: usize| preferred(&graph.nodes()[place].version);
            let nodes = route_through(graph, accept, start, end, is_preferred)?.nodes;
            Some(Routed { joined, nodes })
        };
        for prefix in self.prefixes(okd, cluster, target) {
            let joined = self.known.joined(okd, &prefix, from.line(), target.line())?;
            if let Some(routed) = joined.and_then(through) {
                return Ok(Some(routed));
            }
        }
        Ok(self.as_written(okd, cluster)?.and_then(through))
    }

    /// Returns kinds of channels to look in: those of the configuration, that of the cluster, the usual ones.
    fn prefixes(&self, okd: bool, cluster: &Cluster, target: &Version) -> Vec<String> {
        let wishes = self.fleet.wishes.iter().filter(|wish| wish.okd == okd);
        let mut wished: Vec<_> = wishes.filter_map(|wish| channel::parse(&wish.channel)).collect();
        wished.sort_by_key(|(_, line)| *line != target.line());
        let own = cluster.channel.as_deref().and_then(channel::parse);
        let usual = PREFIXES[..3].iter().copied().filter(|_| !okd);
        let mut prefixes: Vec<String> = Vec::new();
        for prefix in wished.into_iter().chain(own).map(|(prefix, _)| prefix).chain(usual) {
            if !prefixes.iter().any(|known| known == prefix) {
                prefixes.push(prefix.to_owned());
            }
        }
        prefixes
    }

    /// Returns the channels that the configuration and the cluster name, whatever their names are like.
    fn as_written(&mut self, okd: bool, cluster: &Cluster) -> Result<Option<Rc<Joined>>, G::Error> {
        let fleet = self.fleet;
        let wished = fleet.wishes.iter().filter(|wish| wish.okd == okd).map(|wish| wish.channel.as_str());
        let names: Vec<&str> = wished.chain(cluster.channel.as_deref()).collect();
        self.known.named(okd, &names)
    }

    fn hops(
        &mut self,
        okd: bool,
        cluster: &Cluster,
        joined: &Joined,
        nodes: &[usize],
        way: &mut Way,
    ) -> Result<(), G::Error> {
        let graph = &joined.graph;
        let mut current = cluster.channel.clone();
        for pair in nodes.windows(2) {
            let Some(edge) = graph.edge(pair[0], pair[1]) else { continue };
            let (from, to) = (&graph.nodes()[pair[0]], &graph.nodes()[pair[1]]);
            let channel = self.channel(okd, current.as_deref(), joined, &from.version, &to.version)?;
            let risks = graph.risks_of(edge);
            let is_conditional = edge.condition().is_some();
            way.steps.push(Hop {
                from: from.version.clone(),
                to: to.version.clone(),
                switch: current.as_ref() != Some(&channel),
                channel: channel.clone(),
                payload: to.payload.clone(),
                mirrored: false,
                is_conditional,
                is_accepted: !is_conditional || self.fleet.options.accept.covers(risks),
                risks: risks.to_vec(),
            });
            current = Some(channel);
        }
        Ok(())
    }

    /// Finds the channel that offers an update: that of the cluster if it can, else the last of the way, else that of the
    /// version to update to.
    fn channel(
        &mut self,
        okd: bool,
        current: Option<&str>,
        joined: &Joined,
        from: &Version,
        to: &Version,
    ) -> Result<String, G::Error> {
        let last = joined.channels.last().map(String::as_str);
        let own = joined.channels.iter().map(String::as_str);
        let own = own.filter(|name| channel::parse(name).is_some_and(|(_, line)| line == to.line()));
        let all = joined.channels.iter().map(String::as_str);
        for name in current.into_iter().chain(last).chain(own).chain(all) {
            let graph = self.known.get(okd, name)?;
            let places = graph.place(from).zip(graph.place(to));
            if places.is_some_and(|(from, to)| graph.edge(from, to).is_some()) {
                return Ok(name.to_owned());
            }
        }
        Ok(last.unwrap_or_default().to_owned())
    }

    /// Says why there is no way.
    fn nowhere(&mut self, okd: bool, from: &Version, to: &Version) -> Problem {
        let asked = &mut Asked::new(self.known);
        let of_each = [from, to].map(|version| {
            let names: Vec<String> = explain::channels_having(asked, okd, version).into_iter().collect();
            match names.is_empty() {
                true => format!("{version} is in no channel of its minor version"),
                false => format!("{version} is in {}", explain::quoted(&names)),
            }
        });
        let text = format!("there is no update path from {from} to {to}");
        let problem = Problem::new("release.path", text);
        if okd { problem } else { problem.hint(of_each.join("; ")) }
    }
}

/// Where the way of a cluster begins.
fn start(cluster: &Cluster) -> &Version {
    cluster.updating_to.as_ref().unwrap_or(&cluster.version)
}

/// Notes that workers can stay where they are on the way from one EUS release to another.
fn eus_to_eus(cluster: &Cluster, joined: &Joined, from: &Version, to: &Version, way: &mut Way) {
    let names = cluster.channel.iter().chain(&joined.channels);
    let is_eus = names.filter_map(|name| channel::parse(name)).any(|(prefix, _)| prefix == "eus");
    let both = from.minor().is_multiple_of(2) && to.minor().is_multiple_of(2);
    if is_eus && both && from.major() == to.major() && to.minor() == from.minor() + 2 {
        way.notes.push(format!(
            "from EUS to EUS: pools of workers can be paused until the control plane is at {to}"
        ));
    }
}
