//! The engine of oc-mirror: registries, imagesets, metadata, transfer and the workflows that combine them.
//!
//! The engine is silent. It prints nothing and reads neither the environment nor the home directory: settings
//! come in as values, and what happens goes out through [`report::Events`].
//!
//! Rooms and who may use whom are listed in `host/README.md`; a test reads the imports and fails on any other edge.

pub mod archive;
pub mod bucket;
pub mod content;
pub mod fetch;
pub mod fsx;
pub mod layout;
pub mod metadata;
pub mod net;
pub mod plan;
pub mod policy;
pub mod predecessors;
pub mod registry;
pub mod report;
pub mod resources;
pub mod serve;
pub mod source;
pub mod transfer;
pub mod trust;
pub mod workflow;
