//! The fuzz targets of the program, fed with their seeds and some changes of these. `cargo xtask fuzz` feeds them for longer.
#![allow(clippy::print_stderr, missing_docs, unreachable_pub)]

#[path = "../src/host/mod.rs"]
mod host;
#[allow(dead_code)]
#[path = "../src/memory.rs"]
mod memory;
#[path = "support.rs"]
mod support;
#[allow(dead_code)]
#[path = "../src/target.rs"]
mod target;
#[allow(dead_code)]
#[path = "../../../host/plugin-host/src/text.rs"]
mod text;

/// Has memory counted, so that a target which asks for too much fails.
#[global_allocator]
static COUNTING: memory::Counting = memory::Counting;

#[test]
fn answers() {
    support::replay(&host::ANSWERS);
}

#[test]
fn archives() {
    support::replay(&host::ARCHIVES);
}

#[test]
fn catalog() {
    support::replay(&host::CATALOG);
}

#[test]
fn config() {
    support::replay(&host::CONFIG);
}

#[test]
fn imageset() {
    support::replay(&host::IMAGESET);
}

#[test]
fn layer() {
    support::replay(&host::LAYER);
}

#[test]
fn manifest() {
    support::replay(&host::MANIFEST);
}

#[test]
fn openpgp() {
    support::replay(&host::OPENPGP);
}

#[test]
fn plugin() {
    support::replay(&host::PLUGIN);
}

#[test]
fn policy() {
    support::replay(&host::POLICY);
}

#[test]
fn records() {
    support::replay(&host::RECORDS);
}

#[test]
fn reference() {
    support::replay(&host::REFERENCE);
}

#[test]
fn registries_conf() {
    support::replay(&host::REGISTRIES_CONF);
}

#[test]
fn serve() {
    support::replay(&host::SERVE);
}

#[test]
fn signatures() {
    support::replay(&host::SIGNATURES);
}

#[test]
fn tar() {
    support::replay(&host::TAR);
}

#[test]
fn memory_is_counted() {
    support::assert_memory_is_counted();
}

#[test]
fn no_target_is_left_out() {
    support::assert_none_is_left_out("fuzz::host::", &host::ALL.map(|target| target.name));
}
