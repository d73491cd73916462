//! Registries: [`Client`] speaks the OCI distribution protocol, v1.1, with one registry.
//!
//! It implements the traits of [`crate::content`] and adds what only a registry has: listing tags, referrers, deleting,
//! and questions about the registry itself. Manifests are bytes, blobs are streams, and neither is ever
//! re-serialised or buffered as a whole. Credentials come in through a [`CredentialStore`] and leave only towards the registry and
//! the token server it names.
//!
//! A request is repeated here according to [`crate::net::Retry`] as long as that can be done without the caller: a blob whose
//! connection breaks midway ends with a temporary error, and the caller opens it again from the offset it has reached; a blob
//! that could not be pushed is a temporary error too, since only the caller can start its body again.

mod answer;
mod auth;
mod certificates;
mod challenge;
mod client;
pub mod conf;
mod credentials;
mod credentials_helper;
mod examine;
mod flight;
#[doc(hidden)]
pub mod fuzzing;
mod link;
mod listing;
mod probe;
pub mod profile;
mod pull;
mod push;
mod tags;
mod transport;
mod upload;

#[cfg(test)]
mod tests;

pub use answer::RegistryAnswer;
pub use certificates::{CertificateError, HostCertificates};
pub use client::{Client, ClientSettings, Stats};
pub use credentials::{Credential, CredentialError, CredentialStore, credential_search_paths};
