//! Sprig's functions for dictionaries.

use super::{Answer, Args, Function, at_least, exactly, string_of};
use crate::budget::Budget;
use crate::failure::Failure;
use crate::interpreter::Interpreter;
use crate::value::{MAX_DEPTH, Map, Value};

pub(super) fn find(name: &str) -> Option<Function> {
    Some(match name {
        "dict" => at_least(0, dict),
        "get" => exactly(2, |_, a| Ok(a.map(0)?.get(a.text(1)?).unwrap_or_else(|| "".into()))),
        "set" => exactly(3, |_, a| {
            a.map(0)?.set(a.text(1)?, a.any(2).clone());
            Ok(a.any(0).clone())
        }),
        "unset" => exactly(2, |_, a| {
            a.map(0)?.remove(a.text(1)?);
            Ok(a.any(0).clone())
        }),
        "hasKey" => exactly(2, |_, a| Ok(a.map(0)?.contains(a.text(1)?).into())),
        "pluck" => at_least(1, |_, a| {
            let key = a.text(0)?;
            let maps = (1..a.len()).map(|at| a.map(at)).collect::<Result<Vec<_>, _>>()?;
            Ok(Value::list(maps.into_iter().filter_map(|map| map.get(key))))
        }),
        "keys" => at_least(0, |_, a| {
            let maps = (0..a.len()).map(|at| a.map(at)).collect::<Result<Vec<_>, _>>()?;
            Ok(Value::list(maps.into_iter().flat_map(|map| map.entries()).map(|(key, _)| Value::Text(key))))
        }),
        "values" => {
            exactly(1, |_, a| Ok(Value::list(a.map(0)?.entries().into_iter().map(|(_, value)| value))))
        }
        "pick" => at_least(1, |_, a| chosen(a, true)),
        "omit" => at_least(1, |_, a| chosen(a, false)),
        "merge" | "mustMerge" => at_least(1, |i, a| merge_all(i, a, false)),
        "mergeOverwrite" | "mustMergeOverwrite" => at_least(1, |i, a| merge_all(i, a, true)),
        "dig" => at_least(3, dig),
        "deepCopy" | "mustDeepCopy" => exactly(1, |i, a| a.any(0).deep_copy(i.budget())),
        "deepEqual" => exactly(2, |i, a| a.any(0).deep_equal(a.any(1), i.budget()).map(Value::Bool)),
        _ => return None,
    })
}

fn dict(interpreter: &mut Interpreter, a: &Args<'_>) -> Answer {
    let map = Map::new();
    for pair in a.values.chunks(2) {
        let key = string_of(&pair[0], interpreter.budget())?;
        map.set(key, pair.get(1).cloned().unwrap_or_else(|| "".into()));
    }
    Ok(Value::Map(map))
}

fn chosen(a: &Args<'_>, wanted: bool) -> Answer {
    let keys = (1..a.len()).map(|at| a.text(at)).collect::<Result<Vec<_>, _>>()?;
    let entries = a.map(0)?.entries().into_iter();
    Ok(Value::map(entries.filter(|(key, _)| keys.contains(&&**key) == wanted)))
}

fn merge_all(interpreter: &mut Interpreter, a: &Args<'_>, overwrite: bool) -> Answer {
    let target = a.map(0)?;
    for at in 1..a.len() {
        merge(target, a.map(at)?, overwrite, interpreter.budget(), MAX_DEPTH)?;
    }
    Ok(a.any(0).clone())
}

/// Merges as `mergo` does: what is empty at the target is filled; with `overwrite`, the source wins, with what is empty too.
fn merge(target: &Map, source: &Map, overwrite: bool, budget: &Budget, depth: usize) -> Result<(), Failure> {
    let depth = depth.checked_sub(1).ok_or_else(Failure::too_deep)?;
    if target.is_same(source) {
        return Ok(());
    }
    for (key, new) in source.entries() {
        budget.step()?;
        match (target.get(&key), &new) {
            (Some(Value::Map(old)), Value::Map(new)) => merge(&old, new, overwrite, budget, depth)?,
            (old, new) => {
                let is_empty = !old.is_some_and(|old| old.is_true());
                if overwrite || (is_empty && !new.is_nil()) {
                    target.set(key, new.clone());
                }
            }
        }
    }
    Ok(())
}

fn dig(_: &mut Interpreter, a: &Args<'_>) -> Answer {
    let last = a.len() - 1;
    let mut map = a.map(last)?.clone();
    for at in 0..last - 1 {
        match map.get(a.text(at)?) {
            None => break,
            Some(value) if at + 2 == last => return Ok(value),
            Some(Value::Map(next)) => map = next,
            Some(other) => {
                return Err(Failure::fault(format!(
                    "interface conversion: interface {{}} is {}, not map[string]interface {{}}",
                    other.type_name()
                )));
            }
        }
    }
    Ok(a.any(last - 1).clone())
}
