//! The first phase: [`generate`] makes a list of images to delete out of a configuration and the record of a chain.

use std::path::PathBuf;

use oc_mirror_model::config::Mirror;
use oc_mirror_model::deletion::{DeleteImageList, DeleteItem, ItemType};
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::reference::{Reference, Source, Tag, Target};
use oc_mirror_model::report::Failure;
use oc_mirror_model::request::{Destination as Place, kind};

use super::super::from_disk::Destination;
use super::super::{WorkflowError, WorkflowErrorKind, Workspace};
use super::{load, which};
use crate::plan::deletion::{Chosen, Selection, select};

/// What to make a list of.
pub struct Generate<'a> {
    /// The sections of the configuration.
    pub wanted: &'a Mirror,
    /// The configuration as it was written, which is kept beside the list.
    pub configuration: &'a [u8],
    /// What the names of the files end with.
    pub id: Option<&'a str>,
    /// Whether signatures and other referrers of the images go with them.
    pub companions: bool,
    /// Whether the images have the tags that oc-mirror v1 gave them.
    pub v1_tags: bool,
}

/// A list, and where it is.
pub struct Generated {
    /// The list.
    pub list: DeleteImageList,
    /// Its file; nothing if there is nothing to delete.
    pub path: Option<PathBuf>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// What the configuration names and the record does not have. The list is made all the same.
    pub failures: Vec<Failure>,
}

/// Makes a list of the images that a configuration means, from the record in the workspace, else from the one at the target.
///
/// Where the workspace has a record, nothing but the workspace is read.
pub async fn generate(
    workspace: &Workspace,
    destination: &Destination,
    what: &Generate<'_>,
) -> Result<Generated, WorkflowError> {
    let (chain, is_target) = record(workspace, destination).await?;
    let Selection { images, problems, mut warnings } = select(what.wanted, &chain, what.companions);
    let mut list = DeleteImageList::new(Some(chain.uid), &destination.target, destination.max_nested_paths);
    for image in &images {
        let Place { repository, tag } = &image.destination;
        let repository = if is_target { repository.clone() } else { destination.place(repository) };
        let item = item(image, &destination.target, &Place { repository, tag: tag.clone() });
        list.items.push(if what.v1_tags { with_v1_tag(item, image) } else { item });
    }
    list.items.sort_by(|a, b| a.image_reference.cmp(&b.image_reference));
    list.items.dedup_by(|a, b| a.image_reference == b.image_reference);
    let mut remarks = Vec::new();
    if !problems.is_empty() {
        remarks.push("the delete file might not be complete:".to_owned());
        remarks.extend(problems.iter().map(|problem| format!("  {}: {}", problem.subject, problem.message)));
    }
    remarks.extend(warnings.iter().cloned());
    let suffix = what.id.map(|id| format!("-{id}")).unwrap_or_default();
    let name = |stem: &str| format!("delete/{stem}{suffix}.yaml");
    let mut path = None;
    if !list.items.is_empty() {
        let file = name("delete-images");
        workspace.write(&file, list.to_yaml(&remarks).as_bytes())?;
        workspace.write(&name("delete-imageset-config"), what.configuration)?;
        path = Some(workspace.dir().join(file));
        if !problems.is_empty() {
            warnings.push("the delete file might not be complete".to_owned());
        }
    }
    Ok(Generated { list, path, warnings, failures: problems })
}

/// Finds the record of what was mirrored. Says whether it is that of the target, whose repositories are whole.
async fn record(workspace: &Workspace, destination: &Destination) -> Result<(Chain, bool), WorkflowError> {
    let store = workspace.metadata();
    if let Some(uid) = store.chains().await?.first()
        && let Some(found) = store.load(*uid).await?
    {
        return Ok((found.chain, false));
    }
    let mut chains = load(destination).await?;
    let uid = which(workspace.uid().await?, &chains, destination)?;
    let found = uid.and_then(|uid| chains.remove(&uid));
    let none = || WorkflowErrorKind::NoRecord { target: destination.target.to_string() };
    Ok((found.ok_or_else(none)?.chain, true))
}

/// Writes an image into a list.
pub(super) fn item(image: &Chosen, target: &Target, place: &Place) -> DeleteItem {
    let superseded = image.superseded;
    let reference = Reference {
        registry: target.registry.clone(),
        repository: place.repository.clone(),
        tag: Some(place.tag.clone()).filter(|_| !superseded),
        digest: Some(image.digest.clone()).filter(|_| superseded),
    };
    DeleteItem {
        image_name: image.origin.clone(),
        image_reference: format!("docker://{reference}"),
        kind: ItemType::of(&image.kind),
        digest: Some(image.digest.clone()),
    }
}

/// Gives an image the tag that oc-mirror v1 would have given it. It may be another image by now, so the digest goes.
fn with_v1_tag(item: DeleteItem, image: &Chosen) -> DeleteItem {
    let Some(tag) = v1_tag(image) else { return item };
    let reference = item.reference().expect("a reference that was written here");
    let reference = Reference { tag: Some(tag), digest: None, ..reference };
    DeleteItem { image_reference: format!("docker://{reference}"), digest: None, ..item }
}

/// Returns the tag of oc-mirror v1 where it is another one: of images that were asked for by digest.
fn v1_tag(image: &Chosen) -> Option<Tag> {
    let Ok(Source::Registry(origin)) = image.origin.parse::<Source>() else { return None };
    let digest = origin.digest.as_ref().filter(|_| origin.tag.is_none())?;
    let text = match image.kind.as_str() {
        kind::BUNDLE | kind::RELATED => {
            let named = format!("{}/{}@{digest}", origin.registry, origin.repository);
            format!("{:x}", fnv1a(named.as_bytes()))
        }
        kind::ADDITIONAL | kind::HELM => "latest".to_owned(),
        _ => return None,
    };
    text.parse().ok()
}

/// The hash FNV-1a of 32 bits.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_standard() {
        // From the test vectors of the algorithm's authors.
        assert_eq!(fnv1a(b""), 0x811c_9dc5);
        assert_eq!(fnv1a(b"a"), 0xe40c_292c);
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn tags_of_v1() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let image = |origin: &str, kind: &str| Chosen {
            origin: origin.replace("HEX", &format!("sha256:{hex}")),
            kind: kind.to_owned(),
            destination: Place { repository: "a".parse().expect("valid"), tag: "t".parse().expect("valid") },
            digest: format!("sha256:{hex}").parse().expect("a digest"),
            superseded: false,
        };
        let tag = |origin: &str, kind: &str| v1_tag(&image(origin, kind)).map(|tag| tag.to_string());
        assert_eq!(tag("r.example/a@HEX", kind::ADDITIONAL).as_deref(), Some("latest"));
        assert_eq!(tag("r.example/a:v1", kind::ADDITIONAL), None);
        assert_eq!(tag("r.example/a@HEX", kind::RELEASE), None);
        let expected = format!("{:x}", fnv1a(format!("r.example/a@sha256:{hex}").as_bytes()));
        assert_eq!(tag("r.example/a@HEX", kind::RELATED), Some(expected));
    }
}
