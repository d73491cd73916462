//! Runs content sources and policies that are WebAssembly components. [`Host`] loads them; what comes out implements
//! the engine's traits [`ContentSource`](oc_mirror_engine::source::ContentSource) and
//! [`Policy`](oc_mirror_engine::policy::Policy).
//!
//! A guest reaches nothing but the interfaces in `wit/`, and of those only what it asks for in its metadata *and* the
//! user grants ([`Grants`]). Memory, time, host calls and results are bounded ([`Limits`]). The built-in plugins take
//! the same path as everybody's. This crate reads neither configuration nor environment, and prints nothing.

mod bindings;
mod builtin;
mod cache;
mod convert;
mod engine;
mod error;
// The generated bindings re-export types of this and of `imports` as `pub`.
#[allow(unreachable_pub)]
mod fault;
mod grants;
mod host;
#[allow(unreachable_pub)]
mod imports;
mod instance;
mod limits;
mod meta;
mod plugin;
mod policy;
mod schema;
mod scratch_layout;
mod source;
mod state;
mod text;
mod wasi;

pub use error::{LoadError, LoadErrorKind, SettingsProblem, StartError};
pub use grants::{CAPABILITIES, Grants, InvalidGrant};
pub use host::{Binary, Host, HostSettings, PluginSpec, WarmPlugin, WarmStart};
pub use limits::Limits;
pub use meta::{CONTRACT, Inspection, MAX_COMPONENT_BYTES, META_SECTION, MetaError, PluginMeta, Resources};
pub use policy::CallCost;
