//! Chunks of a bounded size: no file is larger, and what is in them is whole, whoever reads it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use oc_mirror_testkit::{Image, ImageBuilder, Skopeo, sha256};

use crate::lab::{Chunks, Lab, content_of, read};

/// Images that share a base, one of them with a layer that is larger than two chunks.
fn images() -> Vec<Image> {
    let base = ImageBuilder::new().random_layer(100, 3_000_000).build();
    let small = (0..6).map(|n| ImageBuilder::new().from(&base).random_layer(n, 700_000).build());
    let large = ImageBuilder::new().from(&base).random_layer(50, 25_000_000).random_layer(51, 40_000).build();
    small.chain([large]).collect()
}

fn name(number: usize) -> String {
    format!("team/app-{number}")
}

/// Returns the images' references, the large one last.
fn fill(lab: &Lab) -> Vec<String> {
    images().iter().enumerate().map(|(n, image)| lab.push(image, &name(n), "v1")).collect()
}

/// Puts parts of blobs together, as anybody can without this program.
fn join_parts(layout: &Path) {
    let mut parts: BTreeMap<String, Vec<(String, std::path::PathBuf)>> = BTreeMap::new();
    let blobs = layout.join("blobs/sha256");
    for entry in fs::read_dir(&blobs).expect("unpacked") {
        let path = entry.expect("readable").path();
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        if let Some((hex, part)) = file.split_once(".part-") {
            parts.entry(hex.to_owned()).or_default().push((part.to_owned(), path));
        }
    }
    assert!(!parts.is_empty(), "a layer of 25 MB is in parts");
    for (hex, mut found) in parts {
        found.sort();
        let whole: Vec<u8> = found.iter().flat_map(|(_, path)| read(path)).collect();
        fs::write(blobs.join(hex), whole).expect("written");
        found.iter().for_each(|(_, path)| fs::remove_file(path).expect("removed"));
    }
}

#[test]
fn no_chunk_is_larger_and_all_of_it_arrives() {
    let lab = Lab::new();
    let references = fill(&lab);
    lab.configure(&references);
    lab.make(&["--archive-size", "10MB"]).expect(0);
    let chunks = Chunks::of(&lab.path("disk"), 1);
    let sizes: Vec<u64> = chunks.files().iter().map(|f| f.metadata().expect("there").len()).collect();
    assert!(sizes.len() >= 4 && sizes.iter().all(|size| *size <= 10_000_000), "{sizes:?}");

    let checked = lab.context.run(&["check", &lab.path("disk").display().to_string()]);
    assert_eq!(checked.code, 0, "{}", checked.snapshot());

    lab.publish("disk", &[]).expect(0);
    let skopeo = Skopeo::new();
    for (number, image) in images().iter().enumerate() {
        lab.assert_published(image, &name(number), "v1");
        let at_target = format!("docker://{}", lab.target.reference(&name(number), "v1"));
        assert_eq!(skopeo.digest(&at_target), image.digest);
    }

    let layout = lab.path("unpacked");
    chunks.unpack(&layout);
    join_parts(&layout);
    for image in images() {
        for digest in content_of(&image) {
            assert_eq!(sha256(&read(&layout.join("blobs").join(digest.replace(':', "/")))), digest);
        }
    }
    let large = format!("oci:{}:{}", layout.display(), references[6]);
    assert_eq!(skopeo.inspect_raw(&large), images()[6].manifest);
    skopeo.pull(&large);
}

#[test]
fn a_strict_archive_names_the_image_and_the_size_it_takes() {
    let lab = Lab::new();
    lab.configure(&fill(&lab));
    lab.source.clear_log();
    let run = lab.make(&["--archive-size", "10MB", "--strict-archive"]);
    run.assert_refused(1, "does not fit an archive of 10000000 bytes undivided");
    let said = &run.output.raw_stderr;
    assert!(
        said.contains("does not fit archives of 10MB because of image `") && said.contains("team/app-6:v1`")
    );
    let blobs: Vec<String> = images().iter().flat_map(|i| i.layer_digests()).collect();
    let fetched = lab.source.log().into_iter().filter(|l| blobs.iter().any(|digest| l.path.contains(digest)));
    assert_eq!(fetched.count(), 0, "nothing is fetched");

    let enough = said.split("--archive-size ").nth(1).expect("a hint").split([',', ' ', '\n']).next();
    let enough = enough.expect("a size");
    assert!(enough.ends_with("MB"), "in the unit that was written: {said}");
    lab.make(&["--archive-size", enough, "--strict-archive"]).expect(0);
    let listings = Chunks::of(&lab.path("disk"), 1).listings();
    assert!(listings.iter().flatten().all(|name| !name.contains(".part-")), "{listings:?}");
}

#[test]
fn a_chunk_that_the_index_alone_does_not_fit_into() {
    let lab = Lab::new();
    lab.configure(&fill(&lab));
    let run = lab.make(&["--archive-size", "10KiB"]);
    run.assert_refused(1, "has no room for content: it takes at least");
    let said = run.output.raw_stderr;
    let enough = said.split("give --archive-size ").nth(1).expect("a hint").trim();
    assert!(enough.ends_with("KiB"), "{said}");
    // 25 MB in chunks of some 30 KiB: what is said to be enough is.
    lab.configure(&[lab.source.reference(&name(0), "v1")]);
    lab.make(&["--archive-size", enough]).expect(0);
    for word in ["ten", "10 stones", "0", "-4GB"] {
        let run = lab.make(&[&format!("--archive-size={word}")]);
        run.assert_refused(1, "is not a size");
    }
}
