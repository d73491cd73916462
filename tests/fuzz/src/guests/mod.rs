//! Targets in the plugins that ship. They are plain Rust here; in the program they run in WebAssembly, with its limits around them.

mod chart;
mod cincinnati;
mod template;
mod yaml;

pub use self::chart::CHART;
pub use self::cincinnati::CINCINNATI;
pub use self::template::TEMPLATE;
pub use self::yaml::YAML;

use crate::target::Target;

/// All of them.
pub const ALL: [Target; 4] = [CHART, CINCINNATI, TEMPLATE, YAML];
