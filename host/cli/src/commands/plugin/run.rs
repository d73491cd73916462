//! `oc-mirror plugin run`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use oc_mirror_engine::policy::{Mode, OnFailure, Policy};
use oc_mirror_engine::report::{Event, Events, Level};
use oc_mirror_engine::source::PluginError;
use oc_mirror_engine::transfer::Retry;
use oc_mirror_engine::trust::plugin::PublisherKeys;
use oc_mirror_engine::workflow::recording::{Header, Outside, Recorder, RecordingError, Replay};
use oc_mirror_engine::workflow::tryout::{Around, NoVerdict, Tryout, scratch_in};
use oc_mirror_engine::workflow::{cache_in, directory_of_workspace, remembered_in};
use oc_mirror_model::config::PluginTrust;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::policy::Decision;
use oc_mirror_model::reference::{InvalidReference, Source};
use oc_mirror_model::report::exit;
use oc_mirror_model::request::ImageRequest;
use oc_mirror_plugin_host::{Binary, Host, PluginMeta, PluginSpec};
use serde_json::{Value, json};

use super::super::check::plural;
use super::super::list::{asking, print};
use super::super::mirror::configuration;
use super::desk::Desk;
use super::named::Named;
use super::said::{Said, Wanted};
use crate::args::PluginRunArgs;
use crate::components::Finder;
use crate::error::CliError;
use crate::output;
use crate::progress::Console;
use crate::{config_files, environment, plugins, signatures};

/// What can name a component in a registry, which a replay does not ask.
const REGISTRY: &str = "docker://";

/// Asks one plugin by itself.
pub(super) fn run(args: &PluginRunArgs) -> Result<u8, CliError> {
    let requests =
        args.images.iter().map(|image| request(image, &args.kind)).collect::<Result<Vec<_>, _>>()?;
    let replay = args.replay.as_deref().map(Replay::open).transpose().map_err(not_recorded)?;
    let host = plugins::host()?;
    let mut run = asking(environment::created()?.text);
    run.events = Arc::new(Told);
    if let Some(replay) = &replay {
        run.created.clone_from(&replay.header().time);
        // Nothing changes while one waits for a recording.
        run.retry = Retry { times: 0, delay: None };
    }
    let desk = Desk::with(&args.network, run)?;
    let asked = Asked::find(args, &host, &desk)?;
    asked.check_role(&requests)?;
    let directory = Desk::directory()?;
    let scratch = scratch_in(directory.path());
    let recorder = args.record.as_deref().map(|path| asked.record(path, &desk)).transpose()?;
    let outside = match &replay {
        Some(replay) => Outside::replayed(replay, &scratch),
        None => desk.outside()?,
    };
    let outside = match &recorder {
        Some(recorder) => outside.recorded(recorder, &scratch),
        None => outside,
    };
    let count = (!requests.is_empty()).then_some(requests.len() as u64);
    if args.guard.is_idle() {
        output::warning(signatures::IDLE);
    }
    // Below the recording, so that signatures are a part of it.
    let guard = signatures::guard(&args.guard, outside.http.clone())?;
    let around = Around { guard, ..around(args.workspace.as_deref(), &desk)? };
    let tryout = Tryout::new(&desk.run, outside, directory.path(), count, around);
    let shown = asked.described();
    let outcome = desk.work(async {
        Ok(match requests.is_empty() {
            true => collected(asked, &host, &tryout, &scratch).await,
            false => judged(asked, &host, &tryout, &requests).await,
        })
    });
    // A recording of a failure is worth as much as one of a success; one that was interrupted is not.
    let outcome = outcome?;
    drop(tryout);
    if let (Some(recorder), Some(path)) = (&recorder, &args.record) {
        let exchanges = recorder.finish().map_err(not_recorded)?;
        output::status(&format!("recorded {} in {}", plural(exchanges, "answer"), path.display()));
    }
    let lacking = replay.map(|replay| replay.missing()).unwrap_or_default();
    let said = match (outcome, lacking.is_empty()) {
        (Err(failed), false) => return Err(with_cause(lacks(&lacking), &failed)),
        (outcome, _) => outcome?,
    };
    print(args.output, &said.value(shown), || said.text())?;
    if !lacking.is_empty() {
        return Err(lacks(&lacking));
    }
    Ok(if said.is_good() { exit::OK } else { exit::GENERIC })
}

/// Returns what a workspace has for the plugins of its next run.
fn around(workspace: Option<&str>, desk: &Desk) -> Result<Around, CliError> {
    let Some(named) = workspace else { return Ok(Around::default()) };
    let parent = PathBuf::from(named.strip_prefix("file://").unwrap_or(named));
    if !directory_of_workspace(&parent).is_dir() {
        return Err(CliError::new(format!("there is no workspace in `{}`", parent.display()))
            .hint("name the directory that a mirror run was given; without --workspace it is a first run"));
    }
    let remembered = desk.work(async { Ok(remembered_in(&parent).await?) })?;
    Ok(Around { remembered, cache: Some(cache_in(&parent)), guard: None })
}

fn not_recorded(error: RecordingError) -> CliError {
    CliError::from_error(&error).hint(error.hint())
}

/// Says what the plugin asked for that is not in the recording.
fn lacks(lacking: &[String]) -> CliError {
    let mut calls = lacking.iter().map(|call| format!("not in the recording: {call}"));
    let mut made = CliError::new(calls.next().unwrap_or_default());
    made.causes.extend(calls);
    made.hint("record it again, with the same settings and images: the plugin asks for more than it did")
}

fn with_cause(mut made: CliError, failed: &CliError) -> CliError {
    made.causes.push(failed.heading.clone());
    made
}

/// Reads an image that is to be judged.
fn request(image: &str, kind: &str) -> Result<ImageRequest, CliError> {
    let source: Source = image.parse().map_err(|error: InvalidReference| {
        CliError::from_error(&error)
            .hint("name images as HOST/REPOSITORY:TAG, HOST/REPOSITORY@DIGEST or oci:DIR:NAME")
    })?;
    Ok(ImageRequest {
        source: source.to_string(),
        origin: source.to_string(),
        kind: kind.to_owned(),
        target_repository: None,
        target_tag: None,
        platforms: Vec::new(),
        with_referrers: false,
        provenance: Default::default(),
    })
}

/// A plugin that is going to be asked.
struct Asked {
    /// Its name in messages: that of its entry, else its own.
    name: String,
    binary: Binary,
    meta: PluginMeta,
    settings: Value,
    grants: Vec<String>,
}

/// What an entry of a configuration says.
struct Entry {
    source: String,
    trust: Option<PluginTrust>,
    settings: Value,
    grants: Vec<String>,
}

impl Asked {
    fn find(args: &PluginRunArgs, host: &Host, desk: &Desk) -> Result<Self, CliError> {
        let entry = match (&args.config, &args.entry) {
            (Some(path), Some(name)) => Some((path, name, entry(path, name)?)),
            _ => None,
        };
        let offline = args.replay.is_some();
        let (binary, name) = match (&args.plugin, &entry) {
            (Some(plugin), entry) => {
                (named(plugin, host, desk, offline)?, entry.as_ref().map(|e| e.1.clone()))
            }
            (None, Some((path, name, entry))) => {
                (of_entry((path, name, entry), host, desk, offline)?, Some((*name).clone()))
            }
            (None, None) => {
                return Err(CliError::new("no plugin is named").hint("name PLUGIN, or --entry of --config"));
            }
        };
        let inspection = binary.inspect().map_err(|error| {
            let shown = args.plugin.as_deref().or(name.as_deref()).unwrap_or_default();
            CliError::caused(format!("`{shown}` is not a plugin for this program"), &error).hint(error.hint())
        })?;
        let (mut settings, mut grants) =
            entry.map_or((Value::Null, Vec::new()), |e| (e.2.settings, e.2.grants));
        if let Some(path) = &args.settings {
            settings = read_settings(path)?;
        }
        grants.extend(args.grants.iter().cloned());
        let name = name.unwrap_or_else(|| inspection.meta.id.clone());
        Ok(Self { name, binary, meta: inspection.meta, settings, grants })
    }

    /// Refuses images that nobody judges, and a policy that has nothing to judge.
    fn check_role(&self, requests: &[ImageRequest]) -> Result<(), CliError> {
        let is = |role: &[&str]| self.meta.worlds.iter().any(|world| role.contains(&world.as_str()));
        let (is_policy, is_source) = (is(&["policy", "static-policy"]), is(&["content-source"]));
        let name = &self.name;
        match (requests.is_empty(), is_policy) {
            (true, true) if !is_source => {
                Err(CliError::new(format!("`{name}` is a policy, and there is nothing to judge"))
                    .hint("name images with --image"))
            }
            (false, false) => Err(CliError::new(format!("`{name}` is no policy, and judges no images"))
                .hint("leave out --image to ask a source for all that it wants")),
            _ => Ok(()),
        }
    }

    fn record(&self, path: &Path, desk: &Desk) -> Result<Arc<Recorder>, CliError> {
        let component = Digest::of(self.binary.bytes());
        let (program, time) = (&desk.run.program, &desk.run.created);
        let header = Header::new(program, &self.meta.id, &self.meta.version, component, time);
        Recorder::create(path, &header).map_err(not_recorded)
    }

    fn described(&self) -> Value {
        json!({
            "name": self.name,
            "id": self.meta.id,
            "version": self.meta.version,
            "component": Digest::of(self.binary.bytes()),
        })
    }

    fn spec(self) -> Result<PluginSpec, CliError> {
        let grants = plugins::parse_grants(&self.name, &self.grants)?;
        let settings = if self.settings.is_null() { json!({}) } else { self.settings };
        Ok(PluginSpec { name: self.name, binary: self.binary, settings, grants })
    }
}

/// Finds a component as the command line names it.
fn named(plugin: &str, host: &Host, desk: &Desk, offline: bool) -> Result<Binary, CliError> {
    refuse_registry(plugin, offline)?;
    let named = Named::given(plugin)?;
    match named.local(host)? {
        Some(binary) => Ok(binary),
        None => Ok(Binary::new(plugin, desk.work(desk.fetch(&named))?.component)),
    }
}

/// Finds the component of an entry, and lets it pass only if it is signed as the entry wants it.
fn of_entry(
    (path, name, entry): (&PathBuf, &str, &Entry),
    host: &Host,
    desk: &Desk,
    offline: bool,
) -> Result<Binary, CliError> {
    refuse_registry(&entry.source, offline)?;
    let finder = Finder {
        host,
        directory: path.parent().unwrap_or(Path::new("")),
        artifacts: &desk.artifacts,
        // Those of a workspace are for its runs.
        publishers: PublisherKeys::default(),
    };
    Ok(desk.work(finder.find(name, &entry.source, entry.trust.as_ref()))?.binary)
}

fn refuse_registry(plugin: &str, offline: bool) -> Result<(), CliError> {
    match offline && plugin.starts_with(REGISTRY) {
        true => Err(CliError::new(format!("`{plugin}` is in a registry, and --replay asks none"))
            .hint(format!("get it with `oc-mirror plugin pull {plugin}`, and name the file"))),
        false => Ok(()),
    }
}

/// Finds an entry of a configuration by its name.
fn entry(path: &Path, name: &str) -> Result<Entry, CliError> {
    let mut mirror = configuration(path, false)?.configuration.mirror;
    config_files::inline(&mut mirror, path.parent().unwrap_or(Path::new("")))?;
    let sources = mirror.plugins.into_iter().map(|e| (e.name, e.source, e.trust, e.config, e.grants));
    let policies = mirror.policies.into_iter().map(|e| (e.name, e.source, e.trust, e.config, e.grants));
    let entries: Vec<_> = sources.chain(policies).collect();
    let names: Vec<String> = entries.iter().map(|entry| format!("`{}`", entry.0)).collect();
    let found = entries.into_iter().find(|entry| entry.0 == name);
    let (_, source, trust, settings, grants) = found.ok_or_else(|| {
        let made = CliError::new(format!("no entry of `{}` is named `{name}`", path.display()));
        match names.is_empty() {
            true => made.hint("it has neither `plugins` nor `policies`"),
            false => made.hint(format!("there are {}", names.join(", "))),
        }
    })?;
    Ok(Entry { source, trust, settings, grants })
}

fn read_settings(path: &Path) -> Result<Value, CliError> {
    let bytes = environment::read(path, "the file of --settings")?;
    let shown = path.display();
    let text = String::from_utf8(bytes).map_err(|error| {
        CliError::caused(format!("`{shown}` is not text"), &error).hint("save it as UTF-8")
    })?;
    serde_saphyr::from_str(&text).map_err(|error| {
        CliError::caused(format!("`{shown}` is not YAML"), &error)
            .hint("it has what is below `config` of the plugin in a configuration")
    })
}

async fn collected(asked: Asked, host: &Host, tryout: &Tryout, scratch: &Path) -> Result<Said, CliError> {
    let spec = asked.spec()?;
    let heading = format!("the plugin `{}` cannot be used", spec.name);
    let source = host.source(spec).await.map_err(|error| plugins::failed(heading, &error))?;
    let collected = tryout.collect(source.as_ref()).await.map_err(|error| failed(&error))?;
    Ok(Said::Collected(Wanted::new(collected, scratch)))
}

async fn judged(
    asked: Asked,
    host: &Host,
    tryout: &Tryout,
    requests: &[ImageRequest],
) -> Result<Said, CliError> {
    let spec = asked.spec()?;
    let heading = format!("the policy `{}` cannot be used", spec.name);
    let policy = host
        .policy(spec, Mode::Protect, OnFailure::Deny)
        .await
        .map_err(|error| plugins::failed(heading, &error))?;
    let mut verdicts = Vec::with_capacity(requests.len());
    for request in requests {
        verdicts.push((request.clone(), verdict(policy.as_ref(), tryout, request).await));
    }
    Ok(Said::Judged(verdicts))
}

/// Has one image judged. What breaks is told of that image, and the others are judged all the same.
async fn verdict(policy: &dyn Policy, tryout: &Tryout, request: &ImageRequest) -> Result<Decision, String> {
    tryout.judge(policy, request).await.map_err(|error| {
        let shown = match &error {
            NoVerdict::Plugin(error) => failed(error),
            NoVerdict::Image(error) => CliError::from_error(error),
        };
        std::iter::once(shown.heading).chain(shown.causes).chain(shown.hint).collect::<Vec<_>>().join(": ")
    })
}

/// Shows why a plugin failed. A grant that it lacks can be given here too.
fn failed(error: &PluginError) -> CliError {
    let made = CliError::from_error(error);
    match &error.hint {
        Some(hint) if hint.contains("`grants`") => made.hint(format!("{hint}, or give it with --grant")),
        Some(hint) => made.hint(hint),
        None => made,
    }
}

/// Shows what a run tells, and all that the plugin logs.
struct Told;

impl Events for Told {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::PluginLog { plugin, level, message, fields } => {
                let level = match level {
                    Level::Trace => "trace",
                    Level::Debug => "debug",
                    Level::Info => "info",
                    Level::Warn => "warning",
                    Level::Error => "error",
                };
                let fields: Vec<String> =
                    fields.iter().map(|(key, value)| format!(" {key}={value}")).collect();
                output::status(&format!("{plugin}: {level}: {message}{}", fields.concat()));
            }
            other => Console::new(false).event(other),
        }
    }
}
