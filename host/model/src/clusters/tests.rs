use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::report::exit;

fn cluster(name: &str) -> InspectedCluster {
    InspectedCluster {
        name: name.to_owned(),
        cluster_id: None,
        release: ClusterRelease {
            version: "4.18.3".into(),
            channel: Some("stable-4.18".into()),
            architecture: "amd64".into(),
            nodes: vec!["amd64".into()],
            history: vec![ReleaseRecord { version: "4.18.3".into(), state: "Completed".into() }],
            ..ClusterRelease::default()
        },
        operators: vec![InstalledOperator {
            package: "foo".into(),
            channels: vec!["stable".into()],
            catalogs: vec!["redhat/index:v4.18".into()],
            bundle: Some("foo.v1.0.0".into()),
            version: Some("1.0.0".into()),
            install_plan_approval: Some("Manual".into()),
            ..InstalledOperator::default()
        }],
        catalogs: vec![ClusterCatalog {
            kind: CatalogKind::CatalogSource,
            image: Some("redhat/index:v4.18".into()),
            name: None,
            namespace: None,
        }],
    }
}

fn inventory() -> ClusterInventory {
    let unread = UnreadCluster { name: "c".into(), reason: UnreadReason::Unreachable };
    ClusterInventory::new(vec![cluster("a"), cluster("b")], vec![unread])
}

#[test]
fn round_trip() {
    let text = inventory().to_yaml();
    assert_eq!(ClusterInventory::parse(&text), Ok(inventory()));
    insta::assert_snapshot!(text);
}

#[rstest]
#[case("", "it has no `kind`, not `ClusterInventory`")]
#[case("a: [", "it cannot be read: ")]
#[case("kind: ImageSetConfiguration\n", "it has the kind `ImageSetConfiguration`, not `ClusterInventory`")]
#[case(
    "kind: ClusterInventory\napiVersion: mirror.openshift.io/v3\n",
    "it has `apiVersion: mirror.openshift.io/v3`, and mirror.openshift.io/v2alpha1 is read"
)]
#[case(
    "kind: ClusterInventory\napiVersion: mirror.openshift.io/v2alpha1\nclusters: [{}]\n",
    "it cannot be read: "
)]
#[case(
    "kind: ClusterInventory\napiVersion: mirror.openshift.io/v2alpha1\nclustres: []\n",
    "it cannot be read: "
)]
fn no_inventories(#[case] text: &str, #[case] expected: &str) {
    let error = ClusterInventory::parse(text).expect_err("no inventory");
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[test]
fn names_are_unique() {
    let text = ClusterInventory::new(vec![cluster("a"), cluster("a")], Vec::new()).to_yaml();
    let error = ClusterInventory::parse(&text).expect_err("twice");
    assert_eq!(error.to_string(), "two clusters are called `a`");
}

#[test]
fn questions_have_what_sources_need() {
    let inventory = inventory();
    let asked = questions::releases(&inventory, Some("4.20.1"));
    assert_eq!(asked["target"], "4.20.1");
    assert_eq!(asked["clusters"][1]["name"], "b");
    let answer: ReleaseAnswer = serde_json::from_value(json!({
        "clusters": [{"cluster": "a", "architecture": "amd64", "passes": ["4.19", "4.20"]}],
    }))
    .expect("an answer");
    let asked = questions::operators(&inventory, &answer, "now", false);
    let passes: Vec<&Value> =
        asked["operators"].as_array().expect("two").iter().map(|o| &o["passes"]).collect();
    assert_eq!(passes, [&json!(["4.19", "4.20"]), &json!([])]);
}

fn plan(releases: Value, operators: Value) -> ClusterPlan {
    let read = "an answer";
    let releases = serde_json::from_value(releases).expect(read);
    ClusterPlan::of(&inventory(), releases, serde_json::from_value(operators).expect(read))
}

#[test]
fn answers_are_put_to_their_clusters() {
    let plan = plan(
        json!({
            "clusters": [
                {"cluster": "b", "architecture": "amd64", "from": "4.18.3", "target": "4.18.4", "steps": [{"to": "4.18.4"}]},
                {"cluster": "a", "architecture": "amd64", "from": "4.18.3", "target": "4.18.4"},
            ],
            "missing": [{"what": "release", "name": "4.18.4", "neededBy": ["b"], "closed": true}],
            "edits": [{"action": "set", "at": "mirror.x", "value": 1, "why": ""}],
            "remarks": ["one"],
        }),
        json!({
            "operators": [
                {"cluster": "a", "package": "foo", "stages": [{"channel": "stable", "hops": [{"bundle": "foo.v1.1.0"}]}]},
                {"cluster": "b", "package": "foo", "stages": []},
            ],
            "remarks": ["two"],
        }),
    );
    let names: Vec<_> = plan.clusters.iter().map(|c| (c.name.as_str(), c.release.steps.len())).collect();
    assert_eq!(names, [("a", 0), ("b", 1)]);
    assert!(plan.clusters[0].operators[0].notes[0].contains("approved"));
    assert!(plan.clusters[1].operators[0].notes.is_empty(), "there is nothing to approve");
    assert_eq!((plan.remarks.len(), plan.edits.len(), plan.unread.as_slice()), (2, 1, &["c".to_owned()][..]));
    let text = serde_json::to_string(&plan).expect("JSON");
    assert_eq!(
        serde_json::from_str::<Value>(&text).expect("JSON")["clusters"][0]["release"].get("cluster"),
        None
    );
}

#[rstest]
#[case(json!({}), json!({}), 0)]
#[case(json!({"missing": [{"what": "release", "closed": true}]}), json!({}), 0)]
#[case(json!({"missing": [{"what": "release"}]}), json!({}), exit::RELEASE)]
#[case(json!({"clusters": [{"cluster": "a", "problem": {}}]}), json!({}), exit::RELEASE)]
#[case(json!({}), json!({"operators": [{"cluster": "a", "problem": {}}]}), exit::OPERATOR)]
#[case(json!({}), json!({"operators": [{"cluster": "a", "blocks": [{"needs": "x"}]}]}), 0)]
#[case(json!({}), json!({"operators": [{"cluster": "a", "blocks": [{}]}]}), exit::OPERATOR)]
#[case(json!({}), json!({"missing": [{"what": "catalog"}]}), exit::OPERATOR)]
fn exit_codes(#[case] releases: Value, #[case] operators: Value, #[case] expected: u8) {
    let mut plan = plan(releases, operators);
    assert_eq!(plan.exit_code(), expected | exit::CLUSTER);
    plan.unread.clear();
    assert_eq!(plan.exit_code(), expected);
}

#[test]
fn schemas_are_generated() {
    let schema = inventory_schema().to_string();
    assert!(schema.contains("\"maxOpenShiftVersion\"") && schema.contains("ClusterInventory"));
    assert!(plan_schema().to_string().contains("\"neededBy\""));
}
