//! What users can choose: policies instead of mirror sets, fallback to sources, and names.

use std::collections::BTreeMap;

use oc_mirror_model::config::ApiVersion;
use oc_mirror_model::metadata::Chain;
use rstest::rstest;
use serde_json::Value;

use super::super::{LARGEST, Name, Names, Preferences, SourcePolicy, Suffix};
use super::{Documents, chain, of_chain, place, usual_chain, yaml};

fn made(chain: &Chain, preferences: &Preferences) -> Documents {
    of_chain(chain, "r.example:5000", false, preferences)
}

fn icsp() -> Preferences {
    Preferences { icsp: Some(true), ..Preferences::default() }
}

fn names(suffix: Option<&str>, instead: &[(&str, &str)]) -> Preferences {
    let instead =
        instead.iter().map(|(old, new)| ((*old).to_owned(), new.parse().expect("a name"))).collect();
    let suffix = suffix.map(|text| text.parse().expect("a suffix"));
    Preferences { names: Names { suffix, instead }, ..Preferences::default() }
}

/// `kind/name` of each object.
fn objects(documents: &Documents) -> Vec<String> {
    documents.resources.iter().map(|r| format!("{}/{}", r.kind(), r.name())).collect()
}

#[test]
fn policies_are_instead_of_mirror_sets() {
    let documents = made(&usual_chain(), &icsp());
    insta::assert_snapshot!("policies", documents.files["imageContentSourcePolicy.yaml"]);
    assert!(!documents.files.keys().any(|name| name.starts_with("idms") || name.starts_with("itms")));
    assert!(super::is_ours(
        "imageContentSourcePolicy.yaml",
        &documents.files["imageContentSourcePolicy.yaml"]
    ));
    assert_eq!(documents.warnings, Vec::<String>::new());
    let told =
        "3 images were asked for by tag, and ImageContentSourcePolicies are for what is pulled by digest";
    assert_eq!(documents.notes, [told]);
}

#[rstest]
#[case::v1(Some(ApiVersion::V1Alpha2), None, true)]
#[case::v2(Some(ApiVersion::V2Alpha1), None, false)]
#[case::an_old_record(None, None, false)]
#[case::v1_but_not_wished(Some(ApiVersion::V1Alpha2), Some(false), false)]
#[case::v2_but_wished(Some(ApiVersion::V2Alpha1), Some(true), true)]
fn the_configuration_decides_unless_the_user_does(
    #[case] configuration: Option<ApiVersion>,
    #[case] wished: Option<bool>,
    #[case] expected: bool,
) {
    let mut chain = chain(&[&["related q.io/a/b@ a/b@"]]);
    chain.for_clusters.configuration = configuration;
    let documents = made(&chain, &Preferences { icsp: wished, ..Preferences::default() });
    let made =
        ["imageContentSourcePolicy.yaml", "idms-oc-mirror.yaml"].map(|n| documents.files.contains_key(n));
    assert_eq!(made, [expected, !expected]);
    let is_told = documents.notes.iter().any(|note| note.contains("`--icsp=false`"));
    assert_eq!(is_told, expected && wished.is_none(), "{:?}", documents.notes);
}

#[test]
fn large_policies_are_split_under_names_that_differ() {
    let lines: Vec<String> =
        (0..4000).map(|n| format!("related q.io/namespace-{n:05}/name@ elsewhere/number-{n:05}@")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let documents = made(&chain(&[&lines]), &icsp());
    let text = &documents.files["imageContentSourcePolicy.yaml"];
    assert!(text.split("---\n").all(|part| part.len() < LARGEST));
    let count: usize = yaml(text).iter().map(|o| entries(o).len()).sum();
    assert_eq!(count, 4000);
    let names: Vec<&str> = documents.resources.iter().map(super::super::Resource::name).collect();
    assert_eq!(names, ["operator-0", "operator-1", "operator-2"]);
}

fn entries(object: &Value) -> &Vec<Value> {
    let spec = object["spec"].as_object().expect("fields");
    spec.values().next().and_then(Value::as_array).expect("entries")
}

#[rstest]
#[case(SourcePolicy::NeverContactSource, "NeverContactSource")]
#[case(SourcePolicy::AllowContactingSource, "AllowContactingSource")]
fn mirror_sets_say_whether_sources_may_be_contacted(#[case] policy: SourcePolicy, #[case] expected: &str) {
    let mut preferences = Preferences { source_policy: Some(policy), ..Preferences::default() };
    let documents = made(&usual_chain(), &preferences);
    let sets = documents.resources.iter().filter(|r| r.file.ends_with("ms-oc-mirror.yaml"));
    let said: Vec<&Value> = sets.flat_map(|r| entries(&r.object)).map(|e| &e["mirrorSourcePolicy"]).collect();
    assert!(said.len() > 8 && said.iter().all(|said| *said == expected), "{said:?}");
    preferences.icsp = Some(true);
    let documents = made(&usual_chain(), &preferences);
    assert!(!documents.files["imageContentSourcePolicy.yaml"].contains(expected));
    let [warning] = &documents.warnings[..] else { panic!("{:?}", documents.warnings) };
    assert!(warning.contains(expected), "{warning}");
}

#[test]
fn a_suffix_is_at_the_end_of_every_name() {
    let chain = usual_chain();
    let usual = objects(&made(&chain, &Preferences::default()));
    let documents = made(&chain, &names(Some("east"), &[]));
    let expected: Vec<String> = usual.iter().map(|name| format!("{name}-east")).collect();
    assert_eq!(objects(&documents), expected);
    assert!(usual.len() > 7 && documents.warnings.is_empty());
    // Files are called as ever, so that those of before are replaced.
    assert_eq!(
        documents.files.keys().collect::<Vec<_>>(),
        made(&chain, &Preferences::default()).files.keys().collect::<Vec<_>>()
    );
}

#[test]
fn names_with_a_suffix_fit_into_a_label_and_differ() {
    let long = "a/a-very-long-name-that-goes-on-and-on-until-no-label-could";
    let catalogs: Vec<String> =
        ["v1", "v2"].iter().map(|tag| format!("catalog q.io/x:{tag} {long}:{tag}")).collect();
    let catalogs: Vec<&str> = catalogs.iter().map(String::as_str).collect();
    let documents = made(&chain(&[&catalogs]), &names(Some("in-the-far-far-east1"), &[]));
    let names: std::collections::BTreeSet<&str> =
        documents.resources.iter().map(super::super::Resource::name).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    for name in names {
        assert!(name.len() <= 63 && name.ends_with("-in-the-far-far-east1"), "{name}");
    }
}

#[test]
fn single_resources_can_be_called_otherwise() {
    let chain =
        chain(&[&["catalog q.io/redhat/redhat-operator-index:v4.20 redhat/redhat-operator-index:v4.20"]]);
    let (cs, cc) = ("cs-redhat-operator-index-v4-20", "cc-redhat-operator-index-v4-20");
    // Objects of two kinds may have one name.
    let both = names(None, &[(cs, "redhat-operators"), (cc, "redhat-operators")]);
    let documents = made(&chain, &both);
    assert_eq!(objects(&documents), ["ClusterCatalog/redhat-operators", "CatalogSource/redhat-operators"]);
    assert_eq!(
        (documents.warnings.len(), documents.resources[1].file.as_str()),
        (0, "cs-redhat-operator-index-v4-20.yaml")
    );
    // With a suffix, it is the name with the suffix that is replaced.
    let suffixed = format!("{cs}-east");
    let documents = made(&chain, &names(Some("east"), &[(&suffixed, "redhat-operators")]));
    assert_eq!(
        objects(&documents),
        [format!("ClusterCatalog/{cc}-east"), "CatalogSource/redhat-operators".to_owned()]
    );
}

#[test]
fn names_that_cannot_be_given_are_told() {
    let chain =
        chain(&[&["catalog q.io/x:1 a/one:v1", "catalog q.io/x:2 a/two:v1", "catalog q.io/x:3 a/three:v1"]]);
    let wishes = [("cs-one-v1", "cs-two-v1"), ("cs-two-v1", "cs-three-v1"), ("cs-none", "mine")];
    let documents = made(&chain, &names(None, &wishes));
    let sources: Vec<String> =
        objects(&documents).into_iter().filter(|name| name.starts_with("CatalogS")).collect();
    assert_eq!(sources, ["CatalogSource/cs-one-v1", "CatalogSource/cs-three-v1", "CatalogSource/cs-two-v1"]);
    let told = documents.warnings.join("\n");
    assert!(
        told.contains(
            "the CatalogSource `cs-one-v1` keeps its name, since another one is called `cs-two-v1`"
        ),
        "{told}"
    );
    assert!(
        told.contains(
            "the CatalogSource `cs-two-v1` keeps its name, since another one is called `cs-three-v1`"
        ),
        "{told}"
    );
    assert!(told.contains("nothing for clusters is called `cs-none`"), "{told}");
}

#[rstest]
#[case("a", true)]
#[case("redhat-operators", true)]
#[case("a1-b2", true)]
#[case("", false)]
#[case("1a", false)]
#[case("-a", false)]
#[case("a-", false)]
#[case("A", false)]
#[case("a.b", false)]
#[case("ä", false)]
fn names_are_labels(#[case] text: &str, #[case] good: bool) {
    assert_eq!(text.parse::<Name>().is_ok(), good, "{text}");
    assert_eq!("a".repeat(63).parse::<Name>().is_ok(), true);
    assert!("a".repeat(64).parse::<Name>().is_err());
    assert!("a".repeat(21).parse::<Suffix>().is_err() && "2b".parse::<Suffix>().is_ok());
}

#[test]
fn catalogs_that_olm_v1_would_refuse_have_no_cluster_catalog() {
    let long_tag = format!("catalog q.io/x:1 a/index:{}", "t".repeat(128));
    let long_path = format!("catalog q.io/x:1 {}/index:v1", "a/".repeat(57) + "a");
    let refused = [
        ("odd_host.example", "catalog q.io/x:1 a/index:v1"),
        ("r.example", &long_tag),
        ("r.example:5000", &long_path),
    ];
    assert_eq!(
        of_chain(&chain(&[&[&long_path]]), "r.example", false, &Preferences::default()).resources.len(),
        2
    );
    for (registry, line) in refused {
        let documents = of_chain(&chain(&[&[line]]), registry, false, &Preferences::default());
        assert_eq!(documents.resources.len(), 1, "{documents:?}");
        assert_eq!(documents.resources[0].kind(), "CatalogSource");
        let [warning] = &documents.warnings[..] else { panic!("{:?}", documents.warnings) };
        assert!(warning.starts_with("there is no ClusterCatalog for `"), "{warning}");
    }
}

#[test]
fn templates_are_those_of_the_record() {
    let mut chain = chain(&[&["catalog q.io/x:1 a/index:v1"], &["additional q.io/a/b:1 a/b:1"]]);
    chain.for_clusters.templates = BTreeMap::from([(
        place("a/index:v1"),
        "apiVersion: operators.coreos.com/v1alpha1\nkind: CatalogSource\nspec:\n  priority: 7\n".to_owned(),
    )]);
    let documents = made(&chain, &Preferences::default());
    assert!(documents.files["cs-index-v1.yaml"].contains("priority: 7"));
}
