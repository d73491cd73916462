//! Runs that only say what would be, and runs that may not write where they read.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use oc_mirror_testkit::{Image, ImageBuilder, LogLine, Registry};

use crate::lab::{Lab, names_in, read};

fn image() -> Image {
    ImageBuilder::new().random_layer(1, 20_000).build()
}

/// Returns every file below a directory.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in names_in(directory) {
        let path = directory.join(name);
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn mirror_to_disk_writes_only_the_mapping() {
    let lab = Lab::new();
    let reference = lab.push(&image(), "team/app", "v1");
    lab.configure(&[&reference]);
    lab.source.clear_log();
    let run = lab.make(&["--dry-run"]).expect(0);
    assert!(run.report().dry_run);
    assert_eq!(run.outcomes(), [(1, "planned")]);
    let mapping = lab.path("disk/working-dir/dry-run/mapping.txt");
    let text = String::from_utf8(read(&mapping)).unwrap();
    assert!(text.contains(&reference), "{text}");
    // A run keeps its log and its report; neither content nor the chain's record may be written.
    let kept = ["dry-run", "logs", "results", "lock"].map(|name| lab.path("disk/working-dir").join(name));
    let all = files_below(&lab.path("disk"));
    let others: Vec<_> =
        all.iter().filter(|path| !kept.iter().any(|place| path.starts_with(place))).collect();
    assert_eq!(others, Vec::<&PathBuf>::new());
    let layer = &image().layer_digests()[0];
    assert!(!lab.source.log().iter().any(|line| line.method == "GET" && line.path.contains(layer.as_str())));
    // What was only planned leaves no trace in the chain.
    assert_eq!(lab.make(&[]).expect(0).outcomes(), [(1, "made")]);
}

/// An image with a layer that others have too.
fn sharing(number: u64) -> Image {
    ImageBuilder::new()
        .from(&ImageBuilder::new().random_layer(99, 30_000).build())
        .random_layer(number, 5_000)
        .build()
}

/// The requests for blobs that a registry has answered.
fn blobs_fetched(registry: &Registry) -> Vec<LogLine> {
    let log = registry.log().into_iter();
    log.filter(|line| line.method == "GET" && line.path.contains("/blobs/sha256:")).collect()
}

#[test]
fn what_is_said_to_be_fetched_is_fetched_and_no_more() {
    let lab = Lab::new();
    let references: Vec<String> =
        (1..=3).map(|number| lab.push(&sharing(number), &format!("team/app-{number}"), "v1")).collect();
    // The second time some of it was shipped.
    for (sequence, count, new) in [(1, 2, 2 + 3), (2, 3, 1 + 1)] {
        lab.configure(&references[..count]);
        // One after the other, images learn from each other what the registry cannot do.
        let args = ["--archive-size", "30KiB", "--parallel-images", "1", "--parallel-layers", "1"];
        let planned = lab.make(&[&args[..], &["--dry-run"]].concat()).expect(0);
        let forecast = planned.report().forecast.clone().expect("a dry run says what would be done");
        lab.source.clear_log();
        let made = lab.make(&args).expect(0);
        let fetched = blobs_fetched(&lab.source);
        assert_eq!(forecast.fetch.blobs, fetched.len() as u64, "{fetched:?}");
        assert_eq!(forecast.fetch.bytes, fetched.iter().map(|line| line.bytes).sum::<u64>());
        let place = lab.source.host();
        assert_eq!(forecast.fetch_from[&place], forecast.fetch);
        // The first one tries TLS, which this registry does not speak and has not logged.
        assert_eq!(forecast.requests[&place], 1 + lab.source.log().len() as u64, "{:?}", lab.source.log());
        let (planned, set) = (&planned.report().imagesets[0], &made.report().imagesets[0]);
        assert_eq!((planned.sequence, planned.bytes), (sequence, set.bytes));
        assert_eq!(forecast.chunks.len(), set.chunks.len());
        assert_eq!(forecast.fetch.blobs, new, "configurations and layers");
        assert_eq!(forecast.shipped.blobs, if sequence == 1 { 0 } else { 5 });
        assert!(!forecast.space.is_empty() && forecast.space.iter().all(|room| room.available > room.needed));
    }
    // Each image has a line, and those of which something is new have one in the other list too.
    let lines = |name: &str| {
        let text = String::from_utf8(read(&lab.path("disk/working-dir/dry-run").join(name))).expect("text");
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines("mapping.txt").len(), 3);
    assert_eq!(lines("missing.txt"), [format!("docker://{}=file://team/app-3:v1", references[2])]);
    lab.make(&["--dry-run"]).expect(0);
    assert!(!lab.path("disk/working-dir/dry-run/missing.txt").exists(), "nothing is missing any more");
}

#[test]
fn what_a_run_that_was_cut_off_has_left_is_not_fetched_again() {
    let lab = Lab::new();
    let kept = lab.push(&sharing(1), "team/app-1", "v1");
    lab.configure(&[kept.clone(), lab.source.reference("team/not-there", "v1")]);
    // What can be had is brought, and no imageset made.
    lab.make(&[]).expect(8);
    lab.configure(&[kept]);
    let forecast = lab.make(&["--dry-run"]).expect(0).report().forecast.clone().expect("a forecast");
    assert_eq!((forecast.fetch.blobs, forecast.at_hand.blobs), (0, 3), "{forecast:?}");
    lab.source.clear_log();
    lab.make(&[]).expect(0);
    assert_eq!(blobs_fetched(&lab.source), []);
}

#[test]
fn what_is_said_to_be_sent_is_sent_and_no_more() {
    let lab = Lab::new();
    let references: Vec<String> =
        (1..=3).map(|number| lab.push(&sharing(number), &format!("team/app-{number}"), "v1")).collect();
    lab.configure(&references[..1]);
    lab.make(&[]).expect(0);
    let workspace = lab.file("far");
    let publish =
        |more: &[&str]| lab.publish("disk", &[&["--workspace", workspace.as_str()], more].concat()).expect(0);
    publish(&[]);
    lab.configure(&references);
    lab.make(&[]).expect(0);
    lab.target.clear_log();
    let planned = publish(&["--dry-run"]);
    assert_eq!(lab.writes_to_target(), []);
    let forecast = planned.report().forecast.clone().expect("a forecast");
    let published = publish(&[]);
    let totals = &published.report().totals;
    // Two configurations and two layers; the layer that all have is mounted, and the first image stays as it is.
    assert_eq!((forecast.send.blobs, totals.blobs), (4, 4));
    assert_eq!(forecast.send.bytes, totals.blob_bytes);
    assert_eq!(planned.report().totals.mounted_blobs, totals.mounted_blobs);
    let line = |number: u64| {
        format!(
            "docker://{}=docker://{}/team/app-{number}:v1",
            references[number as usize - 1],
            lab.target.host()
        )
    };
    let missing = String::from_utf8(read(&lab.path("far/working-dir/dry-run/missing.txt"))).expect("text");
    assert_eq!(missing.lines().collect::<Vec<_>>(), [line(2), line(3)]);

    // From registry to registry it is what is fetched as well.
    let to = format!("docker://{}/other", lab.target.host());
    let direct = ["-c", "isc.yaml", "--workspace", &lab.file("w"), &to].map(str::to_owned);
    let planned = lab.run(&[&direct[..], &["--dry-run".to_owned()]].concat()).expect(0);
    let forecast = planned.report().forecast.clone().expect("a forecast");
    lab.source.clear_log();
    let totals = lab.run(&direct).expect(0).report().totals.clone();
    assert_eq!((forecast.send.blobs, forecast.send.bytes), (totals.blobs, totals.blob_bytes));
    assert_eq!(forecast.fetch.blobs, blobs_fetched(&lab.source).len() as u64);
    assert_eq!(forecast.fetch, forecast.send);
}

#[test]
fn people_see_what_a_run_will_cost() {
    let lab = Lab::new();
    let references = [lab.push(&image(), "team/app", "v1"), lab.push(&image(), "team/blocked", "v1")];
    lab.configure_mirror(serde_json::json!({
        "additionalImages": references.iter().map(|name| serde_json::json!({ "name": name })).collect::<Vec<_>>(),
        "blockedImages": [{ "name": references[1] }],
    }));
    let args = ["-c", "isc.yaml", "--src-tls-verify=false", "--dry-run", "file://disk"];
    let shown = lab.context.run(&args).expect_code(0).stdout;
    for words in
        ["would be mirrored to disk", "to fetch: 2 blobs", "already shipped: 0 blobs", "chunks: 1 of "]
    {
        assert!(shown.contains(words), "`{words}` in\n{shown}");
    }
    for words in ["blocked: 1 image by block (", "space: ", " free\n", "requests: "] {
        assert!(shown.contains(words), "`{words}` in\n{shown}");
    }
}

#[test]
fn mirror_to_mirror_sends_nothing() {
    let lab = Lab::new();
    let reference = lab.push(&image(), "team/app", "v1");
    lab.configure(&[&reference]);
    let to = format!("docker://{}/far", lab.target.host());
    lab.run(&["-c", "isc.yaml", "--workspace", &lab.file("w"), &to, "--dry-run"]).expect(0);
    let text = String::from_utf8(read(&lab.path("w/working-dir/dry-run/mapping.txt"))).unwrap();
    let expected = format!("{reference}={}/far/team/app:v1", lab.target.host());
    assert!(text.replace("docker://", "").lines().any(|line| line == expected), "{text}");
    assert_eq!(lab.writes_to_target(), []);
}

#[test]
fn disk_to_mirror_sends_nothing() {
    let lab = Lab::new();
    lab.configure(&[lab.push(&image(), "team/app", "v1")]);
    lab.make(&[]).expect(0);
    let run = lab.publish("disk", &["--dry-run", "--workspace", &lab.file("far")]).expect(0);
    assert_eq!(run.outcomes(), [(1, "planned")]);
    assert_eq!(lab.writes_to_target(), []);
    assert!(lab.target.repositories().is_empty());
    lab.publish("disk", &["--workspace", &lab.file("far")]).expect(0);
    lab.assert_published(&image(), "team/app", "v1");
}

#[test]
fn a_read_only_medium_is_published_with_a_workspace_elsewhere() {
    let lab = Lab::new();
    lab.configure(&[lab.push(&image(), "team/app", "v1")]);
    lab.make(&[]).expect(0);
    // Only the chunk crosses the gap.
    let medium = lab.path("medium");
    std::fs::create_dir(&medium).unwrap();
    let chunk = "mirror_seq1_000000.tar";
    std::fs::rename(lab.path("disk").join(chunk), medium.join(chunk)).unwrap();
    let modes = [(medium.join(chunk), 0o444), (medium.clone(), 0o555)];
    for (path, mode) in &modes {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode)).unwrap();
    }
    lab.publish("medium", &["--workspace", &lab.file("far")]).expect(0);
    lab.assert_published(&image(), "team/app", "v1");
    assert!(lab.path("far/working-dir/published.json").is_file());
    // Permissions do not stop a superuser, so that nothing was tried is to be seen from what is there.
    assert_eq!(names_in(&medium), [chunk]);
    std::fs::set_permissions(&medium, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_v1alpha2_configuration_is_read() {
    let lab = Lab::new();
    let reference = lab.push(&image(), "team/app", "v1");
    let yaml = format!(
        "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v1alpha2\nstorageConfig:\n  local:\n    path: ./metadata\n\
         mirror:\n  additionalImages:\n  - name: {reference}\n  blockedImages:\n  - name: redis\n  helm: {{}}\n"
    );
    lab.context.write("isc.yaml", yaml);
    lab.make(&["--v1"]).expect(0);
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&image(), "team/app", "v1");
}
