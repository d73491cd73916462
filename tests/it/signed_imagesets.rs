//! Signed imagesets: keys of ours and of `openssl`, and who is refused where they are asked for.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use oc_mirror_testkit::{CommandOutput, Image, ImageBuilder, Skopeo};
use serde_json::json;

use crate::archives::V2;
use crate::lab::{Chunks, Lab, UID, join, read};

const PAYLOAD_TYPE: &str = "application/vnd.oc-mirror.imageset.index.v1+json";

fn app() -> Image {
    ImageBuilder::new().random_layer(1, 5_000).build()
}

/// A lab with an image to mirror, and so many pairs of keys `a`, `b`, ….
fn lab(keys: &[&str]) -> Lab {
    let lab = Lab::new();
    lab.configure(&[lab.push(&app(), "team/app", "v1")]);
    for key in keys {
        lab.context.run(&["key", "generate", "--output", key]).expect_code(0);
    }
    lab
}

fn sign(lab: &Lab, directory: &str, keys: &[&str]) {
    let keys: Vec<&str> = keys.iter().flat_map(|key| ["--sign-key", key]).collect();
    lab.make_in(directory, &join(&keys, &["--uid", UID])).expect(0);
}

#[track_caller]
fn assert_refused(lab: &Lab, more: &[&str], words: &str) {
    lab.publish("disk", more).assert_refused(1, words);
    assert_eq!(lab.target.log(), [], "the target was not even asked for anything");
}

fn openssl(lab: &Lab, args: &[&str]) -> CommandOutput {
    let output =
        Command::new("openssl").args(args).current_dir(lab.context.work()).output().expect("openssl runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    CommandOutput {
        code: output.status.code().unwrap_or(-1),
        stdout: out.clone(),
        stderr: err.clone(),
        raw_stdout: out,
        raw_stderr: err,
    }
}

#[test]
fn a_pair_of_keys() {
    let lab = lab(&["a"]);
    let mode = |name: &str| lab.path(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("a.key"), mode("a.pub")), (0o600, 0o644));
    let before = read(&lab.path("a.key"));
    let again = lab.context.run(&["key", "generate", "--output", "a"]).expect_code(1);
    assert!(again.raw_stderr.contains("is there already") && again.raw_stderr.contains("hint: "));
    assert_eq!(read(&lab.path("a.key")), before, "nothing is overwritten");
    let id = |file: &str| lab.context.run(&["key", "id", file]).expect_code(0).stdout;
    assert_eq!(id("a.key"), id("a.pub"));
    let shown = lab.context.run(&["key", "show", "a.key"]).expect_code(0).stdout;
    assert_eq!(shown.as_bytes(), read(&lab.path("a.pub")));
    // `openssl` reads both, and finds the same key and the same identity in them.
    let public = openssl(&lab, &["pkey", "-in", "a.key", "-pubout"]).expect_code(0);
    assert_eq!(public.stdout, shown);
    openssl(&lab, &["pkey", "-pubin", "-in", "a.pub", "-outform", "DER", "-out", "a.der"]).expect_code(0);
    assert_eq!(id("a.pub").trim(), oc_mirror_testkit::sha256(&read(&lab.path("a.der"))));
}

#[test]
fn with_a_key_only_what_it_signed_is_published() {
    let lab = lab(&["a", "b", "c"]);
    lab.make(&[]).expect(0);
    assert_refused(&lab, &["--verify-key", "a.pub"], "it is not signed");
    std::fs::remove_dir_all(lab.path("disk")).unwrap();
    sign(&lab, "disk", &["a.key", "b.key"]);
    assert_refused(&lab, &["--verify-key", "c.pub"], "none of the keys that are trusted");
    let three = ["--verify-key", "a.pub", "--verify-key", "b.pub", "--verify-key", "c.pub"];
    assert_refused(&lab, &join(&three, &["--verify-threshold", "3"]), "signed by 2 keys that are trusted");
    assert_refused(&lab, &["--verify-key", "a.pub", "--verify-threshold", "2"], "there are 1");
    assert_refused(&lab, &["--verify-key", "a.key"], "a `PUBLIC KEY` is wanted");

    // Somebody changes the index, its checksum too.
    let chunk = lab.path("disk/mirror_seq1_000000.tar");
    let whole = read(&chunk);
    let mut altered = whole.clone();
    let at = altered.windows(12).position(|w| w == b"\"createdBy\":").unwrap();
    altered[at + 14] ^= 1;
    std::fs::write(&chunk, &altered).unwrap();
    assert_refused(&lab, &["--verify-key", "a.pub"], "its bytes have changed");
    let sum = {
        let length = String::from_utf8_lossy(&altered[124..135]);
        let length = usize::from_str_radix(&length, 8).unwrap();
        let mut document = altered[512..512 + length].to_vec();
        document[20..84].fill(b'0');
        oc_mirror_testkit::sha256(&document).replace("sha256:", "")
    };
    altered[512 + 20..512 + 84].copy_from_slice(sum.as_bytes());
    std::fs::write(&chunk, &altered).unwrap();
    assert_refused(&lab, &["--verify-key", "a.pub"], "does not hold");
    let check = lab.context.run(&["check", "disk"]);
    assert_eq!(check.code, 0, "without a key nobody can tell\n{}", check.snapshot());
    let check = lab.context.run(&["check", "disk", "--verify-key", "a.pub"]).expect_code(1);
    assert!(check.stdout.contains("does not hold"), "{}", check.snapshot());

    std::fs::write(&chunk, whole).unwrap();
    let run = lab.publish("disk", &join(&three, &["--verify-threshold", "2"])).expect(0);
    assert!(run.report().notes.is_empty(), "{:?}", run.report().notes);
    lab.assert_published(&app(), "team/app", "v1");
}

#[test]
fn without_a_key_a_signed_imageset_is_published_with_a_note() {
    let lab = lab(&["a"]);
    sign(&lab, "disk", &["a.key"]);
    let run = lab.publish("disk", &[]).expect(0);
    assert!(
        run.report().notes[0].contains("imageset 1 is signed, and no key was given"),
        "{:?}",
        run.report().notes
    );
    lab.assert_published(&app(), "team/app", "v1");
}

/// `trust.keys` of the workspace counts everywhere without being named.
#[test]
fn keys_of_the_workspace() {
    let lab = lab(&["a", "b"]);
    sign(&lab, "disk", &["a.key"]);
    let keys = |keys: &[&str], head: &str| {
        let text: String = keys.iter().map(|key| String::from_utf8(read(&lab.path(key))).unwrap()).collect();
        lab.context.write("disk/working-dir/trust.keys", format!("{head}\n{text}"));
    };
    keys(&["a.pub", "b.pub"], "# both of us\nthreshold: 2");
    assert_refused(&lab, &[], "signed by 1 key that is trusted");
    for command in ["check", "describe"] {
        let output = lab.context.run(&[command, "disk"]).expect_code(1);
        assert!(
            format!("{}{}", output.stdout, output.stderr).contains("not trusted"),
            "{}",
            output.snapshot()
        );
    }
    let output = lab.context.run(&["serve", "disk", "--listen", "127.0.0.1:0"]).expect_code(1);
    assert!(output.raw_stderr.contains("not trusted"), "{}", output.snapshot());
    lab.configure(&[lab.source.reference("team/app", "v1")]);
    let from = lab.file("disk");
    let args = ["-c", "isc.yaml", "--from", &from, "--verify-key", "b.pub", &lab.file("copy")];
    lab.run(&args).assert_refused(1, "none of the keys that are trusted");
    keys(&["a.pub"], "thresholds: 1");
    assert_refused(&lab, &[], "`thresholds: 1` is none of a key");
    keys(&["b.pub", "a.pub"], "");
    lab.publish("disk", &[]).expect(0);
    let output = lab.context.run(&["describe", "disk"]).expect_code(0);
    assert!(output.stdout.contains("(trusted)"), "{}", output.snapshot());
}

/// Keys are changed by way of a time in which both count. Afterwards the old one, which somebody may have found, signs nothing.
#[test]
fn an_index_signed_by_a_key_that_is_trusted_no_more() {
    let lab = lab(&["old", "new"]);
    let far = lab.file("far");
    let trust = |keys: &[&str]| {
        let text: String = keys.iter().map(|key| String::from_utf8(read(&lab.path(key))).unwrap()).collect();
        lab.context.write("far/working-dir/trust.keys", text);
    };
    let make = |number: u64, key: &str| {
        let image = ImageBuilder::new().random_layer(number, 5_000).build();
        lab.configure(&[lab.push(&image, "team/app", &format!("v{number}"))]);
        let uid: &[&str] = if number == 1 { &["--uid", UID] } else { &[] };
        lab.make(&join(&["--sign-key", key], uid)).expect(0);
        format!("disk/mirror_seq{number}_000000.tar")
    };
    let publish = |from: &str| lab.publish(from, &["--workspace", &far]);

    trust(&["old.pub"]);
    let first = make(1, "old.key");
    publish(&first).expect(0);
    trust(&["old.pub", "new.pub"]);
    publish(&make(2, "new.key")).expect(0);
    trust(&["new.pub"]);
    lab.target.clear_log();
    let third = make(3, "old.key");
    let run = publish(&third);
    run.assert_refused(1, "none of the keys that are trusted");
    let old = lab.context.run(&["key", "id", "old.pub"]).expect_code(0).stdout;
    assert!(run.output.raw_stderr.contains(old.trim()), "it is said who signed\n{}", run.output.snapshot());
    for command in ["check", "describe"] {
        let third = lab.path(&third).display().to_string();
        let args = [command, third.as_str(), "--verify-key", "new.pub"];
        let output = lab.context.run(&args).expect_code(1);
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(said.contains("none of the keys that are trusted"), "{}", output.snapshot());
    }
    // What it signed in its time is refused too: nobody can tell when that was. It need not be there any more.
    let run = publish(&first);
    run.assert_refused(1, "none of the keys that are trusted");
    assert!(run.output.raw_stderr.contains("take it out of the directory"), "{}", run.output.snapshot());
    assert_eq!(lab.target.log(), [], "the target was not even asked for anything");
    std::fs::remove_file(lab.path(&first)).unwrap();
    std::fs::remove_file(lab.path(&third)).unwrap();
    std::fs::remove_dir_all(lab.path("disk/working-dir")).unwrap();
    assert_eq!(publish("disk").expect(0).outcomes(), [(2, "already published")]);
}

#[test]
fn signed_imagesets_are_tar_files_and_layouts_and_always_the_same() {
    let mut lab = lab(&["a", "b"]);
    lab.context = lab.context.env("SOURCE_DATE_EPOCH", "1700000000");
    sign(&lab, "one", &["a.key", "b.key"]);
    sign(&lab, "two", &["b.key", "a.key"]);
    let chunks = Chunks::of(&lab.path("one"), 1);
    assert!(chunks.bytes() == Chunks::of(&lab.path("two"), 1).bytes(), "the chunks differ");
    assert_eq!(chunks.listings()[0][..3], ["imageset.json", "imageset.json.sig", "oci-layout"]);
    assert_eq!(chunks.index()["format"], "1.1");
    let layout = lab.path("unpacked");
    chunks.unpack(&layout);
    let name = format!("oci:{}:{}", layout.display(), lab.source.reference("team/app", "v1"));
    assert_eq!(Skopeo::new().inspect_raw(&name), app().manifest);
}

#[test]
fn openssl_makes_keys_and_verifies_signatures() {
    let lab = lab(&[]);
    openssl(&lab, &["genpkey", "-algorithm", "ed25519", "-out", "theirs.key"]).expect_code(0);
    openssl(&lab, &["pkey", "-in", "theirs.key", "-pubout", "-out", "theirs.pub"]).expect_code(0);
    sign(&lab, "disk", &["theirs.key"]);
    let layout = lab.path("unpacked");
    Chunks::of(&lab.path("disk"), 1).unpack(&layout);
    let index = read(&layout.join("imageset.json"));
    let envelope: serde_json::Value =
        serde_json::from_slice(&read(&layout.join("imageset.json.sig"))).unwrap();
    assert_eq!(envelope["payloadType"], PAYLOAD_TYPE);
    let id = lab.context.run(&["key", "id", "theirs.pub"]).expect_code(0).stdout;
    assert_eq!(envelope["signatures"][0]["keyid"], id.trim());
    let pae = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), index.len());
    lab.context.write("pae", [pae.as_bytes(), &index].concat());
    lab.context.write("sig.txt", format!("{}\n", envelope["signatures"][0]["sig"].as_str().unwrap()));
    openssl(&lab, &["base64", "-d", "-A", "-in", "sig.txt", "-out", "sig"]).expect_code(0);
    let verify =
        ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "theirs.pub", "-sigfile", "sig", "-in", "pae"];
    let verified = openssl(&lab, &verify).expect_code(0);
    assert!(verified.stdout.contains("Signature Verified Successfully"), "{}", verified.snapshot());
    lab.publish("disk", &["--verify-key", "theirs.pub"]).expect(0);
}

#[test]
fn keys_that_make_no_sense() {
    let mut lab = lab(&["a"]);
    openssl(&lab, &["genpkey", "-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "ec.key"])
        .expect_code(0);
    let locked = ["genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:x", "-out", "locked.key"];
    openssl(&lab, &locked).expect_code(0);
    for (key, words) in [
        ("a.pub", "a `PRIVATE KEY` is wanted"),
        ("ec.key", "not one of Ed25519"),
        ("locked.key", "encrypted with a password"),
        ("none.key", "cannot be read"),
        ("env://NOT_SET", "is not set"),
    ] {
        lab.make(&["--sign-key", key]).assert_refused(1, words);
    }
    lab.publish("disk", &["--sign-key", "a.key"]).assert_refused(1, "--sign-key is for making an imageset");
    lab.make(&["--verify-key", "a.pub"]).assert_refused(1, "--verify-key is for imagesets that are read");
    lab.make(&["--repair"]).assert_refused(1, "--repair is for publishing imagesets");
    lab.publish("disk", &["--verify-threshold", "2"]).assert_refused(1, "no key is given");
    // A key may come in a variable; and one that others can read is warned of.
    std::fs::set_permissions(lab.path("a.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let warned = lab.make_in("one", &["--sign-key", "a.key"]).expect(0);
    assert!(warned.output.raw_stderr.contains("chmod 600"), "{}", warned.output.snapshot());
    let text = String::from_utf8(read(&lab.path("a.key"))).unwrap();
    lab.context = lab.context.env("SIGNING_KEY", &text);
    lab.make_in("two", &["--sign-key", "env://SIGNING_KEY"]).expect(0);
    assert_eq!(Chunks::of(&lab.path("two"), 1).index()["format"], "1.1");
}

/// Whoever asks for signatures does not get archives that never have any.
#[test]
fn archives_of_predecessors_are_refused_where_keys_are_asked_for() {
    let lab = lab(&["a"]);
    V2::of(lab.source.storage()).configured(json!({ "additionalImages": [] })).write(&lab, "v2");
    lab.publish("v2", &["--verify-key", "a.pub"]).assert_refused(1, "which are never signed");
    lab.publish("v2", &["--repair"]).assert_refused(1, "--repair is for imagesets");
    assert_eq!(lab.target.log(), []);
    for command in ["check", "describe"] {
        let output = lab.context.run(&[command, "v2"]).expect_code(1);
        assert!(output.raw_stderr.contains("archives of oc-mirror v2"), "{}", output.snapshot());
    }
    lab.publish("v2", &[]).expect(0);
}
