//! Plugins in registries and image layouts: `plugin push`, `pull`, `sign` and `verify`, and runs that use them.

use std::path::PathBuf;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oc_mirror_plugin_host::{Host, HostSettings};
use oc_mirror_testkit::{CommandOutput, ImageBuilder, Registry, Skopeo, sha256};
use rstest::rstest;
use serde_json::{Value, json};

use crate::lab::{Chunks, Lab};

const INSECURE: [&str; 2] = ["--src-tls-verify=false", "--dest-tls-verify=false"];

/// A registry with plugins, beside the two of a lab.
struct Shop {
    lab: Lab,
    shop: Registry,
}

impl Shop {
    fn new() -> Self {
        let shop = Self { lab: Lab::new(), shop: Registry::start() };
        // What is built in is a component like any other.
        let host = Host::new(HostSettings::default()).expect("a host");
        for name in ["block", "additional"] {
            let component = host.builtin(name).expect("built in");
            shop.lab.context.write(&format!("{name}.wasm"), component.bytes());
        }
        shop
    }

    fn place(&self, reference: &str) -> String {
        format!("docker://{}/{reference}", self.shop.host())
    }

    /// Runs a command of `oc-mirror plugin`.
    fn plugin(&self, args: &[&str]) -> CommandOutput {
        self.lab.context.run(&[&["plugin"], args, &INSECURE].concat())
    }

    /// Pushes `block` and returns where it is by digest.
    fn push(&self, reference: &str, more: &[&str]) -> String {
        let place = self.place(reference);
        let output = self.plugin(&[&["push", "block.wasm", &place], more].concat()).expect_code(0);
        output.raw_stdout.trim().to_owned()
    }

    /// Makes a pair of keys with `openssl`, which shares no code with the program.
    fn openssl_key(&self, name: &str) -> (String, String) {
        let path = |end: &str| self.lab.path(&format!("{name}.{end}")).display().to_string();
        let (key, public) = (path("key"), path("pub"));
        let curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
        openssl(&[&["genpkey"], &curve[..], &["-out", &key]].concat());
        openssl(&["pkey", "-in", &key, "-pubout", "-out", &public]);
        (key, public)
    }

    /// Makes a pair of keys as imagesets have them.
    fn own_key(&self, name: &str) -> (String, String) {
        let path = self.lab.path(name).display().to_string();
        self.lab.context.run(&["key", "generate", "--output", &path]).expect_code(0);
        (format!("{path}.key"), format!("{path}.pub"))
    }

    /// Writes a configuration with two images and the policy `no-beta`, which refuses one of them.
    fn configure(&self, source: &str, trust: Value) {
        let images = [("app", "beta"), ("app", "final")].map(|(repository, tag)| {
            let image = ImageBuilder::new().layer(&[("name", tag)]).build();
            json!({"name": self.lab.push(&image, repository, tag)})
        });
        let mut policy = json!({
            "name": "no-beta",
            "source": source,
            "config": {"rules": [{"name": ":beta$"}]},
            "grants": ["registry"],
        });
        if !trust.is_null() {
            policy["trust"] = trust;
        }
        self.lab.configure_mirror(json!({"additionalImages": images, "policies": [policy]}));
    }
}

fn openssl(args: &[&str]) {
    let output = Command::new("openssl").args(args).output().expect("`cargo xtask setup` installs openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn manifest_of(reference: &str) -> Value {
    serde_json::from_slice(&Skopeo::new().inspect_raw(reference)).expect("a manifest")
}

#[test]
fn what_was_pushed_is_there_as_others_read_it() {
    let shop = Shop::new();
    let place = shop.push("team/block", &[]);
    let version = shop.shop.tags("team/block");
    assert_eq!(version.len(), 1, "the version is the tag: {version:?}");
    let raw = Skopeo::new().inspect_raw(&shop.place(&format!("team/block:{}", version[0])));
    assert_eq!(place, shop.place(&format!("team/block@{}", sha256(&raw))));
    let manifest: Value = serde_json::from_slice(&raw).expect("a manifest");
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    let component = std::fs::read(shop.lab.path("block.wasm")).expect("written");
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(1));
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
    assert_eq!(manifest["layers"][0]["digest"], sha256(&component));
    assert_eq!(manifest["annotations"]["org.opencontainers.image.title"], "block");
    assert_eq!(manifest["annotations"]["org.opencontainers.image.version"], version[0]);
    let config = manifest["config"]["digest"].as_str().expect("a digest");
    let config = shop.shop.request("GET", &format!("/v2/team/block/blobs/{config}"), &[]).body;
    let config: Value = serde_json::from_slice(&config).expect("JSON");
    assert_eq!((&config["architecture"], &config["os"]), (&json!("wasm"), &json!("wasip2")));
    assert_eq!(config["created"], "1970-01-01T00:00:00Z");
    assert_eq!(config["layerDigests"], json!([sha256(&component)]));

    // Again, and elsewhere, it is the same.
    shop.shop.clear_log();
    assert_eq!(shop.push("team/block", &[]), place);
    assert!(shop.shop.log().iter().all(|line| !line.is_write()), "nothing is sent again");
    let elsewhere = shop.push("other:1", &[]);
    assert_eq!(elsewhere.rsplit('@').next(), place.rsplit('@').next());
}

#[test]
fn what_is_pulled_is_what_was_pushed() {
    let shop = Shop::new();
    let place = shop.push("team/block:1", &[]);
    let output = shop.plugin(&["pull", &place, "copy.wasm"]).expect_code(0);
    assert_eq!(output.raw_stdout, "copy.wasm\n");
    let read = |name: &str| std::fs::read(shop.lab.path(name)).expect("a file");
    assert_eq!(read("copy.wasm"), read("block.wasm"));
    // The same again is well, another is not.
    shop.plugin(&["pull", &place]).expect_code(0);
    let output = shop.plugin(&["pull", &place, "additional.wasm"]).expect_code(1);
    assert!(output.stderr.contains("--overwrite"), "{}", output.stderr);
    shop.plugin(&["pull", &place, "additional.wasm", "--overwrite"]).expect_code(0);
    assert_eq!(read("additional.wasm"), read("block.wasm"));

    // skopeo copies it to another registry, where it is still a plugin.
    let copy = format!("{}/copied:1", shop.lab.target.host());
    Skopeo::new().copy(&["--preserve-digests"], &shop.place("team/block:1"), &format!("docker://{copy}"));
    let output = shop.plugin(&["inspect", &format!("docker://{copy}")]).expect_code(0);
    assert!(output.raw_stdout.contains("worlds     policy, static-policy"), "{}", output.raw_stdout);
    assert!(output.raw_stdout.contains("signature  none"), "{}", output.raw_stdout);
}

#[test]
fn a_tag_stays_what_it_is_unless_that_is_wanted() {
    let shop = Shop::new();
    let block = shop.push("team/block:1", &[]);
    let place = shop.place("team/block:1");
    let output = shop.plugin(&["push", "additional.wasm", &place]).expect_code(1);
    assert!(output.stderr.contains("another one than"), "{}", output.stderr);
    assert!(output.stderr.contains("hint: give what has changed a version of its own"), "{}", output.stderr);
    assert_eq!(shop.shop.digest_of("team/block", "1").as_deref(), block.rsplit('@').next());
    shop.plugin(&["push", "additional.wasm", &place, "--overwrite"]).expect_code(0);
    assert_ne!(shop.shop.digest_of("team/block", "1").as_deref(), block.rsplit('@').next());
}

#[rstest]
#[case(&["push", "text.wasm", "PLACE/a:1"], "it is not a WebAssembly component", "oc-mirror plugin build")]
#[case(&["push", "block.wasm", "quay.io/a:1"], "is no place for a plugin", "docker://HOST/REPOSITORY")]
#[case(&["push", "block.wasm", "PLACE/a@DIGEST"], "it has a digest", "write a tag")]
#[case(&["push", "nothing.wasm", "PLACE/a:1"], "cannot be read", "")]
#[case(&["push", "block.wasm", "PLACE/A:1"], "lower-case", "a place is")]
#[case(&["push", "block.wasm", "PLACE/a:1", "--sign-key", "text.wasm"], "not one private key", "key generate")]
#[case(&["pull", "PLACE/a:1"], "not found", "check the name")]
#[case(&["pull", "PLACE/a"], "neither tag nor digest", "add the version")]
#[case(&["pull", "block.wasm"], "is not in a registry or image layout", "docker://")]
#[case(&["pull", "PLACE/image:1"], "is no plugin: it is an image of containers", "one layer of `application/wasm`")]
#[case(&["inspect", "PLACE/image:1"], "is no plugin: it is an image of containers", "plugin push")]
#[case(&["verify", "block.wasm", "--key", "text.wasm"], "cannot be used", "public keys in PEM")]
#[case(&["sign", "text.wasm", "--sign-key", "KEY"], "it is not a WebAssembly component", "")]
fn mistakes_are_told(#[case] args: &[&str], #[case] reason: &str, #[case] hint: &str) {
    let shop = Shop::new();
    shop.lab.context.write("text.wasm", "hello");
    let (key, _) = shop.openssl_key("publisher");
    shop.shop.push(&ImageBuilder::new().layer(&[("a", "b")]).build(), "image", "1");
    let digest = sha256(b"nothing");
    let filled = |arg: &&str| {
        arg.replace("PLACE", &format!("docker://{}", shop.shop.host()))
            .replace("DIGEST", &digest)
            .replace("KEY", &key)
    };
    let args: Vec<String> = args.iter().map(filled).collect();
    let output = shop.plugin(&args.iter().map(String::as_str).collect::<Vec<_>>()).expect_code(1);
    assert!(output.stderr.contains(reason) && output.stderr.contains(hint), "{}", output.stderr);
}

#[test]
fn a_tag_is_resolved_once_and_what_it_was_is_written_down() {
    let mut shop = Shop::new();
    let place = shop.push("team/block:1", &[]);
    shop.configure(&shop.place("team/block:1"), Value::Null);
    let made = shop.lab.make(&[]).expect(0);
    assert!(made.output.raw_stderr.contains(&format!(" is {place}")), "{}", made.output.raw_stderr);
    let report = made.report();
    let used: Vec<_> = report.plugins.iter().map(|p| (p.name.as_str(), p.source.as_str())).collect();
    assert_eq!(used, [("no-beta", place.as_str())]);
    assert_eq!((report.images.len(), report.refused.len()), (1, 1), "it was asked");
    Chunks::of(&shop.lab.path("disk"), 1).unpack(&shop.lab.path("unpacked"));
    for pinned in ["unpacked/files/resolved-config.yaml", "disk/working-dir/resolved-config.yaml"] {
        let pinned = std::fs::read_to_string(shop.lab.path(pinned)).expect("it is there");
        assert!(pinned.contains(&place), "{pinned}");
    }

    // By digest, it is had from the workspace; no registry is asked for it.
    shop.shop.stop();
    shop.configure(&place, Value::Null);
    let again = shop.lab.make(&["--force"]).expect(0);
    assert_eq!(again.report().refused.len(), 1);
    // Damaged, it is not used.
    let blobs = shop.lab.path("disk/working-dir/cache/components/blobs/sha256");
    for blob in std::fs::read_dir(&blobs).expect("kept").map(|entry| entry.expect("an entry").path()) {
        std::fs::write(blob, "damaged").expect("writable");
    }
    shop.lab.make(&["--force", "--retry-times", "0"]).expect(1);
    shop.shop.restart();
    shop.lab.make(&["--force"]).expect(0);
}

/// Publishing asks no plugin: what was refused is not in the imageset, and what is in it was judged.
#[test]
fn publishing_needs_no_plugin() {
    let mut shop = Shop::new();
    shop.push("team/block:1", &[]);
    shop.configure(&shop.place("team/block:1"), Value::Null);
    shop.lab.make(&[]).expect(0);
    shop.shop.stop();
    let published = shop.lab.publish("disk", &["--workspace", &shop.lab.file("far")]).expect(0);
    assert_eq!(published.report().plugins, []);
    assert_eq!(published.report().images.len(), 1);
}

/// Whoever makes imagesets of imagesets needs its own plugins there; one that is mirrored like an image arrives with its
/// signature, and is read out of the imagesets.
#[test]
fn a_plugin_travels_as_an_image() {
    let mut shop = Shop::new();
    let (key, public) = shop.openssl_key("publisher");
    let place = shop.push("team/block:1", &["--sign-key", &key]);
    let image = ImageBuilder::new().layer(&[("name", "beta")]).build();
    let app = shop.lab.push(&image, "app", "beta");
    let plugin = shop.place("team/block:1").replace("docker://", "");
    shop.lab.configure(&[app.as_str(), &plugin]);
    shop.lab.make(&[]).expect(0);
    shop.lab.publish("disk", &["--workspace", &shop.lab.file("far")]).expect(0);
    let digest = place.rsplit('@').next();
    assert_eq!(shop.lab.target.digest_of("team/block", "1").as_deref(), digest);

    shop.shop.stop();
    shop.lab.source.stop();
    let policy = json!({
        "name": "no-beta", "source": place, "trust": {"keys": [public]},
        "config": {"rules": [{"name": ":beta$"}]}, "grants": ["registry"],
    });
    shop.lab.configure_mirror(json!({"additionalImages": [{"name": app}], "policies": [policy]}));
    let from = shop.lab.file("disk");
    let made = shop.lab.make_in("enclave", &["--from", &from]).expect(0);
    assert_eq!(made.report().refused.len(), 1);
    assert!(made.report().plugins[0].signed_by.is_some());
}

#[test]
fn a_signature_is_what_cosign_makes() {
    let shop = Shop::new();
    let (key, public) = shop.openssl_key("publisher");
    let place = shop.push("team/block:1", &["--sign-key", &key]);
    let digest = place.rsplit('@').next().expect("a digest").to_owned();
    let manifest = manifest_of(&shop.place(&format!("team/block:{}.sig", digest.replace(':', "-"))));
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.image.config.v1+json");
    let layer = &manifest["layers"][0];
    assert_eq!(layer["mediaType"], "application/vnd.dev.cosign.simplesigning.v1+json");
    let blob = layer["digest"].as_str().expect("a digest");
    let payload = shop.shop.request("GET", &format!("/v2/team/block/blobs/{blob}"), &[]).body;
    let claim: Value = serde_json::from_slice(&payload).expect("JSON");
    assert_eq!(claim["critical"]["type"], "cosign container image signature");
    assert_eq!(claim["critical"]["image"]["docker-manifest-digest"], digest);
    assert_eq!(claim["critical"]["identity"]["docker-reference"], format!("{}/team/block", shop.shop.host()));
    let signature = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().expect("a signature");
    let signature = shop.lab.context.write("signature", STANDARD.decode(signature).expect("base64"));
    let payload = shop.lab.context.write("payload", payload);
    let shown = |path: PathBuf| path.display().to_string();
    openssl(&["dgst", "-sha256", "-verify", &public, "-signature", &shown(signature), &shown(payload)]);

    // A second key joins, the same one does not sign twice.
    let (other, other_public) = shop.own_key("other");
    let named = shop.place("team/block:1");
    shop.plugin(&["sign", &named, "--sign-key", &other]).expect_code(0);
    let again = shop.plugin(&["sign", &named, "--sign-key", &key]).expect_code(0);
    assert!(again.stderr.contains("was signed already"), "{}", again.stderr);
    for public in [&public, &other_public] {
        let output = shop.plugin(&["verify", &named, "--key", public]).expect_code(0);
        assert!(
            output.raw_stdout.starts_with(&format!("{place} is signed by sha256:")),
            "{}",
            output.raw_stdout
        );
    }
    let output = shop.plugin(&["inspect", &named]).expect_code(0);
    assert!(output.raw_stdout.contains("signature  2, not checked"), "{}", output.raw_stdout);
    let (_, stranger) = shop.own_key("stranger");
    let output = shop.plugin(&["verify", &named, "--key", &stranger]).expect_code(1);
    assert!(output.stderr.contains("no signature of it counts"), "{}", output.stderr);
    let output = shop.plugin(&["pull", &named, "p.wasm", "--key", &stranger]).expect_code(1);
    assert!(!shop.lab.path("p.wasm").exists(), "{}", output.stderr);
}

#[test]
fn whoever_trusts_keys_runs_nothing_else() {
    let mut shop = Shop::new();
    let (key, public) = shop.openssl_key("publisher");
    let (own, own_public) = shop.own_key("own");
    let place = shop.push("team/block:1", &[]);
    let trust = json!({"keys": ["publisher.pub"]});

    shop.configure(&place, trust.clone());
    shop.lab.make(&[]).assert_refused(1, "it has no signature, and one by the key");
    shop.plugin(&["sign", &place, "--sign-key", &own]).expect_code(0);
    shop.lab.make(&[]).assert_refused(1, "is by another key, or of other content");
    shop.plugin(&["sign", &place, "--sign-key", &key]).expect_code(0);
    let made = shop.lab.make(&[]).expect(0);
    assert!(made.report().plugins[0].signed_by.is_some());
    assert!(made.output.raw_stderr.contains("signed by "), "{}", made.output.raw_stderr);

    // The keys of the workspace count where an entry has none.
    shop.configure(&place, Value::Null);
    let (_, stranger) = shop.own_key("stranger");
    let trusted = shop.lab.path("disk/working-dir/trust.plugins");
    std::fs::copy(&stranger, &trusted).expect("copied");
    shop.lab.make(&[]).assert_refused(1, "no signature of it counts");
    let text = [&stranger, &own_public].map(|path| std::fs::read_to_string(path).expect("a key")).concat();
    std::fs::write(&trusted, text).expect("written");
    shop.lab.make(&[]).expect(0);

    // What was kept was kept with its signatures.
    shop.shop.stop();
    shop.lab.make(&[]).expect(0);
    shop.configure(&place, json!({"keys": [public]}));
    shop.lab.make(&[]).expect(0);
}

#[test]
fn a_file_has_its_signature_beside_it() {
    let shop = Shop::new();
    let (key, public) = shop.own_key("publisher");
    shop.configure("file:block.wasm", json!({"keys": ["publisher.pub"]}));
    shop.lab.make(&[]).assert_refused(1, "it has no signature");
    shop.plugin(&["sign", "block.wasm", "--sign-key", &key]).expect_code(0);
    let made = shop.lab.make(&[]).expect(0);
    assert!(made.report().plugins[0].signed_by.is_some());
    shop.plugin(&["verify", "block.wasm", "--key", &public]).expect_code(0);
    let output = shop.plugin(&["inspect", "block.wasm", "--key", &public]).expect_code(0);
    assert!(output.raw_stdout.contains("signature  by sha256:"), "{}", output.raw_stdout);

    // What openssl signs counts as well.
    std::fs::remove_file(shop.lab.path("block.wasm.sig")).expect("it was there");
    let (key, _) = shop.openssl_key("publisher");
    let component = shop.lab.path("block.wasm").display().to_string();
    let raw = shop.lab.path("raw").display().to_string();
    openssl(&["dgst", "-sha256", "-sign", &key, "-out", &raw, &component]);
    let signature = STANDARD.encode(std::fs::read(&raw).expect("a signature"));
    shop.lab.context.write("block.wasm.sig", signature);
    shop.lab.make(&[]).expect(0);

    let mut altered = std::fs::read(&component).expect("a component");
    altered.extend_from_slice(b"\0\x02\x01x");
    std::fs::write(&component, altered).expect("written");
    shop.lab.make(&[]).assert_refused(1, "is by another key, or of other content");
}

#[rstest]
#[case::named("oci:plugins:team/block:1", "oci:plugins:team/block:1", &["team/block:1"])]
#[case::plain("oci:plugins:1.0", "oci:plugins:1.0", &["1.0"])]
#[case::version("oci:plugins", "oci:plugins:block:VERSION", &["block:VERSION"])]
fn layouts_hold_plugins(#[case] place: &str, #[case] named: &str, #[case] names: &[&str]) {
    let shop = Shop::new();
    let (key, public) = shop.own_key("publisher");
    let pushed = shop.plugin(&["push", "block.wasm", place, "--sign-key", &key]).expect_code(0);
    let inspected = shop.plugin(&["inspect", "block", "-o", "json"]).expect_code(0);
    let inspected: Value = serde_json::from_str(&inspected.raw_stdout).expect("JSON");
    let version = inspected["version"].as_str().expect("text");
    let named = named.replace("VERSION", version);
    let digest = pushed.raw_stdout.trim().rsplit('@').next().expect("a digest").to_owned();
    assert_eq!(pushed.raw_stdout.trim(), format!("{named}@{digest}"));
    let index = std::fs::read(shop.lab.path("plugins/index.json")).expect("a layout");
    let index: Value = serde_json::from_slice(&index).expect("JSON");
    let name = &index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"];
    assert_eq!(*name, names[0].replace("VERSION", version));
    let raw = Skopeo::new().inspect_raw(&format!("oci:{}", shop.lab.path(&named[4..]).display()));
    assert_eq!(sha256(&raw), digest);
    for reference in [named.clone(), pushed.raw_stdout.trim().to_owned()] {
        shop.plugin(&["verify", &reference, "--key", &public]).expect_code(0);
    }
    shop.configure(&named, json!({"keys": ["publisher.pub"]}));
    let made = shop.lab.make(&[]).expect(0);
    assert_eq!(made.report().plugins[0].source, format!("{named}@{digest}"));
    assert_eq!(made.report().refused.len(), 1);
}

#[test]
fn what_is_not_granted_is_named_with_its_place() {
    let shop = Shop::new();
    let images = shop.lab.path("images");
    ImageBuilder::new().layer(&[("a", "b")]).build().write_layout(&images, "1");
    let text = format!(
        "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror:\n  plugins:\n  - name: mine\n    \
         source: file:additional.wasm\n    config: {{untagged: latest, images: [{{name: \"oci:{}\", targetRepo: a/b}}]}}\n    grants:\n    - \
         registry\n",
        images.display()
    );
    shop.lab.context.write("isc.yaml", text);
    let made = shop.lab.make(&[]);
    let failure = &made.report().failures[0];
    let hint = failure.hint.as_deref().unwrap_or_default();
    let grant = format!("add `- layout:{}` to `grants` of plugin `mine`", images.display());
    assert_eq!(hint, format!("{grant} (isc.yaml:9)"));
    assert!(made.output.raw_stderr.contains(&format!("hint: {grant}")), "{}", made.output.raw_stderr);
    assert!(made.output.raw_stderr.contains("mine asks for `layout` and is granted nothing of it"));
}

#[test]
fn plugins_are_listed_with_their_publishers() {
    let shop = Shop::new();
    let (key, _) = shop.own_key("publisher");
    let place = shop.push("team/block:1", &["--sign-key", &key]);
    shop.configure(&shop.place("team/block:1"), json!({"keys": ["publisher.pub"]}));
    let output = shop.plugin(&["list", "-c", "isc.yaml"]).expect_code(0);
    let line = output.raw_stdout.lines().find(|line| line.starts_with("no-beta")).expect("listed").to_owned();
    assert!(line.ends_with(&place) && line.contains("publisher.pub"), "{line}");
}
