//! The arguments of `cargo xtask bench transfer` ([`Options`]).

use std::path::PathBuf;

use super::tools::{self, Who, Work};
use crate::run::{root, target};

pub(super) const HELP: &str = "\
Usage: cargo xtask bench transfer [OPTIONS]

Mirrors generated images between docker-registries on the loopback interface and compares with the least that has to be
done, and with the other tools that are here: skopeo, crane and regctl on the search path, and the oc-mirror written in
Go that OC_MIRROR_GO names.

Options:
  --sets SETS       Which of S,L,B,D,LX [default: S,L,B,D]
                      S   200 images on 5 bases of 30-80 MB, about 1.1 GB
                      L   2,000 images of 60 KB
                      B   5 images of 1 GiB
                      D   S again with nothing changed, and with 10 more images
                      LX  200, 2,000 and 20,000 images of 60 KB, once
  --ops OPS         Which of pull,push,copy [default: all]
  --tools TOOLS     Which of bound,oc-mirror,with-block,skopeo,crane,regctl,oc-mirror-go [default: all that are here];
                      with-block is oc-mirror with the policy `block`
  --rounds N        Repeat this often, by turns [default: 3]
  --big N           Have this many images in B [default: 5]
  --scale N         Have this many times the images of L in LX [default: 10]
  --quick           Have 50 images in S, 200 in L and 1 in B, for a look
  --oc-mirror PATH  Measure this program, instead of building it for release
  --keep DIR        Keep the generated images here [default: bench/transfer in cargo's target directory]
  --assert          Fail when a promise is not kept
";

/// A set of images, and what is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    S,
    L,
    B,
    D,
    Lx,
}

const NAMES: [(&str, Name); 5] =
    [("S", Name::S), ("L", Name::L), ("B", Name::B), ("D", Name::D), ("LX", Name::Lx)];

/// What is wanted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Options {
    pub(super) sets: Vec<Name>,
    pub(super) works: Vec<Work>,
    pub(super) tools: Vec<Who>,
    pub(super) rounds: usize,
    pub(super) shared: usize,
    pub(super) little: usize,
    pub(super) big: usize,
    pub(super) scale: usize,
    pub(super) program: Option<PathBuf>,
    pub(super) dir: PathBuf,
    pub(super) assert: bool,
}

impl Options {
    /// Reads the arguments after `bench transfer`.
    pub(super) fn parse(args: &[&str]) -> Result<Self, String> {
        let mut options = Self {
            sets: vec![Name::S, Name::L, Name::B, Name::D],
            works: vec![Work::Pull, Work::Push, Work::Copy],
            tools: tools::ALL.into_iter().filter(|who| who.is_here()).collect(),
            rounds: 3,
            shared: 200,
            little: 2_000,
            big: 5,
            scale: 10,
            program: None,
            dir: target().join("bench/transfer"),
            assert: false,
        };
        let mut args = args.iter();
        while let Some(name) = args.next() {
            let mut value = || args.next().copied().ok_or_else(|| format!("{name} needs a value\n\n{HELP}"));
            match *name {
                "--sets" => options.sets = list(value()?, "set", |name| find(&NAMES, name))?,
                "--ops" => {
                    let works = [Work::Pull, Work::Push, Work::Copy].map(|work| (work.name(), work));
                    options.works = list(value()?, "operation", |name| find(&works, name))?;
                }
                "--tools" => {
                    let tools = tools::ALL.map(|who| (who.name(), who));
                    options.tools = list(value()?, "tool", |name| find(&tools, name))?;
                    if let Some(absent) = options.tools.iter().find(|who| !who.is_here()) {
                        return Err(format!("{} is not here", absent.name()));
                    }
                }
                "--rounds" => options.rounds = number(name, value()?)?,
                "--big" => options.big = number(name, value()?)?,
                "--scale" => options.scale = number(name, value()?)?,
                "--quick" => (options.shared, options.little, options.big) = (50, 200, 1),
                // Programs run in a directory of their own.
                "--oc-mirror" => options.program = Some(here(value()?)),
                "--keep" => options.dir = here(value()?),
                "--assert" => options.assert = true,
                other => return Err(format!("unknown option `{other}`\n\n{HELP}")),
            }
        }
        Ok(options)
    }
}

/// Returns a path as the user means it.
fn here(path: &str) -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| root()).join(path)
}

fn find<T: Copy>(all: &[(&str, T)], name: &str) -> Option<T> {
    all.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

fn list<T>(text: &str, what: &str, find: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, String> {
    let one = |name| find(name).ok_or_else(|| format!("unknown {what} `{name}`\n\n{HELP}"));
    text.split(',').map(one).collect()
}

fn number(name: &str, text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| format!("{name} {text}: not a number above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read() {
        let options =
            Options::parse(&["--sets", "S,LX", "--ops", "push", "--rounds", "5", "--assert"]).unwrap();
        assert_eq!((options.sets, options.works), (vec![Name::S, Name::Lx], vec![Work::Push]));
        assert_eq!((options.rounds, options.assert, options.shared), (5, true, 200));
        let options = Options::parse(&["--tools", "oc-mirror", "--quick", "--big", "2"]).unwrap();
        assert_eq!((options.tools, options.shared, options.big), (vec![Who::Ours], 50, 2));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (args, words) in [
            (&["--sets", "S,X"][..], "unknown set `X`"),
            (&["--rounds", "0"], "--rounds 0: not a number above 0"),
            (&["--rounds"], "--rounds needs a value"),
            (&["--fast"], "unknown option `--fast`"),
        ] {
            let error = Options::parse(args).unwrap_err();
            assert!(error.starts_with(words), "{error}");
        }
    }
}
