//! Builds real guests with the compiler at hand. The first run compiles the standard library and takes a while.
#![allow(clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::Command;

use oc_mirror_guest_build::{GuestBuild, GuestBuildError, Toolchain, read_meta};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("two directories down").to_owned()
}

/// Where guests are built: one place below cargo's target directory, so that the standard library is compiled once.
fn target_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("guests")
}

fn has_compiler() -> bool {
    let found = Toolchain::find(&repository()).is_ok();
    if !found {
        eprintln!("skipped: no compiler for wasm32-unknown-unknown");
    }
    found
}

fn build(
    manifest_dir: PathBuf,
    target_dir: PathBuf,
    packages: &[&str],
) -> Result<Vec<Vec<u8>>, GuestBuildError> {
    let packages = packages.iter().map(|p| (*p).to_owned()).collect();
    let built = GuestBuild { manifest_dir, target_dir, packages }.build()?;
    Ok(built.iter().map(|guest| std::fs::read(&guest.path).expect("the component is there")).collect())
}

/// The interfaces that a component imports.
fn imports(component: &[u8]) -> Vec<String> {
    let wit_component::DecodedWasm::Component(resolve, world) =
        wit_component::decode(component).expect("a component")
    else {
        panic!("a component")
    };
    resolve.worlds[world].imports.keys().map(|key| resolve.name_world_key(key)).collect()
}

#[test]
fn the_plugins_that_ship() {
    if !has_compiler() {
        return;
    }
    let target_dir = target_dir();
    let built = GuestBuild {
        manifest_dir: repository().join("plugins"),
        target_dir: target_dir.clone(),
        packages: vec![],
    }
    .build()
    .expect("built");
    let names: Vec<_> = built.iter().map(|guest| guest.name.as_str()).collect();
    assert!(names.contains(&"additional") && names.contains(&"block"), "{names:?}");
    let mut components = Vec::new();
    for guest in &built {
        assert_eq!(guest.path, target_dir.join("components").join(format!("{}.wasm", guest.name)));
        let component = std::fs::read(&guest.path).expect("there");
        let meta: serde_json::Value =
            serde_json::from_slice(read_meta(&component).expect("embedded")).expect("json");
        assert_eq!(meta["id"], guest.name);
        assert!(meta["settingsSchema"].is_object());
        let strange: Vec<_> =
            imports(&component).into_iter().filter(|i| !i.starts_with("oc-mirror:plugin/")).collect();
        assert!(strange.is_empty(), "{} imports {strange:?}", guest.name);
        let inputs = |end: &str| guest.inputs.iter().any(|path| path.ends_with(end));
        for end in ["wit/plugin.wit", "sdk/src/lib.rs", "plugin.toml", "settings.schema.json", "Cargo.lock"] {
            assert!(inputs(end), "{end} is not among {:?}", guest.inputs);
        }
        let text = String::from_utf8_lossy(&component);
        for private in [repository(), target_dir.clone()] {
            assert!(
                !text.contains(&*private.to_string_lossy()),
                "{} names {}",
                guest.name,
                private.display()
            );
        }
        components.push(component);
    }
    the_same_bytes_from_another_directory(&components);
}

/// Not a test of its own: two builds at once in one target directory would take each other's files.
fn the_same_bytes_from_another_directory(here: &[Vec<u8>]) {
    let elsewhere = tempfile::tempdir().expect("a directory");
    for dir in ["plugins", "wit"] {
        let done = Command::new("cp")
            .arg("-r")
            .args([repository().join(dir), elsewhere.path().join(dir)])
            .status()
            .expect("cp is there");
        assert!(done.success());
    }
    let there = build(elsewhere.path().join("plugins"), target_dir(), &[]).expect("built");
    assert!(here == there, "the components differ");
}

#[test]
fn the_hostile_guests() {
    if !has_compiler() {
        return;
    }
    let packages = ["oc-mirror-guest-odd", "oc-mirror-guest-wasi"];
    let built = build(repository().join("tests/guests"), target_dir(), &packages).expect("built");
    assert_eq!(built.len(), 2);
    let wasi: Vec<_> = imports(&built[1]).into_iter().filter(|i| i.starts_with("wasi:")).collect();
    assert!(wasi.iter().any(|i| i.starts_with("wasi:filesystem/preopens@")), "{wasi:?}");
}

#[test]
fn the_examples() {
    if !has_compiler() {
        return;
    }
    for (dir, name) in
        [("policies/deny-label", "deny-label"), ("sources/list", "list"), ("sources/tags", "tags")]
    {
        let manifest_dir = repository().join("examples").join(dir);
        let built =
            GuestBuild { manifest_dir, target_dir: target_dir(), packages: vec![] }.build().expect("built");
        assert_eq!(built.iter().map(|guest| guest.name.as_str()).collect::<Vec<_>>(), [name]);
    }
}

#[test]
fn mistakes_are_named() {
    if !has_compiler() {
        return;
    }
    let unknown = build(repository().join("plugins"), target_dir(), &["no-such"]).expect_err("unknown");
    assert!(
        matches!(&unknown, GuestBuildError::UnknownPackage { name, .. } if name == "no-such"),
        "{unknown}"
    );
    let library = build(repository().join("plugins"), target_dir(), &["oc-mirror-plugin-sdk"]);
    assert!(library.is_err(), "the SDK is not a plugin");

    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(dir.path().join("src")).expect("made");
    // With another profile the standard library would be compiled once more.
    let manifest = r#"
        [package]
        name = "broken"
        edition = "2024"
        [lib]
        crate-type = ["cdylib"]
        [workspace]
        [profile.release]
        opt-level = "s"
        lto = "fat"
        codegen-units = 1
        panic = "abort"
        strip = true
    "#;
    std::fs::write(dir.path().join("Cargo.toml"), manifest).expect("written");
    std::fs::write(dir.path().join("src/lib.rs"), "fn broken() -> u8 { \"text\" }").expect("written");
    let error =
        build(dir.path().to_owned(), target_dir(), &["broken"]).expect_err("does not compile").to_string();
    assert!(error.contains("mismatched types") && error.contains("cargo build --release"), "{error}");
}
