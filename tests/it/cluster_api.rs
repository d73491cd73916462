//! [`ClusterApi`]: the API server of a cluster, as far as reading goes: fixed objects, pages, and refusals.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// What is at the server, by path without a query: a list's items, or one object.
type Objects = BTreeMap<String, Value>;

/// The token that the server asks for.
pub(crate) const TOKEN: &str = "sha256~not-to-be-shown";

/// A server that answers until the test is over.
pub(crate) struct ClusterApi {
    address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    objects: Objects,
    forbidden: Vec<String>,
    asked: Vec<String>,
    /// How many items a page has at most.
    page: usize,
}

impl ClusterApi {
    /// Starts a server that has these objects.
    pub(crate) fn start(objects: Objects) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let state = Arc::new(Mutex::new(State { objects, page: 1, ..State::default() }));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || drop(serve(stream, &shared)));
            }
        });
        Self { address, state }
    }

    /// Refuses to tell what is at a path.
    pub(crate) fn forbid(self, path: &str) -> Self {
        self.state.lock().expect("no thread panicked").forbidden.push(path.to_owned());
        self
    }

    /// Returns the address, with its scheme.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns what was asked for, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.lock().expect("no thread panicked").asked.clone()
    }
}

/// Writes a kubeconfig with a context for each address.
pub(crate) fn kubeconfig(contexts: &[(&str, &str)]) -> String {
    let clusters: Vec<Value> =
        contexts.iter().map(|(name, url)| json!({"name": name, "cluster": {"server": url}})).collect();
    let named: Vec<Value> = contexts
        .iter()
        .map(|(name, _)| json!({"name": name, "context": {"cluster": name, "user": "reader"}}))
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": clusters,
        "contexts": named,
        "users": [{"name": "reader", "user": {"token": TOKEN}}],
        "current-context": contexts[0].0,
    })
    .to_string()
}

fn serve(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut is_known = false;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            if header.trim().is_empty() {
                break;
            }
            is_known |= header.trim().eq_ignore_ascii_case(&format!("authorization: Bearer {TOKEN}"));
        }
        let target = first.split(' ').nth(1).unwrap_or_default();
        let (code, body) = match is_known {
            true => answer(&mut state.lock().expect("no thread panicked"), target),
            false => status(401, "Unauthorized"),
        };
        let text = body.to_string();
        write!(
            stream,
            "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        )?;
    }
}

fn status(code: u16, message: &str) -> (u16, Value) {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": message, "code": code,
    });
    (code, body)
}

fn answer(state: &mut State, target: &str) -> (u16, Value) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    state.asked.push(target.to_owned());
    if path == "/version" {
        let names =
            ["buildDate", "compiler", "gitCommit", "gitTreeState", "goVersion", "major", "minor", "platform"];
        let mut version: Value = names.iter().map(|name| ((*name).to_owned(), json!("1"))).collect();
        version["gitVersion"] = "v1.31.6".into();
        return (200, version);
    }
    if state.forbidden.iter().any(|forbidden| path.starts_with(forbidden.as_str())) {
        return status(403, &format!("User \"reader\" cannot read {path} at the cluster scope"));
    }
    match state.objects.get(path) {
        None => status(404, "the server could not find the requested resource"),
        Some(Value::Array(items)) => {
            let start: usize = query
                .split('&')
                .find_map(|pair| pair.strip_prefix("continue="))
                .and_then(|token| token.strip_prefix("from%2F")?.parse().ok())
                .unwrap_or(0);
            let end = (start + state.page).min(items.len());
            let mut list = json!({"kind": "List", "metadata": {}, "items": items[start..end]});
            if end < items.len() {
                list["metadata"]["continue"] = format!("from/{end}").into();
            }
            (200, list)
        }
        Some(object) => (200, object.clone()),
    }
}
