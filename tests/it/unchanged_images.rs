//! Imagesets name images that are as they were, instead of describing them, and everything comes out as if they did.

use std::collections::BTreeMap;

use oc_mirror_model::describe::Description;
use oc_mirror_testkit::{Image, ImageBuilder, Registry, Skopeo};
use serde_json::{Value, json};

use crate::lab::{Chunks, Lab, Run, content_of, join, names_in, read};
use crate::shop::Shop;

/// An image on a base that all have.
fn app(number: u64) -> Image {
    let base = ImageBuilder::new().random_layer(1000, 30_000).build();
    ImageBuilder::new().from(&base).random_layer(number, 3_000).build()
}

fn name(number: u64) -> String {
    format!("team/deep/app-{number}")
}

fn push_all(lab: &Lab, numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|number| lab.push(&app(number), &name(number), "v1")).collect()
}

/// The origins under a key of the index of a sequence in `disk`.
fn origins(lab: &Lab, sequence: u64, key: &str) -> Vec<String> {
    let index = Chunks::of(&lab.path("disk"), sequence).index();
    let Some(list) = index[key].as_array() else { return Vec::new() };
    list.iter().map(|image| image["origin"].as_str().expect("a name").to_owned()).collect()
}

/// The same, without host and tag.
fn short(lab: &Lab, sequence: u64, key: &str) -> Vec<String> {
    let host = format!("{}/team/", lab.source.host());
    let short = |origin: &String| origin.replace(&host, "").replace(":v1", "").replace("deep/", "");
    origins(lab, sequence, key).iter().map(short).collect()
}

fn size_of(lab: &Lab, sequence: u64) -> u64 {
    let files = Chunks::of(&lab.path("disk"), sequence).files().to_vec();
    files.iter().map(|file| file.metadata().expect("there").len()).sum()
}

/// Publishes to a registry, with a workspace of its own.
fn publish_to(lab: &Lab, from: &str, to: &Registry, workspace: &str, more: &[&str]) -> Run {
    let (from, to) = (lab.file(from), format!("docker://{}/far", to.host()));
    let workspace = lab.file(workspace);
    lab.run(&join(&["--from", &from, "--workspace", &workspace, &to], more))
}

/// The files for clusters in a workspace, with the target's name taken out.
fn resources(lab: &Lab, workspace: &str, target: &Registry) -> BTreeMap<String, String> {
    let dir = lab.path(workspace).join("working-dir/cluster-resources");
    let text = |name: &String| {
        String::from_utf8(read(&dir.join(name))).expect("text").replace(&target.host(), "TARGET")
    };
    names_in(&dir).into_iter().map(|name| (name.clone(), text(&name))).collect()
}

fn mapping(lab: &Lab, path: &str, target: &Registry) -> String {
    String::from_utf8(read(&lab.path(path))).expect("text").replace(&target.host(), "TARGET")
}

/// Deletes what this means at the target, with the workspace `far`. The connected side is not told.
fn delete_at_target(lab: &Lab, meant: &Value) {
    let to = format!("docker://{}", lab.target.host());
    let document = json!({
        "kind": "DeleteImageSetConfiguration",
        "apiVersion": "mirror.openshift.io/v2alpha1",
        "delete": meant,
    });
    lab.context.write("disc.yaml", document.to_string());
    let delete = ["delete", "--dest-tls-verify=false", "--workspace"];
    let (disk, far) = (lab.file("disk"), lab.file("far"));
    lab.context.run(&join(&delete, &[&disk, "-c", "disc.yaml", "--generate", &to])).expect_code(0);
    let list = lab.path("disk/working-dir/delete/delete-images.yaml").display().to_string();
    lab.context.run(&join(&delete, &[&far, "--delete-yaml-file", &list, &to])).expect_code(0);
}

/// `(name, destination, bytes)` of every image of a report.
fn told(run: &Run) -> Vec<(String, String, u64)> {
    let one = |image: &oc_mirror_model::report::ImageReport| {
        let to = format!("{}:{}@{}", image.destination.repository, image.destination.tag, image.digest);
        (image.origin.clone(), to, image.total_bytes)
    };
    run.report().images.iter().map(one).collect()
}

#[test]
fn everything_comes_out_as_from_a_full_imageset() {
    let lab = Lab::new();
    let mut names = push_all(&lab, 0..6);
    let signature = ImageBuilder::new().blob("application/x.sig", b"signed", &[]).build();
    lab.push(&signature, &name(2), &format!("{}.sig", app(2).digest.replace(':', "-")));
    lab.configure(&names);
    lab.make(&[]).expect(0);
    assert_eq!((origins(&lab, 1, "images").len(), origins(&lab, 1, "unchanged").len()), (7, 0));

    // One leaves, one is new, a tag moves, and one goes elsewhere.
    let gone = names.remove(5);
    names.insert(1, lab.push(&app(7), "team/deep/app-7", "v1"));
    lab.push(&app(8), &name(0), "v1");
    let mut images: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
    images[4]["targetRepo"] = json!("team/deep/elsewhere");
    lab.configure_mirror(json!({ "additionalImages": images }));
    lab.make(&[]).expect(0);
    assert_eq!(short(&lab, 2, "images"), ["app-0", "app-7", "app-3"]);
    assert_eq!(short(&lab, 2, "unchanged"), ["app-1", "app-2", "app-4"]);
    let index = Chunks::of(&lab.path("disk"), 2).index();
    assert_eq!(index["positions"], json!([0, 1, 4]));
    let about: Vec<usize> = index["unchanged"]
        .as_array()
        .expect("images")
        .iter()
        .map(|i| i["about"].as_array().map_or(0, Vec::len))
        .collect();
    assert_eq!(about, [0, 1, 0], "the signature is named with its image");

    // What was new is as it was by now.
    names.push(lab.push(&app(9), "team/deep/app-9", "v1"));
    images.push(json!({ "name": names[6] }));
    lab.configure_mirror(json!({ "additionalImages": images }));
    lab.make(&[]).expect(0);
    assert_eq!(short(&lab, 3, "images"), ["app-9"]);
    assert_eq!(short(&lab, 3, "unchanged").len(), 6);

    let joined = ["--max-nested-paths", "2"];
    let run = publish_to(&lab, "disk", &lab.target, "step-by-step", &joined).expect(0);
    assert_eq!(run.outcomes(), [(1, "published"), (2, "published"), (3, "published")]);
    // The same again, with nothing in it but that.
    lab.make(&["--force"]).expect(0);
    lab.target.clear_log();
    let step_by_step = publish_to(&lab, "disk", &lab.target, "step-by-step", &joined).expect(0);
    assert_eq!(step_by_step.outcomes().last(), Some(&(4, "published")));
    let asked: Vec<String> = lab
        .target
        .log()
        .into_iter()
        .map(|line| line.path)
        .filter(|p| !p.contains("/far/oc-mirror/"))
        .collect();
    assert!(asked.iter().all(|path| !path.contains("/blobs/") && !path.contains("/team")), "{asked:#?}");

    lab.make(&["--since", "0"]).expect(0);
    assert_eq!((origins(&lab, 5, "images").len(), origins(&lab, 5, "unchanged").len()), (8, 0));
    let other = Registry::start();
    let full = publish_to(&lab, "disk/mirror_seq5_000000.tar", &other, "at-once", &joined).expect(0);
    assert_eq!(told(&step_by_step), told(&full));
    assert_eq!(step_by_step.report().images.iter().map(|image| image.companions).sum::<u64>(), 1);
    let mappings = [
        mapping(&lab, "step-by-step/working-dir/mapping.txt", &lab.target),
        mapping(&lab, "at-once/working-dir/mapping.txt", &other),
    ];
    assert_eq!(mappings[0], mappings[1]);
    assert_eq!(mappings[0].lines().count(), 8, "{}", mappings[0]);
    // The image that has left is still there, where it was published.
    let without = |mut files: BTreeMap<String, String>| {
        files.values_mut().for_each(|text| *text = text.replace("app-5", ""));
        files.into_keys().collect::<Vec<_>>()
    };
    let (steps, once) = (resources(&lab, "step-by-step", &lab.target), resources(&lab, "at-once", &other));
    assert_eq!(without(steps), without(once));
    let at_target = |number: u64, place: &str| {
        let reference = format!("docker://{}", lab.target.reference(place, "v1"));
        assert_eq!(Skopeo::new().inspect_raw(&reference), app(number).manifest, "{reference}");
        Skopeo::new().pull(&reference);
    };
    for (number, place) in
        [(8, "app-0"), (7, "app-7"), (1, "app-1"), (2, "app-2"), (3, "elsewhere"), (4, "app-4"), (9, "app-9")]
    {
        at_target(number, &format!("far/team-deep-{place}"));
    }
    assert!(gone.contains("app-5"));
}

#[test]
fn a_cumulative_imageset_names_what_all_its_targets_have() {
    let lab = Lab::new();
    let names = push_all(&lab, 0..4);
    lab.configure(&names[..2]);
    lab.make(&[]).expect(0);
    publish_to(&lab, "disk", &lab.target, "far", &[]).expect(0);
    lab.configure(&names[..3]);
    lab.make(&[]).expect(0);
    lab.configure(&names);
    lab.make(&["--since", "1"]).expect(0);
    assert_eq!(short(&lab, 3, "images"), ["app-2", "app-3"]);
    assert_eq!(short(&lab, 3, "unchanged"), ["app-0", "app-1"]);
    publish_to(&lab, "disk/mirror_seq3_000000.tar", &lab.target, "far", &[]).expect(0);
    for number in 0..4 {
        lab.assert_published(&app(number), &format!("far/{}", name(number)), "v1");
    }
    // The record lists all of them, or the last ones would be pruned.
    lab.make(&["--force"]).expect(0);
    let run = publish_to(&lab, "disk/mirror_seq4_000000.tar", &lab.target, "far", &["--dry-run"]).expect(0);
    assert_eq!((run.report().images.len(), run.report().failures.len()), (4, 0));
}

#[test]
fn nothing_changed_makes_no_imageset_and_forced_a_small_one() {
    // As long as those in catalogs: `registry.redhat.io/openshift4/…@sha256:…`.
    let lab = Lab::new();
    let images: Vec<(Image, String)> = (0..40)
        .map(|number| (app(number), format!("openshift4/some-operator-with-a-name-rhel9-{number:03}")))
        .collect();
    let names: Vec<String> = images
        .iter()
        .map(|(image, repository)| {
            lab.push(image, repository, "v1");
            lab.source.reference(repository, &image.digest)
        })
        .collect();
    assert!(names.iter().all(|name| (125..=135).contains(&name.len())), "{}", names[0].len());
    lab.configure(&names);
    lab.make(&[]).expect(0);
    lab.publish("disk", &[]).expect(0);

    let again = lab.make(&[]).expect(0);
    assert_eq!(again.outcomes(), [(1, "nothing new")]);
    let disk = lab.file("disk");
    let plain = ["-c", "isc.yaml", &disk, "--src-tls-verify=false"];
    let output = lab.context.run(&plain).expect_code(0);
    assert!(
        output.raw_stdout.lines().any(|line| line == "nothing new since sequence 1"),
        "{}",
        output.snapshot()
    );
    for (args, outcome) in
        [(&["--dry-run"][..], (1, "nothing new")), (&["--dry-run", "--force"], (2, "planned"))]
    {
        assert_eq!(lab.make(args).expect(0).outcomes(), [outcome], "{args:?}");
    }
    let chunks =
        |lab: &Lab| names_in(&lab.path("disk")).into_iter().filter(|name| name.ends_with(".tar")).count();
    assert_eq!(chunks(&lab), 1);

    let output = lab.context.run(&join(&plain, &["--force"])).expect_code(0);
    assert!(output.raw_stdout.contains("note: imageset 2 has nothing new"), "{}", output.snapshot());
    let bytes = size_of(&lab, 2);
    assert!(bytes <= 200_000 + 200 * images.len() as u64, "{bytes} bytes");
    let index = Chunks::of(&lab.path("disk"), 2).index();
    assert_eq!((&index["sequence"], &index["images"]), (&json!(2), &json!([])));
    let named = serde_json::to_string(&index["unchanged"]).expect("JSON").len();
    assert!(named <= 200 * images.len(), "{named} bytes for {} images", images.len());
    // And nothing is asked of any image when it is published.
    lab.target.clear_log();
    let run = lab.publish("disk", &[]).expect(0);
    assert_eq!(run.outcomes(), [(1, "already published"), (2, "published")]);
    assert_eq!(run.report().images.len(), images.len());
    let log = lab.target.log();
    let others: Vec<_> = log.iter().filter(|line| line.path.contains("/v2/openshift4/")).collect();
    assert!(others.is_empty(), "{others:#?}");

    let output = lab.context.run(&["describe", &lab.file("disk/mirror_seq2_000000.tar")]).expect_code(0);
    assert!(output.raw_stdout.contains("Nothing of any image is new in it."), "{}", output.snapshot());
    assert!(names.iter().all(|name| output.raw_stdout.contains(name.as_str())));
    let output =
        lab.context.run(&["describe", &lab.file("disk/mirror_seq2_000000.tar"), "-o", "json"]).expect_code(0);
    let found: Vec<Description> = serde_json::from_str(&output.raw_stdout).expect("JSON");
    assert_eq!((found[0].images.len(), found[0].unchanged.len()), (0, images.len()));
    let output = lab.context.run(&["check", &lab.file("disk")]).expect_code(0);
    assert!(output.stdout.contains("imageset 2: whole, 40 images, "), "{}", output.snapshot());
    // The next one is no larger for it.
    lab.make(&["--force", "--archive-size", "100KB"]).expect(0);
    assert_eq!(Chunks::of(&lab.path("disk"), 3).index()["base"], 2);
}

#[test]
fn force_is_for_making_imagesets() {
    let lab = Lab::new();
    lab.configure(&push_all(&lab, 0..1));
    lab.make(&[]).expect(0);
    lab.publish("disk", &["--force"]).assert_refused(1, "--force");
    let to = format!("docker://{}", lab.target.host());
    lab.run(&["-c", "isc.yaml", "--workspace", &lab.file("w"), "--force", &to]).assert_refused(1, "--force");
}

#[test]
fn what_was_deleted_at_the_target_is_missed_by_name() {
    let lab = Lab::with(Registry::start(), Registry::builder().delete().start());
    let names = push_all(&lab, 0..3);
    lab.configure(&names);
    lab.make(&[]).expect(0);
    lab.publish("disk", &["--workspace", &lab.file("far")]).expect(0);
    let far = lab.file("far");
    delete_at_target(&lab, &json!({ "additionalImages": [{ "name": names[1] }] }));
    assert!(lab.target.tags(&name(1)).is_empty());

    // Nobody has told the connected side.
    lab.make(&["--force"]).expect(0);
    let second = "disk/mirror_seq2_000000.tar";
    for more in [&[][..], &["--dry-run"]] {
        let run = lab.publish(second, &join(&["--workspace", &far], more)).expect(8);
        let [failure] = run.report().failures.as_slice() else { panic!("{:?}", run.report().failures) };
        assert_eq!(failure.subject, names[1]);
        assert!(failure.message.contains("neither in what is published nor at"), "{failure:?}");
        let hint = failure.hint.as_deref().unwrap_or_default();
        assert!(hint.contains("the imageset which brought it") && hint.contains("--since"), "{hint}");
    }
    let run = lab.publish(second, &["--workspace", &far, "--on-error", "quarantine"]).expect(8);
    assert_eq!(run.outcomes(), [(2, "published")]);
    assert_eq!(run.report().quarantined[0].subject, names[1]);
    assert!(lab.target.tags(&name(1)).is_empty());
    // The imageset that brought it has it still.
    let run = lab.publish("disk", &["--workspace", &far]).expect(0);
    assert_eq!(run.outcomes(), [(1, "already published"), (2, "published")]);
    assert_eq!((run.report().images.len(), run.report().quarantined.len()), (3, 0));
    for number in 0..3 {
        lab.assert_published(&app(number), &name(number), "v1");
    }
}

#[test]
fn a_catalog_waits_for_what_is_only_named_of_it() {
    let mut shop = Shop::new();
    shop.lab.target = Registry::builder().delete().start();
    let (_, catalog) = shop.usual();
    shop.want(json!([{ "catalog": catalog, "packages": [{ "name": "foo" }] }]));
    let lab = &shop.lab;
    lab.make(&[]).expect(0);
    lab.publish("disk", &["--workspace", &lab.file("far")]).expect(0);
    let before = lab.target.digest_of("shop/index", "v4.20");
    delete_at_target(lab, &json!({ "operators": [{ "catalog": catalog, "packages": [{ "name": "foo" }] }] }));

    shop.want(json!([{ "catalog": catalog, "packages": [{ "name": "foo" }, { "name": "bar" }] }]));
    lab.make(&[]).expect(0);
    let index = Chunks::of(&lab.path("disk"), 2).index();
    let unchanged = index["unchanged"].as_array().expect("images").clone();
    assert!(
        !unchanged.is_empty() && unchanged.iter().all(|image| image["offeredBy"] != json!(null)),
        "{index:#}"
    );
    let run = lab.publish("disk/mirror_seq2_000000.tar", &["--workspace", &lab.file("far")]).expect(4);
    let failures = &run.report().failures;
    assert_eq!(failures.len(), unchanged.len() + 1, "{failures:?}");
    assert_eq!(
        (&failures.last().expect("one").kind, &failures.last().expect("one").subject),
        (&"catalog".to_owned(), &catalog)
    );
    assert_eq!(lab.target.digest_of("shop/index", "v4.20"), before, "the catalog is as it was");
    lab.publish("disk", &["--workspace", &lab.file("far")]).expect(0);
    assert_ne!(lab.target.digest_of("shop/index", "v4.20"), before);
}

#[test]
fn what_a_target_lost_is_put_back_from_what_else_it_has() {
    let mut lab = Lab::new();
    lab.configure(&push_all(&lab, 0..3));
    lab.make(&[]).expect(0);
    lab.publish("disk", &[]).expect(0);
    lab.make(&["--force"]).expect(0);
    lab.publish("disk", &[]).expect(0);
    std::fs::remove_file(lab.path("disk/mirror_seq1_000000.tar")).expect("there");
    let root = lab.target.storage().join("docker/registry/v2/repositories").join(name(1));
    let base = app(1).layer_digests()[0].replace("sha256:", "sha256/");
    std::fs::remove_file(root.join("_layers").join(base).join("link")).expect("there");
    std::fs::remove_dir_all(root.join("_manifests/tags/v1")).expect("there");
    lab.target.restart();
    assert_eq!(lab.publish("disk", &[]).expect(0).outcomes(), [(2, "already published")]);
    assert!(lab.target.tags(&name(1)).is_empty());
    assert_eq!(lab.publish("disk", &["--repair"]).expect(0).outcomes(), [(2, "repaired")]);
    lab.assert_published(&app(1), &name(1), "v1");
    // So does one that is published for the first time.
    std::fs::remove_dir_all(root.join("_manifests/tags/v1")).expect("there");
    lab.target.restart();
    lab.make(&["--force"]).expect(0);
    assert_eq!(lab.publish("disk", &["--repair"]).expect(0).outcomes(), [(2, "repaired"), (3, "published")]);
    lab.assert_published(&app(1), &name(1), "v1");
}

#[test]
fn other_names_at_a_target_are_for_all_images() {
    let lab = Lab::new();
    lab.configure(&push_all(&lab, 0..2));
    lab.make(&[]).expect(0);
    lab.publish("disk", &[]).expect(0);
    lab.make(&["--force"]).expect(0);
    let run = lab.publish("disk", &["--max-nested-paths", "2"]).expect(0);
    assert_eq!(run.report().totals.blobs, 0, "what is there is mounted");
    for number in 0..2 {
        lab.assert_published(&app(number), &format!("team/deep-app-{number}"), "v1");
    }
}

#[test]
fn as_a_source_imagesets_are_read_together() {
    let mut lab = Lab::new();
    let names = push_all(&lab, 0..3);
    lab.configure(&names[..2]);
    lab.make(&[]).expect(0);
    lab.configure(&names);
    lab.make(&[]).expect(0);
    lab.source.stop();
    let narrow = |lab: &Lab, disk: &str, to: &str| {
        lab.run(&["-c", "isc.yaml", "--from", &lab.file(disk), &lab.file(to)])
    };
    narrow(&lab, "disk", "narrow").expect(0);
    let wanted = content_of(&app(0)).into_iter().chain(content_of(&app(2)));
    let blobs = Chunks::of(&lab.path("narrow"), 1).blobs();
    assert!(wanted.into_iter().all(|digest| blobs.contains(&digest)));
    let run = narrow(&lab, "disk/mirror_seq2_000000.tar", "other").expect(8);
    let failures = &run.report().failures;
    assert_eq!(
        failures.iter().map(|failure| &failure.subject).collect::<Vec<_>>(),
        names.iter().collect::<Vec<_>>()
    );
    for failure in failures {
        assert!(failure.message.contains("it is in imageset 1, which is not there"), "{failure:?}");
    }
    lab.source.restart();
    lab.configure(&[names, push_all(&lab, 3..4)].concat());
    lab.make(&[]).expect(0);
    lab.source.stop();
    let run = narrow(&lab, "disk/mirror_seq3_000000.tar", "last").expect(8);
    let failure = &run.report().failures[0];
    assert!(failure.message.contains("it is in imageset 2 or one before, which is not there"), "{failure:?}");
}
