use oc_mirror_model::reference::Reference;
use rstest::rstest;

use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn conf(files: &[&str]) -> RegistriesConf {
    let files = files.iter().enumerate().map(|(n, text)| (format!("{n}.conf").into(), (*text).to_owned()));
    let (conf, remarks) = RegistriesConf::from_files(files.collect()).expect("valid");
    assert_eq!(remarks, []);
    conf
}

fn error(text: &str) -> InvalidRegistriesConf {
    RegistriesConf::from_files(vec![("a.conf".into(), text.to_owned())]).expect_err("a mistake")
}

/// Lists places: `!` is a blocked one, `~` an insecure one.
fn places(conf: &RegistriesConf, name: &str) -> Vec<String> {
    let image: Reference = name.replace("DIGEST", DIGEST).parse().expect("a reference");
    let places = conf.places(&image).expect("places");
    assert!(places.iter().rev().skip(1).all(|p| p.is_mirror) && !places.last().expect("one").is_mirror);
    let show = |p: &Place| {
        let marks = [(p.blocked.is_some(), "!"), (p.insecure, "~")];
        let marks: String = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
        format!("{marks}{}", p.reference).replace(DIGEST, "DIGEST")
    };
    places.iter().map(show).collect()
}

const FULL: &str = r#"
unqualified-search-registries = ["example.com", "docker.io"]
short-name-mode = "enforcing"
credential-helpers = ["containers-auth.json", "secretservice"]

[[registry]]
location = "plain.example.com"
insecure = true

[[registry]]
location = "never.example.com:5000"
blocked = true

[[registry]]
prefix = "example.com/foo"
location = "internal.example.org/bar"
insecure = true
[[registry.mirror]]
location = "mirror-1.example.org:8000/base"
[[registry.mirror]]
location = "mirror-2.example.org"
insecure = true
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "mirror-3.example.org/tags/"
pull-from-mirror = "tag-only"

[[registry]]
prefix = "example.com/foo/deeper"
location = "deeper.example.org"

[[registry]]
prefix = "*.wild.example.com"
[[registry.mirror]]
location = "tame"

[[registry]]
prefix = "*.x.wild.example.com"
location = "x.example.org"

[[registry]]
location = "quay.io"
mirror-by-digest-only = true
blocked = true
[[registry.mirror]]
location = "enterprise.example.com:8443/quay"
[[registry.mirror]]
location = "never.example.com:5000/quay"
"#;

#[rstest]
#[case("other.example.com/a:1", &["other.example.com/a:1"])]
#[case("plain.example.com/a:1", &["~plain.example.com/a:1"])]
#[case("never.example.com:5000/a:1", &["!never.example.com:5000/a:1"])]
#[case("never.example.com/a:1", &["never.example.com/a:1"])]
#[case("example.com/foo:1", &["mirror-1.example.org:8000/base:1", "mirror-3.example.org/tags:1", "~internal.example.org/bar:1"])]
#[case("example.com/foo/a/b", &["mirror-1.example.org:8000/base/a/b", "mirror-3.example.org/tags/a/b", "~internal.example.org/bar/a/b"])]
#[case("example.com/foo/a@DIGEST", &["mirror-1.example.org:8000/base/a@DIGEST", "~mirror-2.example.org/a@DIGEST", "~internal.example.org/bar/a@DIGEST"])]
#[case("example.com/foo/a:1@DIGEST", &["mirror-1.example.org:8000/base/a:1@DIGEST", "~mirror-2.example.org/a:1@DIGEST", "~internal.example.org/bar/a:1@DIGEST"])]
#[case("example.com/foo/deeper/a:1", &["deeper.example.org/a:1"])]
#[case("example.com/foobar:1", &["example.com/foobar:1"])]
#[case("a.wild.example.com/n/a:1", &["tame/n/a:1", "a.wild.example.com/n/a:1"])]
#[case("a.x.wild.example.com/n/a:1", &["x.example.org/n/a:1"])]
#[case("wild.example.com/n/a:1", &["wild.example.com/n/a:1"])]
#[case("quay.io/n/a:1", &["!quay.io/n/a:1"])]
#[case("quay.io/n/a@DIGEST", &["enterprise.example.com:8443/quay/n/a@DIGEST", "!never.example.com:5000/quay/n/a@DIGEST", "!quay.io/n/a@DIGEST"])]
fn where_images_are(#[case] name: &str, #[case] expected: &[&str]) {
    assert_eq!(places(&conf(&[FULL]), name), expected);
}

#[test]
fn a_location_that_is_blocked_elsewhere_is_blocked() {
    let conf = conf(&[
        "[[registry]]\nprefix = 'a.io'\nlocation = 'b.io'\n[[registry]]\nlocation = 'b.io/x'\nblocked = true\n",
    ]);
    assert_eq!(places(&conf, "a.io/x/y:1"), ["!b.io/x/y:1"]);
    let image: Reference = "a.io/x/y:1".parse().unwrap();
    let blocked = conf.places(&image).unwrap()[0].blocked.clone().unwrap();
    assert_eq!(blocked.to_string(), "`0.conf`, line 4, column 1");
}

#[test]
fn a_prefix_may_have_a_tag() {
    let conf = conf(&["[[registry]]\nprefix = 'a.io/x:1'\nlocation = 'b.io/y:2'\n"]);
    assert_eq!(places(&conf, "a.io/x:1"), ["b.io/y:2"]);
    assert_eq!(places(&conf, "a.io/x:12"), ["a.io/x:12"]);
}

#[test]
fn a_location_that_makes_no_name() {
    let conf = conf(&["[[registry]]\nprefix = 'a.io/x'\nlocation = 'b.io'\n"]);
    assert_eq!(places(&conf, "a.io/x/y"), ["b.io/y"]);
    let error = conf.places(&"a.io/x:1".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("`b.io:1`") && error.at.line == 1, "{error}");
}

#[test]
fn what_is_written_to() {
    let conf = conf(&[FULL]);
    assert!(conf.endpoint("plain.example.com/a").insecure);
    assert_eq!(conf.endpoint("other.example.com"), Endpoint::default());
    assert_eq!(conf.endpoint("quay.io/a").blocked.unwrap().to_string(), "`0.conf`, line 41, column 1");
}

#[rstest]
#[case("example.com", true)]
#[case("example.com:5000", true)]
#[case("a.wild.example.com", true)]
#[case("wild.example.com", false)]
#[case("internal.example.org", false)]
fn concerned(#[case] registry: &str, #[case] expected: bool) {
    assert_eq!(conf(&[FULL]).concerns(&registry.parse().unwrap()), expected);
}

#[test]
fn later_files_override() {
    let conf = conf(&[
        FULL,
        "unqualified-search-registries = []\nshort-name-mode = 'permissive'\n[[registry]]\nprefix = 'example.com/foo'\nlocation = 'new.io'\n[aliases]\n'a' = 'one.io/a'\n'b' = 'one.io/b'\n",
        "[[registry]]\nlocation = 'third.io'\ninsecure = true\n[aliases]\n'a' = 'two.io/a'\n'b' = ''\n",
    ]);
    assert_eq!(places(&conf, "example.com/foo/a:1"), ["new.io/a:1"]);
    assert_eq!(places(&conf, "plain.example.com/a:1"), ["~plain.example.com/a:1"]);
    assert_eq!(places(&conf, "third.io/a:1"), ["~third.io/a:1"]);
    let names = |name: &str| conf.candidates(name).unwrap();
    assert_eq!(names("a:1"), Some(vec!["two.io/a:1".parse().unwrap()]));
    assert_eq!(names("b"), None);
    assert_eq!(conf.credential_helpers().unwrap(), ["containers-auth.json", "secretservice"]);
}

#[test]
fn the_first_of_a_prefix_counts_within_a_file() {
    let conf = conf(&[
        "[[registry]]\nprefix = 'a.io'\nlocation = 'b.io'\n[[registry]]\nprefix = 'a.io'\nlocation = 'c.io'\n",
    ]);
    assert_eq!(places(&conf, "a.io/x:1"), ["b.io/x:1"]);
}

#[rstest]
#[case("ubi8/ubi", "permissive", &["quay.io/ubi8/ubi", "docker.io/ubi8/ubi"])]
#[case("ubi:9", "disabled", &["quay.io/ubi:9", "docker.io/library/ubi:9"])]
#[case("tool:1@DIGEST", "enforcing", &["one.io/ns/tool:1@DIGEST"])]
#[case("localhost/a", "enforcing", &[])]
#[case("r.io/a", "enforcing", &[])]
fn short_names(#[case] name: &str, #[case] mode: &str, #[case] expected: &[&str]) {
    let text = format!(
        "unqualified-search-registries = ['quay.io', 'docker.io']\nshort-name-mode = '{mode}'\n[aliases]\ntool = 'one.io/ns/tool'\n"
    );
    let found = conf(&[&text]).candidates(&name.replace("DIGEST", DIGEST)).unwrap().unwrap_or_default();
    let found: Vec<String> = found.iter().map(|r| r.to_string().replace(DIGEST, "DIGEST")).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_name_that_may_be_several_is_told_with_the_choices() {
    let error = conf(&[FULL]).candidates("ubi8/ubi:1").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the short name `ubi8/ubi:1` may be any of `example.com/ubi8/ubi:1`, `docker.io/ubi8/ubi:1`, which `0.conf`, line 2, column 1 lists"
    );
    let one = conf(&["unqualified-search-registries = ['quay.io']\nshort-name-mode = 'enforcing'\n"]);
    assert_eq!(one.candidates("a").unwrap(), Some(vec!["quay.io/a".parse().unwrap()]));
}

#[rstest]
#[case("[[registry]]\nlocation = \n", 2, "this is not TOML")]
#[case("[[registry]]\nlocation = 5\n", 2, "`location` is a string")]
#[case("[[registry]]\nlocation = 'a.io'\nblocked = 'yes'\n", 3, "`true` or `false`")]
#[case("[registry]\nlocation = 'a.io'\n", 1, "a list of tables")]
#[case("\n[[registry]]\ninsecure = true\n", 2, "needs a `location` or a `prefix`")]
#[case("[[registry]]\nprefix = 'a.io'\n", 1, "has no `location`")]
#[case("[[registry]]\nprefix = '*.a.io:5000'\n", 2, "is not a prefix")]
#[case("[[registry]]\nlocation = 'https://a.io'\n", 2, "is a URL")]
#[case("[[registry]]\nlocation = '-a.io'\n", 2, "is not a registry")]
#[case("[[registry]]\nlocation = 'a.io'\npull-from-mirror = 'all'\n", 3, "is for mirrors")]
#[case("[[registry]]\nlocation = 'a.io'\n[[registry.mirror]]\ninsecure = true\n", 3, "needs a `location`")]
#[case(
    "[[registry]]\nlocation = 'a.io'\n[[registry.mirror]]\nlocation = 'b.io'\npull-from-mirror = 'never'\n",
    5,
    "`never` is nothing"
)]
#[case(
    "[[registry]]\nlocation = 'a.io'\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = 'b.io'\npull-from-mirror = 'all'\n",
    4,
    "contradicts"
)]
#[case(
    "[[registry]]\nlocation = 'a.io'\n[[registry]]\nprefix = 'b.io'\nlocation = 'a.io'\ninsecure = true\n",
    3,
    "`a.io` is `insecure` here"
)]
#[case("unqualified-search-registries = 'a.io'\n", 1, "a list of strings")]
#[case("short-name-mode = 'strict'\n", 1, "`strict` is not a mode")]
#[case("[aliases]\n'a:1' = 'r.io/a'\n", 2, "is not a short name")]
#[case("[aliases]\na = 'a'\n", 2, "without tag and digest")]
#[case("[registries.search]\nregistries = ['a.io']\n", 1, "version 1")]
fn mistakes(#[case] text: &str, #[case] line: usize, #[case] expected: &str) {
    let error = error(text);
    assert!(error.at.line == line && error.reason.contains(expected), "{error}");
    assert!(error.to_string().starts_with(&format!("`a.conf`, line {line}, column ")), "{error}");
}

#[test]
fn unknown_keys_are_remarked() {
    let text = "x = 1\n[[registry]]\nlocation = 'a.io'\n  blokked = true\n[[registry.mirror]]\nlocation = 'b.io'\ny = 2\n";
    let (_, remarks) = RegistriesConf::from_files(vec![("a.conf".into(), text.to_owned())]).unwrap();
    let remarks: Vec<String> = remarks.iter().map(Remark::to_string).collect();
    assert_eq!(
        remarks,
        [
            "`a.conf`, line 1, column 1: `x` is not known, and has no effect",
            "`a.conf`, line 4, column 3: `registry.blokked` is not known, and has no effect",
            "`a.conf`, line 7, column 1: `registry.mirror.y` is not known, and has no effect",
        ]
    );
}
