//! What is asked on a terminal: a line each, with what is taken for an empty answer in brackets. Answers are judged at once, by
//! the rules of configurations.

use std::io::BufRead as _;

use oc_mirror_model::config::{Operator, Outline, ReleaseChannel};

use super::{catalogs, fault, gib_of};
use crate::args::NetworkArgs;
use crate::commands::list;
use crate::commands::runtime;
use crate::error::CliError;
use crate::output;

/// What asks for the catalog of Red Hat.
const DEFAULT: &str = "default";

/// Asks what is wanted.
pub(super) fn ask(network: &NetworkArgs) -> Result<Outline, CliError> {
    output::said(
        "An empty answer takes what is in brackets. `?` lists what there is, where it is offered.\n\n",
    );
    let mut outline = Outline::default();
    releases(network, &mut outline)?;
    operators(network, &mut outline)?;
    images(&mut outline)?;
    size(&mut outline)?;
    Ok(outline)
}

fn releases(network: &NetworkArgs, outline: &mut Outline) -> Result<(), CliError> {
    loop {
        let which = if outline.channels.is_empty() { "A channel of releases" } else { "Another channel" };
        let answer = line(&format!("{which}, such as stable-4.20 (`? 4.20` lists them)"), "none")?;
        if let Some(version) = asked_back(&answer) {
            tell(runtime()?.block_on(list::releases_of(network, version)));
            continue;
        }
        if answer.is_empty() {
            break;
        }
        let min = version("  The lowest version", "only the newest")?;
        let max = if min.is_some() { version("  The highest version", "the newest")? } else { None };
        let shortest = min.is_some() && yes("  Only what an update needs on its way", true)?;
        let channel = ReleaseChannel {
            name: answer,
            min_version: min,
            max_version: max,
            shortest_path: shortest,
            ..ReleaseChannel::default()
        };
        if is_good(&Outline { channels: vec![channel.clone()], ..Outline::default() }) {
            outline.channels.push(channel);
        }
    }
    if !outline.channels.is_empty() {
        outline.graph = yes("The data of update graphs, for the update service", true)?;
    }
    Ok(())
}

fn operators(network: &NetworkArgs, outline: &mut Outline) -> Result<(), CliError> {
    let usual = outline.channels.first().and_then(|channel| catalogs::usual(&channel.name));
    loop {
        let which = if outline.operators.is_empty() { "A catalog of operators" } else { "Another catalog" };
        let offer = usual.as_ref().filter(|_| outline.operators.is_empty());
        let offer = offer.map(|catalog| format!(" (`{DEFAULT}` is {catalog})")).unwrap_or_default();
        let answer = line(&format!("{which}{offer}"), "none")?;
        let catalog = match answer.as_str() {
            "" => return Ok(()),
            DEFAULT if usual.is_some() => usual.clone().unwrap_or_default(),
            _ => answer,
        };
        let chosen = catalogs::of_catalog(&catalog);
        if !is_good(&Outline { operators: vec![chosen.clone()], ..Outline::default() }) {
            continue;
        }
        if let Some(chosen) = packages(network, chosen)? {
            outline.operators.push(chosen);
        }
    }
}

/// Asks for packages of a catalog. Nothing, if none are wanted after all.
fn packages(network: &NetworkArgs, catalog: Operator) -> Result<Option<Operator>, CliError> {
    loop {
        let answer = line(
            "  Packages, such as web-terminal odf-operator@stable-4.20 (`?` lists them, `? PACKAGE` its channels)",
            "",
        )?;
        if let Some(package) = asked_back(&answer) {
            tell(runtime()?.block_on(list::packages_of(network, &catalog.catalog, package)));
            continue;
        }
        let mut chosen = catalog.clone();
        if let Err(error) = answer.split_whitespace().try_for_each(|word| catalogs::add(&mut chosen, word)) {
            output::error(&error);
            continue;
        }
        if chosen.packages.is_empty() {
            return Ok(yes("  All of them, which is a lot", false)?.then_some(chosen));
        }
        if is_good(&Outline { operators: vec![chosen.clone()], ..Outline::default() }) {
            return Ok(Some(chosen));
        }
    }
}

fn images(outline: &mut Outline) -> Result<(), CliError> {
    loop {
        let answer = line("Other images, with blanks between them", "none")?;
        let images: Vec<String> = answer.split_whitespace().map(str::to_owned).collect();
        if images.is_empty() || is_good(&Outline { images: images.clone(), ..Outline::default() }) {
            outline.images = images;
            return Ok(());
        }
    }
}

fn size(outline: &mut Outline) -> Result<(), CliError> {
    loop {
        let answer = line("The largest file that fits onto your medium, in GiB", "500")?;
        if answer.is_empty() {
            return Ok(());
        }
        match gib_of(&answer) {
            Ok(size) => {
                outline.archive_size = Some(size);
                return Ok(());
            }
            Err(error) => output::error(&error),
        }
    }
}

/// Asks for a version.
fn version(question: &str, default: &str) -> Result<Option<String>, CliError> {
    loop {
        let answer = line(question, default)?;
        if answer.is_empty() {
            return Ok(None);
        }
        match list::check_version(&answer) {
            Ok(()) => return Ok(Some(answer)),
            Err(error) => output::error(&error),
        }
    }
}

/// Asks for a yes or a no.
fn yes(question: &str, default: bool) -> Result<bool, CliError> {
    loop {
        let answer = line(&format!("{question}?"), if default { "Y/n" } else { "y/N" })?;
        match answer.to_ascii_lowercase().as_str() {
            "" => return Ok(default),
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => output::said("  y or n, please\n"),
        }
    }
}

/// Asks a question. The answer is empty where what is in brackets will do.
fn line(question: &str, default: &str) -> Result<String, CliError> {
    let default = if default.is_empty() { String::new() } else { format!(" [{default}]") };
    output::said(&format!("{question}{default}: "));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match read {
        Ok(0) => {
            output::said("\n");
            Err(CliError::new("the questions were not answered to the end, so nothing is written")
                .hint("say what is wanted with options, or --no-input for a file to be filled in"))
        }
        Ok(_) => Ok(answer.trim().to_owned()),
        Err(error) => Err(CliError::caused("the standard input cannot be read", &error)),
    }
}

/// Returns what stands behind a question mark.
fn asked_back(answer: &str) -> Option<Option<&str>> {
    let rest = answer.strip_prefix('?')?.trim();
    Some(Some(rest).filter(|rest| !rest.is_empty()))
}

/// Shows a list. That one cannot be had does not end the questions.
fn tell(list: Result<String, CliError>) {
    match list {
        Ok(list) => output::said(&format!("{}\n", list.trim_end())),
        Err(error) => output::error(&error),
    }
}

/// Answers whether a part makes a configuration; if not, it is said why.
fn is_good(part: &Outline) -> bool {
    let fault = fault(&part.to_yaml());
    if let Some(error) = &fault {
        output::error(error);
    }
    fault.is_none()
}
