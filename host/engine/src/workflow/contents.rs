//! What the images of a run are of, in groups that people know: [`contents`].

use std::collections::{HashMap, HashSet};

use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::ImageEntry;
use oc_mirror_model::report::ContentReport;
use oc_mirror_model::request::{ImageRequest, kind, provenance};

/// What a group is told from others by: see [`ContentReport`].
type Key = (String, String, String);

/// Counts images and bytes of each release, operator and other source, in the order in which they come. What is beside an image
/// counts for it.
///
/// Each blob and manifest counts once, where it is needed first, so that the sums are what is there.
pub(super) fn contents(entries: &[ImageEntry], is_new: impl Fn(&Digest) -> bool) -> Vec<ContentReport> {
    let mut groups: Vec<ContentReport> = Vec::new();
    let mut places: HashMap<Key, usize> = HashMap::new();
    let mut seen: HashSet<&Digest> = HashSet::new();
    let subjects: HashMap<&str, &ImageRequest> =
        entries.iter().map(|image| (image.request.origin.as_str(), &image.request)).collect();
    for image in entries {
        let subject = image.request.provenance.get(provenance::SUBJECT_ORIGIN);
        let of = subject.and_then(|origin| subjects.get(origin)).copied().unwrap_or(&image.request);
        let key = key(of);
        let place = *places.entry(key).or_insert_with_key(|(kind, name, catalog)| {
            groups.push(ContentReport {
                kind: kind.clone(),
                name: name.clone(),
                catalog: catalog.clone(),
                ..ContentReport::default()
            });
            groups.len() - 1
        });
        let group = &mut groups[place];
        group.images += u64::from(!image.request.is_companion());
        for content in image.manifests.iter().chain(&image.blobs) {
            if seen.insert(&content.digest) {
                group.total_bytes += content.size;
                group.new_bytes += if is_new(&content.digest) { content.size } else { 0 };
            }
        }
    }
    groups
}

fn key(request: &ImageRequest) -> Key {
    if let Some(version) = request.provenance.get(provenance::RELEASE) {
        let architecture = request.provenance.get(provenance::ARCHITECTURE);
        let name = architecture.map_or_else(|| version.to_owned(), |of| format!("{version} {of}"));
        return (kind::RELEASE.to_owned(), name, String::new());
    }
    if let Some(offer) = request.offers().into_iter().next() {
        return ("operator".to_owned(), offer.package, offer.catalog);
    }
    let name = if request.kind == kind::CATALOG { request.origin.clone() } else { String::new() };
    (request.kind.clone(), name, String::new())
}

#[cfg(test)]
mod tests {
    use oc_mirror_model::manifest::Descriptor;
    use serde_json::json;

    use super::*;

    fn image(origin: &str, kind: &str, blobs: &[(&str, usize)], provenance: &[(&str, &str)]) -> ImageEntry {
        let blob =
            |(name, size): &(&str, usize)| Descriptor::of("application/x", name.repeat(*size).as_bytes());
        let provenance: serde_json::Map<String, serde_json::Value> =
            provenance.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        let root = Descriptor::of("application/vnd.oci.image.manifest.v1+json", origin.as_bytes());
        serde_json::from_value(json!({
            "plugin": "p",
            "source": origin,
            "origin": origin,
            "kind": kind,
            "provenance": provenance,
            "destination": { "repository": "a", "tag": "b" },
            "root": root,
            "manifests": [root],
            "blobs": blobs.iter().map(blob).collect::<Vec<_>>(),
        }))
        .expect("an image")
    }

    #[test]
    fn images_are_counted_with_what_they_are_of() {
        let subject = format!("sha256:{}", "0".repeat(64));
        let offer = r#"[["r.io/index:v1","loki","loki.v1","1.0.0",["stable"]]]"#;
        let images = [
            image(
                "q.io/release:1",
                kind::RELEASE,
                &[("a", 10)],
                &[("release", "4.20.1"), ("architecture", "amd64")],
            ),
            image(
                "q.io/part:1",
                kind::RELEASE_CONTENT,
                &[("a", 10), ("b", 5)],
                &[("release", "4.20.1"), ("architecture", "amd64")],
            ),
            image("r.io/loki:1", kind::BUNDLE, &[("b", 5), ("c", 7)], &[("offers", offer)]),
            image("r.io/index:v1", kind::CATALOG, &[("d", 1)], &[]),
            image(
                "r.io/loki:sig",
                kind::SIGNATURE,
                &[("e", 2)],
                &[("subject", &subject), ("subject-origin", "r.io/loki:1")],
            ),
            image("x.io/tool:1", kind::ADDITIONAL, &[("f", 3)], &[]),
        ];
        let old = Descriptor::of("application/x", b"aaaaaaaaaa").digest;
        let found = contents(&images, |digest| *digest != old);
        let lines: Vec<_> = found
            .iter()
            .map(|group| {
                (group.kind.as_str(), group.name.as_str(), group.images, group.total_bytes - group.new_bytes)
            })
            .collect();
        let expected = [
            ("release", "4.20.1 amd64", 2, 10),
            ("operator", "loki", 1, 0),
            ("catalog", "r.io/index:v1", 1, 0),
            ("additional", "", 1, 0),
        ];
        assert_eq!(lines, expected);
        assert_eq!(found[1].catalog, "r.io/index:v1");
        // The layer of the release is not counted for the operator again; its signature is.
        let roots = ("r.io/loki:1".len() + "r.io/loki:sig".len()) as u64;
        assert_eq!(found[1].total_bytes, 7 + 2 + roots);
    }
}
