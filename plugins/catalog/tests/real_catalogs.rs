//! Every real catalog that was collected.
#![allow(clippy::print_stdout, reason = "the defects of the catalogs are worth seeing")]

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use common::{File, build, entry, files, fixtures};
use oc_mirror_catalog::{
    Builder, Catalog, Contents, Entry, Renderer, Rules, Selection, State, resolve_dependencies, select,
};
use serde_json::{Value, json};

/// Finds the folders that are catalogs: those that can be built, from the top down.
fn roots(folder: &Path, files: &[File], found: &mut Vec<(PathBuf, Catalog)>) {
    let below = || files.iter().filter(|file| file.path.starts_with(folder));
    match build(folder, below()) {
        Ok(catalog) if catalog.packages.iter().any(|package| !package.bundles.is_empty()) => {
            found.push((folder.to_owned(), catalog));
        }
        Ok(_) => {}
        Err(_) => {
            let folders: BTreeSet<_> = below()
                .filter_map(|file| file.path.strip_prefix(folder).ok()?.components().next())
                .map(|first| folder.join(first))
                .filter(|path| path.is_dir())
                .collect();
            folders.iter().for_each(|folder| roots(folder, files, found));
        }
    }
}

#[test]
fn every_catalog_can_be_selected_from() {
    let Some(fixtures) = fixtures() else { return };
    let files = files(&fixtures);
    let mut catalogs = Vec::new();
    let repositories: BTreeSet<_> = files
        .iter()
        .filter_map(|file| file.path.strip_prefix(&fixtures).ok()?.components().next())
        .map(|first| fixtures.join(first))
        .collect();
    repositories.iter().filter(|path| path.is_dir()).for_each(|path| roots(path, &files, &mut catalogs));
    assert!(catalogs.len() > 20, "{}", catalogs.len());
    let mut packages = 0;
    for (root, catalog) in &catalogs {
        packages += catalog.packages.len();
        stored(catalog);
        for rules in [Rules::V1Alpha2, Rules::V2Alpha1] {
            for settings in settings(catalog) {
                check(root, catalog, &files, rules, &settings);
            }
        }
    }
    println!("{} catalogs, {packages} packages", catalogs.len());
}

/// Heads only, everything, and everything of the packages that have bundles.
fn settings(catalog: &Catalog) -> Vec<Value> {
    let usable = catalog.packages.iter().filter(|package| !package.bundles.is_empty());
    let names: Vec<_> = usable.map(|package| json!({"name": package.name})).collect();
    vec![json!({"packages": names}), json!({"full": true, "packages": names}), json!({"full": true})]
}

fn check(root: &Path, catalog: &Catalog, files: &[File], rules: Rules, settings: &Value) {
    let entry = entry(settings.clone());
    let selection = match select(catalog, &entry, rules, &State::default()) {
        Ok(selection) => selection,
        Err(error) => {
            // The catalog's own defects are told, package by package.
            assert!(
                error.problems.iter().all(|problem| problem.package.is_some()),
                "{}: {error}",
                root.display()
            );
            println!("{} {rules:?}: {error}", root.display());
            return;
        }
    };
    consistent(root, catalog, &selection);
    if !entry.full && rules == Rules::V2Alpha1 {
        rendered(root, files, catalog, &selection);
    }
    if let Err(error) = selection.images(catalog) {
        println!("{} {rules:?}: {error}", root.display());
    }
    if !entry.full && rules == Rules::V2Alpha1 {
        grown(root, catalog, settings, &selection);
    }
    let mut less = selection.clone();
    less.without(catalog, &|image| (image.len() % 7 == 0).then(|| "made unavailable".to_owned()));
    consistent(root, catalog, &less);
}

/// Dependencies and upgrade paths only add, and leave everything valid.
fn grown(root: &Path, catalog: &Catalog, settings: &Value, selection: &Selection) {
    let mut settings = settings.clone();
    settings["dependencies"] = "resolve".into();
    settings["keepUpgradePaths"] = true.into();
    let entry = entry(settings);
    // As if the lowest bundle of every channel had been mirrored before.
    let state = select(catalog, &Entry { full: true, ..entry.clone() }, Rules::V2Alpha1, &State::default());
    let state = state.expect("full").state();
    let more = select(catalog, &entry, Rules::V2Alpha1, &state).expect("a selection");
    let mut all = [(catalog, &entry, more)];
    resolve_dependencies(&mut all);
    let more = &all[0].2;
    consistent(root, catalog, more);
    for kept in &selection.packages {
        let package = more.package(&kept.name).expect("still there");
        assert!(kept.bundles.iter().all(|bundle| package.has(bundle)));
    }
}

fn consistent(root: &Path, catalog: &Catalog, selection: &Selection) {
    for kept in &selection.packages {
        let package = catalog.package(&kept.name).expect("a package of the catalog");
        assert!(kept.bundles.is_sorted());
        for bundle in &kept.bundles {
            assert!(package.bundle(bundle).is_some(), "{}: {bundle}", root.display());
        }
        if !selection.notes.iter().any(|note| note.code == "catalog-problem" && note.package == kept.name) {
            assert!(kept.channel(&kept.default_channel).is_some(), "{}: {}", root.display(), kept.name);
            for channel in &kept.channels {
                assert!(channel.head().is_some(), "{}: {} {}", root.display(), kept.name, channel.name);
            }
        }
    }
}

/// What is rendered is a catalog again, and holds what was selected.
fn rendered(root: &Path, files: &[File], catalog: &Catalog, selection: &Selection) {
    let renderer = Renderer::new(catalog, selection);
    let mut builder = Builder::new();
    for file in files.iter().filter(|file| file.path.starts_with(root)) {
        let name = file.path.strip_prefix(root).expect("below the root").to_string_lossy();
        for document in &file.documents {
            if let Some(rendered) = renderer.document(&name, document).expect("rendered") {
                builder.document(&rendered.path, &rendered.text);
            }
        }
    }
    let again = builder.finish().unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    assert_eq!(again.packages.len(), selection.packages.len());
    for kept in &selection.packages {
        let package = again.package(&kept.name).expect("rendered");
        let names: Vec<_> = package.bundles.iter().map(|bundle| bundle.name.clone()).collect();
        assert_eq!(names, kept.bundles);
        assert_eq!(package.default_channel, kept.default_channel);
        for (channel, kept) in package.channels.iter().zip(&kept.channels) {
            let kept: Vec<_> = kept.entries.iter().map(|kept| &kept.entry).collect();
            assert_eq!(channel.entries.iter().collect::<Vec<_>>(), kept);
        }
    }
}

fn stored(catalog: &Catalog) {
    let mut bytes = Vec::new();
    catalog.write(&mut |piece| bytes.extend_from_slice(piece));
    let text = String::from_utf8(bytes).expect("text");
    assert_eq!(Catalog::read(&text).expect("readable"), *catalog);
    let contents = Contents::parse(text.lines().next().expect("a line")).expect("contents");
    assert_eq!(contents.packages.len(), catalog.packages.len());
}
