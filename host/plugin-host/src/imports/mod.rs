//! The host's side of the contract: one room for each interface. Each checks what the guest may do, then hands over to
//! the engine's traits; nothing here knows a registry, a file format or a terminal.

pub(crate) mod build;
pub(crate) mod cache;
mod config;
pub(crate) mod documents;
pub(crate) mod files;
pub(crate) mod filesystem;
mod http;
pub(crate) mod image;
mod log;
pub(crate) mod plan;
pub(crate) mod progress;
mod registry;
mod signatures;
pub(crate) mod streams;
#[cfg(test)]
mod tests;

use crate::bindings::oc_mirror::plugin::types;
use crate::fault::Fault;
use crate::state::StoreState;

impl types::Host for StoreState {
    fn convert_error(&mut self, fault: Fault) -> wasmtime::Result<types::Error> {
        match fault {
            Fault::Answer(error) => Ok(error),
            Fault::Trap(error) => Err(error),
        }
    }
}
