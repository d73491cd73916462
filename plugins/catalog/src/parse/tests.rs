use super::*;
use rstest::rstest;
use serde_json::json;

fn build(documents: &[(&str, serde_json::Value)]) -> Result<Catalog, CatalogError> {
    let mut builder = Builder::new();
    for (file, document) in documents {
        builder.document(file, &document.to_string());
    }
    builder.finish()
}

fn package(name: &str) -> serde_json::Value {
    json!({"schema": "olm.package", "name": name, "defaultChannel": "stable"})
}

fn bundle(package: &str, name: &str, version: &str) -> serde_json::Value {
    json!({"schema": "olm.bundle", "package": package, "name": name, "image": "quay.io/x/b:1",
        "properties": [{"type": "olm.package", "value": {"packageName": package, "version": version}}]})
}

#[test]
fn everything_that_matters_is_read() {
    let catalog = build(&[
        ("foo/b.json", json!({"name": "foo.v1", "package": "foo", "image": "quay.io/foo/b:1",
            "relatedImages": [{"name": "", "image": "quay.io/foo/b:1"}, {"name": "x", "image": "quay.io/foo/x:1"}],
            "properties": [
                {"value": {"packageName": "foo", "version": "1.0.0+3"}, "type": "olm.package"},
                {"type": "olm.gvk", "value": {"group": "g", "version": "v1", "kind": "K"}},
                {"type": "olm.gvk.required", "value": {"group": "h", "version": "v1", "kind": "L"}},
                {"type": "olm.package.required", "value": {"packageName": "bar", "versionRange": "<2.0.0"}},
                {"type": "olm.constraint", "value": {"failureMessage": "no", "any": {"constraints": [
                    {"package": {"packageName": "a", "versionRange": ""}}, {"cel": {"rule": "true"}}]}}},
                {"type": "olm.csv.metadata", "value": {"annotations": {"displayName": "wrong"}, "displayName": "Foo"}},
                {"type": "whatever", "value": {"deep": [1, 2, {}]}},
                {"type": "olm.constraint", "value": 5}
            ], "schema": "olm.bundle"})),
        ("foo/a.json", json!({"schema": "olm.channel", "package": "foo", "name": "stable", "entries": [
            {"name": "foo.v1", "replaces": "foo.v0", "skips": ["foo.v0.5"], "skipRange": "<1.0.0"}, {"name": "foo.v0", "skips": null}],
            "properties": [{"type": "olm.channel", "value": {"channelName": "stable", "priority": 3}}]})),
        ("foo/a.json", package("foo")),
        ("foo/a.json", json!({"schema": "olm.deprecations", "package": "foo", "entries": [
            {"reference": {"schema": "olm.channel", "name": "stable"}, "message": "old"},
            {"reference": {"schema": "olm.package"}, "message": "old"}]})),
        ("foo/a.json", json!({"schema": "x.y", "package": "foo", "entries": "odd", "name": 5})),
        ("catalog.json", json!({"schema": "x.y", "properties": [5]})),
        ("catalog.json", json!(null)),
    ])
    .expect("a catalog");
    let foo = catalog.package("foo").expect("a package");
    assert_eq!(foo.files, ["foo/a.json", "foo/b.json"]);
    assert_eq!((foo.display_name.as_deref(), foo.default_channel.as_str()), (Some("Foo"), "stable"));
    assert_eq!(foo.file_name(foo.file), "foo/a.json");
    let channel = foo.channel("stable").expect("a channel");
    assert_eq!((channel.priority, channel.entries.len()), (Some(3), 2));
    assert_eq!(
        (channel.entries[0].replaces.as_str(), channel.entries[0].skip_range.as_str()),
        ("foo.v0", "<1.0.0")
    );
    let bundle = foo.bundle("foo.v1").expect("a bundle");
    assert_eq!(foo.file_name(bundle.file), "foo/b.json");
    assert_eq!(bundle.version.as_ref().map(ToString::to_string).as_deref(), Some("1.0.0+3"));
    assert_eq!(bundle.related, ["quay.io/foo/b:1", "quay.io/foo/x:1"]);
    let requires: Vec<_> = bundle.requires.iter().map(ToString::to_string).collect();
    assert_eq!(
        requires,
        [
            "API L h/v1",
            "package bar <2.0.0",
            "any of (package a, the rule true)",
            "a property `olm.constraint` that cannot be read"
        ]
    );
    assert_eq!(foo.deprecations.len(), 2);
    assert_eq!((foo.others.len(), catalog.others.len()), (1, 1));
}

#[test]
fn the_display_name_is_that_of_the_highest_bundle() {
    use base64::Engine as _;
    let csv = json!({"kind": "ClusterServiceVersion", "spec": {"displayName": "New"}}).to_string();
    let object = |text: &str| {
        let data = base64::engine::general_purpose::STANDARD.encode(text);
        json!({"type": "olm.bundle.object", "value": {"data": data}})
    };
    let mut new = bundle("foo", "foo.v10", "10.0.0");
    new["properties"].as_array_mut().unwrap().extend([object(r#"{"kind":"Role"}"#), object(&csv)]);
    let mut old = bundle("foo", "foo.v9", "9.0.0");
    let name = json!({"type": "olm.csv.metadata", "value": {"displayName": "Old"}});
    old["properties"].as_array_mut().unwrap().push(name);
    let catalog = build(&[("a", new), ("b", package("foo")), ("c", old)]).expect("a catalog");
    assert_eq!(catalog.packages[0].display_name.as_deref(), Some("New"));
}

#[rstest]
#[case(json!({"name": "x"}), "catalog.no-schema")]
#[case(json!({"schema": "", "name": "x"}), "catalog.no-schema")]
#[case(json!([1]), "catalog.malformed")]
#[case(json!({"schema": "olm.package"}), "catalog.no-name")]
#[case(json!({"schema": "olm.channel", "package": "nope", "name": "c"}), "catalog.undeclared-package")]
#[case(json!({"schema": "olm.channel", "name": "c"}), "catalog.no-package")]
#[case(json!({"schema": "olm.channel", "package": "foo"}), "catalog.no-name")]
#[case(json!({"schema": "olm.channel", "package": "foo", "name": "c", "entries": [{}]}), "catalog.malformed")]
#[case(json!({"schema": "olm.channel", "package": "foo", "name": "c", "entries": 5}), "catalog.malformed")]
#[case(json!({"schema": "olm.bundle", "package": "fooo", "name": "x"}), "catalog.undeclared-package")]
#[case(json!({"schema": "olm.bundle", "package": "foo", "name": "x", "relatedImages": [5]}), "catalog.malformed")]
#[case(package("foo"), "catalog.duplicate-package")]
#[case(json!({"schema": "olm.channel", "package": "foo", "name": "stable"}), "catalog.duplicate-channel")]
#[case(bundle("foo", "foo.v1", "1.0.0"), "catalog.duplicate-bundle")]
fn what_is_wrong_is_told(#[case] document: serde_json::Value, #[case] code: &str) {
    let good = [
        ("a.json", package("foo")),
        ("a.json", json!({"schema": "olm.channel", "package": "foo", "name": "stable"})),
        ("a.json", bundle("foo", "foo.v1", "1.0.0")),
    ];
    let mut builder = Builder::new();
    for (file, text) in good.iter().chain([&("dir/b.json", document.clone())]) {
        builder.document(file, &text.to_string());
    }
    let error = builder.finish().expect_err("something is wrong");
    assert!(error.has(code), "{error}");
    assert_eq!(error.problems[0].file.as_deref(), Some("dir/b.json"));
    // The same is fine in a file that does not count.
    let mut builder = Builder::new();
    for (file, text) in good.iter().chain([&("dir/b.json", document)]) {
        builder.document(file, &text.to_string());
    }
    builder.ignore_file("dir/.indexignore", "b.json");
    let catalog = builder.finish().expect("ignored");
    assert!(catalog.ignores("dir/b.json"));
}

#[test]
fn a_duplicate_names_both_files() {
    let both =
        ["a.json", "b.json"].map(|file| [(file, package("foo")), (file, bundle("foo", "foo.v1", "1.0.0"))]);
    let error = build(&both.concat()).expect_err("twice");
    assert_eq!(error.problems.len(), 1, "what is in both files is not told too");
    let text = error.to_string();
    assert!(text.contains("`a.json`") && text.contains("`b.json`") && text.contains("`foo`"), "{text}");
}

#[test]
fn problems_are_capped() {
    let documents: Vec<_> = (0..30).map(|_| ("a.json", json!({"name": "x"}))).collect();
    let error = build(&documents).expect_err("no schema");
    assert_eq!((error.problems.len(), error.more), (20, 10));
    assert!(error.to_string().ends_with("and 10 more"));
}

#[test]
fn a_broken_file_is_a_problem() {
    let mut builder = Builder::new();
    builder.broken("./a.json", "it ends in the middle of an object");
    let error = builder.finish().expect_err("broken");
    assert_eq!(error.problems[0].file.as_deref(), Some("a.json"));
}

#[rstest]
#[case("p/catalog.yaml", false)]
#[case("p/README.md", true)]
#[case("LICENSE", true)]
fn what_is_no_part_of_a_catalog_should_be_ignored(#[case] file: &str, #[case] ignorable: bool) {
    let mut builder = Builder::new();
    builder.document(file, "\"text\"");
    builder.broken(file, "it is not YAML");
    let error = builder.finish().expect_err("broken");
    let hinted = |hint: &Option<String>| hint.as_deref().is_some_and(|hint| hint.contains(".indexignore"));
    assert_eq!(
        error.problems.iter().filter(|problem| hinted(&problem.hint)).count(),
        if ignorable { 2 } else { 0 }
    );
}

#[rstest]
#[case(json!([]), "no `olm.package`")]
#[case(json!([{"type": "olm.package", "value": {"version": "1.0"}}]), "`1.0`")]
#[case(json!([{"type": "olm.package", "value": {}}]), "without a version")]
#[case(json!([{"type": "olm.package", "value": 7}]), "without a version")]
fn a_version_may_be_missing(#[case] properties: serde_json::Value, #[case] expected: &str) {
    let mut document = bundle("foo", "foo.v1", "1.0.0");
    document["properties"] = properties;
    let catalog = build(&[("a", package("foo")), ("a", document)]).expect("a catalog");
    let bundle = &catalog.packages[0].bundles[0];
    assert!(bundle.fault.as_deref().unwrap().contains(expected), "{bundle:?}");
}
