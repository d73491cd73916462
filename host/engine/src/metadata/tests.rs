//! One suite for every backend.

use std::sync::Arc;

use super::in_registry::InRegistry;
use super::local::Local;
use super::*;
use crate::content::memory::Memory;

const UID: Uuid = Uuid::from_u128(7);

async fn behaves(store: &dyn MetadataStore) {
    assert_eq!(store.load(UID).await.expect("readable"), None);
    assert!(store.chains().await.expect("readable").is_empty());
    let mut chain = Chain::new(UID);
    store.commit(&chain, None).await.expect("first commit");
    let found = store.load(UID).await.expect("readable").expect("there");
    assert_eq!(found.chain, chain);
    assert_eq!(store.chains().await.expect("readable"), [UID]);

    assert!(matches!(store.commit(&chain, None).await, Err(MetadataError::Conflict { .. })));
    chain.imagesets.push(oc_mirror_model::metadata::ImagesetRecord {
        sequence: 1,
        base: 0,
        index: None,
        created: "1970-01-01T00:00:00Z".to_owned(),
        images: Vec::new(),
        plugin_state: Default::default(),
        files: Default::default(),
    });
    store.commit(&chain, Some(&found)).await.expect("second commit");
    assert!(matches!(store.commit(&chain, Some(&found)).await, Err(MetadataError::Conflict { .. })));
    assert_eq!(store.load(UID).await.expect("readable").expect("there").chain.sequence(), 1);
}

#[tokio::test]
async fn a_file() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Local::new(dir.path().join("metadata.json"));
    behaves(&store).await;
    let other = store.load(Uuid::from_u128(8)).await;
    assert!(matches!(other, Err(MetadataError::OtherChain { .. })));
}

#[tokio::test]
async fn a_registry() {
    let prefix = "some/prefix".parse().expect("a repository");
    behaves(&InRegistry::new(Arc::new(Memory::default()), Some(&prefix))).await;
}

#[test]
fn newer_and_damaged_records_are_refused() {
    let newer = br#"{"format":"2.0","uid":"x"}"#;
    assert!(matches!(parse(newer, "x", UID), Err(MetadataError::Newer { .. })));
    assert!(matches!(parse(b"{", "x", UID), Err(MetadataError::Damaged { .. })));
}
