//! `oc-mirror list updates`: the way from one release to another.

use oc_mirror_model::report::exit;
use serde_json::{Value, json};

use super::print;
use super::releases::questions;
use crate::args::ListUpdatesArgs;
use crate::error::CliError;
use crate::output;

/// Lists the updates from one release to another.
pub(super) async fn list(args: &ListUpdatesArgs) -> Result<u8, CliError> {
    for version in [&args.from, &args.to] {
        check_version(version)?;
    }
    let questions = questions(&args.network).await?;
    let asked = json!({
        "from": args.from,
        "to": args.to,
        "channel": args.channel,
        "architecture": args.arch.as_str(),
        "okd": args.okd,
        "acceptRisks": args.accept_risks,
        "svg": args.svg.is_some(),
    });
    let mut answer = questions.ask("updates", &asked).await?;
    let picture = answer.as_object_mut().and_then(|answer| answer.remove("svg"));
    if let (Some(path), Some(Value::String(picture))) = (&args.svg, picture) {
        std::fs::write(path, picture).map_err(|error| {
            CliError::caused(format!("the picture `{}` cannot be written", path.display()), &error)
                .hint("check the path and its permissions")
        })?;
        output::status(&format!("{} written", path.display()));
    }
    print(args.output, &answer, || in_words(&answer))?;
    Ok(exit::OK)
}

/// A version has three numbers; what may follow them is the plugin's to judge.
pub(crate) fn check_version(version: &str) -> Result<(), CliError> {
    let numbers = version.split(['-', '+']).next().unwrap_or_default();
    let are_numbers = numbers.split('.').all(|number| number.parse::<u64>().is_ok());
    match are_numbers && numbers.split('.').count() == 3 {
        true => Ok(()),
        false => Err(CliError::new(format!("`{version}` is not the version of a release"))
            .hint("give all three numbers, such as 4.20.1")),
    }
}

fn in_words(answer: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let channels: Vec<String> = list(&answer["channels"]).iter().map(text).collect();
    let steps = list(&answer["steps"]);
    let mut said = format!(
        "Updates from {} to {} ({}, {}):\n",
        text(&answer["from"]),
        text(&answer["to"]),
        text(&answer["architecture"]),
        channels.join(", ")
    );
    if steps.is_empty() {
        said.push_str("  nothing to update\n");
    }
    for step in &steps {
        said.push_str(&format!("  {} -> {}\n", text(&step["from"]), text(&step["to"])));
        said.push_str(&risks(step));
    }
    let avoided = list(&answer["avoided"]);
    if !avoided.is_empty() {
        said.push_str("Updates with risks that this way avoids (--accept-risks NAME takes them):\n");
        for step in &avoided {
            said.push_str(&format!("  {} -> {}\n", text(&step["from"]), text(&step["to"])));
            said.push_str(&risks(step));
        }
    }
    said
}

fn risks(step: &Value) -> String {
    let risk = |risk: &Value| {
        let text = |key: &str| risk[key].as_str().unwrap_or_default().trim().replace('\n', " ");
        format!("      risk {}: {} {}\n", text("name"), text("message"), text("url"))
    };
    step["risks"].as_array().into_iter().flatten().map(risk).collect()
}
