use rstest::rstest;

use super::*;
use crate::search::Accept;
use crate::testing::{Channels, version};

/// Three minor versions. 4.2.1 has a risky update.
const CHANNELS: &str = "stable-4.1: 4.1.1>4.1.2 4.1.2>4.1.3 4.1.1>4.1.3\n\
    stable-4.2: 4.1.2>4.2.1 4.1.3>4.2.2 4.2.1>4.2.2 4.2.2>4.2.3 4.2.1?Boom>4.2.3\n\
    stable-4.3: 4.2.2>4.3.1 4.2.3>4.3.2 4.3.1>4.3.2 4.2.2>4.2.3\n\
    fast-4.3: 4.3.2>4.3.3";

/// Reads `stable-4.1:4.1.1-4.1.3`, `eus-4.4:4.2.1-4.4.1!` (a shortest path), `stable-4.2` (its head), `fast-4.3:*`.
fn wish(text: &str) -> Wish {
    let (channel, range) = text.split_once(':').unwrap_or((text, ""));
    let bare = range.trim_end_matches('!');
    let (min, max) = bare.split_once('-').unwrap_or(("", ""));
    let end = |text: &str| (!text.is_empty()).then(|| version(text));
    let channel = channel.to_owned();
    let (shortest_path, full) = (range.ends_with('!'), range == "*");
    Wish { channel, min: end(min), max: end(max), shortest_path, full, okd: false }
}

fn words(wishes: &[Wish]) -> String {
    let end = |end: &Option<Version>| end.as_ref().map_or_else(String::new, ToString::to_string);
    let word = |wish: &Wish| match (&wish.min, &wish.max) {
        (None, None) => format!("{}{}", wish.channel, if wish.full { ":*" } else { "" }),
        (min, max) => {
            let mark = if wish.shortest_path { "!" } else { "" };
            format!("{}:{}-{}{mark}", wish.channel, end(min), end(max))
        }
    };
    wishes.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// Reads `a=4.1.1@stable-4.1 b=4.2.1`.
fn fleet(wishes: &str, clusters: &str, target: &str) -> Fleet {
    let cluster = |text: &str| {
        let (name, rest) = text.split_once('=').expect("a name");
        let (at, channel) = rest.split_once('@').map_or((rest, None), |(at, c)| (at, Some(c.to_owned())));
        Cluster { name: name.into(), version: version(at), updating_to: None, channel }
    };
    Fleet {
        clusters: clusters.split_whitespace().map(cluster).collect(),
        target: (!target.is_empty()).then(|| version(target)),
        wishes: wishes.split_whitespace().map(wish).collect(),
        changed: None,
        options: Options::default(),
    }
}

fn ask(fleet: &Fleet) -> Reconciled {
    let Ok(found) = reconcile(fleet, &mut Channels::new(CHANNELS));
    found
}

/// Writes ways as `a: 4.1.3 >stable-4.2 4.2.2`; `>` stands before a channel to switch to, `!` behind what is missing.
fn ways(found: &Reconciled) -> String {
    let hop = |hop: &Hop| {
        let switch = if hop.switch { format!(">{} ", hop.channel) } else { String::new() };
        format!("{switch}{}{}", hop.to, if hop.mirrored { "" } else { "!" })
    };
    let way = |way: &Way| {
        let hops: Vec<_> = way.steps.iter().map(hop).collect();
        match &way.problem {
            Some(problem) => format!("{}: {problem}", way.cluster),
            None => format!("{}: {}", way.cluster, hops.join(" ")),
        }
    };
    found.ways.iter().map(way).collect::<Vec<_>>().join("; ")
}

#[rstest]
// All is there.
#[case("stable-4.1:4.1.1-4.1.3", "a=4.1.1@stable-4.1", "", "a: 4.1.3", "stable-4.1:4.1.1-4.1.3")]
// What is mirrored wins over what is shorter.
#[case(
    "stable-4.2:4.2.1-4.2.2",
    "a=4.1.2@stable-4.1",
    "",
    "a: >stable-4.2 4.2.1 4.2.2",
    "stable-4.2:4.2.1-4.2.2 stable-4.1:4.1.2-4.1.2"
)]
// The lowest version comes down to the slowest cluster.
#[case(
    "stable-4.1:4.1.2-4.1.3",
    "a=4.1.3@stable-4.1 b=4.1.1@stable-4.1",
    "",
    "a: ; b: 4.1.3",
    "stable-4.1:4.1.1-4.1.3"
)]
// Only the head is mirrored.
#[case("stable-4.1", "a=4.1.2@stable-4.1", "", "a: 4.1.3", "stable-4.1:4.1.2-")]
// A minor version is missing as a whole.
#[case("stable-4.2", "a=4.1.3@stable-4.1", "", "a: >stable-4.2 4.2.2! 4.2.3", "stable-4.2:4.1.3-!")]
#[case(
    "stable-4.3",
    "a=4.1.1@stable-4.1",
    "4.3.2",
    "a: 4.1.3! >stable-4.2 4.2.2! >stable-4.3 4.3.1! 4.3.2",
    "stable-4.3:4.1.1-!"
)]
// A higher target than what is mirrored.
#[case("stable-4.2:4.2.1-4.2.2", "a=4.2.1@stable-4.2", "4.2.3", "a: 4.2.2 4.2.3!", "stable-4.2:4.2.1-4.2.3")]
// A channel of another kind.
#[case("stable-4.3", "a=4.3.2@fast-4.3", "4.3.3", "a: 4.3.3!", "stable-4.3 fast-4.3:4.3.3-4.3.3")]
// Nothing to do, and nowhere to go.
#[case("stable-4.1", "a=4.2.1@stable-4.2", "", "a: ", "stable-4.1")]
#[case(
    "stable-4.1",
    "a=4.0.9@stable-4.0",
    "",
    "a: there is no update path from 4.0.9 to 4.1.3; 4.0.9 is in no channel of its minor version; 4.1.3 is in \
     `stable-4.1`",
    "stable-4.1"
)]
#[case(
    "",
    "a=4.1.1@stable-4.1",
    "",
    "a: the configuration mirrors no release of OpenShift, so there is nothing to update to; name a version with \
     --target X.Y.Z",
    ""
)]
#[case("", "a=4.1.1@stable-4.1", "4.1.2", "a: 4.1.2!", "stable-4.1:4.1.1-4.1.2!")]
#[case(
    "stable-9.9",
    "a=4.1.1@stable-4.1",
    "",
    "a: the configuration's own channels cannot be used; channel `stable-9.9` has no releases; no channel of 9.9 has \
     any",
    "stable-9.9"
)]
fn ways_and_wishes(
    #[case] wishes: &str,
    #[case] clusters: &str,
    #[case] target: &str,
    #[case] expected: &str,
    #[case] changed: &str,
) {
    let mut fleet = fleet(wishes, clusters, target);
    let found = ask(&fleet);
    assert_eq!((ways(&found).as_str(), words(&found.wishes).as_str()), (expected, changed));
    assert!(found.missing.iter().all(|missing| missing.closed), "{:?}", found.missing);

    // What was changed leaves nothing to change.
    let target = found.ways.iter().find_map(|way| way.target.clone());
    fleet = Fleet { wishes: found.wishes.clone(), target, ..fleet };
    let again = ask(&fleet);
    assert_eq!((again.missing, again.wishes), (Vec::new(), found.wishes));
}

#[test]
fn what_is_missing_says_who_needs_it() {
    let found = ask(&fleet("stable-4.1", "a=4.1.1@stable-4.1 b=4.1.2@stable-4.1 c=4.1.1", ""));
    let missing: Vec<_> =
        found.missing.iter().map(|m| format!("{} {}", m.version, m.needed_by.join(","))).collect();
    assert_eq!(missing, ["4.1.1 a,c", "4.1.2 b"]);
}

#[test]
fn what_another_architecture_led_to_is_judged() {
    let mut fleet = fleet("stable-4.1", "a=4.1.2@stable-4.1", "");
    fleet.changed = Some(vec![wish("stable-4.1:4.1.1-")]);
    let found = ask(&fleet);
    assert_eq!((ways(&found).as_str(), words(&found.wishes).as_str()), ("a: 4.1.3", "stable-4.1:4.1.1-"));
    assert!(found.missing.iter().all(|missing| missing.closed) && found.missing.len() == 1);
}

#[test]
fn risks_are_named_and_avoided() {
    let mut fleet = fleet("stable-4.2:4.2.1-4.2.3", "a=4.2.1@stable-4.2", "");
    assert_eq!(ways(&ask(&fleet)), "a: 4.2.2 4.2.3");
    fleet.options.accept = Accept::All;
    let found = ask(&fleet);
    let [hop] = found.ways[0].steps.as_slice() else { panic!("one step: {:?}", found.ways) };
    assert!(hop.is_conditional && hop.is_accepted);
    assert_eq!(hop.risks[0].name, "Boom");
}

#[test]
fn an_update_under_way_is_where_the_way_begins() {
    let mut fleet = fleet("stable-4.1:4.1.3-4.1.3", "a=4.1.1@stable-4.1", "");
    fleet.clusters[0].updating_to = Some(version("4.1.2"));
    let found = ask(&fleet);
    assert_eq!(
        (ways(&found).as_str(), words(&found.wishes).as_str()),
        ("a: 4.1.3", "stable-4.1:4.1.1-4.1.3")
    );
    assert_eq!(found.ways[0].notes, ["an update from 4.1.1 to 4.1.2 is under way"]);
}

#[rstest]
#[case("stable-4.1 stable-4.2", "a=4.2.2", &["channel `stable-4.1`: no cluster needs a release of it"])]
#[case(
    "stable-4.1:4.1.1-4.1.3",
    "a=4.1.2",
    &["channel `stable-4.1` begins with 4.1.1, and no cluster needs a release below 4.1.2"]
)]
#[case("stable-4.1:4.1.2-4.1.3", "a=4.1.2", &[])]
fn what_nobody_needs(#[case] wishes: &str, #[case] clusters: &str, #[case] expected: &[&str]) {
    assert_eq!(ask(&fleet(wishes, clusters, "")).remarks, expected);
}

#[test]
fn from_one_eus_release_to_the_next() {
    let text = "stable-4.2: 4.2.0>4.2.1\nstable-4.3: 4.2.1>4.3.1 4.2.1>4.3.0\n\
        eus-4.4: 4.2.1>4.3.1 4.2.1>4.3.0 4.3.0>4.4.1 4.3.1>4.4.1";
    let fleet = fleet("eus-4.4:4.2.1-4.4.1!", "a=4.2.1@eus-4.4 b=4.2.0@stable-4.2 c=4.3.0@stable-4.3", "");
    let Ok(found) = reconcile(&fleet, &mut Channels::new(text));
    assert_eq!(
        ways(&found),
        "a: 4.3.1 4.4.1; b: 4.2.1 >eus-4.4 4.3.1 4.4.1; c: >eus-4.4 4.4.1",
        "through what is mirrored"
    );
    let expected = "eus-4.4:4.2.0-4.4.1! stable-4.3:4.3.0-4.3.0";
    assert_eq!(words(&found.wishes), expected, "{:?}", found.missing);
    let note = "from EUS to EUS: pools of workers can be paused until the control plane is at 4.4.1";
    let notes: Vec<_> = found.ways.iter().map(|way| way.notes.join(" ")).collect();
    assert_eq!(notes, [note, note, ""]);
}

#[test]
fn okd_has_channels_of_its_own() {
    let text = "4-stable: 4.1.0-okd-scos.1>4.1.0-okd-scos.2\nstable-4.1: 4.1.1>4.1.2";
    let mut fleet = fleet("stable-4.1", "a=4.1.0-okd-scos.1@4-stable b=4.1.2", "");
    let Ok(found) = reconcile(&fleet, &mut Channels::new(text));
    assert_eq!(
        ways(&found),
        "a: the configuration mirrors no release of OKD, so there is nothing to update to; name a version with --target \
         X.Y.Z; b: "
    );
    fleet.wishes.push(Wish { channel: "4-stable".into(), okd: true, ..Wish::default() });
    let Ok(found) = reconcile(&fleet, &mut Channels::new(text));
    assert_eq!(ways(&found), "a: 4.1.0-okd-scos.2; b: ");
    assert_eq!(found.wishes[1].min, Some(version("4.1.0-okd-scos.1")));
}
