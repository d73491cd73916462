//! The registry over real connections, by hand and with skopeo.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread::JoinHandle;

use oc_mirror_model::media_type;
use oc_mirror_testkit::http::{self, Response};
use oc_mirror_testkit::{Image, ImageBuilder, IndexBuilder, PushTarget, Registry, Skopeo, fixtures, sha256};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::*;

mod limits;

/// A registry in a thread of its own. Dropped, it is shut down.
struct Server {
    host: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(backend: Arc<dyn Backend>, options: ServeOptions) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("set");
        let host = listener.local_addr().expect("bound").to_string();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                let shutdown = async move { drop(stopped.await) };
                serve(listener, backend, options, shutdown).await.expect("served");
            });
        });
        Self { host, stop: Some(stop), thread: Some(thread) }
    }

    fn directory(path: &Path) -> Self {
        Self::start(Arc::new(Layout::create(path).expect("a layout")), ServeOptions::default())
    }

    fn request(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        http::request(&self.host, method, target, headers, body).expect("an answer")
    }

    fn get(&self, target: &str) -> Response {
        self.request("GET", target, &[], b"")
    }

    fn reference(&self, rest: &str) -> String {
        format!("docker://{}/{rest}", self.host)
    }

    /// Puts a blob with one `POST` and one `PUT`.
    fn put_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = sha256(bytes);
        let location = self.begin(repository);
        let ended = self.request("PUT", &format!("{location}?digest={digest}"), &[], bytes);
        assert_eq!(ended.status, 201, "{}", ended.text());
        digest
    }

    fn begin(&self, repository: &str) -> String {
        let begun = self.request("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"");
        assert_eq!(begun.status, 202, "{}", begun.text());
        begun.header("location").expect("a location").to_owned()
    }

    fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).expect("it still runs");
        }
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl PushTarget for Server {
    fn plain_host(&self) -> oc_mirror_testkit::PlainHost {
        self.host.as_str().plain_host()
    }
}

fn code(response: &Response) -> String {
    let body: Value = serde_json::from_slice(&response.body).expect("an error is JSON");
    body["errors"][0]["code"].as_str().expect("a code").to_owned()
}

fn list(docker: bool) -> Image {
    let image = |platform: &str| {
        let builder = ImageBuilder::new().platform(platform).layer(&[("base", "same")]);
        let builder = builder.layer(&[("etc/motd", platform)]);
        if docker { builder.docker().build() } else { builder.build() }
    };
    let index = IndexBuilder::new().child(&image("linux/amd64")).child(&image("linux/arm64/v8"));
    if docker { index.docker().build() } else { index.build() }
}

#[rstest]
#[case::oci_index(list(false))]
#[case::docker_list(list(true))]
#[case::oci(ImageBuilder::new().layer(&[("a", "b")]).build())]
#[case::docker(ImageBuilder::new().docker().layer(&[("a", "b")]).build())]
#[case::no_layers(ImageBuilder::artifact("application/x.test").build())]
fn skopeo_copies_to_it_and_from_it(#[case] image: Image) {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::directory(dir.path());
    let debian = Registry::start();
    debian.push(&image, "team/app", "v1");
    let skopeo = Skopeo::new();
    let source = format!("docker://{}", debian.reference("team/app", "v1"));
    skopeo.copy_all(&source, &server.reference("mirror/team/app:v1"));
    assert_eq!(skopeo.inspect_raw(&server.reference("mirror/team/app:v1")), image.manifest);
    let back = format!("docker://{}", debian.reference("back", "v1"));
    skopeo.copy_all(&server.reference(&format!("mirror/team/app@{}", image.digest)), &back);
    assert_eq!(debian.digest_of("back", "v1"), Some(image.digest.clone()));
    let head = server.request("HEAD", "/v2/mirror/team/app/manifests/v1", &[], b"");
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-type"), Some(image.media_type.as_str()));
    assert_eq!(head.header("docker-content-digest"), Some(image.digest.as_str()));
    assert_eq!(head.header("content-length"), Some(image.manifest.len().to_string().as_str()));
}

#[test]
fn it_is_still_there_after_a_restart_and_is_a_layout() {
    let dir = tempfile::tempdir().expect("a directory");
    let image = list(false);
    let mut server = Server::directory(dir.path());
    image.push(&server, "team/app", "v1");
    image.push(&server, "other", "v2");
    server.stop();
    let skopeo = Skopeo::new();
    skopeo.pull(&format!("oci:{}:team/app:v1", dir.path().display()));
    let server = Server::directory(dir.path());
    skopeo.pull(&server.reference("other:v2"));
    assert_eq!(server.get("/v2/_catalog").text(), r#"{"repositories":["other","team/app"]}"#);
}

#[test]
fn layouts_of_others_can_be_pulled() {
    let Some(fixtures) = fixtures() else { return };
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("multi");
    let image = fixtures.join("images/multi-platform-container-latest");
    let to = format!("oci:{}:v1", path.display());
    Skopeo::new().copy_all(&format!("oci:{}", image.display()), &to);
    let server = Server::directory(&path);
    Skopeo::new().pull(&server.reference("multi:v1"));
}

#[test]
fn the_version_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::directory(dir.path());
    for path in ["/v2", "/v2/"] {
        let answer = server.get(path);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("docker-distribution-api-version"), Some("registry/2.0"));
    }
    let answer = server.get("/v1/");
    assert_eq!((answer.status, code(&answer).as_str()), (404, "UNSUPPORTED"));
    let answer = server.request("POST", "/v2/", &[], b"");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn blobs_whole_and_in_part() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::directory(dir.path());
    let path = format!("/v2/a/blobs/{}", server.put_blob("a", b"hello world"));
    let range = |value: &str| server.request("GET", &path, &[("Range", value)], b"");
    let whole = server.get(&path);
    assert_eq!((whole.status, whole.text().as_str()), (200, "hello world"));
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    let part = range("bytes=6-8");
    assert_eq!((part.status, part.text().as_str()), (206, "wor"));
    assert_eq!(part.header("content-range"), Some("bytes 6-8/11"));
    assert_eq!(range("bytes=-5").text(), "world");
    assert_eq!(range("bytes=0-").status, 200);
    let beyond = range("bytes=11-");
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */11")));
    assert_eq!(code(&beyond), "RANGE_INVALID");
    let head = server.request("HEAD", &path, &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, Some("11")));
    let other = server.get(&path.replace("/a/", "/b/"));
    assert_eq!((other.status, code(&other).as_str()), (404, "BLOB_UNKNOWN"));
}

#[test]
fn a_large_blob_arrives_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::directory(dir.path());
    let bytes: Vec<u8> = (0..5_000_000_u32).flat_map(|n| n.to_le_bytes()).collect();
    let digest = server.put_blob("a", &bytes);
    assert_eq!(sha256(&server.get(&format!("/v2/a/blobs/{digest}")).body), digest);
    let part =
        server.request("GET", &format!("/v2/a/blobs/{digest}"), &[("Range", "bytes=1000000-1999999")], b"");
    assert_eq!(part.body, bytes[1_000_000..2_000_000]);
}

#[test]
fn one_request_is_enough_for_a_blob() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::directory(dir.path());
    for bytes in [&b"hello"[..], b""] {
        let digest = sha256(bytes);
        let put = server.request("POST", &format!("/v2/a/blobs/uploads/?digest={digest}"), &[], bytes);
        assert_eq!(put.status, 201);
        assert_eq!(put.header("location"), Some(format!("/v2/a/blobs/{digest}").as_str()));
        assert_eq!(server.get(&format!("/v2/a/blobs/{digest}")).body, bytes);
    }
}

#[test]
fn chunks_come_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::directory(dir.path());
    let digest = sha256(b"hello world");
    let location = server.begin("a");
    let patch =
        |range: &str, body: &[u8]| server.request("PATCH", &location, &[("Content-Range", range)], body);
    assert_eq!(server.get(&location).header("range"), Some("0-0"));
    let first = patch("0-5", b"hello ");
    assert_eq!((first.status, first.header("range")), (202, Some("0-5")));
    for (range, status) in [("0-5", 416), ("7-8", 416), ("6-4", 400), ("6-6", 400), ("x", 400)] {
        assert_eq!(patch(range, b"wo").status, status, "{range}");
    }
    let status = server.get(&location);
    assert_eq!((status.status, status.header("range")), (204, Some("0-5")));
    assert_eq!(patch("6-7", b"wo").status, 202);
    let end = format!("{location}?digest={digest}");
    assert_eq!(server.request("PUT", &location, &[], b"").status, 400, "without digest");
    let ended = server.request("PUT", &end, &[("Content-Range", "8-10")], b"rld");
    assert_eq!(ended.status, 201, "{}", ended.text());
    assert_eq!(server.get(&format!("/v2/a/blobs/{digest}")).text(), "hello world");
    assert_eq!(code(&server.get(&location)), "BLOB_UPLOAD_UNKNOWN");
}

#[test]
fn uploads_can_be_cancelled_and_belong_to_a_repository() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::directory(dir.path());
    let location = server.begin("a");
    let elsewhere = location.replace("/a/", "/b/");
    assert_eq!(server.request("DELETE", &elsewhere, &[], b"").status, 404);
    assert_eq!(server.request("DELETE", &location, &[], b"").status, 204);
    assert_eq!(server.request("DELETE", &location, &[], b"").status, 404);
    assert_eq!(server.request("PATCH", &location, &[], b"x").status, 404);
}

#[test]
fn wrong_digests_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::directory(dir.path());
    let digest = sha256(b"hello");
    for target in
        [format!("{}?digest={digest}", server.begin("a")), format!("{}?digest=sha256:00", server.begin("a"))]
    {
        let answer = server.request("PUT", &target, &[], b"world");
        assert_eq!((answer.status, code(&answer).as_str()), (400, "DIGEST_INVALID"));
    }
    assert_eq!(server.get(&format!("/v2/a/blobs/{digest}")).status, 404);
    assert!(!dir.path().join("blobs/sha256").join(&digest[7..]).exists());
}

#[test]
fn sha512_is_known() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::directory(dir.path());
    let digest = Digest::of_with(oc_mirror_model::digest::Algorithm::Sha512, b"hello");
    let target = format!("{}?digest={digest}", server.begin("a"));
    assert_eq!(server.request("PUT", &target, &[], b"hello").status, 201);
    assert_eq!(server.get(&format!("/v2/a/blobs/{digest}")).text(), "hello");
}

#[test]
fn blobs_are_mounted() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::directory(dir.path());
    let digest = server.put_blob("a", b"hello");
    let mount = |query: &str| server.request("POST", &format!("/v2/b/blobs/uploads/?{query}"), &[], b"");
    for query in [format!("mount={digest}"), format!("mount={digest}&from=c"), "from=a".to_owned()] {
        let answer = mount(&query);
        assert_eq!(answer.status, 202, "{query}");
        assert!(answer.header("location").is_some_and(|l| l.starts_with("/v2/b/blobs/uploads/")));
    }
    assert_eq!(server.get(&format!("/v2/b/blobs/{digest}")).status, 404);
    let mounted = mount(&format!("mount={digest}&from=a"));
    assert_eq!(mounted.status, 201);
    assert_eq!(mounted.header("location"), Some(format!("/v2/b/blobs/{digest}").as_str()));
    assert_eq!(server.get(&format!("/v2/b/blobs/{digest}")).text(), "hello");
}

#[test]
fn a_manifest_needs_its_blobs() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::directory(dir.path());
    let image = ImageBuilder::new().layer(&[("a", "b")]).build();
    let put = |reference: &str, bytes: &[u8]| {
        let target = format!("/v2/a/manifests/{reference}");
        server.request("PUT", &target, &[("Content-Type", &image.media_type)], bytes)
    };
    let answer = put("v1", &image.manifest);
    assert_eq!((answer.status, code(&answer).as_str()), (400, "MANIFEST_BLOB_UNKNOWN"));
    for blob in image.blobs() {
        server.put_blob("a", &blob.bytes);
    }
    let answer = put("v1", &image.manifest);
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.header("docker-content-digest"), Some(image.digest.as_str()));
    let answer = put(&image.digest, b"{}");
    assert_eq!((answer.status, code(&answer).as_str()), (400, "MANIFEST_INVALID"));
    let answer = put(&sha256(b"other"), &image.manifest);
    assert_eq!((answer.status, code(&answer).as_str()), (400, "DIGEST_INVALID"));
    let answer = put("v1", &vec![b' '; (4 << 20) + 1]);
    assert_eq!((answer.status, code(&answer).as_str()), (413, "SIZE_INVALID"));
    let answer = put(&format!("{}?tag=x&tag=y", image.digest), &image.manifest);
    assert_eq!((answer.status, answer.header("oci-tag")), (201, Some("x")));
    assert_eq!(server.get("/v2/a/tags/list").text(), r#"{"name":"a","tags":["v1","x","y"]}"#);
}

#[rstest]
#[case(true, 201)]
#[case(false, 400)]
fn sparse_indexes_are_an_option(#[case] sparse_indexes: bool, #[case] status: u16) {
    let dir = tempfile::tempdir().expect("a directory");
    let layout = Arc::new(Layout::create(dir.path()).expect("a layout"));
    let server = Server::start(layout, ServeOptions { sparse_indexes, ..ServeOptions::default() });
    let index = list(false);
    index.children[0].push(&server, "a", "amd64");
    let headers = [("Content-Type", index.media_type.as_str())];
    let answer = server.request("PUT", "/v2/a/manifests/v1", &headers, &index.manifest);
    assert_eq!(answer.status, status, "{}", answer.text());
}

#[test]
fn the_type_of_a_manifest_that_names_none_is_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::directory(dir.path());
    let config = server.put_blob("a", b"{}");
    let body = json!({"schemaVersion": 2, "layers": [],
        "config": {"mediaType": media_type::OCI_CONFIG, "digest": config, "size": 2}});
    let body = body.to_string();
    let headers = [("Content-Type", media_type::DOCKER_MANIFEST)];
    assert_eq!(server.request("PUT", "/v2/a/manifests/v1", &headers, body.as_bytes()).status, 201);
    for reference in ["v1", &sha256(body.as_bytes())] {
        let answer = server.get(&format!("/v2/a/manifests/{reference}"));
        assert_eq!(answer.header("content-type"), Some(media_type::DOCKER_MANIFEST));
    }
}

#[test]
fn an_unchanged_manifest_is_not_sent_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::directory(dir.path());
    let image = ImageBuilder::new().layer(&[("a", "b")]).build();
    image.push(&server, "a", "v1");
    let etag = server.get("/v2/a/manifests/v1").header("etag").expect("an etag").to_owned();
    let again = server.request("GET", "/v2/a/manifests/v1", &[("If-None-Match", &etag)], b"");
    assert_eq!(again.status, 304);
}

#[test]
fn lists_come_in_pages() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::directory(dir.path());
    let image = ImageBuilder::new().layer(&[("a", "b")]).build();
    for tag in ["v3", "v1", "v2"] {
        image.push(&server, "team/app", tag);
    }
    let page = server.get("/v2/team/app/tags/list?n=2");
    assert_eq!(page.text(), r#"{"name":"team/app","tags":["v1","v2"]}"#);
    let link = page.header("link").expect("a link");
    assert_eq!(link, r#"</v2/team/app/tags/list?n=2&last=v2>; rel="next""#);
    let rest = server.get("/v2/team/app/tags/list?n=2&last=v2");
    assert_eq!(rest.text(), r#"{"name":"team/app","tags":["v3"]}"#);
    assert_eq!(rest.header("link"), None);
    assert_eq!(server.get("/v2/team/app/tags/list?n=0").text(), r#"{"name":"team/app","tags":[]}"#);
    let wrong = server.get("/v2/team/app/tags/list?n=x");
    assert_eq!((wrong.status, code(&wrong).as_str()), (400, "PAGINATION_NUMBER_INVALID"));
    let none = server.get("/v2/none/tags/list");
    assert_eq!((none.status, code(&none).as_str()), (404, "NAME_UNKNOWN"));
}

#[test]
fn referrers_are_found() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::directory(dir.path());
    let image = ImageBuilder::new().layer(&[("a", "b")]).build();
    let sign = |kind: &str| ImageBuilder::artifact(kind).subject(&image).annotation("k", kind).build();
    let (one, two) = (sign("application/x.one"), sign("application/x.two"));
    one.push_untagged(&server, "a");
    image.push(&server, "a", "v1");
    for blob in two.blobs() {
        server.put_blob("a", &blob.bytes);
    }
    let headers = [("Content-Type", two.media_type.as_str())];
    let target = format!("/v2/a/manifests/{}", two.digest);
    let put = server.request("PUT", &target, &headers, &two.manifest);
    assert_eq!((put.status, put.header("oci-subject")), (201, Some(image.digest.as_str())));

    let found = |query: &str| {
        let answer = server.get(&format!("/v2/a/referrers/{}{query}", image.digest));
        assert_eq!(answer.header("content-type"), Some(media_type::OCI_INDEX));
        let filters = answer.header("oci-filters-applied").map(str::to_owned);
        let body: Value = serde_json::from_slice(&answer.body).expect("an index");
        (body["manifests"].as_array().expect("a list").clone(), filters)
    };
    assert_eq!(found("").0.len(), 2);
    let (only, filters) = found("?artifactType=application/x.two");
    assert_eq!((only.len(), filters.as_deref()), (1, Some("artifactType")));
    assert_eq!(only[0]["digest"], two.digest.as_str());
    assert_eq!(only[0]["annotations"]["k"], "application/x.two");
    assert_eq!(server.request("DELETE", &target, &[], b"").status, 202);
    assert_eq!(found("").0.len(), 1);
    let none = server.get(&format!("/v2/none/referrers/{}", image.digest));
    assert_eq!(none.status, 200, "an empty list, not an error");
}

#[test]
fn what_is_deleted_is_gone() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::directory(dir.path());
    let image = ImageBuilder::new().layer(&[("a", "b")]).build();
    image.push(&server, "a", "v1");
    image.push(&server, "a", "v2");
    let delete = |rest: &str| server.request("DELETE", &format!("/v2/a/{rest}"), &[], b"").status;
    assert_eq!(delete("manifests/v1"), 202);
    assert_eq!(delete("manifests/v1"), 404);
    assert_eq!(server.get("/v2/a/manifests/v2").status, 200);
    assert_eq!(delete(&format!("manifests/{}", image.digest)), 202);
    let gone = server.get("/v2/a/manifests/v2");
    assert_eq!((gone.status, code(&gone).as_str()), (404, "MANIFEST_UNKNOWN"));
    let blob = format!("blobs/{}", image.layers[0].blob.digest);
    assert_eq!((delete(&blob), delete(&blob)), (202, 404));
}

#[test]
fn an_upload_that_breaks_off_can_go_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::directory(dir.path());
    let location = server.begin("a");
    let mut stream = TcpStream::connect(&server.host).expect("connected");
    let head =
        format!("PATCH {location} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("sent");
    stream.write_all(b"hello ").expect("sent");
    stream.shutdown(std::net::Shutdown::Write).expect("ended");
    let mut answer = String::new();
    // The answer is an error or nothing; either way the server is done with the request.
    let _ = stream.read_to_string(&mut answer);
    let status = server.get(&location);
    assert_eq!((status.status, status.header("range")), (204, Some("0-5")));
    let end = format!("{location}?digest={}", sha256(b"hello world"));
    assert_eq!(server.request("PUT", &end, &[], b"world").status, 201);
}

#[test]
fn one_blob_is_pushed_by_many_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::directory(dir.path());
    let bytes = vec![7; 1 << 20];
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| server.put_blob("a", &bytes));
        }
    });
    assert_eq!(server.get(&format!("/v2/a/blobs/{}", sha256(&bytes))).body, bytes);
    assert_eq!(std::fs::read_dir(dir.path().join(".oc-mirror/uploads")).expect("listed").count(), 0);
}

#[test]
fn uploads_are_counted_and_forgotten() {
    let dir = tempfile::tempdir().expect("a directory");
    let layout = Arc::new(Layout::create(dir.path()).expect("a layout"));
    let options =
        ServeOptions { max_uploads: 2, upload_idle: Duration::from_secs(60), ..ServeOptions::default() };
    let server = Server::start(layout, options);
    server.begin("a");
    server.begin("a");
    let refused = server.request("POST", "/v2/a/blobs/uploads/", &[], b"");
    assert_eq!((refused.status, code(&refused).as_str()), (429, "TOOMANYREQUESTS"));
    drop(server);
    let layout = Arc::new(Layout::create(dir.path()).expect("a layout"));
    let options = ServeOptions { max_uploads: 1, upload_idle: Duration::ZERO, ..ServeOptions::default() };
    let server = Server::start(layout, options);
    server.begin("a");
    server.begin("a");
}

#[test]
fn other_content_can_be_pulled_only() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("images");
    let image = list(false);
    image.write_layout(&path, "v1");
    let signature = ImageBuilder::artifact("application/x.sig").subject(&image).build();
    signature.write_layout(&path, "sig");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let content = Arc::new(Layout::open(&path).expect("opened"));
    let app: Repository = "team/app".parse().expect("a repository");
    let entries = [
        (app.clone(), Some("v1".parse().expect("a tag")), image.digest.parse().expect("a digest")),
        (app, None, signature.digest.parse().expect("a digest")),
    ];
    let backend = runtime.block_on(ReadOnly::new(content, entries)).expect("read");
    let server = Server::start(Arc::new(backend), ServeOptions::default());
    Skopeo::new().pull(&server.reference("team/app:v1"));
    assert_eq!(server.get("/v2/team/app/tags/list").text(), r#"{"name":"team/app","tags":["v1"]}"#);
    let referrers = server.get(&format!("/v2/team/app/referrers/{}", image.digest));
    assert!(referrers.text().contains(&signature.digest));
    for (method, target) in [
        ("POST", "/v2/team/app/blobs/uploads/".to_owned()),
        ("PUT", "/v2/team/app/manifests/v2".to_owned()),
        ("DELETE", "/v2/team/app/manifests/v1".to_owned()),
        ("DELETE", format!("/v2/team/app/blobs/{}", image.digest)),
    ] {
        let refused = server.request(method, &target, &[], b"");
        assert_eq!((refused.status, code(&refused).as_str()), (405, "UNSUPPORTED"), "{method} {target}");
    }
}

#[test]
fn it_stops_when_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let layout = Arc::new(Layout::create(dir.path()).expect("a layout"));
    let limits = Limits { grace: Duration::from_millis(50), ..Limits::default() };
    let options = ServeOptions { limits, ..ServeOptions::default() };
    let mut server = Server::start(layout, options);
    // A request that never ends must not keep it.
    let location = server.begin("a");
    let mut stream = TcpStream::connect(&server.host).expect("connected");
    let head = format!("PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhello");
    stream.write_all(head.as_bytes()).expect("sent");
    let arrived = || server.get(&location).header("range") == Some("0-4");
    assert!(std::iter::repeat_with(arrived).take(1000).any(|there| there));
    server.stop();
    assert!(Layout::create(dir.path()).is_ok(), "the directory is free again");
}
