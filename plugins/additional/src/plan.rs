//! [`Plan`]: the requests that the settings ask for, with everything checked that can be without a network.

use std::collections::BTreeMap;

use oc_mirror_plugin_sdk::reference::{Reference, Source, check_repository, check_tag};
use oc_mirror_plugin_sdk::{ImageRequest, Platform, Problem, problem};

use crate::settings::{Entry, Settings, Untagged, Wanted};

/// What the settings ask for.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// One request for each image, in the order of the settings.
    pub(crate) requests: Vec<ImageRequest>,
    /// What the user should know.
    pub(crate) remarks: Vec<Remark>,
    /// How many entries were left out because they repeat another one.
    pub(crate) skipped: u64,
}

/// A warning for the run's report.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Remark {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// An entry of the settings that is valid by itself.
struct Image {
    place: usize,
    source: Source,
    destination: (String, String),
    request: ImageRequest,
}

impl Plan {
    /// Plans what the settings ask for, or lists everything that is wrong with them.
    pub(crate) fn new(settings: Settings) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut images = Vec::new();
        for (place, entry) in settings.images.into_iter().enumerate() {
            match Image::new(place, entry, settings.untagged) {
                Ok(image) => images.push(image),
                Err(found) => problems.extend(found),
            }
        }
        let mut plan = Self::default();
        let mut taken: BTreeMap<(String, String), Image> = BTreeMap::new();
        let mut order = Vec::new();
        for image in images {
            match taken.get(&image.destination) {
                Some(earlier) => plan.meet(earlier, &image, &mut problems),
                None => {
                    order.push(image.request.clone());
                    taken.insert(image.destination.clone(), image);
                }
            }
        }
        plan.requests = order;
        if problems.is_empty() { Ok(plan) } else { Err(problems) }
    }

    /// Decides about two entries that have the same destination.
    fn meet(&mut self, earlier: &Image, later: &Image, problems: &mut Vec<Problem>) {
        let same_source = earlier.source == later.source;
        // With the same digest it is the same image, wherever it comes from.
        let same_image = same_source
            || (later.source.digest().is_some() && earlier.source.digest() == later.source.digest());
        if same_image && earlier.request.platforms == later.request.platforms {
            let twice = if same_source { "is listed twice" } else { "is listed twice, from two places" };
            self.skipped += 1;
            self.remarks.push(Remark {
                code: "additional.duplicate",
                message: format!("`{}` {twice}; the first entry is taken", later.source),
            });
            return;
        }
        let (repository, tag) = &later.destination;
        let reason = match same_source {
            true => "with other platforms".to_owned(),
            false => format!("from `{}`", earlier.source),
        };
        problems.push(problem(
            format!("images[{}].name", later.place),
            "additional.conflict",
            format!(
                "`{}` would become `{repository}:{tag}`, as images[{}] does already, {reason}; set `targetRepo` or \
                 `targetTag`, or remove one",
                later.source, earlier.place
            ),
        ));
    }

    /// Returns the sources that are directories.
    pub(crate) fn layouts(&self) -> Vec<String> {
        let sources = self.requests.iter().map(|request| &request.source);
        sources.filter(|source| source.starts_with("oci:")).cloned().collect()
    }
}

impl Image {
    fn new(place: usize, entry: Entry, untagged: Untagged) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut wrong = |field: &str, code: &str, message: String| {
            problems.push(problem(format!("images[{place}].{field}"), code, message));
        };
        let source = read_name(&entry.name, untagged)
            .map_err(|(code, reason)| wrong("name", code, format!("`{}`: {reason}", shown(&entry.name))))
            .ok();
        let repository = entry.target_repo.as_deref().filter(|r| !r.is_empty());
        if let Some(Err(reason)) = repository.map(check_repository) {
            wrong(
                "targetRepo",
                "additional.target-repo",
                format!("`{}`: {reason}", shown(repository.unwrap_or(""))),
            );
        }
        let tag = entry.target_tag.as_deref().filter(|t| !t.is_empty());
        if let Some(Err(reason)) = tag.map(check_tag) {
            wrong("targetTag", "additional.target-tag", format!("`{}`: {reason}", shown(tag.unwrap_or(""))));
        }
        let platforms = entry.platforms.unwrap_or_default();
        for (number, platform) in platforms.iter().enumerate() {
            if platform.os.is_empty() || platform.architecture.is_empty() {
                wrong(
                    &format!("platforms[{number}]"),
                    "additional.platform",
                    "a platform needs `os` and `architecture`".to_owned(),
                );
            }
        }
        let Some(source) = source else { return Err(problems) };
        let (own_repository, own_tag) = source.destination();
        if repository.is_none() && check_repository(&own_repository).is_err() {
            wrong(
                "name",
                "additional.no-destination",
                format!("`{source}`: its path cannot name a repository at the target; set `targetRepo`"),
            );
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let destination =
            (repository.map_or(own_repository, str::to_owned), tag.map_or(own_tag, str::to_owned));
        let request = request(&source, repository, tag, platforms);
        Ok(Self { place, source, destination, request })
    }
}

/// Reads the name of an image; the error is a code and a reason.
fn read_name(name: &str, untagged: Untagged) -> Result<Source, (&'static str, String)> {
    let source: Source = name
        .trim()
        .parse()
        .map_err(|e| ("additional.reference", format!("is not a reference to an image: {e}")))?;
    match source {
        Source::Registry(reference @ Reference { tag: None, digest: None, .. }) => match untagged {
            Untagged::Latest => {
                Ok(Source::Registry(Reference { tag: Some("latest".to_owned()), ..reference }))
            }
            Untagged::Error => Err(("additional.untagged", "has neither a tag nor a digest".to_owned())),
        },
        source => Ok(source),
    }
}

fn request(
    source: &Source,
    repository: Option<&str>,
    tag: Option<&str>,
    platforms: Vec<Wanted>,
) -> ImageRequest {
    ImageRequest {
        source: source.to_string(),
        origin: source.to_string(),
        kind: "additional".to_owned(),
        target_repository: repository.map(str::to_owned),
        target_tag: tag.map(str::to_owned),
        platforms: platforms
            .into_iter()
            .map(|p| Platform { os: p.os, arch: p.architecture, variant: p.variant })
            .collect(),
        with_referrers: false,
        provenance: vec![("plugin".to_owned(), "additional".to_owned())],
    }
}

/// Cuts what a user wrote to a length that fits a message.
fn shown(text: &str) -> String {
    text.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn plan(settings: serde_json::Value) -> Result<Plan, Vec<Problem>> {
        Plan::new(serde_json::from_value(settings).expect("the shape is right"))
    }

    fn plan_names(names: &[&str]) -> Result<Plan, Vec<Problem>> {
        let images: Vec<_> = names.iter().map(|name| serde_json::json!({"name": name})).collect();
        plan(serde_json::json!({"images": images}))
    }

    #[rstest]
    #[case("quay.io/a/b:v1", "quay.io/a/b:v1")]
    #[case(" quay.io/a/b:v1 ", "quay.io/a/b:v1")]
    #[case("docker://quay.io/a/b:v1", "quay.io/a/b:v1")]
    #[case("quay.io/a/b", "quay.io/a/b:latest")]
    #[case("nginx", "docker.io/library/nginx:latest")]
    #[case("nginx:1.27", "docker.io/library/nginx:1.27")]
    #[case("prom/alertmanager:v0.27", "docker.io/prom/alertmanager:v0.27")]
    #[case("localhost:5000/x", "localhost:5000/x:latest")]
    #[case("oci:/srv/layout", "oci:/srv/layout")]
    #[case("oci:///srv/layout:v1", "oci:/srv/layout:v1")]
    fn every_form_of_reference(#[case] name: &str, #[case] source: &str) {
        let plan = plan_names(&[name]).expect("valid");
        assert_eq!(plan.requests.len(), 1);
        let request = &plan.requests[0];
        assert_eq!((request.source.as_str(), request.origin.as_str()), (source, source));
        assert_eq!(request.kind, "additional");
        assert_eq!(request.provenance, [("plugin".to_owned(), "additional".to_owned())]);
        assert_eq!((&request.target_repository, &request.target_tag), (&None, &None));
        assert!(!request.with_referrers);
    }

    #[test]
    fn digests_are_kept() {
        for name in [format!("quay.io/a/b@{A}"), format!("quay.io/a/b:v1@{A}"), format!("oci:/x@{A}")] {
            assert_eq!(plan_names(&[&name]).expect("valid").requests[0].source, name);
        }
    }

    #[test]
    fn targets_and_platforms() {
        let plan = plan(serde_json::json!({"images": [{
            "name": "quay.io/a/b:v1", "targetRepo": "x/y", "targetTag": "v2",
            "platforms": [{"os": "linux", "architecture": "arm64", "variant": "v8"}]
        }]}));
        let request = &plan.expect("valid").requests[0];
        assert_eq!(request.target_repository.as_deref(), Some("x/y"));
        assert_eq!(request.target_tag.as_deref(), Some("v2"));
        let platform = Platform { os: "linux".into(), arch: "arm64".into(), variant: Some("v8".into()) };
        assert_eq!(request.platforms, [platform]);
    }

    #[test]
    fn every_problem_has_its_path() {
        let problems = plan(serde_json::json!({"untagged": "error", "images": [
            {"name": "quay.io/a/b:v1"},
            {"name": "quay.io/A"},
            {"name": "quay.io/a/c"},
            {"name": "quay.io/a/d:1", "targetRepo": "x:y", "targetTag": "-"},
            {"name": "quay.io/a/e:1", "platforms": [{"os": "", "architecture": "amd64"}]},
            {"name": "oci:/a dir"},
            {"name": "oci:/a dir", "targetRepo": "a/dir"}
        ]}))
        .expect_err("invalid");
        let told: Vec<_> = problems.iter().map(|p| (p.path.as_str(), p.code.as_str())).collect();
        assert_eq!(
            told,
            [
                ("images[1].name", "additional.reference"),
                ("images[2].name", "additional.untagged"),
                ("images[3].targetRepo", "additional.target-repo"),
                ("images[3].targetTag", "additional.target-tag"),
                ("images[4].platforms[0]", "additional.platform"),
                ("images[5].name", "additional.no-destination"),
            ]
        );
        assert_eq!(
            problems[0].message,
            "`quay.io/A`: is not a reference to an image: repository names are lower-case"
        );
    }

    #[test]
    fn a_repeated_image_is_taken_once() {
        let plan = plan_names(&["nginx", "docker://docker.io/library/nginx:latest"]).expect("valid");
        assert_eq!((plan.requests.len(), plan.skipped), (1, 1));
        assert_eq!(plan.remarks[0].code, "additional.duplicate");
    }

    #[rstest]
    #[case("quay.io/a/b:v1", "docker.io/a/b:v1")]
    #[case("quay.io/a/b:v1", "quay.io/a/b:v1@A")]
    #[case("quay.io/a/b:v1@A", "quay.io/a/b:v1@B")]
    fn two_images_with_one_destination(#[case] first: &str, #[case] second: &str) {
        let names =
            [first, second].map(|name| name.replace("@A", &format!("@{A}")).replace("@B", &format!("@{B}")));
        let problems = plan_names(&[&names[0], &names[1]]).expect_err("a conflict");
        assert_eq!(
            (problems[0].path.as_str(), problems[0].code.as_str()),
            ("images[1].name", "additional.conflict")
        );
        assert!(
            problems[0].message.contains("`a/b:v1`, as images[0] does already"),
            "{}",
            problems[0].message
        );
    }

    #[test]
    fn the_same_digest_is_no_conflict() {
        let plan =
            plan_names(&[&format!("quay.io/a/b:v1@{A}"), &format!("docker.io/a/b:v1@{A}")]).expect("valid");
        assert_eq!((plan.requests.len(), plan.skipped), (1, 1));
    }

    #[test]
    fn a_target_settles_a_conflict() {
        let plan = plan(serde_json::json!({"images": [
            {"name": "quay.io/a/b:v1"}, {"name": "docker.io/a/b:v1", "targetRepo": "hub/a/b"},
            {"name": "quay.io/a/b:v1", "targetTag": "again"}
        ]}));
        assert_eq!(plan.expect("valid").requests.len(), 3);
    }

    #[test]
    fn layouts_are_known() {
        let plan = plan_names(&["oci://rel/dir", "quay.io/a/b:v1", "oci:/abs:v1"]).expect("valid");
        assert_eq!(plan.layouts(), ["oci:rel/dir", "oci:/abs:v1"]);
    }
}
