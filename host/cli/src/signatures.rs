//! Which keys and stores of signatures count, and which policy, as the arguments and the environment say.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use oc_mirror_engine::source::{HttpFetch, Signatures};
use oc_mirror_engine::trust::policy::ImagePolicy;
use oc_mirror_engine::trust::registries_d::RegistriesD;
use oc_mirror_engine::trust::release::{ReleaseSettings, ReleaseSignatures};
use oc_mirror_engine::workflow::{Guard, Run};

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

/// Makes what images have to satisfy, if the user wants that.
pub(crate) fn guard(args: &MirrorArgs, http: Arc<dyn HttpFetch>) -> Result<Option<Arc<Guard>>, CliError> {
    if !args.secure_policy {
        return Ok(None);
    }
    let policy = args.policy.clone().or_else(|| first("policy.json"));
    let policy = policy.ok_or_else(|| {
        CliError::new("there is no signature policy")
            .hint("name a policy.json with --policy FILE, see containers-policy.json(5)")
    })?;
    let policy = ImagePolicy::read(&policy, SystemTime::now()).map_err(|error| {
        CliError::from_error(&error).hint("its form is described in containers-policy.json(5)")
    })?;
    let registries_d = match args.registries_d.clone().or_else(|| first("registries.d")) {
        Some(dir) => RegistriesD::read(&dir).map_err(|error| {
            CliError::from_error(&error).hint("its form is described in containers-registries.d(5)")
        })?,
        None => RegistriesD::default(),
    };
    Ok(Some(Arc::new(Guard::new(policy, registries_d, http))))
}

fn first(name: &str) -> Option<std::path::PathBuf> {
    environment::containers(name).into_iter().find(|path| path.exists())
}
