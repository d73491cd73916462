//! [`Quirk`]: what registries of certain makes do that others do not, and [`Personality`], the quirks of one make.
//!
//! A quirk remembers what it has seen, so unlike a rule it can behave as a registry that has a state of its own. Several
//! quirks of one registry all apply: the first that answers in its place wins, the others see the answers that it makes.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::connection::Request;
use crate::http::{self, Headers, Response};
use crate::image::sha256;

/// Something that a registry does in its own way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// Every answer has this header field.
    Header(&'static str, &'static str),
    /// Uploads with a body above so many bytes get this status: a limit of the registry, or of the proxy before it.
    LargestBody(usize, u16),
    /// `PATCH` and `PUT` that say which range they send may send no more than this; others may. GHCR.
    LargestRange(usize),
    /// Of several `PATCH` requests only the last one's bytes are kept. GHCR.
    OnlyLastChunk,
    /// The `Range` in answers to chunks stays at the first one. ECR.
    StuckRange,
    /// `PATCH` is answered with 201. ECR.
    PatchCreates,
    /// There is no `PATCH`. GAR.
    NoChunks,
    /// Opening an upload tells `Range: bytes=0--1`. Quay.
    OddRange,
    /// `Location` has no host.
    RelativeLocation,
    /// Blobs must come with the `POST`; a session that was opened cannot be finished for want of a right. Artifactory.
    OnlySinglePost,
    /// A repository must have been created: all of these have been. ECR.
    Repositories(Vec<String>),
    /// A repository's first component must be a project or an organization; these are. Harbor, Quay.
    Projects(Vec<String>),
    /// A repository must have at least so many components. Quay, Harbor.
    LeastComponents(usize),
    /// A repository may have at most so many components; above, it gets this status.
    MostComponents(usize, u16),
    /// `HEAD` of a tag is always 404. Nexus.
    BlindHead,
    /// A tag that is there cannot be put again, not even as it is. The words are those of ECR.
    ImmutableTags,
    /// Manifests of OCI's media types are refused. Artifactory, Nexus and Quay before they had them.
    NoOci,
    /// `Accept` that asks for more than JSON is refused with 406, but for manifests. Artifactory.
    PlainAccept,
    /// Requests whose header fields have more bytes than this get 400, as nginx has it.
    LongestHeader(usize),
    /// A list of tags may be asked for in pages of at most so many. ECR.
    LongestPage(usize),
    /// A mount needs no `from`: the blob is found wherever it is. zot.
    MountsAnywhere,
    /// Mounts get this status.
    NoMount(u16),
    /// At most so many manifests may be put within a second; above, 429 without `Retry-After`. ECR.
    ManifestsPerSecond(usize),
    /// Deleting manifests and tags is refused.
    NoDeletion,
    /// Content is named by SHA-256 only.
    OnlySha256,
    /// The extension API names these extensions. zot.
    Extensions(&'static str),
}

/// A make of registry, with the quirks that are known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Personality {
    /// Amazon's, with no repository created yet.
    Ecr,
    /// Harbor with the project `mirror`.
    Harbor,
    /// Quay with the organization `mirror`, without extended names.
    Quay,
    /// GitLab with the project `group/project`.
    GitLab,
    /// JFrog's.
    Artifactory,
    /// Sonatype's.
    Nexus,
    /// GitHub's.
    Ghcr,
    /// Azure's.
    Acr,
    /// Google's.
    Gar,
    /// zot.
    Zot,
    /// Docker's, with the account `mirror`.
    DockerHub,
}

impl Personality {
    /// Returns what it does in its own way.
    pub fn quirks(self) -> Vec<Quirk> {
        use Quirk as Q;
        let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        match self {
            Self::Ecr => vec![
                Q::Repositories(Vec::new()),
                Q::StuckRange,
                Q::PatchCreates,
                Q::ImmutableTags,
                Q::LongestPage(1000),
                Q::ManifestsPerSecond(10),
                Q::OnlySha256,
            ],
            Self::Harbor => vec![Q::Projects(named(&["mirror"])), Q::LeastComponents(2)],
            Self::Quay => vec![
                Q::Projects(named(&["mirror"])),
                Q::LeastComponents(2),
                Q::MostComponents(2, 401),
                Q::OddRange,
            ],
            Self::GitLab => {
                vec![Q::LeastComponents(2), Q::MostComponents(4, 401), Q::RelativeLocation]
            }
            Self::Artifactory => vec![
                Q::Header("X-JFrog-Version", "Artifactory/7.98.7 79807900"),
                Q::OnlySinglePost,
                Q::PlainAccept,
            ],
            Self::Nexus => {
                vec![Q::Header("Server", "Nexus/3.70.1-02 (OSS)"), Q::BlindHead, Q::LongestHeader(8 << 10)]
            }
            Self::Ghcr => {
                vec![Q::LargestRange(4 << 20), Q::LargestBody(4 << 20, 416), Q::OnlyLastChunk, Q::NoDeletion]
            }
            Self::Acr => vec![Q::LargestBody(20 << 20, 413), Q::LongestHeader(8 << 10)],
            Self::Gar => vec![Q::NoChunks, Q::NoMount(405)],
            Self::Zot => vec![Q::MountsAnywhere, Q::Extensions("_zot")],
            Self::DockerHub => {
                vec![
                    Q::Projects(named(&["mirror"])),
                    Q::LeastComponents(2),
                    Q::MostComponents(2, 401),
                    Q::NoDeletion,
                ]
            }
        }
    }
}

/// The quirks of a registry, and what they remember.
#[derive(Debug, Default)]
pub(super) struct Quirks {
    quirks: Vec<Quirk>,
    /// The first `Range` told of each upload.
    ranges: HashMap<String, String>,
    /// What the last `PATCH` of each upload brought, and where the upload is.
    chunks: HashMap<String, Vec<u8>>,
    tags: BTreeSet<String>,
    /// A repository that has each blob.
    blobs: HashMap<String, String>,
    manifests: Vec<Instant>,
}

/// What the path of a request names.
struct Named<'a> {
    repository: &'a str,
    /// What follows: `blobs/uploads/…`, `manifests/…`.
    rest: &'a str,
}

fn named(path: &str) -> Option<Named<'_>> {
    let path = path.split('?').next()?.strip_prefix("/v2/")?;
    let at = ["/blobs/", "/manifests/", "/tags/", "/referrers/"].iter().find_map(|mark| path.rfind(mark))?;
    Some(Named { repository: &path[..at], rest: &path[at + 1..] })
}

fn query<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = path.split_once('?')?;
    query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, v)| v))
}

fn error(status: u16, code: &str, message: &str) -> Response {
    let body = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    Response { status, headers, body: body.to_string().into_bytes() }
}

fn plain(status: u16, headers: &[(&str, &str)]) -> Response {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Response { status, headers, body: Vec::new() }
}

fn replace(headers: &mut Headers, name: &str, value: &str) {
    headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    headers.push((name.to_owned(), value.to_owned()));
}

/// Sends a request to the registry behind.
type Upstream<'a> = &'a dyn Fn(&Request) -> std::io::Result<Response>;

impl Quirks {
    pub(super) fn is_empty(&self) -> bool {
        self.quirks.is_empty()
    }

    pub(super) fn add(&mut self, quirk: Quirk) {
        self.quirks.push(quirk);
    }

    /// Creates a repository or project, as an administrator would.
    pub(super) fn create(&mut self, name: &str) {
        for quirk in &mut self.quirks {
            if let Quirk::Repositories(names) | Quirk::Projects(names) = quirk {
                names.push(name.to_owned());
            }
        }
    }

    /// Answers in place of the registry behind, or changes the request on its way to it.
    pub(super) fn before(
        &mut self,
        request: &mut Request,
        upstream: Upstream<'_>,
    ) -> std::io::Result<Option<Response>> {
        for at in 0..self.quirks.len() {
            let quirk = self.quirks[at].clone();
            if let Some(answer) = self.ask(&quirk, request, upstream)? {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    fn ask(
        &mut self,
        quirk: &Quirk,
        request: &mut Request,
        upstream: Upstream<'_>,
    ) -> std::io::Result<Option<Response>> {
        let path = request.path.clone();
        let method = request.method.clone();
        if let Quirk::Extensions(names) = quirk
            && path == "/v2/_oci/ext/discover"
        {
            let body = serde_json::json!({ "extensions": [{ "name": names, "endpoints": [] }] });
            let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
            return Ok(Some(Response { status: 200, headers, body: body.to_string().into_bytes() }));
        }
        if let Quirk::LongestHeader(most) = quirk {
            let bytes: usize = request.headers.iter().map(|(n, v)| n.len() + v.len() + 4).sum();
            return Ok((bytes > *most).then(|| plain(400, &[])));
        }
        let Some(Named { repository, rest }) = named(&path) else { return Ok(None) };
        let is_upload = rest.starts_with("blobs/uploads/");
        let is_session = is_upload && matches!(method.as_str(), "PATCH" | "PUT");
        let components = repository.split('/').count();
        let refused = match quirk {
            Quirk::LargestBody(most, status) if is_upload && request.body.len() > *most => {
                // GHCR takes a stream without a range, however long it is.
                let streamed = *status == 416 && method == "PATCH" && !has(request, "content-range");
                (!streamed).then(|| error(*status, "SIZE_INVALID", "the request body is too large"))
            }
            Quirk::LargestRange(most) if is_session && request.body.len() > *most => {
                let told = has(request, "content-range");
                told.then(|| error(416, "REQUESTED_RANGE_NOT_SATISFIABLE", "the request body is too large"))
            }
            Quirk::OnlyLastChunk if is_session => return self.keep_last(request, &path),
            Quirk::NoChunks if method == "PATCH" => Some(error(404, "UNSUPPORTED", "no chunks")),
            Quirk::OnlySinglePost if method == "PUT" && is_upload => {
                Some(error(403, "DENIED", "not enough permissions to overwrite the upload"))
            }
            Quirk::OnlySinglePost if method == "POST" && is_upload && query(&path, "digest").is_some() => {
                return single(request, &path, upstream).map(Some);
            }
            Quirk::Repositories(names) if names.iter().all(|name| name != repository) => {
                let text = format!("The repository with name '{repository}' does not exist in the registry");
                Some(error(404, "NAME_UNKNOWN", &text))
            }
            Quirk::Projects(names) => {
                let project = repository.split('/').next().unwrap_or_default();
                let missing = names.iter().all(|name| name != project);
                let text = format!("project {project} not found");
                missing.then(|| error(401, "UNAUTHORIZED", &text))
            }
            Quirk::LeastComponents(least) if components < *least => {
                Some(error(404, "NAME_INVALID", "invalid repository name"))
            }
            Quirk::MostComponents(most, status) if components > *most => {
                Some(error(*status, "DENIED", "requested access to the resource is denied"))
            }
            Quirk::BlindHead if method == "HEAD" && rest.starts_with("manifests/") && !rest.contains(':') => {
                Some(plain(404, &[]))
            }
            Quirk::ImmutableTags if method == "PUT" && rest.starts_with("manifests/") => {
                let there = self.tags.contains(&path);
                there.then(|| error(400, "TAG_INVALID", "ImageTagAlreadyExistsException: tag is immutable"))
            }
            Quirk::NoOci if method == "PUT" && rest.starts_with("manifests/") => {
                let kind = http::header(&request.headers, "content-type").unwrap_or_default();
                let oci = kind.starts_with("application/vnd.oci.");
                oci.then(|| error(415, "MANIFEST_INVALID", "the media type is not supported"))
            }
            Quirk::PlainAccept if !rest.starts_with("manifests/") => {
                let accept = http::header(&request.headers, "accept").unwrap_or("*/*");
                let listed =
                    rest.starts_with("referrers/") && accept == "application/vnd.oci.image.index.v1+json";
                let surplus = !listed && accept != "*/*" && accept != "application/json";
                surplus.then(|| plain(406, &[]))
            }
            Quirk::LongestPage(most) => {
                let asked = query(&path, "n").and_then(|n| n.parse::<usize>().ok());
                asked
                    .filter(|n| n > most)
                    .map(|_| error(400, "PAGINATION_NUMBER_INVALID", "invalid number of results"))
            }
            Quirk::NoMount(status) if query(&path, "mount").is_some() => {
                Some(error(*status, "UNSUPPORTED", "no mounts"))
            }
            Quirk::MountsAnywhere if method == "POST" => {
                let wanted = query(&path, "mount").map(str::to_owned);
                if let Some(digest) = wanted
                    && query(&path, "from").is_none()
                    && let Some(from) = self.blobs.get(&digest)
                {
                    request.path.push_str(&format!("&from={from}"));
                }
                None
            }
            Quirk::ManifestsPerSecond(most) if method == "PUT" && rest.starts_with("manifests/") => {
                self.manifests.retain(|at| at.elapsed() < Duration::from_secs(1));
                let surplus = self.manifests.len() >= *most;
                if !surplus {
                    self.manifests.push(Instant::now());
                }
                surplus.then(|| error(429, "TOOMANYREQUESTS", "Rate exceeded"))
            }
            Quirk::NoDeletion if method == "DELETE" && !is_upload => {
                Some(error(405, "UNSUPPORTED", "The operation is unsupported."))
            }
            Quirk::OnlySha256 if path.contains("sha512:") => {
                Some(error(400, "DIGEST_INVALID", "only sha256 is supported"))
            }
            _ => None,
        };
        Ok(refused)
    }

    /// Keeps what a `PATCH` brings in place of what another one brought, and sends it on with the `PUT`.
    fn keep_last(&mut self, request: &mut Request, path: &str) -> std::io::Result<Option<Response>> {
        let upload = path.split('?').next().unwrap_or_default().to_owned();
        if request.method == "PATCH" {
            let end = request.body.len().saturating_sub(1);
            let range = http::header(&request.headers, "content-range").map(str::to_owned);
            let range = range.unwrap_or_else(|| format!("0-{end}"));
            let end = range.rsplit('-').next().unwrap_or_default();
            self.chunks.insert(upload, std::mem::take(&mut request.body));
            return Ok(Some(plain(202, &[("Location", path), ("Range", &format!("0-{end}"))])));
        }
        if let Some(mut kept) = self.chunks.remove(&upload) {
            kept.append(&mut request.body);
            request.body = kept;
        }
        Ok(None)
    }

    /// Looks at the answer of the registry behind, and changes it.
    pub(super) fn after(&mut self, request: &Request, response: &mut Response) {
        let done = (200..300).contains(&response.status);
        if let (true, Some(Named { repository, rest })) = (done, named(&request.path)) {
            if request.method == "PUT" && rest.starts_with("manifests/") && !rest.contains(':') {
                self.tags.insert(request.path.clone());
            }
            if let Some(digest) = query(&request.path, "digest").filter(|_| request.method == "PUT") {
                self.blobs.insert(digest.replace("%3A", ":"), repository.to_owned());
            }
        }
        let is_upload = request.path.contains("/blobs/uploads/");
        for quirk in &self.quirks {
            match quirk {
                Quirk::Header(name, value) => replace(&mut response.headers, name, value),
                Quirk::StuckRange if done && request.method == "PATCH" => {
                    let upload = request.path.split('?').next().unwrap_or_default().to_owned();
                    let told = http::header(&response.headers, "range").unwrap_or_default().to_owned();
                    let first = self.ranges.entry(upload).or_insert(told);
                    replace(&mut response.headers, "Range", first);
                }
                Quirk::PatchCreates if done && request.method == "PATCH" => response.status = 201,
                Quirk::OddRange if done && request.method == "POST" && is_upload => {
                    replace(&mut response.headers, "Range", "bytes=0--1");
                }
                Quirk::RelativeLocation if is_upload => {
                    let location = http::header(&response.headers, "location");
                    let path =
                        location.and_then(|l| l.split_once("://")).and_then(|(_, r)| r.split_once('/'));
                    if let Some(path) = path.map(|(_, path)| format!("/{path}")) {
                        replace(&mut response.headers, "Location", &path);
                    }
                }
                _ => {}
            }
        }
    }
}

fn has(request: &Request, header: &str) -> bool {
    http::header(&request.headers, header).is_some()
}

/// Takes a blob with the `POST`, by opening an upload behind and finishing it.
fn single(request: &Request, path: &str, upstream: Upstream<'_>) -> std::io::Result<Response> {
    let digest = query(path, "digest").unwrap_or_default().replace("%3A", ":");
    if sha256(&request.body) != digest {
        return Ok(error(400, "DIGEST_INVALID", "the digest does not match"));
    }
    let start = path.split('?').next().unwrap_or_default().to_owned();
    let opened = Request { path: start, body: Vec::new(), ..request.clone() };
    let answer = upstream(&opened)?;
    let Some(location) = answer.header("location").filter(|_| answer.status == 202) else {
        return Ok(answer);
    };
    let path = location.split_once("://").map_or(location, |(_, rest)| &rest[rest.find('/').unwrap_or(0)..]);
    let separator = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{separator}digest={digest}");
    upstream(&Request { method: "PUT".to_owned(), path, ..request.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cut_at_the_last_mark() {
        let Named { repository, rest } = named("/v2/a/blobs/b/blobs/uploads/?mount=x").unwrap();
        assert_eq!((repository, rest), ("a/blobs/b", "blobs/uploads/"));
        assert!(named("/v2/").is_none());
        assert_eq!(query("/v2/a/blobs/uploads/?mount=x&from=b", "from"), Some("b"));
    }
}
