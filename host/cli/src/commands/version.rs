//! `oc-mirror version`.

use serde_json::json;

use crate::args::{Format, VersionArgs};
use crate::error::CliError;
use crate::output;

/// Prints the version. Nothing is loaded for this: it must answer at once.
pub(crate) fn run(args: &VersionArgs) -> Result<u8, CliError> {
    let version = env!("CARGO_PKG_VERSION");
    match args.output {
        Format::Text => output::line(&format!("oc-mirror {version}")),
        format => {
            let platform = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
            let document = json!({"clientVersion": {"gitVersion": version, "platform": platform}});
            output::data(format, &document)?;
        }
    }
    Ok(0)
}
