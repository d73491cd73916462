//! [`ImageRequest`]: one image that a content source wants.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::attributes::Attributes;
use crate::digest::Digest;
use crate::metadata::{ChartUse, Offer};
use crate::platform::Platform;
use crate::reference::{InvalidReference, Reference, Repository, Source, Tag};

/// What an image is for. An open set: plugins may say other words.
pub mod kind {
    /// An image listed under `additionalImages`.
    pub const ADDITIONAL: &str = "additional";
    /// A release payload.
    pub const RELEASE: &str = "release";
    /// A component of a release payload.
    pub const RELEASE_CONTENT: &str = "release-content";
    /// An operator catalog.
    pub const CATALOG: &str = "catalog";
    /// An operator bundle.
    pub const BUNDLE: &str = "bundle";
    /// An image that a bundle names.
    pub const RELATED: &str = "related";
    /// An image that a chart names.
    pub const HELM: &str = "helm";
    /// The update graph's data.
    pub const GRAPH: &str = "graph";
    /// An image of a predecessor's archive of which nobody says where it came from.
    pub const UNNAMED: &str = "unnamed";
    /// A companion: the signatures of a manifest, as cosign tags them.
    pub const SIGNATURE: &str = "signature";
    /// A companion: attestations.
    pub const ATTESTATION: &str = "attestation";
    /// A companion: a bill of materials.
    pub const SBOM: &str = "sbom";
    /// A companion: the list of all manifests that have another one as their subject, with these manifests.
    pub const REFERRERS: &str = "referrers";

    /// Answers whether it is that of a companion.
    pub fn is_companions(kind: &str) -> bool {
        [SIGNATURE, ATTESTATION, SBOM, REFERRERS].contains(&kind)
    }
}

/// What the provenance of a companion says, see [`ImageRequest::is_companion`], and that of any image.
pub mod provenance {
    /// What the same image was asked for as too, a line each: the kind, a space, and the origin.
    pub const ALSO: &str = "also";
    /// The digest of the manifest that it is about.
    pub const SUBJECT: &str = "subject";
    /// The origin of the image that this manifest belongs to.
    pub const SUBJECT_ORIGIN: &str = "subject-origin";
    /// What that image is for.
    pub const SUBJECT_KIND: &str = "subject-kind";
    /// Of a list of referrers: their digests, a line each.
    pub const REFERRERS: &str = "referrers";
    /// The bundles that an image is of, or that need it: JSON, a list of `[catalog, package, bundle, version, [channels]]`.
    /// What does not fit into one value is in `offers.2` and so on.
    pub const OFFERS: &str = "offers";
    /// The charts that use an image: JSON, a list of `[place, name, version]`. What does not fit into one value is in `charts.2`
    /// and so on.
    pub const CHARTS: &str = "charts";
    /// The version of the release that an image belongs to.
    pub const RELEASE: &str = "release";
    /// The architecture of that release, as tags have it.
    pub const ARCHITECTURE: &str = "architecture";
    /// The channels that it was mirrored for.
    pub const CHANNEL: &str = "channel";
    /// Origins by which somebody else asked for the same image, a line each, whether they are other names or not.
    pub const WANTED: &str = "wanted-also";
    /// Of a list of referrers: there if the source has it under a tag, and not only by its API.
    pub const TAGGED: &str = "referrers-tagged";
}

/// One image that a content source wants mirrored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageRequest {
    /// Where to pull from; a digest in it wins over a tag.
    pub source: String,
    /// The name users know it by; policies, reports and cluster resources use it.
    pub origin: String,
    /// What it is for, see [`kind`].
    pub kind: String,
    /// The repository at the target, below its prefix. Nothing: the rule of [`ImageRequest::destination`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_repository: Option<Repository>,
    /// The tag at the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_tag: Option<Tag>,
    /// Which images of an index to take; empty takes all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<Platform>,
    /// Whether signatures and other referrers are wanted too. It decides nothing: the host carries those of every image
    /// unless the user says `--remove-signatures`. The field stays, as the contract with plugins has it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_referrers: bool,
    /// Why this image is here: `operator=foo`, `channel=stable-4.20`.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub provenance: Attributes,
}

/// An offer as it is written into the provenance.
type WrittenOffer = (String, String, String, String, Vec<String>);

/// A chart as it is written into the provenance.
type WrittenChart = (String, String, String);

fn written_list<T: Serialize>(items: impl Iterator<Item = T>) -> String {
    serde_json::to_string(&items.collect::<Vec<T>>()).expect("strings serialise")
}

/// Where one image goes, relative to the target's prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Destination {
    /// The repository, without the target's prefix.
    pub repository: Repository,
    /// The tag.
    pub tag: Tag,
}

impl ImageRequest {
    /// Returns the parsed source.
    pub fn parsed_source(&self) -> Result<Source, InvalidReference> {
        self.source.parse()
    }

    /// Answers whether this is something about another image which the host found beside it, and nobody asked for.
    pub fn is_companion(&self) -> bool {
        kind::is_companions(&self.kind) && self.subject().is_some()
    }

    /// Returns the manifest that a companion is about.
    pub fn subject(&self) -> Option<Digest> {
        self.provenance.get(provenance::SUBJECT)?.parse().ok()
    }

    /// Returns the bundles that the image is of, or that need it.
    pub fn offers(&self) -> Vec<Offer> {
        let read = |(catalog, package, bundle, version, channels): WrittenOffer| Offer {
            catalog,
            package,
            bundle,
            version,
            channels,
        };
        self.listed(provenance::OFFERS).map(read).collect()
    }

    /// Returns the charts that use the image.
    pub fn charts(&self) -> Vec<ChartUse> {
        let read = |(place, name, version): WrittenChart| ChartUse { place, name, version };
        self.listed(provenance::CHARTS).map(read).collect()
    }

    /// Reads a list of the provenance, whatever number of values it is in.
    fn listed<T: DeserializeOwned>(&self, list: &str) -> impl Iterator<Item = T> {
        let is_one = move |key: &str| {
            key.strip_prefix(list).is_some_and(|rest| matches!(rest.chars().next(), None | Some('.')))
        };
        let texts = self.provenance.iter().filter(move |(key, _)| is_one(key)).map(|(_, text)| text);
        texts.filter_map(|text| serde_json::from_str::<Vec<T>>(text).ok()).flatten()
    }

    /// Returns bundles as [`provenance::OFFERS`] has them.
    pub fn written_offers<'a>(offers: impl IntoIterator<Item = &'a Offer>) -> String {
        let written = |o: &Offer| -> WrittenOffer {
            let o = o.clone();
            (o.catalog, o.package, o.bundle, o.version, o.channels)
        };
        written_list(offers.into_iter().map(written))
    }

    /// Returns charts as [`provenance::CHARTS`] has them.
    pub fn written_charts<'a>(charts: impl IntoIterator<Item = &'a ChartUse>) -> String {
        let written = |c: &ChartUse| -> WrittenChart {
            let c = c.clone();
            (c.place, c.name, c.version)
        };
        written_list(charts.into_iter().map(written))
    }

    /// Notes that the same image is wanted by another request too.
    pub fn wanted_also(&mut self, other: &ImageRequest) {
        let known = self.offers();
        let theirs = other.offers();
        let news: Vec<&Offer> = theirs.iter().filter(|offer| !known.contains(offer)).collect();
        if !news.is_empty() {
            self.add_list(provenance::OFFERS, Self::written_offers(news));
        }
        let (known, theirs) = (self.charts(), other.charts());
        let news: Vec<&ChartUse> = theirs.iter().filter(|chart| !known.contains(chart)).collect();
        if !news.is_empty() {
            self.add_list(provenance::CHARTS, Self::written_charts(news));
        }
        // Whoever names bundles or charts has said all with them.
        let by_name = match other.kind.as_str() {
            kind::BUNDLE | kind::RELATED => false,
            kind::HELM => theirs.is_empty(),
            _ => true,
        };
        let is_said = (&other.kind, &other.origin) == (&self.kind, &self.origin)
            && (self.kind != kind::HELM || known.is_empty());
        if by_name && !is_said {
            self.provenance.add_line(provenance::WANTED, &other.origin);
        }
    }

    /// Adds a list to those that are in the provenance under a key, and under that key with a number.
    fn add_list(&mut self, list: &str, text: String) {
        let free = |key: &String| !self.provenance.contains_key(key);
        let keys =
            std::iter::once(list.to_owned()).chain((2..).map(|number: u32| format!("{list}.{number}")));
        let key = keys.into_iter().find(free).expect("numbers do not end here");
        self.provenance.insert(key, text);
    }

    /// Returns where the image goes, once its digest is known.
    ///
    /// The rule is that of oc-mirror v2: the registry's host is dropped and the path kept; the tag is kept, and an
    /// image that was asked for by digest alone is tagged `sha256-<hex>`. A layout on disk keeps its path and is
    /// tagged `latest`, or by its name where that is a tag. `target_repository` and `target_tag` win.
    pub fn destination(&self, digest: &Digest) -> Result<Destination, InvalidReference> {
        // The origin is the name users know; the source may be a mirror of it.
        let named: Source = self.origin.parse().or_else(|_| self.source.parse())?;
        let (repository, tag) = match &named {
            Source::Registry(Reference { repository, tag, digest: written, .. }) => {
                let tag = match (tag, written) {
                    (Some(tag), _) => tag.clone(),
                    (None, Some(written)) => Tag::for_digest(written),
                    (None, None) => "latest".parse()?,
                };
                (Some(repository.clone()), tag)
            }
            Source::Layout(layout) => {
                let path = layout.path.to_string_lossy().trim_matches('/').to_lowercase();
                let tag = layout.name.as_deref().and_then(|n| n.parse().ok());
                let tag = match (tag, &layout.digest) {
                    (Some(tag), _) => tag,
                    (None, Some(_)) => Tag::for_digest(digest),
                    (None, None) => "latest".parse()?,
                };
                (path.parse().ok(), tag)
            }
        };
        let repository = match (&self.target_repository, repository) {
            (Some(wanted), _) => wanted.clone(),
            (None, Some(derived)) => derived,
            (None, None) => {
                return Err(InvalidReference {
                    text: self.origin.clone(),
                    reason: "its path cannot name a repository; set `targetRepo`".to_owned(),
                });
            }
        };
        Ok(Destination { repository, tag: self.target_tag.clone().unwrap_or(tag) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Reason;

    fn request(kind: &str, charts: &[&str]) -> ImageRequest {
        let charts: Vec<ChartUse> = charts.iter().map(|name| used(name)).collect();
        let mut provenance = Attributes::new();
        if !charts.is_empty() {
            provenance.insert(provenance::CHARTS, ImageRequest::written_charts(&charts));
        }
        ImageRequest {
            source: "r.example/a:1".to_owned(),
            origin: "r.example/a:1".to_owned(),
            kind: kind.to_owned(),
            target_repository: None,
            target_tag: None,
            platforms: Vec::new(),
            with_referrers: false,
            provenance,
        }
    }

    fn used(name: &str) -> ChartUse {
        ChartUse { place: "p".to_owned(), name: name.to_owned(), version: "1.0.0".to_owned() }
    }

    /// What an image is wanted for that all of these have asked for, one behind the other: charts by name, and `-` for a name.
    fn reasons(requests: &[(&str, &[&str])]) -> Vec<String> {
        let mut requests = requests.iter().map(|(kind, charts)| request(kind, charts));
        let mut first = requests.next().expect("one");
        requests.for_each(|other| first.wanted_also(&other));
        let told = Reason::of(&first).into_iter().map(|reason| match reason {
            Reason::Chart(chart) => chart.name,
            Reason::Named { .. } => "-".to_owned(),
            other => panic!("{other:?}"),
        });
        let mut told: Vec<String> = told.collect();
        told.sort();
        told
    }

    #[test]
    fn whoever_names_charts_has_said_all_with_them() {
        assert_eq!(reasons(&[(kind::HELM, &["x", "y"])]), ["x", "y"]);
        assert_eq!(reasons(&[(kind::HELM, &["x"]), (kind::HELM, &["y", "x"])]), ["x", "y"]);
        assert_eq!(reasons(&[(kind::HELM, &[])]), ["-"]);
    }

    #[test]
    fn whoever_names_the_image_itself_is_heard_besides() {
        assert_eq!(reasons(&[(kind::HELM, &["x"]), (kind::ADDITIONAL, &[])]), ["-", "x"]);
        assert_eq!(reasons(&[(kind::ADDITIONAL, &[]), (kind::HELM, &["x"])]), ["-", "x"]);
        assert_eq!(reasons(&[(kind::HELM, &["x"]), (kind::HELM, &[])]), ["-", "x"]);
    }
}
