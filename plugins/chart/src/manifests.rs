//! [`Manifest`]: what templates make, split into documents and sorted as Helm installs them.

use oc_mirror_go_template::{Value, yaml};
use regex_lite::Regex;

use crate::error::ChartError;
use crate::render::Rendered;

/// The order in which kinds are installed; all others come behind, by name.
const ORDER: [&str; 36] = [
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
];

/// The hooks that there are.
const HOOKS: [&str; 10] = [
    "pre-install",
    "post-install",
    "pre-delete",
    "post-delete",
    "pre-upgrade",
    "post-upgrade",
    "pre-rollback",
    "post-rollback",
    "test",
    "test-success",
];

/// A document that a template makes.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The template.
    pub path: String,
    /// The text.
    pub text: String,
    /// What is in it.
    pub value: Value,
    /// When it is installed, if it is a hook: `pre-install`, `test`.
    pub hooks: Vec<String>,
}

impl Manifest {
    /// Answers whether nothing but `helm test` installs it.
    pub fn is_test(&self) -> bool {
        !self.hooks.is_empty()
            && self.hooks.iter().all(|hook| matches!(hook.as_str(), "test" | "test-success"))
    }

    fn kind(&self) -> String {
        let kind = self.value.as_map().and_then(|map| map.get("kind"));
        kind.and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default()
    }

    fn rank(&self) -> (usize, String) {
        let kind = self.kind();
        match ORDER.iter().position(|known| *known == kind) {
            Some(place) => (place, String::new()),
            None => (ORDER.len(), kind),
        }
    }
}

/// Splits what templates make into documents, and sorts them.
pub(crate) fn sort(mut files: Vec<(String, String)>) -> Result<Vec<Manifest>, ChartError> {
    files.sort();
    let mut manifests = Vec::new();
    for (path, text) in files {
        for document in split(&text) {
            let wrong = |why: String| ChartError::Manifest(path.clone(), why);
            let value = yaml::read(&document).map_err(wrong)?;
            if !(value.is_nil() || value.as_map().is_some()) {
                return Err(wrong(format!("it is not a dictionary but {}", value.type_name())));
            }
            let hooks = hooks(&value).unwrap_or_default();
            // Helm leaves out what is a hook of a kind that it does not know.
            if hooks.iter().all(|hook| HOOKS.contains(&hook.as_str())) {
                manifests.push(Manifest { path: path.clone(), text: document, value, hooks });
            }
        }
    }
    manifests.sort_by_key(|manifest| (!manifest.hooks.is_empty(), manifest.rank()));
    Ok(manifests)
}

fn hooks(value: &Value) -> Option<Vec<String>> {
    let annotations = value.as_map()?.get("metadata")?.as_map()?.get("annotations")?;
    let hooks = annotations.as_map()?.get("helm.sh/hook")?;
    Some(hooks.as_str()?.split(',').map(|hook| hook.trim().to_lowercase()).collect())
}

/// Splits a text at lines that begin with `---`.
fn split(text: &str) -> Vec<String> {
    let separator = Regex::new(r"(?:^|\s*\n)---\s*").expect("the pattern is good");
    let documents = separator.split(text.trim()).filter(|document| !document.is_empty());
    documents.map(|document| document.trim().to_owned()).collect()
}

/// Writes what `helm template --include-crds` prints.
pub fn template_output(rendered: &Rendered) -> String {
    let mut plain = String::new();
    for (path, text) in &rendered.crds {
        plain.push_str(&format!("---\n# Source: {path}\n{text}\n"));
    }
    let (hooks, others): (Vec<_>, Vec<_>) =
        rendered.manifests.iter().partition(|manifest| !manifest.hooks.is_empty());
    for manifest in others {
        plain.push_str(&format!("---\n# Source: {}\n{}\n", manifest.path, manifest.text));
    }
    let mut out = format!("{}\n", plain.trim());
    for hook in hooks {
        out.push_str(&format!("---\n# Source: {}\n{}\n", hook.path, hook.text));
    }
    out
}
