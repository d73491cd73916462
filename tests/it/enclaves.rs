//! What was mirrored once as the source of something smaller, with nothing else to ask.

use oc_mirror_testkit::{Action, Image, ImageBuilder, Rule, Skopeo};
use serde_json::{Value, json};

use crate::depot::{COMPONENTS, Depot, PAYLOADS};
use crate::lab::{Chunks, Lab, join, names_in};
use crate::shop::Shop;

fn small(content: &str) -> Image {
    ImageBuilder::new().layer(&[("content", content)]).build()
}

/// Writes a configuration with this `mirror` section.
fn configure(lab: &Lab, name: &str, mirror: &Value) {
    let text = json!({
        "kind": "ImageSetConfiguration",
        "apiVersion": "mirror.openshift.io/v2alpha1",
        "mirror": mirror,
    });
    lab.context.write(name, text.to_string());
}

/// Makes an imageset out of others.
fn narrow(lab: &Lab, name: &str, from: &str, to: &str, more: &[&str]) -> crate::lab::Run {
    lab.run(&join(&["-c", name, "--from", &lab.file(from), &lab.file(to)], more))
}

#[test]
fn a_narrower_imageset_is_made_of_a_chain_without_any_network() {
    let depot = Depot::new();
    let releases = ["4.12.1", "4.12.2"].map(|version| depot.version(version));
    depot.channel("stable-4.12", &[&releases[0], &releases[1]], "4.12.1>4.12.2");
    let names = ["x", "y", "z"].map(|name| depot.lab.push(&small(name), &format!("team/{name}"), "v1"));
    let Depot { lab, server, .. } = depot;
    let shop = Shop { lab };
    let (_, catalog) = shop.usual();
    let mut wide = json!({
        "platform": { "channels": [{ "name": "stable-4.12", "minVersion": "4.12.1", "maxVersion": "4.12.2" }] },
        "operators": [{ "catalog": catalog, "packages": [{ "name": "foo" }, { "name": "bar" }] }],
        "additionalImages": [{ "name": names[0] }, { "name": names[1] }],
    });
    configure(&shop.lab, "isc.yaml", &wide);
    shop.lab.make(&[]).expect(0);
    // The second imageset has only what is new.
    wide["additionalImages"] = json!([{ "name": names[0] }, { "name": names[1] }, { "name": names[2] }]);
    configure(&shop.lab, "isc.yaml", &wide);
    shop.lab.make(&[]).expect(0);

    let Shop { mut lab } = shop;
    lab.source.stop();
    server.clear_requests();
    server.rule(Rule::on("*", "").then(Action::Hangup));
    let narrower = json!({
        "platform": { "channels": [{ "name": "stable-4.12", "minVersion": "4.12.1", "maxVersion": "4.12.1" }] },
        "operators": [{ "catalog": catalog, "packages": [{ "name": "foo", "channels": [{ "name": "stable" }] }] }],
        "additionalImages": [{ "name": names[0] }, { "name": names[2] }],
    });
    configure(&lab, "narrow.yaml", &narrower);
    let run = narrow(&lab, "narrow.yaml", "disk", "enclave", &[]).expect(0);
    assert_eq!(run.outcomes(), [(1, "made")]);
    assert_eq!(server.requests().len(), 0, "neither graphs nor signatures are asked for");
    let listing = Chunks::of(&lab.path("enclave"), 1).listings().concat();
    assert!(listing.iter().any(|name| name.starts_with("files/release-signatures/")), "{listing:?}");
    assert!(listing.contains(&"files/update-graphs/ocp/amd64-stable-4.12.json".to_owned()), "{listing:?}");

    lab.publish("enclave", &[]).expect(0);
    lab.assert_published(&small("x"), "team/x", "v1");
    lab.assert_published(&small("z"), "team/z", "v1");
    assert!(lab.target.tags("team/y").is_empty());
    assert_eq!(lab.target.tags(PAYLOADS), ["4.12.1-x86_64"]);
    let payload = releases[0].payload("amd64");
    lab.assert_published(&payload.image, PAYLOADS, &payload.tag);
    for component in &payload.components {
        lab.assert_published(&component.image, COMPONENTS, &format!("{}-{}", payload.tag, component.name));
    }
    let shop = Shop { lab };
    let pulled = shop.pull("shop/index", "v4.20");
    assert_eq!(pulled.bundles(), ["foo.v1.2.0"]);
    assert!(shop.lab.target.tags("bar/bundle").is_empty());
    for image in pulled.images() {
        let (_, path) = image.split_once('/').expect("HOST/PATH");
        Skopeo::new().pull(&format!("docker://{}/{path}", shop.lab.target.host()));
    }
}

#[test]
fn what_is_not_there_is_not_asked_for_elsewhere() {
    let lab = Lab::new();
    let (here, there) = (lab.push(&small("x"), "team/x", "v1"), lab.push(&small("y"), "team/y", "v1"));
    lab.configure(&[&here]);
    lab.make(&[]).expect(0);
    lab.source.clear_log();
    configure(&lab, "more.yaml", &json!({ "additionalImages": [{ "name": here }, { "name": there }] }));
    let run = narrow(&lab, "more.yaml", "disk", "enclave", &[]);
    run.assert_refused(8, "is not in the imagesets in");
    assert!(run.output.raw_stderr.contains("--online"), "{}", run.output.snapshot());
    assert_eq!(lab.source.log(), []);
    assert!(names_in(&lab.path("enclave")).iter().all(|name| !name.ends_with(".tar")));

    let run = narrow(&lab, "more.yaml", "disk", "enclave", &["--online"]).expect(0);
    assert_eq!(run.outcomes(), [(1, "made")]);
    let asked = lab.source.log();
    assert!(
        !asked.is_empty() && asked.iter().all(|line| line.path.contains("/team/y/") || line.path == "/v2/"),
        "{asked:?}"
    );
}

#[test]
fn a_chain_without_its_beginning_says_what_is_missing() {
    let lab = Lab::new();
    let names = ["x", "y"].map(|name| lab.push(&small(name), &format!("team/{name}"), "v1"));
    lab.configure(&names[..1]);
    lab.make(&[]).expect(0);
    lab.configure(&names);
    lab.make(&[]).expect(0);
    for chunk in Chunks::of(&lab.path("disk"), 1).files() {
        std::fs::remove_file(chunk).expect("the test's own directory is writable");
    }
    configure(&lab, "narrow.yaml", &json!({ "additionalImages": [{ "name": names[0] }] }));
    let run = narrow(&lab, "narrow.yaml", "disk", "enclave", &[]);
    run.assert_refused(8, "it is in imageset 1, which is not there");
}

#[test]
fn an_image_layout_is_a_source() {
    let mut lab = Lab::new();
    let image = small("x");
    let name = lab.source.reference("team/x", "v1");
    image.write_layout(&lab.path("layout"), &name);
    lab.source.stop();
    configure(&lab, "narrow.yaml", &json!({ "additionalImages": [{ "name": name }] }));
    narrow(&lab, "narrow.yaml", "layout", "enclave", &[]).expect(0);
    lab.publish("enclave", &[]).expect(0);
    lab.assert_published(&image, "team/x", "v1");
}

#[test]
fn signatures_of_images_go_along() {
    let mut lab = Lab::new();
    let image = small("signed");
    let name = lab.push(&image, "team/x", "v1");
    let signature = ImageBuilder::new().layer(&[("signature", "of x")]).build();
    let tag = format!("{}.sig", image.digest.replace(':', "-"));
    lab.push(&signature, "team/x", &tag);
    lab.configure(&[&name]);
    lab.make(&[]).expect(0);
    lab.source.stop();
    lab.context.write("narrow.yaml", std::fs::read(lab.path("isc.yaml")).expect("readable"));
    narrow(&lab, "narrow.yaml", "disk", "enclave", &[]).expect(0);
    lab.publish("enclave", &[]).expect(0);
    lab.assert_published(&image, "team/x", "v1");
    lab.assert_published(&signature, "team/x", &tag);
}

#[test]
fn wrong_sources() {
    let lab = Lab::new();
    let name = lab.push(&small("x"), "team/x", "v1");
    lab.configure(&[name]);
    lab.make(&[]).expect(0);
    let (disk, out) = (lab.file("disk"), lab.file("out"));
    for (args, words) in [
        (vec!["--from", &disk, &out], "what to take from there"),
        (vec!["-c", "isc.yaml", "--from", &disk, &disk], "cannot be made where those are"),
        (vec!["-c", "isc.yaml", "--from", "file://", &out], "names no directory"),
        (vec!["-c", "isc.yaml", "--from", &lab.file("nothing"), &out], "no imageset"),
    ] {
        lab.run(&args).assert_refused(1, words);
    }
    let run = lab.run(&["-c", "isc.yaml", "--online", &out]);
    assert_eq!(run.output.code, 1, "{}", run.output.snapshot());
}
