//! Answers what there is: versions, the releases of a channel, the channels of a version, the updates from one release
//! to another.
//!
//! | question | arguments | answer |
//! |---|---|---|
//! | `versions` | `repository` | `versions`: the minor versions of which the repository has releases |
//! | `channel` | `channel`, `architectures`, `okd` | `graphs`: for each architecture the `versions` |
//! | `graph` | `channel`, `architecture`, `okd` | see [`of_graph`] |
//! | `channels` | `version`, `architecture`, `okd` | `channels`: their names |
//! | `reconcile` | `clusters`, `target` | see [`reconcile`] |
//! | `updates` | `from`, `to`, `channel`, `architecture`, `okd`, `acceptRisks`, `svg` | the path, and a picture of it |

use std::collections::{BTreeMap, BTreeSet};

use oc_mirror_plugin_sdk::host::registry;
use oc_mirror_plugin_sdk::{Error, about, other, with_hint};
use oc_mirror_update_graph::{Graph, Graphs, Question, Risk, Version, path, svg};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::fault;
use crate::reconcile;
use crate::settings::{Settings, accept};
use crate::updates::Updates;

/// How many tags are asked for at once.
const PAGE: u32 = 1000;
/// Where channels of a version are looked up, in this order.
const PREFIXES: [&str; 4] = ["stable", "fast", "candidate", "eus"];

#[derive(Deserialize)]
struct Versions {
    repository: String,
}

#[derive(Deserialize)]
struct OfChannel {
    channel: String,
    architectures: Vec<String>,
    #[serde(default)]
    okd: bool,
}

#[derive(Deserialize)]
struct OfGraph {
    channel: String,
    architecture: String,
    #[serde(default)]
    okd: bool,
}

#[derive(Deserialize)]
struct OfVersion {
    version: String,
    architecture: String,
    #[serde(default)]
    okd: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FromTo {
    from: Version,
    to: Version,
    #[serde(default)]
    channel: Option<String>,
    architecture: String,
    #[serde(default)]
    okd: bool,
    #[serde(default)]
    accept_risks: Vec<String>,
    #[serde(default)]
    svg: bool,
}

/// Answers a question.
pub(crate) fn answer(settings: &Settings, question: &str, arguments: &str) -> Result<String, Error> {
    let answer = match question {
        "versions" => versions(&parse(arguments)?),
        "channel" => of_channel(settings, &parse(arguments)?),
        "channels" => of_version(settings, &parse(arguments)?),
        "graph" => {
            let OfGraph { channel, architecture, okd } = parse(arguments)?;
            let graph =
                Updates::new(&settings.servers, &settings.client, &architecture).get(okd, &channel)?;
            if graph.is_empty() {
                Err(no_releases(&architecture, &channel))
            } else {
                Ok(of_graph(&channel, &graph))
            }
        }
        "reconcile" => reconcile::answer(settings, parse(arguments)?),
        "updates" => updates(settings, parse(arguments)?),
        _ => Err(Error::Invalid(format!("there is no question `{question}`"))),
    };
    answer.map(|answer| answer.to_string())
}

fn parse<T: DeserializeOwned>(arguments: &str) -> Result<T, Error> {
    serde_json::from_str(arguments).map_err(|e| Error::Invalid(format!("the arguments cannot be read: {e}")))
}

/// Lists the minor versions that tags of a repository name.
fn versions(asked: &Versions) -> Result<Value, Error> {
    let mut found: BTreeSet<(u64, u64)> = BTreeSet::new();
    let mut after: Option<String> = None;
    loop {
        let tags = registry::tags(&asked.repository, after.as_deref(), PAGE)
            .map_err(|error| about(error, &asked.repository))?;
        found.extend(tags.iter().filter_map(|tag| minor(tag)));
        match tags.into_iter().last() {
            Some(last) if after.as_ref() != Some(&last) => after = Some(last),
            _ => break,
        }
    }
    let versions: Vec<String> = found.iter().map(|(major, minor)| format!("{major}.{minor}")).collect();
    Ok(json!({ "repository": asked.repository, "versions": versions }))
}

/// Returns the two numbers that a tag begins with.
fn minor(tag: &str) -> Option<(u64, u64)> {
    let mut numbers = tag.splitn(3, '.');
    let (major, minor) = (numbers.next()?, numbers.next()?);
    numbers.next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn of_channel(settings: &Settings, asked: &OfChannel) -> Result<Value, Error> {
    let mut graphs = Vec::new();
    for architecture in &asked.architectures {
        let mut updates = Updates::new(&settings.servers, &settings.client, architecture);
        let graph = updates.get(asked.okd, &asked.channel)?;
        if graph.is_empty() {
            return Err(no_releases(architecture, &asked.channel));
        }
        let mut versions: Vec<&Version> = graph.nodes().iter().map(|node| &node.version).collect();
        versions.sort();
        let versions: Vec<String> = versions.into_iter().map(Version::to_string).collect();
        graphs.push(json!({ "architecture": architecture, "versions": versions }));
    }
    Ok(json!({ "channel": asked.channel, "graphs": graphs }))
}

fn no_releases(architecture: &str, channel: &str) -> Error {
    let text = format!("there are no releases for {architecture} in the channel `{channel}`");
    let hint = "`oc-mirror list releases --channels --version X.Y` lists the channels of a version";
    with_hint(other("release.channel", text), hint)
}

/// Tells a whole graph: `nodes` by ascending version (version, payload, url), `edges` as pairs of places in them, and
/// `conditional` as edges with the place of their `risks`.
fn of_graph(channel: &str, graph: &Graph) -> Value {
    let mut rank = vec![0; graph.nodes().len()];
    let mut nodes = Vec::with_capacity(rank.len());
    for (at, (place, node)) in graph.placed_ascending().enumerate() {
        rank[place] = at;
        let version = node.version.to_string();
        nodes.push(json!({ "version": version, "payload": node.payload, "url": node.url() }));
    }
    let (mut edges, mut conditional) = (Vec::new(), Vec::new());
    let (mut risks, mut known) = (Vec::new(), BTreeMap::new());
    for (from, to, of_edge) in graph.all_updates() {
        if of_edge.is_empty() {
            edges.push([rank[from], rank[to]]);
            continue;
        }
        // Many updates have the same risks, and those are in one place.
        let place = *known.entry(of_edge.as_ptr()).or_insert_with(|| {
            risks.push(of_edge.iter().map(risk).collect::<Value>());
            risks.len() - 1
        });
        conditional.push([rank[from], rank[to], place]);
    }
    json!({
        "channel": channel,
        "channels": graph.channels(),
        "nodes": nodes,
        "edges": edges,
        "conditional": conditional,
        "risks": risks,
    })
}

fn risk(risk: &Risk) -> Value {
    json!({ "name": risk.name, "message": risk.message, "url": risk.url })
}

/// Lists the channels that the releases of a version are in.
fn of_version(settings: &Settings, asked: &OfVersion) -> Result<Value, Error> {
    let mut updates = Updates::new(&settings.servers, &settings.client, &asked.architecture);
    for prefix in PREFIXES {
        let graph = updates.get(asked.okd, &format!("{prefix}-{}", asked.version))?;
        let channels: BTreeSet<&str> = graph.nodes().iter().flat_map(|node| node.channels()).collect();
        if !channels.is_empty() {
            return Ok(
                json!({ "version": asked.version, "architecture": asked.architecture, "channels": channels }),
            );
        }
    }
    let text = format!("no channel has releases of {} for {}", asked.version, asked.architecture);
    Err(with_hint(
        other("release.channel", text),
        "`oc-mirror list releases` lists the versions that there are",
    ))
}

fn updates(settings: &Settings, asked: FromTo) -> Result<Value, Error> {
    let FromTo { from, to, channel, architecture, okd, accept_risks, svg: draw } = asked;
    let mut updates = Updates::new(&settings.servers, &settings.client, &architecture);
    let question = Question { from, to, channel, okd, accept: accept(&accept_risks) };
    let found = path(&question, &mut updates).map_err(fault::of_selection)?;
    let mut answer = serde_json::to_value(&found).map_err(|e| other("release.updates", e.to_string()))?;
    answer["architecture"] = architecture.into();
    if draw {
        answer["svg"] = svg::draw(&found.graph, &found).into();
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn a_graph_is_told_by_ascending_version() {
        let graph = Graph::parse(
            br#"{"version":1,"nodes":[
                {"version":"4.10.1","payload":"r.example/c@sha256:c"},
                {"version":"4.9.1","payload":"r.example/a@sha256:a"},
                {"version":"4.10.0","payload":"r.example/b@sha256:b"}],
              "edges":[[1,2]],
              "conditionalEdges":[{"edges":[{"from":"4.9.1","to":"4.10.1"},{"from":"4.10.0","to":"4.10.1"}],
                "risks":[{"name":"Slow","message":"It is slow.","url":"https://r.example","matchingRules":[{"type":"Always"}]}]}]}"#,
        )
        .expect("a graph");
        let told = of_graph("stable-4.10", &graph);
        let versions: Vec<&Value> =
            told["nodes"].as_array().expect("a list").iter().map(|n| &n["version"]).collect();
        assert_eq!(versions, ["4.9.1", "4.10.0", "4.10.1"]);
        assert_eq!(told["edges"], json!([[0, 1]]));
        let mut conditional: Vec<&Value> = told["conditional"].as_array().expect("a list").iter().collect();
        conditional.sort_by_key(|edge| edge[0].as_u64());
        assert_eq!(conditional, [&json!([0, 2, 0]), &json!([1, 2, 0])]);
        assert_eq!(
            told["risks"],
            json!([[{ "name": "Slow", "message": "It is slow.", "url": "https://r.example" }]])
        );
    }

    #[rstest]
    #[case("4.18.1-x86_64", Some((4, 18)))]
    #[case("4.0.0-0.9-x86_64", Some((4, 0)))]
    #[case("sha256-abc.sig", None)]
    #[case("4.18", None)]
    fn minors(#[case] tag: &str, #[case] expected: Option<(u64, u64)>) {
        assert_eq!(minor(tag), expected);
    }
}
