//! From what the user names to a [`Cluster`] that can be asked: kubeconfig files with their contexts, or the service
//! account of the pod that the program runs in.
//!
//! [`locate`] reads files and finds mistakes before anything is asked; [`Endpoint::connect`] asks. Nothing here reads the
//! environment: paths, addresses and proxies are values.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use hyper_util::client::proxy::matcher::Matcher;
use kube::config::{AuthInfo, ExecAuthCluster, ExecInteractiveMode, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::error::{ClusterError, ClusterErrorKind};

/// A cluster that does not take a connection this fast is not there.
const CONNECT: Duration = Duration::from_secs(10);
/// No answer that is waited for is slow: nothing is watched.
const ANSWER: Duration = Duration::from_secs(30);
/// Hosts that no proxy is asked for, as Go has it.
const NEVER_PROXIED: &str = "localhost,127.0.0.0/8,::1";
/// The extension of a kubeconfig's cluster that plugins for credentials are told.
const PLUGIN_EXTENSION: &str = "client.authentication.k8s.io/exec";

/// Which cluster, and as whom it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// A context of kubeconfig files.
    Kubeconfig {
        /// The files, merged as kubectl does: what the first one says stands.
        files: Vec<PathBuf>,
        /// The context; none is the current one.
        context: Option<String>,
    },
    /// The cluster that the program runs in.
    InCluster {
        /// `KUBERNETES_SERVICE_HOST`.
        host: String,
        /// `KUBERNETES_SERVICE_PORT`.
        port: String,
        /// The directory with `token` and `ca.crt` of the service account.
        account: PathBuf,
    },
}

/// How clusters are reached.
#[derive(Clone, Default)]
pub struct Settings {
    /// What requests say of the program that sends them.
    pub user_agent: String,
    /// True if somebody is there whom plugins for credentials can ask.
    pub interactive: bool,
    /// The proxies for clusters whose kubeconfig names none.
    pub proxies: Proxies,
}

/// The proxies that the environment names. Their URLs may hold passwords.
#[derive(Clone, Default)]
pub struct Proxies {
    /// For `http` URLs.
    pub http: Option<String>,
    /// For `https` URLs.
    pub https: Option<String>,
    /// Hosts, domains and networks that are reached directly, separated by commas.
    pub exempt: String,
}

/// A cluster that was found in files, and not asked yet.
pub struct Endpoint {
    name: String,
    server: String,
    config: Config,
}

/// A cluster that answers.
#[derive(Clone)]
pub struct Cluster {
    name: String,
    server: String,
    version: String,
    pub(crate) client: Client,
}

/// Finds clusters, each by a name of its own: the context, and where several have the same one, the host behind it.
///
/// Reads files; asks no cluster.
///
/// # Errors
///
/// Files that cannot be used, contexts that are not there, and clusters that are named twice.
pub fn locate(accesses: &[Access], settings: &Settings) -> Result<Vec<Endpoint>, ClusterError> {
    let mut found: Vec<Endpoint> = Vec::new();
    for access in accesses {
        let endpoint = match access {
            Access::Kubeconfig { files, context } => of_context(files, context.as_deref(), settings)?,
            Access::InCluster { host, port, account } => of_account(host, port, account, settings)?,
        };
        if let Some(same) = found.iter().find(|f| f.name == endpoint.name && f.server == endpoint.server) {
            let kind = ClusterErrorKind::Twice { context: same.name.clone(), server: same.server.clone() };
            return Err(ClusterError::nowhere(kind));
        }
        found.push(endpoint);
    }
    let names: Vec<String> = found.iter().map(|f| f.name.clone()).collect();
    for endpoint in &mut found {
        // Installers call every context `admin`.
        if names.iter().filter(|name| **name == endpoint.name).count() > 1 {
            let host = endpoint.server.split_once("://").map_or(endpoint.server.as_str(), |(_, host)| host);
            endpoint.name = format!("{}@{host}", endpoint.name);
        }
    }
    Ok(found)
}

impl Endpoint {
    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the address of the API server, without anything secret.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Asks the cluster for its version, so that what is wrong with the way to it is told at once.
    pub async fn connect(&self) -> Result<Cluster, ClusterError> {
        let failed = |error: &kube::Error| {
            ClusterError::of(&self.name, ClusterErrorKind::of_request(&self.server, error))
        };
        provide_crypto();
        let config = self.config.clone();
        // A plugin for credentials is a program that is waited for.
        let made = tokio::task::spawn_blocking(move || Client::try_from(config));
        let client = made.await.expect("making a client does not panic").map_err(|error| failed(&error))?;
        let version = client.apiserver_version().await.map_err(|error| failed(&error))?;
        Ok(Cluster {
            name: self.name.clone(),
            server: self.server.clone(),
            version: version.git_version,
            client,
        })
    }
}

impl Cluster {
    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the address of the API server, without anything secret.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Returns the version of Kubernetes: `v1.33.5`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Sorts what the client reports.
    pub(crate) fn failed(&self, error: &kube::Error) -> ClusterError {
        ClusterError::of(&self.name, ClusterErrorKind::of_request(&self.server, error))
    }
}

/// Reads a context of kubeconfig files.
fn of_context(
    files: &[PathBuf],
    context: Option<&str>,
    settings: &Settings,
) -> Result<Endpoint, ClusterError> {
    let path = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(":");
    let mut merged = Kubeconfig::default();
    for file in files {
        let read = Kubeconfig::read_from(file).and_then(|next| merged.clone().merge(next));
        merged = read.map_err(|error| unreadable(file, &error))?;
    }
    let known = || merged.contexts.iter().map(|c| c.name.clone()).collect();
    let context = match context.or(merged.current_context.as_deref()).filter(|name| !name.is_empty()) {
        Some(context) => context.to_owned(),
        None => {
            return Err(ClusterError::nowhere(ClusterErrorKind::NoCurrentContext { path, known: known() }));
        }
    };
    let entry = merged.contexts.iter().find(|c| c.name == context).and_then(|c| c.context.as_ref());
    let Some(entry) = entry else {
        return Err(ClusterError::nowhere(ClusterErrorKind::NoSuchContext { context, path, known: known() }));
    };
    let incomplete = |reason: String| ClusterError::of(&context, ClusterErrorKind::Incomplete { reason });
    let cluster = merged.clusters.iter().find(|c| c.name == entry.cluster).and_then(|c| c.cluster.as_ref());
    let cluster = cluster.ok_or_else(|| {
        incomplete(format!("the context names the cluster `{}`, which is not in `{path}`", entry.cluster))
    })?;
    let server = cluster.server.as_deref().unwrap_or_default();
    let mut config = Config::new(address(server).map_err(&incomplete)?);
    let ca = match (&cluster.certificate_authority_data, &cluster.certificate_authority) {
        (Some(data), _) if !data.is_empty() => {
            let pem = base64::engine::general_purpose::STANDARD.decode(data.trim());
            Some(pem.map_err(|_| incomplete("`certificate-authority-data` is not base64".to_owned()))?)
        }
        (_, Some(file)) if !file.is_empty() => {
            let read = std::fs::read(file);
            Some(read.map_err(|error| incomplete(format!("certificate authority `{file}`: {error}")))?)
        }
        _ => None,
    };
    config.root_cert = ca.as_deref().map(certificates).transpose().map_err(&incomplete)?;
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.tls_server_name = cluster.tls_server_name.clone().filter(|name| !name.is_empty());
    // A user that is not there is nobody, as kubectl has it.
    let user = entry.user.as_ref().and_then(|user| merged.auth_infos.iter().find(|u| u.name == *user));
    config.auth_info = user.and_then(|user| user.auth_info.clone()).unwrap_or_default();
    let told = ExecAuthCluster {
        server: cluster.server.clone(),
        insecure_skip_tls_verify: cluster.insecure_skip_tls_verify,
        certificate_authority_data: ca,
        proxy_url: cluster.proxy_url.clone(),
        tls_server_name: cluster.tls_server_name.clone(),
        config: cluster
            .extensions
            .iter()
            .flatten()
            .find(|extension| extension.name == PLUGIN_EXTENSION)
            .map(|extension| extension.extension.clone()),
    };
    prepare_plugin(&mut config.auth_info, told, settings.interactive);
    finish(context, config, cluster.proxy_url.as_deref(), settings)
}

/// Tells a plugin for credentials what it may want to know.
fn prepare_plugin(account: &mut AuthInfo, cluster: ExecAuthCluster, interactive: bool) {
    let Some(exec) = &mut account.exec else { return };
    if exec.provide_cluster_info {
        exec.cluster = Some(cluster);
    }
    if !interactive && exec.interactive_mode != Some(ExecInteractiveMode::Always) {
        exec.interactive_mode = Some(ExecInteractiveMode::Never);
    }
}

/// Reads the service account of a pod.
fn of_account(host: &str, port: &str, account: &Path, settings: &Settings) -> Result<Endpoint, ClusterError> {
    let name = "in-cluster";
    let incomplete = |reason: String| ClusterError::of(name, ClusterErrorKind::Incomplete { reason });
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let mut config = Config::new(address(&format!("https://{host}:{port}")).map_err(&incomplete)?);
    let ca = account.join("ca.crt");
    let pem = std::fs::read(&ca).map_err(|error| incomplete(format!("`{}`: {error}", ca.display())))?;
    config.root_cert = Some(certificates(&pem).map_err(&incomplete)?);
    // Both are replaced while the pod runs.
    config.root_cert_file = Some(ca);
    config.auth_info.token_file = Some(account.join("token").display().to_string());
    finish(name.to_owned(), config, None, settings)
}

/// Sets what does not depend on where the configuration came from.
fn finish(
    name: String,
    mut config: Config,
    proxy: Option<&str>,
    settings: &Settings,
) -> Result<Endpoint, ClusterError> {
    let incomplete = |reason: String| ClusterError::of(&name, ClusterErrorKind::Incomplete { reason });
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(ANSWER);
    config.write_timeout = Some(ANSWER);
    config.reset_reader_on_write = true;
    // Its own delays grow up to a quarter of an hour.
    config.default_retry = false;
    if let Ok(value) = http::HeaderValue::from_str(&settings.user_agent) {
        config.headers.push((http::header::USER_AGENT, value));
    }
    let proxy = proxy.filter(|p| !p.is_empty()).or_else(|| settings.proxies.for_url(&config.cluster_url));
    config.proxy_url = match proxy.map(str::parse) {
        Some(Ok(url)) => Some(url),
        // It may hold a password.
        Some(Err(_)) => return Err(incomplete("the proxy is not a URL".to_owned())),
        None => None,
    };
    let server = shown(&config.cluster_url);
    Ok(Endpoint { name, server, config })
}

impl Proxies {
    /// Returns the proxy for an address, if it is not exempt.
    fn for_url(&self, url: &http::Uri) -> Option<&str> {
        let proxy = if url.scheme_str() == Some("http") { &self.http } else { &self.https };
        let proxy = proxy.as_deref()?;
        let exempt = format!("{},{NEVER_PROXIED}", self.exempt);
        let matcher = Matcher::builder().all(proxy.to_owned()).no(exempt).build();
        matcher.intercept(url).map(|_| proxy)
    }
}

/// Reads the address of an API server.
fn address(server: &str) -> Result<http::Uri, String> {
    if server.is_empty() {
        return Err("the cluster has no `server`".to_owned());
    }
    let address: Option<http::Uri> = server.parse().ok();
    let known =
        address.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    known.ok_or_else(|| format!("`server` is `{server}`, not an address such as https://HOST:6443"))
}

/// Returns an address as people see it: without an account.
fn shown(url: &http::Uri) -> String {
    let port = url.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    let path = url.path().trim_end_matches('/');
    format!("{}://{}{port}{path}", url.scheme_str().unwrap_or("https"), url.host().unwrap_or_default())
}

/// Reads the certificates in PEM text.
fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found: Vec<Vec<u8>> = read
        .map_err(|error| format!("the certificate authority is not PEM: {error}"))?
        .into_iter()
        .map(|certificate| certificate.to_vec())
        .collect();
    match found.is_empty() {
        true => Err("the certificate authority holds no certificate".to_owned()),
        false => Ok(found),
    }
}

fn unreadable(file: &Path, error: &KubeconfigError) -> ClusterError {
    let reason = match error {
        KubeconfigError::ReadConfig(error, _) => error.to_string(),
        // The text around a mistake may be a credential.
        KubeconfigError::Parse(_) => "it is not YAML, or not a kubeconfig".to_owned(),
        other => other.to_string(),
    };
    ClusterError::nowhere(ClusterErrorKind::Kubeconfig { path: file.display().to_string(), reason })
}

/// Chooses ring for TLS, unless the program has chosen something else.
fn provide_crypto() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Two threads may get here at once; then the second finds the same provider in place.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// A kubeconfig with one context, whose cluster has these fields.
    fn kubeconfig(context: &str, cluster: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {context}\n\
             contexts:\n- name: {context}\n  context: {{cluster: c-{context}, user: u}}\n\
             clusters:\n- name: c-{context}\n  cluster: {{{cluster}}}\n"
        )
    }

    /// Writes files, and finds the clusters of `(file, context)`; several files are separated by a colon.
    fn found(
        files: &[(&str, String)],
        wanted: &[(&str, Option<&str>)],
        settings: &Settings,
    ) -> Result<Vec<Endpoint>, ClusterError> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).expect("it is writable");
        }
        let access = |(names, context): &(&str, Option<&str>)| Access::Kubeconfig {
            files: names.split(':').map(|name| dir.path().join(name)).collect(),
            context: context.map(str::to_owned),
        };
        locate(&wanted.iter().map(access).collect::<Vec<_>>(), settings)
    }

    #[test]
    fn files_are_merged_and_contexts_named() {
        let files = [
            ("a", kubeconfig("admin", "server: 'https://u:p@one.example:6443/'")),
            ("b", kubeconfig("admin", "server: 'https://two.example:6443'")),
            ("c", kubeconfig("other", "server: 'https://three.example'")),
        ];
        let wanted = [("a:c", None), ("a:c", Some("other")), ("b", None)];
        let found = found(&files, &wanted, &Settings::default()).expect("all are there");
        let shown: Vec<(&str, &str)> = found.iter().map(|e| (e.name(), e.server())).collect();
        let expected = [
            ("admin@one.example:6443", "https://one.example:6443"),
            ("other", "https://three.example"),
            ("admin@two.example:6443", "https://two.example:6443"),
        ];
        assert_eq!(shown, expected);
    }

    #[rstest]
    #[case("server: 'https://x'", Some("adminn"), "there is no context `adminn`", "did you mean `admin`?")]
    #[case(
        "server: 'https://x'",
        Some("quite-another"),
        "there is no context",
        "name one of its contexts with --context: admin"
    )]
    #[case("server: ''", None, "the cluster has no `server`", "compare it")]
    #[case("server: '1.2.3.4:6443'", None, "not an address such as https://HOST:6443", "compare it")]
    #[case("server: 'https://x', certificate-authority-data: '%%'", None, "is not base64", "compare it")]
    #[case(
        "server: 'https://x', certificate-authority-data: 'YQ=='",
        None,
        "holds no certificate",
        "compare it"
    )]
    #[case("server: 'https://x', certificate-authority: 'nowhere'", None, "No such file", "compare it")]
    #[case(
        "server: 'https://x', proxy-url: 'http://u:hunter2@[bad'",
        None,
        "the proxy is not a URL",
        "compare it"
    )]
    fn mistakes_are_told(
        #[case] cluster: &str,
        #[case] context: Option<&str>,
        #[case] message: &str,
        #[case] hint: &str,
    ) {
        let files = [("a", kubeconfig("admin", cluster))];
        let error = found(&files, &[("a", context)], &Settings::default()).err().expect("it is wrong");
        let (shown, told) = (error.to_string(), error.hint().unwrap_or_default());
        assert!(shown.contains(message) && !shown.contains("hunter2"), "{shown}");
        assert!(told.contains(hint), "{told}");
    }

    #[test]
    fn a_kubeconfig_without_a_current_context_lists_what_it_has() {
        let text = kubeconfig("admin", "server: 'https://x'").replace("current-context: admin\n", "");
        let error = found(&[("a", text)], &[("a", None)], &Settings::default()).err().expect("it is wrong");
        assert_eq!(error.hint().as_deref(), Some("name one of its contexts with --context: admin"));
    }

    #[rstest]
    #[case("server: 'https://in.example:6443'", "in.example", None)]
    #[case("server: 'https://in.example:6443'", "other.example", Some("proxy.example"))]
    #[case("server: 'https://127.0.0.1:6443'", "", None)]
    #[case("server: 'http://in.example'", "", None)]
    #[case(
        "server: 'https://in.example', proxy-url: 'http://own.example:1'",
        "in.example",
        Some("own.example")
    )]
    fn proxies_are_for_those_that_are_not_exempt(
        #[case] cluster: &str,
        #[case] exempt: &str,
        #[case] expected: Option<&str>,
    ) {
        let https = Some("http://proxy.example:3128".to_owned());
        let proxies = Proxies { http: None, https, exempt: exempt.to_owned() };
        let settings = Settings { proxies, ..Settings::default() };
        let found =
            found(&[("a", kubeconfig("admin", cluster))], &[("a", None)], &settings).expect("it is there");
        let proxy = found[0].config.proxy_url.as_ref().and_then(http::Uri::host);
        assert_eq!(proxy, expected);
    }

    #[test]
    fn pods_have_a_service_account() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let access = |host: &str| Access::InCluster {
            host: host.to_owned(),
            port: "443".to_owned(),
            account: dir.path().to_owned(),
        };
        let error = locate(&[access("10.0.0.1")], &Settings::default()).err().expect("there is no account");
        assert!(error.to_string().contains("ca.crt"), "{error}");
        let pem = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n";
        std::fs::write(dir.path().join("ca.crt"), pem).expect("it is writable");
        let found = locate(&[access("fd00::1")], &Settings::default()).expect("it is there");
        assert_eq!((found[0].name(), found[0].server()), ("in-cluster", "https://[fd00::1]:443"));
        assert!(found[0].config.auth_info.token_file.as_ref().is_some_and(|path| path.ends_with("/token")));
    }
}
