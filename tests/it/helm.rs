//! Charts: from a repository on the web, from a registry, from this machine; their images arrive, and so do they.

use std::collections::BTreeMap;

use oc_mirror_testkit::{Action, FileServer, Image, ImageBuilder, Registry, Rule, sha256, tar_gz};
use serde_json::json;

use crate::lab::{Chunks, Lab, names_in, read};

/// The media type of the layer that is a chart.
const LAYER: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// A chart in its archive; its images are below `registry`.
fn chart(name: &str, version: &str, registry: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let about = format!("apiVersion: v2\nname: {name}\nversion: {version}\nappVersion: \"{version}\"\n");
    let values =
        format!("image: {{registry: \"{registry}\", repository: team/{name}}}\njob: {{enabled: false}}\n");
    let template = r#"
{{- define "image" -}}
{{ printf "%s/%s:%s" .registry .repository (.tag | default $.version) }}
{{- end -}}
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  template:
    spec:
      containers:
      - image: {{ include "image" (merge (dict "version" .Chart.AppVersion) .Values.image) }}
        env: [{name: SIDE, value: "{{ .Values.image.registry }}/team/side:1"}]
{{- if .Values.job.enabled }}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: job}
spec: {jobTemplate: {spec: {template: {spec: {containers: [{image: "{{ .Values.image.registry }}/team/job:1"}]}}}}}
{{- end }}
"#;
    let mut files = BTreeMap::from([
        ("Chart.yaml", about.as_str()),
        ("values.yaml", values.as_str()),
        ("templates/all.yaml", template.trim_start()),
    ]);
    files.extend(more.iter().copied());
    let files: Vec<(String, &str)> =
        files.into_iter().map(|(path, text)| (format!("{name}/{path}"), text)).collect();
    tar_gz(&files).1
}

/// Puts charts and their index on the web, below `/charts/`.
fn publish(server: &FileServer, charts: &[(&str, &str, &[u8])]) {
    let mut entries: BTreeMap<&str, Vec<serde_json::Value>> = BTreeMap::new();
    for (name, version, archive) in charts {
        let file = format!("{name}-{version}.tgz");
        server.put(&format!("/charts/{file}"), archive);
        let digest = sha256(archive).replace("sha256:", "");
        entries.entry(name).or_default().push(json!({
            "name": name, "version": version, "digest": digest, "urls": [file],
        }));
    }
    server
        .put("/charts/index.yaml", json!({ "apiVersion": "v1", "entries": entries }).to_string().as_bytes());
}

fn image(content: &str) -> Image {
    ImageBuilder::new().layer(&[("app", content)]).build()
}

/// A lab with images of the charts `web` and `db`, and a repository that has both charts.
struct Charts {
    lab: Lab,
    server: FileServer,
    web: Image,
    web_old: Image,
    db: Image,
    side: Image,
    job: Image,
}

impl Charts {
    fn new() -> Self {
        Self::within(Lab::new())
    }

    fn within(lab: Lab) -> Self {
        let [web, web_old, db, side, job] = ["web 2", "web 1", "db", "side", "job"].map(image);
        lab.push(&web, "team/web", "2.0.0");
        lab.push(&web_old, "team/web", "1.0.0");
        lab.push(&db, "team/db", "1.5.0");
        lab.push(&side, "team/side", "1");
        lab.push(&job, "team/job", "1");
        let server = FileServer::start();
        let host = lab.source.host();
        publish(
            &server,
            &[
                ("web", "1.0.0", &chart("web", "1.0.0", &host, &[])),
                ("web", "2.0.0", &chart("web", "2.0.0", &host, &[])),
                ("db", "1.5.0", &chart("db", "1.5.0", &host, &[])),
            ],
        );
        Self { lab, server, web, web_old, db, side, job }
    }

    fn url(&self) -> String {
        format!("{}/charts", self.server.url())
    }
}

/// The versions of charts in the resolved configuration, which is one that can be used.
fn pinned(c: &Charts) -> Vec<String> {
    let text = String::from_utf8(read(&c.lab.path("disk/working-dir/resolved-config.yaml"))).expect("text");
    let parsed = oc_mirror_model::config::parse(&text).expect("a configuration").configuration;
    let oc_mirror_model::config::Configuration::Mirror(configuration) = parsed else { panic!("{text}") };
    let helm = configuration.mirror.helm.expect("its section");
    let charts = helm.repositories.into_iter().flat_map(|repository| repository.charts);
    charts.map(|chart| chart.version.unwrap_or_default()).collect()
}

#[test]
fn charts_of_a_repository() {
    let c = Charts::new();
    let side = "{.spec.template.spec.containers[*].env[*].value}";
    c.lab.configure_mirror(json!({ "helm": { "repositories": [{
        "name": "team", "url": c.url(),
        "charts": [{ "name": "web", "version": "^1.0" }, { "name": "db", "imagePaths": [side] }],
    }] } }));
    let made = c.lab.make(&[]).expect(0);
    assert_eq!(made.outcomes(), [(1, "made")]);
    assert_eq!(pinned(&c), ["1.0.0", "1.5.0"]);
    let passed = format!("{}/team/side:1", c.lab.source.host());
    let warnings = &made.report().warnings;
    assert!(warnings.iter().all(|warning| !warning.contains("`db`")), "{warnings:?}");
    // Another chart has it, so it is there; the warning is about the chart that does not say where it is.
    assert!(warnings.iter().any(|w| w.contains("chart `web` 1.0.0") && w.contains(&passed)), "{warnings:?}");
    let listing = Chunks::of(&c.lab.path("disk"), 1).listings().concat();
    assert!(listing.contains(&"files/charts/web-1.0.0.tgz".to_owned()), "{listing:?}");
    assert!(listing.contains(&"files/charts/db-1.5.0.tgz".to_owned()), "{listing:?}");

    std::fs::rename(c.lab.path("disk"), c.lab.path("far")).expect("renamed");
    let published = c.lab.publish("far", &[]).expect(0);
    c.lab.assert_published(&c.web_old, "team/web", "1.0.0");
    c.lab.assert_published(&c.db, "team/db", "1.5.0");
    c.lab.assert_published(&c.side, "team/side", "1");
    assert_eq!(c.lab.target.tags("team/web"), ["1.0.0"]);
    let charts = c.lab.path("far/working-dir/charts");
    assert_eq!(names_in(&charts), ["db-1.5.0.tgz", "web-1.0.0.tgz"]);
    let original = chart("web", "1.0.0", &c.lab.source.host(), &[]);
    assert_eq!(read(&charts.join("web-1.0.0.tgz")), original, "the archive is as it was");
    let notes = &published.report().notes;
    assert!(notes.iter().any(|note| note.contains("charts are in")), "{notes:?}");
}

#[test]
fn a_plan_keeps_to_the_charts_that_there_were() {
    let mut c = Charts::new();
    c.lab.context = c.lab.context.env("SOURCE_DATE_EPOCH", "1700000000");
    c.lab.configure_mirror(json!({ "helm": { "repositories": [{
        "name": "team", "url": c.url(), "charts": [{ "name": "web" }],
    }] } }));
    let (disk, uid) = (c.lab.file("disk"), crate::lab::UID);
    let args = ["plan", "-c", "isc.yaml", "-o", "plan.json", "--src-tls-verify=false", "--uid", uid, &disk];
    c.lab.context.run(&args).expect_code(0);
    c.lab.make_in("reference", &["--uid", uid]).expect(0);
    // A newer version comes out, and the tag of the image moves.
    let host = c.lab.source.host();
    publish(&c.server, &[("web", "3.0.0", &chart("web", "3.0.0", &host, &[]))]);
    c.lab.push(&image("other"), "team/web", "2.0.0");
    c.lab.context.run(&["execute", "--plan", "plan.json", "--src-tls-verify=false"]).expect_code(0);
    let made = |directory: &str| Chunks::of(&c.lab.path(directory), 1).bytes();
    assert!(made("disk") == made("reference"));
}

#[test]
fn nothing_is_shipped_twice() {
    let c = Charts::new();
    c.lab.configure_mirror(json!({ "helm": { "repositories": [{
        "name": "team", "url": c.url(), "charts": [{ "name": "db" }],
    }] } }));
    c.lab.make(&[]).expect(0);
    assert_eq!(pinned(&c), ["1.5.0"]);
    let again = c.lab.make(&[]).expect(0);
    assert_eq!(again.outcomes(), [(1, "nothing new")]);
    // A chart that changes ships by itself, though its images are there.
    let archive = chart(
        "db",
        "1.5.1",
        &c.lab.source.host(),
        &[(
            "values.yaml",
            &format!(
                "image: {{registry: \"{}\", repository: team/db, tag: 1.5.0}}\njob: {{}}\n",
                c.lab.source.host()
            ),
        )],
    );
    publish(&c.server, &[("db", "1.5.1", &archive)]);
    let more = c.lab.make(&[]).expect(0);
    assert_eq!(more.outcomes(), [(2, "made")]);
    assert_eq!(pinned(&c), ["1.5.1"]);
    assert_eq!(Chunks::of(&c.lab.path("disk"), 2).blobs().len(), 0);
    c.lab.publish("disk", &[]).expect(0);
    c.lab.assert_published(&c.db, "team/db", "1.5.0");
    assert_eq!(names_in(&c.lab.path("disk/working-dir/charts")), ["db-1.5.0.tgz", "db-1.5.1.tgz"]);
}

#[test]
fn every_version_of_every_chart() {
    let c = Charts::new();
    c.lab.configure_mirror(json!({ "helm": { "repositories": [{ "name": "team", "url": c.url() }] } }));
    let to = format!("docker://{}", c.lab.target.host());
    let run = c.lab.run(&["-c", "isc.yaml", "--workspace", &c.lab.file("w"), &to]).expect(0);
    c.lab.assert_published(&c.web, "team/web", "2.0.0");
    c.lab.assert_published(&c.web_old, "team/web", "1.0.0");
    c.lab.assert_published(&c.db, "team/db", "1.5.0");
    assert_eq!(
        names_in(&c.lab.path("w/working-dir/charts")),
        ["db-1.5.0.tgz", "web-1.0.0.tgz", "web-2.0.0.tgz"]
    );
    assert!(run.report().notes.iter().any(|note| note.contains("charts are in")));
}

#[test]
fn a_chart_of_a_registry() {
    let c = Charts::new();
    for version in ["1.0.0", "2.0.0"] {
        let archive = chart("web", version, &c.lab.source.host(), &[]);
        let artifact = ImageBuilder::artifact("")
            .config("application/vnd.cncf.helm.config.v1+json", b"{}")
            .blob(LAYER, &archive, &[])
            .build();
        c.lab.push(&artifact, "charts/web", version);
    }
    c.lab.configure_mirror(json!({ "helm": { "repositories": [{
        "name": "oci", "url": format!("oci://{}/charts", c.lab.source.host()),
        "charts": [{ "name": "web" }, { "name": "web", "version": "1" }],
    }] } }));
    c.lab.make(&[]).expect(0);
    assert_eq!(pinned(&c), ["2.0.0", "1.0.0"]);
    c.lab.publish("disk", &[]).expect(0);
    c.lab.assert_published(&c.web, "team/web", "2.0.0");
    c.lab.assert_published(&c.web_old, "team/web", "1.0.0");
    assert_eq!(names_in(&c.lab.path("disk/working-dir/charts")), ["web-1.0.0.tgz", "web-2.0.0.tgz"]);
}

#[test]
fn charts_of_this_machine_with_values() {
    let c = Charts::new();
    let host = c.lab.source.host();
    std::fs::write(c.lab.path("web.tgz"), chart("web", "2.0.0", &host, &[])).expect("written");
    let directory = c.lab.path("db");
    std::fs::create_dir_all(directory.join("templates")).expect("made");
    c.lab.context.write("db/Chart.yaml", "apiVersion: v2\nname: db\nversion: 1.5.0\n");
    c.lab.context.write("db/values.yaml", format!("registry: {host}\n"));
    c.lab.context.write("db/.helmignore", "*.bak\n");
    c.lab.context.write("db/templates/broken.bak", "{{");
    c.lab.context.write(
        "db/templates/pod.yaml",
        "kind: Pod\nspec: {containers: [{image: \"{{ .Values.registry }}/team/db:{{ .Chart.Version }}\"}]}\n",
    );
    c.lab.context.write("job.yaml", "job: {enabled: true}\n");
    c.lab.configure_mirror(json!({ "helm": { "local": [
        { "name": "web", "path": "web.tgz", "valuesFiles": ["job.yaml"] },
        { "path": "./db" },
    ] } }));
    c.lab.make(&[]).expect(0);
    c.lab.publish("disk", &[]).expect(0);
    c.lab.assert_published(&c.web, "team/web", "2.0.0");
    c.lab.assert_published(&c.job, "team/job", "1");
    c.lab.assert_published(&c.db, "team/db", "1.5.0");
    assert_eq!(names_in(&c.lab.path("disk/working-dir/charts")), ["db-1.5.0.tgz", "web-2.0.0.tgz"]);
}

#[test]
fn the_older_form_of_the_configuration() {
    let c = Charts::new();
    c.lab.context.write(
        "isc.yaml",
        format!(
            "kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v1alpha2\nmirror:\n  helm:\n    repositories:\n    \
             - name: team\n      url: {}\n      charts:\n      - name: web\n        version: 2.0.0\n",
            c.url()
        ),
    );
    c.lab.make(&[]).expect(0);
    c.lab.publish("disk", &[]).expect(0);
    c.lab.assert_published(&c.web, "team/web", "2.0.0");
}

#[test]
fn a_chart_goes_and_what_another_one_uses_stays() {
    let c = Charts::within(Lab::with(Registry::start(), Registry::builder().delete().start()));
    let side = "{.spec.template.spec.containers[*].env[*].value}";
    let repository = |charts: serde_json::Value| json!({ "repositories": [{ "name": "team", "url": c.url(), "charts": charts }] });
    c.lab.configure_mirror(json!({ "helm": repository(json!([
        { "name": "web", "version": "1.0.0", "imagePaths": [side] },
        { "name": "web", "version": "2.0.0" },
        { "name": "db", "imagePaths": [side] },
    ])) }));
    c.lab.make(&[]).expect(0);
    c.lab.publish("disk", &["--workspace", &c.lab.file("far")]).expect(0);
    // No network is needed to tell what a chart uses.
    c.server.put("/charts/index.yaml", b"gone");
    let document = |more: &str, version: &str| {
        let charts = json!([{ "name": "web", "version": "^1.0" }, { "name": more, "version": version }]);
        json!({
            "kind": "DeleteImageSetConfiguration",
            "apiVersion": "mirror.openshift.io/v2alpha1",
            "delete": { "helm": repository(charts) },
        })
    };
    c.lab.context.write("disc.yaml", document("web", "1.0.0").to_string());
    let to = format!("docker://{}", c.lab.target.host());
    let generate = ["delete", "-c", "disc.yaml", "--generate", "--workspace", &c.lab.file("disk"), &to];
    let output = c.lab.context.run(&generate);
    assert_eq!(output.code, 0, "{}", output.snapshot());
    assert!(
        output.raw_stderr.contains("1 image stays") && output.raw_stderr.contains("team/side:1"),
        "{}",
        output.snapshot()
    );
    let list = c.lab.path("disk/working-dir/delete/delete-images.yaml");
    let text = String::from_utf8(read(&list)).expect("text");
    assert!(text.contains("team/web:1.0.0") && text.contains("type: helmImage"), "{text}");
    assert_eq!(text.matches("imageReference:").count(), 1, "{text}");
    let file = list.display().to_string();
    let delete = [
        "delete",
        "--dest-tls-verify=false",
        "--delete-yaml-file",
        &file,
        "--workspace",
        &c.lab.file("far"),
        &to,
    ];
    let output = c.lab.context.run(&delete);
    assert_eq!(output.code, 0, "{}", output.snapshot());
    assert!(
        c.lab.target.tags("team/web").iter().all(|tag| tag != "1.0.0"),
        "{:?}",
        c.lab.target.tags("team/web")
    );
    c.lab.assert_published(&c.web, "team/web", "2.0.0");
    c.lab.assert_published(&c.db, "team/db", "1.5.0");
    c.lab.assert_published(&c.side, "team/side", "1");
    // The connected side is told.
    let told = ["delete", "--delete-yaml-file", &file, "--workspace", &c.lab.file("disk")];
    let output = c.lab.context.run(&told);
    assert!(output.stdout.contains("the record has forgotten 1 image"), "{}", output.snapshot());
    // What both have goes when both are meant, though one of them has nothing else left.
    let document = document("db", "1.5.0");
    c.lab.context.write("disc.yaml", document.to_string());
    let output = c.lab.context.run(&generate);
    assert_eq!(output.code, 0, "{}", output.snapshot());
    let text = String::from_utf8(read(&list)).expect("text");
    let listed: Vec<&str> =
        text.lines().filter_map(|line| line.trim().strip_prefix("imageReference: ")).collect();
    let named = |image: &str| format!("docker://{}/team/{image}", c.lab.target.host());
    assert_eq!(listed, [named("db:1.5.0"), named("side:1")]);
}

#[test]
fn what_goes_wrong_with_charts_is_told_at_once() {
    let c = Charts::new();
    let host = c.lab.source.host();
    let bomb = "{{ range $i := until 100000000 }}x{{ end }}";
    let circle = "{{ define \"a\" }}{{ include \"a\" . }}{{ end }}kind: {{ include \"a\" . }}";
    let charts = [
        ("bomb", chart("bomb", "1.0.0", &host, &[("templates/all.yaml", bomb)])),
        ("circle", chart("circle", "1.0.0", &host, &[("templates/all.yaml", circle)])),
        (
            "needs",
            chart(
                "needs",
                "1.0.0",
                &host,
                &[("templates/all.yaml", "kind: {{ required \"say which\" .Values.x }}")],
            ),
        ),
        ("nil", chart("nil", "1.0.0", &host, &[("templates/all.yaml", "kind: A\nb: {{ .Values.a.b }}\n")])),
        ("noyaml", chart("noyaml", "1.0.0", &host, &[("templates/all.yaml", "a: b: c\n")])),
        ("escape", tar_gz(&[("escape/Chart.yaml", "name: escape\nversion: 1.0.0\n")]).1),
        ("web", chart("web", "1.0.0", &host, &[])),
        (
            "schema",
            chart(
                "schema",
                "1.0.0",
                &host,
                &[(
                    "values.schema.json",
                    r#"{"required": ["password"], "properties": {"job": {"type": "string"}}}"#,
                )],
            ),
        ),
    ];
    let published: Vec<(&str, &str, &[u8])> =
        charts.iter().map(|(name, archive)| (*name, "1.0.0", archive.as_slice())).collect();
    publish(&c.server, &published);
    // Not what the index says.
    c.server.put("/charts/escape-1.0.0.tgz", b"something else");
    let wanted: Vec<_> = ["bomb", "circle", "needs", "nil", "noyaml", "escape", "absent", "schema"]
        .iter()
        .map(|name| json!({ "name": name }))
        .chain([json!({ "name": "web", "version": "3.0.0" })])
        .collect();
    c.lab.configure_mirror(
        json!({ "helm": { "repositories": [{ "name": "team", "url": c.url(), "charts": wanted }] } }),
    );
    let run = c.lab.make(&[]);
    assert_eq!(run.output.code, 16, "{}", run.output.snapshot());
    let told = &run.output.raw_stderr;
    for words in [
        "limit reached: chart `bomb` 1.0.0 of repository `team`: bomb/templates/all.yaml:1:",
        "it takes more than 20000000 steps",
        "circle/templates/all.yaml:1:",
        "levels inside each other",
        "needs/templates/all.yaml:1:10: say which",
        "nil/templates/all.yaml:2:7: at <.Values.a.b>: nil pointer evaluating interface {}.b",
        "what `noyaml/templates/all.yaml` makes is not YAML",
        "not found: chart `absent` of repository `team`: no such chart",
        "not found: chart `web` of repository `team`: no version `3.0.0`; there are 1.0.0",
        "escape-1.0.0.tgz` has the SHA-256",
        "chart `schema` 1.0.0 of repository `team`: the values do not fit `values.schema.json`: values of `schema`: `password` is \
         missing; `/job` of `schema`: got object, want string",
    ] {
        assert!(told.contains(words), "`{words}` is missing\n{told}");
    }
    assert!(!c.lab.path("disk/mirror_seq1_000000.tar").exists(), "nothing is made of a part");
}

#[test]
fn a_repository_with_a_password() {
    let c = Charts::new();
    let elsewhere = FileServer::start();
    let web = chart("web", "1.0.0", &c.lab.source.host(), &[]);
    elsewhere.put("/web-1.0.0.tgz", &web);
    // `web` is at another host, and `db` behind a redirect to it.
    let db = chart("db", "1.5.0", &c.lab.source.host(), &[]);
    elsewhere.put("/closed/moved/db-1.5.0.tgz", &db);
    let entry =
        |name: &str, version: &str, url: &str| json!([{ "name": name, "version": version, "urls": [url] }]);
    let index = json!({ "apiVersion": "v1", "entries": {
        "web": entry("web", "1.0.0", &format!("{}/web-1.0.0.tgz", elsewhere.url())),
        "db": entry("db", "1.5.0", "moved/db-1.5.0.tgz"),
    } });
    let basic = "Basic bWU6aHVudGVyMg==";
    c.server.put("/closed/index.yaml", index.to_string().as_bytes());
    c.server.rule(Rule::on("GET", "^/closed/moved/").then(Action::Redirect(elsewhere.url())));
    let url = format!("{}/closed", c.server.url());
    let wanted = json!({ "helm": { "repositories": [
        { "name": "team", "url": url, "charts": [{ "name": "web" }, { "name": "db" }] },
    ] } });
    c.lab.configure_mirror(wanted);
    // What `helm repo add` writes.
    let helm = c.lab.context.home().join(".config/helm");
    std::fs::create_dir_all(&helm).expect("made");
    let entry = format!("- {{name: any, url: {url}/, username: me, password: hunter2}}");
    std::fs::write(helm.join("repositories.yaml"), format!("repositories:\n{entry}\n")).expect("written");
    let output = c.lab.make(&[]).expect(0).output;
    let sent = |server: &FileServer, path: &str| -> Vec<Option<String>> {
        let requests = server.requests();
        let those = requests.iter().filter(|request| request.path.starts_with(path));
        those.map(|request| request.header("authorization").map(str::to_owned)).collect()
    };
    assert_eq!(sent(&c.server, "/closed/"), [Some(basic.to_owned()), Some(basic.to_owned())]);
    assert_eq!(sent(&elsewhere, "/"), [None, None], "it is for one host only");
    let configuration = String::from_utf8(read(&c.lab.path("disk/working-dir/resolved-config.yaml")));
    let everything = format!("{}{}{}", output.raw_stdout, output.raw_stderr, configuration.expect("text"));
    assert!(!everything.contains("hunter2") && !everything.contains("bWU6aHVudGVyMg"), "{everything}");
}

#[test]
fn a_repository_that_asks_for_a_password() {
    let c = Charts::new();
    c.server.rule(Rule::on("GET", "^/charts/").then(Action::status(401)));
    c.lab.configure_mirror(json!({ "helm": { "repositories": [{ "name": "team", "url": c.url() }] } }));
    let run = c.lab.make(&[]);
    run.assert_refused(16, "the server answered 401");
    assert!(run.output.raw_stderr.contains("helm repo add"), "{}", run.output.snapshot());
}

#[test]
fn a_repository_that_is_none() {
    let c = Charts::new();
    c.lab.configure_mirror(json!({ "helm": { "repositories": [
        { "name": "nowhere", "url": format!("{}/nowhere", c.server.url()) },
    ] } }));
    let run = c.lab.make(&[]);
    run.assert_refused(16, "/nowhere/index.yaml`: the server has no such file");
}

#[test]
fn a_local_chart_that_is_not_there() {
    let c = Charts::new();
    c.lab.configure_mirror(json!({ "helm": { "local": [{ "path": "./nowhere.tgz" }] } }));
    c.lab.make(&[]).assert_refused(16, "No such file");
}
