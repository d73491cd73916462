//! Turns a configuration into plugins. Built-in ones are told apart here, and nowhere else.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oc_mirror_engine::policy::{Mode, OnFailure, Policy};
use oc_mirror_engine::source::{ContentSource, HttpFetch, Signatures};
use oc_mirror_engine::workflow::plugin_artifacts::PluginArtifacts;
use oc_mirror_engine::workflow::{Guard, Wishes};
use oc_mirror_model::config::{
    AdditionalImage, ApiVersion, BlockedImage, ConfigError, ImageSetConfiguration, Mirror, Operator,
    PluginTrust, PolicyFailure, PolicyMode, Problem, ReleasePlatform, WrittenAt, locate, locate_key,
};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::ImageEntry;
use oc_mirror_model::plugin_source::PluginSource;
use oc_mirror_model::reference::Source;
use oc_mirror_model::report::PluginReport;
use oc_mirror_model::request::kind;
use oc_mirror_plugin_host::{
    Grants, Host, HostSettings, LoadError, LoadErrorKind, PluginSpec, SettingsProblem,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::components::{self, Component, Finder};
use crate::error::CliError;
use crate::releases::{self, Servers};
use crate::{config_files, environment, helm, operators, output};

/// Sections that no plugin of this version serves.
const UNSERVED: [(&str, &str); 1] = [("samples", "samples")];

/// What the plugins of a configuration are lent, besides what is in it.
pub(crate) struct Lent {
    /// HTTP.
    pub http: Arc<dyn HttpFetch>,
    /// Signatures of releases.
    pub signatures: Arc<dyn Signatures>,
    /// What every image has to satisfy.
    pub guard: Option<Arc<Guard>>,
    /// Risks of updates that the user accepts.
    pub accept_risks: Vec<String>,
    /// Whom update servers are told that asks.
    pub client: Uuid,
    /// What fetches plugins.
    pub artifacts: PluginArtifacts,
    /// The file of the keys that count for plugins whose entry names none, if it is there.
    pub publishers: PathBuf,
    /// Whether nothing is said about plugins that are found.
    pub quiet: bool,
}

/// Makes the plugins that a configuration asks for.
pub(crate) async fn wishes(
    written: Vec<u8>,
    path: &Path,
    mut configuration: ImageSetConfiguration,
    lent: Lent,
) -> Result<Wishes, CliError> {
    refuse_unserved(path, &configuration.mirror)?;
    let host = host()?;
    let directory = path.parent().unwrap_or(Path::new(""));
    config_files::inline(&mut configuration.mirror, directory)?;
    // Only where it is certain that there is no such file, any plugin is taken.
    let is_there = |path: &&Path| !path.symlink_metadata().is_err_and(|e| e.kind() == ErrorKind::NotFound);
    let by_default: Vec<&Path> = Some(lent.publishers.as_path()).filter(is_there).into_iter().collect();
    let finder = Finder {
        host: &host,
        directory,
        artifacts: &lent.artifacts,
        publishers: components::keys(&by_default)?,
    };
    let found = find(&finder, &configuration.mirror).await?;
    let plugins = found.iter().map(Found::report).collect::<Result<Vec<_>, _>>()?;
    if !lent.quiet {
        found.iter().zip(&plugins).for_each(|(found, report)| found.tell(report));
    }
    let text = std::str::from_utf8(&written).unwrap_or_default();
    let loader = Loader {
        host: &host,
        path,
        text,
        directory,
        accept_risks: &lent.accept_risks,
        client: lent.client,
        http: &*lent.http,
        found,
    };
    let sources = loader.sources(&configuration).await?;
    let policies = loader.policies(&configuration.mirror).await?;
    let mut resolved = configuration;
    pin_plugins(&mut resolved.mirror, &loader.found);
    Ok(Wishes {
        sources,
        policies,
        configuration: written,
        pinned: Box::new(move |images, states| pinned(&resolved, images, states)),
        http: lent.http,
        signatures: lent.signatures,
        guard: lent.guard,
        plugins,
    })
}

/// A plugin of the user's.
struct Found {
    name: String,
    grants: Vec<String>,
    component: Component,
}

/// Finds all plugins of the user's, sources before policies, and lets none pass that is not signed as it has to be.
async fn find(finder: &Finder<'_>, mirror: &Mirror) -> Result<Vec<Found>, CliError> {
    type Entry<'a> = (&'a String, &'a String, Option<&'a PluginTrust>, &'a Vec<String>);
    let sources = mirror.plugins.iter().map(|e| (&e.name, &e.source, e.trust.as_ref(), &e.grants));
    let policies = mirror.policies.iter().map(|e| (&e.name, &e.source, e.trust.as_ref(), &e.grants));
    let entries: Vec<Entry<'_>> = sources.chain(policies).collect();
    // What can be told without asking anybody is told first.
    for (name, _, _, grants) in &entries {
        parse_grants(name, grants)?;
    }
    let mut found = Vec::with_capacity(entries.len());
    for (name, source, trust, grants) in entries {
        let component = finder.find(name, source, trust).await?;
        found.push(Found { name: name.clone(), grants: grants.clone(), component });
    }
    Ok(found)
}

impl Found {
    fn report(&self) -> Result<PluginReport, CliError> {
        let Component { binary, source, signer } = &self.component;
        let inspection = binary.inspect().map_err(|error| {
            CliError::caused(format!("the plugin `{}` cannot be used", self.name), &error).hint(error.hint())
        })?;
        Ok(PluginReport {
            name: self.name.clone(),
            source: source.to_string(),
            version: inspection.meta.version,
            component: Digest::of(binary.bytes()),
            signed_by: signer.as_ref().map(|signer| signer.id.clone()),
        })
    }

    /// Says which artifact a name was resolved to, who signed it, and what it asks for and is not granted at all.
    fn tell(&self, report: &PluginReport) {
        let Component { binary, source, signer } = &self.component;
        let signed = signer.as_ref().map(|signer| format!(", signed by {signer}"));
        if matches!(source, PluginSource::Image(_)) || signed.is_some() {
            let (name, version, signed) = (&self.name, &report.version, signed.unwrap_or_default());
            output::status(&format!("plugin {name} {version} is {source}{signed}"));
        }
        let Ok(inspection) = binary.inspect() else { return };
        let word = |capability: &str| capability.split(':').next().unwrap_or_default().to_owned();
        let granted: Vec<String> = self.grants.iter().map(|grant| word(grant)).collect();
        let mut missing: Vec<String> = inspection.meta.wants.iter().map(|want| word(want)).collect();
        missing.retain(|want| !granted.contains(want));
        missing.dedup();
        if !missing.is_empty() {
            let list = missing.iter().map(|want| format!("`{want}`")).collect::<Vec<_>>().join(", ");
            output::status(&format!("plugin {} asks for {list} and is granted nothing of it", self.name));
        }
    }
}

/// Names plugins by the digests that they had in this run.
fn pin_plugins(mirror: &mut Mirror, found: &[Found]) {
    let sources = mirror.plugins.iter_mut().map(|entry| &mut entry.source);
    let policies = mirror.policies.iter_mut().map(|entry| &mut entry.source);
    for (source, found) in sources.chain(policies).zip(found) {
        if let PluginSource::Image(_) = &found.component.source {
            *source = found.component.source.to_string();
        }
    }
}

/// Names the rules of a version of the configuration, as plugins know them.
pub(crate) fn rules(api: ApiVersion) -> &'static str {
    match api {
        ApiVersion::V1Alpha2 => "v1alpha2",
        ApiVersion::V2Alpha1 => "v2alpha1",
    }
}

/// Starts the plugin host with the settings of this program.
pub(crate) fn host() -> Result<Host, CliError> {
    Host::new(HostSettings { cache_dir: environment::plugin_cache(), ..HostSettings::default() })
        .map_err(|error| CliError::from_error(&error))
}

/// Shows why a plugin cannot be used.
pub(crate) fn failed(heading: impl std::fmt::Display, error: &LoadError) -> CliError {
    // The heading names the plugin, as the error itself would.
    let made = CliError::caused(heading, error.kind.as_ref());
    match (error.hint(), error.kind.as_ref()) {
        (Some(hint), _) => made.hint(hint),
        (None, LoadErrorKind::Settings(_)) => {
            made.hint("correct it in the configuration; entries are counted from 0")
        }
        (None, _) => made,
    }
}

/// A section that nothing serves is an error: a mirror that silently lacks the operators is worse than none.
fn refuse_unserved(path: &Path, mirror: &Mirror) -> Result<(), CliError> {
    let used = mirror.sections_in_use();
    let unserved = used.iter().find_map(|section| {
        UNSERVED.iter().find(|(name, _)| *name == section.name).map(|(_, what)| (section, what))
    });
    match unserved {
        None => Ok(()),
        Some((section, what)) => {
            let place = format!("{}:{}:{}", path.display(), section.line, section.column);
            Err(CliError::new(format!(
                "{place}: `mirror.{}`: this version has no content source for {what}",
                section.name
            ))
            .hint("remove the section, or serve it with a plugin of your own under `mirror.plugins`"))
        }
    }
}

struct Loader<'a> {
    host: &'a Host,
    /// The configuration, and where it is.
    path: &'a Path,
    text: &'a str,
    directory: &'a Path,
    accept_risks: &'a [String],
    client: Uuid,
    http: &'a dyn HttpFetch,
    /// The plugins of the user's, sources before policies.
    found: Vec<Found>,
}

impl Loader<'_> {
    async fn sources(
        &self,
        configuration: &ImageSetConfiguration,
    ) -> Result<Vec<Box<dyn ContentSource>>, CliError> {
        let mirror = &configuration.mirror;
        let mut sources = Vec::new();
        if let Some(platform) = mirror.platform.as_ref().filter(|platform| !platform.asks_for_nothing()) {
            let servers = Servers::of(platform)?;
            let settings = servers.settings(configuration.api, platform, self.accept_risks, self.client);
            sources
                .push(self.source(builtin(self.host, releases::NAME, settings, &servers.grants())?).await?);
        }
        if !mirror.operators.is_empty() {
            let settings = operators::settings(configuration.api, &mirror.operators, self.directory)?;
            let grants = operators::grants(mirror.operators.iter().map(|o| o.catalog.as_str()));
            sources.push(self.source(builtin(self.host, operators::NAME, settings, &grants)?).await?);
        }
        if !mirror.additional_images.is_empty() {
            let untagged = if configuration.api == ApiVersion::V1Alpha2 { "latest" } else { "error" };
            let settings = json!({"images": mirror.additional_images, "untagged": untagged});
            let spec = builtin(self.host, "additional", settings, &grants_of(&mirror.additional_images))?;
            sources.push(self.source(spec).await?);
        }
        if let Some(section) = mirror.helm.as_ref().filter(|_| mirror.asks_for_charts()) {
            let settings = helm::settings(section, self.directory, self.http)?;
            let grants = helm::grants(section, self.http);
            sources.push(self.source(builtin(self.host, helm::NAME, settings, &grants)?).await?);
        }
        for (number, (entry, found)) in mirror.plugins.iter().zip(&self.found).enumerate() {
            let spec = self.custom(found, &entry.config, entry.grants_at)?;
            let heading = format!("the plugin `{}` cannot be used", spec.name);
            let loaded = self.host.source(spec).await;
            sources.push(loaded.map_err(|error| self.misconfigured("plugins", number, heading, &error))?);
        }
        Ok(sources)
    }

    async fn policies(&self, mirror: &Mirror) -> Result<Vec<Arc<dyn Policy>>, CliError> {
        let mut policies = Vec::new();
        if !mirror.blocked_images.is_empty() {
            let rules: Vec<Value> = mirror.blocked_images.iter().map(rule).collect();
            let spec = builtin(self.host, "block", json!({"rules": rules}), &["registry".to_owned()])?;
            let loaded = self.host.policy(spec, Mode::Protect, OnFailure::Deny).await;
            policies.push(loaded.map_err(|error| failed("the policy `block` cannot be used", &error))?);
        }
        let found = &self.found[mirror.plugins.len()..];
        for (number, (entry, found)) in mirror.policies.iter().zip(found).enumerate() {
            let spec = self.custom(found, &entry.config, entry.grants_at)?;
            let mode = match entry.mode {
                PolicyMode::Protect => Mode::Protect,
                PolicyMode::Monitor => Mode::Monitor,
            };
            let on_failure = match entry.failure {
                PolicyFailure::Deny => OnFailure::Deny,
                PolicyFailure::Allow => OnFailure::Allow,
            };
            let heading = format!("the policy `{}` cannot be used", spec.name);
            let loaded = self.host.policy(spec, mode, on_failure).await;
            policies.push(loaded.map_err(|error| self.misconfigured("policies", number, heading, &error))?);
        }
        Ok(policies)
    }

    async fn source(&self, spec: PluginSpec) -> Result<Box<dyn ContentSource>, CliError> {
        let heading = format!("the plugin `{}` cannot be used", spec.name);
        self.host.source(spec).await.map_err(|error| failed(heading, &error))
    }

    /// Shows why a plugin of the user's cannot be used; what is wrong with its settings is told as of the rest of the
    /// configuration, with its place.
    fn misconfigured(&self, section: &str, number: usize, heading: String, error: &LoadError) -> CliError {
        let LoadErrorKind::Settings(found) = error.kind.as_ref() else { return failed(heading, error) };
        let config = format!("mirror.{section}[{number}].config");
        let problem = |found: &SettingsProblem| {
            let below = if found.path.is_empty() || found.path.starts_with('[') { "" } else { "." };
            let path = format!("{config}{below}{}", found.path);
            let at = match found.code.as_str() {
                "schema.unknown" => locate_key(self.text, &path),
                _ => locate(self.text, &path),
            };
            let problem = Problem::new(at, path, found.message.clone());
            match &found.hint {
                Some(hint) => problem.with_hint(hint.clone()),
                None => problem,
            }
        };
        let mut problems: Vec<Problem> = found.iter().map(problem).collect();
        problems.sort_by_key(|problem| (problem.line, problem.column));
        let path = self.path.display().to_string();
        let made = CliError::configuration(&path, &ConfigError { problems });
        if made.hint.is_some() {
            return made;
        }
        made.hint("correct it; `oc-mirror plugin inspect -o json` shows what a plugin takes")
    }

    /// Makes what the host needs to load a plugin of the user's.
    fn custom(&self, found: &Found, config: &Value, grants_at: WrittenAt) -> Result<PluginSpec, CliError> {
        let mut grants = parse_grants(&found.name, &found.grants)?;
        if let Some(at) = grants_at.0 {
            grants = grants.written_at(format!("{}:{}", self.path.display(), at.line));
        }
        let settings = if config.is_null() { json!({}) } else { config.clone() };
        let binary = found.component.binary.clone();
        Ok(PluginSpec { name: found.name.clone(), binary, settings, grants })
    }
}

/// Asks for a plugin that ships with the program.
pub(crate) fn builtin(
    host: &Host,
    name: &str,
    settings: Value,
    grants: &[String],
) -> Result<PluginSpec, CliError> {
    let binary = host.builtin(name).map_err(|error| failed("a built-in plugin is missing", &error))?;
    Ok(PluginSpec { name: name.to_owned(), binary, settings, grants: parse_grants(name, grants)? })
}

pub(crate) fn parse_grants(name: &str, grants: &[String]) -> Result<Grants, CliError> {
    Grants::parse(grants).map_err(|error| {
        CliError::caused(format!("the grants of `{name}` cannot be used"), &error)
            .hint("grant what the plugin's documentation asks for; what is not granted stays closed to it")
    })
}

/// What `additional` is granted: registries, and the directories that the user listed.
fn grants_of(images: &[AdditionalImage]) -> Vec<String> {
    let layouts = images.iter().filter_map(|image| match image.source() {
        Ok(Source::Layout(layout)) => Some(format!("layout:{}", layout.path.display())),
        _ => None,
    });
    std::iter::once("registry".to_owned()).chain(layouts).collect()
}

fn rule(image: &BlockedImage) -> Value {
    match (&image.name, &image.glob, &image.base_image) {
        (Some(name), ..) => json!({"name": name}),
        (None, Some(glob), _) => json!({"glob": glob}),
        (None, None, base) => json!({"baseImage": base}),
    }
}

/// The configuration with every image pinned by digest, in v2alpha1 form, given what plugins saved with the sequence.
fn pinned(
    configuration: &ImageSetConfiguration,
    images: &[ImageEntry],
    states: &BTreeMap<String, Value>,
) -> Vec<u8> {
    let digests: BTreeMap<String, String> = images
        .iter()
        .filter_map(|image| match image.request.parsed_source().ok()? {
            Source::Registry(mut reference) => {
                let name = reference.to_string();
                reference.digest = Some(image.root.digest.clone());
                Some((name, reference.to_string()))
            }
            Source::Layout(mut layout) => {
                let name = Source::Layout(layout.clone()).to_string();
                layout.digest = Some(image.root.digest.clone());
                Some((name, Source::Layout(layout).to_string()))
            }
        })
        .collect();
    let mut pinned = configuration.clone();
    pinned.api = ApiVersion::V2Alpha1;
    if let Some(platform) = &mut pinned.mirror.platform {
        pin_releases(platform, images);
    }
    for operator in &mut pinned.mirror.operators {
        pin_catalog(operator, images);
    }
    for image in &mut pinned.mirror.additional_images {
        if let Some(name) = image.source().ok().and_then(|s| digests.get(&s.to_string())) {
            image.name = name.clone();
        }
    }
    if let (Some(section), Some(state)) = (&mut pinned.mirror.helm, states.get(helm::NAME)) {
        helm::pin(section, state);
    }
    let mut text = pinned.to_yaml();
    if configuration.api == ApiVersion::V1Alpha2 && !pinned.mirror.operators.is_empty() {
        // What v1alpha2 selects of a catalog has no exact counterpart.
        text.insert_str(
            0,
            "# Made from a configuration of v1alpha2, whose rules for operators are others.\n",
        );
    }
    text.into_bytes()
}

/// Names the releases that channels had in this run by their versions, and the one that was named by its digest.
fn pin_releases(platform: &mut ReleasePlatform, images: &[ImageEntry]) {
    let releases: Vec<&ImageEntry> = images.iter().filter(|i| i.request.kind == kind::RELEASE).collect();
    if let (Some(release), Some(image)) = (&mut platform.release, releases.first()) {
        release.clone_from(&image.request.source);
    }
    for channel in &mut platform.channels {
        let end = |key: &str| {
            let ends = |image: &&&ImageEntry| {
                let channels = image.request.provenance.get(key);
                channels.is_some_and(|channels| channels.split(' ').any(|name| name == channel.name))
            };
            releases
                .iter()
                .find(ends)
                .and_then(|image| image.request.provenance.get("release").map(str::to_owned))
        };
        let (lowest, highest) = (end("lowest-of"), end("highest-of"));
        channel.min_version = lowest.or(channel.min_version.take());
        channel.max_version = highest.or(channel.max_version.take());
    }
}

/// Names a catalog by the digest that it had in this run. Its tag is kept for the target, as oc-mirror v2 does.
fn pin_catalog(operator: &mut Operator, images: &[ImageEntry]) {
    let of = |image: &&ImageEntry| image.request.kind == kind::CATALOG;
    let catalog = images
        .iter()
        .filter(of)
        .find(|image| image.request.provenance.get("catalog") == Some(operator.catalog.as_str()));
    let digest =
        catalog.and_then(|image| image.request.provenance.get("catalog-digest")?.parse::<Digest>().ok());
    let (Some(digest), Ok(source)) = (digest, operator.source()) else { return };
    operator.catalog = match source {
        Source::Registry(mut reference) => {
            operator.target_tag = operator.target_tag.take().or(reference.tag.take());
            reference.digest = Some(digest);
            reference.to_string()
        }
        Source::Layout(mut layout) => {
            layout.digest = Some(digest);
            Source::Layout(layout).to_string()
        }
    };
}
