//! What stands in for the network in a simulation: [`Wire`].

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use reqwest::{Request, Response};

use super::NetErrorKind;

/// Answers requests without any network.
#[async_trait]
pub trait Wire: Send + Sync {
    /// Answers a request, sooner or later, or loses it.
    async fn exchange(&self, request: Request) -> Result<Response, NetErrorKind>;
}

/// One for the whole process, as for [`crate::fsx::simulation`].
static WIRE: RwLock<Option<Arc<dyn Wire>>> = RwLock::new(None);

/// Puts a wire in place of the network, or takes it away.
pub fn put(wire: Option<Arc<dyn Wire>>) {
    *WIRE.write().unwrap_or_else(PoisonError::into_inner) = wire;
}

pub(super) fn wire() -> Option<Arc<dyn Wire>> {
    WIRE.read().unwrap_or_else(PoisonError::into_inner).clone()
}
