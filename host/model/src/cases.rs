//! Tables of cases that a plugin is tested with: [`CaseTable`], a YAML document for `oc-mirror plugin test`.
//!
//! A table brings its own little world: images that are made for it, and answers of web servers. Each case asks the plugin
//! one thing and says what is expected, so that no registry is needed and nothing depends on the day.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::platform::Platform;
use crate::reference::Source;
use crate::request::kind;

/// A table of cases.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaseTable {
    /// The component, relative to the table. The command line may name another one.
    #[serde(default)]
    pub plugin: Option<String>,
    /// The settings of cases that bring none of their own.
    #[serde(default)]
    pub config: Value,
    /// What the plugin may do, as in a configuration.
    #[serde(default)]
    pub grants: Vec<String>,
    /// The time of the run, RFC 3339 in UTC.
    #[serde(default = "time")]
    pub time: String,
    /// Images that there are, by name.
    #[serde(default)]
    pub images: BTreeMap<String, MadeImage>,
    /// What web servers answer, by URL. Everything else is not found.
    #[serde(default)]
    pub http: BTreeMap<String, MadeAnswer>,
    /// The cases, in order.
    pub cases: Vec<Case>,
}

/// An image that is made for the table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MadeImage {
    /// What it is for: `linux/amd64` if nothing is said. Several make an index of images that are equal otherwise.
    #[serde(default)]
    pub platforms: Vec<String>,
    /// Labels of its configuration.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations of its manifest.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// When it was made, RFC 3339.
    #[serde(default)]
    pub created: Option<String>,
    /// Its layers, base first: text files by path. Equal layers are the same layer, so that images can share a base.
    #[serde(default)]
    pub layers: Vec<BTreeMap<String, String>>,
    /// The keys that signed it, by names that only the table knows: each is made up for it. Settings have the public half of
    /// one as `${key.NAME}`.
    #[serde(default)]
    pub signed_by: Vec<String>,
    /// The name that the signatures give to the image, `host/path`, if it is not its own.
    #[serde(default)]
    pub signed_as: Option<String>,
}

/// What a web server answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum MadeAnswer {
    /// A body, with the status 200.
    Body(String),
    /// All of it.
    Full(FullAnswer),
}

/// An answer with its status.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FullAnswer {
    /// The status code.
    pub status: u16,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default)]
    pub body: String,
}

/// One question to the plugin. With `image`, a policy judges it; without, a content source collects.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Case {
    /// What it shows, in words.
    pub name: String,
    /// The settings, in place of those of the table.
    #[serde(default)]
    pub config: Option<Value>,
    /// What the plugin may do, in place of what the table says.
    #[serde(default)]
    pub grants: Option<Vec<String>>,
    /// The image to judge.
    #[serde(default)]
    pub image: Option<String>,
    /// What the image is for.
    #[serde(default = "additional")]
    pub kind: String,
    /// Why it is wanted.
    #[serde(default)]
    pub provenance: BTreeMap<String, String>,
    /// What is expected; everything that is named must be so.
    pub expect: Expected,
}

fn time() -> String {
    "2026-01-01T00:00:00Z".to_owned()
}

fn additional() -> String {
    kind::ADDITIONAL.to_owned()
}

/// What a case expects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expected {
    /// What the policy says.
    #[serde(default)]
    pub verdict: Option<Said>,
    /// The code of one of its findings.
    #[serde(default)]
    pub code: Option<String>,
    /// A part of the message of one of its findings.
    #[serde(default)]
    pub message: Option<String>,
    /// The origins of the images that the source asks for, in order.
    #[serde(default)]
    pub images: Option<Vec<String>>,
    /// The paths of the files that it adds, in order.
    #[serde(default)]
    pub files: Option<Vec<String>>,
    /// The names of the cluster resources that it adds, in order.
    #[serde(default)]
    pub resources: Option<Vec<String>>,
    /// The codes of its warnings, in order.
    #[serde(default)]
    pub warnings: Option<Vec<String>>,
    /// The paths of the settings that are refused, in order; empty for the settings as a whole.
    #[serde(default)]
    pub problems: Option<Vec<String>>,
    /// A part of the message with which the plugin fails.
    #[serde(default)]
    pub error: Option<String>,
}

/// What a policy says about an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    /// Nothing against it.
    Allow,
    /// It may pass, with a remark.
    Warn,
    /// It may not.
    Deny,
}

impl Expected {
    /// Returns what can only be expected by itself, as it would be then.
    fn alone(&self) -> [(&'static str, Option<Self>); 2] {
        let problems =
            self.problems.clone().map(|problems| Self { problems: Some(problems), ..Self::default() });
        let error = self.error.clone().map(|error| Self { error: Some(error), ..Self::default() });
        [("problems", problems), ("an error", error)]
    }
}

impl Said {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }
}

/// The text is not a table of cases.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCases {
    /// It is not YAML of this shape.
    #[error("{0}")]
    Syntax(String),
    /// There is nothing to test.
    #[error("it has no cases")]
    Empty,
    /// Two cases cannot be told apart.
    #[error("there are two cases `{0}`")]
    Twice(String),
    /// A case that cannot fail shows nothing.
    #[error("the case `{0}` expects nothing")]
    ExpectsNothing(String),
    /// A case expects what its question has no answer to.
    #[error("the case `{case}` expects {what}, which only {whose} has")]
    OtherRole {
        /// The case.
        case: String,
        /// What it expects.
        what: &'static str,
        /// Who has it.
        whose: &'static str,
    },
    /// Who fails, or whose settings are refused, answers nothing else.
    #[error("the case `{case}` expects {what} and something else besides")]
    NotAlone {
        /// The case.
        case: String,
        /// What it expects.
        what: &'static str,
    },
    /// The name of an image.
    #[error("`{name}` is not the name of an image: {reason}")]
    Image {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The platform of an image.
    #[error("`{0}` is not a platform")]
    Platform(String),
    /// The name of a key.
    #[error("`{0}` is not the name of a key")]
    Key(String),
    /// A name for what nobody has signed.
    #[error("the image `{0}` has `signedAs`, and nobody signed it")]
    NotSigned(String),
}

impl InvalidCases {
    /// Returns what to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Syntax(_) | Self::Empty => "see `oc-mirror plugin test --help` for a table",
            Self::Twice(_) => "give each case a name of its own",
            Self::ExpectsNothing(_) => {
                "name something below `expect`: `verdict`, `code` or `message` of a policy, `images`, `files`, \
                 `resources` or `warnings` of a source, `problems` of settings, or an `error`"
            }
            Self::NotAlone { .. } => "make two cases of it",
            Self::OtherRole { .. } => "with `image`, a policy judges it; without, a source collects",
            Self::Image { .. } => "name it as in a configuration: `quay.io/example/app:1.0`",
            Self::Key(_) => "take lower-case letters, digits and `-`",
            Self::NotSigned(_) => "name keys with `signedBy`",
            Self::Platform(_) => "write it as `linux/amd64` or `linux/arm/v7`",
        }
    }
}

impl CaseTable {
    /// Reads a table.
    pub fn parse(text: &str) -> Result<Self, InvalidCases> {
        let table: Self =
            serde_saphyr::from_str(text).map_err(|error| InvalidCases::Syntax(error.to_string()))?;
        table.check()?;
        Ok(table)
    }

    fn check(&self) -> Result<(), InvalidCases> {
        if self.cases.is_empty() {
            return Err(InvalidCases::Empty);
        }
        for (number, case) in self.cases.iter().enumerate() {
            if self.cases[..number].iter().any(|other| other.name == case.name) {
                return Err(InvalidCases::Twice(case.name.clone()));
            }
            case.check()?;
        }
        for (name, image) in &self.images {
            named(name)?;
            image.platforms()?;
            image.check_signatures(name)?;
        }
        Ok(())
    }
}

impl Case {
    fn check(&self) -> Result<(), InvalidCases> {
        let expect = &self.expect;
        if *expect == Expected::default() {
            return Err(InvalidCases::ExpectsNothing(self.name.clone()));
        }
        for (what, alone) in expect.alone() {
            if alone.is_some_and(|alone| alone != *expect) {
                return Err(InvalidCases::NotAlone { case: self.name.clone(), what });
            }
        }
        let judged = [
            (expect.verdict.is_some(), "a verdict"),
            (expect.code.is_some(), "a code"),
            (expect.message.is_some(), "a message"),
        ];
        let collected = [
            (expect.images.is_some(), "images"),
            (expect.files.is_some(), "files"),
            (expect.resources.is_some(), "resources"),
            (expect.warnings.is_some(), "warnings"),
        ];
        let (foreign, whose) = match &self.image {
            Some(image) => {
                named(image)?;
                (collected.as_slice(), "a source's answer")
            }
            None => (judged.as_slice(), "a policy's answer about an `image`"),
        };
        match foreign.iter().find(|(is_there, _)| *is_there) {
            Some((_, what)) => Err(InvalidCases::OtherRole { case: self.name.clone(), what, whose }),
            None => Ok(()),
        }
    }
}

impl MadeImage {
    /// Returns what the image is for; never nothing.
    pub fn platforms(&self) -> Result<Vec<Platform>, InvalidCases> {
        match self.platforms.as_slice() {
            [] => Ok(vec![Platform::new("linux", "amd64")]),
            listed => listed.iter().map(|text| platform(text)).collect(),
        }
    }

    fn check_signatures(&self, name: &str) -> Result<(), InvalidCases> {
        if let Some(odd) = self.signed_by.iter().find(|key| !is_key(key)) {
            return Err(InvalidCases::Key(odd.clone()));
        }
        match &self.signed_as {
            Some(_) if self.signed_by.is_empty() => Err(InvalidCases::NotSigned(name.to_owned())),
            Some(other) => named(other).map(drop),
            None => Ok(()),
        }
    }
}

/// Reads the name of an image.
pub fn named(name: &str) -> Result<Source, InvalidCases> {
    let invalid = |reason: String| InvalidCases::Image { name: name.to_owned(), reason };
    match name.parse() {
        Ok(source @ Source::Registry(_)) => Ok(source),
        Ok(Source::Layout(_)) => Err(invalid("it is a directory".to_owned())),
        Err(error) => Err(invalid(error.to_string())),
    }
}

fn is_key(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Puts public keys in the place of their names: of each text that is `${key.NAME}`, at any depth.
pub fn with_keys(settings: &Value, public: &impl Fn(&str) -> String) -> Value {
    match settings {
        Value::String(text) => {
            let name = text.strip_prefix("${key.").and_then(|rest| rest.strip_suffix('}'));
            name.filter(|name| is_key(name)).map_or_else(|| settings.clone(), |name| public(name).into())
        }
        Value::Array(values) => values.iter().map(|value| with_keys(value, public)).collect(),
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.clone(), with_keys(value, public))).collect()
        }
        other => other.clone(),
    }
}

fn platform(text: &str) -> Result<Platform, InvalidCases> {
    let parts: Vec<&str> = text.split('/').collect();
    let (os, architecture, variant) = match parts.as_slice() {
        [os, architecture] => (*os, *architecture, None),
        [os, architecture, variant] => (*os, *architecture, Some((*variant).to_owned())),
        _ => return Err(InvalidCases::Platform(text.to_owned())),
    };
    if parts.iter().any(|part| part.is_empty()) {
        return Err(InvalidCases::Platform(text.to_owned()));
    }
    Ok(Platform { variant, ..Platform::new(os, architecture) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = "images:\n  quay.io/a/b:1:\n    platforms: [linux/arm/v7]\n";

    #[test]
    fn a_table_is_read() {
        let text = format!(
            "{IMAGE}http:\n  https://a.example/: text\n  https://b.example/: {{status: 500}}\ncases:\n- name: one\n  \
             image: quay.io/a/b:1\n  expect: {{verdict: deny, code: x}}\n- name: two\n  expect: {{images: []}}\n"
        );
        let table = CaseTable::parse(&text).expect("valid");
        assert_eq!(table.images["quay.io/a/b:1"].platforms().expect("valid")[0].to_string(), "linux/arm/v7");
        assert_eq!(table.http["https://a.example/"], MadeAnswer::Body("text".to_owned()));
        assert!(matches!(&table.http["https://b.example/"], MadeAnswer::Full(full) if full.status == 500));
        assert_eq!(table.cases[0].expect.verdict, Some(Said::Deny));
        assert_eq!((table.cases[1].kind.as_str(), &table.cases[1].image), ("additional", &None));
    }

    #[test]
    fn settings_name_keys() {
        let settings =
            serde_json::json!({"keys": ["${key.a-1}", "${key.A}", "x ${key.a}"], "one": "${key.b}", "n": 1});
        let filled = with_keys(&settings, &|name| format!("<{name}>"));
        let expected = serde_json::json!({"keys": ["<a-1>", "${key.A}", "x ${key.a}"], "one": "<b>", "n": 1});
        assert_eq!(filled, expected);
    }

    #[test]
    fn what_shows_nothing_is_refused() {
        let refused = |text: &str| CaseTable::parse(text).expect_err("refused");
        let one = "cases:\n- name: one\n  expect: {verdict: allow}\n";
        let asked = "cases:\n- name: one\n  image: quay.io/a/b:1\n  expect: {verdict: allow}\n";
        assert_eq!(refused("cases: []"), InvalidCases::Empty);
        assert!(matches!(refused("cases:\n- name: a\n  expect: {}"), InvalidCases::ExpectsNothing(_)));
        assert!(matches!(refused(one), InvalidCases::OtherRole { .. }));
        assert!(matches!(
            refused(&asked.replace("verdict: allow", "images: []")),
            InvalidCases::OtherRole { .. }
        ));
        let both = asked.replace("verdict: allow", "verdict: allow, error: x");
        assert!(matches!(refused(&both), InvalidCases::NotAlone { what: "an error", .. }));
        assert!(matches!(refused(&format!("{asked}{}", &asked[7..])), InvalidCases::Twice(_)));
        assert!(matches!(refused(&asked.replace("quay.io/a/b:1", "oci:/x")), InvalidCases::Image { .. }));
        assert!(matches!(refused(&asked.replace("allow", "maybe")), InvalidCases::Syntax(_)));
        let signed = |more: &str| refused(&format!("{IMAGE}    {more}\n{asked}"));
        assert_eq!(signed("signedBy: [a, \"B\"]"), InvalidCases::Key("B".to_owned()));
        assert_eq!(signed("signedAs: quay.io/a/c"), InvalidCases::NotSigned("quay.io/a/b:1".to_owned()));
        assert!(matches!(signed("{signedBy: [a], signedAs: A}"), InvalidCases::Syntax(_)));
        let platform = format!("{}{asked}", IMAGE.replace("linux/arm/v7", "linux"));
        assert_eq!(refused(&platform), InvalidCases::Platform("linux".to_owned()));
    }
}
