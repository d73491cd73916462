//! What `oc-mirror plan` and `oc-mirror execute` take, and where results go.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::{Format, MirrorArgs};

#[derive(Debug, Args)]
#[command(after_help = "\
Everything is found out as by --dry-run, and nothing is fetched or sent. The file names every image by digest, and holds
what the world answered: what tags point at, update graphs, lists of charts. It can be read, approved, and executed hours
later, with the same workspace: oc-mirror execute --plan plan.json

All three workflows can be planned. Of publishing, a plan says which imagesets go to which targets. `oc-mirror schema
plan` prints the schema of the file.")]
pub(crate) struct PlanRunArgs {
    #[command(flatten)]
    pub mirror: MirrorArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Tags that have moved since are read as they were planned. Before anything is written, what is about to be done is
compared with the plan, to the byte. It is refused where the chain or a target has moved on, where something that was
planned is no longer there, and where the plan is of another version of the program. Executed again, a plan changes
nothing.

How registries are reached, and how much is done at a time, is not part of a plan: give --authfile, --sign-key and the
like as in any run. With --dry-run it is only looked whether the plan can be kept to.")]
pub(crate) struct ExecuteArgs {
    /// The plan, as `oc-mirror plan -o FILE` has written it
    #[arg(long, value_name = "FILE")]
    pub plan: PathBuf,

    #[command(flatten)]
    pub mirror: MirrorArgs,
}

/// How to print a result, or the file to write it to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Print(Format),
    File(PathBuf, Format),
}

impl Output {
    /// Returns the form in which data is printed; text where it goes to a file.
    pub(crate) fn printed(&self) -> Format {
        match self {
            Self::Print(format) => *format,
            Self::File(..) => Format::Text,
        }
    }
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.to_ascii_lowercase();
        let ends_in = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        match text {
            "text" => Ok(Self::Print(Format::Text)),
            "json" => Ok(Self::Print(Format::Json)),
            "yaml" => Ok(Self::Print(Format::Yaml)),
            _ if ends_in(&[".json"]) => Ok(Self::File(PathBuf::from(text), Format::Json)),
            _ if ends_in(&[".yaml", ".yml"]) => Ok(Self::File(PathBuf::from(text), Format::Yaml)),
            _ => Err("it is none of text, json and yaml, nor a file whose name ends in .json, .yaml or .yml"
                .to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_printed_and_names_are_files() {
        let of = |text: &str| text.parse::<Output>();
        assert_eq!(of("json"), Ok(Output::Print(Format::Json)));
        assert_eq!(of("out/plan.json"), Ok(Output::File(PathBuf::from("out/plan.json"), Format::Json)));
        assert_eq!(of("r.yml").map(|output| output.printed()), Ok(Format::Text));
        assert!(of("xml").is_err());
    }
}
