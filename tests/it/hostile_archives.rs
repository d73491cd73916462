//! Archives that somebody made to hurt: they are refused before anything is sent, and leave nothing on the disk. Where the index
//! is good and an entry is not, nothing of its image is published, and the check names it.

use std::path::Path;

use oc_mirror_testkit::{Image, ImageBuilder, RawTar};
use serde_json::json;

use crate::archives::{V1, V2};
use crate::lab::{Chunks, Lab, UID, names_in, read};

fn image(seed: u64) -> Image {
    ImageBuilder::new().layer(&[("etc/motd", "base\n")]).random_layer(seed, 20_000).build()
}

/// A way to add something to an archive, and the words in which it is refused.
type Evil = (&'static str, fn(RawTar) -> RawTar, &'static str);

/// What general tar files can hold. None of the names is one that an archive of a predecessor has.
const EVIL: [Evil; 18] = [
    ("controls", |tar| tar.file("charts/\u{1b}]0;evil\u{7}.tgz", b"x"), "none that a file can have"),
    ("from the root", |tar| tar.file("/etc/cron.d/evil", b"x"), "leads out of the archive"),
    ("out", |tar| tar.file("working-dir/../../evil", b"x"), "leads out of the archive"),
    ("out on windows", |tar| tar.file("working-dir\\..\\..\\evil", b"x"), "leads out of the archive"),
    (
        "out, by an attribute",
        |tar| tar.attributes(b'x', &[("path", "../evil")]).file("a", b"x"),
        "leads out of",
    ),
    ("out, by a long name", |tar| tar.entry(b'L', "x", "", 8, b"../evil\0").file("a", b"x"), "leads out of"),
    (
        "hard link",
        |tar| tar.entry(b'1', "working-dir/a", "/etc/shadow", 0, b""),
        "hard links are not followed",
    ),
    ("device", |tar| tar.entry(b'3', "working-dir/a", "", 0, b""), "neither a file nor a directory"),
    ("block device", |tar| tar.entry(b'4', "working-dir/a", "", 0, b""), "neither a file nor a directory"),
    ("pipe", |tar| tar.entry(b'6', "working-dir/a", "", 0, b""), "neither a file nor a directory"),
    ("sparse", |tar| tar.entry(b'S', "working-dir/a", "", 1 << 40, b""), "sparse files are not read"),
    (
        "sparse, by an attribute",
        |tar| tar.attributes(b'x', &[("GNU.sparse.size", "9")]),
        "sparse files are not",
    ),
    ("huge name", |tar| tar.entry(b'L', "x", "", 1 << 30, &[b'a'; 4096]), "a record of 1073741824 bytes"),
    ("huge attributes", |tar| tar.entry(b'x', "x", "", 1 << 40, b""), "a record of 1099511627776 bytes"),
    (
        "larger than the file",
        |tar| tar.entry(b'0', "working-dir/a", "", 1 << 40, b"x"),
        "goes on after its end",
    ),
    ("larger than any", |tar| tar.entry(b'0', "working-dir/a", "", u64::MAX, b"x"), "goes on after its end"),
    ("two sizes", |tar| tar.attributes(b'x', &[("size", "9")]).file("a", b"x"), "it has two sizes"),
    (
        "a second archive",
        |tar| tar.bytes(&[0; 1024]).file("working-dir/a", b"x"),
        "something is behind its end",
    ),
];

/// Publishes what `spoil` makes of an archive, and wants it refused without a trace.
fn assert_all_refused(lab: &Lab, directory: &str, file: &Path) {
    let whole = read(file);
    let before = names_in(&lab.context.work());
    lab.target.clear_log();
    for (what, spoil, words) in EVIL {
        std::fs::write(file, spoil(RawTar::after(&whole)).end()).expect("writable");
        for more in [&[][..], &["--dry-run"]] {
            let run = lab.publish(directory, more);
            assert!(run.output.raw_stderr.contains(words), "{what}: {}", run.output.snapshot());
            run.assert_refused(1, words);
        }
    }
    assert_eq!(lab.writes_to_target(), [], "nothing may be sent");
    assert!(lab.target.repositories().is_empty());
    assert_eq!(names_in(&lab.context.work()), before, "and nothing is unpacked");
    let evil: Vec<String> = names_in(&lab.path("..")).into_iter().filter(|name| name == "evil").collect();
    assert!(evil.is_empty() && !Path::new("/etc/cron.d/evil").exists());
    // The witness that it was not refused for something else.
    std::fs::write(file, RawTar::after(&whole).end()).expect("writable");
    lab.publish(directory, &[]).expect(0);
}

#[test]
fn archives_of_v1_are_refused_without_a_trace() {
    let lab = Lab::new();
    let file = V1::new(1).image(&image(1), "team/app", "v1", "generic", &[]).write(&lab, "disk");
    assert_all_refused(&lab, "disk", &file);
    lab.assert_published(&image(1), "team/app", "v1");
}

#[test]
fn archives_of_v2_are_refused_without_a_trace() {
    let lab = Lab::new();
    lab.push(&image(1), "team/app", "v1");
    let names = [json!({"name": "registry.example/team/app:v1"})];
    let files =
        V2::of(lab.source.storage()).configured(json!({"additionalImages": names})).write(&lab, "disk");
    assert_all_refused(&lab, "disk", &files[0]);
    lab.assert_published(&image(1), "team/app", "v1");
}

fn put(header: &mut [u8], at: usize, text: &[u8]) {
    header[at..at + text.len()].copy_from_slice(text);
}

fn rename(header: &mut [u8], name: &[u8]) {
    header[..100].fill(0);
    put(header, 0, name);
}

/// What is done to a header.
type Forge = fn(&mut [u8]);

/// The index of an imageset is left as it is, and the tar file around a layer says something else.
#[test]
fn a_layer_whose_header_disagrees_with_the_index_is_not_published() {
    let lab = Lab::new();
    let (victim, sound) = (image(1), image(2));
    let names = [lab.push(&victim, "team/victim", "v1"), lab.push(&sound, "team/sound", "v1")];
    lab.configure(&names);
    lab.make(&["--uid", UID]).expect(0);
    let file = Chunks::of(&lab.path("disk"), 1).files()[0].clone();
    let whole = read(&file);
    let layer = &victim.layers[1].blob;
    let entry = format!("blobs/sha256/{}", layer.digest.trim_start_matches("sha256:"));
    let at = (0..whole.len()).step_by(512).find(|at| whole[*at..].starts_with(entry.as_bytes()));
    let at = at.expect("its header is there");
    let forgeries: [(&str, Forge); 8] = [
        ("/etc/passwd", |h| rename(h, b"/etc/passwd")),
        ("../../etc/passwd", |h| rename(h, b"../../etc/passwd")),
        ("oci-layout", |h| rename(h, b"oci-layout")),
        ("entries of kind `1` are refused", |h| h[156] = b'1'),
        ("entries of kind `2` are refused", |h| h[156] = b'2'),
        ("entries of kind `3` are refused", |h| h[156] = b'3'),
        ("entries of kind `S` are refused", |h| h[156] = b'S'),
        ("bytes", |h| put(h, 124, b"77777777777")),
    ];
    for (words, forge) in forgeries {
        let mut bytes = whole.clone();
        RawTar::forge(&mut bytes, at, forge);
        std::fs::write(&file, bytes).expect("writable");
        let check = lab.context.run(&["check", "disk"]).expect_code(8);
        let shown = check.snapshot();
        let said = &check.raw_stdout;
        assert!(said.contains(words) && said.contains(&names[0]), "{words}\n{shown}");
        assert!(!said.contains(&names[1]), "{words}\n{shown}");

        let run = lab.publish("disk", &[]).expect(8);
        let [failure] = run.report().failures.as_slice() else { panic!("{}", run.output.snapshot()) };
        assert_eq!(failure.subject, names[0], "{words}");
        assert_eq!(lab.target.digest_of("team/victim", "v1"), None, "{words}");
        assert_eq!(lab.target.digest_of("team/victim", &victim.digest), None, "{words}: nor its manifest");
        assert!(!lab.target.has_blob("team/victim", &layer.digest), "{words}: nor the layer");
        assert!(lab.chains("oc-mirror").is_empty(), "{words}: nor is anything on record");
    }
    lab.assert_published(&sound, "team/sound", "v1");
    std::fs::write(&file, whole).expect("writable");
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&victim, "team/victim", "v1");
}
