//! Every function of the host is refused unless it is wanted and granted, and answers if it is.

use std::collections::BTreeMap;

use oc_mirror_engine::policy::{Mode, OnFailure};
use oc_mirror_engine::source::Collected;
use oc_mirror_guest_build::embed_meta;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::RawManifest;
use oc_mirror_model::policy::Verdict;
use oc_mirror_model::reference::Source;
use oc_mirror_plugin_host::Binary;
use serde_json::{Value, json};

use crate::support::{ALL_GRANTS, FakeImage, World, binary, guest, host, odd, request, run_info, spec};

const IMAGE: &str = "registry.example/reach:1";

fn world() -> World {
    World::new(vec![FakeImage::new(IMAGE, &[b"not a tar"], json!({}))])
}

async fn reach(world: &World, binary: Binary, settings: Value, grants: &[&str]) -> Collected {
    let mut merged = json!({"behaviour": "reach"});
    for (key, value) in settings.as_object().expect("an object") {
        merged[key] = value.clone();
    }
    let source = host().source(spec(binary, merged, grants)).await.expect("it loads");
    source.collect(&run_info(), &world.services()).await.expect("it ends well")
}

fn answers(collected: &Collected) -> BTreeMap<String, String> {
    let told = collected.warnings.iter();
    told.filter_map(|(code, text)| Some((code.strip_prefix("reach.")?.to_owned(), text.clone()))).collect()
}

const GUARDED: [(&str, &str); 11] = [
    ("registry.resolve", "registry:registry.example/reach"),
    ("registry.tags", "registry:registry.example/reach"),
    ("registry.open", "registry:registry.example/reach"),
    ("http.fetch", "http:https://www.example"),
    ("streams.documents", "http:https://www.example"),
    ("sink.artifact", "artifact"),
    ("sink.resource-document", "resources"),
    ("sink.build", "build"),
    ("plan.save-state", "state"),
    ("cache.commit", "cache"),
    ("cache.open", "cache"),
];

#[tokio::test]
async fn nothing_is_granted_by_default() {
    let mut world = world();
    world.state.insert("mine".to_owned(), json!({"secret": 1}));
    let collected = reach(&world, binary("odd"), json!({}), &[]).await;
    let answers = answers(&collected);
    for (call, capability) in GUARDED {
        let answer = &answers[call];
        assert!(answer.starts_with("denied: "), "{call}: {answer}");
        assert!(
            answer.contains(&format!("add `- {capability}` to `grants` of plugin `mine`")),
            "{call}: {answer}"
        );
    }
    assert_eq!(answers["config.has-credential"], "ok false");
    assert_eq!(answers["plan.load-state"], "ok none");
    assert!(answers["config.run"].starts_with("ok mirror-to-disk"), "{answers:?}");
    assert_eq!(collected.images.len(), 1, "what it may do still counts");
    assert!(collected.documents.is_empty() && collected.artifacts.is_empty() && collected.state.is_none());
}

#[tokio::test]
async fn what_is_granted_answers() {
    let mut world = world();
    world.state.insert("mine".to_owned(), json!({"kept": 7}));
    let collected = reach(&world, binary("odd"), json!({}), &ALL_GRANTS).await;
    let answers = answers(&collected);
    for (call, _) in GUARDED {
        assert!(answers[call].starts_with("ok"), "{call}: {}", answers[call]);
    }
    assert_eq!(answers["config.has-credential"], "ok true");
    assert_eq!(answers["plan.load-state"], "ok {\"kept\":7}");
    assert_eq!((answers["cache.open"].as_str(), answers["plan.withheld"].as_str()), ("ok true", "ok 0"));
    assert!(collected.minds_unavailable, "it had a look at what cannot be had");
    assert_eq!(answers["registry.tags"], "ok 1");
    assert_eq!(collected.state, Some(json!({"reached": true})));
    assert_eq!(collected.documents.len(), 1);
    let [artifact] = collected.artifacts.as_slice() else { panic!("{:?}", collected.artifacts) };
    assert_eq!(artifact.path, "reach/artifact.txt");
    let bytes = std::fs::read(&artifact.file).expect("it is there");
    assert_eq!(bytes.len() as u64, artifact.size);
    assert_eq!(oc_mirror_model::digest::Digest::of(&bytes), artifact.digest);
    assert!(artifact.file.starts_with(world.scratch.path()));
    check_built(&world, &collected, &answers["sink.build"]);
    let headers = world.http.headers.lock().expect("no panic").clone();
    assert_eq!(headers, [("x-reach".to_owned(), "1".to_owned())]);
}

/// The generated image is a wish like any other, and its source a whole layout below the scratch directory.
fn check_built(world: &World, collected: &Collected, answer: &str) {
    let [built, _] = collected.images.as_slice() else { panic!("{:?}", collected.images) };
    let Source::Layout(layout) = built.parsed_source().expect("valid") else { panic!("{}", built.source) };
    assert!(layout.path.starts_with(world.scratch.path()));
    let digest = layout.digest.expect("pinned");
    assert_eq!(answer, format!("ok {digest}"));
    let read = |digest: &Digest| {
        let bytes = std::fs::read(layout.path.join(digest.layout_path())).expect("in the layout");
        assert_eq!(Digest::of(&bytes), *digest);
        bytes
    };
    let manifest = RawManifest::parse(read(&digest), None).expect("a manifest");
    manifest
        .image()
        .expect("an image")
        .blobs()
        .for_each(|blob| assert_eq!(read(&blob.digest).len() as u64, blob.size));
    let index = std::fs::read_to_string(layout.path.join("index.json")).expect("there");
    assert!(index.contains(&digest.hex()), "{index}");
    assert!(layout.path.join("oci-layout").is_file());
}

#[tokio::test]
async fn what_a_plugin_does_not_want_it_does_not_get() {
    let built = guest("odd");
    let mut meta = built.meta.clone();
    meta.wants.clear();
    let bytes = std::fs::read(&built.path).expect("just built");
    let modest = Binary::new("odd", embed_meta(&bytes, &meta));
    let answers = answers(&reach(&world(), modest, json!({}), &ALL_GRANTS).await);
    for (call, _) in GUARDED {
        assert!(answers[call].contains("does not ask for"), "{call}: {}", answers[call]);
    }
}

#[tokio::test]
async fn grants_are_no_wider_than_written() {
    let grants = ["registry:registry.example/other", "http:*.www.example", "layout:/srv"];
    let answers = answers(&reach(&world(), binary("odd"), json!({}), &grants).await);
    assert!(answers["registry.open"].starts_with("denied"), "{}", answers["registry.open"]);
    assert!(answers["http.fetch"].starts_with("denied"), "{}", answers["http.fetch"]);
    let settings = json!({"reference": "oci:/srv/../etc"});
    let answers = self::answers(&reach(&world(), binary("odd"), settings, &grants).await);
    assert!(answers["registry.open"].contains("`layout:/srv/../etc`"), "{}", answers["registry.open"]);
}

#[tokio::test]
async fn a_redirect_is_checked_like_a_request() {
    let world = world();
    *world.http.redirect.lock().expect("no panic") = Some("http://169.254.169.254/latest".to_owned());
    let answers = answers(&reach(&world, binary("odd"), json!({}), &["http:www.example"]).await);
    let answer = &answers["http.fetch"];
    assert!(answer.contains("redirect") && !answer.contains("add `- http"), "{answer}");

    *world.http.redirect.lock().expect("no panic") = Some("https://elsewhere.example/x".to_owned());
    let answers = self::answers(&reach(&world, binary("odd"), json!({}), &["http:www.example"]).await);
    let answer = &answers["http.fetch"];
    assert!(answer.contains("redirect"), "{answer}");
    assert!(
        answer.contains("add `- http:https://elsewhere.example` to `grants` of plugin `mine`"),
        "{answer}"
    );
}

#[tokio::test]
async fn files_and_documents_stay_in_bounds() {
    for path in ["../up", "/etc/passwd", "a/../../b", "a//b", ""] {
        let answers =
            answers(&reach(&world(), binary("odd"), json!({"artifact": path}), &["artifact"]).await);
        assert!(answers["sink.artifact"].starts_with("invalid"), "{path}: {}", answers["sink.artifact"]);
    }
    let document = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\n";
    let collected = reach(&world(), binary("odd"), json!({"document": document}), &["resources"]).await;
    let answer = &answers(&collected)["sink.resource-document"];
    assert!(answer.contains("`ClusterRoleBinding` is not a kind for plugins"), "{answer}");
    assert!(collected.documents.is_empty());
}

/// Names, digests and paths of a guest are read as if an enemy had written them; what is wrong is answered at the call.
#[tokio::test]
async fn nothing_forged_is_taken() {
    let world = world();
    let source = host().source(odd(json!({"behaviour": "forge"}), &ALL_GRANTS)).await.expect("it loads");
    let collected = source.collect(&run_info(), &world.services()).await.expect("it ends well");
    let told = collected.warnings.iter();
    let answers: Vec<_> =
        told.filter_map(|(code, text)| Some((code.strip_prefix("forge.")?, text))).collect();
    assert!(answers.len() > 90, "{} were tried", answers.len());
    let is_told_right = |what: &str, answer: &str| {
        // A layout is a good name for what is not granted.
        let is_refused =
            answer.starts_with("invalid: ") || what == "source a layout" && answer.starts_with("denied: ");
        let is_clean = !answer.contains(|c: char| c.is_control() || c == '\u{202e}');
        is_refused && is_clean && answer.len() <= 8 << 10
    };
    let wrong: Vec<_> = answers.into_iter().filter(|(what, answer)| !is_told_right(what, answer)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(collected.images.len(), 1, "the one that is good");
    assert!(collected.artifacts.is_empty() && collected.documents.is_empty());
}

#[tokio::test]
async fn a_policy_may_read_the_image_it_is_asked_about() {
    let world = world();
    let policy = host()
        .policy(odd(json!({"behaviour": "reach"}), &[]), Mode::Protect, OnFailure::Deny)
        .await
        .expect("it loads");
    let verdict =
        policy.evaluate(&world.lent(), &request(IMAGE), world.view(IMAGE)).await.expect("it judges");
    let Verdict::Warn(findings) = verdict else { panic!("{verdict:?}") };
    let answers: BTreeMap<_, _> = findings.into_iter().map(|f| (f.code, f.message)).collect();
    for call in
        ["manifest", "config", "labels", "annotations", "layers", "base-chain", "referrers", "open-blob"]
    {
        let answer = &answers[&format!("reach.image.{call}")];
        assert!(answer.starts_with("ok"), "{call}: {answer}");
    }
    assert_eq!(answers["reach.image.signers"], "ok 0");
    assert!(answers["reach.registry.open"].starts_with("denied"), "{answers:?}");
}

#[tokio::test]
async fn wasi_is_empty() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let world = world();
    let source =
        host().source(spec(binary("wasi"), json!({"port": port}), &ALL_GRANTS)).await.expect("it loads");
    let mut all = Vec::new();
    for _ in 0..2 {
        let collected = source.collect(&run_info(), &world.services()).await.expect("it ends well");
        all.push(collected.warnings.into_iter().collect::<BTreeMap<_, _>>());
    }
    assert_eq!(all[0], all[1], "every run sees the same");
    let told = &all[0];
    for nothing in ["wasi.environment", "wasi.arguments", "wasi.preopens"] {
        assert_eq!(told[nothing], "0", "{nothing}");
    }
    let connect = &told["wasi.connect"];
    assert!(connect.starts_with("refused") || connect.starts_with("no socket"), "{connect}");
    assert_eq!(told["wasi.wall-clock"], "1577836800.000000000");
    assert_eq!(told["wasi.stdout"], "written");
    listener.set_nonblocking(true).expect("set");
    assert!(listener.accept().is_err(), "nobody came");
    let lines = world.events.lines();
    assert!(lines.iter().any(|l| l.contains("mine Info a line on standard output")), "{lines:?}");
}
