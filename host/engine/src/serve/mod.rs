//! The embedded registry: [`serve`] answers the distribution API (version 1.1) for a [`Backend`].
//!
//! A directory ([`Layout`]) can be pulled from and pushed to; anything that implements
//! [`ContentRead`](crate::content::ContentRead), such as an imageset, can be pulled from through [`ReadOnly`].
//! With [`tls`] and [`access`] it can be let out of the loopback interface.
//!
//! Content belongs to repositories: a blob that was never pushed to a repository, nor mounted there, is not
//! found in it, even if the directory has its bytes. Every request is told to `tracing` under [`ACCESS_LOG`].

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::{Descriptor, MAX_MANIFEST_BYTES, RawManifest};
use oc_mirror_model::reference::{Repository, Selector, Tag};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use crate::content::{BlobStream, ContentError};
use crate::layout::Layout;

pub mod access;
mod answer;
mod crowd;
mod directory;
mod list;
mod listen;
mod pace;
mod pull;
mod push;
mod read_only;
mod registry;
mod route;
pub mod tls;
mod uploads;

pub use listen::{Limits, listen};
pub use read_only::ReadOnly;

/// The target of the `tracing` events that tell of requests, one each, at level `info`.
pub const ACCESS_LOG: &str = "oc_mirror::access";

/// Where a registry's content is.
#[async_trait]
pub trait Backend: Send + Sync {
    /// Returns a name for messages.
    fn name(&self) -> String;

    /// Reads a manifest of a repository; nothing if the repository does not have it.
    async fn manifest(
        &self,
        repository: &Repository,
        selector: &Selector,
    ) -> Result<Option<RawManifest>, ContentError>;

    /// Returns the size of a blob of a repository; nothing if the repository does not have it.
    async fn blob_size(&self, repository: &Repository, digest: &Digest) -> Result<Option<u64>, ContentError>;

    /// Opens a blob of a repository from `offset` on.
    async fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<BlobStream, ContentError>;

    /// Returns the tags of a repository, sorted; nothing if there is no such repository.
    async fn tags(&self, repository: &Repository) -> Result<Option<Vec<Tag>>, ContentError>;

    /// Returns all repositories, sorted.
    async fn repositories(&self) -> Result<Vec<Repository>, ContentError>;

    /// Returns the manifests of a repository that have the digest as their subject.
    async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, ContentError>;

    /// Returns the directory that writes go to. Without one, they are answered with 405.
    fn directory(&self) -> Option<&Layout> {
        None
    }
}

/// How a registry behaves.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Whether an index may name manifests that the repository does not have, as an index with only some of its
    /// platforms mirrored does.
    pub sparse_indexes: bool,
    /// The largest manifest that is taken; never more than [`MAX_MANIFEST_BYTES`].
    pub max_manifest_bytes: u64,
    /// How many uploads may be under way. Each holds a file open.
    pub max_uploads: usize,
    /// How long an upload that nobody adds to is kept.
    pub upload_idle: Duration,
    /// Asks who is there.
    pub access: Option<Arc<access::Access>>,
    /// How connections are gone about.
    pub limits: Limits,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            sparse_indexes: true,
            max_manifest_bytes: MAX_MANIFEST_BYTES,
            max_uploads: 256,
            upload_idle: Duration::from_secs(3600),
            access: None,
            limits: Limits::default(),
        }
    }
}

/// The registry could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket failed.
    #[error("connections can no longer be taken")]
    Listener(#[source] std::io::Error),
}

/// Answers requests until `shutdown` ends, and then those that are under way.
pub async fn serve(
    listener: TcpListener,
    backend: Arc<dyn Backend>,
    options: ServeOptions,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let router = router(backend, options.clone());
    listen(listener, router, &options.limits, shutdown).await
}

/// Answers the requests of one connection, whatever that is, until either side ends it. `registry` is what [`router`] returns.
/// TLS is for whoever makes the connection.
pub async fn serve_connection<S>(stream: S, registry: Router, options: &ServeOptions)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    listen::answer_one(stream, registry, &options.limits).await;
}

/// Returns the registry as a service, for those who bring their own server.
pub fn router(backend: Arc<dyn Backend>, options: ServeOptions) -> Router {
    let registry = Arc::new(registry::Registry::new(backend, options));
    Router::new().fallback(registry::answer).with_state(registry)
}

#[cfg(test)]
mod tests;
