//! Which clusters the arguments and the environment name, and how they are reached.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use oc_mirror_clusters::{Access, Endpoint, Proxies, Settings};

use crate::args::{ClusterArgs, Named};
use crate::environment;
use crate::error::CliError;

/// Where a pod finds its service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Finds the clusters that the arguments name. Files are read; no cluster is asked.
pub(crate) fn locate(args: &ClusterArgs) -> Result<Vec<Endpoint>, CliError> {
    Ok(oc_mirror_clusters::locate(&accesses(&args.named, usual)?, &settings())?)
}

/// How clusters are reached.
fn settings() -> Settings {
    let proxies = environment::proxies();
    let text = |secret: Option<oc_mirror_engine::net::Secret>| secret.map(|s| s.expose().to_owned());
    Settings {
        user_agent: concat!("oc-mirror/", env!("CARGO_PKG_VERSION")).to_owned(),
        interactive: std::io::stdin().is_terminal(),
        proxies: Proxies { http: text(proxies.http), https: text(proxies.https), exempt: proxies.exempt },
    }
}

/// Pairs contexts with the kubeconfig before them.
fn accesses(
    named: &[Named],
    usual: impl FnOnce(bool) -> Result<Access, CliError>,
) -> Result<Vec<Access>, CliError> {
    let files: Vec<&PathBuf> = named
        .iter()
        .filter_map(|named| match named {
            Named::Kubeconfig(file) => Some(file),
            Named::Context(_) => None,
        })
        .collect();
    let contexts = |named: &[Named]| -> Vec<String> {
        let context = |named: &Named| match named {
            Named::Context(context) => Some(context.clone()),
            Named::Kubeconfig(_) => None,
        };
        named.iter().filter_map(context).collect()
    };
    let with = |files: &[PathBuf], contexts: Vec<String>| -> Vec<Access> {
        let files = files.to_vec();
        if contexts.is_empty() {
            return vec![Access::Kubeconfig { files, context: None }];
        }
        let access = |context| Access::Kubeconfig { files: files.clone(), context: Some(context) };
        contexts.into_iter().map(access).collect()
    };
    match files.as_slice() {
        [] => {
            let contexts = contexts(named);
            match usual(!contexts.is_empty())? {
                Access::Kubeconfig { files, .. } => Ok(with(&files, contexts)),
                in_cluster @ Access::InCluster { .. } => Ok(vec![in_cluster]),
            }
        }
        // With one file there is no doubt, whatever the order.
        [file] => Ok(with(&[(*file).clone()], contexts(named))),
        _ => {
            let mut found = Vec::new();
            let mut rest = named;
            if let [Named::Context(context), ..] = rest {
                return Err(CliError::new(format!(
                    "--context {context} stands before the first --kubeconfig"
                ))
                .hint(
                    "with several of them, write each --context after the --kubeconfig that it belongs to",
                ));
            }
            while let [Named::Kubeconfig(file), after @ ..] = rest {
                let end = after.iter().position(|n| matches!(n, Named::Kubeconfig(_))).unwrap_or(after.len());
                found.extend(with(std::slice::from_ref(file), contexts(&after[..end])));
                rest = &after[end..];
            }
            Ok(found)
        }
    }
}

/// Returns what `oc` would talk to.
fn usual(is_context_named: bool) -> Result<Access, CliError> {
    let listed: Vec<PathBuf> = std::env::var_os("KUBECONFIG")
        .map(|list| std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect())
        .unwrap_or_default();
    let mut files: Vec<PathBuf> = listed.iter().filter(|path| path.exists()).cloned().collect();
    if listed.is_empty() {
        let own = environment::variable("HOME").map(|home| Path::new(&home).join(".kube/config"));
        files.extend(own.filter(|path| path.exists()));
    }
    if !files.is_empty() {
        return Ok(Access::Kubeconfig { files, context: None });
    }
    let account = PathBuf::from(SERVICE_ACCOUNT);
    let host = environment::variable("KUBERNETES_SERVICE_HOST");
    let port = environment::variable("KUBERNETES_SERVICE_PORT");
    match (host, port) {
        (Some(host), Some(port)) if !is_context_named && account.join("token").exists() => {
            Ok(Access::InCluster { host, port, account })
        }
        _ => Err(CliError::new("it is not said which cluster")
            .hint("name one or more with --kubeconfig FILE, as `oc login` writes them")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// `a` is the current context of kubeconfig `a`, `a/x` context `x` of it, `usual` what `oc` talks to.
    fn shown(words: &str) -> Result<Vec<String>, String> {
        let named: Vec<Named> = words
            .split_whitespace()
            .map(|word| match word.strip_prefix('@') {
                Some(context) => Named::Context(context.to_owned()),
                None => Named::Kubeconfig(PathBuf::from(word)),
            })
            .collect();
        let usual = |_| Ok(Access::Kubeconfig { files: vec!["usual".into()], context: None });
        let found = accesses(&named, usual).map_err(|error| error.heading)?;
        let show = |access: Access| match access {
            Access::Kubeconfig { files, context: None } => files[0].display().to_string(),
            Access::Kubeconfig { files, context: Some(context) } => {
                format!("{}/{context}", files[0].display())
            }
            Access::InCluster { .. } => "in-cluster".to_owned(),
        };
        Ok(found.into_iter().map(show).collect())
    }

    #[rstest]
    #[case("", "usual")]
    #[case("@x @y", "usual/x usual/y")]
    #[case("a", "a")]
    #[case("a @x", "a/x")]
    #[case("@x a", "a/x")]
    #[case("@x a @y", "a/x a/y")]
    #[case("a b", "a b")]
    #[case("a @x b", "a/x b")]
    #[case("a @x @y b @z", "a/x a/y b/z")]
    fn contexts_belong_to_the_file_before_them(#[case] words: &str, #[case] expected: &str) {
        let expected: Vec<String> = expected.split_whitespace().map(str::to_owned).collect();
        assert_eq!(shown(words), Ok(expected));
    }

    #[test]
    fn a_context_before_several_files_belongs_to_none() {
        assert_eq!(shown("@x a b"), Err("--context x stands before the first --kubeconfig".to_owned()));
    }
}
