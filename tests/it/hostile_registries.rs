//! Registries that are not what they seem: they learn no secret, choose nothing that somebody else has judged, and what they say
//! of digests is held to the bytes.

use oc_mirror_testkit::{
    Action, Bearer, FaultRegistry, Image, ImageBuilder, IndexBuilder, Rule, basic_authorization, sha256,
    write_auth_file,
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::lab::{Chunks, Lab, UID, content_of, digest_tag, join, names_in};

const USER: &str = "alice";
const PASSWORD: &str = "hunter2";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn image(seed: u64) -> Image {
    ImageBuilder::new().layer(&[("etc/motd", "base\n")]).random_layer(seed, 20_000).build()
}

/// Another server, which asks whoever comes for all that he has.
fn thief() -> FaultRegistry {
    let thief = FaultRegistry::alone();
    let field = |value: String| ("WWW-Authenticate".to_owned(), value);
    let wants = vec![
        field(format!("Bearer realm=\"{}/token\",service=\"thief\"", thief.url())),
        field("Basic realm=\"thief\"".to_owned()),
    ];
    thief
        .rule(Rule::on("*", "^/token").then(Action::body("application/json", r#"{"token":"stolen"}"#)))
        .rule(Rule::on("*", "").then(Action::Answer(401, wants, Vec::new())));
    thief
}

/// Fails if the thief was not even asked, or has seen anything that opens a door.
#[track_caller]
fn assert_learned_nothing(thief: &FaultRegistry, what: &str) {
    let requests = thief.requests();
    assert!(!requests.is_empty(), "{what}: nobody was led there");
    let basic = basic_authorization(USER, PASSWORD);
    for request in requests {
        let fields: String =
            request.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        let text = format!("{} {}\n{fields}", request.method, request.path);
        for secret in [PASSWORD, basic.trim_start_matches("Basic "), "token-"] {
            assert!(!text.contains(secret), "{what}: `{secret}` in\n{text}");
        }
        assert_eq!(request.header("authorization"), None, "{what}:\n{text}");
    }
}

/// What a registry does to lead its visitors to another one.
type Lure = fn(&FaultRegistry) -> Action;

/// What it is called, what is run, which registry is hostile, to which requests (by method and path), and in what way.
type Case<'a> = (&'a str, &'a [&'a str], &'a FaultRegistry, &'a str, &'a str, Lure);

fn redirect(thief: &FaultRegistry) -> Action {
    Action::Redirect(thief.url())
}

/// Opens an upload at the thief's, as registries do that keep their content in a bucket.
fn location(thief: &FaultRegistry) -> Action {
    let location = ("Location".to_owned(), format!("{}/bucket?signed=1", thief.url()));
    Action::Answer(202, vec![location], Vec::new())
}

#[test]
fn nobody_learns_a_password_by_leading_elsewhere() {
    let lab = Lab::new();
    lab.source.push(&image(1), "team/app", "v1");
    let bearer = || Bearer::new().credentials(USER, PASSWORD);
    let source = FaultRegistry::with_bearer(&lab.source, bearer());
    let target = FaultRegistry::with_bearer(&lab.target, bearer());
    let auth = lab.path("auth.json");
    write_auth_file(&auth, &[(&source.host(), USER, PASSWORD), (&target.host(), USER, PASSWORD)]);
    lab.configure(&[format!("{}/team/app:v1", source.host())]);
    let auth = auth.display().to_string();
    let patience = ["--authfile", &auth, "--retry-times", "0"];
    let (disk, other, to) = (lab.file("disk"), lab.file("other"), format!("docker://{}", target.host()));
    let tls = ["--src-tls-verify=false", "--dest-tls-verify=false"];

    let make = ["-c", "isc.yaml", other.as_str()];
    let dry = ["-c", "isc.yaml", "--dry-run", other.as_str()];
    let publish = ["--from", disk.as_str(), to.as_str()];
    let publish_dry = ["--from", disk.as_str(), "--dry-run", to.as_str()];
    let check = ["check", to.as_str()];
    let doctor = ["doctor", "-c", "isc.yaml", to.as_str()];
    lab.run(&join(&["-c", "isc.yaml", "--uid", UID, disk.as_str()], &patience)).expect(0);

    let cases: [Case<'_>; 11] = [
        ("layers", &make, &source, "GET", "/blobs/", redirect),
        ("manifests", &make, &source, "*", "/manifests/", redirect),
        ("manifests, dry run", &dry, &source, "*", "/manifests/", redirect),
        ("token server", &make, &source, "GET", "^/token", redirect),
        ("token server, dry run", &dry, &source, "GET", "^/token", redirect),
        ("upload redirected", &publish, &target, "POST", "/uploads/", redirect),
        ("upload located elsewhere", &publish, &target, "POST", "/uploads/", location),
        ("tags", &publish, &target, "*", "/manifests/", redirect),
        ("target, dry run", &publish_dry, &target, "*", "/v2/.+", redirect),
        ("check", &check, &target, "*", "/v2/.+", redirect),
        ("doctor", &doctor, &source, "*", "/v2/.+", redirect),
    ];
    for (what, args, registry, method, path, lure) in cases {
        let thief = thief();
        registry.expire_tokens();
        registry.rule(Rule::on(method, path).then(lure(&thief)));
        let args: Vec<&str> = [args, &patience[..2], &tls[..]].concat();
        let output = lab.context.run(&args);
        assert!((1..128).contains(&output.code), "{what}: {}", output.snapshot());
        assert!(!output.raw_stderr.contains(PASSWORD), "{what}: {}", output.snapshot());
        assert_learned_nothing(&thief, what);
        registry.clear_rules();
    }
    assert!(lab.chains("oc-mirror").is_empty(), "nothing was published");
    lab.run(&join(&publish, &patience)).expect(0);
    lab.assert_published(&image(1), "team/app", "v1");
}

/// A tag that is one thing when it is judged and another when it is fetched.
#[rstest]
#[case::harmless_first(true)]
#[case::harmless_later(false)]
fn what_was_judged_is_what_is_mirrored(#[case] is_harmless_first: bool) {
    let lab = Lab::new();
    let base = ImageBuilder::new().layer(&[("etc/os-release", "old")]).random_layer(3, 20_000).build();
    let forbidden = ImageBuilder::new().from(&base).layer(&[("app", "on a blocked base")]).build();
    let harmless = image(1);
    let base_name = lab.push(&base, "library/old", "v1");
    lab.push(&harmless, "team/app", "v1");
    lab.push(&forbidden, "team/app", "forbidden");
    let (first, later) = if is_harmless_first { (&harmless, &forbidden) } else { (&forbidden, &harmless) };
    let front = FaultRegistry::before(&lab.source);
    let show = |image: &Image| {
        let fields = [("Content-Type", &image.media_type), ("Docker-Content-Digest", &image.digest)];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.clone()));
        Action::Answer(200, fields.to_vec(), image.manifest.clone())
    };
    front.rule(Rule::on("GET", "/team/app/manifests/v1$").first(1).then(show(first)));
    front.rule(Rule::on("GET", "/team/app/manifests/v1$").after(1).then(show(later)));
    lab.configure_mirror(json!({
        "additionalImages": [{"name": format!("{}/team/app:v1", front.host())}],
        "blockedImages": [{"baseImage": base_name}],
    }));
    lab.make(&["--uid", UID, "--force"]).expect(0);
    let carried = Chunks::of(&lab.path("disk"), 1).blobs();
    let own: Vec<String> = content_of(&forbidden).difference(&content_of(&harmless)).cloned().collect();
    assert!(own.iter().all(|digest| !carried.contains(digest)), "nothing forbidden is carried: {carried:?}");
    assert_eq!(content_of(&harmless).is_subset(&carried), is_harmless_first);
    let index = Chunks::of(&lab.path("disk"), 1).index();
    let images = index["images"].as_array().expect("a list");
    let roots: Vec<Option<&str>> = images.iter().map(|image| image["root"]["digest"].as_str()).collect();
    assert_eq!(roots, if is_harmless_first { vec![Some(harmless.digest.as_str())] } else { Vec::new() });
    lab.publish("disk", &[]).expect(0);
    assert_eq!(lab.target.digest_of("team/app", "v1"), is_harmless_first.then_some(harmless.digest));
}

/// The same, straight to a registry, where no imageset lies in between.
#[test]
fn a_tag_that_moves_while_it_is_copied_arrives_as_it_was_first() {
    let lab = Lab::new();
    let (first, later) = (image(1), image(2));
    lab.push(&first, "team/app", "v1");
    lab.push(&later, "team/app", "v2");
    let front = FaultRegistry::before(&lab.source);
    let moved = Action::body(&later.media_type, later.manifest.clone());
    front.rule(Rule::on("GET", "/team/app/manifests/v1$").after(1).then(moved));
    lab.configure(&[format!("{}/team/app:v1", front.host())]);
    let (workspace, to) = (lab.file("w"), format!("docker://{}", lab.target.host()));
    lab.run(&["-c", "isc.yaml", "--workspace", &workspace, &to]).expect(0);
    lab.assert_published(&first, "team/app", "v1");
}

#[test]
fn indexes_of_indexes_have_an_end() {
    let lab = Lab::new();
    let nested = |levels: usize| {
        let wrap = |inner: Image, _| IndexBuilder::new().child(&inner).build();
        (0..levels).fold(image(1), wrap)
    };
    lab.configure(&[lab.push(&nested(8), "team/deep", "v1")]);
    lab.make(&["--uid", UID]).expect(0);
    let name = lab.push(&nested(9), "team/deeper", "v1");
    lab.configure(std::slice::from_ref(&name));
    let run = lab.make_in("other", &[]).expect(8);
    let [failure] = run.report().failures.as_slice() else { panic!("{}", run.output.snapshot()) };
    assert!(failure.subject == name && failure.message.contains("nested deeper than 8"), "{failure:?}");
}

/// Manifests that name one another cannot be made. Lists of referrers can: nothing in them is held to a digest.
#[test]
fn referrers_that_refer_to_each_other_end() {
    let lab = Lab::new();
    let app = image(1);
    let about = |subject: &Image, name: &str| {
        let artifact = ImageBuilder::artifact("application/x-note").blob("text/plain", name.as_bytes(), &[]);
        artifact.subject(subject).build()
    };
    let (one, two) = (about(&app, "one"), about(&app, "two"));
    let list = |of: &Image, named: &[&Image]| {
        let list = named.iter().fold(IndexBuilder::new(), |list, image| list.child(image)).build();
        lab.source.push(&list, "team/app", &digest_tag(of));
    };
    let name = lab.push(&app, "team/app", "v1");
    list(&app, &[&one, &app]);
    list(&one, &[&two, &one]);
    list(&two, &[&one, &app]);
    lab.configure(&[name]);
    lab.make(&["--uid", UID]).expect(0);
    let carried = Chunks::of(&lab.path("disk"), 1).blobs();
    assert!(content_of(&one).is_subset(&carried) && content_of(&two).is_subset(&carried));
    lab.publish("disk", &[]).expect(0);
    lab.assert_published(&app, "team/app", "v1");
}

#[test]
fn more_referrers_than_any_image_has() {
    let lab = Lab::new();
    lab.push(&image(1), "team/app", "v1");
    let front = FaultRegistry::before(&lab.source);
    let one = |n: usize| {
        let bytes = n.to_string();
        json!({"mediaType": OCI_MANIFEST, "digest": sha256(bytes.as_bytes()), "size": bytes.len()})
    };
    let listed: Vec<Value> = (0..1001).map(one).collect();
    let list = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed});
    front.rule(Rule::on("GET", "/team/app/referrers/").then(Action::body(OCI_INDEX, list.to_string())));
    lab.configure(&[format!("{}/team/app:v1", front.host())]);
    let run = lab.make(&[]).expect(8);
    let [failure] = run.report().failures.as_slice() else { panic!("{}", run.output.snapshot()) };
    assert!(failure.message.contains("more than 1000 manifests refer to it"), "{failure:?}");
    let first = sha256(b"0");
    assert_eq!(front.count("GET", &first), 0, "none of them is asked for");
}

/// A layer that says where else it is to be had is left where it is: nobody goes to an address that a manifest names.
#[test]
fn addresses_in_manifests_are_not_asked() {
    let lab = Lab::new();
    lab.push(&image(1), "team/app", "v1");
    let (front, thief) = (FaultRegistry::before(&lab.source), thief());
    let manifest = String::from_utf8(image(1).manifest).expect("JSON");
    let mut manifest: Value = serde_json::from_str(&manifest).expect("JSON");
    let layer = &mut manifest["layers"][1];
    layer["mediaType"] = json!("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
    layer["urls"] = json!([format!("{}/layer", thief.url()), "http://169.254.169.254/latest/meta-data/"]);
    manifest["layers"][0]["urls"] = json!([format!("{}/layer", thief.url())]);
    let forged = Action::body(OCI_MANIFEST, manifest.to_string());
    front.rule(Rule::on("GET", "/team/app/manifests/v1$").then(forged));
    lab.configure(&[format!("{}/team/app:v1", front.host())]);
    lab.make(&["--uid", UID]).expect(0);
    let carried = Chunks::of(&lab.path("disk"), 1).blobs();
    let [base, own] = &image(1).layer_digests()[..] else { panic!("two layers") };
    assert!(carried.contains(base) && !carried.contains(own), "{carried:?}");
    assert!(thief.requests().is_empty(), "{:?}", thief.requests());
}

/// What a manifest names is nowhere, or cannot even be asked for.
#[rstest]
#[case::nowhere(sha256(b"nothing hashes to this"), "not found")]
#[case::a_path("sha256:../../../../etc/passwd".to_owned(), "cannot be parsed")]
#[case::in_capitals(sha256(b"x").to_uppercase().replace("SHA256", "sha256"), "cannot be parsed")]
#[case::too_short("sha256:abc".to_owned(), "cannot be parsed")]
#[case::another_algorithm("md5:d41d8cd98f00b204e9800998ecf8427e".to_owned(), "cannot be parsed")]
#[case::with_a_line_break(format!("{}\r\nHost: thief", sha256(b"x")), "cannot be parsed")]
fn a_digest_that_nothing_has(#[case] digest: String, #[case] why: &str) {
    let lab = Lab::new();
    let sound = lab.push(&image(2), "team/sound", "v1");
    lab.source.push(&image(1), "team/app", "v1");
    let front = FaultRegistry::before(&lab.source);
    let manifest = String::from_utf8(image(1).manifest).expect("JSON");
    let mut manifest: Value = serde_json::from_str(&manifest).expect("JSON");
    manifest["layers"][1]["digest"] = json!(digest);
    let forged = Action::body(OCI_MANIFEST, manifest.to_string());
    front.rule(Rule::on("GET", "/team/app/manifests/v1$").then(forged));
    let name = format!("{}/team/app:v1", front.host());
    lab.configure(&[name.clone(), sound]);
    let run = lab.make(&["--retry-times", "0"]).expect(8);
    let [failure] = run.report().failures.as_slice() else { panic!("{}", run.output.snapshot()) };
    assert!(failure.subject == name && failure.message.contains(why), "{failure:?}");
    assert!(!names_in(&lab.path("disk")).iter().any(|name| name.ends_with(".tar")), "nothing is sealed");
    let asked: Vec<String> = front.requests().into_iter().map(|request| request.path).collect();
    assert!(asked.iter().all(|path| !path.contains("..") && !path.contains("thief")), "{asked:?}");
}

/// A target that claims to have a blob which it has not: it lies, or collects its garbage just then.
#[rstest]
#[case::when_asked(Rule::on("HEAD", "/team/two/blobs/"), 200)]
#[case::when_mounting(Rule::on("POST", "/team/two/blobs/uploads/.mount="), 201)]
fn a_blob_that_a_target_only_claims_to_have_is_sent_once_more(#[case] rule: Rule, #[case] status: u16) {
    let lab = Lab::new();
    // Of large blobs it is asked whether they are there.
    let shared = ImageBuilder::new().random_layer(5, 5 << 20).build();
    let on_it = ImageBuilder::new().from(&shared).layer(&[("app", "two")]).build();
    let names = [lab.push(&shared, "team/one", "v1"), lab.push(&on_it, "team/two", "v1")];
    lab.configure(&names);
    lab.make(&[]).expect(0);
    let front = FaultRegistry::before(&lab.target);
    let digest = shared.layer_digests()[0].clone();
    let fields =
        [("Docker-Content-Digest", digest.clone()), ("Location", format!("/v2/team/two/blobs/{digest}"))];
    let fields = fields.map(|(name, value)| (name.to_owned(), value)).to_vec();
    front.rule(Rule::on("POST", "mount=").then(Action::RefuseMount));
    front.rule(rule.then(Action::Answer(status, fields, Vec::new())));
    let to = format!("docker://{}", front.host());
    let run = lab.run(&["--from", &lab.file("disk"), &to, "--retry-delay", "10ms"]).expect(0);
    assert!(run.output.raw_stderr.contains("it is sent again"), "{}", run.output.snapshot());
    front.clear_rules();
    lab.assert_published(&shared, "team/one", "v1");
    lab.assert_published(&on_it, "team/two", "v1");
    let puts = front.count("PUT", &format!("/team/two/blobs/.*{}", digest.trim_start_matches("sha256:")));
    assert_eq!(puts, 1, "{puts}");
}

#[test]
fn a_target_that_never_has_what_it_was_sent_is_not_sent_it_for_ever() {
    let lab = Lab::new();
    lab.configure(&[lab.push(&image(1), "team/app", "v1")]);
    lab.make(&[]).expect(0);
    let front = FaultRegistry::before(&lab.target);
    let error = br#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}"#;
    front.rule(Rule::on("PUT", "/team/app/manifests/").then(Action::Answer(400, Vec::new(), error.to_vec())));
    let to = format!("docker://{}", front.host());
    let run = lab.run(&["--from", &lab.file("disk"), &to, "--retry-delay", "10ms"]).expect(8);
    assert!(run.output.raw_stderr.contains("MANIFEST_BLOB_UNKNOWN"), "{}", run.output.snapshot());
    let (blobs, puts) = (image(1).blobs().len(), front.count("PUT", "/team/app/blobs/"));
    assert_eq!(puts, 2 * blobs, "each is sent, and sent once more");
    assert!(lab.target.tags("team/app").is_empty());
}
