//! The files of the page, which are part of the program. Modules know one another by the names in [`MODULES`], which an import
//! map leads to their files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

const PAGE: &str = include_str!("../assets/index.html");
/// Where the import map is put into the page.
const PLACE: &str = "<!-- import map -->";

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asset {
    /// The path in an address.
    pub(crate) path: &'static str,
    pub(crate) media_type: &'static str,
    pub(crate) content: &'static str,
}

/// The name of a module, and its file.
pub(crate) const MODULES: [(&str, Asset); 17] = [
    ("preact", script("/vendor/preact.js", include_str!("../assets/vendor/preact.js"))),
    ("preact/hooks", script("/vendor/preact-hooks.js", include_str!("../assets/vendor/preact-hooks.js"))),
    ("htm", script("/vendor/htm.js", include_str!("../assets/vendor/htm.js"))),
    ("oc/app", script("/app.js", include_str!("../assets/app.js"))),
    ("oc/api", script("/api.js", include_str!("../assets/api.js"))),
    ("oc/chain", script("/chain.js", include_str!("../assets/chain.js"))),
    ("oc/configuration", script("/configuration.js", include_str!("../assets/configuration.js"))),
    ("oc/format", script("/format.js", include_str!("../assets/format.js"))),
    ("oc/graph", script("/graph.js", include_str!("../assets/graph.js"))),
    ("oc/html", script("/html.js", include_str!("../assets/html.js"))),
    ("oc/imagesets", script("/imagesets.js", include_str!("../assets/imagesets.js"))),
    ("oc/layout", script("/layout.js", include_str!("../assets/layout.js"))),
    ("oc/list", script("/list.js", include_str!("../assets/list.js"))),
    ("oc/operators", script("/operators.js", include_str!("../assets/operators.js"))),
    ("oc/releases", script("/releases.js", include_str!("../assets/releases.js"))),
    ("oc/squarify", script("/squarify.js", include_str!("../assets/squarify.js"))),
    ("oc/treemap", script("/treemap.js", include_str!("../assets/treemap.js"))),
];

/// The module that reports begin with, in place of `oc/app`.
pub(crate) const REPORT: (&str, Asset) =
    ("oc/report", script("/report.js", include_str!("../assets/report.js")));

pub(crate) const STYLE: Asset = Asset {
    path: "/style.css",
    media_type: "text/css; charset=utf-8",
    content: include_str!("../assets/style.css"),
};

const OTHERS: [Asset; 2] = [
    STYLE,
    Asset { path: "/icon.svg", media_type: "image/svg+xml", content: include_str!("../assets/icon.svg") },
];

const fn script(path: &'static str, content: &'static str) -> Asset {
    Asset { path, media_type: SCRIPT, content }
}

/// The page, and what it may do.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) text: String,
    /// The content security policy: everything is from here.
    pub(crate) policy: String,
}

/// Makes the page.
pub(crate) fn page() -> Page {
    let imports: Map<String, Value> =
        MODULES.iter().map(|(name, asset)| ((*name).to_owned(), asset.path.into())).collect();
    let map = import_map(imports);
    let hash = hash(&map);
    Page {
        text: PAGE.replace(PLACE, &format!("<script type=\"importmap\">{map}</script>")),
        policy: format!(
            "default-src 'self'; script-src 'self' 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        ),
    }
}

/// Writes an import map.
pub(crate) fn import_map(imports: Map<String, Value>) -> String {
    Value::Object(Map::from_iter([("imports".to_owned(), Value::Object(imports))])).to_string()
}

/// Returns what a content security policy calls a text that is in the page itself, without the algorithm.
pub(crate) fn hash(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text.as_bytes()))
}

/// Returns a module and all that it imports, by their names.
pub(crate) fn with_imports(first: (&'static str, Asset)) -> Vec<(&'static str, Asset)> {
    let mut found = vec![first];
    let mut at = 0;
    while let Some((_, asset)) = found.get(at) {
        for import in imports(asset.content) {
            let module = MODULES.iter().find(|(name, _)| *name == import);
            if let Some(module) = module.filter(|(name, _)| found.iter().all(|(known, _)| known != name)) {
                found.push(*module);
            }
        }
        at += 1;
    }
    found
}

/// What a module imports; a text that only looks so is no module.
fn imports(text: &'static str) -> impl Iterator<Item = &'static str> {
    let after = text.split("from").skip(1).map(str::trim_start);
    after.filter_map(|rest| {
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        rest[1..].split(quote).next()
    })
}

/// Finds a file.
pub(crate) fn find(path: &str) -> Option<Asset> {
    let scripts = MODULES.iter().map(|(_, asset)| asset);
    scripts.chain(&OTHERS).find(|asset| asset.path == path).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_that_is_imported_is_there() {
        for (name, asset) in MODULES {
            for import in imports(asset.content).filter(|import| !import.contains(char::is_whitespace)) {
                assert!(MODULES.iter().any(|(name, _)| *name == import), "{name} imports `{import}`");
            }
        }
        let used = |wanted: &str| MODULES.iter().any(|(_, a)| imports(a.content).any(|i| i == wanted));
        let unused: Vec<&str> =
            MODULES.map(|(name, _)| name).into_iter().filter(|name| !used(name)).collect();
        assert_eq!(unused, ["oc/app"]);
    }

    #[test]
    fn the_page_names_only_files_that_there_are() {
        let page = page();
        assert!(page.text.contains(r#"<script type="importmap">{"imports":{"#) && !page.text.contains(PLACE));
        let names = ["href=\"", "src=\""].into_iter().flat_map(|key| page.text.split(key).skip(1));
        for name in names.filter_map(|rest| rest.split('"').next()).filter(|name| !name.starts_with('#')) {
            assert!(find(name).is_some(), "{name}");
        }
        let external = MODULES.iter().filter(|(_, a)| !a.path.starts_with("/vendor/"));
        for (name, asset) in external {
            assert!(!asset.content.contains("fetch('http"), "{name}");
        }
    }
}
