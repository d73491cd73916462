//! [`Connector`]: the HTTP of this program for `object_store`, which brings its own ideas of errors and time limits.

use std::time::Duration;

use async_trait::async_trait;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Method, StatusCode};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use time::OffsetDateTime;
use url::Url;

use super::error::Fault;
use crate::net::address::GuardedResolver;
use crate::net::{NetError, NetSettings, parse_retry_after, plain_client, shown};

/// How long a request may take without an answer. A part of an upload has to be through within it: 16 MiB at 450 kbit/s.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// Where clouds keep the credentials of machines and containers: never behind a proxy.
const LINK_LOCAL: &str = "169.254.0.0/16,fd00:ec2::254,fd00:ec2::23";

/// An answer of a store that tells of an error has a few hundred bytes.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// Hands the one client to everything `object_store` makes requests with.
#[derive(Debug)]
pub(super) struct Connector {
    client: reqwest::Client,
}

impl Connector {
    pub(super) fn new(settings: &NetSettings) -> Result<Self, NetError> {
        let mut settings = settings.clone();
        settings.proxies.exempt = format!("{},{LINK_LOCAL}", settings.proxies.exempt);
        // Object stores are reached by names that the user wrote down, and those may lead anywhere but to the local link.
        let client = plain_client(&settings, GuardedResolver::default(), PATIENCE)?;
        Ok(Self { client })
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Service { client: self.client.clone() }))
    }
}

#[derive(Debug)]
struct Service {
    client: reqwest::Client,
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let url = Url::parse(&request.uri().to_string());
        let completes = request.method() == Method::POST
            && request.uri().query().is_some_and(|query| query.contains("uploadId="));
        if completes {
            // An upload never takes the place of an object. Stores that do not know this ignore it.
            request.headers_mut().insert("if-none-match", HeaderValue::from_static("*"));
        }
        let answer = HttpService::call(&self.client, request).await.map_err(|error| {
            let cause = std::error::Error::source(&error).and_then(|e| e.downcast_ref::<reqwest::Error>());
            match cause {
                Some(cause) => {
                    let url = url.as_ref().map(shown).unwrap_or_default();
                    HttpError::new(HttpErrorKind::Unknown, Fault::Net(NetError::explain(&url, cause)))
                }
                None => error,
            }
        })?;
        let status = answer.status();
        match status {
            _ if status.is_success() => Ok(answer),
            // Conditions that are not met, which are told apart by `object_store`.
            StatusCode::NOT_MODIFIED | StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => Ok(answer),
            StatusCode::NOT_FOUND => match fault(answer).await {
                Fault::Answer { code, .. } if code != "NoSuchBucket" => {
                    let mut answer = HttpResponse::new(bytes::Bytes::new().into());
                    *answer.status_mut() = status;
                    Ok(answer)
                }
                fault => Err(HttpError::new(HttpErrorKind::Unknown, fault)),
            },
            _ => Err(HttpError::new(HttpErrorKind::Unknown, fault(answer).await)),
        }
    }
}

async fn fault(answer: HttpResponse) -> Fault {
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok());
    let retry_after = retry_after.and_then(|v| parse_retry_after(v, OffsetDateTime::now_utc()));
    let mut stream = answer.into_body().bytes_stream();
    let mut body = Vec::new();
    while let Some(Ok(piece)) = futures_util::StreamExt::next(&mut stream).await
        && body.len() < MAX_ERROR_BYTES
    {
        body.extend_from_slice(&piece);
    }
    let text = String::from_utf8_lossy(&body);
    Fault::Answer { status, code: element(&text, "Code"), message: element(&text, "Message"), retry_after }
}

/// Returns the text of an element in an error document, as much of it as may be shown; empty if there is none.
fn element(document: &str, name: &str) -> String {
    let start = document.split_once(&format!("<{name}>")).map(|(_, rest)| rest);
    let text = start.and_then(|rest| rest.split_once("</")).map(|(text, _)| text).unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_documents_are_read_as_far_as_needed() {
        let text = "<?xml?><Error><Code>NoSuchBucket</Code><Message>No such\nbucket</Message></Error>";
        assert_eq!(
            (element(text, "Code").as_str(), element(text, "Message").as_str()),
            ("NoSuchBucket", "No suchbucket")
        );
        assert_eq!(element("not XML", "Code"), "");
        assert_eq!(element("<Code>cut off", "Code"), "");
    }
}
