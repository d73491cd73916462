//! [`Registry`]: Debian's `docker-registry` as it is configured there, but without users. It dies with its value.

use std::collections::HashMap;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use oc_mirror_testkit::http;
use serde_json::json;

use crate::run::Tool;

/// How long the program may take to listen, and a request to appear in the log.
const PATIENCE: Duration = Duration::from_secs(30);
/// Ends the part of the log that counts.
const MARK: &str = "/v2/?mark";

/// Returns an address that stays free while no registry listens on it: the kernel gives no client its port.
pub(super) fn steady_address() -> Result<String, String> {
    let first = 20_000 + u16::try_from(std::process::id() % 8_000).unwrap_or(0);
    let mut addresses = (first..first + 1_000).map(|port| format!("127.0.0.1:{port}"));
    let free = addresses.find(|address| TcpListener::bind(address).is_ok());
    free.ok_or_else(|| "no free port on the loopback interface".to_owned())
}

/// A running registry.
pub(super) struct Registry {
    child: Child,
    /// The host and port.
    pub(super) host: String,
    config: PathBuf,
    log: Option<PathBuf>,
}

/// What clients asked of a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Requests {
    /// How many requests there were.
    pub(super) count: u64,
    /// How many blobs were sent that had been sent before.
    pub(super) sent_again: u64,
}

impl Registry {
    /// Starts the registry on this address and content, and waits for its first answer. Its access log costs time and is
    /// only kept where requests are counted.
    pub(super) fn start(dir: &Path, storage: &Path, host: &str, counted: bool) -> Result<Self, String> {
        let io = |e: std::io::Error| format!("cannot prepare `{}`: {e}", dir.display());
        fs::create_dir_all(storage).map_err(io)?;
        let config = json!({
            "version": "0.1",
            "log": { "fields": { "service": "registry" }, "accesslog": { "disabled": !counted } },
            "storage": {
                "cache": { "blobdescriptor": "inmemory" },
                "filesystem": { "rootdirectory": storage },
                "delete": { "enabled": true },
            },
            "http": { "addr": host, "secret": "not a secret", "headers": { "X-Content-Type-Options": ["nosniff"] } },
            "health": { "storagedriver": { "enabled": true, "interval": "10s", "threshold": 3 } },
        });
        let name = host.replace(':', "-");
        let file = dir.join(format!("registry-{name}.yml"));
        // JSON is YAML.
        fs::write(&file, config.to_string()).map_err(io)?;
        let log = counted.then(|| dir.join(format!("registry-{name}.log")));
        let out = match &log {
            Some(log) => Stdio::from(File::create(log).map_err(io)?),
            None => Stdio::null(),
        };
        let mut command = Tool::new("docker-registry").args(["serve"]).path(&file).into_command();
        // Variables of this prefix would override the configuration.
        for (name, _) in std::env::vars_os().filter(|(n, _)| n.as_encoded_bytes().starts_with(b"REGISTRY_")) {
            command.env_remove(name);
        }
        let child = command.stdout(out).stderr(Stdio::null()).spawn();
        let child = child.map_err(|e| format!("cannot run `docker-registry`: {e}"))?;
        let mut registry = Self { child, host: host.to_owned(), config: file, log };
        registry.wait()?;
        Ok(registry)
    }

    fn wait(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while !http::get(&self.host, MARK, &[]).is_ok_and(|answer| answer.status == 200) {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("`docker-registry` ended with {status}"));
            }
            if Instant::now() > deadline {
                return Err(format!("`docker-registry` does not answer on {}", self.host));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Returns what was asked since the start.
    pub(super) fn requests(&self) -> Result<Requests, String> {
        let Some(log) = &self.log else { return Err("the registry keeps no access log".to_owned()) };
        let end = format!("{MARK}-end");
        http::get(&self.host, &end, &[]).map_err(|e| format!("{}: {e}", self.host))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(log).map_err(|e| format!("`{}`: {e}", log.display()))?;
            // A line is written just after its answer.
            if text.contains(&end) {
                return Ok(counted(&text));
            }
            if Instant::now() > deadline {
                return Err("`docker-registry` stopped writing its access log".to_owned());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // What is left over goes with the directory.
        let _ = fs::remove_file(&self.config);
        self.log.iter().for_each(|log| drop(fs::remove_file(log)));
    }
}

/// Counts the lines of an access log in Apache's combined format.
fn counted(log: &str) -> Requests {
    let mut requests = Requests::default();
    let mut sent: HashMap<&str, u64> = HashMap::new();
    for line in log.lines().filter(|line| !line.contains(MARK)) {
        let mut quoted = line.split('"');
        let Some(request) = quoted.nth(1) else { continue };
        let status = quoted.next().and_then(|rest| rest.split_ascii_whitespace().next());
        requests.count += 1;
        let digest = request.split(['?', '&', ' ']).find_map(|part| part.strip_prefix("digest="));
        if let (true, Some("201"), Some(digest)) = (request.starts_with("PUT "), status, digest) {
            *sent.entry(digest).or_default() += 1;
        }
    }
    requests.sent_again = sent.values().map(|times| times - 1).sum();
    requests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_blobs_sent_twice_are_counted() {
        let line = |request: &str, status: u16| {
            format!(
                "127.0.0.1 - - [23/Nov/2026:03:45:42 +0000] \"{request} HTTP/1.1\" {status} 2 \"\" \"x\"\n"
            )
        };
        let upload = "PUT /v2/a/blobs/uploads/1?_state=x&digest=sha256%3Aaa";
        let log = [
            line("GET /v2/?mark", 200),
            line("POST /v2/a/blobs/uploads/", 202),
            line(upload, 500),
            line(upload, 201),
            line(&upload.replace("/a/", "/b/"), 201),
            line("PUT /v2/a/manifests/v1", 201),
            line("GET /v2/?mark-end", 200),
        ];
        assert_eq!(counted(&log.concat()), Requests { count: 5, sent_again: 1 });
    }
}
