//! Archives of oc-mirror v1: what that program itself has made, and what nobody would.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oc_mirror_testkit::{GraphData, Image, ImageBuilder, IndexBuilder, Skopeo, fixtures, sha256};
use rstest::rstest;
use serde_json::{Value, json};

use crate::archives::{V1, append, flip, member};
use crate::lab::{Lab, Run, names_in, read};

/// Copies a sample into the working directory; nothing where there are none.
fn sample(lab: &Lab, name: &str, to: &str) -> Option<PathBuf> {
    let from = fixtures()?.join("v1-imagesets").join(name);
    std::fs::create_dir_all(lab.path(to)).expect("writable");
    for file in names_in(&from).iter().filter(|file| file.starts_with("mirror_seq")) {
        std::fs::copy(from.join(file), lab.path(to).join(file)).expect("a sample can be copied");
    }
    Some(from)
}

fn publish(lab: &Lab, from: &str, prefix: &str, more: &[&str]) -> Run {
    let (from, to) = (lab.file(from), format!("docker://{}/{prefix}", lab.target.host()));
    lab.run(&[&["--from", from.as_str(), to.as_str()], more].concat())
}

fn metadata(archive: &Path) -> Value {
    serde_json::from_slice(&member(archive, "publish/.metadata.json")).expect("metadata is JSON")
}

fn images<'a>(metadata: &'a Value, list: &str) -> Vec<(&'a str, &'a str, &'a str)> {
    let text = |value: &'a Value, key: &str| value[key].as_str().unwrap_or_default();
    let all = metadata.pointer(list).and_then(Value::as_array).into_iter().flatten();
    let of = |a: &'a Value| (text(a, "path"), text(a, "tagSymlink"), text(a, "id"));
    all.filter(|a| text(a, "name").contains('/')).map(of).collect()
}

/// Fails the test unless the target has an image with all that belongs to it.
#[track_caller]
fn assert_there(lab: &Lab, repository: &str, tag: &str, digest: &str) {
    let reference = format!("docker://{}", lab.target.reference(repository, tag));
    let skopeo = Skopeo::new();
    assert_eq!(skopeo.digest(&reference), digest, "{repository}:{tag}");
    skopeo.pull(&reference);
}

/// Returns `source=destination` of every line, without transports, and with the target's name as v1 had it.
fn lines(mapping: &str, host: &str) -> BTreeMap<String, String> {
    let split = |line: &str| {
        let line = line.replace("docker://", "").replace(host, "127.0.0.1:15002");
        line.split_once('=').map(|(from, to)| (from.to_owned(), to.to_owned()))
    };
    mapping.lines().filter_map(split).collect()
}

/// Returns sources and mirrors of policies, with the target's name as v1 had it.
fn mirrors(policies: &str, host: &str) -> Vec<String> {
    let words = ["source: ", "- 127.0.0.1", "name: ", "operators.openshift.org/catalog"];
    let mut lines: Vec<String> = policies
        .replace(host, "127.0.0.1:15002")
        .lines()
        .map(|line| line.trim().trim_start_matches("- source").to_owned())
        .map(|line| if line.starts_with(": ") { format!("source{line}") } else { line })
        .filter(|line| words.iter().any(|word| line.starts_with(word)))
        .collect();
    lines.sort();
    lines
}

#[rstest]
#[case::stateful("seq1", "mirror", Some("results"))]
#[case::chunks_of_one_member("multichunk", "mirror", None)]
#[case::catalog_of_a_directory("oci-catalog-stateless", "mirror", None)]
#[case::release("release", "rel", Some("results-1795378384"))]
fn every_sample_arrives_where_v1_has_put_it(
    #[case] name: &str,
    #[case] prefix: &str,
    #[case] results: Option<&str>,
) {
    let lab = Lab::new();
    let Some(from) = sample(&lab, name, "disk") else { return };
    let metadata = metadata(&lab.path("disk/mirror_seq1_000000.tar"));
    let run = publish(&lab, "disk", prefix, &["--dry-run"]).expect(0);
    assert_eq!(run.outcomes(), [(1, "planned")]);
    assert!(lab.target.repositories().is_empty(), "a dry run sends nothing");
    let host = lab.target.host();
    if let Some(results) = results {
        let planned = read(&lab.path("disk/working-dir/dry-run/mapping.txt"));
        let published = read(&from.join(results).join("mapping.txt"));
        let text = |bytes: Vec<u8>| lines(&String::from_utf8(bytes).expect("text"), &host);
        assert_eq!(text(planned), text(published));
    }
    let run = publish(&lab, "disk", prefix, &[]).expect(0);
    assert_eq!(run.outcomes(), [(1, "published")]);
    for (path, tag, digest) in images(&metadata, "/pastMirror/associations") {
        assert_there(&lab, &format!("{prefix}/{path}"), tag, digest);
    }
    if let Some(results) = results {
        let file = "imageContentSourcePolicy.yaml";
        let ours = read(&lab.path("disk/working-dir/cluster-resources").join(file));
        let theirs = read(&from.join(results).join(file));
        let text = |bytes: Vec<u8>| mirrors(&String::from_utf8(bytes).expect("text"), &host);
        assert_eq!(text(ours), text(theirs));
    }
    // Once more, and there is nothing to do.
    lab.target.clear_log();
    let again = publish(&lab, "disk", prefix, &[]).expect(0);
    assert_eq!(again.outcomes(), [(1, "already published")]);
    assert_eq!(lab.writes_to_target(), []);
}

#[rstest]
#[case("seq1", "cat/idx:v1", "catalogs/127.0.0.1:15001/cat/idx/v1/index/index.json")]
#[case(
    "oci-catalog-stateless",
    "gotool/e2e/w/ocicat:b4c342",
    "catalogs/tmp/gotool/e2e/w/ocicat/sha256:b4c342f65423d58990772de1d463637f63ba8eb5fbaf40080805562d62af4008/index/index.json"
)]
fn a_catalog_is_built_as_v1_builds_it(
    #[case] sample_name: &str,
    #[case] place: &str,
    #[case] filtered: &str,
) {
    let lab = Lab::new();
    if sample(&lab, sample_name, "disk").is_none() {
        return;
    }
    publish(&lab, "disk", "mirror", &[]).expect(0);
    let reference = format!("docker://{}/mirror/{place}", lab.target.host());
    let skopeo = Skopeo::new();
    let index: Value = serde_json::from_slice(&skopeo.inspect_raw(&reference)).expect("JSON");
    assert_eq!(
        index["manifests"].as_array().map(Vec::len),
        Some(1),
        "even a single image is in a list: {index:#}"
    );
    assert_eq!(index["manifests"][0]["platform"]["architecture"], "amd64");
    let pulled = lab.path("pulled");
    skopeo.copy(&[], &reference, &format!("dir:{}", pulled.display()));
    let manifest: Value = serde_json::from_slice(&read(&pulled.join("manifest.json"))).expect("JSON");
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().expect("a digest");
        pulled.join(digest.trim_start_matches("sha256:"))
    };
    let config: Value = serde_json::from_slice(&read(&blob(&manifest["config"]))).expect("JSON");
    assert_eq!(config["config"]["Cmd"], json!(["serve", "/configs"]));
    assert_eq!(config["config"]["Labels"]["operators.operatorframework.io.index.configs.v1"], "/configs");
    let layers = manifest["layers"].as_array().expect("layers");
    let [.., removal, content] = layers.as_slice() else { panic!("two layers on top: {manifest:#}") };
    let listed = Command::new("tar").arg("-tzf").arg(blob(removal)).output().expect("this machine has tar");
    assert_eq!(String::from_utf8_lossy(&listed.stdout).trim(), ".wh.configs");
    let unpacked = Command::new("tar").arg("-xzOf").arg(blob(content)).arg("configs/index.json").output();
    let archive = lab.path("disk/mirror_seq1_000000.tar");
    assert_eq!(unpacked.expect("this machine has tar").stdout, member(&archive, filtered));
    let sources = names_in(&lab.path("disk/working-dir/cluster-resources"));
    assert!(sources.iter().any(|name| name.starts_with("cs-")), "{sources:?}");
}

#[test]
fn the_second_sequence_builds_on_the_first() {
    let lab = Lab::new();
    let Some(from) = sample(&lab, "seq2-diff", "second") else { return };
    let refused = publish(&lab, "second", "mirror", &[]);
    refused.assert_refused(
        1,
        "imageset 2 builds on sequence 1, but the target is at its beginning: sequence 1 is missing",
    );
    assert!(lab.target.repositories().is_empty(), "nothing was sent");

    sample(&lab, "seq1", "first");
    publish(&lab, "first", "mirror", &[]).expect(0);
    lab.target.clear_log();
    let run = publish(&lab, "second", "mirror", &[]).expect(0);
    assert_eq!(run.outcomes(), [(2, "published")]);
    let metadata = metadata(&lab.path("second/mirror_seq2_000000.tar"));
    // Those that the first one brought are still wanted.
    for (path, tag, digest) in images(&metadata, "/pastAssociations") {
        assert_there(&lab, &format!("mirror/{path}"), tag, digest);
    }
    let totals = &run.report().totals;
    assert!(totals.mounted_blobs > 0, "the layer that all share is not in the archive: {totals:?}");
    assert_eq!(run.report().images.len(), 8, "all that is wanted, and the catalog");
    let host = lab.target.host();
    let ours = read(&lab.path("second/working-dir/cluster-resources/imageContentSourcePolicy.yaml"));
    let theirs = read(&from.join("results/imageContentSourcePolicy.yaml"));
    let text = |bytes: Vec<u8>| mirrors(&String::from_utf8(bytes).expect("text"), &host);
    assert_eq!(text(ours), text(theirs));

    // Both in one directory, as on a disk that is used again and again.
    sample(&lab, "seq1", "second");
    let again = publish(&lab, "second", "mirror", &[]).expect(0);
    assert_eq!(again.outcomes(), [(1, "already published"), (2, "already published")]);
}

#[test]
fn a_chain_goes_on_that_v1_itself_has_published() {
    let lab = Lab::new();
    if sample(&lab, "seq1", "first").is_none() || sample(&lab, "seq2-diff", "second").is_none() {
        return;
    }
    publish(&lab, "first", "mirror", &[]).expect(0);
    let bytes = member(&lab.path("first/mirror_seq1_000000.tar"), "publish/.metadata.json");
    let uid = metadata(&lab.path("first/mirror_seq1_000000.tar"))["uid"].as_str().expect("a uid").to_owned();
    // What v1 leaves at a target: the same document in the one layer of an image.
    let record = ImageBuilder::new().docker().layer(&[("publish/.metadata.json", bytes)]).build();
    lab.target.push(&record, "mirror/oc-mirror", &uid);
    let again = publish(&lab, "first", "mirror", &[]).expect(0);
    assert_eq!(again.outcomes(), [(1, "already published")]);
    let run = publish(&lab, "second", "mirror", &[]).expect(0);
    assert_eq!(run.outcomes(), [(2, "published")]);
    assert_ne!(lab.target.digest_of("mirror/oc-mirror", &uid), Some(record.digest), "the record is ours now");
    let again = publish(&lab, "second", "mirror", &[]).expect(0);
    assert_eq!(again.outcomes(), [(2, "already published")]);
}

fn image(seed: u64) -> Image {
    ImageBuilder::new().docker().layer(&[("etc/motd", "base\n")]).random_layer(seed, 30_000).build()
}

#[test]
fn one_wrong_byte_fails_one_image_and_no_tag_moves() {
    let lab = Lab::new();
    let (good, bad) = (image(1), image(2));
    let archive = V1::new(1)
        .image(&good, "team/good", "v1", "generic", &[])
        .image(&bad, "team/bad", "v1", "generic", &[])
        .write(&lab, "disk");
    flip(&archive, &bad.layers[1].blob.bytes);
    let run = publish(&lab, "disk", "far", &[]).expect(8);
    let [failure] = run.report().failures.as_slice() else { panic!("{:?}", run.report().failures) };
    assert!(failure.subject.starts_with("registry.example/team/bad@"), "{failure:?}");
    assert!(failure.message.contains("hashes to"), "{failure:?}");
    lab.assert_published(&good, "far/team/good", "v1");
    assert_eq!(lab.target.digest_of("far/team/bad", "v1"), None);
    assert_eq!(lab.target.digest_of("far/team/bad", &bad.digest), None, "no manifest either");
    assert!(lab.chains("far/oc-mirror").is_empty(), "no record");
}

#[test]
fn a_wrong_manifest_fails_its_image() {
    let lab = Lab::new();
    let bad = image(2);
    let archive = V1::new(1).image(&bad, "team/bad", "v1", "generic", &[]).write(&lab, "disk");
    flip(&archive, &bad.manifest);
    let run = publish(&lab, "disk", "far", &[]).expect(8);
    assert!(run.report().failures[0].message.contains("hashes to"), "{:?}", run.report().failures);
    assert_eq!(lab.writes_to_target(), [], "nothing was sent of it");
}

#[test]
fn what_is_nowhere_is_told_before_anything_of_its_image_is_sent() {
    let lab = Lab::new();
    let (one, two) = (image(1), image(2));
    let lost = one.layers[1].blob.digest.clone();
    V1::new(1)
        .image(&one, "team/one", "v1", "generic", &[&lost])
        .image(&two, "team/two", "v1", "generic", &[])
        .write(&lab, "disk");
    let run = publish(&lab, "disk", "far", &[]).expect(8);
    let [failure] = run.report().failures.as_slice() else { panic!("{:?}", run.report().failures) };
    assert!(failure.subject.starts_with("registry.example/team/one@"), "{failure:?}");
    assert!(
        failure.message.contains(&lost) && failure.message.contains("neither in the archive"),
        "{failure:?}"
    );
    assert!(
        failure.hint.as_ref().is_some_and(|hint| hint.contains("publish the archives that were made before"))
    );
    lab.assert_published(&two, "far/team/two", "v1");
    let sent = lab.writes_to_target().into_iter().filter(|line| line.path.contains("team/one")).count();
    assert_eq!(sent, 0);
}

#[test]
fn a_catalog_is_not_offered_without_its_images() {
    let lab = Lab::new();
    let bundle = image(1);
    let name = format!("registry.example/ops/bundle@{}", bundle.digest);
    let base = ImageBuilder::new().layer(&[("configs/index.json", "{}")]).build();
    let documents = json!({"schema": "olm.bundle", "name": "b", "image": name}).to_string();
    let mut archive =
        V1::new(1).image(&bundle, "ops/bundle", "v1", "operatorBundle", &[&bundle.layers[1].blob.digest]);
    archive.operators = vec![json!({"catalog": "registry.example/cat/idx:v1"})];
    layout(archive.file("catalogs/registry.example/cat/idx/v1/index/index.json", documents), &base)
        .write(&lab, "disk");
    let run = publish(&lab, "disk", "far", &[]).expect(4);
    let kinds: Vec<&str> = run.report().failures.iter().map(|f| f.kind.as_str()).collect();
    assert_eq!(kinds, ["bundle", "catalog"], "{:?}", run.report().failures);
    assert_eq!(lab.target.digest_of("far/cat/idx", "v1"), None);
}

/// Adds the layout of a catalog's image.
fn layout(archive: V1, base: &Image) -> V1 {
    const DIRECTORY: &str = "catalogs/registry.example/cat/idx/v1/layout";
    let index = json!({"schemaVersion": 2, "manifests": [base.descriptor()]});
    let archive = archive.file(&format!("{DIRECTORY}/index.json"), index.to_string());
    let blobs = base.tree().into_iter().map(|m| (m.digest.clone(), m.manifest.clone()));
    let blobs = blobs.chain(base.blobs().into_iter().map(|b| (b.digest.clone(), b.bytes.clone())));
    blobs.fold(archive, |archive, (digest, bytes)| {
        archive.file(&format!("{DIRECTORY}/blobs/{}", digest.replace(':', "/")), bytes)
    })
}

#[test]
fn a_catalog_of_several_platforms_keeps_them_and_leftovers_of_others_stay_away() {
    let lab = Lab::new();
    let of = |platform: &str| ImageBuilder::new().platform(platform).layer(&[("arch", platform)]).build();
    let base = IndexBuilder::new().child(&of("linux/amd64")).child(&of("linux/arm64")).build();
    let mut archive = V1::new(1);
    archive.operators = vec![json!({"catalog": "registry.example/cat/idx:v1"})];
    let archive = layout(archive.file("catalogs/registry.example/cat/idx/v1/index/index.json", "{}"), &base)
        .file("catalogs/registry.example/cat/old/v1/index/index.json", "{}");
    archive.write(&lab, "disk");
    let run = publish(&lab, "disk", "far", &[]).expect(0);
    let raw = Skopeo::new().inspect_raw(&format!("docker://{}/far/cat/idx:v1", lab.target.host()));
    let index: Value = serde_json::from_slice(&raw).expect("JSON");
    let platforms: Vec<&str> = (0..2)
        .filter_map(|n| index.pointer(&format!("/manifests/{n}/platform/architecture"))?.as_str())
        .collect();
    assert_eq!(platforms, ["amd64", "arm64"]);
    let warning = "`catalogs/registry.example/cat/old/v1` is left out";
    assert!(run.report().warnings.iter().any(|w| w.starts_with(warning)), "{:?}", run.report().warnings);
    assert_eq!(lab.target.digest_of("far/cat/old", "v1"), None);
}

#[test]
fn charts_signatures_and_the_update_graph_arrive() {
    let lab = Lab::new();
    let (payload, micro) = (image(1), image(2));
    let hex = payload.digest.trim_start_matches("sha256:");
    let signatures = json!({
        "kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": format!("sha256-{hex}")},
        "binaryData": {format!("sha256-{hex}-1"): STANDARD.encode("a signature")},
    });
    let graph = GraphData::new().channel("stable-4.18", &["4.18.1"]);
    V1::new(1)
        .image(&payload, "openshift/release-images", "4.18.1-x86_64", "ocpRelease", &[])
        .image(&micro, "ubi8/ubi-micro", "latest", "generic", &[])
        .file("charts/podinfo-5.0.0.tgz", "a chart")
        .file(&format!("release-signatures/signature-sha256-{}.json", &hex[..16]), signatures.to_string())
        .file("cincinnati/cincinnati-graph-data.tar.gz", graph.build())
        .write(&lab, "disk");
    let file = lab.path("disk/mirror_seq1_000000.tar");
    append(&file, &lab.path("disk.tree"), "charts/podinfo-5.0.0.tgz");
    publish(&lab, "disk", "far", &[]).expect(0);
    let workspace = lab.path("disk/working-dir");
    assert_eq!(read(&workspace.join("charts/podinfo-5.0.0.tgz")), b"a chart");
    assert_eq!(read(&workspace.join(format!("release-signatures/sha256={hex}/signature-1"))), b"a signature");
    let maps = read(&workspace.join("cluster-resources/signature-configmap.json"));
    assert!(String::from_utf8_lossy(&maps).contains(&STANDARD.encode("a signature")));
    let reference = format!("docker://{}/far/openshift/graph-image:latest", lab.target.host());
    let pulled = lab.path("graph");
    Skopeo::new().copy(&[], &reference, &format!("dir:{}", pulled.display()));
    let manifest: Value = serde_json::from_slice(&read(&pulled.join("manifest.json"))).expect("JSON");
    let layers = manifest["layers"].as_array().expect("layers");
    assert_eq!(layers[0]["digest"], micro.layers[0].blob.digest, "it is built on ubi-micro");
    let top =
        layers.last().and_then(|l| l["digest"].as_str()).expect("a layer").trim_start_matches("sha256:");
    let listed =
        Command::new("tar").arg("-tzf").arg(pulled.join(top)).output().expect("this machine has tar");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for name in ["channels/stable-4.18.yaml", &format!("signatures/sha256/{hex}/signature-1")] {
        assert!(listed.contains(&format!("var/lib/cincinnati-graph-data/{name}")), "{listed}");
    }
    assert!(names_in(&workspace.join("cluster-resources")).contains(&"updateService.yaml".to_owned()));
}

#[test]
fn what_the_target_has_lost_since_is_told() {
    let lab = Lab::new();
    let (one, two) = (image(1), image(2));
    V1::new(1).image(&one, "team/one", "v1", "generic", &[]).write(&lab, "first");
    publish(&lab, "first", "far", &[]).expect(0);
    let base = one.layers[0].blob.digest.clone();
    V1::new(2)
        .kept(&one, "team/one", "v1")
        .kept(&image(3), "team/gone", "v1")
        .image(&two, "team/two", "v1", "generic", &[&base])
        .write(&lab, "second");
    let run = publish(&lab, "second", "far", &[]).expect(8);
    let subjects: Vec<&str> = run.report().failures.iter().map(|f| f.subject.as_str()).collect();
    assert!(
        matches!(subjects.as_slice(), [only] if only.starts_with("registry.example/team/gone@")),
        "{subjects:?}"
    );
    lab.assert_published(&two, "far/team/two", "v1");
}

/// Spoils an archive.
enum Spoil {
    CutOff,
    Link,
    WayOut,
    OtherSequence,
    NoMetadata,
    Twice,
}

#[rstest]
#[case::cut_off(Spoil::CutOff, "it is cut off")]
#[case::link(Spoil::Link, "only tags are links here")]
#[case::way_out(Spoil::WayOut, "its name leads out of the archive")]
#[case::other_sequence(Spoil::OtherSequence, "its name says sequence 3, and what is in it sequence 1")]
#[case::no_metadata(Spoil::NoMetadata, "there is no `publish/.metadata.json` in it")]
#[case::twice(Spoil::Twice, "is in it twice")]
fn what_is_no_archive_is_refused_before_anything_is_sent(#[case] spoil: Spoil, #[case] reason: &str) {
    let lab = Lab::new();
    let one = image(1);
    let file = V1::new(1).image(&one, "team/one", "v1", "generic", &[]).write(&lab, "disk");
    let tree = lab.path("disk.tree");
    match spoil {
        Spoil::CutOff => {
            let length = read(&file).len() as u64;
            let file = std::fs::OpenOptions::new().write(true).open(&file).expect("writable");
            file.set_len(length - 12_000).expect("writable");
        }
        Spoil::Link => {
            let name = format!("blobs/{}", sha256(b"elsewhere"));
            std::os::unix::fs::symlink("/etc/passwd", tree.join(&name)).expect("writable");
            append(&file, &tree, &name);
        }
        Spoil::WayOut => {
            std::fs::write(lab.path("outside"), "x").expect("writable");
            append(&file, &tree, "../outside");
        }
        Spoil::OtherSequence => {
            std::fs::rename(&file, lab.path("disk/mirror_seq3_000000.tar")).expect("writable");
        }
        Spoil::NoMetadata => {
            std::fs::remove_file(&file).expect("writable");
            append(&file, &tree, &format!("blobs/{}", one.digest));
        }
        Spoil::Twice => append(&file, &tree, "publish/.metadata.json"),
    }
    publish(&lab, "disk", "far", &[]).assert_refused(1, reason);
    assert!(lab.target.repositories().is_empty(), "nothing was sent");
}

#[test]
fn a_chunk_that_is_missing_is_named() {
    let lab = Lab::new();
    if sample(&lab, "multichunk", "disk").is_none() {
        return;
    }
    std::fs::remove_file(lab.path("disk/mirror_seq1_000024.tar")).expect("writable");
    publish(&lab, "disk", "far", &[]).assert_refused(1, "`mirror_seq1_000024.tar` is missing");
    assert!(lab.target.repositories().is_empty(), "nothing was sent");
}

#[test]
fn archives_of_two_programs_are_not_mixed() {
    let lab = Lab::new();
    lab.configure(&[lab.push(&image(1), "team/app", "v1")]);
    lab.make(&[]).expect(0);
    V1::new(2).image(&image(2), "team/two", "v1", "generic", &[]).write(&lab, "disk");
    let words = "it holds archives of oc-mirror v1 beside those of this program";
    publish(&lab, "disk", "far", &[]).assert_refused(1, words);
    // One of them can be named.
    let run = publish(&lab, "disk/mirror_seq1_000000.tar", "far", &[]).expect(0);
    assert_eq!(run.outcomes(), [(1, "published")]);
}

#[test]
fn pruning_deletes_what_v1_would_and_needs_a_chain() {
    let mut lab = Lab::new();
    lab.target = oc_mirror_testkit::Registry::builder().delete().start();
    let (one, two) = (image(1), image(2));
    V1::new(1)
        .image(&one, "team/one", "v1", "generic", &[])
        .image(&two, "team/two", "v1", "generic", &[])
        .write(&lab, "first");
    publish(&lab, "first", "far", &[]).expect(0);
    let three = image(3);
    V1::new(2)
        .kept(&one, "team/one", "v1")
        .image(&three, "team/three", "v1", "generic", &[&one.layers[0].blob.digest])
        .write(&lab, "second");
    publish(&lab, "second", "far", &["--prune"]).expect(0);
    lab.assert_published(&one, "far/team/one", "v1");
    lab.assert_published(&three, "far/team/three", "v1");
    assert_eq!(lab.target.digest_of("far/team/two", "v1"), None, "it is not wanted any more");

    let mut alone = V1::new(1).image(&one, "team/one", "v1", "generic", &[]);
    alone.single_use = true;
    alone.write(&lab, "alone");
    publish(&lab, "alone", "far", &["--prune"])
        .assert_refused(1, "--prune goes by what a chain wanted before");
}
