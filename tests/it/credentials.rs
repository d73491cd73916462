//! Which credentials and certificates are shown to which registry, and to which repository of it.

use oc_mirror_testkit::{
    Bearer, CommandOutput, FaultRegistry, Image, ImageBuilder, Registry, write_auth_file,
};

use crate::lab::{Lab, join};

fn image(seed: u64) -> Image {
    ImageBuilder::new().random_layer(seed, 10_000).build()
}

#[test]
fn repositories_of_one_registry_have_credentials_of_their_own() {
    let lab = Lab::new();
    for (seed, repository) in [(1, "team-a/app"), (2, "team-b/deep/app"), (3, "free/app")] {
        lab.source.push(&image(seed), repository, "v1");
    }
    let bearer = Bearer::new()
        .credentials("all", "pw-all")
        .repository("team-a/app", "alice", "pw-a")
        .repository("team-b/deep/app", "bob", "pw-b");
    let front = FaultRegistry::with_bearer(&lab.source, bearer);
    let host = front.host();
    let name = |repository: &str| format!("{host}/{repository}:v1");
    lab.configure(&[name("team-a/app"), name("team-b/deep/app"), name("free/app")]);
    let auth = lab.path("auth.json");
    let of = |path: &str| format!("{host}/{path}");
    let file = |entries: &[(&str, &str, &str)]| write_auth_file(&auth, entries);
    let args = ["--authfile", auth.to_str().expect("a path"), "--retry-times", "0"];
    file(&[
        (&of("team-a/app"), "alice", "pw-a"),
        (&of("team-b"), "bob", "pw-b"),
        (&of("team-b/deep/other"), "eve", "pw-e"),
        (&host, "all", "pw-all"),
    ]);
    lab.make(&args).expect(0);

    // The witness that the right ones were needed: with those of the registry alone, two images are denied.
    file(&[(&host, "all", "pw-all")]);
    let run = lab.make_in("other", &args).expect(8);
    let failed: Vec<&str> = run.report().failures.iter().map(|f| f.subject.as_str()).collect();
    assert_eq!(failed, [name("team-a/app"), name("team-b/deep/app")]);
}

#[test]
fn what_is_published_goes_with_the_credentials_of_its_repository() {
    let lab = Lab::new();
    let (one, two) = (image(4), image(5));
    // They share a layer, which one of them would mount from the other if it could.
    let shared = ImageBuilder::new().from(&one).layer(&[("more", "1")]).build();
    lab.configure(&[
        lab.push(&one, "team-a/app", "v1"),
        lab.push(&shared, "team-b/app", "v1"),
        lab.push(&two, "team-b/other", "v1"),
    ]);
    lab.make(&[]).expect(0);
    let bearer = Bearer::new()
        .credentials("all", "pw-all")
        .repository("team-a/app", "alice", "pw-a")
        .repository("team-b/app", "bob", "pw-b")
        .repository("team-b/other", "bob", "pw-b");
    let front = FaultRegistry::with_bearer(&lab.target, bearer);
    let host = front.host();
    let auth = lab.path("auth.json");
    write_auth_file(
        &auth,
        &[
            (&format!("{host}/team-a"), "alice", "pw-a"),
            (&format!("{host}/team-b"), "bob", "pw-b"),
            (&host, "all", "pw-all"),
        ],
    );
    let (from, to) = (lab.file("disk"), format!("docker://{host}"));
    lab.run(&["--from", &from, &to, "--authfile", auth.to_str().expect("a path")]).expect(0);
    for (image, repository) in [(&one, "team-a/app"), (&shared, "team-b/app"), (&two, "team-b/other")] {
        lab.assert_published(image, repository, "v1");
    }
}

#[test]
fn a_mirror_gets_the_credentials_of_the_mirror() {
    let lab = Lab::with(Registry::start(), Registry::start());
    lab.source.push(&image(6), "copy/app", "v1");
    let front = FaultRegistry::with_bearer(&lab.source, Bearer::new().credentials("mirror", "pw-m"));
    let auth = lab.path("auth.json");
    write_auth_file(&auth, &[("far.example.com", "far", "pw-far"), (&front.host(), "mirror", "pw-m")]);
    lab.configure(&["far.example.com/app:v1"]);
    let text = format!(
        "[[registry]]\nlocation = 'far.example.com'\n[[registry.mirror]]\nlocation = '{}/copy'\n",
        front.host()
    );
    lab.context.write("registries.conf", text);
    let auth = auth.display().to_string();
    lab.make(&["--registries-conf", "registries.conf", "--authfile", &auth]).expect(0);
    let sent: Vec<_> =
        front.requests().iter().filter_map(|r| r.header("authorization").map(str::to_owned)).collect();
    let basic = oc_mirror_testkit::basic_authorization("mirror", "pw-m");
    assert!(sent.iter().all(|value| value.starts_with("Bearer ") || *value == basic), "{sent:?}");
}

#[test]
fn helpers_of_registries_conf_are_asked() {
    let lab = Lab::with(Registry::builder().auth().start(), Registry::start());
    lab.configure(&[lab.push(&image(7), "team/app", "v1")]);
    let (user, password) = (oc_mirror_testkit::USER, oc_mirror_testkit::PASSWORD);
    let script = format!(
        "#!/bin/sh\nread host\n[ \"$host\" = \"{}\" ] || {{ echo 'credentials not found'; exit 1; }}\necho '{{\"Username\": \"{user}\", \"Secret\": \"{password}\"}}'\n",
        lab.source.host()
    );
    let helper = lab.context.write("bin/docker-credential-lab", script);
    let mut permissions = std::fs::metadata(&helper).expect("it is there").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    std::fs::set_permissions(&helper, permissions).expect("it is ours");
    let path = format!("{}:{}", lab.path("bin").display(), std::env::var("PATH").expect("a path"));
    let lab = Lab { context: lab.context.env("PATH", &path), ..lab };
    lab.context.write("registries.conf", "credential-helpers = ['containers-auth.json', 'lab']\n");
    lab.make(&["--retry-times", "0"]).expect(8);
    lab.make(&["--registries-conf", "registries.conf"]).expect(0);
}

/// Two registries that speak only with clients which they know.
fn knowing() -> Lab {
    let start = || Registry::builder().client_certificates().start();
    let lab = Lab::with(start(), start());
    image(8).push(&lab.source, "team/app", "v1");
    lab.configure(&[lab.source.reference("team/app", "v1")]);
    lab
}

fn client_of(registry: &Registry) -> String {
    registry.certificates().expect("a registry with TLS").client.display().to_string()
}

fn verified(lab: &Lab, args: &[&str]) -> CommandOutput {
    lab.context.run(&join(&["--retry-times", "0"], args))
}

#[test]
fn clients_show_the_certificates_of_the_directories_that_are_named() {
    let lab = knowing();
    let disk = lab.file("disk");
    let make = ["-c", "isc.yaml", &disk];
    let (source, target) = (client_of(&lab.source), client_of(&lab.target));
    // The authority alone is not enough, and another's client is not known.
    let authority = lab.source.certificates().expect("TLS").authority.display().to_string();
    verified(&lab, &join(&make, &["--ca-file", &authority])).expect_code(8);
    verified(&lab, &join(&make, &["--src-cert-dir", &target, "--ca-file", &authority])).expect_code(8);
    verified(&lab, &join(&make, &["--src-cert-dir", &source])).expect_code(0);
    let to = format!("docker://{}", lab.target.host());
    let publish = ["--from", &disk, &to];
    verified(&lab, &join(&publish, &["--src-cert-dir", &target])).expect_code(1);
    verified(&lab, &join(&publish, &["--dest-cert-dir", &target])).expect_code(0);
    let plain = Registry::builder().storage(lab.target.storage()).start();
    assert_eq!(plain.digest_of("team/app", "v1"), Some(image(8).digest));
}

#[test]
fn clients_show_the_certificates_of_the_users_directory() {
    let lab = knowing();
    let disk = lab.file("disk");
    for registry in [&lab.source, &lab.target] {
        let dir = lab.context.home().join(".config/containers/certs.d").join(registry.host());
        std::fs::create_dir_all(&dir).expect("the test's own directory is writable");
        for name in ["ca.crt", "client.cert", "client.key"] {
            std::fs::copy(std::path::Path::new(&client_of(registry)).join(name), dir.join(name))
                .expect("a copy");
        }
    }
    verified(&lab, &["-c", "isc.yaml", &disk]).expect_code(0);
    verified(&lab, &["--from", &disk, &format!("docker://{}", lab.target.host())]).expect_code(0);
    let dir = lab.context.home().join(".config/containers/certs.d").join(lab.source.host());
    std::fs::remove_file(dir.join("client.key")).expect("it is there");
    let run = verified(&lab, &["-c", "isc.yaml", &lab.file("other")]).expect_code(8);
    assert!(
        run.raw_stderr.contains("there is no key `.key` of this name beside the certificate"),
        "{}",
        run.raw_stderr
    );
    let run = verified(&lab, &["-c", "isc.yaml", &disk, "--src-cert-dir", "nowhere"]).expect_code(1);
    assert!(
        run.raw_stderr.contains("the directory of --src-cert-dir `nowhere` is not there"),
        "{}",
        run.raw_stderr
    );
}
