//! [`Registry`]: Debian's `docker-registry` as a child process on a free loopback port, with its access log at hand. It
//! is a real registry, so it refuses what real registries refuse; it dies with its value.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::image::Image;
use crate::push::{PlainHost, PushTarget};
use crate::tls::Certificates;
use crate::{basic_authorization, http};

/// The user name of a registry with authentication.
pub const USER: &str = "tester";
/// The password of a registry with authentication.
pub const PASSWORD: &str = "testpass";
/// The bcrypt hash of [`PASSWORD`], made once, so that no `htpasswd` program is needed.
const HTPASSWD: &str = "tester:$2y$05$abcdefghijklmnopqrstuuY2rr7L.d/LF6rPH7pelavN71FckQOVO\n";

/// How long the program may take to listen; it takes 50 ms on an idle machine.
const START: Duration = Duration::from_secs(30);
/// How long an answered request may take to appear in the log.
const LOG: Duration = Duration::from_secs(10);
/// Marks requests of the test kit itself, which are left out of the log.
const MARK: &str = "testkit-mark";

/// One line of the access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The status code.
    pub status: u16,
    /// How many bytes of body were sent.
    pub bytes: u64,
    /// What the client calls itself.
    pub user_agent: String,
}

impl LogLine {
    /// Reads a line of Apache's combined format.
    fn parse(line: &str) -> Option<Self> {
        let mut quoted = line.split('"');
        quoted.next()?;
        let mut request = quoted.next()?.split(' ');
        let mut numbers = quoted.next()?.split_ascii_whitespace();
        let user_agent = quoted.nth(2).unwrap_or_default().to_string();
        Some(Self {
            method: request.next()?.to_string(),
            path: request.next()?.to_string(),
            status: numbers.next()?.parse().ok()?,
            bytes: numbers.next()?.parse().unwrap_or(0),
            user_agent,
        })
    }

    /// Whether the request would change what the registry holds.
    pub fn is_write(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD")
    }
}

/// Decides what the registry is like before it starts.
#[derive(Clone, Debug, Default)]
pub struct RegistryBuilder {
    delete: bool,
    auth: bool,
    tls: bool,
    client_certificates: bool,
    read_only: bool,
    storage: Option<PathBuf>,
}

impl RegistryBuilder {
    /// Allows manifests and blobs to be deleted.
    pub fn delete(mut self) -> Self {
        self.delete = true;
        self
    }

    /// Asks for basic authentication as [`USER`] with [`PASSWORD`].
    pub fn auth(mut self) -> Self {
        self.auth = true;
        self
    }

    /// Speaks TLS with a certificate of its own authority ([`Registry::certificates`]).
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Speaks TLS, and only with clients whose certificate is of the registry's own authority.
    pub fn client_certificates(mut self) -> Self {
        self.client_certificates = true;
        self.tls()
    }

    /// Refuses writes with 405.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Serves an existing directory, for instance that of another registry, instead of an empty one.
    pub fn storage(mut self, directory: &Path) -> Self {
        self.storage = Some(directory.to_path_buf());
        self
    }

    /// Starts the registry and waits until it answers.
    pub fn start(self) -> Registry {
        let dir = tempfile::tempdir().expect("the machine has a temporary directory");
        let storage = self.storage.clone().unwrap_or_else(|| dir.path().join("storage"));
        fs::create_dir_all(&storage).expect("the test's own directory is writable");
        let certificates = self.tls.then(|| Certificates::make(dir.path()));
        let log = Arc::default();
        let marks = AtomicUsize::new(0);
        let mut registry =
            Registry { dir, storage, certificates, options: self, port: 0, running: None, log, marks };
        registry.restart();
        registry
    }
}

/// A running (or stopped) `docker-registry`.
#[derive(Debug)]
pub struct Registry {
    dir: TempDir,
    storage: PathBuf,
    certificates: Option<Certificates>,
    options: RegistryBuilder,
    /// Zero until the first start; the same ever after.
    port: u16,
    running: Option<Running>,
    log: Arc<Mutex<Vec<String>>>,
    marks: AtomicUsize,
}

#[derive(Debug)]
struct Running {
    child: Child,
    readers: Vec<thread::JoinHandle<()>>,
}

impl Registry {
    /// Starts an empty registry: plain HTTP, no authentication.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// Starts to describe a registry.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::default()
    }

    /// Returns the host and port, as image references have it.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the base address without a final slash.
    pub fn url(&self) -> String {
        let scheme = if self.certificates.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.host())
    }

    /// Returns a reference in this registry, as `127.0.0.1:port/repository:tag` or `…@sha256:…`.
    pub fn reference(&self, repository: &str, reference: &str) -> String {
        let separator = if reference.contains(':') { '@' } else { ':' };
        format!("{}/{repository}{separator}{reference}", self.host())
    }

    /// Returns the directory the registry stores its content in.
    pub fn storage(&self) -> &Path {
        &self.storage
    }

    /// Returns the certificate files of a registry that speaks TLS.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// Ends the process; the content and the log stay.
    pub fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            // Failing to kill means that it is gone already.
            let _ = running.child.kill();
            let _ = running.child.wait();
            for reader in running.readers {
                let _ = reader.join();
            }
        }
    }

    /// Starts the process, again or for the first time, on the same port and content.
    pub fn restart(&mut self) {
        self.stop();
        let config = self.dir.path().join("config.yml");
        fs::write(&config, self.config()).expect("the test's own directory is writable");
        let mut command = Command::new("docker-registry");
        // Variables of this prefix would override the configuration.
        for (name, _) in std::env::vars_os().filter(|(n, _)| n.as_encoded_bytes().starts_with(b"REGISTRY_")) {
            command.env_remove(name);
        }
        let mut child = command
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot run `docker-registry`: {e}; `cargo xtask setup` installs it"));
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let log = Arc::clone(&self.log);
        let (sender, receiver) = channel();
        let readers =
            vec![thread::spawn(move || collect(stdout, &log)), thread::spawn(move || watch(stderr, &sender))];
        self.running = Some(Running { child, readers });
        self.port = wait_for_port(&receiver);
        self.wait_for_answer();
    }

    /// Returns every request answered so far, those of the test kit's own checks left out.
    pub fn log(&self) -> Vec<LogLine> {
        self.flush_log();
        let lines = self.lines();
        lines.iter().filter(|line| !line.contains(MARK)).filter_map(|line| LogLine::parse(line)).collect()
    }

    /// Forgets the requests so far.
    pub fn clear_log(&self) {
        self.flush_log();
        self.lines().clear();
    }

    /// Sends a request with the registry's credentials, over plain HTTP, which must be what it speaks.
    pub fn request(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> http::Response {
        let authorization = basic_authorization(USER, PASSWORD);
        let mut headers = headers.to_vec();
        if self.options.auth {
            headers.push(("Authorization", &authorization));
        }
        http::request(&self.host(), method, target, &headers, &[])
            .unwrap_or_else(|e| panic!("{method} {}{target}: {e}", self.url()))
    }

    /// Returns the digest a tag or digest resolves to, or nothing when it is not there.
    pub fn digest_of(&self, repository: &str, reference: &str) -> Option<String> {
        let accept = [
            "application/vnd.oci.image.index.v1+json",
            "application/vnd.oci.image.manifest.v1+json",
            "application/vnd.docker.distribution.manifest.list.v2+json",
            "application/vnd.docker.distribution.manifest.v2+json",
        ]
        .join(", ");
        let target = format!("/v2/{repository}/manifests/{reference}?{MARK}");
        let answer = self.request("GET", &target, &[("Accept", &accept)]);
        (answer.status == 200).then(|| crate::sha256(&answer.body))
    }

    /// Whether a repository holds a blob.
    pub fn has_blob(&self, repository: &str, digest: &str) -> bool {
        self.request("HEAD", &format!("/v2/{repository}/blobs/{digest}?{MARK}"), &[]).status == 200
    }

    /// Returns the tags of a repository in order, none when there is no such repository.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        self.strings(&format!("/v2/{repository}/tags/list?{MARK}"), "tags")
    }

    /// Returns the names of all repositories in order.
    pub fn repositories(&self) -> Vec<String> {
        self.strings(&format!("/v2/_catalog?n=1000&{MARK}"), "repositories")
    }

    fn strings(&self, target: &str, key: &str) -> Vec<String> {
        let answer: serde_json::Value =
            serde_json::from_slice(&self.request("GET", target, &[]).body).unwrap_or_default();
        let found = answer[key].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut found: Vec<String> = found.iter().filter_map(|v| v.as_str().map(String::from)).collect();
        found.sort();
        found
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line is written just after its answer, so the log is complete once a later request is in it.
    fn flush_log(&self) {
        if self.running.is_none() || self.options.tls {
            // Nothing to ask, or no way to: a moment is as good as it gets for TLS.
            thread::sleep(if self.options.tls { Duration::from_millis(50) } else { Duration::ZERO });
            return;
        }
        let mark = format!("{MARK}-{}-", self.marks.fetch_add(1, Ordering::Relaxed));
        let sent = http::get(&self.host(), &format!("/v2/?{mark}"), &[]);
        sent.unwrap_or_else(|e| panic!("GET {}/v2/: {e}", self.url()));
        let deadline = Instant::now() + LOG;
        while !self.lines().iter().any(|line| line.contains(&mark)) {
            assert!(Instant::now() < deadline, "docker-registry stopped writing its access log");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn wait_for_answer(&self) {
        let deadline = Instant::now() + START;
        loop {
            let up = if self.options.tls {
                http::connect(&self.host()).is_ok()
            } else {
                http::get(&self.host(), &format!("/v2/?{MARK}"), &[]).is_ok()
            };
            if up {
                return;
            }
            assert!(Instant::now() < deadline, "docker-registry does not answer on {}", self.host());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn config(&self) -> String {
        let options = &self.options;
        let mut config = serde_json::json!({
            "version": "0.1",
            "log": { "level": "info" },
            "storage": {
                "filesystem": { "rootdirectory": self.storage },
                "delete": { "enabled": options.delete },
                "maintenance": {
                    "uploadpurging": { "enabled": false },
                    "readonly": { "enabled": options.read_only },
                },
            },
            "http": { "addr": self.host(), "secret": "not a secret" },
        });
        if let Some(files) = &self.certificates {
            config["http"]["tls"] = serde_json::json!({ "certificate": files.certificate, "key": files.key });
            if options.client_certificates {
                config["http"]["tls"]["clientcas"] = serde_json::json!([files.authority]);
            }
        }
        if options.auth {
            let path = self.dir.path().join("htpasswd");
            fs::write(&path, HTPASSWD).expect("the test's own directory is writable");
            config["auth"] = serde_json::json!({ "htpasswd": { "realm": "test", "path": path } });
        }
        // JSON is YAML.
        config.to_string()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

impl PushTarget for Registry {
    /// A registry that speaks TLS or refuses writes is filled through a second process on the same content.
    fn plain_host(&self) -> PlainHost {
        if self.options.tls || self.options.read_only {
            let side = Registry::builder().storage(&self.storage).start();
            return PlainHost { host: side.host(), authorization: None, guard: Some(Box::new(side)) };
        }
        let authorization = self.options.auth.then(|| basic_authorization(USER, PASSWORD));
        PlainHost { host: self.host(), authorization, guard: None }
    }
}

impl Registry {
    /// Pushes an image under a tag.
    pub fn push(&self, image: &Image, repository: &str, tag: &str) {
        image.push(self, repository, tag);
    }
}

fn collect(from: impl Read, log: &Mutex<Vec<String>>) {
    for line in BufReader::new(from).lines().map_while(Result::ok) {
        log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

fn watch(from: impl Read, to: &Sender<String>) {
    for line in BufReader::new(from).lines().map_while(Result::ok) {
        // Nobody listens once the port is known, but the pipe must be drained.
        let _ = to.send(line);
    }
}

/// Port 0 lets the kernel choose; the program then says what it got, so no port is ever raced for.
fn wait_for_port(lines: &Receiver<String>) -> u16 {
    let deadline = Instant::now() + START;
    let mut seen = String::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(line) = lines.recv_timeout(left) else {
            panic!("docker-registry did not start:\n{seen}");
        };
        if let Some((_, rest)) = line.split_once("listening on 127.0.0.1:") {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            return digits.parse().expect("a listening socket has a port");
        }
        seen.push_str(&line);
        seen.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageBuilder, IndexBuilder};
    use rstest::rstest;

    fn image() -> Image {
        ImageBuilder::new().layer(&[("etc/motd", "hello\n")]).build()
    }

    #[test]
    fn reads_a_log_line() {
        let line =
            r#"127.0.0.1 - - [23/Nov/2026:03:45:42 +0000] "GET /v2/?x=1 HTTP/1.1" 200 2 "" "curl/7.88.1""#;
        let parsed = LogLine::parse(line).unwrap();
        assert_eq!((parsed.method.as_str(), parsed.path.as_str()), ("GET", "/v2/?x=1"));
        assert_eq!((parsed.status, parsed.bytes, parsed.user_agent.as_str()), (200, 2, "curl/7.88.1"));
    }

    #[rstest]
    #[case::oci(image())]
    #[case::docker(ImageBuilder::new().docker().layer(&[("a", "1")]).build())]
    #[case::index(IndexBuilder::new().child(&image()).child(&ImageBuilder::new().platform("linux/arm64/v8").build()).build())]
    #[case::list(IndexBuilder::new().docker().child(&ImageBuilder::new().docker().layer(&[("a", "1")]).build()).build())]
    #[case::nested(IndexBuilder::new().child(&IndexBuilder::new().child(&image()).build()).build())]
    #[case::artifact(ImageBuilder::artifact("application/x.test").build())]
    #[case::empty_blob(ImageBuilder::artifact("application/x.test").blob("text/plain", b"", &[("a", "b")]).build())]
    fn takes_every_kind_of_image(#[case] image: Image) {
        let registry = Registry::start();
        registry.push(&image, "team/app", "v1");
        assert_eq!(registry.digest_of("team/app", "v1"), Some(image.digest.clone()));
        assert_eq!(registry.tags("team/app"), ["v1"]);
        assert_eq!(registry.repositories(), ["team/app"]);
    }

    #[test]
    fn logs_requests_and_keeps_its_port_over_a_restart() {
        let mut registry = Registry::start();
        let host = registry.host();
        registry.push(&image(), "app", "v1");
        registry.clear_log();
        registry.request("GET", "/v2/app/tags/list", &[]);
        registry.stop();
        assert!(http::get(&host, "/v2/", &[]).is_err());
        registry.restart();
        assert_eq!(registry.host(), host);
        let log = registry.log();
        assert_eq!(log.len(), 1, "{log:?}");
        assert_eq!((log[0].path.as_str(), log[0].status), ("/v2/app/tags/list", 200));
        assert_eq!(registry.tags("app"), ["v1"]);
    }

    #[test]
    fn asks_for_a_password() {
        let registry = Registry::builder().auth().start();
        registry.push(&image(), "app", "v1");
        assert_eq!(http::get(&registry.host(), "/v2/app/tags/list", &[]).unwrap().status, 401);
        assert_eq!(registry.tags("app"), ["v1"]);
    }

    #[test]
    fn refuses_writes_and_can_still_be_filled() {
        let registry = Registry::builder().read_only().start();
        registry.push(&image(), "app", "v1");
        assert_eq!(registry.tags("app"), ["v1"]);
        assert_eq!(registry.request("POST", "/v2/app/blobs/uploads/", &[]).status, 405);
    }

    #[test]
    fn deletes_when_told_so() {
        let registry = Registry::builder().delete().start();
        registry.push(&image(), "app", "v1");
        let target = format!("/v2/app/manifests/{}", image().digest);
        assert_eq!(registry.request("DELETE", &target, &[]).status, 202);
        assert_eq!(registry.digest_of("app", "v1"), None);
    }
}
