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
        path: error.instance_path().to_string(),
        code: "schema".to_owned(),
        message: clean(&error.to_string(), MESSAGE),
    });
    Ok(problems.collect())
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
        assert_eq!(problems[0].path, "/images/1");
        assert!(check(&schema, &Value::Null).expect("a valid schema")[0].message.contains("images"));
        assert!(check(&json!({"type": 7}), &Value::Null).is_err());
        assert!(check(&json!({"$ref": "https://example.com/x.json"}), &Value::Null).is_err());
    }
}
