//! Compiles a guest, or all guests of a workspace, and says where the components are and what they import:
//!
//! ```sh
//! cargo run -p oc-mirror-guest-build --example build-guest -- DIRECTORY [TARGET-DIRECTORY]
//! ```
#![allow(clippy::print_stdout)]

use std::path::PathBuf;

use oc_mirror_guest_build::GuestBuild;
use wit_component::DecodedWasm;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let manifest_dir = args.next().ok_or("usage: build-guest DIRECTORY [TARGET-DIRECTORY]")?;
    let manifest_dir = std::path::absolute(manifest_dir)?;
    let target_dir = args.next().map_or_else(|| Ok(manifest_dir.join("target")), std::path::absolute)?;
    for guest in (GuestBuild { manifest_dir, target_dir, packages: vec![] }).build()? {
        let component = std::fs::read(&guest.path)?;
        println!("{} ({} bytes)", guest.path.display(), component.len());
        for import in imports(&component)? {
            println!("    imports {import}");
        }
    }
    Ok(())
}

fn imports(component: &[u8]) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component)? else {
        return Err("not a component".into());
    };
    Ok(resolve.worlds[world].imports.keys().map(|key| resolve.name_world_key(key)).collect())
}
