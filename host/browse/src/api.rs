//! What the page asks for, as JSON.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /api/state` | | version, configuration with its text, catalogs that were named, whether there are imagesets |
//! | `GET /api/imagesets` | | descriptions, as `oc-mirror describe -o json` prints them |
//! | `POST /api/lint` | `text` | `findings`, as `oc-mirror lint -o json` prints them, and what the text has |
//! | `POST /api/pick` | `text`, `pick` | the text with it, or 422 with `findings` |
//! | `POST /api/save` | `text`, `digest` | the new `digest`, or 409 where somebody else has changed the file |
//! | `POST /api/ask` | `question`, `arguments` | the answer of a plugin, or of a registry |
//!
//! What goes wrong has `message` and maybe `hint`.

use axum::http::{Method, StatusCode};
use axum::response::Response;
use oc_mirror_model::config::{self, Configuration, Finding, LintSettings, Severity};
use oc_mirror_model::digest::Digest;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::answer::{fault, json as told, text};
use crate::file::Unsaved;
use crate::pick::{Pick, chosen, pick};
use crate::server::Desk;
use crate::{Fault, Question};

/// The questions that can be asked about a catalog.
const OF_OPERATORS: [&str; 2] = ["catalog", "details"];
/// Those that can be asked about releases.
const OF_RELEASES: [&str; 3] = ["channels", "graph", "updates"];
/// How many images are measured at once.
const MOST_IMAGES: usize = 500;

#[derive(Deserialize)]
struct Text {
    text: String,
}

#[derive(Deserialize)]
struct Picking {
    text: String,
    pick: Pick,
}

#[derive(Deserialize)]
struct Saving {
    text: String,
    /// That of what was read; nothing where there was no file.
    digest: Option<Digest>,
}

#[derive(Deserialize)]
struct Asking {
    question: String,
    #[serde(default)]
    arguments: Value,
}

/// Answers a request below `/api/`.
pub(crate) async fn answer(desk: &Desk, method: &Method, path: &str, body: &[u8]) -> Response {
    let outcome = match (method.as_str(), path) {
        ("GET", "/api/state") => state(desk),
        ("GET", "/api/imagesets") => desk.guide.imagesets().await.map(|found| told(StatusCode::OK, &found)),
        ("POST", "/api/lint") => read(body).map(|Text { text }| lint(desk, &text)),
        ("POST", "/api/pick") => read(body).map(|asked| picking(&asked)),
        ("POST", "/api/save") => return save(desk, body).await,
        ("POST", "/api/ask") => match read(body).and_then(question) {
            Ok(question) => desk.guide.ask(question).await.map(|answer| told(StatusCode::OK, &answer)),
            Err(fault) => Err(fault),
        },
        _ => return text(StatusCode::NOT_FOUND, "There is no such thing.\n"),
    };
    outcome.unwrap_or_else(|found| fault(StatusCode::BAD_REQUEST, &found))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| Fault::new(format!("the request cannot be read: {error}")))
}

fn state(desk: &Desk) -> Result<Response, Fault> {
    let held = desk.file.as_ref().map(|file| file.read()).transpose()?.flatten();
    let file = desk.file.as_ref().map(|file| {
        json!({
            "path": file.path().display().to_string(),
            "text": held.as_ref().map_or("", |held| held.text.as_str()),
            "digest": held.as_ref().map(|held| &held.digest),
        })
    });
    let mut catalogs = desk.catalogs.clone();
    if let Some(Configuration::Mirror(found)) =
        held.and_then(|held| config::parse(&held.text).ok()).map(|parsed| parsed.configuration)
    {
        catalogs.extend(found.mirror.operators.into_iter().map(|operator| operator.catalog));
    }
    let mut seen = std::collections::BTreeSet::new();
    catalogs.retain(|catalog| seen.insert(catalog.clone()));
    Ok(told(
        StatusCode::OK,
        &json!({
            "version": desk.version,
            "file": file,
            "catalogs": catalogs,
            "imagesets": desk.imagesets,
        }),
    ))
}

fn lint(desk: &Desk, text: &str) -> Response {
    let builtins: Vec<&str> = desk.builtins.iter().map(String::as_str).collect();
    let settings = LintSettings { builtins: &builtins, today: desk.today.as_deref() };
    // Nothing written is no mistake yet.
    let findings = if text.trim().is_empty() { Vec::new() } else { config::lint(text, settings) };
    told(StatusCode::OK, &json!({ "findings": findings, "chosen": chosen(text) }))
}

fn picking(asked: &Picking) -> Response {
    match pick(&asked.text, &asked.pick) {
        Ok(picked) => told(StatusCode::OK, &picked),
        Err(error) => {
            let wrong = error.problems.into_iter();
            let findings: Vec<Finding> =
                wrong.map(|problem| Finding::new("invalid", Severity::Error, problem)).collect();
            let message = "the configuration cannot be changed";
            let first = findings.first().map(|finding| {
                let (line, problem) = (finding.problem.line, &finding.problem.message);
                format!("{message}: line {line}: {problem}")
            });
            let message = first.unwrap_or_else(|| message.to_owned());
            let hint = "mend what is said about it first";
            told(
                StatusCode::UNPROCESSABLE_ENTITY,
                &json!({ "message": message, "hint": hint, "findings": findings }),
            )
        }
    }
}

async fn save(desk: &Desk, body: &[u8]) -> Response {
    let (saving, file) = match (read::<Saving>(body), &desk.file) {
        (Err(wrong), _) => return fault(StatusCode::BAD_REQUEST, &wrong),
        (Ok(_), None) => {
            let wrong = Fault::new("no file was named to save to").with_hint("name one with --config FILE");
            return fault(StatusCode::BAD_REQUEST, &wrong);
        }
        (Ok(saving), Some(file)) => (saving, file),
    };
    // One at a time, so that nobody writes between the look and the write.
    let _guard = desk.saving.lock().await;
    match file.save(&saving.text, saving.digest.as_ref()) {
        Ok(digest) => told(StatusCode::OK, &json!({ "digest": digest })),
        Err(Unsaved::Changed(wrong)) => fault(StatusCode::CONFLICT, &wrong),
        Err(Unsaved::Failed(wrong)) => fault(StatusCode::INTERNAL_SERVER_ERROR, &wrong),
    }
}

/// Reads a question, and refuses what the page never asks.
fn question(asked: Asking) -> Result<Question, Fault> {
    let Asking { question, arguments } = asked;
    let among = |names: &'static [&'static str]| names.iter().find(|name| **name == question).copied();
    if let Some(name) = among(&OF_OPERATORS) {
        let catalog = arguments["catalog"].as_str().unwrap_or_default().trim().to_owned();
        if catalog.is_empty() {
            return Err(Fault::new("no catalog was named")
                .with_hint("a catalog is HOST/PATH:TAG, HOST/PATH@sha256:… or oci://DIR"));
        }
        return Ok(Question::Operators { name, catalog, arguments });
    }
    if let Some(name) = among(&OF_RELEASES) {
        return Ok(Question::Releases { name, arguments });
    }
    if question == "sizes" {
        let images: Vec<String> = serde_json::from_value(arguments["images"].clone())
            .map_err(|error| Fault::new(format!("the request cannot be read: {error}")))?;
        return match images.len() {
            1..=MOST_IMAGES => Ok(Question::Sizes { images }),
            count => Err(Fault::new(format!("{count} images cannot be measured at once"))),
        };
    }
    Err(Fault::new(format!("there is no question `{question}`")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("catalog", json!({ "catalog": " r.example/i:v1 " }), None)]
    #[case("details", json!({ "catalog": "oci:///d", "package": "p" }), None)]
    #[case("catalog", json!({}), Some("no catalog was named"))]
    #[case("graph", json!({ "channel": "stable-4.20" }), None)]
    #[case("sizes", json!({ "images": ["r.example/i:v1"] }), None)]
    #[case("sizes", json!({ "images": [] }), Some("0 images cannot be measured at once"))]
    #[case("reconcile", json!({}), Some("there is no question `reconcile`"))]
    fn only_what_the_page_asks(
        #[case] question: &str,
        #[case] arguments: Value,
        #[case] refused: Option<&str>,
    ) {
        let asked = Asking { question: question.to_owned(), arguments };
        let found = super::question(asked);
        assert_eq!(found.err().map(|fault| fault.message).as_deref(), refused);
    }
}
