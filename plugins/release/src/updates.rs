//! [`Updates`]: update graphs from their servers, each fetched once a run.

use std::collections::BTreeMap;
use std::rc::Rc;

use oc_mirror_plugin_sdk::{Error, about, other, read_all, with_hint};
use oc_mirror_update_graph::{Graph, Graphs};

use crate::settings::Servers;
use crate::web;

/// The most bytes of a graph; the largest real ones have a few MB.
const MOST: usize = 32 << 20;
/// What to do where there is no graph.
const UNAVAILABLE: &str = "try again later, or see whether UPDATE_URL_OVERRIDE is right";

/// Update graphs of one architecture.
pub(crate) struct Updates<'a> {
    servers: &'a Servers,
    client: &'a str,
    architecture: &'a str,
    graphs: BTreeMap<(bool, String), Fetched>,
}

/// A graph, and the bytes that it was read from.
struct Fetched {
    graph: Rc<Graph>,
    bytes: Vec<u8>,
}

impl<'a> Updates<'a> {
    /// Prepares to fetch graphs.
    pub(crate) fn new(servers: &'a Servers, client: &'a str, architecture: &'a str) -> Self {
        Self { servers, client, architecture, graphs: BTreeMap::new() }
    }

    /// Returns what was fetched: whether it is of OKD, the channel, and the bytes.
    pub(crate) fn fetched(&self) -> impl Iterator<Item = (bool, &str, &[u8])> {
        self.graphs.iter().map(|((okd, channel), f)| (*okd, channel.as_str(), f.bytes.as_slice()))
    }

    fn fetch(&self, okd: bool, channel: &str) -> Result<Fetched, Error> {
        let server = if okd { &self.servers.okd } else { &self.servers.ocp };
        let url = url(server, self.architecture, channel, self.client);
        let what = format!("the update graph of `{channel}` for {} at {server}", self.architecture);
        let failed = |error| about(error, &what);
        let unavailable = |error| with_hint(failed(error), UNAVAILABLE);
        let body = web::get(&url, Some("application/json"), MOST as u64).map_err(unavailable)?;
        let bytes = read_all(&body, MOST, "the answer").map_err(unavailable)?;
        let graph = Graph::parse(&bytes).map_err(|problem| {
            let error = other(problem.code, problem.message);
            failed(problem.hint.iter().fold(error, |error, hint| with_hint(error, hint)))
        })?;
        Ok(Fetched { graph: Rc::new(graph), bytes })
    }
}

impl Graphs for Updates<'_> {
    type Error = Error;

    fn get(&mut self, okd: bool, channel: &str) -> Result<Rc<Graph>, Error> {
        let key = (okd, channel.to_owned());
        if let Some(known) = self.graphs.get(&key) {
            return Ok(known.graph.clone());
        }
        let fetched = self.fetch(okd, channel)?;
        let graph = fetched.graph.clone();
        self.graphs.insert(key, fetched);
        Ok(graph)
    }
}

/// Writes the question to a server.
fn url(server: &str, architecture: &str, channel: &str, client: &str) -> String {
    let separator = if server.contains('?') { '&' } else { '?' };
    let mut url = format!("{server}{separator}arch={}&channel={}", escaped(architecture), escaped(channel));
    if !client.is_empty() {
        url.push_str(&format!("&id={}", escaped(client)));
    }
    url
}

/// Escapes what has a meaning of its own in a query.
fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions() {
        assert_eq!(
            url("https://a.example/graph", "amd64", "stable-4.20", "x"),
            "https://a.example/graph?arch=amd64&channel=stable-4.20&id=x"
        );
        assert_eq!(
            url("https://a.example/g?k=v", "multi", "a b&c", ""),
            "https://a.example/g?k=v&arch=multi&channel=a%20b%26c"
        );
    }
}
