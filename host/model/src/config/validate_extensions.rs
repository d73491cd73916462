//! The rules for what users bring themselves: blocked images, plugins, policies.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

use super::extensions::{BlockedImage, ConfigFiles, PluginEntry, PluginTrust, PolicyEntry, WrittenAt};
use super::validate::Validator;
use crate::plugin_source::PluginSource;
use crate::redact::has_credentials;
use crate::reference::Source;

/// The longest name: that of a DNS label.
const MAX_NAME: usize = 63;

pub(super) fn blocked_images(validator: &mut Validator<'_>, images: &mut [BlockedImage], root: &str) {
    for (index, image) in images.iter_mut().enumerate() {
        blocked_image(validator, image, &format!("{root}.blockedImages[{index}]"));
    }
}

fn blocked_image(validator: &mut Validator<'_>, image: &mut BlockedImage, path: &str) {
    let written = [&image.name, &image.glob, &image.base_image].into_iter().flatten();
    // An expression may have `:` and `@` for its own reasons.
    let is_plain = |name: &str| !name.contains(['(', '|', '*', '[', '\\']);
    if written.clone().any(|name| is_plain(name.as_str()) && has_credentials(name)) {
        // The configuration goes along in the imageset, and so would what is written in it.
        validator.error(path, "a name carries a credential", "write the name alone");
        return;
    }
    let set = written.count();
    if set != 1 {
        let message = match set {
            0 => "it does not say what to block",
            _ => "it says several things at once",
        };
        validator.error(path, message, "give one of `name`, `glob` and `baseImage`");
        return;
    }
    if let Some(name) = image.name.take() {
        let path = format!("{path}.name");
        match Regex::new(&name) {
            Ok(_) => image.name = Some(name),
            Err(_) if is_glob(&name) => {
                let message = format!("`{name}` is not a regular expression, it is read as a glob");
                validator.warn(&path, message, &format!("write `glob: \"{name}\"`"));
                image.glob = Some(name);
            }
            Err(error) => {
                let message = format!("`{name}` is not a regular expression: {}", reason(&error));
                validator.error(&path, message, "put `\\` before characters that stand for themselves");
                image.name = Some(name);
            }
        }
    } else if let Some(glob) = image.glob.as_deref().filter(|glob| !is_glob(glob)) {
        let message = format!("`{glob}` is not a glob");
        validator.error(&format!("{path}.glob"), message, "close every `[` and `{`, and leave out blanks");
    } else if let Some(base) = &image.base_image {
        let path = format!("{path}.baseImage");
        if let Some(Source::Layout(_)) = validator.reference(&path, base) {
            let message = format!("`{base}` is a directory, not an image of a registry");
            validator.error(&path, message, "write an image such as `quay.io/org/name:tag`");
        }
    }
}

/// Answers whether a text is a glob: what references are made of, `*`, `?`, and closed brackets.
fn is_glob(text: &str) -> bool {
    let mut within: Option<char> = None;
    for c in text.chars() {
        within = match (c, within) {
            ('[', None) => Some(']'),
            ('{', None) => Some('}'),
            ('[' | '{', Some(_)) => return false,
            (']' | '}', end) if end == Some(c) => None,
            (']' | '}', _) => return false,
            (',', Some('}')) | ('!' | '^', Some(']')) => within,
            _ if c.is_ascii_alphanumeric() || "*?._-/:@".contains(c) => within,
            _ => return false,
        };
    }
    within.is_none() && !text.is_empty()
}

/// Returns the last line of what the parser of expressions says; the lines above draw the expression.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

pub(super) fn plugins(validator: &mut Validator<'_>, plugins: &mut [PluginEntry], root: &str) {
    let list = format!("{root}.plugins");
    validator.unique_names(
        &list,
        plugins.iter().map(|p| p.name.as_str()),
        "give each plugin a name of its own",
    );
    for (index, plugin) in plugins.iter_mut().enumerate() {
        let path = format!("{list}[{index}]");
        component(validator, &path, &plugin.name, &plugin.source, plugin.trust.as_ref());
        config_files(validator, &path, &plugin.config, &plugin.config_files);
        plugin.grants_at = grants_at(validator, &path);
    }
}

pub(super) fn policies(validator: &mut Validator<'_>, policies: &mut [PolicyEntry], root: &str) {
    let list = format!("{root}.policies");
    validator.unique_names(
        &list,
        policies.iter().map(|p| p.name.as_str()),
        "give each policy a name of its own",
    );
    for (index, policy) in policies.iter_mut().enumerate() {
        let path = format!("{list}[{index}]");
        component(validator, &path, &policy.name, &policy.source, policy.trust.as_ref());
        config_files(validator, &path, &policy.config, &policy.config_files);
        policy.grants_at = grants_at(validator, &path);
    }
}

fn component(
    validator: &mut Validator<'_>,
    path: &str,
    name: &str,
    source: &str,
    trust: Option<&PluginTrust>,
) {
    if !is_label(name) {
        let hint =
            format!("use up to {MAX_NAME} of `a`–`z`, `0`–`9` and `-`, with a letter or digit at both ends");
        validator.error(&format!("{path}.name"), format!("`{name}` cannot be a name"), &hint);
    }
    let parsed = source.parse::<PluginSource>();
    if let Err(error) = &parsed {
        validator.error(&format!("{path}.source"), error.to_string(), error.hint());
    }
    let Some(trust) = trust else { return };
    if matches!(parsed, Ok(PluginSource::Builtin(_))) {
        validator.error(
            &format!("{path}.trust"),
            "what is part of the program has no signature of its own",
            "remove `trust` here",
        );
    } else if trust.keys.iter().all(String::is_empty) {
        validator.error(
            &format!("{path}.trust.keys"),
            "no key is named, so that no signature could count",
            "name files with public keys, or remove `trust`",
        );
    }
}

/// Texts of files and what is written there already have to go together.
fn config_files(
    validator: &mut Validator<'_>,
    path: &str,
    config: &Value,
    files: &BTreeMap<String, ConfigFiles>,
) {
    for (key, named) in files {
        let at = format!("{path}.configFiles.{key}");
        if named.paths().iter().all(String::is_empty) {
            validator.error(&at, "no file is named", "name files relative to this one");
        }
        match (config.get(key), named) {
            (None, _) if config.is_null() || config.is_object() => {}
            (Some(Value::Array(_)), ConfigFiles::Several(_)) => {}
            (Some(_), ConfigFiles::One(_)) => validator.error(
                &at,
                format!("`config.{key}` is written there already"),
                "remove one of the two",
            ),
            (Some(_), ConfigFiles::Several(_)) => validator.error(
                &at,
                format!("`config.{key}` is no list, to which texts could be added"),
                "remove one of the two, or make it a list",
            ),
            (None, _) => validator.error(&at, "`config` has no keys", "write `config` as a mapping"),
        }
    }
}

/// Returns where a line for another grant belongs.
fn grants_at(validator: &Validator<'_>, path: &str) -> WrittenAt {
    let grants = validator.places.get(&format!("{path}.grants"));
    WrittenAt(grants.or_else(|| validator.places.get(path)))
}

fn is_label(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("*alpine*", true)]
    #[case("quay.io/{a,b}/x[0-9]?", true)]
    #[case("quay.io/[!a]/x", true)]
    #[case("(alpine", false)]
    #[case("[a", false)]
    #[case("a]", false)]
    #[case("a b", false)]
    #[case("", false)]
    fn globs(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(is_glob(text), expected);
    }

    #[rstest]
    #[case("deny-by-label", true)]
    #[case("9", true)]
    #[case("-a", false)]
    #[case("a-", false)]
    #[case("A", false)]
    #[case("", false)]
    fn labels(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(is_label(text), expected);
    }

    #[test]
    fn reasons_are_one_line() {
        let expression = format!("({}", "alpine");
        let error = Regex::new(&expression).expect_err("invalid");
        assert_eq!(reason(&error), "unclosed group");
    }
}
