//! Rules on base images against a registry that is a map.

use std::cell::Cell;
use std::collections::BTreeMap;

use rstest::rstest;

use super::*;

#[derive(Clone, Default)]
struct Fake {
    reference: String,
    digest: String,
    platform: Option<Platform>,
    annotations: Vec<(String, String)>,
    labels: Vec<(String, String)>,
    layers: Vec<Layer>,
    children: Vec<Fake>,
    attestation: bool,
}

impl View for Fake {
    fn reference(&self) -> String {
        self.reference.clone()
    }

    fn descriptor(&self) -> Descriptor {
        let attested = ("vnd.docker.reference.type".to_owned(), "attestation-manifest".to_owned());
        Descriptor {
            media_type: String::new(),
            digest: self.digest.clone(),
            size: 1,
            artifact_type: None,
            platform: self.platform.clone(),
            annotations: self.attestation.then_some(attested).into_iter().collect(),
        }
    }

    fn is_index(&self) -> bool {
        !self.children.is_empty()
    }

    fn children(&self) -> Result<Vec<Descriptor>, Error> {
        Ok(self.children.iter().map(View::descriptor).collect())
    }

    fn child(&self, platform: &Platform) -> Result<Self, Error> {
        let child = self.children.iter().find(|c| c.platform.as_ref() == Some(platform));
        child.cloned().ok_or_else(|| Error::NotFound(platform.arch.clone()))
    }

    fn annotations(&self) -> Result<Vec<(String, String)>, Error> {
        Ok(self.annotations.clone())
    }

    fn labels(&self) -> Result<Vec<(String, String)>, Error> {
        Ok(self.labels.clone())
    }

    fn layers(&self) -> Result<Vec<Layer>, Error> {
        match self.attestation {
            true => Err(Error::Invalid("an attestation has no layers".into())),
            false => Ok(self.layers.clone()),
        }
    }
}

#[derive(Default)]
struct Images {
    images: BTreeMap<String, Fake>,
    opened: Cell<usize>,
}

impl Registry for Images {
    type Image = Fake;

    fn open(&self, reference: &str) -> Result<Fake, Error> {
        self.opened.set(self.opened.get() + 1);
        self.images.get(reference).cloned().ok_or_else(|| Error::NotFound(reference.to_owned()))
    }
}

fn digest(letter: char) -> String {
    format!("sha256:{}", letter.to_string().repeat(64))
}

fn layer(name: &str) -> Layer {
    Layer { digest: format!("sha256:{name}"), diff_id: Some(format!("sha256:diff-{name}")) }
}

fn image(id: char, layers: &[&str]) -> Fake {
    Fake {
        reference: format!("quay.io/x/{id}:1"),
        digest: digest(id),
        layers: layers.iter().map(|l| layer(l)).collect(),
        ..Fake::default()
    }
}

fn on(arch: &str, image: Fake) -> Fake {
    Fake { platform: Some(Platform { os: "linux".into(), arch: arch.into(), variant: None }), ..image }
}

fn index(id: char, children: Vec<Fake>) -> Fake {
    Fake { children, ..image(id, &[]) }
}

fn registry(base: Fake) -> Images {
    let images = [("docker.io/library/alpine".to_owned(), base)];
    Images { images: images.into(), ..Images::default() }
}

fn request(platforms: &[&str]) -> ImageRequest {
    let platform = |arch: &&str| Platform { os: "linux".into(), arch: (*arch).into(), variant: None };
    ImageRequest {
        source: "quay.io/x/app:1".into(),
        origin: "quay.io/x/app:1".into(),
        kind: "additional".into(),
        target_repository: None,
        target_tag: None,
        platforms: platforms.iter().map(platform).collect(),
        with_referrers: false,
        provenance: vec![],
    }
}

fn judge(rule: &str, images: &Images, image: &Fake) -> Result<Option<Finding>, Error> {
    let rules = BaseRules(vec![BaseRule::new(rule).expect("valid")]);
    rules.judge(images, &request(&[]), image).map(|mut findings| findings.pop())
}

#[rstest]
#[case(&["a", "b", "c"], true)]
#[case(&["a", "b"], true)]
#[case(&["a"], false)]
#[case(&["b", "a", "c"], false)]
#[case(&["x", "a", "b"], false)]
#[case(&[], false)]
fn the_chain_must_begin_with_the_base(#[case] layers: &[&str], #[case] refused: bool) {
    let found = judge("alpine", &registry(image('b', &["a", "b"])), &image('i', layers)).expect("judged");
    assert_eq!(found.is_some(), refused);
    assert!(found.is_none_or(|f| f.code == "blocked.base-image.layers"));
}

#[test]
fn a_base_without_layers_is_under_nothing() {
    let found = judge("alpine", &registry(image('b', &[])), &image('i', &["a"])).expect("judged");
    assert_eq!(found, None);
}

#[test]
fn recompressed_layers_are_the_same() {
    let mut copy = image('i', &["a", "b", "c"]);
    copy.layers.iter_mut().for_each(|l| l.digest.push('z'));
    let found = judge("alpine", &registry(image('b', &["a", "b"])), &copy).expect("judged");
    assert!(found.is_some());
    copy.layers.iter_mut().for_each(|l| l.diff_id = None);
    let found = judge("alpine", &registry(image('b', &["a", "b"])), &copy).expect("judged");
    assert!(found.is_none());
}

#[test]
fn a_finding_names_rule_and_evidence() {
    let found = judge("alpine", &registry(image('b', &["a"])), &image('i', &["a", "b"])).expect("judged");
    let found = found.expect("a hit");
    let evidence =
        format!("the first 1 of 2 layers are those of `{}`, the last of them `sha256:a`", digest('b'));
    assert_eq!(
        found.message,
        format!("`quay.io/x/app:1` is built on the blocked base image `alpine`: {evidence}")
    );
    assert_eq!(found.details, [("rule".to_owned(), "alpine".to_owned()), ("evidence".to_owned(), evidence)]);
}

#[test]
fn every_image_of_an_index_is_looked_at() {
    let base =
        index('b', vec![on("amd64", image('1', &["amd-base"])), on("arm64", image('2', &["arm-base"]))]);
    let app = index(
        'i',
        vec![on("amd64", image('3', &["clean", "app"])), on("arm64", image('4', &["arm-base", "app"]))],
    );
    let found = judge("alpine", &registry(base.clone()), &app).expect("judged").expect("a hit");
    assert!(found.message.contains("for linux/arm64"), "{}", found.message);

    // Only what is mirrored counts.
    let rules = BaseRules(vec![BaseRule::new("alpine").expect("valid")]);
    assert_eq!(rules.judge(&registry(base), &request(&["amd64"]), &app), Ok(vec![]));
}

#[test]
fn platforms_are_compared_with_their_own() {
    let base = index('b', vec![on("amd64", image('1', &["a"])), on("arm64", image('2', &["b"]))]);
    let app = index('i', vec![on("arm64", image('4', &["a", "app"]))]);
    assert_eq!(judge("alpine", &registry(base.clone()), &app), Ok(None));
    // An image that names no platform is compared with all of them.
    assert!(judge("alpine", &registry(base), &image('i', &["b", "app"])).expect("judged").is_some());
}

#[test]
fn images_of_one_platform_are_opened_by_digest() {
    let (first, second) = (on("amd64", image('3', &["clean"])), on("amd64", image('4', &["a", "app"])));
    let mut images = registry(image('b', &["a"]));
    for child in [&first, &second] {
        images.images.insert(format!("quay.io/x/i@{}", child.digest), child.clone());
    }
    assert!(judge("alpine", &images, &index('i', vec![first, second])).expect("judged").is_some());
}

#[test]
fn indexes_in_indexes_have_an_end() {
    let base = registry(image('b', &["a"]));
    let inner = |id, child| on("amd64", index(id, vec![child]));
    let nested = index('1', vec![inner('2', on("amd64", image('4', &["a", "app"])))]);
    assert!(judge("alpine", &base, &nested).expect("judged").is_some());
    let mut deep = on("amd64", image('4', &["a"]));
    for id in "56789".chars() {
        deep = inner(id, deep);
    }
    assert!(judge("alpine", &base, &deep).is_err());
}

#[test]
fn attestations_are_passed_over() {
    let statement = Fake { attestation: true, ..on("unknown", image('5', &[])) };
    let app = index('i', vec![on("amd64", image('3', &["x"])), statement]);
    assert_eq!(judge("alpine", &registry(image('b', &["a"])), &app), Ok(None));
}

#[rstest]
#[case("alpine", "docker.io/library/alpine:3.19", true)]
#[case("alpine", "alpine", true)]
#[case("alpine", "quay.io/x/alpine:3.19", false)]
#[case("alpine:3.19", "docker.io/library/alpine:3.19", true)]
#[case("alpine:3.19", "docker.io/library/alpine:3.18", false)]
#[case("alpine:latest", "alpine", true)]
#[case("alpine", "not a reference", false)]
fn the_annotation_of_the_name(#[case] rule: &str, #[case] name: &str, #[case] refused: bool) {
    let base = image('b', &["a"]);
    let mut images = registry(base.clone());
    for name in ["docker.io/library/alpine:3.19", "docker.io/library/alpine:latest"] {
        images.images.insert(name.to_owned(), base.clone());
    }
    let claim = vec![(BASE_NAME.to_owned(), name.to_owned())];
    let plain = Fake { annotations: claim.clone(), ..image('i', &["x"]) };
    let labelled = Fake { labels: claim.clone(), ..image('i', &["x"]) };
    let indexed = Fake { annotations: claim, ..index('j', vec![on("amd64", image('i', &["x"]))]) };
    for app in [plain, labelled, indexed] {
        let found = judge(rule, &images, &app).expect("judged");
        assert_eq!(found.is_some(), refused);
        assert!(found.is_none_or(|f| f.code == "blocked.base-image.annotation"));
    }
}

#[test]
fn the_annotation_of_the_digest() {
    let base = index('b', vec![on("amd64", image('1', &["a"]))]);
    for id in ['b', '1'] {
        let app = Fake { annotations: vec![(BASE_DIGEST.to_owned(), digest(id))], ..image('i', &["x"]) };
        let found = judge("alpine", &registry(base.clone()), &app).expect("judged").expect("a hit");
        assert_eq!(found.code, "blocked.base-image.annotation");
    }
    let rule = format!("alpine@{}", digest('c'));
    let app = Fake { annotations: vec![(BASE_DIGEST.to_owned(), digest('c'))], ..image('i', &["x"]) };
    assert!(judge(&rule, &Images::default(), &app).expect("no look at the base").is_some());
}

#[test]
fn the_base_itself_is_refused() {
    let base = image('b', &["a"]);
    assert!(judge("alpine", &registry(base.clone()), &base).expect("judged").is_some());
    let empty = image('b', &[]);
    assert!(judge("alpine", &registry(empty.clone()), &empty).expect("judged").is_some());
}

#[test]
fn the_base_is_read_once_and_a_failure_is_told() {
    let rules = BaseRules(vec![BaseRule::new("alpine").expect("valid")]);
    let error = rules.judge(&Images::default(), &request(&[]), &image('i', &["a"])).expect_err("no base");
    assert_eq!(
        error,
        Error::NotFound("cannot look at the blocked base image `alpine`: docker.io/library/alpine".into())
    );
    let images = registry(image('b', &["a"]));
    for _ in 0..3 {
        assert_eq!(rules.judge(&images, &request(&[]), &image('i', &["a"])).expect("judged").len(), 1);
    }
    assert_eq!(images.opened.get(), 1);
}

#[test]
fn without_rules_nothing_is_asked() {
    let images = Images::default();
    assert_eq!(BaseRules(vec![]).judge(&images, &request(&[]), &image('i', &["a"])), Ok(vec![]));
}
