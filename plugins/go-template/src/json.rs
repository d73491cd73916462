//! JSON as Go's `encoding/json` reads and writes it.

use std::fmt::Write as _;

use crate::budget::Budget;
use crate::failure::Failure;
use crate::number;
use crate::value::{MAX_DEPTH, Value};

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// On one line, with `<`, `>` and `&` escaped: `toJson`.
    Compact,
    /// On one line: `toRawJson`.
    Raw,
    /// With indentation, and escaped: `toPrettyJson`.
    Pretty,
}

/// Reads a document; the error says what is wrong with it.
pub(crate) fn read(text: &str) -> Result<Value, String> {
    serde_json::from_str::<serde_json::Value>(text).map(from_json).map_err(|e| e.to_string())
}

fn from_json(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(value) => Value::Bool(value),
        serde_json::Value::Number(number) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(text) => Value::text(text),
        serde_json::Value::Array(items) => Value::list(items.into_iter().map(from_json)),
        serde_json::Value::Object(entries) => {
            Value::map(entries.into_iter().map(|(key, value)| (key, from_json(value))))
        }
    }
}

/// Writes a document.
pub(crate) fn write(value: &Value, style: Style, budget: &Budget) -> Result<String, Failure> {
    let mut writer = Writer { out: String::new(), style, budget };
    writer.value(value, 0)?;
    Ok(writer.out)
}

struct Writer<'a> {
    out: String,
    style: Style,
    budget: &'a Budget,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Failure> {
        self.budget.step()?;
        if depth > MAX_DEPTH {
            return Err(Failure::too_deep());
        }
        match value {
            Value::Nil => self.out.push_str("null"),
            Value::Bool(value) => self.put(format_args!("{value}")),
            Value::Int(number) | Value::Int64(number) => self.put(format_args!("{number}")),
            Value::Float(number) if !number.is_finite() => {
                return Err(Failure::fault(format!(
                    "json: unsupported value: {}",
                    number::shortest(*number)
                )));
            }
            Value::Float(number) => self.out.push_str(&number::json(*number)),
            Value::Text(text) => self.text(text)?,
            Value::List(list) => {
                self.all('[', list.items(), ']', depth, |writer, item, depth| writer.value(item, depth))?
            }
            Value::Map(map) => self.all('{', &map.entries(), '}', depth, |writer, (key, item), depth| {
                writer.text(key)?;
                writer.out.push_str(if writer.style == Style::Pretty { ": " } else { ":" });
                writer.value(item, depth)
            })?,
            Value::Object(object) => self.value(&object.plain(), depth + 1)?,
        }
        Ok(())
    }

    fn all<T>(
        &mut self,
        open: char,
        items: &[T],
        close: char,
        depth: usize,
        mut write: impl FnMut(&mut Self, &T, usize) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.out.push(open);
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                self.out.push(',');
            }
            self.new_line(depth + 1)?;
            write(self, item, depth + 1)?;
        }
        if !items.is_empty() {
            self.new_line(depth)?;
        }
        self.out.push(close);
        Ok(())
    }

    fn new_line(&mut self, depth: usize) -> Result<(), Failure> {
        if self.style == Style::Pretty {
            self.budget.bytes(1 + 2 * depth)?;
            self.put(format_args!("\n{:width$}", "", width = 2 * depth));
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.budget.bytes(text.len() + 2)?;
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\x08' => self.out.push_str("\\b"),
                '\x0c' => self.out.push_str("\\f"),
                '<' | '>' | '&' if self.style != Style::Raw => self.put(format_args!("\\u{:04x}", c as u32)),
                '\u{2028}' | '\u{2029}' => self.put(format_args!("\\u{:04x}", c as u32)),
                c if (c as u32) < 0x20 => self.put(format_args!("\\u{:04x}", c as u32)),
                c => self.out.push(c),
            }
        }
        self.out.push('"');
        Ok(())
    }

    fn put(&mut self, arguments: std::fmt::Arguments<'_>) {
        self.out.write_fmt(arguments).expect("a string takes it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_written_as_go_writes_them() {
        let value = read(r#"{"b": [1, 2.5, 1e6, 1e21, null, true], "a": "<&>\u0001", "c": {}, "d": []}"#)
            .expect("JSON");
        let write = |style| write(&value, style, &Budget::default()).expect("no limit");
        assert_eq!(
            write(Style::Compact),
            r#"{"a":"\u003c\u0026\u003e\u0001","b":[1,2.5,1000000,1e+21,null,true],"c":{},"d":[]}"#
        );
        assert!(write(Style::Raw).contains(r#""a":"<&>\u0001""#));
        assert_eq!(
            write(Style::Pretty),
            "{\n  \"a\": \"\\u003c\\u0026\\u003e\\u0001\",\n  \"b\": [\n    1,\n    2.5,\n    1000000,\n    1e+21,\n    \
             null,\n    true\n  ],\n  \"c\": {},\n  \"d\": []\n}"
        );
        assert!(read("{").is_err());
    }
}
