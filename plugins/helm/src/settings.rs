//! [`Settings`]: what a user may write, and what the host has read for it.

use std::fmt;

use oc_mirror_chart::DEFAULT_KUBE_VERSION;
use oc_mirror_go_template::{Constraint, Version};
use oc_mirror_plugin_sdk::reference::Source;
use oc_mirror_plugin_sdk::{Platform, Problem, problem};
use serde::Deserialize;

use crate::jsonpath::Template;

/// The plugin's settings.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Chart repositories.
    pub(crate) repositories: Vec<Repository>,
    /// Charts of this machine.
    pub(crate) local: Vec<LocalChart>,
}

/// A chart repository.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Repository {
    pub(crate) name: String,
    pub(crate) url: String,
    /// The name of a credential that the host holds for it.
    #[serde(default)]
    pub(crate) credential: Option<String>,
    #[serde(default)]
    pub(crate) charts: Vec<WantedChart>,
}

/// A chart of a repository.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct WantedChart {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) version: Option<String>,
    #[serde(default)]
    pub(crate) image_paths: Vec<String>,
    #[serde(default)]
    pub(crate) platforms: Vec<WantedPlatform>,
    #[serde(default)]
    pub(crate) values: Vec<ValuesFile>,
    #[serde(default)]
    pub(crate) kube_version: Option<String>,
    #[serde(default)]
    pub(crate) api_versions: Vec<String>,
}

/// A chart of this machine, as the host has read it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LocalChart {
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) archive: Option<String>,
    #[serde(default)]
    pub(crate) files: Option<Vec<LocalFile>>,
    #[serde(default)]
    pub(crate) image_paths: Vec<String>,
    #[serde(default)]
    pub(crate) platforms: Vec<WantedPlatform>,
    #[serde(default)]
    pub(crate) values: Vec<ValuesFile>,
    #[serde(default)]
    pub(crate) kube_version: Option<String>,
    #[serde(default)]
    pub(crate) api_versions: Vec<String>,
}

/// A file of a chart's directory.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LocalFile {
    pub(crate) path: String,
    pub(crate) data: String,
}

/// A file with values.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ValuesFile {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// A platform.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedPlatform {
    pub(crate) os: String,
    pub(crate) architecture: String,
    #[serde(default)]
    pub(crate) variant: Option<String>,
}

/// How a chart is rendered and where its images are.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    pub(crate) paths: Vec<Template>,
    pub(crate) platforms: Vec<Platform>,
    pub(crate) values: Vec<ValuesFile>,
    pub(crate) kube_version: String,
    /// Whether it was the user who named it.
    pub(crate) names_kube_version: bool,
    pub(crate) api_versions: Vec<String>,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            platforms: Vec::new(),
            values: Vec::new(),
            kube_version: DEFAULT_KUBE_VERSION.to_owned(),
            names_kube_version: false,
            api_versions: Vec::new(),
        }
    }
}

/// What is wanted, with everything checked that can be without a network.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) repositories: Vec<PlannedRepository>,
    pub(crate) local: Vec<(LocalChart, Manner)>,
}

/// A repository and what is wanted of it.
#[derive(Debug)]
pub(crate) struct PlannedRepository {
    pub(crate) name: String,
    pub(crate) place: Place,
    /// The name of a credential that the host holds for it.
    pub(crate) credential: Option<String>,
    /// None takes everything.
    pub(crate) charts: Vec<(String, Option<String>, Manner)>,
}

/// Where a repository is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The URL that `index.yaml` is below, with a slash at its end.
    Web(String),
    /// The registry and path that charts are below, without `oci://`.
    Oci(String),
}

/// As the configuration has it, but for a slash at its end.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Web(url) => f.write_str(url.trim_end_matches('/')),
            Self::Oci(path) => write!(f, "oci://{path}"),
        }
    }
}

impl Plan {
    /// Plans what the settings ask for, or lists everything that is wrong with them.
    pub(crate) fn new(settings: Settings) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut plan = Self::default();
        for (number, repository) in settings.repositories.into_iter().enumerate() {
            let at = format!("repositories[{number}]");
            let place = place(&repository.url).map_err(|why| {
                problems.push(problem(
                    format!("{at}.url"),
                    "helm.url",
                    format!("`{}` {why}", shown(&repository.url)),
                ));
            });
            let mut charts = Vec::new();
            for (number, chart) in repository.charts.into_iter().enumerate() {
                let at = format!("{at}.charts[{number}]");
                if chart.name.is_empty() || chart.name.contains(['/', '\\']) {
                    problems.push(problem(
                        format!("{at}.name"),
                        "helm.name",
                        format!("`{}` is not the name of a chart", shown(&chart.name)),
                    ));
                }
                let version = chart.version.filter(|version| !version.is_empty());
                if version.as_deref().is_some_and(|v| Constraint::parse(v).is_none()) {
                    problems.push(problem(
                        format!("{at}.version"),
                        "helm.version",
                        format!(
                            "`{}` is neither a version nor a range of versions",
                            shown(version.as_deref().unwrap_or_default())
                        ),
                    ));
                }
                let manner = Manner::new(
                    &at,
                    &chart.image_paths,
                    chart.platforms,
                    chart.values,
                    chart.kube_version,
                    chart.api_versions,
                    &mut problems,
                );
                charts.push((chart.name, version, manner));
            }
            if let Ok(place) = place {
                plan.repositories.push(PlannedRepository {
                    name: repository.name,
                    place,
                    credential: repository.credential,
                    charts,
                });
            }
        }
        for (number, mut chart) in settings.local.into_iter().enumerate() {
            let at = format!("local[{number}]");
            if chart.archive.is_some() == chart.files.is_some() {
                problems.push(problem(
                    format!("{at}.path"),
                    "helm.local",
                    "a chart is given either as an archive or as files",
                ));
            }
            let manner = Manner::new(
                &at,
                &std::mem::take(&mut chart.image_paths),
                std::mem::take(&mut chart.platforms),
                std::mem::take(&mut chart.values),
                chart.kube_version.take(),
                std::mem::take(&mut chart.api_versions),
                &mut problems,
            );
            plan.local.push((chart, manner));
        }
        if problems.is_empty() { Ok(plan) } else { Err(problems) }
    }
}

impl Manner {
    fn new(
        at: &str,
        image_paths: &[String],
        platforms: Vec<WantedPlatform>,
        values: Vec<ValuesFile>,
        kube_version: Option<String>,
        api_versions: Vec<String>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut paths = Vec::new();
        for (number, path) in image_paths.iter().enumerate() {
            match Template::parse(path) {
                Ok(path) => paths.push(path),
                Err(why) => problems.push(problem(
                    format!("{at}.imagePaths[{number}]"),
                    "helm.image-path",
                    format!("`{}` is not a JSONPath template: {why}", shown(path)),
                )),
            }
        }
        if let Some(version) = kube_version.as_deref().filter(|v| Version::parse(v).is_none()) {
            problems.push(problem(
                format!("{at}.kubeVersion"),
                "helm.kube-version",
                format!("`{}` is not a version of Kubernetes", shown(version)),
            ));
        }
        let platforms = platforms
            .into_iter()
            .map(|p| Platform { os: p.os, arch: p.architecture, variant: p.variant })
            .collect();
        let names_kube_version = kube_version.is_some();
        let kube_version = kube_version.unwrap_or_else(|| DEFAULT_KUBE_VERSION.to_owned());
        Self { paths, platforms, values, kube_version, names_kube_version, api_versions }
    }
}

fn place(url: &str) -> Result<Place, &'static str> {
    const FORMS: &str = "is not a URL of charts: https://HOST/PATH or oci://HOST/PATH";
    match url.split_once("://") {
        Some(("http" | "https", rest)) if !rest.is_empty() && !rest.starts_with('/') => {
            if rest.contains(['?', '#', '@']) {
                return Err("has more than host and path");
            }
            Ok(Place::Web(format!("{}/", url.trim_end_matches('/'))))
        }
        Some(("oci", rest)) => {
            let path = rest.trim_end_matches('/');
            // A registry alone is one that charts are right below.
            let probe = if path.contains('/') { path.to_owned() } else { format!("{path}/x") };
            match format!("docker://{probe}").parse::<Source>() {
                Ok(_) if !path.is_empty() => Ok(Place::Oci(path.to_owned())),
                _ => Err(FORMS),
            }
        }
        _ => Err(FORMS),
    }
}

/// Cuts what a user wrote to a length that fits a message.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("https://a.example/charts", Some(Place::Web("https://a.example/charts/".into())))]
    #[case("http://127.0.0.1:80/", Some(Place::Web("http://127.0.0.1:80/".into())))]
    #[case("oci://a.example/charts/", Some(Place::Oci("a.example/charts".into())))]
    #[case("oci://127.0.0.1:5000", Some(Place::Oci("127.0.0.1:5000".into())))]
    #[case("https://user:secret@a.example/", None)]
    #[case("https://", None)]
    #[case("oci://A/B", None)]
    #[case("ftp://a.example", None)]
    #[case("a.example", None)]
    fn urls(#[case] url: &str, #[case] expected: Option<Place>) {
        assert_eq!(place(url).ok(), expected);
    }

    #[test]
    fn every_problem_has_its_path() {
        let settings = serde_json::json!({
            "repositories": [
                {"name": "a", "url": "x", "charts": [{"name": "", "version": "one"}]},
                {"name": "b", "url": "oci://r.example/c", "charts": [{"name": "c", "imagePaths": ["{.a["]}]},
            ],
            "local": [{"path": "p", "kubeVersion": "new"}],
        });
        let problems = Plan::new(serde_json::from_value(settings).expect("settings")).expect_err("wrong");
        let told: Vec<_> = problems.iter().map(|p| (p.path.as_str(), p.code.as_str())).collect();
        assert_eq!(
            told,
            [
                ("repositories[0].url", "helm.url"),
                ("repositories[0].charts[0].name", "helm.name"),
                ("repositories[0].charts[0].version", "helm.version"),
                ("repositories[1].charts[0].imagePaths[0]", "helm.image-path"),
                ("local[0].path", "helm.local"),
                ("local[0].kubeVersion", "helm.kube-version"),
            ]
        );
    }
}
