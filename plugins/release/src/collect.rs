//! Collects: asks the update graphs which releases are wanted, has each verified, and hands over what they consist of.

use std::collections::BTreeMap;

use oc_mirror_plugin_sdk::host::{plan, progress, registry};
use oc_mirror_plugin_sdk::reference::Source;
use oc_mirror_plugin_sdk::{
    Error, ImageRequest, Sink, Summary, about, info, note, other, together, warning, with_hint, write_all,
};
use oc_mirror_update_graph::{Note, Options, Span, Version, select_after};
use serde::{Deserialize, Serialize};

use crate::payload::Payload;
use crate::settings::Settings;
use crate::signatures::Verified;
use crate::updates::Updates;
use crate::{fault, graph_data};

/// Where payloads go.
const PAYLOADS: &str = "openshift/release-images";
/// Where what they consist of goes: apart, since the update service reads every image that is beside a payload.
const COMPONENTS: &str = "openshift/release";
/// How the disk image for KubeVirt is called.
const KUBEVIRT: &str = "kube-virt-container";
/// How many requests go to the host at once.
const BATCH: usize = 500;

/// What is remembered from sequence to sequence.
#[derive(Default, Serialize, Deserialize)]
struct State {
    /// By architecture and channel, the version that was mirrored first.
    #[serde(default)]
    heads: BTreeMap<String, BTreeMap<String, Version>>,
    /// By architecture and channel, the lowest and the highest version that were mirrored.
    #[serde(default)]
    spans: BTreeMap<String, BTreeMap<String, Span>>,
}

/// A release that is wanted.
struct Wanted {
    /// Its image, by digest.
    image: Source,
    /// The version that it is said to be.
    version: Option<String>,
    okd: bool,
    /// The channels that it is in, and anything else to be known of it.
    provenance: Vec<(String, String)>,
}

impl Wanted {
    fn digest(&self) -> &str {
        self.image.digest().unwrap_or_default()
    }
}

/// Collects everything.
pub(crate) fn collect(settings: &Settings, out: &Sink) -> Result<Summary, Error> {
    let section = &settings.platform;
    let mut wanted = match &section.release {
        Some(release) => vec![named(release)?],
        None => of_channels(settings, out)?,
    };
    // An architecture may be asked for twice, as one of several too.
    let mut seen = std::collections::BTreeSet::new();
    wanted.retain(|wanted| seen.insert(wanted.image.to_string()));
    let verified = verify(&wanted, out)?;
    let mut summary = Summary { images: 0, generated: 0, skipped: 0 };
    let payloads = payloads(&wanted, settings, verified)?;
    for (wanted, payload) in wanted.iter().zip(&payloads.found) {
        let requests = requests(wanted, payload, settings, out)?;
        for batch in requests.chunks(BATCH) {
            summary.images += u64::from(out.images(batch)?);
        }
    }
    payloads.verified.hand_over(out)?;
    if section.graph {
        match graph_data::hand_over(settings, out)? {
            true => summary.generated += 1,
            false => summary.images += 1,
        }
    }
    Ok(summary)
}

/// Asks the graphs of all architectures.
fn of_channels(settings: &Settings, out: &Sink) -> Result<Vec<Wanted>, Error> {
    let section = &settings.platform;
    let wishes = section.wishes();
    if wishes.is_empty() {
        return Ok(Vec::new());
    }
    let mut state = match plan::load_state() {
        Some(text) => serde_json::from_str(&text)
            .map_err(|e| other("release.state", format!("what was mirrored before cannot be read: {e}")))?,
        None => State::default(),
    };
    let mut wanted = Vec::new();
    let mut errors = Vec::new();
    for architecture in section.architectures() {
        let mut updates = Updates::new(&settings.servers, &settings.client, &architecture);
        let heads = state.heads.get(&architecture).cloned().unwrap_or_default();
        let options = Options { rules: settings.rules, accept: settings.accept(), heads };
        let before = state.spans.remove(&architecture).unwrap_or_default();
        let selection = match select_after(&wishes, &options, &before, &mut updates) {
            Ok(selection) => selection,
            Err(error) => {
                errors.push(about(fault::of_selection(error), &architecture));
                continue;
            }
        };
        info(&format!("{architecture}: {} releases", selection.releases.len()));
        selection.notes.iter().for_each(|n| tell(out, &architecture, n));
        record(&updates, &architecture, out)?;
        for release in selection.releases {
            let version = release.version.to_string();
            let provenance = [("channel", release.channels.join(" ")), ("reason", release.why.join("; "))];
            let said = provenance.into_iter().filter(|(_, text)| !text.is_empty());
            let provenance = said.map(|(key, text)| (key.to_owned(), text)).collect();
            match by_digest(&release.payload) {
                Ok(image) => {
                    wanted.push(Wanted { image, version: Some(version), okd: release.okd, provenance })
                }
                Err(error) => {
                    let error = about(error, &format!("release {version} for {architecture}"));
                    errors.push(with_hint(error, "the update graph has no other image for it: see whether UPDATE_URL_OVERRIDE is right"));
                }
            }
        }
        state.heads.insert(architecture.clone(), selection.heads);
        state.spans.insert(architecture, selection.spans);
    }
    if !errors.is_empty() {
        return Err(together("release.selection", errors));
    }
    let text = serde_json::to_string(&state).map_err(|e| other("release.state", e.to_string()))?;
    plan::save_state(&text)?;
    mark_ends(&mut wanted, section.architectures().iter().filter_map(|a| state.spans.get(a)));
    Ok(wanted)
}

/// Marks the releases that name a channel's selection again when the configuration is pinned. It has one range for all
/// architectures, of which one may be behind, so the ends are those of all together.
fn mark_ends<'a>(wanted: &mut [Wanted], spans: impl Iterator<Item = &'a BTreeMap<String, Span>>) {
    let mut ends: BTreeMap<&str, (&Version, &Version)> = BTreeMap::new();
    for (channel, span) in spans.flatten() {
        let (min, max) = ends.entry(channel).or_insert((&span.min, &span.max));
        *min = (*min).min(&span.min);
        *max = (*max).max(&span.max);
    }
    for wanted in wanted {
        let Some(Ok(version)) = wanted.version.as_deref().map(Version::parse) else { continue };
        let (mut lowest, mut highest) = (Vec::new(), Vec::new());
        for (channel, (min, max)) in &ends {
            lowest.extend((**min == version).then_some(*channel));
            highest.extend((**max == version).then_some(*channel));
        }
        let marks = [("lowest-of", lowest), ("highest-of", highest)].into_iter();
        let marks = marks.filter(|(_, channels)| !channels.is_empty());
        wanted.provenance.extend(marks.map(|(key, channels)| (key.to_owned(), channels.join(" "))));
    }
}

fn tell(out: &Sink, architecture: &str, said: &Note) {
    let text = format!("{architecture}: {}", said.text);
    match said.is_warning {
        true => warning(out, said.code, &text),
        false => note(out, said.code, &text),
    }
}

/// Puts the graphs into the imageset as they were received: the far side has no other.
fn record(updates: &Updates<'_>, architecture: &str, out: &Sink) -> Result<(), Error> {
    for (okd, channel, bytes) in updates.fetched() {
        let product = if okd { "okd" } else { "ocp" };
        let writer = out.artifact(&format!("update-graphs/{product}/{architecture}-{channel}.json"))?;
        write_all(&writer, bytes)?;
    }
    Ok(())
}

/// Returns an image by digest; nothing is looked up where the name has one.
fn by_digest(name: &str) -> Result<Source, Error> {
    let source: Source = name.parse().map_err(|e| Error::Invalid(format!("`{name}`: {e}")))?;
    if source.digest().is_some() {
        return Ok(source.at_digest(source.digest().unwrap_or_default()));
    }
    let found = registry::resolve(&[name.to_owned()]).pop();
    let found = found.unwrap_or_else(|| Err(Error::NotFound(name.to_owned())));
    Ok(source.at_digest(&found.map_err(|error| about(error, name))?.descriptor.digest))
}

/// The release that the configuration names.
fn named(name: &str) -> Result<Wanted, Error> {
    let image = by_digest(name)?;
    let tag = match name.parse::<Source>() {
        Ok(Source::Registry(reference)) => reference.tag,
        _ => None,
    };
    Ok(Wanted {
        image,
        version: tag.as_deref().and_then(version_in),
        okd: name.contains("okd") || name.contains("/origin/"),
        provenance: vec![("reason".to_owned(), "platform.release".to_owned())],
    })
}

/// Returns the version that a tag such as `4.18.1-x86_64` names.
fn version_in(tag: &str) -> Option<String> {
    const ARCHITECTURES: [&str; 5] = ["x86_64", "aarch64", "ppc64le", "s390x", "multi"];
    let version = ARCHITECTURES.iter().find_map(|a| tag.strip_suffix(a)?.strip_suffix('-'))?;
    Version::parse(version).is_ok().then(|| version.to_owned())
}

/// Has all releases verified before anything of one is read.
fn verify(wanted: &[Wanted], out: &Sink) -> Result<Verified, Error> {
    let mut verified = Verified::default();
    let mut errors = Vec::new();
    for release in wanted {
        if progress::cancelled() {
            return Err(Error::Cancelled);
        }
        let outcome = verified.verify(release.digest(), release.version.as_deref(), release.okd);
        match outcome {
            Ok(true) => {}
            Ok(false) => {
                // The report has to say so too, long after the lines on the screen are gone.
                let text = format!("{} is mirrored without looking at its signature", release.image);
                warning(out, "release.unverified", &text);
            }
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => errors.push(match &release.version {
                Some(version) => about(error, &format!("release {version}")),
                None => about(error, &release.image.to_string()),
            }),
        }
    }
    if errors.is_empty() { Ok(verified) } else { Err(together("release.signatures", errors)) }
}

struct Payloads {
    found: Vec<Payload>,
    verified: Verified,
}

fn payloads(wanted: &[Wanted], settings: &Settings, mut verified: Verified) -> Result<Payloads, Error> {
    let platforms = settings.platform.platforms();
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for release in wanted {
        if progress::cancelled() {
            return Err(Error::Cancelled);
        }
        let read = Payload::read(&release.image.to_string(), release.digest(), &platforms);
        match read.and_then(|payload| agrees(release, &payload, &mut verified).map(|()| payload)) {
            Ok(payload) => found.push(payload),
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(Payloads { found, verified })
    } else {
        Err(together("release.payloads", errors))
    }
}

/// A release has to be the version that whoever named it said, and whoever signed it.
fn agrees(release: &Wanted, payload: &Payload, verified: &mut Verified) -> Result<(), Error> {
    let plain = |version: &str| version.split('+').next().unwrap_or(version).to_owned();
    match &release.version {
        Some(said) if plain(said) == plain(&payload.version) => Ok(()),
        Some(said) => {
            let text = format!("{} is said to be release {said}, and is {}", release.image, payload.version);
            Err(with_hint(
                other("release.version", text),
                "do not trust the server of the update graph before this is explained",
            ))
        }
        None => verified.verify(release.digest(), Some(&plain(&payload.version)), release.okd).map(drop),
    }
}

/// The images of a release.
fn requests(
    release: &Wanted,
    payload: &Payload,
    settings: &Settings,
    out: &Sink,
) -> Result<Vec<ImageRequest>, Error> {
    let version = payload.version.replace('+', "-");
    let tag = format!("{version}-{}", payload.architecture);
    let request = |image: &str, kind: &str, repository: &str, tag: String| ImageRequest {
        source: image.to_owned(),
        origin: image.to_owned(),
        kind: kind.to_owned(),
        target_repository: Some(repository.to_owned()),
        target_tag: Some(tag),
        platforms: settings.platform.platforms(),
        with_referrers: true,
        provenance: [
            ("release".to_owned(), payload.version.clone()),
            ("architecture".to_owned(), payload.architecture.clone()),
        ]
        .into_iter()
        .chain(release.provenance.clone())
        .collect(),
    };
    let image = release.image.to_string();
    let mut requests = vec![request(&image, "release", PAYLOADS, tag.clone())];
    for (component, image) in &payload.components {
        requests.push(request(image, "release-content", COMPONENTS, format!("{tag}-{component}")));
    }
    if settings.platform.kube_virt_container {
        for (component, image) in kubevirt(payload, settings, out)? {
            requests.push(request(&image, "release-content", COMPONENTS, format!("{tag}-{component}")));
        }
    }
    Ok(requests)
}

/// The disk images for KubeVirt, by the name of the component.
fn kubevirt(payload: &Payload, settings: &Settings, out: &Sink) -> Result<Vec<(String, String)>, Error> {
    let wanted = settings.platform.kubevirt_architectures();
    let mut found = Vec::new();
    for architecture in &wanted {
        match payload.kubevirt.get(*architecture) {
            Some(image) => {
                info(&format!(
                    "kubeVirtContainer set to true [ including : {image} (arch: {architecture}) ]"
                ));
                let name =
                    if wanted.len() > 1 { format!("{KUBEVIRT}-{architecture}") } else { KUBEVIRT.to_owned() };
                found.push((name, image.clone()));
            }
            None => {
                let text =
                    format!("release {} has no disk image for KubeVirt on {architecture}", payload.version);
                warning(out, "release.kubevirt", &text);
            }
        }
    }
    if found.is_empty() {
        let text = format!("release {} has no disk image for KubeVirt", payload.version);
        return Err(with_hint(
            other("release.kubevirt", text),
            "remove `kubeVirtContainer`, or mirror a release that has one",
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("4.18.1-x86_64", Some("4.18.1"))]
    #[case("4.18.0-rc.1-multi", Some("4.18.0-rc.1"))]
    #[case("latest", None)]
    #[case("v1-x86_64", None)]
    fn versions_in_tags(#[case] tag: &str, #[case] version: Option<&str>) {
        assert_eq!(version_in(tag).as_deref(), version);
    }
}
