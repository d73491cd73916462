//! Checks settings against the JSON Schema that a plugin carries, before any of its code runs.

use serde_json::Value;

use crate::error::SettingsProblem;
use crate::text::{MESSAGE, clean};

/// A list beyond this length helps nobody.
const MAX_PROBLEMS: usize = 20;

/// Returns what the schema finds wrong with the settings; an error if the schema itself is invalid.
///
/// No settings at all count as an empty object, which is how a configuration without `config` reads. A schema
/// cannot refer to other documents: there is nothing here that would fetch them.
pub(crate) fn check(schema: &Value, settings: &Value) -> Result<Vec<SettingsProblem>, String> {
    let validator = jsonschema::validator_for(schema).map_err(|e| clean(&e.to_string(), MESSAGE))?;
    let empty = Value::Object(serde_json::Map::new());
    let settings = if settings.is_null() { &empty } else { settings };
    let problems = validator.iter_errors(settings).take(MAX_PROBLEMS).map(|error| SettingsProblem {
        path: in_words(error.instance_path().as_str(), settings),
        code: "schema".to_owned(),
        message: clean(&error.to_string(), MESSAGE),
    });
    Ok(problems.collect())
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
    use serde_json::json;

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
        assert!(check(&json!({"type": 7}), &Value::Null).is_err());
        assert!(check(&json!({"$ref": "https://example.com/x.json"}), &Value::Null).is_err());
    }
}
