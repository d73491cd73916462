//! [`NetError`]: why a request had no answer, told without secrets, and whether trying again may help.

use std::error::Error;
use std::time::Duration;

use url::Url;

use super::address::ForbiddenAddress;

/// A request could not be made, or its answer could not be read.
#[derive(Debug, thiserror::Error)]
#[error("`{url}`: {kind}")]
pub struct NetError {
    url: String,
    kind: NetErrorKind,
}

/// Why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetErrorKind {
    /// The settings make no client: a bad certificate authority or proxy.
    #[error("{0}")]
    Settings(String),
    /// No connection came about.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// Nothing moved for too long.
    #[error("nothing was received for {} s", .0.as_secs())]
    Stalled(Duration),
    /// The other side's certificate is not accepted, or its TLS is not ours.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The other side answers in plain HTTP on a port that was asked for TLS.
    #[error("the server speaks plain HTTP where HTTPS is expected")]
    PlainHttp,
    /// Somebody pointed somewhere where nobody may point.
    #[error("{0}")]
    Forbidden(String),
    /// A redirect that cannot be followed.
    #[error("{0}")]
    Redirect(String),
    /// More came than is ever read.
    #[error("the answer has more than {0} bytes")]
    TooLong(u64),
    /// The request itself is not possible.
    #[error("{0}")]
    Request(String),
}

impl NetError {
    /// Makes an error about a URL, of which only scheme, host and path are kept.
    pub fn new(url: &Url, kind: NetErrorKind) -> Self {
        Self { url: shown(url), kind }
    }

    /// Makes an error out of settings.
    pub fn settings(what: &str, reason: impl Into<String>) -> Self {
        Self { url: what.to_owned(), kind: NetErrorKind::Settings(reason.into()) }
    }

    pub(super) fn of(url: &str, error: reqwest::Error) -> Self {
        Self { url: url.to_owned(), kind: classify(&error.without_url()) }
    }

    /// Explains why a request of a library's had no answer. `url` is shown as it is.
    pub fn explain(url: &str, error: &reqwest::Error) -> Self {
        Self { url: url.to_owned(), kind: classify(error) }
    }

    pub(super) fn about(url: &str, kind: NetErrorKind) -> Self {
        Self { url: url.to_owned(), kind }
    }

    /// Returns why.
    pub fn kind(&self) -> &NetErrorKind {
        &self.kind
    }

    /// Returns where to, without user information and query.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers whether trying again may help.
    pub fn is_temporary(&self) -> bool {
        matches!(self.kind, NetErrorKind::Unreachable(_) | NetErrorKind::Broken(_) | NetErrorKind::Stalled(_))
    }
}

/// Returns a URL as it may be shown: without user information, query and fragment, where presigned URLs have secrets.
pub fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{}://{host}:{port}{}", url.scheme(), url.path()),
        None => format!("{}://{host}{}", url.scheme(), url.path()),
    }
}

fn classify(error: &reqwest::Error) -> NetErrorKind {
    let mut deepest: &dyn Error = error;
    loop {
        if let Some(forbidden) = deepest.downcast_ref::<ForbiddenAddress>() {
            return NetErrorKind::Forbidden(forbidden.to_string());
        }
        if let Some(tls) = find_tls(deepest) {
            return match tls {
                rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => {
                    NetErrorKind::PlainHttp
                }
                other => NetErrorKind::Tls(explained(other)),
            };
        }
        match deepest.source() {
            Some(next) => deepest = next,
            None => break,
        }
    }
    let cause = deepest.to_string();
    if error.is_builder() {
        NetErrorKind::Request(cause)
    } else if error.is_connect() {
        NetErrorKind::Unreachable(cause)
    } else {
        NetErrorKind::Broken(cause)
    }
}

/// Says what is wrong with TLS, and of what has its time that the wrong one may be this machine's.
fn explained(error: &rustls::Error) -> String {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    match error {
        rustls::Error::InvalidCertificate(
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
        ) => format!("{error}; or the clock of this machine is wrong"),
        other => other.to_string(),
    }
}

/// Finds a TLS error, also inside an I/O error, which does not list what it holds as its source.
fn find_tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    match error.downcast_ref::<std::io::Error>() {
        Some(io) => find_tls(io.get_ref()?),
        None => error.downcast_ref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_out_of_its_time_may_be_a_clock_that_is_wrong() {
        use rustls::CertificateError::{Expired, NotValidYet, UnknownIssuer};
        let told =
            |error| explained(&rustls::Error::InvalidCertificate(error)).contains("clock of this machine");
        assert!(told(Expired) && told(NotValidYet) && !told(UnknownIssuer));
    }

    #[test]
    fn secrets_of_a_url_are_not_shown() {
        let url = Url::parse("https://u:p@h.example:8443/a/b?X-Amz-Signature=abc#f").unwrap();
        assert_eq!(shown(&url), "https://h.example:8443/a/b");
        let error = NetError::new(&url, NetErrorKind::PlainHttp).to_string();
        assert!(!error.contains("abc") && !error.contains("u:p"), "{error}");
    }
}
