//! Which of the charts in a chart are used, under which names, and what the chart wants of their values.

use oc_mirror_go_template::{Budget, Constraint, Map, Value, Version};

use crate::chart::Chart;
use crate::error::ChartError;
use crate::values::{coalesce, coalesce_tables, copy, table, value_at};

/// Processes the dependencies of a chart and of all charts in it, for the values it is used with.
pub(crate) fn process(chart: &mut Chart, values: &Map, budget: &Budget) -> Result<(), ChartError> {
    enable(chart, values, "", budget)?;
    import(chart, budget)
}

/// Answers whether a version is one that is wanted.
pub(crate) fn is_compatible(wanted: &str, version: &str) -> bool {
    match (Constraint::parse(wanted), Version::parse(version)) {
        (Some(constraint), Some(version)) => constraint.admits(&version),
        _ => false,
    }
}

fn enable(chart: &mut Chart, values: &Map, path: &str, budget: &Budget) -> Result<(), ChartError> {
    if chart.metadata.dependencies.is_empty() {
        return Ok(());
    }
    let wanted = &mut chart.metadata.dependencies;
    let matches = |wanted: &crate::metadata::Dependency, chart: &Chart| {
        chart.name() == wanted.name && is_compatible(&wanted.version, &chart.metadata.version)
    };
    // What is in `charts/` and not asked for is used as it is.
    let mut used: Vec<Chart> = chart
        .dependencies
        .iter()
        .filter(|inner| !wanted.iter().any(|wanted| matches(wanted, inner)))
        .cloned()
        .collect();
    for wanted in wanted.iter_mut() {
        if let Some(inner) = chart.dependencies.iter().find(|inner| matches(wanted, inner)) {
            let mut inner = inner.clone();
            inner.values = copy(&inner.values, budget)?;
            if !wanted.alias.is_empty() {
                inner.metadata.name.clone_from(&wanted.alias);
            }
            used.push(inner);
        }
        if !wanted.alias.is_empty() {
            wanted.name.clone_from(&wanted.alias);
        }
        wanted.enabled = true;
    }
    chart.dependencies = used;
    let all = coalesce(chart, values, false, budget)?;
    by_tags(chart, &all);
    by_conditions(chart, &all, path);
    let off: Vec<String> =
        chart.metadata.dependencies.iter().filter(|d| !d.enabled).map(|d| d.name.clone()).collect();
    chart.dependencies.retain(|inner| !off.iter().any(|name| name == inner.name()));
    chart.metadata.dependencies.retain(|dependency| !off.contains(&dependency.name));
    for inner in &mut chart.dependencies {
        let below = format!("{path}{}.", inner.name());
        enable(inner, &all, &below, budget)?;
    }
    Ok(())
}

fn by_tags(chart: &mut Chart, values: &Map) {
    let Some(tags) = table(values, "tags") else { return };
    for dependency in &mut chart.metadata.dependencies {
        let set = |wanted| {
            dependency.tags.iter().any(|tag| matches!(tags.get(tag), Some(Value::Bool(v)) if v == wanted))
        };
        dependency.enabled = set(true) || !set(false);
    }
}

fn by_conditions(chart: &mut Chart, values: &Map, path: &str) {
    for dependency in &mut chart.metadata.dependencies {
        let conditions = dependency.condition.trim().split(',').filter(|condition| !condition.is_empty());
        let found = conditions.filter_map(|condition| value_at(values, &format!("{path}{condition}")));
        let switch = found.filter_map(|value| match value {
            Value::Bool(value) => Some(value),
            _ => None,
        });
        if let Some(value) = switch.into_iter().next() {
            dependency.enabled = value;
        }
    }
}

fn import(chart: &mut Chart, budget: &Budget) -> Result<(), ChartError> {
    for inner in &mut chart.dependencies {
        import(inner, budget)?;
    }
    if chart.metadata.dependencies.is_empty() {
        return Ok(());
    }
    // As `helm install` has it: what is null stays, for it takes something away later on.
    let all = coalesce(chart, &Map::new(), true, budget)?;
    let imported = Map::new();
    for dependency in &chart.metadata.dependencies {
        for wish in &dependency.import_values {
            let (child, parent) = match wish {
                Value::Text(name) => (format!("exports.{name}"), ".".to_owned()),
                Value::Map(map) => {
                    let part = |key: &str| {
                        map.get(key).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
                    };
                    (part("child"), part("parent"))
                }
                _ => continue,
            };
            let Some(found) = table(&all, &format!("{}.{child}", dependency.name)) else { continue };
            let found = copy(&found, budget)?;
            coalesce_tables(&imported, &nested(&parent, found), true, budget)?;
        }
    }
    coalesce_tables(&all, &imported, true, budget)?;
    chart.values = all;
    Ok(())
}

fn nested(path: &str, map: Map) -> Map {
    match path {
        "." => map,
        path => path.rsplit('.').fold(map, |map, name| [(name, Value::Map(map))].into_iter().collect()),
    }
}
