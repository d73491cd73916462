//! The least that speaks HTTP to a registry on the loopback interface: connections that stay open, bodies from files,
//! and nothing retried. It fills registries, and is the client that a real one is measured against.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::sets::Blob;

/// How many connections there are at a time.
pub(super) const CONNECTIONS: usize = 8;
/// How much of a file is read at once.
const PIECE: usize = 256 << 10;
/// The media type of all manifests.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What is sent besides the head of a request.
pub(super) enum Body<'a> {
    Nothing,
    Bytes(&'a [u8]),
    File(&'a Path),
}

/// What is wanted of an answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) location: String,
    pub(super) digest: String,
}

/// One open connection.
pub(super) struct Connection {
    host: String,
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects to `HOST:PORT`.
    pub(super) fn open(host: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(host).map_err(|e| format!("cannot connect to {host}: {e}"))?;
        stream.set_nodelay(true).map_err(|e| format!("{host}: {e}"))?;
        Ok(Self { host: host.to_owned(), stream: BufReader::with_capacity(16 << 10, stream) })
    }

    /// Sends a request and reads the whole answer; any other status than this is an error.
    pub(super) fn ask(
        &mut self,
        method: &str,
        target: &str,
        body: Body<'_>,
        status: u16,
    ) -> Result<Answer, String> {
        let answer = self.exchange(method, target, body);
        let answer = answer.map_err(|e| format!("{method} http://{}{target}: {e}", self.host))?;
        match answer.status == status {
            true => Ok(answer),
            false => Err(format!("{method} http://{}{target} ended with {}", self.host, answer.status)),
        }
    }

    fn exchange(&mut self, method: &str, target: &str, body: Body<'_>) -> std::io::Result<Answer> {
        let length = match &body {
            Body::Nothing => 0,
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::File(path) => std::fs::metadata(path)?.len(),
        };
        let kind = if target.contains("/manifests/") { MANIFEST } else { "application/octet-stream" };
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nAccept: {MANIFEST}\r\nContent-Type: {kind}\r\n\
             Content-Length: {length}\r\n\r\n",
            self.host
        );
        let to = self.stream.get_mut();
        match body {
            Body::Nothing => to.write_all(head.as_bytes())?,
            Body::Bytes(bytes) => to.write_all(&[head.as_bytes(), bytes].concat())?,
            Body::File(path) => {
                to.write_all(head.as_bytes())?;
                let mut file = File::open(path)?;
                let mut piece = vec![0; PIECE.min(length as usize + 1)];
                loop {
                    match file.read(&mut piece)? {
                        0 => break,
                        read => to.write_all(&piece[..read])?,
                    }
                }
            }
        }
        self.answer(method)
    }

    fn answer(&mut self, method: &str) -> std::io::Result<Answer> {
        let mut answer = Answer::default();
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if answer.status == 0 {
                answer.status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(599);
                continue;
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap_or(0),
                "location" => answer.location = value.to_owned(),
                "docker-content-digest" => answer.digest = value.to_owned(),
                _ => {}
            }
        }
        if method != "HEAD" {
            std::io::copy(&mut self.stream.by_ref().take(length), &mut std::io::sink())?;
        }
        Ok(answer)
    }

    /// Sends a blob in one piece.
    pub(super) fn upload(&mut self, repository: &str, blob: &Blob, body: Body<'_>) -> Result<(), String> {
        let opened = self.ask("POST", &format!("/v2/{repository}/blobs/uploads/"), Body::Nothing, 202)?;
        let location = opened.location.find("/v2/").map_or("", |at| &opened.location[at..]);
        let separator = if location.contains('?') { '&' } else { '?' };
        self.ask("PUT", &format!("{location}{separator}digest={}", blob.digest), body, 201)?;
        Ok(())
    }

    /// Takes a blob over from another repository.
    pub(super) fn mount(&mut self, repository: &str, blob: &Blob, from: &str) -> Result<(), String> {
        let target = format!("/v2/{repository}/blobs/uploads/?mount={}&from={from}", blob.digest);
        self.ask("POST", &target, Body::Nothing, 201).map(drop)
    }
}

/// Does something for each item, over [`CONNECTIONS`] connections. The first error ends it.
pub(super) fn for_each<T: Sync>(
    host: &str,
    items: &[T],
    work: impl Fn(&mut Connection, &T) -> Result<(), String> + Sync,
) -> Result<(), String> {
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let worker = || -> Result<(), String> {
        let mut connection = Connection::open(host)?;
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(&mut connection, item)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS.min(items.len()) {
            scope.spawn(|| {
                if let Err(e) = worker() {
                    next.store(items.len(), Ordering::Relaxed);
                    if let Ok(mut failure) = failure.lock() {
                        failure.get_or_insert(e);
                    }
                }
            });
        }
    });
    match failure.into_inner() {
        Ok(None) => Ok(()),
        Ok(Some(e)) => Err(e),
        Err(_) => Err("a connection's thread panicked".to_owned()),
    }
}
