//! What a Rust plugin for oc-mirror is written with.
//!
//! A plugin is a type that implements [`Plugin`] (its settings) and one or more of [`ContentSource`], [`Policy`],
//! [`StaticPolicy`] and [`Transformer`] (what it does); [`export_plugin!`] makes a component of it:
//!
//! ```
//! use oc_mirror_plugin_sdk::{
//!     ImageRequest, Plugin, Problem, StaticPolicy, Verdict, export_plugin, finding,
//! };
//!
//! struct NoLatest;
//!
//! impl Plugin for NoLatest {
//!     type Settings = ();
//!
//!     fn new(_: ()) -> Result<Self, Vec<Problem>> {
//!         Ok(Self)
//!     }
//! }
//!
//! impl StaticPolicy for NoLatest {
//!     fn evaluate_reference(&self, request: &ImageRequest) -> Verdict {
//!         match request.source.ends_with(":latest") {
//!             true => Verdict::Deny(vec![finding("no-latest", "the tag moves", [])]),
//!             false => Verdict::Allow,
//!         }
//!     }
//! }
//!
//! export_plugin!(NoLatest: static_policy);
//! # fn main() {}
//! ```
//!
//! Everything a plugin may ask of the host is in [`host`]. Those functions work in a component only: called natively,
//! as from `cargo test`, they panic. Keep decisions in plain functions and test those.

pub mod bindings;
mod export;
mod helpers;
mod images;
pub mod pattern;
mod plugin;
pub mod reference;

pub use bindings::imports::oc_mirror::plugin::plan::Sink;
pub use bindings::imports::oc_mirror::plugin::registry::Image;
pub use bindings::imports::oc_mirror::plugin::types::{
    Coded, Descriptor, Error, Finding, ImageRequest, Platform, Problem, Verdict,
};
pub use bindings::source::exports::oc_mirror::plugin::source::Summary;
pub use helpers::{
    about, explain, finding, in_one, info, note, other, problem, read_all, together, warning, with_hint,
    write_all,
};
pub use images::{each_image, is_wanted};
pub use plugin::{ContentSource, Inspection, Plugin, Policy, Preparation, StaticPolicy, Transformer};

/// What a plugin may ask of the host, interface by interface.
pub mod host {
    pub use crate::bindings::imports::oc_mirror::plugin::{
        cache, config, http, log, plan, progress, registry, signatures, streams, types,
    };
}

#[doc(hidden)]
pub mod private {
    pub use crate::export::*;
}
