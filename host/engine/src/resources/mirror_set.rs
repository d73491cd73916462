//! ImageDigestMirrorSet and ImageTagMirrorSet, or ImageContentSourcePolicy: which names of images lead to the target.

use std::collections::{BTreeMap, BTreeSet};

use oc_mirror_model::config::ApiVersion;
use oc_mirror_model::metadata::ImageRecord;
use oc_mirror_model::reference::{Reference, Source};
use oc_mirror_model::request::kind;
use serde_json::{Value, json};

use super::{CREATED_BY, Documents, Facts, LARGEST, Mirrored, Resource, is_companion};

pub(super) const IDMS_FILE: &str = "idms-oc-mirror.yaml";
pub(super) const ITMS_FILE: &str = "itms-oc-mirror.yaml";
/// As oc-mirror v1 calls it.
pub(super) const ICSP_FILE: &str = "imageContentSourcePolicy.yaml";

/// Bytes of a document besides its entries.
const FRAME: usize = 1_000;
/// Bytes of an entry besides names, of a mirror besides its name, and of a policy, in YAML or JSON.
const FRAME_OF_ENTRY: usize = 64;
const FRAME_OF_MIRROR: usize = 16;
const FRAME_OF_POLICY: usize = 48;

/// What clusters do about images that the mirror does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourcePolicy {
    /// They do without.
    NeverContactSource,
    /// They pull from where the image came from.
    AllowContactingSource,
}

impl SourcePolicy {
    /// Returns the name in mirror sets.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NeverContactSource => "NeverContactSource",
            Self::AllowContactingSource => "AllowContactingSource",
        }
    }
}

/// One of the three kinds.
struct Set {
    file: &'static str,
    api: &'static str,
    kind: &'static str,
    /// What names begin with, before the category.
    prefix: &'static str,
    field: &'static str,
    /// Whether the API refuses odd names of hosts.
    is_strict: bool,
    takes: fn(&ImageRecord, &Reference) -> bool,
}

const MIRROR_SETS: [Set; 2] = [
    Set {
        file: IDMS_FILE,
        api: "config.openshift.io/v1",
        kind: "ImageDigestMirrorSet",
        prefix: "idms-",
        field: "imageDigestMirrors",
        is_strict: true,
        // A cluster pulls payloads by digest, however the release was named.
        takes: |image, origin| origin.digest.is_some() || image.kind == kind::RELEASE,
    },
    Set {
        file: ITMS_FILE,
        api: "config.openshift.io/v1",
        kind: "ImageTagMirrorSet",
        prefix: "itms-",
        field: "imageTagMirrors",
        is_strict: true,
        takes: |_, origin| origin.tag.is_some() || origin.digest.is_none(),
    },
];

/// The names are those of oc-mirror v1, so that applying them replaces what it made.
const POLICIES: [Set; 1] = [Set {
    file: ICSP_FILE,
    api: "operator.openshift.io/v1alpha1",
    kind: "ImageContentSourcePolicy",
    prefix: "",
    field: "repositoryDigestMirrors",
    is_strict: false,
    // What was asked for by tag has a digest all the same, which users may write.
    takes: |_, _| true,
}];

/// The category of operators.
const OPERATOR: &str = "operator";
/// What oc-mirror v1, and `oc adm catalog mirror`, label policies for operators with.
const CATALOG_LABEL: &str = "operators.openshift.org/catalog";

/// Mirrors by source, by category.
type Entries = BTreeMap<&'static str, BTreeMap<String, BTreeSet<String>>>;

pub(super) fn add(facts: &Facts<'_>, images: &[Mirrored<'_>], documents: &mut Documents) {
    let is_v1 = facts.chain.for_clusters.configuration == Some(ApiVersion::V1Alpha2);
    let icsp = facts.preferences.icsp.unwrap_or(is_v1);
    let sets: &[Set] = if icsp { &POLICIES } else { &MIRROR_SETS };
    let mut odd = BTreeSet::new();
    for set in sets {
        let mut entries = Entries::new();
        for image in images.iter().map(|m| m.image) {
            let Some((category, origin)) = listed(image) else { continue };
            if !(set.takes)(image, &origin) {
                continue;
            }
            let (source, mirror) = scoped(facts, image, &origin);
            if set.is_strict && !is_location(&source) {
                odd.insert(source);
            } else if set.is_strict && !is_location(&mirror) {
                odd.insert(mirror);
            } else {
                entries.entry(category).or_default().entry(source).or_default().insert(mirror);
            }
        }
        let policy = facts.preferences.source_policy.filter(|_| !icsp);
        documents.resources.extend(resources(set, policy, &entries));
    }
    documents.warnings.extend(odd.into_iter().map(|name| {
        format!("mirror sets cannot have `{name}`, since clusters refuse such a name; images there are not in them")
    }));
    if icsp {
        remarks(facts, images, documents);
    }
}

/// Tells what clusters do not do by policies.
fn remarks(facts: &Facts<'_>, images: &[Mirrored<'_>], documents: &mut Documents) {
    if documents.resources.is_empty() {
        return;
    }
    if facts.preferences.icsp.is_none() {
        documents.notes.push(
            "there are ImageContentSourcePolicies for clusters, since the configuration is of v1alpha2; \
             `--icsp=false` makes what clusters from 4.13 on want instead"
                .to_owned(),
        );
    }
    let by_tag = |m: &&Mirrored<'_>| {
        listed(m.image).is_some_and(|(_, origin)| origin.digest.is_none() && m.image.kind != kind::RELEASE)
    };
    let count = images.iter().filter(by_tag).count();
    if count > 0 {
        let subject = if count == 1 { "1 image was".to_owned() } else { format!("{count} images were") };
        documents.notes.push(format!(
            "{subject} asked for by tag, and ImageContentSourcePolicies are for what is pulled by digest"
        ));
    }
    if let Some(policy) = facts.preferences.source_policy {
        documents
            .warnings
            .push(format!("ImageContentSourcePolicies cannot say `{}`, so they do not", policy.as_str()));
    }
}

/// Returns the category of an image that clusters pull by the name it came from.
fn listed(image: &ImageRecord) -> Option<(&'static str, Reference)> {
    let category = match image.kind.as_str() {
        // Catalogs are named by CatalogSources, the graph by the UpdateService.
        kind::CATALOG | kind::GRAPH => return None,
        // By whatever name clusters ask for it, nobody knows it.
        kind::UNNAMED => return None,
        _ if is_companion(image) => return None,
        kind::RELEASE | kind::RELEASE_CONTENT => "release",
        kind::BUNDLE | kind::RELATED => OPERATOR,
        _ => "generic",
    };
    match image.origin.parse() {
        Ok(Source::Registry(origin)) => Some((category, origin)),
        // No cluster pulls from a directory.
        _ => None,
    }
}

/// Returns source and mirror: the namespaces where the path was kept, else the repositories.
fn scoped(facts: &Facts<'_>, image: &ImageRecord, origin: &Reference) -> (String, String) {
    let (from, to) = (origin.repository.as_str(), image.destination.repository.as_str());
    let is_kept = to.strip_suffix(from).is_some_and(|above| above.is_empty() || above.ends_with('/'));
    let (from, to) = if is_kept && !facts.joined_paths { (above(from), above(to)) } else { (from, to) };
    (location(origin.registry.as_str(), from), location(facts.registry.as_str(), to))
}

fn above(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(namespace, _)| namespace)
}

fn location(registry: &str, path: &str) -> String {
    if path.is_empty() { registry.to_owned() } else { format!("{registry}/{path}") }
}

/// Answers whether the API takes a name. Paths of repositories are always fine, but not every host is: one refused entry
/// would take all others with it.
pub(super) fn is_location(name: &str) -> bool {
    let host = name.split('/').next().unwrap_or_default();
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    let label = |label: &str| {
        let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    host.split('.').all(label)
}

fn resources(set: &Set, policy: Option<SourcePolicy>, entries: &Entries) -> Vec<Resource> {
    let mut resources = Vec::new();
    for (category, sources) in entries {
        for (number, chunk) in chunks(sources, policy).into_iter().enumerate() {
            let name = format!("{}{category}-{number}", set.prefix);
            let mut object = object(set, &name, &chunk);
            if set.file == ICSP_FILE && *category == OPERATOR {
                object["metadata"]["labels"] = json!({ CATALOG_LABEL: "true" });
            }
            resources.push(Resource { file: set.file.to_owned(), object });
        }
    }
    resources
}

fn object(set: &Set, name: &str, entries: &[Value]) -> Value {
    let (key, value) = CREATED_BY;
    json!({
        "apiVersion": set.api,
        "kind": set.kind,
        "metadata": { "name": name, "annotations": { key: value } },
        "spec": { set.field: entries },
    })
}

/// Cuts entries into runs that fit into a document.
fn chunks(sources: &BTreeMap<String, BTreeSet<String>>, policy: Option<SourcePolicy>) -> Vec<Vec<Value>> {
    let mut chunks = vec![Vec::new()];
    let mut size = FRAME;
    for (source, mirrors) in sources {
        let names: usize = mirrors.iter().map(|mirror| mirror.len() + FRAME_OF_MIRROR).sum();
        let more = source.len() + names + FRAME_OF_ENTRY + policy.map_or(0, |_| FRAME_OF_POLICY);
        if size + more > LARGEST && chunks.last().is_some_and(|chunk| !chunk.is_empty()) {
            chunks.push(Vec::new());
            size = FRAME;
        }
        size += more;
        if let Some(chunk) = chunks.last_mut() {
            let mut entry = json!({ "source": source, "mirrors": mirrors });
            if let Some(policy) = policy {
                entry["mirrorSourcePolicy"] = json!(policy.as_str());
            }
            chunk.push(entry);
        }
    }
    chunks
}
