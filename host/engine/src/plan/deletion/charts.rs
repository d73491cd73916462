//! What the section `helm` means where images are to be deleted: charts of the record. Nothing is fetched or rendered.

use std::collections::BTreeSet;
use std::fmt;

use oc_mirror_model::config::Helm;
use oc_mirror_model::metadata::ChartUse;
use oc_mirror_model::report::Failure;
use oc_mirror_model::request::kind;
use oc_mirror_model::version::{Constraint, Version};

use super::select::{failure, named};

/// Charts of one place.
#[derive(Clone, Debug)]
pub(super) struct ChartWish {
    /// The URL of a repository, or the path of a chart.
    place: String,
    /// None means all charts.
    name: Option<String>,
    /// None means all versions.
    version: Option<(String, Constraint)>,
}

impl ChartWish {
    /// Answers whether a chart is meant.
    pub(super) fn means(&self, chart: &ChartUse) -> bool {
        plain(&self.place) == plain(&chart.place)
            && self.name.as_ref().is_none_or(|name| *name == chart.name)
            && self.version.as_ref().is_none_or(|(text, wanted)| {
                is_same(text, &chart.version)
                    // What is behind a `+` decides nothing in a range, and something where it is written.
                    || (!text.contains('+')
                        && Version::parse(&chart.version).is_some_and(|version| wanted.admits(&version)))
            })
    }
}

/// In the words of a configuration.
impl fmt::Display for ChartWish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        if let Some(name) = &self.name {
            write!(f, " {name}")?;
        }
        self.version.as_ref().map_or(Ok(()), |(text, _)| write!(f, " {text}"))
    }
}

/// Reads the section. What makes no sense is a problem.
pub(super) fn wishes(helm: &Helm) -> (Vec<ChartWish>, Vec<Failure>) {
    let (mut wishes, mut problems) = (Vec::new(), Vec::new());
    for repository in &helm.repositories {
        let place = repository.url.clone();
        if repository.charts.is_empty() {
            wishes.push(ChartWish { place: place.clone(), name: None, version: None });
        }
        for chart in &repository.charts {
            let text = chart.version.as_deref().filter(|version| !version.is_empty());
            let version = text.map(|text| Constraint::parse(text).map(|wanted| (text.to_owned(), wanted)));
            match version {
                Some(None) => problems.push(failure(
                    &format!("{place} {}", chart.name),
                    kind::HELM,
                    format!("`{}` is neither a version nor a range of versions", text.unwrap_or_default()),
                    "write it as it was mirrored: `1.2.3`, `^1.2`, `>=1.2 <2`".to_owned(),
                )),
                version => wishes.push(ChartWish {
                    place: place.clone(),
                    name: Some(chart.name.clone()),
                    version: version.flatten(),
                }),
            }
        }
    }
    // Its name is one that the user gives it, and no part of the chart.
    let local = helm.local.iter();
    wishes.extend(local.map(|c| ChartWish { place: c.path.clone(), name: None, version: None }));
    (wishes, problems)
}

/// Says that there is nothing of a chart, and what there is.
pub(super) fn missed(name: &str, wish: &ChartWish, known: &BTreeSet<&ChartUse>) -> Failure {
    let all_of = |is_it: &dyn Fn(&ChartUse) -> bool| -> Vec<String> {
        let those = known.iter().filter(|chart| is_it(chart));
        those.map(|chart| format!("{} {}", chart.name, chart.version)).collect()
    };
    let is_there = |chart: &ChartUse| plain(&chart.place) == plain(&wish.place);
    let has_name = |chart: &ChartUse| is_there(chart) && Some(&chart.name) == wish.name.as_ref();
    let found = Some(all_of(&has_name)).filter(|found| !found.is_empty()).unwrap_or(all_of(&is_there));
    let hint = match found.is_empty() {
        false => format!("it has images of {}", named(found.iter().map(String::as_str))),
        true => "write `url` or `path` as in the configuration that it was mirrored with; images that were mirrored by an \
                 earlier version are named under `additionalImages`"
            .to_owned(),
    };
    failure(name, kind::HELM, "the record has no image of such a chart".to_owned(), hint)
}

/// A place without what may be written in several ways.
fn plain(place: &str) -> &str {
    let place = place.strip_prefix("file://").unwrap_or(place);
    place.strip_prefix("./").unwrap_or(place).trim_end_matches('/')
}

fn is_same(one: &str, other: &str) -> bool {
    one.strip_prefix('v').unwrap_or(one) == other.strip_prefix('v').unwrap_or(other)
}
