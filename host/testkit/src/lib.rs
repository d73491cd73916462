//! What the tests of every crate share: small valid images ([`ImageBuilder`], [`IndexBuilder`]),
//! catalogs of operators ([`CatalogBuilder`]), releases ([`release()`]) with their signatures ([`Signer`]) and the server
//! that says which there are ([`UpdateServer`]), graph data ([`GraphData`]), files on the web ([`FileServer`]), Debian's
//! `docker-registry` as a child process ([`Registry`]), an S3 server as another ([`Moto`]), `skopeo` as a second opinion
//! ([`Skopeo`]), a registry that misbehaves on command ([`FaultRegistry`]),
//! a way to one on which no connection lasts ([`BreakingLine`]), the API server of a cluster ([`KubeServer`]) and
//! a place to run whole commands in ([`TestContext`]).
//!
//! It is a development dependency only and shares no code with the crates it tests, so that a mistake in one is not
//! repeated in the other. Its functions panic with a message when the machine cannot do what a test asks.

mod catalog;
#[cfg(feature = "registries")]
mod context;
#[cfg(feature = "registries")]
mod faults;
#[cfg(feature = "registries")]
mod file_server;
mod graph_data;
pub mod http;
mod image;
#[cfg(feature = "registries")]
mod kube;
mod layout;
#[cfg(feature = "registries")]
mod line;
#[cfg(feature = "registries")]
mod moto;
mod playwright;
mod plugin_tools;
mod push;
mod raw_tar;
#[cfg(feature = "registries")]
mod registry;
mod release;
#[cfg(feature = "signatures")]
mod signer;
#[cfg(feature = "registries")]
mod skopeo;
mod terminal;
#[cfg(feature = "registries")]
mod tls;
#[cfg(feature = "registries")]
mod update_server;

use std::path::{Path, PathBuf};

pub use catalog::{CatalogBuilder, Fbc};
#[cfg(feature = "registries")]
pub use context::{CommandOutput, TestContext};
#[cfg(feature = "registries")]
pub use faults::{Action, Bearer, FaultRegistry, Personality, Quirk, Recorded, Rule};
#[cfg(feature = "registries")]
pub use file_server::FileServer;
pub use graph_data::{GraphData, Hostile};
pub use image::{Blob, Image, ImageBuilder, IndexBuilder, Layer, sha256, tar_gz};
#[cfg(feature = "registries")]
pub use kube::{Allowed, KubeServer};
#[cfg(feature = "registries")]
pub use line::BreakingLine;
#[cfg(feature = "registries")]
pub use moto::Moto;
pub use playwright::playwright;
pub use plugin_tools::path_with_plugin_tool;
pub use push::{PlainHost, PushTarget};
pub use raw_tar::RawTar;
#[cfg(feature = "registries")]
pub use registry::{LogLine, PASSWORD, Registry, RegistryBuilder, USER};
pub use release::{Component, Payload, Release, ReleaseBuilder, release};
#[cfg(feature = "signatures")]
pub use signer::{Signer, Statement};
#[cfg(feature = "registries")]
pub use skopeo::Skopeo;
pub use terminal::{Screen, on_terminal};
#[cfg(feature = "registries")]
pub use tls::Certificates;
#[cfg(feature = "registries")]
pub use update_server::{GraphBuilder, UpdateServer};

/// Returns the root of the workspace.
pub fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this crate lives two directories below the root").to_path_buf()
}

/// Returns the directory of recorded real data, or says `skipped` and returns nothing where it is absent.
#[allow(clippy::print_stderr)]
pub fn fixtures() -> Option<PathBuf> {
    let found = workspace_root().parent().map(|p| p.join("shared/fixtures")).filter(|p| p.is_dir());
    if found.is_none() {
        eprintln!("skipped: no ../shared/fixtures");
    }
    found
}

/// Returns the `Authorization` value of HTTP basic authentication.
pub fn basic_authorization(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

/// Writes an `auth.json` with one entry for each `(host, user, password)`.
pub fn write_auth_file(path: &Path, entries: &[(&str, &str, &str)]) {
    let auths: serde_json::Map<String, serde_json::Value> = entries
        .iter()
        .map(|(host, user, password)| {
            let basic = basic_authorization(user, password);
            let value = basic.strip_prefix("Basic ").expect("the function above writes this prefix");
            (host.to_string(), serde_json::json!({ "auth": value }))
        })
        .collect();
    let text = serde_json::json!({ "auths": auths }).to_string();
    std::fs::write(path, text).expect("the test's own directory is writable");
}
