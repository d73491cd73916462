//! Plugins: what `plugin.toml` says is what the component says after it, and components that are none are refused unread.

use std::path::Path;

use oc_mirror_guest_build::{PluginMeta, embed_meta, read_meta};

use self::meta::{Inspection, MetaError};
use crate::target::{Input, Target};

// The host of plugins is this file and wasmtime, which takes longer to compile than all else and would be instrumented too.
#[allow(dead_code, unreachable_pub)]
#[path = "../../../../host/plugin-host/src/meta.rs"]
mod meta;

/// `plugin.toml`, and the bytes of components.
pub const PLUGIN: Target = Target { name: "plugin", longest: 32 << 10, memory: 32 << 20, check };

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

fn check(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() % 3 {
        0 => manifest(input.0),
        1 => component(input.0),
        _ => component(&[COMPONENT, input.0].concat()),
    }
}

fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok((meta, _)) = PluginMeta::parse(text, Some("1.2.3")) else { return };
    meta.check().expect("what is read has been checked");
    let built = embed_meta(COMPONENT, &meta);
    let json = read_meta(&built).expect("what was embedded");
    assert_eq!(serde_json::from_slice::<PluginMeta>(json).expect("its own form"), meta);
    let twice = embed_meta(&built, &meta);
    assert_eq!(twice, built, "what was embedded before is dropped");
    let seen = Inspection::read(&built, "x").expect("what is built can be loaded");
    assert_eq!((&seen.meta.id, &seen.meta.version, &seen.meta.wants), (&meta.id, &meta.version, &meta.wants));
    assert_eq!(seen.meta.worlds, meta.worlds);
    assert!(
        Path::new(&meta.id).components().count() == 1 && !meta.id.contains(['/', '\\', '.']),
        "{}",
        meta.id
    );
}

fn component(bytes: &[u8]) {
    let _ = read_meta(bytes);
    match Inspection::read(bytes, "name") {
        Ok(seen) => assert!(!seen.meta.wit.contains('-'), "{}", seen.meta.wit),
        Err(error) => {
            assert!(!error.hint().is_empty());
            if let MetaError::Contract { wanted } = error {
                assert!(wanted.len() <= 200 && !wanted.contains(char::is_control), "{wanted:?}");
            }
        }
    }
}
