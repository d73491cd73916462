//! Archives of oc-mirror v2, made of what Debian's docker-registry, the same that v2 has inside, keeps in its directory.

use std::path::Path;

use oc_mirror_testkit::{Image, ImageBuilder, IndexBuilder, Registry, Skopeo};
use rstest::rstest;
use serde_json::json;

use crate::archives::{V2, append, flip};
use crate::lab::{Lab, Run, digest_tag, names_in, read};

fn image(seed: u64) -> Image {
    ImageBuilder::new().layer(&[("etc/motd", "base\n")]).random_layer(seed, 30_000).build()
}

fn list() -> Image {
    let of = |platform: &str, seed| {
        ImageBuilder::new()
            .docker()
            .platform(platform)
            .layer(&[("arch", platform)])
            .random_layer(seed, 9_000)
            .build()
    };
    IndexBuilder::new().docker().child(&of("linux/amd64", 8)).child(&of("linux/arm64", 9)).build()
}

/// Pushes into the registry that plays v2's cache, by way of `skopeo`.
fn cache(lab: &Lab, image: &Image, repository: &str, tag: &str) {
    let scratch = tempfile_dir(lab);
    image.write_layout(&scratch, "image");
    let to = format!("docker://{}", lab.source.reference(repository, tag));
    match image.media_type.contains("docker") {
        // skopeo does not read Docker's types from a layout.
        true => lab.source.push(image, repository, tag),
        false => Skopeo::new().copy_all(&format!("oci:{}:image", scratch.display()), &to),
    }
    assert_eq!(lab.source.digest_of(repository, tag).as_ref(), Some(&image.digest));
}

fn tempfile_dir(lab: &Lab) -> std::path::PathBuf {
    let count = names_in(&lab.path("layouts")).len();
    let path = lab.path(&format!("layouts/{count}"));
    std::fs::create_dir_all(&path).expect("writable");
    path
}

fn publish(lab: &Lab, from: &str, more: &[&str]) -> Run {
    let (from, to) = (lab.file(from), format!("docker://{}/far", lab.target.host()));
    lab.run(&[&["--from", from.as_str(), to.as_str()], more].concat())
}

fn resources(lab: &Lab, from: &str, file: &str) -> String {
    let path = lab.path(from).join("working-dir/cluster-resources").join(file);
    String::from_utf8(read(&path)).expect("text")
}

/// Returns all digests that an image consists of.
fn content(image: &Image) -> Vec<String> {
    let manifests = image.tree().into_iter().map(|m| m.digest.clone());
    manifests.chain(image.blobs().into_iter().map(|b| b.digest.clone())).collect()
}

#[test]
fn an_archive_arrives_where_v2_would_have_put_it() {
    let lab = Lab::new();
    let (tagged, pinned, both, chart) = (image(1), image(2), list(), image(4));
    cache(&lab, &tagged, "team/app", "v1");
    cache(&lab, &pinned, "team/pinned", &digest_tag(&pinned));
    cache(&lab, &both, "renamed/list", "v9");
    cache(&lab, &chart, "charts/app", "v3");
    let pinned_name = format!("registry.example/team/pinned@{}", pinned.digest);
    let archive = V2::of(lab.source.storage())
        .configured(json!({"additionalImages": [
            {"name": "registry.example:5000/team/app:v1"},
            {"name": pinned_name},
            {"name": "other.example/team/list:v1", "targetRepo": "renamed/list", "targetTag": "v9"},
        ]}))
        .file("helm/charts/app-1.0.0.tgz", "a chart")
        .file("logs/oc-mirror.log", "a log")
        .chunks_of(40_000);
    let files = archive.write(&lab, "disk");
    assert!(files.len() >= 3, "blobs lie in several files: {files:?}");

    let run = publish(&lab, "disk", &["--dry-run"]).expect(0);
    assert_eq!(run.outcomes(), [(1, "planned")]);
    assert!(lab.target.repositories().is_empty(), "a dry run sends nothing");
    let forecast = run.report().forecast.clone().expect("a dry run says what would be done");
    let mapping = String::from_utf8(read(&lab.path("disk/working-dir/dry-run/mapping.txt"))).expect("text");
    let host = lab.target.host();
    for (from, to) in [
        ("registry.example:5000/team/app:v1", "team/app:v1".to_owned()),
        (&pinned_name, format!("team/pinned:{}", digest_tag(&pinned))),
        ("other.example/team/list:v1", "renamed/list:v9".to_owned()),
        ("localhost:55000/charts/app:v3", "charts/app:v3".to_owned()),
    ] {
        let line = format!("docker://{from}=docker://{host}/far/{to}\n");
        assert!(mapping.contains(&line), "{line}{mapping}");
    }

    let run = publish(&lab, "disk", &[]).expect(0);
    assert_eq!(run.outcomes(), [(1, "published")]);
    let totals = &run.report().totals;
    assert_eq!((forecast.send.blobs, forecast.send.bytes), (totals.blobs, totals.blob_bytes));
    lab.assert_published(&tagged, "far/team/app", "v1");
    lab.assert_published(&pinned, "far/team/pinned", &digest_tag(&pinned));
    lab.assert_published(&both, "far/renamed/list", "v9");
    lab.assert_published(&chart, "far/charts/app", "v3");
    assert_eq!(read(&lab.path("disk/working-dir/charts/app-1.0.0.tgz")), b"a chart");
    let (idms, itms) =
        (resources(&lab, "disk", "idms-oc-mirror.yaml"), resources(&lab, "disk", "itms-oc-mirror.yaml"));
    assert!(
        idms.contains("source: registry.example/team") && idms.contains(&format!("{host}/far/team")),
        "{idms}"
    );
    assert!(itms.contains("source: registry.example:5000/team"), "{itms}");
    assert!(
        itms.contains("source: other.example/team/list")
            && itms.contains(&format!("{host}/far/renamed/list")),
        "{itms}"
    );
    assert!(
        !idms.contains("localhost") && !itms.contains("localhost"),
        "nobody knows where it came from\n{itms}"
    );

    lab.target.clear_log();
    let again = publish(&lab, "disk", &[]).expect(0);
    assert_eq!(again.outcomes(), [(1, "already published")]);
    assert_eq!(lab.writes_to_target(), []);
}

#[test]
fn a_later_archive_lacks_what_earlier_ones_brought() {
    let lab = Lab::new();
    let (one, two) = (image(1), image(2));
    cache(&lab, &one, "team/one", "v1");
    let wanted = |names: &[&str]| {
        let images: Vec<_> = names.iter().map(|n| json!({"name": format!("registry.example/{n}")})).collect();
        json!({ "additionalImages": images })
    };
    V2::of(lab.source.storage()).configured(wanted(&["team/one:v1"])).write(&lab, "first");
    cache(&lab, &two, "team/two", "v1");
    // The same image under another tag: not a byte of it is in the second archive.
    cache(&lab, &one, "team/one", "v2");
    // Cached for somebody else, and in an archive of theirs.
    cache(&lab, &image(7), "elsewhere/app", "v1");
    let history = [content(&one), content(&image(7))].concat();
    V2::of(lab.source.storage())
        .configured(wanted(&["team/one:v1", "team/one:v2", "team/two:v1"]))
        .without(&history)
        .write(&lab, "second");

    // Without the first one, what is missing is told by name, and nothing of that is sent.
    let run = publish(&lab, "second", &[]).expect(8);
    let mut subjects: Vec<&str> = run.report().failures.iter().map(|f| f.subject.as_str()).collect();
    subjects.sort_unstable();
    let expected =
        ["registry.example/team/one:v1", "registry.example/team/one:v2", "registry.example/team/two:v1"];
    assert_eq!(subjects, expected);
    assert!(lab.target.repositories().is_empty(), "nothing was sent");

    publish(&lab, "first", &[]).expect(0);
    lab.target.clear_log();
    let run = publish(&lab, "second", &[]).expect(0);
    lab.assert_published(&one, "far/team/one", "v1");
    lab.assert_published(&one, "far/team/one", "v2");
    lab.assert_published(&two, "far/team/two", "v1");
    assert_eq!(lab.target.tags("far/elsewhere/app"), Vec::<String>::new());
    assert!(run.report().totals.mounted_blobs > 0, "{:?}", run.report().totals);
    let note = "had 1 image besides";
    assert!(run.report().notes.iter().any(|n| n.contains(note)), "{:?}", run.report().notes);
    // One record at the target has both, so clusters are told of both.
    assert_eq!(run.outcomes(), [(2, "published")]);
    let first = publish(&lab, "first", &[]).expect(0);
    assert_eq!(first.outcomes(), [(1, "already published")]);
}

#[test]
fn a_filtered_catalog_gets_its_name_back() {
    let lab = Lab::new();
    let (original, filtered, stale, bundle, related) = (image(1), image(2), image(3), image(4), image(5));
    let hex = original.digest.trim_start_matches("sha256:");
    // The MD5 of what the predecessor writes for an entry that asks for nothing special.
    let text = format!(r#"{{"packages":null,"catalog":"registry.example/cat/idx@{}"}}"#, original.digest);
    let hash = md5(text.as_bytes());
    let old = "0123456789abcdef0123456789abcdef";
    cache(&lab, &original, "cat/idx", "v4.18");
    cache(&lab, &filtered, "cat/idx", &hash);
    cache(&lab, &stale, "cat/idx", old);
    cache(&lab, &bundle, "ops/bundle", &digest_tag(&bundle));
    cache(&lab, &related, "ops/operand", "v1");
    let (bundle_name, related_name) =
        (format!("registry.example/ops/bundle@{}", bundle.digest), "registry.example/ops/operand:v1");
    let documents = json!({
        "schema": "olm.bundle", "name": "b.v1", "image": bundle_name,
        "relatedImages": [{"name": "", "image": bundle_name}, {"name": "o", "image": related_name}],
    });
    let directory = format!("operator-catalogs/idx/{hex}/filtered-catalogs");
    V2::of(lab.source.storage())
        .configured(json!({"operators": [{"catalog": "registry.example/cat/idx:v4.18"}]}))
        .file(&format!("{directory}/{hash}/digest"), filtered.digest.trim_start_matches("sha256:"))
        .file(&format!("{directory}/{hash}/catalog-config/configs/b/catalog.json"), documents.to_string())
        .file(&format!("{directory}/{old}/digest"), stale.digest.trim_start_matches("sha256:"))
        .write(&lab, "disk");
    let run = publish(&lab, "disk", &[]).expect(0);
    lab.assert_published(&filtered, "far/cat/idx", "v4.18");
    assert_eq!(lab.target.tags("far/cat/idx"), ["v4.18"], "what only the cache has stays there");
    lab.assert_published(&bundle, "far/ops/bundle", &digest_tag(&bundle));
    lab.assert_published(&related, "far/ops/operand", "v1");
    let mut kinds: Vec<&str> = run.report().images.iter().map(|i| i.kind.as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["bundle", "catalog", "related"]);
    let names = names_in(&lab.path("disk/working-dir/cluster-resources"));
    for name in ["cs-idx-v4-18.yaml", "cc-idx-v4-18.yaml", "idms-oc-mirror.yaml", "itms-oc-mirror.yaml"] {
        assert!(names.iter().any(|n| n == name), "{name} in {names:?}");
    }
}

#[test]
fn the_whole_catalog_never_stands_in_for_a_filtered_one() {
    let lab = Lab::new();
    let (original, app) = (image(1), image(2));
    cache(&lab, &original, "cat/idx", "v4.18");
    cache(&lab, &app, "team/app", "v1");
    V2::of(lab.source.storage())
        .configured(json!({
            "operators": [{"catalog": "registry.example/cat/idx:v4.18", "packages": [{"name": "p"}]}],
            "additionalImages": [{"name": "registry.example/team/app:v1"}],
        }))
        .write(&lab, "disk");
    let run = publish(&lab, "disk", &[]).expect(4);
    let [failure] = run.report().failures.as_slice() else { panic!("{:?}", run.report().failures) };
    assert_eq!(failure.subject, "registry.example/cat/idx:v4.18");
    assert_eq!(lab.target.tags("far/cat/idx"), Vec::<String>::new());
    lab.assert_published(&app, "far/team/app", "v1");
}

/// Returns the MD5 of bytes as `md5sum` prints it.
fn md5(bytes: &[u8]) -> String {
    use std::io::Write;
    let mut child = std::process::Command::new("md5sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("this machine has md5sum");
    child.stdin.take().expect("piped").write_all(bytes).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&output.stdout).chars().take(32).collect()
}

#[test]
fn releases_signatures_and_the_graph_are_known_by_name() {
    let lab = Lab::new();
    let (payload, etcd, graph, signature) = (image(1), image(2), image(3), image(4));
    let version = "4.18.30-x86_64";
    cache(&lab, &payload, "openshift/release-images", version);
    cache(&lab, &etcd, "openshift/release", &format!("{version}-etcd"));
    cache(&lab, &graph, "openshift/graph-image", "latest");
    let attached = format!("{}.sig", digest_tag(&payload));
    cache(&lab, &signature, "openshift/release-images", &attached);
    let references = json!({"spec": {"tags": [
        {"name": "etcd", "from": {"name": format!("quay.example/dev/ocp-art@{}", etcd.digest)}},
    ]}});
    let hex = payload.digest.trim_start_matches("sha256:");
    V2::of(lab.source.storage())
        .configured(json!({"platform": {"graph": true, "channels": [{"name": "stable-4.18"}]}}))
        .file(
            &format!("hold-release/ocp-release/{version}/release-manifests/image-references"),
            references.to_string(),
        )
        .file(&format!("signatures/{version}-sha256-{hex}"), "a signature")
        .write(&lab, "disk");
    let run = publish(&lab, "disk", &[]).expect(0);
    lab.assert_published(&payload, "far/openshift/release-images", version);
    lab.assert_published(&etcd, "far/openshift/release", &format!("{version}-etcd"));
    lab.assert_published(&graph, "far/openshift/graph-image", "latest");
    lab.assert_published(&signature, "far/openshift/release-images", &attached);
    let of_payload = run.report().images.iter().find(|i| i.kind == "release").expect("the payload");
    assert_eq!(of_payload.origin, format!("quay.example/dev/ocp-release@{}", payload.digest));
    assert_eq!(of_payload.companions, 1, "its signature");
    let idms = resources(&lab, "disk", "idms-oc-mirror.yaml");
    let host = lab.target.host();
    for (source, mirror) in
        [("quay.example/dev/ocp-art", "release"), ("quay.example/dev/ocp-release", "release-images")]
    {
        assert!(idms.contains(&format!("source: {source}\n")), "{idms}");
        assert!(idms.contains(&format!("{host}/far/openshift/{mirror}\n")), "{idms}");
    }
    let names = names_in(&lab.path("disk/working-dir/cluster-resources"));
    assert!(names.contains(&"updateService.yaml".to_owned()), "{names:?}");
    assert!(names.contains(&"signature-configmap.yaml".to_owned()), "{names:?}");
}

/// Spoils an archive.
enum Spoil {
    CutOff,
    Link,
    WayOut,
    Chunk,
    WrongPlace,
    Twice,
}

#[rstest]
#[case::cut_off(Spoil::CutOff, "it is cut off")]
#[case::link(Spoil::Link, "links are not followed")]
#[case::way_out(Spoil::WayOut, "its name leads out of the archive")]
#[case::a_chunk_is_missing(Spoil::Chunk, "`mirror_000002.tar` is missing")]
#[case::wrong_place(Spoil::WrongPlace, "it is not where a blob of that digest is")]
#[case::twice(Spoil::Twice, "is in it twice, or in another chunk too")]
fn what_is_no_archive_is_refused_before_anything_is_sent(#[case] spoil: Spoil, #[case] reason: &str) {
    let lab = Lab::new();
    let (one, two) = (image(1), image(2));
    cache(&lab, &one, "team/one", "v1");
    cache(&lab, &two, "team/two", "v1");
    let files = V2::of(lab.source.storage())
        .configured(json!({"additionalImages": []}))
        .chunks_of(30_000)
        .write(&lab, "disk");
    let last = files.last().expect("files").clone();
    let tree = lab.path("tree");
    match spoil {
        Spoil::CutOff => {
            let file = std::fs::OpenOptions::new().write(true).open(&files[1]).expect("writable");
            file.set_len(read(&files[1]).len() as u64 - 11_000).expect("writable");
        }
        Spoil::Link => {
            std::fs::create_dir_all(tree.join("working-dir/signatures")).expect("writable");
            std::os::unix::fs::symlink("/etc/passwd", tree.join("working-dir/signatures/x"))
                .expect("writable");
            append(&last, &tree, "working-dir/signatures/x");
        }
        Spoil::WayOut => {
            std::fs::create_dir_all(&tree).expect("writable");
            std::fs::write(lab.path("outside"), "x").expect("writable");
            append(&last, &tree, "../outside");
        }
        Spoil::Chunk => std::fs::remove_file(&files[1]).expect("writable"),
        Spoil::WrongPlace => {
            let hex = one.digest.trim_start_matches("sha256:");
            let name = format!(
                "docker/registry/v2/blobs/sha256/{}/{hex}/data",
                if hex.starts_with("00") { "11" } else { "00" }
            );
            let path = tree.join(&name);
            std::fs::create_dir_all(path.parent().expect("below")).expect("writable");
            std::fs::write(path, "x").expect("writable");
            append(&last, &tree, &name);
        }
        Spoil::Twice => {
            let hex = one.digest.trim_start_matches("sha256:");
            let name = format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
            append(&last, lab.source.storage(), &name);
        }
    }
    publish(&lab, "disk", &[]).assert_refused(1, reason);
    assert!(lab.target.repositories().is_empty(), "nothing was sent");
}

#[test]
fn one_wrong_byte_fails_one_image_and_no_tag_moves() {
    let lab = Lab::new();
    let (good, bad) = (image(1), image(2));
    cache(&lab, &good, "team/good", "v1");
    cache(&lab, &bad, "team/bad", "v1");
    let names = ["team/good", "team/bad"].map(|name| json!({"name": format!("registry.example/{name}:v1")}));
    let files =
        V2::of(lab.source.storage()).configured(json!({"additionalImages": names})).write(&lab, "disk");
    flip(&files[0], &bad.layers[1].blob.bytes);
    let run = publish(&lab, "disk", &[]).expect(8);
    let [failure] = run.report().failures.as_slice() else { panic!("{:?}", run.report().failures) };
    assert_eq!(failure.subject, "registry.example/team/bad:v1");
    assert!(failure.message.contains("hashes to"), "{failure:?}");
    lab.assert_published(&good, "far/team/good", "v1");
    assert_eq!(lab.target.digest_of("far/team/bad", "v1"), None);
    assert_eq!(lab.target.digest_of("far/team/bad", &bad.digest), None, "no manifest either");
    assert!(lab.chains("far/oc-mirror").is_empty(), "no record");
}

#[test]
fn the_configuration_may_be_given_as_v2_wants_it() {
    let lab = Lab::new();
    let one = image(1);
    cache(&lab, &one, "team/one", "v1");
    let mirror = json!({"additionalImages": [{"name": "registry.example/team/one:v1"}]});
    V2::of(lab.source.storage()).configured(mirror.clone()).write(&lab, "disk");
    lab.configure_mirror(json!({"additionalImages": [{"name": "registry.example/team/other:v1"}]}));
    let words = "the configuration given with --config is not the one in the archive";
    publish(&lab, "disk", &["--config", "isc.yaml"]).assert_refused(1, words);
    lab.configure_mirror(mirror);
    publish(&lab, "disk", &["--config", "isc.yaml"]).expect(0);
    lab.assert_published(&one, "far/team/one", "v1");
}

#[test]
fn several_targets_get_the_same() {
    let lab = Lab::new();
    let one = image(1);
    cache(&lab, &one, "team/one", "v1");
    let mirror = json!({"additionalImages": [{"name": "registry.example/team/one:v1"}]});
    V2::of(lab.source.storage()).configured(mirror).write(&lab, "disk");
    let other = Registry::start();
    let to = [format!("docker://{}/a", lab.target.host()), format!("docker://{}/b", other.host())];
    let run = lab.run(&["--from", &lab.file("disk"), &to[0], &to[1]]).expect(0);
    assert_eq!(run.report().targets.len(), 2);
    lab.assert_published(&one, "a/team/one", "v1");
    assert_eq!(other.digest_of("b/team/one", "v1"), Some(one.digest));
    let resources = lab.path("disk/working-dir/cluster-resources");
    assert_eq!(names_in(Path::new(&resources)).len(), 2, "a directory for each");
}
