//! What is remarkable about configurations, and how those of `v1alpha2` become `v2alpha1`.

use std::fs;
use std::path::{Path, PathBuf};

use oc_mirror_model::config::{
    self, ApiVersion, Configuration, Dependencies, Finding, ImageSetConfiguration, LintSettings, Severity,
};
use rstest::rstest;

const V2: &str = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\narchiveSize: 4\n";
const V1: &str = "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v1alpha2\narchiveSize: 4\n";
const SETTINGS: LintSettings<'_> =
    LintSettings { builtins: &["block", "limits", "require-signature"], today: Some("2026-11-26") };

fn shown(findings: &[Finding]) -> String {
    let lines = findings.iter().map(|finding| {
        let hint = finding.problem.hint.as_deref().unwrap_or("none");
        format!("{}[{}] {}\n    hint: {hint}\n", finding.severity.as_str(), finding.code, finding.problem)
    });
    lines.collect()
}

/// Returns `severity code line:column` of each finding.
fn found(text: &str) -> Vec<String> {
    let findings = config::lint(text, SETTINGS);
    let short =
        |f: &Finding| format!("{} {} {}:{}", f.severity.as_str(), f.code, f.problem.line, f.problem.column);
    findings.iter().map(short).collect()
}

#[test]
fn all_that_can_be_found() {
    let text = format!(
        "{}{}",
        V2.replace("archiveSize: 4\n", ""),
        r"mirror:
  platform:
    channels:
    - {name: stable-4.18, minVersion: 4.18.1, maxVersion: 4.18.9}
    - {name: fast-4.18, minVersion: 4.18.5, maxVersion: 4.18.12}
    - {name: eus-4.20, full: true}
    graph: true
    graphImage: quay.io/own/graph
  operators:
  - catalog: quay.io/own/index:latest
    full: true
  - catalog: quay.io/own/index:v1
    packages: []
  - catalog: quay.io/own/other:v1
    full: true
    packages:
    - name: a
      minVersion: 1.0.0
    - name: b
      channels: []
    - name: c
      channels:
      - {name: stable, minVersion: 1.0.0, maxVersion: 1.5.0}
      - {name: fast, minVersion: 1.2.0, maxVersion: 1.9.0}
  - catalog: quay.io/own/other:v1
    targetCatalog: own/third
    packages:
    - name: b
  additionalImages:
  - name: quay.io/own/app:latest
  - name: quay.io/own/app:v1
  - name: quay.io/own/app:v1
  - name: docker.io/own/app:v1
  helm:
    repositories:
    - name: all
      url: https://charts.example
    - name: some
      url: https://other.example/
      charts: [{name: x, version: 1.0.0}, {name: y}]
    - name: again
      url: https://other.example
      charts: [{name: x, version: 1.0.0}]
  blockedImages:
  - .*
  - glob: quay.io/bad/*
  - glob: quay.io/bad/*
  samples: [{name: ruby}]
  plugins: []
  policies:
  - {name: a, source: builtin:limit}
  - {name: b, source: docker://quay.io/own/policy:v1}
  - {name: c, source: docker://quay.io/own/policy:v1, trust: {keys: [own.pub]}}
"
    );
    insta::assert_snapshot!(shown(&config::lint(&text, SETTINGS)));
}

#[rstest]
#[case::nothing("mirror: {}\n", &["warning empty 4:9"])]
#[case::only_refusals("mirror: {blockedImages: [bad]}\n", &["warning empty 4:9"])]
#[case::only_architectures(
    "mirror:\n  platform:\n    architectures: [arm64]\n",
    &["warning empty 5:3", "note empty 6:5"]
)]
#[case::pinned(
    "mirror:\n  additionalImages:\n  - name: quay.io/a/b:v1\n  - name: quay.io/a/c@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n  - name: oci:///srv/layout\n",
    &[]
)]
#[case::ranges_that_meet(
    "mirror:\n  platform:\n    channels:\n    - {name: a, minVersion: 4.20.1, maxVersion: 4.20.5}\n    - {name: b, minVersion: 4.20.5, maxVersion: 4.20.9}\n",
    &[]
)]
#[case::other_distribution(
    "mirror:\n  platform:\n    channels:\n    - {name: a, minVersion: 4.20.1, maxVersion: 4.20.5}\n    - {name: b, type: okd, minVersion: 4.20.1, maxVersion: 4.20.9}\n",
    &[]
)]
#[case::end_of_life(
    "mirror:\n  platform:\n    channels:\n    - {name: eus-4.16}\n    - {name: stable-4.18, maxVersion: 4.17.9}\n    - {name: stable-4.17, type: okd}\n",
    &["warning end-of-life 7:7", "warning end-of-life 8:7"]
)]
#[case::on_the_way(
    "mirror:\n  platform:\n    channels:\n    - {name: eus-4.16}\n    - {name: stable-4.20}\n",
    &["note end-of-life 7:7"]
)]
#[case::forgiven("mirror:\n  additionalimages: [{name: quay.io/a/b:v1}]\n", &["warning suspicious 5:3"])]
#[case::unusable("mirror:\n  additionalImages: [{name: quay.io/a/b:latest}]\n  operator: []\n", &["error invalid 6:3"])]
fn single_things(#[case] body: &str, #[case] expected: &[&str]) {
    assert_eq!(found(&format!("{V2}{body}")), expected);
}

#[test]
fn both_forms_of_old_configurations_are_told() {
    let text = format!(
        "{V1}mirror:\n  additionalImages:\n  - name: quay.io/a/b\n  operators:\n  - catalog: quay.io/a/index:v1\n    full: true\n    \
         packages:\n    - name: x\n      minBundle: x.v1.0.0\n    - name: y\n      minVersion: 1.0.0\n"
    );
    // What was said of the tag is not said twice, and these rules know what to do with the range.
    assert_eq!(found(&text), ["note v1alpha2 2:13", "warning suspicious 6:11", "note min-bundle 12:18"]);
    let text = "kind: DeleteImageSetConfiguration\napiVersion: mirror.openshift.io/v1alpha2\ndelete: {operators: []}\n";
    assert_eq!(found(text), ["note v1alpha2 2:13", "warning empty 3:9", "note empty 3:21"]);
}

fn migrated(text: &str) -> config::Migrated {
    config::migrate(text).unwrap_or_else(|error| panic!("{error}")).expect("v1alpha2")
}

fn mirror(text: &str) -> ImageSetConfiguration {
    match config::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}")).configuration {
        Configuration::Mirror(configuration) => configuration,
        Configuration::Delete(_) => panic!("a configuration of what to mirror"),
    }
}

#[test]
fn old_words_become_new_ones_in_the_text() {
    let text = format!(
        "# ours\n{V1}{}",
        r"storageConfig:
  local: {path: /srv}    # the workspace
mirror:
  additionalImages:
    - name: quay.io/a/b  # a
    - name: quay.io/a/c:v1
  operators:
    - catalog: quay.io/a/index:v1 # the catalog
      targetName: renamed
      originalRef: quay.io/b/index:v1
      packages:
        - name: x
          minBundle: x.v1.0.0
          channels:
            - name: stable
        - name: y
          minVersion: 1.0.0
          channels: [{name: fast}]
        - name: z
          minVersion: 1.0.0
          maxVersion: 2.0.0
          channels: [{name: fast}]
    - catalog: quay.io/a/other:v1
      full: true
      skipDependencies: true
      targetCatalog: mine/other:v9
      packages:
        - name: x
        - name: y
          minVersion: 1.0.0
"
    );
    let new = migrated(&text);
    assert!(new.kept);
    let differences = new
        .differences
        .iter()
        .map(|problem| format!("{problem}\n    hint: {}\n", problem.hint.as_deref().unwrap_or("none")));
    insta::assert_snapshot!(format!("{}-----\n{}", new.text, differences.collect::<String>()));
    assert_eq!(config::migrate(&new.text), Ok(None), "it is v2alpha1 now");
}

#[test]
fn what_cannot_be_changed_in_place_is_written_anew() {
    let text = format!(
        "{V1}storageConfig:\n  s3: {{bucket: own, prefix: a, region: x, pathStyle: false}}\n# why\nmirror:\n  operators:\n  \
         - {{catalog: quay.io/a/index:v1, targetName: renamed}}\n"
    );
    let new = migrated(&text);
    assert!(!new.kept);
    let (old, new) = (mirror(&text), mirror(&new.text));
    assert!(old.storage.is_some());
    assert_eq!((new.storage, new.archive_size), (old.storage, old.archive_size));
    assert_eq!(new.mirror.operators[0].target_catalog, old.mirror.operators[0].target_catalog);
}

#[test]
fn what_v2alpha1_refuses_is_refused_at_its_place() {
    let text = format!(
        "{V1}mirror:\n  operators:\n  - catalog: quay.io/a/index:v1\n    packages:\n    - name: x\n    - name: x\n"
    );
    let error = config::migrate(&text).expect_err("refused").to_string();
    assert_eq!(error, "9:13: mirror.operators[0].packages[1].name: `x` is listed twice, first in line 8");
}

#[test]
fn configurations_of_what_to_delete_become_new_ones() {
    let text = "# why\nkind: DeleteImageSetConfiguration\napiVersion: mirror.openshift.io/v1alpha2\ndelete:\n  \
                additionalImages:\n  - name: quay.io/a/b:v1\n";
    let new = migrated(text);
    assert_eq!((new.kept, new.text), (true, text.replace("v1alpha2", "v2alpha1")));
}

#[expect(clippy::print_stderr, reason = "a test that did not run says so")]
fn fixtures() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/imageset-configs");
    if !root.is_dir() {
        eprintln!("skipped: no ../shared/fixtures");
        return Vec::new();
    }
    let mut folders = vec![root];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    let read = |path: PathBuf| Some((path.display().to_string(), fs::read_to_string(&path).ok()?));
    files.into_iter().filter_map(read).collect()
}

#[test]
fn real_configurations_are_looked_at() {
    for (name, text) in fixtures() {
        let findings = config::lint(&text, SETTINGS);
        let has_errors = findings.iter().any(|f| f.code == "invalid");
        assert_eq!(has_errors, config::parse(&text).is_err(), "{name}");
        for finding in &findings {
            let lines = u32::try_from(text.lines().count().max(1)).expect("few");
            assert!((1..=lines + 1).contains(&finding.problem.line), "{name}: {finding:?}");
            assert!(
                finding.problem.hint.is_some() || finding.severity == Severity::Error,
                "{name}: {finding:?}"
            );
        }
    }
}

#[test]
fn real_configurations_of_v1_select_the_same_as_v2() {
    let (mut count, mut kept) = (0, 0);
    for (name, text) in fixtures() {
        let Ok(parsed) = config::parse(&text) else { continue };
        let Configuration::Mirror(mut old) = parsed.configuration else { continue };
        if old.api != ApiVersion::V1Alpha2 {
            continue;
        }
        let made = match config::migrate(&text) {
            Ok(made) => made.unwrap_or_else(|| panic!("{name} is v1alpha2")),
            // Listed twice, and bounds that are no versions: told by both, and a run by the old rules fails on them.
            Err(error) => {
                let known = |p: &config::Problem| {
                    p.message.contains("is listed twice") || p.message.contains("is not a version")
                };
                assert!(error.problems.iter().all(known), "{name}: {error}");
                continue;
            }
        };
        let new = mirror(&made.text);
        let differs = |path: String| made.differences.iter().any(|problem| problem.path == path);
        for (index, (old, new)) in old.mirror.operators.iter_mut().zip(&new.mirror.operators).enumerate() {
            let path = format!("mirror.operators[{index}]");
            // The rules of v1 mirror what packages need, unless they are told not to.
            let untouched = old.full && old.packages.is_empty();
            if !old.skip_dependencies && !untouched {
                assert_eq!(new.dependencies, Dependencies::Resolve, "{name}");
                old.dependencies = Dependencies::Resolve;
            }
            if old.full && !new.full {
                assert!(differs(format!("{path}.full")), "{name}");
                old.full = false;
            }
            for (index, package) in old.packages.iter_mut().enumerate() {
                let path = format!("{path}.packages[{index}]");
                assert!(
                    package.min_bundle.take().is_none() || differs(format!("{path}.minBundle")),
                    "{name}"
                );
                for (index, channel) in package.channels.iter_mut().enumerate() {
                    let path = format!("{path}.channels[{index}].minBundle");
                    assert!(channel.min_bundle.take().is_none() || differs(path), "{name}");
                }
            }
        }
        assert_eq!(new.api, ApiVersion::V2Alpha1, "{name}");
        old.api = ApiVersion::V2Alpha1;
        assert_eq!(new, old, "{name}\n{}", made.text);
        let comments = |text: &str| text.lines().filter(|line| line.trim_start().starts_with('#')).count();
        if made.kept {
            assert_eq!(comments(&made.text), comments(&text), "{name}");
        }
        (count, kept) = (count + 1, kept + usize::from(made.kept));
    }
    assert!(count == 0 || (count > 20 && kept * 100 > count * 90), "{kept} of {count} with their text");
}
