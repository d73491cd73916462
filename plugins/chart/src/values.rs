//! Values: those of charts, of the charts in them, and of whoever uses them, made one.

use oc_mirror_go_template::{Budget, Map, Value, yaml};

use crate::chart::Chart;
use crate::error::ChartError;

/// The key of values that all charts see.
const GLOBAL: &str = "global";

/// Reads files with values. Of two values at one place, that of the later file counts.
pub fn merge_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Map, ChartError> {
    let values = Map::new();
    for (name, text) in files {
        let wrong = |why: String| ChartError::File(name.to_owned(), why);
        match yaml::read(text).map_err(wrong)? {
            Value::Map(map) => merge(&values, &map),
            Value::Nil => {}
            _ => return Err(wrong("it is not a dictionary".to_owned())),
        }
    }
    Ok(values)
}

fn merge(target: &Map, source: &Map) {
    for (key, value) in source.entries() {
        match (target.get(&key), &value) {
            (Some(Value::Map(old)), Value::Map(new)) => merge(&old, new),
            _ => target.set(key, value),
        }
    }
}

pub(crate) fn copy(map: &Map, budget: &Budget) -> Result<Map, ChartError> {
    match Value::Map(map.clone()).deep_copy(budget)? {
        Value::Map(map) => Ok(map),
        _ => Ok(Map::new()),
    }
}

/// Completes values with those of a chart and of all charts in it. `merge` keeps what is null.
pub(crate) fn coalesce(chart: &Chart, values: &Map, merge: bool, budget: &Budget) -> Result<Map, ChartError> {
    let values = copy(values, budget)?;
    coalesce_into(chart, &values, merge, budget)?;
    Ok(values)
}

fn coalesce_into(chart: &Chart, values: &Map, merge: bool, budget: &Budget) -> Result<(), ChartError> {
    for (key, value) in copy(&chart.values, budget)?.entries() {
        budget.step()?;
        match values.get(&key) {
            None => values.set(key, value),
            Some(Value::Nil) if !merge => values.remove(&key),
            Some(Value::Map(target)) => {
                if let Value::Map(source) = value {
                    let is_chart = chart.dependencies.iter().any(|chart| *chart.name() == *key);
                    coalesce_tables(&target, &source, merge || is_chart, budget)?;
                }
            }
            Some(_) => {}
        }
    }
    for inner in &chart.dependencies {
        let target = match values.get(inner.name()) {
            None => Map::new(),
            Some(Value::Map(map)) => map,
            Some(other) => {
                return Err(ChartError::Values(format!(
                    "`{}` is the name of a chart, and has a value that is no dictionary but {}",
                    inner.name(),
                    other.type_name()
                )));
            }
        };
        values.set(inner.name(), Value::Map(target.clone()));
        coalesce_globals(&target, values, budget)?;
        coalesce_into(inner, &target, merge, budget)?;
    }
    Ok(())
}

fn coalesce_globals(target: &Map, source: &Map, budget: &Budget) -> Result<(), ChartError> {
    let table = |map: &Map| match map.get(GLOBAL) {
        None => Some(Map::new()),
        Some(Value::Map(map)) => Some(map),
        Some(_) => None,
    };
    let (Some(globals), Some(given)) = (table(target), table(source)) else { return Ok(()) };
    for (key, value) in given.entries() {
        match (value, globals.get(&key)) {
            (Value::Map(value), None) => globals.set(key, Value::Map(value.shallow_copy())),
            (Value::Map(value), Some(Value::Map(own))) => {
                let merged = value.shallow_copy();
                coalesce_tables(&merged, &own, true, budget)?;
                globals.set(key, Value::Map(merged));
            }
            (Value::Map(_), Some(_)) | (_, Some(Value::Map(_))) => {}
            (value, _) => globals.set(key, value),
        }
    }
    target.set(GLOBAL, Value::Map(globals));
    Ok(())
}

/// Completes a table with another one.
pub(crate) fn coalesce_tables(
    target: &Map,
    source: &Map,
    merge: bool,
    budget: &Budget,
) -> Result<(), ChartError> {
    if target.is_same(source) {
        return Ok(());
    }
    let was_set = |key: &str| source.get(key).is_some_and(|value| !value.is_nil());
    let set_before: Vec<_> =
        source.entries().into_iter().filter(|(key, _)| was_set(key)).map(|(key, _)| key).collect();
    for (key, value) in target.entries() {
        if value.is_nil() {
            source.set(key, Value::Nil);
        }
    }
    for (key, value) in source.entries() {
        budget.step()?;
        match (target.get(&key), value) {
            (Some(Value::Nil), _) if !merge && set_before.contains(&key) => target.remove(&key),
            (None, value) => target.set(key, value),
            (Some(Value::Map(target)), Value::Map(source)) => {
                coalesce_tables(&target, &source, merge, budget)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Returns the table at a path of names with dots between, if it is there.
pub(crate) fn table(values: &Map, path: &str) -> Option<Map> {
    path.split('.').try_fold(values.clone(), |map, name| map.get(name)?.as_map().cloned())
}

/// Returns the value at a path, if it is there and no table.
pub(crate) fn value_at(values: &Map, path: &str) -> Option<Value> {
    let value = match path.rsplit_once('.') {
        Some((path, name)) => table(values, path)?.get(name)?,
        None => values.get(path)?,
    };
    if value.as_map().is_some() { None } else { Some(value) }
}
