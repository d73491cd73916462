//! [`Questions`]: a built-in plugin that can be asked, without a workspace and without mirroring anything.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use oc_mirror_engine::report::SharedEvents;
use oc_mirror_engine::source::Inspector;
use oc_mirror_engine::transfer::{Parallelism, Retry};
use oc_mirror_engine::workflow::questions::Asking;
use oc_mirror_engine::workflow::{CarryCompanions, OnError, Run};
use oc_mirror_model::report::exit;
use serde_json::Value;
use uuid::Uuid;

use crate::args::NetworkArgs;
use crate::error::CliError;
use crate::progress::Console;
use crate::{environment, network, operators, plugins};

/// A plugin that can be asked.
pub(crate) struct Questions {
    asking: Asking,
    inspector: Box<dyn Inspector>,
    exit_code: u8,
    /// The time, for what is kept.
    pub now: String,
    _scratch: tempfile::TempDir,
}

/// Which plugin, and as what it is started.
pub(crate) struct Plugin<'a> {
    pub name: &'a str,
    pub settings: Value,
    pub grants: Vec<String>,
    /// What the program ends with when there is no answer.
    pub exit_code: u8,
}

impl Questions {
    /// Makes the plugin `operator` ready to be asked about catalogs.
    pub(crate) async fn of_catalogs(
        cache: PathBuf,
        network: &NetworkArgs,
        catalogs: &[&str],
    ) -> Result<Self, CliError> {
        let plugin = Plugin {
            name: operators::NAME,
            settings: operators::settings_for_questions(),
            grants: operators::grants(catalogs.iter().copied()),
            exit_code: exit::OPERATOR,
        };
        Self::prepare(cache, network, plugin).await
    }

    /// Makes a plugin ready to be asked. What it finds out is kept below `cache`.
    pub(crate) async fn prepare(
        cache: PathBuf,
        network: &NetworkArgs,
        plugin: Plugin<'_>,
    ) -> Result<Self, CliError> {
        let now = environment::created()?.text;
        let run = settings(now.clone());
        let network = network::open(network, &run)?;
        let http = network.fetch(Default::default()).map_err(|error| CliError::from_error(&error))?;
        let scratch = tempfile::tempdir()
            .map_err(|error| CliError::caused("a directory for temporary files cannot be made", &error))?;
        let host = plugins::host()?;
        let spec = plugins::builtin(&host, plugin.name, plugin.settings, &plugin.grants)?;
        let inspector = host.inspector(spec).await.map_err(|error| {
            plugins::failed(format!("the plugin `{}` cannot be asked", plugin.name), &error)
        })?;
        let asking = Asking::new(&run, network, http, cache, scratch.path().to_owned());
        Ok(Self { asking, inspector, exit_code: plugin.exit_code, now, _scratch: scratch })
    }

    /// Asks one question.
    pub(crate) async fn ask(&self, question: &str, arguments: &Value) -> Result<Value, CliError> {
        self.asking.ask(&*self.inspector, question, arguments).await.map_err(|error| {
            let made = CliError::new(&error.cause).code(self.exit_code);
            error.hint.into_iter().fold(made, CliError::hint)
        })
    }
}

/// Returns the settings of a run that only asks.
pub(crate) fn settings(created: String) -> Run {
    let events: SharedEvents = Arc::new(Console::new(true));
    Run {
        program: concat!("oc-mirror ", env!("CARGO_PKG_VERSION")).to_owned(),
        created,
        created_is_fixed: false,
        new_uid: Uuid::nil(),
        dry_run: true,
        parallelism: Parallelism { images: 4, blobs: 5 },
        retry: Retry::default(),
        on_error: OnError::Finish,
        image_timeout: None,
        agreement: None,
        companions: CarryCompanions::None,
        prune: false,
        repair: false,
        trusted: Default::default(),
        resources: Default::default(),
        events,
        cancelled: Arc::new(AtomicBool::new(false)),
    }
}
