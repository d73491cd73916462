//! Tells what imagesets hold: [`describe_imagesets`]. Chunk 0 is enough for that.

use oc_mirror_model::describe::{Chunk, Description, Surroundings, describe};
use oc_mirror_model::imageset::Index;

use super::imagesets::Imagesets;
use super::{WorkflowError, WorkflowErrorKind};
use crate::archive::{Reader, TrustedKeys};

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
