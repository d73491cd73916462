//! The plugin host against real guests: the built-in ones, and those in `tests/guests`, which misbehave on demand.

mod builtin;
mod capabilities;
mod limits;
mod loading;
mod released;
mod support;
