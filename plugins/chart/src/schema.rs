//! `values.schema.json`: values are checked before anything is rendered, as Helm does.
//!
//! JSON Schema of the drafts 4 to 2020-12. Validators that are kept up (`jsonschema`, `boon`) draw random numbers for their
//! tables, which a guest has not, and cannot be told not to. What is different from theirs: `format` and `content…` decide
//! nothing, and no other document is read: a schema that refers to one is not applied, and says so.

use std::collections::BTreeSet;

use oc_mirror_go_template::{Budget, Failure, Map, Value};
use regex_lite::Regex;
use serde_json::Value as Json;

use crate::chart::Chart;
use crate::error::{ChartError, Misfit};

/// How deep schemas and values may be.
const MAX_DEPTH: usize = 128;
/// How many misfits are told of one chart.
const MOST: usize = 10;

/// Checks the values of a chart and of the charts in it. Returns why schemas were not applied.
pub(crate) fn check(chart: &Chart, values: &Map, budget: &Budget) -> Result<Vec<String>, ChartError> {
    let (mut misfits, mut passed_over) = (Vec::new(), Vec::new());
    check_below(chart, values, chart.name(), budget, &mut misfits, &mut passed_over)?;
    if misfits.is_empty() { Ok(passed_over) } else { Err(ChartError::Schema(misfits)) }
}

fn check_below(
    chart: &Chart,
    values: &Map,
    path: &str,
    budget: &Budget,
    misfits: &mut Vec<Misfit>,
    passed_over: &mut Vec<String>,
) -> Result<(), ChartError> {
    if let Some(text) = &chart.schema {
        let schema = serde_json::from_str::<Json>(text);
        let schema = schema.map_err(|error| Stop::NotApplied(format!("it is not JSON: {error}")));
        let values = Value::Map(values.clone());
        match schema.and_then(|schema| apply(&schema, &json(&values, budget, 0)?, budget)) {
            Ok(found) => misfits.extend(found.into_iter().take(MOST).map(|(at, what)| Misfit {
                chart: path.to_owned(),
                at,
                what,
            })),
            Err(Stop::NotApplied(why)) => {
                passed_over
                    .push(format!("the schema of the values of chart `{path}` was not applied: {why}"));
            }
            Err(Stop::Failure(failure)) => return Err(failure.into()),
        }
    }
    for inner in &chart.dependencies {
        if let Some(Value::Map(values)) = values.get(inner.name()) {
            let path = format!("{path}/{}", inner.name());
            check_below(inner, &values, &path, budget, misfits, passed_over)?;
        }
    }
    Ok(())
}

/// Values as JSON has them: numbers without a fraction are integers.
fn json(value: &Value, budget: &Budget, depth: usize) -> Result<Json, Stop> {
    budget.step()?;
    if depth > MAX_DEPTH {
        return Err(Stop::too_deep());
    }
    Ok(match value {
        Value::Nil => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(number) | Value::Int64(number) => Json::from(*number),
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => Json::from(*number as i64),
        Value::Float(number) => Json::from(*number),
        Value::Text(text) => Json::String(text.to_string()),
        Value::List(list) => {
            let items = list.items().iter().map(|item| json(item, budget, depth + 1));
            Json::Array(items.collect::<Result<_, _>>()?)
        }
        Value::Map(map) => {
            let entries = map.entries().into_iter();
            let entries = entries.map(|(key, value)| Ok((key.to_string(), json(&value, budget, depth + 1)?)));
            Json::Object(entries.collect::<Result<_, Stop>>()?)
        }
        Value::Object(object) => json(&object.plain(), budget, depth + 1)?,
    })
}

/// Why there is no answer.
#[derive(Debug)]
enum Stop {
    /// The schema cannot be applied.
    NotApplied(String),
    /// A limit was reached.
    Failure(Failure),
}

impl Stop {
    fn too_deep() -> Self {
        Self::NotApplied("it or the values are nested too deeply".to_owned())
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// Where a value does not fit, as a JSON pointer, and why.
type Found = Vec<(String, String)>;

fn apply(schema: &Json, values: &Json, budget: &Budget) -> Result<Found, Stop> {
    let dialect = schema.get("$schema").and_then(Json::as_str).unwrap_or("2020-12");
    let is_old = ["draft-04", "draft-06", "draft-07"].iter().any(|draft| dialect.contains(draft));
    if !is_old
        && !["2019-09", "2020-12"].iter().any(|draft| dialect.contains(draft))
        && !dialect.ends_with("json-schema.org/schema#")
    {
        return Err(Stop::NotApplied(format!("`{dialect}` is none of the drafts 4 to 2020-12")));
    }
    let checker = Checker { budget, document: schema, is_old };
    let mut found = Vec::new();
    checker.check(&Scope { schema, base: schema, depth: 0 }, values, "", &mut found)?;
    Ok(found)
}

struct Checker<'a> {
    budget: &'a Budget,
    document: &'a Json,
    /// Whether what stands beside a `$ref` counts for nothing.
    is_old: bool,
}

/// A schema, and the resource that it is in: that of the nearest `$id`.
#[derive(Clone, Copy)]
struct Scope<'a> {
    schema: &'a Json,
    base: &'a Json,
    depth: usize,
}

/// What of a value a schema has spoken of.
#[derive(Default)]
struct Seen {
    keys: BTreeSet<String>,
    items: BTreeSet<usize>,
}

impl Seen {
    fn add(&mut self, other: Seen) {
        self.keys.extend(other.keys);
        self.items.extend(other.items);
    }
}

impl<'a> Scope<'a> {
    fn of(&self, schema: &'a Json) -> Self {
        Self { schema, base: self.base, depth: self.depth + 1 }
    }

    fn key(&self, key: &str) -> Option<&'a Json> {
        self.schema.get(key)
    }

    fn sub(&self, key: &str) -> Option<Self> {
        self.key(key).filter(|s| s.is_object() || s.is_boolean()).map(|schema| self.of(schema))
    }

    fn subs(&self, key: &str) -> Vec<Self> {
        self.key(key).and_then(Json::as_array).into_iter().flatten().map(|schema| self.of(schema)).collect()
    }

    fn named(&self, key: &str) -> Vec<(&'a str, Self)> {
        let entries = self.key(key).and_then(Json::as_object).into_iter().flatten();
        entries.map(|(name, schema)| (name.as_str(), self.of(schema))).collect()
    }

    fn count(&self, key: &str) -> Option<usize> {
        let number = self.key(key)?.as_f64()?;
        Some(number as usize)
    }
}

impl<'a> Checker<'a> {
    /// Adds what does not fit, and returns what the schema has spoken of.
    fn check(&self, scope: &Scope<'a>, value: &Json, at: &str, found: &mut Found) -> Result<Seen, Stop> {
        self.budget.step()?;
        if scope.depth > MAX_DEPTH {
            return Err(Stop::too_deep());
        }
        let mut scope = *scope;
        let mut seen = Seen::default();
        let schema = match scope.schema {
            Json::Bool(true) => return Ok(seen),
            Json::Bool(false) => {
                found.push((at.to_owned(), "no value is allowed here".to_owned()));
                return Ok(seen);
            }
            Json::Object(schema) => schema,
            _ => return Err(Stop::NotApplied("a part of it is no schema".to_owned())),
        };
        let id = scope.key("$id").or(scope.key("id")).and_then(Json::as_str);
        if id.is_some_and(|id| !id.starts_with('#')) && !(self.is_old && schema.contains_key("$ref")) {
            scope.base = scope.schema;
        }
        for word in ["$ref", "$dynamicRef", "$recursiveRef"] {
            if let Some(reference) = scope.key(word).and_then(Json::as_str) {
                let there = self.resolve(&scope, reference)?;
                seen.add(self.check(&there, value, at, found)?);
                if self.is_old {
                    return Ok(seen);
                }
            }
        }
        self.plain(&scope, value, at, found);
        match value {
            Json::String(text) => self.text(&scope, text, at, found)?,
            Json::Number(number) => numbers(&scope, number.as_f64().unwrap_or(f64::NAN), at, found),
            Json::Array(items) => self.items(&scope, items, at, found, &mut seen)?,
            Json::Object(entries) => self.entries(&scope, entries, at, found, &mut seen)?,
            _ => {}
        }
        self.combined(&scope, value, at, found, &mut seen)?;
        self.unevaluated(&scope, value, at, found, &mut seen)?;
        Ok(seen)
    }

    /// Answers whether a value fits, and what the schema has spoken of if so.
    fn fits(&self, scope: &Scope<'a>, value: &Json) -> Result<Option<Seen>, Stop> {
        let mut found = Vec::new();
        let seen = self.check(scope, value, "", &mut found)?;
        Ok(found.is_empty().then_some(seen))
    }

    fn resolve(&self, scope: &Scope<'a>, reference: &str) -> Result<Scope<'a>, Stop> {
        let missing = || {
            Stop::NotApplied(format!(
                "it refers to `{}`, which is not in it",
                reference.chars().take(200).collect::<String>()
            ))
        };
        let (resource, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let base = match resource {
            "" => scope.base,
            name => resource_of(self.document, name, 0).ok_or_else(missing)?,
        };
        let schema = match fragment {
            "" => Some(base),
            pointer if pointer.starts_with('/') => base.pointer(&unescaped(pointer)),
            anchor => anchored(base, anchor, 0),
        };
        Ok(Scope { schema: schema.ok_or_else(missing)?, base, depth: scope.depth + 1 })
    }

    fn plain(&self, scope: &Scope<'a>, value: &Json, at: &str, found: &mut Found) {
        let types: Vec<&str> = match scope.key("type") {
            Some(Json::String(one)) => vec![one.as_str()],
            Some(Json::Array(all)) => all.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        };
        if !types.is_empty() && !types.iter().any(|name| is_of(value, name)) {
            found.push((at.to_owned(), format!("got {}, want {}", type_of(value), types.join(" or "))));
        }
        if let Some(all) = scope.key("enum").and_then(Json::as_array)
            && !all.iter().any(|one| is_same(one, value))
        {
            let listed = all.iter().take(MOST).map(ToString::to_string).collect::<Vec<_>>().join(", ");
            found.push((at.to_owned(), format!("it is none of {listed}")));
        }
        if let Some(only) = scope.key("const").filter(|only| !is_same(only, value)) {
            found.push((at.to_owned(), format!("it is not {only}")));
        }
    }

    fn text(&self, scope: &Scope<'a>, text: &str, at: &str, found: &mut Found) -> Result<(), Stop> {
        let length = text.chars().count();
        between(scope, ("minLength", "maxLength"), length, "characters", at, found);
        if let Some(pattern) = scope.key("pattern").and_then(Json::as_str)
            && !compiled(pattern)?.is_match(text)
        {
            found.push((at.to_owned(), format!("it does not match `{pattern}`")));
        }
        Ok(())
    }

    fn items(
        &self,
        scope: &Scope<'a>,
        items: &[Json],
        at: &str,
        found: &mut Found,
        seen: &mut Seen,
    ) -> Result<(), Stop> {
        between(scope, ("minItems", "maxItems"), items.len(), "items", at, found);
        if scope.key("uniqueItems") == Some(&Json::Bool(true)) {
            for (place, item) in items.iter().enumerate() {
                for other in &items[..place] {
                    self.budget.step()?;
                    if is_same(item, other) {
                        found.push((format!("{at}/{place}"), "it is there twice".to_owned()));
                        break;
                    }
                }
            }
        }
        // A list under `items` is what `prefixItems` is in newer drafts.
        let is_list = scope.key("items").is_some_and(Json::is_array);
        let (first, rest) = match is_list {
            true => (scope.subs("items"), scope.sub("additionalItems")),
            false => (scope.subs("prefixItems"), scope.sub("items")),
        };
        for (place, item) in items.iter().enumerate() {
            if let Some(schema) = first.get(place).or(rest.as_ref()) {
                self.check(schema, item, &format!("{at}/{place}"), found)?;
                seen.items.insert(place);
            }
        }
        if let Some(schema) = scope.sub("contains") {
            let mut count = 0;
            for (place, item) in items.iter().enumerate() {
                if self.fits(&schema, item)?.is_some() {
                    count += 1;
                    seen.items.insert(place);
                }
            }
            let least = scope.count("minContains").unwrap_or(1);
            if count < least || scope.count("maxContains").is_some_and(|most| count > most) {
                found.push((at.to_owned(), format!("{count} of its items are as `contains` wants them")));
            }
        }
        Ok(())
    }

    fn entries(
        &self,
        scope: &Scope<'a>,
        entries: &serde_json::Map<String, Json>,
        at: &str,
        found: &mut Found,
        seen: &mut Seen,
    ) -> Result<(), Stop> {
        between(scope, ("minProperties", "maxProperties"), entries.len(), "keys", at, found);
        let required = scope.key("required").and_then(Json::as_array).into_iter().flatten();
        let missing: Vec<String> = required
            .filter_map(Json::as_str)
            .filter(|key| !entries.contains_key(*key))
            .map(|key| format!("`{key}`"))
            .collect();
        if !missing.is_empty() {
            found.push((at.to_owned(), format!("{} is missing", missing.join(", "))));
        }
        let mut known = BTreeSet::new();
        for (key, schema) in scope.named("properties") {
            if let Some(value) = entries.get(key) {
                self.check(&schema, value, &below(at, key), found)?;
                known.insert(key);
            }
        }
        for (pattern, schema) in scope.named("patternProperties") {
            let pattern = compiled(pattern)?;
            for (key, value) in entries.iter().filter(|(key, _)| pattern.is_match(key)) {
                self.check(&schema, value, &below(at, key), found)?;
                known.insert(key);
            }
        }
        seen.keys.extend(known.iter().map(|key| (*key).to_owned()));
        if let Some(schema) = scope.sub("additionalProperties") {
            for (key, value) in entries.iter().filter(|(key, _)| !known.contains(key.as_str())) {
                match schema.schema {
                    Json::Bool(false) => found.push((below(at, key), "there is no such key".to_owned())),
                    _ => {
                        self.check(&schema, value, &below(at, key), found)?;
                    }
                }
                seen.keys.insert(key.clone());
            }
        }
        if let Some(schema) = scope.sub("propertyNames") {
            for key in entries.keys() {
                self.check(&schema, &Json::String(key.clone()), &below(at, key), found)?;
            }
        }
        for (key, needed) in ["dependencies", "dependentRequired", "dependentSchemas"]
            .into_iter()
            .flat_map(|word| scope.named(word))
            .filter(|(key, _)| entries.contains_key(*key))
        {
            let Json::Array(keys) = needed.schema else {
                seen.add(self.check(&needed, &Json::Object(entries.clone()), at, found)?);
                continue;
            };
            for other in keys.iter().filter_map(Json::as_str).filter(|other| !entries.contains_key(*other)) {
                found.push((at.to_owned(), format!("`{key}` is there, and `{other}` is missing")));
            }
        }
        Ok(())
    }

    fn combined(
        &self,
        scope: &Scope<'a>,
        value: &Json,
        at: &str,
        found: &mut Found,
        seen: &mut Seen,
    ) -> Result<(), Stop> {
        for schema in scope.subs("allOf") {
            seen.add(self.check(&schema, value, at, found)?);
        }
        for word in ["anyOf", "oneOf"] {
            let schemas = scope.subs(word);
            if schemas.is_empty() {
                continue;
            }
            let mut count = 0;
            for schema in &schemas {
                if let Some(more) = self.fits(schema, value)? {
                    count += 1;
                    seen.add(more);
                }
            }
            match (word, count) {
                (_, 0) => found.push((at.to_owned(), format!("it fits nothing of `{word}`"))),
                ("oneOf", 2..) => found.push((at.to_owned(), "it fits more than one of `oneOf`".to_owned())),
                _ => {}
            }
        }
        if let Some(schema) = scope.sub("not")
            && self.fits(&schema, value)?.is_some()
        {
            found.push((at.to_owned(), "it fits what is under `not`".to_owned()));
        }
        if let Some(condition) = scope.sub("if") {
            let held = self.fits(&condition, value)?;
            let word = if held.is_some() { "then" } else { "else" };
            seen.add(held.unwrap_or_default());
            if let Some(schema) = scope.sub(word) {
                seen.add(self.check(&schema, value, at, found)?);
            }
        }
        Ok(())
    }

    fn unevaluated(
        &self,
        scope: &Scope<'a>,
        value: &Json,
        at: &str,
        found: &mut Found,
        seen: &mut Seen,
    ) -> Result<(), Stop> {
        if let (Some(schema), Json::Object(entries)) = (scope.sub("unevaluatedProperties"), value) {
            for (key, value) in entries.iter().filter(|(key, _)| !seen.keys.contains(*key)) {
                self.check(&schema, value, &below(at, key), found)?;
            }
            seen.keys.extend(entries.keys().cloned());
        }
        if let (Some(schema), Json::Array(items)) = (scope.sub("unevaluatedItems"), value) {
            for (place, item) in items.iter().enumerate().filter(|(place, _)| !seen.items.contains(place)) {
                self.check(&schema, item, &format!("{at}/{place}"), found)?;
            }
            seen.items.extend(0..items.len());
        }
        Ok(())
    }
}

fn between(
    scope: &Scope<'_>,
    (least, most): (&str, &str),
    count: usize,
    what: &str,
    at: &str,
    found: &mut Found,
) {
    if let Some(least) = scope.count(least).filter(|least| count < *least) {
        found.push((at.to_owned(), format!("it has {count} {what}, and at least {least} are wanted")));
    }
    if let Some(most) = scope.count(most).filter(|most| count > *most) {
        found.push((at.to_owned(), format!("it has {count} {what}, and at most {most} are wanted")));
    }
}

fn numbers(scope: &Scope<'_>, number: f64, at: &str, found: &mut Found) {
    let limit = |key: &str| scope.key(key).and_then(Json::as_f64);
    // In draft 4 `exclusiveMinimum` says of `minimum` that it is no longer allowed itself.
    let is_open = |key: &str| scope.key(key) == Some(&Json::Bool(true));
    let rules = [
        (limit("minimum"), if is_open("exclusiveMinimum") { ">" } else { ">=" }),
        (limit("exclusiveMinimum"), ">"),
        (limit("maximum"), if is_open("exclusiveMaximum") { "<" } else { "<=" }),
        (limit("exclusiveMaximum"), "<"),
    ];
    for (limit, sign) in rules {
        let Some(limit) = limit else { continue };
        let fits = match sign {
            ">" => number > limit,
            ">=" => number >= limit,
            "<" => number < limit,
            _ => number <= limit,
        };
        if !fits {
            found.push((at.to_owned(), format!("got {number}, want {sign} {limit}")));
        }
    }
    if let Some(step) = limit("multipleOf").filter(|step| *step > 0.0) {
        let parts = number / step;
        // Decimal fractions are not exact.
        if (parts - parts.round()).abs() > 1e-9 * parts.abs().max(1.0) {
            found.push((at.to_owned(), format!("{number} is no multiple of {step}")));
        }
    }
}

fn compiled(pattern: &str) -> Result<Regex, Stop> {
    Regex::new(pattern).map_err(|error| Stop::NotApplied(format!("the pattern `{pattern}`: {error}")))
}

/// Finds the part of a document that has this `$id`, as it is written.
fn resource_of<'a>(schema: &'a Json, name: &str, depth: usize) -> Option<&'a Json> {
    search(schema, depth, &|part| {
        let id = part.get("$id").or(part.get("id")).and_then(Json::as_str);
        id.is_some_and(|id| id.trim_end_matches('#') == name)
    })
}

fn anchored<'a>(schema: &'a Json, anchor: &str, depth: usize) -> Option<&'a Json> {
    search(schema, depth, &|part| {
        let is_it = |key: &str| part.get(key).and_then(Json::as_str) == Some(anchor);
        // Up to draft 7 it was an `$id` of a fragment only.
        let id = part.get("$id").or(part.get("id")).and_then(Json::as_str);
        is_it("$anchor") || is_it("$dynamicAnchor") || id.and_then(|id| id.strip_prefix('#')) == Some(anchor)
    })
}

fn search<'a>(schema: &'a Json, depth: usize, is_it: &dyn Fn(&Json) -> bool) -> Option<&'a Json> {
    if depth > MAX_DEPTH {
        return None;
    }
    match schema {
        Json::Object(_) if is_it(schema) => Some(schema),
        Json::Object(parts) => parts.values().find_map(|part| search(part, depth + 1, is_it)),
        Json::Array(parts) => parts.iter().find_map(|part| search(part, depth + 1, is_it)),
        _ => None,
    }
}

/// A JSON pointer in a URL has `%25` for a percent sign.
fn unescaped(pointer: &str) -> String {
    let mut bytes = Vec::with_capacity(pointer.len());
    let mut rest = pointer;
    while let Some(at) = rest.find('%') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        match rest.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[at + 3..];
            }
            None => {
                bytes.push(b'%');
                rest = &rest[at + 1..];
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

fn below(at: &str, key: &str) -> String {
    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn type_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

fn is_of(value: &Json, name: &str) -> bool {
    match (name, value) {
        ("integer", Json::Number(number)) => number.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => type_of(value) == name,
    }
}

/// Numbers are the same if they mean the same: `1` and `1.0`.
fn is_same(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(one), Json::Number(other)) => one.as_f64() == other.as_f64(),
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Json::Object(one), Json::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| is_same(one, other)))
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn applied(schema: &str, values: &str) -> Result<Vec<String>, String> {
        let read = |text: &str| serde_json::from_str::<Json>(text).expect("JSON");
        match apply(&read(schema), &read(values), &Budget::default()) {
            Ok(found) => Ok(found.into_iter().map(|(at, what)| format!("{at}: {what}")).collect()),
            Err(Stop::NotApplied(why)) => Err(why),
            Err(Stop::Failure(failure)) => Err(failure.to_string()),
        }
    }

    const OLD: &str = "\"$schema\": \"http://json-schema.org/draft-07/schema#\"";

    #[rstest]
    #[case(r#"{"type": "object"}"#, "{}", true)]
    #[case(r#"{"type": ["string", "null"]}"#, "1", false)]
    #[case(r#"{"type": "integer"}"#, "1.0", true)]
    #[case(r#"{"type": "integer"}"#, "1.5", false)]
    #[case(r#"{"type": "number"}"#, "1", true)]
    #[case(r#"{"enum": ["a", 1]}"#, "1.0", true)]
    #[case(r#"{"const": {"a": [1]}}"#, r#"{"a": [1.0]}"#, true)]
    #[case(r#"{"required": ["a"]}"#, r#"{"b": 1}"#, false)]
    #[case(r#"{"required": ["a"]}"#, "[]", true)]
    #[case(r#"{"properties": {"a": {"minLength": 2}}}"#, r#"{"a": "é"}"#, false)]
    #[case(
        r#"{"patternProperties": {"^x-": {"type": "string"}}, "additionalProperties": false}"#,
        r#"{"x-a": "b"}"#,
        true
    )]
    #[case(r#"{"patternProperties": {"^x-": true}, "additionalProperties": false}"#, r#"{"y": 1}"#, false)]
    #[case(r#"{"propertyNames": {"pattern": "^[a-z]+$"}}"#, r#"{"A": 1}"#, false)]
    #[case(r#"{"items": {"type": "string"}}"#, r#"["a", 1]"#, false)]
    #[case(r#"{"prefixItems": [{"type": "string"}], "items": false}"#, r#"["a", 1]"#, false)]
    #[case(r#"{"items": [{"type": "string"}], "additionalItems": {"type": "number"}}"#, r#"["a", 1]"#, true)]
    #[case(r#"{"uniqueItems": true}"#, "[1, 1.0]", false)]
    #[case(r#"{"contains": {"const": 1}, "maxContains": 1}"#, "[1, 1]", false)]
    #[case(r#"{"minimum": 1, "exclusiveMaximum": 2}"#, "2", false)]
    #[case(r#"{"minimum": 1, "exclusiveMinimum": true}"#, "1", false)]
    #[case(r#"{"multipleOf": 0.01}"#, "1.1", true)]
    #[case(r#"{"multipleOf": 2}"#, "3", false)]
    #[case(r#"{"minProperties": 1}"#, "{}", false)]
    #[case(r#"{"allOf": [{"type": "string"}, {"maxLength": 1}]}"#, r#""ab""#, false)]
    #[case(r#"{"anyOf": [{"type": "string"}, {"type": "null"}]}"#, "null", true)]
    #[case(r#"{"oneOf": [{"type": "number"}, {"minimum": 1}]}"#, "2", false)]
    #[case(r#"{"not": {"type": "string"}}"#, r#""a""#, false)]
    #[case(
        r#"{"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": false}"#,
        r#"{"a": 1}"#,
        false
    )]
    #[case(r#"{"if": {"required": ["a"]}, "then": {"required": ["b"]}}"#, "{}", true)]
    #[case(r#"{"dependentRequired": {"a": ["b"]}}"#, r#"{"a": 1}"#, false)]
    #[case(r#"{"dependencies": {"a": {"required": ["b"]}}}"#, r#"{"a": 1}"#, false)]
    #[case(r##"{"$defs": {"x/y": {"type": "string"}}, "$ref": "#/$defs/x~1y"}"##, "1", false)]
    #[case(
        r##"{"$defs": {"x": {"$anchor": "it", "type": "string"}}, "properties": {"a": {"$ref": "#it"}}}"##,
        r#"{"a": 1}"#,
        false
    )]
    #[case(r##"{"$defs": {"x": {"$id": "https://e.example/x", "$defs": {"y": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/y"}}}}, "$ref": "https://e.example/x"}"##, r#"{"a": 1}"#, false)]
    #[case(
        r##"{"properties": {"next": {"$ref": "#"}}, "additionalProperties": false}"##,
        r#"{"next": {"next": {"x": 1}}}"#,
        false
    )]
    #[case(
        r##"{"allOf": [{"properties": {"a": true}}], "unevaluatedProperties": false}"##,
        r#"{"a": 1}"#,
        true
    )]
    #[case(
        r##"{"allOf": [{"properties": {"a": true}}], "unevaluatedProperties": false}"##,
        r#"{"b": 1}"#,
        false
    )]
    #[case(r##"{"prefixItems": [true], "unevaluatedItems": false}"##, "[1, 2]", false)]
    #[case("true", "1", true)]
    #[case("false", "1", false)]
    fn keywords(#[case] schema: &str, #[case] values: &str, #[case] fits: bool) {
        let found = applied(schema, values).expect("a schema");
        assert_eq!(found.is_empty(), fits, "{found:?}");
    }

    #[test]
    fn what_stands_beside_a_reference_counts_since_2019() {
        let parts = r##""definitions": {"a": true}, "$ref": "#/definitions/a", "type": "string""##;
        assert_eq!(applied(&format!("{{{parts}}}"), "1"), Ok(vec![": got number, want string".to_owned()]));
        assert_eq!(applied(&format!("{{{OLD}, {parts}}}"), "1"), Ok(vec![]));
    }

    #[rstest]
    #[case(
        r#"{"$ref": "https://e.example/x.json"}"#,
        "it refers to `https://e.example/x.json`, which is not in it"
    )]
    #[case(r##"{"$ref": "#/$defs/none"}"##, "it refers to `#/$defs/none`")]
    #[case(r#"{"$schema": "https://e.example/mine"}"#, "`https://e.example/mine` is none of the drafts")]
    #[case(r#"{"pattern": "(?=a)"}"#, "the pattern `(?=a)`")]
    #[case(r#"{"properties": {"a": 1}}"#, "a part of it is no schema")]
    #[case(r##"{"$ref": "#"}"##, "nested too deeply")]
    fn schemas_that_cannot_be_applied(#[case] schema: &str, #[case] why: &str) {
        let values = if schema.contains("properties") { r#"{"a": 1}"# } else { r#""a""# };
        let why_not = applied(schema, values).expect_err("no answer");
        assert!(why_not.contains(why), "{why_not}");
    }
}
