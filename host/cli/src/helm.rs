//! What the plugin `helm` is told: settings and grants, out of the section `helm` of a configuration.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use oc_mirror_engine::source::HttpFetch;
use oc_mirror_model::config::{Helm, LocalChart};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::CliError;
use crate::{environment, helm_repositories};

/// The name of the plugin.
pub(crate) const NAME: &str = "helm";

/// The most bytes of one chart of this machine.
const MAX_BYTES: u64 = 64 << 20;
/// The most files of a chart's directory.
const MAX_FILES: usize = 20_000;
/// How deep directories of a chart may be; links may lead in circles.
const MAX_DEPTH: usize = 32;
/// Directories that are no part of a chart, whatever its `.helmignore` says.
const NOT_A_CHART: [&str; 4] = [".git", ".hg", ".svn", ".bzr"];

/// Returns the settings. Charts and values of this machine are read here, since a plugin reads no files.
pub(crate) fn settings(section: &Helm, directory: &Path, http: &dyn HttpFetch) -> Result<Value, CliError> {
    let repositories = section.repositories.iter().map(|repository| {
        let charts = repository.charts.iter().map(|chart| {
            Ok(json!({
                "name": chart.name,
                "version": chart.version,
                "imagePaths": chart.image_paths,
                "platforms": chart.platforms,
                "values": values(&chart.values_files, directory)?,
                "kubeVersion": chart.kube_version,
                "apiVersions": chart.api_versions,
            }))
        });
        let charts: Vec<Value> = charts.collect::<Result<_, CliError>>()?;
        let credential = credential(&repository.url, http);
        Ok(json!({
            "name": repository.name,
            "url": repository.url,
            "credential": credential,
            "charts": charts,
        }))
    });
    let repositories: Vec<Value> = repositories.collect::<Result<_, CliError>>()?;
    let local = section.local.iter().map(|chart| local(chart, directory));
    let local: Vec<Value> = local.collect::<Result<_, CliError>>()?;
    Ok(json!({ "repositories": repositories, "local": local }))
}

/// Returns what the plugin may do: it reads registries, fetches charts and says which versions it chose.
///
/// Where the archives of a repository are is said by its index, often at another host and behind redirects; so it may fetch
/// from any host over TLS, and without only where the user names a repository without.
pub(crate) fn grants(section: &Helm, http: &dyn HttpFetch) -> Vec<String> {
    let mut grants: BTreeSet<String> = ["artifact", "registry", "state"].map(str::to_owned).into();
    for repository in &section.repositories {
        if repository.url.starts_with("https://") || repository.url.starts_with("http://") {
            grants.insert("http:https://*".to_owned());
        }
        if repository.url.starts_with("http://") {
            grants.insert("http:http://*".to_owned());
        }
        grants.extend(credential(&repository.url, http).map(|name| format!("credential:{name}")));
    }
    grants.into_iter().collect()
}

/// Returns the name of the credential of a repository, if there is one.
fn credential<'a>(url: &'a str, http: &dyn HttpFetch) -> Option<&'a str> {
    Some(helm_repositories::name(url)).filter(|name| http.has_credential(name))
}

/// What the plugin saves with a sequence.
#[derive(Deserialize)]
struct State {
    /// Of each chart that a repository is asked for: the places of both in the configuration, and the version that was taken.
    chosen: Vec<(usize, usize, String)>,
}

/// Names charts by the versions that they had in a run, given what the plugin saved with it.
///
/// A repository of which everything is taken has nothing that could be pinned, and charts of this machine have no version to
/// ask for.
pub(crate) fn pin(section: &mut Helm, state: &Value) {
    // Nothing, if the plugin did not come that far.
    let Ok(State { chosen }) = State::deserialize(state) else { return };
    for (repository, chart, version) in chosen {
        let repository = section.repositories.get_mut(repository);
        if let Some(chart) = repository.and_then(|repository| repository.charts.get_mut(chart)) {
            chart.version = Some(version);
        }
    }
}

fn values(files: &[String], directory: &Path) -> Result<Vec<Value>, CliError> {
    let files = files.iter().map(|file| {
        let bytes = environment::read(&path_of(file, directory), "the file with values")?;
        let text = String::from_utf8(bytes)
            .map_err(|_| CliError::new(format!("the file with values `{file}` is not text")))?;
        Ok(json!({ "name": file, "text": text }))
    });
    files.collect()
}

/// Paths are relative to the configuration, as everywhere in it.
fn path_of(text: &str, directory: &Path) -> PathBuf {
    directory.join(text.strip_prefix("file://").unwrap_or(text))
}

fn local(chart: &LocalChart, directory: &Path) -> Result<Value, CliError> {
    let path = path_of(&chart.path, directory);
    let mut settings = json!({
        "name": chart.name,
        "path": chart.path,
        "imagePaths": chart.image_paths,
        "platforms": chart.platforms,
        "values": values(&chart.values_files, directory)?,
        "kubeVersion": chart.kube_version,
        "apiVersions": chart.api_versions,
    });
    let shown = path.display();
    let about = fs::metadata(&path).map_err(|error| {
        CliError::caused(format!("the chart `{shown}` cannot be read"), &error)
            .hint("`path` is the directory of a chart or a `.tgz`, relative to the configuration")
            .code(oc_mirror_model::report::exit::HELM)
    })?;
    if about.is_dir() {
        let mut files = Files::default();
        files.add(&path, "", MAX_DEPTH)?;
        settings["files"] = files.files.into();
    } else {
        if about.len() > MAX_BYTES {
            return Err(too_large(&path));
        }
        settings["archive"] = BASE64_STANDARD.encode(environment::read(&path, "the chart")?).into();
    }
    Ok(settings)
}

fn too_large(path: &Path) -> CliError {
    CliError::new(format!(
        "the chart `{}` has more than {} MiB, {MAX_FILES} files or {MAX_DEPTH} levels",
        path.display(),
        MAX_BYTES >> 20
    ))
    .hint("name the directory that `Chart.yaml` is in; `helm package` makes an archive without what `.helmignore` lists")
}

/// Files of a directory.
#[derive(Default)]
struct Files {
    files: Vec<Value>,
    bytes: u64,
}

impl Files {
    fn add(&mut self, directory: &Path, below: &str, depth: usize) -> Result<(), CliError> {
        let depth = depth.checked_sub(1).ok_or_else(|| too_large(directory))?;
        let failed = |error: std::io::Error| {
            CliError::caused(
                format!("the chart's directory `{}` cannot be read", directory.display()),
                &error,
            )
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(directory).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name());
        }
        // So that what is sent is the same on every machine.
        names.sort();
        for name in names {
            let path = directory.join(&name);
            let Some(name) = name.to_str() else { continue };
            let about = fs::metadata(&path).map_err(failed)?;
            if about.is_dir() {
                if !NOT_A_CHART.contains(&name) {
                    self.add(&path, &format!("{below}{name}/"), depth)?;
                }
                continue;
            }
            if !about.is_file() {
                continue;
            }
            self.bytes += about.len();
            if self.bytes > MAX_BYTES || self.files.len() >= MAX_FILES {
                return Err(too_large(directory));
            }
            let data = BASE64_STANDARD.encode(environment::read(&path, "a file of the chart")?);
            self.files.push(json!({ "path": format!("{below}{name}"), "data": data }));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_mirror_engine::source::{HttpError, HttpRequest, HttpResponse};
    use oc_mirror_model::config::{HelmRepository, RepositoryChart};

    fn repository(url: &str) -> Helm {
        let repository = HelmRepository { name: "a".into(), url: url.into(), ..HelmRepository::default() };
        Helm { repositories: vec![repository], ..Helm::default() }
    }

    /// Has the credentials of these names, and no network.
    struct Held(&'static [&'static str]);

    #[async_trait::async_trait]
    impl HttpFetch for Held {
        async fn fetch(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
            panic!("nothing is fetched here")
        }

        fn has_credential(&self, name: &str) -> bool {
            self.0.contains(&name)
        }
    }

    fn granted(section: &Helm) -> Vec<String> {
        grants(section, &Held(&[]))
    }

    #[test]
    fn a_credential_is_granted_where_there_is_one() {
        let held = Held(&["https://r.example/charts"]);
        let mine = repository("https://r.example/charts/");
        assert!(grants(&mine, &held).contains(&"credential:https://r.example/charts".to_owned()));
        assert_eq!(
            grants(&repository("https://r.example"), &held),
            granted(&repository("https://r.example"))
        );
        let told = |section: &Helm| {
            settings(section, Path::new(""), &held).expect("settings")["repositories"][0]["credential"]
                .clone()
        };
        assert_eq!(
            (told(&mine), told(&repository("https://r.example"))),
            (json!("https://r.example/charts"), Value::Null)
        );
    }

    #[test]
    fn only_what_a_repository_needs_is_granted() {
        assert_eq!(granted(&repository("oci://r.example/charts")), ["artifact", "registry", "state"]);
        assert_eq!(
            granted(&repository("https://r.example")),
            ["artifact", "http:https://*", "registry", "state"]
        );
        let plain = granted(&repository("http://r.example"));
        assert_eq!(plain, ["artifact", "http:http://*", "http:https://*", "registry", "state"]);
    }

    #[test]
    fn charts_are_pinned_where_they_were_chosen() {
        let chart = |version: Option<&str>| RepositoryChart {
            name: "a".into(),
            version: version.map(str::to_owned),
            ..RepositoryChart::default()
        };
        let mut section = repository("https://r.example");
        section.repositories[0].charts = vec![chart(None), chart(Some("^1")), chart(Some("2.0.0"))];
        let state = json!({ "chosen": [[0, 0, "3.1.0"], [0, 1, "1.9.0"], [0, 9, "1.0.0"], [9, 0, "1.0.0"]] });
        pin(&mut section, &state);
        let versions = |section: &Helm| {
            let charts = section.repositories[0].charts.iter();
            charts.map(|chart| chart.version.clone().unwrap_or_default()).collect::<Vec<_>>()
        };
        assert_eq!(versions(&section), ["3.1.0", "1.9.0", "2.0.0"]);
        pin(&mut section, &Value::Null);
        pin(&mut section, &json!({ "chosen": [["0", 0, "9.9.9"]] }));
        assert_eq!(versions(&section), ["3.1.0", "1.9.0", "2.0.0"]);
    }

    #[test]
    fn directories_are_read_without_their_history() {
        let dir = tempfile::tempdir().expect("a directory");
        let chart = dir.path().join("app");
        fs::create_dir_all(chart.join("templates")).expect("made");
        fs::create_dir_all(chart.join(".git")).expect("made");
        for file in ["Chart.yaml", "templates/a.yaml", ".git/config"] {
            fs::write(chart.join(file), "x").expect("written");
        }
        let section = Helm {
            local: vec![LocalChart { path: "app".into(), ..LocalChart::default() }],
            ..Helm::default()
        };
        let settings = settings(&section, dir.path(), &Held(&[])).expect("a chart");
        let files = settings["local"][0]["files"].as_array().expect("files");
        let paths: Vec<_> = files.iter().map(|file| file["path"].as_str().expect("a path")).collect();
        assert_eq!(paths, ["Chart.yaml", "templates/a.yaml"]);
    }
}
