//! Deletes images from a target, in two phases: [`generate`] makes a list of what a configuration means, [`delete`] deletes what is
//! on a list. [`note`] tells the connected side, and [`prune`] deletes what has left the configuration.
//!
//! The record goes first: before anything is deleted it stops promising it, and lists it as being deleted. So a record never
//! promises what is gone; a run that breaks off leaves a list that the next one finishes, and until then nothing is published.

mod execute;
mod ground;
mod list;

use std::collections::{BTreeMap, BTreeSet};

use oc_mirror_model::deletion::{DeleteImageList, DeletionReport};
use oc_mirror_model::digest::Digest;
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::reference::{Reference, Repository, Tag};
use oc_mirror_model::report::RunReport;
use oc_mirror_model::request::{Destination as Place, kind};
use uuid::Uuid;

use super::from_disk::Destination;
use super::{Run, WorkflowError, WorkflowErrorKind, Workspace};
use crate::metadata::Stored;
use crate::metadata::in_registry::REPOSITORY;
use crate::plan::deletion::{Chosen, leaving, without};

use execute::Deletion;
pub use list::{Generate, Generated, generate};

/// An image that somebody wants gone.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    origin: String,
    kind: String,
    repository: Repository,
    /// Nothing if the image is meant by its digest, whatever tag it has.
    tag: Option<Tag>,
    digest: Option<Digest>,
}

/// Deletes the images of a list from the target that the list was made for.
///
/// With a workspace, the resources for clusters follow, and so does the record of the connected side if it is in there.
pub async fn delete(
    run: &Run,
    list: &DeleteImageList,
    destination: &Destination,
    workspace: Option<&Workspace>,
) -> Result<DeletionReport, WorkflowError> {
    let wanted = wanted_of(list, destination)?;
    let chains = load(destination).await?;
    if list.chain.is_some_and(|uid| !chains.contains_key(&uid)) {
        return Err(WorkflowErrorKind::NoRecord { target: destination.target.to_string() }.into());
    }
    let uid = match (list.chain, workspace) {
        (Some(uid), _) => Some(uid),
        (None, Some(workspace)) => workspace.uid().await?,
        (None, None) => None,
    };
    let own = which(uid, &chains, destination)?;
    let deletion = Deletion { run, destination, workspace, chains, is_planned: false };
    deletion.carry_out(own, wanted).await
}

/// Deletes what has left the configuration, given the record of the chain at the target, and adds what became of it to a report.
///
/// A dry run is given the record as it would be.
pub(super) async fn prune(
    run: &Run,
    destination: &Destination,
    workspace: &Workspace,
    chain: &Chain,
    report: &mut RunReport,
) -> Result<(), WorkflowError> {
    if let Some(newest) = chain.last().filter(|newest| !newest.quarantined.is_empty()) {
        let count = newest.quarantined.len();
        let images = if count == 1 { "1 image is".to_owned() } else { format!("{count} images are") };
        // What was left out takes other images along, such as those of a whole bundle, so nobody can tell what may go.
        report.warnings.push(format!(
            "nothing was pruned: {images} missing from sequence {}, `{}` for one, and what was left out would be taken for \
             something that nobody wants",
            newest.sequence, newest.quarantined[0].origin
        ));
        return Ok(());
    }
    let mut chains = load(destination).await?;
    if run.dry_run {
        let found = chains.remove(&chain.uid);
        let revision = found.map_or_else(|| Digest::of(b""), |stored| stored.revision);
        chains.insert(chain.uid, Stored { chain: chain.clone(), revision });
    }
    let left: Vec<Chosen> = leaving(chain);
    let mut list = DeleteImageList::new(Some(chain.uid), &destination.target, destination.max_nested_paths);
    list.items =
        left.iter().map(|image| list::item(image, &destination.target, &image.destination)).collect();
    let wanted = list.items.iter().map(wanted).collect::<Result<Vec<_>, _>>()?;
    if !run.dry_run && !list.items.is_empty() {
        // Written first: whoever takes it to the connected side after a run that broke off does no harm there.
        let remark = "What was pruned here. Tell the connected side, which otherwise relies on it:\n\
                      oc-mirror delete --delete-yaml-file THIS-FILE --workspace file://DIR";
        let name = format!("delete/pruned-images-seq{}.yaml", chain.sequence());
        workspace.write(&name, list.to_yaml(&[remark.to_owned()]).as_bytes())?;
    }
    let deletion = Deletion { run, destination, workspace: Some(workspace), chains, is_planned: run.dry_run };
    let pruned = deletion.carry_out(Some(chain.uid), wanted).await?;
    report.failures.extend(pruned.failures.iter().cloned());
    report.pruned = Some(pruned);
    Ok(())
}

/// Notes in the workspace's record that the images of a list are deleted, or about to be: what is wanted of them again is shipped
/// again. Returns how many images the record lost.
pub async fn note(run: &Run, list: &DeleteImageList, workspace: &Workspace) -> Result<usize, WorkflowError> {
    let target = list.target()?.ok_or(WorkflowErrorKind::NoPlace)?;
    let place = |repository: &Repository| {
        repository.under(target.prefix.as_ref()).with_max_components(list.max_nested_paths)
    };
    let wanted = list.items.iter().map(wanted).collect::<Result<Vec<_>, _>>()?;
    let store = workspace.metadata();
    let Some(uid) = store.chains().await?.first().copied() else {
        return Err(WorkflowErrorKind::NoRecord { target: workspace.dir().display().to_string() }.into());
    };
    if let Some(listed) = list.chain.filter(|listed| *listed != uid) {
        return Err(WorkflowErrorKind::OtherChain { workspace: uid, wanted: listed }.into());
    }
    let Some(found) = store.load(uid).await? else { return Ok(0) };
    let gone = recorded(&found.chain, &wanted, place);
    if !gone.is_empty() && !run.dry_run {
        store.commit(&without(&found.chain, &gone), Some(&found.revision)).await?;
    }
    Ok(gone.len())
}

/// Refuses to publish to a target at which a deletion was broken off.
pub(super) fn refuse_pending(chain: Option<&Chain>, destination: &Destination) -> Result<(), WorkflowError> {
    match chain.map_or(0, |chain| chain.deleting.len()) {
        0 => Ok(()),
        count => {
            let target = destination.target.to_string();
            Err(WorkflowErrorKind::DeletionPending { target, count }.into())
        }
    }
}

/// Reads the records of all chains at a target.
async fn load(destination: &Destination) -> Result<BTreeMap<Uuid, Stored>, WorkflowError> {
    let mut chains = BTreeMap::new();
    for uid in destination.records.chains().await? {
        if let Some(stored) = destination.records.load(uid).await? {
            chains.insert(uid, stored);
        }
    }
    Ok(chains)
}

/// Finds out whose images are meant.
fn which(
    uid: Option<Uuid>,
    chains: &BTreeMap<Uuid, Stored>,
    destination: &Destination,
) -> Result<Option<Uuid>, WorkflowError> {
    match (uid, chains.len()) {
        (Some(uid), _) => Ok(Some(uid)),
        (None, 0 | 1) => Ok(chains.keys().next().copied()),
        (None, _) => {
            let target = destination.target.to_string();
            Err(WorkflowErrorKind::WhichChain { target, chains: chains.keys().copied().collect() }.into())
        }
    }
}

/// Finds the images of a record that are meant, given where its repositories really are.
fn recorded(
    chain: &Chain,
    wanted: &[Wanted],
    place: impl Fn(&Repository) -> Repository,
) -> BTreeSet<(Place, Digest)> {
    let current = crate::plan::deletion::current(chain);
    let mut by_place: BTreeMap<Repository, Vec<&Wanted>> = BTreeMap::new();
    for one in wanted {
        by_place.entry(one.repository.clone()).or_default().push(one);
    }
    let is_meant = |destination: &Place, digest: &Digest| {
        let meant = by_place.get(&place(&destination.repository)).into_iter().flatten();
        let is_current = current.get(destination) == Some(&digest);
        meant.into_iter().any(|wanted| match &wanted.tag {
            Some(tag) => *tag == destination.tag && wanted.digest.as_ref().is_none_or(|d| d == digest),
            None => wanted.digest.as_ref() == Some(digest) && !is_current,
        })
    };
    let images = chain.images().map(|image| (&image.destination, &image.digest));
    let images: BTreeSet<(&Place, &Digest)> = images.collect();
    let meant = images.into_iter().filter(|(destination, digest)| is_meant(destination, digest));
    meant.map(|(destination, digest)| (destination.clone(), digest.clone())).collect()
}

fn wanted(item: &oc_mirror_model::deletion::DeleteItem) -> Result<Wanted, WorkflowError> {
    let Reference { repository, tag, digest, .. } = item.reference()?;
    Ok(Wanted {
        origin: item.image_name.clone(),
        kind: item.kind.kind().to_owned(),
        repository,
        tag,
        digest: item.digest.clone().or(digest),
    })
}

/// Reads a list, and refuses one for another place: if one image is elsewhere, the others may not be what is meant either.
fn wanted_of(list: &DeleteImageList, destination: &Destination) -> Result<Vec<Wanted>, WorkflowError> {
    let mut wrong = Vec::new();
    let mut images = Vec::new();
    if let Some(target) = list.target()?.filter(|target| *target != destination.target) {
        // Its record is elsewhere, and would go on to promise what is deleted.
        wrong.push(format!("it was made for `{target}`"));
    }
    for item in &list.items {
        let registry = item.reference()?.registry;
        let image = wanted(item)?;
        match misplaced(&image, destination) {
            _ if registry != destination.target.registry => {
                wrong.push(format!("`{}` is in another registry", item.image_reference));
            }
            Some(reason) => wrong.push(format!("`{}` {reason}", item.image_reference)),
            None => images.push(image),
        }
    }
    match wrong.split_first() {
        None => Ok(images),
        Some((first, others)) => Err(WorkflowErrorKind::OtherPlace {
            target: destination.target.to_string(),
            first: first.clone(),
            more: others.len(),
        }
        .into()),
    }
}

/// Says what is wrong with where an image is, by the rules of oc-mirror v2 for its kind.
fn misplaced(image: &Wanted, destination: &Destination) -> Option<String> {
    let at = |text: &str| destination.place(&text.parse().expect("a constant that is a repository"));
    let exactly = |text: &str| {
        let expected = at(text);
        (image.repository != expected).then(|| format!("is not in `{expected}`, where such images are"))
    };
    if image.repository == at(REPOSITORY) {
        return Some("is a record of what was mirrored".to_owned());
    }
    match image.kind.as_str() {
        kind::RELEASE => exactly("openshift/release-images"),
        kind::RELEASE_CONTENT => exactly("openshift/release"),
        _ => {
            let prefix = destination.target.prefix.as_ref()?;
            let below = image.repository.as_str().strip_prefix(prefix.as_str());
            let joined = destination.max_nested_paths.is_some();
            let is_below =
                below.is_some_and(|rest| rest.starts_with('/') || (joined && rest.starts_with('-')));
            (!is_below).then(|| format!("is not below `{prefix}`"))
        }
    }
}

#[cfg(test)]
mod tests;
