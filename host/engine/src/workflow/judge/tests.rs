use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use oc_mirror_model::cases::CaseTable;

use super::*;
use crate::policy::Stages;
use crate::report::{Events, Silence};
use crate::source::{PluginError, PluginIdentity};
use crate::workflow::rehearsal::Rehearsal;

/// Answers as the name of an image says: `deny`, `warn`, `fail`, or anything else to allow.
struct ByName {
    identity: PluginIdentity,
    mode: Mode,
    on_failure: OnFailure,
    /// How many verdicts are missing.
    short: usize,
    /// The sizes of the batches that it was asked about.
    asked: Mutex<Vec<usize>>,
}

fn policy(name: &str, mode: Mode, on_failure: OnFailure) -> ByName {
    let identity = PluginIdentity {
        name: name.to_owned(),
        id: "by-name".to_owned(),
        version: "1.0.0".to_owned(),
        digest: Digest::of(b"component"),
    };
    ByName { identity, mode, on_failure, short: 0, asked: Mutex::default() }
}

fn finding(code: &str) -> Vec<Finding> {
    vec![Finding { code: code.to_owned(), message: format!("it is {code}"), details: BTreeMap::new() }]
}

impl ByName {
    fn answer(&self, name: &str) -> Result<Verdict, PluginError> {
        Ok(match name {
            name if name.contains("deny") => Verdict::Deny(finding("bad")),
            name if name.contains("warn") => Verdict::Warn(finding("odd")),
            name if name.contains("fail") => {
                return Err(PluginError {
                    plugin: self.identity.name.clone(),
                    version: self.identity.version.clone(),
                    call: "evaluate".to_owned(),
                    cause: "trapped".to_owned(),
                    hint: None,
                });
            }
            _ => Verdict::Allow,
        })
    }
}

#[async_trait]
impl Policy for ByName {
    fn identity(&self) -> &PluginIdentity {
        &self.identity
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn on_failure(&self) -> OnFailure {
        self.on_failure
    }

    fn settings(&self) -> Digest {
        Digest::of(b"{}")
    }

    fn stages(&self) -> Stages {
        Stages { reference: true, manifest: false, content: false }
    }

    async fn evaluate_references(
        &self,
        lent: &Arc<Lent>,
        batch: &[ImageRequest],
    ) -> Result<Vec<Verdict>, PluginError> {
        self.asked.lock().unwrap().push(batch.len());
        assert!(lent.run.images.is_some_and(|all| all >= batch.len() as u64));
        let answers: Result<Vec<Verdict>, PluginError> =
            batch.iter().map(|r| self.answer(&r.origin)).collect();
        answers.map(|mut verdicts| {
            verdicts.truncate(batch.len() - self.short);
            verdicts
        })
    }

    async fn evaluate(
        &self,
        _: &Arc<Lent>,
        request: &ImageRequest,
        _: Arc<dyn ImageView>,
    ) -> Result<Verdict, PluginError> {
        self.answer(&request.origin)
    }
}

fn request(name: &str) -> (String, ImageRequest) {
    let request = ImageRequest {
        source: format!("quay.io/{name}:1"),
        origin: name.to_owned(),
        kind: "additional".to_owned(),
        target_repository: None,
        target_tag: None,
        platforms: vec![],
        with_referrers: false,
        provenance: Default::default(),
    };
    ("mine".to_owned(), request)
}

async fn judged(
    policies: &[Arc<dyn Policy>],
    names: &[String],
    events: Arc<dyn Events>,
) -> (Vec<String>, Vec<RefusedImage>, Vec<PolicyAudit>) {
    let table = CaseTable::parse("cases: [{name: a, expect: {images: []}}]").unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let world = Rehearsal::new(&table, "oc-mirror 1.0.0", events, scratch.path().to_owned()).await.unwrap();
    let judge = Judge { policies, run: &world.0.0.run, services: &world.0.0.services, parallel: 4 };
    let mut account = judge.account();
    let requests = names.iter().map(|name| request(name)).collect();
    let (passed, refused) = judge.references(requests, &mut account).await;
    (passed.into_iter().map(|(_, request)| request.origin).collect(), refused, account)
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn all_is_in_order_whoever_is_first() {
    let one = Arc::new(policy("one", Mode::Protect, OnFailure::Deny));
    let policies: Vec<Arc<dyn Policy>> = vec![one.clone()];
    let all: Vec<String> =
        (0..2_000).map(|n| format!("{}{n:05}", if n % 7 == 0 { "deny" } else { "app" })).collect();
    let (passed, refused, account) = judged(&policies, &all, Arc::new(Silence)).await;
    assert!(passed.is_sorted() && refused.iter().map(|r| &r.origin).is_sorted());
    assert_eq!((passed.len(), refused.len()), (1_714, 286));
    assert_eq!((account[0].asked, account[0].allowed, account[0].denied), (2_000, 1_714, 286));
    assert_eq!((account[0].findings.len(), account[0].findings[0].images.len()), (1, 286));
    assert_eq!(refused[0].stage, Some(Stage::Reference));
    assert_eq!(*one.asked.lock().unwrap(), [BATCH; 4]);
}

/// Keeps warnings.
#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Events for Warnings {
    fn event(&self, event: Event<'_>) {
        if let Event::Warning { subject, message } = event {
            self.0.lock().unwrap().push(format!("{subject}: {message}"));
        }
    }
}

#[tokio::test]
async fn any_denial_wins_and_the_first_is_told() {
    let policies: Vec<Arc<dyn Policy>> = vec![
        Arc::new(policy("watching", Mode::Monitor, OnFailure::Deny)),
        Arc::new(policy("first", Mode::Protect, OnFailure::Deny)),
        Arc::new(policy("second", Mode::Protect, OnFailure::Deny)),
    ];
    let warnings = Arc::new(Warnings::default());
    let (passed, refused, account) =
        judged(&policies, &names(&["app", "deny", "warn"]), warnings.clone()).await;
    assert_eq!(passed, ["app", "warn"]);
    assert_eq!((refused.len(), refused[0].policy.as_str(), refused[0].code.as_str()), (1, "first", "bad"));
    assert_eq!(account.iter().map(|a| (a.denied, a.warned)).collect::<Vec<_>>(), [(1, 1); 3]);
    let warnings = warnings.0.lock().unwrap().clone();
    assert_eq!(warnings[0], "deny: it is bad (watching, bad)");
    assert_eq!(warnings.len(), 4, "{warnings:?}");
}

#[tokio::test]
async fn what_breaks_refuses_unless_the_user_has_it_otherwise() {
    let of = |mode, on_failure| -> Vec<Arc<dyn Policy>> { vec![Arc::new(policy("p", mode, on_failure))] };
    let all = names(&["app", "fail"]);
    for (mode, on_failure, passes) in [
        (Mode::Protect, OnFailure::Deny, false),
        (Mode::Protect, OnFailure::Allow, true),
        (Mode::Monitor, OnFailure::Deny, true),
    ] {
        let warnings = Arc::new(Warnings::default());
        // One that breaks on a batch has judged none of it.
        let (passed, refused, account) = judged(&of(mode, on_failure), &all, warnings.clone()).await;
        assert_eq!(passed.len(), if passes { 2 } else { 0 }, "{mode:?} {on_failure:?}");
        assert!(refused.iter().all(|r| r.code == BROKEN_POLICY && r.message.contains("trapped")));
        assert_eq!((account[0].asked, account[0].failed, account[0].denied), (2, 2, 0));
        assert_eq!(account[0].findings[0].verdict, Answer::Failed);
        assert_eq!(warnings.0.lock().unwrap().len(), if passes { 2 } else { 0 });
    }
}

#[tokio::test]
async fn one_verdict_too_few_is_none() {
    let short = ByName { short: 1, ..policy("short", Mode::Protect, OnFailure::Deny) };
    let policies: Vec<Arc<dyn Policy>> = vec![Arc::new(short)];
    let (passed, refused, _) = judged(&policies, &names(&["a", "b"]), Arc::new(Silence)).await;
    assert!(passed.is_empty());
    assert_eq!(refused[0].message, "it gave 1 verdicts on 2 images");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_is_done_side_by_side_and_comes_back_in_order() {
    let at_work = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let counters = at_work.clone();
    let ((), outcomes) = side_by_side((), 40, 8, move |_: Arc<()>, number| {
        let counters = counters.clone();
        async move {
            let now = counters.0.fetch_add(1, Ordering::SeqCst) + 1;
            counters.1.fetch_max(now, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(40 - number as u64)).await;
            counters.0.fetch_sub(1, Ordering::SeqCst);
            number
        }
    })
    .await;
    assert_eq!(outcomes, (0..40).collect::<Vec<_>>());
    assert_eq!(at_work.1.load(Ordering::SeqCst), 8);
    let ((), none) = side_by_side((), 0, 8, |_: Arc<()>, number| async move { number }).await;
    assert!(none.is_empty());
}
