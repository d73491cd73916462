//! What the record of a target keeps for clusters, [`keep`]: the imagesets may be gone when the next one is published.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oc_mirror_model::config;
use oc_mirror_model::digest::Digest;
use oc_mirror_model::imageset::ImageEntry;
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::reference::Repository;
use oc_mirror_model::request::{Destination, kind};

/// The provenance of a catalog that names the template of its CatalogSource.
const TEMPLATE: &str = "catalog-source-template";
/// Where sources put signatures of releases: `sha256=<hex>/signature-<n>` below this, as in a store of signatures.
const SIGNATURES: &str = "release-signatures/";
/// No larger file is kept. Of such things, the API of a cluster would not take twice as much.
pub const LARGEST: u64 = 128 << 10;

/// Files of an imageset or a run, by their path below `files/`.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Answers whether [`keep`] has a use for a file, given its path below `files/`.
pub fn is_wanted(path: &str, images: &[ImageEntry]) -> bool {
    signed_by(path).is_some() || images.iter().any(|image| template_of(image) == Some(path))
}

/// Notes what clusters need of an imageset in the record that has it.
///
/// `place` maps a destination's repository to where the image really is. Where a later imageset of the record has
/// something of the same name, that one counts.
pub fn keep(
    chain: &mut Chain,
    sequence: u64,
    images: &[ImageEntry],
    place: impl Fn(&Repository) -> Repository,
    configuration: &[u8],
    files: &Files,
) {
    if sequence >= chain.sequence() {
        chain.for_clusters.configuration = std::str::from_utf8(configuration).ok().and_then(config::version);
    }
    let later = chain.imagesets.iter().filter(|imageset| imageset.sequence > sequence);
    let later: BTreeSet<&Destination> = later.flat_map(|i| &i.images).map(|i| &i.destination).collect();
    for catalog in images.iter().filter(|image| image.request.kind == kind::CATALOG) {
        let Destination { repository, tag } = &catalog.destination;
        let catalog_place = Destination { repository: place(repository), tag: tag.clone() };
        if later.contains(&catalog_place) {
            continue;
        }
        match template_of(catalog).and_then(|path| files.get(path)) {
            Some(text) => {
                let text = String::from_utf8_lossy(text).into_owned();
                chain.for_clusters.templates.insert(catalog_place, text);
            }
            None => {
                chain.for_clusters.templates.remove(&catalog_place);
            }
        }
    }
    // Releases that are unchanged may be signed once more.
    let recorded: Vec<Digest> = chain
        .imageset(sequence)
        .into_iter()
        .flat_map(|i| &i.images)
        .filter(|i| i.kind == kind::RELEASE)
        .map(|i| i.digest.clone())
        .collect();
    let is_release = |digest: &Digest| {
        let is_it = |image: &ImageEntry| image.request.kind == kind::RELEASE && image.root.digest == *digest;
        recorded.contains(digest) || images.iter().any(is_it)
    };
    for (path, bytes) in files {
        let Some((digest, number)) = signed_by(path) else { continue };
        if is_release(&digest) {
            let signatures = chain.for_clusters.signatures.entry(digest).or_default();
            signatures.insert(number, STANDARD.encode(bytes));
        }
    }
}

/// Answers whether an image is a catalog that comes with a template.
pub(super) fn has_template(image: &ImageEntry) -> bool {
    template_of(image).is_some()
}

fn template_of(image: &ImageEntry) -> Option<&str> {
    image.request.provenance.get(TEMPLATE).filter(|_| image.request.kind == kind::CATALOG)
}

/// Returns what a file is a signature of, and its number.
fn signed_by(path: &str) -> Option<(Digest, u32)> {
    let (digest, number) = path.strip_prefix(SIGNATURES)?.split_once("/signature-")?;
    Some((digest.replacen('=', ":", 1).parse().ok()?, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_mirror_model::config::ApiVersion;
    use oc_mirror_model::manifest::Descriptor;
    use oc_mirror_model::media_type;
    use oc_mirror_model::metadata::{ForClusters, ImagesetRecord};
    use oc_mirror_model::request::ImageRequest;
    use uuid::Uuid;

    use crate::plan::imageset::{Extras, advance};
    use crate::plan::names::Names;

    const V1: &[u8] = b"kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v1alpha2\nmirror: {}\n";
    const V2: &[u8] = b"kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\nmirror: {}\n";

    fn image(kind: &str, name: &str, template: Option<&str>) -> ImageEntry {
        let root = Descriptor::of(media_type::OCI_MANIFEST, name.as_bytes());
        let provenance = template.map(|path| (TEMPLATE.to_owned(), path.to_owned()));
        let request = ImageRequest {
            source: format!("r.example/{name}"),
            origin: format!("r.example/{name}"),
            kind: kind.to_owned(),
            target_repository: None,
            target_tag: None,
            platforms: Vec::new(),
            with_referrers: false,
            provenance: provenance.into_iter().collect(),
        };
        ImageEntry {
            plugin: String::new(),
            destination: request.destination(&root.digest).expect("a destination"),
            request,
            manifests: vec![root.clone()].into(),
            root,
            blobs: Vec::new().into(),
            sparse: false,
        }
    }

    /// Adds a sequence of these images to a record, at a target with a prefix, and keeps what these files are for.
    fn add(chain: &mut Chain, images: &[ImageEntry], configuration: &[u8], files: &[(&str, &str)]) {
        let sequence = chain.sequence() + 1;
        let record = ImagesetRecord {
            sequence,
            base: sequence - 1,
            index: None,
            created: String::new(),
            images: images.iter().map(|i| recorded(chain, i)).collect(),
            plugin_state: BTreeMap::new(),
            files: BTreeMap::new(),
            quarantined: Vec::new(),
        };
        chain.imagesets.push(record);
        keep(chain, sequence, images, prefixed, configuration, &files_of(files));
    }

    fn recorded(chain: &Chain, image: &ImageEntry) -> oc_mirror_model::metadata::ImageRecord {
        let index = oc_mirror_model::imageset::Index {
            format: oc_mirror_model::imageset::FORMAT,
            uid: chain.uid,
            sequence: 1,
            base: 0,
            previous: None,
            created: String::new(),
            created_by: String::new(),
            chunks: Vec::new(),
            entries: Vec::new(),
            images: vec![image.clone()],
            unchanged: Vec::new(),
            positions: Vec::new(),
            required: Vec::new(),
            refused: Vec::new(),
            policies: Vec::new(),
            signed_by: Vec::new(),
            quarantined: Vec::new(),
        };
        let names = Names::new(Some("p".parse().expect("a prefix")), None);
        let after = advance(Chain::new(chain.uid), &index, None, &names, Extras::default());
        after.imagesets[0].images[0].clone()
    }

    fn prefixed(repository: &Repository) -> Repository {
        format!("p/{repository}").parse().expect("a repository")
    }

    fn files_of(files: &[(&str, &str)]) -> Files {
        files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
    }

    fn templates(chain: &Chain) -> Vec<(String, &str)> {
        let templates = chain.for_clusters.templates.iter();
        templates.map(|(to, text)| (format!("{}:{}", to.repository, to.tag), text.as_str())).collect()
    }

    #[test]
    fn signatures_of_all_sequences_are_kept() {
        let (one, two) = (image(kind::RELEASE, "release:1", None), image(kind::RELEASE, "release:2", None));
        let path = |image: &ImageEntry, end: &str| {
            format!("release-signatures/{}/{end}", image.root.digest.to_string().replace(':', "="))
        };
        let (first, third) = (path(&one, "signature-1"), path(&one, "signature-3"));
        let mut chain = Chain::new(Uuid::nil());
        add(&mut chain, std::slice::from_ref(&one), V2, &[(&first, "x"), (&third, "y")]);
        let second = path(&two, "signature-1");
        // Nobody shipped the release that this is about, and that is no signature.
        let other = path(&image(kind::RELEASE, "release:3", None), "signature-1");
        let odd = path(&two, "signature-x");
        add(&mut chain, std::slice::from_ref(&two), V2, &[(&second, "z"), (&other, "?"), (&odd, "?")]);
        let numbers = |image: &ImageEntry| {
            chain
                .for_clusters
                .signatures
                .get(&image.root.digest)
                .map(|s| s.clone().into_iter().collect::<Vec<_>>())
        };
        let text = |number: u32, text: &str| (number, STANDARD.encode(text));
        assert_eq!(numbers(&one), Some(vec![text(1, "x"), text(3, "y")]));
        assert_eq!(numbers(&two), Some(vec![text(1, "z")]));
        assert_eq!(chain.for_clusters.signatures.len(), 2);
        for (path, wanted) in [(&first, true), (&odd, false), (&"release-signatures/x".to_owned(), false)] {
            assert_eq!(is_wanted(path, &[]), wanted, "{path}");
        }
    }

    #[test]
    fn a_release_that_is_only_named_may_be_signed_once_more() {
        let release = image(kind::RELEASE, "release:1", None);
        let path =
            format!("release-signatures/{}/signature-2", release.root.digest.to_string().replace(':', "="));
        let mut chain = Chain::new(Uuid::nil());
        add(&mut chain, std::slice::from_ref(&release), V2, &[]);
        add(&mut chain, std::slice::from_ref(&release), V2, &[]);
        keep(&mut chain, 2, &[], prefixed, V2, &files_of(&[(&path, "x")]));
        assert_eq!(chain.for_clusters.signatures[&release.root.digest].len(), 1);
    }

    #[test]
    fn the_last_imageset_with_a_catalog_decides_about_its_template() {
        let with = |path| image(kind::CATALOG, "index:v1", Some(path));
        let mut chain = Chain::new(Uuid::nil());
        add(&mut chain, &[with("t/a.yaml")], V2, &[("t/a.yaml", "a")]);
        add(&mut chain, &[image(kind::ADDITIONAL, "b:1", None)], V2, &[]);
        assert_eq!(templates(&chain), [("p/index:v1".to_owned(), "a")]);
        add(&mut chain, &[with("t/b.yaml")], V2, &[("t/b.yaml", "b")]);
        assert_eq!(templates(&chain), [("p/index:v1".to_owned(), "b")]);
        // An earlier imageset that is still at hand takes nothing back.
        keep(&mut chain, 1, &[with("t/a.yaml")], prefixed, V1, &files_of(&[("t/a.yaml", "a")]));
        assert_eq!(templates(&chain), [("p/index:v1".to_owned(), "b")]);
        assert!(is_wanted("t/a.yaml", &[with("t/a.yaml")]) && !is_wanted("t/b.yaml", &[with("t/a.yaml")]));
        add(&mut chain, &[image(kind::CATALOG, "index:v1", None)], V2, &[]);
        assert_eq!(templates(&chain), []);
    }

    #[test]
    fn the_last_configuration_is_known() {
        let mut chain = Chain::new(Uuid::nil());
        add(&mut chain, &[], V1, &[]);
        assert_eq!(chain.for_clusters.configuration, Some(ApiVersion::V1Alpha2));
        add(&mut chain, &[], V2, &[]);
        keep(&mut chain, 1, &[], prefixed, V1, &Files::new());
        assert_eq!(chain.for_clusters.configuration, Some(ApiVersion::V2Alpha1));
        let delete =
            b"kind: DeleteImageSetConfiguration\napiVersion: mirror.openshift.io/v2alpha1\ndelete: {}\n";
        let newer = b"kind: ImageSetConfiguration\napiVersion: mirror.openshift.io/v3\nmirror: {}\n";
        for other in [&b"not: one"[..], delete, newer, b"{", b"\xff"] {
            add(&mut chain, &[], other, &[]);
            assert_eq!(chain.for_clusters, ForClusters::default());
        }
    }

    #[test]
    fn a_record_of_before_is_completed_by_imagesets_at_hand() {
        let catalog = image(kind::CATALOG, "index:v1", Some("t.yaml"));
        let mut chain = Chain::new(Uuid::nil());
        add(&mut chain, std::slice::from_ref(&catalog), V1, &[("t.yaml", "a")]);
        let complete = chain.clone();
        chain.for_clusters = ForClusters::default();
        keep(&mut chain, 1, &[catalog], prefixed, V1, &files_of(&[("t.yaml", "a")]));
        assert_eq!(chain, complete);
    }
}
