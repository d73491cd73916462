//! Compiles WebAssembly guests into components with whichever toolchain is at hand.
//!
//! [`GuestBuild`] runs cargo on the crates of a workspace, turns each core module into a component and embeds the
//! crate's `plugin.toml` as [`PluginMeta`]. [`ScriptBuild`] does the same for one project in Python or JavaScript, with the
//! tools of these languages. [`GuestBuild`] is called from build scripts, tests and tasks, so it hands a clean
//! environment to the cargo it starts. It prints nothing and knows no particular plugin.

mod component;
mod error;
mod meta;
mod scripted;
mod toolchain;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use component::{META_SECTION, componentize, embed_meta, read_meta};
pub use error::GuestBuildError;
pub use meta::{CAPABILITIES, ID_RULE, PluginMeta, Resources, STAGES, WIT_VERSION, WORLDS, is_id};
pub use scripted::{Language, ScriptBuild};
pub use toolchain::Toolchain;

/// The contract that guests are built against, as text.
pub const CONTRACT: &str = include_str!("../../../wit/plugin.wit");

/// Which guests to compile, and where to.
#[derive(Clone, Debug)]
pub struct GuestBuild {
    /// The directory with the `Cargo.toml` of the guests' workspace, or of a single guest.
    pub manifest_dir: PathBuf,
    /// Cargo's target directory; the components go to `components/` below it.
    pub target_dir: PathBuf,
    /// The cargo packages to compile. None: every member that has a `plugin.toml`.
    pub packages: Vec<String>,
}

/// A component on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltGuest {
    /// The plugin's `id`.
    pub name: String,
    /// The component: `<target_dir>/components/<name>.wasm`.
    pub path: PathBuf,
    /// What is embedded in it.
    pub meta: PluginMeta,
    /// Every file of the guest's workspace it was made of, for `cargo::rerun-if-changed`.
    pub inputs: Vec<PathBuf>,
}

/// The part of `cargo metadata` that is of use here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

impl Package {
    fn dir(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(Path::new(""))
    }

    fn plugin_toml(&self) -> PathBuf {
        self.dir().join("plugin.toml")
    }

    /// The file name, without extension, of the core module.
    fn module_name(&self) -> Option<String> {
        let cdylib = self.targets.iter().find(|t| t.crate_types.iter().any(|c| c == "cdylib"))?;
        Some(cdylib.name.replace('-', "_"))
    }
}

impl GuestBuild {
    /// Compiles the guests and returns them in the order of their names.
    ///
    /// A component that comes out as it was is left untouched, modification time included.
    pub fn build(&self) -> Result<Vec<BuiltGuest>, GuestBuildError> {
        let toolchain = Toolchain::find(&self.manifest_dir)?;
        let metadata = self.metadata(&toolchain)?;
        let packages = self.select(&metadata)?;
        toolchain.compile(
            &self.manifest_dir,
            &self.target_dir,
            &packages.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(),
        )?;
        let mut built = packages
            .into_iter()
            .map(|package| self.finish(&metadata.workspace_root, package))
            .collect::<Result<Vec<_>, _>>()?;
        built.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(built)
    }

    fn metadata(&self, toolchain: &Toolchain) -> Result<Metadata, GuestBuildError> {
        let text = toolchain.metadata(&self.manifest_dir)?;
        serde_json::from_slice(&text)
            .map_err(|source| GuestBuildError::Metadata { dir: self.manifest_dir.clone(), source })
    }

    fn select<'a>(&self, metadata: &'a Metadata) -> Result<Vec<&'a Package>, GuestBuildError> {
        if self.packages.is_empty() {
            return Ok(metadata.packages.iter().filter(|p| p.plugin_toml().is_file()).collect());
        }
        let wanted: BTreeSet<&str> = self.packages.iter().map(String::as_str).collect();
        wanted
            .into_iter()
            .map(|name| {
                metadata.packages.iter().find(|p| p.name == name).ok_or_else(|| {
                    GuestBuildError::UnknownPackage { name: name.to_owned(), dir: self.manifest_dir.clone() }
                })
            })
            .collect()
    }

    /// Turns one core module into a component with its metadata.
    fn finish(&self, workspace_root: &Path, package: &Package) -> Result<BuiltGuest, GuestBuildError> {
        let manifest = package.plugin_toml();
        let (meta, schema) = PluginMeta::read(&manifest, Some(&package.version))?;
        let module = package
            .module_name()
            .ok_or_else(|| GuestBuildError::NotAGuest { package: package.name.clone() })?;
        let core = self.target_dir.join("wasm32-unknown-unknown/release").join(format!("{module}.wasm"));
        let bytes =
            std::fs::read(&core).map_err(|source| GuestBuildError::Io { path: core.clone(), source })?;
        let component = componentize(&bytes, &meta)?;
        let path = self.target_dir.join("components").join(format!("{}.wasm", meta.id));
        component::write_if_changed(&path, &component)?;

        let mut inputs: BTreeSet<PathBuf> = toolchain::dep_info(&core.with_extension("d"))?;
        inputs.extend([manifest, package.manifest_path.clone()]);
        inputs.extend(schema);
        let shared = [workspace_root.join("Cargo.toml"), workspace_root.join("Cargo.lock")];
        inputs.extend(shared.into_iter().filter(|p| p.is_file()));
        Ok(BuiltGuest { name: meta.id.clone(), path, meta, inputs: inputs.into_iter().collect() })
    }
}
