//! An imageset on disk: written, sealed, opened and read back.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;
use oc_mirror_engine::archive::{Reader, Writer, layout_documents};
use oc_mirror_engine::content::{ContentRead, ContentWrite};
use oc_mirror_engine::plan::layout;
use oc_mirror_model::imageset::{FORMAT, ImageEntry, Index};
use oc_mirror_model::request::{Destination, ImageRequest};

use crate::content::{Content, Tagged, stream};
use crate::place::{Opened, Place, Rules};

pub(crate) struct InImageset {
    pub(crate) chunk_limit: Option<u64>,
}

#[async_trait]
impl Place for InImageset {
    // Nothing can be read before the seal, and the seal wants everything; and each blob is there once for all.
    fn rules(&self) -> Rules {
        Rules { manifests_last: false, repositories_apart: false, small_pieces: true }
    }

    async fn open(&self, content: &Content) -> Opened {
        let dir = tempfile::tempdir().expect("a directory");
        let images: Vec<ImageEntry> = content.tags.iter().map(image).collect();
        let (oci_layout, index_json) = layout_documents(&images);
        let mut index = index(images);
        index.entries =
            vec![layout::file("oci-layout", &oci_layout), layout::file("index.json", &index_json)];
        index.entries.extend(content.manifests.iter().map(|m| layout::blob(m.descriptor())));
        index.entries.extend(content.blobs.iter().map(|(descriptor, _)| layout::blob(descriptor)));
        layout::complete(&mut index, self.chunk_limit, false).expect("fits");
        let writer = Writer::create_or_resume(dir.path(), index).expect("created");
        writer.put_file("oci-layout", oci_layout).await.expect("put");
        writer.put_file("index.json", index_json).await.expect("put");
        let path = dir.path().to_owned();
        let (last, content) = (writer.clone(), content.clone());
        Opened {
            write: Arc::new(writer.clone()),
            tags: Arc::new(writer),
            read: Box::new(move || {
                async move {
                    complete(&last, &content).await;
                    last.seal().await.expect("sealed");
                    Arc::new(Reader::open(&path).expect("valid")) as Arc<dyn ContentRead>
                }
                .boxed()
            }),
            _keep: Box::new(dir),
        }
    }
}

/// Puts what the case left out: an imageset that lacks something cannot be sealed.
async fn complete(writer: &Writer, content: &Content) {
    let anywhere = "any/where".parse().expect("a repository");
    for (descriptor, bytes) in &content.blobs {
        writer.put_blob(&anywhere, descriptor, stream(bytes)).await.expect("put");
    }
    for manifest in &content.manifests {
        writer.put_manifest(&anywhere, manifest).await.expect("put");
    }
}

fn image(tagged: &Tagged) -> ImageEntry {
    let origin = format!("quay.io/{}:{}", tagged.repository, tagged.tag);
    ImageEntry {
        plugin: "additional".to_owned(),
        request: ImageRequest {
            source: origin.clone(),
            origin,
            kind: "additional".to_owned(),
            target_repository: None,
            target_tag: None,
            platforms: Vec::new(),
            with_referrers: false,
            provenance: Default::default(),
        },
        destination: Destination { repository: tagged.repository.clone(), tag: tagged.tag.clone() },
        root: tagged.root.clone(),
        manifests: vec![tagged.root.clone()].into(),
        blobs: Vec::new().into(),
        sparse: false,
    }
}

fn index(images: Vec<ImageEntry>) -> Index {
    Index {
        format: FORMAT,
        uid: uuid::Uuid::from_u128(1),
        sequence: 1,
        base: 0,
        previous: None,
        created: "2026-01-01T00:00:00Z".to_owned(),
        created_by: "oc-mirror 0.1.0".to_owned(),
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
    }
}
