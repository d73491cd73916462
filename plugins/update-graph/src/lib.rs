//! Decisions about OpenShift releases: which releases of a channel to mirror, and how to update from one to another.
//!
//! Pure logic without any I/O. A [`Graph`] is what the update service (Cincinnati) answers for a channel;
//! [`select`] decides with a [`Wish`] for each channel which releases to mirror; [`path`] answers how to get from
//! one version to another, [`svg::draw`] draws the answer, and [`reconcile`] finds
//! out what clusters need of what is mirrored. The caller fetches the graphs, behind [`Graphs`].

mod ask;
mod channel;
mod explain;
mod graph;
mod join;
mod path;
mod problem;
mod reconcile;
mod search;
mod select;
pub mod svg;
#[cfg(test)]
mod testing;
mod version;

pub use ask::Graphs;
pub use graph::{Graph, MOST_EDGES, MOST_NODES, Node, Risk};
pub use path::{Question, Step, UpdatePath, path};
pub use problem::{Note, Problem, SelectError};
pub use reconcile::{Cluster, Fleet, Hop, MissingRelease, Reconciled, Way, reconcile};
pub use search::Accept;
pub use select::{Options, Release, Rules, Selection, Span, Wish, select, select_after};
pub use version::Version;
