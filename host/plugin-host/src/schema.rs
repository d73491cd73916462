//! Checks settings against the JSON Schema that a plugin carries, before any of its code runs.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use oc_mirror_model::config::closest;
use serde_json::Value;

use crate::error::SettingsProblem;
use crate::text::{MESSAGE, clean};

/// A list beyond this length helps nobody.
const MAX_PROBLEMS: usize = 20;
/// A longer value says nothing in a message.
const SHOWN: usize = 80;

/// Returns what the schema finds wrong with the settings; an error if the schema itself is invalid.
///
/// No settings at all count as an empty object, which is how a configuration without `config` reads. A schema
/// cannot refer to other documents: there is nothing here that would fetch them.
pub(crate) fn check(schema: &Value, settings: &Value) -> Result<Vec<SettingsProblem>, String> {
    let validator = jsonschema::validator_for(schema).map_err(|e| clean(&e.to_string(), MESSAGE))?;
    let empty = Value::Object(serde_json::Map::new());
    let settings = if settings.is_null() { &empty } else { settings };
    let mut problems = Vec::new();
    for error in validator.iter_errors(settings).take(MAX_PROBLEMS) {
        let path = in_words(error.instance_path().as_str(), settings);
        describe(&error, &path, schema, &mut problems);
    }
    problems.truncate(MAX_PROBLEMS);
    Ok(problems)
}

/// Says one thing that is wrong as the rest of a configuration's mistakes are told, key by key.
fn describe(error: &ValidationError<'_>, path: &str, schema: &Value, problems: &mut Vec<SettingsProblem>) {
    let is_unknown =
        matches!(error.kind(), Kind::AdditionalProperties { .. } | Kind::UnevaluatedProperties { .. });
    let mut tell = |path: String, message: String, hint: Option<String>| {
        let code = if is_unknown { "schema.unknown" } else { "schema" };
        let hint = hint.map(|hint| clean(&hint, MESSAGE));
        let message = clean(&message, MESSAGE);
        problems.push(SettingsProblem { path, code: code.to_owned(), message, hint });
    };
    match error.kind() {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let known = properties(schema, error);
            for key in unexpected {
                let list = || {
                    let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
                    (!names.is_empty()).then(|| format!("known here: {}", names.join(", ")))
                };
                let hint = closest(key, known.iter().copied()).or_else(list);
                tell(join(path, key), format!("unknown field `{key}`"), hint);
            }
        }
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let hint = format!("write `{name}: …`");
            tell(join(path, name), format!("`{name}` is missing"), Some(hint));
        }
        Kind::Type { kind } => {
            let wanted = match kind {
                TypeKind::Single(one) => called(&one.to_string()),
                TypeKind::Multiple(several) => {
                    let mut words: Vec<String> = several.iter().map(|one| called(&one.to_string())).collect();
                    words.sort_by_key(|word| word == "nothing");
                    words.join(" or ")
                }
            };
            let message = format!("expected {wanted}, found {}", found(error.instance()));
            tell(path.to_owned(), message, None);
        }
        Kind::Enum { options } => {
            let words: Vec<&str> =
                options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let list = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
            let text = error.instance().as_str().map_or_else(|| error.instance().to_string(), str::to_owned);
            let hint = closest(&text, words.iter().copied()).or_else(|| Some(format!("write {list}")));
            tell(path.to_owned(), format!("`{}` is not {list}", shortened(&text)), hint);
        }
        Kind::AnyOf { .. } | Kind::OneOfNotValid { .. } if alternatives(schema, error).is_some() => {
            let names = alternatives(schema, error).unwrap_or_default();
            let list = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
            let hint = names.first().map(|name| format!("write `{name}: …`"));
            tell(path.to_owned(), format!("{list} is missing"), hint);
        }
        Kind::MinLength { .. } if error.instance().as_str() == Some("") => {
            tell(path.to_owned(), "it is empty".to_owned(), None);
        }
        Kind::Pattern { pattern } => {
            let text = error.instance().as_str().unwrap_or_default();
            tell(
                path.to_owned(),
                format!("`{}` does not match `{pattern}`", shortened(text)),
                meaning(schema, error),
            );
        }
        _ => tell(path.to_owned(), error.to_string(), meaning(schema, error)),
    }
}

/// Returns the names of the properties that the part of the schema knows which was not satisfied.
fn properties<'s>(schema: &'s Value, error: &ValidationError<'_>) -> Vec<&'s str> {
    let part = part(schema, error).and_then(|part| part.get("properties")).and_then(Value::as_object);
    part.map(|properties| properties.keys().map(String::as_str).collect()).unwrap_or_default()
}

/// Returns what the schema says that a value is for.
fn meaning(schema: &Value, error: &ValidationError<'_>) -> Option<String> {
    part(schema, error)?.get("description")?.as_str().map(str::to_owned)
}

/// Returns the part of the schema whose keyword was not satisfied.
fn part<'s>(schema: &'s Value, error: &ValidationError<'_>) -> Option<&'s Value> {
    let keyword = error.schema_path().as_str();
    schema.pointer(keyword.rsplit_once('/')?.0)
}

/// Returns the properties one of which there has to be, if that is what the schema says.
fn alternatives<'s>(schema: &'s Value, error: &ValidationError<'_>) -> Option<Vec<&'s str>> {
    let ways = schema.pointer(error.schema_path().as_str())?.as_array()?;
    let needs = |way: &'s Value| match way.get("required")?.as_array()?.as_slice() {
        [only] if way.as_object()?.len() == 1 => only.as_str(),
        _ => None,
    };
    ways.iter().map(needs).collect()
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn called(kind: &str) -> String {
    match kind {
        "string" => "text",
        "array" => "a list",
        "object" => "a mapping",
        "boolean" => "`true` or `false`",
        "integer" => "a whole number",
        "number" => "a number",
        "null" => "nothing",
        other => other,
    }
    .to_owned()
}

fn found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(_) | Value::Number(_) => format!("`{value}`"),
        Value::String(text) => format!("the text `{}`", shortened(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Writes a JSON pointer as plugins name their settings, and people do: `rules[0].name`.
fn in_words(pointer: &str, settings: &Value) -> String {
    let (mut words, mut at) = (String::new(), Some(settings));
    for part in pointer.split('/').skip(1) {
        let key = part.replace("~1", "/").replace("~0", "~");
        match at {
            Some(Value::Array(items)) => {
                words.push_str(&format!("[{key}]"));
                at = key.parse::<usize>().ok().and_then(|number| items.get(number));
            }
            other => {
                let dot = if words.is_empty() { "" } else { "." };
                words.push_str(&format!("{dot}{key}"));
                at = other.and_then(|value| value.get(&key));
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case(json!({"mode": "sofft"}), "mode", "`sofft` is not `soft` or `hard`", Some("did you mean `soft`?"))]
    #[case(json!({"mode": "x", "count": 1}), "mode", "`x` is not `soft` or `hard`", Some("write `soft` or `hard`"))]
    #[case(json!({"count": "1"}), "count", "expected a whole number or nothing, found the text `1`", None)]
    #[case(json!({"rules": [{"name": ""}]}), "rules[0].name", "it is empty", None)]
    #[case(json!({"rules": [{}]}), "rules[0].name", "`name` is missing", Some("write `name: …`"))]
    #[case(json!({"rules": [{"name": "a", "nmae": 1}]}), "rules[0].nmae", "unknown field `nmae`", Some("did you mean `name`?"))]
    #[case(json!({"rules": [{"name": "a", "zzz": 1}]}), "rules[0].zzz", "unknown field `zzz`", Some("known here: `name`"))]
    #[case(json!({"rules": {}}), "rules", "expected a list, found a mapping", None)]
    #[case(json!({"size": "2 apples"}), "size", "`2 apples` does not match `^[0-9]+$`", Some("How many."))]
    #[case(json!({"either": {}}), "either", "`a` or `b` is missing", Some("write `a: …`"))]
    #[case(json!({"low": 0}), "low", "0 is less than the minimum of 1", None)]
    fn what_is_wrong_is_told_as_of_the_rest_of_a_configuration(
        #[case] settings: Value,
        #[case] path: &str,
        #[case] message: &str,
        #[case] hint: Option<&str>,
    ) {
        let schema = json!({
            "type": "object", "additionalProperties": false,
            "properties": {
                "mode": {"enum": ["soft", "hard"]},
                "count": {"type": ["integer", "null"]},
                "size": {"type": "string", "pattern": "^[0-9]+$", "description": "How many."},
                "low": {"type": "integer", "minimum": 1},
                "either": {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
                "rules": {"type": "array", "items": {"$ref": "#/$defs/rule"}},
            },
            "$defs": {"rule": {
                "type": "object", "additionalProperties": false, "required": ["name"],
                "properties": {"name": {"type": "string", "minLength": 1}},
            }},
        });
        let problems = check(&schema, &settings).expect("a valid schema");
        let told = (problems[0].path.as_str(), problems[0].message.as_str(), problems[0].hint.as_deref());
        assert_eq!(told, (path, message, hint));
    }

    #[test]
    fn problems_say_where() {
        let schema = json!({
            "type": "object", "required": ["images"], "additionalProperties": false,
            "properties": {"images": {"type": "array", "items": {"type": "string"}}}
        });
        assert_eq!(check(&schema, &json!({"images": ["a"]})), Ok(vec![]));
        let problems = check(&schema, &json!({"images": ["a", 1]})).expect("a valid schema");
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].path, "images[1]");
        assert!(check(&schema, &Value::Null).expect("a valid schema")[0].message.contains("images"));
        let settings = json!({"rules": [{"a/b": 1}]});
        assert_eq!(in_words("/rules/0/a~1b", &settings), "rules[0].a/b");
        assert_eq!(in_words("", &settings), "");
        let settings = json!({"imagse": [], "images": ["x"]});
        let problem = &check(&schema, &settings).expect("a valid schema")[0];
        assert_eq!((problem.path.as_str(), problem.message.as_str()), ("imagse", "unknown field `imagse`"));
        assert_eq!(problem.hint.as_deref(), Some("did you mean `images`?"));
        assert!(check(&json!({"type": 7}), &Value::Null).is_err());
        assert!(check(&json!({"$ref": "https://example.com/x.json"}), &Value::Null).is_err());
    }
}
