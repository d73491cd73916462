//! What a newcomer does, from an empty directory to a registry on the far side, with one of the fixtures' catalogs: only what the
//! help and the step before say.
//!
//! `OC_MIRROR_TEST_TRANSCRIPT=FILE` keeps what was typed and what was seen.

use std::collections::BTreeSet;
use std::fs;

use oc_mirror_testkit::{CatalogBuilder, CommandOutput, Image, ImageBuilder, TestContext, fixtures};

use crate::lab::Lab;

/// A catalog whose smaller packages name their images by tag, so that others can stand in for them.
const CATALOG: &str = "fbc/redhat-openshift-ecosystem__community-operators-prod/v4.19";
const PACKAGE: &str = "cat-facts-operator";

/// Runs the program and keeps what is seen.
struct Transcript {
    context: TestContext,
    text: String,
}

impl Transcript {
    #[track_caller]
    fn types(&mut self, line: &str) -> CommandOutput {
        let args: Vec<&str> = line.split_whitespace().collect();
        let output = self.context.run(&args).expect_code(0);
        self.text += &format!("$ oc-mirror {line}\n{}{}\n", output.raw_stdout, output.raw_stderr);
        output
    }
}

/// The images that the bundles of a package name.
fn images(package: &str) -> BTreeSet<String> {
    let names =
        package.lines().filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("image: "));
    names.map(|name| name.trim().to_owned()).collect()
}

/// A small image that is like no other.
fn stand_in(name: &str) -> Image {
    ImageBuilder::new().layer(&[("base", "the same in all")]).layer(&[("name", name)]).build()
}

#[test]
#[allow(clippy::print_stderr)]
fn from_an_empty_directory_to_the_far_side() {
    let Some(catalog) = fixtures().map(|fixtures| fixtures.join(CATALOG)).filter(|catalog| catalog.is_dir())
    else {
        eprintln!("skipped: no ../shared/fixtures");
        return;
    };
    let lab = Lab::new();
    let text = fs::read_to_string(catalog.join(PACKAGE).join("catalog.yaml")).expect("a package");
    let wanted = images(&text);
    for name in &wanted {
        let (repository, tag) = name.rsplit_once(':').expect("by tag");
        lab.source.push(&stand_in(name), repository, tag);
    }
    lab.source.push(&CatalogBuilder::new().directory(&catalog).build(), "quay.io/community/index", "v4.19");
    // The local registry stands in for those of the world, as it would in a company's `registries.conf`.
    let hosts: BTreeSet<&str> = wanted.iter().filter_map(|name| name.split('/').next()).collect();
    let conf: String = hosts
        .iter()
        .map(|host| {
            format!(
                "[[registry]]\nprefix = '{host}'\nlocation = '{}/{host}'\ninsecure = true\n",
                lab.source.host()
            )
        })
        .collect();
    let conf_file = lab.context.write("registries.conf", conf);
    let target = format!("docker://{}/mirror", lab.target.host());
    let context = lab.context.env("CONTAINERS_REGISTRIES_CONF", &conf_file.display().to_string());
    let mut newcomer = Transcript { context, text: String::new() };
    let index = "quay.io/community/index:v4.19";

    let packages = newcomer.types(&format!("list operators --catalog {index}"));
    assert!(packages.stdout.contains(PACKAGE), "{}", packages.snapshot());
    newcomer.types(&format!("list operators --catalog {index} --package {PACKAGE}"));
    newcomer.types(&format!("init --catalog {index} --operator {PACKAGE}@stable"));
    newcomer.types("lint -c imageset-config.yaml");
    let doctor = newcomer.types("doctor -c imageset-config.yaml file://disk");
    assert!(doctor.stderr.contains("0 failed"), "{}", doctor.snapshot());
    let dry = newcomer.types("-c imageset-config.yaml --dry-run file://disk");
    let made = newcomer.types("-c imageset-config.yaml file://disk");
    // What was said before is what came.
    let images_of = |output: &CommandOutput| output.stdout.split_whitespace().next().map(str::to_owned);
    assert_eq!(images_of(&dry), images_of(&made), "{}{}", dry.snapshot(), made.snapshot());
    newcomer.types("describe disk");
    newcomer.types("check disk");
    newcomer.types(&format!(
        "--from file://disk --workspace file://far --dest-tls-verify=false --dry-run {target}"
    ));
    newcomer.types(&format!("--from file://disk --workspace file://far --dest-tls-verify=false {target}"));
    newcomer.types(&format!("check --dest-tls-verify=false {target}"));
    newcomer.types("report disk -o images.spdx.json");
    newcomer.types("report disk -o report.html");
    let page = fs::read_to_string(newcomer.context.work().join("report.html")).expect("written");
    assert!(page.contains(PACKAGE) && !page.contains("http://cdn"), "a page by itself");

    // The newest version of the channel and nothing else is there, as it was.
    let newest = wanted.iter().filter(|name| name.contains(PACKAGE)).max().expect("some");
    let (repository, tag) = newest.rsplit_once(':').expect("by tag");
    let path = repository.split_once('/').expect("with a registry").1;
    let found = lab.target.digest_of(&format!("mirror/{path}"), tag);
    assert_eq!(found.as_deref(), Some(stand_in(newest).digest.as_str()));
    assert!(
        lab.target.tags(&format!("mirror/{path}")).iter().all(|known| known.starts_with(tag)),
        "one version"
    );
    assert!(newcomer.context.work().join("far/working-dir/cluster-resources").is_dir());
    if let Ok(file) = std::env::var("OC_MIRROR_TEST_TRANSCRIPT") {
        fs::write(file, &newcomer.text).expect("written");
    }
}
