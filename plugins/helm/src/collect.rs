//! Collects: fetches charts, renders them, and hands over their images and archives.

use std::collections::{BTreeMap, BTreeSet};

use oc_mirror_chart::{ChartError, Options, merge_files, missing, render};
use oc_mirror_plugin_sdk::host::{plan, progress};
use oc_mirror_plugin_sdk::{
    Error, ImageRequest, Platform, Sink, Summary, about, info, note, other, together, warning, with_hint,
    write_all,
};

use serde::Serialize;

use crate::fault;
use crate::fetch::{self, Fetched};
use crate::images;
use crate::settings::{Manner, Place, Plan, PlannedRepository};
use crate::uses;

/// How many requests go to the host at once.
const BATCH: usize = 500;
/// How many strings a warning lists.
const LISTED: usize = 10;

/// An image that is wanted.
#[derive(Default)]
struct Wanted {
    charts: BTreeSet<String>,
    /// The same charts, for the record.
    uses: BTreeSet<uses::Use>,
    /// None takes all.
    platforms: Vec<Platform>,
}

/// Where a chart is from.
struct Origin<'a> {
    /// What its archive is told apart by.
    label: &'a str,
    /// As the configuration has it.
    place: String,
    /// What it is called there, and its version; nothing where only the chart says so.
    named: Option<(&'a str, &'a str)>,
}

/// What is saved with the sequence: the host names charts by it in the resolved configuration.
#[derive(Default, Serialize)]
struct State {
    /// Of each chart that a repository is asked for: the places of both in the settings, and the version that was taken.
    chosen: Vec<(usize, usize, String)>,
}

/// What was found so far.
struct Collected<'a> {
    out: &'a Sink,
    images: BTreeMap<String, Wanted>,
    /// The archives that were handed over: path and content.
    archives: BTreeMap<String, Vec<u8>>,
    errors: Vec<Error>,
    state: State,
}

/// Collects everything. What is wrong with one chart is told together with what is wrong with others.
pub(crate) fn collect(wanted: &Plan, out: &Sink) -> Result<Summary, Error> {
    let mut collected = Collected {
        out,
        images: BTreeMap::new(),
        archives: BTreeMap::new(),
        errors: Vec::new(),
        state: State::default(),
    };
    for (number, repository) in wanted.repositories.iter().enumerate() {
        collected.repository(number, repository)?;
    }
    for (chart, manner) in &wanted.local {
        go_on()?;
        let name = match chart.name.as_str() {
            "" => format!("chart `{}`", chart.path),
            name => format!("chart `{name}` in `{}`", chart.path),
        };
        let from = Origin { label: "local", place: chart.path.clone(), named: None };
        collected.chart(&name, &from, fetch::of_host(chart), manner);
    }
    if !collected.errors.is_empty() {
        return Err(together("helm.charts", collected.errors));
    }
    let state = serde_json::to_string(&collected.state).map_err(|e| other("helm.state", e.to_string()))?;
    plan::save_state(&state)?;
    let requests: Vec<ImageRequest> = collected.images.into_iter().map(request).collect();
    let mut images = 0;
    for batch in requests.chunks(BATCH) {
        images += u64::from(out.images(batch)?);
    }
    Ok(Summary { images, generated: 0, skipped: 0 })
}

/// A sign of life, and whether to go on.
fn go_on() -> Result<(), Error> {
    if progress::cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}

fn request((source, wanted): (String, Wanted)) -> ImageRequest {
    let charts = wanted.charts.into_iter().collect::<Vec<_>>().join(" ");
    let mut provenance = vec![("plugin".to_owned(), "helm".to_owned()), ("chart".to_owned(), charts)];
    provenance.extend(uses::facts(&wanted.uses));
    ImageRequest {
        origin: source.clone(),
        source,
        kind: "helm".to_owned(),
        target_repository: None,
        target_tag: None,
        platforms: wanted.platforms,
        with_referrers: false,
        provenance,
    }
}

impl Collected<'_> {
    fn repository(&mut self, number: usize, repository: &PlannedRepository) -> Result<(), Error> {
        go_on()?;
        let named = format!("repository `{}`", repository.name);
        let ended = match &repository.place {
            Place::Web(url) => self.web(number, repository, url),
            Place::Oci(path) => self.registry(number, repository, path),
        };
        match ended {
            Err(Error::Cancelled) => Err(Error::Cancelled),
            Err(error) => {
                self.errors.push(about(error, &named));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn web(&mut self, number: usize, repository: &PlannedRepository, url: &str) -> Result<(), Error> {
        let credential = repository.credential.as_deref();
        let index = fetch::index(url, credential)?;
        let everything = Manner::default();
        let mut wanted = Vec::new();
        for (chart, (name, version, manner)) in repository.charts.iter().enumerate() {
            match index.find(name, version.as_deref()) {
                Some(release) => {
                    self.state.chosen.push((number, chart, release.version.clone()));
                    wanted.push((name.as_str(), release, manner));
                }
                None => {
                    let error = match index.versions(name) {
                        Some(versions) => fault::no_version(version.as_deref(), &versions),
                        None => {
                            let names: Vec<&str> = index.names().take(LISTED).collect();
                            with_hint(
                                Error::NotFound("no such chart".to_owned()),
                                &format!("there are {}", names.join(", ")),
                            )
                        }
                    };
                    self.errors
                        .push(about(error, &format!("chart `{name}` of repository `{}`", repository.name)));
                }
            }
        }
        if repository.charts.is_empty() {
            for name in index.names() {
                wanted.extend(index.all(name).into_iter().map(|release| (name, release, &everything)));
            }
            info(&format!("repository `{}`: {} versions of charts", repository.name, wanted.len()));
        }
        for (name, release, manner) in wanted {
            go_on()?;
            let named = format!("chart `{name}` {} of repository `{}`", release.version, repository.name);
            let from = Origin {
                label: &repository.name,
                place: repository.place.to_string(),
                named: Some((name, release.version.as_str())),
            };
            self.chart(&named, &from, fetch::of_repository(url, credential, release), manner);
        }
        Ok(())
    }

    fn registry(&mut self, number: usize, repository: &PlannedRepository, path: &str) -> Result<(), Error> {
        if repository.charts.is_empty() {
            // A registry cannot be asked what it has, so the path is that of a chart.
            let manner = Manner::default();
            let versions = fetch::versions(path).map_err(|error| {
                with_hint(
                    about(error, &format!("`oci://{path}`")),
                    "a registry is not asked what charts it has: name them under `charts`",
                )
            })?;
            if versions.is_empty() {
                return Err(with_hint(
                    fault::no_version(None, &[]),
                    "a registry is not asked what charts it has: name them under `charts`",
                ));
            }
            for version in versions {
                self.of_registry(repository, path, &version, &manner)?;
            }
            return Ok(());
        }
        for (place, (name, version, manner)) in repository.charts.iter().enumerate() {
            go_on()?;
            let chart = format!("{path}/{name}");
            match fetch::choose(&chart, version.as_deref()) {
                Ok(version) => {
                    self.of_registry(repository, &chart, &version, manner)?;
                    self.state.chosen.push((number, place, version));
                }
                Err(error) => {
                    self.errors.push(about(error, &format!("chart `oci://{chart}`")));
                }
            }
        }
        Ok(())
    }

    fn of_registry(
        &mut self,
        repository: &PlannedRepository,
        chart: &str,
        version: &str,
        manner: &Manner,
    ) -> Result<(), Error> {
        go_on()?;
        let reference = fetch::reference(chart, version);
        let fetched = fetch::of_registry(&reference);
        let name = chart.rsplit('/').next().unwrap_or_default();
        let from = Origin {
            label: &repository.name,
            place: repository.place.to_string(),
            named: Some((name, version)),
        };
        self.chart(&format!("chart `oci://{reference}`"), &from, fetched, manner);
        Ok(())
    }

    /// Takes a chart: its archive, and the images that it uses.
    fn chart(&mut self, named: &str, from: &Origin<'_>, fetched: Result<Fetched, Error>, manner: &Manner) {
        let taken = fetched.and_then(|fetched| self.take(named, from, fetched, manner));
        if let Err(error) = taken {
            self.errors.push(about(error, named));
        }
    }

    fn take(
        &mut self,
        named: &str,
        from: &Origin<'_>,
        fetched: Fetched,
        manner: &Manner,
    ) -> Result<(), Error> {
        let Fetched { chart, archive } = fetched;
        let (name, version) = from.named.unwrap_or((chart.name(), chart.metadata.version.as_str()));
        let used: uses::Use = [from.place.as_str(), name, version].map(str::to_owned);
        let label = format!("{}-{}", chart.name(), chart.metadata.version);
        let values = merge_files(manner.values.iter().map(|file| (file.name.as_str(), file.text.as_str())));
        // The names that oc-mirror gives to releases: what is named after them is never seen.
        let missing = missing(&chart);
        if !missing.is_empty() {
            return Err(with_hint(
                other(
                    "helm.dependency",
                    format!("it uses {}, which is not in `charts/`", missing.join(", ")),
                ),
                "run `helm dependency build` in the directory of the chart",
            ));
        }
        let mut options = Options {
            release: "NAME".to_owned(),
            namespace: "RELEASE-NAMESPACE".to_owned(),
            kube_version: manner.kube_version.clone(),
            api_versions: manner.api_versions.clone(),
            ..Options::default()
        };
        let values = values.map_err(fault::of_chart)?;
        let mut rendered = render(&chart, &values, &options);
        if let (Err(error @ ChartError::KubeVersion(..)), false) = (&rendered, manner.names_kube_version) {
            warning(
                self.out,
                "helm.kube-version",
                &format!(
                    "{named}: {error}; name the version of your clusters by `kubeVersion` beside the chart"
                ),
            );
            options.any_kube_version = true;
            rendered = render(&chart, &values, &options);
        }
        let rendered = rendered.map_err(fault::of_chart)?;
        for why in &rendered.passed_over {
            warning(self.out, "helm.schema", &format!("{named}: {why}"));
        }
        let found = images::find(&rendered, &manner.paths);
        if !found.passed_over.is_empty() {
            let mut listed = found
                .passed_over
                .iter()
                .take(LISTED)
                .map(|t| format!("`{t}`"))
                .collect::<Vec<_>>()
                .join(", ");
            let more = found.passed_over.len().saturating_sub(LISTED);
            if more > 0 {
                listed.push_str(&format!(" and {more} more"));
            }
            warning(
                self.out,
                "helm.passed-over",
                &format!(
                    "{named}: these look like images and are not mirrored: {listed}; list them under \
                     `additionalImages`, or say in `imagePaths` where they are"
                ),
            );
        }
        if !found.of_tests.is_empty() {
            let listed = found.of_tests.iter().map(|t| format!("`{t}`")).collect::<Vec<_>>().join(", ");
            let text =
                format!("{named}: only `helm test` has need of these, and they are not mirrored: {listed}");
            note(self.out, "helm.tests", &text);
        }
        for image in found.images {
            let wanted = self.images.entry(image);
            let is_new = matches!(wanted, std::collections::btree_map::Entry::Vacant(_));
            let wanted = wanted.or_default();
            wanted.charts.insert(label.clone());
            wanted.uses.insert(used.clone());
            if is_new {
                wanted.platforms.clone_from(&manner.platforms);
            } else if manner.platforms.is_empty() {
                wanted.platforms.clear();
            } else if !wanted.platforms.is_empty() {
                for platform in &manner.platforms {
                    if !wanted.platforms.contains(platform) {
                        wanted.platforms.push(platform.clone());
                    }
                }
            }
        }
        self.hand_over(&label, from.label, archive)
    }

    /// Hands over an archive. Where two charts are called alike and are not the same, the later one says where it is from.
    fn hand_over(&mut self, label: &str, from: &str, archive: Vec<u8>) -> Result<(), Error> {
        let file = |name: &str| -> String {
            let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
            format!("charts/{}.tgz", name.chars().map(|c| if good(c) { c } else { '_' }).collect::<String>())
        };
        let mut path = file(label);
        for attempt in 1.. {
            match self.archives.get(&path) {
                None => break,
                Some(known) if *known == archive => return Ok(()),
                Some(_) if attempt == 1 => path = file(&format!("{from}-{label}")),
                Some(_) => path = file(&format!("{from}-{attempt}-{label}")),
            }
        }
        let writer = self.out.artifact(&path)?;
        write_all(&writer, &archive)?;
        self.archives.insert(path, archive);
        Ok(())
    }
}
