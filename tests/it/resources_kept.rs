//! What resources for clusters are made of outlives imagesets and workspaces, and goes where it belongs.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use oc_mirror_testkit::{CommandOutput, Image, ImageBuilder};
use serde_json::{Value, json};

use crate::depot::Depot;
use crate::lab::{Chunks, Lab, names_in, read};
use crate::shop::Shop;

const TEMPLATE: &str =
    "apiVersion: operators.coreos.com/v1alpha1\nkind: CatalogSource\nspec:\n  priority: 7\n";
const RESOURCES: &str = "working-dir/cluster-resources";

fn small(content: &str) -> Image {
    ImageBuilder::new().layer(&[("content", content)]).build()
}

/// Returns the files of a directory one after the other.
fn shown(dir: &Path) -> String {
    let text =
        |name: &String| format!("# {name}\n{}\n", String::from_utf8(read(&dir.join(name))).expect("text"));
    let is_file = |name: &&String| dir.join(name).is_file();
    names_in(dir).iter().filter(is_file).map(text).collect()
}

fn publish(lab: &Lab, workspace: &str, more: &[&str]) -> crate::lab::Run {
    lab.publish("disk", &[&["--workspace", &lab.file(workspace)], more].concat())
}

#[test]
fn what_earlier_imagesets_brought_outlives_their_loss() {
    let depot = Depot::new();
    let (old, new) = (depot.version("4.12.1"), depot.version("4.12.2"));
    depot.channel("stable-4.12", &[&old], "");
    let Depot { lab, server, .. } = depot;
    let shop = Shop { lab };
    let (_, catalog) = shop.usual();
    let lab = &shop.lab;
    lab.context.write("t.yaml", TEMPLATE);
    lab.configure_mirror(json!({
        "platform": { "channels": [{ "name": "stable-4.12" }] },
        "operators": [{ "catalog": catalog, "packages": [{ "name": "foo" }], "targetCatalogSourceTemplate": "t.yaml" }],
    }));
    lab.make(&[]).expect(0);
    publish(lab, "far", &[]).expect(0);

    let payloads = [&old, &new].map(|release| release.payload("amd64").digest().replace(':', "-"));
    let keys = |workspace: &str| {
        let json = read(&lab.path(workspace).join(RESOURCES).join("signature-configmap.json"));
        let map: Value = serde_json::from_slice(&json).expect("JSON");
        map["binaryData"].as_object().expect("signatures").keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(keys("far"), [format!("{}-1", payloads[0])]);

    // Another release, and no catalog any more; the first imageset and the workspace are lost.
    let entries = [(new.version.as_str(), new.payload("amd64"))];
    server.graph("amd64", "stable-4.12", crate::depot::graph("stable-4.12", &entries, ""));
    lab.configure_mirror(json!({ "platform": { "channels": [{ "name": "stable-4.12" }] } }));
    lab.make(&[]).expect(0);
    for chunk in Chunks::of(&lab.path("disk"), 1).files() {
        std::fs::remove_file(chunk).expect("it is there");
    }
    assert_eq!(publish(lab, "elsewhere", &[]).expect(0).outcomes(), [(2, "published")]);
    let mut both = payloads.map(|payload| format!("{payload}-1"));
    both.sort();
    assert_eq!(keys("elsewhere"), both);
    let source = lab.path("elsewhere").join(RESOURCES).join("cs-index-v4-20.yaml");
    let source = String::from_utf8(read(&source)).expect("text");
    assert!(source.contains("priority: 7"), "{source}");
    // The workspace that knows of both has the same, and so has one that finds all of it published.
    for workspace in ["far", "third"] {
        assert_eq!(publish(lab, workspace, &[]).expect(0).outcomes(), [(2, "already published")]);
        let [one, two] = [workspace, "elsewhere"].map(|name| shown(&lab.path(name).join(RESOURCES)));
        assert_eq!(one, two);
    }
}

/// Everything below a directory with what can be told of it.
fn tree(dir: &Path) -> Vec<(PathBuf, u32, u64, std::time::SystemTime)> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let metadata = dir.metadata().expect("a directory");
        found.push((dir.clone(), metadata.permissions().mode(), 0, metadata.modified().expect("a time")));
        for entry in std::fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            let metadata = path.metadata().expect("metadata");
            if metadata.is_dir() {
                dirs.push(path);
            } else {
                let modified = metadata.modified().expect("a time");
                found.push((path, metadata.permissions().mode(), metadata.len(), modified));
            }
        }
    }
    found.sort();
    found
}

/// Makes a directory and all below it read-only, or writable again.
fn set_writable(dir: &Path, writable: bool) {
    for (path, ..) in tree(dir) {
        let mode = match (path.is_dir(), writable) {
            (true, true) => 0o755,
            (true, false) => 0o555,
            (false, true) => 0o644,
            (false, false) => 0o444,
        };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("the test's own file");
    }
}

/// Runs a command for which permissions count, even if the test is run by root.
fn as_anybody(lab: &Lab, args: &[&str]) -> CommandOutput {
    let command = lab.context.command(args);
    let is_root = Command::new("id").arg("-u").output().expect("this machine has id").stdout == b"0\n";
    let mut bound = Command::new("setpriv");
    bound.arg("--bounding-set=-dac_override,-dac_read_search").arg(command.get_program());
    bound.args(command.get_args()).env_clear().current_dir(lab.context.work());
    bound.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = if is_root { bound.output() } else { lab.context.command(args).output() };
    let output = output.expect("it can be run");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    CommandOutput {
        code: output.status.code().unwrap_or(-1),
        raw_stdout: stdout.clone(),
        raw_stderr: stderr.clone(),
        stdout,
        stderr,
    }
}

#[test]
fn a_read_only_medium_is_enough() {
    let lab = Lab::new();
    lab.configure(&[lab.push(&small("a"), "team/a", "v1")]);
    lab.make(&[]).expect(0);
    let disk = lab.path("disk");
    set_writable(&disk, false);
    let before = tree(&disk);
    let (from, to) = (lab.file("disk"), format!("docker://{}", lab.target.host()));
    let args = ["--dest-tls-verify=false", "--from", &from, &to];
    let refused = as_anybody(&lab, &args);
    assert_eq!(refused.code, 1, "\n{}", refused.snapshot());
    assert!(refused.stderr.contains("--workspace"), "a hint at the cure\n{}", refused.snapshot());
    let far = lab.file("far");
    as_anybody(&lab, &[&args[..], &["--workspace", &far]].concat()).expect_code(0);
    let after = tree(&disk);
    set_writable(&disk, true);
    assert_eq!(before, after);
    assert_eq!(names_in(&lab.path("far").join(RESOURCES)), ["itms-oc-mirror.yaml"]);
    lab.assert_published(&small("a"), "team/a", "v1");
}

#[test]
fn targets_of_one_workspace_are_kept_apart() {
    let lab = Lab::new();
    lab.configure(&[lab.push(&small("a"), "team/a", "v1")]);
    lab.make(&[]).expect(0);
    let host = lab.target.host();
    let root = lab.path("far").join(RESOURCES);
    let to = |prefix: &str| {
        let (from, workspace) = (lab.file("disk"), lab.file("far"));
        let target = format!("docker://{host}{prefix}");
        lab.run(&["--from", &from, "--workspace", &workspace, &target]).expect(0)
    };
    let first = to("/one");
    assert!(first.report().notes.is_empty(), "{:?}", first.report().notes);
    let of_one = shown(&root);
    assert!(of_one.contains(&format!("{host}/one/team")), "{of_one}");
    std::fs::write(root.join("mine.yaml"), "kind: X\n").expect("writable");

    let name = host.replace(':', "_");
    let second = to("/two");
    let [note] = &second.report().notes[..] else { panic!("{:?}", second.report().notes) };
    assert!(note.contains(&format!("{RESOURCES}/{name}+two")), "{note}");
    assert_eq!(names_in(&root), [format!("{name}+one"), format!("{name}+two"), "mine.yaml".to_owned()]);
    assert_eq!(shown(&root.join(format!("{name}+one"))), of_one);
    assert_eq!(shown(&root.join(format!("{name}+two"))), of_one.replace("/one/", "/two/"));
    // From now on the first one's are there.
    lab.configure(&[lab.push(&small("b"), "other/b", "v1")]);
    lab.make(&[]).expect(0);
    to("/one");
    let of_one = shown(&root.join(format!("{name}+one")));
    assert!(of_one.contains("/one/other"), "{of_one}");
    assert!(!shown(&root.join(format!("{name}+two"))).contains("/other"));
}

/// Writes `isc.yaml` in the form of oc-mirror v1.
fn configure_v1(lab: &Lab, images: &[String]) {
    let images: Vec<Value> = images.iter().map(|name| json!({ "name": name })).collect();
    let configuration = json!({
        "kind": "ImageSetConfiguration",
        "apiVersion": "mirror.openshift.io/v1alpha2",
        "mirror": { "additionalImages": images },
    });
    lab.context.write("isc.yaml", configuration.to_string());
}

#[test]
fn policies_are_made_for_those_who_come_from_v1() {
    const POLICY: &str = "imageContentSourcePolicy.yaml";
    let lab = Lab::new();
    let image = lab.push(&small("a"), "team/a", "v1");
    configure_v1(&lab, std::slice::from_ref(&image));
    lab.make(&[]).expect(0);
    let names = |workspace: &str| names_in(&lab.path(workspace).join(RESOURCES));
    let run = publish(&lab, "far", &[]).expect(0);
    let notes = run.report().notes.join("\n");
    assert!(notes.contains("`--icsp=false`") && notes.contains("1 image was asked for by tag"), "{notes}");
    assert_eq!(names("far"), [POLICY]);
    let policy = String::from_utf8(read(&lab.path("far").join(RESOURCES).join(POLICY))).expect("text");
    let entry =
        format!("  - mirrors:\n    - {}/team\n    source: {}/team\n", lab.target.host(), lab.source.host());
    assert!(policy.contains(&entry) && policy.contains("name: generic-0"), "{policy}");
    // One kind replaces the other: clusters refuse to have both.
    publish(&lab, "far", &["--icsp=false"]).expect(0);
    assert_eq!(names("far"), ["itms-oc-mirror.yaml"]);
    publish(&lab, "far", &["--icsp"]).expect(0);
    assert_eq!(names("far"), [POLICY]);
    // Where nothing is left but the record, it says what the configuration was.
    lab.configure(&[image, lab.push(&small("b"), "team/b", "v1")]);
    lab.make(&[]).expect(0);
    publish(&lab, "far", &[]).expect(0);
    assert_eq!(names("far"), ["itms-oc-mirror.yaml"]);
    // Straight from registry to registry it is the same.
    configure_v1(&lab, &[lab.source.reference("team/a", "v1")]);
    let (workspace, to) = (lab.file("direct"), format!("docker://{}/direct", lab.target.host()));
    lab.run(&["-c", "isc.yaml", "--workspace", &workspace, &to]).expect(0);
    assert_eq!(names("direct"), [POLICY]);
}

#[test]
fn names_and_the_policy_about_sources_are_as_the_user_wishes() {
    let lab = Lab::new();
    let image = small("a");
    lab.push(&image, "team/a", "v1");
    lab.configure(&[lab.source.reference("team/a", &image.digest), lab.source.reference("team/a", "v1")]);
    lab.make(&[]).expect(0);
    let wishes = [
        "--resource-suffix",
        "east",
        "--resource-name",
        "idms-generic-0-east=mirrors",
        "--resource-name",
        "idms-none=other",
        "--mirror-source-policy",
        "nevercontactsource",
    ];
    let run = publish(&lab, "far", &wishes).expect(0);
    let [warning] = &run.report().warnings[..] else { panic!("{:?}", run.report().warnings) };
    assert!(warning.contains("nothing for clusters is called `idms-none`"), "{warning}");
    let dir = lab.path("far").join(RESOURCES);
    for (file, name) in [("idms-oc-mirror.yaml", "mirrors"), ("itms-oc-mirror.yaml", "itms-generic-0-east")] {
        let text = String::from_utf8(read(&dir.join(file))).expect("text");
        assert!(text.contains(&format!("  name: {name}\n")), "{text}");
        assert!(text.contains("mirrorSourcePolicy: NeverContactSource\n"), "{text}");
    }
}

#[test]
fn odd_wishes_are_refused_before_anything_is_done() {
    let lab = Lab::new();
    for (args, words) in [
        (&["--resource-suffix", "East"][..], "`East` cannot end names"),
        (&["--resource-name", "idms-generic-0"], "--resource-name is `idms-generic-0`"),
        (&["--resource-name", "=a"], "--resource-name is `=a`"),
        (&["--resource-name", "a=1b"], "it begins with a digit"),
        (&["--resource-name", "a=b", "--resource-name", "a=c"], "says twice what to call `a`"),
        (&["--icsp", "--mirror-source-policy", "NeverContactSource"], "exclude each other"),
    ] {
        publish(&lab, "far", args).assert_refused(1, words);
    }
    assert!(lab.writes_to_target().is_empty());
}
