//! Rebuilt catalogs as `opm` sees them: OLM's own code, in `tests/opm`, validates and serves every one.
//!
//! It takes Go and some minutes to build, so it is done when asked for: `OC_MIRROR_TEST_OPM=1`, or the path of a witness
//! that is built already.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use oc_mirror_testkit::{CatalogBuilder, fixtures, workspace_root};
use serde_json::{Value, json};

use crate::shop::Shop;

/// What decides whether this is done: unset, `1`, or the path of `opm-witness`.
const VARIABLE: &str = "OC_MIRROR_TEST_OPM";

#[allow(clippy::print_stderr)]
fn witness() -> Option<PathBuf> {
    let skipped = |why: &str| {
        eprintln!("skipped: {why}");
        None
    };
    match std::env::var(VARIABLE) {
        Err(_) => skipped("set OC_MIRROR_TEST_OPM=1 to have OLM's own code look at rebuilt catalogs"),
        Ok(path) if path != "1" => Some(PathBuf::from(path)),
        Ok(_) if Command::new("go").arg("version").output().is_err() => skipped("there is no Go"),
        Ok(_) => Some(build()),
    }
}

fn build() -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("opm-witness");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .env("CGO_ENABLED", "0")
        .current_dir(workspace_root().join("tests/opm"))
        .status();
    assert!(built.is_ok_and(|status| status.success()), "opm-witness is built");
    program
}

fn ask(witness: &Path, what: &str, dir: &Path) -> Output {
    Command::new(witness).arg(what).arg(dir).output().expect("the witness runs")
}

/// The documents of a catalog, by package, with an image that is there in place of all others.
fn documents(witness: &Path, root: &Path, image: &str) -> BTreeMap<String, String> {
    let rendered = ask(witness, "render", root);
    assert!(rendered.status.success(), "{}: {}", root.display(), String::from_utf8_lossy(&rendered.stderr));
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for document in serde_json::Deserializer::from_slice(&rendered.stdout).into_iter::<Value>() {
        let mut document = document.expect("JSON");
        if document["schema"] == "olm.bundle" {
            document["image"] = image.into();
            document["relatedImages"] = json!([{ "name": "", "image": image }]);
        }
        let name = if document["schema"] == "olm.package" { &document["name"] } else { &document["package"] };
        let file = format!("{}/catalog.json", name.as_str().unwrap_or("none"));
        files.entry(file).or_default().push_str(&format!("{document}\n"));
    }
    files
}

/// Packages, their channels with heads, and the bundles in each channel.
type Offer = (BTreeSet<(String, String, String)>, BTreeSet<(String, String, String)>);

fn served(witness: &Path, configs: &Path) -> Offer {
    let answer = ask(witness, "serve", configs);
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let answer: Value = serde_json::from_slice(&answer.stdout).expect("JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut heads = BTreeSet::new();
    for package in list(&answer["packages"]) {
        for channel in list(&package["channels"]) {
            heads.insert((text(&package["name"]), text(&channel["name"]), text(&channel["csvName"])));
        }
    }
    let bundles = list(&answer["bundles"]);
    let bundles = bundles.iter().map(|b| (text(&b["package"]), text(&b["channel"]), text(&b["csvName"])));
    (heads, bundles.collect())
}

#[test]
#[allow(clippy::print_stderr)]
fn every_rebuilt_catalog_is_valid_and_served() {
    let (Some(witness), Some(fixtures)) = (witness(), fixtures()) else { return };
    let listed = Command::new("/usr/bin/python3")
        .arg(workspace_root().join("tests/oracle/catalog.py"))
        .arg("roots")
        .arg(fixtures.join("fbc"))
        .output()
        .expect("the oracle runs");
    let roots = String::from_utf8(listed.stdout).expect("paths are text");
    let shop = Shop::new();
    let image = shop.image("any/image", "1");
    let (mut checked, mut offered, mut invalid) = (0, 0, 0);
    for (place, root) in roots.lines().enumerate() {
        if !ask(&witness, "validate", &fixtures.join("fbc").join(root)).status.success() {
            invalid += 1;
            continue;
        }
        let files = documents(&witness, &fixtures.join("fbc").join(root), &image);
        let packages: Vec<Value> = files
            .values()
            .flat_map(|text| serde_json::Deserializer::from_str(text).into_iter::<Value>().flatten())
            .filter(|document| document["schema"] == "olm.package")
            .map(|package| json!({ "name": package["name"] }))
            .collect();
        let builder = files.iter().fold(CatalogBuilder::new(), |b, (path, text)| b.file(path, text));
        let repository = format!("shop/index{place}");
        let (_, catalog) = shop.catalog(builder, &repository, "v1");
        let heads = json!([{ "catalog": catalog, "dependencies": "ignore" }]);
        let full =
            json!([{ "catalog": catalog, "dependencies": "ignore", "full": true, "packages": packages }]);
        for (what, operators) in [("heads", heads), ("full", full)] {
            shop.want(operators);
            let to = format!("docker://{}/{what}", shop.lab.target.host());
            let workspace = shop.lab.file(&format!("w-{place}-{what}"));
            let run = shop.lab.run(&["-c", "isc.yaml", "--workspace", &workspace, &to]);
            let said = &run.output.raw_stderr;
            // A catalog whose newest bundles it does not hold itself has nothing to mirror.
            if run.output.code == 4 && said.contains("no image is left to mirror") {
                continue;
            }
            assert_eq!(run.output.code, 0, "{root} {what}: {said}");
            let pulled = shop.pull(&format!("{what}/{repository}"), "v1");
            let configs = shop.lab.path("root/configs");
            let verdict = ask(&witness, "validate", &configs);
            assert!(verdict.status.success(), "{root} {what}: {}", String::from_utf8_lossy(&verdict.stderr));
            let (channels, bundles) = served(&witness, &configs);
            let names: BTreeSet<String> =
                channels.iter().map(|(package, channel, _)| format!("{package}/{channel}")).collect();
            assert_eq!(names, pulled.channels().into_keys().collect(), "{root} {what}");
            let served: BTreeSet<&str> = bundles.iter().map(|(.., bundle)| bundle.as_str()).collect();
            assert!(served.iter().all(|name| pulled.bundles().iter().any(|b| b == name)), "{root} {what}");
            checked += 1;
            offered += bundles.len();
        }
    }
    eprintln!(
        "{checked} rebuilt catalogs, {offered} bundles in channels: valid, and served; {invalid} originals are not"
    );
}
