//! [`Depot`]: a source registry with signed releases in it, and the server that says which there are and who signed
//! them.

use oc_mirror_testkit::{GraphBuilder, Payload, Release, ReleaseBuilder, Signer, UpdateServer, release};
use serde_json::{Value, json};

use crate::lab::{Lab, Run};

/// Where payloads arrive.
pub(crate) const PAYLOADS: &str = "openshift/release-images";
/// Where everything else of a release arrives.
pub(crate) const COMPONENTS: &str = "openshift/release";

/// A lab whose source offers releases.
pub(crate) struct Depot {
    pub(crate) lab: Lab,
    pub(crate) server: UpdateServer,
    pub(crate) signer: Signer,
}

/// A release as a channel names it: a version and a payload.
pub(crate) type Entry<'a> = (&'a str, &'a Payload);

impl Depot {
    pub(crate) fn new() -> Self {
        Self::trusting(Signer::new())
    }

    /// Starts with a program that trusts this key only.
    pub(crate) fn trusting(signer: Signer) -> Self {
        let (mut lab, server) = (Lab::new(), UpdateServer::start());
        let keys = lab.context.write("keys.asc", signer.public_key());
        lab.context = lab
            .context
            .env("UPDATE_URL_OVERRIDE", &server.graph_url())
            .env("OKD_UPDATE_URL_OVERRIDE", &server.okd_graph_url())
            .env("OCP_SIGNATURE_URL", &server.store_url())
            .env("OCP_SIGNATURE_VERIFICATION_PK", &keys.display().to_string())
            .filter("sha256[:=-][0-9a-f]{64}", "[DIGEST]")
            .filter(r"\bon \d{4}-\d{2}-\d{2}", "on [DAY]")
            .filter(r"\b\d+(\.\d+)? (B|KiB)\b", "[SIZE]")
            .filter(r"\b[0-9A-F]{40}\b|\b[0-9A-F]{16}\b", "[KEY]");
        Self { lab, server, signer }
    }

    /// Pushes a release and signs all its payloads.
    pub(crate) fn add(&self, builder: ReleaseBuilder) -> Release {
        let release = builder.push(&self.lab.source);
        for payload in &release.payloads {
            let signature = self.signer.sign(payload.digest(), &payload.identity());
            self.server.signature(payload.digest(), signature);
        }
        release
    }

    /// Pushes and signs a release that shares a component with all others.
    pub(crate) fn version(&self, version: &str) -> Release {
        self.add(release(version).component("etcd").unchanged("pod"))
    }

    /// Sets a channel for `amd64`: these releases, with updates as `4.12.0>4.12.1`, or `4.12.0?Risk>4.12.1`.
    pub(crate) fn channel(&self, name: &str, releases: &[&Release], updates: &str) {
        self.channel_for("amd64", name, releases, updates);
    }

    pub(crate) fn channel_for(&self, architecture: &str, name: &str, releases: &[&Release], updates: &str) {
        let entries: Vec<Entry<'_>> =
            releases.iter().map(|r| (r.version.as_str(), r.payload(architecture))).collect();
        self.server.graph(architecture, name, graph(name, &entries, updates));
    }

    /// Writes `isc.yaml` with this section `platform`.
    pub(crate) fn want(&self, platform: Value) {
        self.lab.configure_mirror(json!({ "platform": platform }));
    }

    /// Writes `isc.yaml` with the one channel.
    pub(crate) fn want_channel(&self, channel: Value) {
        self.want(json!({ "channels": [channel] }));
    }

    /// Mirrors to disk, stops everything on the connected side, and publishes.
    #[track_caller]
    pub(crate) fn carry(&mut self, more: &[&str]) -> Run {
        let made = self.lab.make(more).expect(0);
        self.lab.source.stop();
        self.server.rule(oc_mirror_testkit::Rule::on("*", "").then(oc_mirror_testkit::Action::Hangup));
        self.lab.publish("disk", &["--workspace", &self.lab.file("far")]).expect(0);
        made
    }

    /// Fails the test unless the payload of an architecture and all that it lists are at the target.
    #[track_caller]
    pub(crate) fn assert_arrived(&self, release: &Release, architecture: &str) {
        let payload = release.payload(architecture);
        self.lab.assert_published(&payload.image, PAYLOADS, &payload.tag);
        for component in &payload.components {
            let tag = format!("{}-{}", payload.tag, component.name);
            self.lab.assert_published(&component.image, COMPONENTS, &tag);
        }
    }

    /// Returns the tags of the payloads at the target.
    pub(crate) fn arrived(&self) -> Vec<String> {
        self.lab.target.tags(PAYLOADS)
    }

    /// Mirrors to disk, fails, and returns the code and what was said: nothing of any image was asked for, and nothing
    /// is left.
    #[track_caller]
    pub(crate) fn refusal(&self, code: i32) -> String {
        self.lab.source.clear_log();
        let run = self.lab.make(&["--retry-times", "0"]);
        assert_eq!(run.output.code, code, "{}", run.output.snapshot());
        assert_eq!(self.lab.source.log(), [], "nothing of a release is asked for");
        self.assert_nothing_made();
        format!("exit code: {}\n{}", run.output.code, run.output.stderr)
    }

    /// Mirrors to disk for people, and returns all that they see.
    #[track_caller]
    pub(crate) fn shown(&self, more: &[&str]) -> String {
        let args = ["--src-tls-verify=false", "-c", "isc.yaml", "file://disk"];
        self.lab.context.run(&[&args, more].concat()).expect_code(0).snapshot()
    }

    /// Fails the test if there is an imageset, or a record of one.
    #[track_caller]
    pub(crate) fn assert_nothing_made(&self) {
        let left = crate::lab::names_in(&self.lab.path("disk"));
        assert!(left.iter().all(|name| !name.starts_with("mirror_seq")), "{left:?}");
        assert!(!self.lab.path("disk/working-dir/metadata.json").exists());
    }
}

/// Returns the versions of the payloads that a run mirrored, with their architecture: `4.12.1-x86_64`.
pub(crate) fn payloads_of(run: &Run) -> Vec<String> {
    let payloads = run.report().images.iter().filter(|image| image.kind == "release");
    payloads.map(|image| image.destination.tag.to_string()).collect()
}

/// Makes a graph of which all releases are in the one channel.
pub(crate) fn graph(channel: &str, entries: &[Entry<'_>], updates: &str) -> GraphBuilder {
    let graph = entries.iter().fold(GraphBuilder::new(), |graph, (version, payload)| {
        graph.node(version, &payload.by_digest()).channels(&[channel])
    });
    updates.split_whitespace().fold(graph, |graph, update| {
        let (from, to) = update.split_once('>').expect("an update is FROM>TO");
        match from.split_once('?') {
            Some((from, risk)) => graph.conditional(from, to, risk),
            None => graph.edge(from, to),
        }
    })
}
