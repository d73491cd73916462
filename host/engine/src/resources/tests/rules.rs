//! Rules of definitions, `x-kubernetes-validations`, evaluated as an API server does it.

use std::sync::Arc;

use cel::extractors::This;
use cel::{Context, Env, Value as CelValue};
use regex::Regex;
use serde_json::Value;

const RULES: &str = "x-kubernetes-validations";

/// A rule that a value breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// Where the value is, as a path in the object.
    pub(super) path: String,
    /// What the definition says of it.
    pub(super) message: String,
}

/// Returns what in `value` breaks rules of its schema.
pub(super) fn broken(schema: &Value, value: &Value) -> Vec<Broken> {
    let mut found = Vec::new();
    walk(schema, value, "", &mut found);
    found
}

/// Returns the messages of all rules below a schema, in order of the fields.
pub(super) fn messages(schema: &Value) -> Vec<String> {
    let own = schema[RULES].as_array().into_iter().flatten();
    let own = own.map(|rule| rule["message"].as_str().expect("text").to_owned());
    let below = schema["properties"].as_object().into_iter().flat_map(|fields| fields.values());
    let below = below.chain(schema.get("items")).flat_map(messages);
    own.chain(below).collect()
}

fn walk(schema: &Value, value: &Value, path: &str, found: &mut Vec<Broken>) {
    for rule in schema[RULES].as_array().into_iter().flatten() {
        let text = rule["rule"].as_str().expect("a rule is text");
        assert!(!text.contains("oldSelf"), "rules about changes are not evaluated: {text}");
        if !holds(text, value) {
            let message = rule["message"].as_str().unwrap_or(text).to_owned();
            found.push(Broken { path: path.to_owned(), message });
        }
    }
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let of_all = schema.get("additionalProperties").filter(|s| s.is_object());
                if let Some(schema) = schema["properties"].get(name).or(of_all) {
                    walk(schema, value, &format!("{path}/{name}"), found);
                }
            }
        }
        Value::Array(items) => {
            for (number, value) in items.iter().enumerate() {
                walk(&schema["items"], value, &format!("{path}/{number}"), found);
            }
        }
        _ => {}
    }
}

/// Evaluates a rule with the functions on text that Kubernetes adds to the language.
fn holds(rule: &str, value: &Value) -> bool {
    let env = Arc::new(Env::stdlib());
    let program = env.compile(rule).unwrap_or_else(|e| panic!("`{rule}`: {e}"));
    let mut context = Context::with_env(env);
    context
        .add_function("find", |This(text): This<Arc<String>>, pattern: Arc<String>| {
            let pattern = Regex::new(&pattern).expect("a pattern of a definition");
            Arc::new(pattern.find(&text).map_or(String::new(), |found| found.as_str().to_owned()))
        })
        .expect("a new function");
    context
        .add_function("substring", |This(text): This<Arc<String>>, start: i64| {
            let start = usize::try_from(start).expect("an index");
            Arc::new(text.chars().skip(start).collect::<String>())
        })
        .expect("a new function");
    context.add_variable("self", value).expect("a value");
    match program.execute(&context) {
        Ok(CelValue::Bool(holds)) => holds,
        other => panic!("`{rule}` is {other:?} of {value}"),
    }
}

#[test]
fn rules_are_evaluated() {
    let schema = serde_json::json!({
        "properties": { "list": { "items": { "properties": { "name": {
            RULES: [
                { "rule": "self.find('[0-9]+').substring(1).size() < 3", "message": "short" },
                { "rule": "self.matches('^[a-z0-9]+$') && self != ''", "message": "plain" },
            ],
        } } } } },
        RULES: [{ "rule": "has(self.list) ? !has(self.other) : true", "message": "one of two" }],
    });
    assert_eq!(messages(&schema), ["one of two", "short", "plain"]);
    let value =
        serde_json::json!({ "list": [{ "name": "a12" }, { "name": "a1234" }, { "name": "A" }], "other": 1 });
    let found: Vec<String> =
        broken(&schema, &value).iter().map(|b| format!("{} {}", b.path, b.message)).collect();
    assert_eq!(found, [" one of two", "/list/1/name short", "/list/2/name plain"]);
    assert!(broken(&schema, &serde_json::json!({ "list": [{ "name": "b" }] })).is_empty());
}
