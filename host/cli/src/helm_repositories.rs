//! Credentials of chart repositories: those that `helm repo add` keeps in `repositories.yaml`. Registries have theirs in
//! `auth.json`, as all registries.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use oc_mirror_engine::fetch::FetchCredential;
use oc_mirror_engine::net::Secret;
use oc_mirror_model::config::Helm;
use serde::Deserialize;

use crate::environment;
use crate::error::CliError;

/// The variable that names the file.
const FILE: &str = "HELM_REPOSITORY_CONFIG";

/// What is needed of the file. It has no `Debug`, since it holds passwords.
#[derive(Deserialize)]
struct Repositories {
    #[serde(default)]
    repositories: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    url: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: Secret,
}

/// Returns the credentials of the repositories that are asked for, by [`name`]. Nothing is read where none is on the web.
pub(crate) fn credentials(section: Option<&Helm>) -> Result<BTreeMap<String, FetchCredential>, CliError> {
    let repositories = section.map(|section| section.repositories.as_slice()).unwrap_or_default();
    let urls: Vec<&str> =
        repositories.iter().map(|r| r.url.as_str()).filter(|url| !url.starts_with("oci://")).collect();
    if urls.is_empty() {
        return Ok(BTreeMap::new());
    }
    let Some(path) = path() else { return Ok(BTreeMap::new()) };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => Secret::new(text),
        // One that was named must be there; the usual place need not.
        Err(error) if error.kind() == ErrorKind::NotFound && environment::variable(FILE).is_none() => {
            return Ok(BTreeMap::new());
        }
        Err(error) => {
            let shown = path.display();
            return Err(CliError::caused(
                format!("the repositories of Helm, `{shown}`, cannot be read"),
                &error,
            )
            .hint(format!(
                "it is where {FILE} says, and there are credentials of chart repositories in it"
            )));
        }
    };
    read(text.expose(), &path, &urls)
}

/// Returns the name of the credential of a repository: its URL, but for slashes at its end.
pub(crate) fn name(url: &str) -> &str {
    url.trim_end_matches('/')
}

/// Returns where Helm keeps repositories.
fn path() -> Option<PathBuf> {
    let directory = || {
        let own = environment::variable("HELM_CONFIG_HOME").map(PathBuf::from);
        own.or_else(|| Some(environment::user_config()?.join("helm")))
    };
    environment::variable(FILE).map(PathBuf::from).or_else(|| Some(directory()?.join("repositories.yaml")))
}

fn read(text: &str, path: &Path, urls: &[&str]) -> Result<BTreeMap<String, FetchCredential>, CliError> {
    // What is wrong is not told: a message may repeat what is in the file.
    let found: Repositories = serde_saphyr::from_str(text).map_err(|_| {
        CliError::new(format!("`{}` has no list of chart repositories", path.display())).hint(
            "it is written by `helm repo add`; remove it, or name another one by HELM_REPOSITORY_CONFIG",
        )
    })?;
    let mut credentials = BTreeMap::new();
    for entry in found.repositories.into_iter().flatten() {
        let name = name(&entry.url);
        let is_wanted = urls.iter().any(|url| self::name(url) == name);
        let is_open = entry.username.is_empty() && entry.password.is_empty();
        if !is_wanted || is_open || credentials.contains_key(name) {
            continue;
        }
        let credential = FetchCredential::basic(&entry.username, &entry.password, name);
        credentials.extend(credential.map(|credential| (name.to_owned(), credential)));
    }
    Ok(credentials)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(text: &str, urls: &[&str]) -> Vec<String> {
        let credentials = read(text, Path::new("repositories.yaml"), urls).expect("a list");
        assert!(!format!("{credentials:?}").contains("hunter2"));
        credentials.into_keys().collect()
    }

    #[test]
    fn only_those_of_wanted_repositories_are_held() {
        let text = "
apiVersion: \"\"
generated: \"0001-01-01T00:00:00Z\"
repositories:
- {name: a, url: https://a.example/charts/, username: me, password: hunter2, caFile: \"\", pass_credentials_all: false}
- {name: again, url: https://a.example/charts, username: other, password: hunter2}
- {name: b, url: https://b.example/charts, username: me, password: hunter2}
- {name: open, url: https://open.example/charts, username: \"\", password: \"\"}
- {name: none, url: not a URL, username: me, password: hunter2}
";
        let urls =
            ["https://a.example/charts", "https://open.example/charts", "https://a.example", "not a URL"];
        assert_eq!(held(text, &urls), ["https://a.example/charts"]);
        assert_eq!(held("repositories:\n", &urls), [""; 0]);
        assert_eq!(held("{}", &urls), [""; 0]);
    }

    #[test]
    fn what_is_wrong_is_told_without_secrets() {
        let error = read("repositories: [{password: hunter2", Path::new("r.yaml"), &[]).expect_err("no YAML");
        let told = format!("{error:?} {}", error.heading);
        assert!(told.contains("`r.yaml` has no list") && !told.contains("hunter2"), "{told}");
        assert!(read("[hunter2]", Path::new("r.yaml"), &[]).is_err());
    }
}
