//! The image with the data of the update graph: made of an archive that the update service has, or an existing one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use oc_mirror_testkit::{Action, GraphData, Hostile, Image, ImageBuilder, IndexBuilder, Rule, Skopeo};
use rstest::rstest;
use serde_json::{Value, json};

use crate::depot::Depot;
use crate::lab::{Run, read};

const REPOSITORY: &str = "openshift/graph-image";
/// Where in the image the data is.
const DATA: &str = "var/lib/cincinnati-graph-data";

/// Pushes the image to build on, for two architectures, and returns it.
fn base(depot: &Depot) -> Image {
    let of = |platform: &str| {
        let image = ImageBuilder::new().docker().platform(platform).layer(&[("bin/bash", platform)]);
        image.entrypoint(&["/usr/bin/base"]).cmd(&["base"]).env("BASE=1").build()
    };
    let list = IndexBuilder::new().docker().child(&of("linux/amd64")).child(&of("linux/arm64")).build();
    depot.lab.push(&list, "ubi9/ubi", "latest");
    list
}

/// Serves graph data, and asks for an image of it.
fn wanting(data: GraphData) -> Depot {
    let depot = Depot::new();
    base(&depot);
    depot.server.graph_data(data);
    depot.want(built_on(&depot));
    depot
}

fn built_on(depot: &Depot) -> Value {
    json!({
        "graph": true,
        "graphBase": depot.lab.source.reference("ubi9/ubi", "latest"),
        "graphDataURL": depot.server.graph_data_url(),
    })
}

fn graph_in(run: &Run) -> String {
    let images = &run.report().images;
    let graph = images.iter().find(|image| image.kind == "graph");
    graph.unwrap_or_else(|| panic!("no graph among {images:?}")).digest.to_string()
}

/// Pulls one image of the list at the target, and returns its configuration, its layers and the files of the last one.
fn pull(depot: &Depot, architecture: &str) -> (Value, Vec<String>, BTreeMap<String, Vec<u8>>) {
    let dir = depot.lab.path(&format!("pulled-{architecture}"));
    let reference = format!("docker://{}", depot.lab.target.reference(REPOSITORY, "latest"));
    let skopeo = Command::new("skopeo")
        .args([
            "--insecure-policy",
            "--override-os",
            "linux",
            "--override-arch",
            architecture,
            "copy",
            "--quiet",
        ])
        .args(["--src-tls-verify=false", &reference, &format!("dir:{}", dir.display())])
        .output()
        .expect("this machine has skopeo");
    assert!(skopeo.status.success(), "{}", String::from_utf8_lossy(&skopeo.stderr));
    let manifest: Value = serde_json::from_slice(&read(&dir.join("manifest.json"))).expect("a manifest");
    let digest = |descriptor: &Value| descriptor["digest"].as_str().expect("a digest").to_owned();
    let blob = |digest: &str| dir.join(digest.trim_start_matches("sha256:"));
    let config = serde_json::from_slice(&read(&blob(&digest(&manifest["config"])))).expect("a configuration");
    let layers: Vec<String> = manifest["layers"].as_array().expect("layers").iter().map(digest).collect();
    let root = dir.join("root");
    fs::create_dir(&root).expect("the test's own directory is writable");
    let last = blob(layers.last().expect("a layer"));
    let tar = Command::new("tar").arg("xzf").arg(last).arg("-C").arg(&root).status();
    assert!(tar.expect("this machine has tar").success());
    let mut files = BTreeMap::new();
    walk(&root, &root, &mut files);
    (config, layers, files)
}

fn walk(directory: &Path, root: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => walk(&path, root, files),
            false => {
                let name = path.strip_prefix(root).expect("below").display().to_string();
                files.insert(name, read(&path));
            }
        }
    }
}

#[rstest]
#[case::plain(GraphData::sample())]
#[case::pax(GraphData::sample().pax())]
#[case::dotted(GraphData::sample().dotted())]
fn the_data_is_put_on_the_base(#[case] data: GraphData) {
    let mut depot = wanting(data.clone());
    let base = base(&depot);
    let made = depot.carry(&[]);
    depot.server.assert_fetched_once(&[]);
    assert_eq!(depot.lab.target.digest_of(REPOSITORY, "latest"), Some(graph_in(&made)));
    assert_eq!(depot.lab.target.tags(REPOSITORY), ["latest"]);
    Skopeo::new().pull(&format!("docker://{}", depot.lab.target.reference(REPOSITORY, "latest")));
    let expected: BTreeMap<String, Vec<u8>> =
        data.files().into_iter().map(|(name, content)| (format!("{DATA}/{name}"), content)).collect();
    for (place, architecture) in ["amd64", "arm64"].into_iter().enumerate() {
        let (config, layers, files) = pull(&depot, architecture);
        assert_eq!(files, expected);
        assert_eq!(layers[..layers.len() - 1], base.children[place].layer_digests());
        assert_eq!(config["architecture"], architecture);
        let command = "exec cp -rp /var/lib/cincinnati-graph-data/* /var/lib/cincinnati/graph-data";
        assert_eq!(config["config"]["Cmd"], json!(["/bin/bash", "-c", command]));
        assert_eq!(config["config"]["Entrypoint"], json!([]), "that of the base would run instead");
        assert_eq!(config["config"]["Env"], json!(["BASE=1"]));
    }
}

#[test]
fn the_same_data_makes_the_same_image() {
    let depot = wanting(GraphData::sample());
    let first = graph_in(&depot.lab.make_in("one", &[]).expect(0));
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(graph_in(&depot.lab.make_in("two", &[]).expect(0)), first);
    let again = depot.lab.make_in("one", &[]).expect(0);
    assert_eq!(again.outcomes(), [(1, "nothing new")]);
    depot.server.graph_data(GraphData::sample().channel("fast-4.12", &["4.12.0"]));
    let other = depot.lab.make_in("one", &[]).expect(0);
    assert_eq!(other.outcomes(), [(2, "made")]);
    assert_ne!(graph_in(&other), first);
}

#[test]
fn it_travels_with_releases_and_from_registry_to_registry() {
    let depot = wanting(GraphData::sample());
    let made = depot.version("4.12.1");
    depot.channel("stable-4.12", &[&made], "");
    let mut section = built_on(&depot);
    section["channels"] = json!([{ "name": "stable-4.12" }]);
    depot.want(section);
    let to = format!("docker://{}", depot.lab.target.host());
    let run = depot.lab.run(&["-c", "isc.yaml", "--workspace", &depot.lab.file("w"), &to]).expect(0);
    depot.assert_arrived(&made, "amd64");
    assert_eq!(depot.lab.target.digest_of(REPOSITORY, "latest"), Some(graph_in(&run)));
    assert_eq!(depot.arrived(), ["4.12.1-x86_64"], "the update service reads what is beside a payload");
}

#[rstest]
#[case::parent_path("graph_parent_path", Hostile::ParentPath)]
#[case::symlink("graph_symlink", Hostile::Symlink)]
#[case::hard_link("graph_hard_link", Hostile::HardLink)]
#[case::device("graph_device", Hostile::Device)]
#[case::fifo("graph_fifo", Hostile::Fifo)]
fn an_archive_that_means_harm(#[case] name: &str, #[case] what: Hostile) {
    let depot = wanting(GraphData::sample().hostile(what));
    fails(&depot, name);
}

/// As `tar` does, the path counts from the directory.
#[test]
fn an_absolute_path_stays_below_the_directory() {
    let mut depot = wanting(GraphData::sample().hostile(Hostile::AbsolutePath));
    depot.carry(&[]);
    let (_, _, files) = pull(&depot, "amd64");
    assert!(files.keys().all(|path| path.starts_with(DATA)), "{:?}", files.keys());
    assert!(files.contains_key(&format!("{DATA}{}", Hostile::AbsolutePath.path())), "{:?}", files.keys());
    assert!(!Path::new(Hostile::AbsolutePath.path()).exists());
}

#[test]
fn an_archive_that_is_not_there() {
    let depot = wanting(GraphData::sample());
    depot.server.rule(Rule::on("GET", "graph-data").then(Action::status(404)));
    fails(&depot, "graph_not_there");
}

#[rstest]
#[case::none("graph_no_archive", b"<html>sign in, please</html>".to_vec())]
#[case::cut("graph_cut", { let mut bytes = GraphData::sample().build(); bytes.truncate(bytes.len() / 2); bytes })]
#[case::empty("graph_empty", Vec::new())]
fn an_archive_that_is_none(#[case] name: &str, #[case] archive: Vec<u8>) {
    let depot = wanting(GraphData::sample());
    depot.server.graph_data(archive);
    fails(&depot, name);
}

#[test]
fn a_base_that_is_not_there() {
    let depot = wanting(GraphData::sample());
    let mut section = built_on(&depot);
    section["graphBase"] = json!(depot.lab.source.reference("ubi9/ubi", "other"));
    depot.want(section);
    fails(&depot, "graph_no_base");
}

#[test]
fn another_server_of_graphs_says_nothing_of_their_data() {
    let depot = wanting(GraphData::sample());
    depot.want(json!({ "graph": true }));
    fails(&depot, "graph_not_said_where");
}

#[track_caller]
fn fails(depot: &Depot, name: &str) {
    let run = depot.lab.make(&["--retry-times", "0"]);
    insta::assert_snapshot!(name, format!("exit code: {}\n{}", run.output.code, run.output.stderr));
    assert_eq!(run.output.code, 2);
    depot.assert_nothing_made();
}

#[test]
fn an_existing_image_is_taken_as_it_is() {
    let mut depot = Depot::new();
    let of = |platform: &str| ImageBuilder::new().platform(platform).layer(&[(DATA, platform)]).build();
    let image = IndexBuilder::new().child(&of("linux/amd64")).child(&of("linux/s390x")).build();
    let name = depot.lab.push(&image, "team/graph", "v7");
    depot.want(json!({ "graph": true, "graphImage": name }));
    depot.carry(&[]);
    assert_eq!(depot.server.requests().iter().filter(|r| r.path.contains("graph")).count(), 0);
    depot.lab.assert_published(&image, REPOSITORY, "latest");
}
