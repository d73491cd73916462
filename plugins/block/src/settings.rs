//! [`Settings`]: what a user may write, and the rules it becomes.

use oc_mirror_plugin_sdk::{Problem, problem};
use serde::Deserialize;

use crate::base::{BaseRule, BaseRules};
use crate::names::{NameRule, NameRules};

/// The plugin's settings.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// An image is refused if any of them hits it.
    #[serde(default)]
    rules: Vec<Rule>,
}

/// One rule: exactly one of the fields.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    name: Option<String>,
    expression: Option<String>,
    glob: Option<String>,
    base_image: Option<String>,
}

impl Settings {
    /// Compiles the rules, or lists everything that is wrong with them.
    pub(crate) fn rules(self) -> Result<(NameRules, BaseRules), Vec<Problem>> {
        let (mut names, mut bases, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        for (place, rule) in self.rules.into_iter().enumerate() {
            let wrong = |field: &str, code: &str, reason: String| {
                let dot = if field.is_empty() { "" } else { "." };
                problem(format!("rules[{place}]{dot}{field}"), code, reason)
            };
            let result = match rule {
                Rule { name: Some(text), expression: None, glob: None, base_image: None } => {
                    NameRule::name(&text)
                        .map(|rule| names.push(rule))
                        .map_err(|reason| wrong("name", "block.expression", reason))
                }
                Rule { name: None, expression: Some(text), glob: None, base_image: None } => {
                    NameRule::expression(&text)
                        .map(|rule| names.push(rule))
                        .map_err(|reason| wrong("expression", "block.expression", reason))
                }
                Rule { name: None, expression: None, glob: Some(text), base_image: None } => {
                    NameRule::glob(&text)
                        .map(|rule| names.push(rule))
                        .map_err(|reason| wrong("glob", "block.glob", reason))
                }
                Rule { name: None, expression: None, glob: None, base_image: Some(text) } => {
                    BaseRule::new(&text)
                        .map(|rule| bases.push(rule))
                        .map_err(|reason| wrong("baseImage", "block.base-image", reason))
                }
                _ => Err(wrong(
                    "",
                    "block.rule",
                    "a rule has exactly one of `name`, `expression`, `glob` and `baseImage`".to_owned(),
                )),
            };
            problems.extend(result.err());
        }
        if problems.is_empty() { Ok((NameRules(names), BaseRules(bases))) } else { Err(problems) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_has_its_path() {
        let settings: Settings = serde_json::from_value(serde_json::json!({"rules": [
            {"name": "alpine"}, {"name": "c++("}, {"expression": "\\p{Greek}"}, {"glob": ""}, {"baseImage": "A:B:C"},
            {}, {"name": "a", "glob": "b"}, {"baseImage": "alpine"}
        ]}))
        .expect("the shape is right");
        let problems = settings.rules().map(|_| ()).expect_err("invalid");
        let told: Vec<_> = problems.iter().map(|p| (p.path.as_str(), p.code.as_str())).collect();
        assert_eq!(
            told,
            [
                ("rules[1].name", "block.expression"),
                ("rules[2].expression", "block.expression"),
                ("rules[3].glob", "block.glob"),
                ("rules[4].baseImage", "block.base-image"),
                ("rules[5]", "block.rule"),
                ("rules[6]", "block.rule"),
            ]
        );
    }
}
