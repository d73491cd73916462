//! What `text/template` has itself. `and` and `or` are the interpreter's.

use std::cmp::Ordering;

use super::{Answer, Args, Function, at_least, exactly};
use crate::failure::Failure;
use crate::interpreter::Interpreter;
use crate::print;
use crate::value::Value;

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name {
        "not" => exactly(1, |_, a| Ok((!a.any(0).is_true()).into())),
        "eq" => at_least(2, |_, a| equal(a).map(Value::Bool)),
        "ne" => exactly(2, |_, a| Ok((!equal(a)?).into())),
        "lt" => exactly(2, |_, a| Ok((order(a)? == Ordering::Less).into())),
        "le" => exactly(2, |_, a| Ok((order(a)? != Ordering::Greater).into())),
        "gt" => exactly(2, |_, a| Ok((order(a)? == Ordering::Greater).into())),
        "ge" => exactly(2, |_, a| Ok((order(a)? != Ordering::Less).into())),
        "len" => exactly(1, length),
        "index" => at_least(1, index),
        "print" => at_least(0, |i, a| print::print_all(a.values, i.budget()).map(Value::from)),
        "println" => at_least(0, print_line),
        "printf" => {
            at_least(1, |i, a| print::printf(a.text(0)?, &a.values[1..], i.budget()).map(Value::from))
        }
        "html" => at_least(0, |i, a| escaped(i, a, html)),
        "js" => at_least(0, |i, a| escaped(i, a, javascript)),
        "urlquery" => at_least(0, |i, a| escaped(i, a, query)),
        "call" => {
            at_least(1, |_, a| Err(Failure::fault(format!("non-function of type {}", a.any(0).type_name()))))
        }
        _ => return None,
    })
}

#[derive(PartialEq, Eq)]
enum Basic {
    Bool,
    Int,
    Float,
    Text,
    Other,
}

fn basic(value: &Value) -> Basic {
    match value {
        Value::Bool(_) => Basic::Bool,
        Value::Int(_) | Value::Int64(_) => Basic::Int,
        Value::Float(_) => Basic::Float,
        Value::Text(_) => Basic::Text,
        _ => Basic::Other,
    }
}

fn equal(a: &Args<'_>) -> Result<bool, Failure> {
    let first = a.any(0);
    for other in &a.values[1..] {
        let same = match (first, other) {
            (Value::Nil, Value::Nil) => true,
            (Value::Nil, _) | (_, Value::Nil) => false,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a) | Value::Int64(a), Value::Int(b) | Value::Int64(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => a == b,
            (a, b) if basic(a) != basic(b) => {
                return Err(Failure::fault("incompatible types for comparison"));
            }
            (a, b) => {
                return Err(Failure::fault(format!(
                    "non-comparable types {}, {}",
                    a.type_name(),
                    b.type_name()
                )));
            }
        };
        if same {
            return Ok(true);
        }
    }
    Ok(false)
}

fn order(a: &Args<'_>) -> Result<Ordering, Failure> {
    match (a.any(0), a.any(1)) {
        (Value::Int(a) | Value::Int64(a), Value::Int(b) | Value::Int64(b)) => Ok(a.cmp(b)),
        // What is no number is neither less nor greater.
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b).unwrap_or(Ordering::Equal)),
        (Value::Text(a), Value::Text(b)) => Ok(a.cmp(b)),
        (a, b) if basic(a) != basic(b) => Err(Failure::fault("incompatible types for comparison")),
        _ => Err(Failure::fault("invalid type for comparison")),
    }
}

fn length(_: &mut Interpreter, a: &Args<'_>) -> Answer {
    match a.any(0) {
        Value::Text(text) => Ok(Value::length(text.len())),
        Value::List(list) => Ok(Value::length(list.items().len())),
        Value::Map(map) => Ok(Value::length(map.len())),
        Value::Object(object) if object.entries().is_some() => {
            Ok(Value::length(object.entries().unwrap_or_default().len()))
        }
        Value::Nil => Err(Failure::fault("len of nil pointer")),
        other => Err(Failure::fault(format!("len of type {}", other.type_name()))),
    }
}

fn index(_: &mut Interpreter, a: &Args<'_>) -> Answer {
    if a.any(0).is_nil() {
        return Err(Failure::fault("index of untyped nil"));
    }
    let mut value = a.any(0).clone();
    for index in &a.values[1..] {
        value = match (&value, index) {
            (Value::List(list), Value::Int(at) | Value::Int64(at)) => {
                let item = usize::try_from(*at).ok().and_then(|at| list.items().get(at).cloned());
                item.ok_or_else(|| Failure::fault(format!("index out of range: {at}")))?
            }
            (Value::Text(text), Value::Int(at) | Value::Int64(at)) => {
                let byte = usize::try_from(*at).ok().and_then(|at| text.as_bytes().get(at).copied());
                let byte = byte.ok_or_else(|| Failure::fault(format!("index out of range: {at}")))?;
                Value::Int(byte.into())
            }
            (Value::Map(map), Value::Text(key)) => map.get(key).unwrap_or_default(),
            (Value::Object(object), key) if object.entries().is_some() => {
                let entries = object.entries().unwrap_or_default();
                let found = entries.into_iter().find(|(known, _)| match (known, key) {
                    (Value::Text(a), Value::Text(b)) => a == b,
                    (Value::Int(a), Value::Int(b) | Value::Int64(b)) => a == b,
                    _ => false,
                });
                found.map(|(_, value)| value).unwrap_or_default()
            }
            (Value::Nil, _) => return Err(Failure::fault("index of nil pointer")),
            (Value::Map(_), other) => {
                return Err(Failure::fault(match other {
                    Value::Nil => "value is nil; should be string".to_owned(),
                    other => format!("value has type {}; should be string", other.type_name()),
                }));
            }
            (Value::List(_) | Value::Text(_), other) => {
                return Err(Failure::fault(format!(
                    "cannot index slice/array with type {}",
                    other.type_name()
                )));
            }
            (other, _) => {
                return Err(Failure::fault(format!("can't index item of type {}", other.type_name())));
            }
        };
    }
    Ok(value)
}

fn print_line(interpreter: &mut Interpreter, a: &Args<'_>) -> Answer {
    let texts = a.values.iter().map(|value| print::print(value, interpreter.budget()));
    let texts: Vec<String> = texts.collect::<Result<_, _>>()?;
    Ok(format!("{}\n", texts.join(" ")).into())
}

fn escaped(interpreter: &mut Interpreter, a: &Args<'_>, escape: fn(&mut String, char)) -> Answer {
    let text = print::print_all(a.values, interpreter.budget())?;
    interpreter.budget().bytes(text.len().saturating_mul(6))?;
    let mut out = String::new();
    text.chars().for_each(|c| escape(&mut out, c));
    Ok(out.into())
}

fn html(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("&#34;"),
        '\'' => out.push_str("&#39;"),
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '\0' => out.push('\u{fffd}'),
        c => out.push(c),
    }
}

fn javascript(out: &mut String, c: char) {
    match c {
        '\\' => out.push_str("\\\\"),
        '\'' => out.push_str("\\'"),
        '"' => out.push_str("\\\""),
        '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", c as u32)),
        c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04X}", c as u32)),
        c => out.push(c),
    }
}

fn query(out: &mut String, c: char) {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' | '~' => out.push(c),
        ' ' => out.push('+'),
        c => c.encode_utf8(&mut [0; 4]).bytes().for_each(|b| out.push_str(&format!("%{b:02X}"))),
    }
}
