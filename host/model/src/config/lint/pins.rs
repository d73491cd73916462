//! What becomes something else without a change of the configuration: tags that move.

use super::super::types::Mirror;
use super::Linter;
use crate::plugin_source::PluginSource;
use crate::reference::{Reference, Source};

/// Answers whether the image has neither a digest nor a tag that names a version.
fn moves(reference: &Reference) -> bool {
    reference.digest.is_none() && reference.tag.as_ref().is_none_or(|tag| tag.as_str() == "latest")
}

/// Says which tag of an image moves.
fn moving(reference: &Reference) -> String {
    match reference.tag {
        Some(_) => format!("the tag of `{reference}` moves: what is mirrored changes from run to run"),
        None => format!("`{reference}` has neither tag nor digest"),
    }
}

impl Linter<'_> {
    /// Warns of an image whose tag moves, unless something was said about it already.
    pub(super) fn pinned(&mut self, path: &str, image: &str) {
        if let Ok(Source::Registry(reference)) = image.parse::<Source>()
            && moves(&reference)
            && !self.is_told(path)
        {
            self.warn("unpinned", path, moving(&reference), "name a version, or a digest");
        }
    }

    pub(super) fn catalog_pinned(&mut self, path: &str, catalog: &str) {
        if let Ok(Source::Registry(reference)) = catalog.parse::<Source>()
            && moves(&reference)
            && !self.is_told(path)
        {
            let hint = "name the catalog of the clusters' version, such as `:v4.20`";
            self.warn("unpinned", path, moving(&reference), hint);
        }
    }

    /// Looks at components of users: whose code runs, and whether there is any.
    pub(super) fn plugins(&mut self, mirror: &Mirror) {
        let sources = mirror.plugins.iter().map(|entry| (&entry.source, entry.trust.is_some()));
        let policies = mirror.policies.iter().map(|entry| (&entry.source, entry.trust.is_some()));
        let sources = sources.enumerate().map(|(index, of)| (format!("mirror.plugins[{index}].source"), of));
        let policies =
            policies.enumerate().map(|(index, of)| (format!("mirror.policies[{index}].source"), of));
        for (path, (source, is_trusted)) in sources.chain(policies) {
            self.component(&path, source, is_trusted);
        }
    }

    fn component(&mut self, path: &str, source: &str, is_trusted: bool) {
        match source.parse::<PluginSource>() {
            Ok(PluginSource::Builtin(name)) if !self.builtins.contains(&name.as_str()) => {
                let known = self.builtins.iter().copied();
                let hint = super::super::closest(&name, known)
                    .unwrap_or_else(|| format!("part of the program: {}", self.builtins.join(", ")));
                self.error("unknown-plugin", path, format!("no plugin `{name}` is part of the program"), hint);
            }
            Ok(PluginSource::Image(image)) if image.digest().is_none() && !is_trusted => self.warn(
                "unpinned",
                path,
                "whoever may write this tag decides which code runs",
                "name the digest, which `oc-mirror plugin inspect` prints, or the keys that have to have signed it under `trust`",
            ),
            _ => {}
        }
    }
}
