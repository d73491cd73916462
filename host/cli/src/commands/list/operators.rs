//! `oc-mirror list operators`: catalogs, and what is in them.

use std::path::PathBuf;

use oc_mirror_model::report::exit;
use serde_json::{Value, json};

use super::print;
use super::questions::Questions;
use crate::args::{ListOperatorsArgs, NetworkArgs};
use crate::environment;
use crate::error::CliError;
use crate::output::{self, table};

/// The catalogs that come with a version of OpenShift, and the version that no longer has one, where there is one.
const CATALOGS: [(&str, Option<(u64, u64)>); 4] = [
    ("redhat-operator-index", None),
    ("certified-operator-index", None),
    ("community-operator-index", None),
    ("redhat-marketplace-index", Some((4, 22))),
];

/// Lists catalogs, or what is in one.
pub(super) async fn list(args: &ListOperatorsArgs) -> Result<u8, CliError> {
    match (&args.catalog, &args.version) {
        (Some(catalog), _) => {
            let answer = ask(args, catalog).await?;
            print(args.output, &answer, || {
                in_words(args.package.as_deref(), args.channel.as_deref(), &answer)
            })?;
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
    let questions = Questions::of_catalogs(cache(args)?, &args.network, &[catalog]).await?;
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

/// Lists the packages of a catalog, or the channels of one, for somebody who is asked for packages.
pub(crate) async fn packages_of(
    network: &NetworkArgs,
    catalog: &str,
    package: Option<&str>,
) -> Result<String, CliError> {
    let cache = super::cache(None, environment::catalog_cache())?;
    let questions = Questions::of_catalogs(cache, network, &[catalog]).await?;
    let asked = json!({ "catalog": catalog, "package": package, "refresh": false, "now": questions.now });
    let question = if package.is_some() { "package" } else { "catalog" };
    let answer = questions.ask(question, &asked).await?;
    Ok(in_words(package, None, &answer))
}

fn cache(args: &ListOperatorsArgs) -> Result<PathBuf, CliError> {
    super::cache(args.workspace.as_deref(), environment::catalog_cache())
}

/// Looks which catalogs there are for a version.
async fn list_catalogs(args: &ListOperatorsArgs, version: &str) -> Result<u8, CliError> {
    let parsed: (u64, u64) = super::minor(version)?;
    let there = CATALOGS.iter().filter(|(_, until)| until.is_none_or(|until| parsed < until));
    let references: Vec<String> =
        there.map(|(name, _)| format!("{}/{name}:v{version}", args.registry.trim_end_matches('/'))).collect();
    let questions = Questions::of_catalogs(cache(args)?, &args.network, &[]).await?;
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

/// The answer about a catalog, a package or a channel, as oc-mirror v2 prints it.
fn in_words(package: Option<&str>, channel: Option<&str>, answer: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_package = |p: &Value| vec![text(&p["name"]), text(&p["displayName"]), text(&p["defaultChannel"])];
    const HEAD: [&str; 3] = ["NAME", "DISPLAY NAME", "DEFAULT CHANNEL"];
    match (package, channel) {
        (_, Some(_)) => {
            let versions = answer["versions"].as_array().into_iter().flatten();
            let rows = versions.map(|v| vec![text(&v["version"])]);
            table(&["VERSIONS"], rows.collect())
        }
        (Some(_), None) => {
            let channels = answer["channels"].as_array().into_iter().flatten();
            let rows = channels.map(|c| vec![text(&answer["name"]), text(&c["name"]), text(&c["head"])]);
            let heads = table(&["PACKAGE", "CHANNEL", "HEAD"], rows.collect());
            format!("{}\n{heads}", table(&HEAD, vec![of_package(answer)]))
        }
        (None, None) => {
            let packages = answer["packages"].as_array().into_iter().flatten();
            table(&HEAD, packages.map(of_package).collect())
        }
    }
}
