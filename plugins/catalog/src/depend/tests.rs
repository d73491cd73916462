use super::*;
use crate::State;
use crate::select;
use crate::testing::{entry, kept, with_properties};
use rstest::rstest;
use serde_json::{Value, json};

fn package(name: &str, range: &str) -> Value {
    json!({"type": "olm.package.required", "value": {"packageName": name, "versionRange": range}})
}

fn gvk(kind: &str) -> Value {
    json!({"type": "olm.gvk", "value": {"group": "g", "version": "v1", "kind": kind}})
}

fn needs_gvk(kind: &str) -> Value {
    json!({"type": "olm.gvk.required", "value": {"group": "g", "version": "v1", "kind": kind}})
}

fn constraint(value: Value) -> Value {
    json!({"type": "olm.constraint", "value": value})
}

const TEXT: &str = "p stable: p.v1.0.0
    q alpha: q.v1.0.0 q.v1.1.0>q.v1.0.0 q.v1.2.0>q.v1.1.0 q.v2.0.0>q.v1.2.0
    q beta: q.v2.0.0
    r stable: r.v1.0.0 r.v3.0.0>r.v1.0.0";

fn run(mode: &str, packages: Value, more: &[(&str, Value)]) -> (String, Vec<Note>) {
    let catalog = with_properties(TEXT, more);
    let entry = entry(json!({"dependencies": mode, "packages": packages}));
    let selection = select(&catalog, &entry, Rules::V2Alpha1, &State::default()).expect("a selection");
    let mut all = [(&catalog, &entry, selection)];
    resolve_dependencies(&mut all);
    report_dependencies(&mut all);
    let [(_, _, selection)] = all;
    (kept(&selection), selection.notes)
}

#[rstest]
#[case(package("q", "<1.2.0"), "p/stable=1.0.0 q/alpha=1.1.0")]
#[case(package("q", ""), "p/stable=1.0.0 q/alpha=2.0.0")]
#[case(needs_gvk("R"), "p/stable=1.0.0 r/stable=3.0.0")]
#[case(constraint(json!({"package": {"packageName": "r", "versionRange": "<2.0.0"}})), "p/stable=1.0.0 r/stable=1.0.0")]
#[case(constraint(json!({"all": {"constraints": [{"gvk": {"group": "g", "version": "v1", "kind": "R"}}, {"package": {"packageName": "q", "versionRange": ">1.0.0"}}]}})),
    "p/stable=1.0.0 q/alpha=2.0.0 r/stable=3.0.0")]
#[case(constraint(json!({"any": {"constraints": [{"package": {"packageName": "zzz"}}, {"package": {"packageName": "r"}}]}})), "p/stable=1.0.0 r/stable=3.0.0")]
#[case(constraint(json!({"not": {"constraints": [{"package": {"packageName": "q"}}]}})), "p/stable=1.0.0")]
fn what_is_needed_is_added(#[case] need: Value, #[case] expected: &str) {
    let (kept, notes) = run("resolve", json!([{"name": "p"}]), &[("p.v1.0.0", need), ("r.v3.0.0", gvk("R"))]);
    assert_eq!(kept, expected, "{notes:?}");
    assert!(notes.iter().all(|note| note.code == "dependency"), "{notes:?}");
}

#[test]
fn a_kept_channel_stays_in_one_piece() {
    let packages = json!([{"name": "p"}, {"name": "q"}]);
    let (kept, notes) = run("resolve", packages, &[("p.v1.0.0", package("q", "<1.2.0"))]);
    assert_eq!(kept, "p/stable=1.0.0 q/alpha=1.1.0,1.2.0,2.0.0 q/beta=2.0.0");
    assert_eq!(
        notes[0].message,
        "`q.v1.1.0` is added to channel `alpha`: required by p.v1.0.0: package q <1.2.0"
    );
}

#[test]
fn needs_of_needs_are_met_too() {
    let more = [
        ("p.v1.0.0", package("q", ">=2.0.0")),
        ("q.v2.0.0", package("r", "<2.0.0")),
        ("r.v1.0.0", package("p", "")),
    ];
    assert_eq!(
        run("resolve", json!([{"name": "p"}]), &more).0,
        "p/stable=1.0.0 q/alpha=2.0.0 r/stable=1.0.0"
    );
}

#[rstest]
#[case(
    package("q", "<1.2.0"),
    "missing-dependency",
    "it could be had with package `q` 1.1.0 of channel `alpha` in `quay.io/x/index:v1`"
)]
#[case(package("q", ">9.0.0"), "missing-dependency", "no catalog of the configuration has")]
#[case(constraint(json!({"failureMessage": "no", "cel": {"rule": "x"}})), "unknown-dependency", "needs the rule x (\"no\"), which cannot be evaluated")]
#[case(constraint(json!({"not": {"constraints": [{"package": {"packageName": "p"}}]}})), "missing-dependency", "none of (package p)")]
fn what_is_missing_is_noted(#[case] need: Value, #[case] code: &str, #[case] part: &str) {
    let (kept, notes) = run("warn", json!([{"name": "p"}]), &[("p.v1.0.0", need.clone())]);
    assert_eq!(kept, "p/stable=1.0.0");
    assert_eq!((notes.len(), notes[0].code), (1, code));
    assert!(notes[0].message.contains(part), "{}", notes[0].message);
    assert_eq!(run("ignore", json!([{"name": "p"}]), &[("p.v1.0.0", need)]).1, []);
}

#[test]
fn another_catalog_may_have_it() {
    let (left, right) = (
        with_properties("p stable: p.v1.0.0", &[("p.v1.0.0", package("q", "<2.0.0"))]),
        with_properties("q fast: q.v2.0.0>q.v1.0.0 q.v1.0.0\nq slow: q.v1.0.0", &[]),
    );
    let (resolve, plain) =
        (entry(json!({"dependencies": "resolve"})), entry(json!({"packages": [{"name": "q"}]})));
    let selected = |catalog, entry: &Entry| {
        select(catalog, entry, Rules::V2Alpha1, &State::default()).expect("selected")
    };
    let mut all = [(&left, &resolve, selected(&left, &resolve)), (&right, &plain, selected(&right, &plain))];
    resolve_dependencies(&mut all);
    report_dependencies(&mut all);
    // It is kept already, in a channel that is kept whole.
    assert_eq!(kept(&all[1].2), "q/fast=2.0.0 q/slow=1.0.0");
    assert_eq!(all[0].2.notes, []);
    let one = entry(json!({"packages": [{"name": "q", "channels": [{"name": "fast"}]}]}));
    all[1] = (&right, &one, selected(&right, &one));
    resolve_dependencies(&mut all);
    report_dependencies(&mut all);
    assert_eq!(kept(&all[1].2), "q/fast=1.0.0,2.0.0");
}
