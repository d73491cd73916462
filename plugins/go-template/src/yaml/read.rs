//! Reads YAML into values.

use std::collections::HashMap;
use std::rc::Rc;

use granit_parser::{Event, Parser, ScalarStyle, StrInput, Tag};

use super::plain::{Plain, resolve};
use crate::number;
use crate::value::{Map, Value};

/// The most nodes that a document may have, those counted that an alias stands for.
const MAX_NODES: usize = 2_000_000;

/// Reads the first document; nothing is read as [`Value::Nil`]. The error says where and what is wrong.
pub fn read(text: &str) -> Result<Value, String> {
    read_within(text, MAX_NODES)
}

/// Reads the first document, of at most so many nodes.
pub fn read_within(text: &str, nodes: usize) -> Result<Value, String> {
    let mut reader = Reader::new(text, nodes);
    Ok(reader.document()?.unwrap_or_default())
}

/// Reads all documents.
pub fn documents(text: &str) -> Result<Vec<Value>, String> {
    let mut reader = Reader::new(text, MAX_NODES);
    std::iter::from_fn(|| reader.document().transpose()).collect()
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Value>,
    nodes: usize,
    most: usize,
}

/// A collection that is being read.
struct Open {
    anchor: usize,
    kind: Collection,
}

enum Collection {
    List(Vec<Value>),
    Map { map: Map, key: Option<Key>, merges: Vec<Value> },
}

enum Key {
    Text(Rc<str>),
    Merge,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, most: usize) -> Self {
        Self { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0, most }
    }

    /// Reads the next document, if there is one.
    fn document(&mut self) -> Result<Option<Value>, String> {
        let mut open: Vec<Open> = Vec::new();
        let mut root = None;
        self.anchors.clear();
        while let Some(next) = self.parser.next_event() {
            let (event, span) = next.map_err(|e| e.to_string())?;
            let finished = match event {
                Event::Scalar(text, style, anchor, tag) => {
                    let is_key =
                        matches!(open.last(), Some(Open { kind: Collection::Map { key: None, .. }, .. }));
                    if is_key {
                        let key = key(&text, style, tag.as_deref())?;
                        if anchor > 0 {
                            self.anchors.insert(anchor, Value::text(&*text));
                        }
                        set_key(&mut open, key);
                        None
                    } else {
                        let value = scalar(&text, style, tag.as_deref());
                        Some((anchor, value.map_err(|e| format!("line {}: {e}", span.start.line()))?))
                    }
                }
                Event::SequenceStart(_, anchor, _) => {
                    no_key(&open)?;
                    open.push(Open { anchor, kind: Collection::List(Vec::new()) });
                    None
                }
                Event::MappingStart(_, anchor, _) => {
                    no_key(&open)?;
                    let kind = Collection::Map { map: Map::new(), key: None, merges: Vec::new() };
                    open.push(Open { anchor, kind });
                    None
                }
                Event::SequenceEnd | Event::MappingEnd => open.pop().map(close).transpose()?,
                Event::Alias(anchor) => {
                    let value = self.anchors.get(&anchor).cloned();
                    let value = value.ok_or_else(|| {
                        format!("line {}: an alias stands for what contains it", span.start.line())
                    })?;
                    let value = self.copy(&value)?;
                    match (open.last(), value.as_str()) {
                        (Some(Open { kind: Collection::Map { key: None, .. }, .. }), Some(text)) => {
                            let text = Rc::from(text);
                            set_key(&mut open, Key::Text(text));
                            None
                        }
                        _ => {
                            no_key(&open)?;
                            Some((0, value))
                        }
                    }
                }
                Event::DocumentEnd => return Ok(Some(root.unwrap_or_default())),
                Event::StreamEnd => break,
                _ => None,
            };
            self.count(1)?;
            let Some((anchor, value)) = finished else { continue };
            if anchor > 0 {
                self.anchors.insert(anchor, value.clone());
            }
            match open.last_mut() {
                Some(parent) => add(parent, value),
                None => root = Some(value),
            }
        }
        Ok(root)
    }

    fn count(&mut self, nodes: usize) -> Result<(), String> {
        self.nodes += nodes;
        match self.nodes > self.most {
            true => Err(format!("the document has more than {} nodes", self.most)),
            false => Ok(()),
        }
    }

    /// Each alias is a value of its own, as dictionaries can be changed.
    fn copy(&mut self, value: &Value) -> Result<Value, String> {
        self.count(1)?;
        Ok(match value {
            Value::List(list) => {
                let copies: Vec<Value> =
                    list.items().iter().map(|item| self.copy(item)).collect::<Result<_, _>>()?;
                Value::list(copies)
            }
            Value::Map(map) => {
                let copies: Vec<(Rc<str>, Value)> = map
                    .entries()
                    .into_iter()
                    .map(|(key, item)| Ok((key, self.copy(&item)?)))
                    .collect::<Result<_, String>>()?;
                Value::map(copies)
            }
            other => other.clone(),
        })
    }
}

fn set_key(open: &mut [Open], found: Key) {
    if let Some(Open { kind: Collection::Map { key, .. }, .. }) = open.last_mut() {
        *key = Some(found);
    }
}

/// A collection cannot be a key of JSON.
fn no_key(open: &[Open]) -> Result<(), String> {
    match open.last() {
        Some(Open { kind: Collection::Map { key: None, .. }, .. }) => {
            Err("a list or a dictionary is the key of a dictionary".to_owned())
        }
        _ => Ok(()),
    }
}

fn add(parent: &mut Open, value: Value) {
    match &mut parent.kind {
        Collection::List(items) => items.push(value),
        Collection::Map { map, key, merges } => match key.take() {
            Some(Key::Text(key)) => map.set(key, value),
            Some(Key::Merge) => merges.push(value),
            None => {}
        },
    }
}

fn close(open: Open) -> Result<(usize, Value), String> {
    let value = match open.kind {
        Collection::List(items) => Value::list(items),
        Collection::Map { map, merges, .. } => {
            for merge in merges {
                merge_into(&map, &merge)?;
            }
            Value::Map(map)
        }
    };
    Ok((open.anchor, value))
}

fn merge_into(map: &Map, merged: &Value) -> Result<(), String> {
    match merged {
        Value::Map(merged) => {
            for (key, value) in merged.entries() {
                if !map.contains(&key) {
                    map.set(key, value);
                }
            }
            Ok(())
        }
        Value::List(list) => list.items().iter().try_for_each(|item| match item {
            Value::Map(_) => merge_into(map, item),
            _ => Err("map merge requires map or sequence of maps as the value".to_owned()),
        }),
        _ => Err("map merge requires map or sequence of maps as the value".to_owned()),
    }
}

fn key(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Key, String> {
    let is_plain = style == ScalarStyle::Plain && tag.is_none();
    Ok(match (is_plain, resolve(text)) {
        (true, Plain::Merge) => Key::Merge,
        (true, Plain::Bool(value)) => Key::Text(value.to_string().into()),
        (true, Plain::Number(number)) => Key::Text(number::json(number).into()),
        (true, Plain::Null) => return Err("a key of a dictionary is null".to_owned()),
        _ => Key::Text(text.into()),
    })
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    let wrong = |what: &str| format!("`{}` is not {what}", text.chars().take(60).collect::<String>());
    let core = tag.and_then(|tag| tag.suffix_in_namespace("tag:yaml.org,2002:"));
    let plain = || match resolve(text) {
        Plain::Null => Value::Nil,
        Plain::Bool(value) => Value::Bool(value),
        Plain::Number(number) => Value::Float(number),
        Plain::Text | Plain::Time | Plain::Merge => Value::text(text),
    };
    match core.as_deref() {
        Some("str" | "timestamp") => Ok(Value::text(text)),
        Some("binary") => {
            use base64::Engine as _;
            let packed: String = text.split_whitespace().collect();
            let bytes = base64::prelude::BASE64_STANDARD.decode(packed).map_err(|_| wrong("base64"))?;
            Ok(Value::text(String::from_utf8_lossy(&bytes).into_owned()))
        }
        Some(kind @ ("int" | "float" | "bool" | "null")) => {
            let value = plain();
            let fits = match kind {
                "bool" => matches!(value, Value::Bool(_)),
                "null" => value.is_nil(),
                _ => matches!(value, Value::Float(_)),
            };
            if fits { Ok(value) } else { Err(wrong(&format!("of the type `!!{kind}`"))) }
        }
        _ if tag.is_none() && style == ScalarStyle::Plain => Ok(plain()),
        _ => Ok(Value::text(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;
    use crate::json::{self, Style};
    use rstest::rstest;

    #[rstest]
    #[case("", "null")]
    #[case("# nothing\n", "null")]
    #[case("a: 1\nb: [x, 'y', \"z\"]\n", r#"{"a":1,"b":["x","y","z"]}"#)]
    #[case("a: &x {b: 1}\nc: *x\n", r#"{"a":{"b":1},"c":{"b":1}}"#)]
    #[case("d: &d {a: 1, b: 2}\ne:\n  <<: *d\n  b: 3\n", r#"{"d":{"a":1,"b":2},"e":{"a":1,"b":3}}"#)]
    #[case("e:\n  b: 3\n  <<: [{a: 1}, {a: 2, c: 4}]\n", r#"{"e":{"a":1,"b":3,"c":4}}"#)]
    #[case("yes: no\n1: 2\n1.5: x\n", r#"{"1":2,"1.5":"x","true":false}"#)]
    #[case("'yes': !!str 1\n", r#"{"yes":"1"}"#)]
    #[case("a: |\n  x\n  y\nb: >-\n  x\n  y\n", r#"{"a":"x\ny\n","b":"x y"}"#)]
    #[case("a:\nb: ~\nc: ''\n", r#"{"a":null,"b":null,"c":""}"#)]
    #[case("a: 2020-01-01\n", r#"{"a":"2020-01-01"}"#)]
    #[case("a: 1\na: 2\n", r#"{"a":2}"#)]
    #[case("a: !!binary aGk=\n", r#"{"a":"hi"}"#)]
    fn documents_become_values(#[case] text: &str, #[case] expected: &str) {
        let value = read(text).expect("YAML");
        assert_eq!(json::write(&value, Style::Compact, &Budget::default()).expect("no limit"), expected);
    }

    #[rstest]
    #[case("a: [")]
    #[case("a: &x [*x]\n")]
    #[case("? [a]\n: b\n")]
    #[case("a: !!int x\n")]
    #[case("~: x\n")]
    #[case("a: b: c\n")]
    fn what_is_no_value(#[case] text: &str) {
        assert!(read(text).is_err());
    }

    #[test]
    fn aliases_cannot_be_made_a_bomb() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        assert!(read(&text).expect_err("a bomb").contains("more than"));
    }

    #[test]
    fn a_stream_has_several() {
        let documents = documents("a: 1\n---\n---\nb: 2\n...\n").expect("YAML");
        assert_eq!(documents.len(), 3);
    }
}
