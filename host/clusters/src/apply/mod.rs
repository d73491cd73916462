//! Telling clusters where mirrored content is: [`preview`] asks what would change, [`execute()`] changes it, and [`wait`]
//! sees it take effect.
//!
//! Everything goes by server-side apply with the field manager [`MANAGER`], so the cluster itself says what would change
//! and who else has set a field. Objects carry in labels which chain and target they belong to, a [`Mark`]: what has these
//! labels *and* that field manager was made here, and nothing else is ever removed.

mod access;
pub mod diff;
mod document;
mod execute;
mod kinds;
mod mark;
mod nodes;
mod preview;
mod wait;

pub use document::{DocumentError, Resource, read};
pub use execute::execute;
pub use mark::{CHAIN_LABEL, Mark, TARGET_LABEL};
pub use preview::{Options, Preview, Wanted, preview};
pub use wait::{Timing, Told, wait};

/// The field manager of all that this program applies.
pub const MANAGER: &str = "oc-mirror";
