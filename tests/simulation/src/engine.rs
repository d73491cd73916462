//! The engine as the simulation runs it: workflows with everything that they get from outside.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use oc_mirror_engine::archive::SigningKeys;
use oc_mirror_engine::net::{Proxies, Secret, Stall};
use oc_mirror_engine::registry::conf::RegistriesConf;
use oc_mirror_engine::report::{Event, Events, SharedEvents};
use oc_mirror_engine::source::{
    Collected, ContentSource, NoKeys, PluginError, PluginIdentity, RunInfo, Services,
};
use oc_mirror_engine::transfer::{Parallelism, Retry};
use oc_mirror_engine::workflow::direct::mirror_to_mirror;
use oc_mirror_engine::workflow::from_disk::{Destination, disk_to_mirror};
use oc_mirror_engine::workflow::imagesets::Imagesets;
use oc_mirror_engine::workflow::network::{Network, NetworkSettings, Profiles};
use oc_mirror_engine::workflow::to_disk::{ChunkLimit, ToDisk, mirror_to_disk};
use oc_mirror_engine::workflow::{CarryCompanions, OnError, Run, Wishes, WorkflowError, Workspace};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::report::RunReport;
use oc_mirror_model::request::ImageRequest;
use oc_mirror_model::size::Size;
use uuid::Uuid;

use crate::disk::SharedDisk;
use crate::wire::{SOURCE, TARGET};

/// The chain of every world, so that two worlds of one seed make the same imagesets.
pub const CHAIN: Uuid = Uuid::from_u128(0x6f63_6d69_7272_4f72_9000_0000_0000_0001);

/// Wants a list of images.
struct Listed {
    identity: PluginIdentity,
    wanted: Vec<String>,
}

#[async_trait]
impl ContentSource for Listed {
    fn identity(&self) -> &PluginIdentity {
        &self.identity
    }

    async fn collect(&self, _: &RunInfo, _: &Services) -> Result<Collected, PluginError> {
        let images = self.wanted.iter().map(|name| {
            let reference = format!("{SOURCE}/{name}");
            ImageRequest {
                source: reference.clone(),
                origin: reference,
                kind: "additional".to_owned(),
                target_repository: None,
                target_tag: None,
                platforms: Vec::new(),
                with_referrers: false,
                provenance: Default::default(),
            }
        });
        Ok(Collected { images: images.collect(), ..Collected::default() })
    }
}

/// Keeps what the engine tells of in the trace.
struct Told(SharedDisk);

impl Events for Told {
    fn event(&self, event: Event<'_>) {
        if matches!(event, Event::Warning { .. } | Event::Retry { .. } | Event::ItemFailed { .. }) {
            self.0.note(format!("told: {event:?}"));
        }
    }
}

/// What all runs of a world have in common.
pub struct Engine {
    disk: SharedDisk,
    parallelism: Parallelism,
    limit: u64,
}

impl Engine {
    /// Makes an engine that works on a disk, so much at once, with chunks of this size.
    pub fn new(disk: SharedDisk, parallelism: Parallelism, limit: u64) -> Self {
        Self { disk, parallelism, limit }
    }

    fn run(&self, sequence: usize) -> Run {
        Run {
            program: "oc-mirror simulated".to_owned(),
            created: format!("2026-01-{:02}T00:00:00Z", sequence + 1),
            created_is_fixed: true,
            new_uid: CHAIN,
            dry_run: false,
            parallelism: self.parallelism,
            retry: Retry { times: 3, delay: Some(Duration::from_secs(1)) },
            on_error: OnError::Finish,
            image_timeout: None,
            companions: CarryCompanions::None,
            prune: false,
            repair: false,
            trusted: Default::default(),
            resources: Default::default(),
            events: self.events(),
            cancelled: Arc::new(AtomicBool::new(false)),
            agreement: None,
        }
    }

    fn events(&self) -> SharedEvents {
        Arc::new(Told(self.disk.clone()))
    }

    fn network(&self, run: &Run) -> Arc<Network> {
        // A registry that wants to know who is asking.
        let credentials = format!(
            "{{\"auths\":{{\"{SOURCE}\":{{\"auth\":\"dTpw\"}},\"{TARGET}\":{{\"auth\":\"dTpw\"}}}}}}"
        );
        let settings = NetworkSettings {
            user_agent: "oc-mirror/simulated".to_owned(),
            source_tls_verify: true,
            target_tls_verify: true,
            extra_ca: Vec::new(),
            certificates: Vec::new(),
            source_certificates: None,
            target_certificates: None,
            proxies: Proxies::default(),
            credentials: vec![("auth.json".into(), Secret::new(credentials))],
            registries: RegistriesConf::default(),
            retry: run.retry,
            max_requests: (run.parallelism.images * run.parallelism.blobs).max(2),
            stall: Stall::default(),
            events: run.events.clone(),
            profiles: Profiles::default(),
        };
        Arc::new(Network::new(settings).expect("these settings are fine"))
    }

    fn wishes(&self, network: &Network, wanted: &[String]) -> Wishes {
        let identity = PluginIdentity {
            name: "listed".to_owned(),
            id: "listed".to_owned(),
            version: "1.0.0".to_owned(),
            digest: Digest::of(b"listed"),
        };
        Wishes {
            sources: vec![Box::new(Listed { identity, wanted: wanted.to_vec() })],
            policies: Vec::new(),
            configuration: wanted.join("\n").into_bytes(),
            pinned: Box::new(|_, _| b"pinned".to_vec()),
            http: network.fetch(BTreeMap::new()).expect("a client"),
            signatures: Arc::new(NoKeys),
            guard: None,
            plugins: Vec::new(),
        }
    }

    fn destination(&self, network: &Network) -> Destination {
        let target = format!("docker://{TARGET}/mirror").parse().expect("a target");
        network.destination(&target, None).expect("a client")
    }

    /// Returns what each run has of its own.
    fn open(
        &self,
        sequence: usize,
        workspace: &Path,
    ) -> Result<(Run, Arc<Network>, Workspace), WorkflowError> {
        let run = self.run(sequence);
        let network = self.network(&run);
        Ok((run, network, Workspace::open(workspace)?))
    }

    /// Makes an imageset of a sequence.
    pub async fn to_disk(
        &self,
        sequence: usize,
        wanted: &[String],
        workspace: &Path,
        stick: &Path,
    ) -> Result<RunReport, WorkflowError> {
        let (run, network, workspace) = self.open(sequence, workspace)?;
        let to = ToDisk {
            dir: stick.to_path_buf(),
            bucket: None,
            chunk_limit: ChunkLimit { size: Size::in_gib(self.limit), is_argument: true },
            strict: false,
            since: None,
            uid: Some(CHAIN),
            force: false,
            keys: SigningKeys::default(),
        };
        mirror_to_disk(&run, &self.wishes(&network, wanted), network.clone(), &workspace, &to).await
    }

    /// Publishes what is on the stick.
    pub async fn publish(
        &self,
        sequence: usize,
        workspace: &Path,
        stick: &Path,
    ) -> Result<RunReport, WorkflowError> {
        let (run, network, workspace) = self.open(sequence, workspace)?;
        let from = Imagesets::Path(stick.to_path_buf());
        disk_to_mirror(&run, &from, &workspace, &[self.destination(&network)], None).await
    }

    /// Mirrors from registry to registry.
    pub async fn direct(
        &self,
        sequence: usize,
        wanted: &[String],
        workspace: &Path,
    ) -> Result<RunReport, WorkflowError> {
        let (run, network, workspace) = self.open(sequence, workspace)?;
        let destinations = [self.destination(&network)];
        mirror_to_mirror(&run, &self.wishes(&network, wanted), network.clone(), &workspace, &destinations)
            .await
    }
}
