//! The shapes of documents, as far as they matter. What does not matter is skipped unread.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::model::{ChannelEntry, Gvk, Need, Requirement};

/// What every document may have.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Head {
    #[serde(default, deserialize_with = "lenient_text")]
    pub(crate) schema: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub(crate) package: Option<String>,
    #[serde(default, deserialize_with = "lenient_text")]
    pub(crate) name: Option<String>,
}

/// Reads a text; anything else is none, as members of unknown schemas may be anything.
fn lenient_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Some(text),
        _ => None,
    })
}

impl Head {
    /// Returns the package that the document belongs to.
    pub(crate) fn owner(&self) -> &str {
        let package = self.schema.as_deref() == Some("olm.package");
        (if package { &self.name } else { &self.package }).as_deref().unwrap_or("")
    }
}

/// A document of a known schema.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document<'a> {
    pub(super) schema: Option<String>,
    pub(super) package: Option<String>,
    pub(super) name: Option<String>,
    pub(super) default_channel: Option<String>,
    pub(super) image: Option<String>,
    #[serde(default, deserialize_with = "lenient_list")]
    pub(super) entries: Vec<Item>,
    #[serde(borrow, default, deserialize_with = "lenient_list")]
    pub(super) properties: Vec<Property<'a>>,
    #[serde(default, deserialize_with = "lenient_list")]
    pub(super) related_images: Vec<Related>,
}

/// An entry of a channel, or of deprecations.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    name: Option<String>,
    replaces: Option<String>,
    skips: Option<Vec<String>>,
    skip_range: Option<String>,
    pub(super) reference: Option<Head>,
}

impl Item {
    /// Returns the entry of a channel.
    pub(super) fn into_entry(self) -> Option<ChannelEntry> {
        let mut skips = self.skips.unwrap_or_default();
        skips.shrink_to_fit();
        Some(ChannelEntry {
            name: self.name.filter(|name| !name.is_empty())?,
            replaces: self.replaces.unwrap_or_default(),
            skips,
            skip_range: self.skip_range.unwrap_or_default(),
        })
    }
}

/// An image that a bundle names.
#[derive(Debug, Deserialize)]
pub(super) struct Related {
    pub(super) image: Option<String>,
}

/// Reads a list, for which null is empty.
fn lenient_list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}

/// A property of a bundle or channel.
#[derive(Debug)]
pub(super) enum Property<'a> {
    /// The version, unless it is missing.
    Package(Option<String>),
    Gvk(Gvk),
    Needs(Requirement),
    Priority(i64),
    /// The display name in a CSV's metadata.
    Metadata(Option<String>),
    /// A manifest, still encoded.
    Object(&'a RawValue),
    /// The highest version of OpenShift.
    MaxOpenShift(String),
    Unknown,
}

impl<'de: 'a, 'a> Deserialize<'de> for Property<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Property<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a property with type and value")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut kind: Option<Cow<'de, str>> = None;
                let mut early: Option<&'de RawValue> = None;
                let mut property = Property::Unknown;
                while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
                    match (&*key, &kind) {
                        ("type", _) => kind = map.next_value::<Option<Text<'de>>>()?.map(|text| text.0),
                        // The type nearly always comes first, so that a value is read only once.
                        ("value", Some(kind)) if kind == "olm.csv.metadata" => {
                            property = display(map.next_value()?);
                        }
                        ("value", Some(kind)) => match skipped(kind) {
                            Some(found) => {
                                map.next_value::<IgnoredAny>()?;
                                property = found;
                            }
                            None => property = Property::read(kind, map.next_value()?),
                        },
                        ("value", None) => early = Some(map.next_value()?),
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(match (kind, early) {
                    (Some(kind), Some(value)) => Property::read(&kind, value),
                    _ => property,
                })
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// Returns what a property is whose value does not matter.
fn skipped(kind: &str) -> Option<Property<'static>> {
    let matters = matches!(
        kind,
        "olm.package"
            | "olm.gvk"
            | "olm.gvk.required"
            | "olm.package.required"
            | "olm.constraint"
            | "olm.channel"
            | "olm.csv.metadata"
            | "olm.bundle.object"
            | "olm.maxOpenShiftVersion"
    );
    (!matters).then_some(Property::Unknown)
}

/// A text that is borrowed where it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(transparent)]
        struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);
        Ok(Self(Borrowed::deserialize(deserializer)?.0))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PackageRange {
    package_name: Option<String>,
    version_range: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Constraint {
    failure_message: Option<String>,
    package: Option<PackageRange>,
    gvk: Option<Gvk>,
    all: Option<Parts>,
    any: Option<Parts>,
    not: Option<Parts>,
    none: Option<Parts>,
    cel: Option<Cel>,
}

#[derive(Deserialize)]
struct Parts {
    constraints: Option<Vec<Constraint>>,
}

#[derive(Deserialize)]
struct Cel {
    rule: Option<String>,
}

impl<'a> Property<'a> {
    fn read(kind: &str, value: &'a RawValue) -> Self {
        match kind {
            "olm.package" => Self::Package(version(value)),
            "olm.gvk" => from(value).map_or(Self::Unknown, Self::Gvk),
            "olm.gvk.required" => Self::Needs(needs(kind, from(value).map(Need::Gvk))),
            "olm.package.required" => Self::Needs(needs(kind, from(value).and_then(PackageRange::into_need))),
            "olm.constraint" => {
                let constraint = from::<Constraint>(value).map(Constraint::into_requirement);
                Self::Needs(constraint.unwrap_or_else(|| needs(kind, None)))
            }
            "olm.channel" => priority(value).map_or(Self::Unknown, Self::Priority),
            "olm.csv.metadata" => display(from(value)),
            "olm.bundle.object" => Self::Object(value),
            // Some write it as a text, some as a number.
            "olm.maxOpenShiftVersion" => Self::MaxOpenShift(value.get().trim_matches('"').to_owned()),
            _ => Self::Unknown,
        }
    }
}

fn from<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

fn needs(kind: &str, need: Option<Need>) -> Requirement {
    let opaque = || Need::Opaque(format!("a property `{kind}` that cannot be read"));
    Requirement { message: None, need: need.unwrap_or_else(opaque) }
}

fn version(value: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Value {
        version: Option<String>,
    }
    from::<Value>(value)?.version
}

fn priority(value: &RawValue) -> Option<i64> {
    #[derive(Deserialize)]
    struct Value {
        priority: Option<i64>,
    }
    from::<Value>(value)?.priority
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    display_name: Option<String>,
}

fn display(metadata: Option<Metadata>) -> Property<'static> {
    Property::Metadata(metadata.and_then(|metadata| metadata.display_name))
}

impl PackageRange {
    fn into_need(self) -> Option<Need> {
        Some(Need::Package(self.package_name?, self.version_range.unwrap_or_default()))
    }
}

impl Constraint {
    fn into_requirement(self) -> Requirement {
        let parts = |parts: Parts| {
            parts.constraints.unwrap_or_default().into_iter().map(Self::into_requirement).collect::<Vec<_>>()
        };
        let need = self
            .package
            .and_then(PackageRange::into_need)
            .or(self.gvk.map(Need::Gvk))
            .or_else(|| self.all.map(|all| Need::All(parts(all))))
            .or_else(|| self.any.map(|any| Need::Any(parts(any))))
            .or_else(|| self.not.or(self.none).map(|not| Need::Not(parts(not))))
            .or_else(|| {
                self.cel.map(|cel| Need::Opaque(format!("the rule {}", cel.rule.unwrap_or_default())))
            })
            .unwrap_or_else(|| Need::Opaque("a constraint of an unknown kind".to_owned()));
        Requirement { message: self.failure_message, need }
    }
}

/// Finds the display name in a CSV that is among encoded manifests.
pub(super) fn display_name(objects: &[&RawValue]) -> Option<String> {
    use base64::Engine as _;
    #[derive(Deserialize)]
    struct Object<'a> {
        #[serde(borrow)]
        data: Cow<'a, str>,
    }
    #[derive(Deserialize)]
    struct Manifest {
        kind: Option<String>,
        spec: Option<Spec>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Spec {
        display_name: Option<String>,
    }
    objects.iter().find_map(|object| {
        let object: Object<'_> = from(object)?;
        let manifest = base64::engine::general_purpose::STANDARD.decode(object.data.as_bytes()).ok()?;
        let manifest: Manifest = serde_json::from_slice(&manifest).ok()?;
        let csv = manifest.kind.as_deref() == Some("ClusterServiceVersion");
        manifest.spec.filter(|_| csv)?.display_name
    })
}
