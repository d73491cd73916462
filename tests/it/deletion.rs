//! Images are deleted in two phases; what others need stays, the record follows, and what is wanted again is shipped again.

use std::path::Path;
use std::process::Command;

use oc_mirror_testkit::{
    Action, CommandOutput, FaultRegistry, Image, ImageBuilder, IndexBuilder, Registry, Rule, Skopeo,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::depot::{COMPONENTS, Depot, PAYLOADS};
use crate::lab::{Lab, context, digest_tag, join, read};
use crate::serve::Served;
use crate::shop::Shop;

/// The list of the workspace beside the imagesets.
const LIST: &str = "disk/working-dir/delete/delete-images.yaml";

/// A lab whose target deletes.
fn lab() -> Lab {
    Lab::with(Registry::start(), Registry::builder().delete().start())
}

fn app(number: u64) -> Image {
    ImageBuilder::new().random_layer(number, 20_000).build()
}

/// Runs `oc-mirror delete` with a report on its standard output.
fn delete(lab: &Lab, args: &[&str]) -> (CommandOutput, Value) {
    let output = lab.context.run(&join(&["delete", "-o", "json", "--dest-tls-verify=false"], args));
    let report = serde_json::from_str(&output.raw_stdout).unwrap_or_default();
    (output, report)
}

#[track_caller]
fn expect(code: i32, (output, report): (CommandOutput, Value)) -> Value {
    assert_eq!(output.code, code, "\n{}", output.snapshot());
    report
}

/// Writes `disc.yaml` with these sections.
fn mean(lab: &Lab, sections: Value) {
    let document = json!({
        "kind": "DeleteImageSetConfiguration",
        "apiVersion": "mirror.openshift.io/v2alpha1",
        "delete": sections,
    });
    lab.context.write("disc.yaml", document.to_string());
}

fn mean_images<S: AsRef<str>>(lab: &Lab, names: &[S]) {
    let images: Vec<Value> = names.iter().map(|name| json!({ "name": name.as_ref() })).collect();
    mean(lab, json!({ "additionalImages": images }));
}

fn target(lab: &Lab) -> String {
    format!("docker://{}", lab.target.host())
}

/// The first phase, on the connected side.
#[track_caller]
fn list(lab: &Lab, more: &[&str]) -> Value {
    let (workspace, to) = (lab.file("disk"), target(lab));
    let args = ["-c", "disc.yaml", "--generate", "--workspace", &workspace, &to];
    expect(0, delete(lab, &join(&args, more)))
}

/// The second phase, on the far side.
fn carry_out(lab: &Lab, more: &[&str]) -> (CommandOutput, Value) {
    let (file, workspace, to) = (lab.path(LIST).display().to_string(), lab.file("far"), target(lab));
    delete(lab, &join(&["--delete-yaml-file", &file, "--workspace", &workspace, &to], more))
}

/// Tells the connected side.
#[track_caller]
fn tell(lab: &Lab, list: &str) -> u64 {
    let (file, workspace) = (lab.path(list).display().to_string(), lab.file("disk"));
    let told = expect(0, delete(lab, &["--delete-yaml-file", &file, "--workspace", &workspace]));
    told["forgotten"].as_u64().expect("a number")
}

#[track_caller]
fn publish(lab: &Lab) {
    lab.publish("disk", &["--workspace", &lab.file("far")]).expect(0);
}

/// `(reference after the host, outcome)` of each image.
fn outcomes(lab: &Lab, report: &Value) -> Vec<(String, String)> {
    let host = format!("{}/", lab.target.host());
    let text = |value: &Value| value.as_str().expect("text").replace(&host, "");
    let images = report["images"].as_array().expect("images");
    let mut all: Vec<_> = images.iter().map(|i| (text(&i["reference"]), text(&i["outcome"]))).collect();
    all.sort();
    all
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

fn references(report: &Value, lab: &Lab) -> Vec<String> {
    let host = format!("docker://{}/", lab.target.host());
    let items = report["list"]["items"].as_array().expect("items");
    items.iter().map(|i| i["imageReference"].as_str().expect("text").replace(&host, "")).collect()
}

/// The record of the one chain at the target.
fn record(lab: &Lab) -> Value {
    let uid = lab.chains("oc-mirror").pop().expect("a record");
    let manifest = lab.target.request(
        "GET",
        &format!("/v2/oc-mirror/manifests/{uid}"),
        &[("Accept", "application/vnd.oci.image.manifest.v1+json")],
    );
    let manifest: Value = serde_json::from_slice(&manifest.body).expect("a manifest");
    let layer = manifest["layers"][0]["digest"].as_str().expect("a layer");
    let record = lab.target.request("GET", &format!("/v2/oc-mirror/blobs/{layer}"), &[]);
    serde_json::from_slice(&record.body).expect("a record")
}

/// Has the registry collect its garbage, manifests without a tag excepted; returns how many bytes of blobs that freed.
fn collect_garbage(lab: &mut Lab) -> u64 {
    let before = blob_bytes(lab.target.storage());
    lab.target.stop();
    let config = json!({
        "version": "0.1",
        "storage": { "filesystem": { "rootdirectory": lab.target.storage() }, "delete": { "enabled": true } },
    });
    let config = lab.context.write("gc.yml", config.to_string());
    let output =
        Command::new("docker-registry").arg("garbage-collect").arg(&config).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    lab.target.restart();
    before - blob_bytes(lab.target.storage())
}

fn blob_bytes(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => blob_bytes(&entry.path()),
        _ if entry.file_name() == "data" => entry.metadata().map_or(0, |m| m.len()),
        _ => 0,
    };
    entries.flatten().map(size).sum()
}

/// Images that share layers, a manifest and an index: `v1` and `stable` are one image, which is in `multi` too; `tool` has
/// the same base.
struct Family {
    lab: Lab,
    app: Image,
    multi: Image,
    names: Vec<String>,
}

impl Family {
    fn new() -> Self {
        let lab = lab();
        let base = ImageBuilder::new().random_layer(1, 50_000).build();
        let app = ImageBuilder::new().from(&base).layer(&[("app", "1")]).build();
        let arm = ImageBuilder::new().platform("linux/arm64").random_layer(2, 30_000).build();
        let multi = IndexBuilder::new().child(&app).child(&arm).build();
        let tool = ImageBuilder::new().from(&base).random_layer(3, 40_000).build();
        let names = vec![
            lab.push(&app, "team/app", "v1"),
            lab.push(&app, "team/app", "stable"),
            lab.push(&multi, "team/app", "multi"),
            lab.push(&tool, "library/tool", "v1"),
        ];
        lab.configure(&names);
        lab.make(&[]).expect(0);
        publish(&lab);
        Self { lab, app, multi, names }
    }
}

#[test]
fn what_shares_layers_and_a_manifest_with_the_deleted_stays_whole() {
    let Family { mut lab, app, multi, names } = Family::new();
    lab.source.stop();
    mean_images(&lab, &[&names[0], &names[3]]);
    let made = list(&lab, &[]);
    assert_eq!(references(&made, &lab), ["library/tool:v1", "team/app:v1"]);
    let written = String::from_utf8(read(&lab.path(LIST))).expect("text");
    for words in ["kind: DeleteImageList", "apiVersion: mirror.openshift.io/v2alpha1", "type: generic"] {
        assert!(written.contains(words), "{words}\n{written}");
    }
    assert!(lab.path("disk/working-dir/delete/delete-imageset-config.yaml").is_file());

    let before = record(&lab);
    let planned = expect(0, carry_out(&lab, &["--dry-run"]));
    assert_eq!(
        outcomes(&lab, &planned),
        owned(&[("library/tool:v1", "deleted"), ("team/app:v1", "tagStays")])
    );
    assert_eq!((lab.target.tags("library/tool"), record(&lab)), (vec!["v1".to_owned()], before));

    let done = expect(0, carry_out(&lab, &[]));
    assert_eq!(outcomes(&lab, &done), outcomes(&lab, &planned));
    assert_eq!((done["manifests"].as_u64(), &done["freedBytes"]), (Some(1), &planned["freedBytes"]));
    assert!(lab.target.tags("library/tool").is_empty());
    for _ in 0..2 {
        lab.assert_published(&app, "team/app", "stable");
        lab.assert_published(&multi, "team/app", "multi");
        // What was said to be freed is what the registry finds, and nothing of it is missed.
        let freed = collect_garbage(&mut lab);
        assert!(freed == 0 || Some(freed) >= done["freedBytes"].as_u64(), "{freed} {done:#}");
    }
    let after = record(&lab);
    assert_eq!(after["imagesets"][0]["images"].as_array().map(Vec::len), Some(2));
    assert_eq!(after["leftovers"][0]["destination"]["tag"], "v1");
    assert!(after["deleting"].is_null());
    // Once nobody else has the manifest, the tag that could not be removed is no obstacle.
    mean_images(&lab, &names[1..3]);
    list(&lab, &[]);
    let done = expect(0, carry_out(&lab, &[]));
    assert_eq!(
        outcomes(&lab, &done),
        owned(&[("team/app:multi", "deleted"), ("team/app:stable", "deleted")])
    );
    assert!(lab.target.tags("team/app").is_empty());
    assert!(record(&lab)["leftovers"].is_null());
}

#[test]
fn a_registry_that_removes_tags_removes_the_tag_only() {
    let Family { lab, app, multi, names } = Family::new();
    let served = Served::start(&lab.context, &lab.path("layout"));
    let to = format!("docker://{}", served.host());
    lab.run(&["--from", &lab.file("disk"), "--workspace", &lab.file("other"), &to]).expect(0);
    mean_images(&lab, &names[..1]);
    let generate = ["-c", "disc.yaml", "--generate", "--workspace", &lab.file("disk"), &to];
    expect(0, delete(&lab, &generate));
    let done = expect(0, delete(&lab, &["--delete-yaml-file", &lab.path(LIST).display().to_string(), &to]));
    assert_eq!(done["images"][0]["outcome"], "untagged", "{done:#}");
    assert_eq!(served.digest_of("team/app", "v1"), None);
    assert_eq!(served.digest_of("team/app", "stable"), Some(app.digest));
    assert_eq!(served.digest_of("team/app", "multi"), Some(multi.digest));
    Skopeo::new().pull(&format!("docker://{}", served.reference("team/app", "stable")));
    Skopeo::new().pull(&format!("docker://{}", served.reference("team/app", "multi")));
}

#[test]
fn a_registry_that_deletes_nothing_is_found_before_anything_is_done() {
    let lab = Lab::new();
    let name = lab.push(&app(1), "team/app", "v1");
    lab.configure(&[&name]);
    lab.make(&[]).expect(0);
    publish(&lab);
    mean_images(&lab, &[&name]);
    list(&lab, &[]);
    let before = record(&lab);
    lab.target.clear_log();
    let (output, _) = carry_out(&lab, &[]);
    assert_eq!(output.code, 1, "{}", output.snapshot());
    assert!(output.raw_stderr.contains("does not delete images"), "{}", output.raw_stderr);
    assert!(
        output.raw_stderr.contains("hint: nothing was deleted; allow it at the registry"),
        "{}",
        output.raw_stderr
    );
    let writes = lab.writes_to_target();
    assert!(writes.iter().all(|line| line.method == "DELETE" && line.status == 405), "{writes:#?}");
    lab.assert_published(&app(1), "team/app", "v1");
    assert_eq!(record(&lab), before);
    let planned = expect(0, carry_out(&lab, &["--dry-run"]));
    assert!(planned["warnings"][0].as_str().is_some_and(|w| w.contains("does not delete")), "{planned:#}");
}

#[test]
fn a_registry_that_is_known_to_delete_nothing_is_not_asked() {
    let lab = lab();
    let name = lab.push(&app(1), "team/app", "v1");
    lab.configure(&[&name]);
    lab.make(&[]).expect(0);
    publish(&lab);
    mean_images(&lab, &[&name]);
    list(&lab, &[]);
    lab.target.clear_log();
    let (output, _) = carry_out(&lab, &["--registry-profile", "ghcr"]);
    assert_eq!(output.code, 1, "{}", output.snapshot());
    assert!(output.raw_stderr.contains("does not delete images"), "{}", output.raw_stderr);
    assert_eq!(lab.writes_to_target(), [], "not even to find out");
    lab.assert_published(&app(1), "team/app", "v1");
    // Without, it is asked, and this one does.
    expect(0, carry_out(&lab, &["--registry-profile", "generic"]));
    assert_eq!(lab.target.tags("team/app"), Vec::<String>::new());
}

#[test]
fn what_was_deleted_is_shipped_again_when_it_is_wanted_again() {
    let mut lab = lab();
    let (one, two) = (app(1), app(2));
    let names = [lab.push(&one, "team/one", "v1"), lab.push(&two, "team/two", "v1")];
    lab.configure(&names);
    lab.make(&[]).expect(0);
    publish(&lab);
    mean_images(&lab, &names[..1]);
    list(&lab, &[]);
    expect(0, carry_out(&lab, &[]));
    collect_garbage(&mut lab);
    assert_eq!(tell(&lab, LIST), 1);
    assert_eq!(tell(&lab, LIST), 0, "told already");

    let made = lab.make(&[]).expect(0);
    assert_eq!(made.outcomes(), [(2, "made")]);
    let new: Vec<_> = made.report().images.iter().filter(|i| i.new_bytes > 0).map(|i| &i.origin).collect();
    assert_eq!(new, [&names[0]]);
    publish(&lab);
    lab.assert_published(&one, "team/one", "v1");
    lab.assert_published(&two, "team/two", "v1");
}

#[test]
fn a_connected_side_that_was_not_told_is_noticed_and_cured() {
    let mut lab = lab();
    let (one, two) = (app(1), app(2));
    let names = [lab.push(&one, "team/one", "v1"), lab.push(&two, "team/two", "v1")];
    lab.configure(&names[..1]);
    lab.make(&[]).expect(0);
    publish(&lab);
    mean_images(&lab, &names[..1]);
    list(&lab, &[]);
    expect(0, carry_out(&lab, &[]));
    collect_garbage(&mut lab);

    lab.configure(&names);
    lab.make(&[]).expect(0);
    let before = record(&lab);
    // The first imageset is not at hand, or what is missing would come from there.
    let second = "disk/mirror_seq2_000000.tar";
    let run = lab.publish(second, &["--workspace", &lab.file("far")]).expect(8);
    let failure = &run.report().failures[0];
    assert_eq!(failure.subject, names[0]);
    assert!(failure.message.contains("neither in what is published nor at"), "{failure:?}");
    assert!(failure.hint.as_ref().is_some_and(|h| h.contains("--delete-yaml-file")), "{failure:?}");
    assert!(lab.target.tags("team/one").is_empty(), "it is not half-pushed");
    assert_eq!(record(&lab), before);

    tell(&lab, LIST);
    lab.make(&["--since", "1"]).expect(0);
    lab.publish("disk/mirror_seq3_000000.tar", &["--workspace", &lab.file("far")]).expect(0);
    lab.assert_published(&one, "team/one", "v1");
    lab.assert_published(&two, "team/two", "v1");
}

#[test]
fn a_deletion_that_broke_off_is_finished_before_anything_is_published() {
    let lab = lab();
    let names: Vec<String> = (1..=3).map(|n| lab.push(&app(n), &format!("team/app-{n}"), "v1")).collect();
    lab.configure(&names);
    lab.make(&[]).expect(0);
    let faults = FaultRegistry::before(&lab.target);
    let to = format!("docker://{}", faults.host());
    let publish = || lab.run(&["--from", &lab.file("disk"), "--workspace", &lab.file("far"), &to]);
    publish().expect(0);
    mean_images(&lab, &names[..2]);
    expect(0, delete(&lab, &["-c", "disc.yaml", "--generate", "--workspace", &lab.file("disk"), &to]));
    let second = app(2).digest;
    faults.rule(Rule::on("DELETE", &format!("{second}$")).then(Action::status(500)));
    let file = lab.path(LIST).display().to_string();
    let run = || delete(&lab, &["--delete-yaml-file", &file, "--retry-times", "0", &to]);
    let broken = expect(8, run());
    assert_eq!(broken["failures"].as_array().map(Vec::len), Some(1), "{broken:#}");
    // The record promises neither of them, whatever is left.
    let left = record(&lab);
    assert_eq!(left["imagesets"][0]["images"].as_array().map(Vec::len), Some(1));
    assert_eq!(left["deleting"].as_array().map(Vec::len), Some(1));
    for n in [1, 2] {
        assert!(left["blobs"][app(n).layer_digests()[0].as_str()].is_null());
    }
    lab.configure(&names);
    lab.make(&[]).expect(0);
    publish().assert_refused(1, "are being deleted");

    faults.clear_rules();
    expect(0, run());
    assert!(record(&lab)["deleting"].is_null());
    assert!(lab.target.tags("team/app-1").is_empty() && lab.target.tags("team/app-2").is_empty());
    lab.assert_published(&app(3), "team/app-3", "v1");
    tell(&lab, LIST);
    lab.make(&[]).expect(0);
    publish().expect(0);
    lab.assert_published(&app(2), "team/app-2", "v1");
}

#[test]
fn what_somebody_else_has_tagged_is_left_alone() {
    let lab = lab();
    let names = [lab.push(&app(1), "team/one", "v1"), lab.push(&app(2), "team/two", "v1")];
    lab.configure(&names);
    lab.make(&[]).expect(0);
    publish(&lab);
    // One is tagged by hand, the tag of the other one points elsewhere by now.
    lab.target.push(&app(1), "team/one", "mine");
    lab.target.push(&app(3), "team/two", "v1");
    mean_images(&lab, &names);
    list(&lab, &[]);
    let before = record(&lab);
    let kept = expect(8, carry_out(&lab, &[]));
    assert_eq!(outcomes(&lab, &kept), owned(&[("team/one:v1", "kept"), ("team/two:v1", "kept")]));
    assert_eq!(record(&lab), before);
    lab.assert_published(&app(1), "team/one", "mine");
    lab.assert_published(&app(3), "team/two", "v1");
}

#[test]
fn what_another_chain_has_stays() {
    let lab = lab();
    let name = lab.push(&app(1), "team/app", "v1");
    lab.configure(&[&name]);
    lab.make(&[]).expect(0);
    publish(&lab);
    lab.make_in("second", &[]).expect(0);
    lab.publish("second", &["--workspace", &lab.file("far-second")]).expect(0);
    assert_eq!(lab.chains("oc-mirror").len(), 2);
    mean_images(&lab, &[&name]);
    list(&lab, &[]);
    let done = expect(0, carry_out(&lab, &[]));
    assert_eq!(
        (&done["freedBytes"], &done["images"][0]["outcome"]),
        (&json!(0), &json!("forgotten")),
        "{done:#}"
    );
    lab.assert_published(&app(1), "team/app", "v1");
    // The record of the one chain has forgotten it, that of the other one promises it.
    let uid = done["uid"].as_str().expect("a chain").to_owned();
    assert_ne!(lab.chains("oc-mirror"), [uid]);
    let again = expect(0, carry_out(&lab, &[]));
    assert_eq!(again["manifests"], 0);
    lab.assert_published(&app(1), "team/app", "v1");
}

#[test]
fn a_release_goes_and_the_one_that_shares_a_component_stays() {
    let mut depot = Depot::new();
    depot.lab.target = Registry::builder().delete().start();
    let (old, new) = (depot.version("4.12.0"), depot.version("4.12.1"));
    depot.channel("stable-4.12", &[&old, &new], "4.12.0>4.12.1");
    depot.want_channel(json!({ "name": "stable-4.12", "minVersion": "4.12.0" }));
    depot.carry(&[]);
    let channel = json!({ "name": "stable-4.12", "minVersion": "4.12.0", "maxVersion": "4.12.0" });
    mean(&depot.lab, json!({ "platform": { "channels": [channel] } }));
    let made = list(&depot.lab, &[]);
    let mut expected: Vec<String> =
        ["etcd", "pod"].map(|c| format!("{COMPONENTS}:4.12.0-x86_64-{c}")).to_vec();
    expected.insert(0, format!("{PAYLOADS}:4.12.0-x86_64"));
    expected.sort();
    assert_eq!(references(&made, &depot.lab), expected);
    let items = made["list"]["items"].as_array().expect("items");
    let types: Vec<&str> = items.iter().filter_map(|item| item["type"].as_str()).collect();
    assert_eq!(types, ["ocpRelease", "ocpReleaseContent", "ocpReleaseContent"]);
    let done = expect(0, carry_out(&depot.lab, &[]));
    assert_eq!(done["manifests"], 2, "the shared component stays: {done:#}");
    assert_eq!(depot.arrived(), ["4.12.1-x86_64"]);
    depot.assert_arrived(&new, "amd64");
    let missed = json!({ "name": "stable-4.12", "maxVersion": "4.11.9" });
    mean(&depot.lab, json!({ "platform": { "channels": [missed] } }));
    let (workspace, to) = (depot.lab.file("disk"), target(&depot.lab));
    let (output, _) = delete(&depot.lab, &["-c", "disc.yaml", "--generate", "--workspace", &workspace, &to]);
    assert_eq!(output.code, 2, "{}", output.snapshot());
    assert!(output.raw_stderr.contains("the record has no such release"), "{}", output.raw_stderr);
}

#[test]
fn bundles_go_and_the_catalog_is_named() {
    let mut shop = Shop::new();
    shop.lab.target = Registry::builder().delete().start();
    let (_, catalog) = shop.usual();
    shop.want(json!([{ "catalog": catalog, "full": true }]));
    shop.lab.make(&[]).expect(0);
    publish(&shop.lab);
    shop.lab.source.stop();
    let package = json!({ "name": "foo", "minVersion": "1.0.0", "maxVersion": "1.1.0" });
    mean(&shop.lab, json!({ "operators": [{ "catalog": catalog, "packages": [package] }] }));
    let made = list(&shop.lab, &[]);
    let all = references(&made, &shop.lab);
    assert_eq!(all.len(), 4, "two bundles with an image each, and no catalog: {all:?}");
    let warning = made["warnings"][0].as_str().expect("a warning");
    assert!(warning.contains("stays, and offers what is deleted: `foo.v1.0.0`, `foo.v1.1.0`"), "{warning}");
    // The record of the far side says the same.
    let (far, to) = (shop.lab.file("far"), target(&shop.lab));
    let there = expect(0, delete(&shop.lab, &["-c", "disc.yaml", "--generate", "--workspace", &far, &to]));
    assert_eq!(references(&there, &shop.lab), all);
    let done = expect(0, carry_out(&shop.lab, &[]));
    assert_eq!(done["manifests"], 4);
    let pulled = shop.pull("shop/index", "v4.20");
    let source = format!("{}/", shop.lab.source.host());
    for image in pulled.images() {
        let path = image.strip_prefix(&source).expect("an image of the source");
        let (repository, digest) = path.split_once('@').expect("by digest");
        let gone = all.iter().any(|r| *r == format!("{repository}:{}", digest.replace(':', "-")));
        assert_eq!(shop.lab.target.digest_of(repository, digest).is_none(), gone, "{image}");
    }
    let text = json!({ "operators": [{ "catalog": catalog, "packages": [{ "name": "nosuch" }] }] });
    mean(&shop.lab, text);
    let (output, _) = delete(&shop.lab, &["-c", "disc.yaml", "--generate", "--workspace", &far, &to]);
    assert_eq!(output.code, 4, "{}", output.snapshot());
}

#[test]
fn signatures_go_if_that_is_said() {
    let lab = lab();
    let image = app(1);
    let name = lab.push(&image, "team/app", "v1");
    let signature = ImageBuilder::new().blob("application/x.sig", b"signed", &[]).build();
    lab.push(&signature, "team/app", &format!("{}.sig", digest_tag(&image)));
    lab.configure(&[&name]);
    lab.make(&[]).expect(0);
    publish(&lab);
    mean_images(&lab, &[&name]);
    let made = list(&lab, &[]);
    assert_eq!(references(&made, &lab), ["team/app:v1"]);
    assert!(made["warnings"][0].as_str().is_some_and(|w| w.contains("--delete-signatures")), "{made:#}");
    let made = list(&lab, &["--delete-signatures", "--delete-id", "signed"]);
    assert_eq!(references(&made, &lab).len(), 2);
    let file = lab.path("disk/working-dir/delete/delete-images-signed.yaml").display().to_string();
    let to = target(&lab);
    let done = expect(0, delete(&lab, &["--delete-yaml-file", &file, &to]));
    assert_eq!(done["manifests"], 2, "{done:#}");
    assert!(lab.target.tags("team/app").is_empty());
}

#[test]
fn pruning_is_said_and_shown_before_it_is_done() {
    let lab = lab();
    let names: Vec<String> = (1..=2).map(|n| lab.push(&app(n), &format!("team/app-{n}"), "v1")).collect();
    lab.configure(&names);
    lab.make(&[]).expect(0);
    publish(&lab);
    // One image leaves, and the tag of the other one moves on.
    lab.push(&app(3), "team/app-1", "v1");
    lab.configure(&names[..1]);
    lab.make(&[]).expect(0);
    let far = lab.file("far");
    let planned = lab.publish("disk", &["--workspace", &far, "--prune", "--dry-run"]).expect(0);
    let pruned = planned.report().pruned.as_ref().expect("it was asked for");
    assert_eq!((pruned.images.len(), pruned.manifests), (2, 2));
    publish(&lab);
    lab.assert_published(&app(2), "team/app-2", "v1");
    let run = lab.publish("disk", &["--workspace", &far, "--prune"]).expect(0);
    let done = run.report().pruned.as_ref().expect("it was asked for");
    assert_eq!((done.manifests, done.freed_bytes), (2, pruned.freed_bytes));
    assert!(lab.target.tags("team/app-2").is_empty());
    assert_eq!(lab.target.digest_of("team/app-1", &app(1).digest), None);
    lab.assert_published(&app(3), "team/app-1", "v1");

    // The list of what was pruned tells the connected side.
    assert_eq!(tell(&lab, "far/working-dir/delete/pruned-images-seq2.yaml"), 2);
    lab.configure(&names);
    lab.make(&[]).expect(0);
    publish(&lab);
    lab.assert_published(&app(2), "team/app-2", "v1");
    let again = lab.publish("disk", &["--workspace", &far, "--prune"]).expect(0);
    assert!(again.report().pruned.as_ref().is_some_and(|p| p.images.is_empty()));
}

#[test]
fn pruning_after_a_direct_copy_tells_both_records() {
    let lab = lab();
    let names: Vec<String> = (1..=2).map(|n| lab.push(&app(n), &format!("team/app-{n}"), "v1")).collect();
    let to = target(&lab);
    let workspace = lab.file("w");
    let mirror =
        |more: &[&str]| lab.run(&join(&["-c", "isc.yaml", "--workspace", &workspace, &to], more)).expect(0);
    lab.configure(&names);
    mirror(&[]);
    lab.configure(&names[..1]);
    let planned = mirror(&["--prune", "--dry-run"]);
    assert_eq!(planned.report().pruned.as_ref().map(|p| p.manifests), Some(1));
    mirror(&["--prune"]);
    assert!(lab.target.tags("team/app-2").is_empty());
    lab.assert_published(&app(1), "team/app-1", "v1");
    lab.configure(&names);
    mirror(&[]);
    lab.assert_published(&app(2), "team/app-2", "v1");
    // An imageset that follows relies on nothing that is gone.
    lab.configure(&[names.as_slice(), &[lab.push(&app(3), "team/app-3", "v1")]].concat());
    lab.run(&["-c", "isc.yaml", "--workspace", &workspace, &lab.file("disk")]).expect(0);
    publish(&lab);
    lab.assert_published(&app(3), "team/app-3", "v1");
}

#[test]
fn tags_of_the_first_version() {
    let lab = lab();
    let image = app(1);
    lab.push(&image, "team/app", "v1");
    let name = lab.source.reference("team/app", &image.digest);
    lab.configure(&[&name]);
    lab.make(&[]).expect(0);
    publish(&lab);
    // As oc-mirror v1 would have tagged it.
    lab.target.push(&app(2), "team/app", "latest");
    mean_images(&lab, &[&name]);
    let made = list(&lab, &["--delete-v1-images"]);
    assert_eq!(references(&made, &lab), ["team/app:latest"]);
    expect(0, carry_out(&lab, &[]));
    assert_eq!(lab.target.tags("team/app"), [digest_tag(&image)]);
}

#[rstest]
#[case::nothing(&[], "it is not said what to delete")]
#[case::no_target(&["--generate", "-c", "disc.yaml", "--workspace", "file://disk"], "it is not said where the images are")]
#[case::no_workspace(&["--generate", "-c", "disc.yaml", "docker://r.example"], "no workspace is given")]
#[case::no_such_workspace(&["--generate", "-c", "disc.yaml", "--workspace", "file://nowhere", "docker://r.example"], "there is no workspace")]
#[case::no_such_file(&["--delete-yaml-file", "nowhere.yaml", "docker://r.example"], "file not found: `nowhere.yaml`")]
#[case::other_kind(&["--delete-yaml-file", "disc.yaml", "docker://r.example"], "its kind is `DeleteImageSetConfiguration`")]
#[case::other_configuration(&["--generate", "-c", "isc.yaml", "--workspace", "file://disk", "docker://r.example"], "says what to mirror, not what to delete")]
#[case::other_registry(&["--delete-yaml-file", "list.yaml", "docker://s.example"], "is in another registry")]
#[case::other_prefix(&["--delete-yaml-file", "list.yaml", "docker://r.example/other"], "is not below `other`")]
#[case::other_target(&["--delete-yaml-file", "made.yaml", "docker://r.example/p/q"], "it was made for `docker://r.example/p`")]
#[case::release_elsewhere(&["--delete-yaml-file", "release.yaml", "docker://r.example"], "is not in `openshift/release`")]
#[case::records(&["--delete-yaml-file", "records.yaml", "docker://r.example"], "is a record of what was mirrored")]
#[case::nowhere(&["--delete-yaml-file", "list.yaml"], "it is not said where to delete")]
#[case::no_place(&["--delete-yaml-file", "list.yaml", "--workspace", "file://disk"], "does not say for which target")]
#[case::id(&["--generate", "-c", "disc.yaml", "--delete-id", "../x", "--workspace", "file://disk", "docker://r.example"], "--delete-id is `../x`")]
#[case::section(&["--generate", "-c", "samples.yaml", "--workspace", "file://disk", "docker://r.example"], "`delete.samples`")]
fn wrong_inputs(#[case] args: &[&str], #[case] words: &str) {
    let context = context();
    let api = "apiVersion: mirror.openshift.io/v2alpha1";
    context.write("disc.yaml", format!("kind: DeleteImageSetConfiguration\n{api}\ndelete: {{additionalImages: [{{name: 'r.example/a:1'}}]}}"));
    context.write(
        "samples.yaml",
        format!("kind: DeleteImageSetConfiguration\n{api}\ndelete: {{samples: [{{name: a}}]}}"),
    );
    context.write(
        "isc.yaml",
        format!(
            "kind: ImageSetConfiguration\n{api}\nmirror: {{additionalImages: [{{name: 'r.example/a:1'}}]}}"
        ),
    );
    for (file, reference, kind) in [
        ("list.yaml", "team/app:v1", "generic"),
        ("release.yaml", "team/release:1", "ocpReleaseContent"),
        ("records.yaml", "oc-mirror:1", "generic"),
    ] {
        let item =
            format!("{{imageName: a, imageReference: 'docker://r.example/{reference}', type: {kind}}}");
        context.write(file, format!("kind: DeleteImageList\n{api}\nitems: [{item}]"));
    }
    let item = "{imageName: a, imageReference: 'docker://r.example/p/q/a:1', type: generic}";
    let made = format!("kind: DeleteImageList\n{api}\ntarget: docker://r.example/p\nitems: [{item}]");
    context.write("made.yaml", made);
    std::fs::create_dir_all(context.work().join("disk")).expect("the test's own directory is writable");
    let output = context.run(&join(&["delete"], args));
    assert_eq!(output.code, 1, "{}", output.snapshot());
    assert!(output.raw_stderr.contains(words), "{words}\n{}", output.snapshot());
    assert!(output.raw_stderr.contains("hint: "), "{}", output.snapshot());
}
