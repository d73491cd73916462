use rstest::rstest;

use super::*;
use crate::search::Accept;
use crate::testing::{Channels, version};

const RING: &str =
    "stable-4.1: 4.1.1>4.1.2 4.1.2>4.1.3 4.1.1>4.1.3 4.1.0-rc.1>4.1.1 4.1.3>4.1.10 4.1.10>4.1.1";

/// Reads `CHANNEL [MIN]..[MAX] [shortest] [full] [okd]`, separated by commas.
fn wishes(text: &str) -> Vec<Wish> {
    let one = |text: &str| {
        let mut wish = Wish::default();
        for (place, word) in text.split_whitespace().enumerate() {
            match word {
                "shortest" => wish.shortest_path = true,
                "full" => wish.full = true,
                "okd" => wish.okd = true,
                name if place == 0 => wish.channel = name.to_owned(),
                range => {
                    let (min, max) = range.split_once("..").expect("a range");
                    wish.min = (!min.is_empty()).then(|| version(min));
                    wish.max = (!max.is_empty()).then(|| version(max));
                }
            }
        }
        wish
    };
    text.split(',').map(one).collect()
}

fn run(channels: &str, text: &str, options: &Options) -> Result<Selection, Vec<Problem>> {
    select(&wishes(text), options, &mut Channels::new(channels)).map_err(problems)
}

fn problems(error: SelectError<std::convert::Infallible>) -> Vec<Problem> {
    match error {
        SelectError::Problems(problems) => problems,
        SelectError::Graphs(never) => match never {},
    }
}

fn versions(selection: &Selection) -> String {
    selection.releases.iter().map(|release| release.version.to_string()).collect::<Vec<_>>().join(" ")
}

fn codes(selection: &Selection) -> String {
    let code = |note: &Note| format!("{}{}", note.code, if note.is_warning { "!" } else { "" });
    selection.notes.iter().map(code).collect::<Vec<_>>().join(" ")
}

fn v1(heads: &str) -> Options {
    let heads = heads.split_whitespace().filter_map(|pair| pair.split_once('='));
    let heads = heads.map(|(name, head)| (name.to_owned(), version(head))).collect();
    Options { rules: Rules::V1Alpha2, heads, ..Options::default() }
}

#[rstest]
#[case("stable-4.1", "4.1.10", "")]
#[case("stable-4.1 full", "4.1.0-rc.1 4.1.1 4.1.2 4.1.3 4.1.10", "")]
#[case("stable-4.1 4.1.2..", "4.1.2 4.1.3 4.1.10", "")]
#[case("stable-4.1 4.1.2.. full", "4.1.2 4.1.3 4.1.10", "")]
#[case("stable-4.1 ..4.1.2", "4.1.0-rc.1 4.1.1 4.1.2", "")]
#[case("stable-4.1 4.1.0..4.1.2", "4.1.1 4.1.2", "")]
#[case("stable-4.1 4.1.2..4.1.2", "4.1.2", "")]
// Bounds that the channel does not have only bound.
#[case("stable-4.1 4.1.0-rc.0..4.1.5", "4.1.0-rc.1 4.1.1 4.1.2 4.1.3", "")]
#[case("stable-4.1 4.1.1..4.1.10 shortest", "4.1.1 4.1.3 4.1.10", "")]
#[case("stable-4.1 4.1.1.. shortest", "4.1.1 4.1.3 4.1.10", "")]
#[case("stable-4.1 ..4.1.3 shortest", "4.1.0-rc.1 4.1.1 4.1.3", "")]
#[case("stable-4.1 shortest", "4.1.10", "")]
#[case("stable-4.1 4.1.0-rc.1..4.1.2 shortest", "4.1.0-rc.1 4.1.1 4.1.2", "")]
fn one_channel(#[case] wish: &str, #[case] expected: &str, #[case] notes: &str) {
    for options in [Options::default(), v1("")] {
        let selection = run(RING, wish, &options).expect("a selection");
        assert_eq!((versions(&selection).as_str(), codes(&selection).as_str()), (expected, notes));
        assert!(selection.releases.iter().all(|release| !release.why.is_empty()));
    }
}

#[rstest]
// Ends only, if there is no way between them.
#[case("c-4.1: 4.1.1 4.1.2", "c-4.1 4.1.1..4.1.2 shortest", "4.1.1 4.1.2", "release.path!")]
#[case("c-4.1: 4.1.1?A>4.1.2", "c-4.1 4.1.1..4.1.2 shortest", "4.1.1 4.1.2", "release.risk!")]
#[case(
    "c-4.1: 4.1.1?A>4.1.3 4.1.1>4.1.2 4.1.2>4.1.3",
    "c-4.1 4.1.1..4.1.3 shortest",
    "4.1.1 4.1.2 4.1.3",
    "release.shorter-path"
)]
#[case("eus-4.4: 4.2.1 4.4.1", "eus-4.4 4.2.1..4.4.1", "4.2.1 4.4.1", "release.eus!")]
// A minimum of an earlier minor version: the channels between are searched too, `stable` for odd ones.
#[case(
    "eus-4.4: 4.3.5>4.4.1\nstable-4.3: 4.2.9>4.3.5\neus-4.2: 4.2.1>4.2.9",
    "eus-4.4 4.2.1..4.4.1 shortest",
    "4.2.1 4.2.9 4.3.5 4.4.1",
    "release.joined"
)]
#[case(
    "stable-4.4: 4.4.0>4.4.1 4.3.5>4.4.0\nstable-4.3: 4.3.1>4.3.5 4.2.9>4.3.1\nstable-4.2: 4.2.1>4.2.9",
    "stable-4.4 4.2.1.. shortest",
    "4.2.1 4.2.9 4.3.1 4.3.5 4.4.0 4.4.1",
    "release.joined"
)]
fn paths(#[case] channels: &str, #[case] wish: &str, #[case] expected: &str, #[case] notes: &str) {
    let selection = run(channels, wish, &Options::default()).expect("a selection");
    assert_eq!((versions(&selection).as_str(), codes(&selection).as_str()), (expected, notes));
}

#[test]
fn accepted_risks_are_no_risks() {
    let channels = "c-4.1: 4.1.1?A>4.1.3 4.1.1>4.1.2 4.1.2>4.1.3";
    let accept = Accept::Named(["A".to_owned()].into());
    let options = Options { accept, ..Options::default() };
    let selection = run(channels, "c-4.1 4.1.1..4.1.3 shortest", &options).expect("a selection");
    assert_eq!((versions(&selection).as_str(), codes(&selection).as_str()), ("4.1.1 4.1.3", ""));
}

#[test]
fn risks_are_named_with_how_to_accept_them() {
    let selection = run("c-4.1: 4.1.1?Boom>4.1.2", "c-4.1 4.1.1..4.1.2 shortest", &Options::default())
        .expect("a selection");
    assert_eq!(
        selection.notes[0].text,
        "no path from 4.1.1 to 4.1.2 is without risks; the update from 4.1.1 to 4.1.2 has these: Boom \
         (https://example.com/Boom; accept it with `--accept-risks Boom`)"
    );
}

const MINORS: &str = "stable-4.1: 4.1.1>4.1.2 4.1.2>4.1.3 4.1.1>4.1.3\n\
    stable-4.2: 4.1.3>4.2.1 4.2.1>4.2.2 4.2.2>4.2.3\n\
    stable-4.3: 4.2.3>4.3.1 4.3.1>4.3.2\n\
    fast-4.3: 4.2.3>4.3.1 4.3.1>4.3.2 4.3.2>4.3.3\n\
    fast-4.1: 4.1.1>4.1.2 4.1.2>4.1.4\n\
    candidate-4.2: 4.2.2>4.2.4\n\
    nightly: 4.2.9\n\
    eus-4.2: 4.2.1>4.2.3\n\
    eus-4.4: 4.2.3>4.4.1\n\
    eus-4.6: 4.4.1>4.6.1";

#[rstest]
// From the lowest to the latest of its channel, from there through the channels between to the highest.
#[case("stable-4.1 4.1.1..4.1.1, stable-4.3 4.3.1..4.3.1", "4.1.1 4.1.3 4.2.1 4.2.2 4.2.3 4.3.1", "")]
#[case("stable-4.1 4.1.1..4.1.1, fast-4.3", "4.1.1 4.1.3 4.2.1 4.2.2 4.2.3 4.3.1 4.3.2 4.3.3", "")]
#[case("stable-4.1, stable-4.2 ..4.2.1", "4.1.3 4.2.1", "")]
#[case("stable-4.1 4.1.2..4.1.2, fast-4.1", "4.1.2 4.1.4", "")]
#[case("stable-4.1, fast-4.1", "4.1.3 4.1.4", "release.path!")]
#[case("stable-4.1, candidate-4.2", "4.1.3 4.2.4", "release.path!")]
#[case("stable-4.2 4.2.3..4.2.3, nightly", "4.2.3 4.2.9", "release.path!")]
// fast-4.2 does not exist.
#[case("fast-4.1, fast-4.3", "4.1.4 4.3.3", "release.path!")]
#[case("stable-4.1, stable-4.3 okd", "4.1.3 4.3.2", "")]
// Bounds that do not exist are as good as the nearest ones inside.
#[case("stable-4.1 4.1.0..4.1.1, stable-4.2 4.2.1..4.2.1", "4.1.1 4.1.3 4.2.1", "")]
fn two_channels(#[case] text: &str, #[case] expected: &str, #[case] notes: &str) {
    let selection = run(MINORS, text, &Options::default()).expect("a selection");
    assert_eq!((versions(&selection).as_str(), codes(&selection).as_str()), (expected, notes));
}

#[rstest]
#[case(Rules::V1Alpha2, "4.2.1 4.2.3 4.4.1 4.6.1", "")]
// v2 goes through odd minor versions, of which there is no channel here.
#[case(Rules::V2Alpha1, "4.2.1 4.2.3 4.6.1", "release.path!")]
fn eus_channels(#[case] rules: Rules, #[case] expected: &str, #[case] notes: &str) {
    let options = Options { rules, ..Options::default() };
    let selection = run(&MINORS.replace("stable-4.3:", "x:"), "eus-4.2 4.2.1..4.2.1, eus-4.6", &options);
    let selection = selection.expect("a selection");
    assert_eq!((versions(&selection).as_str(), codes(&selection).as_str()), (expected, notes));
}

#[rstest]
// New to this channel, the latest; later, all since.
#[case("", "stable-4.1", "4.1.10", "stable-4.1=4.1.10")]
#[case("stable-4.1=4.1.2", "stable-4.1", "4.1.2 4.1.3 4.1.10", "stable-4.1=4.1.2")]
#[case("stable-4.1=4.1.99", "stable-4.1", "4.1.10", "stable-4.1=4.1.10")]
#[case("stable-4.1=4.1.2", "stable-4.1 4.1.3..", "4.1.3 4.1.10", "")]
#[case("stable-4.1=4.1.1", "stable-4.1 shortest", "4.1.1 4.1.3 4.1.10", "stable-4.1=4.1.1")]
#[case("stable-4.1=4.1.0", "stable-4.1 shortest", "4.1.1 4.1.3 4.1.10", "stable-4.1=4.1.1")]
fn heads(#[case] before: &str, #[case] wish: &str, #[case] expected: &str, #[case] after: &str) {
    let selection = run(RING, wish, &v1(before)).expect("a selection");
    let heads: Vec<String> = selection.heads.iter().map(|(name, head)| format!("{name}={head}")).collect();
    assert_eq!((versions(&selection).as_str(), heads.join(" ").as_str()), (expected, after));
}

#[rstest]
// Nothing new.
#[case("4.1.2", "4.1.3", "stable-4.1 4.1.2..4.1.3", "4.1.2 4.1.3", "")]
// A text comparison has 4.1.10 below 4.1.3.
#[case("4.1.2", "4.1.3", "stable-4.1 4.1.10..4.1.10", "4.1.3 4.1.10", "")]
#[case("4.1.3", "4.1.10", "stable-4.1 4.1.1..4.1.1", "4.1.1 4.1.3", "")]
// A version that vanished is no reason to fail.
#[case("4.1.2", "4.1.5", "stable-4.1 4.1.10..4.1.10", "4.1.10", "release.past!")]
fn past(
    #[case] min: &str,
    #[case] max: &str,
    #[case] wish: &str,
    #[case] expected: &str,
    #[case] notes: &str,
) {
    let past = BTreeMap::from([("stable-4.1".to_owned(), Span { min: version(min), max: version(max) })]);
    let selection =
        select_after(&wishes(wish), &v1(""), &past, &mut Channels::new(RING)).expect("a selection");
    assert_eq!((versions(&selection).as_str(), codes(&selection).as_str()), (expected, notes));
    assert_eq!(selection.spans["stable-4.1"].min, wishes(wish)[0].min.clone().expect("a minimum"));

    let v2 = Options::default();
    let ignored = select_after(&wishes(wish), &v2, &past, &mut Channels::new(RING)).expect("a selection");
    assert!(ignored.notes.is_empty());
}

#[rstest]
#[case("nope", "release.channel: channel `nope` has no releases; channels are named like `stable-4.14`")]
#[case(
    "stabel-4.1",
    "release.channel: channel `stabel-4.1` has no releases; channels that have some: `stable-4.1`, `fast-4.1`"
)]
#[case(
    "4.3 4.3.1..4.3.1",
    "release.channel: channel `4.3` has no releases; channels that have some: `stable-4.3`, `fast-4.3`"
)]
#[case("stable-4.9", "release.channel: channel `stable-4.9` has no releases; no channel of 4.9 has any")]
#[case(
    "stable-4.1 4.1.4..4.1.4",
    "release.version: channel `stable-4.1` does not have version 4.1.4; the nearest \
    versions there are 4.1.2, 4.1.3; channels that have it: `fast-4.1`"
)]
#[case(
    "stable-4.1 4.1.2..4.1.9 shortest",
    "release.version: channel `stable-4.1` does not have version 4.1.9; the \
    nearest versions there are 4.1.2, 4.1.3; no other channel has it either"
)]
#[case(
    "stable-4.1 4.1.3..4.1.1",
    "release.range: channel `stable-4.1`: the minimum 4.1.3 is above the maximum 4.1.1; \
    exchange `minVersion` and `maxVersion`"
)]
#[case(
    "stable-4.1 4.9.1..",
    "release.none: no release images found; channel `stable-4.1` has no release that is not \
    below 4.9.1; it has 4.1.1 to 4.1.3"
)]
#[case(
    "stable-4.3 4.0.0..4.3.1 shortest",
    "release.version: channels `stable-4.1`, `stable-4.2`, `stable-4.3` do not \
    have version 4.0.0; the nearest versions there are 4.1.1, 4.1.2; no other channel has it either"
)]
fn refused(#[case] wish: &str, #[case] expected: &str) {
    let problems = run(MINORS, wish, &Options::default()).expect_err("a problem");
    let found: Vec<String> = problems.iter().map(|problem| format!("{}: {problem}", problem.code)).collect();
    assert_eq!(found, [expected]);
}

#[test]
fn all_problems_are_reported() {
    let text = "nope, stable-4.1 4.1.3..4.1.1, stable-4.2 4.2.8..4.2.9 shortest, stable-4.3";
    let problems = run(MINORS, text, &Options::default()).expect_err("problems");
    let codes: Vec<&str> = problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["release.channel", "release.range", "release.version", "release.version"]);
}

#[test]
fn nothing_is_an_answer_by_the_rules_of_v1() {
    let selection = run(RING, "stable-4.1 4.9.1..4.9.9", &v1("")).expect("a selection");
    assert_eq!((versions(&selection).as_str(), codes(&selection).as_str()), ("", "release.range!"));
}

#[test]
fn releases_say_where_they_are_from() {
    let selection =
        run(MINORS, "stable-4.3, fast-4.3 4.3.2..4.3.2", &Options::default()).expect("a selection");
    let [release] = selection.releases.as_slice() else { panic!("one release") };
    assert_eq!(release.channels, ["fast-4.3", "stable-4.3"]);
    assert_eq!(release.url.as_deref(), Some("https://example.com/4.3.2"));
    assert_eq!(
        release.why[..2],
        ["latest of channel `stable-4.3`", "channel `fast-4.3` from 4.3.2 to 4.3.2"]
    );
}

struct Broken;

impl Graphs for Broken {
    type Error = String;

    fn get(&mut self, _okd: bool, channel: &str) -> Result<std::rc::Rc<Graph>, String> {
        Err(format!("no answer for {channel}"))
    }
}

#[test]
fn errors_of_the_caller_end_the_run() {
    let error =
        select(&wishes("stable-4.1, stable-4.2"), &Options::default(), &mut Broken).expect_err("an error");
    assert_eq!(error, SelectError::Graphs("no answer for stable-4.1".to_owned()));
}

#[test]
fn no_wishes_are_no_problem() {
    assert_eq!(select(&[], &Options::default(), &mut Broken), Ok(Selection::default()));
}
