//! Keys of imagesets, as the arguments, the environment and the workspace say.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use oc_mirror_engine::archive::{KeyError, KeyFile, PublicKey, SigningKey, SigningKeys, TrustedKeys};
use oc_mirror_engine::trust::signing::SignatureKey;
use oc_mirror_engine::workflow::trusted_keys_in;
use zeroize::Zeroizing;

use crate::args::{SignArgs, VerifyArgs};
use crate::error::CliError;
use crate::{environment, output, secrecy};

/// What names a variable with a key.
const VARIABLE: &str = "env://";

/// Returns the keys that imagesets must be signed by: those of the arguments, else those of the workspace.
pub(crate) fn trusted(args: &VerifyArgs, workspace: Option<&Path>) -> Result<TrustedKeys, CliError> {
    let own = workspace.map(trusted_keys_in).filter(|path| path.exists());
    let files: Vec<PathBuf> = match args.verify_key.as_slice() {
        [] => own.into_iter().collect(),
        named => named.to_vec(),
    };
    if files.is_empty() {
        return match args.verify_threshold {
            Some(_) => {
                Err(CliError::new("--verify-threshold counts signatures, and no key is given to verify them")
                    .hint("name public keys with --verify-key FILE"))
            }
            None => Ok(TrustedKeys::default()),
        };
    }
    let (mut keys, mut threshold) = (Vec::new(), 1);
    for path in &files {
        let file = public(path)?;
        keys.extend(file.keys);
        threshold = threshold.max(file.threshold.unwrap_or(1));
    }
    TrustedKeys::new(keys, args.verify_threshold.unwrap_or(threshold))
        .map_err(|error| explained(&error, "the keys", None))
}

/// Returns the keys that sign an imageset.
pub(crate) fn signing(args: &SignArgs, quiet: bool) -> Result<SigningKeys, CliError> {
    let keys = args.sign_key.iter().map(|named| private(named, quiet)).collect::<Result<Vec<_>, _>>()?;
    Ok(SigningKeys::new(keys))
}

fn private(named: &str, quiet: bool) -> Result<SigningKey, CliError> {
    let bytes = private_bytes(named, quiet)?;
    SigningKey::parse(&bytes).map_err(|error| explained(&error, "the private key", Some(named)))
}

/// Returns a key that signs plugins.
pub(crate) fn publisher(named: &str) -> Result<SignatureKey, CliError> {
    let bytes = private_bytes(named, false)?;
    SignatureKey::parse(&bytes).map_err(|error| {
        CliError::caused(format!("the private key `{named}` cannot be used"), &error).hint(error.hint())
    })
}

/// Reads a private key, and warns of a file that others may read.
fn private_bytes(named: &str, quiet: bool) -> Result<Zeroizing<Vec<u8>>, CliError> {
    if let Some(variable) = named.strip_prefix(VARIABLE) {
        let value = secrecy::withdrawn(variable).ok_or_else(|| {
            CliError::new(format!("the variable `{variable}` of --sign-key is not set"))
                .hint("it holds a private key in PEM")
        })?;
        return Ok(Zeroizing::new(value.expose().as_bytes().to_vec()));
    }
    let path = Path::new(named);
    let bytes = Zeroizing::new(environment::read(path, "the private key")?);
    let mode = path.metadata().map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o077 != 0 && !quiet {
        output::warning(&format!("others may read the private key `{named}`; chmod 600 it"));
    }
    Ok(bytes)
}

fn public(path: &Path) -> Result<KeyFile, CliError> {
    let bytes = environment::read(path, "the public key")?;
    KeyFile::parse(&bytes)
        .map_err(|error| explained(&error, "the public key", Some(&path.display().to_string())))
}

/// Reads the public halves of whatever keys are in a file.
pub(crate) fn any(path: &Path) -> Result<Vec<PublicKey>, CliError> {
    let bytes = Zeroizing::new(environment::read(path, "the key")?);
    let failed = |error: KeyError| explained(&error, "the key", Some(&path.display().to_string()));
    match KeyFile::parse(&bytes) {
        Ok(file) => Ok(file.keys),
        Err(KeyError::Kind { .. }) => Ok(vec![*SigningKey::parse(&bytes).map_err(failed)?.public()]),
        Err(error) => Err(failed(error)),
    }
}

fn explained(error: &KeyError, what: &str, named: Option<&str>) -> CliError {
    let named = named.map(|named| format!(" `{named}`")).unwrap_or_default();
    CliError::caused(format!("{what}{named} cannot be used"), error).hint(error.hint())
}
