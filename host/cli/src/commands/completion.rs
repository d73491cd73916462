//! `oc-mirror completion`.

use clap_complete::Shell;

use crate::args::{self, CompletionArgs, NAME};
use crate::error::CliError;
use crate::output;

/// What the program is called in bash's script, but where it says for which program it is: for a name with a hyphen it would
/// look for other words than it sets.
const WITHOUT_HYPHEN: &str = "oc_mirror";

/// Prints what a shell is to load.
pub(crate) fn run(args: &CompletionArgs) -> Result<u8, CliError> {
    let script = match args.shell {
        Shell::Bash => {
            let script = script(args.shell, WITHOUT_HYPHEN);
            let lines = script.lines().map(|line| {
                let front = line.strip_suffix(WITHOUT_HYPHEN);
                match front.filter(|front| front.trim_start().starts_with("complete ")) {
                    Some(front) => format!("{front}{NAME}\n"),
                    None => format!("{line}\n"),
                }
            });
            lines.collect()
        }
        shell => script(shell, NAME),
    };
    output::line(script.trim_end());
    Ok(0)
}

fn script(shell: Shell, name: &str) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
