//! Imagesets in a bucket, and the record of a chain there, against moto, which is an S3 server that is not ours.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oc_mirror_testkit::{Action, FaultRegistry, Image, ImageBuilder, Moto, Registry, Rule, TestContext};
use serde_json::{Value, json};

use crate::lab::{Lab, Run, context, names_in};

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(600);
const BUCKET: &str = "s3://mirror/prod";
const TARGET: &str = "team/app";

/// A lab with an object store beside it.
struct Store {
    lab: Lab,
    moto: Moto,
}

fn with_store(endpoint: &str) -> TestContext {
    context()
        .env("AWS_ACCESS_KEY_ID", "AKTEST")
        .env("AWS_SECRET_ACCESS_KEY", "hunter2")
        .env("AWS_ENDPOINT_URL", endpoint)
}

impl Store {
    fn start() -> Option<Self> {
        let moto = Moto::start()?;
        moto.make_bucket("mirror");
        let endpoint = moto.endpoint();
        let lab =
            Lab { context: with_store(&endpoint), source: Registry::start(), target: Registry::start() };
        Some(Self { lab, moto })
    }

    fn push(&self, seed: u64, size: usize, tag: &str) -> Image {
        let image = ImageBuilder::new().random_layer(seed, size).build();
        self.lab.push(&image, TARGET, tag);
        image
    }

    fn configure(&self, tags: &[&str]) {
        let names: Vec<String> = tags.iter().map(|tag| self.lab.source.reference(TARGET, tag)).collect();
        self.lab.configure(&names);
    }

    /// Writes `isc.yaml` with a place for the record.
    fn configure_with(&self, tags: &[&str], storage: Value) {
        let name = |tag: &&str| json!({ "name": self.lab.source.reference(TARGET, tag) });
        let images: Vec<Value> = tags.iter().map(name).collect();
        self.lab.configure_all(json!({ "storageConfig": storage, "mirror": { "additionalImages": images } }));
    }

    fn make(&self, more: &[&str]) -> Run {
        let workspace = self.lab.file("w");
        self.lab.run(&[&["-c", "isc.yaml", "--workspace", &workspace, BUCKET], more].concat())
    }

    fn publish(&self) -> Run {
        let (workspace, to) = (self.lab.file("far"), format!("docker://{}", self.lab.target.host()));
        self.lab.run(&["--from", BUCKET, "--workspace", &workspace, &to])
    }

    fn keys(&self) -> Vec<String> {
        self.moto.keys("mirror").iter().map(|key| key.trim_start_matches("prod/").to_owned()).collect()
    }
}

struct Running(Child);

impl Running {
    fn start(context: &TestContext, args: &[&str]) -> Self {
        let args = [&["--src-tls-verify=false", "--dest-tls-verify=false"], args].concat();
        let mut command: Command = context.command(&args);
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts"))
    }

    fn kill_when(mut self, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(300);
        while !condition() {
            assert!(Instant::now() < deadline, "the run never got that far");
            assert_eq!(self.0.try_wait().expect("a child can be waited for"), None, "it ended by itself");
            std::thread::sleep(Duration::from_millis(5));
        }
        self.0.kill().expect("a running child can be killed");
        self.0.wait().expect("a child can be waited for");
    }

    fn end(self) -> (i32, String) {
        let output = self.0.wait_with_output().expect("a child can be waited for");
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn through_a_bucket_and_back() {
    let Some(mut store) = Store::start() else { return };
    let first = store.push(1, 200_000, "v1");
    store.configure(&["v1"]);
    assert_eq!(store.make(&["--dry-run"]).expect(0).outcomes(), [(1, "planned")]);
    assert!(store.keys().is_empty(), "a dry run writes nothing there");
    // Small chunks, so that there are several and layers are split over them.
    let run = store.make(&["--archive-size", "100KB"]).expect(0);
    assert_eq!(run.outcomes(), [(1, "made")]);
    let keys = store.keys();
    assert_eq!(keys.first().map(String::as_str), Some("mirror-chain.json"));
    assert!(keys.len() > 3 && keys[1..].iter().all(|key| key.starts_with("mirror_seq1_")), "{keys:?}");
    assert!(names_in(&store.lab.path("w/working-dir/outgoing")).iter().all(|n| n.starts_with('.')));
    assert!(store.moto.uploads("mirror").is_empty());
    assert_eq!(store.make(&[]).expect(0).outcomes(), [(1, "nothing new")]);
    let second = store.push(2, 50_000, "v2");
    store.configure(&["v1", "v2"]);
    assert_eq!(store.make(&[]).expect(0).outcomes(), [(2, "made")]);

    // The far side: nothing but the bucket, and less room than the imagesets take.
    store.lab.source.stop();
    let run = store.publish().expect(0);
    assert_eq!(run.outcomes(), [(1, "published"), (2, "published")]);
    store.lab.assert_published(&first, TARGET, "v1");
    store.lab.assert_published(&second, TARGET, "v2");
    assert_eq!(store.publish().expect(0).outcomes(), [(1, "already published"), (2, "already published")]);

    // What is copied out of the bucket is an imageset like any other.
    std::fs::create_dir(store.lab.path("disk")).expect("made");
    for key in store.keys().iter().filter(|key| key.ends_with(".tar")) {
        let bytes = store.moto.object("mirror", &format!("prod/{key}"));
        std::fs::write(store.lab.path("disk").join(key), bytes).expect("written");
    }
    let to = format!("docker://{}/copy", store.lab.target.host());
    store
        .lab
        .run(&["--from", &store.lab.file("disk"), "--workspace", &store.lab.file("far2"), &to])
        .expect(0);
}

#[test]
fn an_upload_that_was_killed_shows_nothing_and_is_gone_on_with() {
    let Some(mut store) = Store::start() else { return };
    let image = store.push(1, 40 << 20, "v1");
    store.configure(&["v1"]);
    let slow = FaultRegistry::in_front_of(&store.moto.host());
    slow.rule(Rule::on("PUT", "partNumber").after(1).then(Action::Delay(NEVER)));
    let (workspace, endpoint) = (store.lab.file("w"), slow.url());
    let args = ["-c", "isc.yaml", "--workspace", &workspace, "--s3-endpoint", &endpoint, BUCKET];
    let notes = store.lab.path("w/working-dir/outgoing/.uploads");
    let is_noted = || std::fs::read_to_string(&notes).is_ok_and(|text| text.contains("\npart "));
    Running::start(&store.lab.context, &args).kill_when(is_noted);
    assert!(!store.keys().iter().any(|key| key.ends_with(".tar")), "{:?}", store.keys());
    assert_eq!(store.moto.uploads("mirror").len(), 1);
    store.publish().assert_refused(1, "there is no imageset");

    slow.clear_rules();
    slow.clear_requests();
    // The images are not needed any more: the imageset was whole.
    let run = store.lab.run(&args).expect(0);
    assert_eq!(run.outcomes(), [(1, "nothing new")]);
    assert!(run.report().notes.iter().any(|note| note.contains("is now in s3://mirror/prod")));
    assert_eq!(slow.count("PUT", "partNumber"), 2, "of three parts, one was there");
    assert!(store.moto.uploads("mirror").is_empty(), "nothing is left over");
    store.lab.source.stop();
    store.publish().expect(0);
    store.lab.assert_published(&image, TARGET, "v1");
}

#[test]
fn a_run_that_was_killed_before_the_last_object_is_completed() {
    let Some(store) = Store::start() else { return };
    let image = store.push(1, 200_000, "v1");
    store.configure(&["v1"]);
    let slow = FaultRegistry::in_front_of(&store.moto.host());
    // Completed are the last chunk and those before it; chunk 0 is the one that makes them an imageset.
    slow.rule(Rule::on("POST", "seq1_000000.tar.*uploadId=").then(Action::Delay(NEVER)));
    let (workspace, endpoint) = (store.lab.file("w"), slow.url());
    let small = ["--archive-size", "100KB", "--s3-endpoint", &endpoint];
    let args = [&["-c", "isc.yaml", "--workspace", &workspace, BUCKET], &small[..]].concat();
    let chunk_1 = "prod/mirror_seq1_000001.tar".to_owned();
    Running::start(&store.lab.context, &args).kill_when(|| store.moto.keys("mirror").contains(&chunk_1));
    store.publish().assert_refused(1, "there is no imageset");
    slow.clear_rules();
    assert_eq!(store.lab.run(&args).expect(0).outcomes(), [(1, "nothing new")]);
    assert!(store.moto.uploads("mirror").is_empty());
    store.publish().expect(0);
    store.lab.assert_published(&image, TARGET, "v1");
}

#[test]
fn two_runs_at_once_commit_one_winner() {
    let Some(store) = Store::start() else { return };
    let image = store.push(1, 200_000, "v1");
    let slow = FaultRegistry::before(&store.lab.source);
    let storage =
        json!({ "s3": { "bucket": "mirror", "prefix": "prod", "endpoint": store.moto.endpoint() } });
    let images = json!([{ "name": format!("{}/{TARGET}:v1", slow.host()) }]);
    store.lab.configure_all(json!({ "storageConfig": storage, "mirror": { "additionalImages": images } }));
    // Both have read the record before either of them writes it.
    slow.rule(Rule::on("GET", "/blobs/").then(Action::Delay(Duration::from_secs(3))));
    let workspaces = ["a", "b"].map(|name| store.lab.file(name));
    let places = ["disk-a", "disk-b"].map(|name| store.lab.file(name));
    let start = |n: usize| {
        let args = ["-c", "isc.yaml", "--workspace", &workspaces[n], &places[n]];
        Running::start(&store.lab.context, &args)
    };
    let running = [start(0), start(1)];
    let ended = running.map(Running::end);
    let won: Vec<bool> = ended.iter().map(|(code, _)| *code == 0).collect();
    assert!(won[0] != won[1], "{ended:?}");
    let loser = usize::from(won[0]);
    assert!(ended[loser].1.contains("changed by somebody else during this run"), "{}", ended[loser].1);
    assert!(ended[loser].1.contains("hint: "), "{}", ended[loser].1);
    let of_loser = names_in(&store.lab.path(["disk-a", "disk-b"][loser]));
    assert!(!of_loser.iter().any(|name| name.ends_with(".tar")), "{of_loser:?}");
    assert_eq!(store.keys(), ["metadata.json"]);

    // The same command again goes on from what the winner has committed.
    slow.clear_rules();
    let args = ["-c", "isc.yaml", "--workspace", &workspaces[loser], &places[loser]];
    assert_eq!(store.lab.run(&args).expect(0).outcomes(), [(1, "nothing new")]);
    let second = store.push(2, 1000, "v2");
    let images = json!([{ "name": store.lab.source.reference(TARGET, "v2") }]);
    store.lab.configure_all(json!({ "storageConfig": storage, "mirror": { "additionalImages": images } }));
    assert_eq!(store.lab.run(&args).expect(0).outcomes(), [(2, "made")]);

    // Nothing is lost: the far side takes the one, then the other.
    let winner = ["disk-a", "disk-b"][1 - loser];
    store.lab.publish(winner, &["--workspace", &store.lab.file("far")]).expect(0);
    let other = ["disk-a", "disk-b"][loser];
    store.lab.publish(other, &["--workspace", &store.lab.file("far")]).expect(0);
    store.lab.assert_published(&image, TARGET, "v1");
    store.lab.assert_published(&second, TARGET, "v2");
}

#[test]
fn who_loses_leaves_nothing_in_the_bucket() {
    let Some(store) = Store::start() else { return };
    store.push(1, 200_000, "v1");
    let slow = FaultRegistry::before(&store.lab.source);
    let storage = json!({ "s3": { "bucket": "mirror", "prefix": "prod" } });
    let images = json!([{ "name": format!("{}/{TARGET}:v1", slow.host()) }]);
    store.lab.configure_all(json!({ "storageConfig": storage, "mirror": { "additionalImages": images } }));
    slow.rule(Rule::on("GET", "/blobs/").then(Action::Delay(Duration::from_secs(3))));
    let workspaces = ["a", "b"].map(|name| store.lab.file(name));
    let start = |n: usize| {
        let args = ["-c", "isc.yaml", "--workspace", &workspaces[n], BUCKET];
        Running::start(&store.lab.context, &args)
    };
    let ended = [start(0), start(1)].map(Running::end);
    let won = ended.iter().filter(|(code, _)| *code == 0).count();
    assert_eq!(won, 1, "{ended:?}");
    assert_eq!(store.keys(), ["metadata.json", "mirror-chain.json", "mirror_seq1_000000.tar"]);
    assert!(store.moto.uploads("mirror").is_empty(), "{:?}", store.moto.uploads("mirror"));
    assert_eq!(store.publish().expect(0).outcomes(), [(1, "published")]);
}

#[test]
fn a_record_moves_to_where_the_configuration_says() {
    let Some(store) = Store::start() else { return };
    store.push(1, 1000, "v1");
    store.push(2, 1000, "v2");
    store.push(3, 1000, "v3");
    store.configure(&["v1"]);
    store.lab.make(&[]).expect(0);
    let own = store.lab.path("disk/working-dir/metadata.json");
    assert!(own.exists());
    let bucket = json!({ "s3": { "bucket": "mirror", "prefix": "prod" } });
    store.configure_with(&["v1", "v2"], bucket);
    assert_eq!(store.lab.make(&[]).expect(0).outcomes(), [(2, "made")], "the chain goes on");
    assert!(!own.exists() && store.keys() == ["metadata.json"]);

    // In a registry, too; of another chain, it is refused.
    let image = format!("{}/oc/metadata:prod", store.lab.target.host());
    store.configure_with(&["v1"], json!({ "registry": { "imageURL": image, "skipTLS": true } }));
    assert_eq!(store.lab.make_in("other", &[]).expect(0).outcomes(), [(1, "made")]);
    assert!(store.lab.target.digest_of("oc/metadata", "prod").is_some());
    store.configure_with(&["v1", "v3"], json!({ "registry": { "imageURL": image, "skipTLS": true } }));
    assert_eq!(store.lab.make_in("other", &[]).expect(0).outcomes(), [(2, "made")]);
    store.configure(&["v1"]);
    store.lab.make_in("third", &[]).expect(0);
    store.configure_with(&["v1"], json!({ "registry": { "imageURL": image, "skipTLS": true } }));
    store.lab.make_in("third", &[]).assert_refused(1, "belongs to chain");
}

#[test]
fn a_bucket_is_the_source_of_something_smaller() {
    let Some(mut store) = Store::start() else { return };
    let image = store.push(1, 30_000, "one");
    store.push(2, 30_000, "two");
    store.configure(&["one", "two"]);
    store.make(&[]).expect(0);
    store.lab.source.stop();
    store.configure(&["one"]);
    // Into a directory, and from there on.
    let disk = store.lab.file("enclave");
    store.lab.run(&["-c", "isc.yaml", "--from", BUCKET, &disk]).expect(0);
    store.lab.publish("enclave", &[]).expect(0);
    store.lab.assert_published(&image, TARGET, "one");
    assert_eq!(store.lab.target.tags(TARGET), ["one"]);
    // Into another prefix; nothing can be made where it is made of.
    let workspace = store.lab.file("second");
    let make = |to: &str| store.lab.run(&["-c", "isc.yaml", "--from", BUCKET, "--workspace", &workspace, to]);
    make(BUCKET).assert_refused(1, "cannot be made where those are that it is made of");
    make("s3://mirror/enclave").expect(0);
    let made: Vec<String> =
        store.moto.keys("mirror").into_iter().filter(|k| k.starts_with("enclave/")).collect();
    assert!(made.iter().any(|key| key.ends_with("mirror_seq1_000000.tar")), "{made:?}");
}

#[test]
fn wrong_places_are_refused_with_a_reason() {
    let Some(store) = Store::start() else { return };
    store.push(1, 1000, "v1");
    store.configure(&["v1"]);
    let workspace = store.lab.file("w");
    let make = |to: &str| store.lab.run(&["-c", "isc.yaml", "--workspace", &workspace, to]);
    make("s3://nowhere/x").assert_refused(1, "there is no such bucket");
    make("s3://Bad_Name/x").assert_refused(1, "lower-case letters");
    store.lab.run(&["-c", "isc.yaml", BUCKET]).assert_refused(1, "needs a workspace");
    store.lab.run(&["--from", BUCKET, BUCKET]).assert_refused(1, "what to take from there");
    let args = ["-c", "isc.yaml", "--workspace", &workspace, "--s3-endpoint", "ftp://x", BUCKET];
    store.lab.run(&args).assert_refused(1, "it begins with neither");
    store.publish().assert_refused(1, "there is no imageset");

    let anonymous = Lab {
        context: context().env("AWS_ENDPOINT_URL", &store.moto.endpoint()),
        source: Registry::start(),
        target: Registry::start(),
    };
    anonymous.configure(&[store.lab.source.reference(TARGET, "v1")]);
    let run = anonymous.run(&["-c", "isc.yaml", "--workspace", &anonymous.file("w"), BUCKET]);
    run.assert_refused(1, "no credentials");

    // One prefix, one chain.
    store.make(&[]).expect(0);
    let run = store.lab.run(&[
        "-c",
        "isc.yaml",
        "--workspace",
        &store.lab.file("other"),
        "--uid",
        crate::lab::UID,
        BUCKET,
    ]);
    run.assert_refused(1, "chain");
    let shown = run.output.raw_stderr + &run.output.raw_stdout;
    assert!(!shown.contains("hunter2"));
    let log = names_in(&store.lab.path("w/working-dir"));
    assert!(!log.is_empty());
    // A store that ignores conditions cannot keep the record.
    let careless = FaultRegistry::in_front_of(&store.moto.host());
    careless.rule(Rule::on("PUT", "").then(Action::StripRequestHeader("if-none-match".to_owned())));
    store.configure_with(&["v1"], json!({ "s3": { "bucket": "mirror", "endpoint": careless.url() } }));
    store.lab.make_in("careless", &[]).assert_refused(1, "does not mind conditions");
}

#[test]
fn reading_a_bucket_goes_on_where_it_broke_and_damage_is_found() {
    let Some(store) = Store::start() else { return };
    let image = store.push(1, 3 << 20, "v1");
    store.configure(&["v1"]);
    store.make(&[]).expect(0);
    let bad = FaultRegistry::in_front_of(&store.moto.host());
    bad.rule(Rule::on("GET", "seq1_000000").then(Action::DropAfter(1 << 20)));
    let (workspace, to) = (store.lab.file("far"), format!("docker://{}", store.lab.target.host()));
    let args = [
        "--from",
        BUCKET,
        "--workspace",
        &workspace,
        "--s3-endpoint",
        &bad.url(),
        "--retry-delay",
        "1ms",
        &to,
    ];
    store.lab.run(&args).expect(0);
    store.lab.assert_published(&image, TARGET, "v1");

    let key = "prod/mirror_seq1_000000.tar";
    let mut bytes = store.moto.object("mirror", key);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    store.moto.put("mirror", key, &bytes);
    let to = format!("docker://{}/again", store.lab.target.host());
    let run = store.lab.run(&[
        "--from",
        BUCKET,
        "--workspace",
        &store.lab.file("far2"),
        "--retry-times",
        "1",
        "--retry-delay",
        "1ms",
        &to,
    ]);
    assert_eq!(run.output.code, 8, "{}", run.output.snapshot());
    assert!(store.lab.target.digest_of(&format!("again/{TARGET}"), "v1").is_none(), "nothing is half-pushed");
}

#[test]
fn two_publishers_at_once_lose_nothing_unnoticed() {
    let lab = Lab::new();
    // Two imagesets of one chain and one sequence, as two copies of a workspace make them.
    let images: Vec<Image> = (1..=2).map(|n| ImageBuilder::new().random_layer(n, 20_000).build()).collect();
    for (number, image) in images.iter().enumerate() {
        let name = lab.push(image, TARGET, &format!("v{number}"));
        lab.configure(&[name]);
        lab.make_in(&format!("disk{number}"), &["--uid", crate::lab::UID]).expect(0);
    }
    for round in 0..8 {
        let to = format!("docker://{}/round{round}", lab.target.host());
        let from = [0, 1].map(|n| lab.file(&format!("disk{n}")));
        let workspaces = [0, 1].map(|n| lab.file(&format!("far{round}-{n}")));
        let start = |n: usize| {
            let args = ["--from", &from[n], "--workspace", &workspaces[n], &to];
            Running::start(&lab.context, &args)
        };
        let ended = [start(0), start(1)].map(Running::end);
        let won: Vec<usize> = (0..2).filter(|n| ended[*n].0 == 0).collect();
        let [winner] = won[..] else { panic!("round {round}: {ended:?}") };
        let told = &ended[1 - winner].1;
        // Whether it came too late to begin or to commit.
        assert!(told.contains("changed by somebody else") || told.contains("sequence 1"), "{told}");
        assert!(told.contains("hint: "), "{told}");
        // The winner's is the record: its own imageset is known there, the other one is refused.
        let again = |n: usize| lab.run(&["--from", &from[n], "--workspace", &workspaces[n], &to]);
        assert_eq!(again(winner).expect(0).outcomes(), [(1, "already published")]);
        assert_eq!(again(1 - winner).output.code, 1);
    }
}

#[test]
fn imagesets_in_a_bucket_are_checked_and_described() {
    let Some(store) = Store::start() else { return };
    store.push(1, 150_000, "v1");
    store.configure(&["v1"]);
    store.make(&["--archive-size", "100KB"]).expect(0);
    let output = store.lab.context.run(&["check", BUCKET]).expect_code(0);
    assert!(output.stdout.contains("imageset 1: whole, 1 image, "), "{}", output.snapshot());
    let output = store.lab.context.run(&["describe", BUCKET]).expect_code(0);
    assert!(output.stdout.contains("mirror_seq1_000001.tar"), "{}", output.snapshot());
    let mut bytes = store.moto.object("mirror", "prod/mirror_seq1_000001.tar");
    bytes[5000] ^= 1;
    store.moto.put("mirror", "prod/mirror_seq1_000001.tar", &bytes);
    let output = store.lab.context.run(&["check", BUCKET]).expect_code(8);
    assert!(output.stdout.contains("mirror_seq1_000001.tar"), "{}", output.snapshot());
}
