//! The plugins that are part of the program, as the components that `build.rs` compiled.

include!(concat!(env!("OUT_DIR"), "/builtins.rs"));

/// Returns the names of the built-in plugins.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    BUILTINS.iter().map(|(name, _)| *name)
}

/// Returns the component of that name.
pub(crate) fn find(name: &str) -> Option<&'static [u8]> {
    BUILTINS.iter().find(|(builtin, _)| *builtin == name).map(|(_, bytes)| *bytes)
}
