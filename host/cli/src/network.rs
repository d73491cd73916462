//! How registries are reached, as the arguments and the environment say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use oc_mirror_engine::workflow::Run;
use oc_mirror_engine::workflow::network::{Network, NetworkSettings};

use crate::args::NetworkArgs;
use crate::environment;
use crate::error::CliError;
use crate::registries;

/// Makes the network of a run. Nothing is connected yet.
pub(crate) fn open(args: &NetworkArgs, run: &Run) -> Result<Arc<Network>, CliError> {
    let network = Network::new(settings(args, run)?).map_err(|error| CliError::from_error(&error))?;
    Ok(Arc::new(network))
}

fn settings(args: &NetworkArgs, run: &Run) -> Result<NetworkSettings, CliError> {
    let paths = oc_mirror_engine::registry::credential_search_paths(
        &|name| environment::variable(name),
        args.authfile.as_deref(),
    );
    if let Some(explicit) = &args.authfile {
        // A file that was named must be there; the usual places need not.
        environment::read(explicit, "the file of --authfile")?;
    }
    let credentials = paths
        .into_iter()
        .filter_map(|path| Some((path.clone(), std::fs::read_to_string(&path).ok()?)))
        .collect();
    Ok(NetworkSettings {
        user_agent: run.program.replace(' ', "/"),
        source_tls_verify: args.src_tls_verify,
        target_tls_verify: args.dest_tls_verify,
        extra_ca: args
            .ca_file
            .as_deref()
            .map(|p| environment::read(p, "the file of --ca-file"))
            .transpose()?
            .unwrap_or_default(),
        certificates: environment::certificates(),
        source_certificates: directory(args.src_cert_dir.as_deref(), "--src-cert-dir")?,
        target_certificates: directory(args.dest_cert_dir.as_deref(), "--dest-cert-dir")?,
        proxies: environment::proxies(),
        credentials,
        registries: registries::read(args.registries_conf.as_deref(), &*run.events)?,
        retry: run.retry,
        max_requests: (run.parallelism.images * run.parallelism.blobs).max(2),
        events: run.events.clone(),
    })
}

/// Returns a directory that the user named, which must be there.
fn directory(path: Option<&Path>, flag: &str) -> Result<Option<PathBuf>, CliError> {
    match path {
        Some(path) if !path.is_dir() => {
            Err(CliError::new(format!("the directory of {flag} `{}` is not there", path.display()))
                .hint("it holds *.crt of authorities, and *.cert with *.key of the client"))
        }
        other => Ok(other.map(Path::to_owned)),
    }
}
