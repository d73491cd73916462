//! Planted credentials: whatever the program is given to show to others is found in nothing that it writes.
//!
//! Each is looked for as it is and as it may be written: in base64, also in the middle of a longer text such as
//! `user:password`, percent-encoded, in hexadecimal digits, and inside of layers and other compressed files.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use oc_mirror_testkit::{
    Action, Bearer, CommandOutput, FaultRegistry, FileServer, Image, ImageBuilder, KubeServer, Moto,
    Registry, Rule, TestContext, http, tar_gz, write_auth_file,
};
use serde_json::{Value, json};

use crate::lab::{Chunks, context, read};
use crate::serve::Served;

/// Of the source that gives out tokens.
const BASIC: &str = "planted-basic-9%Kq+w/Zx";
const TOKEN: &str = "planted-bearer-Tz81hq";
const IDENTITY: &str = "planted-identity+Rf/33k";
const IDENTITY_TOKEN: &str = "planted-second-bearer-Aw0";
const HELPED: &str = "planted-helper&Hd=77s";
const HELPED_TOKEN: &str = "planted-third-bearer-Xe5";
/// Of `oc-mirror serve`; [`PASSWORDS`] has its hash.
const SERVED: &str = "planted-serve-7Qx%2Fw+Zk";
const CHARTS: &str = "planted-charts-Lm:20!o";
const PROXY: &str = "planted-proxy-Pp4~x";
const BUCKET: &str = "planted-bucket/Sk+90aa";
const SESSION: &str = "planted-session==Un1";
const CLUSTER: &str = "planted-cluster.Yv66.t";
const WRONG: &str = "planted-wrong-Ii8*b";
const WRITTEN: &str = "planted-written-Oo5c";
const PRESIGNED: &str = "planted-presigned-Mm2f";

const PASSWORDS: &str = "admin:$2b$05$abcdefghijklmnopqrstuuLGzBPJLpLoO2iVo1vp98Thi3oqL8h7a\n";

/// What a run may leave behind, and what must not be in it.
struct Search {
    secrets: Vec<(String, Vec<Vec<u8>>)>,
    found: Vec<String>,
    looked_at: usize,
}

impl Search {
    fn of(secrets: &[&str]) -> Self {
        let secrets = secrets.iter().map(|secret| ((*secret).to_owned(), forms(secret))).collect();
        Self { secrets, found: Vec::new(), looked_at: 0 }
    }

    /// Looks through bytes, and what is compressed in them.
    fn bytes(&mut self, place: &str, bytes: &[u8]) {
        self.looked_at += bytes.len();
        for (secret, forms) in &self.secrets {
            if let Some(form) = forms.iter().find(|form| contains(bytes, form)) {
                self.found.push(format!("{secret} in {place}, as {}", String::from_utf8_lossy(form)));
            }
        }
        if bytes.starts_with(&[0x1f, 0x8b]) {
            let mut inside = Vec::new();
            // Blobs that are cut over chunks are looked at where they are whole.
            if flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut inside).is_ok() {
                self.bytes(&format!("{place}, unpacked"), &inside);
            }
        }
    }

    fn output(&mut self, what: &str, output: &CommandOutput) {
        self.bytes(&format!("the standard output of {what}"), output.raw_stdout.as_bytes());
        self.bytes(&format!("the standard error of {what}"), output.raw_stderr.as_bytes());
    }

    /// Looks through all files below a directory, and at their names.
    fn directory(&mut self, dir: &Path) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            self.bytes("a name", path.as_os_str().as_encoded_bytes());
            if path.is_dir() && !path.is_symlink() {
                self.directory(&path);
            } else if path.is_file() {
                self.bytes(&path.display().to_string(), &fs::read(&path).unwrap_or_default());
            }
        }
    }

    #[track_caller]
    fn finds_nothing(&self) {
        assert!(self.found.is_empty(), "\n{}\n", self.found.join("\n"));
    }
}

/// Returns how a text may be written down.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    let mut forms = vec![secret.as_bytes().to_vec()];
    // Wherever in a longer text it stands: what its neighbours have a part in is left out.
    for before in 0..3 {
        let text = [vec![b'x'; before], secret.as_bytes().to_vec()].concat();
        let (first, last) = ((before * 8).div_ceil(6), text.len() * 8 / 6);
        forms.push(STANDARD_NO_PAD.encode(&text).as_bytes()[first..last].to_vec());
        forms.push(URL_SAFE_NO_PAD.encode(&text).as_bytes()[first..last].to_vec());
    }
    forms.push(url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>().into_bytes());
    let percent = |b: u8| {
        if b.is_ascii_alphanumeric() || b == b'-' { (b as char).to_string() } else { format!("%{b:02x}") }
    };
    forms.push(secret.bytes().map(percent).collect::<String>().into_bytes());
    forms.push(secret.bytes().map(|b| format!("{b:02x}")).collect::<String>().into_bytes());
    // In a text of JSON.
    forms.push(json!(secret).to_string().trim_matches('"').as_bytes().to_vec());
    forms.sort();
    forms.dedup();
    forms
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    memchr::memmem::find(bytes, wanted).is_some()
}

#[test]
fn the_search_finds_what_is_there() {
    use base64::Engine as _;
    let secret = "planted-so-and-so&x";
    let found = |bytes: &[u8]| {
        let mut search = Search::of(&[secret]);
        search.bytes("here", bytes);
        search.found.len()
    };
    assert_eq!(found(b"planted-so-and-s0&x"), 0);
    assert_eq!(found(format!("say {secret}!").as_bytes()), 1);
    for user in ["", "a", "ab", "abc", "abcd"] {
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{secret}"));
        assert_eq!(found(basic.as_bytes()), 1, "{user}");
    }
    assert_eq!(found(b"?password=planted-so-and-so%26x"), 1);
    let packed = tar_gz(&[("file", format!("x{secret}"))]).1;
    assert_eq!(found(&packed), 1, "inside of a layer");
}

/// Everything that credentials are shown to, and where they are written down: nowhere that the program writes to.
struct World {
    context: TestContext,
    vault: tempfile::TempDir,
    registry: Registry,
    /// Gives tokens for a password, for an identity token, and for what a helper knows.
    sources: [FaultRegistry; 3],
    served: Served,
    charts: FileServer,
    proxy: FaultRegistry,
    image: Image,
    key: String,
    search: Search,
}

impl World {
    fn new() -> Self {
        let vault = tempfile::tempdir().expect("a directory");
        let registry = Registry::start();
        let image = ImageBuilder::new().layer(&[("app", "content")]).random_layer(1, 60_000).build();
        for tag in ["v1", "v2", "v3"] {
            registry.push(&image, "team/app", tag);
        }
        let of = |token: &str| Bearer::new().named(token);
        let sources = [
            of(TOKEN).credentials("mirror", BASIC),
            of(IDENTITY_TOKEN),
            of(HELPED_TOKEN).credentials("helped", HELPED),
        ]
        .map(|bearer| FaultRegistry::with_bearer(&registry, bearer));
        let keeps = |name: &str, text: &str| {
            let path = vault.path().join(name);
            fs::create_dir_all(path.parent().expect("it is below")).expect("made");
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("ours");
            path.display().to_string()
        };
        // What it was called with, and by whom, goes where the test looks.
        let log = vault.path().join("seen-by-helper");
        let helper = format!(
            "#!/bin/sh\ncat /proc/$$/cmdline /proc/$$/environ /proc/$PPID/cmdline >'{}'\nread -r host\n\
             printf '{{\"Username\":\"helped\",\"Secret\":\"%s\"}}' '{HELPED}'\n",
            log.display()
        );
        keeps("bin/docker-credential-planted", &helper);
        let charts = FileServer::start();
        let repositories = json!({ "repositories": [{ "name": "c", "url": charts.url(), "username": "me", "password": CHARTS }] });
        let proxy = FaultRegistry::alone();
        let path =
            format!("{}:{}", vault.path().join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let key = Self::key();
        let context = context()
            .env("PATH", &path)
            .env("HELM_REPOSITORY_CONFIG", &keeps("repositories.yaml", &repositories.to_string()))
            .env("HTTPS_PROXY", &proxy.url().replace("http://", &format!("http://proxied:{PROXY}@")))
            .env("http_proxy", &proxy.url().replace("http://", &format!("http://proxied:{PROXY}@")))
            .env("SIGNING_KEY", &key);
        let passwords = keeps("passwords", PASSWORDS);
        let served =
            Served::start_with(&context, &context.work().join("served"), &["--htpasswd", &passwords]);
        let auth = json!({
            "auths": {
                sources[0].host(): { "auth": base64("mirror", BASIC) },
                sources[1].host(): { "identitytoken": IDENTITY },
                served.host(): { "auth": base64("admin", SERVED) },
            },
            "credHelpers": { sources[2].host(): "planted" },
        });
        keeps("auth.json", &auth.to_string());
        write_auth_file(
            &vault.path().join("wrong.json"),
            &[(&sources[0].host(), "mirror", WRONG), (&served.host(), "admin", WRONG)],
        );
        // The line of a key in PEM that has the key.
        let line = key.lines().nth(1).expect("a key").to_owned();
        let search = Search::of(&[
            BASIC,
            TOKEN,
            IDENTITY,
            IDENTITY_TOKEN,
            HELPED,
            HELPED_TOKEN,
            SERVED,
            CHARTS,
            PROXY,
            BUCKET,
            SESSION,
            CLUSTER,
            WRONG,
            WRITTEN,
            PRESIGNED,
            &line,
        ]);
        Self { context, vault, registry, sources, served, charts, proxy, image, key, search }
    }

    /// Makes a private key.
    fn key() -> String {
        let made = std::process::Command::new("openssl").args(["genpkey", "-algorithm", "ed25519"]).output();
        String::from_utf8(made.expect("this machine has openssl").stdout).expect("PEM")
    }

    fn configure(&self, mirror: Value) {
        let configuration = json!({
            "kind": "ImageSetConfiguration", "apiVersion": "mirror.openshift.io/v2alpha1", "mirror": mirror,
        });
        self.context.write("isc.yaml", format!("{configuration:#}"));
    }

    /// Asks for the image of each source.
    fn images(&self) -> Value {
        let names = self.sources.iter().zip(["v1", "v2", "v3"]);
        names.map(|(source, tag)| json!({ "name": format!("{}/team/app:{tag}", source.host()) })).collect()
    }

    fn run(&mut self, args: &[&str]) -> CommandOutput {
        self.run_as("auth.json", args)
    }

    /// Runs the program with one of the files of credentials, and looks at what it says.
    fn run_as(&mut self, file: &str, args: &[&str]) -> CommandOutput {
        let auth = self.vault.path().join(file).display().to_string();
        let fixed = ["--src-tls-verify=false", "--dest-tls-verify=false", "--authfile", &auth];
        // These try nothing again, and have no word for it.
        let once: &[&str] = match args {
            ["doctor" | "plugin", ..] => &[],
            _ => &["--retry-times", "0"],
        };
        let args = [args, &fixed, once].concat();
        let output = self.context.run(&args);
        self.search.output(&args.join(" "), &output);
        output
    }

    fn target(&self, path: &str) -> String {
        format!("docker://{}/{path}", self.served.host())
    }

    fn file(&self, path: &str) -> String {
        format!("file://{}", self.context.work().join(path).display())
    }

    /// Looks at all that was written by now, on this side and at the far one.
    fn looks_around(&mut self) {
        let root = self.context.work().parent().expect("it is below").to_owned();
        self.search.directory(&root);
        self.search.directory(self.registry.storage());
        let said = self.served.said();
        self.search.bytes("what `serve` said", said.as_bytes());
    }
}

fn base64(user: &str, password: &str) -> String {
    oc_mirror_testkit::basic_authorization(user, password).trim_start_matches("Basic ").to_owned()
}

const TRACE: [&str; 2] = ["--log-level", "trace"];

#[test]
fn whatever_is_mirrored_nothing_that_is_written_has_a_credential_in_it() {
    let mut world = World::new();
    world.charts.put("/index.yaml", json!({ "apiVersion": "v1", "entries": {} }).to_string().as_bytes());
    let images = world.images();
    world.configure(json!({ "additionalImages": images }));
    let (disk, far, to) = (world.file("disk"), world.file("far"), world.target("far"));
    let direct = world.target("direct");
    let sign = ["--sign-key", "env://SIGNING_KEY"];
    let none: [&str; 0] = [];
    let steps: [(&[&str], &[&str]); 10] = [
        (&["doctor", "-c", "isc.yaml", &to], &none),
        (&["plan", "-c", "isc.yaml", &disk, "-o", "plan.json"], &none),
        (&["-c", "isc.yaml", &disk, "--dry-run"], &TRACE),
        (
            &["-c", "isc.yaml", &disk, "-o", "json", "--metrics-file", "metrics.prom"],
            &[&TRACE[..], &sign].concat(),
        ),
        (&["--from", &disk, "--workspace", &far, &to, "--log-format", "json", "-o", "json"], &TRACE),
        (&["-c", "isc.yaml", "--workspace", &world.file("w"), &direct], &TRACE),
        (&["check", &to, "--workspace", &far], &none),
        (&["delete", "-c", "disc.yaml", "--generate", "--workspace", &far, &to], &none),
        (
            &[
                "delete",
                "--delete-yaml-file",
                "far/working-dir/delete/delete-images.yaml",
                "--workspace",
                &far,
                &to,
            ],
            &none,
        ),
        (
            &[
                "plugin",
                "run",
                "builtin:additional",
                "--settings",
                "settings.yaml",
                "--record",
                "recording.jsonl",
            ],
            &none,
        ),
    ];
    let names: Vec<&str> =
        images.as_array().expect("a list").iter().filter_map(|i| i["name"].as_str()).collect();
    let delete = json!({
        "kind": "DeleteImageSetConfiguration", "apiVersion": "mirror.openshift.io/v2alpha1",
        "delete": { "additionalImages": [{ "name": names[0] }] },
    });
    world.context.write("disc.yaml", delete.to_string());
    world.context.write("settings.yaml", json!({ "images": images }).to_string());
    let seen_by_helper = world.vault.path().join("seen-by-helper");
    for (args, more) in steps {
        let output = world.run(&[args, more].concat());
        assert_eq!(output.code, 0, "{}", output.snapshot());
        if more.contains(&sign[0]) {
            // What is started inherits what it needs, and neither a key nor an argument with anything secret.
            let seen = read(&seen_by_helper);
            let has = |text: &str| contains(&seen, text.as_bytes());
            let shown = String::from_utf8_lossy(&seen);
            assert!(
                has("docker-credential-planted") && has("XDG_CACHE_HOME") && !has("SIGNING_KEY="),
                "{shown}"
            );
            let line = world.key.lines().nth(1).expect("a key");
            let mut search = Search::of(&[BASIC, TOKEN, IDENTITY, SERVED, CHARTS, line]);
            search.bytes("what a helper was called with", &seen);
            search.finds_nothing();
        }
    }
    for args in [
        &["describe", "disk"][..],
        &["list", "releases"],
        &["report", "disk", "-o", "report.html"],
        &["report", "disk", "-o", "json"],
        &["check", "disk"],
        &["lint", "-c", "isc.yaml", "--online"],
    ] {
        let output = world.context.run(args);
        world.search.output(&args.join(" "), &output);
    }
    // Each credential was shown to whom it is for.
    let shown = |registry: &FaultRegistry, path: &str, value: &str| {
        let requests = registry.requests();
        let mut those = requests.iter().filter(|request| request.path.starts_with(path));
        those.any(|request| request.header("authorization").is_some_and(|header| header.contains(value)))
    };
    assert!(
        shown(&world.sources[0], "/token", &base64("mirror", BASIC))
            && shown(&world.sources[0], "/v2/", TOKEN)
    );
    assert!(
        shown(&world.sources[1], "/v2/", IDENTITY_TOKEN) && world.sources[1].count("POST", "^/token") > 0
    );
    assert!(
        shown(&world.sources[2], "/token", &base64("helped", HELPED))
            && shown(&world.sources[2], "/v2/", HELPED_TOKEN)
    );
    let with = [("Authorization", format!("Basic {}", base64("admin", SERVED)))];
    let with: Vec<(&str, &str)> = with.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let there = http::get(&world.served.host(), "/v2/direct/team/app/tags/list", &with).expect("an answer");
    assert_eq!(there.status, 200, "{}", there.text());
    // Unpacked, so that no end of a chunk is in between.
    let chunks = Chunks::of(&world.context.work().join("disk"), 1);
    assert!(chunks.index()["signedBy"].is_array(), "it was signed");
    chunks.unpack(&world.context.work().join("unpacked"));
    assert!(read(&world.context.work().join("disk/working-dir/logs/oc-mirror.log")).len() > 1000);
    assert!(!world.image.layer_digests().is_empty());
    world.looks_around();
    assert!(world.search.looked_at > 300_000, "{} bytes were looked at", world.search.looked_at);
    world.search.finds_nothing();
}

#[test]
fn whatever_fails_is_told_without_a_credential() {
    let mut world = World::new();
    let images = world.images();
    let disk = world.file("disk");
    let to = world.target("far");
    let mirror = ["-c", "isc.yaml", &disk, "--log-level", "trace", "-o", "json"];
    let fails = |world: &mut World, file: &str, args: &[&str]| {
        let output = world.run_as(file, args);
        assert_ne!(output.code, 0, "{}", output.snapshot());
        output
    };
    world.configure(json!({ "additionalImages": images }));
    // Wrong passwords, at the token server and at the far side.
    fails(&mut world, "wrong.json", &mirror);
    fails(&mut world, "wrong.json", &["check", &to]);
    // Whatever a registry may answer, also with a body that repeats what it was shown.
    for status in [400, 401, 403, 404, 429, 500, 503] {
        let answer = |told: &str| {
            let text =
                json!({ "errors": [{ "code": "DENIED", "message": format!("no: {told}"), "detail": told }] });
            let headers = vec![("Content-Type".into(), "application/json".into())];
            Action::Answer(status, headers, text.to_string().into_bytes())
        };
        let told = [format!("{BASIC} {}", base64("mirror", BASIC)), IDENTITY.to_owned(), HELPED.to_owned()];
        for paths in
            [&[("GET", "/manifests/"), ("HEAD", "/manifests/")], &[("GET", "^/token"), ("POST", "^/token")]]
        {
            for (source, told) in world.sources.iter().zip(&told) {
                for (method, path) in paths {
                    source.rule(Rule::on(method, path).then(answer(told)));
                }
                source.expire_tokens();
            }
            fails(&mut world, "auth.json", &mirror);
            world.sources.iter().for_each(FaultRegistry::clear_rules);
        }
    }
    // A redirect to an address that is a secret by itself, and that fails.
    let storage = FaultRegistry::alone();
    let location = format!("{}/bucket/blob?X-Amz-Signature={PRESIGNED}&X-Amz-Credential=k", storage.url());
    let moved = || Action::Answer(307, vec![("Location".into(), location.clone())], Vec::new());
    for source in &world.sources {
        source.rule(Rule::on("GET", "/blobs/").then(moved()));
    }
    // Nothing is there yet of what was brought above.
    let fresh = world.file("fresh");
    for status in [403, 500] {
        storage.rule(Rule::on("GET", "/bucket/").then(Action::status(status)));
        fails(&mut world, "auth.json", &["-c", "isc.yaml", &fresh, "--log-level", "trace"]);
        storage.clear_rules();
    }
    assert!(storage.count("GET", PRESIGNED) > 0, "it was asked there");
    let authorized = |request: &oc_mirror_testkit::Recorded| request.header("authorization").is_some();
    assert!(!storage.requests().iter().any(authorized), "no credential goes along");
    world.sources.iter().for_each(FaultRegistry::clear_rules);
    // A chart repository that wants something else, and a proxy that does not let through.
    world.charts.rule(Rule::on("GET", "^/").then(Action::status(401)));
    world.configure(json!({ "helm": { "repositories": [{ "name": "c", "url": world.charts.url(), "charts": [{ "name": "web" }] }] } }));
    fails(&mut world, "auth.json", &mirror);
    assert!(world.charts.requests()[0].header("authorization").is_some(), "it was shown the password");
    world.configure(json!({ "additionalImages": [{ "name": "registry.planted.invalid/team/app:v1" }] }));
    for status in [407, 502] {
        world.proxy.clear_rules();
        world.proxy.rule(Rule::on("CONNECT", "").then(Action::status(status)));
        fails(&mut world, "auth.json", &mirror);
        fails(&mut world, "auth.json", &["doctor", "-c", "isc.yaml"]);
    }
    let asked = world.proxy.requests();
    assert!(asked.iter().any(|request| request.header("proxy-authorization").is_some()), "{asked:?}");
    // A cluster that does not know its account.
    let kube = KubeServer::start_fake();
    let kubeconfig = kube.kubeconfig().replace("token-of-admin", CLUSTER);
    let path = world.vault.path().join("kubeconfig");
    fs::write(&path, kubeconfig).expect("written");
    let path = path.display().to_string();
    let output = world.context.run(&["clusters", "inspect", "--kubeconfig", &path]);
    world.search.output("clusters inspect", &output);
    assert_ne!(output.code, 0, "{}", output.snapshot());
    assert!(
        kube.requests()
            .iter()
            .any(|request| request.header("authorization").is_some_and(|h| h.contains(CLUSTER)))
    );
    world.looks_around();
    world.search.finds_nothing();
}

#[test]
fn a_bucket_gets_signatures_and_no_key() {
    let Some(moto) = Moto::start() else { return };
    moto.make_bucket("mirror");
    let mut world = World::new();
    world.context = world
        .context
        .env("AWS_ACCESS_KEY_ID", "AKTEST")
        .env("AWS_SECRET_ACCESS_KEY", BUCKET)
        .env("AWS_SESSION_TOKEN", SESSION)
        .env("AWS_ENDPOINT_URL", &moto.endpoint());
    world.configure(
        json!({ "additionalImages": [{ "name": format!("{}/team/app:v1", world.sources[0].host()) }] }),
    );
    let (workspace, far, to) = (world.file("w"), world.file("far"), world.target("far"));
    for args in [
        &["-c", "isc.yaml", "--workspace", &workspace, "s3://mirror/prod", "--log-level", "trace"][..],
        &["--from", "s3://mirror/prod", "--workspace", &far, &to, "--log-level", "trace"],
    ] {
        let output = world.run(args);
        assert_eq!(output.code, 0, "{}", output.snapshot());
    }
    for key in moto.keys("mirror") {
        world.search.bytes(&key, &moto.object("mirror", &key));
    }
    // One that is none, and one that refuses.
    let refusing = FaultRegistry::alone();
    refusing.rule(Rule::on("GET", "").then(Action::status(403)));
    for endpoint in [refusing.url(), format!("http://user:{WRITTEN}@{}", moto.host())] {
        let to =
            ["-c", "isc.yaml", "--workspace", &workspace, "s3://mirror/other", "--s3-endpoint", &endpoint];
        let output = world.run(&to);
        assert_ne!(output.code, 0, "{}", output.snapshot());
    }
    world.looks_around();
    world.search.finds_nothing();
}

/// Configurations with a password where none belongs.
fn written(world: &World) -> Vec<Value> {
    let name = |text: &str| text.replace("PASSWORD", WRITTEN);
    let at = world.charts.url().replace("http://", &format!("http://user:{WRITTEN}@"));
    let image = name("user:PASSWORD@r.example/team/app:1");
    vec![
        json!({ "additionalImages": [{ "name": image }] }),
        json!({ "additionalImages": [{ "name": name("https://user:PASSWORD@r.example/team/app:1") }] }),
        json!({ "additionalImages": [{ "name": name("docker://user:PASSWORD@r.example:5000/team/app:1") }] }),
        json!({ "operators": [{ "catalog": image }] }),
        json!({ "blockedImages": [{ "name": image }], "additionalImages": [] }),
        json!({ "helm": { "repositories": [{ "name": "c", "url": at, "charts": [{ "name": "web" }] }] } }),
        json!({ "helm": { "repositories": [{ "name": "c", "url": name("oci://user:PASSWORD@r.example/charts"), "charts": [{ "name": "web" }] }] } }),
        json!({ "platform": { "graph": true, "graphDataURL": at, "channels": [{ "name": "stable-4.20" }] } }),
        json!({ "platform": { "release": image } }),
        json!({ "policies": [{ "name": "p", "source": name("docker://user:PASSWORD@r.example/p:1") }] }),
        json!({ "plugins": [{ "name": "p", "source": name("https://user:PASSWORD@r.example/p.wasm") }] }),
    ]
}

#[test]
fn a_password_that_was_written_where_none_belongs_is_not_repeated() {
    let mut world = World::new();
    let disk = world.file("disk");
    for configuration in written(&world) {
        world.configure(configuration.clone());
        let output = world.run(&["-c", "isc.yaml", &disk, "--log-level", "trace"]);
        assert_ne!(output.code, 0, "{configuration}: {}", output.snapshot());
        let lint = world.context.run(&["lint", "-c", "isc.yaml", "-o", "json"]);
        world.search.output("lint", &lint);
    }
    world.configure(json!({ "additionalImages": world.images() }));
    let at = |place: &str| place.replace("PASSWORD", WRITTEN);
    let target = at("docker://user:PASSWORD@r.example/mirror");
    let artifact = at("docker://user:PASSWORD@r.example/p:1");
    for args in [
        &["--from", &disk, &target][..],
        &["-c", "isc.yaml", "--workspace", &disk, &target],
        &["check", &target],
        &["doctor", "-c", "isc.yaml", &target],
        &["plugin", "inspect", &artifact],
        &["plugin", "run", &artifact],
    ] {
        let output = world.run(args);
        assert_ne!(output.code, 0, "{args:?}: {}", output.snapshot());
    }
    let server = at("https://user:PASSWORD@127.0.0.1:1/graph");
    for variable in ["UPDATE_URL_OVERRIDE", "OKD_UPDATE_URL_OVERRIDE", "OCP_SIGNATURE_URL"] {
        let context = context().env(variable, &server);
        let platform = json!({ "kind": "ImageSetConfiguration", "apiVersion": "mirror.openshift.io/v2alpha1",
            "mirror": { "platform": { "channels": [{ "name": "stable-4.20" }, { "name": "stable-4", "type": "okd" }] } } });
        context.write("isc.yaml", platform.to_string());
        for args in [
            &["-c", "isc.yaml", "file://disk", "--retry-times", "0", "--log-level", "trace"][..],
            &["doctor", "-c", "isc.yaml"],
            &["list", "releases"],
        ] {
            let output = context.run(args);
            world.search.output(&format!("{args:?} with {variable}"), &output);
        }
        world.search.directory(&context.work());
    }
    let cluster = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "a",
        "clusters": [{ "name": "a", "cluster": { "server": at("user:PASSWORD@r.example:6443") } }],
        "users": [{ "name": "a", "user": { "token": CLUSTER } }],
        "contexts": [{ "name": "a", "context": { "cluster": "a", "user": "a" } }],
    });
    let path = world.vault.path().join("kubeconfig");
    let path = path.display().to_string();
    for server in [at("user:PASSWORD@r.example:6443"), at("https://user:PASSWORD@127.0.0.1:1")] {
        let mut cluster = cluster.clone();
        cluster["clusters"][0]["cluster"]["server"] = server.into();
        fs::write(&path, cluster.to_string()).expect("written");
        let output = world.context.run(&["clusters", "inspect", "--kubeconfig", &path]);
        assert_ne!(output.code, 0, "{}", output.snapshot());
        world.search.output("clusters inspect", &output);
    }
    // The files themselves, which the test wrote.
    let _ = fs::remove_file(world.context.work().join("isc.yaml"));
    world.looks_around();
    world.search.finds_nothing();
}

/// Files of credentials that are not what they should be are named, and nothing of them is shown.
#[test]
fn what_is_wrong_with_a_file_is_told_without_showing_it() {
    let mut world = World::new();
    world.configure(json!({ "additionalImages": world.images() }));
    let disk = world.file("disk");
    let files: [(&str, String); 4] = [
        ("cut.json", format!("{{\"auths\": {{\"r.example\": {{\"password\": \"{WRITTEN}")),
        ("type.json", format!("{{\"auths\": [\"{WRITTEN}\"]}}")),
        ("text.json", WRITTEN.to_owned()),
        ("key.json", world.key.clone()),
    ];
    for (name, text) in files {
        fs::write(world.vault.path().join(name), text).expect("written");
        let output = world.run_as(name, &["-c", "isc.yaml", &disk]);
        assert_ne!(output.code, 0, "{name}: {}", output.snapshot());
        assert!(output.raw_stderr.contains(name), "{}", output.snapshot());
    }
    let broken: PathBuf = world.vault.path().join("broken.key");
    fs::write(&broken, world.key.replace("PRIVATE KEY-----\n", "PRIVATE KEY-----\n!")).expect("written");
    let output = world.run(&["-c", "isc.yaml", &disk, "--sign-key", &broken.display().to_string()]);
    assert_eq!(output.code, 1, "{}", output.snapshot());
    let certificate = world.vault.path().join("passwords").display().to_string();
    let key = broken.display().to_string();
    let output = world.context.run(&["serve", "elsewhere", "--tls-cert", &certificate, "--tls-key", &key]);
    world.search.output("serve", &output);
    assert_eq!(output.code, 1, "{}", output.snapshot());
    world.looks_around();
    world.search.finds_nothing();
}
