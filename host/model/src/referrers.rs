//! Lists of referrers: the index that a registry without the referrers API keeps under the tag of the subject
//! ([`Tag::of_referrers`](crate::reference::Tag::of_referrers)), and that every other answers with.
//!
//! Such a list has no digest that anybody signs; it is the one kind of manifest that is made and changed here. What stands
//! in a list already is never lost.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};

use crate::digest::Digest;
use crate::manifest::{Descriptor, InvalidManifest, RawManifest};
use crate::media_type;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    schema_version: u32,
    media_type: &'a str,
    manifests: Vec<Descriptor>,
}

/// Makes a list: the same bytes for the same referrers, in whatever order they come. It fails if that is too long for any
/// registry.
pub fn list(mut referrers: Vec<Descriptor>) -> Result<RawManifest, InvalidManifest> {
    referrers.sort_by(|a, b| a.digest.cmp(&b.digest));
    referrers.dedup_by(|a, b| a.digest == b.digest);
    let list = List { schema_version: 2, media_type: media_type::OCI_INDEX, manifests: referrers };
    RawManifest::parse(serde_json::to_vec(&list)?, Some(media_type::OCI_INDEX))
}

/// Returns what a list names.
pub fn listed(list: &RawManifest) -> BTreeSet<&Digest> {
    list.index().into_iter().flat_map(|index| &index.manifests).map(|d| &d.digest).collect()
}

/// Returns a list that names what either names: one of the two as it is where that is enough.
pub fn unite(theirs: &RawManifest, ours: &RawManifest) -> Result<RawManifest, InvalidManifest> {
    let (of_theirs, of_ours) = (listed(theirs), listed(ours));
    if of_ours.is_subset(&of_theirs) {
        return Ok(theirs.clone());
    }
    if of_theirs.is_subset(&of_ours) {
        return Ok(ours.clone());
    }
    let added = ours.index().into_iter().flat_map(|index| &index.manifests);
    let added = added.filter(|d| !of_theirs.contains(&d.digest)).map(|d| json!(d));
    // Fields of theirs that this program does not know stay.
    let mut document: Value = serde_json::from_slice(theirs.bytes())?;
    document["mediaType"] = json!(media_type::OCI_INDEX);
    if let Some(manifests) = document["manifests"].as_array_mut() {
        manifests.extend(added);
    }
    RawManifest::parse(document.to_string().into_bytes(), Some(media_type::OCI_INDEX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn referrer(name: &str) -> Descriptor {
        let mut descriptor = Descriptor::of(media_type::OCI_MANIFEST, name.as_bytes());
        descriptor.artifact_type = Some(format!("application/x.{name}").into());
        descriptor.annotations.insert("name".to_owned(), name.to_owned());
        descriptor
    }

    fn of(names: &[&str]) -> RawManifest {
        list(names.iter().map(|name| referrer(name)).collect()).expect("a short list")
    }

    #[test]
    fn a_list_is_the_same_in_any_order() {
        assert_eq!(of(&["a", "b", "c"]), of(&["c", "b", "a", "b"]));
        let kept = of(&["a"]);
        let kept = &kept.index().expect("an index").manifests[0];
        assert_eq!(*kept, referrer("a"));
    }

    #[rstest]
    #[case(&["a"], &["a"], &["a"])]
    #[case(&["a", "b"], &["a"], &["a", "b"])]
    #[case(&["a"], &["a", "b"], &["a", "b"])]
    #[case(&[], &["a"], &["a"])]
    fn one_is_kept_as_it_is(#[case] theirs: &[&str], #[case] ours: &[&str], #[case] expected: &[&str]) {
        assert_eq!(unite(&of(theirs), &of(ours)).expect("short"), of(expected));
    }

    #[test]
    fn what_is_theirs_stays_with_all_its_fields() {
        let theirs = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_INDEX,
            "x-unknown": [1],
            "manifests": [{"mediaType": media_type::OCI_MANIFEST, "digest": referrer("a").digest, "size": 1, "data": "YQ=="}],
        });
        let theirs = RawManifest::parse(theirs.to_string().into_bytes(), None).expect("an index");
        let ours = of(&["b"]);
        let united = unite(&theirs, &ours).expect("short");
        let document: Value = serde_json::from_slice(united.bytes()).expect("JSON");
        assert_eq!(
            (&document["x-unknown"], &document["manifests"][0]["data"]),
            (&json!([1]), &json!("YQ=="))
        );
        assert_eq!(document["manifests"][1], json!(referrer("b")));
        assert_eq!(unite(&united, &ours).expect("short"), united, "once more changes nothing");
    }
}
