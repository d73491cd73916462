//! [`Settings`]: the section `platform` of a configuration, and where update graphs are.

use oc_mirror_plugin_sdk::Platform;
use oc_mirror_update_graph::{Accept, Rules, Version, Wish};
use serde::Deserialize;

/// What the image of the graph's data is built on.
const GRAPH_BASE: &str = "registry.access.redhat.com/ubi9/ubi:latest";
/// Stands for every risk.
const ALL_RISKS: &str = "all";

/// The plugin's settings.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Settings {
    /// Which version of the configuration decides.
    pub(crate) rules: Rules,
    /// What is wanted.
    #[serde(default)]
    pub(crate) platform: Section,
    /// Where update graphs are.
    pub(crate) servers: Servers,
    /// What the run calls itself to them.
    #[serde(default)]
    pub(crate) client: String,
    /// Risks of conditional updates that are accepted.
    #[serde(default)]
    pub(crate) accept_risks: Vec<String>,
}

/// Where update graphs and their data are.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Servers {
    /// The graph of OpenShift.
    pub(crate) ocp: String,
    /// The graph of OKD.
    pub(crate) okd: String,
    /// The graph's data; nothing where only an existing image can be mirrored.
    pub(crate) graph_data: Option<String>,
}

/// The section `platform`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Section {
    pub(crate) graph: bool,
    pub(crate) graph_image: Option<String>,
    graph_base: Option<String>,
    /// Already in [`Servers`].
    #[serde(rename = "graphDataURL")]
    _graph_data_url: Option<String>,
    pub(crate) channels: Vec<Channel>,
    architectures: Vec<String>,
    platforms: Vec<PlatformForm>,
    pub(crate) release: Option<String>,
    pub(crate) kube_virt_container: bool,
}

/// One channel.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Channel {
    name: String,
    #[serde(default, rename = "type")]
    kind: Kind,
    #[serde(default)]
    min_version: Option<Version>,
    #[serde(default)]
    max_version: Option<Version>,
    #[serde(default)]
    shortest_path: bool,
    #[serde(default)]
    full: bool,
}

/// Whose releases a channel lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Ocp,
    Okd,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlatformForm {
    os: String,
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
}

impl Settings {
    /// Returns which risks are accepted.
    pub(crate) fn accept(&self) -> Accept {
        accept(&self.accept_risks)
    }
}

/// Returns which risks are accepted: none, all or those with a name.
pub(crate) fn accept(names: &[String]) -> Accept {
    match names {
        [] => Accept::Nothing,
        names if names.iter().any(|name| name == ALL_RISKS) => Accept::All,
        names => Accept::Named(names.iter().cloned().collect()),
    }
}

impl Section {
    /// Returns what is wanted of the channels.
    pub(crate) fn wishes(&self) -> Vec<Wish> {
        let wish = |channel: &Channel| Wish {
            channel: channel.name.clone(),
            okd: channel.kind == Kind::Okd,
            min: channel.min_version.clone(),
            max: channel.max_version.clone(),
            shortest_path: channel.shortest_path,
            full: channel.full,
        };
        self.channels.iter().map(wish).collect()
    }

    /// Returns the architectures of which releases are wanted. To choose images within a release, it has to be one for
    /// several architectures.
    pub(crate) fn architectures(&self) -> Vec<String> {
        let mut wanted: Vec<String> = match (self.platforms.is_empty(), self.architectures.is_empty()) {
            (false, _) => vec!["multi".to_owned()],
            (true, true) => vec!["amd64".to_owned()],
            (true, false) => self.architectures.clone(),
        };
        let mut seen = std::collections::BTreeSet::new();
        wanted.retain(|architecture| seen.insert(architecture.clone()));
        wanted
    }

    /// Tells whether architectures are written, which then can be added to.
    pub(crate) fn names_architectures(&self) -> bool {
        !self.architectures.is_empty()
    }

    /// Returns the platforms to choose.
    pub(crate) fn platforms(&self) -> Vec<Platform> {
        let platform = |p: &PlatformForm| Platform {
            os: p.os.clone(),
            arch: p.architecture.clone(),
            variant: p.variant.clone(),
        };
        self.platforms.iter().map(platform).collect()
    }

    /// Returns what the image of the graph's data is built on.
    pub(crate) fn graph_base(&self) -> &str {
        self.graph_base.as_deref().unwrap_or(GRAPH_BASE)
    }

    /// Returns which architectures' boot images for KubeVirt are wanted, as boot images call them.
    pub(crate) fn kubevirt_architectures(&self) -> Vec<&'static str> {
        let named = |text: &str| match text {
            "amd64" => vec!["x86_64"],
            "s390x" => vec!["s390x"],
            "multi" => vec!["x86_64", "s390x"],
            _ => Vec::new(),
        };
        let written: Vec<&str> = match self.platforms.as_slice() {
            [] => self.architectures.iter().map(String::as_str).collect(),
            platforms => platforms.iter().map(|p| p.architecture.as_str()).collect(),
        };
        let mut wanted: Vec<&str> = written.into_iter().flat_map(named).collect();
        wanted.sort_unstable_by_key(|name| *name != "x86_64");
        wanted.dedup();
        match (wanted.is_empty(), self.platforms.is_empty()) {
            (false, _) => wanted,
            (true, true) => vec!["x86_64"],
            (true, false) => vec!["x86_64", "s390x"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn section(value: serde_json::Value) -> Section {
        serde_json::from_value(value).expect("a section")
    }

    #[rstest]
    #[case(json!({}), &["amd64"], &["x86_64"])]
    #[case(json!({"architectures": ["arm64", "s390x", "arm64"]}), &["arm64", "s390x"], &["s390x"])]
    #[case(json!({"architectures": ["multi"]}), &["multi"], &["x86_64", "s390x"])]
    #[case(json!({"platforms": [{"os": "linux", "architecture": "amd64"}]}), &["multi"], &["x86_64"])]
    #[case(json!({"platforms": [{"os": "linux", "architecture": "arm64"}]}), &["multi"], &["x86_64", "s390x"])]
    fn architectures(#[case] value: serde_json::Value, #[case] wanted: &[&str], #[case] kubevirt: &[&str]) {
        let section = section(value);
        assert_eq!(section.architectures(), wanted);
        assert_eq!(section.kubevirt_architectures(), kubevirt);
    }

    #[test]
    fn channels_as_they_are_written() {
        let section = section(json!({"channels": [
            {"name": "stable-4.20", "minVersion": "4.20.1", "shortestPath": true},
            {"name": "4-scos-stable", "type": "okd", "full": true},
        ]}));
        let wishes = section.wishes();
        assert_eq!(wishes[0].min, Version::parse("4.20.1").ok());
        assert!(wishes[0].shortest_path && !wishes[0].okd && wishes[1].okd && wishes[1].full);
    }

    #[test]
    fn risks() {
        assert!(matches!(accept(&[]), Accept::Nothing));
        assert!(matches!(accept(&["a".into(), "all".into()]), Accept::All));
        assert!(matches!(accept(&["a".into()]), Accept::Named(names) if names.len() == 1));
    }
}
