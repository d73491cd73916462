//! What other programs see of an imageset: plain tar files that make one OCI image layout, the same on every run.

use oc_mirror_testkit::{Image, ImageBuilder, IndexBuilder, Skopeo};

use crate::lab::{Chunks, Lab, UID, content_of, names_in, read};

fn images() -> Vec<Image> {
    let arm = ImageBuilder::new().platform("linux/arm64").random_layer(2, 30_000).build();
    let amd = ImageBuilder::new().random_layer(3, 30_000).build();
    vec![
        ImageBuilder::new().random_layer(1, 50_000).label("a", "b").build(),
        ImageBuilder::new().docker().random_layer(4, 50_000).build(),
        IndexBuilder::new().child(&amd).child(&arm).build(),
    ]
}

fn filled() -> (Lab, Vec<String>) {
    let lab = Lab::new();
    let push = |(number, image)| lab.push(image, &format!("team/app-{number}"), "v1");
    let images = images();
    let references: Vec<String> = images.iter().enumerate().map(push).collect();
    lab.configure(&references);
    (lab, references)
}

#[test]
fn tar_lists_every_chunk() {
    let (lab, mut references) = filled();
    references.push(lab.push(&ImageBuilder::new().random_layer(9, 150_000).build(), "team/large", "v1"));
    lab.configure(&references);
    lab.make(&["--archive-size", "64KiB"]).expect(0);
    let chunks = Chunks::of(&lab.path("disk"), 1);
    let listings = chunks.listings();
    assert!(listings.len() > 2, "{listings:?}");
    assert!(listings.iter().all(|names| names[0] == "imageset.json"), "{listings:?}");
    let index = chunks.index();
    assert_eq!(index["sequence"], 1);
    assert_eq!(index["base"], 0);
    assert_eq!(index["chunks"].as_array().map(Vec::len), Some(listings.len()));
    for file in chunks.files() {
        let size = std::fs::metadata(file).unwrap().len();
        assert!(size <= 64 * 1024, "{} has {size} bytes", file.display());
    }
    assert!(listings.iter().flatten().any(|name| name.contains(".part-")), "a blob is split: {listings:?}");
}

#[test]
fn a_full_imageset_untarred_is_a_layout_for_skopeo() {
    let (lab, references) = filled();
    lab.make(&[]).expect(0);
    let layout = lab.path("unpacked");
    Chunks::of(&lab.path("disk"), 1).unpack(&layout);
    for file in ["oci-layout", "index.json", "imageset.json"] {
        assert!(layout.join(file).is_file(), "{file} among {:?}", names_in(&layout));
    }
    let listed: serde_json::Value = serde_json::from_slice(&read(&layout.join("index.json"))).unwrap();
    let names = |entry: &serde_json::Value| entry["annotations"]["org.opencontainers.image.ref.name"].clone();
    let listed: Vec<_> = listed["manifests"].as_array().unwrap().iter().map(names).collect();
    assert_eq!(listed, references, "every image under its original reference");
    let skopeo = Skopeo::new();
    // By name, skopeo finds images of OCI's media types only.
    for (image, reference) in images().iter().zip(&references).filter(|(i, _)| i.media_type.contains("oci")) {
        let name = format!("oci:{}:{reference}", layout.display());
        assert_eq!(skopeo.inspect_raw(&name), image.manifest, "skopeo inspect {name}");
        skopeo.pull(&name);
        let copy = lab.target.reference("copied", &reference[reference.len() - 4..].replace([':', '/'], "-"));
        skopeo.copy_all(&name, &format!("docker://{copy}"));
    }
    for image in images() {
        for digest in content_of(&image) {
            let path = layout.join("blobs").join(digest.replace(':', "/"));
            assert_eq!(oc_mirror_testkit::sha256(&read(&path)), digest);
        }
    }
    let yaml = read(&layout.join("files/imageset-config.yaml"));
    assert_eq!(yaml, read(&lab.path("isc.yaml")), "the configuration travels as it was written");
}

#[test]
fn parallelism_does_not_change_a_byte() {
    let (mut lab, _) = filled();
    lab.context = crate::lab::context().env("SOURCE_DATE_EPOCH", "1700000000");
    let references: Vec<String> =
        (0..images().len()).map(|n| lab.source.reference(&format!("team/app-{n}"), "v1")).collect();
    lab.configure(&references);
    let fixed = ["--uid", UID, "--archive-size", "100KiB"];
    let with = |n| [&fixed[..], &["--parallel-images", n, "--parallel-layers", n]].concat();
    lab.make_in("one", &with("1")).expect(0);
    lab.make_in("sixteen", &with("16")).expect(0);
    let [one, sixteen] = ["one", "sixteen"].map(|directory| Chunks::of(&lab.path(directory), 1).bytes());
    assert!(one.len() > 1);
    assert_eq!(one.len(), sixteen.len());
    assert!(one == sixteen, "the chunks differ");
    let created = Chunks::of(&lab.path("one"), 1).index()["created"].clone();
    assert_eq!(created, "2023-11-14T22:13:20Z");
}

#[test]
fn split_blobs_are_published_whole() {
    let mut lab = Lab::new();
    let big = ImageBuilder::new().random_layer(7, 400_000).random_layer(8, 90_000).build();
    lab.configure(&[lab.push(&big, "team/big", "v1")]);
    let made = lab.make(&["--archive-size", "100KiB"]).expect(0);
    assert!(made.report().imagesets[0].chunks.len() >= 5, "{:?}", made.report().imagesets);
    lab.source.stop();
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&big, "team/big", "v1");
}

#[test]
fn a_strict_archive_refuses_to_split_before_anything_is_fetched() {
    let lab = Lab::new();
    let big = ImageBuilder::new().random_layer(7, 400_000).build();
    lab.configure(&[lab.push(&big, "team/big", "v1")]);
    lab.source.clear_log();
    let run = lab.make(&["--archive-size", "100KiB", "--strict-archive"]);
    assert_ne!(run.output.code, 0);
    assert!(run.output.raw_stderr.contains("hint: "), "{}", run.output.snapshot());
    let layer = &big.layer_digests()[0];
    assert!(!lab.source.log().iter().any(|line| line.method == "GET" && line.path.contains(layer.as_str())));
    assert!(names_in(&lab.path("disk")).iter().all(|name| !name.contains("mirror_seq")));
}

#[test]
fn a_missing_chunk_is_named_before_anything_is_sent() {
    let (lab, _) = filled();
    lab.make(&["--archive-size", "64KiB"]).expect(0);
    let gone = Chunks::of(&lab.path("disk"), 1).files()[1].clone();
    std::fs::remove_file(&gone).unwrap();
    let run = lab.publish("disk", &[]);
    let name = gone.file_name().unwrap().to_string_lossy();
    run.assert_refused(1, &name);
    assert_eq!(lab.writes_to_target(), []);
}

#[test]
fn a_flipped_bit_is_noticed_and_its_image_reported() {
    let lab = Lab::new();
    let image = ImageBuilder::new().random_layer(1, 50_000).build();
    lab.configure(&[lab.push(&image, "team/app", "v1")]);
    lab.make(&[]).expect(0);
    let chunk = lab.path("disk/mirror_seq1_000000.tar");
    let mut bytes = read(&chunk);
    let layer = &image.layers[0].blob.bytes;
    let at =
        bytes.windows(64).position(|window| window == &layer[1000..1064]).expect("the layer is in the chunk");
    bytes[at] ^= 1;
    std::fs::write(&chunk, bytes).unwrap();
    let run = lab.publish("disk", &[]);
    assert_eq!(run.output.code, 8, "{}", run.output.snapshot());
    assert!(run.output.raw_stderr.contains("copy the imageset again"), "{}", run.output.snapshot());
    assert!(!run.output.raw_stderr.contains("trying again"), "{}", run.output.snapshot());
    assert!(lab.target.tags("team/app").is_empty());
    assert!(!lab.target.has_blob("team/app", &image.layer_digests()[0]));
}
