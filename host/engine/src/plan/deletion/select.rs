//! What of a chain a configuration means: [`select()`]. No network is needed: the record says what each image was wanted for.
//!
//! Without versions, a channel, package or chart means all that was mirrored of it. An image goes when everything that it was
//! wanted for goes; what is only partly meant stays.

use std::collections::{BTreeMap, BTreeSet};

use oc_mirror_model::config::{Mirror, Operator, ReleasePlatform};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::metadata::{Chain, ChartUse, ImageRecord, Offer, Reason};
use oc_mirror_model::reference::{Reference, Repository, Source, Tag};
use oc_mirror_model::report::{Failure, exit};
use oc_mirror_model::request::{Destination, kind};
use oc_mirror_model::version::{Range, Version};

use super::charts::{self, ChartWish};
use super::{Chosen, current};

/// How many things are named in a message.
const MOST_NAMED: usize = 10;

/// What a configuration means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The images, in the order of where they are.
    pub images: Vec<Chosen>,
    /// What the configuration names and the record does not have.
    pub problems: Vec<Failure>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Finds the images of a chain that the sections of a configuration mean, with what is about them if that is wanted.
///
/// Catalogs are never among them.
pub fn select(wanted: &Mirror, chain: &Chain, with_companions: bool) -> Selection {
    let mut selection = Selection::default();
    let known = Known::of(chain);
    let mut wishes = wishes(wanted, &known, &mut selection.problems);
    let (mut chosen, mut partly) = (BTreeSet::new(), Vec::new());
    for (key, image) in &known.images {
        if image.record.kind == kind::CATALOG || image.is_companion() {
            continue;
        }
        let meant = image.reasons.iter().map(|reason| {
            // All wishes are asked, so that each knows whether it has found anything.
            let hits = wishes.iter_mut().map(|wish| wish.means(image, reason)).filter(|hit| *hit).count();
            (hits > 0, known.is_alive(reason))
        });
        let meant: Vec<(bool, bool)> = meant.collect();
        if !meant.iter().any(|(meant, _)| *meant) {
            continue;
        }
        if meant.iter().all(|(meant, alive)| *meant || !alive) {
            chosen.insert(*key);
        } else {
            partly.push(image.record.origin.as_str());
        }
    }
    selection.problems.extend(wishes.iter().filter(|wish| wish.hits == 0).map(|wish| wish.missed(&known)));
    if !partly.is_empty() {
        let named = named(partly.iter().copied());
        let what = match partly.len() {
            1 => "1 image stays, since something that is not deleted needs it".to_owned(),
            count => format!("{count} images stay, since something that is not deleted needs them"),
        };
        selection.warnings.push(format!("{what}: {named}"));
    }
    known.companions(chain, &mut chosen, with_companions, &mut selection.warnings);
    still_offered(chain, &known, &chosen, &mut selection.warnings);
    let tags = current(chain);
    selection.images = chosen.iter().map(|key| Chosen::of(known.images[key].record, &tags)).collect();
    selection
}

fn images(count: usize) -> String {
    if count == 1 { "1 image".to_owned() } else { format!("{count} images") }
}

/// Names some of many.
pub(super) fn named<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: BTreeSet<&str> = names.collect();
    let shown: Vec<String> = names.iter().take(MOST_NAMED).map(|name| format!("`{name}`")).collect();
    let more = names.len() - shown.len();
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

type Key<'a> = (&'a Destination, &'a Digest);

/// The images of a chain, each once.
struct Known<'a> {
    images: BTreeMap<Key<'a>, Image<'a>>,
    /// Bundles whose own image is recorded: by catalog and name.
    bundles: BTreeSet<(&'a str, &'a str)>,
}

/// An image, with what all imagesets together wanted it for.
struct Image<'a> {
    record: &'a ImageRecord,
    reasons: BTreeSet<Reason>,
}

impl Image<'_> {
    fn is_companion(&self) -> bool {
        !self.reasons.is_empty() && self.reasons.iter().all(|reason| matches!(reason, Reason::Subject { .. }))
    }

    fn is_operators(&self) -> bool {
        matches!(self.record.kind.as_str(), kind::BUNDLE | kind::RELATED)
    }

    fn is_of_platform(&self) -> bool {
        matches!(self.record.kind.as_str(), kind::RELEASE | kind::RELEASE_CONTENT | kind::GRAPH)
    }
}

impl<'a> Known<'a> {
    fn of(chain: &'a Chain) -> Self {
        let mut images: BTreeMap<Key<'a>, Image<'a>> = BTreeMap::new();
        let mut bundles = BTreeSet::new();
        for imageset in &chain.imagesets {
            let mut here = BTreeSet::new();
            for record in &imageset.images {
                let key = (&record.destination, &record.digest);
                let image = images.entry(key).or_insert_with(|| Image { record, reasons: BTreeSet::new() });
                // One that was asked for by several names has a record for each, its own first.
                if here.insert(key) {
                    image.record = record;
                }
                image.reasons.extend(record.reasons.iter().cloned());
                if record.kind == kind::BUNDLE {
                    let offers = record.reasons.iter().filter_map(offer_of);
                    bundles.extend(offers.map(|offer| (offer.catalog.as_str(), offer.bundle.as_str())));
                }
            }
        }
        for image in images.values_mut() {
            // Records of earlier versions do not say; what somebody named has its name.
            if image.reasons.is_empty() && !image.is_operators() {
                image.reasons.insert(Reason::Named { origin: image.record.origin.clone() });
            }
        }
        Self { images, bundles }
    }

    /// Answers whether there still is what an image is wanted for. Bundles may have been deleted.
    fn is_alive(&self, reason: &Reason) -> bool {
        offer_of(reason).is_none_or(|o| self.bundles.contains(&(o.catalog.as_str(), o.bundle.as_str())))
    }

    /// Returns all charts that images are recorded for.
    fn charts(&self) -> BTreeSet<&ChartUse> {
        let reasons = self.images.values().flat_map(|image| &image.reasons);
        reasons.filter_map(|r| if let Reason::Chart(chart) = r { Some(&**chart) } else { None }).collect()
    }

    /// Chooses what is about the chosen images and about nothing else, or says that it stays.
    fn companions(
        &self,
        chain: &Chain,
        chosen: &mut BTreeSet<Key<'a>>,
        wanted: bool,
        warnings: &mut Vec<String>,
    ) {
        let content = |key: &Key<'a>| {
            let content = chain.content_of(key.1).unwrap_or_else(|| BTreeSet::from([key.1.clone()]));
            content.into_iter().map(|digest| (&key.0.repository, digest)).collect::<Vec<_>>()
        };
        let staying =
            self.images.iter().filter(|(key, image)| !chosen.contains(*key) && !image.is_companion());
        let needed: BTreeSet<(&Repository, Digest)> = staying.flat_map(|(key, _)| content(key)).collect();
        let mut gone: BTreeSet<(&Repository, Digest)> = chosen.iter().flat_map(content).collect();
        let mut about = BTreeSet::new();
        // Signatures may have signatures.
        loop {
            let new = self.images.iter().filter(|(key, image)| image.is_companion() && !about.contains(*key));
            let new: Vec<Key<'a>> = new
                .filter(|((destination, _), image)| {
                    image.reasons.iter().all(|reason| match reason {
                        Reason::Subject { digest } => {
                            let place = (&destination.repository, digest.clone());
                            gone.contains(&place) && !needed.contains(&place)
                        }
                        _ => false,
                    })
                })
                .map(|(key, _)| *key)
                .collect();
            if new.is_empty() {
                break;
            }
            gone.extend(new.iter().flat_map(content));
            about.extend(new);
        }
        if wanted {
            chosen.extend(about);
        } else if !about.is_empty() {
            let count = about.len();
            let what = if count == 1 {
                "1 signature or other referrer stays"
            } else {
                "signatures and other referrers stay"
            };
            let count = if count == 1 { String::new() } else { format!("{count} ") };
            warnings.push(format!("{count}{what}; --delete-signatures lists what is about the images too"));
        }
    }
}

fn offer_of(reason: &Reason) -> Option<&Offer> {
    match reason {
        Reason::Bundle(offer) => Some(offer),
        _ => None,
    }
}

/// Says which catalogs go on to offer what is deleted.
fn still_offered(chain: &Chain, known: &Known<'_>, chosen: &BTreeSet<Key<'_>>, warnings: &mut Vec<String>) {
    let mut catalogs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for imageset in &chain.imagesets {
        for catalog in imageset.images.iter().filter(|image| image.kind == kind::CATALOG) {
            // A later catalog may offer less.
            let offers = imageset.images.iter().flat_map(|image| &image.reasons).filter_map(offer_of);
            let own = offers.filter(|offer| offer.catalog == catalog.origin);
            catalogs.insert(&catalog.origin, own.map(|offer| offer.bundle.as_str()).collect());
        }
    }
    let mut lost: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for offer in chosen.iter().flat_map(|key| &known.images[key].reasons).filter_map(offer_of) {
        if let Some((catalog, bundles)) = catalogs.get_key_value(offer.catalog.as_str())
            && let Some(bundle) = bundles.get(offer.bundle.as_str())
        {
            lost.entry(*catalog).or_default().insert(*bundle);
        }
    }
    for (catalog, bundles) in lost {
        warnings.push(format!(
            "the catalog `{catalog}` stays, and offers what is deleted: {}; mirror it again without that first",
            named(bundles.into_iter())
        ));
    }
}

/// One thing that a configuration names.
struct Wish {
    /// In its words, for messages.
    name: String,
    kind: &'static str,
    meaning: Meaning,
    hits: usize,
}

enum Meaning {
    Release {
        channel: String,
        range: Range,
        architectures: Vec<String>,
    },
    /// Releases by version and architecture.
    Payload {
        releases: BTreeSet<(String, String)>,
        reference: Source,
    },
    Graph,
    Bundle {
        catalog: Source,
        package: Option<String>,
        channel: Option<String>,
        range: Range,
        bundle: Option<String>,
    },
    Image {
        name: Source,
        repository: Option<Repository>,
        tag: Option<Tag>,
    },
    Chart(ChartWish),
}

impl Wish {
    /// Answers whether it means an image because of this reason, and counts if it does.
    fn means(&mut self, image: &Image<'_>, reason: &Reason) -> bool {
        let hit = self.meaning.has(image, reason);
        self.hits += usize::from(hit);
        hit
    }

    fn missed(&self, known: &Known<'_>) -> Failure {
        let old =
            known.images.values().filter(|image| image.is_operators() && image.reasons.is_empty()).count();
        let (message, hint) = match &self.meaning {
            Meaning::Bundle { .. } if old > 0 => (
                format!("the record does not say to which bundles {} of operators belong", images(old)),
                "they were mirrored by an earlier version; mirror once more with this one, or name them under `additionalImages`".to_owned(),
            ),
            Meaning::Release { channel, .. } => {
                let has = |reason: &Reason| match reason {
                    Reason::Release { version, channels, .. } if channels.contains(channel) => Some(version.clone()),
                    _ => None,
                };
                let versions: BTreeSet<String> = known.images.values().flat_map(|i| &i.reasons).filter_map(has).collect();
                let hint = match versions.is_empty() {
                    true => "name the channel that the release was mirrored for".to_owned(),
                    false => format!("it has {}", named(versions.iter().map(String::as_str))),
                };
                ("the record has no such release".to_owned(), hint)
            }
            Meaning::Bundle { catalog, package: Some(package), .. } => {
                let has = |offer: &&Offer| is_same(catalog, &offer.catalog, None) && offer.package == *package;
                let offers = known.images.values().flat_map(|i| &i.reasons).filter_map(offer_of).filter(has);
                let bundles: BTreeSet<&str> = offers.map(|offer| offer.bundle.as_str()).collect();
                let hint = match bundles.is_empty() {
                    true => "check the names of catalog and package against the configuration it was mirrored with".to_owned(),
                    false => format!("it has {}", named(bundles.into_iter())),
                };
                ("the record has no such bundle".to_owned(), hint)
            }
            Meaning::Chart(wish) => return charts::missed(&self.name, wish, &known.charts()),
            _ => (
                "the record has no such image".to_owned(),
                "write the name as in the configuration that it was mirrored with; what is deleted already need not be listed".to_owned(),
            ),
        };
        failure(&self.name, self.kind, message, hint)
    }
}

pub(super) fn failure(subject: &str, kind: &str, message: String, hint: String) -> Failure {
    Failure {
        subject: subject.to_owned(),
        kind: kind.to_owned(),
        message,
        hint: Some(hint),
        exit_code: exit::for_kind(kind),
    }
}

impl Meaning {
    fn has(&self, image: &Image<'_>, reason: &Reason) -> bool {
        match (self, reason) {
            (
                Self::Release { channel, range, architectures },
                Reason::Release { version, architecture, channels },
            ) => {
                channels.contains(channel)
                    && (architectures.is_empty() || architectures.contains(architecture))
                    && Version::parse(version).is_some_and(|version| range.has(&version))
            }
            (Self::Payload { releases, .. }, Reason::Release { version, architecture, .. }) => {
                releases.contains(&(version.clone(), architecture.clone()))
            }
            (Self::Payload { reference, .. }, Reason::Named { origin }) => {
                image.record.kind == kind::RELEASE && is_same(reference, origin, Some(&image.record.digest))
            }
            (Self::Graph, Reason::Named { .. }) => image.record.kind == kind::GRAPH,
            (Self::Bundle { catalog, package, channel, range, bundle }, Reason::Bundle(offer)) => {
                let in_range = || match Version::parse(&offer.version) {
                    Some(version) => range.has(&version),
                    None => range.is_open(),
                };
                is_same(catalog, &offer.catalog, None)
                    && package.as_ref().is_none_or(|package| *package == offer.package)
                    && channel.as_ref().is_none_or(|channel| offer.channels.contains(channel))
                    && bundle.as_ref().is_none_or(|bundle| *bundle == offer.bundle)
                    && in_range()
            }
            (Self::Image { name, repository, tag }, Reason::Named { origin }) => {
                let Destination { repository: there, tag: tagged } = &image.record.destination;
                !image.is_of_platform()
                    && is_same(name, origin, Some(&image.record.digest))
                    // At the target the repository is below the prefix.
                    && repository.as_ref().is_none_or(|wanted| {
                        there == wanted || there.as_str().ends_with(&format!("/{wanted}"))
                    })
                    && tag.as_ref().is_none_or(|wanted| wanted == tagged)
            }
            // Nobody has named an image that is only there for the sake of charts; whoever does now means it.
            (Self::Image { name, repository: None, tag: None }, Reason::Chart(_)) => {
                let ImageRecord { origin, digest, .. } = image.record;
                let is_named = |reason: &Reason| matches!(reason, Reason::Named { .. });
                !image.reasons.iter().any(is_named) && is_same(name, origin, Some(digest))
            }
            (Self::Chart(wish), Reason::Chart(chart)) => wish.means(chart),
            _ => false,
        }
    }
}

/// Answers whether a name of the configuration is that of an image, given by its origin and its digest.
fn is_same(name: &Source, origin: &str, digest: Option<&Digest>) -> bool {
    match (name, origin.parse()) {
        (Source::Registry(name), Ok(Source::Registry(origin))) => is_same_reference(name, &origin, digest),
        (Source::Layout(name), Ok(Source::Layout(origin))) => {
            name.path == origin.path && (name.name == origin.name || name.digest.as_ref() == digest)
        }
        _ => false,
    }
}

fn is_same_reference(name: &Reference, origin: &Reference, digest: Option<&Digest>) -> bool {
    if (&name.registry, &name.repository) != (&origin.registry, &origin.repository) {
        return false;
    }
    let by_digest = || match &name.digest {
        Some(wanted) => Some(wanted) == digest || Some(wanted) == origin.digest.as_ref(),
        // As the sources have it: no tag is `latest`.
        None => name.tag.is_none() && origin.tag.as_ref().is_none_or(|tag| tag.as_str() == "latest"),
    };
    match (&name.tag, &origin.tag) {
        (Some(wanted), Some(tag)) => wanted == tag,
        _ => by_digest(),
    }
}

/// Reads the sections. What makes no sense is a problem.
fn wishes(wanted: &Mirror, known: &Known<'_>, problems: &mut Vec<Failure>) -> Vec<Wish> {
    let mut wishes = Vec::new();
    if let Some(platform) = &wanted.platform {
        of_platform(platform, known, &mut wishes, problems);
    }
    for operator in &wanted.operators {
        of_operator(operator, &mut wishes, problems);
    }
    for image in &wanted.additional_images {
        match image.source() {
            Ok(name) => {
                let (repository, tag) = (image.target_repo.clone(), image.target_tag.clone());
                let meaning = Meaning::Image { name, repository, tag };
                wishes.push(Wish { name: image.name.clone(), kind: kind::ADDITIONAL, meaning, hits: 0 });
            }
            Err(error) => problems.push(not_a_name(&image.name, kind::ADDITIONAL, &error)),
        }
    }
    if let Some(helm) = &wanted.helm {
        let (charts, wrong) = charts::wishes(helm);
        wishes.extend(charts.into_iter().map(|wish| Wish {
            name: wish.to_string(),
            kind: kind::HELM,
            meaning: Meaning::Chart(wish),
            hits: 0,
        }));
        problems.extend(wrong);
    }
    wishes
}

fn not_a_name(name: &str, kind: &str, error: &dyn std::error::Error) -> Failure {
    failure(name, kind, error.to_string(), "correct the name in the configuration".to_owned())
}

fn no_version(name: &str, kind: &str, text: &str) -> Failure {
    failure(
        name,
        kind,
        format!("`{text}` is not a version"),
        "write three numbers, such as 4.20.1".to_owned(),
    )
}

/// Names an architecture as tags of releases do.
fn in_tag(architecture: &str) -> String {
    match architecture {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    }
    .to_owned()
}

fn of_platform(
    platform: &ReleasePlatform,
    known: &Known<'_>,
    wishes: &mut Vec<Wish>,
    problems: &mut Vec<Failure>,
) {
    let mut add = |name: String, kind, meaning| wishes.push(Wish { name, kind, meaning, hits: 0 });
    if platform.graph {
        add("platform.graph".to_owned(), kind::GRAPH, Meaning::Graph);
    }
    if let Some(release) = &platform.release {
        match release.parse::<Source>() {
            Ok(reference) => {
                let is_it = |i: &&Image<'_>| {
                    let ImageRecord { kind: of, origin, digest, .. } = i.record;
                    of == kind::RELEASE && is_same(&reference, origin, Some(digest))
                };
                let releases =
                    known.images.values().filter(is_it).flat_map(|i| &i.reasons).filter_map(|reason| {
                        match reason {
                            Reason::Release { version, architecture, .. } => {
                                Some((version.clone(), architecture.clone()))
                            }
                            _ => None,
                        }
                    });
                let releases = releases.collect();
                add(release.clone(), kind::RELEASE, Meaning::Payload { releases, reference });
            }
            Err(error) => problems.push(not_a_name(release, kind::RELEASE, &error)),
        }
        return;
    }
    let architectures: Vec<String> = platform.architectures.iter().map(|a| in_tag(a)).collect();
    for channel in &platform.channels {
        let (min, max) = (channel.min_version.as_deref(), channel.max_version.as_deref());
        let name = match (min, max) {
            (None, None) => format!("channel {}", channel.name),
            _ => format!(
                "channel {} from {} to {}",
                channel.name,
                min.unwrap_or("the first"),
                max.unwrap_or("the last")
            ),
        };
        match Range::new(min, max) {
            Ok(range) => {
                let (channel, architectures) = (channel.name.clone(), architectures.clone());
                add(name, kind::RELEASE, Meaning::Release { channel, range, architectures });
            }
            Err(text) => problems.push(no_version(&name, kind::RELEASE, text)),
        }
    }
}

fn of_operator(operator: &Operator, wishes: &mut Vec<Wish>, problems: &mut Vec<Failure>) {
    let catalog = match operator.source() {
        Ok(catalog) => catalog,
        Err(error) => return problems.push(not_a_name(&operator.catalog, kind::BUNDLE, &error)),
    };
    let mut add = |what: &[&str],
                   range: Result<Range, &str>,
                   package: Option<&str>,
                   channel: Option<&str>,
                   bundle: Option<&str>| {
        let name = [&[operator.catalog.as_str()], what].concat().join(" ");
        match range {
            Ok(range) => {
                let text = |text: Option<&str>| text.map(str::to_owned);
                let (package, channel, bundle) = (text(package), text(channel), text(bundle));
                let meaning = Meaning::Bundle { catalog: catalog.clone(), package, channel, range, bundle };
                wishes.push(Wish { name, kind: kind::BUNDLE, meaning, hits: 0 });
            }
            Err(text) => problems.push(no_version(&name, kind::BUNDLE, text)),
        }
    };
    if operator.packages.is_empty() {
        add(&[], Ok(Range::default()), None, None, None);
    }
    for package in &operator.packages {
        let name = package.name.as_str();
        let range = || Range::new(package.min_version.as_deref(), package.max_version.as_deref());
        for bundle in &package.bundles {
            add(&[name, &bundle.name], Ok(Range::default()), Some(name), None, Some(&bundle.name));
        }
        for channel in &package.channels {
            let own = Range::new(channel.min_version.as_deref(), channel.max_version.as_deref());
            // A channel that says nothing has the range of its package.
            let range = match own {
                Ok(own) if own.is_open() => range(),
                own => own,
            };
            add(&[name, &channel.name], range, Some(name), Some(&channel.name), None);
        }
        if package.bundles.is_empty() && package.channels.is_empty() {
            add(&[name], range(), Some(name), None, None);
        }
    }
}
