//! [`UpdateServer`]: what the content source of releases asks besides registries, on the loopback interface: the graph of
//! updates (the Cincinnati protocol, as `api.openshift.com` speaks it), the store of signatures, and graph data.
//!
//! It knows no faults of its own: [`UpdateServer::rule`] takes those of a [`FaultRegistry`].

mod graph;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::json;

pub use graph::GraphBuilder;

use crate::faults::{FaultRegistry, Origin, Recorded, Rule, lock};
use crate::http::{self, Headers, Response};

/// Where the graph is, as on `api.openshift.com`.
const GRAPH: &str = "/api/upgrades_info/v1/graph";

/// The same under the name it had before versions; it is still served.
const UNVERSIONED_GRAPH: &str = "/api/upgrades_info/graph";

/// Where the graph of OKD is, as on `origin-release.ci.openshift.org`.
const OKD_GRAPH: &str = "/graph";

/// Where graph data is.
const GRAPH_DATA: &str = "/api/upgrades_info/graph-data";

/// What signatures are below.
const SIGNATURES: &str = "/signatures/openshift/release";

/// The answer about a channel that nobody knows.
const EMPTY_GRAPH: &[u8] = br#"{"version":1,"nodes":[],"edges":[],"conditionalEdges":[]}"#;

/// A server of graphs, signatures and graph data.
#[derive(Debug)]
pub struct UpdateServer {
    faults: FaultRegistry,
    shelf: Arc<Shelf>,
}

/// What is served.
#[derive(Debug, Default)]
struct Shelf {
    /// By architecture and channel.
    graphs: Mutex<BTreeMap<(String, String), Vec<u8>>>,
    okd: Mutex<Option<Vec<u8>>>,
    /// By path below the store.
    signatures: Mutex<BTreeMap<String, Vec<u8>>>,
    graph_data: Mutex<Option<Vec<u8>>>,
}

impl UpdateServer {
    /// Starts a server that knows no channel, no signature and no graph data.
    pub fn start() -> Self {
        let shelf = Arc::new(Shelf::default());
        Self { faults: FaultRegistry::serving(Arc::clone(&shelf) as Arc<dyn Origin>), shelf }
    }

    /// Returns the host and port.
    pub fn host(&self) -> String {
        self.faults.host()
    }

    /// Returns the base address without a final slash.
    pub fn url(&self) -> String {
        self.faults.url()
    }

    /// Returns the address of the graph, as `UPDATE_URL_OVERRIDE` takes it.
    pub fn graph_url(&self) -> String {
        format!("{}{GRAPH}", self.url())
    }

    /// Returns the address of the graph of OKD.
    pub fn okd_graph_url(&self) -> String {
        format!("{}{OKD_GRAPH}", self.url())
    }

    /// Returns the address of graph data.
    pub fn graph_data_url(&self) -> String {
        format!("{}{GRAPH_DATA}", self.url())
    }

    /// Returns the address of the store of signatures, without a final slash.
    pub fn store_url(&self) -> String {
        format!("{}{SIGNATURES}", self.url())
    }

    /// Sets the answer about a channel for an architecture: a [`GraphBuilder`], or any bytes.
    pub fn graph(&self, architecture: &str, channel: &str, graph: impl Into<Vec<u8>>) -> &Self {
        let key = (architecture.to_owned(), channel.to_owned());
        lock(&self.shelf.graphs).insert(key, graph.into());
        self
    }

    /// Sets the graph of OKD, which is asked for without parameters.
    pub fn okd_graph(&self, graph: impl Into<Vec<u8>>) -> &Self {
        *lock(&self.shelf.okd) = Some(graph.into());
        self
    }

    /// Adds a signature of a digest (`sha256:<hex>`) with the first number that is free, from 1.
    pub fn signature(&self, digest: &str, bytes: impl Into<Vec<u8>>) -> &Self {
        let free = {
            let known = lock(&self.shelf.signatures);
            (1..).find(|number| !known.contains_key(&signature_path(digest, *number)))
        };
        self.signature_at(digest, free.expect("numbers do not end"), bytes)
    }

    /// Adds or replaces the signature of a digest that has this number.
    pub fn signature_at(&self, digest: &str, number: u32, bytes: impl Into<Vec<u8>>) -> &Self {
        lock(&self.shelf.signatures).insert(signature_path(digest, number), bytes.into());
        self
    }

    /// Sets graph data, a `tar.gz`.
    pub fn graph_data(&self, archive: impl Into<Vec<u8>>) -> &Self {
        *lock(&self.shelf.graph_data) = Some(archive.into());
        self
    }

    /// Adds a fault; see [`Rule`].
    pub fn rule(&self, rule: Rule) -> &Self {
        self.faults.rule(rule);
        self
    }

    /// Forgets all faults.
    pub fn clear_rules(&self) {
        self.faults.clear_rules();
    }

    /// Returns all requests so far, those with faults among them.
    pub fn requests(&self) -> Vec<Recorded> {
        self.faults.requests()
    }

    /// Returns how many `GET` requests so far have a path that matches the regular expression.
    pub fn count(&self, path: &str) -> usize {
        self.faults.count("GET", path)
    }

    /// Returns how often each `(architecture, channel)` was asked about.
    pub fn fetches(&self) -> BTreeMap<(String, String), usize> {
        let mut found = BTreeMap::new();
        for request in self.requests() {
            let (path, query) = split_query(&request.path);
            if path == GRAPH || path == UNVERSIONED_GRAPH {
                let query = parameters(query);
                let value = |name: &str| query.get(name).cloned().unwrap_or_default();
                *found.entry((value("arch"), value("channel"))).or_default() += 1;
            }
        }
        found
    }

    /// Fails the test unless exactly these `(architecture, channel)` were asked about, each of them once.
    #[track_caller]
    pub fn assert_fetched_once(&self, expected: &[(&str, &str)]) {
        let expected: BTreeMap<_, _> =
            expected.iter().map(|(a, c)| ((a.to_string(), c.to_string()), 1)).collect();
        assert_eq!(self.fetches(), expected, "graphs that were asked for");
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.faults.clear_requests();
    }
}

impl Origin for Shelf {
    fn answer(&self, method: &str, path: &str, headers: &Headers) -> Response {
        if !matches!(method, "GET" | "HEAD") {
            return answer(405, "text/plain", Vec::new());
        }
        let (path, query) = split_query(path);
        match path {
            GRAPH | UNVERSIONED_GRAPH => self.graph(query, headers),
            OKD_GRAPH => {
                let graph = lock(&self.okd).clone().unwrap_or_else(|| EMPTY_GRAPH.to_vec());
                answer(200, "application/json", graph)
            }
            GRAPH_DATA => found("application/gzip", lock(&self.graph_data).clone()),
            _ => {
                let below = path.strip_prefix(SIGNATURES).and_then(|rest| rest.strip_prefix('/'));
                let signature = below.and_then(|name| lock(&self.signatures).get(name).cloned());
                found("application/octet-stream", signature)
            }
        }
    }
}

impl Shelf {
    fn graph(&self, query: &str, headers: &Headers) -> Response {
        // The server compares the whole value and knows no lists. Some of its versions let a request without one pass;
        // this does not, so that a client which forgets it is found.
        let accepted = ["application/json", "application/*", "*/*", "*"];
        if !http::header(headers, "accept").is_some_and(|value| accepted.contains(&value)) {
            return refusal(406, "invalid_content_type", "invalid Content-Type requested");
        }
        let query = parameters(query);
        let Some(channel) = query.get("channel") else {
            return refusal(400, "missing_params", "mandatory client parameters missing: channel");
        };
        let architecture = query.get("arch").map_or("amd64", String::as_str);
        let graphs = lock(&self.graphs);
        let graph = graphs.get(&(architecture.to_owned(), channel.clone()));
        answer(200, "application/json", graph.cloned().unwrap_or_else(|| EMPTY_GRAPH.to_vec()))
    }
}

fn answer(status: u16, media_type: &str, body: Vec<u8>) -> Response {
    Response { status, headers: vec![("Content-Type".to_owned(), media_type.to_owned())], body }
}

fn refusal(status: u16, kind: &str, value: &str) -> Response {
    answer(status, "application/json", json!({ "kind": kind, "value": value }).to_string().into_bytes())
}

fn found(media_type: &str, body: Option<Vec<u8>>) -> Response {
    match body {
        Some(body) => answer(200, media_type, body),
        None => answer(404, "text/plain", b"not found\n".to_vec()),
    }
}

/// Returns the path of a signature below the store.
fn signature_path(digest: &str, number: u32) -> String {
    let (algorithm, hex) = digest.split_once(':').expect("a digest is algorithm:hex");
    format!("{algorithm}={hex}/signature-{number}")
}

fn split_query(path: &str) -> (&str, &str) {
    path.split_once('?').unwrap_or((path, ""))
}

/// Returns the parameters of a query; of a repeated one the last value, as the server does.
fn parameters(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(k, v)| (decode(k), decode(v)))
        .collect()
}

/// Undoes the encoding of a form.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let escaped = behind.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = behind;
            }
            _ => {
                bytes.push(first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
