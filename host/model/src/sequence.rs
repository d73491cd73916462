//! The rule that keeps a chain free of holes: [`admit`].
//!
//! A target at sequence *s* of a chain accepts an imageset of the same chain with *base ≤ s < sequence*.

use uuid::Uuid;

use crate::digest::Digest;
use crate::imageset::Index;
use crate::metadata::Chain;

/// What is to be done with an imageset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is next.
    Publish,
    /// The target has it: nothing is to be done.
    AlreadyPublished,
}

/// Why an imageset is refused. Nothing has been sent when this is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The workspace belongs to another chain.
    #[error("this workspace belongs to chain {workspace}, the imageset to chain {imageset}")]
    OtherChain {
        /// The chain of the workspace.
        workspace: Uuid,
        /// The chain of the imageset.
        imageset: Uuid,
    },
    /// Imagesets between the target's state and this one's base are missing.
    #[error("imageset {sequence} builds on sequence {base}, but the target is at {}: {} missing", place(*.target), missing(*.target, *.base))]
    Gap {
        /// The imageset.
        sequence: u64,
        /// What it builds on.
        base: u64,
        /// Where the target is.
        target: u64,
    },
    /// The target has an imageset with this sequence and other content.
    #[error("the target has another imageset with sequence {sequence}: {published}, this one is {offered}")]
    Fork {
        /// The sequence.
        sequence: u64,
        /// The identity of the one that was published.
        published: String,
        /// The identity of the one at hand.
        offered: Digest,
    },
    /// The imageset follows another one than the target has.
    #[error("imageset {sequence} follows {named}, but imageset {before} at the target is {published}")]
    OtherBefore {
        /// The imageset.
        sequence: u64,
        /// The sequence before it.
        before: u64,
        /// The identity that it names.
        named: Digest,
        /// The identity of what was published.
        published: Digest,
    },
    /// A full imageset would take a chain back that has gone on.
    #[error(
        "imageset {sequence} is a full one, but the target is already at sequence {target} of the same chain"
    )]
    GoneOn {
        /// The imageset.
        sequence: u64,
        /// Where the target is.
        target: u64,
    },
    /// The imageset is older than what the target has, and the target never saw it.
    #[error("imageset {sequence} is older than the target, which is at sequence {target} and never had it")]
    Older {
        /// The imageset.
        sequence: u64,
        /// Where the target is.
        target: u64,
    },
}

fn place(target: u64) -> String {
    if target == 0 { "its beginning".to_owned() } else { format!("sequence {target}") }
}

fn missing(target: u64, base: u64) -> String {
    let first = target + 1;
    if first == base { format!("sequence {first} is") } else { format!("sequences {first} to {base} are") }
}

impl Refusal {
    /// Returns what to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::OtherChain { .. } => {
                "publish it from a workspace of its own: --workspace file://ANOTHER-DIRECTORY".to_owned()
            }
            Self::Gap { target, base, .. } => format!(
                "publish {} first, or make a cumulative imageset on the connected side with --since {target}",
                if target + 1 == *base { format!("sequence {base}") } else { format!("sequences {} to {base}", target + 1) }
            ),
            Self::Fork { .. } => {
                "two imagesets were made with one sequence; keep the one that was published, and continue the chain in its workspace"
                    .to_owned()
            }
            Self::OtherBefore { .. } => {
                "it was made in another workspace than what the target has; continue the chain in the workspace of that one".to_owned()
            }
            Self::GoneOn { target, .. } => {
                format!("nothing of it is needed; publish the imagesets that follow sequence {target}")
            }
            Self::Older { target, .. } => format!("publish the imagesets that follow sequence {target}"),
        }
    }
}

/// Decides what to do with an imageset at a target whose record of that chain is `target`, if it has one.
///
/// `workspace` is the chain that the far side's workspace belongs to, if it belongs to one.
pub fn admit(
    index: &Index,
    identity: &Digest,
    target: Option<&Chain>,
    workspace: Option<Uuid>,
) -> Result<Admission, Refusal> {
    if let Some(workspace) = workspace
        && workspace != index.uid
    {
        return Err(Refusal::OtherChain { workspace, imageset: index.uid });
    }
    let at = target.map_or(0, Chain::sequence);
    let sequence = index.sequence;
    if let Some(published) = target.and_then(|t| t.imageset(sequence)) {
        return match &published.index {
            Some(digest) if digest == identity => Ok(Admission::AlreadyPublished),
            _ if index.base == 0 && at > sequence => Err(Refusal::GoneOn { sequence, target: at }),
            other => Err(Refusal::Fork {
                sequence,
                published: other.as_ref().map_or("copied directly".to_owned(), Digest::to_string),
                offered: identity.clone(),
            }),
        };
    }
    if sequence <= at {
        return Err(if index.base == 0 {
            Refusal::GoneOn { sequence, target: at }
        } else {
            Refusal::Older { sequence, target: at }
        });
    }
    if index.base > at {
        return Err(Refusal::Gap { sequence, base: index.base, target: at });
    }
    let before = target.and_then(|t| t.imageset(sequence - 1)).and_then(|record| record.index.as_ref());
    if let (Some(named), Some(published)) = (&index.previous, before)
        && named != published
    {
        let (named, published) = (named.clone(), published.clone());
        return Err(Refusal::OtherBefore { sequence, before: sequence - 1, named, published });
    }
    Ok(Admission::Publish)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imageset::FORMAT;
    use crate::metadata::ImagesetRecord;
    use rstest::rstest;

    fn index(uid: u128, sequence: u64, base: u64) -> Index {
        Index {
            format: FORMAT,
            uid: Uuid::from_u128(uid),
            sequence,
            base,
            previous: None,
            created: String::new(),
            created_by: String::new(),
            chunks: Vec::new(),
            entries: Vec::new(),
            images: Vec::new(),
            unchanged: Vec::new(),
            positions: Vec::new(),
            required: Vec::new(),
            refused: Vec::new(),
            policies: Vec::new(),
            signed_by: Vec::new(),
            quarantined: Vec::new(),
        }
    }

    fn identity(index: &Index) -> Digest {
        Digest::of(&index.to_bytes())
    }

    fn target(published: &[Index]) -> Option<Chain> {
        let mut chain = Chain::new(published.first()?.uid);
        chain.imagesets = published
            .iter()
            .map(|i| ImagesetRecord {
                sequence: i.sequence,
                base: i.base,
                index: Some(identity(i)),
                created: String::new(),
                images: Vec::new().into(),
                plugin_state: Default::default(),
                files: Default::default(),
                quarantined: Vec::new(),
            })
            .collect();
        Some(chain)
    }

    #[rstest]
    #[case::first(index(1, 1, 0), vec![])]
    #[case::next(index(1, 2, 1), vec![index(1, 1, 0)])]
    #[case::cumulative(index(1, 3, 1), vec![index(1, 1, 0)])]
    #[case::cumulative_over_more(index(1, 3, 1), vec![index(1, 1, 0), index(1, 2, 1)])]
    fn accepted(#[case] offered: Index, #[case] published: Vec<Index>) {
        let target = target(&published);
        assert_eq!(admit(&offered, &identity(&offered), target.as_ref(), None), Ok(Admission::Publish));
    }

    #[test]
    fn again() {
        let target = target(&[index(1, 1, 0), index(1, 2, 1)]);
        for old in [index(1, 1, 0), index(1, 2, 1)] {
            assert_eq!(admit(&old, &identity(&old), target.as_ref(), None), Ok(Admission::AlreadyPublished));
        }
    }

    #[rstest]
    #[case::second_first(index(1, 2, 1), vec![], "imageset 2 builds on sequence 1, but the target is at its beginning: sequence 1 is missing")]
    #[case::gap(index(1, 3, 2), vec![index(1, 1, 0)], "imageset 3 builds on sequence 2, but the target is at sequence 1: sequence 2 is missing")]
    #[case::wide_gap(index(1, 5, 4), vec![index(1, 1, 0)], "imageset 5 builds on sequence 4, but the target is at sequence 1: sequences 2 to 4 are missing")]
    #[case::gone_on(index(1, 3, 0), vec![index(1, 1, 0), index(1, 4, 1)], "imageset 3 is a full one, but the target is already at sequence 4 of the same chain")]
    #[case::older(index(1, 3, 1), vec![index(1, 1, 0), index(1, 4, 1)], "imageset 3 is older than the target, which is at sequence 4 and never had it")]
    fn refused(#[case] offered: Index, #[case] published: Vec<Index>, #[case] reason: &str) {
        let target = target(&published);
        let refusal = admit(&offered, &identity(&offered), target.as_ref(), None).expect_err("refused");
        assert_eq!(refusal.to_string(), reason);
        assert!(!refusal.hint().is_empty());
    }

    #[test]
    fn same_sequence_other_content() {
        let target = target(&[index(1, 1, 0)]);
        let mut other = index(1, 1, 0);
        other.created = "later".to_owned();
        assert!(matches!(admit(&other, &identity(&other), target.as_ref(), None), Err(Refusal::Fork { .. })));
    }

    #[test]
    fn a_full_imageset_onto_a_chain_that_went_on() {
        let target = target(&[index(1, 1, 0), index(1, 2, 1)]);
        let mut other = index(1, 1, 0);
        other.created = "later".to_owned();
        assert!(matches!(
            admit(&other, &identity(&other), target.as_ref(), None),
            Err(Refusal::GoneOn { .. })
        ));
    }

    #[test]
    fn another_history() {
        let first = index(1, 1, 0);
        let target = target(std::slice::from_ref(&first));
        let mut next = index(1, 2, 1);
        next.previous = Some(identity(&first));
        assert_eq!(admit(&next, &identity(&next), target.as_ref(), None), Ok(Admission::Publish));
        next.previous = Some(Digest::of(b"another"));
        let refusal = admit(&next, &identity(&next), target.as_ref(), None).expect_err("refused");
        assert!(matches!(refusal, Refusal::OtherBefore { before: 1, .. }), "{refusal}");
    }

    #[test]
    fn another_chain_in_the_workspace() {
        let offered = index(2, 1, 0);
        let refusal = admit(&offered, &identity(&offered), None, Some(Uuid::from_u128(1)));
        assert!(matches!(refusal, Err(Refusal::OtherChain { .. })));
    }
}
