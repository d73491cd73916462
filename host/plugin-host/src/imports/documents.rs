//! `streams.documents`: cuts a stream into JSON documents in native code, and hands over one at a time.
//!
//! Neither the stream nor a document of it is ever held by a guest that did not ask for it.

use std::collections::BTreeMap;

use oc_mirror_engine::content::documents::{self, DocumentError, passes};
use wasmtime::component::Resource;

use crate::bindings::oc_mirror::plugin::streams::HostDocuments;
use crate::fault::{Answer, Fault};
use crate::imports::streams::Reader;
use crate::state::StoreState;
use crate::text::clean;

/// How much is read at once.
const PIECE: usize = 256 << 10;

/// A stream of documents.
pub struct Documents {
    reader: Reader,
    documents: documents::Documents,
    filter: BTreeMap<String, String>,
}

impl From<DocumentError> for Fault {
    fn from(error: DocumentError) -> Self {
        let text = clean(&error.to_string(), 1024);
        match error {
            DocumentError::TooLarge => Self::limit(text),
            _ => Self::invalid(text),
        }
    }
}

impl Documents {
    /// Returns the next document that passes the filter.
    async fn next(&mut self) -> Answer<Option<String>> {
        loop {
            while let Some(json) = self.documents.next_document()? {
                if passes(&json, &self.filter)? {
                    return Ok(Some(json));
                }
            }
            if self.documents.has_ended() {
                return Ok(None);
            }
            let piece = self.reader.next(PIECE).await?;
            self.documents.push(&piece);
        }
    }
}

impl HostDocuments for StoreState {
    async fn new(
        &mut self,
        reader: Resource<Reader>,
        filter: Vec<(String, String)>,
    ) -> wasmtime::Result<Resource<Documents>> {
        let reader = self.table.delete(reader)?;
        let documents = documents::Documents::new();
        Ok(self.table.push(Documents { reader, documents, filter: filter.into_iter().collect() })?)
    }

    async fn next(&mut self, documents: Resource<Documents>) -> Answer<Option<String>> {
        self.table.get_mut(&documents)?.next().await
    }

    async fn drop(&mut self, documents: Resource<Documents>) -> wasmtime::Result<()> {
        self.table.delete(documents)?;
        Ok(())
    }
}
