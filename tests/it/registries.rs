//! Registries that are not as the specification has them: what they cannot take is found before anything is sent.

use oc_mirror_model::metadata::Chain;
use oc_mirror_testkit::{FaultRegistry, Image, ImageBuilder, Personality, Quirk};
use rstest::rstest;

use crate::lab::{Lab, Run, read};

fn image(content: &str) -> Image {
    ImageBuilder::new().layer(&[("app", content)]).build()
}

/// An imageset in `disk` with one image, and the target behind a registry of some make.
fn lab(personality: Personality, repository: &str) -> (Lab, FaultRegistry) {
    let lab = Lab::new();
    lab.configure(&[lab.push(&image("1"), repository, "v1")]);
    lab.make(&[]).expect(0);
    let faults = FaultRegistry::posing_as(&lab.target, personality);
    lab.target.clear_log();
    (lab, faults)
}

/// Publishes to a registry below a path, as one of some make.
fn publish(lab: &Lab, faults: &FaultRegistry, below: &str, profile: &str, more: &[&str]) -> Run {
    let to = format!("docker://{}{below}", faults.host());
    let from = lab.file("disk");
    let fixed = ["--from", &from, &to, "--registry-profile", profile, "--retry-delay", "1ms"];
    lab.run(&[&fixed[..], more].concat())
}

#[track_caller]
fn assert_nothing_sent(lab: &Lab) {
    // Uploads that were opened to see whether that may be done are given up again.
    let sent = lab.writes_to_target().into_iter().filter(|l| matches!(l.method.as_str(), "PUT" | "PATCH"));
    assert_eq!(sent.collect::<Vec<_>>(), [], "nothing may be sent");
}

#[track_caller]
fn assert_failed_image(run: &Run) {
    assert_eq!(run.output.code, 8, "{}", run.output.snapshot());
    assert_eq!(run.report().failures.len(), 1);
}

#[test]
fn repositories_of_ecr_are_created_first() {
    let (lab, faults) = lab(Personality::Ecr, "team/app");
    let run = publish(&lab, &faults, "/far", "ecr", &[]);
    run.assert_refused(1, "2 repositories must be created first");
    for name in ["far/oc-mirror", "far/team/app"] {
        let command = format!("\n  aws ecr create-repository --repository-name {name}");
        assert!(run.output.raw_stderr.contains(&command), "{}", run.output.snapshot());
    }
    assert_nothing_sent(&lab);
    // Without: the image fails, for a reason that reads like another one.
    assert_failed_image(&publish(&lab, &faults, "/far", "generic", &[]));
    faults.create("far/oc-mirror");
    faults.create("far/team/app");
    publish(&lab, &faults, "/far", "ecr", &[]).expect(0);
    lab.assert_published(&image("1"), "far/team/app", "v1");
}

#[rstest]
#[case::no_project("", "Harbor keeps everything in a project", "/PROJECT")]
#[case::other_project("/nowhere", "the project `nowhere` does not exist", "create the project `nowhere`")]
fn projects_of_harbor_are_created_first(#[case] below: &str, #[case] reason: &str, #[case] remedy: &str) {
    let (lab, faults) = lab(Personality::Harbor, "team/app");
    let run = publish(&lab, &faults, below, "harbor", &[]);
    run.assert_refused(1, reason);
    assert!(run.output.raw_stderr.contains(remedy), "{}", run.output.snapshot());
    assert_nothing_sent(&lab);
    // Without: nobody says what is missing.
    let generic = publish(&lab, &faults, below, "generic", &[]);
    assert_ne!(generic.output.code, 0);
    assert!(!generic.output.raw_stderr.contains(reason), "{}", generic.output.snapshot());
    publish(&lab, &faults, "/mirror", "harbor", &[]).expect(0);
    lab.assert_published(&image("1"), "mirror/team/app", "v1");
}

#[test]
fn quay_without_nested_names() {
    let (lab, faults) = lab(Personality::Quay, "team/app");
    let run = publish(&lab, &faults, "/mirror", "quay", &[]);
    run.assert_refused(1, "it takes no path as long as `mirror/team/app`");
    assert!(run.output.raw_stderr.contains("say --max-nested-paths 2"), "{}", run.output.snapshot());
    assert_failed_image(&publish(&lab, &faults, "/mirror", "generic", &[]));
    publish(&lab, &faults, "/mirror", "quay", &["--max-nested-paths", "2"]).expect(0);
    lab.assert_published(&image("1"), "mirror/team-app", "v1");
}

#[test]
fn long_paths_in_gitlab_are_joined_and_can_be_taken_apart() {
    let (lab, faults) = lab(Personality::GitLab, "a/b/c/app");
    assert_failed_image(&publish(&lab, &faults, "/group/project", "generic", &[]));
    let run = publish(&lab, &faults, "/group/project", "gitlab", &[]).expect(0);
    assert!(run.report().notes[0].contains("--max-nested-paths 4"), "{:?}", run.report().notes);
    assert_eq!(run.report().registries[0].profile, "gitlab");
    let place = "group/project/a/b-c-app";
    lab.assert_published(&image("1"), place, "v1");
    let mapping = String::from_utf8(read(&lab.path("disk/working-dir/mapping.txt"))).unwrap();
    assert!(mapping.contains(&format!("/a/b/c/app:v1=docker://{}/{place}:v1", faults.host())), "{mapping}");
    let chain = record(&lab, "group/project/oc-mirror");
    assert_eq!(chain.names[&place.parse().unwrap()].as_str(), "a/b/c/app");
    let resources =
        String::from_utf8(read(&lab.path("disk/working-dir/cluster-resources/itms-oc-mirror.yaml"))).unwrap();
    assert!(resources.contains(place), "{resources}");
}

/// Reads the one record that is at the target.
fn record(lab: &Lab, repository: &str) -> Chain {
    let tags = lab.chains(repository);
    let [tag] = tags.as_slice() else { panic!("{tags:?}") };
    let host = lab.target.host();
    let get = |path: &str, accept: &str| {
        let answer =
            oc_mirror_testkit::http::get(&host, &format!("/v2/{repository}/{path}"), &[("Accept", accept)]);
        answer.expect("an answer").body
    };
    let manifest = get(&format!("manifests/{tag}"), "application/vnd.oci.image.manifest.v1+json");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("a manifest");
    let layer = manifest["layers"][0]["digest"].as_str().expect("a digest").to_owned();
    serde_json::from_slice(&get(&format!("blobs/{layer}"), "*/*")).expect("a record")
}

#[test]
fn two_paths_that_would_be_one_name_are_told_apart() {
    let lab = Lab::new();
    let first = lab.push(&image("1"), "a/b-c", "v1");
    lab.configure(&[&first]);
    lab.make(&[]).expect(0);
    lab.publish("disk", &["--max-nested-paths", "1"]).expect(0);
    lab.assert_published(&image("1"), "a-b-c", "v1");
    // The other one comes later, and sorts before.
    lab.configure(&[first, lab.push(&image("2"), "a-b/c", "v1")]);
    lab.make(&[]).expect(0);
    lab.publish("disk", &["--max-nested-paths", "1"]).expect(0);
    lab.assert_published(&image("1"), "a-b-c", "v1");
    let chain = record(&lab, "oc-mirror");
    let other = chain.names.iter().find(|(_, path)| path.as_str() == "a-b/c").unwrap().0;
    assert!(other.as_str().starts_with("a-b-c-"), "{other}");
    lab.assert_published(&image("2"), other.as_str(), "v1");
}

#[test]
fn a_tag_that_cannot_move_names_itself_and_the_remedy() {
    let (lab, faults) = lab(Personality::Ecr, "team/app");
    for name in ["team/app", "oc-mirror"] {
        faults.create(name);
    }
    publish(&lab, &faults, "", "ecr", &[]).expect(0);
    // The same again is no reason to complain, the record included.
    publish(&lab, &faults, "", "ecr", &[]).expect(0);
    lab.push(&image("2"), "team/app", "v1");
    lab.make(&[]).expect(0);
    let run = publish(&lab, &faults, "", "ecr", &[]);
    assert_failed_image(&run);
    let failure = &run.report().failures[0];
    assert!(failure.message.contains("the tag `v1` is immutable there"), "{}", failure.message);
    assert!(failure.hint.as_ref().is_some_and(|hint| hint.contains("targetTag")), "{:?}", failure.hint);
}

#[test]
fn artifactory_takes_what_it_is_known_to_take() {
    let (lab, faults) = lab(Personality::Artifactory, "team/app");
    assert_failed_image(&publish(&lab, &faults, "/docker", "generic", &[]));
    // It says itself what it is.
    let to = format!("docker://{}/docker", faults.host());
    let run = lab.run(&["--from", &lab.file("disk"), &to]).expect(0);
    assert_eq!(run.report().registries[0].because, "by the headers of JFrog");
    lab.assert_published(&image("1"), "docker/team/app", "v1");
}

#[test]
fn a_registry_that_takes_no_images_of_oci() {
    let (lab, faults) = lab(Personality::Nexus, "team/app");
    faults.quirk(Quirk::NoOci);
    let run = publish(&lab, &faults, "", "nexus", &[]);
    run.assert_refused(1, "it takes no images of OCI's media types");
    assert!(lab.target.repositories().iter().all(|name| name == "oc-mirror"), "no image is sent");
    // Without: the blobs are sent first, and the image fails.
    faults.clear_requests();
    assert_failed_image(&publish(&lab, &faults, "", "generic", &[]));
    assert!(faults.count("PUT", "^/v2/team/app/blobs/uploads/") > 0);
}

#[test]
fn what_is_in_nexus_already_is_not_put_again() {
    let (lab, faults) = lab(Personality::Nexus, "team/app");
    publish(&lab, &faults, "", "nexus", &[]).expect(0);
    let again = |profile: &str| {
        lab.configure(&[
            lab.push(&image("1"), "team/app", "v1"),
            lab.push(&image("2"), &format!("team/{profile}"), "v1"),
        ]);
        // One that only names what is unchanged would not ask for it.
        lab.make(&["--since", "0"]).expect(0);
        faults.clear_requests();
        publish(&lab, &faults, "", profile, &[]).expect(0);
        faults.count("PUT", "^/v2/team/app/manifests/")
    };
    assert_eq!(again("nexus"), 0);
    assert_eq!(again("generic"), 1, "without, it is put with every imageset that describes it");
}

#[test]
fn a_profile_that_does_not_exist() {
    let lab = Lab::new();
    let run = lab.run(&["--from", &lab.file("disk"), "docker://r.example", "--registry-profile", "habor"]);
    run.assert_refused(1, "there is no registry profile `habor`");
    assert!(run.output.raw_stderr.contains("harbor"), "{}", run.output.snapshot());
}
