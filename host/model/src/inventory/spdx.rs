//! An inventory as SPDX 2.3 in JSON: [`document`]. See <https://spdx.github.io/spdx-spec/v2.3/>.

use serde_json::{Value, json};

use super::{Image, Inventory, Relation};
use crate::digest::Algorithm;

/// What the chain is called in the document.
const CHAIN: &str = "SPDXRef-Chain";
/// What the document is called in itself.
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
/// What nobody has looked into.
const UNKNOWN: &str = "NOASSERTION";

/// Makes the document. The chain is a package that contains the images; an image is a package with a package URL.
pub fn document(inventory: &Inventory) -> Value {
    let creator = format!("Tool: {}", inventory.created_by.replace(' ', "-"));
    let newest = inventory.newest();
    let chain = json!({
        "SPDXID": CHAIN,
        "name": "imagesets",
        "versionInfo": newest.map_or_else(String::new, |set| set.sequence.to_string()),
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": false,
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": UNKNOWN,
        "copyrightText": UNKNOWN,
        "comment": imagesets(inventory),
    });
    let packages: Vec<Value> = std::iter::once(chain).chain(inventory.images.iter().map(package)).collect();
    let annotation = |comment: String| {
        json!({
            "annotationDate": inventory.created,
            "annotationType": "REVIEW",
            "annotator": creator,
            "comment": comment,
        })
    };
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": inventory.title(),
        "documentNamespace": format!("urn:uuid:{}", inventory.id()),
        "creationInfo": { "created": inventory.created, "creators": [creator] },
        "packages": packages,
        "relationships": relationships(inventory),
    });
    let annotations: Vec<Value> = inventory.remarks().into_iter().map(annotation).collect();
    if !annotations.is_empty() {
        document["annotations"] = Value::Array(annotations);
    }
    document
}

/// Tells which imagesets these are.
fn imagesets(inventory: &Inventory) -> String {
    let of = |set: &super::Imageset| format!("sequence {}: imageset.json {}", set.sequence, set.index);
    let sets: Vec<String> = inventory.imagesets.iter().map(of).collect();
    format!("chain {}; {}", inventory.uid, sets.join("; "))
}

fn package(image: &Image) -> Value {
    let algorithm = match image.digest.algorithm() {
        Algorithm::Sha256 => "SHA256",
        Algorithm::Sha512 => "SHA512",
    };
    let old = if image.current { "" } else { "; no longer wanted" };
    json!({
        "SPDXID": reference(image),
        "name": image.name,
        "versionInfo": image.digest.to_string(),
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": false,
        "primaryPackagePurpose": "CONTAINER",
        "checksums": [{ "algorithm": algorithm, "checksumValue": image.digest.hex() }],
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": UNKNOWN,
        "copyrightText": UNKNOWN,
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": image.purl,
        }],
        "comment": format!(
            "{}; {} bytes; {}:{} at the target; sequence {}{old}",
            image.kind, image.bytes, image.destination.repository, image.destination.tag, image.sequence
        ),
    })
}

fn reference(image: &Image) -> String {
    format!("SPDXRef-{}", image.id)
}

fn relationships(inventory: &Inventory) -> Vec<Value> {
    let relate = |from: &str, relation: &str, to: &str| json!({ "spdxElementId": from, "relationshipType": relation, "relatedSpdxElement": to });
    let describes = relate(DOCUMENT, "DESCRIBES", CHAIN);
    let roots = inventory.roots().map(|image| relate(CHAIN, "CONTAINS", &reference(image)));
    let among = inventory.relationships.iter().map(|related| {
        let relation = match related.relation {
            Relation::Contains => "CONTAINS",
            Relation::DependsOn => "DEPENDS_ON",
            Relation::IsAbout => "METAFILE_OF",
        };
        relate(&format!("SPDXRef-{}", related.from), relation, &format!("SPDXRef-{}", related.to))
    });
    std::iter::once(describes).chain(roots).chain(among).collect()
}
