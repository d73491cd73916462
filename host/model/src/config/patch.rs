//! [`patch`]: changes a configuration in its text, so that comments, order and all that is not changed stay.
//!
//! What comes out is read again and compared with what was to come out. Where the text cannot be changed so, for example
//! because a value comes from an anchor, the configuration is written anew.

mod place;
mod text;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::problem::{ConfigError, Position, Problem, Problems};
use super::{check, identity, parse, tree};
use place::{Step, steps};

/// A change of a configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Edit {
    /// What to do.
    pub action: EditAction,
    /// Where: `mirror.platform.channels[0].minVersion`. What is missing of the way there is made.
    pub at: String,
    /// The value; an empty text takes an optional one away.
    pub value: Value,
    /// What it is for, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// What to do to a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum EditAction {
    /// Give a key a value.
    Set,
    /// Add an entry to the end of a list.
    Append,
}

/// A configuration that was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patched {
    /// Its text.
    pub text: String,
    /// Whether the text that was there is kept, with its comments.
    pub kept: bool,
}

/// Changes a configuration.
///
/// # Errors
///
/// Fails if the configuration cannot be used, or could not be with the changes.
pub fn patch(text: &str, edits: &[Edit]) -> Result<Patched, ConfigError> {
    let before = checked(text)?;
    if edits.is_empty() {
        return Ok(Patched { text: text.to_owned(), kept: true });
    }
    let mut expected = before;
    for edit in edits {
        let place = steps(&edit.at).and_then(|steps| apply(&mut expected, &steps, edit));
        place.ok_or_else(|| unusable(format!("`{}` is no place in a configuration", edit.at)))?;
    }
    if let Some(text) = in_text(text, edits, &[])
        && checked(&text).is_ok_and(|found| found == expected)
        && parse(&text).is_ok()
    {
        return Ok(Patched { text, kept: true });
    }
    let text = serde_saphyr::to_string(&expected).map_err(|error| unusable(error.to_string()))?;
    parse(&text)?;
    Ok(Patched { text, kept: false })
}

/// Changes a text by edits, and takes away the keys at `gone`; nothing if it is not known how. What comes out may say something
/// else than was meant: whoever calls it compares.
pub(super) fn in_text(text: &str, edits: &[Edit], gone: &[String]) -> Option<String> {
    let text = edits.iter().try_fold(text.to_owned(), |text, edit| text::apply(&text, edit))?;
    gone.iter().try_fold(text, |text, at| text::remove(&text, at))
}

/// Reads a configuration in the form of its schema.
fn checked(text: &str) -> Result<Value, ConfigError> {
    let mut problems = Problems::default();
    let document = tree::read(text).map_err(|problem| ConfigError { problems: vec![problem] })?;
    let (kind, _) = identity::identify(&document, &mut problems);
    let (value, _) = check::check(kind, &document, &mut problems);
    problems.finish()?;
    Ok(value)
}

fn unusable(reason: String) -> ConfigError {
    ConfigError { problems: vec![Problem::new(Position { line: 1, column: 1 }, "", reason)] }
}

/// Changes a value; nothing if there is no such place.
fn apply(value: &mut Value, steps: &[Step], edit: &Edit) -> Option<()> {
    match steps {
        [] => {
            match edit.action {
                EditAction::Set => *value = edit.value.clone(),
                EditAction::Append if value.is_null() => *value = Value::Array(vec![edit.value.clone()]),
                EditAction::Append => value.as_array_mut()?.push(edit.value.clone()),
            }
            Some(())
        }
        [Step::Index(place), rest @ ..] => apply(value.as_array_mut()?.get_mut(*place)?, rest, edit),
        [Step::Key(key), rest @ ..] => {
            if value.is_null() {
                *value = Value::Object(Map::new());
            }
            let fields = value.as_object_mut()?;
            if rest.is_empty() && edit.action == EditAction::Set && edit.value == "" {
                fields.remove(key);
                return Some(());
            }
            apply(fields.entry(key.clone()).or_insert(Value::Null), rest, edit)
        }
    }
}

#[cfg(test)]
mod tests;
