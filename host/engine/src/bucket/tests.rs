//! Tests against moto, which is an S3 server that is not ours, and against one with faults in front of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use oc_mirror_testkit::{Action, FaultRegistry, Moto, Rule};

use super::*;
use crate::content::positioned::ReadAt;
use crate::content::{ContentError, ContentErrorKind};
use crate::net::{Delay, NetSettings, Retry};
use crate::report::Silence;

/// A key, as the environment would give it.
fn credentials() -> Credentials {
    let variable = |name: &str| match name {
        "AWS_ACCESS_KEY_ID" => Some("AKTEST".to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some("hunter2".to_owned()),
        _ => None,
    };
    find(&variable, &|_: &Path| None).expect("nothing is wrong with it").0
}

pub(crate) fn settings(endpoint: &str, url: &str) -> BucketSettings {
    BucketSettings {
        url: url.parse().expect("valid"),
        endpoint: Some(endpoint.to_owned()),
        region: None,
        path_style: true,
        credentials: credentials(),
        net: NetSettings::default(),
        retry: Retry { attempts: 3, delay: Delay::Constant(Duration::from_millis(1)), ..Retry::default() },
        events: Arc::new(Silence),
    }
}

fn open(endpoint: &str, url: &str) -> Arc<Bucket> {
    Arc::new(Bucket::new(&settings(endpoint, url)).expect("settings are good"))
}

fn started() -> Option<Moto> {
    let moto = Moto::start()?;
    moto.make_bucket("mirror");
    Some(moto)
}

async fn read(object: &Object) -> Result<Vec<u8>, ContentError> {
    let size = object.size().await?;
    let pieces: Vec<Bytes> = object.stream(0, size).await?.try_collect().await?;
    Ok(pieces.concat())
}

fn noise(len: usize) -> Vec<u8> {
    (0..len as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

#[tokio::test]
async fn objects_are_written_on_condition() {
    let Some(moto) = started() else { return };
    let bucket = open(&moto.endpoint(), "s3://mirror/a/b");
    assert_eq!(bucket.get("x", 10).await.expect("asked"), None);
    assert!(bucket.put_if("x", Bytes::from_static(b"one"), None).await.expect("written"));
    assert!(!bucket.put_if("x", Bytes::from_static(b"two"), None).await.expect("refused"));
    let (bytes, revision) = bucket.get("x", 10).await.expect("asked").expect("there");
    assert_eq!(bytes, "one");
    assert!(revision.is_some());
    assert!(bucket.put_if("x", Bytes::from_static(b"two"), revision.as_ref()).await.expect("written"));
    assert!(!bucket.put_if("x", Bytes::from_static(b"six"), revision.as_ref()).await.expect("refused"));
    assert_eq!(moto.object("mirror", "a/b/x"), b"two");

    moto.put("mirror", "a/b/c/deeper", b"");
    moto.put("mirror", "a/beside", b"");
    let listed = bucket.list().await.expect("listed");
    assert_eq!(listed.iter().map(|e| (e.name.as_str(), e.size)).collect::<Vec<_>>(), [("x", 3)]);
    assert!(bucket.get("x", 2).await.expect_err("too large").to_string().contains("more than 2 bytes"));
    bucket.delete("x").await.expect("deleted");
    bucket.delete("x").await.expect("gone already");
    assert_eq!(bucket.head("x").await.expect("asked"), None);
    bucket.check_conditions("1").await.expect("it minds them");
    assert_eq!(moto.keys("mirror"), ["a/b/c/deeper", "a/beside"], "the probe leaves nothing");
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_found_out() {
    let Some(moto) = started() else { return };
    for header in ["if-none-match", "if-match"] {
        let careless = FaultRegistry::in_front_of(&moto.host());
        careless.rule(Rule::on("PUT", "").then(Action::StripRequestHeader(header.to_owned())));
        let error = open(&careless.url(), "s3://mirror").check_conditions("1").await.expect_err("found out");
        assert!(matches!(Fault::among(&error), Some(Fault::Unconditional(_))), "{header}: {error}");
        assert!(Fault::among(&error).and_then(Fault::hint).is_some());
        assert!(moto.keys("mirror").is_empty());
    }
}

#[tokio::test]
async fn the_answer_to_a_write_may_be_lost() {
    let Some(moto) = started() else { return };
    let lossy = FaultRegistry::in_front_of(&moto.host());
    lossy.rule(Rule::on("PUT", "/x").nth(1).then(Action::LoseAnswer));
    let bucket = open(&lossy.url(), "s3://mirror");
    assert!(bucket.put_if("x", Bytes::from_static(b"one"), None).await.expect("it was written all the same"));
    lossy.clear_rules();
    lossy.rule(Rule::on("PUT", "/x").nth(1).then(Action::Hangup));
    assert!(!bucket.put_if("x", Bytes::from_static(b"two"), None).await.expect("that of somebody else"));
}

#[tokio::test]
async fn reading_goes_on_where_a_connection_broke() {
    let Some(moto) = started() else { return };
    let content = noise(1 << 20);
    moto.put("mirror", "x", &content);
    let broken = FaultRegistry::in_front_of(&moto.host());
    let bucket = open(&broken.url(), "s3://mirror");
    let entry = bucket.list().await.expect("listed").remove(0);
    let object = Object::new(bucket, entry);
    broken.rule(Rule::on("GET", "/x").nth(1).then(Action::DropAfter(300_000)));
    broken.rule(Rule::on("GET", "/x").nth(2).then(Action::status(503)));
    assert!(read(&object).await.expect("read") == content);
    let ranges: Vec<String> = broken
        .requests()
        .iter()
        .filter(|r| r.method == "GET" && r.path.contains("/x"))
        .filter_map(|r| r.header("range").map(str::to_owned))
        .collect();
    assert_eq!(ranges.len(), 3, "{ranges:?}");
    assert_eq!(ranges[0], "bytes=0-1048575");
    assert_ne!(ranges[2], ranges[0], "only the rest is asked for again");
    assert_eq!(object.read(5, 7).await.expect("read"), content[5..12]);
    assert!(object.read(1 << 20, 1).await.is_err(), "it ends there");

    broken.clear_rules();
    broken.rule(Rule::on("GET", "/x").then(Action::DropAfter(0)));
    let error = read(&object).await.expect_err("it breaks every time");
    assert!(error.is_exhausted() && error.is_temporary(), "{error}");
    broken.clear_rules();
    moto.put("mirror", "x", &noise(1 << 19));
    let error = read(&object).await.expect_err("another object");
    assert_eq!(error.kind(), &ContentErrorKind::Refused("it was changed by somebody else".to_owned()));
}

#[tokio::test]
async fn uploads_appear_when_they_are_completed() {
    let Some(moto) = started() else { return };
    let bucket = open(&moto.endpoint(), "s3://mirror/set");
    let (first, second) = (Bytes::from(noise(5 << 20)), Bytes::from_static(b"the rest"));
    let size = (first.len() + second.len()) as u64;
    let id = bucket.begin_upload("x").await.expect("begun");
    let last = bucket.put_part("x", &id, 1, second.clone()).await.expect("put");
    let parts = vec![bucket.put_part("x", &id, 0, first.clone()).await.expect("put"), last];
    assert!(moto.keys("mirror").is_empty());
    assert_eq!(moto.uploads("mirror"), ["set/x"]);
    bucket.complete_upload("x", &id, parts.clone(), size).await.expect("completed");
    assert!(moto.object("mirror", "set/x") == [first.clone(), second].concat());
    assert!(moto.uploads("mirror").is_empty());

    let id = bucket.begin_upload("x").await.expect("begun");
    let part = bucket.put_part("x", &id, 0, first).await.expect("put");
    let refused = bucket.complete_upload("x", &id, vec![part], 5 << 20).await.expect_err("refused");
    assert!(refused.to_string().contains("another object"), "{refused}");
    bucket.abort_upload("x", &id).await.expect("aborted");
    assert!(moto.uploads("mirror").is_empty());
    // moto fails here, where S3 says so.
    let s3 = FaultRegistry::in_front_of(&moto.host());
    let body = b"<Error><Code>NoSuchUpload</Code><Message>gone</Message></Error>".to_vec();
    s3.rule(Rule::on("*", "uploadId=").then(Action::Answer(404, Vec::new(), body)));
    let bucket = open(&s3.url(), "s3://mirror/set");
    let gone = bucket.put_part("x", &id, 0, Bytes::from_static(b"x")).await.expect_err("gone");
    assert!(gone.is_not_found(), "{gone}");
    bucket.abort_upload("x", &id).await.expect("gone already");
}

#[tokio::test]
async fn an_object_is_not_replaced_whatever_was_looked_at_before() {
    let Some(moto) = started() else { return };
    let bucket = open(&moto.endpoint(), "s3://mirror");
    let id = bucket.begin_upload("x").await.expect("begun");
    let part = bucket.put_part("x", &id, 0, Bytes::from_static(b"mine")).await.expect("put");
    // The look before is answered by one who knows of no such object.
    let blind = FaultRegistry::in_front_of(&moto.host());
    blind.rule(Rule::on("HEAD", "/x").nth(1).then(Action::status(404)));
    moto.put("mirror", "x", b"of somebody else");
    let bucket = open(&blind.url(), "s3://mirror");
    bucket.complete_upload("x", &id, vec![part], 4).await.expect_err("refused");
    assert_eq!(moto.object("mirror", "x"), b"of somebody else");
}

#[tokio::test]
async fn faults_are_told_apart() {
    let Some(moto) = started() else { return };
    let error = open(&moto.endpoint(), "s3://nowhere").list().await.expect_err("no such bucket");
    assert_eq!(error.kind(), &ContentErrorKind::Refused("there is no such bucket".to_owned()));
    assert!(Fault::among(&error).and_then(Fault::hint).is_some_and(|h| h.contains("make the bucket")));
    let error =
        open(&moto.endpoint(), "s3://nowhere").get("x", 1).await.expect_err("not just no such object");
    assert!(!error.is_not_found(), "{error}");

    let faulty = FaultRegistry::in_front_of(&moto.host());
    let bucket = open(&faulty.url(), "s3://mirror");
    let denied = |code: &str| {
        let body = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
        Action::Answer(403, Vec::new(), body.into_bytes())
    };
    for (action, expected) in [
        (denied("AccessDenied"), ContentErrorKind::Denied),
        (denied("InvalidAccessKeyId"), ContentErrorKind::Unauthorized),
        (Action::status(500), ContentErrorKind::Unavailable("the store fails".to_owned())),
        (Action::too_many_requests(0), ContentErrorKind::Throttled { retry_after: Some(Duration::ZERO) }),
    ] {
        faulty.rule(Rule::on("GET", "/x").then(action));
        let error = bucket.get("x", 1).await.expect_err("refused");
        assert_eq!(error.kind(), &expected);
        assert_eq!(error.is_exhausted(), error.is_temporary());
        faulty.clear_rules();
    }
    faulty.rule(Rule::on("GET", "/x").first(2).then(Action::status(503)));
    assert_eq!(bucket.get("x", 1).await.expect("the third attempt"), None);

    let error = open("http://127.0.0.1:1", "s3://mirror").list().await.expect_err("nobody listens");
    assert!(matches!(error.kind(), ContentErrorKind::Unavailable(_)), "{error}");
    let error =
        open(&moto.endpoint().replace("http", "https"), "s3://mirror").list().await.expect_err("no TLS");
    assert!(matches!(error.kind(), ContentErrorKind::Untrusted(_)), "{error}");
}

#[tokio::test]
async fn secrets_are_not_shown() {
    let mut settings = settings("http://127.0.0.1:1", "s3://mirror");
    settings.retry.attempts = 1;
    let bucket = Bucket::new(&settings).expect("settings are good");
    let error = bucket.list().await.expect_err("nobody listens");
    let mut shown = format!("{bucket:?} {:?} {error} {error:?}", settings.credentials);
    shown.push_str(&Fault::among(&error).map(Fault::to_string).unwrap_or_default());
    assert!(!shown.contains("hunter2"), "{shown}");
}
