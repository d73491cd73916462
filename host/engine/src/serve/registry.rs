//! Takes a request apart and hands it to the function that answers it: [`Registry`].

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{CONTENT_LENGTH, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use serde_json::json;

use super::access::{CHALLENGE, Wish};
use super::answer::{Failure, json_response, set};
use super::route::Route;
use super::uploads::Uploads;
use super::{ACCESS_LOG, Backend, ServeOptions};
use crate::layout::Layout;

/// What all requests share.
pub(super) struct Registry {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) options: ServeOptions,
    pub(super) uploads: Uploads,
}

/// A request, without its path and body.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    query: Vec<(String, String)>,
}

impl Call {
    /// Returns the first value of a query parameter.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query_all(name).next()
    }

    /// Returns all values of a query parameter.
    pub(super) fn query_all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.query.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns a header, if it is text.
    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns what the client says how long the body is.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.header(CONTENT_LENGTH)?.parse().ok()
    }
}

impl Registry {
    pub(super) fn new(backend: Arc<dyn Backend>, options: ServeOptions) -> Self {
        let uploads = Uploads::new(options.max_uploads, options.upload_idle);
        Self { backend, options, uploads }
    }

    /// Returns where writes go.
    pub(super) fn directory(&self) -> Result<&Layout, Failure> {
        self.backend.directory().filter(|l| l.is_writable()).ok_or_else(Failure::read_only)
    }

    /// Refuses what the one who asks may not do.
    async fn admit(&self, route: &Route, call: &Call) -> Result<(), Failure> {
        let Some(access) = &self.options.access else { return Ok(()) };
        let wish = match (route, &call.method) {
            (Route::Base, _) => Wish::Greet,
            (_, &Method::GET | &Method::HEAD) => Wish::Read,
            _ => Wish::Write,
        };
        access.admit(&call.headers, wish).await
    }

    async fn route(&self, route: Route, call: &Call, body: Body) -> Result<Response, Failure> {
        let method = call.method.clone();
        let reads = method == Method::GET || method == Method::HEAD;
        match route {
            Route::Base if reads => {
                let mut response = json_response(StatusCode::OK, "application/json", &json!({}));
                if self.options.access.is_some() {
                    // Clients ask here once what they are to send, and whoever may read without being asked may want
                    // to write later.
                    set(&mut response, WWW_AUTHENTICATE, CHALLENGE);
                }
                Ok(response)
            }
            Route::Catalog if reads => self.catalog(call).await,
            Route::Tags(name) if reads => self.tags(&name, call).await,
            Route::Referrers(name, digest) if reads => self.referrers(&name, &digest, call).await,
            Route::Base | Route::Catalog | Route::Tags(_) | Route::Referrers(..) => {
                Err(Failure::method("GET, HEAD"))
            }
            Route::Manifest(name, selector) => match method {
                Method::GET | Method::HEAD => self.get_manifest(&name, &selector, call).await,
                Method::PUT => self.put_manifest(&name, &selector, call, body).await,
                Method::DELETE => self.delete_manifest(&name, &selector).await,
                _ => Err(Failure::method("GET, HEAD, PUT, DELETE")),
            },
            Route::Blob(name, digest) => match method {
                Method::GET | Method::HEAD => self.get_blob(&name, &digest, call).await,
                Method::DELETE => self.delete_blob(&name, &digest).await,
                _ => Err(Failure::method("GET, HEAD, DELETE")),
            },
            Route::Uploads(name) => match method {
                Method::POST => self.begin_upload(&name, call, body).await,
                _ => Err(Failure::method("POST")),
            },
            Route::Upload(name, id) => match method {
                Method::GET | Method::HEAD => self.upload_status(&name, id),
                Method::PATCH => self.add_to_upload(&name, id, call, body).await,
                Method::PUT => self.end_upload(&name, id, call, body).await,
                Method::DELETE => self.cancel_upload(&name, id),
                _ => Err(Failure::method("GET, PATCH, PUT, DELETE")),
            },
        }
    }
}

/// Answers one request.
pub(super) async fn answer(State(registry): State<Arc<Registry>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default();
    let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let call = Call { method: parts.method.clone(), headers: parts.headers, query };
    let answered = match Route::parse(parts.uri.path()) {
        Ok(route) => match registry.admit(&route, &call).await {
            Ok(()) => registry.route(route, &call, body).await,
            Err(failure) => Err(failure),
        },
        Err(failure) => Err(failure),
    };
    let mut response = answered.unwrap_or_else(Failure::into_response);
    set(&mut response, HeaderName::from_static("docker-distribution-api-version"), "registry/2.0");
    if parts.method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    let bytes = response.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    // The debug form escapes whatever a client may have put into its path.
    tracing::info!(
        target: ACCESS_LOG,
        method = %parts.method,
        path = ?parts.uri.path(),
        query = ?parts.uri.query().unwrap_or_default(),
        status = response.status().as_u16(),
        bytes = bytes.and_then(|b| b.parse::<u64>().ok()).unwrap_or_default(),
    );
    response
}
