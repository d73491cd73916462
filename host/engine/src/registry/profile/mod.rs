//! Registries as they are: [`Profile`], what is known of one make of registry beyond the specification.
//!
//! A profile is data ([`table`]). Which one a registry has is read from its name and from its first answer
//! ([`identify`]), which is asked for anyway, or said by the user. It only refines: where a registry does not behave as
//! its profile says, the client goes on as it would with any other, and what a profile refuses before a run can be
//! had from `generic`.

mod identify;
mod table;

use std::fmt;
use std::str::FromStr;

pub(super) use identify::{Signs, identify, is_zot};

/// Makes of registries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Product {
    /// Any that keeps to the specification.
    Generic,
    /// docker-registry, the CNCF's distribution.
    DockerRegistry,
    /// Quay, quay.io included.
    Quay,
    /// Harbor.
    Harbor,
    /// JFrog Artifactory.
    Artifactory,
    /// Sonatype Nexus Repository.
    Nexus,
    /// Amazon ECR.
    Ecr,
    /// GitLab's container registry.
    GitLab,
    /// zot.
    Zot,
    /// The registry inside of OpenShift.
    OpenShift,
    /// GitHub's container registry.
    Ghcr,
    /// Azure Container Registry.
    Acr,
    /// Google's Artifact Registry and what `gcr.io` has become.
    Gar,
    /// Docker Hub.
    DockerHub,
}

/// How a blob is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upload {
    /// `POST`, and one `PUT` with all of it.
    Whole,
    /// `POST`, one `PATCH` with all of it and no range, and an empty `PUT`, as docker and podman do.
    Stream,
    /// `POST`, a `PATCH` for each piece of at most so many bytes, and an empty `PUT`. Smaller blobs go whole.
    Chunks(u64),
    /// One `POST` with all of it.
    Single,
}

/// How a blob of another repository is found by a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mount {
    /// The other repository has to be named.
    From,
    /// It is found wherever it is.
    Anywhere,
}

/// The shape that paths of repositories must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The fewest components.
    pub least: usize,
    /// The most.
    pub most: Depth,
}

/// The most components of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Any number.
    Any,
    /// So many.
    Of(usize),
    /// So many below what the target names.
    Below(usize),
    /// It depends on how the registry is set up, and has to be tried.
    Tried,
}

/// What must be there before anything can be pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Nothing: pushing makes it.
    Nobody,
    /// The repository itself.
    Repository,
    /// What the first component names: a project, an organization.
    First(&'static str),
    /// What the first components name, as many as these: a project within a group.
    Project(usize),
}

/// What is known of a make of registry.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// The make.
    pub product: Product,
    /// Its name in `--registry-profile`.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// How a blob is sent.
    pub upload: Upload,
    /// Whether `Range` in answers to pieces says what is stored.
    pub counts_pieces: bool,
    /// How a mount finds a blob.
    pub mount: Mount,
    /// Whether `HEAD` of a tag can be believed when it says that nothing is there.
    pub sees_tags: bool,
    /// The most manifests that are put within a second.
    pub manifests_per_second: Option<u32>,
    /// The shape of paths.
    pub paths: Paths,
    /// What must be there before.
    pub owner: Owner,
    /// Whether manifests of OCI's media types are taken; nothing where that depends on its age or settings.
    pub takes_oci: Option<bool>,
    /// The longest manifest that is taken, in bytes.
    pub largest_manifest: Option<u64>,
    /// Whether content is named by SHA-256 only.
    pub only_sha256: bool,
    /// Whether an index may name images that are not there; nothing where that has to be tried.
    pub takes_sparse: Option<bool>,
    /// Whether it has the referrers API; nothing where that has to be tried. Counts only where the user has said which
    /// make it is: a list that is not asked for is lost without a word.
    pub has_referrers: Option<bool>,
    /// Whether manifests can be deleted through the protocol; nothing where that has to be tried.
    pub deletes: Option<bool>,
}

impl Profile {
    /// Returns the profile of a make.
    pub fn of(product: Product) -> &'static Profile {
        table::PROFILES.iter().find(|p| p.product == product).expect("every make has a row in the table")
    }

    /// Returns the names of all profiles, in the order of the table.
    pub fn names() -> impl Iterator<Item = &'static str> {
        table::PROFILES.iter().map(|p| p.name)
    }
}

/// A name is not that of a profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no registry profile `{0}`")]
pub struct UnknownProfile(pub String);

impl FromStr for Product {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, UnknownProfile> {
        let found = table::PROFILES.iter().find(|p| p.name == text);
        found.map(|p| p.product).ok_or_else(|| UnknownProfile(text.to_owned()))
    }
}

/// Which profile a registry has, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The profile.
    pub profile: &'static Profile,
    /// Why.
    pub because: Because,
}

/// Why a registry has a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// The user says so.
    Said,
    /// It has this name.
    Name,
    /// Its answer has this.
    Answer(&'static str),
    /// Nothing is known of it.
    Nothing,
}

impl Found {
    /// Returns the profile of a registry of which nothing is known.
    pub fn nothing() -> Self {
        Self { profile: Profile::of(Product::Generic), because: Because::Nothing }
    }

    /// Returns a profile that the user has named.
    pub fn said(product: Product) -> Self {
        Self { profile: Profile::of(product), because: Because::Said }
    }

    /// Answers whether the registry is known not to have the referrers API.
    pub(super) fn is_without_referrers(&self) -> bool {
        self.because == Because::Said && self.profile.has_referrers == Some(false)
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said => f.write_str("as --registry-profile says"),
            Self::Name => f.write_str("by its name"),
            Self::Answer(sign) => write!(f, "by {sign}"),
            Self::Nothing => f.write_str("since nothing tells it apart"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_its_profile() {
        for name in Profile::names() {
            let product: Product = name.parse().expect("a name of the table");
            assert_eq!(Profile::of(product).name, name);
        }
        assert_eq!("dockerhub".parse::<Product>(), Err(UnknownProfile("dockerhub".to_owned())));
    }

    #[test]
    fn what_loses_signatures_if_it_is_wrong_is_believed_of_users_only() {
        let registry = Profile::of(Product::DockerRegistry);
        assert!(Found::said(Product::DockerRegistry).is_without_referrers());
        assert!(!Found { profile: registry, because: Because::Answer("a header") }.is_without_referrers());
        assert!(!Found::nothing().is_without_referrers());
    }
}
