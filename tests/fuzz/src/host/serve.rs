//! The registry inside: whatever is sent to it, it answers, hands out only what hashes to its name, and writes nowhere else.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use oc_mirror_engine::layout::Layout;
use oc_mirror_engine::serve::{Backend, Limits, ServeOptions, serve_connection};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::media_type;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::aid::{scratch, wait};
use crate::target::{Input, Target};

/// Requests to `oc-mirror serve`, one after the other, each on a connection of its own.
pub const SERVE: Target = Target { name: "serve", longest: 16 << 10, memory: 64 << 20, check };

/// The most requests of one input.
const MOST: usize = 24;
/// Nothing that is sent here may take so long.
const PATIENCE: Duration = Duration::from_secs(8);

/// What is pushed: bodies, with the digests by which the paths of other requests can name them.
struct Content {
    bodies: Vec<Vec<u8>>,
    digests: Vec<String>,
}

impl Content {
    fn new() -> Self {
        let (config, layer) = (b"{}".to_vec(), b"layer".to_vec());
        let descriptors = [
            Descriptor::of(media_type::OCI_CONFIG, &config),
            Descriptor::of(media_type::OCI_LAYER_GZIP, &layer),
        ];
        let manifest = serde_json::json!({ "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": descriptors[0], "layers": [descriptors[1]] });
        let manifest = serde_json::to_vec(&manifest).expect("plain JSON");
        let child = Descriptor::of(media_type::OCI_MANIFEST, &manifest);
        let about = serde_json::json!({ "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": descriptors[0], "layers": [], "subject": child });
        let index = serde_json::json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [child] });
        let bytes = |value: &serde_json::Value| serde_json::to_vec(value).expect("plain JSON");
        let bodies = vec![config, layer, manifest, bytes(&about), bytes(&index), Vec::new()];
        let digests = bodies.iter().map(|body| Digest::of(body).to_string()).collect();
        Self { bodies, digests }
    }
}

/// A request as bytes, and what to hold the answer against.
struct Sent {
    bytes: Vec<u8>,
    /// Whether it is a request and all of it is there, so that an answer comes. Of anything else the end is told, or both sides
    /// wait for each other.
    whole: bool,
    /// The digest that the body of a success has to have.
    asked: Option<String>,
}

fn check(data: &[u8]) {
    let mut input = Input(data);
    let dir = scratch();
    let root = dir.path().join("registry");
    let backend: Arc<dyn Backend> = Arc::new(Layout::create(&root).expect("a directory"));
    let options = ServeOptions {
        sparse_indexes: input.byte() % 2 == 0,
        max_manifest_bytes: 2 << 10,
        max_uploads: 3,
        limits: Limits {
            stall: Duration::from_secs(1),
            head_timeout: Duration::from_secs(1),
            ..Limits::default()
        },
        ..ServeOptions::default()
    };
    let content = Content::new();
    let registry = oc_mirror_engine::serve::router(backend, options.clone());
    let mut uploads: Vec<String> = Vec::new();
    wait(async {
        for _ in 0..MOST {
            if input.is_empty() {
                break;
            }
            let sent = request(&mut input, &content, &uploads);
            let (near, far) = tokio::io::duplex(64 << 10);
            let serving = serve_connection(far, registry.clone(), &options);
            let asking = exchange(near, &sent);
            let (_, answer) = tokio::time::timeout(PATIENCE, async { tokio::join!(serving, asking) })
                .await
                .unwrap_or_else(|_| panic!("no end of {}", String::from_utf8_lossy(&sent.bytes)));
            if let Some(upload) = answered(&sent, &answer) {
                uploads.push(upload);
            }
        }
    });
    let beside: Vec<_> =
        std::fs::read_dir(dir.path()).expect("there").flatten().map(|e| e.file_name()).collect();
    assert_eq!(beside, ["registry"]);
    blobs_are_right(&root);
}

async fn exchange(mut stream: tokio::io::DuplexStream, sent: &Sent) -> Vec<u8> {
    // It may be refused before all of it was taken.
    let _ = stream.write_all(&sent.bytes).await;
    if !sent.whole {
        let _ = stream.shutdown().await;
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

fn request(input: &mut Input<'_>, content: &Content, uploads: &[String]) -> Sent {
    let methods = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "BREW"];
    let kind = input.byte();
    if kind == 255 {
        return Sent { bytes: input.part().to_vec(), whole: false, asked: None };
    }
    let method = methods[usize::from(kind) % methods.len()];
    let repository = match input.byte() % 5 {
        0 => "a".to_owned(),
        1 => "a/b".to_owned(),
        2 => "team/app".to_owned(),
        3 => "uploads/blobs".to_owned(),
        _ => text(input.part()),
    };
    let digest = content.digests[usize::from(input.byte()) % content.digests.len()].clone();
    let mut asked = None;
    let path = match input.byte() % 10 {
        0 => "/v2/".to_owned(),
        1 => "/v2/_catalog".to_owned(),
        2 => format!("/v2/{repository}/tags/list"),
        3 => format!("/v2/{repository}/manifests/latest"),
        4 => {
            asked = Some(digest.clone());
            format!("/v2/{repository}/manifests/{digest}")
        }
        5 => {
            asked = Some(digest.clone());
            format!("/v2/{repository}/blobs/{digest}")
        }
        6 => format!("/v2/{repository}/blobs/uploads/"),
        7 => match uploads.len() {
            0 => format!("/v2/{repository}/blobs/uploads/{}", text(input.part())),
            several => uploads[usize::from(input.byte()) % several].clone(),
        },
        8 => format!("/v2/{repository}/referrers/{digest}"),
        _ => text(input.part()),
    };
    let query = match input.byte() % 8 {
        0 => format!("?digest={digest}"),
        1 => format!("?mount={digest}&from=a"),
        2 => format!("?n={}&last=a", input.byte()),
        3 => "?tag=x&tag=y".to_owned(),
        4 => format!("?{}", text(input.part())),
        _ => String::new(),
    };
    let body: Vec<u8> = match input.byte() {
        number if usize::from(number) < content.bodies.len() => content.bodies[usize::from(number)].clone(),
        number if number % 2 == 0 => content.bodies[usize::from(number) % content.bodies.len()].clone(),
        _ => input.part().to_vec(),
    };
    let mut head = format!("{method} {path}{query} HTTP/1.1\r\nHost: r.example\r\nConnection: close\r\n");
    let mut ranged = false;
    for _ in 0..input.byte() % 4 {
        let line = match input.byte() % 9 {
            0 => format!("Content-Type: {}", media_type::OCI_MANIFEST),
            1 => format!("Content-Type: {}", media_type::OCI_INDEX),
            2 => format!("Content-Range: {}-{}", input.byte() % 16, input.byte() % 16),
            3 => format!("Range: bytes={}-{}", input.byte() % 16, input.byte() % 16),
            4 => format!("Range: bytes=-{}", input.byte()),
            5 => format!("If-None-Match: \"{digest}\""),
            6 => format!("If-Range: \"{digest}\""),
            7 => "Authorization: Basic YTpi".to_owned(),
            _ => text(input.part()),
        };
        ranged |= line.starts_with("Range") || line.starts_with("If-");
        head.push_str(&line);
        head.push_str("\r\n");
    }
    // What a client makes up may be anything, and then nothing is known of how it is understood.
    let mut whole = head.is_ascii() && !head.contains("\r\n\r\n") && !head.contains(['\0', '#']);
    let mut bytes = Vec::new();
    match input.byte() % 6 {
        0 => {
            head.push_str("Transfer-Encoding: chunked\r\n\r\n");
            bytes.extend_from_slice(head.as_bytes());
            let size = usize::from(input.byte() % 7) + 1;
            for piece in body.chunks(size) {
                bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                bytes.extend_from_slice(piece);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        }
        1 => {
            // It announces more than comes, or less.
            let said = body.len() + usize::from(input.byte() % 5);
            head.push_str(&format!("Content-Length: {}\r\n\r\n", said.saturating_sub(2)));
            bytes.extend_from_slice(head.as_bytes());
            bytes.extend_from_slice(&body);
            whole = false;
        }
        _ => {
            head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
            bytes.extend_from_slice(head.as_bytes());
            bytes.extend_from_slice(&body);
        }
    }
    let asked = asked.filter(|_| whole && !ranged && method == "GET" && query.is_empty());
    Sent { bytes, whole, asked }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Holds an answer against what was asked. Returns the place of an upload that it has opened.
fn answered(sent: &Sent, answer: &[u8]) -> Option<String> {
    let shown = || format!("{}\n\n{}", String::from_utf8_lossy(&sent.bytes), String::from_utf8_lossy(answer));
    if answer.is_empty() {
        assert!(!sent.whole, "no answer to {}", shown());
        return None;
    }
    let end =
        answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or_else(|| panic!("no head: {}", shown()));
    let head = std::str::from_utf8(&answer[..end]).expect("the head of an answer is text");
    let status: u16 =
        head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("{}", shown()));
    // A fault of the server would be ours: nothing is wrong with the disk.
    assert!((200..500).contains(&status) || matches!(status, 501 | 503), "{}", shown());
    let body = &answer[end + 4..];
    if let (200, Some(asked)) = (status, &sent.asked) {
        assert_eq!(Digest::of(body).to_string(), *asked, "{}", shown());
    }
    let location =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("location: ").map(str::to_owned));
    if let Some(location) = &location {
        assert!(location.starts_with("/v2/") && !location.contains(".."), "{}", shown());
    }
    location.filter(|place| status == 202 && place.contains("/blobs/uploads/"))
}

/// Every blob hashes to its name, and has one.
fn blobs_are_right(root: &Path) {
    let Ok(entries) = std::fs::read_dir(root.join("blobs/sha256")) else { return };
    for entry in entries.flatten() {
        let bytes = std::fs::read(entry.path()).expect("a blob");
        let name = entry.file_name().into_string().expect("text");
        assert_eq!(Digest::of(&bytes).hex(), name, "a blob is under another name");
    }
}
