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
