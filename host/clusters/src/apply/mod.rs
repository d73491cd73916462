//! Telling clusters where mirrored content is: [`preview`] asks what would change, [`execute()`] changes it, and [`wait`]
//! sees it take effect.
//!
//! Everything goes by server-side apply with the field manager [`MANAGER`], so the cluster itself says what would change
//! and who else has set a field. Objects carry the chain that they belong to in a label, [`CHAIN_LABEL`]: what has that label *and*
//! that field manager was made here, and nothing else is ever removed.

mod access;
pub mod diff;
mod document;
mod execute;
mod kinds;
mod nodes;
mod preview;
mod wait;

pub use document::{DocumentError, Resource, read};
pub use execute::execute;
pub use preview::{Options, Preview, Wanted, preview};
pub use wait::{Timing, Told, wait};

/// The field manager of all that this program applies.
pub const MANAGER: &str = "oc-mirror";

/// The label with the identity of the chain that an object belongs to.
pub const CHAIN_LABEL: &str = "mirror.openshift.io/chain";
