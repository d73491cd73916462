//! Release payloads laid out as real ones are: an image whose top layer has `release-manifests/`, with the list of the
//! images that the release consists of. The way in is [`release`]; nothing here is larger than a few kilobytes.

mod manifests;

use std::collections::{BTreeMap, BTreeSet};

use crate::image::{Image, ImageBuilder, IndexBuilder};
use crate::push::PushTarget;

/// Where payloads of OpenShift are, below their registry.
const PAYLOADS: &str = "openshift-release-dev/ocp-release";

/// Where everything that a release consists of is.
const COMPONENTS: &str = "openshift-release-dev/ocp-v4.0-art-dev";

/// The names of architectures in manifests and in tags of payloads.
const ARCHITECTURES: [(&str, &str); 4] =
    [("amd64", "x86_64"), ("arm64", "aarch64"), ("ppc64le", "ppc64le"), ("s390x", "s390x")];

/// What a release consists of unless something else is said.
const USUAL: [&str; 3] = ["cli", "cluster-version-operator", "etcd"];

/// Starts a release of a version for `amd64`.
pub fn release(version: &str) -> ReleaseBuilder {
    ReleaseBuilder {
        version: version.to_owned(),
        architectures: vec!["amd64".to_owned()],
        multi: Vec::new(),
        oci: false,
        components: Vec::new(),
        previous: Vec::new(),
        errata: None,
        kubevirt: Vec::new(),
        manifests: BTreeMap::new(),
        missing: BTreeSet::new(),
        base: None,
        payload_repository: PAYLOADS.to_owned(),
        component_repository: COMPONENTS.to_owned(),
    }
}

/// Builds the payloads of one version, each with its components.
#[derive(Clone, Debug)]
pub struct ReleaseBuilder {
    version: String,
    architectures: Vec<String>,
    multi: Vec<String>,
    oci: bool,
    components: Vec<Wanted>,
    previous: Vec<String>,
    errata: Option<String>,
    kubevirt: Vec<String>,
    manifests: BTreeMap<String, Vec<u8>>,
    missing: BTreeSet<String>,
    base: Option<Image>,
    payload_repository: String,
    component_repository: String,
}

/// A component, and what decides the bytes of its image.
#[derive(Clone, Debug)]
struct Wanted {
    name: String,
    content: String,
}

/// Everything of one version.
#[derive(Clone, Debug)]
pub struct Release {
    /// The version.
    pub version: String,
    /// The payloads, one for each architecture; that of `multi` last.
    pub payloads: Vec<Payload>,
    /// The disks of virtual machines that the payloads name beside their components; each is named after the key of its
    /// architecture (`x86_64`).
    pub kubevirt: Vec<Component>,
    component_repository: String,
}

/// The payload of one architecture.
#[derive(Clone, Debug)]
pub struct Payload {
    /// The architecture as update services call it: `amd64`, `multi`.
    pub architecture: String,
    /// The payload itself; an index for `multi`.
    pub image: Image,
    /// The tag: `4.12.1-x86_64`.
    pub tag: String,
    /// The images that `image-references` lists, in that order; several may be the same image.
    pub components: Vec<Component>,
    host: String,
    repository: String,
}

/// An image that a release consists of.
#[derive(Clone, Debug)]
pub struct Component {
    /// The name that the payload gives it.
    pub name: String,
    /// The image; an index in the payload of `multi`.
    pub image: Image,
    /// The reference by digest, as the payload has it.
    pub reference: String,
    tag: Option<String>,
}

impl ReleaseBuilder {
    /// Makes a payload for each of these (`amd64`, `arm64`, `ppc64le`, `s390x`) instead; may be none.
    pub fn architectures(mut self, names: &[&str]) -> Self {
        self.architectures = names.iter().map(ToString::to_string).collect();
        self
    }

    /// Adds the payload `multi`, an index of payloads for these architectures whose components are indexes, too.
    pub fn multi(mut self, names: &[&str]) -> Self {
        self.multi = names.iter().map(ToString::to_string).collect();
        self
    }

    /// Uses the media types of OCI; real releases have those of Docker.
    pub fn oci(mut self) -> Self {
        self.oci = true;
        self
    }

    /// Adds a component that no other version has; without any component, there are three of them.
    pub fn component(self, name: &str) -> Self {
        let content = format!("{name} {}", self.version);
        self.wanted(name, content)
    }

    /// Adds a component that is the same image in each version that has one of this name.
    pub fn unchanged(self, name: &str) -> Self {
        self.wanted(name, format!("{name} of all versions"))
    }

    /// Adds another name for a component that was added before, as real releases have many.
    pub fn alias(self, name: &str, of: &str) -> Self {
        let found = self.components.iter().find(|wanted| wanted.name == of);
        let content = found.unwrap_or_else(|| panic!("no component {of} yet")).content.clone();
        self.wanted(name, content)
    }

    fn wanted(mut self, name: &str, content: String) -> Self {
        self.components.push(Wanted { name: name.to_owned(), content });
        self
    }

    /// Says which versions can be updated to this one.
    pub fn previous(mut self, versions: &[&str]) -> Self {
        self.previous = versions.iter().map(ToString::to_string).collect();
        self
    }

    /// Sets the address of the errata; real pre-releases have none.
    pub fn errata(mut self, url: &str) -> Self {
        self.errata = Some(url.to_owned());
        self
    }

    /// Names the disk of a virtual machine for each of these (`x86_64`, `s390x`); without this, no file has any.
    pub fn kubevirt(mut self, keys: &[&str]) -> Self {
        self.kubevirt = keys.iter().map(ToString::to_string).collect();
        self
    }

    /// Adds a file below `release-manifests/`, or replaces one that would be there.
    pub fn manifest(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.manifests.insert(name.to_owned(), content.as_ref().to_vec());
        self
    }

    /// Leaves a file below `release-manifests/` out.
    pub fn without_manifest(mut self, name: &str) -> Self {
        self.missing.insert(name.to_owned());
        self
    }

    /// Puts the payload on the layers of another image instead of its own, which may have stale files.
    pub fn base(mut self, image: &Image) -> Self {
        self.base = Some(image.clone());
        self
    }

    /// Sets where the payloads and the components are, below the registry.
    pub fn repositories(mut self, payloads: &str, components: &str) -> Self {
        payloads.clone_into(&mut self.payload_repository);
        components.clone_into(&mut self.component_repository);
        self
    }

    /// Builds everything; the payloads name their components as images of `host` (`127.0.0.1:5000`, `quay.io`).
    pub fn build(mut self, host: &str) -> Release {
        if self.components.is_empty() {
            self = USUAL.iter().fold(self, |builder, name| builder.component(name));
        }
        self.components.sort_by(|a, b| a.name.cmp(&b.name));
        let kubevirt: Vec<Component> = self.kubevirt.iter().map(|key| self.disk(host, key)).collect();
        let single = self.architectures.iter().map(|architecture| self.single(host, architecture, &kubevirt));
        let mut payloads: Vec<Payload> = single.collect();
        if !self.multi.is_empty() {
            payloads.push(self.multiple(host, &kubevirt));
        }
        Release { version: self.version, payloads, kubevirt, component_repository: self.component_repository }
    }

    /// Builds everything, pushes it to a registry, and names the components as images of that registry.
    pub fn push<T: PushTarget + ?Sized>(self, to: &T) -> Release {
        let release = self.build(&to.plain_host().host);
        release.push(to);
        release
    }

    fn single(&self, host: &str, architecture: &str, kubevirt: &[Component]) -> Payload {
        let components: Vec<Component> = self
            .components
            .iter()
            .map(|wanted| {
                self.component_of(host, &wanted.name, self.image(&wanted.content, architecture), None)
            })
            .collect();
        let image = self.payload(architecture, &components, kubevirt, false);
        let tag = format!("{}-{}", self.version, machine(architecture));
        self.payload_of(host, architecture, image, tag, components)
    }

    fn multiple(&self, host: &str, kubevirt: &[Component]) -> Payload {
        let components: Vec<Component> = self
            .components
            .iter()
            .map(|wanted| {
                let image = self.index(|architecture| self.image(&wanted.content, architecture));
                self.component_of(host, &wanted.name, image, None)
            })
            .collect();
        let image = self.index(|architecture| self.payload(architecture, &components, kubevirt, true));
        self.payload_of(host, "multi", image, format!("{}-multi", self.version), components)
    }

    fn index(&self, image: impl Fn(&str) -> Image) -> Image {
        let index = if self.oci { IndexBuilder::new() } else { IndexBuilder::new().docker() };
        self.multi.iter().fold(index, |index, architecture| index.child(&image(architecture))).build()
    }

    fn payload_of(
        &self,
        host: &str,
        architecture: &str,
        image: Image,
        tag: String,
        components: Vec<Component>,
    ) -> Payload {
        let (host, repository) = (host.to_owned(), self.payload_repository.clone());
        Payload { architecture: architecture.to_owned(), image, tag, components, host, repository }
    }

    fn component_of(&self, host: &str, name: &str, image: Image, tag: Option<String>) -> Component {
        let reference = format!("{host}/{}@{}", self.component_repository, image.digest);
        Component { name: name.to_owned(), image, reference, tag }
    }

    /// The disk of a virtual machine; its image is for the architecture of that key.
    fn disk(&self, host: &str, key: &str) -> Component {
        let found = ARCHITECTURES.iter().find(|(_, machine)| *machine == key);
        let architecture = found.unwrap_or_else(|| panic!("no architecture has the key {key}")).0;
        let image = self.image(&format!("disk {}", self.version), architecture);
        self.component_of(host, key, image, Some(format!("{}-9.2-kubevirt-{key}", self.version)))
    }

    fn image(&self, content: &str, architecture: &str) -> Image {
        let content = format!("{content} for {architecture}\n");
        self.start(architecture).layer(&[("usr/bin/component", content)]).build()
    }

    fn start(&self, architecture: &str) -> ImageBuilder {
        let builder = ImageBuilder::new().platform(&format!("linux/{architecture}"));
        if self.oci { builder } else { builder.docker() }
    }

    fn payload(
        &self,
        architecture: &str,
        components: &[Component],
        kubevirt: &[Component],
        multi: bool,
    ) -> Image {
        let mut files = manifests::of(self, components, kubevirt, multi);
        files.extend(self.manifests.clone());
        files.retain(|name, _| !self.missing.contains(name));
        let files: Vec<(String, Vec<u8>)> =
            files.into_iter().map(|(name, content)| (format!("release-manifests/{name}"), content)).collect();
        let start = self.start(architecture);
        let start = match &self.base {
            Some(base) => start.from(base),
            None => start.layer(&[
                ("manifests/0000_00_cluster-version-operator_00_namespace.yaml", "kind: Namespace\n"),
                ("usr/bin/cluster-version-operator", architecture),
            ]),
        };
        start
            .layer(&files)
            .label("io.openshift.release", &self.version)
            .entrypoint(&["/usr/bin/component"])
            .build()
    }
}

impl Release {
    /// Returns the payload of an architecture; the test fails when it was not asked for.
    #[track_caller]
    pub fn payload(&self, architecture: &str) -> &Payload {
        let found = self.payloads.iter().find(|payload| payload.architecture == architecture);
        found.unwrap_or_else(|| panic!("{} has no payload for {architecture}", self.version))
    }

    /// Pushes components and disks by digest, and payloads under their tags.
    pub fn push<T: PushTarget + ?Sized>(&self, to: &T) {
        for component in self.payloads.iter().flat_map(|payload| &payload.components).chain(&self.kubevirt) {
            match &component.tag {
                Some(tag) => component.image.push(to, &self.component_repository, tag),
                None => component.image.push_untagged(to, &self.component_repository),
            }
        }
        for payload in &self.payloads {
            payload.image.push(to, &payload.repository, &payload.tag);
        }
    }
}

impl Payload {
    /// Returns the digest.
    pub fn digest(&self) -> &str {
        &self.image.digest
    }

    /// Returns the reference by digest, as update services give it.
    pub fn by_digest(&self) -> String {
        format!("{}/{}@{}", self.host, self.repository, self.image.digest)
    }

    /// Returns the reference by tag.
    pub fn by_tag(&self) -> String {
        format!("{}/{}:{}", self.host, self.repository, self.tag)
    }

    /// Returns the name that real signatures give such a payload, wherever it is.
    pub fn identity(&self) -> String {
        format!("quay.io/{PAYLOADS}:{}", self.tag)
    }

    /// Returns the digests of the components, each once, in order.
    pub fn component_digests(&self) -> BTreeSet<&str> {
        self.components.iter().map(|component| component.image.digest.as_str()).collect()
    }
}

/// Returns the name of an architecture in tags.
fn machine(architecture: &str) -> &'static str {
    let found = ARCHITECTURES.iter().find(|(name, _)| *name == architecture);
    found.unwrap_or_else(|| panic!("releases have no architecture {architecture}")).1
}

#[cfg(test)]
mod tests;
