//! Reads a catalog of operators as the plugin `operator` does, but without WebAssembly: what
//! `cargo xtask bench catalog` measures that plugin against.
//!
//! `native_catalog REFERENCE DIRECTORY` reads the catalog from a registry that speaks plain HTTP, writes its index into
//! the directory, and prints how many packages and bundles there are.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use futures_util::StreamExt;
use oc_mirror_catalog::{Builder, Catalog};
use oc_mirror_engine::content::ImageView;
use oc_mirror_engine::content::documents::{Documents, passes};
use oc_mirror_engine::content::filesystem::{Walk, Walked};
use oc_mirror_engine::net::Proxies;
use oc_mirror_engine::registry::conf::RegistriesConf;
use oc_mirror_engine::report::Silence;
use oc_mirror_engine::source::{Inspector, PluginError, RunInfo, Services};
use oc_mirror_engine::transfer::{Parallelism, Retry};
use oc_mirror_engine::workflow::network::{Network, NetworkSettings};
use oc_mirror_engine::workflow::questions::Asking;
use oc_mirror_engine::workflow::{CarryCompanions, OnError, Run};
use serde_json::{Value, json};

/// The label that says where in the image the catalog is.
const LABEL: &str = "operators.operatorframework.io.index.configs.v1";

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [reference, directory] = arguments.as_slice() else {
        return Err("native_catalog REFERENCE DIRECTORY".into());
    };
    let directory = PathBuf::from(directory);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let run = run();
        let network = Arc::new(Network::new(settings(&run))?);
        let http = network.fetch(std::collections::BTreeMap::new())?;
        let asking = Asking::new(&run, network, http, directory.clone(), directory.clone());
        let native = Native { index: directory.join("index") };
        println!("{}", asking.ask(&native, "catalog", &json!({ "catalog": reference })).await?);
        Ok(())
    })
}

/// What the plugin is for the program: the same is lent to it.
struct Native {
    index: PathBuf,
}

#[async_trait]
impl Inspector for Native {
    async fn query(
        &self,
        _: &RunInfo,
        services: &Services,
        question: &str,
        arguments: &Value,
    ) -> Result<Value, PluginError> {
        self.read(services, arguments["catalog"].as_str().unwrap_or_default()).await.map_err(|error| {
            PluginError {
                plugin: "native".to_owned(),
                version: String::new(),
                call: question.to_owned(),
                cause: error.to_string(),
                hint: None,
            }
        })
    }
}

impl Native {
    async fn read(&self, services: &Services, reference: &str) -> Outcome<Value> {
        let view = services.images.open(&reference.parse()?).await?;
        let config: Value = serde_json::from_slice(&view.config().await?)?;
        let directory = config["config"]["Labels"][LABEL].as_str().ok_or("it has no label of a catalog")?;
        let directory = directory.trim_matches('/').to_owned();
        let catalog = read(view, &directory).await?;
        let mut index = BufWriter::with_capacity(512 << 10, File::create(&self.index)?);
        let mut written = Ok(());
        catalog.write(&mut |piece| {
            if written.is_ok() {
                written = index.write_all(piece);
            }
        });
        written?;
        index.flush()?;
        let bundles: usize = catalog.packages.iter().map(|package| package.bundles.len()).sum();
        Ok(json!({ "packages": catalog.packages.len(), "bundles": bundles }))
    }
}

async fn read(view: Arc<dyn ImageView>, directory: &str) -> Outcome<Catalog> {
    let mut builder = Builder::new();
    let mut walk = Walk::start(view, directory).await?;
    let everything = BTreeMap::new();
    while let Some(Walked { entry, content }) = walk.next().await? {
        let path = entry.path.strip_prefix(directory).unwrap_or_default().trim_start_matches('/');
        let Some(mut content) = content else { continue };
        let mut documents = Documents::new();
        while !documents.has_ended() {
            let piece = content.next().await.transpose()?.unwrap_or_default();
            documents.push(&piece);
            while let Some(document) = documents.next_document()? {
                if passes(&document, &everything)? {
                    builder.document(path, &document);
                }
            }
        }
    }
    Ok(builder.finish()?)
}

fn run() -> Run {
    Run {
        program: "native-catalog 0".to_owned(),
        created: "1970-01-01T00:00:00Z".to_owned(),
        created_is_fixed: true,
        new_uid: Default::default(),
        dry_run: true,
        prune: false,
        repair: false,
        trusted: Default::default(),
        parallelism: Parallelism { images: 4, blobs: 5 },
        retry: Retry::default(),
        on_error: OnError::Finish,
        image_timeout: None,
        agreement: None,
        companions: CarryCompanions::None,
        resources: Default::default(),
        events: Arc::new(Silence),
        cancelled: Arc::new(AtomicBool::new(false)),
    }
}

fn settings(run: &Run) -> NetworkSettings {
    NetworkSettings {
        user_agent: "native-catalog/0".to_owned(),
        source_tls_verify: false,
        target_tls_verify: false,
        extra_ca: Vec::new(),
        certificates: Vec::new(),
        source_certificates: None,
        target_certificates: None,
        proxies: Proxies::default(),
        credentials: Vec::new(),
        registries: RegistriesConf::default(),
        retry: run.retry,
        max_requests: 20,
        stall: Default::default(),
        events: run.events.clone(),
        profiles: Default::default(),
    }
}
