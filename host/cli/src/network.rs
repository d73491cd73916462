//! How registries are reached, as the arguments and the environment say.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use oc_mirror_engine::net::{Secret, Stall};
use oc_mirror_engine::registry::profile::{Product, Profile, UnknownProfile};
use oc_mirror_engine::workflow::Run;
use oc_mirror_engine::workflow::network::{Network, NetworkSettings, Profiles};
use oc_mirror_model::reference::{InvalidReference, Registry};

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
        .filter_map(|path| Some((path.clone(), Secret::new(std::fs::read_to_string(&path).ok()?))))
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
        stall: stall(args)?,
        events: run.events.clone(),
        profiles: profiles(&args.registry_profile)?,
    })
}

/// Reads what `--stall-timeout` and `--stall-rate` say.
fn stall(args: &NetworkArgs) -> Result<Stall, CliError> {
    let after = environment::duration(&args.stall_timeout)?;
    if after.is_zero() {
        return Err(CliError::new("--stall-timeout is 0").hint("the default is 60s; a long one is 1h"));
    }
    Ok(Stall { after, below: environment::rate(&args.stall_rate)? })
}

/// Reads what `--registry-profile` says: `PROFILE` of the target, or `HOST[:PORT]=PROFILE`.
fn profiles(said: &[String]) -> Result<Profiles, CliError> {
    let mut profiles = Profiles::default();
    for text in said {
        let (registry, name) = match text.split_once('=') {
            Some((registry, name)) => (Some(registry), name),
            None => (None, text.as_str()),
        };
        let product: Product = name.parse().map_err(|error: UnknownProfile| {
            let names: Vec<&str> = Profile::names().collect();
            CliError::from_error(&error).hint(format!("there are {}", names.join(", ")))
        })?;
        let before = match registry {
            None => profiles.target.replace(product),
            Some(registry) => {
                let registry: Registry = registry.parse().map_err(|error: InvalidReference| {
                    CliError::from_error(&error)
                        .hint("--registry-profile takes PROFILE or HOST[:PORT]=PROFILE")
                })?;
                profiles.by_registry.insert(registry, product)
            }
        };
        if before.is_some_and(|before| before != product) {
            return Err(CliError::new(format!("--registry-profile {text} contradicts an earlier one"))
                .hint("say it once for each registry"));
        }
    }
    Ok(profiles)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(said: &[&str]) -> Result<Profiles, CliError> {
        profiles(&said.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn profiles_of_the_target_and_of_others() {
        let profiles = read(&["harbor", "a.example:5000=nexus", "harbor"]).unwrap();
        assert_eq!(profiles.target, Some(Product::Harbor));
        assert_eq!(profiles.by_registry[&"a.example:5000".parse().unwrap()], Product::Nexus);
    }

    #[test]
    fn profiles_that_make_no_sense() {
        let unknown = read(&["habor"]).unwrap_err();
        assert_eq!(unknown.heading, "there is no registry profile `habor`");
        assert!(unknown.hint.unwrap().contains("docker-registry, quay, harbor,"));
        assert!(read(&["a b=quay"]).unwrap_err().hint.is_some());
        assert!(read(&["quay", "harbor"]).unwrap_err().heading.contains("contradicts"));
    }
}
