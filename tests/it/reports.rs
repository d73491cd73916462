//! `oc-mirror report`: the images of imagesets for other programs, as JSON, SPDX and CycloneDX.

use std::collections::BTreeSet;

use oc_mirror_testkit::{CommandOutput, Image, ImageBuilder};
use serde_json::{Value, json};

use crate::depot::Depot;
use crate::lab::{Chunks, Lab, names_in, read};
use crate::shop::Shop;

fn image(content: &str) -> Image {
    ImageBuilder::new().layer(&[("app", content)]).build()
}

fn report(lab: &Lab, what: &str, form: &str) -> CommandOutput {
    lab.context.run(&["report", what, "-o", form]).expect_code(0)
}

fn value(lab: &Lab, what: &str, form: &str) -> Value {
    serde_json::from_str(&report(lab, what, form).raw_stdout).expect("JSON")
}

/// The texts under a key of a list.
fn texts(list: &Value, key: &str) -> Vec<String> {
    let list = list.as_array().expect("a list");
    list.iter().map(|item| item[key].as_str().expect("a text").to_owned()).collect()
}

#[test]
fn images_are_listed_over_the_whole_chain() {
    let mut lab = Lab::new();
    lab.context = lab.context.env("SOURCE_DATE_EPOCH", "1700000000");
    let (first, second) = (image("first"), image("second"));
    let (a, b) = (lab.push(&first, "team/a", "v1"), lab.push(&second, "team/b", "v2"));
    let blocked = lab.push(&image("blocked"), "team/blocked", "v1");
    lab.configure(&[&a]);
    lab.make(&[]).expect(0);
    lab.configure_mirror(json!({
        "additionalImages": [{ "name": a }, { "name": b }, { "name": blocked }],
        "blockedImages": [{ "name": blocked }],
    }));
    lab.make(&[]).expect(0);

    let found = value(&lab, "disk", "json");
    assert_eq!(texts(&found["images"], "name"), [a.as_str(), &b]);
    assert_eq!(texts(&found["images"], "digest"), [first.digest.as_str(), &second.digest]);
    let purl = format!("pkg:oci/b@{}?repository_url={}/team/b&tag=v2", second.digest, lab.source.host());
    assert_eq!(found["images"][1]["purl"], purl);
    assert_eq!(found["images"][0]["current"], true, "the second imageset names it too");
    assert_eq!(texts(&found["refused"], "origin"), [blocked.as_str()]);
    assert_eq!(found["imagesets"].as_array().map(Vec::len), Some(2));
    assert_eq!(found["uid"], Chunks::of(&lab.path("disk"), 1).index()["uid"]);

    // The time and the chain are all that it depends on.
    for form in ["json", "spdx", "cyclonedx"] {
        let (one, other) = (report(&lab, "disk", form), report(&lab, "disk", form));
        assert_eq!(one.raw_stdout, other.raw_stdout);
        assert!(one.raw_stdout.contains("2023-11-14T22:13:20Z"), "{}", one.raw_stdout);
        assert!(
            one.raw_stdout.contains(&second.digest) && one.raw_stdout.contains("is blocked")
                || form == "json"
        );
        assert_eq!(one.raw_stderr, "");
    }
    // Where the imageset is missing that describes an image, it is known by its name.
    std::fs::create_dir(lab.path("medium")).expect("writable");
    let chunk = "mirror_seq2_000000.tar";
    std::fs::copy(lab.path("disk").join(chunk), lab.path("medium").join(chunk)).expect("copied");
    let partly = report(&lab, "medium", "json");
    assert!(partly.raw_stderr.contains("1 image is described"), "{}", partly.raw_stderr);
    let partly: Value = serde_json::from_str(&partly.raw_stdout).expect("JSON");
    assert_eq!((texts(&partly["images"], "name"), texts(&partly["elsewhere"], "name")), (vec![b], vec![a]));
}

#[test]
fn a_file_says_its_form_by_its_name() {
    let lab = Lab::new();
    lab.configure(&[lab.push(&image("a"), "team/a", "v1")]);
    lab.make(&[]).expect(0);
    let expected =
        [("out.json", "/imagesets"), ("out.spdx.json", "/spdxVersion"), ("out.cdx.json", "/bomFormat")];
    for (name, key) in expected {
        let file = lab.path(name);
        let output = lab.context.run(&["report", "disk", "-o", name]).expect_code(0);
        assert_eq!((output.raw_stdout.as_str(), output.raw_stderr.as_str()), ("", ""));
        let document: Value = serde_json::from_slice(&read(&file)).expect("JSON");
        assert!(document.pointer(key).is_some(), "{key} in {document}");
    }
    report(&lab, "disk", "out.html");
    let page = String::from_utf8(read(&lab.path("out.html"))).expect("text");
    for part in ["default-src 'none'", &image("a").digest, "data:text/javascript;base64,"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("src=\"") && !page.contains("href=\""), "it needs nothing else");
    let refused = |args: &[&str], words: &str| {
        let output = lab.context.run(args);
        assert_eq!(output.code, 1, "{}", output.snapshot());
        assert!(output.raw_stderr.contains(words), "{}", output.snapshot());
    };
    refused(&["report", "disk", "-o", "out.txt"], ".spdx.json");
    refused(&["report", "disk", "-o", "nowhere/out.json"], "hint: ");
    refused(&["report", "nowhere"], "hint: ");
    refused(&["report", "."], "there is no imageset");
    refused(&["report", "docker://r.example/x"], "hint: ");
    assert!(names_in(&lab.context.work()).iter().all(|name| name != "nowhere" && name != "out.txt"));
}

/// The pairs of a kind in an SPDX document, by the repositories of the two.
fn related(document: &Value, relation: &str) -> BTreeSet<(String, String)> {
    let name = |id: &Value| {
        let package = document["packages"].as_array().expect("a list").iter().find(|p| p["SPDXID"] == *id);
        let name = package.map_or("", |package| package["name"].as_str().expect("a name"));
        let path = name.split_once('/').map_or(name, |(_, path)| path);
        path.split(['@', ':']).next().unwrap_or_default().to_owned()
    };
    let all = document["relationships"].as_array().expect("a list").iter();
    let of = all.filter(|related| related["relationshipType"] == relation);
    of.map(|related| (name(&related["spdxElementId"]), name(&related["relatedSpdxElement"]))).collect()
}

#[test]
fn operators_hang_together() {
    let shop = Shop::new();
    let (_, catalog) = shop.usual();
    shop.want(json!([{ "catalog": catalog, "packages": [{ "name": "bar" }] }]));
    shop.lab.make(&[]).expect(0);
    let document = value(&shop.lab, "disk", "spdx");
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let contained = related(&document, "CONTAINS");
    assert!(contained.contains(&pair("shop/index", "bar/bundle")), "{contained:?}");
    assert!(contained.contains(&pair("imagesets", "shop/index")), "{contained:?}");
    assert_eq!(related(&document, "DEPENDS_ON"), [pair("bar/bundle", "bar/operator")].into());
    let bom = value(&shop.lab, "disk", "cyclonedx");
    let operator = bom["components"].as_array().expect("a list").iter().flat_map(|component| {
        component["properties"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|p| p["name"] == "oc-mirror:operator")
    });
    let operators: BTreeSet<&str> =
        operator.map(|property| property["value"].as_str().expect("text")).collect();
    assert_eq!(operators, ["bar bar.v0.2.0"].into());
}

#[test]
fn releases_hang_together() {
    let depot = Depot::new();
    let release = depot.version("4.20.1");
    depot.channel("stable-4.20", &[&release], "");
    depot.want_channel(json!({ "name": "stable-4.20" }));
    depot.lab.make(&[]).expect(0);
    let found = value(&depot.lab, "disk", "json");
    let images = found["images"].as_array().expect("a list");
    let components = images.iter().filter(|image| image["kind"] == "release-content").count();
    let contains = found["relationships"].as_array().expect("a list").iter();
    let contains = contains.filter(|related| related["relation"] == "contains").count();
    assert!(components > 0 && components == contains, "{components} components, {contains} in the payload");
    assert_eq!(images.iter().filter(|i| i["release"] == "4.20.1 x86_64").count(), components + 1);
}
