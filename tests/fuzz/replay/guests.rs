//! The fuzz targets of the plugins that ship, fed with their seeds and some changes of these. `cargo xtask fuzz` feeds them for longer.
#![allow(clippy::print_stderr, missing_docs, unreachable_pub)]

#[allow(dead_code)]
#[path = "../src/memory.rs"]
mod memory;
#[path = "support.rs"]
mod support;
#[allow(dead_code)]
#[path = "../src/target.rs"]
mod target;

#[path = "../src/guests/mod.rs"]
mod guests;

/// Has memory counted, so that a target which asks for too much fails.
#[global_allocator]
static COUNTING: memory::Counting = memory::Counting;

#[test]
fn chart() {
    support::replay(&guests::CHART);
}

#[test]
fn cincinnati() {
    support::replay(&guests::CINCINNATI);
}

#[test]
fn template() {
    support::replay(&guests::TEMPLATE);
}

#[test]
fn yaml() {
    support::replay(&guests::YAML);
}

#[test]
fn memory_is_counted() {
    support::assert_memory_is_counted();
}

#[test]
fn no_target_is_left_out() {
    support::assert_none_is_left_out("fuzz::guests::", &guests::ALL.map(|target| target.name));
}
