//! [`NetSettings`]: what a client is built from. Every value is passed in; nothing is read from the environment here.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Certificate, ClientBuilder, Identity, NoProxy, Proxy};

use super::address::GuardedResolver;
use super::{NetError, Secret};

/// Hosts that no proxy is ever asked for: the machine itself.
const NEVER_PROXIED: &str = "localhost,127.0.0.0/8,::1";

/// How to reach the other side.
#[derive(Clone, Debug)]
pub struct NetSettings {
    /// Whether certificates are checked. Without, a registry is also tried over plain HTTP.
    pub tls_verify: bool,
    /// Certificate authorities besides the system's: any number of PEM certificates.
    pub extra_ca: Vec<u8>,
    /// What to show of oneself to servers that ask for it: a PEM certificate and its private key.
    pub identity: Option<Secret>,
    /// Proxies.
    pub proxies: Proxies,
    /// Whether the HTTP library may look for proxies by itself, in the environment. Off as a rule.
    pub system_proxy: bool,
    /// What this program calls itself.
    pub user_agent: String,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// When a transfer stands still. There is no limit for a whole transfer.
    pub stall: Stall,
}

/// When a transfer is taken for dead: nothing, or next to nothing, has moved for this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    /// For how long.
    pub after: Duration,
    /// Fewer bytes per second than this are next to nothing. 0: any byte counts.
    pub below: u64,
}

impl Default for Stall {
    fn default() -> Self {
        Self { after: Duration::from_secs(60), below: 1 << 10 }
    }
}

impl Stall {
    /// Answers whether this many bytes within [`Self::after`] are next to nothing.
    pub(super) fn is_next_to_nothing(&self, bytes: u64) -> bool {
        let least = (self.after.as_millis() as u64).saturating_mul(self.below) / 1000;
        bytes < least.max(1)
    }
}

/// Proxies, as `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name them. Their URLs may hold passwords.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// For `http` URLs.
    pub http: Option<Secret>,
    /// For `https` URLs.
    pub https: Option<Secret>,
    /// Hosts, domains and networks that are reached directly, separated by commas.
    pub exempt: String,
}

impl Default for NetSettings {
    fn default() -> Self {
        Self {
            tls_verify: true,
            extra_ca: Vec::new(),
            identity: None,
            proxies: Proxies::default(),
            system_proxy: false,
            user_agent: concat!("oc-mirror/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(30),
            stall: Stall::default(),
        }
    }
}

impl NetSettings {
    /// Starts a client for blobs: as [`Self::small_builder`], but HTTP/1.1 only, since over one HTTP/2 connection all blobs
    /// share its window, which on a long line is slower.
    pub(super) fn builder(&self, resolver: GuardedResolver) -> Result<ClientBuilder, NetError> {
        Ok(self.small_builder(resolver)?.http1_only())
    }

    /// Starts a client: own redirects, no decompression, no `Referer`, a pool of connections, HTTP/2 where it is offered.
    pub(super) fn small_builder(&self, resolver: GuardedResolver) -> Result<ClientBuilder, NetError> {
        provide_crypto();
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .retry(reqwest::retry::never())
            .user_agent(self.user_agent.as_str())
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(Duration::from_secs(30))
            .tls_info(true)
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(30))
            .dns_resolver(Arc::new(resolver));
        if self.tls_verify {
            builder = builder.tls_certs_merge(self.authorities()?);
        } else {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        if let Some(identity) = &self.identity {
            // The parser's error may quote the key.
            let identity = Identity::from_pem(identity.expose().as_bytes()).map_err(|_| {
                NetError::settings("client certificate", "it is not a PEM certificate and its private key")
            })?;
            builder = builder.identity(identity);
        }
        if !self.system_proxy {
            builder = builder.no_proxy();
        }
        for proxy in self.proxies.build()? {
            builder = builder.proxy(proxy);
        }
        Ok(builder)
    }

    fn authorities(&self) -> Result<Vec<Certificate>, NetError> {
        if self.extra_ca.is_empty() {
            return Ok(Vec::new());
        }
        let refuse = |reason: &str| NetError::settings("certificate authority", reason);
        let certificates = Certificate::from_pem_bundle(&self.extra_ca)
            .map_err(|_| refuse("the file is not a list of PEM certificates"))?;
        if certificates.is_empty() {
            return Err(refuse("the file holds no PEM certificate (`-----BEGIN CERTIFICATE-----`)"));
        }
        Ok(certificates)
    }
}

impl Proxies {
    fn build(&self) -> Result<Vec<Proxy>, NetError> {
        let exempt = format!("{},{NEVER_PROXIED}", self.exempt);
        let refuse = |_| NetError::settings("proxy", "the value is not a URL of an HTTP proxy");
        let http = self.http.as_ref().map(|url| Proxy::http(url.expose()).map_err(refuse));
        let https = self.https.as_ref().map(|url| Proxy::https(url.expose()).map_err(refuse));
        http.into_iter()
            .chain(https)
            .map(|proxy| proxy.map(|p| p.no_proxy(NoProxy::from_string(&exempt))))
            .collect()
    }
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
    use super::super::HttpClient;
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(b"not a certificate".as_slice(), "holds no PEM certificate")]
    #[case(b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n".as_slice(), "certificate")]
    #[case(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".as_slice(), "certificate")]
    fn a_bad_authority_is_an_error(#[case] pem: &[u8], #[case] expected: &str) {
        let settings = NetSettings { extra_ca: pem.to_vec(), ..NetSettings::default() };
        let error = HttpClient::new(&settings, GuardedResolver::default()).expect_err("no certificate");
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn proxies_are_checked_and_not_shown() {
        let proxies =
            Proxies { https: Some(Secret::new("http://u:hunter2@proxy:3128")), ..Proxies::default() };
        let settings = NetSettings { proxies, ..NetSettings::default() };
        assert!(HttpClient::new(&settings, GuardedResolver::default()).is_ok());
        assert!(!format!("{settings:?}").contains("hunter2"));
        let proxies = Proxies { http: Some(Secret::new("http://u:hunter2@[bad")), ..Proxies::default() };
        let settings = NetSettings { proxies, ..NetSettings::default() };
        let error = HttpClient::new(&settings, GuardedResolver::default()).expect_err("no URL");
        assert!(!error.to_string().contains("hunter2"));
    }
}
