//! `oc-mirror browse`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use oc_mirror_browse::{ConfigFile, Fault, Guide, Question, Settings, Token, serve};
use oc_mirror_engine::archive::TrustedKeys;
use oc_mirror_engine::report::Silence;
use oc_mirror_engine::workflow::Run;
use oc_mirror_engine::workflow::describing::describe_imagesets;
use oc_mirror_engine::workflow::imagesets::Imagesets;
use oc_mirror_engine::workflow::measuring::measure;
use oc_mirror_engine::workflow::network::Network;
use oc_mirror_model::describe::Description;
use oc_mirror_plugin_host::Host;
use serde_json::Value;
use tokio::sync::Mutex;

use super::check::{What, explained, settings};
use super::interrupted;
use super::list::{self, Questions};
use crate::args::{BrowseArgs, NetworkArgs};
use crate::error::CliError;
use crate::{environment, keys, network, output};

/// Serves the page until somebody stops the program.
pub(crate) fn run(args: &BrowseArgs) -> Result<u8, CliError> {
    let file = args.config.clone().map(ConfigFile::new);
    if let Some(file) = &file {
        file.check().map_err(refused)?;
    }
    let imagesets = args.from.as_deref().map(|from| Shown::open(args, from)).transpose()?;
    let guide = Desk {
        cache: list::cache(args.workspace.as_deref(), environment::catalog_cache())?,
        run: settings(5, None, Arc::new(Silence))?,
        network: args.network.clone(),
        imagesets,
        catalogs: Mutex::default(),
        releases: Mutex::default(),
    };
    let settings = Settings {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        file,
        catalogs: args.catalog.clone(),
        imagesets: guide.imagesets.is_some(),
        builtins: Host::builtins().map(str::to_owned).collect(),
        today: Some(environment::created()?.day().to_owned()),
    };
    super::runtime()?.block_on(async {
        if guide.imagesets.is_some() {
            // What cannot be looked into is told here, and not on a page that nobody has opened yet.
            guide.describe().await?;
        }
        let failed = |error: std::io::Error| {
            CliError::caused(format!("cannot listen on port {}", args.port), &error)
                .hint("name another one with --port PORT, or leave it out to take a free one")
        };
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", args.port)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let token =
            Token::new().ok_or_else(|| CliError::new("the system has no random numbers for a secret"))?;
        output::line(&format!("http://{address}/?token={}", token.secret()));
        output::status("open this address in a browser on this machine; it can be used once");
        output::status("Ctrl-C ends it");
        let stopped = async {
            interrupted().await;
        };
        let served = serve(listener, token, settings, Arc::new(guide), stopped).await;
        served.map_err(|error| CliError::from_error(&error))?;
        Ok(0)
    })
}

fn refused(fault: Fault) -> CliError {
    let made = CliError::new(&fault.message);
    fault.hint.into_iter().fold(made, CliError::hint)
}

/// Says on the page what the terminal would say.
fn told(error: CliError) -> Fault {
    let message = std::iter::once(error.heading).chain(error.causes).collect::<Vec<_>>().join(": ");
    Fault { message, hint: error.hint }
}

/// Imagesets that are looked into.
struct Shown {
    from: Imagesets,
    trusted: TrustedKeys,
}

impl Shown {
    fn open(args: &BrowseArgs, from: &str) -> Result<Self, CliError> {
        let what = What::parse(from)?;
        let trusted = keys::trusted(&args.verify, what.workspace(args.workspace.as_deref())?.as_deref())?;
        let run = settings(5, None, Arc::new(Silence))?;
        let network = network::open(&args.network, &run)?;
        let from = what.imagesets(&args.bucket, &args.network, &network)?.ok_or_else(|| {
            CliError::new("what was published is no imageset")
                .hint("name the imagesets; `oc-mirror check` looks into a target")
        })?;
        Ok(Self { from, trusted })
    }
}

/// Answers what the page asks. Plugins are started when they are first asked.
struct Desk {
    cache: PathBuf,
    run: Run,
    network: NetworkArgs,
    imagesets: Option<Shown>,
    /// By the directory that the plugin may read; by nothing for catalogs in registries.
    catalogs: Mutex<HashMap<Option<String>, Arc<Questions>>>,
    releases: Mutex<Option<Arc<Questions>>>,
}

impl Desk {
    async fn describe(&self) -> Result<Vec<Description>, CliError> {
        match &self.imagesets {
            Some(Shown { from, trusted }) => describe_imagesets(from, trusted).await.map_err(explained),
            None => Ok(Vec::new()),
        }
    }

    async fn of_catalog(&self, catalog: &str) -> Result<Arc<Questions>, CliError> {
        let directory = catalog.starts_with("oci:").then(|| catalog.to_owned());
        let mut known = self.catalogs.lock().await;
        if let Some(questions) = known.get(&directory) {
            return Ok(questions.clone());
        }
        let named: Vec<&str> = directory.iter().map(String::as_str).collect();
        let made = Questions::of_catalogs(self.cache.clone(), &self.network, &named).await?;
        Ok(known.entry(directory).or_insert(Arc::new(made)).clone())
    }

    async fn of_releases(&self) -> Result<Arc<Questions>, CliError> {
        let mut known = self.releases.lock().await;
        if let Some(questions) = &*known {
            return Ok(questions.clone());
        }
        let made = Arc::new(list::of_releases(&self.network).await?);
        *known = Some(made.clone());
        Ok(made)
    }

    async fn answer(&self, question: Question) -> Result<Value, CliError> {
        match question {
            Question::Operators { name, catalog, mut arguments } => {
                let questions = self.of_catalog(&catalog).await?;
                arguments["catalog"] = catalog.into();
                arguments["now"] = questions.now.as_str().into();
                questions.ask(name, &arguments).await
            }
            Question::Releases { name, arguments } => self.of_releases().await?.ask(name, &arguments).await,
            Question::Sizes { images } => {
                let network: Arc<Network> = network::open(&self.network, &self.run)?;
                let measured = measure(network, &self.run, &images).await;
                Ok(serde_json::to_value(&measured).expect("numbers and strings serialise"))
            }
        }
    }
}

#[async_trait]
impl Guide for Desk {
    async fn ask(&self, question: Question) -> Result<Value, Fault> {
        self.answer(question).await.map_err(told)
    }

    async fn imagesets(&self) -> Result<Vec<Description>, Fault> {
        self.describe().await.map_err(told)
    }
}
