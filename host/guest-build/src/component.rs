//! From a core module to a component that carries its [`PluginMeta`].

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use wit_component::{ComponentEncoder, DecodedWasm};

use crate::error::GuestBuildError;
use crate::meta::{PluginMeta, WORLDS};

/// The name of the custom section that holds a plugin's [`PluginMeta`] as JSON.
pub const META_SECTION: &str = "oc-mirror:plugin-meta";

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Makes a component of a core module that `wit-bindgen` prepared, and embeds `meta`.
///
/// The component must export what the worlds in `meta` ask for, and nothing of another world.
pub fn componentize(core: &[u8], meta: &PluginMeta) -> Result<Vec<u8>, GuestBuildError> {
    let failed = |source: Cause| GuestBuildError::Component { plugin: meta.id.clone(), source };
    checked(&encode(core).map_err(failed)?, meta)
}

/// Embeds `meta` in a component, if it exports the worlds that `meta` names.
pub(crate) fn checked(component: &[u8], meta: &PluginMeta) -> Result<Vec<u8>, GuestBuildError> {
    let failed = |source: Cause| GuestBuildError::Component { plugin: meta.id.clone(), source };
    let exported = exported_worlds(component).map_err(failed)?;
    let mut declared: Vec<&str> = meta.worlds.iter().map(String::as_str).collect();
    declared.sort_unstable();
    if declared != exported {
        return Err(GuestBuildError::Worlds {
            plugin: meta.id.clone(),
            declared: declared.join(", "),
            exported: exported.join(", "),
        });
    }
    Ok(embed_meta(component, meta))
}

fn encode(core: &[u8]) -> Result<Vec<u8>, Cause> {
    Ok(ComponentEncoder::default().validate(true).module(core)?.encode()?)
}

/// The worlds that a component implements, by its exports, sorted.
fn exported_worlds(component: &[u8]) -> Result<Vec<&'static str>, Cause> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component)? else {
        return Err("it is a package of interfaces, not a component".into());
    };
    let exports: Vec<String> =
        resolve.worlds[world].exports.keys().map(|key| resolve.name_world_key(key)).collect();
    let of_interface = |interface: &str| {
        let start = format!("oc-mirror:plugin/{interface}@");
        exports.iter().any(|name| name.starts_with(&start))
    };
    let mut worlds: Vec<_> =
        WORLDS.into_iter().filter(|(_, interface)| of_interface(interface)).map(|(world, _)| world).collect();
    worlds.sort_unstable();
    Ok(worlds)
}

/// Returns the component with `meta` as its metadata; what it carried before is dropped.
pub fn embed_meta(component: &[u8], meta: &PluginMeta) -> Vec<u8> {
    let json = serde_json::to_vec(meta).expect("plain data is serialisable");
    let mut out = Vec::with_capacity(component.len() + json.len() + 32);
    match Sections::new(component) {
        Some(sections) => {
            out.extend_from_slice(&component[..HEADER]);
            sections.filter(|s| s.meta.is_none()).for_each(|s| out.extend_from_slice(s.bytes));
        }
        None => out.extend_from_slice(component),
    }
    let mut content = Vec::with_capacity(json.len() + 32);
    leb128(&mut content, META_SECTION.len());
    content.extend_from_slice(META_SECTION.as_bytes());
    content.extend_from_slice(&json);
    out.push(CUSTOM);
    leb128(&mut out, content.len());
    out.extend_from_slice(&content);
    out
}

/// Returns the metadata of a component as JSON text; nothing if it has none.
pub fn read_meta(component: &[u8]) -> Option<&[u8]> {
    Sections::new(component)?.find_map(|section| section.meta)
}

/// The bytes of the magic number and the version.
const HEADER: usize = 8;
/// The identifier of a custom section.
const CUSTOM: u8 = 0;

/// The top-level sections of a component.
struct Sections<'a> {
    rest: &'a [u8],
}

struct Section<'a> {
    /// All of it, with its header.
    bytes: &'a [u8],
    /// Its content, if it is the metadata.
    meta: Option<&'a [u8]>,
}

impl<'a> Sections<'a> {
    fn new(component: &'a [u8]) -> Option<Self> {
        component.starts_with(b"\0asm").then_some(())?;
        Some(Self { rest: component.get(HEADER..)? })
    }
}

impl<'a> Iterator for Sections<'a> {
    type Item = Section<'a>;

    fn next(&mut self) -> Option<Section<'a>> {
        let (&id, after_id) = self.rest.split_first()?;
        let (size, width) = read_leb128(after_id)?;
        let content = after_id.get(width..width.checked_add(size)?)?;
        let (bytes, rest) = self.rest.split_at(1 + width + size);
        self.rest = rest;
        Some(Section { bytes, meta: (id == CUSTOM).then(|| named_meta(content)).flatten() })
    }
}

fn named_meta(content: &[u8]) -> Option<&[u8]> {
    let (length, width) = read_leb128(content)?;
    let name = content.get(width..width.checked_add(length)?)?;
    (name == META_SECTION.as_bytes()).then(|| &content[width + length..])
}

fn leb128(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A number and how many bytes it took; at most 32 bits, as the format has it.
fn read_leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0u64;
    for (place, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((u32::try_from(value).ok()? as usize, place + 1));
        }
    }
    None
}

/// Writes a file at once, and only if its content differs.
pub(crate) fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<(), GuestBuildError> {
    if std::fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let io = |source| GuestBuildError::Io { path: path.into(), source };
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(io)?;
    }
    // Builds may run side by side in one target directory, and in threads of one process: a name of our own, then a rename.
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let number = WRITES.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_extension(format!("{}-{number}.partial", std::process::id()));
    std::fs::write(&temporary, bytes).map_err(io)?;
    std::fs::rename(&temporary, path).map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Resources;

    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    fn meta(id: &str, description: &str) -> PluginMeta {
        PluginMeta {
            id: id.to_owned(),
            version: "0.1.0".to_owned(),
            description: description.to_owned(),
            worlds: vec!["policy".to_owned()],
            wit: "0.1.0".to_owned(),
            wants: vec![],
            settings_schema: None,
            stage: Some("manifest".to_owned()),
            resources: Resources::default(),
        }
    }

    #[test]
    fn metadata_is_embedded_once() {
        let long = "x".repeat(70_000);
        let first = embed_meta(EMPTY, &meta("a", &long));
        let json: PluginMeta = serde_json::from_slice(read_meta(&first).expect("there")).expect("json");
        assert_eq!(json.description, long);
        let second = embed_meta(&first, &meta("b", ""));
        assert_eq!(second, embed_meta(EMPTY, &meta("b", "")));
        assert!(wit_component::decode(&second).is_ok(), "still a component");
    }

    #[test]
    fn damaged_components_have_no_metadata() {
        let good = embed_meta(EMPTY, &meta("a", ""));
        assert!(read_meta(EMPTY).is_none());
        assert!(read_meta(b"").is_none());
        for end in 0..good.len() {
            assert!(read_meta(&good[..end]).is_none(), "cut at {end}");
        }
        assert!(read_meta(b"\0asm\x0d\0\x01\0\0\xff\xff\xff\xff\xff\xff").is_none());
    }

    #[test]
    fn a_module_without_a_world_is_refused() {
        let error = componentize(b"\0asm\x01\0\0\0", &meta("a", "")).expect_err("no exports");
        assert!(
            matches!(error, GuestBuildError::Worlds { .. } | GuestBuildError::Component { .. }),
            "{error}"
        );
    }

    #[test]
    fn an_unchanged_file_keeps_its_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("components/a.wasm");
        write_if_changed(&path, b"1").expect("written");
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        std::fs::File::options().write(true).open(&path).expect("open").set_modified(long_ago).expect("set");
        write_if_changed(&path, b"1").expect("kept");
        assert_eq!(std::fs::metadata(&path).expect("there").modified().expect("time"), long_ago);
        write_if_changed(&path, b"2").expect("written");
        assert_eq!(std::fs::read(&path).expect("there"), b"2");
        assert_eq!(std::fs::read_dir(dir.path().join("components")).expect("there").count(), 1);
    }

    #[test]
    fn threads_write_one_file_side_by_side() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("components/a.wasm");
        let contents: Vec<Vec<u8>> = (0..8).map(|byte| vec![byte; 100_000]).collect();
        for _ in 0..20 {
            std::thread::scope(|scope| {
                for bytes in &contents {
                    scope.spawn(|| write_if_changed(&path, bytes).expect("written"));
                }
            });
            assert!(contents.contains(&std::fs::read(&path).expect("there")), "parts of two of them");
        }
        assert_eq!(std::fs::read_dir(dir.path().join("components")).expect("there").count(), 1);
    }
}
