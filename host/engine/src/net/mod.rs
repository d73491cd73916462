//! HTTP as the whole program makes it: [`NetSettings`] becomes an [`HttpClient`], [`Retry`] says how often to try.
//!
//! This room knows nothing of registries, images or plugins. It follows no redirect by itself and sends no credentials:
//! who makes a request decides both, with the rules of [`redirect`] and [`address`].

pub mod address;
mod client;
mod error;
mod greeting;
pub mod redirect;
mod retry;
mod secret;
mod settings;
#[cfg(feature = "simulation")]
pub mod simulation;
mod window;

pub use client::{Body, HttpClient, UploadBody, plain_client, read_capped};
pub use error::{NetError, NetErrorKind, shown};
pub use greeting::Greeting;
pub use retry::{Backoff, Delay, Retry, parse_retry_after};
pub use secret::Secret;
pub use settings::{NetSettings, Proxies, Stall};
pub use window::{Permit, Window};

/// Returns the value of `Authorization` for a name and a password.
pub(crate) fn secret_basic(user: &str, password: &Secret) -> Secret {
    use base64::Engine as _;
    let plain = Secret::joined(&[user, ":", password.expose()]);
    let encoded = Secret::new(base64::engine::general_purpose::STANDARD.encode(plain.expose()));
    Secret::joined(&["Basic ", encoded.expose()])
}
