//! Reference documents in Markdown, made of what the program works by: `docs/reference/` holds them, and a test that they are in
//! step.

mod cli;
mod configuration;
mod environment;
mod exit_codes;
#[cfg(test)]
mod guides;

pub(crate) use environment::environment;
pub(crate) use exit_codes::exit_codes;

/// Returns all documents, each with the name of its file.
pub(crate) fn all() -> [(&'static str, String); 4] {
    [
        ("cli.md", cli::commands()),
        ("configuration.md", configuration::configuration()),
        ("environment.md", environment()),
        ("exit-codes.md", exit_codes()),
    ]
}

/// What each document that is only made begins with.
const MADE: &str = "<!-- Made by `cargo xtask docs --write`; a change here is lost. -->";

/// Marks what would be taken for a tag or for emphasis. What is code is shown as it is.
fn escaped(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(place, part)| match place % 2 {
        0 => part.replace('*', "\\*").replace('<', "&lt;"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("`")
}

/// Writes a table. What is in a cell stays in one line.
fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> =
            cells.iter().map(|cell| cell.replace('\n', " ").replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let mut text = format!("{}|{}\n", line(&head), "---|".repeat(head.len()));
    rows.into_iter().for_each(|row| text.push_str(&line(&row)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_are_in_step() {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
        let differs = |(name, text): &(&str, String)| {
            std::fs::read_to_string(dir.join(name)).ok().as_ref() != Some(text)
        };
        let stale: Vec<&str> =
            all().iter().filter(|document| differs(document)).map(|(name, _)| *name).collect();
        assert!(
            stale.is_empty(),
            "docs/reference: {stale:?} are not what the program makes; `cargo xtask docs --write` mends it"
        );
    }

    #[test]
    fn code_is_not_marked() {
        assert_eq!(escaped("*.crt of <host>, `<host>*`"), "\\*.crt of &lt;host>, `<host>*`");
    }

    #[test]
    fn cells_stay_in_their_table() {
        assert_eq!(table(&["a"], [vec!["x|y\nz".to_owned()]]), "| a |\n|---|\n| x\\|y z |\n");
    }
}
