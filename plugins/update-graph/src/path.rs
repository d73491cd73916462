//! [`path`]: how to update from one version to another.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde::Serialize;

use crate::ask::{Asked, Graphs};
use crate::channel::PREFIXES;
use crate::explain;
use crate::graph::{Graph, Risk};
use crate::join::{Joined, join, reaching_back};
use crate::problem::{Note, Problem, SelectError};
use crate::search::{Accept, route};
use crate::version::Version;

/// What somebody wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The version to update from.
    pub from: Version,
    /// The version to update to.
    pub to: Version,
    /// The channel; without one, `stable`, `fast` and `candidate` channels are tried in this order.
    pub channel: Option<String>,
    /// Tells whether the versions are OKD's.
    pub okd: bool,
    /// Which risks of conditional updates are accepted.
    pub accept: Accept,
}

/// The best way from one version to another.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdatePath {
    /// The version to update from.
    pub from: Version,
    /// The version to update to.
    pub to: Version,
    /// The channels that were searched.
    pub channels: Vec<String>,
    /// The updates in order; none if the versions are the same.
    pub steps: Vec<Step>,
    /// The updates with unaccepted risks that a shorter path would have used.
    pub avoided: Vec<Step>,
    /// What a user should know.
    pub notes: Vec<Note>,
    /// The graph that was searched, of all channels together.
    #[serde(skip)]
    pub graph: Rc<Graph>,
}

/// An update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The version to update from.
    pub from: Version,
    /// The version to update to.
    pub to: Version,
    /// The release image to update to.
    pub payload: String,
    /// The channels that have the release to update to.
    pub channels: Vec<String>,
    /// Tells whether the update is recommended on conditions only.
    pub is_conditional: bool,
    /// Tells whether all risks are accepted.
    pub is_accepted: bool,
    /// The risks.
    pub risks: Vec<Risk>,
}

/// Finds the best way from one version to another: one without unaccepted risks if there is any, else one with the
/// fewest such updates; of these the shortest, with the highest versions first.
pub fn path<G: Graphs>(question: &Question, graphs: &mut G) -> Result<UpdatePath, SelectError<G::Error>> {
    let Question { from, to, channel, okd, accept: _ } = question;
    if from > to {
        let text = format!("{from} is above {to}, and clusters are not updated to lower versions");
        return Err(Problem::new("release.range", text).hint("give the lower version as the first").into());
    }
    let asked = &mut Asked::new(graphs);
    if let Some(channel) = channel {
        let joined = reaching_back(asked, *okd, channel, from)?;
        let missing: Vec<Problem> = ends(question)
            .into_iter()
            .filter(|version| joined.graph.find(version).is_none())
            .map(|version| explain::no_version(asked, *okd, &joined.channels, &joined.graph, version))
            .collect();
        if !missing.is_empty() {
            return Err(SelectError::Problems(missing));
        }
        let channels = joined.channels.clone();
        return answer(question, joined).ok_or_else(|| no_path(question, &channels).into());
    }

    let mut searched = Vec::new();
    for prefix in &PREFIXES[..3] {
        let joined = join(asked, *okd, prefix, (from.line(), to.line()), None)?;
        if ends(question).iter().all(|version| joined.graph.find(version).is_some()) {
            searched.extend(joined.channels.iter().cloned());
            if let Some(answer) = answer(question, joined) {
                return Ok(answer);
            }
        }
    }
    match searched.is_empty() {
        true => Err(nowhere(asked, question).into()),
        false => Err(no_path(question, &searched).into()),
    }
}

/// The versions that have to be there, each once.
fn ends(question: &Question) -> BTreeSet<&Version> {
    BTreeSet::from([&question.from, &question.to])
}

fn answer(question: &Question, joined: Joined) -> Option<UpdatePath> {
    let Joined { channels, graph } = joined;
    let (start, end) = (graph.place(&question.from)?, graph.place(&question.to)?);
    let route = route(&graph, &question.accept, start, end)?;
    let mut notes = Vec::new();
    explain::about_risks(&graph, &question.accept, &route, &mut notes);
    let steps = |nodes: &[usize]| -> Vec<Step> {
        nodes.windows(2).filter_map(|pair| step(&graph, &question.accept, pair[0], pair[1])).collect()
    };
    let avoided = steps(route.shorter.as_deref().unwrap_or_default());
    Some(UpdatePath {
        from: question.from.clone(),
        to: question.to.clone(),
        channels,
        steps: steps(&route.nodes),
        avoided: avoided.into_iter().filter(|step| step.is_conditional && !step.is_accepted).collect(),
        notes,
        graph: Rc::clone(&graph),
    })
}

fn step(graph: &Graph, accept: &Accept, from: usize, to: usize) -> Option<Step> {
    let edge = graph.edge(from, to)?;
    let (from, to) = (&graph.nodes()[from], &graph.nodes()[to]);
    let risks = graph.risks_of(edge);
    let is_conditional = edge.condition().is_some();
    Some(Step {
        from: from.version.clone(),
        to: to.version.clone(),
        payload: to.payload.clone(),
        channels: to.channels().into_iter().map(str::to_owned).collect(),
        is_conditional,
        is_accepted: !is_conditional || accept.covers(risks),
        risks: risks.to_vec(),
    })
}

fn no_path(question: &Question, channels: &[String]) -> Problem {
    let text = format!(
        "there is no update path from {} to {} in {}",
        question.from,
        question.to,
        explain::quoted(channels)
    );
    Problem::new("release.path", text).hint("look for a version between them that has updates to both sides")
}

/// Says which channels have which of the versions.
fn nowhere<G: Graphs>(asked: &mut Asked<'_, G>, question: &Question) -> Problem {
    let text = format!("no kind of channel has both {} and {}", question.from, question.to);
    let having: Vec<String> = ends(question)
        .into_iter()
        .map(|version| {
            let names: Vec<String> =
                explain::channels_having(asked, question.okd, version).into_iter().collect();
            match names.is_empty() {
                true => format!("{version} is in no channel of its minor version"),
                false => format!("{version} is in {}", explain::quoted(&names)),
            }
        })
        .collect();
    Problem::new("release.version", text).hint(having.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Channels, version};
    use rstest::rstest;

    const CHANNELS: &str = "stable-4.1: 4.1.1>4.1.2\n\
        stable-4.2: 4.1.2>4.2.1 4.2.1>4.2.2 4.1.2?Boom>4.2.2\n\
        fast-4.2: 4.1.2>4.2.1 4.2.1>4.2.2 4.2.2>4.2.3\n\
        fast-4.1: 4.1.1>4.1.2\n\
        candidate-4.2: 4.2.4";

    fn ask(from: &str, to: &str, channel: &str, accept: Accept) -> Result<UpdatePath, String> {
        let channel = (!channel.is_empty()).then(|| channel.to_owned());
        let question = Question { from: version(from), to: version(to), channel, okd: false, accept };
        path(&question, &mut Channels::new(CHANNELS)).map_err(|error| error.to_string())
    }

    #[rstest]
    #[case("4.1.1", "4.2.1", "", "4.1.2 4.2.1", "stable-4.1 stable-4.2")]
    #[case("4.1.1", "4.2.2", "", "4.1.2 4.2.1 4.2.2", "stable-4.1 stable-4.2")]
    #[case("4.1.1", "4.2.3", "", "4.1.2 4.2.1 4.2.2 4.2.3", "fast-4.1 fast-4.2")]
    #[case("4.1.1", "4.2.1", "stable-4.2", "4.1.2 4.2.1", "stable-4.1 stable-4.2")]
    #[case("4.2.1", "4.2.2", "fast-4.2", "4.2.2", "fast-4.2")]
    #[case("4.2.1", "4.2.1", "", "", "stable-4.2")]
    fn paths(
        #[case] from: &str,
        #[case] to: &str,
        #[case] channel: &str,
        #[case] expected: &str,
        #[case] channels: &str,
    ) {
        let path = ask(from, to, channel, Accept::Nothing).expect("a path");
        let steps: Vec<String> = path.steps.iter().map(|step| step.to.to_string()).collect();
        assert_eq!((steps.join(" ").as_str(), path.channels.join(" ").as_str()), (expected, channels));
    }

    #[rstest]
    #[case(
        "4.2.2",
        "4.2.1",
        "",
        "4.2.2 is above 4.2.1, and clusters are not updated to lower versions; give the lower version as the first"
    )]
    #[case(
        "4.2.1",
        "4.2.9",
        "fast-4.2",
        "channel `fast-4.2` does not have version 4.2.9; the nearest versions there \
        are 4.2.2, 4.2.3; no other channel has it either"
    )]
    #[case(
        "4.2.2",
        "4.2.4",
        "",
        "no kind of channel has both 4.2.2 and 4.2.4; 4.2.2 is in `fast-4.2`, `stable-4.2`; \
        4.2.4 is in `candidate-4.2`"
    )]
    #[case(
        "4.2.1",
        "4.2.2",
        "nope-4.2",
        "channel `nope-4.2` has no releases; channels that have some: `stable-4.2`, \
        `fast-4.2`, `candidate-4.2`"
    )]
    #[case("4.1.1", "4.900.1", "", "more than 100 minor versions lie between 4.1 and 4.900")]
    fn no_paths(#[case] from: &str, #[case] to: &str, #[case] channel: &str, #[case] expected: &str) {
        assert_eq!(ask(from, to, channel, Accept::Nothing).expect_err("no path"), expected);
    }

    #[test]
    fn no_way_between_known_versions() {
        let question = Question {
            from: version("4.1.1"),
            to: version("4.1.2"),
            channel: None,
            okd: false,
            accept: Accept::Nothing,
        };
        let error = path(&question, &mut Channels::new("stable-4.1: 4.1.1 4.1.2")).expect_err("no path");
        assert_eq!(
            error.to_string(),
            "there is no update path from 4.1.1 to 4.1.2 in `stable-4.1`; look for a version between them that has \
             updates to both sides"
        );
    }

    #[test]
    fn a_major_version_ends_where_its_channels_do() {
        let channels = "stable-4.2: 4.2.1>4.2.2\nstable-4.3: 4.2.2>4.3.1\nstable-5.0: 4.3.1>5.0.1";
        let question = Question {
            from: version("4.2.1"),
            to: version("5.0.1"),
            channel: None,
            okd: false,
            accept: Accept::Nothing,
        };
        let path = path(&question, &mut Channels::new(channels)).expect("a path");
        assert_eq!((path.steps.len(), path.channels.len()), (3, 3));
    }

    #[test]
    fn avoided_updates_are_shown() {
        let path = ask("4.1.1", "4.2.2", "", Accept::Nothing).expect("a path");
        let [step] = path.avoided.as_slice() else { panic!("one update: {:?}", path.avoided) };
        assert_eq!((step.to.to_string().as_str(), step.risks[0].name.as_str()), ("4.2.2", "Boom"));
        assert_eq!(
            path.notes[0].text,
            "from 4.1.1 to 4.2.2, 2 updates would do instead of 3, at these risks: Boom (https://example.com/Boom; \
             accept it with `--accept-risks Boom`)"
        );

        let path = ask("4.1.1", "4.2.2", "", Accept::All).expect("a path");
        assert!(path.avoided.is_empty() && path.notes.is_empty());
        assert!(path.steps[1].is_conditional && path.steps[1].is_accepted);
    }

    #[test]
    fn json_has_no_graph() {
        let path = ask("4.1.2", "4.2.1", "stable-4.2", Accept::Nothing).expect("a path");
        assert_eq!(
            serde_json::to_string(&path).expect("JSON"),
            r#"{"from":"4.1.2","to":"4.2.1","channels":["stable-4.2"],"steps":[{"from":"4.1.2","to":"4.2.1","payload":"quay.io/r@sha256:4.2.1","channels":["stable-4.2"],"isConditional":false,"isAccepted":true,"risks":[]}],"avoided":[],"notes":[]}"#
        );
    }
}
