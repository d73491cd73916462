//! Moves content: [`publish`] puts images into a registry, [`shared`] into several that read once, [`fetch`] brings
//! blobs into an imageset; [`imagined`] moves nothing and finds out what would be.
//!
//! This room sees the traits of [`crate::content`] only, so registry to imageset, imageset to registry and
//! registry to registry are the same code.

pub mod fetch;
mod image_time;
pub mod imagined;
mod known;
pub mod publish;
mod referrers;
mod resume;
mod retry;
mod schedule;
pub mod shared;

pub use image_time::ImageTime;
pub use referrers::ReferrersOf;
pub use retry::{Retry, retrying};

/// How much may be under way at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parallelism {
    /// Images.
    pub images: usize,
    /// Blobs of one image.
    pub blobs: usize,
}

impl Default for Parallelism {
    fn default() -> Self {
        Self { images: 4, blobs: 5 }
    }
}
