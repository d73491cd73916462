//! Tells what imagesets hold: [`describe_imagesets`] each of them, and [`take_inventory`] all of a chain together. Chunk 0 is
//! enough for that.

use oc_mirror_model::describe::{Chunk, Description, Surroundings, describe};
use oc_mirror_model::imageset::{ImageEntry, Index};
use oc_mirror_model::inventory::{Elsewhere, Inventory, Opened, inventory};

use super::imagesets::Imagesets;
use super::{WorkflowError, WorkflowErrorKind};
use crate::archive::{Reader, TrustedKeys};
use crate::plan::unchanged::AtHand;

/// Describes all imagesets in a place, by their sequences. One that is not signed as these keys ask for is refused.
pub async fn describe_imagesets(
    from: &Imagesets,
    trusted: &TrustedKeys,
) -> Result<Vec<Description>, WorkflowError> {
    from.refuse_predecessors()?;
    let mut descriptions = Vec::new();
    for set in from.list().await? {
        let (reader, problems) = Reader::open_damaged(&set, trusted).await?;
        let index = reader.index();
        let chunks = (0..).zip(reader.chunk_sizes()).map(|(number, bytes)| {
            let name = Index::chunk_name(index.sequence, number);
            let fault = problems.iter().find(|problem| problem.name() == name).map(ToString::to_string);
            Chunk { name, bytes, fault }
        });
        let around = Surroundings {
            index: reader.identity().clone(),
            verified: reader.verified().to_vec(),
            chunks: chunks.collect(),
        };
        descriptions.push(describe(index, around));
    }
    if descriptions.is_empty() {
        return Err(WorkflowErrorKind::NoImageset { path: from.name() }.into());
    }
    Ok(descriptions)
}

/// Lists the images of all imagesets in a place, which have to be of one chain and signed as these keys ask for. `created` is the
/// time of the inventory, RFC 3339, and `program` what makes it.
pub async fn take_inventory(
    from: &Imagesets,
    trusted: &TrustedKeys,
    created: &str,
    program: &str,
) -> Result<Inventory, WorkflowError> {
    from.refuse_predecessors()?;
    let mut readers: Vec<Reader> = Vec::new();
    for set in from.list().await? {
        let (reader, _) = Reader::open_damaged(&set, trusted).await?;
        let second = reader.index().uid;
        if let Some(first) = readers.first().map(|r| r.index().uid).filter(|first| *first != second) {
            return Err(WorkflowErrorKind::MixedChains { path: from.name(), first, second }.into());
        }
        readers.push(reader);
    }
    readers.sort_by_key(|reader| reader.index().sequence);
    let at_hand = AtHand::of(readers.iter().map(Reader::index));
    let opened = readers.iter().map(|reader| {
        let (unchanged, elsewhere) = split(reader.index(), &at_hand);
        Opened {
            index: reader.index(),
            identity: reader.identity().clone(),
            verified: reader.verified().to_vec(),
            unchanged,
            elsewhere,
        }
    });
    let found = inventory(opened.collect(), created, program);
    found.ok_or_else(|| WorkflowErrorKind::NoImageset { path: from.name() }.into())
}

/// Splits the images that an imageset names into those that are described by one at hand, and the others.
fn split<'a>(index: &Index, at_hand: &AtHand<'a>) -> (Vec<&'a ImageEntry>, Vec<Elsewhere>) {
    let (mut described, mut elsewhere) = (Vec::new(), Vec::new());
    for image in &index.unchanged {
        match at_hand.get(&image.records) {
            Some(entry) => described.push(entry),
            None => elsewhere.push(Elsewhere { name: image.origin.clone(), kind: image.kind.clone() }),
        }
        described.extend(image.about.iter().filter_map(|id| at_hand.get(std::slice::from_ref(id))));
    }
    (described, elsewhere)
}
