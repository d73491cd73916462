//! Builds images: [`LayerBuilder`] makes layers, [`ImageSpec`] puts them into an image, alone or on another one.
//!
//! The same input gives the same digests, on any day and machine: entries are sorted, times are those of the
//! epoch, owners are root, and nothing of the machine gets into a file. Results go into any
//! [`ContentWrite`](super::ContentWrite); where that is, and under which tag, is not known here.

use std::path::PathBuf;

use super::{ContentError, ContentErrorKind};

mod image;
mod layer;

pub use image::ImageSpec;
pub use layer::{Layer, LayerBuilder};

/// An image could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A path that no layer can have.
    #[error("`{path}` cannot be put into a layer: {reason}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A file to put into a layer, or the layer itself, could not be read or written.
    #[error("`{path}` cannot be put into a layer")]
    Disk {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// What to build on is not an image for containers.
    #[error("`{subject}` cannot be built on: {reason}")]
    Base {
        /// Which image.
        subject: String,
        /// Why not.
        reason: String,
    },
    /// The base could not be read, or the result not be written.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The work was given up because the program ends.
    #[error("cancelled")]
    Cancelled,
}

impl BuildError {
    /// Answers whether trying again may help.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Content(error) if error.is_temporary())
    }
}

impl From<BuildError> for ContentError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Content(error) => error,
            other => {
                let kind = ContentErrorKind::Invalid("the image cannot be built".to_owned());
                Self::with_source("image", kind, other)
            }
        }
    }
}

#[cfg(test)]
mod tests;
