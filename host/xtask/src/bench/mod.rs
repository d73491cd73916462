//! `cargo xtask bench …`: what the release build needs of time and memory, held to limits.

mod catalog;
mod plugins;
mod process;
mod startup;
mod synthetic;
mod transfer;
mod updates;

pub(crate) use catalog::catalog;
pub(crate) use plugins::plugins;
pub(crate) use startup::startup;
pub(crate) use transfer::transfer;
pub(crate) use updates::updates;
