//! Which keys and stores of release signatures count, as the arguments and the environment say.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use oc_mirror_engine::source::{HttpFetch, Signatures};
use oc_mirror_engine::trust::release::{ReleaseSettings, ReleaseSignatures};
use oc_mirror_engine::workflow::Run;

use crate::args::MirrorArgs;
use crate::environment::{self, variable};
use crate::error::CliError;

/// Where signatures are, instead of the public stores.
const STORE: &str = "OCP_SIGNATURE_URL";
/// The file with the keys that count, instead of those that come with the program.
const KEYS: &str = "OCP_SIGNATURE_VERIFICATION_PK";

/// Makes what verifies releases.
pub(crate) fn open(
    args: &MirrorArgs,
    run: &Run,
    http: Arc<dyn HttpFetch>,
) -> Result<Arc<dyn Signatures>, CliError> {
    let keys = variable(KEYS).map(|path| environment::read(Path::new(&path), &format!("the file of {KEYS}")));
    let settings = ReleaseSettings {
        store: variable(STORE),
        keys: keys.transpose()?,
        ignore: args.ignore_release_signature,
        now: SystemTime::now(),
    };
    let made = ReleaseSignatures::new(settings, http, run.events.clone()).map_err(|error| {
        CliError::from_error(&error).hint(format!(
            "{STORE} is the URL of a store of signatures, {KEYS} a file with public keys of OpenPGP"
        ))
    })?;
    Ok(Arc::new(made))
}
