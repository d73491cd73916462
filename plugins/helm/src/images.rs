//! [`Found`]: which images the manifests of a chart use, and which strings look like images and were not taken.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use oc_mirror_chart::Rendered;
use oc_mirror_go_template::{Value, yaml};
use oc_mirror_plugin_sdk::reference::{Reference, Source};

use crate::jsonpath::Template;

/// Where manifests have images, whatever the chart. Those of oc-mirror v2, and pods of cron jobs.
const PATHS: [&str; 6] = [
    "{.spec.template.spec.initContainers[*].image}",
    "{.spec.template.spec.containers[*].image}",
    "{.spec.initContainers[*].image}",
    "{.spec.containers[*].image}",
    "{.spec.jobTemplate.spec.template.spec.initContainers[*].image}",
    "{.spec.jobTemplate.spec.template.spec.containers[*].image}",
];

/// The longest string that is looked at.
const LONGEST: usize = 1024;

/// What is found in the manifests of a chart.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// Images, without repetition.
    pub(crate) images: BTreeSet<String>,
    /// Strings that look like images and stand where nobody looked, or that are no reference with a tag or digest.
    pub(crate) passed_over: BTreeSet<String>,
    /// Images of which only the chart's tests have need. The predecessors do not mirror them either.
    pub(crate) of_tests: BTreeSet<String>,
}

/// Looks through everything that a chart makes.
pub(crate) fn find(rendered: &Rendered, own: &[Template]) -> Found {
    static BUILT_IN: OnceLock<Vec<Template>> = OnceLock::new();
    let built_in = BUILT_IN.get_or_init(|| {
        PATHS.iter().map(|path| Template::parse(path).expect("the built-in paths are good")).collect()
    });
    let mut found = Found::default();
    let crds = rendered.crds.iter().flat_map(|(_, text)| yaml::documents(text).unwrap_or_default());
    let (tests, others): (Vec<_>, Vec<_>) =
        rendered.manifests.iter().partition(|manifest| manifest.is_test());
    for document in crds.chain(others.into_iter().map(|manifest| manifest.value.clone())) {
        look_through(&document, built_in, own, &mut found, 8);
    }
    let mut of_tests = Found::default();
    for manifest in tests {
        look_through(&manifest.value, built_in, own, &mut of_tests, 8);
    }
    found.passed_over.retain(|text| !found.images.contains(&normal(text)));
    found.of_tests = of_tests.images.difference(&found.images).cloned().collect();
    found
}

fn look_through(document: &Value, built_in: &[Template], own: &[Template], found: &mut Found, depth: usize) {
    for (place, path) in built_in.iter().chain(own).enumerate() {
        for text in path.find(document) {
            match reference(&text) {
                Some(image) if image.tag.is_some() || image.digest.is_some() => {
                    found.images.insert(Source::Registry(image).to_string());
                }
                // A path of the user may lead to anything, such as the values of all variables.
                _ if place < built_in.len() => {
                    found.passed_over.insert(text);
                }
                _ => {}
            }
        }
    }
    suspects(document, "", found, 100);
    // The items of a list are manifests themselves.
    let is_list = |map: &oc_mirror_go_template::Map| {
        map.get("kind").is_some_and(|kind| kind.as_str().is_some_and(|kind| kind.ends_with("List")))
    };
    if let Some(map) = document.as_map().filter(|map| depth > 0 && is_list(map)) {
        let items = map.get("items").unwrap_or_default();
        for item in items.as_list().unwrap_or_default() {
            look_through(item, built_in, own, found, depth - 1);
        }
    }
}

fn reference(text: &str) -> Option<Reference> {
    if text.len() > LONGEST || text.starts_with("oci:") {
        return None;
    }
    match text.parse::<Source>() {
        Ok(Source::Registry(reference)) => Some(reference),
        _ => None,
    }
}

fn normal(text: &str) -> String {
    reference(text).map_or_else(|| text.to_owned(), |reference| Source::Registry(reference).to_string())
}

/// Notes strings that look like images, wherever they stand.
fn suspects(value: &Value, key: &str, found: &mut Found, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else { return };
    match value {
        Value::Text(text) if text.len() <= LONGEST => {
            // `--image=registry/name:tag`
            let text = text.rsplit_once('=').map_or(&**text, |(_, value)| value);
            if looks_like_an_image(key, text) {
                found.passed_over.insert(text.to_owned());
            }
        }
        Value::List(list) => list.items().iter().for_each(|item| suspects(item, key, found, depth)),
        Value::Map(map) => {
            for (key, item) in map.entries() {
                suspects(&item, &key, found, depth);
            }
        }
        _ => {}
    }
}

fn looks_like_an_image(key: &str, text: &str) -> bool {
    if text.contains("://") || !text.contains('/') {
        return false;
    }
    let Some(reference) = reference(text) else { return false };
    let names_version = reference.tag.is_some() || reference.digest.is_some();
    let first = text.split('/').next().unwrap_or_default();
    // A host of a registry has a dot or a port, and what is below is no version of an API or path of a file.
    let has_host = first.contains('.') || first.contains(':') || first == "localhost";
    let key = key.to_lowercase();
    let is_image = key.ends_with("image") || key.ends_with("images");
    (names_version && has_host) || (is_image && (names_version || has_host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_mirror_chart::{Chart, File, Options, render};
    use oc_mirror_go_template::Map;
    use std::path::{Path, PathBuf};

    fn found(manifest: &str, own: &[&str]) -> Found {
        let files = vec![
            File::new("Chart.yaml", b"name: a\nversion: 1.0.0\n".to_vec()),
            File::new("templates/a.yaml", manifest.as_bytes().to_vec()),
        ];
        let chart = Chart::from_files(files).expect("a chart");
        let rendered = render(&chart, &Map::new(), &Options::default()).expect("rendered");
        let own: Vec<_> = own.iter().map(|path| Template::parse(path).expect("a path")).collect();
        find(&rendered, &own)
    }

    fn texts(set: &BTreeSet<String>) -> Vec<&str> {
        set.iter().map(String::as_str).collect()
    }

    #[test]
    fn pods_jobs_and_lists() {
        let manifest = "
kind: Deployment
spec: {template: {spec: {containers: [{image: 'quay.io/a/b:1'}], initContainers: [{image: nginx:1}]}}}
---
kind: Pod
spec: {containers: [{image: 'quay.io/a/c@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'}]}
---
kind: CronJob
spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: 'quay.io/a/d:1'}]}}}}}
---
kind: List
items:
- kind: Job
  spec: {template: {spec: {containers: [{image: 'quay.io/a/e:1'}]}}}
";
        let found = found(manifest, &[]);
        assert_eq!(
            texts(&found.images),
            [
                "docker.io/library/nginx:1",
                "quay.io/a/b:1",
                "quay.io/a/c@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "quay.io/a/d:1",
                "quay.io/a/e:1",
            ]
        );
        assert_eq!(texts(&found.passed_over), [""; 0]);
    }

    #[test]
    fn what_looks_like_an_image_is_told() {
        let manifest = "
kind: Deployment
spec:
  template:
    spec:
      containers:
      - image: untagged
        args: ['--sidecar=quay.io/a/sidecar:2', --url=https://quay.io/a/x:1, --path=/a/b]
        env:
        - {name: RELATED, value: quay.io/a/related:3}
        - {name: TAKEN, value: quay.io/a/taken:4}
---
apiVersion: monitoring.coreos.com/v1
kind: Alertmanager
spec: {image: quay.io/a/alert, sha: rbac.authorization.k8s.io/v1}
";
        let found = found(manifest, &["{.spec.template.spec.containers[*].env[?(@.name==\"TAKEN\")].value}"]);
        assert_eq!(texts(&found.images), ["quay.io/a/taken:4"]);
        assert_eq!(
            texts(&found.passed_over),
            ["quay.io/a/alert", "quay.io/a/related:3", "quay.io/a/sidecar:2", "untagged"]
        );
    }

    /// What oc-mirror v2 mirrors for its test charts, by the tests in its repository.
    #[test]
    fn images_of_the_predecessors_charts() {
        let fixtures =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/helm/openshift__oc-mirror");
        if !fixtures.is_dir() {
            println!("skipped: no ../shared/fixtures");
            return;
        }
        let charts = fixtures.join("tests/unit/testdata/helm-data/charts");
        let images = |path: PathBuf, own: &[&str]| {
            let chart = Chart::from_archive(&std::fs::read(&path).expect("a file")).expect("a chart");
            let rendered = render(&chart, &Map::new(), &Options::default()).expect("rendered");
            let own: Vec<_> = own.iter().map(|path| Template::parse(path).expect("a path")).collect();
            find(&rendered, &own)
        };
        let podinfo = images(charts.join("podinfo-5.0.0.tgz"), &[]);
        assert_eq!(texts(&podinfo.images), ["ghcr.io/stefanprodan/podinfo:5.0.0"]);
        assert_eq!(
            texts(&podinfo.of_tests),
            ["docker.io/curlimages/curl:7.69.0", "docker.io/stefanprodan/grpc_health_probe:v0.3.0"]
        );
        let podinfo = images(fixtures.join("v1/pkg/cli/mirror/testdata/artifacts/podinfo-6.0.0.tgz"), &[]);
        assert_eq!(texts(&podinfo.images), ["ghcr.io/stefanprodan/podinfo:6.0.0"]);
        let operators = [
            ("1.0.0", "de1881753e82c51b31e958fcf383cb35b0f70f6ec99d402d42243e595d00c6dd"),
            ("1.0.1", "cc5aab01ddd3744510c480eb4f58b834936a833d36bec5c9c13fb40bbb06c663"),
            ("1.0.2", "69a95c6216ead931e01e4144ae8f4fb7ab35d1f68a14c18f6860a085ccb950f5"),
            ("1.1.0", "f79f6999a15534dbe56e658caf94fc4b7afb5ceeb7b49f32a60ead06fbd7c3fc"),
        ];
        for (version, digest) in operators {
            let found = images(charts.join(format!("service-binding-operator-{version}.tgz")), &[]);
            let image = format!("quay.io/redhat-developer/servicebinding-operator@sha256:{digest}");
            assert_eq!(texts(&found.images), [image.as_str()], "{version}");
        }
        let path = charts.join("test-mirror-helm-0.3.0.tgz");
        let found = images(path.clone(), &[]);
        assert_eq!(texts(&found.images), ["quay.io/nginx/nginx-ingress:latest"]);
        assert_eq!(texts(&found.passed_over), ["quay.io/prometheus/prometheus:latest"]);
        let found = images(path, &["{.spec.template.spec.containers[*].env[*].value}"]);
        assert_eq!(
            texts(&found.images),
            ["quay.io/nginx/nginx-ingress:latest", "quay.io/prometheus/prometheus:latest"]
        );
        assert_eq!(texts(&found.passed_over), [""; 0]);
        let workloads = fixtures.join("tests/e2e/test/e2e/testdata/workloads");
        for chart in ["case83849/test-mirror-helm-0.3.0.tgz", "case83864/test-mirror-helm-err.tgz"] {
            assert!(!images(workloads.join(chart), &[]).images.is_empty(), "{chart}");
        }
    }
}
