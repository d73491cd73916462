//! Completes a command line for kubectl and oc, in the form in which their library asks for it: a candidate on each line, with
//! its description behind a tab, then `:` and what the shell is to do besides, as spf13/cobra numbers it.

use clap::{Arg, Command};

use crate::args;
use crate::error::CliError;
use crate::output;

/// The shell completes names of files.
const FILES: u8 = 0;
/// Nothing but the candidates.
const NO_FILES: u8 = 4;

/// Prints what the last of these words may be completed to. It may be empty.
pub(crate) fn run(words: &[String]) -> Result<u8, CliError> {
    let mut command = args::command();
    command.build();
    let (candidates, directive) = complete(&command, words);
    for (word, about) in candidates {
        output::line(&format!("{word}\t{about}"));
    }
    output::line(&format!(":{directive}"));
    Ok(0)
}

/// Returns words with descriptions, and what the shell is to do besides.
fn complete(command: &Command, words: &[String]) -> (Vec<(String, String)>, u8) {
    let Some((last, before)) = words.split_last() else { return complete(command, &[String::new()]) };
    let mut command = command;
    let mut waiting: Option<&Arg> = None;
    let mut is_first = true;
    for word in before {
        if waiting.take().is_some() {
            continue;
        }
        if let Some(name) = word.strip_prefix("--") {
            waiting = find(command, name).filter(|_| !name.contains('='));
        } else if let Some(name) = word.strip_prefix('-').filter(|name| name.chars().count() == 1) {
            waiting = command.get_arguments().find(|arg| arg.get_short() == name.chars().next());
        } else if let Some(inner) = command.find_subcommand(word).filter(|_| is_first) {
            command = inner;
            continue;
        } else {
            is_first = false;
        }
        waiting = waiting.filter(|arg| takes_value(arg));
    }
    if let Some(arg) = waiting {
        return values(arg, "", last);
    }
    if let Some((name, value)) = last.strip_prefix("--").and_then(|rest| rest.split_once('=')) {
        return match find(command, name) {
            Some(arg) => values(arg, &format!("--{name}="), value),
            None => (Vec::new(), NO_FILES),
        };
    }
    if last.starts_with('-') {
        let options = command.get_arguments().filter(|arg| !arg.is_hide_set());
        let options =
            options.filter_map(|arg| Some((format!("--{}", arg.get_long()?), about(arg.get_help()))));
        return (options.filter(|(name, _)| name.starts_with(last.as_str())).collect(), NO_FILES);
    }
    let commands = command.get_subcommands().filter(|inner| !inner.is_hide_set() && is_first);
    let commands = commands.map(|inner| (inner.get_name().to_owned(), about(inner.get_about())));
    let mut found: Vec<_> = commands.filter(|(name, _)| name.starts_with(last.as_str())).collect();
    let positional: Vec<&Arg> = command.get_positionals().collect();
    for arg in &positional {
        found.extend(values(arg, "", last).0);
    }
    let wants_files = positional.iter().any(|arg| arg.get_possible_values().is_empty());
    (found, if wants_files { FILES } else { NO_FILES })
}

fn find<'a>(command: &'a Command, long: &str) -> Option<&'a Arg> {
    let long = long.split('=').next().unwrap_or(long);
    command.get_arguments().find(|arg| arg.get_long() == Some(long))
}

/// Whether the word behind an option is its value. One that may be left out has to be behind `=`.
fn takes_value(arg: &Arg) -> bool {
    let least = arg.get_num_args().map_or(1, |range| range.min_values());
    arg.get_action().takes_values() && least > 0
}

fn values(arg: &Arg, front: &str, begun: &str) -> (Vec<(String, String)>, u8) {
    let possible = arg.get_possible_values();
    let directive = if possible.is_empty() { FILES } else { NO_FILES };
    let shown = possible.iter().filter(|value| !value.is_hide_set() && value.get_name().starts_with(begun));
    (
        shown.map(|value| (format!("{front}{}", value.get_name()), about(value.get_help()))).collect(),
        directive,
    )
}

/// Returns the first line of a help text.
fn about(help: Option<&clap::builder::StyledStr>) -> String {
    help.map(|help| help.to_string().lines().next().unwrap_or_default().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("ver", "version", FILES)]
    #[case("list |", "operators releases updates", NO_FILES)]
    #[case("list op", "operators", NO_FILES)]
    #[case("version --o", "--output", NO_FILES)]
    #[case("version -o |", "text json yaml", NO_FILES)]
    #[case("version --output=j", "--output=json", NO_FILES)]
    #[case("--on-error q", "quarantine", NO_FILES)]
    #[case("-c |", "", FILES)]
    #[case("--src-tls-verify list up", "updates", NO_FILES)]
    #[case("--no-such=x", "", NO_FILES)]
    #[case("file://disk ver", "", FILES)]
    fn words(#[case] line: &str, #[case] expected: &str, #[case] directive: u8) {
        let words: Vec<String> = line.split(' ').map(|word| word.replace('|', "")).collect();
        let mut command = args::command();
        command.build();
        let (found, told) = complete(&command, &words);
        let found: Vec<&str> = found.iter().map(|(word, _)| word.as_str()).collect();
        assert_eq!((found.join(" ").as_str(), told), (expected, directive));
    }

    #[test]
    fn nothing_hidden_is_proposed() {
        let mut command = args::command();
        command.build();
        let (found, _) = complete(&command, &[String::new()]);
        let names: Vec<&str> = found.iter().map(|(word, _)| word.as_str()).collect();
        assert!(names.contains(&"lint") && !names.contains(&"debug"), "{names:?}");
        let (found, _) = complete(&command, &["--".to_owned()]);
        assert!(found.iter().all(|(word, about)| word != "--v2" && !about.is_empty()), "{found:?}");
    }
}
