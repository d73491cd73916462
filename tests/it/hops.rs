//! From the internet to an enterprise, and on to two enclaves, with what is behind switched off at each hop.

use std::path::Path;

use oc_mirror_testkit::{
    Action, Image, ImageBuilder, Registry, Release, Rule, Skopeo, TestContext, UpdateServer,
};
use serde_json::{Value, json};

use crate::depot::{COMPONENTS, Depot, PAYLOADS, graph};
use crate::lab::{Run, context, run};
use crate::shop::Shop;

const SIGNATURES: &str = "openshift/release-signatures";

fn small(content: &str) -> Image {
    ImageBuilder::new().layer(&[("content", content)]).build()
}

fn configuration(mirror: &Value) -> String {
    let text = json!({
        "kind": "ImageSetConfiguration",
        "apiVersion": "mirror.openshift.io/v2alpha1",
        "mirror": mirror,
    });
    text.to_string()
}

/// What there is on the internet, and how it is called everywhere.
struct Internet {
    depot: Depot,
    releases: [Release; 2],
    catalog: String,
    names: [String; 3],
}

impl Internet {
    fn new() -> Self {
        let depot = Depot::new();
        let releases = ["4.12.1", "4.12.2"].map(|version| depot.version(version));
        depot.channel("stable-4.12", &[&releases[0], &releases[1]], "4.12.1>4.12.2");
        let names = ["x", "y", "z"].map(|name| depot.lab.push(&small(name), &format!("team/{name}"), "v1"));
        let Depot { lab, server, signer } = depot;
        let shop = Shop { lab };
        let (_, catalog) = shop.usual();
        Self { depot: Depot { lab: shop.lab, server, signer }, releases, catalog, names }
    }

    /// Everything goes into an imageset, and then there is no internet any more.
    fn mirror_and_stop(&mut self) {
        let wide = json!({
            "platform": { "channels": [{ "name": "stable-4.12", "minVersion": "4.12.1", "maxVersion": "4.12.2" }] },
            "operators": [{ "catalog": self.catalog, "packages": [{ "name": "foo" }, { "name": "bar" }] }],
            "additionalImages": self.names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
        });
        self.depot.lab.context.write("isc.yaml", configuration(&wide));
        self.depot.lab.make(&[]).expect(0);
        self.depot.lab.source.stop();
        self.depot.server.rule(Rule::on("*", "").then(Action::Hangup));
    }
}

/// Says where everything is mirrored that bears a name of the internet.
fn registries_conf(internet: &str, enterprise: &str, releases: [&str; 2]) -> String {
    let same = ["shop", "team", "foo", "bar"].map(|path| (path, path));
    let releases = [(releases[0], PAYLOADS), (releases[1], COMPONENTS)];
    let rule = |(from, to): (&str, &str)| {
        format!(
            "[[registry]]\nprefix = \"{internet}/{from}\"\nlocation = \"{internet}/{from}\"\nblocked = true\n\
             [[registry.mirror]]\nlocation = \"{enterprise}/{to}\"\ninsecure = true\n\n"
        )
    };
    same.into_iter().chain(releases).map(rule).collect()
}

/// A machine of the enterprise, which knows its registry and its update service.
fn machine(conf: &Path, keys: &Path, updates: &UpdateServer) -> TestContext {
    context()
        .env("CONTAINERS_REGISTRIES_CONF", conf.to_str().expect("plain"))
        .env("OCP_SIGNATURE_VERIFICATION_PK", keys.to_str().expect("plain"))
        .env("UPDATE_URL_OVERRIDE", &updates.graph_url())
        // What goes to the internet all the same ends here.
        .env("https_proxy", "http://127.0.0.1:9")
}

#[track_caller]
fn assert_pulled(registry: &Registry, repository: &str, tag: &str, image: &Image) {
    let reference = format!("docker://{}", registry.reference(repository, tag));
    assert_eq!(Skopeo::new().inspect_raw(&reference), image.manifest, "{reference}");
    Skopeo::new().pull(&reference);
}

/// Fails the test unless the enclave has this release and no other, whole, with its signature.
#[track_caller]
fn assert_release(registry: &Registry, release: &Release) {
    let payload = release.payload("amd64");
    assert_eq!(registry.tags(PAYLOADS), [payload.tag.as_str()]);
    assert_pulled(registry, PAYLOADS, &payload.tag, &payload.image);
    for component in &payload.components {
        assert_pulled(registry, COMPONENTS, &format!("{}-{}", payload.tag, component.name), &component.image);
    }
    assert_eq!(registry.tags(COMPONENTS).len(), payload.components.len());
    assert_eq!(registry.tags(SIGNATURES), [payload.digest().replace(':', "-")]);
}

/// Fails the test unless the catalog offers these bundles, and what they name can be pulled.
#[track_caller]
fn assert_catalog(registry: &Registry, bundles: &[&str], not_there: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let to = format!("dir:{}", dir.path().display());
    let reference = format!("docker://{}", registry.reference("shop/index", "v4.20"));
    Skopeo::new().copy(&["--src-tls-verify=false"], &reference, &to);
    for (repository, tags) in [("foo/bundle", bundles), ("foo/operator", bundles)] {
        let found = registry.tags(repository);
        assert_eq!(found.len(), tags.len(), "{repository}: {found:?}");
        for tag in found {
            Skopeo::new().pull(&format!("docker://{}", registry.reference(repository, &tag)));
        }
    }
    assert!(registry.tags(not_there).is_empty(), "{not_there}");
}

#[track_caller]
fn expect(outcome: Run) -> Run {
    outcome.expect(0)
}

#[test]
fn three_hops_each_with_what_is_behind_it_switched_off() {
    let mut internet = Internet::new();
    internet.mirror_and_stop();
    let Internet { depot, releases, catalog, names } = internet;
    let Depot { lab, .. } = &depot;

    // Into the enterprise.
    lab.publish("disk", &["--workspace", &lab.file("enterprise")]).expect(0);
    let updates = UpdateServer::start();
    let entries = [("4.12.1", releases[0].payload("amd64")), ("4.12.2", releases[1].payload("amd64"))];
    updates.graph("amd64", "stable-4.12", graph("stable-4.12", &entries, "4.12.1>4.12.2"));
    let payload = releases[0].payload("amd64").by_digest();
    let component = releases[0].payload("amd64").components[0].reference.clone();
    let path = |name: &str| {
        let (name, _) = name.split_once('@').expect("by digest");
        name.split_once('/').expect("HOST/PATH").1.to_owned()
    };
    let (payloads, components) = (path(&payload), path(&component));
    let conf =
        registries_conf(&lab.source.host(), &lab.target.host(), [payloads.as_str(), components.as_str()]);
    let conf = lab.context.write("registries.conf", conf);
    let keys = lab.path("keys.asc");

    // The first enclave gets an imageset, made of what is in the enterprise's registry.
    let first = machine(&conf, &keys, &updates);
    let narrower = json!({
        "platform": { "channels": [{ "name": "stable-4.12", "minVersion": "4.12.1", "maxVersion": "4.12.1" }] },
        "operators": [{ "catalog": catalog, "packages": [{ "name": "foo", "channels": [{ "name": "stable" }] }] }],
        "additionalImages": [{ "name": names[0] }],
    });
    first.write("isc.yaml", configuration(&narrower));
    expect(run(&first, &["-c", "isc.yaml", "file://disk"]));

    // The second one is copied to directly.
    let second = machine(&conf, &keys, &updates);
    let other = json!({
        "platform": { "channels": [{ "name": "stable-4.12" }] },
        "operators": [{ "catalog": catalog, "packages": [{ "name": "foo", "defaultChannel": "fast", "channels": [{ "name": "fast" }] }] }],
        "additionalImages": [{ "name": names[1] }],
    });
    second.write("isc.yaml", configuration(&other));
    let registries = [Registry::start(), Registry::start()];
    let to = registries.each_ref().map(|registry| format!("docker://{}", registry.host()));
    expect(run(&second, &["-c", "isc.yaml", "--workspace", "file://w", &to[1]]));

    // Nothing of the enterprise is needed in the enclaves.
    let Depot { mut lab, server, .. } = depot;
    lab.target.stop();
    drop((server, updates));
    expect(run(&first, &["--from", "file://disk", "--workspace", "file://far", &to[0]]));

    assert_release(&registries[0], &releases[0]);
    assert_release(&registries[1], &releases[1]);
    assert_catalog(&registries[0], &["1.2.0"], "bar/bundle");
    assert_catalog(&registries[1], &["2.0.0"], "bar/bundle");
    assert_pulled(&registries[0], "team/x", "v1", &small("x"));
    assert_pulled(&registries[1], "team/y", "v1", &small("y"));
    for (registry, missing) in [(0, "team/y"), (0, "team/z"), (1, "team/x"), (1, "team/z")] {
        assert!(registries[registry].tags(missing).is_empty(), "{missing}");
    }
    let resources = first.work().join("far/working-dir/cluster-resources/signature-configmap.yaml");
    assert!(resources.is_file(), "clusters of the enclave verify releases themselves");
}

#[test]
fn signatures_are_found_where_the_user_says() {
    let depot = Depot::new();
    let release = depot.version("4.12.1");
    depot.channel("stable-4.12", &[&release], "");
    depot.want_channel(json!({ "name": "stable-4.12" }));
    depot.lab.make(&[]).expect(0);
    let workspace = depot.lab.file("enterprise");
    depot.lab.publish("disk", &["--workspace", &workspace]).expect(0);
    depot.server.rule(Rule::on("*", "").then(Action::Hangup));
    let updates = UpdateServer::start();
    updates.graph("amd64", "stable-4.12", graph("stable-4.12", &[("4.12.1", release.payload("amd64"))], ""));
    let Depot { lab, .. } = depot;
    let directory = lab.path("enterprise/working-dir/release-signatures");
    let run_with = |number: usize, store: String| {
        let out = format!("file://out{number}");
        let args = ["--src-tls-verify=false", "-c", "isc.yaml", "--retry-times", "0", &out];
        let mut command = lab.context.command(&args);
        command.env("OCP_SIGNATURE_URL", store).env("UPDATE_URL_OVERRIDE", updates.graph_url());
        let output = command.output().expect("the program starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (number, (store, code, words)) in [
        (format!("file://{}", directory.display()), 0, ""),
        (format!("docker://{}/{SIGNATURES}", lab.target.host()), 0, ""),
        ("docker://not a name".to_owned(), 1, "OCP_SIGNATURE_URL is `docker://not a name`"),
        (format!("file://{}", lab.path("nothing").display()), 2, "no store has a signature of it"),
        (format!("docker://{}/elsewhere", lab.target.host()), 2, "no store has a signature of it"),
    ]
    .into_iter()
    .enumerate()
    {
        let (found, said) = run_with(number, store.clone());
        assert_eq!(found, Some(code), "{store}: {said}");
        assert!(said.contains(words), "{store}: {said}");
    }

    // What lies near is verified like everything else.
    for entry in std::fs::read_dir(&directory).expect("signatures").flatten() {
        let path = entry.path().join("signature-1");
        let mut bytes = std::fs::read(&path).expect("a signature");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).expect("writable");
    }
    let (found, said) = run_with(9, format!("file://{}", directory.display()));
    assert_eq!(found, Some(2), "{said}");
    assert!(said.contains("signature 1 in `"), "{said}");
}
