//! A real image of four architectures, with its cosign signatures beside it, through all three workflows.

use std::path::PathBuf;

use oc_mirror_testkit::{Registry, Skopeo, fixtures};

use crate::lab::Lab;

const NAME: &str = "multi-platform-container";
pub(crate) const REPOSITORY: &str = "lab/multi-platform-container";

/// Pushes the image and its signatures with skopeo and returns the tags; none where the fixtures are absent.
pub(crate) fn fill(source: &Registry) -> Option<Vec<String>> {
    let images = fixtures()?.join("images");
    let skopeo = Skopeo::new();
    let push = |directory: PathBuf, tag: &str| {
        skopeo.copy_all(
            &format!("oci:{}", directory.display()),
            &format!("docker://{}", source.reference(REPOSITORY, tag)),
        );
        tag.to_owned()
    };
    let mut tags = vec![push(images.join(format!("{NAME}-latest")), "latest")];
    for entry in std::fs::read_dir(&images).expect("a readable directory") {
        let name = entry.expect("a readable directory").file_name().to_string_lossy().into_owned();
        // `…-sha256-<hex>-sig` is the layout of the image that cosign tags `sha256-<hex>.sig`.
        let tag = name.strip_prefix(&format!("{NAME}-sha256-")).and_then(|rest| rest.strip_suffix("-sig"));
        if let Some(hex) = tag {
            tags.push(push(images.join(&name), &format!("sha256-{hex}.sig")));
        }
    }
    assert_eq!(tags.len(), 6, "one image and five signatures: {tags:?}");
    Some(tags)
}

fn assert_same(lab: &Lab, expected: &[(String, Option<String>)], prefix: &str) {
    let repository = format!("{prefix}{REPOSITORY}");
    for (tag, digest) in expected {
        assert!(digest.is_some());
        assert_eq!(&lab.target.digest_of(&repository, tag), digest, "{tag}");
        Skopeo::new().pull(&format!("docker://{}", lab.target.reference(&repository, tag)));
    }
}

#[test]
fn goes_through_all_three_workflows() {
    let mut lab = Lab::new();
    let Some(tags) = fill(&lab.source) else { return };
    let references: Vec<String> = tags.iter().map(|tag| lab.source.reference(REPOSITORY, tag)).collect();
    let expected: Vec<(String, Option<String>)> =
        tags.iter().map(|tag| (tag.clone(), lab.source.digest_of(REPOSITORY, tag))).collect();
    lab.configure(&references);

    let direct = format!("docker://{}/direct", lab.target.host());
    lab.run(&["-c", "isc.yaml", "--workspace", &lab.file("w"), &direct]).expect(0);
    assert_same(&lab, &expected, "direct/");

    lab.make(&[]).expect(0);
    lab.source.stop();
    lab.publish("disk", &[]).expect(0);
    assert_same(&lab, &expected, "");
}
