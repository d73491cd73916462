//! [`Moto`]: an S3 server that is not ours, moto of PyPI, as a child process on a free loopback port. It keeps everything in
//! memory and dies with its value.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::http;
use crate::workspace_root;

/// How long the program may take to listen; it imports half of Python first.
const START: Duration = Duration::from_secs(60);

/// A running S3 server.
#[derive(Debug)]
pub struct Moto {
    port: u16,
    child: Option<Child>,
}

/// Where `cargo xtask setup` puts it.
fn program() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| PathBuf::from("target"));
    workspace_root().join(target).join("moto/bin/moto_server")
}

impl Moto {
    /// Starts it; or says `skipped` and returns nothing where it is not installed.
    #[allow(clippy::print_stderr)]
    pub fn start() -> Option<Self> {
        if !program().is_file() {
            eprintln!("skipped: no moto; `cargo xtask setup` installs it from PyPI");
            return None;
        }
        let mut moto = Self { port: free_port(), child: None };
        moto.restart();
        Some(moto)
    }

    /// Starts it again on the same port, with nothing in it.
    pub fn restart(&mut self) {
        self.stop();
        let port = self.port.to_string();
        let mut command = Command::new(program());
        command.args(["-H", "127.0.0.1", "-p", &port]).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("moto can be started"));
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(start.elapsed() < START, "moto does not listen on port {}", self.port);
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Kills it, with all that it holds.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Returns `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the URL to reach it at.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.host())
    }

    /// Makes a bucket.
    pub fn make_bucket(&self, name: &str) {
        self.ask("PUT", &format!("/{name}"), &[]);
    }

    /// Lists the keys of a bucket, sorted.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        elements(&self.ask("GET", &format!("/{bucket}?list-type=2"), &[]), "Key")
    }

    /// Lists the keys of uploads that were begun and neither completed nor aborted.
    pub fn uploads(&self, bucket: &str) -> Vec<String> {
        elements(&self.ask("GET", &format!("/{bucket}?uploads"), &[]), "Key")
    }

    /// Reads an object.
    pub fn object(&self, bucket: &str, key: &str) -> Vec<u8> {
        self.ask("GET", &format!("/{bucket}/{key}"), &[])
    }

    /// Writes an object.
    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        self.ask("PUT", &format!("/{bucket}/{key}"), bytes);
    }

    fn ask(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        // It looks into this header for the service, and not at the signature.
        let account = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        let answer = http::request(&self.host(), method, path, &[("Authorization", account)], body);
        let answer = answer.unwrap_or_else(|e| panic!("{method} {path}: {e}"));
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
        answer.body
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("it is bound").port()
}

fn elements(document: &[u8], name: &str) -> Vec<String> {
    let document = String::from_utf8_lossy(document);
    let start = format!("<{name}>");
    let parts = document.split(&start).skip(1);
    let mut found: Vec<String> =
        parts.filter_map(|part| part.split_once("</")).map(|(text, _)| text.to_string()).collect();
    found.sort();
    found
}
