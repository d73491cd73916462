//! The programs that make components of plugins in other languages than Rust.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::workspace_root;

/// Returns a search path on which a program for plugins is, `componentize-py` or `jco`: where `cargo xtask setup` puts it,
/// then the path of this process. Where it is not there, this says so and returns nothing.
#[allow(clippy::print_stderr)]
pub fn path_with_plugin_tool(program: &str) -> Option<OsString> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = workspace_root().join(target.unwrap_or_else(|| PathBuf::from("target"))).join(program);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = [target.join("bin"), target.join("node_modules/.bin")];
    let dirs: Vec<PathBuf> = installed.into_iter().chain(std::env::split_paths(&path)).collect();
    if !dirs.iter().any(|dir| dir.join(program).is_file()) {
        eprintln!("skipped: no {program}");
        return None;
    }
    Some(std::env::join_paths(dirs).expect("a part of a search path has no colon"))
}
