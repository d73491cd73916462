//! Lists: tags, repositories, referrers.

use axum::response::Response;
use http::header::LINK;
use http::{HeaderName, StatusCode};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::media_type;
use oc_mirror_model::reference::Repository;
use serde_json::json;

use super::answer::{Code, Failure, json_response, set};
use super::registry::{Call, Registry};

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

impl Registry {
    /// `GET` of a repository's tags.
    pub(super) async fn tags(&self, repository: &Repository, call: &Call) -> Result<Response, Failure> {
        let Some(tags) = self.backend.tags(repository).await? else {
            let detail = json!({"name": repository.as_str()});
            return Err(
                Failure::not_found(Code::NameUnknown, "there is no such repository").with_detail(detail)
            );
        };
        let tags = tags.iter().map(|t| t.as_str()).collect();
        let (page, next) = page(tags, call)?;
        let body = json!({"name": repository.as_str(), "tags": page});
        let mut response = json_response(StatusCode::OK, "application/json", &body);
        if let Some(query) = next {
            set(&mut response, LINK, &format!("</v2/{repository}/tags/list?{query}>; rel=\"next\""));
        }
        Ok(response)
    }

    /// `GET` of all repositories.
    pub(super) async fn catalog(&self, call: &Call) -> Result<Response, Failure> {
        let repositories = self.backend.repositories().await?;
        let names = repositories.iter().map(Repository::as_str).collect();
        let (page, next) = page(names, call)?;
        let body = json!({"repositories": page});
        let mut response = json_response(StatusCode::OK, "application/json", &body);
        if let Some(query) = next {
            set(&mut response, LINK, &format!("</v2/_catalog?{query}>; rel=\"next\""));
        }
        Ok(response)
    }

    /// `GET` of what refers to a manifest. An empty list for what is not there, as the specification asks.
    pub(super) async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
        call: &Call,
    ) -> Result<Response, Failure> {
        let mut found = self.backend.referrers(repository, subject).await?;
        let filter = call.query("artifactType");
        if let Some(wanted) = filter {
            found.retain(|d| d.artifact_type.as_deref() == Some(wanted));
        }
        let body = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": found});
        let mut response = json_response(StatusCode::OK, media_type::OCI_INDEX, &body);
        if filter.is_some() {
            set(&mut response, FILTERS_APPLIED, "artifactType");
        }
        Ok(response)
    }
}

/// Cuts the page that `n` and `last` ask for out of a sorted list, with the query of the next one.
fn page<'a>(mut items: Vec<&'a str>, call: &Call) -> Result<(Vec<&'a str>, Option<String>), Failure> {
    if let Some(last) = call.query("last") {
        items.retain(|item| *item > last);
    }
    let Some(wanted) = call.query("n") else { return Ok((items, None)) };
    let wanted: usize =
        wanted.parse().map_err(|e| Failure::bad_request(Code::PaginationNumberInvalid, &e))?;
    let more = items.len() > wanted;
    items.truncate(wanted);
    let next = items.last().filter(|_| more).map(|last| {
        url::form_urlencoded::Serializer::new(String::new())
            .append_pair("n", &wanted.to_string())
            .append_pair("last", last)
            .finish()
    });
    Ok((items, next))
}
