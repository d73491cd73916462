//! What the section `helm` of a configuration means: places, names and paths that can be told to be wrong without a network.

use super::types::{Helm, HelmRepository};
use super::validate::Validator;
use crate::reference::Reference;

/// Checks the section.
pub(super) fn helm(validator: &mut Validator<'_>, helm: &Helm, path: &str) {
    for (index, repository) in helm.repositories.iter().enumerate() {
        let path = format!("{path}.repositories[{index}]");
        url(validator, repository, &path);
        for (index, chart) in repository.charts.iter().enumerate() {
            let path = format!("{path}.charts[{index}]");
            if chart.name.is_empty() || chart.name.contains(['/', '\\']) {
                validator.error(
                    &format!("{path}.name"),
                    format!("`{}` is not the name of a chart", chart.name),
                    "write the name that it has in the repository; a directory belongs to `url`",
                );
            }
            image_paths(validator, &chart.image_paths, &path);
            kube_version(validator, chart.kube_version.as_deref(), &path);
        }
    }
    for (index, chart) in helm.local.iter().enumerate() {
        let path = format!("{path}.local[{index}]");
        if chart.path.is_empty() {
            validator.error(
                &format!("{path}.path"),
                "the path of a chart is empty",
                "name the directory or the `.tgz`",
            );
        }
        image_paths(validator, &chart.image_paths, &path);
        kube_version(validator, chart.kube_version.as_deref(), &path);
    }
}

fn url(validator: &mut Validator<'_>, repository: &HelmRepository, path: &str) {
    const FORMS: &str = "write `https://HOST/PATH`, below which `index.yaml` is, or `oci://HOST/PATH`";
    let path = format!("{path}.url");
    let text = &repository.url;
    if let Some(rest) = text.strip_prefix("oci://") {
        let rest = rest.trim_end_matches('/');
        // A registry alone is one that charts are right below.
        let probe = if rest.contains('/') { rest.to_owned() } else { format!("{rest}/x") };
        if let Err(reason) = probe.parse::<Reference>() {
            validator.error(&path, format!("`{text}` is not a place of charts: {reason}"), FORMS);
        }
        return;
    }
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let host = rest.split('/').next().unwrap_or_default();
    let is_host = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    if host.contains('@') {
        // Not shown: it is a secret.
        validator.error(&path, "the URL of a repository carries a credential", "leave it out");
    } else if host.is_empty() || !host.chars().all(is_host) || rest.contains(char::is_whitespace) {
        validator.error(&path, format!("`{text}` is not a place of charts"), FORMS);
    } else if rest.contains(['?', '#']) {
        validator.error(&path, format!("`{text}` has more than host and path"), FORMS);
    }
}

/// The whole grammar is the plugin's; what is most often wrong is told here, with its line.
fn image_paths(validator: &mut Validator<'_>, paths: &[String], path: &str) {
    for (index, text) in paths.iter().enumerate() {
        let count = |c: char| text.matches(c).count();
        let fits = count('{') == count('}') && count('[') == count(']') && !text.trim().is_empty();
        if !fits {
            validator.error(
                &format!("{path}.imagePaths[{index}]"),
                format!("`{text}` is not a JSONPath"),
                "write it as for `kubectl -o jsonpath`: `{.spec.template.spec.containers[*].image}`",
            );
        }
    }
}

fn kube_version(validator: &mut Validator<'_>, version: Option<&str>, path: &str) {
    let Some(version) = version else { return };
    let core = version.strip_prefix('v').unwrap_or(version).split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !(2..=3).contains(&numbers.len()) || !numbers.iter().all(is_number) {
        validator.error(
            &format!("{path}.kubeVersion"),
            format!("`{version}` is not a version of Kubernetes"),
            "write it as `oc version` does: `1.33.4`",
        );
    }
}
