//! ConfigMaps with the signatures of releases, for clusters that cannot ask those who publish them.

use oc_mirror_model::metadata::Chain;
use oc_mirror_model::request::kind;
use serde_json::{Map, Value, json};

use super::{CREATED_BY, Documents, LARGEST, Mirrored, Resource, of_kind};

pub(super) const FILE: &str = "signature-configmap.yaml";
pub(super) const JSON_FILE: &str = "signature-configmap.json";

const NAME: &str = "mirrored-release-signatures";
const NAMESPACE: &str = "openshift-config-managed";
/// How a cluster finds them, whatever they are called.
const LABEL: &str = "release.openshift.io/verification-signatures";
/// Bytes of a document besides its entries, and of an entry besides its key and text.
const FRAME: usize = 1_000;
const FRAME_OF_ENTRY: usize = 16;

/// Adds the signatures of every release that is at the target.
pub(super) fn add(chain: &Chain, images: &[Mirrored<'_>], documents: &mut Documents) {
    let mut entries = std::collections::BTreeMap::new();
    for release in of_kind(images, kind::RELEASE) {
        let digest = &release.image.digest;
        for (number, text) in chain.for_clusters.signatures.get(digest).into_iter().flatten() {
            let key = format!("{}-{number}", digest.to_string().replacen(':', "-", 1));
            if key.len() + text.len() + FRAME + FRAME_OF_ENTRY > LARGEST {
                documents.warnings.push(format!(
                    "signature {number} of the release {digest} is too large for a ConfigMap and not in it"
                ));
            } else {
                entries.insert(key, json!(text));
            }
        }
    }
    for (number, data) in chunks(entries).into_iter().enumerate() {
        // The one that nearly always is enough has the name that it has always had.
        let name = if number == 0 { NAME.to_owned() } else { format!("{NAME}-{number}") };
        let (key, value) = CREATED_BY;
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "labels": { LABEL: "" },
                "annotations": { key: value },
            },
            "binaryData": data,
        });
        documents.resources.push(Resource { file: FILE.to_owned(), object });
    }
}

/// Writes the ConfigMaps as JSON too, several as a list.
pub(super) fn add_json(documents: &mut Documents) {
    let mut objects: Vec<&Value> =
        documents.resources.iter().filter(|r| r.file == FILE).map(|r| &r.object).collect();
    let whole = match objects.len() {
        0 => return,
        1 => objects.remove(0).clone(),
        _ => json!({ "apiVersion": "v1", "kind": "List", "items": objects }),
    };
    let text = serde_json::to_string_pretty(&super::yaml::sorted(&whole))
        .expect("maps with text for keys serialise");
    documents.files.insert(JSON_FILE.to_owned(), text + "\n");
}

/// Cuts entries into runs that fit into a document.
fn chunks(entries: impl IntoIterator<Item = (String, Value)>) -> Vec<Map<String, Value>> {
    let mut chunks = Vec::new();
    let mut size = LARGEST;
    for (key, text) in entries {
        let more = key.len() + text.as_str().map_or(0, str::len) + FRAME_OF_ENTRY;
        if size + more > LARGEST {
            chunks.push(Map::new());
            size = FRAME;
        }
        size += more;
        if let Some(chunk) = chunks.last_mut() {
            chunk.insert(key, text);
        }
    }
    chunks
}
