//! How registries are reached, as the arguments and the environment say.

use std::sync::Arc;

use oc_mirror_engine::workflow::Run;
use oc_mirror_engine::workflow::network::{Network, NetworkSettings};

use crate::args::NetworkArgs;
use crate::environment;
use crate::error::CliError;

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
        proxies: environment::proxies(),
        credentials,
        retry: run.retry,
        max_requests: (run.parallelism.images * run.parallelism.blobs).max(2),
        events: run.events.clone(),
    })
}
