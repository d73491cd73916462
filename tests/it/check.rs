//! `oc-mirror check` and `oc-mirror describe`: what is damaged is found and named, what it takes to mend it is said, and works.

use std::path::PathBuf;

use oc_mirror_model::check::{CheckReport, Part};
use oc_mirror_model::describe::Description;
use oc_mirror_testkit::{Image, ImageBuilder, Registry};

use crate::lab::{Chunks, Lab, UID, join, read};

fn app(number: u64) -> Image {
    ImageBuilder::new().layer(&[("app", number.to_string())]).random_layer(number, 5_000).build()
}

fn configure(lab: &Lab, count: u64) {
    let references: Vec<String> =
        (1..=count).map(|n| lab.push(&app(n), &format!("team/app-{n}"), "v1")).collect();
    lab.configure(&references);
}

/// A chain of so many imagesets in `disk`, each with one image more.
fn chain(count: u64) -> Lab {
    let lab = Lab::new();
    for sequence in 1..=count {
        configure(&lab, sequence);
        let uid: &[&str] = if sequence == 1 { &["--uid", UID] } else { &[] };
        lab.make(uid).expect(0);
    }
    lab
}

/// Runs `check`, and returns its exit code and report.
fn check(lab: &Lab, what: &str, more: &[&str]) -> (i32, CheckReport) {
    let args =
        join(&["check", what, "-o", "json", "--src-tls-verify=false", "--dest-tls-verify=false"], more);
    let output = lab.context.run(&args);
    let report = serde_json::from_str(&output.raw_stdout);
    (output.code, report.unwrap_or_else(|error| panic!("{error}\n{}", output.snapshot())))
}

fn target(lab: &Lab) -> String {
    format!("docker://{}", lab.target.host())
}

fn flip(path: &std::path::Path, at: usize) {
    let mut bytes = read(path);
    bytes[at] ^= 1;
    std::fs::write(path, bytes).expect("the test's own directory is writable");
}

#[test]
fn whole_imagesets_are_said_to_be_whole() {
    let lab = chain(2);
    let disk = lab.path("disk").display().to_string();
    let output = lab.context.run(&["check", &disk]).expect_code(0);
    assert!(output.stdout.contains("imageset 1: whole, 1 image, "), "{}", output.snapshot());
    assert!(output.stdout.contains("imageset 2: whole, 2 images, "), "{}", output.snapshot());
    for what in [lab.file("disk"), format!("{disk}/mirror_seq2_000000.tar")] {
        let (code, report) = check(&lab, &what, &[]);
        assert_eq!((code, report.faults()), (0, 0));
    }
    let nothing = lab.context.run(&["check", "file:///nowhere"]).expect_code(1);
    assert!(nothing.raw_stderr.contains("hint: "), "{}", nothing.snapshot());
}

#[test]
fn damage_names_chunk_image_and_remedy_and_nothing_of_it_is_published() {
    let lab = Lab::new();
    let (broken, sound) = (
        ImageBuilder::new().random_layer(1, 150_000).build(),
        ImageBuilder::new().random_layer(2, 900).build(),
    );
    let names = [lab.push(&broken, "team/broken", "v1"), lab.push(&sound, "team/sound", "v1")];
    lab.configure(&names);
    lab.make(&["--archive-size", "100KB"]).expect(0);
    let files = Chunks::of(&lab.path("disk"), 1).files().to_vec();
    assert!(files.len() > 1);
    let find = |bytes: &[u8]| {
        let place = |file: &PathBuf| read(file).windows(bytes.len()).position(|window| window == bytes);
        files.iter().find_map(|file| Some((file, place(file)?))).expect("it is in a chunk")
    };
    // A manifest is read before anything of its image is sent.
    let (file, at) = find(&broken.manifest);
    flip(file, at + 20);
    assert_eq!(check(&lab, &lab.file("disk"), &[]).1.imagesets[0].damage[0].images, names[..1]);
    lab.publish("disk", &[]).expect(8);
    assert!(lab.target.repositories().iter().all(|repository| repository != "team/broken"));
    flip(file, at + 20);

    // A layer is hashed on its way.
    let (file, at) = find(&broken.layers[0].blob.bytes[149_000..149_064]);
    flip(file, at);
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let (code, report) = check(&lab, &lab.file("disk"), &[]);
    let damage = &report.imagesets[0].damage;
    assert_eq!((code, damage.len()), (8, 1));
    assert!(damage[0].chunks.contains(&name) && damage[0].mend.contains(&name), "{damage:?}");
    assert_eq!(damage[0].images, names[..1]);

    let run = lab.publish("disk", &[]);
    assert_eq!(run.output.code, 8, "{}", run.output.snapshot());
    assert!(lab.target.tags("team/broken").is_empty());
    assert_eq!(lab.target.digest_of("team/broken", &broken.digest), None, "nor is its manifest there");
    assert!(!lab.target.has_blob("team/broken", &broken.layer_digests()[0]));
    lab.assert_published(&sound, "team/sound", "v1");

    // As it says: the chunk is copied again, and all is well.
    flip(file, at);
    assert_eq!(check(&lab, &lab.file("disk"), &[]).0, 0);
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&broken, "team/broken", "v1");
}

/// What is wrong with a chunk as a whole is known before anything is sent.
#[test]
fn missing_cut_swapped_and_foreign_chunks_are_found_and_nothing_is_sent() {
    let mut lab = Lab::new();
    lab.configure(&[lab.push(&ImageBuilder::new().random_layer(1, 200_000).build(), "team/app", "v1")]);
    lab.make(&["--archive-size", "100KB", "--uid", UID]).expect(0);
    lab.context = lab.context.env("SOURCE_DATE_EPOCH", "1700000000");
    lab.make_in("fork", &["--archive-size", "100KB", "--uid", UID]).expect(0);
    let files = Chunks::of(&lab.path("disk"), 1).files().to_vec();
    let fork = Chunks::of(&lab.path("fork"), 1).files().to_vec();
    let whole: Vec<Vec<u8>> = files.iter().map(|file| read(file)).collect();
    let spoil: [(&str, &dyn Fn()); 5] = [
        ("missing", &|| std::fs::remove_file(&files[1]).unwrap()),
        ("cut off", &|| std::fs::write(&files[1], &whole[1][..whole[1].len() - 512]).unwrap()),
        ("so its name is wrong", &|| std::fs::write(&files[1], &whole[2]).unwrap()),
        ("belongs to another imageset of sequence 1", &|| std::fs::write(&files[1], read(&fork[1])).unwrap()),
        ("its bytes have changed", &|| flip(&files[0], 700)),
    ];
    for (words, spoil) in spoil {
        spoil();
        let (code, report) = check(&lab, &lab.file("disk"), &[]);
        let damage = &report.imagesets[0].damage;
        assert!(damage.iter().any(|damage| damage.what.contains(words)), "{words}: {damage:?}");
        assert!(words != "missing" || report.imagesets[0].unchecked > 0, "{report:?}");
        assert!(code != 0 && damage.iter().all(|damage| !damage.mend.is_empty()), "{words}");
        let run = lab.publish("disk", &[]);
        assert_eq!(run.output.code, 1, "{words}\n{}", run.output.snapshot());
        assert_eq!(lab.writes_to_target(), [], "{words}");
        for (file, bytes) in files.iter().zip(&whole) {
            std::fs::write(file, bytes).unwrap();
        }
    }
    assert_eq!(check(&lab, &lab.file("disk"), &[]).0, 0);
}

#[test]
fn imagesets_that_do_not_follow_one_another_are_found() {
    let mut lab = chain(2);
    configure(&lab, 1);
    lab.context = lab.context.env("SOURCE_DATE_EPOCH", "1700000000");
    lab.make_in("anew", &["--uid", UID]).expect(0);
    std::fs::copy(lab.path("anew/mirror_seq1_000000.tar"), lab.path("disk/mirror_seq1_000000.tar")).unwrap();
    let (code, report) = check(&lab, &lab.file("disk"), &[]);
    assert_eq!(code, 1);
    assert!(report.imagesets[1].damage[0].what.contains("is not the one that it follows"), "{report:?}");
    let run = lab.publish("disk", &["--workspace", &lab.file("far")]);
    run.assert_refused(1, "imageset 2 follows ");
    assert_eq!(lab.writes_to_target(), []);
    std::fs::remove_file(lab.path("disk/mirror_seq1_000000.tar")).unwrap();
    let (code, report) = check(&lab, &lab.file("disk"), &[]);
    assert_eq!(code, 0);
    assert!(report.notes[0].contains("builds on sequence 1, which is not here"), "{report:?}");
}

/// Where the registry keeps a blob, and what links it into a repository.
fn stored(registry: &Registry, repository: &str, digest: &str) -> [PathBuf; 2] {
    let hex = digest.strip_prefix("sha256:").expect("a digest");
    let root = registry.storage().join("docker/registry/v2");
    [
        root.join(format!("blobs/sha256/{}/{hex}/data", &hex[..2])),
        root.join(format!("repositories/{repository}/_layers/sha256/{hex}/link")),
    ]
}

#[test]
fn what_a_target_lost_is_found_and_put_back() {
    let mut lab = chain(2);
    lab.publish("disk", &[]).expect(0);
    let (code, report) = check(&lab, &target(&lab), &[]);
    assert_eq!((code, report.faults()), (0, 0), "{report:?}");
    assert_eq!((report.chains[0].sequence, report.chains[0].tags), (2, 2));
    let (code, report) = check(&lab, &target(&lab), &["--deep"]);
    assert!(code == 0 && report.chains[0].bytes > 10_000, "{report:?}");

    let layer = app(1).layer_digests()[1].clone();
    let [_, link] = stored(&lab.target, "team/app-1", &layer);
    std::fs::remove_file(link).unwrap();
    lab.target.restart();
    let (code, report) = check(&lab, &target(&lab), &[]);
    let missing = &report.chains[0].missing;
    assert_eq!((code, missing.len()), (8, 1), "{report:?}");
    assert_eq!((missing[0].part, missing[0].digest.to_string()), (Part::Blob, layer.clone()));
    assert!(missing[0].images[0].ends_with("team/app-1:v1"), "{missing:?}");
    assert!(missing[0].mend.contains("publish imageset 1 again with --repair"), "{missing:?}");

    // Publishing again asks for nothing that the record has; with --repair it does.
    assert_eq!(
        lab.publish("disk", &[]).expect(0).outcomes(),
        [(1, "already published"), (2, "already published")]
    );
    assert!(!lab.target.has_blob("team/app-1", &layer));
    let run = lab.publish("disk", &["--repair"]).expect(0);
    assert_eq!(run.outcomes(), [(1, "repaired"), (2, "repaired")]);
    assert_eq!(check(&lab, &target(&lab), &["--deep"]).0, 0);
    lab.assert_published(&app(1), "team/app-1", "v1");
}

#[test]
fn a_lost_blob_is_put_back_by_a_cumulative_imageset() {
    let mut lab = chain(1);
    lab.publish("disk", &[]).expect(0);
    let layer = app(1).layer_digests()[1].clone();
    for path in stored(&lab.target, "team/app-1", &layer) {
        std::fs::remove_file(path).unwrap();
    }
    lab.target.restart();
    std::fs::remove_file(lab.path("disk/mirror_seq1_000000.tar")).unwrap();
    lab.make(&["--since", "0"]).expect(0);
    let run = lab.publish("disk", &["--repair"]).expect(0);
    assert_eq!(run.outcomes(), [(2, "published")]);
    assert_eq!(check(&lab, &target(&lab), &["--deep"]).0, 0);
}

#[test]
fn a_blob_that_rots_at_the_target_is_found_by_reading_it() {
    let mut lab = chain(1);
    lab.publish("disk", &[]).expect(0);
    let [data, _] = stored(&lab.target, "team/app-1", &app(1).layer_digests()[1]);
    flip(&data, 2000);
    lab.target.restart();
    assert_eq!(check(&lab, &target(&lab), &[]).0, 0, "the registry says that it is there");
    let (code, report) =
        check(&lab, &target(&lab), &["--deep", "--retry-delay", "10ms", "--retry-times", "1"]);
    assert_eq!(code, 8);
    assert!(report.chains[0].missing[0].what.contains("is damaged there"), "{report:?}");
}

/// An old imageset is repaired without taking tags back, and without what was deleted since.
#[test]
fn a_repair_leaves_newer_tags_alone() {
    let mut lab = Lab::new();
    let (old, new) = (app(1), app(2));
    lab.configure(&[lab.push(&old, "team/app", "v1")]);
    lab.make(&[]).expect(0);
    lab.configure(&[lab.push(&new, "team/app", "v1")]);
    lab.make(&[]).expect(0);
    lab.publish("disk", &[]).expect(0);
    let layer = old.layer_digests()[1].clone();
    std::fs::remove_file(&stored(&lab.target, "team/app", &layer)[1]).unwrap();
    lab.target.restart();
    let (code, report) = check(&lab, &target(&lab), &[]);
    assert_eq!((code, report.chains[0].missing.len()), (8, 1), "{report:?}");
    let run = lab.publish("disk/mirror_seq1_000000.tar", &["--repair"]).expect(0);
    assert_eq!(run.outcomes(), [(1, "repaired")]);
    lab.assert_published(&new, "team/app", "v1");
    assert_eq!(check(&lab, &target(&lab), &[]).0, 0);
}

#[test]
fn a_tag_that_somebody_moved_is_found() {
    let lab = chain(1);
    lab.publish("disk", &[]).expect(0);
    lab.target.push(&app(7), "team/app-1", "v1");
    let (code, report) = check(&lab, &target(&lab), &[]);
    let missing = &report.chains[0].missing;
    assert_eq!((code, missing.len(), missing[0].part), (8, 1, Part::Tag));
    assert!(missing[0].what.contains(&app(7).digest), "{missing:?}");
    lab.publish("disk", &["--repair"]).expect(0);
    lab.assert_published(&app(1), "team/app-1", "v1");
    let empty = Registry::start();
    let nobody = format!("docker://{}", empty.host());
    let output = lab.context.run(&["check", &nobody, "--dest-tls-verify=false"]).expect_code(1);
    assert!(output.raw_stderr.contains("has no record of a chain"), "{}", output.snapshot());
}

#[test]
fn descriptions_need_the_first_chunk_only() {
    let lab = Lab::new();
    let shared = ImageBuilder::new().random_layer(1, 150_000);
    let images = [shared.clone().random_layer(2, 900).build(), shared.random_layer(3, 900).build()];
    let names = [lab.push(&images[0], "team/one", "v1"), lab.push(&images[1], "team/two", "v1")];
    lab.configure(&names);
    lab.make(&["--archive-size", "100KB", "--uid", UID]).expect(0);
    let files = Chunks::of(&lab.path("disk"), 1).files().to_vec();
    std::fs::remove_file(&files[1]).unwrap();
    let disk = lab.file("disk");
    let output = lab.context.run(&["describe", &disk, "-o", "json"]).expect_code(0);
    let found: Vec<Description> = serde_json::from_str(&output.raw_stdout).expect("JSON");
    let [found] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((found.sequence, found.base, found.uid.to_string()), (1, 0, UID.to_owned()));
    let listed: Vec<&str> = found.images.iter().map(|image| image.name.as_str()).collect();
    assert_eq!(listed, names);
    assert!(
        found.images[0].bytes > 150_000 && found.total.bytes < 160_000,
        "the shared layer counts once: {found:?}"
    );
    assert_eq!(found.content[0].name, "additional");
    assert_eq!(found.content[0].sum, found.total);
    let faults: Vec<bool> = found.chunks.iter().map(|chunk| chunk.fault.is_some()).collect();
    assert!(!faults[0] && faults[1], "{:?}", found.chunks);

    let yaml = lab.context.run(&["describe", &disk, "-o", "yaml"]).expect_code(0);
    assert!(yaml.stdout.contains("type: additional"), "{}", yaml.stdout);
    let text = lab.context.run(&["describe", &disk]).expect_code(0).stdout;
    for words in
        ["complete in itself", "not signed", "mirror_seq1_000001.tar", "is missing", "additional", "metadata"]
    {
        assert!(text.contains(words), "{words} in\n{text}");
    }
    // The next one builds on it.
    std::fs::remove_dir_all(lab.path("disk")).unwrap();
    let (_, more) = (lab.make(&["--uid", UID]).expect(0), lab.push(&app(9), "team/three", "v1"));
    lab.configure(&[&names[0], &names[1], &more]);
    lab.make(&[]).expect(0);
    let text = lab.context.run(&["describe", &lab.file("disk/mirror_seq2_000000.tar")]).expect_code(0).stdout;
    assert!(text.contains("builds on sequence 1") && text.contains("requires "), "{text}");
}
