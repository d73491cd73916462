//! The inventory of the program, CycloneDX 1.6 in JSON: [`Bom`]. What is linked into it, and what into the plugins that it has inside.
//!
//! It is made of `cargo tree`, which resolves features as the build does, and of the checksums in `Cargo.lock`. Build scripts,
//! macros and tests are not in the program and not in the inventory. Equal sources make equal inventories.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::run::{Tool, root};

/// The plugins that are part of the program are compiled for this.
const GUEST: &str = "wasm32-unknown-unknown";

/// A package that is linked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Package {
    name: String,
    version: String,
    licence: String,
    repository: String,
    /// Whether its source is in this repository.
    is_ours: bool,
    /// SHA-256 of its archive.
    checksum: Option<String>,
}

impl Package {
    /// Returns what identifies it among others.
    fn id(&self) -> String {
        format!("pkg:cargo/{}@{}", self.name, self.version)
    }
}

/// Packages by identity, with what each needs directly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bom {
    packages: BTreeMap<String, Package>,
    edges: BTreeMap<String, BTreeSet<String>>,
}

/// What a release is.
pub(super) struct Release<'a> {
    /// The target's triple.
    pub(super) target: &'a str,
    /// SHA-256 of the program.
    pub(super) sha256: &'a str,
    /// What `rustc --version` says.
    pub(super) rustc: &'a str,
    /// RFC 3339.
    pub(super) timestamp: Option<&'a str>,
}

impl Bom {
    /// Asks cargo what the program consists of, built for a target.
    pub(super) fn of_program(target: &str) -> Result<Self, String> {
        let mut bom = Self::default();
        bom.add(&root().join("Cargo.toml"), "oc-mirror", target)?;
        for guest in guests()? {
            bom.add(&root().join("plugins/Cargo.toml"), &guest, GUEST)?;
            // The program has it inside.
            let version = bom.packages.values().find(|package| package.name == guest).map(Package::id);
            let program = bom.packages.values().find(|package| package.name == "oc-mirror-plugin-host");
            let (Some(guest), Some(program)) = (version, program.map(Package::id)) else {
                return Err(format!("cargo tree does not name `{guest}`"));
            };
            bom.edges.entry(program).or_default().insert(guest);
        }
        Ok(bom)
    }

    fn add(&mut self, manifest: &Path, package: &str, target: &str) -> Result<(), String> {
        let tree = Tool::cargo()
            .args(["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "depth"])
            .args(["--format", "{p}|{l}|{r}", "--target", target, "--package", package])
            .args(["--manifest-path"])
            .path(manifest)
            .output()?;
        let lock = manifest.with_extension("lock");
        let lock = std::fs::read_to_string(&lock).map_err(|e| format!("{}: {e}", lock.display()))?;
        self.read(&tree, &checksums(&lock))
    }

    /// Reads what `cargo tree --prefix depth` prints: a package stands behind what needs it, one level deeper.
    fn read(&mut self, tree: &str, checksums: &BTreeMap<(String, String), String>) -> Result<(), String> {
        let mut above: Vec<String> = Vec::new();
        for line in tree.lines().filter(|line| !line.is_empty()) {
            let unknown = || format!("`cargo tree` prints a line that is not known: `{line}`");
            let text = line.trim_start_matches(|c: char| c.is_ascii_digit());
            let depth: usize = line[..line.len() - text.len()].parse().map_err(|_| unknown())?;
            let [named, licence, repository] = text.splitn(3, '|').collect::<Vec<_>>()[..] else {
                return Err(unknown());
            };
            let mut words = named.split(' ');
            let name = words.next().unwrap_or_default().to_owned();
            let version =
                words.next().and_then(|word| word.strip_prefix('v')).ok_or_else(unknown)?.to_owned();
            let checksum = checksums.get(&(name.clone(), version.clone())).cloned();
            let package = Package {
                is_ours: named.contains(" (/"),
                licence: expression(licence),
                repository: repository.trim_end_matches(" (*)").to_owned(),
                checksum,
                name,
                version,
            };
            if package.is_ours == package.checksum.is_some() {
                return Err(format!(
                    "`{}` is neither of this repository nor has it a checksum",
                    package.id()
                ));
            }
            let id = package.id();
            above.truncate(depth);
            if above.len() != depth {
                return Err(unknown());
            }
            if let Some(parent) = above.last() {
                self.edges.entry(parent.clone()).or_default().insert(id.clone());
            }
            self.packages.insert(id.clone(), package);
            above.push(id);
        }
        Ok(())
    }

    /// Returns how many packages there are.
    pub(super) fn len(&self) -> usize {
        self.packages.len()
    }

    /// Returns which of these packages, each `name-version`, are not in it.
    pub(super) fn lacks<'a>(&self, found: &'a BTreeSet<String>) -> Vec<&'a String> {
        let known: BTreeSet<String> =
            self.packages.values().map(|package| format!("{}-{}", package.name, package.version)).collect();
        found.iter().filter(|name| !known.contains(*name)).collect()
    }

    /// Makes the document.
    pub(super) fn document(&self, release: &Release<'_>) -> Value {
        let mut packages = self.packages.clone();
        let program = packages.values().find(|package| package.name == "oc-mirror").cloned();
        let (id, version) = program.map(|p| (p.id(), p.version)).unwrap_or_default();
        packages.remove(&id);
        let mut components: Vec<Value> = packages.values().map(component).collect();
        components.push(json!({
            "type": "library",
            "bom-ref": "rust-std",
            "name": "rust-std",
            "version": release.rustc,
            "licenses": [{ "expression": "MIT OR Apache-2.0" }],
        }));
        let mut edges = self.edges.clone();
        edges.entry(id.clone()).or_default().insert("rust-std".to_owned());
        let dependencies: Vec<Value> =
            edges.iter().map(|(id, needs)| json!({ "ref": id, "dependsOn": needs })).collect();
        let mut metadata = json!({
            "component": {
                "type": "application",
                "bom-ref": id,
                "name": "oc-mirror",
                "version": version,
                "licenses": [{ "expression": "Apache-2.0" }],
                "hashes": [{ "alg": "SHA-256", "content": release.sha256 }],
                "properties": [{ "name": "oc-mirror:target", "value": release.target }],
            },
            "tools": { "components": [{ "type": "application", "name": "cargo xtask release", "version": version }] },
        });
        if let Some(timestamp) = release.timestamp {
            metadata["timestamp"] = timestamp.into();
        }
        let mut document = json!({
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": metadata,
            "components": components,
            "dependencies": dependencies,
        });
        document["serialNumber"] = format!("urn:uuid:{}", uuid_of(&document)).into();
        document
    }
}

fn component(package: &Package) -> Value {
    let mut value = json!({
        "type": "library",
        "bom-ref": package.id(),
        "name": package.name,
        "version": package.version,
    });
    if !package.licence.is_empty() {
        value["licenses"] = json!([{ "expression": package.licence }]);
    }
    if let Some(checksum) = &package.checksum {
        value["purl"] = package.id().into();
        value["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    if !package.repository.is_empty() {
        value["externalReferences"] = json!([{ "type": "vcs", "url": package.repository }]);
    }
    value
}

/// Writes the older `A/B` as an expression of SPDX.
fn expression(licence: &str) -> String {
    licence.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ")
}

/// Makes a UUID (version 8) of what a document says, so that it changes with that and with nothing else.
fn uuid_of(document: &Value) -> String {
    let mut bytes: [u8; 32] = Sha256::digest(document.to_string()).into();
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Reads the checksums of a `Cargo.lock`, by name and version. What is of this repository has none.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
        line.and_then(|rest| rest.strip_suffix('"')).map(str::to_owned)
    };
    let blocks = lock.split("[[package]]").skip(1);
    blocks
        .filter_map(|block| {
            Some(((value(block, "name")?, value(block, "version")?), value(block, "checksum")?))
        })
        .collect()
}

/// Returns the packages of the plugins that are part of the program, as its build script names them.
fn guests() -> Result<Vec<String>, String> {
    let path = root().join("host/plugin-host/build.rs");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let list = text.split_once("const BUILTINS").and_then(|(_, rest)| rest.split_once("];"));
    let names: Vec<String> = list
        .map(|(list, _)| list.split('"').filter(|word| word.starts_with("oc-mirror-plugin-")))
        .into_iter()
        .flatten()
        .map(str::to_owned)
        .collect();
    if names.is_empty() { Err(format!("{} names no plugins", path.display())) } else { Ok(names) }
}

/// Finds the packages whose code is in a program: the compiler writes the paths of their files into it, for messages of panics.
/// `registry` is what stands in these paths for cargo's directory of sources.
pub(super) fn packages_in(program: &[u8], registry: &str) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(program);
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    let name = |rest: &str| {
        // The directory of the registry's index comes first.
        let rest = rest.trim_start_matches('/').split_once('/')?.1;
        let name = rest.split('/').next()?;
        (name.contains('-') && !name.is_empty() && name.chars().all(is_name)).then(|| name.to_owned())
    };
    text.match_indices(registry).filter_map(|(at, _)| name(&text[at + registry.len()..])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "\
0oc-mirror v0.1.0 (/work/host/cli)|Apache-2.0|https://example.com/oc-mirror
1a v1.0.0|MIT/Apache-2.0|https://example.com/a
2b v2.0.0+x|MIT|
1oc-mirror-plugin-host v0.1.0 (/work/host/plugin-host)|Apache-2.0|
2a v1.0.0|MIT/Apache-2.0|https://example.com/a (*)
";
    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"registry+x\"\nchecksum = \"aa\"\n\
        dependencies = [\n \"b\",\n]\n\n[[package]]\nname = \"b\"\nversion = \"2.0.0+x\"\nchecksum = \"bb\"\n\n\
        [[package]]\nname = \"oc-mirror\"\nversion = \"0.1.0\"\n";

    fn bom() -> Bom {
        let mut bom = Bom::default();
        bom.read(TREE, &checksums(LOCK)).expect("a tree");
        bom
    }

    fn release() -> Release<'static> {
        Release { target: "t", sha256: "ff", rustc: "rustc 1.95.0", timestamp: None }
    }

    #[test]
    fn what_a_tree_says_is_in_the_document() {
        let bom = bom();
        assert_eq!(bom.len(), 4);
        let document = bom.document(&release());
        let a = &document["components"][0];
        assert_eq!(
            (a["purl"].as_str(), a["hashes"][0]["content"].as_str()),
            (Some("pkg:cargo/a@1.0.0"), Some("aa"))
        );
        assert_eq!(a["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(a["externalReferences"][0]["url"], "https://example.com/a");
        assert_eq!(document["metadata"]["component"]["hashes"][0]["content"], "ff");
        let needs = |id: &str| {
            let list = document["dependencies"].as_array().expect("a list");
            list.iter().find(|entry| entry["ref"] == id).map(|entry| entry["dependsOn"].clone())
        };
        assert_eq!(
            needs("pkg:cargo/oc-mirror@0.1.0"),
            Some(json!(["pkg:cargo/a@1.0.0", "pkg:cargo/oc-mirror-plugin-host@0.1.0", "rust-std"]))
        );
        assert_eq!(needs("pkg:cargo/a@1.0.0"), Some(json!(["pkg:cargo/b@2.0.0+x"])));
        // Every name that is pointed to is there.
        let refs: BTreeSet<&str> = document["components"]
            .as_array()
            .expect("a list")
            .iter()
            .chain([&document["metadata"]["component"]])
            .filter_map(|component| component["bom-ref"].as_str())
            .collect();
        for entry in document["dependencies"].as_array().expect("a list") {
            for id in entry["dependsOn"].as_array().expect("a list").iter().chain([&entry["ref"]]) {
                assert!(refs.contains(id.as_str().expect("text")), "{id}");
            }
        }
    }

    #[test]
    fn the_same_makes_the_same_and_nothing_else_does() {
        let (one, again) = (bom().document(&release()), bom().document(&release()));
        assert_eq!(one, again);
        let other = bom().document(&Release { sha256: "fe", ..release() });
        assert_ne!(one["serialNumber"], other["serialNumber"]);
    }

    #[test]
    fn a_package_from_nowhere_is_an_error() {
        let error = Bom::default().read("0git v1.0.0|MIT|\n", &checksums(LOCK)).expect_err("no checksum");
        assert!(error.contains("pkg:cargo/git@1.0.0"), "{error}");
        assert!(Bom::default().read("no tree\n", &BTreeMap::new()).is_err());
        assert!(Bom::default().read("0a v1.0.0|MIT|\n2b v2.0.0+x|MIT|\n", &checksums(LOCK)).is_err());
    }

    #[test]
    fn code_of_packages_is_found_in_a_program() {
        let program = b"\x7fELF/registry/index.crates.io-1949cf8c6b5b557f/a-1.0.0/src/lib.rs\0\
            /registry/index.crates.io-1949cf8c6b5b557f/c-3.0.0/src/lib.rs\xff/registry/x";
        let found = packages_in(program, "/registry");
        assert_eq!(found.iter().collect::<Vec<_>>(), ["a-1.0.0", "c-3.0.0"]);
        assert_eq!(bom().lacks(&found), ["c-3.0.0"]);
    }

    #[test]
    fn the_plugins_inside_are_known() {
        let guests = guests().expect("the build script names them");
        assert!(guests.len() >= 8 && guests.contains(&"oc-mirror-plugin-block".to_owned()), "{guests:?}");
    }

    #[test]
    fn the_program_itself() {
        let bom = Bom::of_program("x86_64-unknown-linux-gnu").expect("cargo knows");
        let has = |name: &str| bom.packages.values().any(|package| package.name == name);
        // Of the host, of a plugin, and of neither but of tests.
        assert!(has("reqwest") && has("oc-mirror-plugin-operator") && has("wit-bindgen"));
        assert!(!has("insta") && !has("rstest") && !has("cc"));
        assert!(bom.packages.values().all(|package| package.is_ours || package.checksum.is_some()));
    }
}
