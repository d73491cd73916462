//! Credentials as the ecosystem keeps them: [`CredentialStore`] looks them up in `auth.json` and docker `config.json`.
//!
//! The files come in as texts and the environment as a function; this module opens nothing. What it runs are the credential
//! helpers that the files name. Rules: containers-auth.json(5).

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use oc_mirror_model::reference::{DOCKER_HUB, Registry, Repository};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::credentials_helper::Helpers;
use crate::net::Secret;

/// The key of Docker Hub in credential files and helpers.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// What to show to a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A name and a password.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A refresh token of OAuth 2, and the name that came with it, if any.
    Identity {
        /// The name.
        user: String,
        /// The token.
        token: Secret,
    },
}

/// Credentials could not be had, although there ought to be some. No message repeats a part of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// A file is not what it should be.
    #[error("the credential file `{}` cannot be read: line {line}, column {column}: {reason}", path.display())]
    Syntax {
        /// Which.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
        /// What is wrong, in general.
        reason: &'static str,
    },
    /// A helper has a name that no helper has.
    #[error("`{0}` is not the name of a credential helper")]
    HelperName(String),
    /// A helper did not do its work.
    #[error("the credential helper `{helper}` failed for `{host}`: {reason}")]
    Helper {
        /// Its program.
        helper: String,
        /// What it was asked for.
        host: String,
        /// What happened.
        reason: String,
    },
}

/// Credential files, in the order in which they are asked.
#[derive(Default)]
pub struct CredentialStore {
    files: Vec<File>,
    helpers: Helpers,
    /// Where to look, in order; empty means in the files.
    order: Vec<Whom>,
}

/// Who is asked for a credential.
enum Whom {
    Files,
    Helper(String),
}

/// What stands for the credential files in the list of helpers of `registries.conf`.
const FILES: &str = "containers-auth.json";

impl fmt::Debug for CredentialStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.files.iter().map(|file| &file.path)).finish()
    }
}

struct File {
    path: PathBuf,
    auths: BTreeMap<String, Entry>,
    helpers: BTreeMap<String, String>,
    store: Option<String>,
}

#[derive(Default, Deserialize)]
struct Wire {
    #[serde(default)]
    auths: Option<BTreeMap<String, Entry>>,
    #[serde(default, rename = "credHelpers")]
    helpers: Option<BTreeMap<String, String>>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    auth: Option<Secret>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<Secret>,
    #[serde(default, rename = "identitytoken")]
    identity_token: Option<Secret>,
}

impl CredentialStore {
    /// Reads files that the caller has found and opened, in the order of [`credential_search_paths`].
    pub fn from_files(files: Vec<(PathBuf, Secret)>) -> Result<Self, CredentialError> {
        let files = files
            .into_iter()
            .map(|(path, text)| File::read(path, text.expose()))
            .collect::<Result<_, _>>()?;
        Ok(Self { files, helpers: Helpers::default(), order: Vec::new() })
    }

    /// Asks these helpers about every registry, in order; `containers-auth.json` among them stands for the files. See
    /// `credential-helpers` in containers-registries.conf(5).
    pub fn with_helpers(self, helpers: &[String]) -> Self {
        let whom = |name: &String| match name.as_str() {
            FILES => Whom::Files,
            _ => Whom::Helper(name.clone()),
        };
        Self { order: helpers.iter().map(whom).collect(), ..self }
    }

    /// Returns the credential of a repository: of the first file that has one, there of the most specific key.
    ///
    /// What `registries.conf` has asked besides the files may fail as long as another one knows the credential.
    pub async fn lookup(
        &self,
        registry: &Registry,
        repository: Option<&Repository>,
    ) -> Result<Option<Credential>, CredentialError> {
        if self.order.is_empty() {
            return self.in_files(registry, repository).await;
        }
        let mut failed = None;
        for whom in &self.order {
            let found = match whom {
                Whom::Files => self.in_files(registry, repository).await,
                Whom::Helper(name) => self.helpers.get(name, server(&normalise(registry.as_str()))).await,
            };
            match found {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    async fn in_files(
        &self,
        registry: &Registry,
        repository: Option<&Repository>,
    ) -> Result<Option<Credential>, CredentialError> {
        let keys = keys(registry, repository);
        let host = normalise(registry.as_str());
        for file in &self.files {
            for key in &keys {
                if let Some(helper) = file.helper(key) {
                    if let Some(credential) = self.helpers.get(helper, server(key)).await? {
                        return Ok(Some(credential));
                    }
                } else if let Some(credential) = file.entry(key).and_then(Entry::credential) {
                    return Ok(Some(credential));
                }
            }
            if let Some(store) = &file.store
                && let Some(credential) = self.helpers.get(store, server(&host)).await?
            {
                return Ok(Some(credential));
            }
        }
        Ok(None)
    }
}

impl File {
    fn read(path: PathBuf, text: &str) -> Result<Self, CredentialError> {
        // The file of the oldest Docker is the map of entries itself.
        let legacy = path.file_name().is_some_and(|n| n == ".dockercfg");
        let wire = if text.trim().is_empty() {
            Ok(Wire::default())
        } else if legacy {
            serde_json::from_str(text).map(|auths| Wire { auths: Some(auths), ..Wire::default() })
        } else {
            serde_json::from_str(text)
        };
        match wire {
            Ok(Wire { auths, helpers, store }) => Ok(Self {
                path,
                auths: auths.unwrap_or_default(),
                helpers: helpers.unwrap_or_default(),
                store: store.filter(|s| !s.is_empty()),
            }),
            // The text of the parser's error may quote the file.
            Err(error) => Err(CredentialError::Syntax {
                path,
                line: error.line(),
                column: error.column(),
                reason: if error.is_data() { "a field has the wrong type" } else { "this is not JSON" },
            }),
        }
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.auths
            .get(key)
            .or_else(|| self.auths.iter().find(|(k, _)| normalise(k) == key).map(|(_, entry)| entry))
    }

    fn helper(&self, key: &str) -> Option<&str> {
        self.helpers.iter().find(|(k, _)| normalise(k) == key).map(|(_, helper)| helper.as_str())
    }
}

impl Entry {
    /// Returns what the entry holds; Docker leaves empty entries for what is in its store.
    fn credential(&self) -> Option<Credential> {
        let (user, password) = self.user_and_password().unwrap_or_default();
        if let Some(token) = self.identity_token.as_ref().filter(|token| !token.is_empty()) {
            return Some(Credential::Identity { user, token: token.clone() });
        }
        (!user.is_empty()).then_some(Credential::Basic { user, password })
    }

    fn user_and_password(&self) -> Option<(String, Secret)> {
        if let Some(encoded) = self.auth.as_ref().filter(|auth| !auth.is_empty()) {
            let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
            let decoded = GeneralPurpose::new(&STANDARD, config).decode(encoded.expose().trim()).ok()?;
            let decoded = Zeroizing::new(decoded);
            let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
            // Some tools pad the password with zero bytes.
            return Some((user.to_owned(), Secret::new(password.trim_end_matches('\0'))));
        }
        Some((self.username.clone()?, self.password.clone().unwrap_or_default()))
    }
}

/// Returns the keys under which a credential may stand, the most specific first.
fn keys(registry: &Registry, repository: Option<&Repository>) -> Vec<String> {
    let mut keys = Vec::new();
    if let Some(repository) = repository {
        let mut path = repository.as_str();
        loop {
            keys.push(format!("{registry}/{path}"));
            match path.rsplit_once('/') {
                Some((parent, _)) => path = parent,
                None => break,
            }
        }
    }
    keys.push(normalise(registry.as_str()));
    keys
}

/// Returns the host a key is for: without scheme, old API paths, and with one name for Docker Hub. Keys with a namespace stay.
fn normalise(key: &str) -> String {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let host = match bare {
        Some(bare) => bare.split('/').next().unwrap_or(bare),
        None => key.trim_end_matches('/'),
    };
    match host {
        "index.docker.io" | "registry-1.docker.io" | "docker.io" | "index.docker.io/v1" => {
            DOCKER_HUB.to_owned()
        }
        other => other.to_owned(),
    }
}

/// Returns how helpers are asked for a host.
fn server(key: &str) -> &str {
    if key == DOCKER_HUB { DOCKER_HUB_KEY } else { key }
}

/// Returns where credential files are looked for, in order. The caller reads those that exist.
///
/// An explicit file, or `$REGISTRY_AUTH_FILE`, replaces the rest, as it does for skopeo and podman. `env` returns the value of an
/// environment variable.
pub fn credential_search_paths(
    env: &dyn Fn(&str) -> Option<String>,
    explicit: Option<&Path>,
) -> Vec<PathBuf> {
    let variable = |name: &str| env(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(only) = explicit.map(Path::to_path_buf).or_else(|| variable("REGISTRY_AUTH_FILE")) {
        return vec![only];
    }
    let home = variable("HOME");
    let below_home = |path: &str| home.as_ref().map(|home| home.join(path));
    let runtime = variable("XDG_RUNTIME_DIR").map_or_else(
        || PathBuf::from(format!("/run/containers/{}", rustix::process::getuid())),
        |dir| dir.join("containers"),
    );
    [
        Some(runtime.join("auth.json")),
        variable("XDG_CONFIG_HOME").or_else(|| below_home(".config")).map(|d| d.join("containers/auth.json")),
        variable("DOCKER_CONFIG").or_else(|| below_home(".docker")).map(|d| d.join("config.json")),
        below_home(".dockercfg"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn auth(text: &str) -> serde_json::Value {
        serde_json::json!({ "auth": base64::engine::general_purpose::STANDARD.encode(text) })
    }

    fn store(files: &[(&str, serde_json::Value)]) -> CredentialStore {
        let files = files.iter().map(|(path, json)| (path.into(), Secret::new(json.to_string()))).collect();
        CredentialStore::from_files(files).unwrap()
    }

    async fn user(store: &CredentialStore, name: &str) -> Option<String> {
        let (registry, repository) = match name.split_once('/') {
            Some((registry, repository)) => (registry, Some(repository.parse().unwrap())),
            None => (name, None),
        };
        let found = store.lookup(&registry.parse().unwrap(), repository.as_ref()).await.unwrap()?;
        Some(match found {
            Credential::Basic { user, password } => format!("{user}:{}", password.expose()),
            Credential::Identity { user, token } => format!("{user}!{}", token.expose()),
        })
    }

    #[rstest]
    #[case("r.example/ns/app", Some("deep:1"))]
    #[case("r.example/ns", Some("ns:2"))]
    #[case("r.example/ns/other", Some("ns:2"))]
    #[case("r.example/nsx", Some("host:3:4"))]
    #[case("r.example", Some("host:3:4"))]
    #[case("docker.io/library/alpine", Some("hub:5"))]
    #[case("old.example:5000", Some("old:6"))]
    #[case("padded.example", Some("p:7"))]
    #[case("plain.example", Some("u:8"))]
    #[case("identity.example", Some("!tok"))]
    #[case("empty.example", None)]
    #[case("broken.example", None)]
    #[case("unknown.example", None)]
    #[tokio::test]
    async fn most_specific_first(#[case] name: &str, #[case] expected: Option<&str>) {
        let store = store(&[(
            "auth.json",
            serde_json::json!({"auths": {
                "r.example/ns/app": auth("deep:1"), "r.example/ns": auth("ns:2"), "r.example": auth("host:3:4"),
                "https://index.docker.io/v1/": auth("hub:5"), "https://old.example:5000/v2/": auth("old:6"),
                "padded.example": auth("p:7\0\0"), "plain.example": {"username": "u", "password": "8"},
                "identity.example": {"auth": auth(":")["auth"], "identitytoken": "tok"},
                "empty.example": {}, "broken.example": {"auth": "!!!"},
            }}),
        )]);
        assert_eq!(user(&store, name).await.as_deref(), expected);
    }

    #[tokio::test]
    async fn the_search_goes_on_until_a_credential_is_found() {
        let store = store(&[
            ("a.json", serde_json::json!({"auths": {"r.example": {}}})),
            ("b.json", serde_json::json!({"auths": null})),
            ("home/.dockercfg", serde_json::json!({"r.example": auth("late:1")})),
        ]);
        assert_eq!(user(&store, "r.example/x").await.as_deref(), Some("late:1"));
    }

    #[tokio::test]
    async fn helpers_of_all_registries_are_asked_in_order() {
        let files = || store(&[("a.json", serde_json::json!({"auths": {"r.example": auth("file:1")}}))]);
        let order =
            |names: &[&str]| files().with_helpers(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        let with = order(&["containers-auth.json", "no-such-helper"]);
        assert_eq!(user(&with, "r.example/x").await.as_deref(), Some("file:1"));
        // One that cannot be run is passed over if another one knows, and told if none does.
        let with = order(&["no-such-helper", "containers-auth.json"]);
        assert_eq!(user(&with, "r.example/x").await.as_deref(), Some("file:1"));
        let error = with.lookup(&"other.example".parse().unwrap(), None).await.unwrap_err();
        assert!(error.to_string().contains("`docker-credential-no-such-helper` failed"), "{error}");
        let with = order(&["../evil"]);
        let error = with.lookup(&"r.example".parse().unwrap(), None).await.unwrap_err();
        assert!(matches!(error, CredentialError::HelperName(_)), "{error}");
    }

    #[test]
    fn errors_and_debug_show_nothing_of_the_file() {
        let text = "{\"auths\": {\"r\": {\"auth\": [\"aHVudGVyMg==\"]}}}";
        let error = CredentialStore::from_files(vec![("f.json".into(), Secret::new(text))]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("aHVudGVyMg"), "{error}");
        assert!(error.to_string().contains("f.json") && error.to_string().contains("line 1"));
        let store = store(&[("f.json", serde_json::json!({"auths": {"r": auth("u:hunter2")}}))]);
        assert!(!format!("{store:?}").contains("hunter2"));
        let basic = Credential::Basic { user: "u".into(), password: Secret::new("hunter2") };
        assert!(!format!("{basic:?}").contains("hunter2"));
    }

    #[test]
    fn search_paths() {
        let paths = |vars: &[(&str, &str)], explicit: Option<&str>| {
            let vars: BTreeMap<_, _> = vars.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
            credential_search_paths(&|name| vars.get(name).cloned(), explicit.map(Path::new))
                .into_iter()
                .map(|p| p.display().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            paths(&[("XDG_RUNTIME_DIR", "/run/u"), ("HOME", "/h")], None),
            [
                "/run/u/containers/auth.json",
                "/h/.config/containers/auth.json",
                "/h/.docker/config.json",
                "/h/.dockercfg"
            ]
        );
        let set = [("XDG_CONFIG_HOME", "/c"), ("DOCKER_CONFIG", "/d"), ("XDG_RUNTIME_DIR", "/r")];
        assert_eq!(
            paths(&set, None),
            ["/r/containers/auth.json", "/c/containers/auth.json", "/d/config.json"]
        );
        assert!(paths(&[], None)[0].starts_with("/run/containers/"));
        assert_eq!(paths(&[("REGISTRY_AUTH_FILE", "/f"), ("HOME", "/h")], None), ["/f"]);
        assert_eq!(paths(&[("REGISTRY_AUTH_FILE", "/f")], Some("/e")), ["/e"]);
    }
}
