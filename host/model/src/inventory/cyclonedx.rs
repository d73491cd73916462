//! An inventory as CycloneDX 1.6 in JSON: [`document`]. See <https://cyclonedx.org/docs/1.6/json/>.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Image, Inventory, Relation};
use crate::digest::Algorithm;

/// What the chain is called in the document.
const CHAIN: &str = "chain";

/// Makes the document. An image is a component of the type `container`; what it contains or needs it depends on, as this format
/// has no other word for it, and so does an image on what is about it.
pub fn document(inventory: &Inventory) -> Value {
    let (tool, version) = inventory.created_by.split_once(' ').unwrap_or((&inventory.created_by, ""));
    let sequence = inventory.newest().map_or(0, |set| set.sequence);
    let mut properties = vec![property("oc-mirror:chain", &inventory.uid)];
    for set in &inventory.imagesets {
        properties.push(property(&format!("oc-mirror:imageset:{}", set.sequence), &set.index));
    }
    properties.extend(inventory.remarks().iter().map(|remark| property("oc-mirror:remark", remark)));
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", inventory.id()),
        "version": 1,
        "metadata": {
            "timestamp": inventory.created,
            "tools": { "components": [{ "type": "application", "name": tool, "version": version }] },
            "component": {
                "type": "data",
                "bom-ref": CHAIN,
                "name": "imagesets",
                "version": sequence.to_string(),
            },
            "properties": properties,
        },
        "components": inventory.images.iter().map(component).collect::<Vec<_>>(),
        "dependencies": dependencies(inventory),
    })
}

fn property(name: &str, value: &impl ToString) -> Value {
    json!({ "name": name, "value": value.to_string() })
}

fn component(image: &Image) -> Value {
    let algorithm = match image.digest.algorithm() {
        Algorithm::Sha256 => "SHA-256",
        Algorithm::Sha512 => "SHA-512",
    };
    let target = format!("{}:{}", image.destination.repository, image.destination.tag);
    let mut properties = vec![
        property("oc-mirror:kind", &image.kind),
        property("oc-mirror:bytes", &image.bytes),
        property("oc-mirror:destination", &target),
        property("oc-mirror:sequence", &image.sequence),
        property("oc-mirror:current", &image.current),
    ];
    properties.extend(image.release.iter().map(|release| property("oc-mirror:release", release)));
    let mut operators: Vec<String> =
        image.offers.iter().map(|offer| format!("{} {}", offer.package, offer.bundle)).collect();
    operators.sort();
    operators.dedup();
    properties.extend(operators.iter().map(|operator| property("oc-mirror:operator", operator)));
    json!({
        "type": "container",
        "bom-ref": image.id,
        "name": image.name,
        "version": image.digest.to_string(),
        "mime-type": image.media_type,
        "purl": image.purl,
        "hashes": [{ "alg": algorithm, "content": image.digest.hex() }],
        "properties": properties,
    })
}

fn dependencies(inventory: &Inventory) -> Vec<Value> {
    let mut needs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for related in &inventory.relationships {
        let (from, to) = match related.relation {
            Relation::Contains | Relation::DependsOn => (&related.from, &related.to),
            Relation::IsAbout => (&related.to, &related.from),
        };
        needs.entry(from).or_default().push(to);
    }
    needs.insert(CHAIN, inventory.roots().map(|image| image.id.as_str()).collect());
    let entry = |(of, mut on): (&str, Vec<&str>)| {
        on.sort_unstable();
        on.dedup();
        json!({ "ref": of, "dependsOn": on })
    };
    needs.into_iter().filter(|(_, on)| !on.is_empty()).map(entry).collect()
}
