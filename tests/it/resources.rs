//! Resources for clusters: they tell of everything that is at the target, whichever imageset brought it.

use oc_mirror_testkit::{Image, ImageBuilder};
use serde_json::json;

use crate::depot::Depot;
use crate::lab::{Lab, names_in, read};
use crate::shop::Shop;

const TEMPLATE: &str =
    "apiVersion: operators.coreos.com/v1alpha1\nkind: CatalogSource\nspec:\n  priority: 7\n";

fn small(content: &str) -> Image {
    ImageBuilder::new().layer(&[("content", content)]).build()
}

/// The resources in a workspace one after the other, with the registries named.
fn shown(lab: &Lab, workspace: &str) -> String {
    let dir = lab.path(workspace).join("working-dir/cluster-resources");
    let text = |name: &String| {
        let text = String::from_utf8(read(&dir.join(name))).expect("text");
        let text =
            text.replace(&lab.source.host(), "source.example").replace(&lab.target.host(), "target.example");
        format!("# {name}\n{text}\n")
    };
    names_in(&dir).iter().filter(|name| !name.starts_with("signature-configmap")).map(text).collect()
}

#[test]
fn two_imagesets_are_in_them() {
    let depot = Depot::new();
    let release = depot.version("4.12.1");
    depot.channel("stable-4.12", &[&release], "");
    let graph = depot.lab.push(&small("graph"), "team/graph", "v7");
    let Depot { lab, server: _server, .. } = depot;
    let shop = Shop { lab };
    let (_, catalog) = shop.usual();
    let lab = &shop.lab;
    lab.context.write("t.yaml", TEMPLATE);
    let (by_digest, both) = (small("digest"), small("both"));
    lab.push(&by_digest, "apps/two", "v1");
    let both = format!("{}@{}", lab.push(&both, "both/three", "v1"), both.digest);
    lab.configure_mirror(json!({
        "platform": { "channels": [{ "name": "stable-4.12" }], "graph": true, "graphImage": graph },
        "operators": [{ "catalog": catalog, "packages": [{ "name": "foo" }], "targetCatalogSourceTemplate": "t.yaml" }],
        "additionalImages": [
            { "name": lab.push(&small("tag"), "apps/one", "v1") },
            { "name": lab.source.reference("apps/two", &by_digest.digest) },
            { "name": both },
            { "name": lab.push(&small("elsewhere"), "apps/four", "v1"), "targetRepo": "other/place" },
        ],
    }));
    lab.make(&[]).expect(0);
    let to = format!("docker://{}/mirror", lab.target.host());
    let publish = |workspace: &str, more: &[&str], outcomes: &[(u64, &str)]| {
        let (from, workspace) = (lab.file("disk"), lab.file(workspace));
        let run = lab.run(&[&["--from", &from, "--workspace", &workspace, &to], more].concat()).expect(0);
        assert_eq!(run.outcomes(), outcomes);
    };
    publish("far", &["--dry-run"], &[(1, "planned")]);
    assert_eq!(shown(lab, "far"), "");
    publish("far", &[], &[(1, "published")]);
    let first = shown(lab, "far");

    // The second imageset has nothing of that any more.
    lab.configure(&[lab.push(&small("later"), "late/five", "v2")]);
    lab.make(&[]).expect(0);
    let dir = lab.path("far/working-dir/cluster-resources");
    let stale = "metadata:\n  annotations:\n    createdBy: oc-mirror\n  name: cs-gone\n";
    std::fs::write(dir.join("cs-gone.yaml"), stale).expect("writable");
    std::fs::write(dir.join("cs-of-the-user.yaml"), "kind: CatalogSource\n").expect("writable");
    publish("far", &[], &[(1, "already published"), (2, "published")]);
    let names = names_in(&dir);
    assert!(names.contains(&"signature-configmap.yaml".to_owned()), "{names:?}");
    assert!(!names.contains(&"cs-gone.yaml".to_owned()), "{names:?}");
    std::fs::remove_file(dir.join("cs-of-the-user.yaml")).expect("it is left alone");
    let both = shown(lab, "far");
    insta::assert_snapshot!("two_imagesets", both);
    let late = "  - mirrors:\n    - target.example/mirror/late\n    source: source.example/late\n";
    assert_eq!(both.replace(late, ""), first);

    // Another workspace gets the same of a target that has everything already.
    publish("elsewhere", &[], &[(1, "already published"), (2, "already published")]);
    assert_eq!(shown(lab, "elsewhere"), both);
}

#[test]
fn mirror_to_mirror_writes_them_when_all_is_there() {
    let lab = Lab::new();
    let image = lab.push(&small("a"), "team/a", "v1");
    let to = format!("docker://{}/deep/prefix", lab.target.host());
    let workspace = lab.file("w");
    let args = ["-c", "isc.yaml", "--workspace", &workspace, "--max-nested-paths", "2", &to];
    lab.configure(&[image.clone(), lab.source.reference("team/missing", "v1")]);
    assert_ne!(lab.run(&[&args[..], &["--retry-times", "0"]].concat()).output.code, 0);
    assert_eq!(shown(&lab, "w"), "");
    lab.configure(&[&image]);
    lab.run(&[&args[..], &["--dry-run"]].concat()).expect(0);
    assert_eq!(shown(&lab, "w"), "");
    lab.run(&args).expect(0);
    let made = shown(&lab, "w");
    assert!(made.starts_with("# itms-oc-mirror.yaml\n") && !made.contains("idms"), "{made}");
    let entry = "  - mirrors:\n    - target.example/deep/prefix-team-a\n    source: source.example/team/a\n";
    assert!(made.contains(entry), "{made}");
    std::fs::remove_dir_all(lab.path("w/working-dir/cluster-resources")).expect("it is there");
    assert_eq!(lab.run(&args).expect(0).outcomes(), [(1, "nothing new")]);
    assert_eq!(shown(&lab, "w"), made);
}
