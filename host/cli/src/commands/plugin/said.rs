//! [`Said`]: what a plugin said that was asked by itself, as it is printed.

use std::path::Path;

use oc_mirror_engine::source::Collected;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::policy::{Decision, PolicyFinding};
use oc_mirror_model::request::ImageRequest;
use serde_json::{Value, json};

use super::super::check::plural;
use crate::output::{clean, size, table};

/// What a plugin said.
pub(super) enum Said {
    /// What a source wants.
    Collected(Wanted),
    /// What a policy says of each image, or why there is no verdict.
    Judged(Vec<(ImageRequest, Result<Decision, String>)>),
}

/// What a source wants.
pub(super) struct Wanted {
    collected: Collected,
    /// Whether the plugin built the image, for each.
    is_generated: Vec<bool>,
}

impl Wanted {
    /// Takes what a source has collected. What it has built is in `scratch`.
    pub(super) fn new(collected: Collected, scratch: &Path) -> Self {
        let is_generated = |image: &ImageRequest| {
            image.parsed_source().is_ok_and(|s| s.layout_path().is_some_and(|path| path.starts_with(scratch)))
        };
        Self { is_generated: collected.images.iter().map(is_generated).collect(), collected }
    }

    fn images(&self) -> impl Iterator<Item = (&ImageRequest, bool)> {
        self.collected.images.iter().zip(self.is_generated.iter().copied())
    }
}

impl Said {
    /// Answers whether nothing was denied and everything was judged.
    pub(super) fn is_good(&self) -> bool {
        match self {
            Self::Collected(_) => true,
            Self::Judged(verdicts) => verdicts
                .iter()
                .all(|(_, verdict)| verdict.as_ref().is_ok_and(|decision| !decision.is_denied())),
        }
    }

    /// Returns it for programs.
    pub(super) fn value(&self, plugin: Value) -> Value {
        match self {
            Self::Collected(wanted) => wanted.value(plugin),
            Self::Judged(verdicts) => {
                let value = |(request, verdict): &(ImageRequest, Result<Decision, String>)| {
                    let (findings, error) = match verdict {
                        Ok(decision) => (findings(decision).map(|f| json!(f.finding)).collect(), None),
                        Err(error) => (Vec::new(), Some(error)),
                    };
                    let verdict = word(verdict);
                    json!({
                        "image": request.origin, "kind": request.kind, "verdict": verdict,
                        "findings": findings, "error": error,
                    })
                };
                let all: Vec<Value> = verdicts.iter().map(value).collect();
                let count = |wanted| verdicts.iter().filter(|(_, verdict)| word(verdict) == wanted).count();
                let counts = json!({
                    "allow": count("allow"), "warn": count("warn"), "deny": count("deny"), "failed": count("failed"),
                });
                json!({"plugin": plugin, "verdicts": all, "counts": counts})
            }
        }
    }

    /// Returns it for people.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Collected(wanted) => wanted.text(),
            Self::Judged(verdicts) => {
                let mut lines = Vec::new();
                for (request, verdict) in verdicts {
                    lines.push(format!("{:<6} {}", word(verdict), clean(&request.origin)));
                    match verdict {
                        Ok(decision) => lines.extend(findings(decision).map(|f| {
                            format!("       {} ({})", clean(&f.finding.message), clean(&f.finding.code))
                        })),
                        Err(error) => lines.push(format!("       {}", clean(error))),
                    }
                }
                let count = |wanted| verdicts.iter().filter(|(_, verdict)| word(verdict) == wanted).count();
                let (allow, warn, deny, failed) =
                    (count("allow"), count("warn"), count("deny"), count("failed"));
                lines.push(format!(
                    "{allow} allowed, {warn} with warnings, {deny} denied, {failed} not judged"
                ));
                lines.join("\n")
            }
        }
    }
}

fn findings(decision: &Decision) -> impl Iterator<Item = &PolicyFinding> {
    decision.denied.iter().chain(&decision.warnings)
}

fn word(verdict: &Result<Decision, String>) -> &'static str {
    match verdict {
        Err(_) => "failed",
        Ok(decision) if decision.is_denied() => "deny",
        Ok(decision) if decision.warnings.is_empty() => "allow",
        Ok(_) => "warn",
    }
}

/// Returns where an image goes at a target, below its prefix; nothing if its path can name no repository.
fn target(request: &ImageRequest) -> Option<String> {
    let source = request.parsed_source().ok()?;
    // Only what a plugin has built is named after its own digest, and its source has that.
    let digest = source.digest().cloned().unwrap_or_else(|| Digest::of(b""));
    let destination = request.destination(&digest).ok()?;
    Some(format!("{}:{}", destination.repository, destination.tag))
}

impl Wanted {
    fn value(&self, plugin: Value) -> Value {
        let found = &self.collected;
        let image = |(request, generated): (&ImageRequest, bool)| {
            json!({
                "origin": request.origin,
                // Where a generated one was built is gone by now.
                "source": (!generated).then_some(&request.source),
                "generated": generated,
                "kind": request.kind,
                "target": target(request),
                "platforms": request.platforms,
                "provenance": request.provenance,
            })
        };
        let images: Vec<Value> = self.images().map(image).collect();
        let file = |a: &oc_mirror_engine::source::Artifact| json!({"path": a.path, "digest": a.digest, "size": a.size});
        let files: Vec<Value> = found.artifacts.iter().map(file).collect();
        let resource = |(name, document): &(String, String)| json!({"name": name, "document": document});
        let resources: Vec<Value> = found.documents.iter().map(resource).collect();
        let remark = |(code, message): &(String, String)| json!({"code": code, "message": message});
        json!({
            "plugin": plugin,
            "images": images,
            "files": files,
            "resources": resources,
            "warnings": found.warnings.iter().map(remark).collect::<Vec<_>>(),
            "notes": found.notes.iter().map(remark).collect::<Vec<_>>(),
            "state": found.state,
            "counts": {
                "images": found.images.len(),
                "generated": self.generated(),
                "files": found.artifacts.len(),
                "resources": found.documents.len(),
                "warnings": found.warnings.len(),
                "notes": found.notes.len(),
            },
        })
    }

    fn generated(&self) -> usize {
        self.is_generated.iter().filter(|generated| **generated).count()
    }

    fn text(&self) -> String {
        let found = &self.collected;
        let mut text = String::new();
        if !found.images.is_empty() {
            let rows = self.images().map(|(request, generated)| {
                let kind = if generated { format!("{}, built", request.kind) } else { request.kind.clone() };
                vec![request.origin.clone(), kind, target(request).unwrap_or_else(|| "-".to_owned())]
            });
            text += &table(&["IMAGE", "KIND", "AT THE TARGET"], rows.collect());
        }
        if !found.artifacts.is_empty() {
            let rows =
                found.artifacts.iter().map(|a| vec![a.path.clone(), size(a.size), a.digest.to_string()]);
            text += &table(&["FILE", "SIZE", "DIGEST"], rows.collect());
        }
        if !found.documents.is_empty() {
            let rows = found
                .documents
                .iter()
                .map(|(name, document)| vec![name.clone(), size(document.len() as u64)]);
            text += &table(&["RESOURCE", "SIZE"], rows.collect());
        }
        for (word, remarks) in [("warning", &found.warnings), ("note", &found.notes)] {
            for (code, message) in remarks {
                text += &format!("{word}: {} ({})\n", clean(message), clean(code));
            }
        }
        if let Some(state) = &found.state {
            text += &format!("state: {}\n", clean(&state.to_string()));
        }
        let counts = [
            format!("{} ({} built)", plural(found.images.len(), "image"), self.generated()),
            plural(found.artifacts.len(), "file"),
            plural(found.documents.len(), "resource"),
            plural(found.warnings.len(), "warning"),
            plural(found.notes.len(), "note"),
        ];
        text + &counts.join(", ")
    }
}
