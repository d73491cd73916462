//! What drives a browser in tests, which `cargo xtask setup` installs.

use std::path::{Path, PathBuf};

use crate::workspace_root;

/// Where Debian has the browser.
const CHROMIUM: &str = "/usr/bin/chromium";

/// Returns the directory of modules that has Playwright, if there is a browser for it too; otherwise the test says that it is skipped.
#[allow(clippy::print_stderr)]
pub fn playwright() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let modules = workspace_root().join(target).join("playwright/node_modules");
    let is_there = Path::new(CHROMIUM).is_file() && modules.join("playwright-core").is_dir();
    if !is_there {
        eprintln!("skipped: no chromium or no playwright-core");
    }
    is_there.then_some(modules)
}
