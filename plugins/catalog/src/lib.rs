//! Decisions about OLM file-based catalogs: what of a catalog to keep, why, and how the rest is written.
//!
//! Pure logic without any I/O. A [`Builder`] makes a [`Catalog`] of its documents; [`select`] decides with an
//! [`Entry`] of the configuration what to keep; the [`Selection`] tells the images, and a [`Renderer`] writes the
//! documents of the smaller catalog. [`reconcile`] finds out what clusters need of what is mirrored.

mod blang;
mod depend;
mod deprecated;
mod graph;
mod hash;
mod ignore;
mod images;
mod model;
mod nearest;
mod parse;
mod problem;
mod reconcile;
mod render;
mod select;
mod settings;
mod store;
#[cfg(test)]
mod testing;
mod version;
mod whole;

pub use blang::VersionRange;
pub use depend::{Selected, report_dependencies, resolve_dependencies};
pub use deprecated::report_deprecations;
pub use graph::GraphFault;
pub use hash::filter_hash;
pub use images::{Image, ImageKind, Images};
pub use model::{
    Bundle, Catalog, Channel, ChannelEntry, Deprecation, Gvk, Need, Other, Package, Requirement,
};
pub use nearest::nearest;
pub use parse::Builder;
pub use problem::{CatalogError, MOST_PROBLEMS, Note, Problem, Problems, SelectError};
pub use reconcile::{
    Block, Installed, Lacking, MissingBundle, Offer, OperatorHop, OperatorWay, Reconciled, Stage, reconcile,
};
pub use render::{Rendered, Renderer};
pub use select::{
    ChannelState, KeptEntry, PackageState, Reason, SelectedChannel, SelectedPackage, Selection, State, select,
};
pub use semver::Version;
pub use settings::{
    BundleFilter, ChannelFilter, Dependencies, Entry, IncompleteBundles, PackageEntry, Platform, Rules,
};
pub use store::{ChannelFacts, Contents, FORMAT, PackageFacts, Span, StoreError};
pub use version::{Range, VersionError, parse as parse_version};
pub use whole::Dropped;
