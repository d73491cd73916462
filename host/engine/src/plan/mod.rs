//! What a run is going to do, as plain data: pure functions, made before anything is fetched or written.

pub mod deletion;
pub mod for_clusters;
pub mod imageset;
pub mod layout;
pub mod names;
pub mod unchanged;
