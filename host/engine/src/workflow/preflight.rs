//! What a target cannot take, found before anything is sent and told all at once: [`Examine`], [`Finding`].
//!
//! Names are settled here too, since how long they may be depends on the registry.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use oc_mirror_model::digest::Algorithm;
use oc_mirror_model::imageset::ImageEntry;
use oc_mirror_model::manifest::Descriptor;
use oc_mirror_model::metadata::Chain;
use oc_mirror_model::reference::{Repository, Target};
use oc_mirror_model::report::{RegistryReport, RunReport};
use uuid::Uuid;

use super::from_disk::Destination;
use super::{Run, WorkflowError, WorkflowErrorKind};
use crate::content::{ContentError, ContentErrorKind};
use crate::metadata::in_registry::REPOSITORY;
use crate::metadata::{MetadataError, Stored};
use crate::plan::names::Names;
use crate::registry::Client;
use crate::registry::profile::{Because, Depth, Found, Owner, Product, Profile};

/// Questions to a registry that is to be published to.
#[async_trait]
pub trait Examine: Send + Sync {
    /// Finds out what it is.
    async fn profile(&self) -> Result<Found, ContentError>;

    /// Answers whether a push to a repository may begin: nothing, or what speaks against it.
    async fn may_push(&self, repository: &Repository) -> Result<Option<String>, ContentError>;

    /// Answers whether images with OCI's media types are taken: nothing, or what speaks against them.
    async fn takes_oci(&self, scratch: &Repository) -> Result<Option<String>, ContentError>;
}

#[async_trait]
impl Examine for Client {
    async fn profile(&self) -> Result<Found, ContentError> {
        Client::profile(self).await
    }

    async fn may_push(&self, repository: &Repository) -> Result<Option<String>, ContentError> {
        Client::may_push(self, repository).await
    }

    async fn takes_oci(&self, scratch: &Repository) -> Result<Option<String>, ContentError> {
        Client::takes_oci(self, scratch).await
    }
}

/// Something that a target cannot take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

fn finding(message: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { message: message.into(), remedy: remedy.into() }
}

/// A target that cannot take what is to be published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{target}`{} cannot take what is to be published", self.kind())]
pub struct Unfit {
    /// The target.
    pub target: Target,
    /// What it was taken for.
    pub found: Found,
    /// All that stands against it.
    pub findings: Vec<Finding>,
}

impl Unfit {
    fn kind(&self) -> String {
        match self.found.profile.product {
            Product::Generic => String::new(),
            _ => format!(" ({}, {})", self.found.profile.title, self.found.because),
        }
    }

    /// Returns what to do about it, a remedy each line.
    pub fn hint(&self) -> String {
        let mut lines: Vec<&str> = self.findings.iter().map(|f| f.remedy.as_str()).collect();
        let guessed = matches!(self.found.because, Because::Name | Because::Answer(_));
        let other = format!(
            "if the registry is not {}: --registry-profile generic, or what it is",
            self.found.profile.title
        );
        if guessed {
            lines.push(&other);
        }
        lines.join("\n")
    }
}

/// Returns the repositories of images, before the target's prefix and names.
pub(super) fn paths<'a>(images: &[&'a ImageEntry]) -> Vec<&'a Repository> {
    images.iter().map(|image| &image.destination.repository).collect()
}

impl Destination {
    /// Reads the record of a chain. Where that is denied, it is told what is not there, if that is the reason.
    pub(super) async fn load(&self, uid: Uuid) -> Result<Option<Stored>, WorkflowError> {
        let error = match self.records.load(uid).await {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        let is_denied = matches!(&error, MetadataError::Content { source, .. }
            if matches!(source.kind(), ContentErrorKind::Unauthorized | ContentErrorKind::Denied | ContentErrorKind::Refused(_)));
        if is_denied {
            let found = self.examine.profile().await?;
            let check = Check { destination: self, found, chain: None, new: &[] };
            let mut findings = check.names();
            if findings.is_empty() {
                findings = check.owners().await?;
            }
            if !findings.is_empty() {
                return Err(Unfit { target: self.target.clone(), found, findings }.into());
            }
        }
        Err(error.into())
    }

    /// Returns the destination with the names of all images settled, after checking that it can take those that are `new`.
    ///
    /// `images` are all that the run speaks of. No content is sent to their repositories. A dry run opens no uploads.
    pub(super) async fn prepared(
        &self,
        run: &Run,
        chain: Option<&Chain>,
        paths: &[&Repository],
        new: &[&ImageEntry],
        report: &mut RunReport,
    ) -> Result<Destination, WorkflowError> {
        let found = self.examine.profile().await?;
        self.note_profile(&found, report);
        let limit = limit(found.profile, &self.target);
        let prefix = self.target.prefix.as_ref();
        let is_long = |limit: usize| {
            paths.iter().any(|path| path.under(prefix).depth() > limit)
                || chain.is_some_and(|chain| !chain.names.is_empty())
        };
        let joined = limit.filter(|limit| self.max_nested_paths.is_none() && is_long(*limit));
        if let Some(limit) = joined {
            let note = format!(
                "{} takes paths of at most {limit} components here: longer ones are joined with `-`, as with \
                 --max-nested-paths {limit}",
                found.profile.title
            );
            if !report.notes.contains(&note) {
                report.notes.push(note);
            }
        }
        let names = Names::new(self.target.prefix.clone(), self.max_nested_paths.or(joined));
        let names = names.told_apart(chain, paths.iter().copied())?;
        let destination = Destination { names, ..self.clone() };
        if new.is_empty() {
            return Ok(destination);
        }
        let check = Check { destination: &destination, found, chain, new };
        let findings = check.findings(run.dry_run).await?;
        if findings.is_empty() {
            return Ok(destination);
        }
        Err(Unfit { target: self.target.clone(), found, findings }.into())
    }

    fn note_profile(&self, found: &Found, report: &mut RunReport) {
        let line = RegistryReport {
            registry: self.target.registry.to_string(),
            profile: found.profile.name.to_owned(),
            because: found.because.to_string(),
        };
        if !report.registries.contains(&line) {
            tracing::info!(registry = %line.registry, profile = %line.profile, because = %line.because, "registry");
            report.registries.push(line);
        }
    }

    fn record(&self) -> Repository {
        let repository: Repository = REPOSITORY.parse().expect("a constant that is a repository");
        repository.under(self.target.prefix.as_ref())
    }
}

impl From<Unfit> for WorkflowError {
    fn from(unfit: Unfit) -> Self {
        WorkflowErrorKind::Unfit(unfit).into()
    }
}

/// Returns the most components that a repository may have, where that is known.
fn limit(profile: &Profile, target: &Target) -> Option<usize> {
    match profile.paths.most {
        Depth::Any | Depth::Tried => None,
        Depth::Of(most) => Some(most),
        Depth::Below(more) => target.prefix.as_ref().map(|prefix| prefix.depth() + more),
    }
}

struct Check<'a> {
    destination: &'a Destination,
    found: Found,
    chain: Option<&'a Chain>,
    new: &'a [&'a ImageEntry],
}

impl Check<'_> {
    fn profile(&self) -> &'static Profile {
        self.found.profile
    }

    async fn findings(&self, dry_run: bool) -> Result<Vec<Finding>, WorkflowError> {
        let names = self.names();
        let is_named_well = names.is_empty();
        let mut findings = names;
        findings.extend(self.content());
        if let Some(sparse) = self.sparse(!is_named_well).await? {
            findings.push(sparse);
        }
        // Nothing can be learned by trying names that are known to be wrong.
        if is_named_well && !dry_run {
            let owners = self.owners().await?;
            let is_owned = owners.is_empty();
            findings.extend(owners);
            if is_owned {
                findings.extend(self.depth().await?);
                findings.extend(self.oci().await?);
            }
        }
        Ok(findings)
    }

    /// Returns the repositories that are pushed to, the one of the record among them.
    fn repositories(&self) -> BTreeSet<Repository> {
        let images = self.new.iter().map(|image| self.destination.place(&image.destination.repository));
        images.chain([self.destination.record()]).collect()
    }

    fn names(&self) -> Vec<Finding> {
        let (profile, target) = (self.profile(), &self.destination.target);
        let record = self.destination.record();
        let mut findings = Vec::new();
        if record.depth() < profile.paths.least {
            let (what, form) = match profile.owner {
                Owner::First(owner) => (article(owner), owner.to_uppercase()),
                _ if profile.product == Product::GitLab => {
                    ("a project of a group".to_owned(), "GROUP/PROJECT".to_owned())
                }
                Owner::Project(_) => {
                    ("a repository of a project".to_owned(), "PROJECT/REPOSITORY".to_owned())
                }
                _ => ("a namespace".to_owned(), "NAMESPACE".to_owned()),
            };
            findings.push(finding(
                format!("{} keeps everything in {what}, and the target names none", profile.title),
                format!("publish below one: docker://{}/{form}", target.registry),
            ));
        }
        let Some(limit) = limit(profile, target) else { return findings };
        if let Some(deep) = self.repositories().into_iter().find(|r| r.depth() > limit && *r != record) {
            findings.push(finding(
                format!(
                    "{} takes paths of at most {limit} components, and `{deep}` has {}",
                    profile.title,
                    deep.depth()
                ),
                format!("say --max-nested-paths {limit}, or leave it out"),
            ));
        }
        if record.depth() > limit {
            findings.push(finding(
                format!(
                    "{} takes paths of at most {limit} components, and the record would be at `{record}`",
                    profile.title
                ),
                "publish to a target of fewer components",
            ));
        }
        findings
    }

    /// Finds content that the registry does not take, whatever its name.
    fn content(&self) -> Vec<Finding> {
        let profile = self.profile();
        let mut findings = Vec::new();
        if let Some(most) = profile.largest_manifest {
            let is_large = |d: &Descriptor| d.size > most;
            if let Some((count, origin)) = self.count(|image| image.manifests.iter().any(is_large)) {
                findings.push(finding(
                    format!(
                        "{} takes no manifest above {most} bytes, and {count} have one, `{origin}` for one",
                        profile.title
                    ),
                    "leave these images out, or publish to a registry without that limit",
                ));
            }
        }
        if profile.only_sha256 {
            let is_other = |d: &Descriptor| d.digest.algorithm() != Algorithm::Sha256;
            let has_other = |image: &ImageEntry| image.manifests.iter().chain(&image.blobs).any(is_other);
            if let Some((count, origin)) = self.count(has_other) {
                findings.push(finding(
                    format!(
                        "{} names content by SHA-256 only, and {count} have some that is named otherwise, `{origin}` \
                         for one",
                        profile.title
                    ),
                    "leave these images out, or publish to a registry that knows other digests",
                ));
            }
        }
        findings
    }

    fn count(&self, is: impl Fn(&ImageEntry) -> bool) -> Option<(String, &str)> {
        let mut found = self.new.iter().filter(|image| is(image));
        let first = found.next()?;
        let more = found.count();
        let count = if more == 0 { "1 image".to_owned() } else { format!("{} images", more + 1) };
        Some((count, first.request.origin.as_str()))
    }

    async fn sparse(&self, only_known: bool) -> Result<Option<Finding>, WorkflowError> {
        let Some(image) = self.new.iter().find(|image| image.sparse) else { return Ok(None) };
        let takes = match self.profile().takes_sparse {
            Some(takes) => takes,
            None if only_known => true,
            None => self.destination.sparse.takes_sparse_indexes().await?,
        };
        let origin = &image.request.origin;
        let message = format!(
            "it refuses indexes that name images which are not there, as `platforms` makes them: `{origin}`"
        );
        let remedy = "remove `platforms` from the configuration, or publish to a registry that takes sparse indexes, such as \
                      docker-registry 3 with `validation.manifests.indexes.platforms: none`, or `oc-mirror serve`";
        Ok((!takes).then(|| finding(message, remedy)))
    }

    /// Finds what has to be created first: each is tried by opening an upload and giving it up.
    async fn owners(&self) -> Result<Vec<Finding>, WorkflowError> {
        let components = match self.profile().owner {
            Owner::Nobody => return Ok(Vec::new()),
            Owner::Repository => usize::MAX,
            Owner::First(_) => 1,
            Owner::Project(count) => count,
        };
        let known: BTreeSet<&Repository> =
            self.chain.iter().flat_map(|c| c.blobs.values()).flat_map(|b| &b.repositories).collect();
        // One repository stands for all of an owner's, the one with the shortest path.
        let mut owners: BTreeMap<String, Repository> = BTreeMap::new();
        for repository in self.repositories() {
            if known.contains(&repository) {
                continue;
            }
            let owner: Vec<&str> = repository.as_str().split('/').take(components).collect();
            let other = owners.entry(owner.join("/")).or_insert_with(|| repository.clone());
            if repository.depth() < other.depth() {
                *other = repository;
            }
        }
        let examine = &self.destination.examine;
        let missing: Vec<(String, String)> = stream::iter(owners)
            .map(|(owner, repository)| async move {
                let refused = examine.may_push(&repository).await?;
                Ok::<_, ContentError>(refused.map(|said| (owner, said)))
            })
            .buffered(8)
            .try_filter_map(|missing| std::future::ready(Ok(missing)))
            .try_collect()
            .await?;
        Ok(self.missing(&missing))
    }

    fn missing(&self, missing: &[(String, String)]) -> Vec<Finding> {
        let Some((first, said)) = missing.first() else { return Vec::new() };
        let profile = self.profile();
        if profile.owner == Owner::Repository {
            let noun =
                if missing.len() == 1 { "1 repository" } else { &format!("{} repositories", missing.len()) };
            let message =
                format!("{noun} must be created first, or may not be pushed to, `{first}` for one: {said}");
            let region = region(self.destination.target.registry.host());
            let commands = missing
                .iter()
                .map(|(name, _)| format!("\n  aws ecr create-repository{region} --repository-name {name}"));
            let remedy = format!(
                "create them, or a repository creation template for CREATE_ON_PUSH:{}",
                commands.collect::<String>()
            );
            return vec![finding(message, remedy)];
        }
        let what = match profile.owner {
            Owner::First(owner) => owner,
            _ => "project",
        };
        let line = |(owner, said): &(String, String)| {
            finding(
                format!("the {what} `{owner}` does not exist, or the account may not push to it: {said}"),
                format!("create the {what} `{owner}` in {}, and let the account push to it", profile.title),
            )
        };
        missing.iter().map(line).collect()
    }

    /// Finds out whether the longest name is taken, where that depends on how the registry is set up, or on which part of the
    /// target's path is the project.
    async fn depth(&self) -> Result<Option<Finding>, WorkflowError> {
        let profile = self.profile();
        if matches!(profile.paths.most, Depth::Any | Depth::Of(_)) {
            return Ok(None);
        }
        let deepest = self.repositories().into_iter().max_by_key(Repository::depth);
        let Some(deepest) = deepest.filter(|deepest| deepest.depth() > profile.paths.least) else {
            return Ok(None);
        };
        let Some(said) = self.destination.examine.may_push(&deepest).await? else { return Ok(None) };
        let record = self.destination.record().depth();
        let (fewer, mut remedy) = match profile.paths.most {
            Depth::Tried => {
                let fewer = profile.paths.least;
                let setting = "FEATURE_EXTENDED_REPOSITORY_NAMES: true";
                let remedy = format!(
                    "say --max-nested-paths {fewer}, or let {} take nested names ({setting})",
                    profile.title
                );
                (fewer, remedy)
            }
            _ => {
                let fewer = deepest.depth() - 1;
                (fewer, format!("say --max-nested-paths {fewer}, or publish to the project itself"))
            }
        };
        if record > fewer {
            remedy = format!("{remedy}; and name at most {} components in the target", fewer - 1);
        }
        Ok(Some(finding(format!("it takes no path as long as `{deepest}`: {said}"), remedy)))
    }

    /// Finds out whether manifests of OCI's media types are taken. The record is one, whatever the images are.
    async fn oci(&self) -> Result<Option<Finding>, WorkflowError> {
        if self.profile().takes_oci.is_some() {
            return Ok(None);
        }
        let refused = self.destination.examine.takes_oci(&self.destination.record()).await?;
        let remedy = match self.profile().product {
            Product::Quay => "update Quay, and set FEATURE_GENERAL_OCI_SUPPORT: true",
            Product::Nexus => "update Nexus: it takes them since 3.29",
            _ => "update the registry: nothing can be converted without changing its digest",
        };
        Ok(refused.map(|said| finding(format!("it takes no images of OCI's media types: {said}"), remedy)))
    }
}

fn article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}

/// Returns the argument that names the region of a registry of Amazon's.
fn region(host: &str) -> String {
    let region = host.split_once(".dkr.ecr").and_then(|(_, rest)| rest.split('.').nth(1));
    region.map(|region| format!(" --region {region}")).unwrap_or_default()
}

#[cfg(test)]
mod tests;
