//! The rules for packages of others: their licences, where they come from, which are not wanted, and how many the
//! program may be made of. `deny.toml` says the same and more to cargo-deny; this needs nothing but cargo.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::run::{Tool, guest_workspaces};
use crate::{Outcome, spdx};

/// Licences that code under Apache-2.0 may be combined with and shipped under.
const LICENCES: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
];

/// Packages under another licence, each with the one it may have.
///
/// Code under the LGPL may be shipped in a program whose users can put another version of it in its place. All of this
/// program's source is published under Apache-2.0, so whoever wants to can build it with another sequoia-openpgp.
const EXCEPTIONS: [(&str, &str); 2] =
    [("sequoia-openpgp", "LGPL-2.0-or-later"), ("buffered-reader", "LGPL-2.0-or-later")];

/// The program is one static file: no TLS or compression library of the machine, and no second copy of either.
const UNWANTED: [&str; 8] = [
    "openssl",
    "openssl-sys",
    "native-tls",
    "aws-lc-sys",
    "curl-sys",
    "libgit2-sys",
    "libz-sys",
    "zlib-ng-sys",
];

/// How many packages the program may consist of, ours included.
///
/// Every one of them runs with the registries' credentials and crosses the air gap, so somebody should notice when a
/// library brings thirty more. It was 298 when this was written, most of them from wasmtime, reqwest and schemars.
/// sequoia-openpgp brings a hundred, one for each algorithm that OpenPGP knows; none of them touches network or disk. kube
/// brings thirty, object_store eight, beside what was there; bcrypt, and certificates that `serve` makes for itself, twenty. The
/// rest is room for a library or two.
const MOST: usize = 470;

/// The only place packages come from.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Checks the program's workspace and those of the guests.
pub(crate) fn check() -> Outcome {
    let host = Graph::of(Path::new("Cargo.toml"))?;
    let mut problems = host.problems("oc-mirror", MOST);
    println!("    oc-mirror is made of {} packages, at most {MOST} allowed", host.tree("oc-mirror").len());
    for manifest in guest_workspaces() {
        problems.extend(Graph::of(&manifest)?.package_problems());
    }
    problems.sort();
    problems.dedup();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// What `cargo metadata` says.
struct Graph {
    packages: BTreeMap<String, Package>,
}

struct Package {
    name: String,
    version: String,
    licence: Option<String>,
    source: Option<String>,
    /// The packages it is made of: neither build scripts' nor tests'.
    normal: Vec<String>,
}

impl Graph {
    fn of(manifest: &Path) -> Result<Self, String> {
        let version = Tool::new("rustc").args(["-vV"]).output()?;
        let triple = version.lines().find_map(|line| line.strip_prefix("host: "));
        let triple = triple.ok_or("`rustc -vV` names no host")?;
        let text = Tool::cargo()
            .args(["metadata", "--locked", "--format-version", "1", "--filter-platform", triple])
            .args(["--manifest-path"])
            .path(manifest)
            .output()?;
        let value = serde_json::from_str(&text).map_err(|e| format!("cargo metadata: {e}"))?;
        Ok(Self::read(&value))
    }

    fn read(metadata: &Value) -> Self {
        let mut packages = BTreeMap::new();
        for package in list(&metadata["packages"]) {
            let text = |key: &str| package[key].as_str().map(String::from);
            packages.insert(
                text("id").unwrap_or_default(),
                Package {
                    name: text("name").unwrap_or_default(),
                    version: text("version").unwrap_or_default(),
                    licence: text("license"),
                    source: text("source"),
                    normal: Vec::new(),
                },
            );
        }
        for node in list(&metadata["resolve"]["nodes"]) {
            let is_normal = |dep: &&Value| list(&dep["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
            let normal = list(&node["deps"]).iter().filter(is_normal);
            let ids = normal.filter_map(|dep| dep["pkg"].as_str().map(String::from)).collect();
            if let Some(package) = node["id"].as_str().and_then(|id| packages.get_mut(id)) {
                package.normal = ids;
            }
        }
        Self { packages }
    }

    /// Returns the identities of all packages a program consists of.
    fn tree(&self, program: &str) -> BTreeSet<&str> {
        let start = self.packages.iter().filter(|(_, package)| package.name == program);
        let mut waiting: Vec<&str> = start.map(|(id, _)| id.as_str()).collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = waiting.pop() {
            if let Some(package) = self.packages.get(id)
                && seen.insert(id)
            {
                waiting.extend(package.normal.iter().map(String::as_str));
            }
        }
        seen
    }

    fn problems(&self, program: &str, most: usize) -> Vec<String> {
        let mut problems = self.package_problems();
        let tree = self.tree(program);
        for package in tree.iter().filter_map(|id| self.packages.get(*id)) {
            if UNWANTED.contains(&package.name.as_str()) {
                problems.push(format!("package `{}` is not wanted in `{program}`", package.name));
            }
        }
        if tree.is_empty() {
            problems.push(format!("there is no package `{program}`"));
        }
        if tree.len() > most {
            problems.push(format!(
                "`{program}` is made of {} packages, more than the {most} allowed",
                tree.len()
            ));
        }
        problems
    }

    /// Licences and origins, which matter for tools and tests as well.
    fn package_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for package in self.packages.values() {
            let name = format!("{} {}", package.name, package.version);
            if package.source.as_deref().is_some_and(|source| source != CRATES_IO) {
                problems.push(format!("package `{name}` does not come from crates.io"));
            }
            let Some(licence) = &package.licence else {
                problems.push(format!("package `{name}` names no licence"));
                continue;
            };
            let accept = |licence: &str| {
                LICENCES.contains(&licence) || EXCEPTIONS.contains(&(package.name.as_str(), licence))
            };
            match spdx::allows(licence, &accept) {
                Ok(true) => {}
                Ok(false) => problems.push(format!("licence `{licence}` of package `{name}` is not allowed")),
                Err(e) => problems.push(format!("package `{name}`: {e}")),
            }
        }
        problems
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, licence: &str, source: Option<&str>) -> Value {
        json!({ "id": name, "name": name, "version": "1.0.0", "license": licence, "source": source })
    }

    fn dep(name: &str, kind: Option<&str>) -> Value {
        json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] })
    }

    fn sample(dependency: Value) -> Graph {
        Graph::read(&json!({
            "packages": [package("program", "Apache-2.0", None), dependency, package("tool", "MIT", Some(CRATES_IO))],
            "resolve": { "nodes": [
                { "id": "program", "deps": [dep("lib", None), dep("tool", Some("build"))] },
                { "id": "lib", "deps": [] },
                { "id": "tool", "deps": [] },
            ] },
        }))
    }

    #[test]
    fn counts_normal_dependencies_only() {
        let graph = sample(package("lib", "MIT OR Apache-2.0", Some(CRATES_IO)));
        assert_eq!(graph.tree("program").len(), 2);
        assert!(graph.problems("program", 2).is_empty());
        assert_eq!(
            graph.problems("program", 1),
            ["`program` is made of 2 packages, more than the 1 allowed"]
        );
        assert_eq!(graph.problems("other", 1), ["there is no package `other`"]);
    }

    #[test]
    fn refuses_licences_and_places() {
        let graph = sample(package("lib", "GPL-3.0-only", Some("git+https://example.com/lib")));
        assert_eq!(
            graph.package_problems(),
            [
                "package `lib 1.0.0` does not come from crates.io",
                "licence `GPL-3.0-only` of package `lib 1.0.0` is not allowed"
            ]
        );
    }

    #[test]
    fn exceptions_are_for_one_package() {
        let lgpl = |name| {
            let mut graph = sample(package("lib", "LGPL-2.0-or-later", Some(CRATES_IO)));
            graph.packages.get_mut("lib").unwrap().name = String::from(name);
            graph.package_problems()
        };
        assert!(lgpl("sequoia-openpgp").is_empty());
        assert_eq!(
            lgpl("another"),
            ["licence `LGPL-2.0-or-later` of package `another 1.0.0` is not allowed"]
        );
    }

    #[test]
    fn refuses_unwanted_packages() {
        let mut graph = sample(package("lib", "MIT", Some(CRATES_IO)));
        graph.packages.get_mut("lib").unwrap().name = "openssl-sys".to_string();
        assert_eq!(graph.problems("program", 9), ["package `openssl-sys` is not wanted in `program`"]);
    }
}
