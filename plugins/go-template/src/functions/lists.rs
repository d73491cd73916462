//! Sprig's functions for lists.

use super::convert::to_int;
use super::{Answer, Args, Function, at_least, exactly, string_of};
use crate::budget::Budget;
use crate::failure::Failure;
use crate::interpreter::Interpreter;
use crate::value::Value;

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name.strip_prefix("must").map(lower_first).as_deref().unwrap_or(name) {
        "list" | "tuple" => at_least(0, |_, a| Ok(Value::list(a.values.iter().cloned()))),
        "append" | "push" => exactly(2, |i, a| {
            let items = a.list(0, "push")?;
            i.budget().steps(items.len() as u64)?;
            Ok(Value::list(items.iter().chain([a.any(1)]).cloned()))
        }),
        "prepend" => exactly(2, |i, a| {
            let items = a.list(0, "prepend")?;
            i.budget().steps(items.len() as u64)?;
            Ok(Value::list([a.any(1)].into_iter().chain(items).cloned()))
        }),
        "first" => exactly(1, |_, a| Ok(a.list(0, "find first")?.first().cloned().unwrap_or_default())),
        "last" => exactly(1, |_, a| Ok(a.list(0, "find last")?.last().cloned().unwrap_or_default())),
        "rest" => exactly(1, |_, a| Ok(Value::list(a.list(0, "find rest")?.iter().skip(1).cloned()))),
        "initial" => exactly(1, |_, a| {
            let items = a.list(0, "find initial")?;
            Ok(Value::list(items[..items.len().saturating_sub(1)].iter().cloned()))
        }),
        "reverse" => exactly(1, |_, a| Ok(Value::list(a.list(0, "find reverse")?.iter().rev().cloned()))),
        "uniq" => exactly(1, |i, a| {
            let mut kept: Vec<Value> = Vec::new();
            for item in a.list(0, "find uniq")? {
                if !holds(&kept, item, i.budget())? {
                    kept.push(item.clone());
                }
            }
            Ok(Value::list(kept))
        }),
        "without" => at_least(1, |i, a| {
            let mut kept = Vec::new();
            for item in a.list(0, "find without")? {
                if !holds(&a.values[1..], item, i.budget())? {
                    kept.push(item.clone());
                }
            }
            Ok(Value::list(kept))
        }),
        "has" => exactly(2, |i, a| match a.any(1) {
            Value::Nil => Ok(false.into()),
            _ => holds(a.list(1, "find has")?, a.any(0), i.budget()).map(Value::Bool),
        }),
        "compact" => exactly(1, |_, a| {
            Ok(Value::list(a.list(0, "find compact")?.iter().filter(|item| item.is_true()).cloned()))
        }),
        "slice" => at_least(1, slice),
        "concat" => at_least(0, |i, a| {
            let lists = (0..a.len()).map(|at| a.list(at, "concat")).collect::<Result<Vec<_>, _>>()?;
            i.budget().steps(lists.iter().map(|list| list.len() as u64).sum())?;
            Ok(Value::list(lists.concat()))
        }),
        "chunk" => exactly(2, |_, a| {
            let size = usize::try_from(a.int(0)?).ok().filter(|size| *size > 0);
            let size = size.ok_or_else(|| Failure::fault("a chunk has at least one item"))?;
            Ok(Value::list(a.list(1, "chunk")?.chunks(size).map(|part| Value::list(part.iter().cloned()))))
        }),
        "join" => exactly(2, |i, a| {
            let texts = strings_of(a.any(1), i.budget())?;
            let separator = a.text(0)?;
            i.budget().bytes(separator.len().saturating_mul(texts.len()))?;
            Ok(texts.join(separator).into())
        }),
        "toStrings" => {
            exactly(1, |i, a| Ok(Value::list(strings_of(a.any(0), i.budget())?.into_iter().map(Value::from))))
        }
        "sortAlpha" => exactly(1, |i, a| {
            let mut texts = strings_of(a.any(0), i.budget())?;
            texts.sort();
            Ok(Value::list(texts.into_iter().map(Value::from)))
        }),
        "shuffle" => exactly(1, |_, a| Ok(a.text(0)?.into())),
        _ => return None,
    })
}

fn lower_first(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map_or_else(String::new, |c| c.to_lowercase().chain(characters).collect())
}

fn holds(items: &[Value], wanted: &Value, budget: &Budget) -> Result<bool, Failure> {
    for item in items {
        if wanted.deep_equal(item, budget)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The items as strings; what is nothing is left out.
fn strings_of(value: &Value, budget: &Budget) -> Result<Vec<String>, Failure> {
    let items = match value {
        Value::Nil => &[],
        Value::List(list) => list.items(),
        other => std::slice::from_ref(other),
    };
    items.iter().filter(|item| !item.is_nil()).map(|item| string_of(item, budget)).collect()
}

fn slice(_: &mut Interpreter, a: &Args<'_>) -> Answer {
    let items = a.any(0).as_list().ok_or_else(|| {
        Failure::fault(format!("list should be type of slice or array but {}", a.any(0).kind()))
    })?;
    if items.is_empty() {
        return Ok(Value::Nil);
    }
    let bound = |at: usize, otherwise: usize| match a.values.get(at) {
        None => Ok(otherwise),
        Some(value) => usize::try_from(to_int(value))
            .ok()
            .filter(|bound| *bound <= items.len())
            .ok_or_else(|| Failure::fault("slice bounds out of range")),
    };
    let (start, end) = (bound(1, 0)?, bound(2, items.len())?);
    match items.get(start..end) {
        Some(part) => Ok(Value::list(part.iter().cloned())),
        None => Err(Failure::fault("slice bounds out of range")),
    }
}
