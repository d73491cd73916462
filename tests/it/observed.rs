//! What a run leaves for those who watch it: its result, its log, its numbers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use oc_mirror_model::report::RunReport;
use oc_mirror_testkit::{ImageBuilder, PASSWORD, Registry, USER, write_auth_file};
use serde_json::{Value, json};

use crate::lab::{Lab, UID, names_in};

fn lab() -> Lab {
    let lab = Lab::new();
    let image = ImageBuilder::new().random_layer(1, 100_000).build();
    lab.configure(&[lab.push(&image, "team/app", "v1")]);
    lab
}

fn result(lab: &Lab) -> RunReport {
    let text = fs::read(lab.path("disk/working-dir/results/result.json")).expect("a result");
    serde_json::from_slice(&text).expect("a report")
}

#[test]
fn the_result_is_that_of_the_last_run_however_it_ended() {
    let lab = lab();
    let run = lab.make(&[]).expect(0);
    assert_eq!(result(&lab), *run.report());

    // With no imageset and no image to tell of, the run itself has failed.
    lab.configure_mirror(json!({ "additionalImages": [], "blockedImages": [{ "name": "x" }] }));
    let insecure = ["--src-tls-verify=false", "-c", "isc.yaml", "file://disk"];
    let output = lab.context.run(&insecure).expect_code(1);
    let kept = result(&lab);
    assert_eq!((kept.failures.len(), kept.exit_code()), (1, 1), "{}", output.raw_stderr);
    let failure = &kept.failures[0];
    assert!(output.raw_stderr.contains(&format!("error: {}", failure.message)), "{failure:?}");
}

#[test]
fn yaml_says_what_json_says() {
    let lab = lab();
    let from = |format: &str, args: &[&str]| {
        let args = [&["--src-tls-verify=false", "-o", format], args].concat();
        lab.context.run(&args).expect_code(0).raw_stdout
    };
    let args = ["-c", "isc.yaml", "file://disk", "--dry-run", "-q", "--uid", UID];
    let mut json: Value = serde_json::from_str(&from("json", &args)).expect("JSON");
    let mut yaml: Value = serde_saphyr::from_str(&from("yaml", &args)).expect("YAML");
    // How much room there is changes from one run to the next.
    for report in [&mut json, &mut yaml] {
        for room in report["forecast"]["space"].as_array_mut().expect("rooms") {
            assert!(room["available"].take().is_u64());
        }
    }
    assert_eq!(json, yaml);
    assert_eq!(json["workflow"], "mirrorToDisk");
    lab.make(&[]).expect(0);
    let checked = lab.context.run(&["check", "disk", "-q", "-o", "yaml"]).expect_code(0);
    assert!(checked.raw_stdout.starts_with("imagesets:\n") || checked.raw_stdout.contains("\nimagesets:\n"));
    let version = lab.context.run(&["version", "-o", "yaml"]).expect_code(0);
    assert!(version.raw_stdout.starts_with("clientVersion:\n  gitVersion: "), "{}", version.raw_stdout);
}

#[test]
fn each_run_has_a_log_of_its_own() {
    let lab = lab();
    for _ in 0..13 {
        lab.make(&["--force", "--log-format", "json", "--log-level", "debug"]).expect(0);
    }
    let logs = names_in(&lab.path("disk/working-dir/logs"));
    assert_eq!(logs.len(), 11, "the last one and ten before it: {logs:?}");
    let text = fs::read_to_string(lab.path("disk/working-dir/logs/oc-mirror.log")).expect("a log");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let messages: Vec<&str> = lines.iter().filter_map(|line| line["fields"]["message"].as_str()).collect();
    assert_eq!((messages.first(), messages.last()), (Some(&"begins"), Some(&"ends")), "{text}");
    assert!(messages.contains(&"phase") && lines.iter().any(|line| line["fields"]["name"] == "collecting"));
    // What is said of a mistake is in it as well.
    lab.configure(&[lab.source.reference("team/other", "v1")]);
    let output = lab.context.run(&["--src-tls-verify=false", "-c", "isc.yaml", "file://disk"]).expect_code(8);
    let text = fs::read_to_string(lab.path("disk/working-dir/logs/oc-mirror.log")).expect("a log");
    assert!(text.contains("ERROR") && text.contains("team/other:v1"), "{text}{}", output.raw_stderr);
}

#[test]
fn nothing_that_is_kept_has_credentials() {
    let source = Registry::builder().auth().start();
    let image = ImageBuilder::new().random_layer(1, 100_000).build();
    source.push(&image, "team/app", "v1");
    let lab = Lab::with(source, Registry::start());
    lab.configure(&[lab.source.reference("team/app", "v1")]);
    let auth = lab.context.home().join("auth.json");
    write_auth_file(&auth, &[(&lab.source.host(), USER, PASSWORD)]);
    let auth = auth.display().to_string();
    let metrics = lab.path("run.prom").display().to_string();
    let more =
        ["--authfile", &auth, "--log-level", "trace", "--metrics-file", &metrics, "--progress", "json"];
    let run = lab.make(&more).expect(0);
    let basic = oc_mirror_testkit::basic_authorization(USER, PASSWORD);
    let basic = basic.strip_prefix("Basic ").expect("it begins so");
    let kept = ["disk/working-dir/logs/oc-mirror.log", "disk/working-dir/results/result.json", "run.prom"];
    let kept = kept.map(|name| fs::read_to_string(lab.path(name)).expect("it was written"));
    for text in kept.iter().chain([&run.output.raw_stderr, &run.output.raw_stdout]) {
        assert!(!text.is_empty() && !text.contains(PASSWORD) && !text.contains(basic), "{text}");
    }
}

#[test]
fn numbers_are_there_for_a_monitoring_system() {
    let lab = lab();
    let file = lab.path("run.prom");
    let file_text = file.display().to_string();
    lab.make(&["--metrics-file", &file_text]).expect(0);
    let first = read(&file);
    let of = |metrics: &Metrics, name: &str| metrics.get(&(name.to_owned(), BTreeMap::new())).copied();
    assert_eq!(of(&first, "oc_mirror_run_exit_code"), Some(0.0));
    assert_eq!(of(&first, "oc_mirror_run_running"), Some(0.0));
    assert_eq!(of(&first, "oc_mirror_sequence"), Some(1.0));
    assert!(of(&first, "oc_mirror_moved_bytes").is_some_and(|bytes| bytes > 100_000.0), "{first:?}");
    let success = of(&first, "oc_mirror_last_success_time_seconds").expect("it went well");
    let begun = of(&first, "oc_mirror_run_start_time_seconds").expect("it has begun");
    assert!(success >= begun && begun > 1_700_000_000.0);
    let labelled = |name: &str, label: &str, text: &str| {
        let key = (name.to_owned(), BTreeMap::from([(label.to_owned(), text.to_owned())]));
        first.get(&key).copied().unwrap_or_else(|| panic!("{key:?} is not in {first:#?}"))
    };
    let host = lab.source.host();
    assert!(labelled("oc_mirror_registry_requests", "registry", &host) >= 4.0);
    assert!(labelled("oc_mirror_registry_received_bytes", "registry", &host) >= 100_000.0);
    assert!(labelled("oc_mirror_images", "outcome", "all") >= 1.0);
    assert!(first.keys().any(|(name, labels)| name == "oc_mirror_step_items_done" && labels.len() == 1));

    // A run that fails says so, and keeps what is known of the last success.
    lab.configure(&[lab.source.reference("team/other", "v1")]);
    let args = ["--src-tls-verify=false", "-c", "isc.yaml", "file://disk", "--metrics-file", &file_text];
    lab.context.run(&args).expect_code(8);
    let second = read(&file);
    assert_eq!(of(&second, "oc_mirror_run_exit_code"), Some(8.0));
    assert_eq!(of(&second, "oc_mirror_last_success_time_seconds"), Some(success));
    assert_eq!(of(&second, "oc_mirror_sequence"), Some(1.0));

    let args = ["-c", "isc.yaml", "file://disk", "--metrics-file", "nowhere/run.prom"];
    let output = lab.context.run(&args).expect_code(1);
    assert!(output.raw_stderr.starts_with("error: the metrics `nowhere/run.prom` cannot be written\n"));
}

type Metrics = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// Reads a file of metrics as strictly as both OpenMetrics and the format of Prometheus have it: each family is described
/// once, before its samples, which stand together; the end is marked.
fn read(path: &Path) -> Metrics {
    let text = fs::read_to_string(path).expect("it was written");
    let body = text.strip_suffix("# EOF\n").expect("the end is marked");
    assert!(!body.contains("# EOF"));
    let mut metrics = Metrics::new();
    let mut families: Vec<&str> = Vec::new();
    let mut lines = body.lines().peekable();
    while let Some(help) = lines.next() {
        let (name, words) = help.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')).expect(help);
        assert!(!families.contains(&name) && !words.is_empty(), "{name} is described twice");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        families.push(name);
        assert_eq!(lines.next(), Some(format!("# TYPE {name} gauge").as_str()));
        let mut count = 0;
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let (key, value) = line.rsplit_once(' ').expect(line);
            let (found, labels) = match key.split_once('{') {
                Some((found, labels)) => (found, labels.strip_suffix('}').expect(line)),
                None => (key, ""),
            };
            assert_eq!(found, name, "{line}");
            let label = |label: &str| {
                let (name, text) = label.split_once('=').expect(line);
                let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).expect(line);
                (name.to_owned(), text.to_owned())
            };
            let labels = labels.split(',').filter(|label| !label.is_empty()).map(label).collect();
            let is_new = metrics.insert((name.to_owned(), labels), value.parse().expect(line)).is_none();
            assert!(is_new, "{line} is there twice");
            count += 1;
        }
        assert!(count > 0, "{name} has no samples");
    }
    metrics
}
