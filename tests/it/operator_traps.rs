//! Catalogs with something wrong in them, and catalogs that only look as if there were.
//!
//! What cannot be mirrored is told in one line that names the place, as a snapshot; nothing is left behind by it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use oc_mirror_testkit::{CatalogBuilder, Fbc, Image, ImageBuilder};
use rstest::rstest;
use serde_json::{Value, json};

use crate::lab::{Lab, Run, digest_tag, names_in};

/// The repository of the catalog.
const INDEX: &str = "catalogs/index";
/// An image for catalogs of which none is ever fetched.
const NOWHERE: &str = "registry.example/p/bundle:v1";
/// The label of a catalog that is a database.
const DATABASE: &str = "operators.operatorframework.io.index.database.v1";

/// A catalog in a registry, and what is asked of it.
struct Trap {
    lab: Lab,
}

impl Trap {
    fn new() -> Self {
        let mut lab = Lab::new();
        lab.context = lab.context.filter("sha256:[0-9a-f]{64}", "[DIGEST]");
        Self { lab }
    }

    /// Pushes a small image and returns its name.
    fn image(&self, repository: &str, tag: &str) -> String {
        self.lab.push(&small(repository, tag), repository, tag)
    }

    /// Pushes the catalog.
    fn catalog(&self, catalog: CatalogBuilder) {
        self.lab.push(&catalog.build(), INDEX, "v1");
    }

    /// Writes a configuration with the catalog and what is wanted of it.
    fn want(&self, mut entry: Value) {
        entry["catalog"] = json!(self.lab.source.reference(INDEX, "v1"));
        self.lab.configure_mirror(json!({ "operators": [entry] }));
    }

    /// Mirrors and fails, as the snapshot has it, and leaves nothing behind.
    #[track_caller]
    fn fails(&self, name: &str) {
        let run = self.lab.make(&["--retry-times", "0"]);
        insta::assert_snapshot!(name, format!("exit code: {}\n{}", run.output.code, run.output.stderr));
        assert_eq!(run.output.code, 4);
        let left = below(&self.lab.path("disk"));
        let half = |path: &&String| path.contains("mirror_seq") || path.contains("metadata.json");
        assert_eq!(left.iter().filter(half).collect::<Vec<_>>(), Vec::<&String>::new());
    }

    /// Mirrors and publishes.
    #[track_caller]
    fn works(&self) -> Run {
        let run = self.lab.make(&[]).expect(0);
        self.lab.publish("disk", &[]).expect(0);
        run
    }

    /// Returns the documents of the published catalog, by file.
    #[track_caller]
    fn files(&self) -> BTreeMap<String, Vec<Value>> {
        let registry = &self.lab.target;
        let accept = [
            ("Accept", "application/vnd.oci.image.manifest.v1+json"),
            ("Accept", "application/vnd.docker.distribution.manifest.v2+json"),
        ];
        let manifest = registry.request("GET", &format!("/v2/{INDEX}/manifests/v1"), &accept);
        let manifest: Value = serde_json::from_slice(&manifest.body).expect("a manifest is JSON");
        let layers = manifest["layers"].as_array().expect("an image has layers");
        let top = layers.last().expect("the catalog is in a layer")["digest"].as_str().expect("a digest");
        let blob = registry.request("GET", &format!("/v2/{INDEX}/blobs/{top}"), &[]).body;
        let archive = self.lab.context.write("top/layer", blob);
        let root = self.lab.path("top/files");
        fs::create_dir_all(&root).expect("the test's own directory is writable");
        let unpacked = Command::new("tar").arg("xf").arg(&archive).arg("-C").arg(&root).status();
        assert!(unpacked.expect("this machine has tar").success());
        let configs = root.join("configs");
        let files = below(&configs).into_iter().filter(|path| !path.contains(".wh."));
        files
            .map(|path| {
                let text = fs::read_to_string(configs.join(&path)).expect("documents are text");
                let documents = serde_json::Deserializer::from_str(&text).into_iter();
                (path, documents.map(|document| document.expect("documents are JSON")).collect())
            })
            .collect()
    }

    /// Returns what there is in a file of the published catalog: `olm.bundle p.v1.0.0`.
    #[track_caller]
    fn names(&self, file: &str) -> Vec<String> {
        let files = self.files();
        let documents = files.get(file).unwrap_or_else(|| panic!("no `{file}` in {:?}", files.keys()));
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let name = |d: &Value| format!("{} {}", text(&d["schema"]), text(&d["name"]));
        documents.iter().map(name).collect()
    }
}

/// An image that is like no other one.
fn small(repository: &str, tag: &str) -> Image {
    ImageBuilder::new().layer(&[("manifests/csv.yaml", format!("{repository}:{tag}"))]).build()
}

/// Returns the paths of all files below a directory.
fn below(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for name in names_in(directory) {
        let path = directory.join(&name);
        match path.is_dir() {
            true => found.extend(below(&path).into_iter().map(|below| format!("{name}/{below}"))),
            false => found.push(name),
        }
    }
    found
}

/// A package with one channel `stable` of one bundle.
fn package(name: &str, image: &str) -> Fbc {
    let bundle = format!("{name}.v1.0.0");
    Fbc::new(name, "stable").chain("stable", &[&bundle]).bundle("1.0.0", image, &[])
}

/// Packages of the configuration.
fn wants(packages: Value) -> Value {
    json!({ "packages": packages })
}

/// The package `p` of the configuration.
fn wants_p() -> Value {
    wants(json!([{ "name": "p" }]))
}

/// Two channels, of which `stable` is the default one.
fn two_channels(image: &str) -> Fbc {
    Fbc::new("p", "stable")
        .chain("stable", &["p.v1.0.0"])
        .chain("fast", &["p.v2.0.0", "p.v1.0.0"])
        .bundle("1.0.0", image, &[])
        .bundle("2.0.0", image, &[])
}

/// A document of a bundle, as text.
fn bundle(package: &str, name: &str, properties: Value) -> String {
    json!({ "schema": "olm.bundle", "package": package, "name": name, "image": NOWHERE, "properties": properties })
        .to_string()
}

/// Aliases of aliases: a few hundred bytes that become as many gigabytes.
fn bomb() -> String {
    let mut text = String::from("schema: olm.bundle\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let before = vec![format!("*a{}", level - 1); 10].join(",");
        text.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    text
}

fn with(file: &str, content: impl AsRef<[u8]>) -> CatalogBuilder {
    CatalogBuilder::new().package(&package("p", NOWHERE)).file(file, content)
}

fn of(package: &Fbc) -> CatalogBuilder {
    CatalogBuilder::new().package(package)
}

#[rstest]
#[case::default_channel(
    "default_channel",
    of(&two_channels(NOWHERE)),
    wants(json!([{ "name": "p", "channels": [{ "name": "fast" }] }]))
)]
#[case::other_default("other_default", of(&two_channels(NOWHERE)), wants(json!([{ "name": "p", "defaultChannel": "slow" }])))]
#[case::two_heads(
    "two_heads",
    of(&Fbc::new("p", "stable")
        .channel("stable", vec![json!({"name": "p.v1.0.0"}), json!({"name": "p.v2.0.0"})])
        .bundle("1.0.0", NOWHERE, &[])
        .bundle("2.0.0", NOWHERE, &[])),
    wants_p()
)]
#[case::cycle(
    "cycle",
    of(&Fbc::new("p", "stable")
        .channel("stable", vec![
            json!({"name": "p.v3.0.0", "replaces": "p.v2.0.0"}),
            json!({"name": "p.v2.0.0", "replaces": "p.v1.0.0"}),
            json!({"name": "p.v1.0.0", "replaces": "p.v2.0.0"}),
        ])
        .bundle("3.0.0", NOWHERE, &[])),
    wants_p()
)]
#[case::no_head(
    "no_head",
    of(&Fbc::new("p", "stable").channel("stable", vec![
        json!({"name": "p.v2.0.0", "replaces": "p.v1.0.0"}),
        json!({"name": "p.v1.0.0", "replaces": "p.v2.0.0"}),
    ])),
    wants_p()
)]
fn channels_that_cannot_be(#[case] name: &str, #[case] catalog: CatalogBuilder, #[case] entry: Value) {
    fails(name, catalog, entry);
}

#[rstest]
#[case::package_twice("package_twice", with("other/p.yaml", package("p", NOWHERE).text()), wants_p())]
#[case::bundle_twice("bundle_twice", with("other/p.json", bundle("p", "p.v1.0.0", json!([]))), wants_p())]
#[case::undeclared("undeclared", with("other/q.json", bundle("q", "q.v1.0.0", json!([]))), wants_p())]
#[case::no_package("no_package", with("q.json", r#"{"schema":"olm.channel","name":"stable"}"#), wants_p())]
#[case::no_schema("no_schema", with("q.yaml", "name: q\npackage: p\n"), wants_p())]
#[case::odd_bundle(
    "odd_bundle",
    with("q.json", r#"{"schema":"olm.bundle","package":"p","name":"b","image":5}"#),
    wants_p()
)]
#[case::truncated("truncated", with("q/catalog.json", &package("q", NOWHERE).text()[..500]), wants_p())]
#[case::bad_json("bad_json", with("q/catalog.json", r#"{"schema": olm.package}"#), wants_p())]
#[case::yaml_bomb("yaml_bomb", with("q/catalog.yaml", bomb()), wants_p())]
#[case::bad_yaml("bad_yaml", with("q/catalog.yaml", "schema: olm.package\n name: q\n"), wants_p())]
#[case::readme(
    "readme",
    with("README.md", "# Packages\n\nHere is what there is:\n\n* `p`: a package\n"),
    wants_p()
)]
#[case::one_sentence("one_sentence", with("p/NOTICE", "Copyright by its authors\n"), wants_p())]
#[case::binary("binary", with("p/icon.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), wants_p())]
#[case::unsafe_name(
    "unsafe_name",
    CatalogBuilder::new().file("x/catalog.json", package("../x", NOWHERE).text()),
    wants(json!([{ "name": "../x" }]))
)]
#[case::nothing_there("nothing_there", CatalogBuilder::new(), wants_p())]
fn files_that_cannot_be_read(#[case] name: &str, #[case] catalog: CatalogBuilder, #[case] entry: Value) {
    fails(name, catalog, entry);
}

#[rstest]
#[case::untagged("image_untagged", "registry.example:5000/p/operand")]
#[case::directory("image_directory", "oci:///srv/p/operand")]
#[case::short_digest("image_short_digest", "registry.example/p/operand@sha256:12ab")]
#[case::spaces("image_spaces", "registry.example/p/operand: v1")]
fn images_that_cannot_be_pulled(#[case] name: &str, #[case] image: &str) {
    let package =
        Fbc::new("p", "stable").chain("stable", &["p.v1.0.0"]).bundle("1.0.0", NOWHERE, &[NOWHERE, image]);
    fails(name, of(&package), wants_p());
}

#[rstest]
#[case::package("unknown_package", json!([{ "name": "kiali-osm" }]))]
#[case::nothing_like_it("unknown_package_at_all", json!([{ "name": "zzzzzz" }]))]
#[case::two_packages("unknown_packages", json!([{ "name": "kiali" }, { "name": "jeager" }]))]
#[case::channel("unknown_channel", json!([{ "name": "kiali-ossm", "channels": [{ "name": "stabel" }] }]))]
#[case::bundle("unknown_bundle", json!([{ "name": "kiali-ossm", "bundles": [{ "name": "kiali-ossm.v1.1" }] }]))]
#[case::range("empty_range", json!([{ "name": "kiali-ossm", "minVersion": "1.2.0", "maxVersion": "1.9.0" }]))]
#[case::channel_range(
    "empty_range_of_channel",
    json!([{ "name": "kiali-ossm", "channels": [{ "name": "stable", "minVersion": "3.0.0" }] }])
)]
fn what_is_not_there(#[case] name: &str, #[case] packages: Value) {
    let kiali = Fbc::new("kiali-ossm", "stable")
        .chain("stable", &["kiali-ossm.v2.0.0", "kiali-ossm.v1.1.0", "kiali-ossm.v1.0.0"])
        .chain("candidate", &["kiali-ossm.v2.1.0-rc.1"])
        .bundle("1.0.0", NOWHERE, &[])
        .bundle("1.1.0", NOWHERE, &[])
        .bundle("2.0.0", NOWHERE, &[])
        .bundle("2.1.0-rc.1", NOWHERE, &[]);
    let catalog = of(&kiali).package(&package("jaeger", NOWHERE)).package(&package("3scale", NOWHERE));
    fails(name, catalog, wants(packages));
}

#[rstest]
#[case::database("database", CatalogBuilder::new().labelled(DATABASE, "/database/index.db"))]
#[case::no_label("no_label", CatalogBuilder::new().labelled("maintainer", "somebody"))]
fn images_that_are_no_catalogs(#[case] name: &str, #[case] catalog: CatalogBuilder) {
    fails(name, catalog, wants_p());
}

#[track_caller]
fn fails(name: &str, catalog: CatalogBuilder, entry: Value) {
    let trap = Trap::new();
    trap.catalog(catalog);
    trap.want(entry);
    trap.fails(name);
}

#[test]
fn everything_and_a_range_exclude_each_other() {
    let trap = Trap::new();
    trap.catalog(of(&package("p", NOWHERE)));
    trap.want(json!({ "full": true, "packages": [{ "name": "p", "minVersion": "1.0.0" }] }));
    trap.fails("full_and_range");
}

#[test]
fn a_catalog_that_is_not_there() {
    let trap = Trap::new();
    trap.want(wants_p());
    trap.fails("catalog_not_there");
}

#[test]
fn a_default_channel_that_is_not_kept_is_replaced() {
    let trap = Trap::new();
    let image = trap.image("p/bundle", "v1");
    trap.catalog(of(&two_channels(&image)));
    trap.want(wants(json!([{ "name": "p", "defaultChannel": "fast", "channels": [{ "name": "fast" }] }])));
    trap.works();
    let files = trap.files();
    assert_eq!(files["p/catalog.json"][0]["defaultChannel"], "fast");
    assert_eq!(trap.names("p/catalog.json"), ["olm.package p", "olm.channel fast", "olm.bundle p.v2.0.0"]);
}

#[test]
fn an_entry_may_replace_what_is_not_in_its_channel() {
    let trap = Trap::new();
    let image = trap.image("p/bundle", "v1");
    let head = json!({
        "name": "p.v3.0.0", "replaces": "p.v2.0.0", "skips": ["p.v2.5.0"], "skipRange": ">=1.0.0 <3.0.0", "mine": 1,
    });
    trap.catalog(of(&Fbc::new("p", "stable").channel("stable", vec![head.clone()]).bundle(
        "3.0.0",
        &image,
        &[],
    )));
    trap.want(wants_p());
    trap.works();
    assert_eq!(trap.files()["p/catalog.json"][1]["entries"], json!([head]));
}

#[rstest]
#[case::build(json!({ "minVersion": "1.0.0", "maxVersion": "1.0.0" }), &["1.0.0+1", "1.0.0+2"])]
#[case::build_in_range(json!({ "minVersion": "1.0.0+9", "maxVersion": "1.0.1" }), &["1.0.0+1", "1.0.0+2"])]
#[case::no_prerelease(json!({ "minVersion": "1.1.0" }), &["1.1.0"])]
#[case::prerelease(json!({ "minVersion": "1.1.0-rc.1", "maxVersion": "1.1.0" }), &["1.1.0", "1.1.0-rc.1"])]
#[case::prerelease_of_minor(json!({ "minVersion": "1.1.0-0" }), &["1.1.0", "1.1.0-rc.1", "1.2.0-alpha+5"])]
#[case::minor(json!({ "minVersion": "1.0", "maxVersion": "1.0" }), &["1.0.0+1", "1.0.0+2"])]
#[case::head(json!({}), &["1.2.0-alpha+5"])]
fn versions_with_more_than_three_numbers(#[case] range: Value, #[case] expected: &[&str]) {
    let trap = Trap::new();
    let versions = ["1.2.0-alpha+5", "1.1.0", "1.1.0-rc.1", "1.0.0+2", "1.0.0+1"];
    let names = versions.map(|version| format!("p.v{version}"));
    let image = trap.image("p/bundle", "v1");
    let start = Fbc::new("p", "stable").chain("stable", &names.each_ref().map(String::as_str));
    trap.catalog(of(&versions.iter().fold(start, |package, version| package.bundle(version, &image, &[]))));
    let mut wanted = range;
    wanted["name"] = json!("p");
    trap.want(wants(json!([wanted])));
    trap.works();
    let mut names = trap.names("p/catalog.json");
    names.retain(|name| name.starts_with("olm.bundle"));
    names.sort();
    let expected: Vec<String> = expected.iter().map(|version| format!("olm.bundle p.v{version}")).collect();
    assert_eq!(names, expected);
}

#[test]
fn related_images_by_tag_and_by_digest() {
    let trap = Trap::new();
    let bundle = trap.image("p/bundle", "v1");
    let tagged = trap.image("p/tagged", "v1");
    let (by_digest, before, after) =
        (small("p/digest", "v1"), small("p/both", "before"), small("p/both", "after"));
    trap.lab.push(&by_digest, "p/digest", "v1");
    // The tag has moved on since the bundle was made.
    trap.lab.push(&before, "p/both", "v1");
    trap.lab.push(&after, "p/both", "v1");
    let digest = format!("{}@{}", trap.lab.source.host() + "/p/digest", by_digest.digest);
    let both = format!("{}@{}", trap.lab.source.reference("p/both", "v1"), before.digest);
    let package = Fbc::new("p", "stable").chain("stable", &["p.v1.0.0"]);
    trap.catalog(of(&package.bundle("1.0.0", &bundle, &[&tagged, &digest, &both])));
    trap.want(wants_p());
    trap.works();
    let lab = &trap.lab;
    lab.assert_published(&small("p/bundle", "v1"), "p/bundle", "v1");
    lab.assert_published(&small("p/tagged", "v1"), "p/tagged", "v1");
    lab.assert_published(&by_digest, "p/digest", &digest_tag(&by_digest));
    lab.assert_published(&before, "p/both", "v1");
    assert_eq!(lab.target.digest_of("p/both", &after.digest), None);
}

#[test]
fn an_empty_related_image_is_skipped() {
    let trap = Trap::new();
    let image = trap.image("p/bundle", "v1");
    let package = Fbc::new("p", "stable").chain("stable", &["p.v1.0.0"]);
    trap.catalog(of(&package.bundle("1.0.0", &image, &[""])));
    trap.want(wants_p());
    let run = trap.works();
    let notes = run.report().notes.join("\n");
    assert!(notes.contains("package `p`") && notes.contains("`p.v1.0.0`"), "{notes}");
    // The catalog still says what it said.
    let related = &trap.files()["p/catalog.json"][2]["relatedImages"];
    assert_eq!(related.as_array().map(Vec::len), Some(2), "{related}");
}

#[test]
fn a_bundle_without_a_version_matters_if_its_package_is_wanted() {
    let trap = Trap::new();
    let image = trap.image("q/bundle", "v1");
    let broken =
        Fbc::new("p", "stable").chain("stable", &["p.v1.0.0"]).text() + &bundle("p", "p.v1.0.0", json!([]));
    trap.catalog(CatalogBuilder::new().file("p/catalog.json", broken).package(&package("q", &image)));
    trap.want(wants_p());
    trap.fails("no_version");
    trap.want(wants(json!([{ "name": "q" }])));
    trap.works();
    assert_eq!(trap.files().keys().collect::<Vec<_>>(), ["q/catalog.json"]);
}

/// The high-water mark of the memory of a run that fails, in MiB.
#[track_caller]
fn peak(trap: &Trap, words: &str) -> u64 {
    let args = ["-c", "isc.yaml", "--src-tls-verify=false", &trap.lab.file("disk")];
    let mut running = trap.lab.context.command(&args);
    let stderr = fs::File::create(trap.lab.path("stderr")).expect("the test's own directory is writable");
    let mut running = running.stderr(stderr).spawn().expect("the program starts");
    let mut peak = 0;
    while running.try_wait().expect("it is ours").is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or_default() / 1024);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let told = fs::read_to_string(trap.lab.path("stderr")).expect("it was written");
    assert!(told.contains(words), "{told}");
    peak
}

#[rstest]
#[case::json("huge_json", "q/catalog.json")]
#[case::yaml("huge_yaml", "q/catalog.yaml")]
fn a_document_of_64_mib(#[case] name: &str, #[case] file: &str) {
    // Random enough not to be taken for a bomb.
    let line: String =
        (0_u32..1500).map(|n| char::from(b'A' + (n.wrapping_mul(n) >> 3) as u8 % 26)).collect();
    let object = |size: usize| {
        let lines = (0..size / line.len()).map(|n| format!("{n}{}", &line[n % 500..]));
        let data = lines.collect::<String>();
        let value = json!({ "data": data });
        let document = bundle("q", "q.v1.0.0", json!([{ "type": "olm.bundle.object", "value": value }]));
        if file.ends_with("json") { document } else { format!("---\n# One line\n{document}\n") }
    };
    let run = |document: String| {
        let trap = Trap::new();
        trap.catalog(with(file, document));
        trap.want(wants_p());
        trap
    };
    let (small, huge) = (run(object(1 << 20)), run(object(64 << 20)));
    let usual = peak(&small, "`q`");
    let most = peak(&huge, "16 MiB");
    assert!(most < usual + 96, "{usual} MiB usually, {most} MiB with a huge document");
    huge.fails(name);
}

#[test]
fn a_layer_that_is_nothing_but_one_letter() {
    let object = json!([{ "type": "olm.bundle.object", "value": { "data": "a".repeat(64 << 20) } }]);
    fails("bomb", with("q/catalog.json", bundle("q", "q.v1.0.0", object)), wants_p());
}

#[rstest]
#[case::in_front(&["p.v1.json"], &[(".indexignore", "/broken.json\n")], true)]
#[case::behind(&["p.v1.json"], &[(".indexignore", "/broken.json\n")], false)]
#[case::by_pattern(&["README.md", "docs/README.md"], &[(".indexignore", "# Nothing of this\n*.md\n")], false)]
#[case::nested(&["a/b/broken.json"], &[("a/b/.indexignore", "*.json\n")], false)]
#[case::directory(&["a/b/broken.json"], &[("a/.indexignore", "/b/\n")], true)]
#[case::back_in(&["a/broken.json"], &[(".indexignore", "*\n!catalog.json\n!/p/\n")], false)]
fn what_is_ignored_may_be_broken(
    #[case] broken: &[&str],
    #[case] ignores: &[(&str, &str)],
    #[case] first: bool,
) {
    let trap = Trap::new();
    let image = trap.image("p/bundle", "v1");
    let broken: Vec<(&str, &str)> = match broken {
        ["p.v1.json"] => vec![("broken.json", "{\"schema\":\"olm.package\",\"name\":\"p\"}\n{\"schema\"")],
        broken => broken.iter().map(|path| (*path, "nothing: [ that\n{ is YAML")).collect(),
    };
    let files = if first { [ignores, &broken].concat() } else { [&broken, ignores].concat() };
    let start = CatalogBuilder::new().package(&package("p", &image));
    trap.catalog(files.iter().fold(start, |catalog, (path, content)| catalog.file(path, content)));
    trap.want(json!({}));
    trap.works();
    assert_eq!(trap.files().keys().collect::<Vec<_>>(), ["p/catalog.json"]);
}

#[test]
fn unknown_schemas_and_deprecations() {
    let trap = Trap::new();
    let image = trap.image("p/bundle", "v1");
    let entry = |schema: &str, name: &str| {
        let mut reference = json!({ "schema": schema });
        if !name.is_empty() {
            reference["name"] = json!(name);
        }
        json!({ "reference": reference, "message": "use another one" })
    };
    let kept = [entry("olm.package", ""), entry("olm.channel", "stable"), entry("olm.bundle", "p.v2.0.0")];
    let gone = [entry("olm.channel", "fast"), entry("olm.bundle", "p.v1.0.0")];
    let deprecations =
        |entries: &[Value]| json!({ "schema": "olm.deprecations", "package": "p", "entries": entries });
    let life = |package: &str| json!({ "schema": "io.example.life", "package": package, "entries": 5, "z": [1], "a": null });
    let free = json!({ "schema": "io.example.free", "text": "of no package", "package": "" });
    let more = [deprecations(&[&kept[..], &gone].concat()), life("p"), life("q"), free.clone()];
    let more: String = more.iter().map(|document| format!("{document}\n")).collect();
    let p = Fbc::new("p", "stable")
        .chain("stable", &["p.v2.0.0", "p.v1.0.0"])
        .chain("fast", &["p.v1.0.0"])
        .bundle("2.0.0", &image, &[])
        .bundle("1.0.0", &image, &[]);
    trap.catalog(of(&p).package(&package("q", &image)).file("more.json", more));
    trap.want(wants(json!([{ "name": "p", "channels": [{ "name": "stable" }] }])));
    trap.works();
    let files = trap.files();
    assert_eq!(files.keys().collect::<Vec<_>>(), ["catalog.json", "p/catalog.json"]);
    assert_eq!(files["catalog.json"], [free]);
    let of_p = &files["p/catalog.json"];
    let by_schema = |schema: &str| of_p.iter().filter(|d| d["schema"] == schema).cloned().collect::<Vec<_>>();
    assert_eq!(by_schema("io.example.life"), [life("p")]);
    assert_eq!(by_schema("olm.deprecations"), [deprecations(&kept)]);
    assert_eq!(by_schema("olm.bundle").len(), 1);
    assert_eq!(by_schema("olm.channel").len(), 1);
}

/// Packages `p` and `q`; `p` is in two files, and only a patch makes them right.
fn in_layers(image: &str) -> CatalogBuilder {
    let old = Fbc::new("p", "old").chain("old", &["p.v0.1.0"]).bundle("0.1.0", image, &[]);
    CatalogBuilder::new()
        .file("p/catalog.json", old.text())
        .file("p/removed.json", "{\"schema\":\"olm.package\",\"name\":")
        .package(&package("q", image))
        .patch(&[("p/catalog.json", &package("p", image).text()), ("p/.wh.removed.json", "")])
}

#[rstest]
#[case::without_history(|image: &str| of(&package("p", image)).package(&package("q", image)).without_history())]
#[case::layers(in_layers)]
#[case::layers_without_history(|image: &str| in_layers(image).without_history())]
#[case::link(|image: &str| of(&package("p", image)).package(&package("q", image)).linked_to("srv/catalog"))]
#[case::link_and_layers(|image: &str| in_layers(image).linked_to("srv/catalog"))]
#[case::docker(|image: &str| in_layers(image).docker())]
fn wherever_the_files_are(#[case] catalog: fn(&str) -> CatalogBuilder) {
    let trap = Trap::new();
    let image = trap.image("p/bundle", "v1");
    trap.catalog(catalog(&image));
    trap.want(json!({}));
    trap.works();
    let files = trap.files();
    assert_eq!(files.keys().collect::<Vec<_>>(), ["p/catalog.json", "q/catalog.json"]);
    assert_eq!(trap.names("p/catalog.json"), ["olm.package p", "olm.channel stable", "olm.bundle p.v1.0.0"]);
}

#[test]
fn files_of_all_kinds() {
    let trap = Trap::new();
    let image = trap.image("p/bundle", "v1");
    let documents: Vec<Value> = serde_json::Deserializer::from_str(&package("p", &image).text())
        .into_iter()
        .map(|document| document.expect("documents are JSON"))
        .collect();
    let [declared, channel, bundle] = &documents[..] else { panic!("{documents:?}") };
    let q = package("q", &image).text();
    let q: Vec<String> = serde_json::Deserializer::from_str(&q)
        .into_iter::<Value>()
        .map(|document| document.expect("documents are JSON").to_string())
        .collect();
    let yaml = "\
# The channel of p
---
schema: olm.channel
package: p
name: stable
entries:
- name: p.v1.0.0
---
# Nothing
---
...
---
schema: olm.deprecations
package: p
entries: []
";
    let mut catalog = CatalogBuilder::new()
        .file("p/package.json", declared.to_string())
        .file("p/channels.yaml", yaml)
        .file("p/bundles/v1.json", format!("\n\n  {bundle}\n\n"))
        .file("q/all.yaml", q.join("\n---\n"))
        .file("comments.yaml", "# Only\n# comments\n")
        .file("white-space.json", " \n\t\n")
        .file("empty-document.yaml", "---\n");
    for number in 0..700 {
        catalog = catalog.file(&format!("empty/{number}.yaml"), "");
    }
    trap.catalog(catalog);
    trap.want(json!({}));
    trap.works();
    let files = trap.files();
    assert_eq!(files.keys().collect::<Vec<_>>(), ["p/catalog.json", "q/catalog.json"]);
    assert_eq!(files["p/catalog.json"].len(), 4);
    for document in [declared, channel, bundle] {
        assert!(files["p/catalog.json"].contains(document), "{document}");
    }
    assert_eq!(files["q/catalog.json"].len(), 3);
}
