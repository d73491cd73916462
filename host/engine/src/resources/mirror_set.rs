//! ImageDigestMirrorSet and ImageTagMirrorSet: which names of images lead to the target.

use std::collections::{BTreeMap, BTreeSet};

use oc_mirror_model::metadata::ImageRecord;
use oc_mirror_model::reference::{Reference, Source};
use oc_mirror_model::request::kind;
use serde_json::{Value, json};

use super::{CREATED_BY, Documents, Facts, Mirrored, is_companion, yaml};

pub(super) const IDMS_FILE: &str = "idms-oc-mirror.yaml";
pub(super) const ITMS_FILE: &str = "itms-oc-mirror.yaml";

/// Each document stays below this many bytes: `oc apply` keeps a copy in an annotation of at most 256 KiB, as JSON.
pub(super) const LARGEST: usize = 250_000;
/// Bytes of a document besides its entries.
const FRAME: usize = 1_000;
/// Bytes of an entry besides names, and of a mirror besides its name, in YAML or JSON.
const FRAME_OF_ENTRY: usize = 64;
const FRAME_OF_MIRROR: usize = 16;

/// One of the two kinds.
struct Set {
    file: &'static str,
    prefix: &'static str,
    kind: &'static str,
    field: &'static str,
    takes: fn(&ImageRecord, &Reference) -> bool,
}

const SETS: [Set; 2] = [
    Set {
        file: IDMS_FILE,
        prefix: "idms",
        kind: "ImageDigestMirrorSet",
        field: "imageDigestMirrors",
        // A cluster pulls payloads by digest, however the release was named.
        takes: |image, origin| origin.digest.is_some() || image.kind == kind::RELEASE,
    },
    Set {
        file: ITMS_FILE,
        prefix: "itms",
        kind: "ImageTagMirrorSet",
        field: "imageTagMirrors",
        takes: |_, origin| origin.tag.is_some() || origin.digest.is_none(),
    },
];

/// Mirrors by source, by category.
type Entries = BTreeMap<&'static str, BTreeMap<String, BTreeSet<String>>>;

pub(super) fn add(facts: &Facts<'_>, images: &[Mirrored<'_>], documents: &mut Documents) {
    let mut odd = BTreeSet::new();
    for set in &SETS {
        let mut entries = Entries::new();
        for image in images.iter().map(|m| m.image) {
            let Some((category, origin)) = listed(image) else { continue };
            if !(set.takes)(image, &origin) {
                continue;
            }
            let (source, mirror) = scoped(facts, image, &origin);
            if !is_location(&source) {
                odd.insert(source);
            } else if !is_location(&mirror) {
                odd.insert(mirror);
            } else {
                entries.entry(category).or_default().entry(source).or_default().insert(mirror);
            }
        }
        if !entries.is_empty() {
            documents.files.insert(set.file.to_owned(), text(set, &entries));
        }
    }
    documents.warnings.extend(odd.into_iter().map(|name| {
        format!("mirror sets cannot have `{name}`, since clusters refuse such a name; images there are not in them")
    }));
}

/// Returns the category of an image that clusters pull by the name it came from.
fn listed(image: &ImageRecord) -> Option<(&'static str, Reference)> {
    let category = match image.kind.as_str() {
        // Catalogs are named by CatalogSources, the graph by the UpdateService.
        kind::CATALOG | kind::GRAPH => return None,
        _ if is_companion(image) => return None,
        kind::RELEASE | kind::RELEASE_CONTENT => "release",
        kind::BUNDLE | kind::RELATED => "operator",
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
fn is_location(name: &str) -> bool {
    let host = name.split('/').next().unwrap_or_default();
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    let label = |label: &str| {
        let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    host.split('.').all(label)
}

fn text(set: &Set, entries: &Entries) -> String {
    let mut documents = Vec::new();
    for (category, sources) in entries {
        for (number, chunk) in chunks(sources).into_iter().enumerate() {
            let name = format!("{}-{category}-{number}", set.prefix);
            documents.push(yaml::document(&resource(set, &name, &chunk)));
        }
    }
    documents.join("---\n")
}

fn resource(set: &Set, name: &str, entries: &[Value]) -> Value {
    let (key, value) = CREATED_BY;
    json!({
        "apiVersion": "config.openshift.io/v1",
        "kind": set.kind,
        "metadata": { "name": name, "annotations": { key: value } },
        "spec": { set.field: entries },
    })
}

/// Cuts entries into runs that fit into a document.
fn chunks(sources: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<Value>> {
    let mut chunks = vec![Vec::new()];
    let mut size = FRAME;
    for (source, mirrors) in sources {
        let names: usize = mirrors.iter().map(|mirror| mirror.len() + FRAME_OF_MIRROR).sum();
        let more = source.len() + names + FRAME_OF_ENTRY;
        if size + more > LARGEST && chunks.last().is_some_and(|chunk| !chunk.is_empty()) {
            chunks.push(Vec::new());
            size = FRAME;
        }
        size += more;
        if let Some(chunk) = chunks.last_mut() {
            chunk.push(json!({ "source": source, "mirrors": mirrors }));
        }
    }
    chunks
}
