//! `oc-mirror key`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use oc_mirror_engine::archive::SigningKey;
use oc_mirror_model::report::exit;

use crate::args::{KeyArgs, KeyCommand};
use crate::error::CliError;
use crate::{keys, output};

/// Makes keys, or tells of them.
pub(crate) fn run(args: &KeyArgs) -> Result<u8, CliError> {
    match &args.command {
        KeyCommand::Generate { output } => generate(output)?,
        KeyCommand::Id { file } => {
            keys::any(file)?.iter().for_each(|key| output::line(&key.id().to_string()));
        }
        KeyCommand::Show { file } => {
            keys::any(file)?.iter().for_each(|key| output::line(key.to_pem().trim_end()));
        }
    }
    Ok(exit::OK)
}

fn generate(prefix: &Path) -> Result<(), CliError> {
    let with = |extension: &str| {
        let mut name = prefix.as_os_str().to_owned();
        name.push(extension);
        PathBuf::from(name)
    };
    let (private, public) = (with(".key"), with(".pub"));
    if let Some(there) = [&private, &public].into_iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(CliError::new(format!("`{}` is there already", there.display()))
            .hint("keys are not overwritten; name others with --output PREFIX"));
    }
    let (key, pem) =
        SigningKey::generate().map_err(|error| CliError::from_error(&error).hint(error.hint()))?;
    write_new(&private, 0o600, &pem)?;
    if let Err(error) = write_new(&public, 0o644, &key.public().to_pem()) {
        // Half a pair is of no use, and in the way of the next try.
        let _ = std::fs::remove_file(&private);
        return Err(error);
    }
    output::line(&key.public().id().to_string());
    output::status(&format!("{} signs imagesets with --sign-key; keep it secret", private.display()));
    output::status(&format!("{} verifies them with --verify-key", public.display()));
    Ok(())
}

fn write_new(path: &Path, mode: u32, text: &str) -> Result<(), CliError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| {
        CliError::caused(format!("`{}` cannot be written", path.display()), &error)
            .hint("name a place that can be written with --output PREFIX")
    })
}
