//! `oc-mirror doctor`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oc_mirror_engine::fsx;
use oc_mirror_engine::report::Silence;
use oc_mirror_engine::workflow::doctor::{Places, examine};
use oc_mirror_model::checkup::{Checkup, Outcome};
use oc_mirror_model::config::{ImageSetConfiguration, StorageConfig};
use oc_mirror_model::plugin_source::PluginSource;
use oc_mirror_model::reference::{InvalidReference, Reference, Source, Target};
use oc_mirror_model::report::exit;
use time::OffsetDateTime;
use url::Url;

use super::check::settings;
use super::mirror::configuration;
use crate::args::{DoctorArgs, Format};
use crate::error::CliError;
use crate::output::{self, clean, size, table};
use crate::{network, releases};

/// Where the releases of OpenShift are.
const RELEASES: &str = "quay.io/openshift-release-dev/ocp-release";
/// The least free space that a workspace is good for.
const LEAST: u64 = 1 << 30;
/// Free space below which a run is likely to end early.
const LITTLE: u64 = 50 << 30;
/// How many files a run may have open: connections, chunks and images.
const FILES: u64 = 1024;
const MACHINE: &str = "this machine";

/// Looks at all that a run needs.
pub(crate) fn run(args: &DoctorArgs) -> Result<u8, CliError> {
    let configured = args.config.as_deref().map(|path| configuration(path, false)).transpose()?;
    let configuration = configured.as_ref().map(|configured| &configured.configuration);
    let mut places = configuration.map(places).transpose()?.unwrap_or_default();
    let mut directories: Vec<PathBuf> = Vec::new();
    if let Some(text) = args.workspace.as_deref() {
        directories.push(directory(text).ok_or_else(|| {
            CliError::new(format!("--workspace is `{text}`")).hint("a workspace is a directory: file://DIR")
        })?);
    }
    match args.destination.as_deref() {
        None => {}
        Some(text) if text.starts_with("docker://") => {
            let target: Target = text.parse().map_err(|error: InvalidReference| {
                CliError::from_error(&error).hint("write docker://HOST[:PORT][/PREFIX]")
            })?;
            places.target = Some(target);
        }
        Some(text) => directories.push(directory(text).ok_or_else(|| {
            CliError::new(format!("`{text}` is no destination that can be looked at"))
                .hint("write docker://HOST[:PORT][/PREFIX] or file://DIR")
        })?),
    }
    if let Some(StorageConfig::Local { path }) = configuration.and_then(|c| c.storage.as_ref()) {
        directories.push(path.into());
    }
    directories.dedup();
    // Trying again would only make people wait for what they want to know.
    let network = network::open(&args.network, &settings(0, None, Arc::new(Silence))?)?;
    let mut found = Checkup::default();
    machine(&mut found);
    directories.iter().for_each(|dir| look_at(dir, &mut found));
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let remote = super::runtime()?.block_on(async {
        tokio::select! {
            found = examine(&network, &places, now) => Ok(found),
            stopped = super::interrupted() => Err(stopped.error(None)),
        }
    })?;
    found.checks.extend(remote.checks);
    match args.output {
        Format::Text => print(&found),
        format => output::data(format, &found)?,
    }
    Ok(if found.count(Outcome::Failed) > 0 { exit::GENERIC } else { exit::OK })
}

fn directory(text: &str) -> Option<PathBuf> {
    text.strip_prefix("file://").filter(|dir| !dir.is_empty()).map(PathBuf::from)
}

/// Returns the places that a configuration names.
fn places(configuration: &ImageSetConfiguration) -> Result<Places, CliError> {
    let mirror = &configuration.mirror;
    let mut texts: Vec<&str> = Vec::new();
    let mut servers = Vec::new();
    if let Some(platform) = &mirror.platform {
        if platform.release.is_none() && !platform.channels.is_empty() {
            texts.push(RELEASES);
        }
        texts.extend([&platform.release, &platform.graph_image].into_iter().flatten().map(String::as_str));
        for (what, url) in releases::Servers::of(platform)?.asked(platform) {
            servers.push((what, address(&url)?));
        }
    }
    texts.extend(mirror.operators.iter().map(|operator| operator.catalog.as_str()));
    texts.extend(mirror.additional_images.iter().map(|image| image.name.as_str()));
    texts.extend(mirror.blocked_images.iter().filter_map(|image| image.base_image.as_deref()));
    let mut images: Vec<Reference> = texts.into_iter().filter_map(reference).collect();
    let components =
        mirror.plugins.iter().map(|p| &p.source).chain(mirror.policies.iter().map(|p| &p.source));
    images.extend(components.filter_map(|source| match source.parse() {
        Ok(PluginSource::Image(Source::Registry(reference))) => Some(reference),
        _ => None,
    }));
    for repository in mirror.helm.iter().flat_map(|helm| &helm.repositories) {
        match repository.url.strip_prefix("oci://") {
            // A registry alone has charts right below it, of which one is asked for by name.
            Some(rest) => {
                let chart = repository
                    .charts
                    .first()
                    .map(|chart| format!("{}/{}", rest.trim_end_matches('/'), chart.name));
                images.extend(chart.as_deref().and_then(reference));
            }
            None => {
                let index = format!("{}/index.yaml", repository.url.trim_end_matches('/'));
                servers.push(("charts", address(&index)?));
            }
        }
    }
    if let Some(StorageConfig::Registry { image, .. }) = &configuration.storage {
        // It is made by the first run.
        images.push(Reference { tag: None, digest: None, ..image.clone() });
    }
    Ok(Places { images, servers, target: None })
}

fn reference(text: &str) -> Option<Reference> {
    match text.parse() {
        Ok(Source::Registry(reference)) => Some(reference),
        _ => None,
    }
}

fn address(text: &str) -> Result<Url, CliError> {
    text.parse().map_err(|error: url::ParseError| {
        CliError::caused(format!("`{text}` is not a URL"), &error).hint("write https://HOST/PATH")
    })
}

/// Looks at what this machine allows.
fn machine(found: &mut Checkup) {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let shown = limit.map_or_else(|| "any number of".to_owned(), |limit| limit.to_string());
    let message = format!("{shown} files may be open");
    match limit {
        Some(limit) if limit < FILES => {
            let hint = format!("raise it with `ulimit -n {FILES}`, or LimitNOFILE of a service");
            found.note(
                MACHINE,
                "open files",
                Outcome::Warning,
                format!("only {limit} files may be open"),
                Some(hint),
            );
        }
        _ => found.note(MACHINE, "open files", Outcome::Ok, message, None),
    }
}

/// Looks at a directory that a run writes to: whether it can, and how much. What is not there yet is made by a run.
fn look_at(dir: &Path, found: &mut Checkup) {
    let subject = dir.display().to_string();
    let (there, available) =
        match fsx::device(dir).and_then(|(_, there)| Ok((there.clone(), fsx::available_space(&there)?))) {
            Ok(known) => known,
            Err(error) => return unusable(&subject, &error, found),
        };
    // Nothing but trying tells of read-only file systems, quotas and access lists.
    match tempfile::Builder::new().prefix(".oc-mirror-doctor-").tempfile_in(&there) {
        Ok(_) => {
            let message = match there == dir {
                true => "it can be written to".to_owned(),
                false => format!("it is not there yet, and can be made in {}", there.display()),
            };
            found.note(&subject, "workspace", Outcome::Ok, message, None);
        }
        Err(error) => return unusable(&subject, &error, found),
    }
    let message = format!("{} are free", size(available));
    let hint = "an imageset takes its size in its directory, once: `--dry-run` tells it";
    match available {
        ..LEAST => found.note(&subject, "space", Outcome::Failed, message, Some(hint.to_owned())),
        LEAST..LITTLE => found.note(&subject, "space", Outcome::Warning, message, Some(hint.to_owned())),
        _ => found.note(&subject, "space", Outcome::Ok, message, None),
    }
}

fn unusable(subject: &str, error: &io::Error, found: &mut Checkup) {
    let hint = "see its permissions, and whether its file system is mounted for writing".to_owned();
    found.note(
        subject,
        "workspace",
        Outcome::Failed,
        format!("it cannot be written to: {error}"),
        Some(hint),
    );
}

fn print(found: &Checkup) {
    let rows = found.checks.iter().map(|checked| {
        let cells = [checked.outcome.as_str(), &checked.subject, &checked.what, &checked.message];
        cells.map(str::to_owned).to_vec()
    });
    let text = table(&["STATE", "OF", "WHAT", "FOUND"], rows.collect());
    let mut lines = text.lines();
    output::line(lines.next().unwrap_or_default());
    for (line, checked) in lines.zip(&found.checks) {
        output::line(line);
        for hint in checked.hint.iter().flat_map(|hint| hint.lines()) {
            output::line(&clean(&format!("    hint: {hint}")));
        }
    }
    let counts = [Outcome::Failed, Outcome::Warning, Outcome::Ok]
        .map(|o| format!("{} {}", found.count(o), o.as_str()));
    output::status(&counts.join(", "));
}
