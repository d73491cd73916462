//! [`MirrorPlan`]: what a run is going to do, as a file that a person can approve and a later run keeps to.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::digest::Digest;
use crate::forecast::Forecast;
use crate::imageset::Index;
use crate::report::{ContentReport, PluginReport, Workflow};

/// The form that is written, and the only one that is read.
pub const FORMAT: u32 = 1;
/// What a plan says of itself.
pub const KIND: &str = "MirrorPlan";

/// What a run is going to do.
///
/// It holds what the run was told of the world: what tags point at, and what web servers answered. Content is not in it: that
/// is named by digest, and read from where it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MirrorPlan {
    /// What this is: [`KIND`].
    pub kind: String,
    /// The form: [`FORMAT`].
    pub format: u32,
    /// The program that made it, the only version that can keep to it: `oc-mirror 0.1.0`.
    pub created_by: String,
    /// When it was made, RFC 3339. The run that keeps to it takes it for the present.
    pub created: String,
    /// Which way.
    pub workflow: Workflow,
    /// Where to: one `file://` or `s3://`, or several `docker://`.
    pub destinations: Vec<String>,
    /// The workspace, where it was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The options that decide what is made.
    #[serde(default, skip_serializing_if = "Options::is_default")]
    pub options: Options,
    /// The configuration. Publishing imagesets needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<PlannedConfiguration>,
    /// The plugins of the user's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<PluginReport>,
    /// Whom update servers were told that asks: a number made at random for this plan.
    pub client: Uuid,
    /// Where the chain was in the workspace. What is published builds on what is at the targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builds_on: Option<Standing>,
    /// Where targets were, and what of the imagesets each is to have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetPlan>,
    /// The identity of what is made: the SHA-256 of the index. Nothing where there is nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
    /// The index itself: every image with its manifests and blobs, what is new and what is reused, what was refused and what was
    /// left out, and where everything is going to lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imageset: Option<Index>,
    /// The images by what they are of, as the report of the dry run has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contents: Vec<ContentReport>,
    /// What it takes.
    #[serde(default)]
    pub forecast: Forecast,
    /// What was asked of the world, and what it answered; as in the recordings of `oc-mirror plugin run --record`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Value>,
}

/// The configuration of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedConfiguration {
    /// Where it was read: paths in it are relative to the directory that it is in.
    pub path: String,
    /// The configuration as it was written.
    pub written: String,
    /// The same with everything pinned, for people and for other runs. Empty where there is nothing to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resolved: String,
}

/// Where a chain is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Standing {
    /// The chain.
    pub uid: Uuid,
    /// Its last sequence; 0 where it has none.
    pub sequence: u64,
    /// The identity of the last imageset, if that was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
}

/// Where a chain is at a target, and what is published there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetPlan {
    /// The target: `docker://HOST/PREFIX`.
    pub target: String,
    /// Its last sequence there; 0 where it is not there.
    pub sequence: u64,
    /// The imagesets that were at hand, in their order; none where images are copied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imagesets: Vec<PlannedImageset>,
}

/// What is done with an imageset at a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedImageset {
    /// Its place in the chain.
    pub sequence: u64,
    /// Its identity: the SHA-256 of its index.
    pub index: Digest,
    /// What is done with it.
    pub step: PublishStep,
}

/// The ways to deal with an imageset at a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PublishStep {
    /// It is published.
    Publish,
    /// It is there.
    AlreadyPublished,
    /// A cumulative imageset brings what it holds.
    NotNeeded,
}

/// Options that decide what is made, by what they are called on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Options {
    /// Where images are taken from instead of from registries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Whether registries are asked for what is not there.
    #[serde(skip_serializing_if = "is_default")]
    pub online: bool,
    /// The sequence to build on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Whether an imageset is made that has nothing new.
    #[serde(skip_serializing_if = "is_default")]
    pub force: bool,
    /// The most bytes of a chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive_size: Option<String>,
    /// Whether no layer is split.
    #[serde(skip_serializing_if = "is_default")]
    pub strict_archive: bool,
    /// The most components of a repository; 0 for any number.
    #[serde(skip_serializing_if = "is_default")]
    pub max_nested_paths: usize,
    /// `stop` or `quarantine`; nothing for what is usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_error: Option<String>,
    /// Whether signatures and other referrers are left out.
    #[serde(skip_serializing_if = "is_default")]
    pub remove_signatures: bool,
    /// Whether releases need no signature.
    #[serde(skip_serializing_if = "is_default")]
    pub ignore_release_signature: bool,
    /// Whether images have to be signed as policy.json asks for.
    #[serde(skip_serializing_if = "is_default")]
    pub secure_policy: bool,
    /// Risks of updates that are accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accept_risks: Vec<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Options {
    /// Answers whether all is as it is without any option.
    pub fn is_default(&self) -> bool {
        is_default(self)
    }

    /// Returns the options that are given in `others` and are not the same here, by name: `--since`.
    pub fn contradicted_by(&self, others: &Self) -> Vec<String> {
        let fields = |options: &Self| match serde_json::to_value(options) {
            Ok(Value::Object(fields)) => fields,
            _ => unreachable!("a struct is an object"),
        };
        let own = fields(self);
        let differs = |(name, value): &(String, Value)| own.get(name) != Some(value);
        fields(others).into_iter().filter(differs).map(|(name, _)| format!("--{name}")).collect()
    }
}

/// A file is not a plan that can be kept to.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPlan {
    /// It is no JSON, or not of the form.
    #[error("it is not a plan of oc-mirror")]
    Form(#[source] serde_json::Error),
    /// It is of another form.
    #[error("it is of format {0}, and this program reads format {FORMAT}")]
    Format(u64),
    /// Another version made it.
    #[error("`{made_by}` made it, and this is `{program}`")]
    Program {
        /// What made it.
        made_by: String,
        /// What is to keep to it.
        program: String,
    },
    /// Somebody has changed it.
    #[error("its imageset is not the one that its `index` names: it was changed or damaged")]
    Changed,
}

impl MirrorPlan {
    /// Reads a plan, and checks that `program` can keep to it.
    pub fn read(bytes: &[u8], program: &str) -> Result<Self, InvalidPlan> {
        let value: Value = serde_json::from_slice(bytes).map_err(InvalidPlan::Form)?;
        if value["kind"] == KIND
            && let Some(format) = value["format"].as_u64().filter(|format| *format != u64::from(FORMAT))
        {
            return Err(InvalidPlan::Format(format));
        }
        let plan: Self = serde_json::from_value(value).map_err(InvalidPlan::Form)?;
        if plan.kind != KIND {
            return Err(InvalidPlan::Form(serde::de::Error::custom(format!("its kind is `{}`", plan.kind))));
        }
        if plan.created_by != program {
            return Err(InvalidPlan::Program { made_by: plan.created_by, program: program.to_owned() });
        }
        let identity = plan.imageset.as_ref().map(|index| index.checked().digest());
        match identity == plan.index {
            true => Ok(plan),
            false => Err(InvalidPlan::Changed),
        }
    }
}

/// Returns the JSON Schema (draft 2020-12) of a plan.
pub fn schema() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let list = |description: &str, items: Value| json!({ "type": "array", "description": description, "items": items });
    let digest = json!({ "type": "string", "pattern": "^sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})$" });
    let count = json!({ "type": "integer", "minimum": 0 });
    let amount = json!({
        "type": "object",
        "properties": { "blobs": count, "bytes": count },
        "required": ["blobs", "bytes"],
    });
    let content = json!({
        "type": "object",
        "properties": { "mediaType": { "type": "string" }, "digest": digest, "size": count },
        "required": ["mediaType", "digest", "size"],
    });
    let image = json!({
        "type": "object",
        "properties": {
            "source": text("Where it is read from"),
            "origin": text("The name users know it by"),
            "kind": text("What it is for"),
            "destination": {
                "type": "object",
                "properties": { "repository": { "type": "string" }, "tag": { "type": "string" } },
                "required": ["repository", "tag"],
            },
            "root": content,
            "manifests": list("All manifests, the root last", content.clone()),
            "blobs": list("Configurations and layers", content.clone()),
        },
        "required": ["source", "origin", "kind", "destination", "root", "manifests", "blobs"],
    });
    let left_out = |reason: &str| {
        json!({
            "type": "object",
            "properties": { "origin": { "type": "string" }, "kind": { "type": "string" }, reason: { "type": "string" } },
            "required": ["origin", reason],
        })
    };
    let required = json!({
        "type": "object",
        "properties": { "digest": digest, "size": count, "sequence": count },
        "required": ["digest", "size", "sequence"],
    });
    let imageset = json!({
        "type": "object",
        "description": "The index of what is made, as imageset.json has it",
        "properties": {
            "uid": { "type": "string", "format": "uuid" },
            "sequence": count,
            "base": count,
            "previous": digest,
            "chunks": list("The chunks", json!({ "type": "object", "properties": { "size": count } })),
            "entries": list("What is carried, and where it lies", json!({ "type": "object" })),
            "images": list("The images that are new, or are not as they were", image),
            "unchanged": list("The other images, by name", json!({ "type": "object" })),
            "required": list("What is reused of earlier sequences", required),
            "refused": list("Images that a policy keeps out", left_out("message")),
            "quarantined": list("Images that could not be had", left_out("reason")),
        },
        "required": ["uid", "sequence", "base", "chunks", "entries", "images"],
    });
    let standing = json!({
        "type": "object",
        "description": "Where the chain was; the plan can be executed while it is there",
        "properties": { "uid": { "type": "string", "format": "uuid" }, "sequence": count, "index": digest },
        "required": ["uid", "sequence"],
        "additionalProperties": false,
    });
    let published = json!({
        "type": "object",
        "properties": {
            "sequence": count,
            "index": digest,
            "step": { "enum": ["publish", "already-published", "not-needed"] },
        },
        "required": ["sequence", "index", "step"],
        "additionalProperties": false,
    });
    let target = json!({
        "type": "object",
        "properties": {
            "target": { "type": "string" },
            "sequence": count,
            "imagesets": list("What is done with each imageset at hand", published),
        },
        "required": ["target", "sequence"],
        "additionalProperties": false,
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": KIND,
        "description": "What a run of oc-mirror is going to do: `oc-mirror plan` writes it, `oc-mirror execute` keeps to it",
        "type": "object",
        "properties": {
            "kind": { "const": KIND },
            "format": { "const": FORMAT },
            "createdBy": text("The program that made it, the only version that can keep to it"),
            "created": { "type": "string", "format": "date-time" },
            "workflow": { "enum": ["mirrorToDisk", "diskToMirror", "mirrorToMirror"] },
            "destinations": list("Where to", json!({ "type": "string" })),
            "workspace": text("The workspace, where it was named"),
            "options": {
                "type": "object",
                "description": "Options that decide what is made, by what they are called on the command line",
            },
            "configuration": {
                "type": "object",
                "properties": {
                    "path": text("Where it was read"),
                    "written": text("The configuration as it was written"),
                    "resolved": text("The same with everything pinned"),
                },
                "required": ["path", "written"],
                "additionalProperties": false,
            },
            "plugins": list("The plugins of the user's", json!({ "type": "object" })),
            "client": { "type": "string", "format": "uuid", "description": "Whom update servers were told that asks" },
            "buildsOn": standing,
            "targets": list("Where targets were, and what is published there", target),
            "index": digest,
            "imageset": imageset,
            "contents": list("The images by what they are of", json!({ "type": "object" })),
            "forecast": {
                "type": "object",
                "description": "What it takes",
                "properties": {
                    "fetch": amount,
                    "fetchFrom": { "type": "object", "additionalProperties": amount },
                    "atHand": amount,
                    "shipped": amount,
                    "atTarget": amount,
                    "send": amount,
                    "blocked": list("Images that are kept out, by rule", json!({ "type": "object" })),
                    "chunks": list("Bytes of each chunk", count.clone()),
                    "space": list("Room on disks", json!({ "type": "object" })),
                    "requests": { "type": "object", "additionalProperties": count },
                },
            },
            "answers": list("What was asked of the world, and what it answered", json!({
                "type": "object",
                "properties": { "call": { "type": "object" } },
                "required": ["call"],
            })),
        },
        "required": [
            "kind", "format", "createdBy", "created", "workflow", "destinations", "client", "forecast",
        ],
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> MirrorPlan {
        MirrorPlan {
            kind: KIND.to_owned(),
            format: FORMAT,
            created_by: "oc-mirror 0.1.0".to_owned(),
            created: "2026-01-02T03:04:05Z".to_owned(),
            workflow: Workflow::MirrorToDisk,
            destinations: vec!["file:///srv/mirror".to_owned()],
            workspace: Some("file:///srv/work".to_owned()),
            options: Options { since: Some("2".to_owned()), force: true, ..Options::default() },
            configuration: Some(PlannedConfiguration::default()),
            plugins: Vec::new(),
            client: Uuid::nil(),
            builds_on: Some(Standing::default()),
            targets: vec![TargetPlan {
                target: "docker://r.example".to_owned(),
                sequence: 0,
                imagesets: Vec::new(),
            }],
            index: None,
            imageset: None,
            contents: Vec::new(),
            forecast: Forecast::default(),
            answers: vec![json!({ "call": {} })],
        }
    }

    #[test]
    fn a_plan_is_read_back_by_the_version_that_wrote_it() {
        let plan = example();
        let bytes = serde_json::to_vec(&plan).expect("plain data");
        assert_eq!(MirrorPlan::read(&bytes, "oc-mirror 0.1.0").expect("a plan"), plan);
        assert!(matches!(MirrorPlan::read(&bytes, "oc-mirror 0.2.0"), Err(InvalidPlan::Program { .. })));
        let newer = MirrorPlan { format: 2, ..plan.clone() };
        let newer = serde_json::to_vec(&newer).expect("plain data");
        assert!(matches!(MirrorPlan::read(&newer, "oc-mirror 0.1.0"), Err(InvalidPlan::Format(2))));
        let other = MirrorPlan { index: Some(Digest::of(b"x")), ..plan };
        let other = serde_json::to_vec(&other).expect("plain data");
        assert!(matches!(MirrorPlan::read(&other, "oc-mirror 0.1.0"), Err(InvalidPlan::Changed)));
        assert!(matches!(MirrorPlan::read(b"{}", "oc-mirror 0.1.0"), Err(InvalidPlan::Form(_))));
        assert!(matches!(MirrorPlan::read(b"kind: x", "oc-mirror 0.1.0"), Err(InvalidPlan::Form(_))));
    }

    #[test]
    fn the_schema_knows_every_field() {
        let (schema, value) = (schema(), serde_json::to_value(example()).expect("plain data"));
        let known = schema["properties"].as_object().expect("an object");
        for field in value.as_object().expect("an object").keys() {
            assert!(known.contains_key(field), "{field}");
        }
        let forecast = schema["properties"]["forecast"]["properties"].as_object().expect("an object");
        for field in value["forecast"].as_object().expect("an object").keys() {
            assert!(forecast.contains_key(field), "{field}");
        }
    }

    #[test]
    fn what_is_said_otherwise_is_named() {
        let options = Options { since: Some("2".to_owned()), ..Options::default() };
        assert_eq!(options.contradicted_by(&Options::default()), Vec::<String>::new());
        assert_eq!(options.contradicted_by(&options), Vec::<String>::new());
        let others = Options { since: Some("3".to_owned()), strict_archive: true, ..Options::default() };
        assert_eq!(options.contradicted_by(&others), ["--since", "--strict-archive"]);
    }
}
