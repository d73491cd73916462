//! What is checked before a plugin may run, and what is kept of it between runs.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use oc_mirror_engine::policy::{Mode, OnFailure};
use oc_mirror_guest_build::embed_meta;
use oc_mirror_plugin_host::{Binary, Host, HostSettings, LoadError, LoadErrorKind, MetaError};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{ALL_GRANTS, binary, guest, host, host_with, odd, spec};

async fn refused(spec: oc_mirror_plugin_host::PluginSpec) -> LoadError {
    host().source(spec).await.err().expect("it is refused")
}

#[rstest]
#[case(json!({}), "schema", "behaviour")]
#[case(json!({"behaviour": "nap"}), "schema", "nap")]
#[case(json!({"behaviour": "quiet", "count": -1}), "schema", "`count`")]
#[case(json!({"behaviour": "quiet", "colour": 1}), "schema.unknown", "colour")]
#[case(Value::Null, "schema", "behaviour")]
#[tokio::test]
async fn settings_are_checked_against_the_schema(
    #[case] settings: Value,
    #[case] code: &str,
    #[case] text: &str,
) {
    let error = refused(odd(settings, &[])).await;
    let LoadErrorKind::Settings(problems) = &*error.kind else { panic!("{error:?}") };
    assert_eq!(problems[0].code, code);
    assert!(error.to_string().contains(text), "{error}");
}

#[tokio::test]
async fn the_guest_has_a_say_too() {
    let error = refused(odd(json!({"behaviour": "flood", "at": "configure", "count": 3}), &[])).await;
    let LoadErrorKind::Settings(problems) = &*error.kind else { panic!("{error:?}") };
    assert_eq!(problems.len(), 3);
    assert_eq!((problems[0].path.as_str(), problems[0].code.as_str()), ("x[0]", "odd"));
    assert!(!error.to_string().contains(['\u{1b}', '\n', '\u{202e}']));
}

#[tokio::test]
async fn the_host_cannot_be_reached_from_configure() {
    // Everything is granted. Logging is harmless; it is not heard since there is no run.
    let settings = json!({"behaviour": "reach", "at": "configure"});
    let error = refused(odd(settings.clone(), &ALL_GRANTS)).await;
    let LoadErrorKind::Settings(problems) = &*error.kind else { panic!("{error:?}") };
    let answers: BTreeMap<&str, &str> =
        problems.iter().map(|p| (p.path.as_str(), p.message.as_str())).collect();
    for call in [
        "registry.resolve",
        "registry.tags",
        "registry.open",
        "http.fetch",
        "http.fetch-with-credential",
        "cache.open",
        "cache.commit",
    ] {
        assert_eq!(answers[call], "denied: nothing can be reached while settings are checked", "{call}");
    }
    assert_eq!(answers["plan.save-state"], "denied: nothing is being collected");
    assert_eq!(answers["config.has-credential"], "ok false");
    assert_eq!((answers["plan.load-state"], answers["plan.withheld"]), ("ok none", "ok 0"));

    let mut asking = settings;
    asking["count"] = json!(0);
    let error = refused(odd(asking, &ALL_GRANTS)).await.to_string();
    assert!(error.contains("there is no run while settings are checked"), "{error}");
}

fn with_meta(change: impl FnOnce(&mut oc_mirror_guest_build::PluginMeta)) -> Binary {
    let built = guest("odd");
    let mut meta = built.meta.clone();
    change(&mut meta);
    Binary::new("odd", embed_meta(&fs::read(&built.path).expect("just built"), &meta))
}

#[tokio::test]
async fn another_contract_is_refused_with_both_versions() {
    let newer = with_meta(|meta| meta.wit = "0.2.0".to_owned());
    let error = refused(spec(newer, json!({"behaviour": "quiet"}), &[])).await;
    assert!(matches!(*error.kind, LoadErrorKind::Meta(MetaError::Contract { .. })), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("0.2.0") && text.contains("0.1.0"), "{text}");
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn unknown_wishes_are_refused() {
    let greedy = with_meta(|meta| meta.wants.push("shell".to_owned()));
    let error = refused(spec(greedy, json!({"behaviour": "quiet"}), &[])).await;
    assert!(error.to_string().contains("`shell` is not a capability"), "{error}");
}

#[tokio::test]
async fn a_policy_is_no_source() {
    let block = host().builtin("block").expect("built in");
    let error = host().source(spec(block, json!({}), &[])).await.err().expect("it is no source");
    assert!(matches!(*error.kind, LoadErrorKind::WrongRole { .. }), "{error}");
    let additional = host().builtin("additional").expect("built in");
    let error = host().policy(spec(additional, json!({}), &[]), Mode::Protect, OnFailure::Deny).await.err();
    assert!(matches!(error.expect("it is no policy").kind.as_ref(), LoadErrorKind::WrongRole { .. }));
}

#[tokio::test]
async fn a_component_without_metadata_is_named_after_its_file_and_wants_nothing() {
    let bytes = fs::read(&guest("odd").path).expect("just built");
    let at = bytes.windows(21).rposition(|w| w == b"oc-mirror:plugin-meta").expect("the section's name");
    let mut bare = bytes;
    bare[at] = b'x';
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("bare.wasm");
    fs::write(&path, &bare).expect("written");
    let host = host();
    let binary = host.load_file(&path).expect("read");
    let inspection = binary.inspect().expect("a plugin");
    assert_eq!(inspection.meta.id, "bare");
    assert_eq!(inspection.meta.worlds, ["content-source", "policy", "static-policy"]);
    let source =
        host.source(spec(binary, json!({"behaviour": "quiet"}), &["registry"])).await.expect("it loads");
    assert_eq!(source.identity().id, "bare");
}

#[test]
fn files_that_are_no_plugins() {
    let host = host();
    let dir = tempfile::tempdir().expect("a directory");
    let error = host.load_file(&dir.path().join("gone.wasm")).expect_err("not there");
    assert!(error.to_string().contains("gone.wasm"), "{error}");
    let large = dir.path().join("large.wasm");
    fs::File::create(&large).expect("made").set_len(65 << 20).expect("a hole");
    assert!(matches!(
        host.load_file(&large).expect_err("large").kind.as_ref(),
        LoadErrorKind::TooLarge { .. }
    ));
    let error = host.builtin("helm2").expect_err("not built in");
    assert!(
        error.hint().expect("a hint").contains("additional, allow-registries, block, helm, limits, operator")
    );
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("there").map(|e| e.expect("an entry").path());
    entries.filter(|p| p.extension().is_some_and(|e| e == extension)).collect()
}

fn cached_host(dir: &Path) -> Host {
    Host::new(HostSettings { cache_dir: Some(dir.to_owned()), ..HostSettings::default() }).expect("it starts")
}

async fn all_cached(host: &Host) -> bool {
    host.warm_start().await.expect("they start").plugins.iter().all(|p| p.cached)
}

#[tokio::test]
async fn compiled_code_is_kept_and_damage_is_noticed() {
    let parent = tempfile::tempdir().expect("a directory");
    let dir = parent.path().join("a/b");
    assert!(!all_cached(&cached_host(&dir)).await);
    assert_eq!(fs::metadata(&dir).expect("made").mode() & 0o777, 0o700);
    assert_eq!(files(&dir, "cwasm").len(), Host::builtins().count());
    assert!(all_cached(&cached_host(&dir)).await);

    for damage in ["flip", "cut", "swap", "empty sum", "writable", "link"] {
        let (blobs, sums) = (files(&dir, "cwasm"), files(&dir, "sha256"));
        let (blob, mut bytes) = (&blobs[0], fs::read(&blobs[0]).expect("there"));
        match damage {
            "flip" => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(blob, bytes).expect("written");
            }
            "cut" => fs::write(blob, &bytes[..bytes.len() / 2]).expect("written"),
            "swap" => fs::copy(&blobs[1], blob).map(drop).expect("copied"),
            "empty sum" => sums.iter().for_each(|sum| fs::write(sum, "").expect("written")),
            "writable" => fs::set_permissions(blob, fs::Permissions::from_mode(0o666)).expect("set"),
            _ => {
                let elsewhere = parent.path().join("elsewhere");
                fs::rename(blob, &elsewhere).expect("moved");
                std::os::unix::fs::symlink(elsewhere, blob).expect("linked");
            }
        }
        assert!(!all_cached(&cached_host(&dir)).await, "{damage} goes unnoticed");
        assert!(all_cached(&cached_host(&dir)).await, "{damage} is not repaired");
    }
}

#[tokio::test]
async fn another_version_or_directory_of_others_is_not_used() {
    let parent = tempfile::tempdir().expect("a directory");
    let dir = parent.path().join("cache");
    assert!(!all_cached(&cached_host(&dir)).await);
    let other = host_with(|s| {
        s.cache_dir = Some(dir.clone());
        s.host_version = "9.9.9".to_owned();
    });
    assert!(!all_cached(&other).await);
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).expect("set");
    assert!(!all_cached(&cached_host(&dir)).await, "anybody could have written there");
}

#[tokio::test]
async fn a_host_without_a_cache_works() {
    let host = Host::new(HostSettings::default()).expect("it starts");
    let start = host.warm_start().await.expect("they start");
    assert_eq!(start.plugins.len(), Host::builtins().count());
    assert!(start.plugins.iter().all(|p| !p.cached && p.load <= start.total));
    assert!(host.source(spec(binary("odd"), json!({"behaviour": "quiet"}), &[])).await.is_ok());
}

#[test]
fn built_in_plugins_get_no_wasi() {
    let host = Host::new(HostSettings::default()).expect("it starts");
    let mut seen = 0;
    for name in Host::builtins() {
        let inspection = host.builtin(name).expect("built in").inspect().expect("it says what it is");
        assert!(!inspection.imports_wasi(), "{name} imports {:?}", inspection.imports);
        seen += 1;
    }
    assert!(seen > 0, "nothing is built in");
}
