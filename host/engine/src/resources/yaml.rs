//! Documents as text, their keys in order of the alphabet.

use serde_json::{Map, Value};

/// Returns one document, without `---`.
pub(super) fn document(value: &Value) -> String {
    let mut text = serde_saphyr::to_string(&sorted(value)).expect("maps with text for keys serialise");
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// Whether maps keep the order in which they are filled depends on who else uses `serde_json`; this does not.
pub(super) fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<(&String, &Value)> = map.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            let fields = fields.into_iter().map(|(key, value)| (key.clone(), sorted(value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}
