//! What the fuzz targets do: a [`Target`](target::Target) for each, in [`host`] and [`guests`].
//!
//! The targets in `fuzz_targets/` hand them what libFuzzer makes up; the tests in `replay/` hand them the seeds and changes of
//! these, on any toolchain, as part of the ordinary tests. A target asserts properties: that nothing panics is the least of them.

pub mod guests;
pub mod host;
pub mod memory;
pub mod target;
#[allow(dead_code, unreachable_pub)]
#[path = "../../../host/plugin-host/src/text.rs"]
mod text;

/// Has memory counted, so that a target which asks for too much fails.
#[global_allocator]
static COUNTING: memory::Counting = memory::Counting;
