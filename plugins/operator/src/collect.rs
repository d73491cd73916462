//! Collects: reads all catalogs, selects, and hands over images and the catalogs that offer them.

use std::collections::{BTreeMap, BTreeSet};

use oc_mirror_catalog::{
    Catalog, Entry, ImageKind, IncompleteBundles, Selection, State, filter_hash, report_dependencies,
    report_deprecations, resolve_dependencies, select,
};
use oc_mirror_plugin_sdk::host::plan;
use oc_mirror_plugin_sdk::host::progress;
use oc_mirror_plugin_sdk::reference::Source;
use oc_mirror_plugin_sdk::{Error, ImageRequest, Platform, Sink, Summary, info, note, other, warning};

use crate::build::Plan;
use crate::fault;
use crate::index;
use crate::offers::Offers;
use crate::read::CatalogImage;
use crate::settings::{CatalogSettings, Settings};
use crate::target::Target;

/// How many requests go to the host at once.
const BATCH: usize = 500;
/// How many bundles are named as the reason for an image.
const MOST_BUNDLES: usize = 20;

/// A catalog that was read.
struct Read<'a> {
    settings: &'a CatalogSettings,
    target: Target,
    image: CatalogImage,
    catalog: Catalog,
}

/// Collects all catalogs.
pub(crate) fn collect(settings: &Settings, out: &Sink) -> Result<Summary, Error> {
    let withheld = Withheld::ask();
    let mut state = match plan::load_state() {
        Some(text) => serde_json::from_str(&text)
            .map_err(|e| other("operator.state", format!("what was mirrored before cannot be read: {e}")))?,
        None => State::default(),
    };
    let read = all(settings.catalogs.iter().map(read))?;
    let selections = all(read.iter().map(|r| {
        let failed =
            |problems| fault::of_problems("operator.selection", &r.settings.entry.catalog, &problems);
        select(&r.catalog, &r.settings.entry, settings.rules, &state).map_err(failed)
    }))?;
    let mut selected: Vec<(&Catalog, &Entry, Selection)> =
        read.iter().zip(selections).map(|(r, s)| (&r.catalog, &r.settings.entry, s)).collect();
    resolve_dependencies(&mut selected);
    let mut summary = Summary { images: 0, generated: 0, skipped: 0 };
    for (r, (_, _, selection)) in read.iter().zip(&mut selected) {
        summary.skipped += withheld.take_out(r, selection, out);
    }
    report_dependencies(&mut selected);
    selected.iter_mut().for_each(|(_, _, selection)| report_deprecations(selection));
    for (r, (_, _, selection)) in read.iter().zip(selected) {
        if progress::cancelled() {
            return Err(Error::Cancelled);
        }
        hand_over(r, &selection, out, &mut summary)?;
        state.update(selection.state());
    }
    let text = serde_json::to_string(&state).map_err(|e| other("operator.state", e.to_string()))?;
    plan::save_state(&text)?;
    Ok(summary)
}

/// Returns everything, or one error of all that went wrong.
fn all<T>(outcomes: impl Iterator<Item = Result<T, Error>>) -> Result<Vec<T>, Error> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        match outcome {
            Ok(value) => good.push(value),
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error) => bad.push(error),
        }
    }
    if bad.is_empty() { Ok(good) } else { Err(fault::together(bad)) }
}

fn read(settings: &CatalogSettings) -> Result<Read<'_>, Error> {
    let target = Target::of(&settings.entry).map_err(Error::Invalid)?;
    let image = CatalogImage::open(&settings.entry.catalog)?;
    let catalog = index::load(&image)?;
    info(&format!("{}: {} packages", settings.entry.catalog, catalog.packages.len()));
    Ok(Read { settings, target, image, catalog })
}

/// Hands over the images of a catalog, and the catalog.
fn hand_over(r: &Read<'_>, selection: &Selection, out: &Sink, summary: &mut Summary) -> Result<(), Error> {
    let entry = &r.settings.entry;
    let images = selection
        .images(&r.catalog)
        .map_err(|problems| fault::of_problems("operator.images", &entry.catalog, &problems))?;
    for n in selection.notes.iter().chain(&images.notes) {
        tell(out, n.code, &format!("{}: package `{}`: {}", entry.catalog, n.package, n.message));
    }
    let mut requests = Vec::new();
    let mut offers = Offers::new(&r.target.origin, &r.catalog);
    for image in images.iter() {
        requests.push(request(r, image, &mut offers)?);
    }
    if requests.is_empty() {
        let text = format!("{}: no image is left to mirror", entry.catalog);
        return Err(other("operator.nothing", text));
    }
    for batch in requests.chunks(BATCH) {
        summary.images += u64::from(out.images(batch)?);
    }
    let provenance = provenance(r, selection, out)?;
    if selection.untouched {
        summary.images += u64::from(out.images(&[original(r, provenance)])?);
        return Ok(());
    }
    summary.generated += 1;
    let Read { target, image, catalog, .. } = r;
    Plan { entry, target, image, catalog, selection, provenance }.build(out)
}

/// Notes of the rules that want something done are warnings.
fn tell(out: &Sink, code: &str, text: &str) {
    let code = format!("operator.{code}");
    match code.as_str() {
        "operator.missing-dependency"
        | "operator.no-upgrade-path"
        | "operator.dropped-channel"
        | "operator.deprecated" => {
            warning(out, &code, text);
        }
        _ => note(out, &code, text),
    }
}

fn request(
    r: &Read<'_>,
    image: &oc_mirror_catalog::Image<'_>,
    offers: &mut Offers<'_>,
) -> Result<ImageRequest, Error> {
    let origin = origin_of(image.reference);
    let kind = match image.kind {
        ImageKind::Bundle => "bundle",
        ImageKind::Related => "related",
    };
    let bundles: Vec<&str> = image.bundles.iter().copied().take(MOST_BUNDLES).collect();
    Ok(ImageRequest {
        source: origin.clone(),
        origin,
        kind: kind.to_owned(),
        target_repository: None,
        target_tag: None,
        platforms: platforms(&r.settings.entry),
        with_referrers: false,
        provenance: [
            ("catalog".to_owned(), r.target.origin.clone()),
            ("operator".to_owned(), image.package.to_owned()),
            ("bundles".to_owned(), bundles.join(" ")),
        ]
        .into_iter()
        .chain(offers.of(image))
        .collect(),
    })
}

/// Names an image as reports and policies know it.
fn origin_of(reference: &str) -> String {
    reference.parse::<Source>().map_or_else(|_| reference.to_owned(), |source| source.to_string())
}

/// The catalog as it is.
fn original(r: &Read<'_>, provenance: Vec<(String, String)>) -> ImageRequest {
    let by_digest = || r.image.digest.replacen(':', "-", 1);
    ImageRequest {
        source: r.image.pinned.clone(),
        origin: r.target.origin.clone(),
        kind: "catalog".to_owned(),
        target_repository: Some(r.target.repository.clone()),
        target_tag: Some(r.target.tag.clone().unwrap_or_else(by_digest)),
        platforms: platforms(&r.settings.entry),
        with_referrers: false,
        provenance,
    }
}

/// What is to be known of a catalog later: what it was made of, and what its CatalogSource is made of.
fn provenance(r: &Read<'_>, selection: &Selection, out: &Sink) -> Result<Vec<(String, String)>, Error> {
    let hex = r.image.digest.split_once(':').map_or("", |(_, hex)| hex);
    let mut provenance = vec![
        ("catalog".to_owned(), r.settings.entry.catalog.clone()),
        ("catalog-digest".to_owned(), r.image.digest.clone()),
        ("filter".to_owned(), filter_hash(&r.settings.entry, hex)),
    ];
    if !selection.untouched {
        let required = selection.packages.iter().filter(|package| package.reasons.iter().any(is_required));
        let required: Vec<&str> = required.map(|package| package.name.as_str()).collect();
        if !required.is_empty() {
            provenance.push(("required".to_owned(), required.join(" ")));
        }
    }
    if let Some(template) = &r.settings.template {
        let tag = r.target.tag.clone().unwrap_or_else(|| hex.chars().take(12).collect());
        let path = format!("catalog-source-templates/{}/{tag}.yaml", r.target.repository);
        let writer = out.artifact(&path)?;
        writer.write(template.as_bytes())?;
        provenance.push(("catalog-source-template".to_owned(), path));
    }
    Ok(provenance)
}

fn is_required(reason: &oc_mirror_catalog::Reason) -> bool {
    matches!(reason, oc_mirror_catalog::Reason::RequiredBy { .. })
}

/// The platforms of an entry, as the host has them.
pub(crate) fn platforms(entry: &Entry) -> Vec<Platform> {
    let platform = |p: &oc_mirror_catalog::Platform| Platform {
        os: p.os.clone(),
        arch: p.architecture.clone(),
        variant: p.variant.clone(),
    };
    entry.platforms.iter().map(platform).collect()
}

/// What cannot be had of what was asked for before.
struct Withheld {
    /// By origin: whether a policy refused it, and why.
    images: BTreeMap<String, (bool, String)>,
}

impl Withheld {
    fn ask() -> Self {
        let images = plan::withheld().into_iter();
        Self { images: images.map(|i| (i.origin, (i.reason == "refused", i.message))).collect() }
    }

    /// Takes bundles out that are not whole; returns how many.
    fn take_out(&self, r: &Read<'_>, selection: &mut Selection, out: &Sink) -> u64 {
        if self.images.is_empty() {
            return 0;
        }
        let keep = r.settings.entry.incomplete_bundles == IncompleteBundles::Keep;
        let own: BTreeSet<&str> = match keep {
            true => bundle_images(&r.catalog),
            false => BTreeSet::new(),
        };
        let unavailable = |image: &str| {
            let (refused, message) = self.images.get(&origin_of(image))?;
            // An operator may do without an image that the user does not want; not without its bundle.
            let tolerated = keep && *refused && !own.contains(image);
            (!tolerated).then(|| message.clone())
        };
        let dropped = selection.without(&r.catalog, &unavailable);
        for bundle in &dropped {
            let text = format!(
                "{}: package `{}`: the bundle `{}` is not offered: {}",
                r.settings.entry.catalog, bundle.package, bundle.bundle, bundle.reason
            );
            warning(out, "operator.incomplete-bundle", &text);
        }
        dropped.len() as u64
    }
}

fn bundle_images(catalog: &Catalog) -> BTreeSet<&str> {
    catalog.packages.iter().flat_map(|p| &p.bundles).map(|b| b.image.as_str()).collect()
}
