//! `oc-mirror serve` and `browse` under load, and what they refuse.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oc_mirror_testkit::{Certificates, ImageBuilder, IndexBuilder, http, sha256};
use serde_json::Value;

use crate::browse::Page;
use crate::lab::{Lab, context};
use crate::serve::Served;

/// How many pull at the same time.
const CLIENTS: usize = 200;
/// The most memory that the server may take for them, in KiB; it is about 70 MiB, most of which it takes for a single one.
const MOST_KIB: u64 = 256 << 10;

/// Pulls an image of one platform as skopeo does: greeting, index, manifest, configuration, layers; all hashed. Returns how
/// many bytes that were.
fn pull(host: &str, repository: &str, digest: &str) -> usize {
    let get = |path: &str| {
        let answer = http::get(host, path, &[]).expect("the server answers");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.body
    };
    let checked = |kind: &str, digest: &str| {
        let bytes = get(&format!("/v2/{repository}/{kind}/{digest}"));
        assert_eq!(sha256(&bytes), digest);
        bytes
    };
    get("/v2/");
    let index = get(&format!("/v2/{repository}/manifests/v1"));
    assert_eq!(sha256(&index), digest);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let parse = |bytes: &[u8]| -> Value { serde_json::from_slice(bytes).expect("JSON") };
    let manifest = checked("manifests", &text(&parse(&index)["manifests"][0]["digest"]));
    let manifest = parse(&manifest);
    let mut bytes = checked("blobs", &text(&manifest["config"]["digest"])).len();
    for layer in manifest["layers"].as_array().expect("a list") {
        bytes += checked("blobs", &text(&layer["digest"])).len();
    }
    bytes
}

/// Returns the most memory that a process ever had, in KiB.
fn peak(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it has memory");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
#[allow(clippy::print_stderr)]
fn two_hundred_pull_an_imageset_at_the_same_time() {
    let lab = Lab::new();
    let platform = |name: &str, seed: u64| {
        let builder = ImageBuilder::new().platform(name).layer(&[("etc/motd", name)]);
        builder.random_layer(seed, 2 << 20).random_layer(seed + 1, 1 << 20).build()
    };
    let image =
        IndexBuilder::new().child(&platform("linux/amd64", 1)).child(&platform("linux/arm64/v8", 3)).build();
    lab.configure(&[lab.push(&image, "team/app", "v1")]);
    lab.make(&[]).expect(0);
    let served = Served::start(&lab.context, &lab.path("disk"));
    let (host, digest) = (served.host(), image.digest.as_str());
    let one = pull(&host, "team/app", digest);
    assert!(one > 3 << 20, "{one}");
    let before = peak(served.id());
    let since = Instant::now();
    std::thread::scope(|scope| {
        let pulls: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| pull(&host, "team/app", digest))).collect();
        for pull in pulls {
            assert_eq!(pull.join().expect("all of it arrives"), one);
        }
    });
    let (took, after) = (since.elapsed(), peak(served.id()));
    eprintln!(
        "{CLIENTS} pulls of {one} bytes took {took:?}; memory {before} KiB before, {after} KiB at most"
    );
    assert!(after < MOST_KIB, "the server took {after} KiB");
}

/// Tries to agree on TLS of one version.
fn handshake(host: &str, authority: &Path, version: &str) -> bool {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", host, "-CAfile"])
        .arg(authority)
        // What OpenSSL itself no longer offers has to be asked for.
        .args([version, "-cipher", "ALL:@SECLEVEL=0", "-verify_return_error", "-brief"])
        .stdin(Stdio::null())
        .output()
        .expect("this machine has openssl");
    output.status.success()
}

#[test]
fn old_versions_of_tls_are_refused() {
    let lab = Lab::new();
    let made = Certificates::make(&lab.path("."));
    let (certificate, key) = (made.certificate.display().to_string(), made.key.display().to_string());
    let served =
        Served::start_with(&lab.context, &lab.path("r"), &["--tls-cert", &certificate, "--tls-key", &key]);
    for (version, is_taken) in [("-tls1", false), ("-tls1_1", false), ("-tls1_2", true), ("-tls1_3", true)] {
        assert_eq!(handshake(&served.host(), &made.authority, version), is_taken, "{version}");
    }
    // In the clear there is nothing to be had.
    let mut plain = TcpStream::connect(served.host()).expect("connected");
    plain.write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    // An alert of TLS, or nothing.
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
    // Of a key that is encrypted, broken or of somebody else.
    let encrypted = Command::new("openssl")
        .args(["pkey", "-aes256", "-passout", "pass:planted", "-in", &key])
        .output()
        .expect("this machine has openssl");
    assert!(encrypted.status.success());
    let other = Certificates::make(&lab.path("..").join("tmp"));
    let other = fs::read(other.key).expect("made");
    for (bytes, words) in [
        (encrypted.stdout, "without a password"),
        (fs::read(&key).expect("made")[..60].to_vec(), "it is not one in PEM"),
        (other, "the certificate with its key cannot be used"),
        (Vec::new(), "it is not one in PEM"),
    ] {
        let path = lab.context.write("other.key", bytes).display().to_string();
        let output =
            lab.context.run(&["serve", "r2", "--tls-cert", &certificate, "--tls-key", &path]).expect_code(1);
        assert!(output.raw_stderr.contains(words), "{}", output.snapshot());
        assert!(output.raw_stderr.contains("hint: "), "{}", output.snapshot());
    }
}

/// The local addresses on which somebody listens on a port, as the kernel writes them.
fn listening_on(port: &str) -> Vec<String> {
    let port = format!("{:04X}", port.parse::<u16>().expect("a port"));
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    lines
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            let (address, at) = words.next()?.split_once(':')?;
            // 0A: somebody listens.
            (at == port && words.nth(1) == Some("0A")).then(|| address.to_owned())
        })
        .collect()
}

const LOOPBACK: &str = "0100007F";

#[test]
fn nothing_listens_beyond_this_machine_unless_that_is_asked_for() {
    let lab = Lab::new();
    let served = Served::start(&lab.context, &lab.path("r"));
    let port = |host: &str| host.rsplit_once(':').expect("a port").1.to_owned();
    assert_eq!(listening_on(&port(&served.host())), [LOOPBACK]);
    let page = Page::open(&lab.context, &[]);
    assert_eq!(listening_on(&port(&page.host)), [LOOPBACK]);
    // Where nothing is said, it is 127.0.0.1:5000; on a machine where that is taken, the message says so.
    let help = lab.context.run(&["serve", "--help"]).expect_code(0);
    assert!(help.raw_stdout.contains("[default: 127.0.0.1:5000]"), "{}", help.raw_stdout);
    // Asked for without protection it is done, and not without a word.
    let open = Served::start_at(&lab.context, &lab.path("open"), "0.0.0.0:0", &["--insecure"]);
    assert_eq!(listening_on(&port(&open.host())), ["00000000"]);
    let said = open.said();
    assert!(said.contains("warning: ") && said.contains("without TLS and without a password file"), "{said}");
    let quiet = served.said();
    assert!(!quiet.contains("warning: "), "{quiet}");
}

#[test]
fn the_page_has_limits_as_well() {
    let context = context();
    let page = Page::open(&context, &[]);
    let cookie = page.enter();
    let raw = |text: &[u8]| {
        let mut stream = TcpStream::connect(&page.host).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        // Whoever is refused before the end is cut off.
        let _ = stream.write_all(text);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer).into_owned();
        text.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok()).unwrap_or(0)
    };
    let get = |path: &str, more: &str| {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\nConnection: close\r\n{more}\r\n",
            page.host
        );
        raw(head.as_bytes())
    };
    assert_eq!(get("/", ""), 200);
    for path in [
        "/../Cargo.toml",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/vendor/../api/state",
        "/app.js%00",
        "/app.js/",
        "/api/../app.js",
        "/%252e%252e/etc/passwd",
        "/vendor/%5c..%5c..",
        "/APP.JS",
    ] {
        assert_eq!(get(path, ""), 404, "{path}");
    }
    assert_eq!(get(&format!("/{}", "x".repeat(70_000)), ""), 414);
    assert_eq!(get("/", &format!("X: {}\r\n", "x".repeat(200_000))), 431);
    assert_eq!(get("/", &"A: b\r\n".repeat(100)), 431);
    let origin = format!("http://{}", page.host);
    let headers = [("Cookie", cookie.as_str()), ("Origin", origin.as_str())];
    let post = |body: &[u8]| {
        http::request(&page.host, "POST", "/api/lint", &headers, body).map(|answer| answer.status)
    };
    assert!(matches!(post(&vec![b' '; (8 << 20) + 1]), Ok(413) | Err(_)), "a body that is too large");
    assert_eq!(post(b"{\"text\": \"\"}").expect("an answer"), 200);
    // As many connections that say nothing as there may be, and more: a browser still gets its page.
    let held: Vec<TcpStream> = (0..100).filter_map(|_| TcpStream::connect(&page.host).ok()).collect();
    let since = Instant::now();
    assert_eq!(get("/app.js", ""), 200);
    assert!(since.elapsed() < Duration::from_secs(15), "{:?} beside {} others", since.elapsed(), held.len());
    // Guesses at the cookie get nothing, whichever part of it they have right.
    let right = cookie.split_once('=').expect("a cookie");
    for guess in [
        format!("{}=", right.0),
        format!("{}={}", right.0, &right.1[1..]),
        format!("{}={}x", right.0, right.1),
        format!("{}={}", right.0, right.1.to_lowercase()),
        right.1.to_owned(),
    ] {
        let answer = http::get(&page.host, "/api/state", &[("Cookie", &guess)]).expect("an answer");
        assert_eq!(answer.status, 403, "{guess}");
    }
}
