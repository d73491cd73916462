//! The policy `allow-registries`: lets only images from named registries and repositories pass.
//!
//! It decides in planning, by the name that an image is read by, before anything is fetched. Images that catalogs and releases
//! name are asked about like those of the configuration, so that one catalog cannot open a registry that nobody meant to trust.

use oc_mirror_plugin_sdk::pattern::Pattern;
use oc_mirror_plugin_sdk::reference::Source;
use oc_mirror_plugin_sdk::{
    Finding, ImageRequest, Plugin, Problem, StaticPolicy, Verdict, export_plugin, finding, problem,
};
use serde::Deserialize;

/// What the user writes under `config`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where images may come from.
    allow: Vec<String>,
    /// Whether those of directories may pass.
    #[serde(default)]
    layouts: bool,
}

/// The policy.
#[derive(Debug)]
struct AllowRegistries {
    allow: Vec<Pattern>,
    layouts: bool,
}

impl Plugin for AllowRegistries {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let allow = Pattern::all(&settings.allow, "allow", "allow-registries.pattern", &mut problems);
        if settings.allow.is_empty() {
            problems.push(problem("allow", "allow-registries.nothing", "nothing at all would pass"));
        }
        if problems.is_empty() { Ok(Self { allow, layouts: settings.layouts }) } else { Err(problems) }
    }
}

impl StaticPolicy for AllowRegistries {
    fn evaluate_reference(&self, request: &ImageRequest) -> Verdict {
        match self.judge(&request.source) {
            None => Verdict::Allow,
            Some(finding) => Verdict::Deny(vec![finding]),
        }
    }
}

impl AllowRegistries {
    /// Returns what is against an image of this name.
    fn judge(&self, source: &str) -> Option<Finding> {
        let refused = |message: String, place: String| {
            Some(finding("allow-registries", message, [("source", source.to_owned()), ("place", place)]))
        };
        match source.parse() {
            Ok(Source::Registry(reference)) => {
                let name = reference.name();
                if self.allow.iter().any(|pattern| pattern.matches(&name)) {
                    return None;
                }
                refused(format!("`{name}` is not among the places that images may come from"), name)
            }
            Ok(Source::Layout(_)) if self.layouts => None,
            Ok(Source::Layout(_)) => {
                refused("images from directories may not pass".to_owned(), "oci".to_owned())
            }
            // What has no name that can be read has none that is allowed.
            Err(why) => refused(format!("`{source}` is not the name of an image: {why}"), String::new()),
        }
    }
}

export_plugin!(AllowRegistries: static_policy);

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn policy(allow: &[&str], layouts: bool) -> AllowRegistries {
        let allow = allow.iter().map(|text| (*text).to_owned()).collect();
        AllowRegistries::new(Settings { allow, layouts }).expect("valid")
    }

    #[rstest]
    #[case("quay.io/team/app:1", true)]
    #[case("quay.io/team/app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", true)]
    #[case("quay.io/team-two/app:1", false)]
    #[case("quay.io/other:1", false)]
    #[case("registry.example:5000/any/thing:1", true)]
    #[case("registry.example/any/thing:1", false)]
    #[case("a.mirror.example/base/x:1", true)]
    #[case("a.mirror.example.evil.example/base/x:1", false)]
    #[case("oci:/srv/image", false)]
    #[case("oci:", false)]
    fn what_is_not_named_does_not_pass(#[case] source: &str, #[case] passes: bool) {
        let policy = policy(&["quay.io/team", "registry.example:5000", "*.mirror.example/base/*"], false);
        let found = policy.judge(source);
        assert_eq!(found.is_none(), passes, "{found:?}");
    }

    #[test]
    fn directories_pass_where_they_may() {
        assert!(policy(&["quay.io"], true).judge("oci:/srv/image").is_none());
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let settings = serde_json::json!({"allow": ["", "https://quay.io", "*", "quay.io/ok"]});
        let settings = serde_json::from_value(settings).expect("of this shape");
        let problems = AllowRegistries::new(settings).expect_err("refused");
        let paths: Vec<&str> = problems.iter().map(|p| p.path.as_str()).collect();
        assert_eq!(paths, ["allow[0]", "allow[1]", "allow[2]"]);
        let nothing = AllowRegistries::new(Settings { allow: vec![], layouts: false }).expect_err("refused");
        assert_eq!(nothing[0].path, "allow");
    }
}
