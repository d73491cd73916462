//! Charts in the manner of well-known ones are rendered as `helm template` renders them, to the byte.
//!
//! `charts/NAME` is rendered with its own values, and with each `values/NAME.CASE.yaml`; what Helm 3.21 prints is in
//! `expected/`. Where `OC_MIRROR_TEST_HELM` names a `helm`, what it prints is compared too, and charts of the fixtures with
//! it.

use std::path::{Path, PathBuf};
use std::process::Command;

use oc_mirror_chart::{Chart, DEFAULT_KUBE_VERSION, File, Options, merge_files, render, template_output};

/// A chart to be rendered with values.
struct Case {
    name: String,
    chart: PathBuf,
    values: Option<PathBuf>,
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("a directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn cases() -> Vec<Case> {
    let values = names(&here("values"));
    let mut cases = Vec::new();
    for chart in names(&here("charts")) {
        let path = here("charts").join(&chart);
        let own = values.iter().filter(|file| file.starts_with(&format!("{chart}.")));
        for file in own {
            let name = file.trim_end_matches(".yaml").to_owned();
            cases.push(Case { name, chart: path.clone(), values: Some(here("values").join(file)) });
        }
        cases.push(Case { name: chart, chart: path, values: None });
    }
    cases
}

fn files_below(dir: &Path, path: &str, files: &mut Vec<File>) {
    for name in names(dir) {
        let (inner, path) = (dir.join(&name), format!("{path}{name}"));
        match inner.is_dir() {
            true => files_below(&inner, &format!("{path}/"), files),
            false => files.push(File::new(path, std::fs::read(&inner).expect("a file"))),
        }
    }
}

fn rendered(case: &Case) -> String {
    let chart = match case.chart.is_dir() {
        true => {
            let mut files = Vec::new();
            files_below(&case.chart, "", &mut files);
            Chart::from_files(files)
        }
        false => Chart::from_archive(&std::fs::read(&case.chart).expect("a file")),
    };
    let text = case.values.as_ref().map(|path| std::fs::read_to_string(path).expect("a file"));
    let values = merge_files(text.iter().map(|text| ("values", text.as_str()))).expect("values");
    let rendered = chart.and_then(|chart| render(&chart, &values, &Options::default()));
    template_output(&rendered.unwrap_or_else(|error| panic!("{}: {error}", case.name)))
}

fn by_helm(helm: &str, case: &Case) -> String {
    let mut command = Command::new(helm);
    command.args(["template", "release-name"]).arg(&case.chart);
    command.args(["--include-crds", "--kube-version", DEFAULT_KUBE_VERSION]);
    if let Some(values) = &case.values {
        command.arg("--values").arg(values);
    }
    let output = command.output().expect("it can be run");
    assert!(output.status.success(), "{}: {}", case.name, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Shows the first line in which two texts differ.
#[track_caller]
fn assert_same(name: &str, ours: &str, theirs: &str) {
    if ours == theirs {
        return;
    }
    let lines = ours.lines().zip(theirs.lines()).enumerate();
    for (number, (ours, theirs)) in lines {
        assert_eq!(ours, theirs, "{name}, line {}", number + 1);
    }
    panic!("{name}: {} lines, and {} are expected", ours.lines().count(), theirs.lines().count());
}

#[test]
fn charts_are_rendered_as_helm_renders_them() {
    let helm = std::env::var("OC_MIRROR_TEST_HELM").ok();
    let cases = cases();
    assert!(cases.len() > 20, "charts are missing");
    for case in cases {
        let ours = rendered(&case);
        if let Some(helm) = &helm {
            assert_same(&format!("{} by helm", case.name), &ours, &by_helm(helm, &case));
        }
        let expected = here("expected").join(format!("{}.yaml", case.name));
        let expected = std::fs::read_to_string(&expected).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        assert_same(&case.name, &ours, &expected);
    }
}

fn archives(dir: &Path, found: &mut Vec<PathBuf>) {
    for name in names(dir) {
        let path = dir.join(&name);
        match path.is_dir() {
            true => archives(&path, found),
            false if name.ends_with(".tgz") => found.push(path),
            false => {}
        }
    }
}

#[test]
fn charts_of_the_predecessors_are_rendered_as_helm_renders_them() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/helm");
    if !fixtures.is_dir() {
        println!("skipped: no ../shared/fixtures");
        return;
    }
    let mut charts = Vec::new();
    archives(&fixtures, &mut charts);
    assert!(charts.len() >= 8, "charts are missing");
    let helm = std::env::var("OC_MIRROR_TEST_HELM").ok();
    for chart in charts {
        let case = Case { name: chart.display().to_string(), chart, values: None };
        let ours = rendered(&case);
        assert!(ours.contains("# Source: "), "{}", case.name);
        if let Some(helm) = &helm {
            assert_same(&case.name, &without_random(&ours), &without_random(&by_helm(helm, &case)));
        }
    }
}

/// Podinfo gives its tests random names.
fn without_random(text: &str) -> String {
    let lines = text.lines().map(|line| match line.find("-test-") {
        Some(at) if line.trim_start().starts_with("name: ") => &line[..at],
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}
