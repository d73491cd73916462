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
    let before = memory::held();
    let held = memory::within(1 << 20, || vec![0_u8; 100_000]);
    assert!(memory::peak(before) >= 100_000);
    drop(held);
}

#[test]
fn no_target_is_left_out() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/fuzz_targets");
    let sources = std::fs::read_dir(here).expect("the targets").flatten().map(|entry| entry.path());
    let mine =
        sources.filter(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("fuzz::host::")));
    let mut names: Vec<String> =
        mine.filter_map(|path| path.file_stem()?.to_str().map(str::to_owned)).collect();
    names.sort();
    assert_eq!(names, host::ALL.map(|target| target.name));
}
