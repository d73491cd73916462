//! Web servers: [`Recording`] and [`Replaying`].

use std::sync::Arc;

use async_trait::async_trait;
use oc_mirror_model::digest::Algorithm;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::entry::{Call, Outcome, Streamed};
use super::recorder::Recorder;
use super::replay::Replay;
use super::stream::{recorded, replayed};
use crate::source::{HttpError, HttpFetch, HttpRequest, HttpResponse};

/// What an answer has besides its body.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) final_url: String,
}

/// The form of [`HttpError`].
#[derive(Serialize, Deserialize)]
#[serde(remote = "HttpError", rename_all = "camelCase")]
enum Fault {
    Denied { url: String, reason: String },
    Invalid(String),
    Unavailable(String),
}

#[derive(Serialize, Deserialize)]
pub(super) struct Failed(#[serde(with = "Fault")] pub(super) HttpError);

/// Names a request: its address, and the hash of all that an answer may depend on.
pub(super) fn call_of(request: &HttpRequest) -> Call {
    let mut hasher = Algorithm::Sha256.hasher();
    let mut add = |part: &[u8]| {
        // With its length before it, no part runs into the next one.
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    };
    add(request.method.as_bytes());
    add(request.url.as_bytes());
    for (name, value) in &request.headers {
        add(name.to_ascii_lowercase().as_bytes());
        add(value.as_bytes());
    }
    add(request.body.as_deref().unwrap_or_default());
    add(request.credential.as_deref().unwrap_or_default().as_bytes());
    Call::Http { method: request.method.clone(), url: shown(&request.url), request: hasher.finish() }
}

/// Leaves out what may be secret in a URL: user information, query and fragment.
pub(super) fn shown(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return "(no URL)".to_owned() };
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

/// HTTP whose answers are written down.
pub(super) struct Recording {
    inner: Arc<dyn HttpFetch>,
    recorder: Arc<Recorder>,
}

impl Recording {
    pub(super) fn new(inner: Arc<dyn HttpFetch>, recorder: Arc<Recorder>) -> Self {
        Self { inner, recorder }
    }
}

#[async_trait]
impl HttpFetch for Recording {
    async fn fetch(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let call = call_of(&request);
        match self.inner.fetch(request).await {
            Ok(response) => {
                let HttpResponse { status, headers, final_url, body } = response;
                let head = Head { status, headers: headers.clone(), final_url: final_url.clone() };
                let head = serde_json::to_value(head).expect("the forms of recordings have texts as keys");
                let body = recorded(body, self.recorder.clone(), call, head, None);
                Ok(HttpResponse { status, headers, final_url, body })
            }
            Err(error) => {
                let failed = Failed(error);
                self.recorder.note(call, Outcome::of(&Err::<(), _>(&failed)));
                Err(failed.0)
            }
        }
    }

    fn has_credential(&self, name: &str) -> bool {
        let answer = self.inner.has_credential(name);
        let call = Call::Credential { name: name.to_owned() };
        self.recorder.note(call, Outcome::Answer(Value::Bool(answer)));
        answer
    }
}

/// HTTP of a recording.
pub(super) struct Replaying {
    replay: Arc<Replay>,
}

impl Replaying {
    pub(super) fn new(replay: Arc<Replay>) -> Self {
        Self { replay }
    }
}

#[async_trait]
impl HttpFetch for Replaying {
    async fn fetch(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let call = call_of(&request);
        let damaged = |e: &dyn std::fmt::Display| {
            HttpError::Invalid(format!("the recording is damaged where it has {call}: {e}"))
        };
        let found = self.replay.answer(&call).map_err(HttpError::Unavailable)?;
        let answer: Result<&Value, Failed> = match &*found {
            Outcome::Answer(value) => Ok(value),
            Outcome::Error(value) => Err(Failed::deserialize(value).map_err(|e| damaged(&e))?),
        };
        let answer = answer.map_err(|Failed(error)| error)?;
        let Head { status, headers, final_url } = Head::deserialize(answer).map_err(|e| damaged(&e))?;
        let streamed = Streamed::deserialize(answer).map_err(|e| damaged(&e))?;
        let length = streamed.body.bytes().map_err(|e| damaged(&e))?.len() as u64;
        if length > request.max_bytes {
            let text =
                format!("`{}` answers with more than {} bytes", shown(&request.url), request.max_bytes);
            return Err(HttpError::Unavailable(text));
        }
        if final_url != shown(&request.url) && !(request.allow)(&final_url) {
            return Err(HttpError::Denied { url: final_url, reason: "it is not granted".to_owned() });
        }
        let body = replayed(streamed, self.replay.clone(), call);
        Ok(HttpResponse { status, headers, final_url, body })
    }

    fn has_credential(&self, name: &str) -> bool {
        let call = Call::Credential { name: name.to_owned() };
        self.replay.answer(&call).is_ok_and(|outcome| *outcome == Outcome::Answer(Value::Bool(true)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_in_the_address_and_all_of_it_counts() {
        let request = |url: &str, headers: &[(&str, &str)]| HttpRequest {
            method: "GET".to_owned(),
            url: url.to_owned(),
            headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            body: None,
            credential: None,
            max_bytes: 1,
            allow: Arc::new(|_| true),
        };
        let one = call_of(&request("https://u:hunter2@a.example/x?key=hunter2#y", &[]));
        assert_eq!(one.to_string(), "http GET https://a.example/x");
        let written = serde_json::to_string(&one).unwrap();
        assert!(!written.contains("hunter2"), "{written}");
        let others = [
            request("https://u:hunter2@a.example/x?key=other", &[]),
            request("https://u:hunter2@a.example/x?key=hunter2#y", &[("x-key", "hunter2")]),
        ];
        for other in &others {
            assert_ne!(one, call_of(other));
            assert!(!serde_json::to_string(&call_of(other)).unwrap().contains("hunter2"));
        }
    }
}
