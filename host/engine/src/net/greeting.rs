//! [`Greeting`]: what a server shows of itself with its first answer, besides the answer.

use reqwest::header::DATE;
use reqwest::tls::TlsInfo;
use reqwest::{Method, Request, Response, StatusCode};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use url::Url;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::{HttpClient, NetError, shown};

/// What a server shows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Where it answers, without user information and query.
    pub url: String,
    /// What it answers.
    pub status: StatusCode,
    /// What its clock says, in seconds since 1970.
    pub clock: Option<i64>,
    /// Until when its certificate counts, in seconds since 1970; nothing over plain HTTP.
    pub certificate_until: Option<i64>,
}

impl Greeting {
    /// Asks for a URL, and follows no redirect.
    pub async fn of(http: &HttpClient, url: Url) -> Result<Self, NetError> {
        let response = http.send(Request::new(Method::GET, url)).await?;
        Ok(Self {
            url: shown(response.url()),
            status: response.status(),
            clock: clock(&response),
            certificate_until: certificate_until(&response),
        })
    }
}

fn clock(response: &Response) -> Option<i64> {
    let date = response.headers().get(DATE)?.to_str().ok()?;
    OffsetDateTime::parse(date, &Rfc2822).ok().map(OffsetDateTime::unix_timestamp)
}

fn certificate_until(response: &Response) -> Option<i64> {
    let der = response.extensions().get::<TlsInfo>()?.peer_certificate()?;
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.validity().not_after.timestamp())
}
