//! `oc-mirror list`: what there is to mirror.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use oc_mirror_engine::report::SharedEvents;
use oc_mirror_engine::source::Inspector;
use oc_mirror_engine::transfer::{Parallelism, Retry};
use oc_mirror_engine::workflow::questions::Asking;
use oc_mirror_engine::workflow::{CarryCompanions, OnError, Run, cache_in};
use oc_mirror_model::report::exit;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::args::{ListArgs, ListCommand, ListFormat, ListOperatorsArgs, NetworkArgs};
use crate::error::CliError;
use crate::output::{self, Console, table};
use crate::{environment, network, operators, plugins};

/// The catalogs that come with a version of OpenShift, and the version that no longer has one, where there is one.
const CATALOGS: [(&str, Option<(u64, u64)>); 4] = [
    ("redhat-operator-index", None),
    ("certified-operator-index", None),
    ("community-operator-index", None),
    ("redhat-marketplace-index", Some((4, 22))),
];

/// Lists what the arguments ask for.
pub(crate) fn run(args: &ListArgs) -> Result<u8, CliError> {
    match &args.what {
        ListCommand::Operators(args) => super::runtime()?.block_on(list_operators(args)),
    }
}

async fn list_operators(args: &ListOperatorsArgs) -> Result<u8, CliError> {
    match (&args.catalog, &args.version) {
        (Some(catalog), _) => {
            let answer = ask(args, catalog).await?;
            print(args.output, &answer, || of_catalog(args, &answer))?;
            Ok(exit::OK)
        }
        (None, Some(version)) => list_catalogs(args, version).await,
        (None, None) if args.catalogs => {
            Err(CliError::new("it is not said of which version").hint("name a version with --version X.Y"))
        }
        (None, None) => Err(CliError::new("it is not said what to list")
            .hint("name a catalog with --catalog REFERENCE, or a version of OpenShift with --catalogs --version X.Y")),
    }
}

/// Asks the plugin about a catalog.
async fn ask(args: &ListOperatorsArgs, catalog: &str) -> Result<Value, CliError> {
    let questions = Questions::prepare(cache(args)?, &args.network, &[catalog]).await?;
    let arguments = json!({
        "catalog": catalog,
        "package": args.package,
        "channel": args.channel,
        "refresh": args.refresh,
        "now": questions.now,
    });
    let question = match (&args.package, &args.channel) {
        (_, Some(_)) => "channel",
        (Some(_), None) => "package",
        (None, None) => "catalog",
    };
    let answer = questions.ask(question, &arguments).await?;
    if answer["remembered"] == true {
        let looked_up = answer["lookedUp"].as_str().unwrap_or_default();
        output::status(&format!(
            "as of {looked_up}, from what is kept of `{catalog}`; --refresh looks it up again"
        ));
    }
    Ok(answer)
}

/// A plugin that can be asked.
pub(crate) struct Questions {
    asking: Asking,
    inspector: Box<dyn Inspector>,
    /// The time, for what is kept.
    pub now: String,
    _scratch: tempfile::TempDir,
}

impl Questions {
    /// Makes the plugin `operator` ready to be asked about catalogs.
    pub(crate) async fn prepare(
        cache: PathBuf,
        network: &NetworkArgs,
        catalogs: &[&str],
    ) -> Result<Self, CliError> {
        let now = environment::created()?.text;
        let run = settings(now.clone());
        let network = network::open(network, &run)?;
        let http = network.fetch().map_err(|error| CliError::from_error(&error))?;
        let scratch = tempfile::tempdir()
            .map_err(|error| CliError::caused("a directory for temporary files cannot be made", &error))?;
        let grants = operators::grants(catalogs.iter().copied());
        let host = plugins::host()?;
        let spec = plugins::builtin(&host, operators::NAME, operators::settings_for_questions(), &grants)?;
        let inspector = host
            .inspector(spec)
            .await
            .map_err(|error| plugins::failed("the catalog cannot be read", &error))?;
        let asking = Asking::new(&run, network, http, cache, scratch.path().to_owned());
        Ok(Self { asking, inspector, now, _scratch: scratch })
    }

    /// Asks one question.
    pub(crate) async fn ask(&self, question: &str, arguments: &Value) -> Result<Value, CliError> {
        self.asking.ask(&*self.inspector, question, arguments).await.map_err(|error| {
            let made = CliError::new(&error.cause).code(exit::OPERATOR);
            error.hint.into_iter().fold(made, CliError::hint)
        })
    }
}

fn cache(args: &ListOperatorsArgs) -> Result<PathBuf, CliError> {
    match &args.workspace {
        Some(workspace) => match workspace.strip_prefix("file://").filter(|dir| !dir.is_empty()) {
            Some(dir) => Ok(cache_in(&PathBuf::from(dir))),
            None => Err(CliError::new(format!("--workspace is `{workspace}`"))
                .hint("a workspace is a directory: file://DIR")),
        },
        None => Ok(environment::catalog_cache().unwrap_or_else(|| std::env::temp_dir().join("oc-mirror"))),
    }
}

fn settings(created: String) -> Run {
    let events: SharedEvents = Arc::new(Console { quiet: true });
    Run {
        program: concat!("oc-mirror ", env!("CARGO_PKG_VERSION")).to_owned(),
        created,
        created_is_fixed: false,
        new_uid: Uuid::nil(),
        dry_run: true,
        parallelism: Parallelism { images: 4, blobs: 5 },
        retry: Retry::default(),
        on_error: OnError::Fail,
        companions: CarryCompanions::None,
        events,
        cancelled: Arc::new(AtomicBool::new(false)),
    }
}

/// Looks which catalogs there are for a version.
async fn list_catalogs(args: &ListOperatorsArgs, version: &str) -> Result<u8, CliError> {
    let number = |text: &str| text.parse::<u64>().ok();
    let parsed = version.split_once('.').and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
    let parsed = parsed.ok_or_else(|| {
        CliError::new(format!("`{version}` is not a version of OpenShift"))
            .hint("write two numbers, such as 4.20")
    })?;
    let there = CATALOGS.iter().filter(|(_, until)| until.is_none_or(|until| parsed < until));
    let references: Vec<String> =
        there.map(|(name, _)| format!("{}/{name}:v{version}", args.registry.trim_end_matches('/'))).collect();
    let questions = Questions::prepare(cache(args)?, &args.network, &[]).await?;
    let answer = questions.ask("exist", &json!({ "catalogs": references })).await?;
    print(args.output, &answer, || {
        let mut text = format!("Available OpenShift OperatorHub catalogs:\nOpenShift {version}:\n");
        for catalog in answer["catalogs"].as_array().into_iter().flatten() {
            let name = catalog["catalog"].as_str().unwrap_or_default();
            match catalog["problem"].as_str() {
                None => text.push_str(&format!("{name}\n")),
                Some(_) => {
                    text.push_str(&format!("Invalid catalog reference \"{name}\", please check version\n"));
                }
            }
        }
        text
    })?;
    for problem in answer["catalogs"].as_array().into_iter().flatten().filter_map(|c| c["problem"].as_str()) {
        output::warning(problem);
    }
    Ok(exit::OK)
}

/// Prints an answer, for people as `text` has it.
fn print(format: ListFormat, answer: &Value, text: impl FnOnce() -> String) -> Result<(), CliError> {
    let printed = match format {
        ListFormat::Text => text(),
        ListFormat::Json => serde_json::to_string_pretty(answer).expect("a value serialises"),
        ListFormat::Yaml => serde_saphyr::to_string(answer)
            .map_err(|error| CliError::caused("the answer cannot be written as YAML", &error))?,
    };
    output::line(printed.trim_end());
    Ok(())
}

/// The answer about a catalog, a package or a channel, as oc-mirror v2 prints it.
fn of_catalog(args: &ListOperatorsArgs, answer: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let package = |p: &Value| vec![text(&p["name"]), text(&p["displayName"]), text(&p["defaultChannel"])];
    const HEAD: [&str; 3] = ["NAME", "DISPLAY NAME", "DEFAULT CHANNEL"];
    match (&args.package, &args.channel) {
        (_, Some(_)) => {
            let versions = answer["versions"].as_array().into_iter().flatten();
            let rows = versions.map(|v| vec![text(&v["version"])]);
            table(&["VERSIONS"], rows.collect())
        }
        (Some(_), None) => {
            let channels = answer["channels"].as_array().into_iter().flatten();
            let rows = channels.map(|c| vec![text(&answer["name"]), text(&c["name"]), text(&c["head"])]);
            let heads = table(&["PACKAGE", "CHANNEL", "HEAD"], rows.collect());
            format!("{}\n{heads}", table(&HEAD, vec![package(answer)]))
        }
        (None, None) => {
            let packages = answer["packages"].as_array().into_iter().flatten();
            table(&HEAD, packages.map(package).collect())
        }
    }
}
