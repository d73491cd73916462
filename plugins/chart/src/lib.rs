//! Helm charts: [`Chart`] is read of the files of an archive or a directory, and [`render`] makes of it what `helm template`
//! makes.
//!
//! Charts come from strangers. An archive that leaves its directory, holds links or unpacks to more than [`archive`] allows is
//! refused, and rendering has a budget.

pub mod archive;
mod capabilities;
mod chart;
mod dependencies;
mod error;
mod ignore;
mod manifests;
mod metadata;
mod objects;
mod render;
mod schema;
mod values;

pub use archive::File;
pub use chart::Chart;
pub use error::{ChartError, Misfit};
pub use ignore::Ignored;
pub use manifests::{Manifest, template_output};
pub use metadata::{Dependency, Metadata};
pub use render::{DEFAULT_KUBE_VERSION, Options, Rendered, missing, render};
pub use values::merge_files;
