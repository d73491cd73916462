//! `oc-mirror help`.

use clap::Command;
use oc_mirror_model::config::closest;

use crate::args::{self, HelpArgs};
use crate::error::CliError;
use crate::help::{self, TOPICS, Topic};
use crate::invocation::Invocation;
use crate::output::{self, terminal};

/// What lists the topics.
const TOPICS_WORD: &str = "topics";

/// Lines that are longer are hard to read.
const MOST_COLUMNS: usize = 100;

/// Explains a command or a topic.
pub(crate) fn run(args: &HelpArgs) -> Result<u8, CliError> {
    match args.words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [TOPICS_WORD] => list(),
        [name] if args::command().find_subcommand(name).is_none() => match Topic::of(name) {
            Some(topic) => show(topic),
            None => return Err(unknown(&args::command(), name)),
        },
        words => of_command(words)?,
    }
    Ok(0)
}

fn list() {
    let rows = TOPICS.iter().map(|topic| vec![topic.name.to_owned(), topic.about.to_owned()]);
    output::line(output::table(&["TOPIC", "EXPLAINS"], rows.collect()).trim_end());
    output::status("oc-mirror help TOPIC explains it");
}

fn show(topic: &Topic) {
    let blocks = help::parse(&topic.text());
    output::line(help::show(&blocks, terminal::columns_of_output().min(MOST_COLUMNS)).trim_end());
}

/// Explains what a path of subcommands does. Without any, the program.
fn of_command(words: &[&str]) -> Result<(), CliError> {
    let mut command = args::command().bin_name(Invocation::current().typed());
    // Until it is built, a subcommand does not know what it is below.
    command.build();
    for word in words {
        let Some(found) = command.find_subcommand(word) else { return Err(unknown(&command, word)) };
        command = found.clone();
    }
    output::line(command.render_long_help().to_string().trim_end());
    Ok(())
}

fn unknown(command: &Command, word: &str) -> CliError {
    let is_root = command.get_name() == args::NAME;
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set());
    let names: Vec<&str> = commands.map(Command::get_name).collect();
    let topics: Vec<&str> = TOPICS.iter().map(|topic| topic.name).filter(|_| is_root).collect();
    let error = CliError::new(match is_root {
        true => format!("there is neither a command nor a topic `{word}`"),
        false => {
            format!("`{}` has no command `{word}`", command.get_bin_name().unwrap_or(command.get_name()))
        }
    });
    let hint = closest(word, names.iter().chain(&topics).copied());
    error.hint(hint.unwrap_or_else(|| match (is_root, names.is_empty()) {
        (true, _) => "`oc-mirror help` lists commands, `oc-mirror help topics` lists topics".to_owned(),
        (false, true) => "it has no commands".to_owned(),
        (false, false) => format!("it has {}", names.join(", ")),
    }))
}
