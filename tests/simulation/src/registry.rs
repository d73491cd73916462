//! A registry in memory, as the distribution specification has it: the honest side of [`crate::wire`].

use std::collections::BTreeMap;

use http::{HeaderMap, Method, StatusCode};
use serde_json::json;

use crate::content::{Manifest, Repositories, children, digest};

/// A request that has come as a whole.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path, from `/v2/` on.
    pub path: &'a str,
    /// The query.
    pub query: &'a BTreeMap<String, String>,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the body broke off.
    pub is_cut: bool,
}

/// An answer.
#[derive(Debug, Default)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body; that of a HEAD is not sent.
    pub body: Vec<u8>,
}

/// The registry.
#[derive(Debug, Default)]
pub struct Registry {
    /// What it holds.
    pub repositories: Repositories,
    uploads: BTreeMap<String, Vec<u8>>,
    begun: u64,
}

fn answer(status: u16) -> Answer {
    Answer { status: StatusCode::from_u16(status).expect("a status"), ..Answer::default() }
}

fn refused(status: u16, code: &str) -> Answer {
    let body = json!({ "errors": [{ "code": code, "message": "no" }] }).to_string().into_bytes();
    Answer { body, ..answer(status) }.with("Content-Type", "application/json")
}

impl Answer {
    fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

impl Registry {
    /// Makes a registry that holds something.
    pub fn holding(repositories: Repositories) -> Self {
        Self { repositories, ..Self::default() }
    }

    /// Forgets what is under way, as a registry does that is started again.
    pub fn restart(&mut self) {
        self.uploads.clear();
    }

    /// Answers a request.
    pub fn answer(&mut self, asked: Asked<'_>) -> Answer {
        let Some(path) = asked.path.strip_prefix("/v2/") else { return refused(404, "NOT_FOUND") };
        if path.is_empty() {
            return answer(200);
        }
        if let Some(name) = path.strip_suffix("/tags/list") {
            return self.tags(name);
        }
        for (kind, handle) in [
            ("/blobs/uploads/", Self::upload as fn(&mut Self, &str, &str, Asked<'_>) -> Answer),
            ("/blobs/", Self::blob),
            ("/manifests/", Self::manifest),
        ] {
            if let Some((name, rest)) = path.split_once(kind) {
                return handle(self, name, rest, asked);
            }
        }
        refused(404, "NOT_FOUND")
    }

    fn tags(&self, name: &str) -> Answer {
        let Some(repository) = self.repositories.get(name) else { return refused(404, "NAME_UNKNOWN") };
        let tags: Vec<&String> = repository.tags.keys().collect();
        Answer { body: json!({ "name": name, "tags": tags }).to_string().into_bytes(), ..answer(200) }
            .with("Content-Type", "application/json")
    }

    fn blob(&mut self, name: &str, wanted: &str, asked: Asked<'_>) -> Answer {
        let Some(bytes) = self.repositories.get(name).and_then(|r| r.blobs.get(wanted)) else {
            return refused(404, "BLOB_UNKNOWN");
        };
        let ok = |status| {
            answer(status)
                .with("Docker-Content-Digest", wanted)
                .with("Content-Type", "application/octet-stream")
        };
        let range =
            asked.headers.get("range").and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("bytes="));
        let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
            return Answer { body: bytes.clone(), ..ok(200) };
        };
        let first: usize = first.parse().unwrap_or_default();
        let last = last.parse().unwrap_or(usize::MAX).min(bytes.len().saturating_sub(1));
        if first >= bytes.len() {
            return refused(416, "RANGE_INVALID");
        }
        let body = bytes[first..=last].to_vec();
        Answer { body, ..ok(206) }.with("Content-Range", format!("bytes {first}-{last}/{}", bytes.len()))
    }

    fn manifest(&mut self, name: &str, wanted: &str, asked: Asked<'_>) -> Answer {
        if *asked.method == Method::PUT {
            return self.put_manifest(name, wanted, asked);
        }
        let Some(repository) = self.repositories.get_mut(name) else { return refused(404, "NAME_UNKNOWN") };
        let found = repository.tags.get(wanted).cloned().unwrap_or_else(|| wanted.to_owned());
        if *asked.method == Method::DELETE {
            if repository.tags.remove(wanted).is_some() {
                return answer(202);
            }
            repository.tags.retain(|_, digest| *digest != found);
            return if repository.manifests.remove(&found).is_some() {
                answer(202)
            } else {
                refused(404, "MANIFEST_UNKNOWN")
            };
        }
        let Some(manifest) = repository.manifests.get(&found) else {
            return refused(404, "MANIFEST_UNKNOWN");
        };
        Answer { body: manifest.bytes.clone(), ..answer(200) }
            .with("Content-Type", &manifest.media_type)
            .with("Docker-Content-Digest", &found)
    }

    fn put_manifest(&mut self, name: &str, wanted: &str, asked: Asked<'_>) -> Answer {
        let media_type =
            asked.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let found = digest(&asked.body);
        if asked.is_cut || (wanted.starts_with("sha256:") && wanted != found) {
            return refused(400, "MANIFEST_INVALID");
        }
        let manifest = Manifest { media_type, bytes: asked.body };
        let repository = self.repositories.entry(name.to_owned()).or_default();
        let (blobs, manifests) = children(&manifest);
        let has_all = blobs.iter().all(|(blob, _)| repository.blobs.contains_key(blob))
            && manifests.iter().all(|child| repository.manifests.contains_key(child));
        if !has_all {
            return refused(400, "MANIFEST_BLOB_UNKNOWN");
        }
        repository.manifests.insert(found.clone(), manifest);
        if !wanted.starts_with("sha256:") {
            repository.tags.insert(wanted.to_owned(), found.clone());
        }
        answer(201)
            .with("Docker-Content-Digest", &found)
            .with("Location", format!("/v2/{name}/manifests/{found}"))
    }

    fn upload(&mut self, name: &str, session: &str, asked: Asked<'_>) -> Answer {
        let at = |session: &str| format!("/v2/{name}/blobs/uploads/{session}?state=x");
        match asked.method.as_str() {
            "POST" => {
                if let (Some(wanted), Some(from)) = (asked.query.get("mount"), asked.query.get("from"))
                    && let Some(bytes) =
                        self.repositories.get(from).and_then(|r| r.blobs.get(wanted)).cloned()
                {
                    self.repositories.entry(name.to_owned()).or_default().blobs.insert(wanted.clone(), bytes);
                    return answer(201).with("Location", format!("/v2/{name}/blobs/{wanted}"));
                }
                self.begun += 1;
                let session = format!("s{}", self.begun);
                self.uploads.insert(session.clone(), Vec::new());
                answer(202).with("Location", at(&session)).with("Range", "0-0")
            }
            "PATCH" | "PUT" => {
                let Some(held) = self.uploads.get_mut(session) else {
                    return refused(404, "BLOB_UPLOAD_UNKNOWN");
                };
                held.extend_from_slice(&asked.body);
                if asked.is_cut {
                    return refused(400, "BLOB_UPLOAD_INVALID");
                }
                let range = format!("0-{}", held.len().saturating_sub(1));
                let Some(wanted) = asked.query.get("digest").filter(|_| *asked.method == Method::PUT) else {
                    return answer(202).with("Location", at(session)).with("Range", range);
                };
                let bytes = self.uploads.remove(session).unwrap_or_default();
                if digest(&bytes) != *wanted {
                    return refused(400, "DIGEST_INVALID");
                }
                self.repositories.entry(name.to_owned()).or_default().blobs.insert(wanted.clone(), bytes);
                answer(201)
                    .with("Location", format!("/v2/{name}/blobs/{wanted}"))
                    .with("Docker-Content-Digest", wanted)
            }
            "GET" => match self.uploads.get(session) {
                Some(held) => answer(204)
                    .with("Location", at(session))
                    .with("Range", format!("0-{}", held.len().saturating_sub(1))),
                None => refused(404, "BLOB_UPLOAD_UNKNOWN"),
            },
            "DELETE" => {
                if self.uploads.remove(session).is_some() {
                    answer(204)
                } else {
                    refused(404, "BLOB_UPLOAD_UNKNOWN")
                }
            }
            _ => refused(405, "UNSUPPORTED"),
        }
    }
}
