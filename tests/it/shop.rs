//! [`Shop`]: a source registry with catalogs of operators in it, and [`Pulled`], a catalog as skopeo pulls it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use oc_mirror_testkit::{CatalogBuilder, Fbc, Image, ImageBuilder, Skopeo};
use serde_json::{Value, json};

use crate::lab::{Lab, read};

/// A lab whose source offers operators.
pub(crate) struct Shop {
    pub(crate) lab: Lab,
}

impl Shop {
    pub(crate) fn new() -> Self {
        Self { lab: Lab::new() }
    }

    /// Pushes a small image and returns its name by digest.
    pub(crate) fn image(&self, repository: &str, content: &str) -> String {
        let image = ImageBuilder::new().layer(&[("content", format!("{repository} {content}"))]).build();
        self.lab.push(&image, repository, &content.replace([' ', '+'], "-"));
        self.lab.source.reference(repository, &image.digest)
    }

    /// Adds a bundle of a version, with its image and one related image of its own, to a package.
    pub(crate) fn bundle(&self, fbc: Fbc, package: &str, version: &str) -> Fbc {
        self.bundle_with(fbc, package, version, Vec::new())
    }

    /// Adds a bundle with more properties.
    pub(crate) fn bundle_with(&self, fbc: Fbc, package: &str, version: &str, more: Vec<Value>) -> Fbc {
        let bundle = self.image(&format!("{package}/bundle"), version);
        let related = self.image(&format!("{package}/operator"), version);
        fbc.bundle_with(version, &bundle, &[&related], more)
    }

    /// The package `foo`, with the channel `stable` from 1.0.0 to 1.2.0, and `fast`, which goes on to 2.0.0.
    pub(crate) fn foo(&self) -> Fbc {
        let fbc = Fbc::new("foo", "stable")
            .chain("stable", &["foo.v1.2.0", "foo.v1.1.0", "foo.v1.0.0"])
            .chain("fast", &["foo.v2.0.0", "foo.v1.2.0"]);
        ["1.0.0", "1.1.0", "1.2.0", "2.0.0"].iter().fold(fbc, |fbc, version| self.bundle(fbc, "foo", version))
    }

    /// The package `bar`, of which `foo` needs nothing.
    pub(crate) fn bar(&self) -> Fbc {
        let fbc = Fbc::new("bar", "alpha").chain("alpha", &["bar.v0.2.0", "bar.v0.1.0"]);
        ["0.1.0", "0.2.0"].iter().fold(fbc, |fbc, version| self.bundle(fbc, "bar", version))
    }

    /// Pushes a catalog and returns its name by tag.
    pub(crate) fn catalog(&self, catalog: CatalogBuilder, repository: &str, tag: &str) -> (Image, String) {
        let image = catalog.build();
        let name = self.lab.push(&image, repository, tag);
        (image, name)
    }

    /// Pushes the catalog of `foo` and `bar` for two platforms.
    pub(crate) fn usual(&self) -> (Image, String) {
        let catalog = CatalogBuilder::new().docker().platforms(&["linux/amd64", "linux/arm64"]);
        self.catalog(catalog.package(&self.foo()).package(&self.bar()), "shop/index", "v4.20")
    }

    /// Writes `isc.yaml` with these catalogs.
    pub(crate) fn want(&self, operators: Value) {
        self.lab.configure_mirror(json!({ "operators": operators }));
    }

    /// Pulls a catalog from the target.
    pub(crate) fn pull(&self, repository: &str, tag: &str) -> Pulled {
        Pulled::from(&self.lab, &self.lab.target.reference(repository, tag))
    }
}

/// A catalog as skopeo pulled it.
pub(crate) struct Pulled {
    /// The configuration of the image.
    pub(crate) config: Value,
    /// The digests of its layers.
    pub(crate) layers: Vec<String>,
    /// The documents below `/configs`, by file.
    pub(crate) documents: BTreeMap<String, Vec<Value>>,
    /// All paths of the top layer.
    pub(crate) top: BTreeSet<String>,
    /// What is left below `/configs` and `/tmp` when the layers are put on top of each other.
    pub(crate) files: BTreeSet<String>,
}

impl Pulled {
    #[track_caller]
    fn from(lab: &Lab, reference: &str) -> Self {
        let dir = lab.path("pulled");
        let _ = std::fs::remove_dir_all(&dir);
        let to = format!("dir:{}", dir.display());
        Skopeo::new().copy(&["--src-tls-verify=false"], &format!("docker://{reference}"), &to);
        let manifest: Value = serde_json::from_slice(&read(&dir.join("manifest.json"))).expect("a manifest");
        let blob = |descriptor: &Value| {
            dir.join(descriptor["digest"].as_str().expect("a digest").replace("sha256:", ""))
        };
        let config = serde_json::from_slice(&read(&blob(&manifest["config"]))).expect("a configuration");
        let layers = manifest["layers"].as_array().expect("layers");
        let root = lab.path("root");
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(&root).expect("writable");
        let mut top = BTreeSet::new();
        for layer in layers {
            top = lay(&blob(layer), &root);
        }
        let mut files = BTreeSet::new();
        walk(&root, &root, &mut files);
        let mut documents = BTreeMap::new();
        for file in files.iter().filter(|f| f.starts_with("configs/")) {
            let text = read(&root.join(file));
            let parsed = serde_json::Deserializer::from_slice(&text).into_iter().collect::<Result<_, _>>();
            documents.insert(file["configs/".len()..].to_owned(), parsed.expect("JSON documents"));
        }
        let digests = layers.iter().map(|l| l["digest"].as_str().expect("a digest").to_owned()).collect();
        Self { config, layers: digests, documents, top, files }
    }

    /// All documents of a schema.
    fn of<'a>(&'a self, schema: &'a str) -> impl Iterator<Item = &'a Value> {
        self.documents.values().flatten().filter(move |d| d["schema"] == schema)
    }

    /// The names of all bundles.
    pub(crate) fn bundles(&self) -> Vec<String> {
        let mut names: Vec<String> = self.of("olm.bundle").map(|b| text(&b["name"])).collect();
        names.sort();
        names
    }

    /// The channels, as `package/channel`, with their entries.
    pub(crate) fn channels(&self) -> BTreeMap<String, Vec<String>> {
        let entries =
            |c: &Value| c["entries"].as_array().expect("entries").iter().map(|e| text(&e["name"])).collect();
        self.of("olm.channel")
            .map(|c| (format!("{}/{}", text(&c["package"]), text(&c["name"])), entries(c)))
            .collect()
    }

    /// The default channel of a package.
    pub(crate) fn default_channel(&self, package: &str) -> Option<String> {
        self.of("olm.package").find(|p| p["name"] == package).map(|p| text(&p["defaultChannel"]))
    }

    /// Every image that the bundles name.
    pub(crate) fn images(&self) -> BTreeSet<String> {
        let related = self.of("olm.bundle").flat_map(|b| b["relatedImages"].as_array().into_iter().flatten());
        related.map(|i| text(&i["image"])).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Puts a layer on top of what is there, as a container engine does; returns its paths.
fn lay(layer: &Path, root: &Path) -> BTreeSet<String> {
    let listed = Command::new("tar").arg("tzf").arg(layer).output().expect("this machine has tar");
    let names = String::from_utf8(listed.stdout).expect("names are text");
    let names: BTreeSet<String> = names.lines().map(|n| n.trim_end_matches('/').to_owned()).collect();
    for name in &names {
        let (parent, last) = name.rsplit_once('/').unwrap_or(("", name));
        match last.strip_prefix(".wh.") {
            Some(".wh..opq") => {
                let _ = std::fs::remove_dir_all(root.join(parent));
            }
            Some(hidden) => {
                let path = root.join(parent).join(hidden);
                let _ =
                    if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
            }
            None => {}
        }
    }
    let status =
        Command::new("tar").arg("xzf").arg(layer).arg("-C").arg(root).args(["--exclude", ".wh.*"]).status();
    assert!(status.expect("this machine has tar").success());
    names
}

fn walk(dir: &Path, root: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).expect("listed").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => walk(&path, root, found),
            false => {
                found.insert(path.strip_prefix(root).expect("below").display().to_string());
            }
        }
    }
}
