//! Executes templates as Helm does: Go's `text/template` with the functions of Sprig and Helm.
//!
//! [`Templates`] are parsed, [`Interpreter`] executes them with a [`Value`], within the [`Limits`] of a [`Budget`]. Nothing
//! here reads a file, a clock, an environment or random numbers: the same templates and values make the same text.
//!
//! **Why this crate.** The grammar is that of `gotmpl`, a maintained port of Go's parser, whose syntax trees are executed
//! here. Its own executor, as those of `gtmpl` and `lithos-gotmpl-engine`, has immutable maps (charts depend on `set` and
//! `merge` changing them), no methods (`.Files.Get`, `.Capabilities.APIVersions.Has`), no functions that execute templates
//! (`include`, `tpl`), prints floating-point numbers in Rust's way, lets `nil.field` pass, and knows no limit on what is
//! made. The ports of Sprig have a tenth of its functions.
//!
//! **What is different from Helm**, on purpose:
//!
//! | function | here |
//! |---|---|
//! | `now`, `ago`, and dates of nothing | the first second of 1970, in UTC; other zones are taken for UTC |
//! | `randAlphaNum`, `randInt`, `shuffle`, `uuidv4` and the like | the same on every run: counted, not random |
//! | `genCA`, `genPrivateKey`, `derivePassword`, `bcrypt`, `htpasswd`, `encryptAES` and the like | stand-ins of the right form, which secure nothing |
//! | `lookup`, `getHostByName` | nothing, as in `helm template` |
//! | `keys`, `values` | sorted; in Go the order is random |
//! | regular expressions | those of `regex-lite`: no classes of Unicode |

mod budget;
mod comments;
mod failure;
mod functions;
mod interpreter;
mod json;
mod number;
mod print;
mod templates;
pub mod value;
mod version;
pub mod yaml;

pub use budget::{Budget, Limits};
pub use failure::{Failure, Place};
pub use interpreter::Interpreter;
pub use templates::Templates;
pub use value::{List, Map, Object, Value};
pub use version::{Constraint, Version};

/// Matches a path against a pattern as `.Files.Glob` does: `*` and `?` stop at slashes, `**` does not, and there are
/// `[a-z]` and `{a,b}`.
pub fn glob(pattern: &str, path: &str) -> bool {
    functions::glob(pattern, path)
}
