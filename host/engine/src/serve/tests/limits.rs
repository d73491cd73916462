//! What hostile and slow clients get: paths that lead elsewhere, requests that are too much, connections that are held.

use std::io::ErrorKind;
use std::time::Instant;

use super::*;

/// How long a test waits for what has to happen.
const SOON: Duration = Duration::from_secs(20);

fn limited(path: &Path, limits: Limits) -> Server {
    let layout = Arc::new(Layout::create(path).expect("a layout"));
    Server::start(layout, ServeOptions { limits, ..ServeOptions::default() })
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(&server.host).expect("connected");
    stream.set_read_timeout(Some(SOON)).expect("set");
    stream
}

/// Reads until the other side closes; `false` where it does not.
fn is_closed(stream: &mut TcpStream, answer: &mut Vec<u8>) -> bool {
    match stream.read_to_end(answer) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

/// Sends bytes as they are, and returns the status of the answer; 0 where there is none.
fn raw(server: &Server, bytes: &[u8]) -> u16 {
    let mut stream = connect(server);
    // Whoever is refused before the end is cut off.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    assert!(is_closed(&mut stream, &mut answer), "the connection is left open");
    let text = String::from_utf8_lossy(&answer).into_owned();
    text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

fn request_line(line: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").into_bytes()
}

/// All files below a directory, with their sizes.
fn files(dir: &Path) -> Vec<(std::path::PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push((path.clone(), path.metadata().expect("there").len())),
        }
    }
    found.sort();
    found
}

#[test]
fn no_path_leads_out_of_the_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let served = dir.path().join("served");
    let server = Server::directory(&served);
    std::fs::write(dir.path().join("outside"), "kept secret").expect("written");
    let layer = server.put_blob("a", b"content");
    let hex = layer.trim_start_matches("sha256:");
    let before = files(dir.path());
    let long = "a/".repeat(4000);
    let names = [
        "..",
        "../..",
        "%2e%2e",
        "%2e%2e/%2e%2e",
        "..%2f..",
        "%2e%2e%2f",
        "%252e%252e%252f",
        "a/../..",
        "a/./b",
        ".",
        "a%00b",
        "a%00/../..",
        "a\\..\\..",
        "a%5c..%5c..",
        "a//b",
        "/etc",
        "a/%2fetc",
        "a/..;/b",
        "a%0d%0aX: y",
        "a%c0%ae",
        "%ff",
        long.as_str(),
    ];
    let of_name = |name: &str| {
        [
            format!("GET /v2/{name}/tags/list"),
            format!("GET /v2/{name}/manifests/latest"),
            format!("GET /v2/{name}/blobs/{layer}"),
            format!("GET /v2/{name}/outside"),
            format!("POST /v2/{name}/blobs/uploads/"),
            format!("PUT /v2/{name}/manifests/latest"),
            format!("DELETE /v2/{name}/blobs/{layer}"),
        ]
    };
    let of_rest = |rest: &str| {
        [
            format!("GET /v2/a/manifests/{rest}"),
            format!("PUT /v2/a/manifests/{rest}"),
            format!("GET /v2/a/blobs/{rest}"),
            format!("GET /v2/a/blobs/sha256:{rest}"),
            format!("GET /v2/a/blobs/uploads/{rest}"),
            format!("PUT /v2/a/blobs/uploads/{rest}?digest={layer}"),
            format!("POST /v2/a/blobs/uploads/?mount={layer}&from={rest}"),
            format!("GET /v2/a/referrers/{rest}"),
        ]
    };
    let digests =
        [format!("{hex}%00"), format!("{hex}/../outside"), hex.to_uppercase(), hex[..63].to_owned()];
    let mut lines: Vec<String> = names.iter().flat_map(|name| of_name(name)).collect();
    lines.extend(names.iter().copied().chain(digests.iter().map(String::as_str)).flat_map(of_rest));
    lines.extend(
        [
            "/",
            "/outside",
            "/../outside",
            "/%2e%2e/outside",
            "//outside",
            "/v2/../outside",
            "/v2/..%2foutside",
        ]
        .map(|path| format!("GET {path}")),
    );
    lines.push("GET http://elsewhere.example/../outside".to_owned());
    lines.push("CONNECT elsewhere.example:443".to_owned());
    lines.push(format!("GET /v2/a/blobs/{layer}/../../../../outside"));
    for line in &lines {
        let mut stream = connect(&server);
        stream.write_all(&request_line(line)).expect("sent");
        let mut answer = Vec::new();
        assert!(is_closed(&mut stream, &mut answer), "{line}");
        let text = String::from_utf8_lossy(&answer);
        let status: u16 = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        // A mount that is not possible begins an upload, which is no more than a number.
        let is_refused = (400..500).contains(&status) || (status == 202 && line.contains("mount="));
        assert!(is_refused, "{status} for {line}: {text}");
        assert!(!text.contains("kept secret") && !text.contains("X: y"), "{line}: {text}");
    }
    let made: Vec<_> = files(dir.path())
        .into_iter()
        .filter(|file| !before.contains(file) && !file.0.starts_with(served.join(".oc-mirror/uploads")))
        .collect();
    assert!(made.is_empty(), "{made:?}");
    assert_eq!(server.get(&format!("/v2/a/blobs/{layer}")).body, b"content");
}

#[test]
fn a_head_that_is_too_much_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::directory(dir.path());
    let with = |headers: &str| {
        format!("GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n").into_bytes()
    };
    let header = |length: usize| format!("X: {}\r\n", "x".repeat(length));
    for (bytes, expected) in [
        (with(""), 200),
        (with(&header(64_000)), 200),
        (with(&header(200_000)), 431),
        (with(&"A: b\r\n".repeat(60)), 200),
        (with(&"A: b\r\n".repeat(100)), 431),
        (request_line(&format!("GET /v2/?{}", "x".repeat(60_000))), 200),
        (request_line(&format!("GET /v2/?{}", "x".repeat(66_000))), 414),
        (with("Content-Length: x\r\n"), 400),
        (with("Content-Length: 1\r\nContent-Length: 2\r\n"), 400),
        (with("Content-Length: -1\r\n"), 400),
        (with("Transfer-Encoding: x\r\n"), 400),
        (with(" folded: x\r\n"), 400),
        (with("A\0: b\r\n"), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(4), 400),
        // The greeting of HTTP/2, which is not spoken here.
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), 0),
    ] {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
        assert_eq!(raw(&server, &bytes), expected, "{shown}");
    }
    assert_eq!(server.get("/v2/").status, 200);
}

#[test]
fn a_manifest_that_is_too_large_is_not_taken_in() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::directory(dir.path());
    let large = vec![b' '; MAX_MANIFEST_BYTES as usize + 1];
    let refused = server.request("PUT", "/v2/a/manifests/v1", &[], &large);
    assert_eq!((refused.status, code(&refused).as_str()), (413, "SIZE_INVALID"));
    // Nobody says how long this is, and it never ends.
    let mut stream = connect(&server);
    let head = "PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("sent");
    let piece = [format!("{:x}\r\n", 1 << 16).into_bytes(), vec![b' '; 1 << 16], b"\r\n".to_vec()].concat();
    let mut sent = 0;
    while sent < 64 << 20 && stream.write_all(&piece).is_ok() {
        sent += piece.len();
    }
    assert!(sent < 32 << 20, "{sent} bytes were taken");
}

#[test]
fn whoever_only_holds_a_connection_makes_room_for_others() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = limited(dir.path(), Limits { max_connections: 4, ..Limits::default() });
    let location = server.begin("a");
    // One uploads, the others say nothing, or begin to.
    let mut busy = connect(&server);
    let head = format!("PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello");
    busy.write_all(head.as_bytes()).expect("sent");
    let mut held: Vec<TcpStream> = (0..3).map(|_| connect(&server)).collect();
    held[1].write_all(b"GET /v2/ HT").expect("sent");
    std::thread::sleep(Duration::from_millis(1200));
    let since = Instant::now();
    for _ in 0..3 {
        assert_eq!(server.get("/v2/").status, 200);
    }
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    // The one that has waited for longest was closed, and the one that was being answered was not.
    let mut nothing = Vec::new();
    assert!(is_closed(&mut held[0], &mut nothing) && nothing.is_empty());
    busy.write_all(b"world").expect("it is open");
    let mut answer = [0; 12];
    busy.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 202");
}

/// What a slow client does.
#[derive(Clone, Copy, Debug)]
enum Slow {
    /// Sends the head of a request byte by byte.
    Head,
    /// Reads 1 KiB a second of a blob.
    Reader,
    /// Sends a blob byte by byte.
    Upload,
    /// Begins with a body, and then says nothing more.
    Silent,
}

/// Behaves like that until it is cut off, and returns how long that took.
fn slow(server: &Server, kind: Slow, blob: &str) -> Duration {
    let since = Instant::now();
    let mut stream = connect(server);
    let begin = match kind {
        Slow::Head => "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Slow: ".to_owned(),
        Slow::Reader => format!("GET /v2/a/blobs/{blob} HTTP/1.1\r\nHost: x\r\n\r\n"),
        Slow::Upload | Slow::Silent => {
            let location = server.begin("a");
            format!("PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        }
    };
    stream.write_all(begin.as_bytes()).expect("sent");
    stream.set_read_timeout(Some(Duration::from_millis(1))).expect("set");
    let mut piece = [0; 1024];
    let mut total = 0;
    while since.elapsed() < SOON {
        let outcome = match kind {
            Slow::Reader => {
                std::thread::sleep(Duration::from_secs(1));
                stream.read(&mut piece)
            }
            Slow::Head | Slow::Upload | Slow::Silent => {
                std::thread::sleep(Duration::from_millis(100));
                // That it is over shows when reading.
                let _ = if matches!(kind, Slow::Silent) { Ok(()) } else { stream.write_all(b"x") };
                stream.read(&mut piece)
            }
        };
        match outcome {
            // What the kernel had taken over is still to be read, fast now: it ends before the blob does.
            Ok(0) => break,
            Ok(count) => total += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
        // What was sent before the stall counts once, so it may take twice as long.
        if matches!(kind, Slow::Reader) && since.elapsed() > Duration::from_secs(7) {
            let mut rest = Vec::new();
            stream.set_read_timeout(Some(SOON)).expect("set");
            assert!(is_closed(&mut stream, &mut rest), "it is still being sent");
            assert!(total + rest.len() < BLOB, "all of it was sent");
            break;
        }
    }
    since.elapsed()
}

/// More than the kernel's buffers hold.
const BLOB: usize = 24 << 20;

#[test]
fn a_hundred_slow_clients_keep_nobody_from_anything() {
    let dir = tempfile::tempdir().expect("a directory");
    let limits = Limits {
        head_timeout: Duration::from_secs(2),
        stall: Duration::from_secs(2),
        least_rate: 100 << 10,
        ..Limits::default()
    };
    let server = limited(dir.path(), limits);
    let bytes: Vec<u8> = (0..BLOB).map(|at| (at / 7) as u8).collect();
    let blob = server.put_blob("a", &bytes);
    std::thread::scope(|scope| {
        let kinds = [Slow::Head, Slow::Reader, Slow::Upload, Slow::Silent];
        let (server, blob) = (&server, blob.as_str());
        let slow: Vec<_> =
            (0..100).map(|n| (kinds[n % 4], scope.spawn(move || slow(server, kinds[n % 4], blob)))).collect();
        std::thread::sleep(Duration::from_millis(500));
        // Beside them, a quick one gets all it wants.
        for _ in 0..3 {
            let since = Instant::now();
            assert_eq!(server.get(&format!("/v2/a/blobs/{blob}")).body, bytes);
            assert!(
                since.elapsed() < Duration::from_secs(5),
                "a quick client waited for {:?}",
                since.elapsed()
            );
        }
        for (kind, thread) in slow {
            let took = thread.join().expect("it is cut off");
            assert!(took < Duration::from_secs(15), "{kind:?} was not cut off for {took:?}");
        }
    });
}
