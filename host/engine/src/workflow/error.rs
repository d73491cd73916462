//! [`WorkflowError`]: why a run could not be done, with a hint and an exit code.

use oc_mirror_model::mirror_plan::Standing;
use oc_mirror_model::reference::InvalidReference;
use oc_mirror_model::report::exit;
use oc_mirror_model::sequence::Refusal;
use uuid::Uuid;

use super::preflight::Unfit;
use super::recording::NoLongerThere;
use super::stock::NotInStock;
use super::to_disk::ChunkLimit;
use crate::archive::ArchiveError;
use crate::bucket::Fault;
use crate::content::{ContentError, ContentErrorKind};
use crate::fsx;
use crate::metadata::MetadataError;
use crate::plan::imageset::Collision;
use crate::plan::layout::LayoutError;
use crate::predecessors::PredecessorError;
use crate::registry::CertificateError;
use crate::registry::conf::Blocked;
use crate::trust::policy::PolicyRefusal;

/// A run could not be done. Nothing was committed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct WorkflowError {
    /// What happened; boxed, as it is much larger than what is usually returned.
    pub kind: Box<WorkflowErrorKind>,
}

/// What happened.
#[derive(Debug, thiserror::Error)]
pub enum WorkflowErrorKind {
    /// The workspace cannot be used.
    #[error("the workspace `{path}` cannot be used")]
    Workspace {
        /// Where.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Somebody else uses the workspace.
    #[error("the workspace `{path}` is in use by {holder}")]
    Locked {
        /// Where.
        path: String,
        /// Who.
        holder: String,
    },
    /// `--uid` names another chain than the workspace has.
    #[error("this workspace belongs to chain {workspace}, not to {wanted}")]
    OtherChain {
        /// What the workspace has.
        workspace: Uuid,
        /// What was asked for.
        wanted: Uuid,
    },
    /// Nobody asks for any image.
    #[error("the configuration selects no image")]
    NothingSelected,
    /// `--since` names a sequence that was not made yet.
    #[error("there is no sequence {since} in this workspace; the last one is {last}")]
    NoSuchSequence {
        /// What was asked for.
        since: u64,
        /// What there is.
        last: u64,
    },
    /// The chain is not where a plan builds on it.
    #[error("the plan builds on {}, and the workspace {}", told(planned), moved(planned, found))]
    ChainMovedOn {
        /// Where the plan has it.
        planned: Box<Standing>,
        /// Where it is.
        found: Box<Standing>,
    },
    /// A target is not where a plan has it.
    #[error("`{target}` was at sequence {planned} when it was planned, and is at {found}")]
    TargetMovedOn {
        /// The target.
        target: String,
        /// Where the plan has it.
        planned: u64,
        /// Where it is.
        found: u64,
    },
    /// Archives of predecessors have no identity that a plan could name.
    #[error("`{path}` holds archives of {maker}, and no plan can be made of them")]
    NothingToPlan {
        /// Where.
        path: String,
        /// What made them.
        maker: &'static str,
    },
    /// What a run would do is not what was planned.
    #[error("this is not what was planned: {}", differences.join("; "))]
    NotAsPlanned {
        /// What is not the same.
        differences: Vec<String>,
    },
    /// The directory holds no imageset.
    #[error("there is no imageset in `{path}`")]
    NoImageset {
        /// Where.
        path: String,
    },
    /// The directory holds imagesets of several chains.
    #[error("`{path}` holds imagesets of the chains {first} and {second}")]
    MixedChains {
        /// Where.
        path: String,
        /// The one.
        first: Uuid,
        /// The other.
        second: Uuid,
    },
    /// The imageset does not fit the target.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The configuration that was given is not the one in the imageset.
    #[error("the configuration given with --config is not the one that imageset {sequence} was made from")]
    OtherConfiguration {
        /// The imageset.
        sequence: u64,
    },
    /// The target is further than the workspace knows.
    #[error("the target is at sequence {target} of this chain, the workspace only at {workspace}")]
    WorkspaceBehind {
        /// Where the target is.
        target: u64,
        /// Where the workspace is.
        workspace: u64,
    },
    /// What is kept at a place belongs to another chain.
    #[error("`{path}` belongs to chain {found}, not to {wanted}")]
    PlaceOfOtherChain {
        /// Where.
        path: String,
        /// The chain it is of.
        found: Uuid,
        /// The chain it was to be of.
        wanted: Uuid,
    },
    /// An imageset here is not the one that the record has.
    #[error("imageset {sequence} in `{path}` is not the one that the chain's record has")]
    NotInRecord {
        /// Its sequence.
        sequence: u64,
        /// Where it is.
        path: String,
    },
    /// The target cannot take what is to be published.
    #[error(transparent)]
    Unfit(Unfit),
    /// A deletion was broken off.
    #[error("images of this chain are being deleted at {target}: {count} are left")]
    DeletionPending {
        /// Where.
        target: String,
        /// How many.
        count: usize,
    },
    /// The registry deletes nothing.
    #[error("{target} does not delete images")]
    NoDeletion {
        /// Where.
        target: String,
    },
    /// The images of a list are elsewhere.
    #[error("the list is for another place than {target}: {first}{}", others(*.more))]
    OtherPlace {
        /// What was asked for.
        target: String,
        /// The first image that is not there, and why.
        first: String,
        /// How many more there are.
        more: usize,
    },
    /// Nobody says which chain is meant.
    #[error("{target} has {} chains, and it is not said which one is meant: {}", .chains.len(), .chains.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    WhichChain {
        /// Where.
        target: String,
        /// What there is.
        chains: Vec<Uuid>,
    },
    /// There is no record to tell what was mirrored.
    #[error(
        "there is no record of what was mirrored: {target} has none of this chain, nor has the workspace"
    )]
    NoRecord {
        /// Where it was looked for.
        target: String,
    },
    /// Nothing was published from an imageset there.
    #[error("{target} has no record of a chain, so there is nothing to hold it against")]
    NothingPublished {
        /// Where.
        target: String,
    },
    /// A list does not say where its images are.
    #[error("the list does not say for which target it was made")]
    NoPlace,
    /// Two images get in each other's way.
    #[error(transparent)]
    Collision(#[from] Collision),
    /// The content does not fit into chunks.
    #[error("the imageset does not fit archives of {}{}", .limit.size, of_image(.image.as_deref()))]
    Layout {
        /// The limit, as the user wrote it.
        limit: ChunkLimit,
        /// The image whose content is too large, if it is that.
        image: Option<String>,
        /// Why.
        source: LayoutError,
    },
    /// A disk has not enough room for what the run is going to write.
    #[error("{needed} bytes are needed for {what} in `{path}`, and {available} are free")]
    NoRoom {
        /// A directory on that disk.
        path: String,
        /// What is going to be there.
        what: String,
        /// How much that is.
        needed: u64,
        /// What there is.
        available: u64,
    },
    /// The imageset cannot be written or read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The record of the chain cannot be read or written.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A registry cannot be used.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A name is not valid.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
    /// An archive of a predecessor cannot be used.
    #[error(transparent)]
    Predecessor(#[from] PredecessorError),
    /// The configuration that was given is not the one in the archive of a predecessor.
    #[error("the configuration given with --config is not the one in the archive")]
    OtherConfigurationOfArchive,
    /// Archives of oc-mirror v1 that come before this one are missing.
    #[error(transparent)]
    GapOfArchives(Refusal),
    /// Archives of a predecessor are where imagesets are needed.
    #[error("`{path}` holds archives of {maker}, which can be published and nothing else")]
    OnlyToPublish {
        /// Where.
        path: String,
        /// Who made them.
        maker: &'static str,
    },
    /// Archives of a predecessor are where signatures are asked for.
    #[error("`{path}` holds archives of {maker}, which are never signed, and signatures are asked for")]
    NeverSigned {
        /// Where.
        path: String,
        /// Who made them.
        maker: &'static str,
    },
    /// Archives of a predecessor are what a target is to be repaired by.
    #[error("--repair is for imagesets, and `{path}` holds archives of {maker}")]
    NothingToRepairBy {
        /// Where.
        path: String,
        /// Who made them.
        maker: &'static str,
    },
    /// It is not known what was wanted before.
    #[error("--prune goes by what a chain wanted before, and archives of {maker} {}", if *.maker == "oc-mirror v2" { "are no chain" } else { "without a storage backend are none" })]
    NothingToPruneBy {
        /// Who made the archives.
        maker: &'static str,
    },
}

fn of_image(image: Option<&str>) -> String {
    image.map_or_else(String::new, |image| format!(" because of image `{image}`"))
}

fn others(more: usize) -> String {
    if more == 0 { String::new() } else { format!(", and {more} more") }
}

impl<T: Into<WorkflowErrorKind>> From<T> for WorkflowError {
    fn from(kind: T) -> Self {
        Self { kind: Box::new(kind.into()) }
    }
}

impl WorkflowError {
    /// Returns what to do about it.
    pub fn hint(&self) -> Option<String> {
        match self.kind.as_ref() {
            WorkflowErrorKind::Workspace { source, .. } if fsx::is_full(source) => Some(
                "free some space there; the same command goes on from there".to_owned(),
            ),
            WorkflowErrorKind::Workspace { .. } => {
                Some("name a directory that can be written with --workspace file://DIR".to_owned())
            }
            WorkflowErrorKind::Locked { .. } => Some("wait for the other run to end, or use another workspace".to_owned()),
            WorkflowErrorKind::OtherChain { .. } => Some("leave out --uid, or use a new directory".to_owned()),
            WorkflowErrorKind::ChainMovedOn { .. } | WorkflowErrorKind::TargetMovedOn { .. } => {
                Some("nothing was written; make the plan anew with `oc-mirror plan`".to_owned())
            }
            WorkflowErrorKind::NothingToPlan { .. } => {
                Some("see what would be done with --dry-run, and publish them without a plan".to_owned())
            }
            WorkflowErrorKind::NotAsPlanned { .. } => Some(
                "nothing was made; see to what is not the same, or make the plan anew with `oc-mirror plan`".to_owned(),
            ),
            WorkflowErrorKind::NothingSelected => {
                Some("list images under `mirror.additionalImages`, or add a plugin under `mirror.plugins`".to_owned())
            }
            WorkflowErrorKind::NoSuchSequence { last, .. } => Some(format!("--since takes a number from 0 to {last}")),
            WorkflowErrorKind::NoImageset { .. } => {
                Some("--from takes the directory with the files mirror_seqN_NNNNNN.tar, or one of these files".to_owned())
            }
            WorkflowErrorKind::MixedChains { .. } => {
                Some("put the imagesets of each chain into a directory of its own".to_owned())
            }
            WorkflowErrorKind::Refused(refusal) => Some(refusal.hint()),
            WorkflowErrorKind::OtherConfiguration { .. } => Some(
                "leave out --config: the imageset brings its own; what is published is decided where it is made".to_owned(),
            ),
            WorkflowErrorKind::WorkspaceBehind { .. } => {
                Some("use the workspace in which that sequence was made, or a new one with a new prefix".to_owned())
            }
            WorkflowErrorKind::PlaceOfOtherChain { .. } => {
                Some("name another prefix or image, or use the workspace of that chain".to_owned())
            }
            WorkflowErrorKind::NotInRecord { .. } => Some(
                "another run committed this sequence first, and this one was stopped before it could remove its imageset: remove \
                 these files, and run the same command again"
                    .to_owned(),
            ),
            WorkflowErrorKind::Unfit(unfit) => Some(unfit.hint()),
            WorkflowErrorKind::DeletionPending { .. } => Some(
                "run the same `oc-mirror delete` again; any deletion at this target finishes what is left".to_owned(),
            ),
            WorkflowErrorKind::NoDeletion { .. } => Some(
                "nothing was deleted; allow it at the registry (docker-registry: `storage.delete.enabled: true`, or the \
                 variable REGISTRY_STORAGE_DELETE_ENABLED=true) and run the same command again"
                    .to_owned(),
            ),
            WorkflowErrorKind::OtherPlace { .. } => Some(
                "nothing was deleted; name the target that the list was generated for, or generate one for this target"
                    .to_owned(),
            ),
            WorkflowErrorKind::WhichChain { .. } => {
                Some("name the workspace it was mirrored or published from with --workspace file://DIR".to_owned())
            }
            WorkflowErrorKind::NoRecord { .. } => {
                Some("name the workspace it was mirrored or published from, and the target as it was then".to_owned())
            }
            WorkflowErrorKind::NothingPublished { .. } => {
                Some("name the target as it was published to, with its prefix: docker://HOST[:PORT][/PREFIX]".to_owned())
            }
            WorkflowErrorKind::NoPlace => {
                Some("use a list that `oc-mirror delete --generate` of this program has made".to_owned())
            }
            WorkflowErrorKind::Collision(_) => {
                Some("give one of them another name with `targetRepo` or `targetTag`".to_owned())
            }
            WorkflowErrorKind::Layout { limit, source, .. } => limit.hint(source),
            WorkflowErrorKind::NoRoom { needed, available, .. } => Some(format!(
                "free {} bytes there, or use another disk; nothing was written, and what earlier runs have finished is kept",
                needed.saturating_sub(*available)
            )),
            WorkflowErrorKind::Archive(error) => error.hint().or_else(|| fault_hint(error)),
            WorkflowErrorKind::Metadata(MetadataError::Content { source, .. }) => content_hint(source),
            WorkflowErrorKind::Metadata(error) => error.hint().map(str::to_owned),
            WorkflowErrorKind::Content(error) => content_hint(error),
            WorkflowErrorKind::Reference(_) => None,
            WorkflowErrorKind::Predecessor(error) => Some(error.hint().to_owned()),
            WorkflowErrorKind::OtherConfigurationOfArchive => Some(
                "leave out --config: all that is in the archive is published, under the names that its own configuration gives"
                    .to_owned(),
            ),
            WorkflowErrorKind::GapOfArchives(_) => Some(
                "publish what is missing first; oc-mirror v1 cannot make up for what is lost: mirror anew, as a chain of its own"
                    .to_owned(),
            ),
            WorkflowErrorKind::OnlyToPublish { .. } => {
                Some("publish them to a registry, and mirror from there".to_owned())
            }
            WorkflowErrorKind::NeverSigned { .. } => Some(
                "nothing was sent; if they are to be trusted all the same, publish them without --verify-key, from a workspace \
                 that has no `trust.keys`"
                    .to_owned(),
            ),
            WorkflowErrorKind::NothingToRepairBy { .. } => Some(
                "publish them without --repair, or repair the target by an imageset of this program made with --since 0"
                    .to_owned(),
            ),
            WorkflowErrorKind::NothingToPruneBy { .. } => Some(
                "leave out --prune, and delete with `oc-mirror delete` what is not wanted any more".to_owned(),
            ),
        }
    }

    /// Returns the exit code. What stops a whole run is generic; failed images are in the report.
    pub fn exit_code(&self) -> u8 {
        exit::GENERIC
    }
}

/// Names a place in a chain.
fn told(standing: &Standing) -> String {
    match standing.sequence {
        0 => format!("the beginning of chain {}", standing.uid),
        sequence => format!("sequence {sequence} of chain {}", standing.uid),
    }
}

/// Says where a chain is instead of where it was planned to be.
fn moved(planned: &Standing, found: &Standing) -> String {
    match planned.uid == found.uid && planned.sequence == found.sequence {
        true => "has another imageset of that sequence".to_owned(),
        false if planned.uid == found.uid => format!("is at sequence {}", found.sequence),
        false => format!("is at {}", told(found)),
    }
}

/// Returns what to do about an error that comes from an object store.
fn fault_hint(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    Fault::among(error)?.hint().map(str::to_owned)
}

/// Returns what to do about an error of a registry, a layout or a bucket.
pub(super) fn content_hint(error: &ContentError) -> Option<String> {
    let cause = std::error::Error::source(error);
    if let Some(refusal) = cause.and_then(|cause| cause.downcast_ref::<PolicyRefusal>()) {
        return Some(refusal.hint().to_owned());
    }
    if let Some(missing) = cause.and_then(|cause| cause.downcast_ref::<NotInStock>()) {
        return Some(missing.hint().to_owned());
    }
    if cause.is_some_and(|cause| cause.is::<NoLongerThere>()) {
        return Some("nothing was made; make the plan anew with `oc-mirror plan`".to_owned());
    }
    if cause.is_some_and(|cause| cause.is::<Blocked>()) {
        return Some("remove `blocked` there, or name a mirror to read from in its place".to_owned());
    }
    if cause.is_some_and(|cause| cause.is::<CertificateError>()) {
        return Some("see containers-certs.d(5) for what belongs there".to_owned());
    }
    if let Some(hint) = fault_hint(error) {
        return Some(hint);
    }
    let hint = match error.kind() {
        ContentErrorKind::NotFound => {
            "check the name and the tag; `skopeo inspect docker://NAME` asks the registry the same"
        }
        ContentErrorKind::Unauthorized => {
            "log in with `podman login`, or name the credentials with --authfile; `oc-mirror doctor` tells which registries have one \
             that works"
        }
        ContentErrorKind::Denied => {
            "the account may not do this here; ask for the right to, or use another --authfile"
        }
        ContentErrorKind::OutOfTime(_) => {
            "give images longer with --image-timeout, or leave that out; the same command goes on from where this one stopped"
        }
        ContentErrorKind::Throttled { .. } => "try again later, or with a lower --parallel-images",
        ContentErrorKind::Unavailable(_) => {
            "check the address, the network and the proxy; what was done so far is kept, the same command goes on from there"
        }
        ContentErrorKind::Untrusted(_) => {
            "name the certificate to trust with --ca-file; or trust any, and plain HTTP, with --src-tls-verify=false for \
             registries that are read and --dest-tls-verify=false for the one that is published to"
        }
        ContentErrorKind::PlainHttp(_) => {
            "see whether the port is right; if plain HTTP is meant, allow it with --src-tls-verify=false for registries that are \
             read and --dest-tls-verify=false for the one that is published to, or with `insecure` in registries.conf"
        }
        ContentErrorKind::Refused(_) => {
            "see whether the registry is read-only, full or in maintenance, and what its log says"
        }
        ContentErrorKind::Incomplete(_) => {
            "the registry loses what it has taken: see whether its garbage is being collected while something is published, and \
             that all its copies share one storage; then run the same command again"
        }
        ContentErrorKind::WrongDigest { .. } | ContentErrorKind::WrongSize { .. } => {
            "the content is damaged where it is read from: copy the imageset again, or mend the registry"
        }
        ContentErrorKind::ImmutableTag { .. } => {
            "let tags move there, at least those of this repository and of `oc-mirror`; or delete the tag; or give the image \
             another one with `targetTag`"
        }
        ContentErrorKind::Lost(_) => {
            "it was deleted there: on the connected side, note that with `oc-mirror delete --delete-yaml-file FILE --workspace \
             file://DIR`, make an imageset with --since and the sequence that the target is at, and publish that one; \
             if no list of what was deleted is left, use --since 0"
        }
        ContentErrorKind::Disk(_) => "check the free space and the permissions of the directory",
        _ => return None,
    };
    Some(hint.to_owned())
}
