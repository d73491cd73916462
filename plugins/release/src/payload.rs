//! [`Payload`]: what the image of a release says that the release consists of. It is read where it lies, nothing is
//! unpacked.

use std::collections::BTreeMap;

use oc_mirror_plugin_sdk::host::cache::{self, Draft};
use oc_mirror_plugin_sdk::host::registry::{self, Image};
use oc_mirror_plugin_sdk::host::streams::{Documents, Reader};
use oc_mirror_plugin_sdk::reference::Source;
use oc_mirror_plugin_sdk::{Error, Platform, about, other, read_all, with_hint};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a release describes itself.
const MANIFESTS: &str = "release-manifests";
/// Its components: an ImageStream.
const REFERENCES: &str = "image-references";
/// Its version, and from which versions it can be updated to.
const METADATA: &str = "release-metadata";
/// The images that machines are started from: a ConfigMap.
const BOOT_IMAGES: &str = "0000_50_installer_coreos-bootimages.yaml";
/// The most bytes of one of these; real ones have a tenth of a megabyte.
const MOST: usize = 16 << 20;
/// What to do about an image that is no release.
const NO_RELEASE: &str =
    "name the image of a release, such as quay.io/openshift-release-dev/ocp-release:4.20.1-x86_64";

/// What a release consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Payload {
    /// Its version.
    pub(crate) version: String,
    /// How tags name its architecture: `x86_64`, `aarch64`, `ppc64le`, `s390x`, `multi`.
    pub(crate) architecture: String,
    /// The images, by the name of the component.
    pub(crate) components: BTreeMap<String, String>,
    /// The disk images for KubeVirt, by architecture.
    pub(crate) kubevirt: BTreeMap<String, String>,
}

impl Payload {
    /// Reads the image of a release, which is named by digest.
    pub(crate) fn read(source: &str, digest: &str, platforms: &[Platform]) -> Result<Self, Error> {
        if let Some(known) = kept(digest) {
            return Ok(known);
        }
        let payload = Self::open(source, platforms).map_err(|error| about(error, source))?;
        keep(digest, &payload)?;
        Ok(payload)
    }

    fn open(source: &str, platforms: &[Platform]) -> Result<Self, Error> {
        let named = registry::open(source)?;
        let is_index = named.is_index();
        let image = if is_index { one_of(&named, platforms)? } else { named };
        let files = Files::read(&image)?;
        let stream: ImageStream = parse(&files.references, REFERENCES)?;
        let metadata: Option<Metadata> =
            files.metadata.as_deref().map(|bytes| parse(bytes, METADATA)).transpose()?;
        let config: Config = serde_json::from_slice(&image.config()?).unwrap_or_default();
        let version = version(&stream, metadata.as_ref())?;
        Ok(Self {
            version,
            architecture: architecture(is_index, metadata.as_ref(), &config.architecture),
            components: components(stream)?,
            kubevirt: files.boot_images.as_ref().map(kubevirt).transpose()?.unwrap_or_default(),
        })
    }
}

/// What was found out about an image with a digest stays true.
fn kept(digest: &str) -> Option<Payload> {
    let reader = cache::open(&key(digest)).ok()??;
    serde_json::from_slice(&read_all(&reader, MOST, "an entry of the cache").ok()?).ok()
}

fn keep(digest: &str, payload: &Payload) -> Result<(), Error> {
    let draft = Draft::new(&key(digest));
    let bytes = serde_json::to_vec(payload).map_err(|e| other("release.cache", e.to_string()))?;
    bytes.chunks(512 << 10).try_for_each(|piece| draft.write(piece))?;
    draft.commit()
}

fn key(digest: &str) -> String {
    format!("payload/{digest}")
}

/// Chooses an image of an index. All of a release's describe the same components.
fn one_of(index: &Image, platforms: &[Platform]) -> Result<Image, Error> {
    let children = index.children()?;
    let there: Vec<&Platform> = children.iter().filter_map(|child| child.platform.as_ref()).collect();
    let fits = |wanted: &Platform| there.iter().any(|p| p.os == wanted.os && p.arch == wanted.arch);
    let amd64 = Platform { os: "linux".to_owned(), arch: "amd64".to_owned(), variant: None };
    let linux = || there.iter().find(|p| p.os == "linux").map(|p| (*p).clone());
    let chosen = platforms.iter().find(|p| fits(p)).cloned();
    let chosen = chosen.or_else(|| Some(amd64).filter(fits)).or_else(linux);
    let chosen = chosen
        .ok_or_else(|| with_hint(other("release.payload", "the index has no image for Linux"), NO_RELEASE))?;
    index.child(&chosen)
}

/// The files that matter.
struct Files {
    references: Vec<u8>,
    metadata: Option<Vec<u8>>,
    boot_images: Option<Value>,
}

impl Files {
    fn read(image: &Image) -> Result<Self, Error> {
        let (mut references, mut metadata, mut boot_images) = (None, None, None);
        let files = image.files(MANIFESTS)?;
        while let Some((entry, content)) = files.next()? {
            let name = entry.path.strip_prefix(MANIFESTS).map_or("", |rest| rest.trim_start_matches('/'));
            if ![REFERENCES, METADATA, BOOT_IMAGES].contains(&name) {
                continue;
            }
            let content = match content {
                Some(content) => content,
                None => image.filesystem()?.open(&entry.path)?,
            };
            match name {
                REFERENCES => references = Some(read_all(&content, MOST, REFERENCES)?),
                METADATA => metadata = Some(read_all(&content, MOST, METADATA)?),
                _ => boot_images = first_document(content)?,
            }
        }
        let references = references.ok_or_else(|| {
            with_hint(
                other("release.payload", format!("the image has no /{MANIFESTS}/{REFERENCES}")),
                NO_RELEASE,
            )
        })?;
        Ok(Self { references, metadata, boot_images })
    }
}

/// Reads YAML, which the host understands.
fn first_document(content: Reader) -> Result<Option<Value>, Error> {
    let documents = Documents::new(content, &[]);
    let text = documents.next().map_err(|error| about(error, BOOT_IMAGES))?;
    text.map(|text| parse(text.as_bytes(), BOOT_IMAGES)).transpose()
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], file: &str) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|e| {
        let error = other("release.payload", format!("/{MANIFESTS}/{file} cannot be read: {e}"));
        with_hint(error, "the image is at fault: ask whoever publishes it")
    })
}

/// An ImageStream, as far as it matters.
#[derive(Deserialize)]
struct ImageStream {
    #[serde(default)]
    metadata: Named,
    spec: Spec,
}

#[derive(Default, Deserialize)]
struct Named {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
    from: Option<From>,
}

#[derive(Deserialize)]
struct From {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
}

/// The metadata of a release, as far as it matters.
#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    version: String,
    #[serde(default)]
    metadata: Option<BTreeMap<String, Value>>,
}

/// The configuration of an image, as far as it matters.
#[derive(Default, Deserialize)]
struct Config {
    #[serde(default)]
    architecture: String,
}

fn version(stream: &ImageStream, metadata: Option<&Metadata>) -> Result<String, Error> {
    let said = metadata.map_or("", |m| m.version.as_str());
    let version = if said.is_empty() { &stream.metadata.name } else { said };
    if version.is_empty() {
        return Err(with_hint(other("release.payload", "the image does not say its version"), NO_RELEASE));
    }
    Ok(version.to_owned())
}

/// Names an architecture as tags of releases do.
fn architecture(is_index: bool, metadata: Option<&Metadata>, of_image: &str) -> String {
    const KEY: &str = "release.openshift.io/architecture";
    let said = metadata.and_then(|m| m.metadata.as_ref()?.get(KEY)?.as_str());
    match (is_index, said) {
        (true, _) | (_, Some("multi")) => "multi",
        _ => in_tag(of_image),
    }
    .to_owned()
}

/// Names an architecture of an image as tags of releases do.
pub(crate) fn in_tag(architecture: &str) -> &str {
    match architecture {
        "amd64" | "" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    }
}

fn components(stream: ImageStream) -> Result<BTreeMap<String, String>, Error> {
    let mut components = BTreeMap::new();
    for tag in stream.spec.tags {
        let Some(from) = tag.from.filter(|from| from.kind == "DockerImage") else { continue };
        // A tag would let somebody else decide what the release consists of.
        let by_digest = from.name.parse::<Source>().is_ok_and(|source| source.digest().is_some());
        if !by_digest {
            let text = format!("its component `{}` is `{}`, which has no digest", tag.name, from.name);
            return Err(with_hint(
                other("release.payload", text),
                "the image is at fault: ask whoever publishes it",
            ));
        }
        components.insert(tag.name, from.name);
    }
    if components.is_empty() {
        return Err(with_hint(other("release.payload", "it has no components"), NO_RELEASE));
    }
    Ok(components)
}

/// Finds the disk images for KubeVirt among those that machines are started from.
fn kubevirt(config_map: &Value) -> Result<BTreeMap<String, String>, Error> {
    let Some(stream) = config_map.pointer("/data/stream").and_then(Value::as_str) else {
        return Ok(BTreeMap::new());
    };
    let stream: Value = parse(stream.as_bytes(), BOOT_IMAGES)?;
    let architectures = stream["architectures"].as_object().into_iter().flatten();
    let image = |(name, value): (&String, &Value)| {
        let reference = value.pointer("/images/kubevirt/digest-ref")?.as_str()?;
        Some((name.clone(), reference.to_owned()))
    };
    Ok(architectures.filter_map(image).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn stream(name: &str, tags: Value) -> ImageStream {
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"tags": tags}})).expect("a stream")
    }

    fn component(name: &str, image: &str) -> Value {
        json!({"name": name, "from": {"kind": "DockerImage", "name": image}})
    }

    const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    #[test]
    fn components_are_named_by_digest() {
        let image = format!("quay.io/a/b@{DIGEST}");
        let other = json!({"name": "z", "from": {"kind": "ImageStreamTag", "name": "x:y"}});
        let found =
            components(stream("4.1.0", json!([component("etcd", &image), other]))).expect("components");
        assert_eq!(found, BTreeMap::from([("etcd".to_owned(), image)]));
        let error =
            components(stream("4.1.0", json!([component("etcd", "quay.io/a/b:1")]))).expect_err("a tag");
        assert!(
            oc_mirror_plugin_sdk::explain(&error).contains("`etcd` is `quay.io/a/b:1`, which has no digest")
        );
    }

    #[rstest]
    #[case(false, None, "amd64", "x86_64")]
    #[case(false, None, "arm64", "aarch64")]
    #[case(false, None, "s390x", "s390x")]
    #[case(false, Some("multi"), "amd64", "multi")]
    #[case(true, None, "amd64", "multi")]
    fn architectures(
        #[case] index: bool,
        #[case] said: Option<&str>,
        #[case] image: &str,
        #[case] expected: &str,
    ) {
        let metadata = said.map(|said| Metadata {
            version: "4.1.0".into(),
            metadata: Some(BTreeMap::from([("release.openshift.io/architecture".to_owned(), said.into())])),
        });
        assert_eq!(architecture(index, metadata.as_ref(), image), expected);
    }

    #[test]
    fn versions() {
        let named = stream("4.1.0", json!([]));
        let metadata = Metadata { version: "4.1.1".into(), metadata: None };
        assert_eq!(version(&named, Some(&metadata)).ok().as_deref(), Some("4.1.1"));
        assert_eq!(version(&named, None).ok().as_deref(), Some("4.1.0"));
        assert!(version(&stream("", json!([])), None).is_err());
    }

    #[test]
    fn disk_images() {
        let stream = json!({"architectures": {
            "x86_64": {"images": {"kubevirt": {"digest-ref": "quay.io/a/b@sha256:1"}}},
            "aarch64": {"images": {}},
        }});
        let found = kubevirt(&json!({"data": {"stream": stream.to_string()}})).expect("images");
        assert_eq!(found, BTreeMap::from([("x86_64".to_owned(), "quay.io/a/b@sha256:1".to_owned())]));
    }
}
