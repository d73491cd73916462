//! `oc-mirror clusters plan`: what clusters need of a configuration.

use std::path::{Path, PathBuf};

use oc_mirror_model::clusters::{ClusterInventory, ClusterPlan, OperatorAnswer, ReleaseAnswer, questions};
use oc_mirror_model::config::{self, Configuration, ImageSetConfiguration, Patched};
use oc_mirror_model::report::exit;
use uuid::Uuid;

use super::tables;
use crate::args::{Format, PlanArgs, PlanFormat};
use crate::commands::list::{self, Plugin, Questions};
use crate::error::CliError;
use crate::releases::{self, Servers};
use crate::{environment, operators, output};

/// The largest file that is read; one of ten thousand clusters is smaller.
const MOST_BYTES: usize = 64 << 20;

/// Makes the plan, and prints it or what it leads to.
pub(super) async fn plan(args: &PlanArgs) -> Result<u8, CliError> {
    let (text, configuration) = configuration(&args.config)?;
    let inventory = inventory(&args.clusters)?;
    if let Some(target) = &args.target {
        list::check_version(target)?;
    }
    let cache = list::cache(args.workspace.as_deref(), environment::catalog_cache())?;
    let releases = ask_releases(args, cache.clone(), &configuration, &inventory).await?;
    let operators = ask_operators(args, cache, &configuration, &inventory, &releases).await?;
    let plan = ClusterPlan::of(&inventory, releases, operators);
    for cluster in &inventory.unread {
        output::warning(&format!(
            "`{}` is not in the plan: it could not be read ({})",
            cluster.name, cluster.reason
        ));
    }
    let patched = config::patch(&text, &plan.edits).map_err(|error| {
        let mut made = CliError::new("the changes do not make a configuration that can be used");
        made.causes = error.problems.iter().map(ToString::to_string).collect();
        made = made.hint("make them by hand; `-o json` lists them");
        made
    });
    match args.output {
        PlanFormat::Text => output::line(tables::plan(&plan).trim_end()),
        PlanFormat::Json => output::data(Format::Json, &plan)?,
        PlanFormat::Yaml => output::data(Format::Yaml, &plan)?,
        PlanFormat::Config => {}
    }
    match patched {
        Ok(patched) if args.output == PlanFormat::Config || args.write.is_some() => {
            hand_over(args, &plan, &patched)?;
        }
        Ok(_) => {}
        Err(error) if args.output == PlanFormat::Config || args.write.is_some() => return Err(error),
        Err(error) => output::warning(&format!("{}: {}", error.heading, error.causes.join("; "))),
    }
    Ok(plan.exit_code())
}

/// Prints and writes the patched configuration.
fn hand_over(args: &PlanArgs, plan: &ClusterPlan, patched: &Patched) -> Result<(), CliError> {
    if !patched.kept {
        output::warning(
            "the text of the configuration could not be kept with its comments, so the patched one is written anew; \
             compare the two",
        );
    }
    if args.output == PlanFormat::Config {
        output::line(patched.text.trim_end());
    }
    if let Some(path) = &args.write {
        super::write(path, &patched.text, "the patched configuration")?;
        let changes = match plan.edits.len() {
            0 => "no changes".to_owned(),
            1 => "1 change".to_owned(),
            count => format!("{count} changes"),
        };
        output::status(&format!("{} written, {changes}", path.display()));
    }
    Ok(())
}

/// Reads what is mirrored, with its text.
fn configuration(path: &Path) -> Result<(String, ImageSetConfiguration), CliError> {
    let shown = path.display().to_string();
    let written = environment::read(path, "the configuration")?;
    let text = String::from_utf8(written).map_err(|error| {
        CliError::caused(format!("the configuration `{shown}` is not text"), &error).hint("save it as UTF-8")
    })?;
    let parsed = config::parse(&text).map_err(|error| CliError::configuration(&shown, &error))?;
    for warning in &parsed.warnings {
        output::warning(&format!("{shown}:{}:{}: {}", warning.line, warning.column, warning.message));
    }
    match parsed.configuration {
        Configuration::Mirror(configuration) => Ok((text, configuration)),
        Configuration::Delete(_) => {
            Err(CliError::new(format!("`{shown}` says what to delete, not what to mirror"))
                .hint("--config takes an ImageSetConfiguration here"))
        }
    }
}

/// Reads what clusters run.
fn inventory(path: &Path) -> Result<ClusterInventory, CliError> {
    let shown = path.display();
    let bytes = environment::read(path, "the file about clusters")?;
    if bytes.len() > MOST_BYTES {
        return Err(CliError::new(format!("`{shown}` is larger than {} MiB", MOST_BYTES >> 20))
            .hint("check that this is the right file"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        CliError::caused(format!("`{shown}` is not text"), &error).hint("save it as UTF-8")
    })?;
    let inventory = ClusterInventory::parse(&text).map_err(|error| {
        let hint = error.hint.clone();
        CliError::caused(format!("`{shown}` does not say what clusters run"), &error).hint(hint)
    })?;
    if inventory.clusters.is_empty() {
        return Err(CliError::new(format!("`{shown}` has no clusters"))
            .hint("`oc-mirror clusters inspect` reads them"));
    }
    Ok(inventory)
}

async fn ask_releases(
    args: &PlanArgs,
    cache: PathBuf,
    configuration: &ImageSetConfiguration,
    inventory: &ClusterInventory,
) -> Result<ReleaseAnswer, CliError> {
    let platform = configuration.mirror.platform.clone().unwrap_or_default();
    let servers = Servers::of(&platform)?;
    let plugin = Plugin {
        name: releases::NAME,
        settings: servers.settings(configuration.api, &platform, &args.accept_risks, Uuid::new_v4()),
        grants: servers.grants(),
        exit_code: exit::RELEASE,
    };
    let asking = Questions::prepare(cache, &args.network, plugin).await?;
    let asked = questions::releases(inventory, args.target.as_deref());
    let answer = asking.ask(questions::RECONCILE, &asked).await?;
    ReleaseAnswer::read(answer).map_err(|error| no_plan(&error))
}

async fn ask_operators(
    args: &PlanArgs,
    cache: PathBuf,
    configuration: &ImageSetConfiguration,
    inventory: &ClusterInventory,
    releases: &ReleaseAnswer,
) -> Result<OperatorAnswer, CliError> {
    let operators = &configuration.mirror.operators;
    let directory = args.config.parent().unwrap_or(Path::new(""));
    let plugin = Plugin {
        name: operators::NAME,
        settings: operators::settings(configuration.api, operators, directory)?,
        grants: operators::grants(operators.iter().map(|operator| operator.catalog.as_str())),
        exit_code: exit::OPERATOR,
    };
    let asking = Questions::prepare(cache, &args.network, plugin).await?;
    let asked = questions::operators(inventory, releases, &asking.now, args.refresh);
    let answer = asking.ask(questions::RECONCILE, &asked).await?;
    OperatorAnswer::read(answer).map_err(|error| no_plan(&error))
}

fn no_plan(error: &serde_json::Error) -> CliError {
    CliError::caused("a plugin gave an answer that is no plan", error)
}
