//! `oc-mirror serve`: the registry inside, for a far side that has no other.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oc_mirror_testkit::{Image, ImageBuilder, IndexBuilder, Skopeo, TestContext, http, sha256};

use crate::lab::{Lab, names_in};

/// A running `oc-mirror serve`.
pub(crate) struct Served {
    child: Child,
    host: String,
    said: Arc<Mutex<String>>,
}

impl Served {
    /// Serves a directory on a port that the kernel chooses.
    pub(crate) fn start(context: &TestContext, path: &Path) -> Self {
        Self::start_with(context, path, &[])
    }

    /// Serves a directory with further options.
    pub(crate) fn start_with(context: &TestContext, path: &Path, more: &[&str]) -> Self {
        Self::start_at(context, path, "127.0.0.1:0", more)
    }

    /// Serves a directory at an address.
    pub(crate) fn start_at(context: &TestContext, path: &Path, address: &str, more: &[&str]) -> Self {
        let path = path.to_str().expect("the test's own directory has a plain name");
        let args = ["serve", path, "--listen", address];
        let mut command = context.command(&[&args, more].concat());
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let stderr = child.stderr.take().expect("stderr is piped");
        let (sender, receiver) = channel();
        let said: Arc<Mutex<String>> = Arc::default();
        let kept = said.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                kept.lock().expect("unpoisoned").push_str(&format!("{line}\n"));
                // Nobody listens once the address is known, but the pipe must be drained.
                let _ = sender.send(line);
            }
        });
        let host = loop {
            let Ok(line) = receiver.recv_timeout(Duration::from_secs(60)) else {
                let _ = child.kill();
                panic!("`oc-mirror serve` does not listen: {}", said.lock().expect("unpoisoned"));
            };
            if let Some((_, address)) = line.split_once("listening on ") {
                break address.trim().trim_start_matches("http://").to_owned();
            }
        };
        Self { child, host, said }
    }

    /// Returns all that it said so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().expect("unpoisoned").clone()
    }

    /// Returns the host and port.
    pub(crate) fn host(&self) -> String {
        self.host.clone()
    }

    /// Returns the number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns a reference in this registry.
    pub(crate) fn reference(&self, repository: &str, tag: &str) -> String {
        format!("{}/{repository}:{tag}", self.host)
    }

    /// Returns the digest a tag or digest resolves to, or nothing when it is not there.
    pub(crate) fn digest_of(&self, repository: &str, reference: &str) -> Option<String> {
        let accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                      application/vnd.docker.distribution.manifest.list.v2+json, \
                      application/vnd.docker.distribution.manifest.v2+json";
        let target = format!("/v2/{repository}/manifests/{reference}");
        let answer = http::get(&self.host, &target, &[("Accept", accept)]).expect("the registry answers");
        (answer.status == 200).then(|| sha256(&answer.body))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Gone already if it crashed, which the test then says.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn images() -> [Image; 3] {
    let arm = ImageBuilder::new().platform("linux/arm64").random_layer(2, 30_000).build();
    let amd = ImageBuilder::new().random_layer(3, 30_000).build();
    [
        ImageBuilder::new().random_layer(1, 50_000).build(),
        ImageBuilder::new().docker().random_layer(4, 50_000).build(),
        IndexBuilder::new().child(&amd).child(&arm).build(),
    ]
}

fn name(number: usize) -> String {
    format!("team/app-{number}")
}

#[test]
fn a_full_round_trip_against_itself() {
    let lab = Lab::new();
    let source = Served::start(&lab.context, &lab.path("source"));
    let target = Served::start(&lab.context, &lab.path("target"));
    let references: Vec<String> = (0..3).map(|n| source.reference(&name(n), "v1")).collect();
    for (number, image) in images().iter().enumerate() {
        image.push(&source.host(), &name(number), "v1");
    }
    let to = format!("docker://{}/far", target.host());
    // Two sequences, so that the second one needs what the target has.
    for count in [1, 3] {
        lab.configure(&references[..count]);
        lab.make(&[]).expect(0);
    }
    drop(source);
    let run = lab.run(&["--from", &lab.file("disk"), &to]).expect(0);
    assert_eq!(run.outcomes(), [(1, "published"), (2, "published")]);
    for (number, image) in images().iter().enumerate() {
        let reference = format!("docker://{}", target.reference(&format!("far/{}", name(number)), "v1"));
        assert_eq!(Skopeo::new().inspect_raw(&reference), image.manifest);
        Skopeo::new().pull(&reference);
    }
    let again = lab.run(&["--from", &lab.file("disk"), &to]).expect(0);
    assert!(again.outcomes().iter().all(|(_, outcome)| *outcome == "already published"));
}

#[test]
fn skopeo_pushes_and_pulls_and_a_restart_forgets_nothing() {
    let lab = Lab::new();
    let served = Served::start(&lab.context, &lab.path("registry"));
    let skopeo = Skopeo::new();
    for (number, image) in images().iter().enumerate() {
        image.write_layout(&lab.path("layout"), &format!("v{number}"));
        let from = format!("oci:{}:v{number}", lab.path("layout").display());
        if image.media_type.contains("oci") {
            skopeo.copy_all(&from, &format!("docker://{}", served.reference(&name(number), "v1")));
        } else {
            image.push(&served.host(), &name(number), "v1");
        }
    }
    drop(served);
    assert!(names_in(&lab.path("registry")).contains(&"oci-layout".to_owned()));
    let served = Served::start(&lab.context, &lab.path("registry"));
    for (number, image) in images().iter().enumerate() {
        let reference = format!("docker://{}", served.reference(&name(number), "v1"));
        assert_eq!(skopeo.digest(&reference), image.digest);
        skopeo.pull(&reference);
    }
}

#[test]
fn an_imageset_is_served_read_only() {
    let lab = Lab::new();
    let push = |(number, image): (usize, &Image)| lab.push(image, &name(number), "v1");
    let references: Vec<String> = images().iter().enumerate().map(push).collect();
    lab.configure(&references);
    lab.make(&["--archive-size", "64KiB"]).expect(0);
    for place in ["disk", "disk/mirror_seq1_000000.tar"] {
        let served = Served::start(&lab.context, &lab.path(place));
        for (number, image) in images().iter().enumerate() {
            let reference = format!("docker://{}", served.reference(&name(number), "v1"));
            assert_eq!(Skopeo::new().digest(&reference), image.digest, "{place}");
            Skopeo::new().pull(&reference);
        }
        let answer = http::request(&served.host(), "POST", "/v2/team/x/blobs/uploads/", &[], &[]).unwrap();
        assert!((400..500).contains(&answer.status), "{place}: {}", answer.status);
    }
}

#[test]
fn an_imageset_is_mirrored_on_from_where_it_is_served() {
    let lab = Lab::new();
    let image = images()[0].clone();
    lab.configure(&[lab.push(&image, "team/app", "v1")]);
    lab.make(&[]).expect(0);
    let served = Served::start(&lab.context, &lab.path("disk"));
    lab.configure(&[served.reference("team/app", "v1")]);
    let to = format!("docker://{}", lab.target.host());
    lab.run(&["-c", "isc.yaml", "--workspace", &lab.file("w"), &to]).expect(0);
    lab.assert_published(&image, "team/app", "v1");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let lab = Lab::new();
    let path = lab.path("registry");
    let args = ["serve", path.to_str().unwrap(), "--listen", &lab.target.host()];
    let output = lab.context.run(&args).expect_code(1);
    assert!(output.raw_stderr.contains(&lab.target.host()), "{}", output.snapshot());
}
