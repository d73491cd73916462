//! Releases end to end: what arrives is what the update graph and the payloads say, and what goes with it.

use std::collections::BTreeMap;

use oc_mirror_testkit::{Release, Signer, release};
use rstest::rstest;
use serde_json::{Value, json};

use crate::depot::{COMPONENTS, Depot, PAYLOADS, payloads_of};
use crate::lab::{Chunks, Lab, names_in, read};
use crate::serve::Served;

/// Releases of three minor versions, in the channels that real ones would be in.
struct World {
    depot: Depot,
    releases: BTreeMap<String, Release>,
}

const VERSIONS: [&str; 8] = ["4.12.0", "4.12.1", "4.12.2", "4.12.3", "4.13.0", "4.13.1", "4.14.0", "4.14.1"];

const CHANNELS: [(&str, &[&str], &str); 3] = [
    (
        "stable-4.12",
        &["4.12.2", "4.12.0", "4.12.3", "4.12.1"],
        "4.12.0>4.12.1 4.12.1>4.12.2 4.12.2>4.12.3 4.12.1>4.12.3 4.12.0>4.12.2",
    ),
    (
        "stable-4.13",
        &["4.13.1", "4.12.2", "4.12.3", "4.13.0"],
        "4.12.2>4.12.3 4.12.3>4.13.0 4.12.3>4.13.1 4.13.0>4.13.1",
    ),
    (
        "eus-4.14",
        &["4.12.3", "4.13.0", "4.13.1", "4.14.0", "4.14.1"],
        "4.12.3>4.13.0 4.13.0>4.13.1 4.12.3>4.13.1 4.13.1>4.14.0 4.14.0>4.14.1 4.13.0>4.14.0",
    ),
];

impl World {
    fn new() -> Self {
        let depot = Depot::new();
        let releases: BTreeMap<_, _> =
            VERSIONS.iter().map(|version| (version.to_string(), depot.version(version))).collect();
        for (name, versions, updates) in CHANNELS {
            let entries: Vec<&Release> = versions.iter().map(|version| &releases[*version]).collect();
            depot.channel(name, &entries, updates);
        }
        Self { depot, releases }
    }
}

#[rstest]
#[case::head(json!([{ "name": "stable-4.12" }]), &["4.12.3"], &["stable-4.12"])]
#[case::range(
    json!([{ "name": "stable-4.12", "minVersion": "4.12.1", "maxVersion": "4.12.2" }]),
    &["4.12.1", "4.12.2"],
    &["stable-4.12"]
)]
#[case::open_range(json!([{ "name": "stable-4.12", "minVersion": "4.12.2" }]), &["4.12.2", "4.12.3"], &["stable-4.12"])]
#[case::shortest_path(
    json!([{ "name": "stable-4.12", "minVersion": "4.12.0", "maxVersion": "4.12.3", "shortestPath": true }]),
    &["4.12.0", "4.12.2", "4.12.3"],
    &["stable-4.12"]
)]
#[case::full(
    json!([{ "name": "stable-4.12", "full": true }]),
    &["4.12.0", "4.12.1", "4.12.2", "4.12.3"],
    &["stable-4.12"]
)]
#[case::across_channels(
    json!([{ "name": "stable-4.12", "minVersion": "4.12.1", "maxVersion": "4.12.1" }, { "name": "stable-4.13" }]),
    &["4.12.1", "4.12.3", "4.13.1"],
    &["stable-4.12", "stable-4.13"]
)]
#[case::eus_to_eus(
    json!([{ "name": "eus-4.14", "minVersion": "4.12.3", "maxVersion": "4.14.1", "shortestPath": true }]),
    &["4.12.3", "4.13.1", "4.14.0", "4.14.1"],
    &["eus-4.14"]
)]
#[case::eus_to_eus_across_channels(
    json!([{ "name": "eus-4.14", "minVersion": "4.12.1", "maxVersion": "4.14.0", "shortestPath": true }]),
    &["4.12.1", "4.12.3", "4.13.0", "4.14.0"],
    &["eus-4.14", "eus-4.12", "stable-4.12", "stable-4.13"]
)]
fn the_selected_releases_arrive(
    #[case] channels: Value,
    #[case] expected: &[&str],
    #[case] fetched: &[&str],
) {
    let World { mut depot, releases } = World::new();
    if fetched.contains(&"eus-4.12") {
        // A real one reaches back only one minor version.
        let last: Vec<&Release> = ["4.13.0", "4.14.0"].iter().map(|version| &releases[*version]).collect();
        depot.channel("eus-4.14", &last, "4.13.0>4.14.0");
    }
    depot.want(json!({ "channels": channels }));
    let made = depot.carry(&[]);
    let tags: Vec<String> = expected.iter().map(|version| format!("{version}-x86_64")).collect();
    assert_eq!(payloads_of(&made), tags, "{:?}", made.report().notes);
    assert_eq!(depot.arrived(), tags);
    let of_graphs: Vec<_> = fetched.iter().map(|channel| ("amd64", *channel)).collect();
    depot.server.assert_fetched_once(&of_graphs);
    for version in expected {
        depot.assert_arrived(&releases[*version], "amd64");
    }
    assert_eq!(depot.lab.target.tags(COMPONENTS).len(), 2 * expected.len(), "and nothing else");
}

#[test]
fn architectures_have_payloads_of_their_own() {
    let mut depot = Depot::new();
    let architectures = ["amd64", "arm64", "s390x"];
    let made = depot.add(release("4.12.1").architectures(&architectures).multi(&["amd64", "arm64"]));
    for architecture in [&architectures[..], &["multi"]].concat() {
        depot.channel_for(architecture, "stable-4.12", &[&made], "");
    }
    depot.want(json!({
        "channels": [{ "name": "stable-4.12" }],
        "architectures": ["arm64", "amd64", "multi", "arm64"],
    }));
    depot.carry(&[]);
    depot.server.assert_fetched_once(&["amd64", "arm64", "multi"].map(|a| (a, "stable-4.12")));
    assert_eq!(depot.arrived(), ["4.12.1-aarch64", "4.12.1-multi", "4.12.1-x86_64"]);
    for architecture in ["amd64", "arm64", "multi"] {
        depot.assert_arrived(&made, architecture);
    }
}

#[test]
fn platforms_choose_within_the_release_for_several_architectures() {
    let depot = Depot::new();
    let made = depot.add(release("4.12.1").multi(&["amd64", "arm64", "s390x"]));
    depot.channel_for("multi", "stable-4.12", &[&made], "");
    depot.want(json!({
        "channels": [{ "name": "stable-4.12" }],
        "platforms": [{ "os": "linux", "architecture": "arm64" }],
    }));
    depot.lab.make(&[]).expect(0);
    depot.server.assert_fetched_once(&[("multi", "stable-4.12")]);
    let served = Served::start(&depot.lab.context, &depot.lab.path("registry"));
    depot.lab.run(&["--from", &depot.lab.file("disk"), &format!("docker://{}", served.host())]).expect(0);
    let payload = made.payload("multi");
    assert_eq!(served.digest_of(PAYLOADS, "4.12.1-multi").as_deref(), Some(payload.digest()));
    for image in payload.components.iter().map(|component| &component.image).chain([&payload.image]) {
        let repository = if image.digest == payload.digest() { PAYLOADS } else { COMPONENTS };
        for child in &image.children {
            let found = served.digest_of(repository, &child.digest);
            assert_eq!(
                found.is_some(),
                child.platform == "linux/arm64",
                "{} of {repository}",
                child.platform
            );
        }
    }
}

#[test]
fn disk_images_for_kubevirt_travel_when_they_are_wanted() {
    let mut depot = Depot::new();
    let made = depot.add(release("4.12.1").kubevirt(&["x86_64", "s390x"]));
    depot.channel("stable-4.12", &[&made], "");
    depot.want(json!({ "channels": [{ "name": "stable-4.12" }], "kubeVirtContainer": true }));
    depot.carry(&[]);
    depot.assert_arrived(&made, "amd64");
    let disk = &made.kubevirt[0];
    assert_eq!(disk.name, "x86_64");
    depot.lab.assert_published(&disk.image, COMPONENTS, "4.12.1-x86_64-kube-virt-container");
    assert_eq!(depot.lab.target.digest_of(COMPONENTS, &made.kubevirt[1].image.digest), None);
}

#[test]
fn a_release_without_disk_images_is_refused_when_they_are_wanted() {
    let depot = Depot::new();
    let made = depot.version("4.12.1");
    depot.channel("stable-4.12", &[&made], "");
    depot.want(json!({ "channels": [{ "name": "stable-4.12" }], "kubeVirtContainer": true }));
    let run = depot.lab.make(&[]);
    run.assert_refused(2, "release 4.12.1 has no disk image for KubeVirt");
    depot.assert_nothing_made();
}

#[test]
fn from_registry_to_registry() {
    let World { depot, releases } = World::new();
    depot.want_channel(json!({ "name": "stable-4.13", "minVersion": "4.13.0" }));
    let to = format!("docker://{}/far", depot.lab.target.host());
    let args = ["-c", "isc.yaml", "--workspace", &depot.lab.file("w"), &to];
    depot.lab.run(&args).expect(0);
    for version in ["4.13.0", "4.13.1"] {
        let payload = releases[version].payload("amd64");
        depot.lab.assert_published(&payload.image, &format!("far/{PAYLOADS}"), &payload.tag);
        for component in &payload.components {
            let tag = format!("{}-{}", payload.tag, component.name);
            depot.lab.assert_published(&component.image, &format!("far/{COMPONENTS}"), &tag);
        }
    }
    for name in ["signature-configmap.json", "signature-configmap.yaml"] {
        let path = depot.lab.path("w/working-dir/cluster-resources").join(name);
        assert!(path.is_file(), "{}", path.display());
    }
    depot.lab.target.clear_log();
    depot.lab.run(&args).expect(0);
    let log = depot.lab.writes_to_target();
    assert!(log.iter().all(|line| !line.path.contains("/blobs/")), "no blob is sent again: {log:#?}");
}

#[test]
fn nothing_new_ships_nothing_and_a_newer_release_ships_what_differs() {
    let depot = Depot::new();
    let old = depot.version("4.12.1");
    depot.channel("stable-4.12", &[&old], "");
    depot.want_channel(json!({ "name": "stable-4.12", "minVersion": "4.12.1" }));
    depot.lab.make(&[]).expect(0);
    let again = depot.lab.make(&[]).expect(0);
    assert_eq!(again.outcomes(), [(1, "nothing new")]);
    assert!(!names_in(&depot.lab.path("disk")).iter().any(|name| name.contains("seq2")));

    let new = depot.version("4.12.2");
    depot.channel("stable-4.12", &[&new, &old], "4.12.1>4.12.2");
    depot.lab.source.clear_log();
    let more = depot.lab.make(&[]).expect(0);
    assert_eq!(more.outcomes(), [(2, "made")]);
    let carried = Chunks::of(&depot.lab.path("disk"), 2).blobs();
    let unchanged = new.payload("amd64").components.iter().find(|c| c.name == "pod").expect("it was added");
    assert!(!carried.contains(&unchanged.image.layer_digests()[0]), "what both consist of is there already");
    depot.lab.publish("disk", &[]).expect(0);
    depot.assert_arrived(&old, "amd64");
    depot.assert_arrived(&new, "amd64");
}

#[test]
fn graphs_and_signatures_travel_as_they_were_received() {
    let World { mut depot, releases } = World::new();
    let payload = releases["4.12.3"].payload("amd64");
    let second = Signer::new();
    depot.server.signature(payload.digest(), second.sign(payload.digest(), &payload.identity()));
    let good = depot.signer.sign(payload.digest(), &payload.identity());
    depot.server.signature(payload.digest(), good.clone());
    depot.want_channel(json!({ "name": "stable-4.12" }));
    depot.carry(&[]);

    let unpacked = depot.lab.path("unpacked");
    Chunks::of(&depot.lab.path("disk"), 1).unpack(&unpacked);
    let graph = read(&unpacked.join("files/update-graphs/ocp/amd64-stable-4.12.json"));
    let (_, versions, updates) = CHANNELS[0];
    let entries: Vec<_> = versions.iter().map(|v| (*v, releases[*v].payload("amd64"))).collect();
    assert_eq!(graph, crate::depot::graph("stable-4.12", &entries, updates).build());
    let store = unpacked.join("files/release-signatures").join(payload.digest().replace(':', "="));
    // The one by a key that does not count is not among them.
    assert_eq!(names_in(&store), ["signature-1", "signature-3"]);
    assert_eq!(read(&store.join("signature-3")), good);

    let resources = depot.lab.path("far/working-dir/cluster-resources");
    let json: Value = serde_json::from_slice(&read(&resources.join("signature-configmap.json"))).unwrap();
    let yaml = String::from_utf8(read(&resources.join("signature-configmap.yaml"))).unwrap();
    assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap(), json);
    let key = payload.digest().replace(':', "-");
    let expected = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "mirrored-release-signatures",
            "namespace": "openshift-config-managed",
            "labels": { "release.openshift.io/verification-signatures": "" },
            "annotations": { "createdBy": "oc-mirror" },
        },
        "binaryData": {
            format!("{key}-1"): base64(&read(&store.join("signature-1"))),
            format!("{key}-3"): base64(&good),
        },
    });
    assert_eq!(json, expected);
}

/// Encodes with a program that everybody has.
fn base64(bytes: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().expect("the machine has a temporary directory");
    std::fs::write(file.path(), bytes).expect("a fresh file is writable");
    let output = std::process::Command::new("base64").arg("-w0").arg(file.path()).output();
    String::from_utf8(output.expect("this machine has base64").stdout).expect("base64 is text")
}

#[rstest]
#[case::head(json!([{ "name": "stable-4.12" }]))]
#[case::range(json!([{ "name": "stable-4.12", "minVersion": "4.12.1" }]))]
#[case::path(json!([{ "name": "stable-4.12", "minVersion": "4.12.1", "shortestPath": true }]))]
#[case::full(json!([{ "name": "stable-4.12", "full": true }]))]
fn a_pinned_configuration_selects_the_same_when_the_channel_has_gone_on(#[case] channels: Value) {
    let World { depot, releases } = World::new();
    depot.want(json!({ "channels": channels }));
    let before = payloads_of(&depot.lab.make(&[]).expect(0));
    let pinned = read(&depot.lab.path("disk/working-dir/resolved-config.yaml"));
    let text = String::from_utf8(pinned.clone()).unwrap();
    let parsed: Value = serde_saphyr::from_str(&text).unwrap();
    let channel = &parsed["mirror"]["platform"]["channels"][0];
    assert_eq!(channel["maxVersion"], "4.12.3", "{text}");
    assert!(channel["minVersion"].is_string(), "{text}");

    let newer = depot.version("4.12.4");
    let (_, versions, updates) = CHANNELS[0];
    let mut all: Vec<&Release> = versions.iter().map(|version| &releases[*version]).collect();
    all.push(&newer);
    depot.channel("stable-4.12", &all, &format!("{updates} 4.12.3>4.12.4 4.12.1>4.12.4"));
    depot.lab.context.write("isc.yaml", pinned);
    assert_eq!(payloads_of(&depot.lab.make_in("again", &[]).expect(0)), before);
}

/// Where one architecture is behind, the one range has to have the latest of both.
#[test]
fn a_pinned_configuration_has_the_releases_of_all_architectures() {
    let depot = Depot::new();
    let of = |version| depot.add(release(version).architectures(&["amd64", "arm64"]));
    let (old, new) = (of("4.12.9"), of("4.12.10"));
    depot.channel("stable-4.12", &[&old, &new], "4.12.9>4.12.10");
    depot.channel_for("arm64", "stable-4.12", &[&old], "");
    depot.want(json!({ "channels": [{ "name": "stable-4.12" }], "architectures": ["amd64", "arm64"] }));
    assert_eq!(payloads_of(&depot.lab.make(&[]).expect(0)), ["4.12.10-x86_64", "4.12.9-aarch64"]);
    let pinned = read(&depot.lab.path("disk/working-dir/resolved-config.yaml"));
    depot.lab.context.write("isc.yaml", pinned);
    let again = payloads_of(&depot.lab.make_in("again", &[]).expect(0));
    assert_eq!(again, ["4.12.9-x86_64", "4.12.10-x86_64", "4.12.9-aarch64"]);
}

#[test]
fn a_pinned_configuration_of_two_channels_selects_the_same() {
    let World { depot, .. } = World::new();
    depot.want(json!({ "channels": [
        { "name": "stable-4.12", "minVersion": "4.12.1", "shortestPath": true }, { "name": "stable-4.13" },
    ] }));
    let before = payloads_of(&depot.lab.make(&[]).expect(0));
    assert_eq!(before.len(), 3, "{before:?}");
    let pinned = read(&depot.lab.path("disk/working-dir/resolved-config.yaml"));
    depot.lab.context.write("isc.yaml", pinned);
    assert_eq!(payloads_of(&depot.lab.make_in("again", &[]).expect(0)), before);
}

#[rstest]
#[case::by_tag(true)]
#[case::by_digest(false)]
fn one_release_by_name(#[case] by_tag: bool) {
    let mut depot = Depot::new();
    let made = depot.version("4.12.1");
    let payload = made.payload("amd64");
    depot.want(json!({ "release": if by_tag { payload.by_tag() } else { payload.by_digest() } }));
    depot.carry(&[]);
    depot.server.assert_fetched_once(&[]);
    depot.assert_arrived(&made, "amd64");
    assert_eq!(depot.arrived(), ["4.12.1-x86_64"]);
    let pinned = read(&depot.lab.path("disk/working-dir/resolved-config.yaml"));
    assert!(String::from_utf8(pinned).unwrap().contains(&payload.by_digest()));
}

#[test]
fn an_image_that_is_no_release_is_refused() {
    let depot = Depot::new();
    let image = oc_mirror_testkit::ImageBuilder::new().layer(&[("etc/motd", "hello")]).build();
    let name = depot.lab.push(&image, "team/app", "v1");
    let lab: &Lab = &depot.lab;
    depot.server.signature(&image.digest, depot.signer.sign(&image.digest, "quay.io/team/app:v1"));
    depot.want(json!({ "release": name }));
    lab.make(&[]).assert_refused(2, "the image has no /release-manifests/image-references");
    depot.assert_nothing_made();
}
