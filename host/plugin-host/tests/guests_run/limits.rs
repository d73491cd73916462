//! Guests that loop, eat memory, trap or flood end in an error that says so, and others go on.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use oc_mirror_engine::policy::{Mode, OnFailure};
use oc_mirror_engine::source::{Collected, PluginError};
use oc_mirror_model::policy::Verdict;
use oc_mirror_plugin_host::{Host, HostSettings, Limits};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{FakeImage, World, host, host_with, odd, request, run_info};

async fn collect(host: &Host, world: &World, settings: Value) -> Result<Collected, PluginError> {
    let source = host.source(odd(settings, &[])).await.expect("it loads");
    source.collect(&run_info(), &world.services()).await
}

fn short(settings: &mut HostSettings) {
    settings.source = Limits { guest_time: Duration::from_millis(200), ..Limits::source() };
    settings.policy = Limits { guest_time: Duration::from_millis(200), ..Limits::policy() };
}

#[rstest]
#[case("spin", "used up its 200 ms")]
#[case("hog", "asked for more than 256 MiB of memory")]
#[case("grab", "asked for more than 256 MiB of memory")]
#[case("recurse", "trapped: call stack exhausted")]
#[case("trap", "trapped: unreachable")]
#[tokio::test]
async fn a_source_that_misbehaves(#[case] behaviour: &str, #[case] cause: &str) {
    let host = host_with(|s| s.source.guest_time = Duration::from_secs(30));
    let host = if behaviour == "spin" { host_with(short) } else { host };
    let world = World::new(vec![]);
    let error = collect(&host, &world, json!({"behaviour": behaviour})).await.expect_err("it misbehaves");
    assert!(error.cause.starts_with(cause), "{}", error.cause);
    assert_eq!((error.plugin.as_str(), error.version.as_str()), ("mine", "0.1.0"));
    assert_eq!(error.call, "collect");
    // The process goes on.
    let collected = collect(&host, &world, json!({"behaviour": "quiet"})).await.expect("another one works");
    assert_eq!(collected.images.len(), 1);
}

#[rstest]
#[case("spin", "used up its 200 ms")]
#[case("hog", "asked for more than 64 MiB of memory")]
#[case("grab", "asked for more than 64 MiB of memory")]
#[case("recurse", "trapped: call stack exhausted")]
#[case("trap", "trapped: unreachable")]
#[tokio::test]
async fn a_policy_that_misbehaves(#[case] behaviour: &str, #[case] cause: &str) {
    let host = match behaviour {
        "spin" => host_with(short),
        _ => host_with(|s| s.policy.guest_time = Duration::from_secs(30)),
    };
    let world = World::new(vec![FakeImage::new("registry.example/a:1", &[b"x"], json!({}))]);
    let settings = json!({"behaviour": behaviour, "at": "evaluate"});
    let policy = host.policy(odd(settings, &[]), Mode::Protect, OnFailure::Deny).await.expect("it loads");
    let lent = world.lent();
    let wish = request("registry.example/a:1");
    for _ in 0..2 {
        let view = world.view("registry.example/a:1");
        let error = policy.evaluate(&lent, &wish, view).await.expect_err("it misbehaves");
        assert!(error.cause.starts_with(cause), "{}", error.cause);
        assert_eq!(error.call, "evaluate");
        // The instance is gone; a new one answers the other call.
        let verdicts = policy.evaluate_references(&lent, std::slice::from_ref(&wish)).await;
        assert_eq!(verdicts.expect("another instance works"), [Verdict::Allow]);
    }
}

#[tokio::test]
async fn what_loops_while_it_is_configured_cannot_be_used() {
    let host = host_with(short);
    let error = host.source(odd(json!({"behaviour": "spin", "at": "configure"}), &[])).await;
    let error = error.err().expect("it loops").to_string();
    assert!(error.contains("`mine`") && error.contains("used up its 200 ms"), "{error}");
}

#[tokio::test]
async fn waiting_for_others_is_bounded_too() {
    let host = host_with(|s| s.source.call_time = Duration::from_millis(300));
    let world = World::new(vec![]);
    world.http.stall.store(true, Ordering::Relaxed);
    let spec = odd(json!({"behaviour": "reach"}), &["http:www.example"]);
    let source = host.source(spec).await.expect("it loads");
    let error = source.collect(&run_info(), &world.services()).await.expect_err("it waits for ever");
    assert_eq!(error.cause, "used up its 300 ms, waiting included");
}

#[tokio::test]
async fn time_in_the_host_is_not_the_guests() {
    // Two hundred milliseconds of its own time, and much longer in one request.
    let host = host_with(|s| {
        short(s);
        s.source.call_time = Duration::from_secs(1);
    });
    let world = World::new(vec![]);
    world.http.stall.store(true, Ordering::Relaxed);
    let source =
        host.source(odd(json!({"behaviour": "reach"}), &["http:www.example"])).await.expect("it loads");
    let error = source.collect(&run_info(), &world.services()).await.expect_err("it waits for ever");
    assert_eq!(error.cause, "used up its 1 s, waiting included");
}

#[tokio::test]
async fn a_guest_that_polls_ends_when_the_run_is_cancelled() {
    let world = World::new(vec![]);
    let cancelled = world.cancelled.clone();
    let start = Instant::now();
    let stop = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        cancelled.store(true, Ordering::Relaxed);
    };
    let host = host_with(short);
    let ((), result) = tokio::join!(stop, collect(&host, &world, json!({"behaviour": "linger"})));
    // It has polled, so its 200 ms started anew each time; it ended by itself.
    assert_eq!(result.expect("it ended well").images.len(), 1);
    assert!(start.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn a_guest_that_does_not_poll_is_stopped_when_the_run_is_cancelled() {
    let world = World::new(vec![]);
    world.cancelled.store(true, Ordering::Relaxed);
    let error = collect(&host(), &world, json!({"behaviour": "spin"})).await.expect_err("it was stopped");
    assert_eq!(error.cause, "the run was cancelled");
}

#[tokio::test]
async fn nothing_counts_of_a_call_that_ends_badly() {
    let world = World::new(vec![]);
    let settings = json!({"behaviour": "trap", "count": 2000});
    assert!(
        collect(&host(), &world, settings).await.is_err(),
        "half of the images were emitted, none is returned"
    );
}

#[tokio::test]
async fn too_many_items_are_an_error_even_if_the_guest_does_not_notice() {
    let host = host_with(|s| s.source.items = 150);
    let world = World::new(vec![]);
    // A hundred warnings and a hundred images; warnings have no result that could tell the guest.
    let error =
        collect(&host, &world, json!({"behaviour": "flood", "count": 100})).await.expect_err("too many");
    assert!(error.cause.contains("used up its 150 items"), "{}", error.cause);
    let error =
        collect(&host, &world, json!({"behaviour": "flood", "count": 151})).await.expect_err("too many");
    assert!(error.cause.contains("used up its 150 items"), "{}", error.cause);
}

#[tokio::test]
async fn ten_million_images_are_too_many() {
    let world = World::new(vec![]);
    let host = host_with(|s| s.source.items = 100_000);
    let error = collect(&host, &world, json!({"behaviour": "emit", "count": 10_000_000})).await;
    let error = error.expect_err("too many");
    assert_eq!(error.cause, "limit: used up its 100000 items");
    assert_eq!(Limits::source().items, 1_000_000, "what a run allows");
}

/// A line of a gigabyte cannot be made within the memory that there is. One of less is not taken, or not shown.
#[rstest]
#[case::beyond_memory(1 << 20, "asked for more than 256 MiB of memory")]
#[case::beyond_a_call(100 << 10, "handed more than 8 MiB to the host in one call")]
#[tokio::test]
async fn a_line_without_end_is_not_logged(#[case] kib: u32, #[case] cause: &str) {
    let world = World::new(vec![]);
    let error = collect(&host(), &world, json!({"behaviour": "shout", "count": kib})).await;
    let error = error.expect_err("it is too long");
    assert!(error.cause.starts_with(cause), "{}", error.cause);
    assert!(world.events.lines().is_empty(), "{:?}", world.events.lines());
}

#[tokio::test]
async fn a_long_line_is_cut_or_dropped() {
    let world = World::new(vec![]);
    for (kib, shown) in [(1 << 10, 8 << 10), (5 << 10, 0)] {
        let collected = collect(&host(), &world, json!({"behaviour": "shout", "count": kib})).await;
        assert_eq!(collected.expect("it ends well").images.len(), 1);
        let longest = world.events.lines().iter().map(|line| line.matches('x').count()).max();
        assert!(longest.unwrap_or_default() <= 8 << 10);
        assert!(shown == 0 || longest >= Some(shown), "{longest:?}");
    }
    let last = world.events.lines().pop().expect("it is told that something was left out");
    assert!(last.contains("1 more messages were dropped"), "{last}");
}

#[tokio::test]
async fn too_many_host_calls_end_a_guest() {
    let host = host_with(|s| s.source.host_calls = 10_000);
    let error =
        collect(&host, &World::new(vec![]), json!({"behaviour": "linger"})).await.expect_err("too many");
    assert_eq!(error.cause, "used up its 10000 host calls");
}

#[tokio::test]
async fn logs_are_cleaned_and_cut() {
    let host = host_with(|s| s.source.log_bytes = 20_000);
    let world = World::new(vec![]);
    let collected =
        collect(&host, &world, json!({"behaviour": "flood", "count": 5000})).await.expect("it ends");
    assert_eq!(collected.images.len(), 5000);
    assert_eq!(collected.warnings.len(), 5000);
    let bad = |text: &str| text.chars().any(|c| c.is_control() || c == '\u{202e}');
    assert!(!collected.warnings.iter().any(|(code, message)| bad(code) || bad(message)));
    let lines = world.events.lines();
    assert!(lines.len() > 10 && lines.len() < 1000, "{} lines", lines.len());
    assert!(!lines.iter().any(|line| bad(line)));
    assert!(lines.last().expect("some").contains("more messages were dropped"), "{:?}", lines.last());
}

#[tokio::test]
async fn findings_are_cleaned() {
    let world = World::new(vec![]);
    let policy = host()
        .policy(odd(json!({"behaviour": "flood", "count": 3}), &[]), Mode::Monitor, OnFailure::Deny)
        .await;
    let policy = policy.expect("it loads");
    assert_eq!(policy.mode(), Mode::Monitor);
    let wishes = [request("a"), request("b")];
    let verdicts = policy.evaluate_references(&world.lent(), &wishes).await.expect("it judges");
    assert_eq!(verdicts.len(), 2);
    let Verdict::Deny(findings) = &verdicts[0] else { panic!("{verdicts:?}") };
    assert_eq!(findings.len(), 3);
    assert!(!findings[0].message.contains(['\u{1b}', '\n', '\u{202e}']), "{:?}", findings[0]);
}

#[tokio::test]
async fn instances_are_used_again_and_replaced() {
    let world = World::new(vec![FakeImage::new("registry.example/a:1", &[b"x"], json!({}))]);
    let policy = host()
        .policy(odd(json!({"behaviour": "quiet"}), &[]), Mode::Protect, OnFailure::Deny)
        .await
        .expect("it loads");
    let lent = world.lent();
    for _ in 0..600 {
        let view = world.view("registry.example/a:1");
        let verdict = policy.evaluate(&lent, &request("registry.example/a:1"), view).await;
        assert_eq!(verdict.expect("it judges"), Verdict::Allow);
    }
}
