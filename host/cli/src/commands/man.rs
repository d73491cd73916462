//! `oc-mirror man`: pages of `man`, of the arguments that are parsed and the texts that `help` shows.

use std::fs;
use std::io;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;

use crate::args::{self, ManArgs};
use crate::error::CliError;
use crate::help::{self, TOPICS};
use crate::output;

/// Prints the page of the program, or writes all.
pub(crate) fn run(args: &ManArgs) -> Result<u8, CliError> {
    let pages = pages();
    let Some(dir) = &args.dir else {
        output::line(pages[0].1.trim_end());
        return Ok(0);
    };
    for (name, page) in &pages {
        write(&dir.join(name), page).map_err(|error| {
            CliError::caused(format!("`{}` cannot be written", dir.join(name).display()), &error)
                .hint("check the path and its permissions")
        })?;
    }
    output::status(&format!("{} pages in {}", pages.len(), dir.display()));
    Ok(0)
}

fn write(path: &Path, page: &str) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(path, page)
}

/// Makes all pages, that of the program first, each with its place below a directory of pages.
fn pages() -> Vec<(String, String)> {
    let mut command = args::command();
    command.build();
    let mut pages = Vec::new();
    of_command(&command, args::NAME, &mut pages);
    let topics = TOPICS.iter().map(|topic| {
        let name = format!("oc-mirror-{}", topic.name);
        let page = help::page(&name, topic.about, env!("CARGO_PKG_VERSION"), &help::parse(&topic.text()));
        (format!("man7/{name}.7"), page)
    });
    pages.extend(topics);
    pages
}

fn of_command(command: &Command, name: &str, pages: &mut Vec<(String, String)>) {
    pages.push((format!("man1/{name}.1"), page(command, name)));
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help")
    {
        of_command(inner, &format!("{name}-{}", inner.get_name()), pages);
    }
}

/// Makes the page of one command. What follows its options is kept in lines as written: it has columns.
fn page(command: &Command, name: &str) -> String {
    let man = Man::new(command.clone().display_name(name.to_owned()))
        .title(name)
        .source(concat!("oc-mirror ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    let has_arguments = command.get_arguments().any(|argument| !argument.is_hide_set());
    let has_commands = command.get_subcommands().any(|inner| !inner.is_hide_set());
    let made = man
        .render_title(&mut page)
        .and_then(|()| man.render_name_section(&mut page))
        .and_then(|()| man.render_synopsis_section(&mut page))
        .and_then(|()| man.render_description_section(&mut page))
        .and_then(|()| if has_arguments { man.render_options_section(&mut page) } else { Ok(()) })
        .and_then(|()| if has_commands { man.render_subcommands_section(&mut page) } else { Ok(()) });
    made.expect("a vector takes what is written");
    let mut page = String::from_utf8_lossy(&page).into_owned();
    if let Some(more) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        page.push_str(".SH NOTES\n.nf\n");
        more.to_string().lines().for_each(|line| page.push_str(&format!("{}\n", help::escaped(line))));
        page.push_str(".fi\n");
    }
    page.push_str(".SH SEE ALSO\n");
    let topics: Vec<String> = TOPICS
        .iter()
        .map(|topic| format!("\\fBoc\\-mirror\\-{}\\fR(7)", help::escaped(topic.name)))
        .collect();
    page.push_str(&format!("{}\n", topics.join(", ")));
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_topic_has_a_page() {
        let pages = pages();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["man1/oc-mirror.1", "man1/oc-mirror-list-operators.1", "man7/oc-mirror-sequences.7"] {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("debug")), "{names:?}");
        let (_, page) = &pages[0];
        assert!(page.contains("Disk to mirror:    oc\\-mirror \\-\\-from file://DIR"), "{page}");
    }
}
