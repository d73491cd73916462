//! Images that lie on disk as OCI layouts.

use oc_mirror_testkit::{ImageBuilder, IndexBuilder};
use serde_json::json;

use crate::lab::{Lab, read};

#[test]
fn a_layout_on_disk_is_a_source() {
    let lab = Lab::new();
    let plain = ImageBuilder::new().layer(&[("app", "plain")]).random_layer(1, 9_000).build();
    let arm = ImageBuilder::new().platform("linux/arm64").layer(&[("app", "arm")]).build();
    let index = IndexBuilder::new().child(&plain).child(&arm).build();
    let layout = lab.path("layout");
    plain.write_layout(&layout, "plain");
    index.write_layout(&layout, "multi");
    let layout = layout.display();
    lab.configure_mirror(json!({ "additionalImages": [
        { "name": format!("oci:{layout}:plain"), "targetRepo": "from/disk" },
        { "name": format!("oci:{layout}:multi"), "targetRepo": "from/disk", "targetTag": "v2" },
        { "name": format!("oci://{layout}@{}", plain.digest), "targetRepo": "by/digest", "targetTag": "v3" },
    ]}));
    lab.make(&["--dry-run"]).expect(0);
    let mapping = String::from_utf8(read(&lab.path("disk/working-dir/dry-run/mapping.txt"))).unwrap();
    assert!(mapping.lines().all(|line| line.starts_with("oci:") && line.contains("=file://")), "{mapping}");
    lab.make(&[]).expect(0);
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&plain, "from/disk", "plain");
    lab.assert_published(&index, "from/disk", "v2");
    lab.assert_published(&plain, "by/digest", "v3");
}

#[test]
fn a_layout_goes_straight_to_a_registry() {
    let lab = Lab::new();
    let image = ImageBuilder::new().layer(&[("app", "1")]).build();
    image.write_layout(&lab.path("layout"), "");
    lab.configure_mirror(json!({ "additionalImages": [
        { "name": format!("oci:{}", lab.path("layout").display()), "targetRepo": "team/app" },
    ]}));
    let to = format!("docker://{}", lab.target.host());
    lab.run(&["-c", "isc.yaml", "--workspace", &lab.file("w"), &to]).expect(0);
    lab.assert_published(&image, "team/app", "latest");
}

#[test]
fn without_targets_the_path_names_the_repository() {
    let lab = Lab::new();
    let image = ImageBuilder::new().layer(&[("app", "1")]).build();
    // Relative, because a temporary directory may have a name that no repository has.
    image.write_layout(&lab.path("layout"), "v7");
    lab.configure_mirror(json!({ "additionalImages": [{ "name": "oci:layout:v7" }] }));
    lab.make(&[]).expect(0);
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&image, "layout", "v7");
}

#[test]
fn a_layout_that_is_not_there_is_named() {
    let lab = Lab::new();
    lab.configure_mirror(json!({ "additionalImages": [
        { "name": format!("oci:{}", lab.path("nowhere").display()), "targetRepo": "team/app" },
    ]}));
    let run = lab.make(&[]);
    assert_ne!(run.output.code, 0);
    assert!(run.output.raw_stderr.contains("nowhere"), "{}", run.output.snapshot());
}
