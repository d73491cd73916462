//! Runs that only say what would be, and runs that may not write where they read.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use oc_mirror_testkit::{Image, ImageBuilder};

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
