//! [`BaseRules`]: rules on what an image is built on.
//!
//! An image is built on a base image if its layers begin with all layers of the base, or if it says so in the
//! annotations `org.opencontainers.image.base.name` and `.digest`, on the index, the manifest or as labels. The base
//! itself is refused as well. Of an index, each image that is to be mirrored is looked at, and compared with the
//! image of the base that is for the same platform.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use oc_mirror_plugin_sdk::reference::{Reference, Source};
use oc_mirror_plugin_sdk::{Descriptor, Error, Finding, ImageRequest, Platform, about, finding, other};

use crate::view::{Layer, Registry, View};

const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// Indexes in indexes: the specification allows them, two levels are in use.
const MAX_DEPTH: usize = 4;

/// Rules on base images.
pub(crate) struct BaseRules(pub(crate) Vec<BaseRule>);

/// One rule.
pub(crate) struct BaseRule {
    /// As the user wrote it.
    text: String,
    source: Source,
    base: RefCell<Option<Rc<Base>>>,
}

/// A base image as it was found. Handles are not kept: the host has a limited number of them, and a cache.
#[derive(Debug)]
struct Base {
    /// The digests of the index and of its images, or of the one image.
    digests: BTreeSet<String>,
    images: Vec<Chain>,
}

/// The layers of one image.
#[derive(Clone, Debug)]
struct Chain {
    digest: String,
    platform: Option<Platform>,
    layers: Vec<Layer>,
}

/// What there is to know about the image under judgement.
struct Subject {
    /// Annotations and labels, of the index and of its images.
    claims: Vec<(String, String)>,
    images: Vec<Chain>,
    digest: String,
}

impl BaseRules {
    /// Returns a finding for each rule that hits the image. An image that cannot be judged is an error.
    pub(crate) fn judge<R: Registry>(
        &self,
        registry: &R,
        request: &ImageRequest,
        image: &R::Image,
    ) -> Result<Vec<Finding>, Error> {
        if self.0.is_empty() {
            return Ok(vec![]);
        }
        let subject = Subject::read(registry, request, image)?;
        let mut findings = Vec::new();
        for rule in &self.0 {
            findings.extend(rule.judge(registry, &subject, &request.origin)?);
        }
        Ok(findings)
    }
}

impl BaseRule {
    /// Makes the rule `{"baseImage": …}`.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let source =
            text.trim().parse().map_err(|e| format!("`{text}` is not a reference to an image: {e}"))?;
        Ok(Self { text: text.to_owned(), source, base: RefCell::new(None) })
    }

    fn judge<R: Registry>(
        &self,
        registry: &R,
        subject: &Subject,
        origin: &str,
    ) -> Result<Option<Finding>, Error> {
        // What the image says about itself needs no look at the base.
        if let Some(evidence) = self.named_in(&subject.claims) {
            return Ok(Some(self.finding("blocked.base-image.annotation", origin, evidence)));
        }
        let base = self.base(registry)?;
        if let Some(evidence) = digest_in(&subject.claims, &base) {
            return Ok(Some(self.finding("blocked.base-image.annotation", origin, evidence)));
        }
        if base.digests.contains(&subject.digest) {
            let evidence = format!("it is the base image itself, `{}`", subject.digest);
            return Ok(Some(self.finding("blocked.base-image.layers", origin, evidence)));
        }
        let evidence = subject.images.iter().find_map(|image| base.under(image));
        Ok(evidence.map(|evidence| self.finding("blocked.base-image.layers", origin, evidence)))
    }

    fn finding(&self, code: &str, origin: &str, evidence: String) -> Finding {
        finding(
            code,
            format!("`{origin}` is built on the blocked base image `{}`: {evidence}", self.text),
            [("rule", self.text.clone()), ("evidence", evidence)],
        )
    }

    /// Looks for the rule's own name and digest among the claims.
    fn named_in(&self, claims: &[(String, String)]) -> Option<String> {
        claims.iter().find_map(|(key, value)| {
            let hit = match key.as_str() {
                BASE_NAME => self.is_named(value, claims),
                BASE_DIGEST => self.source.digest() == Some(value),
                _ => false,
            };
            hit.then(|| format!("`{key}` is `{value}`"))
        })
    }

    /// Answers whether a base with this name is the blocked one. A rule without tag takes all tags; a rule with a
    /// digest takes only that digest.
    fn is_named(&self, name: &str, claims: &[(String, String)]) -> bool {
        let (Source::Registry(rule), Ok(Source::Registry(name))) = (&self.source, name.parse()) else {
            return false;
        };
        let tag = |r: &Reference| r.tag.clone().unwrap_or_else(|| "latest".to_owned());
        let said_digest = || {
            let said = claims.iter().find(|(key, _)| key == BASE_DIGEST).map(|(_, value)| value.clone());
            name.digest.clone().or(said)
        };
        rule.name() == name.name()
            && match (&rule.tag, &rule.digest) {
                (_, Some(digest)) => said_digest().as_ref() == Some(digest),
                (Some(_), None) => tag(rule) == tag(&name),
                (None, None) => true,
            }
    }

    /// Returns the base image. A failure is not remembered: the next image may find the registry back.
    fn base<R: Registry>(&self, registry: &R) -> Result<Rc<Base>, Error> {
        if let Some(base) = &*self.base.borrow() {
            return Ok(base.clone());
        }
        let base = Base::read(registry, &self.source.to_string())
            .map_err(|e| about(e, &format!("cannot look at the blocked base image `{}`", self.text)))?;
        let base = Rc::new(base);
        self.base.replace(Some(base.clone()));
        Ok(base)
    }
}

impl Base {
    fn read<R: Registry>(registry: &R, reference: &str) -> Result<Self, Error> {
        let image = registry.open(reference)?;
        let mut images = Vec::new();
        visit(registry, &image, &|_| true, 0, &mut |leaf, platform| {
            images.push(Chain::read(leaf, platform)?);
            Ok(())
        })?;
        let mut digests: BTreeSet<String> = images.iter().map(|i| i.digest.clone()).collect();
        digests.insert(image.descriptor().digest);
        Ok(Self { digests, images })
    }

    /// Says how an image begins with this base, if it does.
    fn under(&self, image: &Chain) -> Option<String> {
        let base = self.images.iter().find(|base| base.fits(image) && base.begins(image))?;
        let platform = match &image.platform {
            Some(p) => format!(" for {}/{}", p.os, p.arch),
            None => String::new(),
        };
        let (shared, all) = (base.layers.len(), image.layers.len());
        Some(format!(
            "the first {shared} of {all} layers{platform} are those of `{}`, the last of them `{}`",
            base.digest,
            base.layers[shared - 1].digest
        ))
    }
}

impl Chain {
    fn read<V: View>(image: &V, platform: Option<Platform>) -> Result<Self, Error> {
        Ok(Self { digest: image.descriptor().digest, platform, layers: image.layers()? })
    }

    /// Answers whether both can be for the same platform; a variant is too often left out to count.
    fn fits(&self, other: &Chain) -> bool {
        match (&self.platform, &other.platform) {
            (Some(a), Some(b)) => a.os == b.os && a.arch == b.arch,
            _ => true,
        }
    }

    /// Answers whether the other's layers begin with these. No layers are the beginning of nothing.
    fn begins(&self, other: &Chain) -> bool {
        !self.layers.is_empty()
            && self.layers.len() <= other.layers.len()
            && self.layers.iter().zip(&other.layers).all(|(a, b)| a.is(b))
    }
}

impl Subject {
    fn read<R: Registry>(registry: &R, request: &ImageRequest, image: &R::Image) -> Result<Self, Error> {
        let digest = image.descriptor().digest;
        let mut claims = if image.is_index() { image.annotations()? } else { vec![] };
        let mut images = Vec::new();
        let wanted = |platform: &Option<Platform>| is_wanted(platform.as_ref(), &request.platforms);
        visit(registry, image, &wanted, 0, &mut |leaf, platform| {
            claims.extend(leaf.annotations()?);
            claims.extend(leaf.labels()?);
            images.push(Chain::read(leaf, platform)?);
            Ok(())
        })?;
        claims.retain(|(key, _)| key == BASE_NAME || key == BASE_DIGEST);
        Ok(Self { claims, images, digest })
    }
}

/// Answers whether an image of an index is to be mirrored. One without a platform always is.
fn is_wanted(platform: Option<&Platform>, wanted: &[Platform]) -> bool {
    let Some(platform) = platform else { return true };
    wanted.is_empty()
        || wanted.iter().any(|w| {
            w.os == platform.os
                && w.arch == platform.arch
                && (w.variant.is_none() || w.variant == platform.variant)
        })
}

/// Looks for a digest of the base among the claims.
fn digest_in(claims: &[(String, String)], base: &Base) -> Option<String> {
    let (key, value) =
        claims.iter().find(|(key, value)| key == BASE_DIGEST && base.digests.contains(value))?;
    Some(format!("`{key}` is `{value}`"))
}

/// What [`visit`] calls.
type Each<'a, I> = dyn FnMut(&I, Option<Platform>) -> Result<(), Error> + 'a;

/// Calls `each` with every image below, and its platform where an index names one.
fn visit<R: Registry>(
    registry: &R,
    image: &R::Image,
    wanted: &dyn Fn(&Option<Platform>) -> bool,
    depth: usize,
    each: &mut Each<'_, R::Image>,
) -> Result<(), Error> {
    if !image.is_index() {
        return each(image, image.descriptor().platform);
    }
    if depth == MAX_DEPTH {
        return Err(other("block.nested", format!("`{}` is nested too deeply", image.reference())));
    }
    let children = image.children()?;
    let mut by_platform: BTreeMap<String, usize> = BTreeMap::new();
    for child in &children {
        *by_platform.entry(platform_key(child)).or_default() += 1;
    }
    for child in children.iter().filter(|child| wanted(&child.platform) && !is_attestation(child)) {
        let alone = by_platform.get(&platform_key(child)) == Some(&1);
        let opened = open_child(registry, image, child, alone)?;
        if opened.is_index() {
            visit(registry, &opened, wanted, depth + 1, each)?;
        } else {
            each(&opened, child.platform.clone())?;
        }
    }
    Ok(())
}

fn platform_key(child: &Descriptor) -> String {
    child.platform.as_ref().map_or_else(String::new, |p| format!("{}/{}/{:?}", p.os, p.arch, p.variant))
}

/// Statements about another image of the index, which have no base.
fn is_attestation(child: &Descriptor) -> bool {
    child
        .annotations
        .iter()
        .any(|(key, value)| key == "vnd.docker.reference.type" && value == "attestation-manifest")
}

/// Opens an image of an index: by its platform through the handle, which needs no grant, where that is unambiguous.
fn open_child<R: Registry>(
    registry: &R,
    index: &R::Image,
    child: &Descriptor,
    alone: bool,
) -> Result<R::Image, Error> {
    if let (true, Some(platform)) = (alone, &child.platform) {
        let opened = index.child(platform)?;
        if opened.descriptor().digest == child.digest {
            return Ok(opened);
        }
    }
    let reference = index.reference();
    let source: Source =
        reference.parse().map_err(|e| Error::Invalid(format!("`{reference}` is not a reference: {e}")))?;
    registry.open(&source.at_digest(&child.digest).to_string())
}

#[cfg(test)]
#[path = "base_tests.rs"]
mod tests;
