//! Deletions at registries that a real one cannot stand in for.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use bytes::Bytes;
use oc_mirror_model::attributes::Attributes;
use oc_mirror_model::deletion::{DeleteItem, ItemType, Outcome};
use oc_mirror_model::imageset::{FORMAT, ImageEntry, Index};
use oc_mirror_model::manifest::{Descriptor, RawManifest};
use oc_mirror_model::media_type;
use oc_mirror_model::request::ImageRequest;

use super::*;
use crate::content::memory::Memory;
use crate::content::{BlobStream, ContentDelete, ContentError, ContentWrite, TagRemoval, TagStore};
use crate::metadata::MetadataStore;
use crate::metadata::in_registry::InRegistry;
use crate::plan::imageset::{Extras, advance};
use crate::plan::names::Names;
use crate::registry::profile::{Found, Product};
use crate::report::Silence;
use crate::transfer::{Parallelism, Retry};
use crate::workflow::from_disk::SparseProbe;
use crate::workflow::{CarryCompanions, Examine, OnError};

/// Deletes a manifest whenever one of its tags is removed.
struct Greedy(Arc<Memory>);

#[async_trait]
impl ContentDelete for Greedy {
    async fn can_delete(&self, _: &Repository) -> Result<bool, ContentError> {
        Ok(true)
    }

    async fn delete_manifest(&self, repository: &Repository, digest: &Digest) -> Result<bool, ContentError> {
        self.0.delete_manifest(repository, digest).await
    }

    async fn delete_tag(&self, repository: &Repository, tag: &Tag) -> Result<TagRemoval, ContentError> {
        match self.0.resolve_tag(repository, tag).await? {
            Some(found) => {
                self.0.delete_manifest(repository, &found.digest).await?;
                Ok(TagRemoval::Removed)
            }
            None => Ok(TagRemoval::NotThere),
        }
    }
}

struct Any;

#[async_trait]
impl SparseProbe for Any {
    async fn takes_sparse_indexes(&self) -> Result<bool, ContentError> {
        Ok(true)
    }
}

#[async_trait]
impl Examine for Any {
    async fn profile(&self) -> Result<Found, ContentError> {
        Ok(Found::said(Product::Generic))
    }

    async fn may_push(&self, _: &Repository) -> Result<Option<String>, ContentError> {
        Ok(None)
    }

    async fn takes_oci(&self, _: &Repository) -> Result<Option<String>, ContentError> {
        Ok(None)
    }
}

fn run() -> Run {
    Run {
        program: "test".to_owned(),
        created: String::new(),
        created_is_fixed: true,
        new_uid: Uuid::nil(),
        dry_run: false,
        parallelism: Parallelism::default(),
        retry: Retry::default(),
        on_error: OnError::Finish,
        image_timeout: None,
        agreement: None,
        companions: CarryCompanions::All,
        prune: false,
        repair: false,
        trusted: Default::default(),
        resources: Default::default(),
        events: Arc::new(Silence),
        cancelled: Arc::new(AtomicBool::new(false)),
    }
}

async fn put(memory: &Memory, repository: &Repository, bytes: &[u8]) -> Descriptor {
    let blob = Descriptor::of(media_type::OCI_LAYER_GZIP, bytes);
    let body: BlobStream = Box::pin(futures_util::stream::iter([Ok(Bytes::copy_from_slice(bytes))]));
    memory.put_blob(repository, &blob, body).await.expect("put");
    blob
}

/// Puts an image under some tags, and returns the entries of an imageset that has them.
async fn image(memory: &Memory, repository: &str, tags: &[&str]) -> Vec<ImageEntry> {
    let repository: Repository = repository.parse().expect("a repository");
    let (config, layer) = (put(memory, &repository, b"{}").await, put(memory, &repository, b"layer").await);
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": Descriptor::new(media_type::OCI_CONFIG, config.digest.clone(), config.size),
        "layers": [layer],
    });
    let manifest = RawManifest::parse(manifest.to_string().into_bytes(), None).expect("a manifest");
    let mut entries = Vec::new();
    for tag in tags {
        let tag: Tag = tag.parse().expect("a tag");
        memory.put_tag(&repository, &tag, &manifest).await.expect("put");
        let origin = format!("r.example/{repository}:{tag}");
        let request = ImageRequest {
            source: origin.clone(),
            origin,
            kind: kind::ADDITIONAL.to_owned(),
            target_repository: None,
            target_tag: None,
            platforms: Vec::new(),
            with_referrers: false,
            provenance: Attributes::new(),
        };
        entries.push(ImageEntry {
            plugin: "additional".to_owned(),
            destination: Place { repository: repository.clone(), tag },
            request,
            root: manifest.descriptor().clone(),
            manifests: vec![manifest.descriptor().clone()].into(),
            blobs: vec![config.clone(), layer.clone()].into(),
            sparse: false,
        });
    }
    entries
}

async fn lab(greedy: bool) -> (Arc<Memory>, Destination, Chain) {
    let memory = Arc::new(Memory::default());
    let images = image(&memory, "team/app", &["v1", "stable"]).await;
    let index = Index {
        format: FORMAT,
        uid: Uuid::nil(),
        sequence: 1,
        base: 0,
        previous: None,
        created: String::new(),
        created_by: String::new(),
        chunks: Vec::new(),
        entries: Vec::new(),
        images,
        unchanged: Vec::new(),
        positions: Vec::new(),
        required: Vec::new(),
        refused: Vec::new(),
        policies: Vec::new(),
        signed_by: Vec::new(),
        quarantined: Vec::new(),
    };
    let chain = advance(Chain::new(Uuid::nil()), &index, None, &Names::default(), Extras::default());
    let records = Arc::new(InRegistry::new(memory.clone(), None));
    records.commit(&chain, None).await.expect("committed");
    let deleter: Arc<dyn ContentDelete> =
        if greedy { Arc::new(Greedy(memory.clone())) } else { memory.clone() };
    let destination = Destination {
        target: "docker://r.example".parse().expect("a target"),
        endpoint: memory.clone(),
        deleter,
        records,
        max_nested_paths: None,
        names: Names::default(),
        examine: Arc::new(Any),
        sparse: Arc::new(Any),
        directory: None,
    };
    (memory, destination, chain)
}

fn list(destination: &Destination, tags: &[&str]) -> DeleteImageList {
    let mut list = DeleteImageList::new(Some(Uuid::nil()), &destination.target, None);
    list.items = tags
        .iter()
        .map(|tag| DeleteItem {
            image_name: format!("r.example/team/app:{tag}"),
            image_reference: format!("docker://r.example/team/app:{tag}"),
            kind: ItemType::Generic,
            digest: None,
        })
        .collect();
    list
}

#[tokio::test]
async fn a_manifest_that_went_with_a_tag_is_put_back() {
    let (memory, destination, chain) = lab(true).await;
    let digest = chain.images().next().expect("there").digest.clone();
    let report = delete(&run(), &list(&destination, &["v1"]), &destination, None).await.expect("deleted");
    assert_eq!(report.images[0].outcome, Outcome::Untagged);
    assert!(report.warnings[0].contains("put back"), "{:?}", report.warnings);
    let repository: Repository = "team/app".parse().expect("a repository");
    assert_eq!(memory.list_tags(&repository).await.expect("listed"), ["stable".parse().expect("a tag")]);
    assert!(memory.has_manifest(&repository, &digest).await.expect("asked"));
}

#[tokio::test]
async fn the_record_follows_and_a_second_run_finds_nothing() {
    let (memory, destination, _) = lab(false).await;
    let both = list(&destination, &["v1", "stable"]);
    let report = delete(&run(), &both, &destination, None).await.expect("deleted");
    assert_eq!((report.count(Outcome::Deleted), report.manifests), (2, 1));
    assert!(report.freed_bytes > 7, "the layer, the configuration and the manifest");
    let stored = destination.records.load(Uuid::nil()).await.expect("readable").expect("there");
    assert_eq!((stored.chain.images().count(), stored.chain.blobs.len()), (0, 0));
    assert_eq!((stored.chain.deleting.len(), stored.chain.leftovers.len()), (0, 0));
    assert_eq!(memory.list_tags(&"team/app".parse().expect("valid")).await.expect("listed"), []);
    let report = delete(&run(), &both, &destination, None).await.expect("nothing to do");
    assert_eq!((report.count(Outcome::NotThere), report.failures.len()), (2, 0));
}

#[tokio::test]
async fn somebody_else_changed_the_record() {
    /// Moves the record on whenever it is about to be replaced.
    struct Racing(InRegistry);

    #[async_trait]
    impl MetadataStore for Racing {
        fn name(&self) -> String {
            self.0.name()
        }

        async fn chains(&self) -> Result<Vec<Uuid>, crate::metadata::MetadataError> {
            self.0.chains().await
        }

        async fn load(&self, uid: Uuid) -> Result<Option<Stored>, crate::metadata::MetadataError> {
            self.0.load(uid).await
        }

        async fn commit(
            &self,
            chain: &Chain,
            found: Option<&Digest>,
        ) -> Result<(), crate::metadata::MetadataError> {
            let now = self.0.load(chain.uid).await?;
            let mut theirs = now.as_ref().map_or_else(|| Chain::new(chain.uid), |n| n.chain.clone());
            theirs.imagesets[0].created.push('x');
            self.0.commit(&theirs, now.as_ref().map(|now| &now.revision)).await?;
            self.0.commit(chain, found).await
        }
    }

    let (memory, mut destination, chain) = lab(false).await;
    destination.records = Arc::new(Racing(InRegistry::new(memory.clone(), None)));
    let error = delete(&run(), &list(&destination, &["v1", "stable"]), &destination, None).await;
    assert!(error.expect_err("refused").to_string().contains("changed by somebody else"));
    let digest = &chain.images().next().expect("there").digest;
    assert!(
        memory.has_manifest(&"team/app".parse().expect("valid"), digest).await.expect("asked"),
        "nothing is deleted"
    );
}
