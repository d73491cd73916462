//! [`PluginMeta`]: what a plugin says about itself, written as `plugin.toml` and carried inside the component.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::GuestBuildError;

/// The version of the contract that guests are built against.
pub const WIT_VERSION: &str = "0.1.0";

/// The worlds of the contract, each with the interface by which a component shows that it implements it.
pub const WORLDS: [(&str, &str); 5] = [
    ("content-source", "source"),
    ("catalog-source", "inspection"),
    ("policy", "image-policy"),
    ("static-policy", "reference-policy"),
    ("transformer", "transform"),
];

/// What a plugin can ask for and a user can grant. `wit/README.md` says what each opens.
pub const CAPABILITIES: [&str; 10] = [
    "registry",
    "layout",
    "http",
    "credential",
    "state",
    "cache",
    "artifact",
    "resources",
    "build",
    "signatures",
];
/// Those of them that stand alone; the others take an argument after a colon.
const WITHOUT_ARGUMENT: [&str; 6] = ["state", "cache", "artifact", "resources", "build", "signatures"];

/// When a policy wants to be asked.
pub const STAGES: [&str; 3] = ["reference", "manifest", "content"];

/// What a plugin says about itself: the JSON of the section [`META_SECTION`](crate::META_SECTION).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginMeta {
    /// The name of the plugin: lower-case letters, digits and `-`.
    pub id: String,
    /// Its version, as semantic versioning has it.
    pub version: String,
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The worlds it implements.
    pub worlds: Vec<String>,
    /// The version of the contract it is built against.
    pub wit: String,
    /// The capabilities it wants, as `name` or `name:argument`. It gets those of them that the user grants.
    pub wants: Vec<String>,
    /// A JSON Schema for its settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_schema: Option<serde_json::Value>,
    /// For policies, when they want to be asked: one of [`STAGES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// What it expects to need.
    #[serde(default)]
    pub resources: Resources,
}

/// What a plugin expects to need. Hints: the host's limits stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// Linear memory, in MiB.
    #[serde(default, alias = "memory-mib", skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,
    /// Time of one call, in milliseconds, not counting time in the host.
    #[serde(default, alias = "call-ms", skip_serializing_if = "Option::is_none")]
    pub call_ms: Option<u32>,
}

/// `plugin.toml` as written.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Manifest {
    id: String,
    version: Option<String>,
    #[serde(default)]
    description: String,
    worlds: Vec<String>,
    wit: String,
    #[serde(default)]
    wants: Vec<String>,
    settings_schema: Option<PathBuf>,
    stage: Option<String>,
    #[serde(default)]
    resources: Resources,
}

impl PluginMeta {
    /// Reads a `plugin.toml`; `version` stands in where the file names none. Also returns the schema's file.
    pub fn read(path: &Path, version: Option<&str>) -> Result<(Self, Option<PathBuf>), GuestBuildError> {
        let invalid = |path: &Path, reason: String| GuestBuildError::Manifest { path: path.into(), reason };
        let (mut meta, schema) =
            Self::parse(&read_text(path)?, version).map_err(|reason| invalid(path, reason))?;
        let schema_file = match (&schema, path.parent()) {
            (Some(file), Some(dir)) => Some(dir.join(file)),
            _ => None,
        };
        meta.settings_schema = match &schema_file {
            Some(file) => {
                let schema: serde_json::Value =
                    serde_json::from_str(&read_text(file)?).map_err(|e| invalid(file, e.to_string()))?;
                if !schema.is_object() {
                    return Err(invalid(file, "a schema is a JSON object".to_owned()));
                }
                Some(schema)
            }
            None => None,
        };
        Ok((meta, schema_file))
    }

    /// Reads the text of a `plugin.toml`, and returns the path of the schema that it names, which is not read.
    ///
    /// # Errors
    ///
    /// The text says what is wrong.
    pub fn parse(text: &str, version: Option<&str>) -> Result<(Self, Option<PathBuf>), String> {
        let manifest: Manifest = toml::from_str(text).map_err(|e| e.to_string())?;
        let meta = Self {
            id: manifest.id,
            version: manifest
                .version
                .or_else(|| version.map(str::to_owned))
                .ok_or_else(|| "`version` is missing".to_owned())?,
            description: manifest.description,
            worlds: manifest.worlds,
            wit: manifest.wit,
            wants: manifest.wants,
            settings_schema: None,
            stage: manifest.stage,
            resources: manifest.resources,
        };
        meta.check()?;
        Ok((meta, manifest.settings_schema))
    }

    /// Says what is wrong with it, if something is.
    pub fn check(&self) -> Result<(), String> {
        if !is_id(&self.id) {
            return Err(format!("`id` is `{}`; expected {ID_RULE}", self.id));
        }
        check_version(&self.version)?;
        if self.wit != WIT_VERSION {
            return Err(format!("`wit` is `{}`; this build makes `{WIT_VERSION}`", self.wit));
        }
        if self.worlds.is_empty() {
            return Err("`worlds` names none".to_owned());
        }
        let worlds = WORLDS.map(|(world, _)| world);
        for (place, world) in self.worlds.iter().enumerate() {
            one_of("world", world, &worlds)?;
            if self.worlds[..place].contains(world) {
                return Err(format!("world `{world}` is named twice"));
            }
        }
        for want in &self.wants {
            let (name, argument) = want.split_once(':').unwrap_or((want, "*"));
            one_of("capability", name, &CAPABILITIES)?;
            if argument.is_empty() {
                return Err(format!("capability `{want}` has an empty argument"));
            }
            if WITHOUT_ARGUMENT.contains(&name) && want != name {
                return Err(format!("capability `{name}` takes no argument"));
            }
        }
        match &self.stage {
            Some(stage) => {
                one_of("stage", stage, &STAGES)?;
                if !self.worlds.iter().any(|w| w.ends_with("policy")) {
                    return Err("`stage` is for policies".to_owned());
                }
            }
            None if self.worlds.iter().any(|w| w == "policy") => {
                return Err(format!("a policy needs a `stage`: one of {}", STAGES.join(", ")));
            }
            None => {}
        }
        Ok(())
    }
}

fn read_text(path: &Path) -> Result<String, GuestBuildError> {
    std::fs::read_to_string(path).map_err(|source| GuestBuildError::Io { path: path.into(), source })
}

fn one_of(noun: &str, word: &str, valid: &[&str]) -> Result<(), String> {
    match valid.contains(&word) {
        true => Ok(()),
        false => Err(format!("`{word}` is no {noun}; valid: {}", valid.join(", "))),
    }
}

/// What [`is_id`] asks for, in words.
pub const ID_RULE: &str = "up to 64 lower-case letters, digits and `-`, beginning with a letter";

/// Answers whether a plugin can be called so: the name is a file name and a word in messages, so it is kept plain.
pub fn is_id(id: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let starts = id.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    starts && id.len() <= 64 && id.bytes().all(plain)
}

fn check_version(version: &str) -> Result<(), String> {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<_> = core.split('.').map(|n| n.parse::<u32>().is_ok()).collect();
    match numbers == [true, true, true] {
        true => Ok(()),
        false => Err(format!("`version` is `{version}`; expected three numbers, as in `0.1.0`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const GOOD: &str = r#"
        id = "block"
        worlds = ["policy", "static-policy"]
        wit = "0.1.0"
        wants = ["registry", "http:example.com"]
        stage = "manifest"
        [resources]
        memory-mib = 16
    "#;

    fn read(text: &str) -> Result<PluginMeta, GuestBuildError> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("plugin.toml");
        std::fs::write(&path, text).expect("written");
        std::fs::write(dir.path().join("list.json"), "[]").expect("written");
        PluginMeta::read(&path, Some("1.2.3")).map(|(meta, _)| meta)
    }

    #[test]
    fn a_good_manifest() {
        let meta = read(GOOD).expect("valid");
        assert_eq!(meta.version, "1.2.3");
        assert_eq!(meta.resources.memory_mib, Some(16));
        let json = serde_json::to_value(&meta).expect("serialisable");
        assert_eq!(
            json,
            serde_json::json!({
                "id": "block", "version": "1.2.3", "worlds": ["policy", "static-policy"], "wit": "0.1.0",
                "wants": ["registry", "http:example.com"], "stage": "manifest", "resources": {"memoryMib": 16}
            })
        );
        assert_eq!(serde_json::from_value::<PluginMeta>(json).expect("read back"), meta);
    }

    #[rstest]
    #[case("id = \"block\"", "id = \"Block\"", "lower-case")]
    #[case("id = \"block\"", "id = \"../x\"", "lower-case")]
    #[case("wit = \"0.1.0\"", "wit = \"0.2.0\"", "this build makes `0.1.0`")]
    #[case("wit = \"0.1.0\"", "wit = \"0.1.0\"\nversion = \"1\"", "three numbers")]
    #[case("\"policy\", ", "\"polizei\", ", "valid: content-source, catalog-source, policy")]
    #[case("\"policy\", ", "\"static-policy\", ", "named twice")]
    #[case("\"registry\"", "\"network\"", "valid: registry, layout, http")]
    #[case("http:example.com", "http:", "empty argument")]
    #[case("http:example.com", "state:mine", "takes no argument")]
    #[case("stage = \"manifest\"", "stage = \"late\"", "valid: reference, manifest, content")]
    #[case("stage = \"manifest\"", "", "needs a `stage`")]
    #[case("stage = \"manifest\"", "stages = \"manifest\"", "unknown field")]
    #[case("stage = \"manifest\"", "stage = \"manifest\"\nsettings-schema = \"list.json\"", "JSON object")]
    fn bad_manifests(#[case] from: &str, #[case] to: &str, #[case] reason: &str) {
        let error = read(&GOOD.replace(from, to)).expect_err("invalid").to_string();
        assert!(error.contains(reason), "{error}");
    }
}
