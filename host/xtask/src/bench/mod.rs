//! `cargo xtask bench …`: what the release build needs of time and memory, held to limits.

mod catalog;
mod process;
mod startup;
mod synthetic;
mod updates;

pub(crate) use catalog::catalog;
pub(crate) use startup::startup;
pub(crate) use updates::updates;
