//! The one pass over the tree that is driven by the schema: [`Checker`] turns a tree into a value that the types take.
//!
//! Key case is forgiven with a warning; unknown fields, duplicate keys, wrong kinds and missing fields are errors, all
//! of them found in one go. What a value means is not its business.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Number, Value};

use super::hints;
use super::problem::{Position, Problem, Problems};
use super::schema::{DocumentKind, alternatives, fields, takes, takes_anything};
use super::tree::{Content, Entry, Node, Scalar, ScalarKind};
use crate::reference::{Repository, Tag};

/// Where the values of a document stand, by path, and which of them stand in for something that was reported.
#[derive(Debug, Default)]
pub(super) struct Places {
    positions: BTreeMap<String, Position>,
    broken: BTreeSet<String>,
}

impl Places {
    /// Returns where a value stands.
    pub(super) fn get(&self, path: &str) -> Option<Position> {
        self.positions.get(path).copied()
    }

    /// Returns where a value stands, or what it is missing from.
    pub(super) fn nearest(&self, path: &str) -> Position {
        ancestry(path).find_map(|path| self.get(path)).unwrap_or_default()
    }

    /// Answers whether a value, or one that it is a part of, was reported already and says nothing.
    pub(super) fn is_broken(&self, path: &str) -> bool {
        ancestry(path).any(|path| self.broken.contains(path))
    }
}

/// Returns a path, what it is a part of, and so on up to the document.
fn ancestry(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| match path.rfind(['.', '[']) {
        Some(end) => Some(&path[..end]),
        None => (!path.is_empty()).then_some(""),
    })
}

pub(super) struct Checker<'a> {
    kind: DocumentKind,
    root: &'static Value,
    problems: &'a mut Problems,
    places: Places,
}

/// Checks a document and returns it in the form of its schema, with the places of its values.
///
/// What cannot be used is reported and replaced by something empty of the right kind, so that the rest can be looked at.
pub(super) fn check(kind: DocumentKind, document: &Node, problems: &mut Problems) -> (Value, Places) {
    let root = kind.schema();
    let mut checker = Checker { kind, root, problems, places: Places::default() };
    let value = checker.value(document, root, "");
    (value, checker.places)
}

impl Checker<'_> {
    fn error(&mut self, at: Position, path: &str, message: impl Into<String>, hint: Option<String>) {
        let problem = Problem { hint, ..Problem::new(at, path, message) };
        self.problems.error(problem);
    }

    /// Reports a value that cannot be used.
    fn broken(
        &mut self,
        at: Position,
        path: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Value {
        self.error(at, path, message, hint);
        self.places.broken.insert(path.to_owned());
        Value::Null
    }

    /// Returns the value in the form of its schema; null for one that cannot be used.
    fn value(&mut self, node: &Node, schema: &Value, path: &str) -> Value {
        self.places.positions.insert(path.to_owned(), node.at);
        let root = self.root;
        let options = alternatives(root, schema);
        if options.iter().any(|option| takes_anything(option)) {
            return self.anything(node, path);
        }
        match &node.content {
            Content::Mapping(entries) => match options.iter().find(|o| takes(o, "object")) {
                Some(object) => self.mapping(node.at, entries, object, path),
                None => self.wrong_kind(node, &options, path),
            },
            Content::List(items) => match options.iter().find_map(|o| o.get("items")) {
                Some(schema) => self.list(items, schema, path),
                None => self.wrong_kind(node, &options, path),
            },
            Content::Scalar(scalar) => match self.scalar(node.at, scalar, &options, path) {
                Some(value) => value,
                None => self.wrong_kind(node, &options, path),
            },
        }
    }

    fn list(&mut self, items: &[Node], schema: &Value, path: &str) -> Value {
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let value = if item.is_null() {
                let hint = "remove the `-`, or write the entry behind it".to_owned();
                self.broken(item.at, &path, "the entry is empty", Some(hint))
            } else {
                self.value(item, schema, &path)
            };
            // An entry stays an entry, so that the ones behind it keep their numbers.
            values.push(if value.is_null() { stand_in(self.root, schema) } else { value });
        }
        Value::Array(values)
    }

    fn mapping(&mut self, at: Position, entries: &[Entry], object: &Value, path: &str) -> Value {
        let none = Map::new();
        let known = fields(&[object]).unwrap_or(&none);
        // What the keys of an open mapping are is the user's affair, their case too.
        let open = object.get("additionalProperties").filter(|schema| schema.is_object());
        let mut values = Map::new();
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        for entry in entries {
            let name = match open {
                Some(_) => Some(entry.key.clone()),
                None => self.field_name(entry, known, path),
            };
            if let Some(line) =
                seen.insert(name.clone().unwrap_or_else(|| entry.key.clone()), entry.key_at.line)
            {
                self.duplicate(entry, path, line);
                continue;
            }
            let Some(name) = name else { continue };
            let below = join(path, &name);
            match known.get(&name).or(open) {
                Some(_) if is_identity(path, &name) => {
                    values.insert(name, entry.value.text().unwrap_or_default().into());
                }
                Some(_) if entry.value.is_null() => {
                    self.places.positions.insert(below, entry.key_at);
                }
                Some(schema) => {
                    let value = self.value(&entry.value, schema, &below);
                    if !(value.is_null() || value == "" && is_optional(schema)) {
                        values.insert(name, value);
                    }
                }
                None => {}
            }
        }
        self.missing(at, entries, object, &mut values, path);
        Value::Object(values)
    }

    /// Returns the field that a key stands for; one that stands for none is reported.
    fn field_name(&mut self, entry: &Entry, known: &Map<String, Value>, path: &str) -> Option<String> {
        if known.contains_key(&entry.key) {
            return Some(entry.key.clone());
        }
        let Some(name) = known.keys().find(|name| name.eq_ignore_ascii_case(&entry.key)) else {
            let hint = hints::unknown_field(self.kind, self.root, path, &entry.key, known);
            let below = join(path, &entry.key);
            self.error(entry.key_at, &below, format!("unknown field `{}`", entry.key), Some(hint));
            return None;
        };
        let problem =
            Problem::new(entry.key_at, join(path, name), format!("`{}` is read as `{name}`", entry.key));
        self.problems.warn(problem.with_hint(format!("write `{name}`")));
        Some(name.clone())
    }

    fn duplicate(&mut self, entry: &Entry, path: &str, first: u32) {
        let message = format!("`{}` is given twice, first in line {first}", entry.key);
        let hint = "put everything under one of them and remove the other".to_owned();
        self.error(entry.key_at, &join(path, &entry.key), message, Some(hint));
    }

    fn missing(
        &mut self,
        at: Position,
        entries: &[Entry],
        object: &Value,
        values: &mut Map<String, Value>,
        path: &str,
    ) {
        let required = object.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            let written = entries.iter().find(|entry| entry.key.eq_ignore_ascii_case(name));
            if !is_identity(path, name) {
                self.required(at, entries, (name, written), values.get(name), path);
            }
            if !values.contains_key(name) {
                let schema = object.pointer(&format!("/properties/{name}")).unwrap_or(&Value::Null);
                values.insert(name.to_owned(), stand_in(self.root, schema));
            }
        }
    }

    /// Reports a field that must be there and is not, or is empty.
    fn required(
        &mut self,
        at: Position,
        entries: &[Entry],
        (name, written): (&str, Option<&Entry>),
        value: Option<&Value>,
        path: &str,
    ) {
        let below = join(path, name);
        let empty = value.is_some_and(|value| value == "");
        match written {
            // An empty section asks for nothing; only its absence is a mistake.
            None if path.is_empty() => self.no_sections(at, entries, name),
            Some(_) if path.is_empty() => {}
            None => {
                self.broken(at, &below, format!("`{name}` is missing"), Some(fill_in(name)));
            }
            Some(entry) if entry.value.is_null() => {
                self.broken(entry.key_at, &below, format!("`{name}` is empty"), Some(fill_in(name)));
            }
            Some(entry) if empty => {
                self.broken(entry.value.at, &below, format!("`{name}` is empty"), Some(fill_in(name)));
            }
            // Whatever else was written was reported where it stands.
            Some(_) => {}
        }
    }

    fn no_sections(&mut self, at: Position, entries: &[Entry], name: &str) {
        // Where they stand under another key, that key has been reported.
        if !entries.iter().any(|entry| hints::holds_sections(&entry.key)) {
            let hint = format!("put what to {name} under `{name}:`");
            self.error(at, "", format!("there is no `{name}` section"), Some(hint));
        }
    }

    /// Returns the value of a scalar, or nothing if it is of the wrong kind.
    fn scalar(&mut self, at: Position, scalar: &Scalar, options: &[&Value], path: &str) -> Option<Value> {
        let text = scalar.text.as_str();
        let of_type = |kind: &str| options.iter().copied().find(|option| takes(option, kind));
        match scalar.kind {
            ScalarKind::Bool if of_type("boolean").is_some() => {
                Some(Value::Bool(text.eq_ignore_ascii_case("true")))
            }
            ScalarKind::Integer if of_type("integer").is_some() => Some(self.integer(at, text, path)),
            ScalarKind::Text if of_type("string").is_some() => Some(self.text(at, text, options, path)),
            ScalarKind::Text if of_type("boolean").is_some() && scalar.plain => {
                let value = old_boolean(text)?;
                let problem = Problem::new(at, path, format!("`{text}` is read as `{value}`"));
                self.problems.warn(problem.with_hint(format!("write `{value}`")));
                Some(Value::Bool(value))
            }
            _ => None,
        }
    }

    fn integer(&mut self, at: Position, text: &str, path: &str) -> Value {
        match text.strip_prefix('+').unwrap_or(text).parse::<u32>() {
            Ok(number) => Value::Number(number.into()),
            Err(_) => {
                let hint = "write a number such as `4`".to_owned();
                let message = format!("`{text}` is not a whole number from 0 to {}", u32::MAX);
                self.broken(at, path, message, Some(hint))
            }
        }
    }

    fn text(&mut self, at: Position, text: &str, options: &[&Value], path: &str) -> Value {
        let words: Vec<&str> = options.iter().flat_map(|option| words(option)).collect();
        if !words.is_empty() {
            return self.word(at, text, &words, path);
        }
        let format = options.iter().find_map(|option| option.get("format")).and_then(Value::as_str);
        let verdict = match format {
            Some(_) if text.is_empty() => None,
            Some("oci-repository") => text.parse::<Repository>().err(),
            Some("oci-tag") => text.parse::<Tag>().err(),
            Some("oci-repository-and-tag") => match text.split_once(':') {
                Some((path, tag)) => path.parse::<Repository>().err().or(tag.parse::<Tag>().err()),
                None => text.parse::<Repository>().err(),
            },
            _ => None,
        };
        if let Some(error) = verdict {
            let hint = hints::target(format.unwrap_or_default(), text);
            let message = format!("`{}` cannot be used: {}", error.text, error.reason);
            return self.broken(at, path, message, Some(hint));
        }
        text.into()
    }

    /// Takes one of the words of an enumeration.
    fn word(&mut self, at: Position, text: &str, words: &[&str], path: &str) -> Value {
        let Some(word) = words.iter().find(|word| word.eq_ignore_ascii_case(text)) else {
            let list = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
            let hint = hints::closest(text, words.iter().copied()).unwrap_or_else(|| format!("write {list}"));
            return self.broken(at, path, format!("`{text}` is not {list}"), Some(hint));
        };
        if *word != text {
            let problem = Problem::new(at, path, format!("`{text}` is read as `{word}`"));
            self.problems.warn(problem.with_hint(format!("write `{word}`")));
        }
        (*word).into()
    }

    /// Takes a value whose form is not ours to judge.
    fn anything(&mut self, node: &Node, path: &str) -> Value {
        match &node.content {
            Content::Scalar(scalar) => free_scalar(scalar),
            Content::List(items) => {
                let values = items.iter().enumerate();
                values.map(|(index, item)| self.anything(item, &format!("{path}[{index}]"))).collect()
            }
            Content::Mapping(entries) => {
                let mut values = Map::new();
                let mut lines = BTreeMap::new();
                for entry in entries {
                    if let Some(first) = lines.insert(&entry.key, entry.key_at.line) {
                        self.duplicate(entry, path, first);
                    }
                    let value = self.anything(&entry.value, &join(path, &entry.key));
                    values.insert(entry.key.clone(), value);
                }
                Value::Object(values)
            }
        }
    }

    fn wrong_kind(&mut self, node: &Node, options: &[&Value], path: &str) -> Value {
        let mut expected: Vec<&str> = Vec::new();
        for (kind, words) in [
            ("object", "a mapping"),
            ("array", "a list"),
            ("string", "text"),
            ("boolean", "`true` or `false`"),
            ("integer", "a whole number"),
        ] {
            if options.iter().any(|option| takes(option, kind)) {
                expected.push(words);
            }
        }
        let message = format!("expected {}, found {}", expected.join(" or "), found(node));
        self.broken(node.at, path, message, hints::wrong_kind(node, options, path))
    }
}

/// Returns the path of a field.
fn join(path: &str, field: &str) -> String {
    match path {
        "" => field.to_owned(),
        _ => format!("{path}.{field}"),
    }
}

fn fill_in(name: &str) -> String {
    format!("write `{name}: …`")
}

/// Returns something empty that the types take in place of a value that cannot be used.
fn stand_in(root: &Value, schema: &Value) -> Value {
    let options = alternatives(root, schema);
    let Some(option) = options.iter().copied().find(|option| !takes(option, "null")) else {
        return Value::Null;
    };
    if let Some(word) = words(option).first() {
        return (*word).into();
    }
    match option.get("type").and_then(Value::as_str) {
        Some("string") => "".into(),
        Some("boolean") => false.into(),
        Some("integer") => 0.into(),
        Some("array") => Value::Array(Vec::new()),
        Some("object") => {
            let required = option.get("required").and_then(Value::as_array).into_iter().flatten();
            let fields = required.filter_map(Value::as_str).map(|name| {
                let field = option.pointer(&format!("/properties/{name}")).unwrap_or(&Value::Null);
                (name.to_owned(), stand_in(root, field))
            });
            Value::Object(fields.collect())
        }
        _ => Value::Null,
    }
}

/// Answers whether a field says what a document is, which was looked at before anything else.
fn is_identity(path: &str, name: &str) -> bool {
    path.is_empty() && matches!(name, "kind" | "apiVersion")
}

/// Answers whether a field may be left out, so that an empty text says the same as none.
fn is_optional(schema: &Value) -> bool {
    takes(schema, "null")
}

/// Returns the words that an enumeration has.
fn words(schema: &Value) -> Vec<&str> {
    let only = schema.get("const").and_then(Value::as_str);
    let several = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    several.filter_map(Value::as_str).chain(only).collect()
}

/// Reads the booleans that YAML 1.1 had besides `true` and `false`; the predecessors' parser knows them.
fn old_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "on" => Some(true),
        "n" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn free_scalar(scalar: &Scalar) -> Value {
    let text = scalar.text.strip_prefix('+').unwrap_or(&scalar.text);
    let number = match scalar.kind {
        ScalarKind::Null => return Value::Null,
        ScalarKind::Bool => return Value::Bool(text.eq_ignore_ascii_case("true")),
        ScalarKind::Text => None,
        ScalarKind::Integer => {
            text.parse::<i64>().map(Number::from).or(text.parse::<u64>().map(Number::from)).ok()
        }
        ScalarKind::Float => text.parse::<f64>().ok().and_then(Number::from_f64),
    };
    number.map_or_else(|| scalar.text.clone().into(), Value::Number)
}

fn found(node: &Node) -> String {
    match &node.content {
        Content::Mapping(_) => "a mapping".to_owned(),
        Content::List(_) => "a list".to_owned(),
        Content::Scalar(scalar) => {
            let text: String = scalar.text.chars().take(80).collect();
            match scalar.kind {
                ScalarKind::Null => "nothing".to_owned(),
                ScalarKind::Bool => format!("`{text}`"),
                ScalarKind::Integer | ScalarKind::Float => format!("the number `{text}`"),
                ScalarKind::Text => format!("the text `{text}`"),
            }
        }
    }
}
