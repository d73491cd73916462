//! Which keys and stores of signatures count, and which policy, as the arguments and the environment say.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use oc_mirror_engine::source::{HttpFetch, Signatures};
use oc_mirror_engine::trust::policy::ImagePolicy;
use oc_mirror_engine::trust::registries_d::RegistriesD;
use oc_mirror_engine::trust::release::{ReleaseSettings, ReleaseSignatures, SignatureStore};
use oc_mirror_engine::workflow::network::Network;
use oc_mirror_engine::workflow::release_signatures::Directory;
use oc_mirror_engine::workflow::stock::Stock;
use oc_mirror_engine::workflow::{Guard, Run, Workspace};
use oc_mirror_model::reference::Source;

use crate::args::GuardArgs;
use crate::environment::{self, variable};
use crate::error::CliError;

/// Where signatures are, instead of the public stores.
const STORE: &str = "OCP_SIGNATURE_URL";
/// The file with the keys that count, instead of those that come with the program.
const KEYS: &str = "OCP_SIGNATURE_VERIFICATION_PK";
/// What is said of arguments that nobody looks at.
pub(crate) const IDLE: &str = "--policy and --registries.d have no effect without --secure-policy";
/// What the two may be.
const FORMS: &str = "OCP_SIGNATURE_URL is the URL of a store of signatures, file://DIR or docker://HOST/REPOSITORY; \
                     OCP_SIGNATURE_VERIFICATION_PK a file with public keys of OpenPGP";

/// Returns the store of the web that the environment names.
pub(crate) fn named_store() -> Option<String> {
    variable(STORE).filter(|store| store.starts_with("http"))
}

/// Makes what verifies releases. Signatures that were mirrored along with releases are looked at before any store of the
/// web: whoever is cut off has no other.
pub(crate) fn open(
    ignore: bool,
    run: &Run,
    http: Arc<dyn HttpFetch>,
    network: &Arc<Network>,
    workspace: Option<&Workspace>,
    stock: Option<Arc<Stock>>,
) -> Result<Arc<dyn Signatures>, CliError> {
    let keys = variable(KEYS).map(|path| environment::read(Path::new(&path), &format!("the file of {KEYS}")));
    let mut mirrored: Vec<Arc<dyn SignatureStore>> = Vec::new();
    mirrored.extend(stock.map(|stock| stock as Arc<dyn SignatureStore>));
    mirrored.extend(workspace.map(|w| Arc::new(Directory::of_workspace(w.dir())) as Arc<dyn SignatureStore>));
    let named = variable(STORE);
    let near = named.as_deref().map(|store| near_store(store, network)).transpose()?.flatten();
    let only_mirrored = near.is_some();
    mirrored.extend(near);
    mirrored.extend(network.mirrored_signatures());
    let settings = ReleaseSettings {
        store: named.filter(|_| !only_mirrored),
        keys: keys.transpose()?,
        ignore,
        now: SystemTime::now(),
    };
    let made = ReleaseSignatures::new(settings, http, run.events.clone())
        .map_err(|error| CliError::from_error(&error).hint(FORMS))?;
    Ok(Arc::new(made.with_mirrored(mirrored, only_mirrored)))
}

/// Returns the store that is named, unless it is one of the web.
fn near_store(store: &str, network: &Arc<Network>) -> Result<Option<Arc<dyn SignatureStore>>, CliError> {
    if let Some(directory) = store.strip_prefix("file://") {
        return Ok(Some(Arc::new(Directory::new(directory))));
    }
    if !store.starts_with("docker://") {
        return Ok(None);
    }
    match store.parse() {
        Ok(Source::Registry(place)) => Ok(Some(network.signatures_at(&place).map_err(|error| {
            CliError::caused(format!("{STORE} is `{store}`, which cannot be used"), &error).hint(FORMS)
        })?)),
        _ => Err(CliError::new(format!("{STORE} is `{store}`")).hint(FORMS)),
    }
}

/// Makes what images have to satisfy, if the user wants that.
pub(crate) fn guard(args: &GuardArgs, http: Arc<dyn HttpFetch>) -> Result<Option<Arc<Guard>>, CliError> {
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
