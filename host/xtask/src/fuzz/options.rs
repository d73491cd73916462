//! The arguments of `cargo xtask fuzz`.

use super::{Spec, TARGETS};

const HELP: &str = "\
Usage: cargo xtask fuzz [TARGET]... [--seconds N] [--rounds N] [--jobs N] [--sanitizer none|address] [--sums]

  TARGET       Which targets; all of them without any
  --seconds    How long each target runs in a round [default: 60]
  --rounds     How often, one target after the other [default: 1]
  --jobs       How many targets at a time [default: 1]
  --sanitizer  What is compiled in besides [default: none]
  --sums       Only print how long each has run so far
";

/// What is compiled into the targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sanitizer {
    None,
    Address,
}

impl Sanitizer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Address => "address",
        }
    }
}

/// What to do.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) targets: Vec<Spec>,
    pub(super) seconds: u32,
    pub(super) rounds: u32,
    pub(super) jobs: u32,
    pub(super) sanitizer: Sanitizer,
    pub(super) sums: bool,
}

impl Options {
    pub(super) fn parse(args: &[&str]) -> Result<Self, String> {
        let mut options = Self {
            targets: Vec::new(),
            seconds: 60,
            rounds: 1,
            jobs: 1,
            sanitizer: Sanitizer::None,
            sums: false,
        };
        let mut args = args.iter();
        while let Some(word) = args.next() {
            let mut value = || args.next().copied().ok_or_else(|| format!("{word} needs a value\n\n{HELP}"));
            match *word {
                "--seconds" => options.seconds = number(value()?)?,
                "--rounds" => options.rounds = number(value()?)?,
                "--jobs" => options.jobs = number(value()?)?,
                "--sanitizer" => {
                    options.sanitizer = match value()? {
                        "none" => Sanitizer::None,
                        "address" => Sanitizer::Address,
                        other => return Err(format!("`{other}` is no sanitizer\n\n{HELP}")),
                    }
                }
                "--sums" => options.sums = true,
                name => {
                    let names = TARGETS.map(|spec| spec.name).join(", ");
                    let spec = TARGETS.iter().find(|spec| spec.name == name);
                    let unknown = || format!("there is no target `{name}`; there are {names}\n\n{HELP}");
                    options.targets.push(*spec.ok_or_else(unknown)?);
                }
            }
        }
        if options.targets.is_empty() {
            options.targets = TARGETS.to_vec();
        }
        Ok(options)
    }
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| format!("`{text}` is no number from 1 on\n\n{HELP}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read() {
        let options = Options::parse(&["tar", "--seconds", "5", "config", "--sanitizer", "address"]).unwrap();
        assert_eq!(options.targets.iter().map(|spec| spec.name).collect::<Vec<_>>(), ["tar", "config"]);
        assert_eq!((options.seconds, options.rounds, options.sanitizer), (5, 1, Sanitizer::Address));
        assert_eq!(Options::parse(&[]).unwrap().targets.len(), TARGETS.len());
        for (args, words) in [
            (&["nothing"][..], "there is no target `nothing`; there are answers, "),
            (&["--seconds"], "--seconds needs a value"),
            (&["--jobs", "0"], "`0` is no number from 1 on"),
            (&["--sanitizer", "odd"], "`odd` is no sanitizer"),
        ] {
            let error = Options::parse(args).unwrap_err();
            assert!(error.starts_with(words), "{error}");
        }
    }
}
