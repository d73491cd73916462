//! What the plugin `release` is told: settings and grants, out of the section `platform` of a configuration.

use oc_mirror_model::config::{ApiVersion, ReleasePlatform, ReleaseType};
use oc_mirror_model::redact::has_credentials;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use crate::environment::variable;
use crate::error::CliError;
use crate::plugins::rules;

/// The server of update graphs of OpenShift, instead of the usual one.
const OCP_SERVER: &str = "UPDATE_URL_OVERRIDE";
/// The same of OKD.
const OKD_SERVER: &str = "OKD_UPDATE_URL_OVERRIDE";

/// The name of the plugin.
pub(crate) const NAME: &str = "release";

const OCP: &str = "https://api.openshift.com/api/upgrades_info/v1/graph";
const OKD: &str = "https://origin-release.ci.openshift.org/graph";

/// Returns the servers of update graphs, that of OpenShift and that of OKD.
pub(crate) fn graph_servers() -> (String, String) {
    let or = |name: &str, usual: &str| variable(name).unwrap_or_else(|| usual.to_owned());
    (or(OCP_SERVER, OCP), or(OKD_SERVER, OKD))
}

/// Refuses servers whose address carries a credential: plugins are told it, and say it where something goes wrong.
pub(crate) fn refuse_credentials() -> Result<(), CliError> {
    let named = [OCP_SERVER, OKD_SERVER].into_iter();
    let mut with = named.filter(|name| variable(name).is_some_and(|address| has_credentials(&address)));
    match with.next() {
        Some(name) => Err(CliError::new(format!("the address in {name} carries a credential"))
            .hint("name a server of update graphs that asks for none")),
        None => Ok(()),
    }
}

/// Returns the servers of update graphs that the environment names.
pub(crate) fn named_servers() -> impl Iterator<Item = String> {
    [OCP_SERVER, OKD_SERVER].into_iter().filter_map(variable)
}

/// Where update graphs and their data are.
pub(crate) struct Servers {
    ocp: String,
    okd: String,
    /// Nothing where another server was named for the graph, and none for its data.
    graph_data: Option<String>,
}

impl Servers {
    /// Returns the servers that a configuration and the environment name.
    pub(crate) fn of(platform: &ReleasePlatform) -> Result<Self, CliError> {
        const GRAPH_DATA: &str = "https://api.openshift.com/api/upgrades_info/graph-data";
        let named = variable(OCP_SERVER);
        // Whoever names another server may have no way to the usual one.
        let usual = || named.is_none().then(|| GRAPH_DATA.to_owned());
        let graph_data = platform.graph_data_url.clone().or_else(usual);
        let okd = variable(OKD_SERVER);
        for (name, url) in [(OCP_SERVER, &named), (OKD_SERVER, &okd), ("graphDataURL", &graph_data)] {
            url.as_ref().map_or(Ok(()), |url| check(name, url))?;
        }
        let (ocp, okd) = graph_servers();
        Ok(Self { ocp, okd, graph_data })
    }

    /// Returns what the plugin may do: it reads registries, and fetches from these servers.
    pub(crate) fn grants(&self) -> Vec<String> {
        let urls = [Some(&self.ocp), Some(&self.okd), self.graph_data.as_ref()];
        let http = urls.into_iter().flatten().filter_map(|url| Some(format!("http:{}", origin(url)?)));
        ["registry", "build", "artifact", "resources", "cache", "state", "signatures"]
            .map(str::to_owned)
            .into_iter()
            .chain(http)
            .collect()
    }

    /// Returns what is asked of the servers because of a configuration, by what it is for.
    pub(crate) fn asked(&self, platform: &ReleasePlatform) -> Vec<(&'static str, String)> {
        let architecture = platform.architectures.first().map_or("amd64", String::as_str);
        let of = |kind: ReleaseType, server: &str| {
            let channel = platform.channels.iter().find(|channel| channel.kind == kind)?;
            let join = if server.contains('?') { '&' } else { '?' };
            Some(("update graph", format!("{server}{join}channel={}&arch={architecture}", channel.name)))
        };
        let is_asked = platform.release.is_none();
        let graphs = [of(ReleaseType::Ocp, &self.ocp), of(ReleaseType::Okd, &self.okd)];
        let data = self.graph_data.iter().map(|url| ("data of the update graph", url.clone()));
        let needs_data = platform.graph && platform.graph_image.is_none();
        let graphs = graphs.into_iter().flatten().filter(|_| is_asked);
        graphs.chain(data.filter(|_| needs_data)).collect()
    }

    /// Returns the settings. `client` is whom servers are told that asks: a number made at random.
    pub(crate) fn settings(
        &self,
        api: ApiVersion,
        platform: &ReleasePlatform,
        risks: &[String],
        client: Uuid,
    ) -> Value {
        json!({
            "rules": rules(api),
            "platform": platform,
            "servers": { "ocp": self.ocp, "okd": self.okd, "graphData": self.graph_data },
            "client": client.to_string(),
            "acceptRisks": risks,
        })
    }
}

fn check(name: &str, url: &str) -> Result<(), CliError> {
    match origin(url) {
        Some(_) => Ok(()),
        None => Err(CliError::new(format!("{name} is `{url}`")).hint("it is a URL: https://HOST/PATH")),
    }
}

/// Returns scheme, host and port of a URL.
fn origin(url: &str) -> Option<String> {
    let url: Url = url.parse().ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    Some(format!("{}://{}{port}", url.scheme(), url.host_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("https://a.example/b", Some("https://a.example"))]
    #[case("http://127.0.0.1:80/b", Some("http://127.0.0.1"))]
    #[case("http://127.0.0.1:8080", Some("http://127.0.0.1:8080"))]
    #[case("file:///b", None)]
    #[case("a.example", None)]
    fn origins(#[case] url: &str, #[case] expected: Option<&str>) {
        assert_eq!(origin(url).as_deref(), expected);
    }
}
