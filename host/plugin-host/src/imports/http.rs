//! `http`: requests to hosts that were granted; every redirect is checked again, and secrets stay with the host.

use std::sync::Arc;

use oc_mirror_engine::source::{HttpError, HttpRequest};
use url::Url;
use wasmtime::component::Resource;

use crate::bindings::oc_mirror::plugin::http::{Host, Request, Response};
use crate::bindings::oc_mirror::plugin::types::Error;
use crate::fault::{Answer, Fault};
use crate::grants::Access;
use crate::imports::streams::Reader;
use crate::state::StoreState;

/// What a response may have unless the guest asks for more or less.
const DEFAULT_MAX_BYTES: u64 = 64 << 20;
/// What it may ask for.
const MAX_BYTES: u64 = 1 << 30;
/// The longest body that is sent.
const MAX_BODY: usize = 1 << 20;

/// Headers that carry credentials or say where to connect to: the host's business.
const RESERVED: [&str; 12] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "host",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
];

impl Host for StoreState {
    async fn fetch(&mut self, request: Request) -> Answer<(Response, Resource<Reader>)> {
        let request = checked(self, request)?;
        self.charge_requests(1)?;
        let http = self.services()?.http.clone();
        let response = match http.fetch(request).await {
            Err(error @ HttpError::Denied { .. }) => return Err(self.denied(error)),
            answered => answered?,
        };
        let length = response.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let size = length.and_then(|(_, value)| value.parse().ok());
        let reader = self.table.push(Reader::new(response.body, size))?;
        let headers = response.headers;
        Ok((Response { status: response.status, headers, final_url: response.final_url }, reader))
    }
}

impl StoreState {
    /// A redirect that leaves what was granted is refused, with the grant that is missing. Of addresses without a name none is
    /// proposed: those that are refused for themselves would be among them.
    fn denied(&self, error: HttpError) -> Fault {
        if let HttpError::Denied { url, .. } = &error
            && let Ok(target) = url.parse::<Url>()
            && target.domain().is_some()
            && let Err(Fault::Answer(Error::Denied(why))) = self.check(Access::Http(&target))
        {
            return Fault::denied(format!("{error}; {why}"));
        }
        error.into()
    }
}

fn checked(state: &StoreState, request: Request) -> Answer<HttpRequest> {
    let url: Url = request.url.parse().map_err(|e| Fault::invalid(format!("this is not a URL: {e}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::invalid("a URL may not carry credentials; name one in `credential`"));
    }
    state.check(Access::Http(&url))?;
    if !matches!(request.method.as_str(), "GET" | "HEAD" | "POST") {
        return Err(Fault::invalid("the method is one of GET, HEAD and POST"));
    }
    if let Some(name) = &request.credential {
        state.check(Access::Credential(name))?;
        if !state.services()?.http.has_credential(name) {
            return Err(Fault::not_found(format!("the credential `{name}`")));
        }
    }
    if request.body.as_ref().is_some_and(|body| body.len() > MAX_BODY) {
        return Err(Fault::invalid(format!("a body has at most {MAX_BODY} bytes")));
    }
    let kept = |name: &str| !RESERVED.contains(&name.to_ascii_lowercase().as_str());
    let permissions = Arc::clone(&state.shared.permissions);
    Ok(HttpRequest {
        method: request.method,
        url: url.into(),
        headers: request.headers.into_iter().filter(|(name, _)| kept(name)).collect(),
        body: request.body,
        credential: request.credential,
        max_bytes: request.max_bytes.unwrap_or(DEFAULT_MAX_BYTES).min(MAX_BYTES),
        allow: Arc::new(move |target| {
            target.parse().is_ok_and(|url: Url| permissions.allow(&Access::Http(&url)))
        }),
    })
}
