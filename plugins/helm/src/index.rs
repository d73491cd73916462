//! [`Index`]: what charts a repository has, by its `index.yaml`.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use oc_mirror_go_template::{Constraint, Value, Version, yaml};

/// The most nodes of an index. Those of the largest repositories have less than a tenth.
const MAX_NODES: usize = 8_000_000;

/// The charts of a repository.
#[derive(Debug, Default)]
pub(crate) struct Index {
    charts: BTreeMap<String, Vec<Release>>,
}

/// One version of a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Release {
    pub(crate) version: String,
    /// Where the archive is; the first counts.
    pub(crate) urls: Vec<String>,
    /// SHA-256 of the archive, in hexadecimal digits.
    pub(crate) digest: Option<String>,
    is_library: bool,
}

impl Index {
    /// Reads an index.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let document = yaml::read_within(text, MAX_NODES)?;
        let entries = document.as_map().and_then(|map| map.get("entries")).ok_or("it has no `entries`")?;
        let entries = match &entries {
            Value::Map(map) => map.entries(),
            Value::Nil => Vec::new(),
            _ => return Err("its `entries` are no dictionary".to_owned()),
        };
        let mut charts = BTreeMap::new();
        for (name, releases) in entries {
            let releases = releases.as_list().unwrap_or_default().iter().filter_map(release).collect();
            charts.insert(name.to_string(), releases);
        }
        Ok(Self { charts })
    }

    /// Returns the names of all charts.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.charts.keys().map(String::as_str)
    }

    /// Returns every version of a chart that is no library, the newest first.
    pub(crate) fn all(&self, name: &str) -> Vec<&Release> {
        let releases = self.charts.get(name).into_iter().flatten().filter(|release| !release.is_library);
        let mut releases: Vec<&Release> = releases.collect();
        releases.sort_by_cached_key(|release| Reverse(order(&release.version)));
        releases
    }

    /// Returns the version that is wanted of a chart: the one that is named, or the newest of those that are.
    pub(crate) fn find(&self, name: &str, wanted: Option<&str>) -> Option<&Release> {
        let releases = self.charts.get(name)?;
        let versions: Vec<&str> = releases.iter().map(|release| release.version.as_str()).collect();
        newest(&versions, wanted).map(|place| &releases[place])
    }

    /// Returns the versions of a chart, the newest first; nothing if there is no such chart.
    pub(crate) fn versions(&self, name: &str) -> Option<Vec<&str>> {
        self.charts.get(name)?;
        Some(self.all(name).into_iter().map(|release| release.version.as_str()).collect())
    }
}

/// Chooses a version: the one that is named, or else the newest that is wanted. Of versions before a release one counts
/// only if it is named, or if there is no other.
pub(crate) fn newest(versions: &[&str], wanted: Option<&str>) -> Option<usize> {
    if let Some(wanted) = wanted {
        let plain = |text: &str| text.strip_prefix('v').unwrap_or(text).to_owned();
        let same = versions.iter().position(|version| *version == wanted);
        if let Some(place) = same.or_else(|| versions.iter().position(|v| plain(v) == plain(wanted))) {
            return Some(place);
        }
    }
    let constraint = Constraint::parse(wanted.unwrap_or("*"))?;
    let parsed = versions.iter().enumerate().filter_map(|(place, text)| Some((place, Version::parse(text)?)));
    let parsed: Vec<(usize, Version)> = parsed.collect();
    let best = |candidates: Vec<&(usize, Version)>| {
        candidates.into_iter().max_by(|(_, a), (_, b)| a.compare(b)).map(|(place, _)| *place)
    };
    let admitted = best(parsed.iter().filter(|(_, version)| constraint.admits(version)).collect());
    match wanted {
        Some(_) => admitted,
        None => admitted.or_else(|| best(parsed.iter().collect())),
    }
}

fn order(version: &str) -> Option<(u64, u64, u64, bool, String)> {
    let parsed = Version::parse(version)?.parsed;
    Some((parsed.major, parsed.minor, parsed.patch, parsed.pre.is_empty(), parsed.pre.to_string()))
}

fn release(entry: &Value) -> Option<Release> {
    let map = entry.as_map()?;
    let text = |key: &str| match map.get(key) {
        Some(Value::Text(text)) => Some(text.to_string()),
        Some(Value::Float(number)) => Some(number.to_string()),
        _ => None,
    };
    let urls = map.get("urls").unwrap_or_default();
    let urls = urls.as_list().unwrap_or_default().iter().filter_map(|url| url.as_str().map(str::to_owned));
    Some(Release {
        version: text("version")?,
        urls: urls.collect(),
        digest: text("digest").map(|digest| digest.trim_start_matches("sha256:").to_lowercase()),
        is_library: text("type").is_some_and(|kind| kind.eq_ignore_ascii_case("library")),
    })
}

/// Returns where an archive is: its URL may be relative to that of the repository.
pub(crate) fn join(repository: &str, url: &str) -> String {
    if url.contains("://") {
        return url.to_owned();
    }
    match url.strip_prefix('/') {
        Some(path) => {
            let host_end = repository.find("://").map_or(0, |at| at + 3);
            let host_end = repository[host_end..].find('/').map_or(repository.len(), |at| host_end + at);
            format!("{}/{path}", &repository[..host_end])
        }
        None => format!("{repository}{}", url.strip_prefix("./").unwrap_or(url)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const INDEX: &str = "
apiVersion: v1
entries:
  app:
  - {version: 1.0.0, urls: [app-1.0.0.tgz], digest: AB}
  - {version: 1.10.0, urls: [app-1.10.0.tgz]}
  - {version: 1.9.0, urls: [app-1.9.0.tgz]}
  - {version: 2.0.0-rc.1, urls: [app-2.0.0-rc.1.tgz]}
  lib:
  - {version: 1.0.0, type: library, urls: [lib-1.0.0.tgz]}
  early:
  - {version: v0.1.0-alpha.1, urls: []}
";

    #[rstest]
    #[case("app", None, Some("1.10.0"))]
    #[case("app", Some("1.0.0"), Some("1.0.0"))]
    #[case("app", Some("v1.0.0"), Some("1.0.0"))]
    #[case("app", Some("~1.9"), Some("1.9.0"))]
    #[case("app", Some(">=2.0.0-0"), Some("2.0.0-rc.1"))]
    #[case("app", Some("3.0.0"), None)]
    #[case("early", None, Some("v0.1.0-alpha.1"))]
    #[case("nothing", None, None)]
    fn versions(#[case] name: &str, #[case] wanted: Option<&str>, #[case] expected: Option<&str>) {
        let index = Index::parse(INDEX).expect("an index");
        assert_eq!(index.find(name, wanted).map(|release| release.version.as_str()), expected);
    }

    #[test]
    fn all_versions_but_those_of_libraries() {
        let index = Index::parse(INDEX).expect("an index");
        let versions = |name: &str| index.versions(name).expect("a chart");
        assert_eq!(versions("app"), ["2.0.0-rc.1", "1.10.0", "1.9.0", "1.0.0"]);
        assert!(versions("lib").is_empty());
        assert_eq!(index.names().collect::<Vec<_>>(), ["app", "early", "lib"]);
        assert_eq!(index.find("app", Some("1.0.0")).and_then(|r| r.digest.as_deref()), Some("ab"));
    }

    #[rstest]
    #[case("a-1.tgz", "https://r.example/charts/a-1.tgz")]
    #[case("./a-1.tgz", "https://r.example/charts/a-1.tgz")]
    #[case("/a-1.tgz", "https://r.example/a-1.tgz")]
    #[case("https://o.example/a-1.tgz", "https://o.example/a-1.tgz")]
    fn urls(#[case] url: &str, #[case] expected: &str) {
        assert_eq!(join("https://r.example/charts/", url), expected);
    }

    #[rstest]
    #[case("entries: [")]
    #[case("<html>")]
    #[case("entries: []")]
    fn no_index(#[case] text: &str) {
        assert!(Index::parse(text).is_err());
    }
}
