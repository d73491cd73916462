//! Reads real catalogs from `../shared/fixtures`, which a fresh clone does not have.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::print_stdout, reason = "whoever runs the tests wants to know what was skipped")]

use std::fs;
use std::path::{Path, PathBuf};

use oc_mirror_catalog::{Builder, Catalog, CatalogError, Entry, Selection};
use serde_json::Value;

/// Returns the folder of real catalogs, if it is there.
pub(crate) fn fixtures() -> Option<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/fbc");
    if !fixtures.is_dir() {
        println!("skipped: no ../shared/fixtures");
        return None;
    }
    Some(fixtures)
}

/// A file of a catalog, cut into documents.
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) documents: Vec<String>,
}

/// Reads all files below a folder, in order. What is neither YAML nor JSON is left out.
pub(crate) fn files(folder: &Path) -> Vec<File> {
    let read = |path: PathBuf| Some(File { documents: documents(&path)?, path });
    paths(folder).into_iter().filter_map(read).collect()
}

fn paths(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.into_iter().flat_map(|path| if path.is_dir() { self::paths(&path) } else { vec![path] }).collect()
}

fn documents(path: &Path) -> Option<Vec<String>> {
    let text = fs::read_to_string(path).ok()?;
    match path.extension()?.to_str()? {
        "json" => {
            let values =
                serde_json::Deserializer::from_str(&text).into_iter::<Box<serde_json::value::RawValue>>();
            values.map(|value| Some(value.ok()?.get().to_owned())).collect()
        }
        "yaml" | "yml" => {
            let options = serde_saphyr::options! { budget: None, alias_limits: Default::default() };
            let values: Vec<Value> = serde_saphyr::from_multiple_with_options(&text, options).ok()?;
            Some(values.iter().map(Value::to_string).collect())
        }
        _ => None,
    }
}

/// Builds a catalog of some files.
pub(crate) fn build<'a>(root: &Path, files: impl Iterator<Item = &'a File>) -> Result<Catalog, CatalogError> {
    let mut builder = Builder::new();
    for file in files {
        let name = file.path.strip_prefix(root).expect("below the root").to_string_lossy();
        file.documents.iter().for_each(|document| builder.document(&name, document));
    }
    builder.finish()
}

/// Reads an entry of the configuration.
pub(crate) fn entry(mut settings: Value) -> Entry {
    settings["catalog"] = "localhost:5000/test/catalog:latest".into();
    serde_json::from_value(settings).expect("an entry")
}

/// Returns the kept bundles.
pub(crate) fn bundles(selection: &Selection) -> Vec<&str> {
    selection.packages.iter().flat_map(|package| &package.bundles).map(String::as_str).collect()
}
