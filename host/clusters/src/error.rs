//! [`ClusterError`]: what an API server or the way to it refused, and what to do about it.

use std::error::Error;
use std::fmt;

use kube::client::AuthError;

/// Something about one cluster failed.
#[derive(Debug)]
pub struct ClusterError {
    /// The name that the cluster goes by: its context. Empty where no cluster is known yet.
    pub cluster: String,
    /// What happened; boxed, as it is much larger than what is usually returned.
    pub kind: Box<ClusterErrorKind>,
}

/// What happened.
#[derive(Debug, thiserror::Error)]
pub enum ClusterErrorKind {
    /// A kubeconfig cannot be read or is not one.
    #[error("the kubeconfig `{path}` cannot be used: {reason}")]
    Kubeconfig {
        /// Where.
        path: String,
        /// Why.
        reason: String,
    },
    /// A context is not in the kubeconfig.
    #[error("there is no context `{context}` in `{path}`")]
    NoSuchContext {
        /// What was asked for.
        context: String,
        /// Where it was looked for.
        path: String,
        /// The contexts that are there.
        known: Vec<String>,
    },
    /// The kubeconfig does not say which of its contexts is the current one.
    #[error("`{path}` has no current context")]
    NoCurrentContext {
        /// The kubeconfig.
        path: String,
        /// The contexts that are there.
        known: Vec<String>,
    },
    /// Two arguments lead to the same cluster.
    #[error("the cluster is named twice: context `{context}` of {server}")]
    Twice {
        /// The context.
        context: String,
        /// The API server.
        server: String,
    },
    /// A context lacks something, or has something that makes no sense.
    #[error("its kubeconfig cannot be used: {reason}")]
    Incomplete {
        /// What is wrong.
        reason: String,
    },
    /// Credentials cannot be had: a file is missing, a plugin fails.
    #[error("its credentials cannot be had: {reason}")]
    Credentials {
        /// Why, without any of them.
        reason: String,
    },
    /// Nobody answers.
    #[error("its API server {server} cannot be reached: {reason}")]
    Unreachable {
        /// The API server.
        server: String,
        /// Why.
        reason: String,
    },
    /// The certificate is not one to trust.
    #[error("the certificate of its API server {server} is not trusted: {reason}")]
    Untrusted {
        /// The API server.
        server: String,
        /// Why.
        reason: String,
    },
    /// The API server does not know who is asking.
    #[error("its API server {server} does not accept the credentials")]
    Unauthorized {
        /// The API server.
        server: String,
    },
    /// The account may not do this.
    #[error("the account may not do this: {message}")]
    Forbidden {
        /// What the API server says.
        message: String,
    },
    /// There is no such thing.
    #[error("{message}")]
    NotFound {
        /// What the API server says.
        message: String,
    },
    /// Somebody else owns what is to be changed.
    #[error("{message}")]
    Conflict {
        /// What the API server says.
        message: String,
    },
    /// The object is not valid.
    #[error("{message}")]
    Invalid {
        /// What the API server says.
        message: String,
    },
    /// Any other answer.
    #[error("its API server answers {code}: {message}")]
    Api {
        /// The status code.
        code: u16,
        /// What it says.
        message: String,
    },
    /// The answer is none of an API server.
    #[error("{server} does not answer as an API server does: {reason}")]
    Protocol {
        /// The API server.
        server: String,
        /// What is odd.
        reason: String,
    },
}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cluster.as_str() {
            "" => self.kind.fmt(f),
            cluster => write!(f, "cluster `{cluster}`: {}", self.kind),
        }
    }
}

impl Error for ClusterError {}

impl ClusterError {
    /// Makes an error of a cluster.
    pub(crate) fn of(cluster: &str, kind: ClusterErrorKind) -> Self {
        Self { cluster: cluster.to_owned(), kind: Box::new(kind) }
    }

    /// Makes an error that is about no cluster in particular.
    pub(crate) fn nowhere(kind: ClusterErrorKind) -> Self {
        Self::of("", kind)
    }

    /// Answers whether the same may succeed a little later.
    pub fn is_temporary(&self) -> bool {
        self.kind.is_temporary()
    }

    /// Returns what to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self.kind.as_ref() {
            ClusterErrorKind::Kubeconfig { .. } => {
                "name a file as `oc login` writes it with --kubeconfig FILE"
            }
            ClusterErrorKind::NoSuchContext { context, known, .. } => {
                let near = oc_mirror_model::config::closest(context, known.iter().map(String::as_str));
                return Some(near.unwrap_or_else(|| listed(known)));
            }
            ClusterErrorKind::NoCurrentContext { known, .. } => return Some(listed(known)),
            ClusterErrorKind::Twice { .. } => "name each cluster once",
            ClusterErrorKind::Incomplete { .. } => {
                "compare it with `oc config view`; `oc login` writes one that is complete"
            }
            ClusterErrorKind::Credentials { .. } | ClusterErrorKind::Unauthorized { .. } => {
                "log in again with `oc login`, or name another kubeconfig; `oc whoami` asks the cluster the same"
            }
            ClusterErrorKind::Unreachable { .. } => {
                "check the address in the kubeconfig, the network and the proxy; `oc version` asks the cluster the same"
            }
            ClusterErrorKind::Untrusted { .. } => {
                "put the authority's certificate into the kubeconfig as `certificate-authority-data`"
            }
            ClusterErrorKind::Forbidden { .. } => {
                "ask an administrator of the cluster for the right to, or use another account"
            }
            ClusterErrorKind::Protocol { .. } => {
                "check that `server` in the kubeconfig is the address of an API server"
            }
            ClusterErrorKind::NotFound { .. }
            | ClusterErrorKind::Conflict { .. }
            | ClusterErrorKind::Invalid { .. }
            | ClusterErrorKind::Api { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

impl ClusterErrorKind {
    /// Answers whether the same may succeed a little later.
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Api { code: 429 | 500..=599, .. })
    }

    /// Sorts what the client of an API server reports.
    pub(crate) fn of_request(server: &str, error: &kube::Error) -> Self {
        let server = server.to_owned();
        match error {
            kube::Error::Api(status) => {
                let message = first_line(&status.message);
                match status.code {
                    // JSON of something else.
                    0 => Self::Protocol { server, reason: "it refuses without saying why".to_owned() },
                    401 => Self::Unauthorized { server },
                    403 => Self::Forbidden { message },
                    404 => Self::NotFound { message },
                    409 => Self::Conflict { message },
                    400 | 422 => Self::Invalid { message },
                    code => Self::Api { code, message },
                }
            }
            kube::Error::Auth(error) => Self::Credentials { reason: of_plugin(error) },
            kube::Error::RustlsTls(error) => Self::Credentials { reason: error.to_string() },
            kube::Error::InferKubeconfig(error) => Self::Credentials { reason: error.to_string() },
            kube::Error::SerdeError(error) => Self::Protocol { server, reason: error.to_string() },
            kube::Error::FromUtf8(_) => Self::Protocol { server, reason: "it is not text".to_owned() },
            kube::Error::ProxyProtocolUnsupported { .. } | kube::Error::ProxyProtocolDisabled { .. } => {
                Self::Incomplete { reason: "a `proxy-url` begins with http:// or https://".to_owned() }
            }
            other => of_transport(server, other),
        }
    }
}

/// Sorts what went wrong on the way to a server.
fn of_transport(server: String, error: &kube::Error) -> ClusterErrorKind {
    let mut reason = error.to_string();
    let mut link: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = link {
        if let Some(error) = error.downcast_ref::<AuthError>() {
            return ClusterErrorKind::Credentials { reason: of_plugin(error) };
        }
        let tls = tls_of(error);
        match tls {
            Some(rustls::Error::InvalidCertificate(_)) => {
                let reason = tls.map(ToString::to_string).unwrap_or_default();
                return ClusterErrorKind::Untrusted { server, reason };
            }
            Some(rustls::Error::AlertReceived(alert)) => {
                let reason = format!("the server refuses the client's certificate ({alert:?})");
                return ClusterErrorKind::Credentials { reason };
            }
            _ => {}
        }
        if error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::TimedOut) {
            reason = "no answer in time".to_owned();
            break;
        }
        reason = error.to_string();
        link = error.source();
    }
    ClusterErrorKind::Unreachable { server, reason }
}

/// Finds the error of TLS in another one. What is inside an I/O error is not among its sources.
fn tls_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(error) = error.downcast_ref::<std::io::Error>() {
        let inner: &(dyn Error + 'static) = error.get_ref()?;
        return tls_of(inner);
    }
    error.downcast_ref()
}

/// Says why a plugin gave no credentials. What it printed, and its arguments, may be some.
fn of_plugin(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { out, .. } => format!("the plugin for them failed with {}", out.status),
        AuthError::AuthExecStart(error) => format!("the plugin for them cannot be run: {error}"),
        AuthError::AuthExecParse(_) => "the plugin for them printed no ExecCredential".to_owned(),
        AuthError::InvalidBearerToken(_) | AuthError::InvalidBasicAuth(_) => {
            "they have characters that cannot be sent".to_owned()
        }
        other => other.to_string(),
    }
}

/// What is worth showing of an answer; proxies answer with whole pages.
fn first_line(message: &str) -> String {
    let line = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no reason is given");
    match line.char_indices().nth(600) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line.to_owned(),
    }
}

fn listed(contexts: &[String]) -> String {
    match contexts {
        [] => "it has no contexts at all; `oc login` writes one".to_owned(),
        contexts => format!("name one of its contexts with --context: {}", contexts.join(", ")),
    }
}
