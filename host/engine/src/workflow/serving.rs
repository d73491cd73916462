//! Imagesets as a registry that can be read: [`imagesets`].

use std::path::Path;
use std::sync::Arc;

use super::WorkflowError;
use super::imagesets::Imagesets;
use super::stock::Together;
use crate::archive::TrustedKeys;
use crate::serve::ReadOnly;

/// Returns the images of all imagesets in a directory, or of the one that a chunk file belongs to.
///
/// Images are those of the newest one; their content may lie in any of them. What lies in none is not served. An imageset that
/// is not signed as these keys ask for is refused.
pub async fn imagesets(from: &Path, trusted: &TrustedKeys) -> Result<ReadOnly, WorkflowError> {
    let imagesets = Arc::new(Together::open(&Imagesets::from(from), trusted).await?);
    let images = imagesets.newest();
    Ok(ReadOnly::new(imagesets, images).await?)
}
