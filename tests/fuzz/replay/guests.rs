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
    let before = memory::held();
    let held = memory::within(1 << 20, || vec![0_u8; 100_000]);
    assert!(memory::peak(before) >= 100_000);
    drop(held);
}

#[test]
fn no_target_is_left_out() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/fuzz_targets");
    let sources = std::fs::read_dir(here).expect("the targets").flatten().map(|entry| entry.path());
    let mine = sources
        .filter(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("fuzz::guests::")));
    let mut names: Vec<String> =
        mine.filter_map(|path| path.file_stem()?.to_str().map(str::to_owned)).collect();
    names.sort();
    assert_eq!(names, guests::ALL.map(|target| target.name));
}
