//! `registries.conf`: images are read from where it says, and are called what they were always called.

use oc_mirror_testkit::{
    Action, CommandOutput, FaultRegistry, GraphData, Image, ImageBuilder, IndexBuilder, LogLine, Registry,
    Rule,
};
use serde_json::json;

use crate::depot::Depot;
use crate::lab::{Lab, Run, join, run};
use crate::shop::Shop;

/// A registry, one that stands in for it, and a configuration that says so.
struct Mirrors {
    lab: Lab,
    mirror: Registry,
}

impl Mirrors {
    fn new() -> Self {
        Self { lab: Lab::new(), mirror: Registry::start() }
    }

    /// Writes `registries.conf`, in which `SOURCE` and `MIRROR` are the two registries.
    fn configure(&self, text: &str) {
        self.lab.context.write("registries.conf", self.filled(text));
    }

    fn filled(&self, text: &str) -> String {
        text.replace("SOURCE", &self.lab.source.host()).replace("MIRROR", &self.mirror.host())
    }

    fn make(&self) -> Run {
        self.lab.make(&["--registries-conf", "registries.conf", "--retry-times", "0"])
    }

    /// Returns what the program has asked a registry for, besides whether it is one.
    fn reads(registry: &Registry) -> Vec<LogLine> {
        let asked = asked(registry).into_iter();
        asked.filter(|line| line.path != "/v2/").collect()
    }
}

/// Returns all requests of the program.
fn asked(registry: &Registry) -> Vec<LogLine> {
    registry.log().into_iter().filter(|line| line.user_agent.starts_with("oc-mirror/")).collect()
}

fn image(seed: u64) -> Image {
    ImageBuilder::new().random_layer(seed, 20_000).random_layer(seed + 1000, 20_000).build()
}

const MIRRORED: &str = "[[registry]]\nlocation = 'SOURCE'\n[[registry.mirror]]\nlocation = 'MIRROR/copy'\n";

#[test]
fn a_mirror_stands_in_for_a_registry_that_is_gone() {
    let mut mirrors = Mirrors::new();
    let (by_tag, by_digest) = (image(1), image(2));
    mirrors.mirror.push(&by_tag, "copy/team/app", "v1");
    mirrors.mirror.push(&by_digest, "copy/team/base", "x");
    mirrors.lab.source.stop();
    let names = [
        mirrors.lab.source.reference("team/app", "v1"),
        mirrors.lab.source.reference("team/base", &by_digest.digest),
    ];
    mirrors.lab.configure(&names);
    mirrors.configure(MIRRORED);
    let run = mirrors.make().expect(0);

    // The names are those of the registry that is gone, here and in what is published.
    let origins: Vec<&str> = run.report().images.iter().map(|i| i.origin.as_str()).collect();
    assert_eq!(origins, names);
    let found: Vec<_> = run.report().images.iter().map(|i| i.found_at.clone().unwrap_or_default()).collect();
    assert_eq!(
        found,
        [
            mirrors.mirror.reference("copy/team/app", &by_tag.digest),
            mirrors.mirror.reference("copy/team/base", &by_digest.digest),
        ]
    );
    let log =
        std::fs::read_to_string(mirrors.lab.path("disk/working-dir/logs/oc-mirror.log")).expect("a log");
    let place = mirrors.mirror.reference("copy/team/app", "v1");
    assert!(log.contains("found at a mirror") && log.contains(&place), "{log}");
    let mapping = std::fs::read_to_string(mirrors.lab.path("disk/working-dir/dry-run/mapping.txt"));
    assert!(mapping.is_err(), "nothing was tried only");

    mirrors.mirror.stop();
    mirrors.lab.publish("disk", &[]).expect(0);
    mirrors.lab.assert_published(&by_tag, "team/app", "v1");
    let resources = mirrors.lab.path("disk/working-dir/cluster-resources");
    let read = |name: &str| std::fs::read_to_string(resources.join(name)).unwrap_or_default();
    let sets = read("idms-oc-mirror.yaml") + &read("itms-oc-mirror.yaml");
    assert!(sets.contains(&format!("source: {}/team", mirrors.lab.source.host())), "{sets}");
    assert!(!sets.contains(&mirrors.mirror.host()), "{sets}");
}

#[test]
fn what_a_mirror_does_not_have_comes_from_the_registry() {
    let mirrors = Mirrors::new();
    let there = image(3);
    let name = mirrors.lab.push(&there, "team/app", "v1");
    mirrors.lab.configure(&[&name]);
    mirrors.configure(MIRRORED);
    let run = mirrors.make().expect(0);
    assert_eq!(run.report().images[0].found_at, None);
    let asked = Mirrors::reads(&mirrors.mirror);
    assert_eq!(
        asked.iter().map(|l| (l.path.as_str(), l.status)).collect::<Vec<_>>(),
        [("/v2/copy/team/app/manifests/v1", 404)],
        "signatures are looked for where the image is"
    );
    assert!(
        !run.output.raw_stderr.contains("warning"),
        "not having it is nothing to warn of\n{}",
        run.output.raw_stderr
    );
}

#[test]
fn a_mirror_that_is_down_is_passed_over_and_told_once() {
    let mut mirrors = Mirrors::new();
    let (one, two) = (image(4), image(5));
    let names = [mirrors.lab.push(&one, "team/one", "v1"), mirrors.lab.push(&two, "team/two", "v1")];
    mirrors.mirror.stop();
    mirrors.lab.configure(&names);
    mirrors.configure(MIRRORED);
    let run = mirrors.lab.make(&["--registries-conf", "registries.conf"]).expect(0);
    let warning = format!("warning: {}: it is not reached, and others are asked", mirrors.mirror.host());
    assert_eq!(run.output.raw_stderr.matches(&warning).count(), 1, "{}", run.output.raw_stderr);
    assert!(
        !run.output.raw_stderr.contains("trying again"),
        "nobody waits for it\n{}",
        run.output.raw_stderr
    );
}

#[test]
fn mirrors_are_asked_in_order() {
    let mirrors = Mirrors::new();
    let second = Registry::start();
    let (first_has, second_has) = (image(6), image(7));
    mirrors.mirror.push(&first_has, "a", "v1");
    second.push(&first_has, "a", "v1");
    second.push(&second_has, "b", "v1");
    mirrors
        .lab
        .configure(&[mirrors.lab.source.reference("a", "v1"), mirrors.lab.source.reference("b", "v1")]);
    let text = "[[registry]]\nlocation = 'SOURCE'\n[[registry.mirror]]\nlocation = 'MIRROR'\n[[registry.mirror]]\nlocation = 'SECOND'\n";
    mirrors.configure(&text.replace("SECOND", &second.host()));
    let run = mirrors.make().expect(0);
    let found: Vec<_> = run.report().images.iter().map(|i| i.found_at.clone().unwrap_or_default()).collect();
    assert_eq!(
        found,
        [mirrors.mirror.reference("a", &first_has.digest), second.reference("b", &second_has.digest)]
    );
    assert_eq!(Mirrors::reads(&mirrors.lab.source), []);
    assert!(!Mirrors::reads(&second).iter().any(|line| line.path.starts_with("/v2/a/")));
}

#[test]
fn a_blocked_registry_is_not_asked() {
    let mirrors = Mirrors::new();
    let name = mirrors.lab.push(&image(8), "team/app", "v1");
    mirrors.lab.configure(&[&name]);
    mirrors.configure("# never\n\n[[registry]]\nlocation = 'SOURCE'\nblocked = true\n");
    let run = mirrors.make().expect(8);
    let message = &run.report().failures[0].message;
    assert!(message.contains("blocked by `registries.conf`, line 3, column 1"), "{message}");
    assert!(run.output.raw_stderr.contains("hint: remove `blocked` there"), "{}", run.output.raw_stderr);
    assert_eq!(asked(&mirrors.lab.source), []);

    // Its mirrors are, and what they do not have is not there.
    mirrors.mirror.push(&image(8), "copy/team/app", "v1");
    let blocked = MIRRORED.replace("[[registry.mirror]]", "blocked = true\n[[registry.mirror]]");
    mirrors.configure(&blocked);
    let run = mirrors.make().expect(0);
    assert!(run.report().images[0].found_at.is_some());
    mirrors.lab.configure(&[mirrors.lab.source.reference("team/other", "v1")]);
    let run = mirrors.lab.make_in("other", &["--registries-conf", "registries.conf"]).expect(8);
    let message = &run.report().failures[0].message;
    assert!(message.contains("not found") && message.contains("blocked by"), "{message}");
    assert_eq!(asked(&mirrors.lab.source), []);
}

#[test]
fn a_blocked_target_is_not_written_to() {
    let mirrors = Mirrors::new();
    mirrors.lab.configure(&[mirrors.lab.push(&image(9), "team/app", "v1")]);
    mirrors.lab.make(&[]).expect(0);
    let text = format!("[[registry]]\nlocation = '{}'\nblocked = true\n", mirrors.lab.target.host());
    mirrors.configure(&text);
    let run = mirrors.lab.publish("disk", &["--registries-conf", "registries.conf"]).expect(1);
    assert!(
        run.output.raw_stderr.contains("blocked by `registries.conf`, line 1"),
        "{}",
        run.output.raw_stderr
    );
    assert_eq!(asked(&mirrors.lab.target), []);
}

#[test]
fn mirrors_for_digests_only_are_not_asked_for_tags() {
    let mirrors = Mirrors::new();
    let (tagged, pinned) = (image(10), image(11));
    mirrors.lab.push(&tagged, "team/app", "v1");
    mirrors.mirror.push(&tagged, "copy/team/app", "v1");
    mirrors.mirror.push(&pinned, "copy/team/base", "x");
    mirrors.lab.configure(&[
        mirrors.lab.source.reference("team/app", "v1"),
        mirrors.lab.source.reference("team/base", &pinned.digest),
    ]);
    for text in [
        format!("{MIRRORED}pull-from-mirror = 'digest-only'\n"),
        MIRRORED.replace("[[registry.mirror]]", "mirror-by-digest-only = true\n[[registry.mirror]]"),
    ] {
        mirrors.configure(&text);
        let _ = std::fs::remove_dir_all(mirrors.lab.path("disk"));
        mirrors.mirror.clear_log();
        let run = mirrors.make().expect(0);
        let is_mirrored: Vec<bool> = run.report().images.iter().map(|i| i.found_at.is_some()).collect();
        assert_eq!(is_mirrored, [false, true], "{text}");
        let asked = Mirrors::reads(&mirrors.mirror);
        assert!(!asked.iter().any(|line| line.path.ends_with("/manifests/v1")), "{asked:#?}");
    }
}

#[test]
fn plain_http_is_allowed_where_it_is_said_and_nowhere_else() {
    let mirrors = Mirrors::new();
    mirrors.mirror.push(&image(12), "copy/team/app", "v1");
    mirrors.lab.configure(&[mirrors.lab.source.reference("team/app", "v1")]);
    let make = || -> CommandOutput {
        let disk = mirrors.lab.file("disk");
        let args = ["-c", "isc.yaml", &disk, "--registries-conf", "registries.conf", "--retry-times", "0"];
        mirrors.lab.context.run(&args)
    };
    mirrors.configure(MIRRORED);
    make().expect_code(8);
    assert!(Mirrors::reads(&mirrors.mirror).is_empty(), "without being told so, it is not spoken to");
    mirrors.configure(&format!("{MIRRORED}insecure = true\n"));
    make().expect_code(0);
    assert!(!Mirrors::reads(&mirrors.mirror).is_empty());

    // The same holds for what is published to.
    let target = format!("docker://{}", mirrors.lab.target.host());
    let from = mirrors.lab.file("disk");
    let publish = || -> CommandOutput {
        let args = ["--from", &from, &target, "--registries-conf", "registries.conf", "--retry-times", "0"];
        mirrors.lab.context.run(&args)
    };
    publish().expect_code(1);
    mirrors
        .configure(&format!("[[registry]]\nlocation = '{}'\ninsecure = true\n", mirrors.lab.target.host()));
    publish().expect_code(0);
}

#[test]
fn a_prefix_may_be_a_wildcard_and_move_what_is_below() {
    let mirrors = Mirrors::new();
    let app = image(13);
    mirrors.mirror.push(&app, "moved/ns/deep/app", "v1");
    mirrors.lab.configure(&["registry.far.example.com/ns/deep/app:v1"]);
    mirrors.configure("[[registry]]\nprefix = '*.far.example.com'\nlocation = 'MIRROR/moved'\n");
    let run = mirrors.make().expect(0);
    assert_eq!(run.report().images[0].origin, "registry.far.example.com/ns/deep/app:v1");
    let found = mirrors.mirror.reference("moved/ns/deep/app", &app.digest);
    assert_eq!(run.report().images[0].found_at.as_ref(), Some(&found));
}

#[test]
fn files_add_up_as_documented() {
    let mirrors = Mirrors::new();
    let app = image(14);
    mirrors.mirror.push(&app, "copy/team/app", "v1");
    mirrors.mirror.push(&app, "override/team/app", "v1");
    mirrors.lab.configure(&[mirrors.lab.source.reference("team/app", "v1")]);
    let containers = mirrors.lab.context.home().join(".config/containers");
    std::fs::create_dir_all(containers.join("registries.conf.d")).expect("writable");
    std::fs::write(containers.join("registries.conf"), mirrors.filled(MIRRORED)).expect("writable");
    // An empty variable is one that is not set.
    let Mirrors { lab, mirror } = mirrors;
    let source = lab.source.host();
    let lab = Lab { context: lab.context.env("CONTAINERS_REGISTRIES_CONF", ""), ..lab };
    let found = |directory: &str, lab: &Lab, more: &[&str]| {
        let args = join(&["-c", "isc.yaml", "--retry-times", "0"], more);
        let directory = lab.file(directory);
        let made = run(&lab.context, &join(&args, &[&directory])).expect(0);
        made.report().images[0].found_at.clone().unwrap_or_default()
    };
    assert_eq!(found("one", &lab, &[]), mirror.reference("copy/team/app", &app.digest));
    let text =
        MIRRORED.replace("/copy", "/override").replace("SOURCE", &source).replace("MIRROR", &mirror.host());
    std::fs::write(containers.join("registries.conf.d/50-site.conf"), &text).expect("writable");
    assert_eq!(found("two", &lab, &[]), mirror.reference("override/team/app", &app.digest));
    // A file that is named counts alone, but for the one that overrides everything.
    lab.context.write("named.conf", text.replace("/override", "/copy"));
    let named = ["--registries-conf", "named.conf"];
    assert_eq!(found("three", &lab, &named), mirror.reference("copy/team/app", &app.digest));
    lab.context.write("last.conf", &text);
    let lab = Lab { context: lab.context.env("CONTAINERS_REGISTRIES_CONF_OVERRIDE", "last.conf"), ..lab };
    assert_eq!(found("four", &lab, &named), mirror.reference("override/team/app", &app.digest));
}

#[test]
fn a_blob_that_a_mirror_lost_or_spoiled_comes_from_the_registry() {
    let mirrors = Mirrors::new();
    let app = image(15);
    let name = mirrors.lab.push(&app, "team/app", "v1");
    mirrors.mirror.push(&app, "copy/team/app", "v1");
    let layers = app.layer_digests();
    let data = |digest: &str| {
        let hex = digest.strip_prefix("sha256:").expect("a SHA-256");
        let dir = "docker/registry/v2/blobs/sha256";
        mirrors.mirror.storage().join(dir).join(&hex[..2]).join(hex).join("data")
    };
    std::fs::remove_file(data(&layers[0])).expect("it is there");
    std::fs::write(data(&layers[1]), vec![7; 20_000]).expect("writable");
    mirrors.lab.configure(&[&name]);
    mirrors.configure(MIRRORED);
    let run = mirrors.lab.make(&["--registries-conf", "registries.conf", "--retry-delay", "10ms"]).expect(0);
    assert!(run.report().images[0].found_at.is_some(), "its manifest is from the mirror");
    mirrors.lab.publish("disk", &[]).expect(0);
    mirrors.lab.assert_published(&app, "team/app", "v1");
    let mut fetched: Vec<String> =
        Mirrors::reads(&mirrors.lab.source).into_iter().map(|line| line.path).collect();
    fetched.sort();
    let mut expected: Vec<String> = layers.iter().map(|l| format!("/v2/team/app/blobs/{l}")).collect();
    expected.sort();
    assert_eq!(fetched, expected, "and nothing else is");
}

#[test]
fn a_mirror_that_denies_is_passed_over() {
    let mut mirrors = Mirrors::new();
    mirrors.mirror = Registry::builder().auth().start();
    let app = image(26);
    mirrors.lab.configure(&[mirrors.lab.push(&app, "team/app", "v1")]);
    mirrors.configure(MIRRORED);
    let run = mirrors.make().expect(0);
    assert_eq!(run.report().images[0].found_at, None);
    let warning = format!("warning: {}: it did not give `", mirrors.mirror.host());
    assert_eq!(run.output.raw_stderr.matches(&warning).count(), 1, "{}", run.output.raw_stderr);
}

#[test]
fn a_mirror_that_answers_late_is_better_than_none() {
    let mut mirrors = Mirrors::new();
    let app = image(27);
    mirrors.mirror.push(&app, "copy/team/app", "v1");
    let front = FaultRegistry::before(&mirrors.mirror);
    front.rule(Rule::on("*", "").first(3).then(Action::Hangup));
    let name = mirrors.lab.source.reference("team/app", "v1");
    mirrors.lab.source.stop();
    mirrors.lab.configure(&[name]);
    mirrors.configure(&MIRRORED.replace("MIRROR", &front.host()));
    let run = mirrors.lab.make(&["--registries-conf", "registries.conf", "--retry-delay", "10ms"]).expect(0);
    assert_eq!(
        run.report().images[0].found_at,
        Some(format!("{}/copy/team/app@{}", front.host(), app.digest))
    );

    // It may have what the registry itself says is not there.
    mirrors.lab.source.restart();
    front.rule(Rule::on("*", "").first(3).then(Action::Hangup));
    let run = mirrors
        .lab
        .make_in("again", &["--registries-conf", "registries.conf", "--retry-delay", "10ms"])
        .expect(0);
    assert!(run.report().images[0].found_at.is_some());

    // Where none answers at all, every place is told.
    mirrors.lab.source.stop();
    mirrors.mirror.stop();
    front.rule(Rule::on("*", "").then(Action::Hangup));
    let run = mirrors
        .lab
        .make_in("other", &["--registries-conf", "registries.conf", "--retry-times", "0"])
        .expect(8);
    let message = &run.report().failures[0].message;
    for host in [front.host(), mirrors.lab.source.host()] {
        assert!(message.contains(&host), "{host} in {message}");
    }
}

#[test]
fn mistakes_are_told_with_their_place() {
    let mirrors = Mirrors::new();
    mirrors.lab.configure(&[mirrors.lab.push(&image(16), "team/app", "v1")]);
    mirrors.configure("[[registry]]\nlocation = 'https://SOURCE'\n");
    mirrors.make().assert_refused(1, "`registries.conf`, line 2, column 12: `https://");
    mirrors.configure("[registries.search]\nregistries = ['docker.io']\n");
    mirrors.make().assert_refused(1, "this is version 1 of the format");
    mirrors.configure("[[registry]\n");
    mirrors.make().assert_refused(1, "this is not TOML");
    std::fs::remove_file(mirrors.lab.path("registries.conf")).expect("it is there");
    let run = mirrors.make().expect(1);
    assert!(run.output.raw_stderr.contains("the file of --registries-conf `registries.conf` cannot be read"));
    mirrors.configure("[[registry]]\nlocation = 'SOURCE'\nmiror = 1\n");
    let run = mirrors.make().expect(0);
    let warning =
        "warning: `registries.conf`, line 3, column 1: `registry.miror` is not known, and has no effect";
    assert!(run.output.raw_stderr.contains(warning), "{}", run.output.raw_stderr);
}

/// Moves what a source has behind another address, stops the source, and makes `registries.conf` say so.
fn moved(lab: &mut Lab) -> Registry {
    lab.source.stop();
    let mirror = Registry::builder().storage(lab.source.storage()).start();
    let text =
        MIRRORED.replace("/copy", "").replace("SOURCE", &lab.source.host()).replace("MIRROR", &mirror.host());
    lab.context.write("registries.conf", text);
    mirror
}

const MOVED: [&str; 2] = ["--registries-conf", "registries.conf"];

/// Fails the test unless every image of a run has its old name and was read from the mirror.
#[track_caller]
fn assert_moved(run: &Run, lab: &Lab, mirror: &Registry, kinds: &[&str]) {
    let images = &run.report().images;
    for image in images {
        assert!(image.origin.starts_with(&lab.source.host()), "{image:?}");
        let is_found = image.found_at.as_ref().is_some_and(|place| place.starts_with(&mirror.host()));
        assert!(is_found, "{image:?}");
    }
    for kind in kinds {
        assert!(images.iter().any(|image| image.kind == *kind), "an image of kind {kind} among {images:#?}");
    }
}

#[test]
fn catalogs_and_what_they_name_are_read_from_mirrors() {
    let mut shop = Shop::new();
    let (_, catalog) = shop.usual();
    shop.want(json!([{ "catalog": catalog, "full": true }]));
    let mirror = moved(&mut shop.lab);
    let run = shop.lab.make(&MOVED).expect(0);
    assert_moved(&run, &shop.lab, &mirror, &["catalog", "bundle", "related"]);

    // One that is made smaller is built on the mirror's.
    shop.want(json!([{ "catalog": catalog, "packages": [{ "name": "bar" }] }]));
    shop.lab.make_in("smaller", &MOVED).expect(0);
    mirrors_stopped(mirror);
    shop.lab.publish("smaller", &[]).expect(0);
    assert_eq!(shop.pull("shop/index", "v4.20").bundles(), ["bar.v0.2.0"]);
}

fn mirrors_stopped(mut mirror: Registry) {
    mirror.stop();
}

#[test]
fn lists_of_operators_and_releases_are_read_from_mirrors() {
    let mut shop = Shop::new();
    let (_, catalog) = shop.usual();
    let mirror = moved(&mut shop.lab);
    let list = |args: &[&str]| {
        let network = ["--src-tls-verify=false", "--registries-conf", "registries.conf"];
        shop.lab.context.run(&[&["list"], args, &network].concat()).expect_code(0).raw_stdout
    };
    assert!(list(&["operators", "--catalog", &catalog]).contains("foo"));
    for tag in ["4.19.1-x86_64", "4.20.3-x86_64"] {
        mirror.push(&image(20), "ocp/release", tag);
    }
    let repository = format!("{}/ocp/release", shop.lab.source.host());
    let versions = list(&["releases", "--repository", &repository]);
    assert!(versions.contains("4.19") && versions.contains("4.20"), "{versions}");
}

#[test]
fn releases_and_the_base_of_the_graph_are_read_from_mirrors() {
    let mut depot = Depot::new();
    let release = depot.version("4.12.0");
    depot.channel("stable-4.12", &[&release], "");
    let base = ImageBuilder::new().layer(&[("bin/bash", "x")]).build();
    depot.lab.push(&base, "ubi9/ubi", "latest");
    depot.server.graph_data(GraphData::sample());
    depot.want(json!({
        "channels": [{ "name": "stable-4.12" }],
        "graph": true,
        "graphBase": depot.lab.source.reference("ubi9/ubi", "latest"),
        "graphDataURL": depot.server.graph_data_url(),
    }));
    let mirror = moved(&mut depot.lab);
    let run = depot.lab.make(&MOVED).expect(0);
    let images = &run.report().images;
    for kind in ["release", "release-content"] {
        let found = images.iter().filter(|i| i.kind == kind).map(|i| i.found_at.clone().unwrap_or_default());
        let found: Vec<_> = found.collect();
        assert!(
            !found.is_empty() && found.iter().all(|place| place.starts_with(&mirror.host())),
            "{found:?}"
        );
    }
    assert!(images.iter().any(|image| image.kind == "graph"));
    let asked = Mirrors::reads(&mirror);
    assert!(asked.iter().any(|line| line.path.starts_with("/v2/ubi9/ubi/manifests/")), "{asked:#?}");
    mirrors_stopped(mirror);
    depot.lab.publish("disk", &[]).expect(0);
    depot.assert_arrived(&release, "amd64");
}

#[test]
fn what_is_beside_an_image_is_read_from_where_the_image_is() {
    let mut lab = Lab::new();
    let app = image(21);
    let payload = [("dev.cosignproject.cosign/signature", "MEUC")];
    let signature = ImageBuilder::new()
        .blob("application/vnd.dev.cosign.simplesigning.v1+json", b"signed", &payload)
        .build();
    let bill =
        ImageBuilder::artifact("application/spdx+json").blob("text/spdx", b"bill", &[]).subject(&app).build();
    let name = lab.push(&app, "team/app", "v1");
    let hex = app.digest.replace(':', "-");
    lab.push(&signature, "team/app", &format!("{hex}.sig"));
    let list = IndexBuilder::new().child(&bill).build();
    lab.push(&list, "team/app", &hex);
    lab.configure(&[name]);
    let mirror = moved(&mut lab);
    let run = lab.make(&MOVED).expect(0);
    assert_eq!(run.report().images[0].companions, 2, "a signature and a bill of materials");
    mirrors_stopped(mirror);
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&signature, "team/app", &format!("{hex}.sig"));
}

#[test]
fn registry_to_registry_reads_from_mirrors() {
    let mut lab = Lab::new();
    let app = image(22);
    lab.configure(&[lab.push(&app, "team/app", "v1")]);
    let mirror = moved(&mut lab);
    let (workspace, to) = (lab.file("w"), format!("docker://{}", lab.target.host()));
    let run = lab.run(&join(&["-c", "isc.yaml", "--workspace", &workspace, &to], &MOVED)).expect(0);
    assert_moved(&run, &lab, &mirror, &["additional"]);
    lab.assert_published(&app, "team/app", "v1");
}

#[test]
fn policies_judge_images_by_their_names_and_not_by_their_places() {
    let mut lab = Lab::new();
    lab.configure(&[lab.push(&image(23), "team/app", "v1")]);
    let accept = json!([{ "type": "insecureAcceptAnything" }]);
    lab.context.write(
        "policy.json",
        json!({
            "default": [{ "type": "reject" }],
            "transports": { "docker": { lab.source.host(): accept } },
        })
        .to_string(),
    );
    let mirror = moved(&mut lab);
    let policy = ["--secure-policy", "--policy", "policy.json"];
    lab.make(&join(&MOVED, &policy)).expect(0);
    assert!(!Mirrors::reads(&mirror).is_empty());
}

#[test]
fn short_names_stand_for_what_the_files_say() {
    let mirrors = Mirrors::new();
    mirrors.lab.push(&image(24), "ubi8/ubi", "v1");
    mirrors.mirror.push(&image(25), "team/tool", "v1");
    mirrors.lab.configure(&["ubi8/ubi:v1", "tool:v1"]);
    let searched = |registries: &str, mode: &str| {
        mirrors.configure(&format!(
            "unqualified-search-registries = [{registries}]\nshort-name-mode = '{mode}'\n[aliases]\ntool = 'MIRROR/team/tool'\n"
        ));
        let _ = std::fs::remove_dir_all(mirrors.lab.path("disk"));
        mirrors.make()
    };
    let expected =
        [mirrors.lab.source.reference("ubi8/ubi", "v1"), mirrors.mirror.reference("team/tool", "v1")];
    let origins = |run: &Run| run.report().images.iter().map(|i| i.origin.clone()).collect::<Vec<_>>();
    let run = searched("'SOURCE'", "enforcing").expect(0);
    assert_eq!(origins(&run), expected);
    assert!(
        run.output.raw_stderr.contains(&format!("ubi8/ubi:v1 is {}", expected[0])),
        "{}",
        run.output.raw_stderr
    );
    // Where several are searched, the first that has it is meant, or nobody knows.
    assert_eq!(origins(&searched("'MIRROR', 'SOURCE'", "permissive").expect(0)), expected);
    let run = searched("'MIRROR', 'SOURCE'", "enforcing");
    run.assert_refused(
        8,
        &format!("may be any of `{}/ubi8/ubi:v1`, `{}`", mirrors.mirror.host(), expected[0]),
    );
    let run = searched("'MIRROR', 'MIRROR/other'", "permissive");
    run.assert_refused(8, "no registry that is searched has it");
}
