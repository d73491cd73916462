//! Compiles the guests that ship with the program and says where they are.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use oc_mirror_guest_build::GuestBuild;

/// The guests that are part of the program, by the names of their packages.
const BUILTINS: [&str; 8] = [
    "oc-mirror-plugin-additional",
    "oc-mirror-plugin-allow-registries",
    "oc-mirror-plugin-block",
    "oc-mirror-plugin-helm",
    "oc-mirror-plugin-limits",
    "oc-mirror-plugin-operator",
    "oc-mirror-plugin-release",
    "oc-mirror-plugin-require-signature",
];

fn main() {
    let root = PathBuf::from(env("CARGO_MANIFEST_DIR")).join("../..");
    let out = PathBuf::from(env("OUT_DIR"));
    for watched in ["plugins/Cargo.toml", "plugins/Cargo.lock", "wit"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    let build = GuestBuild {
        manifest_dir: root.join("plugins"),
        target_dir: guest_target(&out),
        packages: BUILTINS.map(str::to_owned).to_vec(),
    };
    let guests = match build.build() {
        Ok(guests) => guests,
        Err(error) => fail(&error),
    };
    let mut table = String::from("pub(crate) const BUILTINS: &[(&str, &[u8])] = &[\n");
    for guest in &guests {
        for input in &guest.inputs {
            println!("cargo::rerun-if-changed={}", input.display());
        }
        writeln!(table, "    ({:?}, include_bytes!({:?})),", guest.name, guest.path)
            .expect("a string takes it");
    }
    table.push_str("];\n");
    std::fs::write(out.join("builtins.rs"), table).expect("cargo's output directory can be written to");
}

/// One directory for all profiles: guests are always compiled in the same way.
///
/// `OUT_DIR` is `<target>[/<triple>]/<profile>/build/<package>/out`; `<target>` is where cargo put its tag.
fn guest_target(out: &Path) -> PathBuf {
    let tagged = out.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file());
    tagged.or(out.ancestors().nth(4)).unwrap_or(out).join("guests")
}

fn env(name: &str) -> String {
    std::env::var(name).expect("cargo sets it for build scripts")
}

fn fail(error: &dyn std::error::Error) -> ! {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        write!(text, ": {cause}").expect("a string takes it");
        source = cause.source();
    }
    for line in text.lines() {
        println!("cargo::error=the built-in plugins cannot be compiled: {line}");
    }
    std::process::exit(1);
}
