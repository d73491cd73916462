//! The API servers of clusters: what is asked of them and applied to them. `kube` is used here and nowhere else.
//!
//! [`connect`] finds clusters in kubeconfig files and asks whether they are there. Everything else begins with a
//! [`Cluster`]; [`apply`] tells it where mirrored content is.

pub mod apply;
pub mod connect;
mod error;
pub mod inspect;

pub use connect::{Access, Cluster, Endpoint, Proxies, Settings, locate};
pub use error::{ClusterError, ClusterErrorKind};
