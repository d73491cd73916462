//! One file of `registries.conf`, with the place of whatever is wrong with it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use oc_mirror_model::reference::{Reference, Registry};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::names::{self, ShortNameMode};
use super::{Entry, InvalidRegistriesConf, Located, Mirror, Remark, Uses};

/// What one file says. What it does not mention is nothing.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// Entries with distinct prefixes: of several with the same one, the first counts.
    pub(super) entries: Vec<Entry>,
    pub(super) search: Option<(Located, Vec<String>)>,
    pub(super) mode: Option<ShortNameMode>,
    /// Nothing takes an alias of an earlier file away.
    pub(super) aliases: BTreeMap<String, Option<Reference>>,
    pub(super) credential_helpers: Option<Vec<String>>,
    pub(super) remarks: Vec<Remark>,
}

type Key<'a> = Spanned<DeString<'a>>;
type Value<'a> = Spanned<DeValue<'a>>;
type Read<T> = Result<T, InvalidRegistriesConf>;

const MIRROR_USES: &str = "it is `all`, `digest-only` or `tag-only`";

impl Document {
    pub(super) fn read(file: Arc<Path>, text: &str) -> Read<Self> {
        let mut reader = Reader { file, text, remarks: Vec::new() };
        let table = DeTable::parse(text).map_err(|error| {
            let reason = error.message().lines().collect::<Vec<_>>().join(", ");
            reader.invalid(error.span().unwrap_or(0..0), format!("this is not TOML: {reason}"))
        })?;
        let mut document = Self::default();
        for (key, value) in sorted(table.get_ref()) {
            match key.get_ref().as_ref() {
                "registry" => {
                    let entries = reader.tables(key, value)?.into_iter().map(|(s, t)| reader.entry(s, t));
                    document.entries = entries.collect::<Read<_>>()?;
                }
                "unqualified-search-registries" => {
                    let search = reader.list(key, value, |reader, text, span| {
                        let location = reader.location(text, span.clone())?;
                        location.ok_or_else(|| reader.invalid(span, "a registry has a name"))
                    })?;
                    document.search = Some((reader.at(key.span()), search));
                }
                "short-name-mode" => {
                    let (mode, span) = reader.string(key, value)?;
                    let known = mode.is_empty() || names::mode(mode).is_some();
                    if !known {
                        let reason = format!("`{mode}` is not a mode");
                        return Err(reader.hinted(
                            span,
                            reason,
                            "it is `enforcing`, `permissive` or `disabled`",
                        ));
                    }
                    document.mode = names::mode(mode);
                }
                "credential-helpers" => {
                    document.credential_helpers =
                        Some(reader.list(key, value, |_, text, _| Ok(text.to_owned()))?);
                }
                "aliases" => {
                    for (name, value) in reader.table(key, value)?.iter() {
                        let (text, span) = reader.string(name, value)?;
                        let alias = names::alias(name.get_ref(), text)
                            .map_err(|reason| reader.invalid(span, reason))?;
                        document.aliases.insert(name.get_ref().as_ref().to_owned(), alias);
                    }
                }
                // Where Podman keeps layers of other tools; nothing of that is here.
                "additional-layer-store-auth-helper" => {}
                "registries" => {
                    return Err(reader.hinted(
                        key.span(),
                        "this is version 1 of the format, which is no longer read",
                        "write `unqualified-search-registries = [\"HOST\"]` for `[registries.search]`, and a `[[registry]]` with \
                         `location = \"HOST\"` and `insecure = true` or `blocked = true` for each other one; see \
                         containers-registries.conf(5)",
                    ));
                }
                _ => reader.unknown(key, ""),
            }
        }
        reader.agree(&document.entries)?;
        let mut known = Vec::new();
        document.entries.retain(|entry| {
            let is_new = !known.contains(&entry.prefix);
            known.push(entry.prefix.clone());
            is_new
        });
        document.remarks = reader.remarks;
        Ok(document)
    }
}

/// Returns a table in the order of the text, so that the first mistake is the one that is told.
fn sorted<'t, 'a>(table: &'t DeTable<'a>) -> Vec<(&'t Key<'a>, &'t Value<'a>)> {
    let mut items: Vec<_> = table.iter().collect();
    items.sort_by_key(|(key, _)| key.span().start);
    items
}

struct Reader<'t> {
    file: Arc<Path>,
    text: &'t str,
    remarks: Vec<Remark>,
}

impl Reader<'_> {
    fn at(&self, span: Range<usize>) -> Located {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Located {
            file: self.file.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    fn invalid(&self, span: Range<usize>, reason: impl Into<String>) -> InvalidRegistriesConf {
        InvalidRegistriesConf { at: self.at(span), reason: reason.into(), hint: None }
    }

    fn hinted(
        &self,
        span: Range<usize>,
        reason: impl Into<String>,
        hint: &'static str,
    ) -> InvalidRegistriesConf {
        InvalidRegistriesConf { hint: Some(hint), ..self.invalid(span, reason) }
    }

    fn unknown(&mut self, key: &Key<'_>, within: &str) {
        let message = format!("`{within}{}` is not known, and has no effect", key.get_ref());
        self.remarks.push(Remark { at: self.at(key.span()), message });
    }

    fn wrong_type(&self, key: &Key<'_>, value: &Value<'_>, wanted: &str) -> InvalidRegistriesConf {
        self.invalid(value.span(), format!("`{}` is {wanted}", key.get_ref()))
    }

    fn string<'v>(&self, key: &Key<'_>, value: &'v Value<'_>) -> Read<(&'v str, Range<usize>)> {
        match value.get_ref() {
            DeValue::String(text) => Ok((text.as_ref(), value.span())),
            _ => Err(self.wrong_type(key, value, "a string")),
        }
    }

    fn boolean(&self, key: &Key<'_>, value: &Value<'_>) -> Read<bool> {
        match value.get_ref() {
            DeValue::Boolean(is_true) => Ok(*is_true),
            _ => Err(self.wrong_type(key, value, "`true` or `false`")),
        }
    }

    fn table<'v, 'a>(&self, key: &Key<'_>, value: &'v Value<'a>) -> Read<&'v DeTable<'a>> {
        match value.get_ref() {
            DeValue::Table(table) => Ok(table),
            _ => Err(self.wrong_type(key, value, &format!("a table, `[{}]`", key.get_ref()))),
        }
    }

    fn tables<'v, 'a>(
        &self,
        key: &Key<'_>,
        value: &'v Value<'a>,
    ) -> Read<Vec<(Range<usize>, &'v DeTable<'a>)>> {
        let wrong = || self.wrong_type(key, value, &format!("a list of tables, `[[{}]]`", key.get_ref()));
        let DeValue::Array(items) = value.get_ref() else { return Err(wrong()) };
        let table = |item: &'v Value<'a>| match item.get_ref() {
            DeValue::Table(table) => Ok((item.span(), table)),
            _ => Err(wrong()),
        };
        items.iter().map(table).collect()
    }

    fn list<T>(
        &self,
        key: &Key<'_>,
        value: &Value<'_>,
        each: impl Fn(&Self, &str, Range<usize>) -> Read<T>,
    ) -> Read<Vec<T>> {
        let DeValue::Array(items) = value.get_ref() else {
            return Err(self.wrong_type(key, value, "a list of strings"));
        };
        let item = |item: &Value<'_>| match item.get_ref() {
            DeValue::String(text) => each(self, text, item.span()),
            _ => Err(self.wrong_type(key, item, "a list of strings")),
        };
        items.iter().map(item).collect()
    }

    fn entry(&mut self, span: Range<usize>, table: &DeTable<'_>) -> Read<Entry> {
        let (mut prefix, mut location, mut mirrors) = (None, None, Vec::new());
        let (mut insecure, mut blocked, mut digests_only) = (false, false, false);
        for (key, value) in sorted(table) {
            match key.get_ref().as_ref() {
                "prefix" => {
                    let (text, span) = self.string(key, value)?;
                    prefix = self.prefix(text, span)?;
                }
                "location" => {
                    let (text, span) = self.string(key, value)?;
                    location = self.location(text, span)?;
                }
                "insecure" => insecure = self.boolean(key, value)?,
                "blocked" => blocked = self.boolean(key, value)?,
                "mirror-by-digest-only" => digests_only = self.boolean(key, value)?,
                "mirror" => {
                    for (span, table) in self.tables(key, value)? {
                        mirrors.push(self.mirror(span, table)?);
                    }
                }
                "pull-from-mirror" => {
                    return Err(self.hinted(
                        key.span(),
                        "`pull-from-mirror` is for mirrors, not for the registry itself",
                        "write it below `[[registry.mirror]]`",
                    ));
                }
                _ => self.unknown(key, "registry."),
            }
        }
        let Some(prefix) = prefix.or_else(|| location.clone()) else {
            return Err(self.invalid(span, "a `[[registry]]` needs a `location` or a `prefix`"));
        };
        if location.is_none() && !prefix.starts_with("*.") {
            return Err(self.hinted(
                span,
                format!("the registry with the prefix `{prefix}` has no `location`"),
                "only a prefix with a wildcard, such as `*.example.com`, goes without one",
            ));
        }
        if let Some(mirror) = mirrors.iter().find(|m| digests_only && m.1) {
            return Err(InvalidRegistriesConf {
                at: mirror.0.at.clone(),
                reason: "`pull-from-mirror` contradicts `mirror-by-digest-only` of the registry".to_owned(),
                hint: Some("write only one of them"),
            });
        }
        let mirrors = mirrors.into_iter().map(|(mirror, _)| mirror).collect();
        Ok(Entry { at: self.at(span), prefix, location, insecure, blocked, digests_only, mirrors })
    }

    /// Reads a mirror, and whether it says what it is for.
    fn mirror(&mut self, span: Range<usize>, table: &DeTable<'_>) -> Read<(Mirror, bool)> {
        let (mut location, mut insecure, mut uses) = (None, false, None);
        for (key, value) in sorted(table) {
            match key.get_ref().as_ref() {
                "location" => {
                    let (text, span) = self.string(key, value)?;
                    location = self.location(text, span)?;
                }
                "insecure" => insecure = self.boolean(key, value)?,
                "pull-from-mirror" => {
                    let (text, span) = self.string(key, value)?;
                    uses = match text {
                        "" => None,
                        "all" => Some(Uses::All),
                        "digest-only" => Some(Uses::Digests),
                        "tag-only" => Some(Uses::Tags),
                        other => {
                            let reason = format!("`{other}` is nothing that a mirror can be used for");
                            return Err(self.hinted(span, reason, MIRROR_USES));
                        }
                    };
                }
                _ => self.unknown(key, "registry.mirror."),
            }
        }
        let at = self.at(span.clone());
        let Some(location) = location else {
            return Err(self.invalid(span, "a `[[registry.mirror]]` needs a `location`"));
        };
        Ok((Mirror { at, location, insecure, uses: uses.unwrap_or(Uses::All) }, uses.is_some()))
    }

    fn prefix(&self, text: &str, span: Range<usize>) -> Read<Option<String>> {
        match text.strip_prefix("*.") {
            Some(domain) => {
                let is_host = domain.parse::<Registry>().is_ok_and(|host| host.host() == domain);
                if !is_host {
                    return Err(self.hinted(
                        span,
                        format!("`{text}` is not a prefix"),
                        "after the wildcard comes a domain, without port and path: `*.example.com`",
                    ));
                }
                Ok(Some(text.to_owned()))
            }
            None => self.location(text, span),
        }
    }

    /// Reads `host[:port]/path…`, also with a tag or digest; nothing if it is empty.
    fn location(&self, text: &str, span: Range<usize>) -> Read<Option<String>> {
        if text.contains("://") {
            return Err(self.hinted(
                span,
                format!("`{text}` is a URL"),
                "write host[:port][/path]; `insecure = true` allows plain HTTP",
            ));
        }
        let location = text.trim_end_matches('/');
        if location.is_empty() {
            return Ok(None);
        }
        let host = location.split(['/', '@']).next().unwrap_or(location);
        match host.parse::<Registry>() {
            Ok(_) => Ok(Some(location.to_owned())),
            Err(error) => Err(self.invalid(span, format!("`{text}` is not a registry: {}", error.reason))),
        }
    }

    /// Checks that entries for the same location do not contradict each other.
    fn agree(&self, entries: &[Entry]) -> Read<()> {
        for (number, entry) in entries.iter().enumerate() {
            let place = |entry: &Entry| entry.location.clone().unwrap_or_else(|| entry.prefix.clone());
            for other in entries[..number].iter().filter(|other| place(other) == place(entry)) {
                for (name, differs) in [
                    ("insecure", entry.insecure != other.insecure),
                    ("blocked", entry.blocked != other.blocked),
                ] {
                    if differs {
                        return Err(InvalidRegistriesConf {
                            at: entry.at.clone(),
                            reason: format!(
                                "`{}` is `{name}` here and is not in line {}, or the other way round",
                                place(entry),
                                other.at.line
                            ),
                            hint: Some("say the same in all entries with this location"),
                        });
                    }
                }
            }
        }
        Ok(())
    }
}
