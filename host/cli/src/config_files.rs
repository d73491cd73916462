//! Puts the texts of files into the configurations of plugins, which read none themselves: public keys, mostly.

use std::collections::BTreeMap;
use std::path::Path;

use oc_mirror_model::config::{ConfigFiles, Mirror};
use serde_json::{Map, Value};

use crate::environment;
use crate::error::CliError;

/// The most bytes of a file that becomes part of a configuration, which every imageset carries.
const MAX_BYTES: usize = 1 << 20;

/// Reads all files that plugins and policies of a configuration name, relative to `directory`. From there on they are a part of
/// what is written: the far side has no such files.
pub(crate) fn inline(mirror: &mut Mirror, directory: &Path) -> Result<(), CliError> {
    let sources = mirror.plugins.iter_mut().map(|e| (&e.name, &mut e.config, &mut e.config_files));
    let policies = mirror.policies.iter_mut().map(|e| (&e.name, &mut e.config, &mut e.config_files));
    for (name, config, files) in sources.chain(policies) {
        fill(name, config, &std::mem::take(files), directory)?;
    }
    Ok(())
}

/// What does not go together was refused when the configuration was read.
fn fill(
    name: &str,
    config: &mut Value,
    files: &BTreeMap<String, ConfigFiles>,
    directory: &Path,
) -> Result<(), CliError> {
    if files.is_empty() {
        return Ok(());
    }
    if config.is_null() {
        *config = Value::Object(Map::new());
    }
    let Value::Object(members) = config else { return Ok(()) };
    for (key, named) in files {
        let texts = named.paths().iter().map(|path| text(name, key, path, directory));
        let texts = texts.collect::<Result<Vec<_>, _>>()?;
        match named {
            ConfigFiles::One(_) => {
                members.extend(texts.into_iter().map(|text| (key.clone(), Value::String(text))));
            }
            ConfigFiles::Several(_) => {
                let list = members.entry(key.clone()).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    list.extend(texts.into_iter().map(Value::String));
                }
            }
        }
    }
    Ok(())
}

fn text(name: &str, key: &str, path: &str, directory: &Path) -> Result<String, CliError> {
    let what = format!("the file for `{key}` of `{name}`");
    let bytes = environment::read(&directory.join(path), &what)?;
    if bytes.len() > MAX_BYTES {
        return Err(CliError::new(format!("{what}, `{path}`, has more than {} KiB", MAX_BYTES >> 10)).hint(
            "what is named under `configFiles` becomes part of the configuration, which imagesets carry",
        ));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| CliError::new(format!("{what}, `{path}`, is not text")).hint("save it as UTF-8"))?;
    // Whoever passes on a configuration passes on what was put into it.
    if text.contains("PRIVATE KEY-----") {
        return Err(CliError::new(format!("{what}, `{path}`, has a private key"))
            .hint("name the public one: imagesets carry the configuration, and whoever has one could sign"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filled(config: Value, files: Value) -> Result<Value, CliError> {
        let directory = tempfile::tempdir().expect("writable");
        for (name, text) in [("a.pub", "A"), ("b.pub", "B"), ("secret", "-----BEGIN EC PRIVATE KEY-----\n")] {
            std::fs::write(directory.path().join(name), text).expect("writable");
        }
        std::fs::write(directory.path().join("binary"), [0xff, 0xfe]).expect("writable");
        let mut config = config;
        let files = serde_json::from_value(files).expect("files");
        fill("mine", &mut config, &files, directory.path()).map(|()| config)
    }

    #[test]
    fn texts_join_what_is_written() {
        let lists =
            filled(json!({"keys": ["X"], "n": 1}), json!({"keys": ["a.pub", "b.pub"], "text": "a.pub"}));
        assert_eq!(lists.expect("filled"), json!({"keys": ["X", "A", "B"], "n": 1, "text": "A"}));
        assert_eq!(filled(Value::Null, json!({"keys": ["a.pub"]})).expect("filled"), json!({"keys": ["A"]}));
        assert_eq!(filled(Value::Null, json!({})).expect("nothing to fill"), Value::Null);
    }

    #[test]
    fn what_must_not_travel_is_refused() {
        let refused = |file: &str| filled(Value::Null, json!({"keys": [file]})).expect_err("refused").heading;
        assert!(refused("secret").contains("has a private key"));
        assert!(refused("binary").contains("is not text"));
        assert!(refused("gone").contains("the file for `keys` of `mine`"));
    }
}
