//! [`NameRules`]: rules on the names of an image.
//!
//! An image has up to three names: its origin, its source and, where the request says where it goes, its target. None
//! of them carries a transport here. A rule hits an image if it hits any of them.

use oc_mirror_plugin_sdk::reference::{Reference, Source};
use oc_mirror_plugin_sdk::{Finding, ImageRequest, finding};
use regex_lite::Regex;

use crate::expression;
use crate::glob::Glob;

/// Rules on names.
pub(crate) struct NameRules(pub(crate) Vec<NameRule>);

/// One rule.
pub(crate) struct NameRule {
    /// As the user wrote it.
    text: String,
    matcher: Matcher,
}

enum Matcher {
    /// `name`: an expression that is usually a plain word.
    Name(Regex),
    Expression(Regex),
    Glob(Glob),
}

/// One of an image's names, in each form in which people write it, the canonical one first.
struct Name {
    /// "origin", "source" or "target".
    which: &'static str,
    forms: Vec<String>,
    reference: Option<Reference>,
}

impl NameRules {
    /// Returns a finding for each rule that hits the image.
    pub(crate) fn judge(&self, request: &ImageRequest) -> Vec<Finding> {
        let names = names(request);
        self.0.iter().filter_map(|rule| names.iter().find_map(|name| rule.hit(name))).collect()
    }
}

impl NameRule {
    /// Makes the rule `{"name": …}`.
    pub(crate) fn name(text: &str) -> Result<Self, String> {
        Ok(Self { text: text.to_owned(), matcher: Matcher::Name(expression::compile(text)?) })
    }

    /// Makes the rule `{"expression": …}`.
    pub(crate) fn expression(text: &str) -> Result<Self, String> {
        Ok(Self { text: text.to_owned(), matcher: Matcher::Expression(expression::compile(text)?) })
    }

    /// Makes the rule `{"glob": …}`.
    pub(crate) fn glob(text: &str) -> Result<Self, String> {
        Ok(Self { text: text.to_owned(), matcher: Matcher::Glob(Glob::new(text)?) })
    }

    fn hit(&self, name: &Name) -> Option<Finding> {
        let (code, what, form) = match &self.matcher {
            Matcher::Name(regex) => {
                let form = name.forms.iter().find(|form| regex.is_match(form))?;
                let exact = name.reference.as_ref().is_some_and(|r| r.last_component() == self.text);
                ("blocked.expression", if exact { "name" } else { "expression" }, form)
            }
            Matcher::Expression(regex) => {
                let form = name.forms.iter().find(|form| regex.is_match(form))?;
                ("blocked.expression", "expression", form)
            }
            Matcher::Glob(glob) => ("blocked.glob", "glob", self.glob_form(glob, name)?),
        };
        Some(finding(
            code,
            format!("`{}` is blocked by the {what} `{}`", name.forms[0], self.text),
            [("rule", self.text.clone()), ("evidence", format!("{} `{form}`", name.which))],
        ))
    }

    /// Finds the form that the glob matches; without tag and digest counts too.
    fn glob_form<'a>(&self, glob: &Glob, name: &'a Name) -> Option<&'a String> {
        name.forms.iter().find(|form| {
            let form = match self.text.contains('/') {
                true => form.as_str(),
                false => form.rsplit('/').next().unwrap_or(form),
            };
            let untagged = form.split('@').next().unwrap_or(form);
            let slash = untagged.rfind('/').map_or(0, |slash| slash + 1);
            let bare = untagged[slash..].find(':').map_or(untagged, |colon| &untagged[..slash + colon]);
            [form, untagged, bare].into_iter().any(|text| glob.matches(text))
        })
    }
}

/// Lists an image's names, each once.
fn names(request: &ImageRequest) -> Vec<Name> {
    let mut names = vec![Name::new("origin", &request.origin)];
    if request.source != request.origin {
        names.push(Name::new("source", &request.source));
    }
    names.extend(target(request).map(|text| Name { which: "target", forms: vec![text], reference: None }));
    names
}

/// The name at the target, where the request says something about it: the host's prefix is not known here.
fn target(request: &ImageRequest) -> Option<String> {
    if request.target_repository.is_none() && request.target_tag.is_none() {
        return None;
    }
    let named = request.origin.parse().or_else(|_| request.source.parse::<Source>());
    let (repository, tag) = named.map(|source| source.destination()).unwrap_or_default();
    let repository = request.target_repository.clone().unwrap_or(repository);
    let tag = request.target_tag.clone().unwrap_or(tag);
    Some(format!("{repository}:{tag}"))
}

impl Name {
    fn new(which: &'static str, text: &str) -> Self {
        let Ok(source) = text.parse::<Source>() else {
            let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
            return Self { which, forms: vec![bare.to_owned()], reference: None };
        };
        match source {
            Source::Registry(reference) => {
                let mut forms = vec![reference.to_string(), reference.familiar()];
                forms.dedup();
                Self { which, forms, reference: Some(reference) }
            }
            Source::Layout(layout) => {
                let text = layout.to_string();
                let bare = text.strip_prefix("oci:").unwrap_or(&text).to_owned();
                Self { which, forms: vec![bare], reference: None }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn request(origin: &str) -> ImageRequest {
        ImageRequest {
            source: origin.to_owned(),
            origin: origin.to_owned(),
            kind: "additional".to_owned(),
            target_repository: None,
            target_tag: None,
            platforms: vec![],
            with_referrers: false,
            provenance: vec![],
        }
    }

    fn hits(rule: Result<NameRule, String>, request: &ImageRequest) -> Option<Finding> {
        NameRules(vec![rule.expect("valid")]).judge(request).pop()
    }

    #[rstest]
    #[case("alpine", "alpine:3", true)]
    #[case("alpine", "docker://docker.io/library/alpine:3", true)]
    #[case("alpine", "quay.io/x/alpine-tools:1", true)]
    #[case("redis", "quay.io/x/alpine:1", false)]
    #[case("^docker\\.io/library/redis:", "redis:7", true)]
    #[case("^redis:7$", "redis:7", true)]
    #[case("docker://", "docker://quay.io/a/b:1", false)]
    #[case("^/srv/", "oci:/srv/layout", true)]
    fn expressions(#[case] rule: &str, #[case] origin: &str, #[case] expected: bool) {
        for rule in [NameRule::name(rule), NameRule::expression(rule)] {
            let found = hits(rule, &request(origin));
            assert_eq!(found.is_some(), expected);
            assert!(found.is_none_or(|f| f.code == "blocked.expression"));
        }
    }

    #[rstest]
    #[case("alpine", "alpine:3", true)]
    #[case("alpine", "quay.io/x/alpine:3", true)]
    #[case("alpine", "quay.io/x/alpine-tools:3", false)]
    #[case("alpine:3.*", "quay.io/x/alpine:3.19", true)]
    #[case("alpine:3.*", "quay.io/x/alpine:2.0", false)]
    #[case("quay.io/x/*", "quay.io/x/alpine:3", true)]
    #[case("quay.io/x/*", "quay.io/y/alpine:3", false)]
    #[case("docker.io/library/*", "alpine", true)]
    #[case("library/*", "alpine", false)]
    #[case("localhost:5000/a", "localhost:5000/a:1", true)]
    fn globs(#[case] rule: &str, #[case] origin: &str, #[case] expected: bool) {
        let found = hits(NameRule::glob(rule), &request(origin));
        assert_eq!(found.is_some(), expected);
        assert!(found.is_none_or(|f| f.code == "blocked.glob"));
    }

    #[test]
    fn sources_and_targets_count() {
        let mut mirrored = request("quay.io/a/b:1");
        mirrored.source = "mirror.example/alpine:1".to_owned();
        mirrored.target_repository = Some("blessed/b".to_owned());
        assert!(hits(NameRule::name("alpine"), &mirrored).is_some());
        assert!(hits(NameRule::expression("^blessed/b:1$"), &mirrored).is_some());
        mirrored.target_repository = None;
        mirrored.target_tag = Some("v9".to_owned());
        assert!(hits(NameRule::expression("^a/b:v9$"), &mirrored).is_some());
    }

    #[test]
    fn a_finding_names_rule_and_evidence() {
        let found = hits(NameRule::name("alpine"), &request("alpine:3")).expect("a hit");
        assert_eq!(found.message, "`docker.io/library/alpine:3` is blocked by the name `alpine`");
        assert_eq!(
            found.details,
            [
                ("rule".to_owned(), "alpine".to_owned()),
                ("evidence".to_owned(), "origin `docker.io/library/alpine:3`".to_owned())
            ]
        );
    }

    #[test]
    fn every_rule_that_hits_is_told() {
        let rules = ["alpine", "redis", "library"].map(|r| NameRule::name(r).expect("valid"));
        assert_eq!(NameRules(rules.into()).judge(&request("alpine")).len(), 2);
    }
}
