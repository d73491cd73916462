//! Commands and their options.

use clap::{Arg, Command};

use super::{MADE, escaped};
use crate::args;

/// What options are below that have no heading of their own.
const OPTIONS: &str = "Options";

/// Writes the document.
pub(super) fn commands() -> String {
    let mut command = args::command();
    command.build();
    let mut text = format!(
        "{MADE}\n# Commands\n\n`oc-mirror help COMMAND` prints the same, `oc-mirror man` makes pages of it. What every command ends \
         with is in [exit codes](exit-codes.md).\n"
    );
    list(&command, &mut text);
    one(&command, &mut text);
    text
}

/// Lists all commands, with links.
fn list(command: &Command, text: &mut String) {
    text.push('\n');
    fn all<'a>(command: &'a Command, found: &mut Vec<&'a Command>) {
        found.push(command);
        shown(command).for_each(|inner| all(inner, found));
    }
    let mut commands = Vec::new();
    all(command, &mut commands);
    for command in commands {
        let name = name(command);
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!("- [`{name}`](#{}): {about}\n", name.replace(' ', "-")));
    }
}

/// Writes a command, then those below it.
fn one(command: &Command, text: &mut String) {
    let about = command.get_long_about().or_else(|| command.get_about());
    text.push_str(&format!("\n## {}\n\n{}\n", name(command), sentences(about.map(ToString::to_string))));
    let usage = command.clone().render_usage().to_string();
    let usage: Vec<&str> = usage.trim().trim_start_matches("Usage: ").lines().map(str::trim).collect();
    text.push_str(&format!("\n```text\n{}\n```\n", usage.join("\n")));
    let mut headings: Vec<&str> = Vec::new();
    // Every command has help, and says so.
    let is_told = |arg: &&Arg| !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str());
    let arguments: Vec<&Arg> = command.get_arguments().filter(is_told).collect();
    for arg in &arguments {
        let heading = arg.get_help_heading().unwrap_or(OPTIONS);
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    for heading in headings {
        let below: Vec<&&Arg> =
            arguments.iter().filter(|arg| arg.get_help_heading().unwrap_or(OPTIONS) == heading).collect();
        if heading != OPTIONS {
            text.push_str(&format!("\n{heading}:\n"));
        }
        text.push('\n');
        below.into_iter().for_each(|arg| text.push_str(&argument(arg)));
    }
    if let Some(more) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        let lines: Vec<String> = more.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
        text.push_str(&format!("\n```text\n{}\n```\n", lines.join("\n")));
    }
    shown(command).for_each(|inner| one(inner, text));
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|inner| {
        // What clap makes of itself below each command with others.
        let is_made = inner.get_name() == "help" && command.get_name() != args::NAME;
        !inner.is_hide_set() && !is_made
    })
}

fn name(command: &Command) -> String {
    command.get_bin_name().unwrap_or(command.get_name()).to_owned()
}

/// Writes an argument as an item of a list.
fn argument(arg: &Arg) -> String {
    let mut names = Vec::new();
    names.extend(arg.get_short().map(|short| format!("-{short}")));
    names.extend(arg.get_long().map(|long| format!("--{long}")));
    let takes = arg.get_action().takes_values();
    let value: Vec<String> =
        arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    let value = if value.is_empty() { arg.get_id().to_string().to_uppercase() } else { value.join(" ") };
    let shown = match (names.is_empty(), takes) {
        (true, _) => value,
        (false, true) => {
            let may_lack = arg.get_num_args().is_some_and(|range| range.min_values() == 0);
            let value = if may_lack { format!("[={value}]") } else { format!(" {value}") };
            format!("{}{value}", names.join(", "))
        }
        (false, false) => names.join(", "),
    };
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string);
    let mut text = format!("- `{shown}`: {}", sentences(help));
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    if takes && !defaults.is_empty() && !arg.is_hide_default_value_set() {
        text.push_str(&format!(" Default: `{}`.", defaults.join(",")));
    }
    if let Some(variable) = arg.get_env() {
        text.push_str(&format!(" Environment: `{}`.", variable.to_string_lossy()));
    }
    text.push('\n');
    let possible = arg.get_possible_values();
    let possible: Vec<_> = possible.iter().filter(|value| !value.is_hide_set()).collect();
    if takes && !possible.is_empty() && !is_boolean(arg) {
        for value in possible {
            let about = value.get_help().map(|help| format!(": {help}")).unwrap_or_default();
            text.push_str(&format!("  - `{}`{about}\n", value.get_name()));
        }
    }
    text
}

/// Whether an argument is true or false, which goes without saying.
fn is_boolean(arg: &Arg) -> bool {
    let possible = arg.get_possible_values();
    possible.iter().map(|value| value.get_name()).eq(["true", "false"])
}

/// Makes sentences of a help text, whose paragraphs do not end with a full stop.
fn sentences(help: Option<String>) -> String {
    let help = help.unwrap_or_default();
    let paragraphs =
        help.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    let ended =
        paragraphs.filter(|text| !text.is_empty()).map(|text| match text.ends_with(['.', ':', '?']) {
            true => text,
            false => format!("{text}."),
        });
    escaped(&ended.collect::<Vec<_>>().join(" "))
}
