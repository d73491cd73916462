//! TOML as `BurntSushi/toml` reads and writes it: `fromToml`, `toToml`.

use std::fmt::Write as _;
use std::rc::Rc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use toml_datetime::{Datetime, Offset};

use super::dates::{self, Time};
use super::{Function, exactly};
use crate::budget::Budget;
use crate::failure::Failure;
use crate::number;
use crate::value::{MAX_DEPTH, Map, Object, Value};

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name {
        // Helm answers with a dictionary in any case: what is wrong with the document is in it.
        "fromToml" => exactly(1, |_, a| {
            Ok(read(a.text(0)?).unwrap_or_else(|error| Value::map([("Error", Value::from(error))])))
        }),
        "toToml" => exactly(1, |i, a| {
            if a.any(0).is_nil() {
                return Err(a.wrong_type(0, "a value"));
            }
            let mut writer = Writer { out: String::new(), budget: i.budget() };
            match writer.top(a.any(0)) {
                Ok(()) => Ok(writer.out.into()),
                Err(NotWritten::Failure(failure)) => Err(failure),
                // What is wrong stands in the place of the document, as in Helm.
                Err(NotWritten::Toml(why)) => Ok(format!("toml: {why}").into()),
            }
        }),
        _ => return None,
    })
}

fn read(text: &str) -> Result<Value, String> {
    let at = |span: Option<std::ops::Range<usize>>, why: &str| {
        let before = text.get(..span.map_or(0, |span| span.start)).unwrap_or(text);
        format!("toml: line {}: {why}", before.matches('\n').count() + 1)
    };
    let table = DeTable::parse(text).map_err(|error| at(error.span(), error.message()))?;
    from_table(table.get_ref()).map_err(|(span, why)| at(Some(span), &why))
}

/// Where something is wrong, and what.
type Fault = (std::ops::Range<usize>, String);

fn from_table(table: &DeTable<'_>) -> Result<Value, Fault> {
    let entries = table.iter().map(|(key, value)| Ok((&**key.get_ref(), from_value(value)?)));
    Ok(Value::Map(entries.collect::<Result<Map, Fault>>()?))
}

fn from_value(value: &Spanned<DeValue<'_>>) -> Result<Value, Fault> {
    Ok(match value.get_ref() {
        DeValue::String(text) => Value::text(&**text),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Int64(number),
            Err(_) => return Err((value.span(), format!("{number} is out of range for int64"))),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Value::Float(number),
            Err(_) => return Err((value.span(), format!("{number} is not a number"))),
        },
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(time) => Value::Object(Rc::new(TomlTime::new(*time))),
        DeValue::Array(items) => Value::List(items.iter().map(from_value).collect::<Result<_, Fault>>()?),
        DeValue::Table(table) => from_table(table)?,
    })
}

/// A date, a time, or both, with or without an offset. What is missing is that of the first day of the year 0.
#[derive(Debug)]
struct TomlTime {
    written: Datetime,
    /// The clock as it was written.
    clock: Time,
    /// Seconds that it is ahead of UTC.
    ahead: i64,
}

impl TomlTime {
    fn new(written: Datetime) -> Self {
        let (year, month, day) =
            written.date.map_or((0, 1, 1), |d| (d.year.into(), d.month.into(), d.day.into()));
        let seconds = written.time.map_or(0, |t| {
            i64::from(t.hour) * 3600 + i64::from(t.minute) * 60 + i64::from(t.second.unwrap_or(0))
        });
        let ahead = match written.offset {
            Some(Offset::Custom { minutes }) => i64::from(minutes) * 60,
            Some(Offset::Z) | None => 0,
        };
        Self { written, clock: Time(dates::days_of(year, month, day) * 86_400 + seconds), ahead }
    }

    fn instant(&self) -> Time {
        Time(self.clock.0 - self.ahead)
    }

    /// The parts of a second, with the point, if there are any.
    fn fraction(&self) -> String {
        match self.written.time.and_then(|time| time.nanosecond) {
            None | Some(0) => String::new(),
            Some(nanoseconds) => format!(".{nanoseconds:09}").trim_end_matches('0').to_owned(),
        }
    }

    fn offset(&self, colon: &str) -> String {
        let minutes = self.ahead.abs() / 60;
        let sign = if self.ahead < 0 { '-' } else { '+' };
        format!("{sign}{:02}{colon}{:02}", minutes / 60, minutes % 60)
    }
}

impl Object for TomlTime {
    fn type_name(&self) -> &'static str {
        "time.Time"
    }

    fn member(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, Failure>> {
        match name {
            "Unix" | "UnixNano" | "UTC" => self.instant().member(name, arguments),
            "Nanosecond" => {
                let nanoseconds = self.written.time.and_then(|time| time.nanosecond).unwrap_or(0);
                Some(Ok(Value::Int(nanoseconds.into())))
            }
            "String" => Some(Ok(self.text().into())),
            _ => self.clock.member(name, arguments),
        }
    }

    fn text(&self) -> String {
        let zone = match (self.written.date, self.written.time, self.written.offset) {
            (_, _, Some(_)) if self.ahead == 0 => "UTC".to_owned(),
            (_, _, Some(_)) => self.offset(""),
            (Some(_), Some(_), None) => "datetime-local".to_owned(),
            (Some(_), None, None) => "date-local".to_owned(),
            (None, ..) => "time-local".to_owned(),
        };
        let clock = self.clock.format("2006-01-02 15:04:05");
        format!("{clock}{} {} {zone}", self.fraction(), self.offset(""))
    }

    fn plain(&self) -> Value {
        let clock = self.clock.format("2006-01-02T15:04:05");
        let offset = if self.ahead == 0 { "Z".to_owned() } else { self.offset(":") };
        format!("{clock}{}{offset}", self.fraction()).into()
    }

    fn toml(&self) -> Option<String> {
        Some(self.written.to_string())
    }
}

/// Why a document is not written.
enum NotWritten {
    /// Execution ends.
    Failure(Failure),
    /// TOML has no such thing.
    Toml(String),
}

impl From<Failure> for NotWritten {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// Writes a document: in each table first what is plain, then the tables in it, sorted by key.
struct Writer<'a> {
    out: String,
    budget: &'a Budget,
}

impl Writer<'_> {
    fn put(&mut self, text: &str) -> Result<(), NotWritten> {
        self.budget.bytes(text.len())?;
        self.out.push_str(text);
        Ok(())
    }

    fn top(&mut self, value: &Value) -> Result<(), NotWritten> {
        match &documented(value) {
            Value::Map(map) => self.table(map, &mut Vec::new()),
            other => self.inline(other, 0),
        }
    }

    fn table(&mut self, map: &Map, path: &mut Vec<String>) -> Result<(), NotWritten> {
        if path.len() > MAX_DEPTH {
            return Err(Failure::too_deep().into());
        }
        let entries: Vec<_> =
            map.entries().into_iter().map(|(key, value)| (key, documented(&value))).collect();
        let indent = "  ".repeat(path.len());
        for (key, value) in entries.iter().filter(|(_, value)| !value.is_nil() && !is_tables(value)) {
            self.put(&format!("{indent}{} = ", name(key)))?;
            self.inline(value, 0)?;
            self.put("\n")?;
        }
        for (key, value) in entries.iter().filter(|(_, value)| is_tables(value)) {
            self.budget.step()?;
            path.push(name(key));
            let (indent, named) = ("  ".repeat(path.len() - 1), path.join("."));
            match value {
                Value::Map(map) => {
                    // An empty line stands between the outermost ones.
                    if path.len() == 1 && !self.out.is_empty() {
                        self.put("\n")?;
                    }
                    self.put(&format!("{indent}[{named}]\n"))?;
                    self.table(map, path)?;
                }
                _ => {
                    for map in value.as_list().unwrap_or_default().iter().filter_map(Value::as_map) {
                        self.budget.step()?;
                        if !self.out.is_empty() {
                            self.put("\n")?;
                        }
                        self.put(&format!("{indent}[[{named}]]\n"))?;
                        self.table(map, path)?;
                    }
                }
            }
            path.pop();
        }
        Ok(())
    }

    fn inline(&mut self, value: &Value, depth: usize) -> Result<(), NotWritten> {
        self.budget.step()?;
        if depth > MAX_DEPTH {
            return Err(Failure::too_deep().into());
        }
        let written = match value {
            Value::Nil => return Err(NotWritten::Toml("cannot encode array with nil element".to_owned())),
            Value::Bool(value) => value.to_string(),
            Value::Int(number) | Value::Int64(number) => number.to_string(),
            Value::Float(number) => float(*number),
            Value::Text(text) => quoted(text),
            Value::List(list) => {
                self.put("[")?;
                for (place, item) in list.items().iter().enumerate() {
                    self.put(if place == 0 { "" } else { ", " })?;
                    self.inline(&documented(item), depth + 1)?;
                }
                "]".to_owned()
            }
            Value::Map(map) => {
                self.put("{")?;
                let entries = map.entries().into_iter().filter(|(_, value)| !value.is_nil());
                for (place, (key, value)) in entries.enumerate() {
                    let comma = if place == 0 { "" } else { ", " };
                    self.put(&format!("{comma}{} = ", name(&key)))?;
                    self.inline(&documented(&value), depth + 1)?;
                }
                "}".to_owned()
            }
            Value::Object(object) => match object.toml() {
                Some(text) => text,
                None => return Err(NotWritten::Toml(format!("cannot encode {}", object.type_name()))),
            },
        };
        self.put(&written)
    }
}

/// What documents have of an object; those that TOML has a notation for stay what they are.
fn documented(value: &Value) -> Value {
    match value {
        Value::Object(object) if object.toml().is_none() => object.plain(),
        value => value.clone(),
    }
}

/// Answers whether it is written as a table of its own, or several.
fn is_tables(value: &Value) -> bool {
    let all = |items: &[Value]| !items.is_empty() && items.iter().all(|item| item.as_map().is_some());
    value.as_map().is_some() || value.as_list().is_some_and(all)
}

fn float(number: f64) -> String {
    match number {
        n if n.is_nan() => "nan".to_owned(),
        n if n.is_infinite() => if n > 0.0 { "inf" } else { "-inf" }.to_owned(),
        n => {
            let text = number::shortest(n);
            if text.contains(['.', 'e']) { text } else { text + ".0" }
        }
    }
}

fn name(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !key.is_empty() && key.chars().all(is_bare) { key.to_owned() } else { quoted(key) }
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_ascii_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
