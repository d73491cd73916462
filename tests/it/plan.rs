//! Plans that are made, approved and executed: whatever has moved meanwhile, what is made is what was planned.

use std::path::Path;

use oc_mirror_model::mirror_plan::MirrorPlan;
use oc_mirror_testkit::{CommandOutput, Image, ImageBuilder, Registry};
use serde_json::Value;

use crate::depot::Depot;
use crate::lab::{Chunks, Lab, UID, names_in, read};

const FIXED: [&str; 2] = ["--src-tls-verify=false", "--dest-tls-verify=false"];

fn image(content: &str, seed: u64) -> Image {
    ImageBuilder::new().layer(&[("app", content)]).random_layer(seed, 20_000).build()
}

/// Makes `plan.json` of `isc.yaml`.
fn plan(lab: &Lab, more: &[&str]) -> CommandOutput {
    lab.context.run(&[&["plan", "-c", "isc.yaml", "-o", "plan.json"], FIXED.as_slice(), more].concat())
}

fn execute(lab: &Lab, more: &[&str]) -> CommandOutput {
    lab.context.run(&[&["execute", "--plan", "plan.json"], FIXED.as_slice(), more].concat())
}

fn planned(lab: &Lab) -> MirrorPlan {
    serde_json::from_slice(&read(&lab.path("plan.json"))).expect("a plan")
}

/// Fails the test unless a command was refused with these words and one hint.
#[track_caller]
fn assert_refused(output: &CommandOutput, words: &str) {
    let shown = output.snapshot();
    assert_eq!(output.code, 1, "{shown}");
    assert!(output.raw_stderr.contains(words), "`{words}` in\n{shown}");
    assert_eq!(output.raw_stderr.matches("hint: ").count(), 1, "{shown}");
}

/// Fails the test unless there is no imageset of this sequence, nor a part of one.
#[track_caller]
fn assert_nothing_made(directory: &Path, sequence: u64) {
    let (sealed, partial) = (format!("mirror_seq{sequence}_"), format!(".mirror_seq{sequence}"));
    let names = names_in(directory);
    assert!(names.iter().all(|name| !name.starts_with(&sealed) && !name.starts_with(&partial)), "{names:?}");
}

/// A lab whose source can delete, and whose imagesets do not depend on the time.
fn lab() -> Lab {
    let mut lab = Lab::with(Registry::builder().delete().start(), Registry::start());
    lab.context = lab.context.env("SOURCE_DATE_EPOCH", "1700000000");
    lab
}

#[test]
fn tags_that_move_do_not_change_what_was_planned() {
    let lab = lab();
    let (old, new) = (image("old", 1), image("new", 2));
    let reference = lab.push(&old, "team/app", "v1");
    lab.configure(&[&reference]);
    let disk = lab.file("disk");
    let shown = plan(&lab, &[&disk, "--uid", UID]).expect_code(0);
    assert!(shown.stdout.contains("to fetch: "), "{}", shown.snapshot());
    assert_nothing_made(&lab.path("disk"), 1);
    // What the run would have made at that time.
    lab.make_in("reference", &["--uid", UID]).expect(0);

    lab.push(&new, "team/app", "v1");
    // The configuration may change too: the plan has its own.
    lab.configure(&[lab.source.reference("team/app", "v2")]);
    lab.source.clear_log();
    let executed = execute(&lab, &[]).expect_code(0);
    let made = Chunks::of(&lab.path("disk"), 1);
    assert_eq!(made.bytes(), Chunks::of(&lab.path("reference"), 1).bytes(), "{}", executed.snapshot());
    let by_tag = lab.source.log().into_iter().filter(|line| line.path.contains("/manifests/v1")).count();
    assert_eq!(by_tag, 0, "no tag is asked for again");

    let plan = planned(&lab);
    assert_eq!(plan.imageset.expect("something to do").images[0].root.digest.to_string(), old.digest);
    let resolved = plan.configuration.expect("a configuration").resolved;
    assert!(resolved.contains(&old.digest), "{resolved}");
    // Again, and again as a rehearsal, it changes nothing.
    for more in [&["-o", "json"][..], &["-o", "json", "--dry-run"]] {
        let again = execute(&lab, more).expect_code(0);
        let report: Value = serde_json::from_str(&again.raw_stdout).expect("a report");
        assert_eq!(report["imagesets"][0]["outcome"], "nothing new", "{}", again.snapshot());
        assert_eq!(Chunks::of(&lab.path("disk"), 1).bytes(), made.bytes());
    }
}

#[test]
fn a_plan_is_data_with_a_schema() {
    let lab = lab();
    let shared = [image("a", 1), image("b", 1)];
    let references: Vec<String> =
        shared.iter().zip(["a", "b"]).map(|(image, name)| lab.push(image, name, "v1")).collect();
    lab.configure(&references);
    plan(&lab, &[&lab.file("disk")]).expect_code(0);
    let first = read(&lab.path("plan.json"));
    let schema = lab.context.run(&["schema", "plan"]).expect_code(0);
    let schema: Value = serde_json::from_str(&schema.raw_stdout).expect("a schema");
    let value: Value = serde_json::from_slice(&first).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let wrong: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
    assert_eq!(wrong, Vec::<String>::new());
    let mut other = value.clone();
    other["imageset"]["images"][0]["root"]["digest"] = "sha256:0".into();
    assert!(!validator.is_valid(&other));
    // The file has all content by digest and size, and the layer that both images have once.
    let plan = planned(&lab);
    let index = plan.imageset.expect("something to do");
    let carried = index.entries.iter().filter(|entry| entry.media_type.is_some()).count();
    assert_eq!(carried, 2 + 2 + 2 + 1, "manifests, configurations, layers of their own, and the shared one");
    assert_eq!((plan.forecast.fetch.blobs, plan.builds_on.map(|chain| chain.sequence)), (5, Some(0)));
    // On the standard output there is the same, but for the identity of the chain.
    let printed = lab.context.run(
        &[
            &["plan", "-c", "isc.yaml", "-o", "json", "--uid", &index.uid.to_string(), &lab.file("disk")],
            FIXED.as_slice(),
        ]
        .concat(),
    );
    let printed: MirrorPlan = serde_json::from_str(&printed.expect_code(0).raw_stdout).expect("a plan");
    assert_eq!(printed.index, plan.index);
}

#[test]
fn graphs_and_signatures_are_as_they_were_when_it_was_planned() {
    let mut depot = Depot::new();
    depot.lab.context = depot.lab.context.env("SOURCE_DATE_EPOCH", "1700000000");
    let (first, second) = (depot.version("4.20.1"), depot.version("4.20.2"));
    depot.channel("stable-4.20", &[&first], "");
    depot.want_channel(serde_json::json!({ "name": "stable-4.20" }));
    plan(&depot.lab, &[&depot.lab.file("disk"), "--uid", UID]).expect_code(0);
    depot.lab.make_in("reference", &["--uid", UID]).expect(0);
    depot.channel("stable-4.20", &[&first, &second], "4.20.1>4.20.2");
    // A run would take the newer release; the plan does not.
    let run = depot.lab.make_in("newer", &["--dry-run"]).expect(0);
    assert_eq!(crate::depot::payloads_of(&run), ["4.20.2-x86_64"]);
    execute(&depot.lab, &[]).expect_code(0);
    let made = Chunks::of(&depot.lab.path("disk"), 1).bytes();
    assert!(made == Chunks::of(&depot.lab.path("reference"), 1).bytes());
    // Signatures are not believed because a plan has them: they are verified by the keys of the day.
    let other = oc_mirror_testkit::Signer::new();
    let keys = depot.lab.context.write("other.asc", other.public_key());
    let context = crate::lab::context().env("OCP_SIGNATURE_VERIFICATION_PK", &keys.display().to_string());
    let path = depot.lab.path("plan.json").display().to_string();
    std::fs::remove_dir_all(depot.lab.path("disk")).expect("removed");
    let refused = context.run(&[&["execute", "--plan", &path], FIXED.as_slice()].concat());
    assert_eq!(refused.code, 2, "{}", refused.snapshot());
}

#[test]
fn a_chain_that_has_moved_on_is_refused() {
    let lab = lab();
    lab.configure(&[lab.push(&image("a", 1), "team/a", "v1")]);
    lab.make(&[]).expect(0);
    lab.configure(&[lab.push(&image("b", 2), "team/b", "v1")]);
    plan(&lab, &[&lab.file("disk")]).expect_code(0);
    assert_eq!(planned(&lab).builds_on.map(|chain| chain.sequence), Some(1));
    lab.configure(&[lab.push(&image("c", 3), "team/c", "v1")]);
    lab.make(&[]).expect(0);
    let before = Chunks::of(&lab.path("disk"), 2).bytes();
    assert_refused(&execute(&lab, &[]), "the workspace is at sequence 2");
    assert_nothing_made(&lab.path("disk"), 3);
    assert_eq!(Chunks::of(&lab.path("disk"), 2).bytes(), before);
    // In a workspace of another chain it is refused as well.
    lab.make_in("other", &[]).expect(0);
    assert_refused(&execute(&lab, &["--workspace", &lab.file("other")]), "this workspace belongs to chain");
}

#[test]
fn what_is_gone_is_said_and_nothing_is_written() {
    let lab = lab();
    let (gone, stays) = (image("gone", 1), image("stays", 2));
    let references = [lab.push(&gone, "team/gone", "v1"), lab.push(&stays, "team/stays", "v1")];
    lab.configure(&references);
    plan(&lab, &[&lab.file("disk")]).expect_code(0);
    lab.push(&image("moved", 3), "team/gone", "v1");
    let path = format!("/v2/team/gone/manifests/{}", gone.digest);
    assert_eq!(lab.source.request("DELETE", &path, &[]).status, 202);
    let refused = execute(&lab, &[]);
    assert_eq!(refused.code, 8, "{}", refused.snapshot());
    let told = &refused.raw_stderr;
    assert!(told.contains("no longer there") && told.contains(&gone.digest), "{}", refused.snapshot());
    assert!(told.contains("hint: ") && told.contains("oc-mirror plan"), "{}", refused.snapshot());
    assert_nothing_made(&lab.path("disk"), 1);
    let dry = execute(&lab, &["--dry-run"]);
    assert_eq!(dry.code, 8, "{}", dry.snapshot());
}

#[test]
fn other_arguments_and_other_files_are_refused() {
    let lab = lab();
    lab.configure(&[lab.push(&image("a", 1), "team/a", "v1")]);
    plan(&lab, &[&lab.file("disk"), "--archive-size", "1MiB"]).expect_code(0);
    assert_refused(&execute(&lab, &[&lab.file("other")]), "not for file://");
    assert_refused(&execute(&lab, &["-c", "isc.yaml"]), "--config is given");
    assert_refused(&execute(&lab, &["--archive-size", "2MiB"]), "--archive-size");
    assert_refused(&execute(&lab, &["--since", "0"]), "--since");
    assert_refused(&execute(&lab, &["--prune"]), "--prune");
    let text = String::from_utf8(read(&lab.path("plan.json"))).expect("text");
    let broken = [
        (text.replace("\"format\": 1,", "\"format\": 7,"), "format 7"),
        (text.replace("\"sequence\": 1", "\"sequence\": 4"), "changed or damaged"),
        (text.replace("\"createdBy\": \"oc-mirror ", "\"createdBy\": \"oc-mirror 9"), "made it"),
        ("kind: MirrorPlan".to_owned(), "not a plan"),
    ];
    for (other, words) in broken {
        assert_ne!(other, text);
        lab.context.write("plan.json", other);
        assert_refused(&execute(&lab, &[]), words);
    }
    assert_nothing_made(&lab.path("disk"), 1);
    // A plan has one form.
    let yaml = lab
        .context
        .run(&[&["plan", "-c", "isc.yaml", "-o", "plan.yaml", &lab.file("disk")], FIXED.as_slice()].concat());
    assert_refused(&yaml, "no name for a plan");
    let lost = lab.context.run(&["plan", "-c", "isc.yaml", "-o", "nowhere/plan.json", &lab.file("disk")]);
    assert_refused(&lost, "there is no directory `nowhere`");
    // The same arguments once more are no contradiction.
    lab.context.write("plan.json", text);
    execute(&lab, &["--archive-size", "1MiB", &lab.file("disk")]).expect_code(0);
    Chunks::of(&lab.path("disk"), 1);
}

#[test]
fn what_is_copied_is_what_was_planned() {
    let lab = lab();
    let (old, new) = (image("old", 1), image("new", 2));
    lab.configure(&[lab.push(&old, "team/app", "v1")]);
    let (to, workspace) = (format!("docker://{}/far", lab.target.host()), lab.file("w"));
    plan(&lab, &["--workspace", &workspace, &to]).expect_code(0);
    assert_eq!(lab.writes_to_target(), []);
    let told = planned(&lab);
    assert_eq!((told.targets.len(), told.targets[0].sequence), (1, 0));
    lab.push(&new, "team/app", "v1");
    let executed = execute(&lab, &["-o", "json"]).expect_code(0);
    let report: Value = serde_json::from_str(&executed.raw_stdout).expect("a report");
    assert_eq!(report["totals"]["blobs"], told.forecast.send.blobs);
    assert_eq!(report["totals"]["blobBytes"], told.forecast.send.bytes);
    lab.assert_published(&old, "far/team/app", "v1");
    // Again, it changes nothing.
    lab.target.clear_log();
    let again = execute(&lab, &["-o", "json"]).expect_code(0);
    let report: Value = serde_json::from_str(&again.raw_stdout).expect("a report");
    assert_eq!(report["imagesets"][0]["outcome"], "nothing new", "{}", again.snapshot());
    assert_eq!(lab.writes_to_target(), []);
    // A target that somebody else has published to is another one than was planned for.
    plan(&lab, &["--workspace", &workspace, &to]).expect_code(0);
    let other = lab.file("w-copy");
    copy(&lab.path("w"), &lab.path("w-copy"));
    lab.run(&["-c", "isc.yaml", "--workspace", &other, &to]).expect(0);
    assert_refused(&execute(&lab, &[]), "the target is at sequence 2 of this chain");
}

#[test]
fn what_could_not_be_had_when_it_was_planned_is_left_out() {
    let lab = lab();
    let missing = lab.source.reference("team/late", "v1");
    lab.configure(&[lab.push(&image("a", 1), "team/a", "v1"), missing.clone()]);
    let disk = lab.file("disk");
    // What is not there cannot be planned, unless it may be left out.
    let failed = plan(&lab, &[&disk]);
    assert_eq!(failed.code, 8, "{}", failed.snapshot());
    assert!(!lab.path("plan.json").exists());
    let leaving_out = ["--on-error", "quarantine", "--uid", UID];
    assert_eq!(plan(&lab, &[&[disk.as_str()], leaving_out.as_slice()].concat()).code, 8);
    lab.make_in("reference", &leaving_out).expect(8);
    let index = planned(&lab).imageset.expect("something to do");
    assert_eq!(index.quarantined[0].origin, missing);
    // Once it is there, it is left out all the same.
    lab.push(&image("late", 2), "team/late", "v1");
    assert_eq!(execute(&lab, &[]).code, 8);
    let made = |directory: &str| Chunks::of(&lab.path(directory), 1).bytes();
    assert!(made("disk") == made("reference"));
}

#[test]
fn imagesets_are_published_where_and_as_it_was_planned() {
    let lab = lab();
    lab.configure(&[lab.push(&image("a", 1), "team/a", "v1")]);
    lab.make(&[]).expect(0);
    let publishing = |to: &str, more: &[&str]| {
        let (from, workspace) = (lab.file("disk"), lab.file("far"));
        let own = ["plan", "-o", "plan.json", "--from", &from, "--workspace", &workspace, to];
        lab.context.run(&[own.as_slice(), FIXED.as_slice(), more].concat())
    };
    let to = format!("docker://{}/far", lab.target.host());
    publishing(&to, &[]).expect_code(0);
    assert_eq!(lab.writes_to_target(), []);
    let plan = planned(&lab);
    let set = &plan.targets[0].imagesets[0];
    assert_eq!((plan.targets.len(), set.sequence, plan.forecast.send.blobs), (1, 1, 3));
    let schema = lab.context.run(&["schema", "plan"]).expect_code(0);
    let schema: Value = serde_json::from_str(&schema.raw_stdout).expect("a schema");
    let value = serde_json::to_value(&plan).expect("plain data");
    assert!(jsonschema::validator_for(&schema).expect("a schema").is_valid(&value), "{value}");
    // An imageset that was not there then is not published by the way.
    let early = read(&lab.path("plan.json"));
    lab.configure(&[lab.push(&image("b", 2), "team/b", "v1")]);
    lab.make(&[]).expect(0);
    assert_refused(&execute(&lab, &[]), "imageset 2 was not among the imagesets");
    assert_eq!(lab.writes_to_target(), []);
    publishing(&to, &[]).expect_code(0);
    execute(&lab, &[]).expect_code(0);
    lab.assert_published(&image("b", 2), "far/team/b", "v1");
    // Again, it changes nothing; and what was planned for a target that was empty is not done.
    lab.target.clear_log();
    let again = execute(&lab, &["-o", "json"]).expect_code(0);
    let report: Value = serde_json::from_str(&again.raw_stdout).expect("a report");
    assert_eq!(report["imagesets"][1]["outcome"], "already published");
    assert_eq!(lab.writes_to_target(), []);
    lab.context.write("plan.json", &early);
    assert_refused(&execute(&lab, &[]), "imageset 2 was not among the imagesets");
    // A target that has gone on is refused.
    let other = format!("docker://{}/other", lab.target.host());
    publishing(&other, &[]).expect_code(0);
    lab.configure(&[lab.push(&image("c", 3), "team/c", "v1")]);
    lab.make(&[]).expect(0);
    let workspace = lab.file("elsewhere");
    lab.run(&["--from", &lab.file("disk"), "--workspace", &workspace, &other]).expect(0);
    std::fs::remove_file(lab.path("disk/mirror_seq3_000000.tar")).expect("removed");
    assert_refused(&execute(&lab, &[]), "was at sequence 0 when it was planned, and is at 3");
    assert_refused(&publishing(&to, &["--repair"]), "--repair is no part of a plan");
}

/// Copies a directory.
fn copy(from: &Path, to: &Path) {
    let done = std::process::Command::new("cp").arg("-r").args([from, to]).status().expect("cp runs");
    assert!(done.success());
}

#[test]
fn nothing_to_do_is_a_plan_too() {
    let lab = lab();
    lab.configure(&[lab.push(&image("a", 1), "team/a", "v1")]);
    lab.make(&[]).expect(0);
    plan(&lab, &[&lab.file("disk")]).expect_code(0);
    assert_eq!(planned(&lab).imageset, None);
    execute(&lab, &[]).expect_code(0);
    assert_nothing_made(&lab.path("disk"), 2);
}
