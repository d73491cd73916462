//! [`PluginMeta`]: what a component says about itself, read from its bytes before anything is compiled.

use std::collections::BTreeSet;

use serde::Deserialize;
use wasmparser::{Encoding, Parser, Payload};

/// The custom section that holds a plugin's metadata as JSON.
pub const META_SECTION: &str = "oc-mirror:plugin-meta";
/// The version of the contract that this host offers.
pub const CONTRACT: &str = "0.1.0";
const PACKAGE: &str = "oc-mirror:plugin/";

/// A component above this size is refused before it is looked at.
pub const MAX_COMPONENT_BYTES: u64 = 64 << 20;

/// The worlds of the contract that this host runs, and the interface that shows each.
const WORLDS: [(&str, &str); 4] = [
    ("content-source", "source"),
    ("catalog-source", "inspection"),
    ("policy", "image-policy"),
    ("static-policy", "reference-policy"),
];

/// What a plugin says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginMeta {
    /// Its own name.
    pub id: String,
    /// Its version.
    pub version: String,
    /// One sentence for people.
    #[serde(default)]
    pub description: String,
    /// The worlds it implements.
    #[serde(default)]
    pub worlds: Vec<String>,
    /// The version of the contract it was built against.
    pub wit: String,
    /// The capabilities it asks for.
    #[serde(default)]
    pub wants: Vec<String>,
    /// A JSON Schema for its settings.
    #[serde(default)]
    pub settings_schema: Option<serde_json::Value>,
    /// For policies: when they want to be asked.
    #[serde(default)]
    pub stage: Option<String>,
    /// What it expects to need.
    #[serde(default)]
    pub resources: Resources,
}

/// What a plugin expects to need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Linear memory, in MiB.
    #[serde(default)]
    pub memory_mib: Option<u32>,
    /// Time of one call in the guest, in milliseconds.
    #[serde(default)]
    pub call_ms: Option<u32>,
}

/// A component as its bytes show it.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// What it says about itself.
    pub meta: PluginMeta,
    /// The interfaces it imports, whatever it says.
    pub imports: BTreeSet<String>,
    /// The interfaces it exports.
    pub exports: BTreeSet<String>,
}

/// The bytes are not a plugin that this host can run.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// More than any component needs.
    #[error("it has {size} bytes; at most {MAX_COMPONENT_BYTES} are allowed")]
    TooLarge {
        /// Its size.
        size: u64,
    },
    /// Not WebAssembly.
    #[error("it is not a WebAssembly component")]
    Malformed(#[from] wasmparser::BinaryReaderError),
    /// A core module: the step that makes a component of it is missing.
    #[error("it is a core module, not a component")]
    CoreModule,
    /// Neither metadata nor an interface of the contract.
    #[error("it has no section `{META_SECTION}` and exports no world of `oc-mirror:plugin`")]
    NotAPlugin,
    /// The metadata is not what it should be.
    #[error("its section `{META_SECTION}` cannot be read")]
    Syntax(#[from] serde_json::Error),
    /// Built for another host.
    #[error("it is built against version {wanted} of the plugin contract; this program offers {CONTRACT}")]
    Contract {
        /// The version that it needs.
        wanted: String,
    },
}

impl MetaError {
    /// Returns what to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::TooLarge { .. } => "build it with optimisation, and without debug information".to_owned(),
            Self::Malformed(_) => {
                "give the path of a component, as `oc-mirror plugin build` makes it".to_owned()
            }
            Self::CoreModule => "make a component of it with `wasm-tools component new`".to_owned(),
            Self::NotAPlugin | Self::Syntax(_) => {
                format!("embed the metadata of `plugin.toml` as the custom section `{META_SECTION}`")
            }
            Self::Contract { .. } => {
                format!(
                    "rebuild the plugin against version {CONTRACT}, or use a release that offers its version"
                )
            }
        }
    }
}

impl Inspection {
    /// Reads a component. `name` stands in for the id of one that carries no metadata.
    pub fn read(bytes: &[u8], name: &str) -> Result<Self, MetaError> {
        let size = bytes.len() as u64;
        if size > MAX_COMPONENT_BYTES {
            return Err(MetaError::TooLarge { size });
        }
        let Surface { imports, exports, section } = Surface::read(bytes)?;
        let meta = match section {
            Some(json) => Some(serde_json::from_slice::<PluginMeta>(json)?),
            None => None,
        };
        let named = meta.as_ref().map(|m| m.wit.as_str()).into_iter();
        let linked = imports.iter().chain(&exports).filter_map(|i| i.strip_prefix(PACKAGE)?.split_once('@'));
        for version in named.chain(linked.map(|(_, version)| version)) {
            if !is_supported(version) {
                return Err(MetaError::Contract { wanted: crate::text::clean(version, 40) });
            }
        }
        let worlds = worlds_of(&exports);
        let meta = match meta {
            Some(meta) => meta,
            None if worlds.is_empty() => return Err(MetaError::NotAPlugin),
            None => PluginMeta {
                id: name.to_owned(),
                version: "0.0.0".to_owned(),
                wit: CONTRACT.to_owned(),
                worlds,
                ..PluginMeta::default()
            },
        };
        Ok(Self { meta, imports, exports })
    }

    /// Answers whether it asks for any part of WASI.
    pub fn imports_wasi(&self) -> bool {
        self.imports.iter().any(|name| name.starts_with("wasi:"))
    }
}

fn worlds_of(exports: &BTreeSet<String>) -> Vec<String> {
    // Which version of it has been looked at: any that this host runs will do.
    let exported = |interface: &str| {
        let start = format!("{PACKAGE}{interface}@");
        exports.iter().any(|name| name.starts_with(&start))
    };
    WORLDS.iter().filter(|(_, interface)| exported(interface)).map(|(world, _)| (*world).to_owned()).collect()
}

/// Below 1.0 the second number is the major one; functions may be added under the third.
fn is_supported(version: &str) -> bool {
    let major = |v: &str| v.split('.').take(2).map(str::to_owned).collect::<Vec<_>>();
    !version.contains('-') && major(version) == major(CONTRACT)
}

/// What is seen from outside.
struct Surface<'a> {
    imports: BTreeSet<String>,
    exports: BTreeSet<String>,
    section: Option<&'a [u8]>,
}

impl<'a> Surface<'a> {
    /// The metadata may also be in a module inside: compilers that emit components directly put it there. The one
    /// nearest to the surface counts.
    fn read(bytes: &'a [u8]) -> Result<Self, MetaError> {
        let mut surface = Self { imports: BTreeSet::new(), exports: BTreeSet::new(), section: None };
        let (mut depth, mut found_at) = (0usize, usize::MAX);
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                    return Err(MetaError::CoreModule);
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::CustomSection(custom) if custom.name() == META_SECTION && depth < found_at => {
                    found_at = depth;
                    surface.section = Some(custom.data());
                }
                Payload::ComponentImportSection(reader) if depth == 0 => {
                    for import in reader {
                        surface.imports.insert(import?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(reader) if depth == 0 => {
                    for export in reader {
                        surface.exports.insert(export?.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(surface)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// An empty component with one custom section.
    fn component(json: &str) -> Vec<u8> {
        let mut content = vec![META_SECTION.len() as u8];
        content.extend_from_slice(META_SECTION.as_bytes());
        content.extend_from_slice(json.as_bytes());
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        bytes.push(0);
        bytes.push(content.len() as u8 & 0x7f | 0x80);
        bytes.push((content.len() >> 7) as u8);
        bytes.extend(content);
        bytes
    }

    const META: &str = r#"{"id":"a","version":"1.2.3","wit":"0.1.0","wants":["http"],"resources":{"memoryMib":7},"later":{"things":"pass"}, "pad":"................................."}"#;

    #[test]
    fn metadata_is_read_without_compiling() {
        let inspection = Inspection::read(&component(META), "x").expect("valid");
        assert_eq!(inspection.meta.id, "a");
        assert_eq!(inspection.meta.wants, ["http"]);
        assert_eq!(inspection.meta.resources.memory_mib, Some(7));
        assert!(!inspection.imports_wasi());
    }

    #[rstest]
    #[case("0.1.0", true)]
    #[case("0.1.7", true)]
    #[case("0.2.0", false)]
    #[case("1.0.0", false)]
    #[case("0.1.0-rc1", false)]
    fn versions(#[case] version: &str, #[case] good: bool) {
        let result = Inspection::read(&component(&META.replace("0.1.0", version)), "x");
        match good {
            true => assert!(result.is_ok()),
            false => {
                let text = result.expect_err("refused").to_string();
                assert!(text.contains(version) && text.contains(CONTRACT), "{text}");
            }
        }
    }

    #[test]
    fn other_bytes_are_told_apart() {
        assert!(matches!(Inspection::read(b"hello", "x"), Err(MetaError::Malformed(_))));
        assert!(matches!(Inspection::read(b"\0asm\x01\0\0\0", "x"), Err(MetaError::CoreModule)));
        assert!(matches!(Inspection::read(b"\0asm\x0d\0\x01\0", "x"), Err(MetaError::NotAPlugin)));
        assert!(matches!(
            Inspection::read(&component(&META.replace('}', " ")), "x"),
            Err(MetaError::Syntax(_))
        ));
    }
}
