//! `oc-mirror browse`: who is let in, what is answered and saved, and the page itself in a browser.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use oc_mirror_testkit::{
    CatalogBuilder, Fbc, ImageBuilder, TestContext, UpdateServer, fixtures, http, playwright, workspace_root,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::shop::Shop;

/// A running `oc-mirror browse`.
pub(crate) struct Page {
    child: Child,
    pub(crate) host: String,
    url: String,
}

impl Page {
    pub(crate) fn open(context: &TestContext, args: &[&str]) -> Self {
        let mut command = context.command(&[&["browse"], args].concat());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.expect("the program starts");
        let stdout = child.stdout.take().expect("it is piped");
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody listens once the address is known.
                let _ = sender.send(line);
            }
        });
        let Ok(url) = receiver.recv_timeout(Duration::from_secs(60)) else {
            let _ = child.kill();
            panic!("`oc-mirror browse` says no address");
        };
        let host = url.trim_start_matches("http://").split('/').next().unwrap_or_default().to_owned();
        Self { child, host, url }
    }

    fn token(&self) -> &str {
        self.url.split_once("/?token=").expect("a token").1
    }

    /// Uses the token, and returns the cookie.
    pub(crate) fn enter(&self) -> String {
        let answer = self.get(&format!("/?token={}", self.token()), &[]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let cookie = answer.header("set-cookie").expect("a cookie").to_owned();
        assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
        cookie.split(';').next().unwrap_or_default().to_owned()
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> http::Response {
        http::get(&self.host, path, headers).expect("it answers")
    }

    fn post(&self, cookie: &str, path: &str, body: &Value) -> (u16, Value) {
        let origin = format!("http://{}", self.host);
        let headers = [("Cookie", cookie), ("Origin", origin.as_str())];
        let answer = http::request(&self.host, "POST", path, &headers, body.to_string().as_bytes());
        let answer = answer.expect("it answers");
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // Gone already if it was stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const WRITTEN: &str = "kind: ImageSetConfiguration
apiVersion: mirror.openshift.io/v2alpha1
archiveSize: 4
mirror:
  additionalImages:
    # Pinned.
    - name: r.example/a@sha256:4c1d20cdee96111c8acf1858b62655a37ce81ae48648993542b7ac363ac5c0e5
";

#[test]
fn nobody_is_let_in_without_the_token() {
    let lab = crate::lab::context();
    let page = Page::open(&lab, &[]);
    for path in
        ["/", "/app.js", "/style.css", "/vendor/preact.js", "/api/state", "/nothing", "/?token=", "/?token=x"]
    {
        let answer = page.get(path, &[]);
        assert_eq!(answer.status, 403, "{path}");
        assert!(!answer.text().contains("import"), "{path}");
    }
    let cookie = page.enter();
    assert_eq!(page.get(&format!("/?token={}", page.token()), &[]).status, 403, "a token is used once");
    let with = [("Cookie", cookie.as_str())];
    for path in ["/", "/app.js", "/style.css", "/vendor/preact.js", "/api/state"] {
        let answer = page.get(path, &with);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
    let policy = page.get("/", &with).header("content-security-policy").unwrap_or_default().to_owned();
    assert!(policy.starts_with("default-src 'self'; script-src 'self' 'sha256-"), "{policy}");
    assert_eq!(page.get("/nothing", &with).status, 404);
}

#[test]
fn other_names_and_other_pages_get_nothing() {
    let context = crate::lab::context();
    let page = Page::open(&context, &[]);
    let token = format!("/?token={}", page.token());
    assert_eq!(page.get(&token, &[("Host", "rebound.example")]).status, 403);
    let cookie = page.enter();
    let state = |headers: &[(&str, &str)]| page.get("/api/state", headers).status;
    let cookie = ("Cookie", cookie.as_str());
    let port = page.host.split_once(':').expect("a port").1;
    assert_eq!(state(&[cookie, ("Host", &format!("localhost:{port}"))]), 200);
    assert_eq!(state(&[cookie, ("Host", &format!("rebound.example:{port}"))]), 403);
    assert_eq!(state(&[cookie, ("Origin", "http://elsewhere.example")]), 403);
    let lint = |headers: &[(&str, &str)]| {
        let body = json!({ "text": "" }).to_string();
        http::request(&page.host, "POST", "/api/lint", headers, body.as_bytes()).expect("it answers").status
    };
    assert_eq!(lint(&[cookie]), 403, "without an origin");
    assert_eq!(lint(&[cookie, ("Origin", "http://elsewhere.example")]), 403);
    assert_eq!(lint(&[cookie, ("Origin", &format!("http://{}", page.host))]), 200);
}

#[test]
fn a_configuration_is_looked_at_changed_and_saved() {
    let context = crate::lab::context();
    let path = context.write("isc.yaml", WRITTEN);
    let page = Page::open(&context, &["-c", "isc.yaml"]);
    let cookie = page.enter();
    let state: Value =
        serde_json::from_slice(&page.get("/api/state", &[("Cookie", &cookie)]).body).expect("JSON");
    assert_eq!((&state["file"]["path"], &state["file"]["text"]), (&json!("isc.yaml"), &json!(WRITTEN)));

    let (status, answer) =
        page.post(&cookie, "/api/lint", &json!({ "text": WRITTEN.replace("name:", "nmae:") }));
    let finding = &answer["findings"][0];
    assert_eq!(
        (status, &finding["severity"], &finding["line"]),
        (200, &json!("error"), &json!(7)),
        "{answer}"
    );

    let pick =
        json!({ "kind": "operator", "catalog": "r.example/i:v1", "package": "foo", "channel": "stable" });
    let (status, picked) = page.post(&cookie, "/api/pick", &json!({ "text": WRITTEN, "pick": pick }));
    let text = picked["text"].as_str().expect("a text");
    assert_eq!(status, 200, "{picked}");
    assert!(text.contains("    # Pinned.\n") && text.contains("    - catalog: r.example/i:v1\n"), "{text}");
    let (status, refused) = page.post(&cookie, "/api/pick", &json!({ "text": "kind: x\n", "pick": pick }));
    assert_eq!(status, 422, "{refused}");

    let saving = json!({ "text": text, "digest": state["file"]["digest"] });
    let (status, saved) = page.post(&cookie, "/api/save", &saving);
    assert_eq!((status, std::fs::read_to_string(&path).expect("there")), (200, text.to_owned()), "{saved}");
    // It is not the file that was read any more.
    let (status, refused) = page.post(&cookie, "/api/save", &saving);
    assert_eq!((status, &refused["message"]), (409, &json!("`isc.yaml` has changed since it was read")));
    let again = json!({ "text": WRITTEN, "digest": saved["digest"] });
    assert_eq!(page.post(&cookie, "/api/save", &again).0, 200);
    assert_eq!(std::fs::read_to_string(&path).expect("there"), WRITTEN);
    let (status, unread) = page.post(&cookie, "/api/save", &json!({ "digest": 3 }));
    assert_eq!(status, 400, "{unread}");
}

#[test]
fn sizes_and_questions_are_answered_by_registries() {
    let shop = Shop::new();
    let (_, catalog) = shop.usual();
    let page = Page::open(&shop.lab.context, &["--src-tls-verify=false", "--catalog", &catalog]);
    let cookie = page.enter();
    let ask = |question: &str, arguments: Value| {
        page.post(&cookie, "/api/ask", &json!({ "question": question, "arguments": arguments }))
    };
    let (status, answer) = ask("details", json!({ "catalog": catalog, "package": "foo" }));
    assert_eq!((status, &answer["defaultChannel"]), (200, &json!("stable")), "{answer}");
    let entries = |place: usize| -> Vec<&str> {
        let entries = answer["channels"][place]["entries"].as_array().into_iter().flatten();
        entries.filter_map(|entry| entry["version"].as_str()).collect()
    };
    assert_eq!((entries(0), entries(1)), (vec!["1.2.0", "2.0.0"], vec!["1.0.0", "1.1.0", "1.2.0"]));

    // Two images share a layer, which counts once.
    let base: &[(&str, &str)] = &[("base", "shared by both")];
    let image = |own: &str| ImageBuilder::new().layer(base).layer(&[("own", own)]).build();
    let (one, other) = (image("one"), image("other"));
    let names = [shop.lab.push(&one, "sized", "one"), shop.lab.push(&other, "sized", "other")];
    let mut blobs = std::collections::BTreeMap::new();
    for image in [&one, &other] {
        blobs.insert(image.digest.clone(), image.manifest.len());
        blobs.extend(image.blobs().iter().map(|blob| (blob.digest.clone(), blob.bytes.len())));
    }
    let absent = shop.lab.source.reference("sized", "absent");
    let (status, measured) = ask("sizes", json!({ "images": [names[0], names[1], absent] }));
    assert_eq!((status, &measured["images"]), (200, &json!(2)), "{measured}");
    assert_eq!(measured["bytes"], json!(blobs.values().sum::<usize>()));
    assert_eq!(measured["failed"][0]["image"], json!(absent));

    let (status, refused) = ask("catalog", json!({ "catalog": shop.lab.source.reference("no", "such") }));
    assert!(
        status == 400 && refused["message"].as_str().is_some_and(|m| m.contains("/no:such")),
        "{refused}"
    );
    assert_eq!(ask("select", json!({})).0, 400);
}

#[rstest]
#[case::configuration(&["-c", "."], "the configuration `.` cannot be read")]
#[case::imagesets(&["--from", "nothing"], "`nothing` is not there")]
#[case::no_imagesets(&["--from", "."], "")]
#[case::port(&["--port", "1"], "cannot listen on port 1")]
fn what_cannot_be_shown_is_told_at_once(#[case] args: &[&str], #[case] expected: &str) {
    if args == ["--port", "1"] && std::net::TcpListener::bind("127.0.0.1:1").is_ok() {
        eprintln!("skipped: whoever runs this may listen on every port");
        return;
    }
    let output = crate::lab::context().run(&[&["browse"], args].concat());
    assert_eq!((output.code, output.raw_stdout.as_str()), (1, ""), "{}", output.snapshot());
    assert!(
        output.raw_stderr.contains(expected) && output.raw_stderr.contains("hint:"),
        "{}",
        output.snapshot()
    );
}

/// It ends when it is told to, also while a browser keeps a connection open.
#[test]
fn it_ends_at_an_interrupt() {
    let context = crate::lab::context();
    let mut page = Page::open(&context, &[]);
    assert_eq!(page.get("/", &[]).status, 403, "it listens");
    let _open = std::net::TcpStream::connect(&page.host).expect("it listens");
    let kill = Command::new("kill").args(["-INT", &page.child.id().to_string()]).status();
    assert!(kill.is_ok_and(|status| status.success()));
    let begun = Instant::now();
    while page.child.try_wait().expect("it is ours").is_none() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(page.child.wait().expect("it ended").code(), Some(0));
}

/// The names of the packages of a catalog of the fixtures.
fn names_of(catalog: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(catalog).expect("a catalog");
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A catalog of as many packages, named after real ones.
fn large_catalog(names: &[String], count: usize) -> CatalogBuilder {
    (0..count).fold(CatalogBuilder::new(), |catalog, number| {
        let name = format!("{}-{number}", names[number % names.len()]);
        let head = format!("{name}.v1.0.0");
        let shown =
            json!({ "type": "olm.csv.metadata", "value": { "displayName": format!("Operator {number}") } });
        let fbc = Fbc::new(&name, "stable").chain("stable", &[&head]);
        catalog.package(&fbc.bundle_with("1.0.0", "r.example/bundle:v1", &[], vec![shown]))
    })
}

/// A graph of as many releases as the largest real one, made of a real one that is repeated under other minor versions.
fn large_graph(real: &Value, count: usize) -> Value {
    let nodes = real["nodes"].as_array().expect("a list");
    let renumbered = |version: &str, copy: usize| {
        let mut numbers = version.splitn(3, '.');
        let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        let minor: usize = minor.parse().expect("a number");
        format!("{major}.{}.{}", minor + 10 * copy, numbers.next().unwrap_or_default())
    };
    let copies = count.div_ceil(nodes.len());
    let mut made: Vec<Value> = Vec::new();
    let mut edges = Vec::new();
    for copy in 0..copies {
        for node in nodes {
            let version = renumbered(node["version"].as_str().expect("a version"), copy);
            let payload = format!("r.example/release@sha256:{:064x}", made.len());
            made.push(json!({ "version": version, "payload": payload, "metadata": {} }));
        }
        let place = |value: &Value| value.as_u64().expect("a place") + (copy * nodes.len()) as u64;
        let real = real["edges"].as_array().into_iter().flatten();
        edges.extend(real.map(|edge| [place(&edge[0]), place(&edge[1])]));
    }
    made.truncate(count);
    edges.retain(|edge| edge.iter().all(|place| (*place as usize) < count));
    json!({ "version": 1, "nodes": made, "edges": edges, "conditionalEdges": [] })
}

/// The whole page in Chromium, on real catalogs, real graphs and imagesets that the program made.
#[test]
fn the_page_in_a_browser() {
    let (Some(modules), Some(fixtures)) = (playwright(), fixtures()) else { return };
    let mut shop = Shop::new();
    let server = UpdateServer::start();
    shop.lab.context = shop.lab.context.env("UPDATE_URL_OVERRIDE", &server.graph_url());
    let fbc = fixtures.join("fbc/redhat-openshift-ecosystem__certified-operators/v4.19");
    let names = names_of(&fbc);
    let (_, real) = shop.catalog(CatalogBuilder::new().directory(&fbc), "real/index", "v4.19");
    let (_, large) = shop.catalog(large_catalog(&names, 5000), "large/index", "v4.19");
    let graphs = fixtures.join("cincinnati/openshift__cincinnati/e2e/tests/testdata");
    let file = graphs.join("134475077ed4eeaedf3c339f12915b9cdaf7d194_stable-4.7_amd64_v1.json");
    let text = std::fs::read(file).expect("a graph");
    let graph: Value = serde_json::from_slice(&text).expect("JSON");
    server.graph("amd64", "stable-4.7", text);
    server.graph("amd64", "large", large_graph(&graph, 1085).to_string().into_bytes());

    let (_, usual) = shop.usual();
    let image = |name: &str, seed: u64, size: usize| {
        shop.lab.push(&ImageBuilder::new().random_layer(seed, size).build(), name, "v1")
    };
    let images =
        [image("team/database", 1, 60_000), image("team/web", 2, 30_000), image("team/secret", 3, 10_000)];
    let want = |wanted: &[String]| {
        let wanted: Vec<Value> = wanted.iter().map(|name| json!({ "name": name })).collect();
        shop.lab.configure_mirror(json!({
            "operators": [{ "catalog": usual, "packages": [{ "name": "foo" }, { "name": "bar" }] }],
            "additionalImages": wanted,
            "blockedImages": [{ "name": images.last() }],
        }));
    };
    want(&images[1..]);
    shop.lab.make(&[]).expect(0);
    want(&images);
    shop.lab.make(&[]).expect(0);

    shop.lab.context.run(&["report", "disk", "-o", "report.html"]).expect_code(0);
    let config = shop.lab.context.write("choice.yaml", WRITTEN);
    let disk = shop.lab.path("disk").display().to_string();
    let args = [
        "-c",
        "choice.yaml",
        "--from",
        &disk,
        "--src-tls-verify=false",
        "--catalog",
        &real,
        "--catalog",
        &large,
    ];
    let page = Page::open(&shop.lab.context, &args);
    // They stay, to be looked at.
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browse");
    std::fs::create_dir_all(&shots).expect("writable");
    let what = json!({
        "url": page.url,
        "modules": modules,
        "shots": shots,
        "profile": shop.lab.path("profile"),
        "config": config,
        "real": { "catalog": real, "packages": names.len() },
        "large": { "catalog": large, "packages": 5000, "word": format!("{} 4999", names[4999 % names.len()]) },
        "graph": { "channel": "stable-4.7", "releases": graph["nodes"].as_array().map(Vec::len) },
        "largeGraph": { "channel": "large", "releases": 1085 },
        "blocked": images[2],
        "report": shop.lab.path("report.html"),
    });
    let what = shop.lab.context.write("what.json", what.to_string());
    let script = workspace_root().join("tests/browse/page.mjs");
    let output = Command::new("node").arg(script).arg(what).output().expect("node runs");
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    println!("{said}");
}
