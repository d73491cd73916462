//! `oc-mirror list releases`: versions, channels, and the releases in a channel.

use oc_mirror_model::report::exit;
use serde_json::{Value, json};
use uuid::Uuid;

use super::print;
use super::questions::{Plugin, Questions};
use crate::args::{ListReleasesArgs, NetworkArgs};
use crate::environment;
use crate::error::CliError;
use crate::releases::{self, Servers};

/// Lists what the arguments ask for, as oc-mirror v2 does.
pub(super) async fn list(args: &ListReleasesArgs) -> Result<u8, CliError> {
    if let Some(version) = &args.version {
        super::minor::<u32>(version)?;
    }
    let questions = questions(&args.network).await?;
    let architectures: Vec<&str> = args.filter_by_archs.iter().map(|a| a.as_str()).collect();
    let channel = match (&args.channel, &args.version) {
        (Some(channel), _) => Some(channel.clone()),
        (None, Some(version)) if !args.channels => Some(format!("stable-{version}")),
        _ => None,
    };
    match (&args.version, channel) {
        (_, Some(channel)) => {
            let asked = json!({ "channel": channel, "architectures": architectures, "okd": args.okd });
            let answer = questions.ask("channel", &asked).await?;
            print(args.output, &answer, || of_channel(&answer))?;
        }
        (Some(version), None) => {
            let architecture = architectures.first().copied().unwrap_or("amd64");
            let asked = json!({ "version": version, "architecture": architecture, "okd": args.okd });
            let answer = questions.ask("channels", &asked).await?;
            print(args.output, &answer, || {
                format!("Listing channels for version {version}:\n{}", lines(&answer["channels"]))
            })?;
        }
        (None, None) if args.channels => {
            return Err(
                CliError::new("it is not said of which version").hint("name a version with --version X.Y")
            );
        }
        (None, None) => {
            let answer = questions.ask("versions", &json!({ "repository": args.repository })).await?;
            print(args.output, &answer, || {
                let head = "Available OpenShift Container Platform release versions:";
                format!("{head}\n{}", lines(&answer["versions"]))
            })?;
        }
    }
    Ok(exit::OK)
}

/// Makes the plugin `release` ready to be asked.
pub(crate) async fn questions(network: &NetworkArgs) -> Result<Questions, CliError> {
    let cache = super::cache(None, environment::catalog_cache())?;
    let (settings, grants) = {
        let platform = oc_mirror_model::config::ReleasePlatform::default();
        let servers = Servers::of(&platform)?;
        let api = oc_mirror_model::config::ApiVersion::V2Alpha1;
        (servers.settings(api, &platform, &[], Uuid::new_v4()), servers.grants())
    };
    let plugin = Plugin { name: releases::NAME, settings, grants, exit_code: exit::RELEASE };
    Questions::prepare(cache, network, plugin).await
}

fn of_channel(answer: &Value) -> String {
    let channel = answer["channel"].as_str().unwrap_or_default();
    let graphs = answer["graphs"].as_array().into_iter().flatten();
    let of_one = |graph: &Value| {
        let architecture = graph["architecture"].as_str().unwrap_or_default();
        format!("Channel: {channel}\nArchitecture: {architecture}\n{}", lines(&graph["versions"]))
    };
    graphs.map(of_one).collect::<Vec<_>>().join("\n")
}

fn lines(list: &Value) -> String {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(|text| format!("{text}\n")).collect()
}
