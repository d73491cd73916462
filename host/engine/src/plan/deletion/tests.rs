use std::collections::{BTreeMap, BTreeSet};

use oc_mirror_model::config::{self, Configuration, Mirror};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::media_type;
use oc_mirror_model::metadata::{
    Chain, ChartUse, Doomed, ImageRecord, ImagesetRecord, Leftover, Offer, Reason,
};
use oc_mirror_model::reference::Tag;
use oc_mirror_model::request::{Destination, kind};
use rstest::rstest;
use uuid::Uuid;

use super::*;

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn tag(text: &str) -> Tag {
    text.parse().expect("a tag")
}

fn place(text: &str) -> Destination {
    let (repository, tag) = text.split_once(':').expect("a repository and a tag");
    Destination { repository: repository.parse().expect("a repository"), tag: tag.parse().expect("a tag") }
}

/// An image named after what is in it: `a:1=root,part,part`.
fn image(text: &str, kind: &str, reasons: Vec<Reason>) -> (ImageRecord, Vec<String>) {
    let (at, content) = text.split_once('=').expect("a place and its content");
    let content: Vec<String> = content.split(',').map(str::to_owned).collect();
    let record = ImageRecord {
        origin: format!("r.example/{at}"),
        kind: kind.to_owned(),
        destination: place(at),
        digest: digest(&content[0]),
        reasons,
    };
    (record, content)
}

fn named(text: &str) -> (ImageRecord, Vec<String>) {
    let at = text.split('=').next().unwrap_or_default();
    image(text, kind::ADDITIONAL, vec![Reason::Named { origin: format!("r.example/{at}") }])
}

fn release(text: &str, version: &str, channels: &[&str]) -> (ImageRecord, Vec<String>) {
    let reason = Reason::Release {
        version: version.to_owned(),
        architecture: "x86_64".to_owned(),
        channels: channels.iter().map(|c| (*c).to_owned()).collect(),
    };
    image(text, kind::RELEASE, vec![reason])
}

/// An image of bundles: `index package bundle version channel`, several of them after a semicolon.
fn operator(text: &str, kind: &str, bundles: &str) -> (ImageRecord, Vec<String>) {
    let offer = |text: &str| {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let [catalog, package, bundle, version, channel] = words.try_into().expect("five words");
        let catalog = format!("r.example/{catalog}:1");
        Reason::Bundle(Box::new(Offer { catalog, package, bundle, version, channels: vec![channel] }))
    };
    image(text, kind, bundles.split(';').map(offer).collect())
}

fn chain(imagesets: Vec<Vec<(ImageRecord, Vec<String>)>>) -> Chain {
    let mut chain = Chain::new(Uuid::nil());
    for (images, sequence) in imagesets.into_iter().zip(1..) {
        for (record, content) in &images {
            let repository = &record.destination.repository;
            for (text, at) in content.iter().zip(0..) {
                let kind = if at == 0 { media_type::OCI_MANIFEST } else { media_type::OCI_LAYER_GZIP };
                chain.note_blob(&Descriptor::of(kind, text.as_bytes()), sequence, repository);
            }
            let all: Vec<Digest> = content.iter().map(|text| digest(text)).collect();
            chain.note_image(&record.digest, all.iter());
        }
        chain.imagesets.push(ImagesetRecord {
            sequence,
            base: sequence - 1,
            index: None,
            created: String::new(),
            images: images.into_iter().map(|(record, _)| record).collect(),
            plugin_state: BTreeMap::new(),
            files: BTreeMap::new(),
            quarantined: Vec::new(),
        });
    }
    chain
}

fn wanted(section: &str) -> Mirror {
    let text = format!(
        "kind: DeleteImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\ndelete: {section}\n"
    );
    match config::parse(&text).expect("valid").configuration {
        Configuration::Delete(configuration) => configuration.delete,
        Configuration::Mirror(_) => panic!("it is about deletion"),
    }
}

fn places(selection: &Selection) -> Vec<String> {
    let text = |c: &Chosen| format!("{}:{}", c.destination.repository, c.destination.tag);
    selection.images.iter().map(text).collect()
}

fn messages(selection: &Selection) -> Vec<String> {
    selection.problems.iter().map(|p| format!("{}: {}", p.subject, p.message)).collect()
}

#[rstest]
#[case::range("{platform: {channels: [{name: stable-4.12, minVersion: 4.12.1, maxVersion: 4.12.2}]}}", &["r:4.12.1", "r:4.12.2"])]
#[case::all("{platform: {channels: [{name: stable-4.12}]}}", &["r:4.12.0", "r:4.12.1", "r:4.12.2"])]
#[case::other_channel("{platform: {channels: [{name: stable-4.13}]}}", &["r:4.12.2"])]
#[case::architecture("{platform: {architectures: [arm64], channels: [{name: stable-4.12}]}}", &[])]
#[case::by_name("{platform: {release: 'r.example/r:4.12.0'}}", &["r:4.12.0"])]
fn releases(#[case] section: &str, #[case] expected: &[&str]) {
    let chain = chain(vec![
        vec![
            release("r:4.12.0=a,x", "4.12.0", &["stable-4.12"]),
            release("r:4.12.1=b,x", "4.12.1", &["stable-4.12"]),
        ],
        vec![release("r:4.12.2=c,x", "4.12.2", &["stable-4.12", "stable-4.13"])],
    ]);
    let selection = select(&wanted(section), &chain, false);
    assert_eq!(places(&selection), expected);
    assert_eq!(selection.problems.is_empty(), !expected.is_empty());
}

/// Two catalogs; `shared` is needed by bundles of both packages, `both` by one bundle that both catalogs offer.
fn operators() -> Chain {
    let first = vec![
        operator("foo/b:1=foo1", kind::BUNDLE, "index foo foo.v1.0.0 1.0.0 stable"),
        operator("foo/i:1=img1,x", kind::RELATED, "index foo foo.v1.0.0 1.0.0 stable"),
        operator(
            "bar/b:1=bar1",
            kind::BUNDLE,
            "index bar bar.v1.0.0 1.0.0 alpha;other bar bar.v1.0.0 1.0.0 alpha",
        ),
        operator(
            "bar/i:both=both",
            kind::RELATED,
            "index bar bar.v1.0.0 1.0.0 alpha;other bar bar.v1.0.0 1.0.0 alpha",
        ),
        operator(
            "shared:1=shared",
            kind::RELATED,
            "index foo foo.v1.0.0 1.0.0 stable;index bar bar.v1.0.0 1.0.0 alpha",
        ),
        image("index:1=catalog", kind::CATALOG, Vec::new()),
    ];
    let mut first: Vec<_> = first.into_iter().collect();
    first[5].0.origin = "r.example/index:1".to_owned();
    let second = vec![
        operator("foo/b:2=foo2", kind::BUNDLE, "index foo foo.v2.0.0 2.0.0 fast"),
        operator("foo/i:2=img2,x", kind::RELATED, "index foo foo.v2.0.0 2.0.0 fast"),
        first[5].clone(),
    ];
    chain(vec![first, second])
}

#[rstest]
#[case::package("packages: [{name: foo}]", &["foo/b:1", "foo/b:2", "foo/i:1", "foo/i:2"])]
#[case::versions("packages: [{name: foo, minVersion: 1.5.0}]", &["foo/b:2", "foo/i:2"])]
#[case::channel("packages: [{name: foo, channels: [{name: stable}]}]", &["foo/b:1", "foo/i:1"])]
#[case::bundle("packages: [{name: foo, bundles: [{name: foo.v2.0.0}]}]", &["foo/b:2", "foo/i:2"])]
#[case::other_catalog_needs_it("packages: [{name: bar}]", &[])]
#[case::whole_catalog("full: true", &["foo/b:1", "foo/b:2", "foo/i:1", "foo/i:2", "shared:1"])]
fn bundles(#[case] what: &str, #[case] expected: &[&str]) {
    let section = format!("{{operators: [{{catalog: 'r.example/index:1', {what}}}]}}");
    let selection = select(&wanted(&section), &operators(), false);
    assert_eq!(places(&selection), expected, "{selection:#?}");
    assert_eq!(selection.problems, []);
}

#[test]
fn the_catalog_that_goes_on_to_offer_it_is_named() {
    let what = |version: &str| {
        let section = format!(
            "{{operators: [{{catalog: 'r.example/index:1', packages: [{{name: foo, maxVersion: {version}, minVersion: {version}}}]}}]}}"
        );
        select(&wanted(&section), &operators(), false).warnings
    };
    let offered = what("2.0.0");
    assert!(
        offered[0].contains("`r.example/index:1` stays") && offered[0].contains("`foo.v2.0.0`"),
        "{offered:?}"
    );
    // The newest catalog no longer has this one.
    assert!(what("1.0.0").iter().all(|warning| !warning.contains("offers")), "{:?}", what("1.0.0"));
}

#[test]
fn bundles_that_are_gone_hold_nothing() {
    let chain = operators();
    let section = "{operators: [{catalog: 'r.example/index:1', packages: [{name: foo}]}]}";
    let first = select(&wanted(section), &chain, false);
    let gone: BTreeSet<_> = first.images.iter().map(|c| (c.destination.clone(), c.digest.clone())).collect();
    let chain = without(&chain, &gone);
    // Of the shared image only `bar` is left, in both catalogs.
    let section = "{operators: [{catalog: 'r.example/index:1', packages: [{name: bar}]}, {catalog: 'r.example/other:1', packages: [{name: bar}]}]}";
    assert_eq!(places(&select(&wanted(section), &chain, false)), ["bar/b:1", "bar/i:both", "shared:1"]);
}

#[test]
fn an_image_that_is_wanted_twice_goes_when_both_are_meant() {
    let mut twice = operator("foo/i:1=img", kind::RELATED, "index foo foo.v1.0.0 1.0.0 stable");
    twice.0.reasons.push(Reason::Named { origin: "r.example/foo/i:1".to_owned() });
    let chain =
        chain(vec![vec![operator("foo/b:1=b", kind::BUNDLE, "index foo foo.v1.0.0 1.0.0 stable"), twice]]);
    let operators = "operators: [{catalog: 'r.example/index:1'}]";
    let additional = "additionalImages: [{name: 'r.example/foo/i:1'}]";
    let found = |sections: &[&str]| {
        let selection = select(&wanted(&format!("{{{}}}", sections.join(", "))), &chain, false);
        (places(&selection), selection.warnings.len())
    };
    assert_eq!(found(&[operators]), (vec!["foo/b:1".to_owned()], 1));
    assert_eq!(found(&[additional]), (vec![], 1));
    assert_eq!(found(&[operators, additional]).0, ["foo/b:1", "foo/i:1"]);
}

#[test]
fn images_by_name_and_what_is_about_them() {
    let about =
        |text: &str, of: &str| image(text, kind::SIGNATURE, vec![Reason::Subject { digest: digest(of) }]);
    let chain = chain(vec![
        vec![named("a:v1=old"), named("b:v1=b,x"), named("b:same=b,x")],
        vec![
            named("a:v1=new"),
            about("a:sha256-new.sig=sig", "new"),
            about("b:sha256-b.sig=sigb", "b"),
            about("a:sha256-sig.sig=sigsig", "sig"),
        ],
    ]);
    let section = wanted(
        "{additionalImages: [{name: 'docker://r.example/a:v1'}, {name: 'r.example/b:v1'}, {name: 'r.example/c:v1'}]}",
    );
    let selection = select(&section, &chain, false);
    assert_eq!(places(&selection), ["a:v1", "a:v1", "b:v1"]);
    let superseded: Vec<_> =
        selection.images.iter().map(|c| (c.digest == digest("old"), c.superseded)).collect();
    assert!(superseded.iter().all(|(old, superseded)| old == superseded), "{superseded:?}");
    assert_eq!(messages(&selection), ["r.example/c:v1: the record has no such image"]);
    assert!(selection.warnings[0].contains("--delete-signatures"), "{:?}", selection.warnings);
    // The other tag of `b` keeps it, and so its signature.
    let selection = select(&section, &chain, true);
    assert_eq!(places(&selection), ["a:sha256-new.sig", "a:sha256-sig.sig", "a:v1", "a:v1", "b:v1"]);
}

/// An image of charts: `place name version`, several of them after a semicolon.
fn of_charts(text: &str, charts: &str) -> (ImageRecord, Vec<String>) {
    let used = |text: &str| {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let [place, name, version] = words.try_into().expect("three words");
        Reason::Chart(Box::new(ChartUse { place, name, version }))
    };
    image(text, kind::HELM, charts.split(';').map(used).collect())
}

/// Charts of a repository, of a registry and of a directory; `side` is used by two of them.
fn charts() -> Chain {
    let mut both = of_charts("both:1=both", "https://c.example/stable db 1.5.0");
    both.0.reasons.push(Reason::Named { origin: "r.example/both:1".to_owned() });
    chain(vec![
        vec![
            of_charts("web:1=web1", "https://c.example/stable web 1.0.0"),
            of_charts("db:1=db", "https://c.example/stable db 1.5.0"),
            of_charts("side:1=side", "https://c.example/stable web 1.0.0;https://c.example/stable db 1.5.0"),
            of_charts("oci:1=oci", "oci://c.example/charts web 1.2.0"),
            of_charts("app:1=app", "./charts/app app 0.1.0"),
            both,
        ],
        vec![
            of_charts("web:2=web2", "https://c.example/stable web 1.9.0"),
            of_charts("web:3=web3", "https://c.example/stable web v2.0.0-rc.1"),
            image("old:1=old", kind::HELM, Vec::new()),
        ],
    ])
}

#[rstest]
#[case::exact("repositories: [{name: x, url: 'https://c.example/stable', charts: [{name: web, version: 1.9.0}]}]", &["web:2"])]
#[case::slash_and_v("repositories: [{name: x, url: 'https://c.example/stable/', charts: [{name: web, version: v1.9.0}]}]", &["web:2"])]
#[case::before_a_release("repositories: [{name: x, url: 'https://c.example/stable', charts: [{name: web, version: 2.0.0-rc.1}]}]", &["web:3"])]
#[case::range("repositories: [{name: x, url: 'https://c.example/stable', charts: [{name: web, version: ^1.0}]}]", &["web:1", "web:2"])]
#[case::all_versions("repositories: [{name: x, url: 'https://c.example/stable', charts: [{name: web}]}]", &["web:1", "web:2", "web:3"])]
#[case::others_need_it("repositories: [{name: x, url: 'https://c.example/stable', charts: [{name: db}]}]", &["db:1"])]
#[case::whole_repository("repositories: [{name: x, url: 'https://c.example/stable'}]", &["db:1", "side:1", "web:1", "web:2", "web:3"])]
#[case::registry("repositories: [{name: x, url: 'oci://c.example/charts', charts: [{name: web, version: 1.x}]}]", &["oci:1"])]
#[case::local("local: [{name: whatever, path: charts/app/}]", &["app:1"])]
fn images_of_charts(#[case] section: &str, #[case] expected: &[&str]) {
    let selection = select(&wanted(&format!("{{helm: {{{section}}}}}")), &charts(), false);
    assert_eq!(places(&selection), expected, "{selection:#?}");
    assert_eq!(selection.problems, []);
}

#[rstest]
#[case::version(
    "repositories: [{name: x, url: 'https://c.example/stable', charts: [{name: web, version: 3.0.0}]}]",
    "https://c.example/stable web 3.0.0: the record has no image of such a chart",
    "`web 1.0.0`, `web 1.9.0`, `web v2.0.0-rc.1`"
)]
#[case::chart(
    "repositories: [{name: x, url: 'https://c.example/stable', charts: [{name: none}]}]",
    "https://c.example/stable none: the record has no image of such a chart",
    "`db 1.5.0`"
)]
#[case::place("local: [{path: ./app}]", "./app: the record has no image of such a chart", "`url` or `path`")]
#[case::no_version(
    "repositories: [{name: x, url: 'https://c.example/stable', charts: [{name: web, version: newest}]}]",
    "https://c.example/stable web: `newest` is neither a version nor a range of versions",
    "`^1.2`"
)]
fn charts_that_are_not_there(#[case] section: &str, #[case] message: &str, #[case] hint: &str) {
    let selection = select(&wanted(&format!("{{helm: {{{section}}}}}")), &charts(), false);
    assert_eq!((places(&selection), messages(&selection)), (vec![], vec![message.to_owned()]));
    let problem = &selection.problems[0];
    assert!(problem.hint.as_ref().is_some_and(|text| text.contains(hint)), "{problem:?}");
    assert_eq!(problem.exit_code, oc_mirror_model::report::exit::HELM);
}

#[rstest]
// Nobody but charts wants it, or nobody says why it is there.
#[case("side:1", &["side:1"])]
#[case("old:1", &["old:1"])]
// A chart needs what somebody has named besides.
#[case("both:1", &[])]
fn images_of_charts_by_their_names(#[case] name: &str, #[case] expected: &[&str]) {
    let section = format!("{{additionalImages: [{{name: 'r.example/{name}'}}]}}");
    let selection = select(&wanted(&section), &charts(), false);
    assert_eq!(
        (places(&selection), selection.warnings.len()),
        (expected.iter().map(|p| (*p).to_owned()).collect(), usize::from(expected.is_empty()))
    );
    assert_eq!(selection.problems, []);
}

#[test]
fn records_of_earlier_versions_say_what_they_lack() {
    let chain = chain(vec![vec![
        image("foo/b:1=b", kind::BUNDLE, Vec::new()),
        image("a:v1=a", kind::ADDITIONAL, Vec::new()),
    ]]);
    let section =
        "{operators: [{catalog: 'r.example/index:1'}], additionalImages: [{name: 'r.example/a:v1'}]}";
    let selection = select(&wanted(section), &chain, false);
    assert_eq!(places(&selection), ["a:v1"]);
    assert_eq!(
        messages(&selection),
        ["r.example/index:1: the record does not say to which bundles 1 image of operators belong"]
    );
}

#[test]
fn versions_that_are_none_are_problems() {
    let section = "{platform: {channels: [{name: stable-4.12, minVersion: 4.12.0}, {name: stable-4.13}]}}";
    let mut wanted = wanted(section);
    wanted.platform.as_mut().expect("there").channels[0].min_version = Some("newest".to_owned());
    let selection = select(&wanted, &chain(vec![]), false);
    assert_eq!(
        messages(&selection),
        [
            "channel stable-4.12 from newest to the last: `newest` is not a version",
            "channel stable-4.13: the record has no such release",
        ]
    );
}

#[test]
fn what_has_left_the_configuration() {
    let chain = chain(vec![
        vec![named("a:v1=old"), named("b:v1=b"), named("c:v1=c")],
        vec![named("a:v1=new"), named("c:v1=c"), named("c:v2=c")],
    ]);
    let left: Vec<_> = leaving(&chain).into_iter().map(|c| (c.destination, c.digest, c.superseded)).collect();
    assert_eq!(left, [(place("a:v1"), digest("old"), true), (place("b:v1"), digest("b"), false)]);
    assert_eq!(leaving(&Chain::new(Uuid::nil())), []);
}

#[test]
fn a_record_promises_only_what_somebody_needs() {
    let chain =
        chain(vec![vec![named("a:v1=a,own,shared"), named("a:v2=b,shared"), named("c:v1=a,own,shared")]]);
    let after = without(&chain, &BTreeSet::from([(place("a:v1"), digest("a"))]));
    assert_eq!(after.images().count(), 2);
    let places = |text: &str| {
        let blob = after.blobs.get(&digest(text)).expect("still promised");
        blob.repositories.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        (places("own"), places("a"), places("shared")),
        (vec!["c".into()], vec!["c".into()], vec!["a".into(), "c".into()])
    );
    let after = without(&after, &BTreeSet::from([(place("c:v1"), digest("a"))]));
    assert_eq!(after.was_carried_by(&digest("own"), 9), None);
    assert!(after.was_carried_by(&digest("shared"), 9).is_some());
}

fn doomed(tag: Option<&str>, root: &str, parts: &[&str]) -> Doomed {
    Doomed {
        origin: "x".to_owned(),
        kind: kind::ADDITIONAL.to_owned(),
        repository: "a".parse().expect("a repository"),
        tag: tag.map(self::tag),
        digest: digest(root),
        manifests: parts.iter().chain([&root]).map(|part| digest(part)).collect(),
    }
}

/// What is at the target: `tag=root`.
fn ground(tags: &[&str]) -> Ground {
    let pair = |text: &&str| {
        let (tag, root) = text.split_once('=').expect("a tag and a root");
        (self::tag(tag), digest(root))
    };
    Ground { tags: tags.iter().map(pair).collect(), ..Ground::default() }
}

fn record(ground: &mut Ground, tag: &str, content: &[&str]) {
    ground.recorded.insert((self::tag(tag), digest(content[0])));
    ground.needed.extend(content.iter().map(|text| digest(text)));
}

fn one(doomed: Doomed, ground: &Ground) -> Verdict {
    decide(&[doomed], ground).pop().expect("one verdict")
}

#[test]
fn what_nobody_else_has_is_deleted_root_first() {
    let verdict = one(doomed(Some("v1"), "index", &["arm", "amd"]), &ground(&["v1=index", "v2=other"]));
    let Action::Delete(manifests) = verdict.action else { panic!("{verdict:?}") };
    assert_eq!((manifests.len(), &manifests[0]), (3, &digest("index")));
}

#[test]
fn what_a_kept_image_has_loses_its_tag_only() {
    let mut ground = ground(&["v1=a", "v2=a"]);
    record(&mut ground, "v2", &["a", "blob"]);
    assert_eq!(one(doomed(Some("v1"), "a", &[]), &ground).action, Action::Untag);
    // The child of an index that stays.
    let mut ground = self::ground(&["v1=a", "v2=index"]);
    record(&mut ground, "v2", &["index", "a", "b"]);
    assert_eq!(one(doomed(Some("v1"), "a", &[]), &ground).action, Action::Untag);
    // An index that shares one of its images.
    let mut ground = self::ground(&["v1=index", "v2=a"]);
    record(&mut ground, "v2", &["a"]);
    let action = one(doomed(Some("v1"), "index", &["a", "b"]), &ground).action;
    assert_eq!(action, Action::Delete(vec![digest("index"), digest("b")]));
}

#[test]
fn what_another_chain_has_under_the_same_name_stays_as_it_is() {
    let mut ground = ground(&["v1=a"]);
    record(&mut ground, "v1", &["a"]);
    assert_eq!(one(doomed(Some("v1"), "a", &[]), &ground).action, Action::Nothing);
}

#[test]
fn what_nobody_accounts_for_is_left_alone() {
    let verdict = one(doomed(Some("v1"), "a", &[]), &ground(&["v1=a", "mine=a"]));
    assert!(verdict.keeps() && verdict.reason.contains("`mine`"), "{verdict:?}");
    let verdict = one(doomed(Some("v1"), "a", &[]), &ground(&["v1=b"]));
    assert!(verdict.keeps() && verdict.reason.contains("not what was mirrored"), "{verdict:?}");
    let mut strange = ground(&["v1=a", "mine=index"]);
    strange.contents.insert(digest("index"), BTreeSet::from([digest("index"), digest("a")]));
    assert_eq!(one(doomed(Some("v1"), "a", &[]), &strange).action, Action::Untag);
    let mut left = ground(&["v1=a", "old=a"]);
    left.leftovers.push(Leftover { destination: place("a:old"), digest: digest("a") });
    assert!(matches!(one(doomed(Some("v1"), "a", &[]), &left).action, Action::Delete(_)));
}

#[test]
fn two_tags_of_one_manifest_go_together_and_stay_together() {
    let pair = [doomed(Some("v1"), "a", &[]), doomed(Some("v2"), "a", &[])];
    let verdicts = decide(&pair, &ground(&["v1=a", "v2=a"]));
    assert!(verdicts.iter().all(|v| matches!(v.action, Action::Delete(_))), "{verdicts:?}");
    // An index that stays keeps its images.
    let pair = [doomed(Some("v1"), "index", &["a"]), doomed(Some("v2"), "a", &[])];
    let mut ground = ground(&["v1=index", "v2=a", "mine=index"]);
    ground.contents.insert(digest("index"), BTreeSet::from([digest("index"), digest("a")]));
    let verdicts = decide(&pair, &ground);
    assert!(verdicts[0].keeps(), "{verdicts:?}");
    assert_eq!(verdicts[1].action, Action::Untag);
}

#[test]
fn what_is_about_an_image_that_stays_stays() {
    let mut ground = ground(&["v1=a", "v2=a", "sig=s"]);
    record(&mut ground, "v2", &["a"]);
    ground.subjects.insert(digest("s"), BTreeSet::from([digest("a")]));
    let verdicts = decide(&[doomed(Some("v1"), "a", &[]), doomed(Some("sig"), "s", &[])], &ground);
    assert_eq!(verdicts[0].action, Action::Untag);
    assert_eq!(verdicts[1].action, Action::Keep { refused: false });
}
