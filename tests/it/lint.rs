//! `oc-mirror lint`: what is told, with which code, and old configurations that become new ones.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use oc_mirror_testkit::{CatalogBuilder, Fbc};
use serde_json::{Value, json};

use crate::lab::context;
use crate::shop::Shop;

const GOOD: &str = "\
kind: ImageSetConfiguration
apiVersion: mirror.openshift.io/v2alpha1
archiveSize: 4
mirror:
  additionalImages:
  - name: quay.io/team/app:v1
";
const OLD: &str = "\
# ours
kind: ImageSetConfiguration
apiVersion: mirror.openshift.io/v1alpha2
archiveSize: 4
storageConfig:
  local:
    path: /srv/mirror   # the workspace
mirror:
  operators:
  - catalog: registry.redhat.io/redhat/redhat-operator-index:v4.18
    targetName: ours
    packages:
    - name: web-terminal
      minBundle: web-terminal.v1.9.0
      channels:
      - name: fast
";

#[test]
fn findings_of_several_files() {
    let context = context();
    context.write("good.yaml", GOOD);
    context.write("moving.yaml", GOOD.replace(":v1", ":latest").replace("archiveSize: 4\n", ""));
    context.write("wrong.yaml", GOOD.replace("additionalImages", "additionalImage"));
    context.write("binary.yaml", [0xff, 0xfe]);
    let output = context.run(&[
        "lint",
        "-c",
        "good.yaml",
        "moving.yaml",
        "wrong.yaml",
        "-c",
        "binary.yaml",
        "gone.yaml",
    ]);
    insta::assert_snapshot!("lint_files", output.snapshot());
}

#[test]
fn exit_codes() {
    let context = context();
    context.write("good.yaml", GOOD);
    context.write("note.yaml", GOOD.replace("archiveSize: 4\n", ""));
    context.write("warning.yaml", GOOD.replace(":v1", ":latest"));
    for (file, deny, code) in [
        ("good.yaml", "notes", 0),
        ("note.yaml", "warnings", 0),
        ("note.yaml", "notes", 1),
        ("warning.yaml", "warnings", 1),
        ("warning.yaml", "notes", 1),
    ] {
        let output = context.run(&["lint", "-c", file, "--deny", deny]);
        assert_eq!(output.code, code, "{file} {deny}\n{}", output.snapshot());
    }
    context.run(&["lint", "-c", "warning.yaml"]).expect_code(0);
}

#[test]
fn findings_for_programs() {
    let context = context();
    context.write("isc.yaml", GOOD.replace(":v1", ":latest"));
    let output = context.run(&["lint", "-c", "isc.yaml", "-o", "json"]).expect_code(0);
    insta::assert_snapshot!("lint_json", output.snapshot());
    let yaml = context.run(&["lint", "-c", "isc.yaml", "-o", "yaml"]).expect_code(0);
    assert!(yaml.stdout.contains("code: unpinned\n"), "{}", yaml.stdout);
}

#[test]
fn an_old_configuration_becomes_a_new_one() {
    let context = context();
    let path = context.write("isc.yaml", OLD);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("writable");
    // Shown first, and nothing is touched by that.
    let shown = context.run(&["lint", "-c", "isc.yaml", "--fix", "-"]).expect_code(0);
    insta::assert_snapshot!("lint_fix", shown.snapshot());
    assert_eq!(fs::read_to_string(&path).expect("there"), OLD);

    let output = context.run(&["lint", "--fix", "-c", "isc.yaml"]).expect_code(0);
    assert!(
        output.stderr.starts_with("isc.yaml is v2alpha1 now; the old text is in isc.yaml.v1alpha2\n"),
        "{}",
        output.stderr
    );
    assert_eq!(fs::read_to_string(&path).expect("there"), shown.raw_stdout);
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o640);
    let kept = context.work().join("isc.yaml.v1alpha2");
    assert_eq!(fs::read_to_string(&kept).expect("kept"), OLD);

    // Once is enough.
    let output = context.run(&["lint", "--fix", "-c", "isc.yaml"]).expect_code(0);
    assert_eq!(output.stderr, "isc.yaml is v2alpha1 already\n");
    // What was kept before is not written over.
    context.write("isc.yaml", OLD);
    let output = context.run(&["lint", "--fix", "-c", "isc.yaml"]).expect_code(1);
    insta::assert_snapshot!("lint_fix_twice", output.snapshot());
    assert_eq!(fs::read_to_string(&path).expect("there"), OLD);
}

#[test]
fn what_cannot_be_migrated_is_told_before_anything_is_written() {
    let context = context();
    let path = context.write("good.yaml", OLD);
    context.write("bad.yaml", OLD.replace("    - name: web", "    - name: web-terminal\n    - name: web"));
    let output = context.run(&["lint", "--fix", "-c", "good.yaml", "bad.yaml"]).expect_code(1);
    insta::assert_snapshot!("lint_fix_refused", output.snapshot());
    assert_eq!(fs::read_to_string(&path).expect("there"), OLD);
    let output = context.run(&["lint", "--fix", "out.yaml", "-c", "good.yaml"]).expect_code(1);
    assert!(output.stderr.starts_with("error: --fix is `out.yaml`\n"), "{}", output.stderr);
    let output = context.run(&["lint", "--fix", "-", "-c", "good.yaml", "bad.yaml"]).expect_code(1);
    assert!(
        output.stderr.starts_with("error: --fix - is one file, and --config names 2\n"),
        "{}",
        output.stderr
    );
}

#[test]
fn what_catalogs_know() {
    let shop = Shop::new();
    let needed = json!({ "type": "olm.package.required", "value": { "packageName": "bar", "versionRange": ">=0.2.0" } });
    let fbc = Fbc::new("foo", "stable").chain("stable", &["foo.v1.0.0"]);
    let fbc = shop.bundle_with(fbc, "foo", "1.0.0", vec![needed]);
    let deprecated = json!({ "schema": "olm.deprecations", "package": "foo", "entries": [
        { "reference": { "schema": "olm.channel", "name": "stable" }, "message": "use fast" },
    ] });
    let catalog = CatalogBuilder::new()
        .package(&fbc)
        .package(&shop.bar())
        .file("foo/deprecations.json", deprecated.to_string());
    let (_, name) = shop.catalog(catalog, "shop/index", "v4.20");
    let look = |packages: Value, more: &[&str]| {
        shop.lab.configure_all(json!({ "archiveSize": 4, "mirror": { "operators": [{ "catalog": name, "packages": packages }] } }));
        let args = [&["lint", "-c", "isc.yaml"], more].concat();
        shop.lab.context.run(&args)
    };
    let online = ["--online", "--src-tls-verify=false"];
    assert_eq!(look(json!([{ "name": "foo" }]), &[]).expect_code(0).stdout, "", "nobody was asked");
    let found = look(json!([{ "name": "foo" }]), &online).expect_code(0);
    insta::assert_snapshot!("lint_online", found.snapshot());
    let found = look(json!([{ "name": "foo" }, { "name": "bar" }]), &online).expect_code(0);
    assert!(!found.stdout.contains("missing-dependency"), "{}", found.snapshot());
    let found = look(json!([{ "name": "fop" }]), &online).expect_code(1);
    insta::assert_snapshot!("lint_online_refused", found.snapshot());
    // What is not there is not what is wrong with the text.
    let gone = look(json!([{ "name": "foo" }]), &["--online"]).expect_code(1);
    assert!(
        gone.stdout.contains("error[refused]") && gone.stdout.contains("plain HTTP"),
        "{}",
        gone.snapshot()
    );
}
