//! `oc-mirror list releases` and `oc-mirror list updates`, as snapshots.

use oc_mirror_testkit::{Release, release};
use rstest::rstest;

use crate::depot::{Depot, graph};

/// Releases of two minor versions; the update from 4.12.2 to 4.13.1 has a risk, and there is a way around it.
fn depot() -> Depot {
    let depot = Depot::new();
    let build = |version: &str| {
        release(version).architectures(&["amd64", "arm64"]).component("etcd").push(&depot.lab.source)
    };
    let all = ["4.12.0", "4.12.1", "4.12.2", "4.13.0", "4.13.1", "4.13.2"].map(build);
    let of = |range: std::ops::Range<usize>| all[range].iter().rev().collect::<Vec<&Release>>();
    depot.channel("stable-4.12", &of(0..3), "4.12.0>4.12.1 4.12.1>4.12.2");
    depot.channel_for("arm64", "stable-4.12", &of(0..2), "4.12.0>4.12.1");
    let updates = "4.12.2?DiskLoss>4.13.1 4.12.2>4.13.0 4.13.0>4.13.1";
    depot.channel("fast-4.13", &of(2..6), &format!("{updates} 4.13.1?SlowDisk>4.13.2"));
    // Releases say themselves in which channels they are.
    let entries: Vec<_> = of(2..5).into_iter().map(|r| (r.version.as_str(), r.payload("amd64"))).collect();
    depot.server.graph(
        "amd64",
        "stable-4.13",
        graph("candidate-4.13,fast-4.13,stable-4.13", &entries, updates),
    );
    depot
}

#[track_caller]
fn show(depot: &Depot, name: &str, args: &[&str]) -> oc_mirror_testkit::CommandOutput {
    let output = depot.lab.context.run(&[&["list"], args].concat());
    insta::assert_snapshot!(name, output.snapshot());
    output
}

#[test]
fn versions_that_a_repository_has() {
    let depot = depot();
    let repository = format!("{}/openshift-release-dev/ocp-release", depot.lab.source.host());
    let args = ["releases", "--src-tls-verify=false", "--repository", &repository];
    show(&depot, "releases_versions", &args).expect_code(0);
    show(&depot, "releases_versions_json", &[&args[..], &["-o", "json"]].concat()).expect_code(0);
    assert!(depot.server.fetches().is_empty());
}

#[rstest]
#[case::version("releases_version", &["--version", "4.12"], 0)]
#[case::channel("releases_channel", &["--channel", "fast-4.13"], 0)]
#[case::channels("releases_channels", &["--channels", "--version", "4.13"], 0)]
#[case::architectures("releases_architectures", &["--version", "4.12", "--filter-by-archs", "amd64,arm64"], 0)]
#[case::json("releases_json", &["--version", "4.12", "--filter-by-archs", "amd64,arm64", "-o", "json"], 0)]
#[case::channels_json("releases_channels_json", &["--channels", "--version", "4.13", "-o", "json"], 0)]
#[case::as_v2_is_called("releases_v2", &["--v2", "--channel", "stable-4.12"], 0)]
#[case::one_number("releases_one_number", &["--version", "4"], 1)]
#[case::no_version("releases_no_version", &["--channels"], 1)]
#[case::unknown_version("releases_unknown_version", &["--version", "4.99"], 2)]
#[case::unknown_channels("releases_unknown_channels", &["--channels", "--version", "4.99"], 2)]
#[case::unknown_channel("releases_unknown_channel", &["--channel", "stable"], 2)]
#[case::unknown_architecture("releases_unknown_architecture", &["--version", "4.12", "--filter-by-archs", "vax"], 1)]
fn releases(#[case] name: &str, #[case] args: &[&str], #[case] code: i32) {
    show(&depot(), name, &[&["releases"], args].concat()).expect_code(code);
}

#[rstest]
#[case::in_channel("updates", &["--from", "4.12.0", "--to", "4.12.2"], 0)]
#[case::around_a_risk("updates_around_a_risk", &["--from", "4.12.0", "--to", "4.13.1"], 0)]
#[case::accepted("updates_accepted", &["--from", "4.12.0", "--to", "4.13.1", "--accept-risks", "DiskLoss"], 0)]
#[case::at_a_risk("updates_at_a_risk", &["--from", "4.13.0", "--to", "4.13.2"], 0)]
#[case::json("updates_json", &["--from", "4.12.2", "--to", "4.13.1", "-o", "json"], 0)]
#[case::named_channel("updates_named_channel", &["--from", "4.12.2", "--to", "4.13.1", "--channel", "fast-4.13"], 0)]
#[case::nothing_to_do("updates_nothing_to_do", &["--from", "4.12.2", "--to", "4.12.2"], 0)]
#[case::no_path("updates_no_path", &["--from", "4.12.0", "--to", "4.12.1", "--arch", "arm64", "--channel", "eus-4.12"], 2)]
#[case::no_channel_on_the_way("updates_other_architecture", &["--from", "4.12.1", "--to", "4.13.1", "--arch", "arm64"], 2)]
#[case::unknown_version("updates_unknown_version", &["--from", "4.12.0", "--to", "4.12.9"], 2)]
#[case::unknown_in_channel("updates_unknown_in_channel", &["--from", "4.13.0", "--to", "4.13.2", "--channel", "stable-4.13"], 2)]
#[case::wrong_way("updates_wrong_way", &["--from", "4.13.1", "--to", "4.12.0"], 2)]
#[case::no_version("updates_no_version", &["--from", "4.12", "--to", "4.13.1"], 1)]
#[case::half_a_question("updates_half_a_question", &["--from", "4.12.0"], 1)]
fn updates(#[case] name: &str, #[case] args: &[&str], #[case] code: i32) {
    show(&depot(), name, &[&["updates"], args].concat()).expect_code(code);
}

#[test]
fn updates_that_are_not_there() {
    let depot = depot();
    let all = ["4.12.0", "4.12.1"].map(|version| depot.version(version));
    depot.channel("stable-4.12", &all.iter().collect::<Vec<_>>(), "");
    show(&depot, "updates_none", &["updates", "--from", "4.12.0", "--to", "4.12.1"]).expect_code(2);
}

#[test]
fn a_picture_shows_the_way() {
    let depot = depot();
    let args = ["updates", "--from", "4.12.0", "--to", "4.13.1", "--svg", "way.svg"];
    show(&depot, "updates_picture", &args).expect_code(0);
    let picture = std::fs::read_to_string(depot.lab.path("way.svg")).expect("it was written");
    assert!(picture.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""), "{picture}");
    for text in ["4.12.0", "4.12.1", "4.12.2", "4.13.0", "4.13.1", "DiskLoss"] {
        assert!(picture.contains(text), "{text}");
    }
    assert_well_formed(&picture);
    show(&depot, "updates_picture_nowhere", &[&args[..6], &["nowhere/way.svg"]].concat()).expect_code(1);
}

/// Fails the test unless all elements are closed in order, and nothing but elements and five entities is marked up.
#[track_caller]
fn assert_well_formed(xml: &str) {
    let mut open = Vec::new();
    for piece in xml.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap_or_else(|| panic!("`<{piece}` does not end"));
        assert!(!text.contains('>') && tag.matches('"').count() % 2 == 0, "`<{piece}`");
        for after in piece.split('&').skip(1) {
            let entity = after.split_once(';').map(|(name, _)| name).unwrap_or_default();
            let known = ["amp", "lt", "gt", "quot", "apos", "#39", "#10"].contains(&entity);
            assert!(known, "`&{after}`");
        }
        let name = tag.trim_matches('/').split_whitespace().next().unwrap_or_default();
        match (tag.strip_prefix('/'), tag.ends_with('/')) {
            (Some(closed), _) => assert_eq!(open.pop(), Some(closed)),
            (None, true) => {}
            (None, false) => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}
