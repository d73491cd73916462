#!/usr/bin/env python3
"""Oracle: which operator bundles does a configuration select from a catalog?

An independent second implementation of catalog filtering, written only from
the reference texts `oc-mirror-v2.md` ("v2") and `oc-mirror-v1.md` ("v1").
Section numbers in the docstrings are sections of those texts; "decision (a)"
to "decision (c)" are the project decisions listed in README.md.

It favours being obviously right over being fast or complete: plain dicts and
sets, one function per rule, an own semver comparison.

Usage:
  catalog.py roots DIR
  catalog.py cases ROOT --api v2alpha1|v1alpha2 [--ranges N] [--seed N]
  catalog.py self-test
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import random
import re
import sys
import tempfile
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Callable, Iterable, Iterator, Optional

import yaml

YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

V1, V2 = "v1alpha2", "v2alpha1"


class Refused(Exception):
    """The selection is an error; `code` is what the cases print."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class NotACatalog(Exception):
    """A directory does not load as a file-based catalog."""


# --------------------------------------------------------------------------
# Versions


_IDENT = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_STRICT = re.compile(
    r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    rf"(?:-({_IDENT}(?:\.{_IDENT})*))?"
    r"(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
)
_LENIENT = re.compile(
    r"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?"
    r"(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?"
)


def _pre_key(pre: str) -> tuple:
    """Precedence of a pre-release (semver 2.0.0 item 11): none is highest,
    numbers are lower than words, a prefix is lower than what it starts."""
    if not pre:
        return (1,)
    parts = []
    for ident in pre.split("."):
        parts.append((0, int(ident), "") if ident.isdigit() else (1, 0, ident))
    return (0, tuple(parts))


@dataclass(frozen=True)
class Version:
    """A version; `numbers` has fewer than three parts for a partial bound."""

    text: str
    numbers: tuple[int, ...]
    pre: str

    @cached_property
    def key(self) -> tuple:
        """Sort key by precedence. Build metadata does not take part."""
        padded = self.numbers + (0,) * (3 - len(self.numbers))
        return (padded, _pre_key(self.pre))

    @property
    def partial(self) -> bool:
        return len(self.numbers) < 3


@lru_cache(maxsize=None)
def strict_version(text: Any) -> Optional[Version]:
    """v2 §3.2 step 2: "strict X.Y.Z semver"; None if it is not."""
    if not isinstance(text, str):
        return None
    m = _STRICT.fullmatch(text)
    if m is None:
        return None
    return Version(text, (int(m[1]), int(m[2]), int(m[3])), m[4] or "")


@lru_cache(maxsize=None)
def lenient_version(text: str) -> Optional[Version]:
    """A bound as written in a configuration; may be partial (`4.14`)."""
    m = _LENIENT.fullmatch(text)
    if m is None:
        return None
    numbers = tuple(int(n) for n in (m[1], m[2], m[3]) if n is not None)
    return Version(text, numbers, m[4] or "")


Range = Callable[[Version], bool]


def range_v2(minimum: Optional[str], maximum: Optional[str]) -> Range:
    """v2 §3.2 head: `>=min` and ` <=max`, AND-ed, Masterminds semantics.

    A pre-release matches only if one of the bounds carries a pre-release.
    A partial upper bound includes everything below it in the hierarchy
    (`<=4.14` takes 4.14.9), a partial lower bound is padded with zeros.
    """
    low = _bound_v2(minimum)
    high = _bound_v2(maximum)
    wants_pre = any(b is not None and b.pre for b in (low, high))

    def contains(v: Version) -> bool:
        if v.pre and not wants_pre:
            return False
        if low is not None and v.key < low.key:
            return False
        if high is None:
            return True
        if high.partial:
            return v.numbers[: len(high.numbers)] <= high.numbers
        return v.key <= high.key

    return contains


def _bound_v2(text: Optional[str]) -> Optional[Version]:
    if not text:
        return None
    bound = lenient_version(text)
    if bound is None:
        raise Refused("other", f"{text!r} is not a version")
    return bound


def range_v1(minimum: Optional[str], maximum: str) -> Optional[Range]:
    """v1 §2.4 first paragraph: min&max -> `>=min <=max`, max only -> `<=max`;
    plain precedence, pre-releases included. None for a bad maximum, which
    "is ignored silently (treated as no range)"."""
    low = strict_version(minimum) if minimum else None
    high = strict_version(maximum)
    if high is None or (minimum and low is None):
        return None
    return lambda v: (low is None or low.key <= v.key) and v.key <= high.key


def same_version_v1(bundle: Version, minimum: str) -> bool:
    """v1 §2.4 "every channel containing exactly 1.1" and "Version equality
    also accepts a bundle version whose text before `-` equals min (2.2.0-0
    matches 2.2.0)". Equality is of texts: oc-mirror v1 looks the version up
    by its text, in which build metadata counts (reading 3)."""
    return minimum in (bundle.text, bundle.text.split("-", 1)[0])


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "": lambda a, b: a == b,
    "=": lambda a, b: a == b,
    "==": lambda a, b: a == b,
    "!": lambda a, b: a != b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
}


@lru_cache(maxsize=None)
def requirement_range(text: str) -> Optional[Range]:
    """The `versionRange` of an `olm.package.required` property: comparisons,
    AND-ed by blanks, OR-ed by `||`. None if it cannot be read."""
    alternatives = []
    for part in text.split("||"):
        tests = []
        rest = part.strip()
        while rest:
            m = re.match(r"([<>=!]*)\s*([^\s<>=!]+)\s*", rest)
            if m is None or m[1] not in _COMPARE:
                return None
            version = strict_version(m[2])
            if version is None:
                return None
            tests.append((_COMPARE[m[1]], version.key))
            rest = rest[m.end():]
        if not tests:
            return None
        alternatives.append(tests)
    return lambda v: any(all(op(v.key, k) for op, k in t) for t in alternatives)


# --------------------------------------------------------------------------
# The catalog


@dataclass(frozen=True)
class Entry:
    """One entry of an `olm.channel`. skipRange takes no part in selection
    (v2 §3.2 step 4, v1 §2.4 "skips/skipRange not followed")."""

    name: str
    replaces: str
    skips: frozenset[str]


@dataclass
class Bundle:
    name: str
    version_text: Any
    provides: frozenset[tuple]
    needs_gvk: tuple[tuple, ...]
    needs_package: tuple[tuple[str, str], ...]
    priorities: tuple[tuple[str, int], ...]

    @property
    def version(self) -> Optional[Version]:
        return strict_version(self.version_text)


@dataclass
class Channel:
    package: str
    name: str
    entries: list[Entry]
    priorities: tuple[tuple[str, int], ...] = ()

    @cached_property
    def by_name(self) -> dict[str, Entry]:
        return {e.name: e for e in self.entries}

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(self.by_name)


@dataclass
class Package:
    name: str
    default_channel: Any
    channels: dict[str, Channel] = field(default_factory=dict)
    bundles: dict[str, Bundle] = field(default_factory=dict)


@dataclass
class Catalog:
    packages: dict[str, Package]

    def version(self, package: str, bundle: str) -> Optional[Version]:
        found = self.packages[package].bundles.get(bundle)
        return found.version if found is not None else None

    @cached_property
    def providers(self) -> dict[Any, list[tuple[str, str, str]]]:
        """Requirement -> (package, channel, bundle) that could satisfy it.
        Keys: a GVK, or a package name. v1 §2.4 "Dependencies": bundles listed
        in the skips of the head of the channel are ignored."""
        index: dict[Any, list[tuple[str, str, str]]] = {}
        for package in self.packages.values():
            for channel in package.channels.values():
                heads = heads_v1(channel, channel.names)
                ignored: set[str] = set()
                if len(heads) == 1:
                    ignored = set(channel.by_name[heads[0]].skips)
                for name in channel.names - ignored:
                    bundle = package.bundles.get(name)
                    if bundle is None:
                        continue
                    spot = (package.name, channel.name, name)
                    for key in {*bundle.provides, package.name}:
                        index.setdefault(key, []).append(spot)
        return index


# --------------------------------------------------------------------------
# Loading


def _text(meta: dict, key: str) -> str:
    value = meta.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise NotACatalog(f"{meta.get('schema')}: {key} is not a string: {value!r}")
    return value


def _read_documents(path: str) -> Iterator[Any]:
    """Concatenated JSON documents if the first character is `{`, otherwise a
    YAML stream; empty YAML documents are skipped."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    if text.lstrip().startswith("{"):
        decoder, at = json.JSONDecoder(), 0
        while at < len(text):
            if text[at].isspace():
                at += 1
                continue
            document, at = decoder.raw_decode(text, at)
            yield document
    else:
        yield from (d for d in yaml.load_all(text, Loader=YAML_LOADER) if d is not None)


def _gvk(value: Any) -> tuple:
    value = value if isinstance(value, dict) else {}
    return ("gvk", value.get("group"), value.get("version"), value.get("kind"))


def _priorities(properties: Iterable[tuple[str, Any]]) -> tuple[tuple[str, int], ...]:
    found = []
    for kind, value in properties:
        if kind == "olm.channel" and isinstance(value, dict):
            if isinstance(value.get("channelName"), str) and "priority" in value:
                found.append((value["channelName"], int(value["priority"])))
    return tuple(found)


def _compact(meta: Any) -> tuple[str, Any]:
    """Reduce a document to (schema, what selection needs)."""
    if not isinstance(meta, dict):
        raise NotACatalog("a document is not a mapping")
    schema = _text(meta, "schema")
    if not schema:
        raise NotACatalog("a document has no schema")
    if schema.startswith("olm.template."):
        raise NotACatalog(f"it is a template ({schema}), not a catalog")
    properties = [
        (p.get("type"), p.get("value")) for p in meta.get("properties") or []
        if isinstance(p, dict)
    ]
    if schema == "olm.package":
        return schema, Package(_text(meta, "name"), _text(meta, "defaultChannel"))
    if schema == "olm.channel":
        entries = [
            Entry(_text(e, "name"), _text(e, "replaces"), frozenset(e.get("skips") or ()))
            for e in meta.get("entries") or []
        ]
        return schema, Channel(
            _text(meta, "package"), _text(meta, "name"), entries, _priorities(properties)
        )
    if schema == "olm.bundle":
        versions = [v.get("version") for k, v in properties if k == "olm.package"]
        bundle = Bundle(
            name=_text(meta, "name"),
            version_text=versions[0] if len(versions) == 1 else None,
            provides=frozenset(_gvk(v) for k, v in properties if k == "olm.gvk"),
            needs_gvk=tuple(_gvk(v) for k, v in properties if k == "olm.gvk.required"),
            needs_package=tuple(
                (v.get("packageName"), v.get("versionRange"))
                for k, v in properties if k == "olm.package.required"
            ),
            priorities=_priorities(properties),
        )
        return schema, (_text(meta, "package"), bundle)
    return schema, None


@lru_cache(maxsize=None)
def _load_file(path: str) -> tuple[Optional[str], tuple[tuple[str, Any], ...]]:
    """(reason why it cannot be part of a catalog, its reduced documents)."""
    try:
        return None, tuple(_compact(d) for d in _read_documents(path))
    except NotACatalog as e:
        return str(e), ()
    except (yaml.YAMLError, ValueError) as e:
        return f"cannot be parsed: {str(e).splitlines()[0]}", ()


class IgnoreRules:
    """`.indexignore` files of a tree, with gitignore rules: the last matching
    pattern wins, `!` negates, a `/` anchors to the file's own directory, a
    trailing `/` matches directories only, an ignored directory hides all."""

    def __init__(self) -> None:
        self._rules: list[tuple[str, bool, bool, re.Pattern]] = []

    def read(self, directory: str, relative: str) -> None:
        path = os.path.join(directory, ".indexignore")
        if not os.path.isfile(path):
            return
        with open(path, encoding="utf-8") as f:
            for line in f:
                line = line.rstrip("\n").rstrip()
                if not line or line.startswith("#"):
                    continue
                negated = line.startswith("!")
                line = line[1:] if negated else line
                only_dirs = line.endswith("/")
                line = line.rstrip("/")
                pattern = line.lstrip("/") if "/" in line else "**/" + line
                self._rules.append((relative, negated, only_dirs, _glob(pattern)))

    def ignored(self, relative: str, is_dir: bool) -> bool:
        result = False
        for base, negated, only_dirs, pattern in self._rules:
            if only_dirs and not is_dir:
                continue
            if base:
                if not relative.startswith(base + "/"):
                    continue
                below = relative[len(base) + 1:]
            else:
                below = relative
            if pattern.fullmatch(below):
                result = not negated
        return result


def _glob(pattern: str) -> re.Pattern:
    out = ""
    for piece in re.split(r"(\*\*/|/\*\*|\*|\?|\[[^]]*\])", pattern):
        if piece == "**/":
            out += "(?:.*/)?"
        elif piece == "/**":
            out += "/.*"
        elif piece == "*":
            out += "[^/]*"
        elif piece == "?":
            out += "[^/]"
        elif piece.startswith("["):
            out += fnmatch.translate(piece)[4:-3]
        else:
            out += re.escape(piece)
    return re.compile(out, re.DOTALL)


def catalog_files(root: str) -> list[str]:
    """Every file below `root` except `.indexignore` and what those exclude."""
    rules = IgnoreRules()
    found: list[str] = []

    def visit(directory: str, relative: str) -> None:
        rules.read(directory, relative)
        for item in sorted(os.scandir(directory), key=lambda i: i.name):
            below = f"{relative}/{item.name}" if relative else item.name
            is_dir = item.is_dir(follow_symlinks=False)
            if item.name == ".indexignore" or rules.ignored(below, is_dir):
                continue
            if is_dir:
                visit(item.path, below)
            else:
                found.append(item.path)

    visit(root, "")
    return found


def load(root: str) -> Catalog:
    """Load a directory as a file-based catalog.

    It is one if it declares at least one package, every channel and bundle
    belongs to a declared package, and no package, channel or bundle is
    declared twice. Documents of other schemas are tolerated (v2 §3.2 step 1,
    "other" metas) and take no part.
    """
    documents: list[tuple[str, str, Any]] = []
    for path in catalog_files(root):
        reason, docs = _load_file(path)
        if reason is not None:
            raise NotACatalog(f"{os.path.relpath(path, root)}: {reason}")
        documents += [(path, schema, item) for schema, item in docs]
    return build([(schema, item) for _, schema, item in documents])


def build(documents: Iterable[tuple[str, Any]]) -> Catalog:
    """Put reduced documents together, with the checks of `load`."""
    documents = list(documents)
    packages: dict[str, Package] = {}
    for schema, item in documents:
        if schema == "olm.package":
            if item.name in packages:
                raise NotACatalog(f"duplicate package {item.name}")
            packages[item.name] = Package(item.name, item.default_channel)
    for schema, item in documents:
        if schema == "olm.channel":
            owner, name, attribute = item.package, item.name, "channels"
        elif schema == "olm.bundle":
            (owner, item), attribute = item, "bundles"
            name = item.name
        else:
            continue
        if owner not in packages:
            raise NotACatalog(f"{schema} {name}: package {owner!r} is not declared")
        table = getattr(packages[owner], attribute)
        if name in table:
            raise NotACatalog(f"duplicate {schema} {owner}/{name}")
        table[name] = item
    if not packages:
        raise NotACatalog("no package is declared")
    return Catalog(dict(sorted(packages.items())))


def find_roots(top: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Usable catalog roots below `top`, and what was excluded and why.

    From the top down, the first directory that loads is a root and hides what
    is below it. A root without files of its own and with a single
    sub-directory that has no files either is replaced by that sub-directory,
    so that the usual `.../configs/<package>/` layout gives `.../configs`.
    """
    roots: list[str] = []
    excluded: list[tuple[str, str]] = []

    def subdirs(directory: str) -> list[str]:
        return sorted(i.path for i in os.scandir(directory) if i.is_dir(follow_symlinks=False))

    def has_files(directory: str) -> bool:
        return any(not i.is_dir(follow_symlinks=False) for i in os.scandir(directory))

    def visit(directory: str) -> bool:
        try:
            load(directory)
        except NotACatalog as e:
            reason = str(e)
        else:
            while not has_files(directory):
                below = subdirs(directory)
                if len(below) != 1 or has_files(below[0]):
                    break
                directory = below[0]
            roots.append(os.path.relpath(directory, top))
            return True
        before = len(excluded)
        usable = [visit(d) for d in subdirs(directory)]
        if not any(usable):
            del excluded[before:]
            excluded.append((os.path.relpath(directory, top), reason))
        elif has_files(directory):
            excluded.append((os.path.relpath(directory, top) + " (files of its own)", reason))
        return any(usable)

    visit(top)
    return sorted(roots), sorted(excluded)


# --------------------------------------------------------------------------
# Graphs


def graph_v2(channel: Channel) -> tuple[str, list[str]]:
    """v2 §3.2 step 4: the head, and the replaces chain from the head down.

    The graph has the edges of `replaces` and `skips`. Refused: duplicate
    entries, a self reference, no head, several heads, a cycle. Targets that
    are not entries are allowed (and end the chain).
    """
    where = f"{channel.package}/{channel.name}"
    if len(channel.entries) != len(channel.names):
        raise Refused("invalid-graph", f"{where}: duplicate entries")
    below = {
        e.name: e.skips | ({e.replaces} if e.replaces else frozenset())
        for e in channel.entries
    }
    for name, targets in below.items():
        if name in targets:
            raise Refused("invalid-graph", f"{where}: {name} refers to itself")
    heads = sorted(channel.names - frozenset().union(*below.values()))
    if len(heads) != 1:
        raise Refused("invalid-graph", f"{where}: heads {heads}")

    # Without cycles one can take away nodes that nothing refers to until no
    # node is left.
    left = dict(below)
    while left:
        referred = set().union(*left.values())
        free = left.keys() - referred
        if not free:
            raise Refused("invalid-graph", f"{where}: cycle among {sorted(left)}")
        left = {n: t for n, t in left.items() if n not in free}

    chain, at = [], heads[0]
    while at:
        chain.append(at)
        at = channel.by_name[at].replaces if at in channel.by_name else ""
    return heads[0], chain


def heads_v1(channel: Channel, kept: Iterable[str]) -> list[str]:
    """v1 §2.4 "Head = the one bundle not replaced/skipped by another", among
    the kept entries."""
    kept = set(kept)
    reached: set[str] = set()
    for name in kept:
        entry = channel.by_name[name]
        reached |= (entry.skips | {entry.replaces}) - {name}
    return sorted(kept - reached)


def head_v1(channel: Channel) -> str:
    heads = heads_v1(channel, channel.names)
    if len(heads) != 1:
        raise Refused("invalid-graph", f"{channel.package}/{channel.name}: heads {heads}")
    return heads[0]


def chain_v1(channel: Channel, start: str) -> list[str]:
    """`start` and what it replaces, one after the other, inside the channel."""
    chain: list[str] = []
    while start in channel.by_name and start not in chain:
        chain.append(start)
        start = channel.by_name[start].replaces
    return chain


def up_to_head_v1(channel: Channel, start: str) -> set[str]:
    """v1 §2.4 "up to head via graph": walk down `replaces` from `start` to
    where it meets the chain of the head (the intersection, `start` itself if
    it is on that chain); the result is everything that replaces the
    intersection, directly or not, siblings included, and `start`. If the two
    never meet, `start` alone."""
    on_head_chain = set(chain_v1(channel, head_v1(channel)))
    meeting = next((n for n in chain_v1(channel, start) if n in on_head_chain), None)
    if meeting is None:
        return {start}
    found: set[str] = set()
    frontier = {meeting}
    while frontier:
        found |= frontier
        frontier = {e.name for e in channel.entries if e.replaces in frontier} - found
    return found if meeting == start else found - {meeting}


def check_model_v1(channel: Channel, kept: set[str]) -> None:
    """v1 §2.4 "After filtering the catalog is re-validated as a model
    (replaces chain, stranded bundles, ...)", for one output channel."""
    where = f"{channel.package}/{channel.name}"
    names = [e.name for e in channel.entries if e.name in kept]
    if len(names) != len(set(names)):
        raise Refused("invalid-graph", f"{where}: duplicate entries")
    heads = heads_v1(channel, kept)
    if len(heads) != 1:
        raise Refused("invalid-graph", f"{where}: heads {heads}")
    chain: list[str] = []
    at = heads[0]
    while at in kept:
        if at in chain:
            raise Refused("invalid-graph", f"{where}: cycle at {at}")
        chain.append(at)
        at = channel.by_name[at].replaces
    skipped = set().union(*(channel.by_name[n].skips for n in kept))
    stranded = kept - set(chain) - skipped
    if stranded:
        raise Refused("invalid-graph", f"{where}: stranded {sorted(stranded)}")


# --------------------------------------------------------------------------
# Selection


Kept = dict[str, dict[str, set[str]]]
"""package -> channel -> kept entry names"""


def _bounds(item: dict) -> tuple[str, str]:
    return item.get("minVersion") or "", item.get("maxVersion") or ""


def _has_bounds(item: dict) -> bool:
    return any(_bounds(item))


def expectation(catalog: Catalog, kept: Kept, defaults: dict[str, Any]) -> dict:
    """The `expect` object of a case."""
    result = {}
    for package in sorted(kept):
        existing = catalog.packages[package].bundles.keys()
        bundles = set().union(*kept[package].values()) & existing
        result[package] = {
            "defaultChannel": defaults[package],
            "channels": {c: sorted(n) for c, n in sorted(kept[package].items())},
            "bundles": sorted(bundles),
        }
    return result


def select(catalog: Catalog, entry: dict, api: str) -> dict:
    return {V1: select_v1, V2: select_v2}[api](catalog, entry)


# ----- v2


def select_v2(catalog: Catalog, entry: dict) -> dict:
    """v2 §3.1 (table) and §3.2 (algorithm)."""
    full = bool(entry.get("full"))
    wanted: list[dict] = entry.get("packages") or []
    levels = [(p, p.get("channels") or []) for p in wanted]

    # §3.1: "full: true + any range" is an error.
    if full and any(_has_bounds(p) or any(map(_has_bounds, cs)) for p, cs in levels):
        raise Refused("full-with-range", "full cannot be mixed with a range")
    # §3.1: "full: true, no packages": everything, untouched.
    if full and not wanted:
        return {"untouched": True}
    # §2: package-level and channel-level bounds together are refused.
    for p, cs in levels:
        if _has_bounds(p) and any(map(_has_bounds, cs)):
            raise Refused("other", f"{p['name']}: ranges on package and channel")

    # §3.2 step 1, with decision (a) for unknown names.
    remaining: dict[str, list[str]] = {}
    config: dict[str, dict] = {}
    if not wanted:
        remaining = {p.name: sorted(p.channels) for p in catalog.packages.values()}
    for p, cs in levels:
        package = catalog.packages.get(p["name"])
        if package is None:
            raise Refused("not-found", f"package {p['name']}")
        for c in cs:
            if c["name"] not in package.channels:
                raise Refused("not-found", f"channel {p['name']}/{c['name']}")
        remaining[package.name] = sorted(c["name"] for c in cs) or sorted(package.channels)
        config[package.name] = p

    # Step 2: versions of every remaining bundle, in a channel or not.
    for name in sorted(remaining):
        for bundle in catalog.packages[name].bundles.values():
            if bundle.version is None:
                raise Refused("version", f"{name}/{bundle.name}: {bundle.version_text!r}")

    # Step 3: default channels.
    defaults: dict[str, Any] = {}
    for name in sorted(remaining):
        override = config.get(name, {}).get("defaultChannel")
        defaults[name] = override or catalog.packages[name].default_channel
        if defaults[name] not in remaining[name]:
            raise Refused("default-channel", f"{name}: {defaults[name]!r} does not remain")

    # Step 4: channels.
    kept: Kept = {}
    for name in sorted(remaining):
        kept[name] = {}
        p = config.get(name, {})
        own = {c["name"]: c for c in p.get("channels") or []}
        for channel_name in remaining[name]:
            channel = catalog.packages[name].channels[channel_name]
            if full:
                kept[name][channel_name] = set(channel.names)
                continue
            listed = own.get(channel_name, {})
            names = _channel_v2(catalog, channel, listed if _has_bounds(listed) else p)
            if names:
                kept[name][channel_name] = names
            elif channel_name == catalog.packages[name].default_channel:
                raise Refused("empty", f"{name}/{channel_name} is the original default")
            elif _has_bounds(listed):
                raise Refused("empty", f"{name}/{channel_name}: decision (a)")
            # else: dropped, decision (b)
        if not kept[name]:
            raise Refused("empty", f"{name}: no channel remains: decision (c)")
        if defaults[name] not in kept[name]:
            raise Refused("default-channel", f"{name}/{defaults[name]} is empty: decision (c)")

    # Step 5 is in `expectation`. Step 7: nothing left at all is an error.
    expect = expectation(catalog, kept, defaults)
    if not any(p["bundles"] for p in expect.values()):
        raise Refused("empty", "no bundle remains")
    return expect


def _channel_v2(catalog: Catalog, channel: Channel, bounds: dict) -> set[str]:
    """v2 §3.2 step 4 for one channel that is not taken in full."""
    head, chain = _cached_graph_v2(channel)
    if not _has_bounds(bounds):
        return {head}
    contains = range_v2(*_bounds(bounds))
    in_range = set()
    for name in channel.names:
        version = catalog.version(channel.package, name)
        if version is not None and contains(version):
            in_range.add(name)

    def group(name: str) -> set[str]:
        """A node of the chain and its skips, as far as in range."""
        entry = channel.by_name.get(name)
        return ({name} | (entry.skips if entry else set())) & in_range

    # count(node) = count(replaces) + unseen in-range members of its group.
    count: dict[str, int] = {}
    seen: set[str] = set()
    for name in reversed(chain):
        seen |= group(name)
        count[name] = len(seen)

    most = count[chain[0]]
    if most == 0:
        return set()
    # "New head = lowest node having the maximal count; tail (exclusive) =
    # first node from the top whose count is 0."
    new_head = max(i for i, n in enumerate(chain) if count[n] == most)
    tail = next((i for i, n in enumerate(chain) if count[n] == 0), len(chain))
    kept: set[str] = set()
    for name in chain[new_head:tail]:
        kept |= {name} | group(name)
    return kept & channel.names


def _cached_graph_v2(channel: Channel) -> tuple[str, list[str]]:
    """`graph_v2` does not depend on the configuration: remember its answer."""
    if not hasattr(channel, "_graph_v2"):
        try:
            channel._graph_v2 = graph_v2(channel)  # type: ignore[attr-defined]
        except Refused as e:
            channel._graph_v2 = e  # type: ignore[attr-defined]
    answer = channel._graph_v2  # type: ignore[attr-defined]
    if isinstance(answer, Refused):
        raise answer
    return answer


# ----- v1


def select_v1(catalog: Catalog, entry: dict) -> dict:
    """v1 §2.4, first run (nothing remembered from earlier runs)."""
    full = bool(entry.get("full"))
    wanted: list[dict] = entry.get("packages") or []

    # Row "no packages", full: "catalog rendered unfiltered", other documents
    # too, so that there is nothing to tell apart from v2's "untouched".
    if full and not wanted:
        return {"untouched": True}

    kept: Kept = {}
    if not wanted:
        # Row "no packages": head of every channel of every package.
        for package in catalog.packages.values():
            if not package.channels:
                # "re-validated as a model": reading 8.
                raise Refused("empty", f"{package.name} has no channels")
            kept[package.name] = {c.name: {head_v1(c)} for c in package.channels.values()}
    for p in wanted:
        _check_config_v1(p)
    for p in wanted:
        _check_exists_v1(catalog, p)
    for p in wanted:
        kept[p["name"]] = _package_v1(catalog, p, full)

    # "package silently empty": such a package is not in the output.
    kept = {name: channels for name, channels in kept.items() if channels}
    if not entry.get("skipDependencies"):
        _add_dependencies_v1(catalog, kept)

    config = {p["name"]: p for p in wanted}
    defaults = {
        name: _default_channel_v1(catalog, name, kept[name], config.get(name, {}))
        for name in sorted(kept)
    }
    for name in sorted(kept):
        if defaults[name] not in kept[name]:
            raise Refused("default-channel", f"{name}: {defaults[name]} is not in the output")
        for channel_name in sorted(kept[name]):
            check_model_v1(catalog.packages[name].channels[channel_name],
                           kept[name][channel_name])
    # "Then every configured package must be present".
    for p in wanted:
        if p["name"] not in kept:
            raise Refused("empty", f"operator {p['name']} was not found")
    return expectation(catalog, kept, defaults)


def _check_config_v1(p: dict) -> None:
    """v1 §2.4 first paragraph and row "package range + channel range"."""
    channels = p.get("channels") or []
    for item in [p, *channels]:
        minimum, _ = _bounds(item)
        if minimum and item.get("minBundle"):
            raise Refused("other", "minimum version and bundle are mutually exclusive")
        if minimum and strict_version(minimum) is None:
            raise Refused("other", f"bad minimum {minimum!r}")
    if _has_bounds(p) and any(map(_has_bounds, channels)):
        raise Refused("other", f"{p['name']}: ranges on package and channel")


def _check_exists_v1(catalog: Catalog, p: dict) -> None:
    """v1 §2.4 row "unknown package / channel"."""
    package = catalog.packages.get(p["name"])
    if package is None:
        raise Refused("not-found", f"package {p['name']}")
    for c in p.get("channels") or []:
        if c["name"] not in package.channels:
            raise Refused("not-found", f"channel {p['name']}/{c['name']}")


def _with_version_v1(catalog: Catalog, channel: Channel, test: Range) -> set[str]:
    """Entries whose bundle has a version that passes. An entry without a
    bundle has no version; a bundle without a strict version is an error."""
    found = set()
    for name in channel.names & catalog.packages[channel.package].bundles.keys():
        version = catalog.version(channel.package, name)
        if version is None:
            raise Refused("version", f"{channel.package}/{name}")
        if test(version):
            found.add(name)
    return found


def _from_minimum_v1(catalog: Catalog, channel: Channel, minimum: str) -> set[str]:
    """"version V and everything up to head via the graph"; empty if the
    channel does not contain V. Several bundles can be V (the text before
    `-`): the union."""
    starts = _with_version_v1(catalog, channel, lambda v: same_version_v1(v, minimum))
    return set().union(*(up_to_head_v1(channel, s) for s in starts))


def _by_own_filter_v1(catalog: Catalog, channel: Channel, item: dict, full: bool) -> set[str]:
    """The rows of v1 §2.4 for one channel and one min/max/minBundle set."""
    minimum, maximum = _bounds(item)
    if maximum:
        contains = range_v1(minimum, maximum)
        if contains is not None:
            return _with_version_v1(catalog, channel, contains)
    elif minimum:
        return _from_minimum_v1(catalog, channel, minimum)
    elif item.get("minBundle"):
        return set(channel.names)
    return set(channel.names) if full else {head_v1(channel)}


def _package_v1(catalog: Catalog, p: dict, full: bool) -> dict[str, set[str]]:
    """v1 §2.4 table, one configured package."""
    package = catalog.packages[p["name"]]
    listed = p.get("channels") or []
    selected: dict[str, set[str]] = {}

    minimum, maximum = _bounds(p)
    everywhere = (minimum or p.get("minBundle")) and not maximum
    if not listed or everywhere:
        # Rows "package only", "package min", "package min&max / max",
        # "minBundle": the same filter on every channel, empty ones dropped.
        # Row "package min + channels listed", "all channels containing min
        # are added as well and override the listed entry": oc-mirror v1
        # appends every channel to the list, and the later entry replaces the
        # earlier one even if nothing is in it (reading 5).
        for channel in package.channels.values():
            names = _by_own_filter_v1(catalog, channel, p, full)
            if names:
                selected[channel.name] = names
        return selected

    for c in listed:
        channel = package.channels[c["name"]]
        names = _by_own_filter_v1(catalog, channel, c, full)
        if not names:
            # Rows "channel min" and "channel range", with decision (a).
            raise Refused("empty", f"{package.name}/{channel.name}: {_bounds(c)}")
        selected[channel.name] = names

    # Row "package min&max + channels without own versions": the package
    # range is ignored.
    return selected


def _add_dependencies_v1(catalog: Catalog, kept: Kept) -> None:
    """v1 §2.4 "Dependencies": breadth-first over `olm.gvk.required` and
    `olm.package.required`; for each requirement the highest-version provider
    (ties: default channel) of the whole catalog, and its graph to the head
    of its channel. Unmet requirements are ignored."""
    done: set[tuple[str, str]] = set()
    while True:
        level = {
            (package, name)
            for package, channels in kept.items()
            for names in channels.values()
            for name in names
            if name in catalog.packages[package].bundles
        } - done
        if not level:
            return
        done |= level
        for package, name in sorted(level):
            bundle = catalog.packages[package].bundles[name]
            for spot in _chosen_providers_v1(catalog, bundle):
                to_package, to_channel, provider = spot
                channel = catalog.packages[to_package].channels[to_channel]
                target = kept.setdefault(to_package, {}).setdefault(to_channel, set())
                target |= up_to_head_v1(channel, provider)


def _chosen_providers_v1(catalog: Catalog, bundle: Bundle) -> Iterator[tuple[str, str, str]]:
    for gvk in bundle.needs_gvk:
        yield from _best_v1(catalog, catalog.providers.get(gvk, ()))
    for package, text in bundle.needs_package:
        contains = requirement_range(text) if isinstance(text, str) else None
        if contains is None:
            continue
        yield from _best_v1(catalog, (
            spot for spot in catalog.providers.get(package, ())
            if (v := catalog.version(spot[0], spot[2])) is not None and contains(v)
        ))


def _best_v1(
    catalog: Catalog, spots: Iterable[tuple[str, str, str]]
) -> list[tuple[str, str, str]]:
    """The highest version; among equals the one in its package's default
    channel; among those (not in the text) the first by name."""
    ranked = []
    for package, channel, name in spots:
        version = catalog.version(package, name)
        if version is not None:
            ranked.append((version.key, (package, channel, name)))
    if not ranked:
        return []
    highest = max(key for key, _ in ranked)
    equals = sorted(spot for key, spot in ranked if key == highest)
    in_default = [s for s in equals if catalog.packages[s[0]].default_channel == s[1]]
    return (in_default or equals)[:1]


def _default_channel_v1(
    catalog: Catalog, name: str, channels: dict[str, set[str]], p: dict
) -> str:
    """v1 §2.4 "Default channel of an output package"."""
    package = catalog.packages[name]
    if package.default_channel in channels:
        return package.default_channel
    if p.get("defaultChannel") in package.channels:
        return p["defaultChannel"]
    listed = p.get("channels") or []
    if len(listed) == 1:
        return listed[0]["name"]
    priorities: dict[str, int] = {}
    for channel_name, names in channels.items():
        sources = [package.channels[channel_name].priorities]
        sources += [package.bundles[n].priorities for n in names if n in package.bundles]
        for about, priority in (pair for pairs in sources for pair in pairs):
            if about in channels:
                priorities[about] = max(priority, priorities.get(about, priority))
    if priorities:
        return min(priorities, key=lambda c: (-priorities[c], c))
    raise Refused("default-channel", f"{name}: cannot be determined")


# --------------------------------------------------------------------------
# Cases


def outcome(catalog: Catalog, entry: dict, api: str, detail: bool = False) -> dict:
    try:
        return {"expect": select(catalog, entry, api)}
    except Refused as e:
        return {"error": e.code, "detail": e.detail} if detail else {"error": e.code}


def cases(
    catalog: Catalog, root: str, api: str, ranges: int, seed: int
) -> Iterator[tuple[str, dict]]:
    """(id, entry) of every case of a catalog."""
    yield "catalog/heads", {}
    yield "catalog/full", {"full": True}
    if api == V1:
        yield "catalog/heads-skip-dependencies", {"skipDependencies": True}
    yield "unknown-package", {"packages": [{"name": "no-such-package"}]}
    first = next(iter(catalog.packages))
    yield f"{first}/unknown-channel", {
        "packages": [{"name": first, "channels": [{"name": "no-such-channel"}]}]
    }
    for package in catalog.packages.values():
        yield from _package_cases(package, api)
        for channel in package.channels.values():
            rng = random.Random(f"{root}|{package.name}|{channel.name}|{seed}|{api}")
            yield from _range_cases(catalog, package, channel, api, ranges, rng)
        rng = random.Random(f"{root}|{package.name}||{seed}|{api}")
        yield from _mixed_cases(catalog, package, api, rng)


def _listed(package: Package, channels: list[dict], **more: Any) -> dict:
    """A package with channels listed; `defaultChannel` set to the first one
    when the default channel is not among them."""
    item: dict[str, Any] = {"name": package.name}
    if package.default_channel not in {c["name"] for c in channels}:
        item["defaultChannel"] = channels[0]["name"]
    return {**item, **more, "channels": channels}


def _package_cases(package: Package, api: str) -> Iterator[tuple[str, dict]]:
    name = package.name
    yield f"{name}/heads", {"packages": [{"name": name}]}
    yield f"{name}/full", {"full": True, "packages": [{"name": name}]}
    for c in package.channels:
        item = _listed(package, [{"name": c}])
        yield f"{name}/{c}/heads", {"packages": [item]}
        yield f"{name}/{c}/full", {"full": True, "packages": [item]}
    others = [c for c in package.channels if c != package.default_channel]
    if others:
        item = {"name": name, "channels": [{"name": c} for c in others[:1]]}
        yield f"{name}/{others[0]}/heads-no-default", {"packages": [item]}
    if len(others) > 1:
        item = {"name": name, "channels": [{"name": c} for c in others[:2]]}
        yield f"{name}/{others[0]},{others[1]}/heads-no-default", {"packages": [item]}
    if len(package.channels) > 1:
        item = {"name": name, "defaultChannel": others[-1],
                "channels": [{"name": c} for c in package.channels]}
        yield f"{name}/all-listed/other-default", {"packages": [item]}
    if api == V2:
        item = {"name": name, "minVersion": "0.0.1"}
        yield f"{name}/full-with-range", {"full": True, "packages": [item]}
    elif package.channels and package.bundles:
        bundle = sorted(package.bundles)[0]
        item = {"name": name, "minBundle": bundle}
        yield f"{name}/min-bundle", {"skipDependencies": True, "packages": [item]}
        item = _listed(package, [{"name": next(iter(package.channels))}], minBundle=bundle)
        yield f"{name}/min-bundle-listed", {"skipDependencies": True, "packages": [item]}
        c = sorted(package.channels)[-1]
        bundle = sorted(package.channels[c].names)[-1]
        item = _listed(package, [{"name": c, "minBundle": bundle}])
        yield f"{name}/{c}/min-bundle", {"skipDependencies": True, "packages": [item]}


def _versions(catalog: Catalog, package: Package, channel: Channel) -> list[Version]:
    found = {catalog.version(package.name, n) for n in channel.names} - {None}
    return sorted(found, key=lambda v: (v.key, v.text))  # type: ignore[union-attr]


class Bounds:
    """Makes pairs of bounds from the versions of a channel."""

    KINDS = (
        "min", "max", "both", "equal", "min-between", "max-between",
        "both-between", "inverted", "max-below-all", "min-above-all",
        "min-pre", "max-pre", "without-pre", "build", "min", "both",
        "min-partial", "max-partial", "both-partial", "equal-head",
    )

    def __init__(self, versions: list[Version], api: str, rng: random.Random) -> None:
        self.versions = versions
        self.api = api
        self.rng = rng

    def existing(self) -> str:
        return self.rng.choice(self.versions).text

    def pair(self) -> tuple[str, str]:
        low, high = sorted(self.rng.choices(self.versions, k=2), key=lambda v: v.key)
        return low.text, high.text

    def below(self, v: Version) -> str:
        """A release a little lower than `v`, usually not an existing one."""
        major, minor, patch = v.numbers
        if patch:
            return f"{major}.{minor}.{patch - 1}"
        if minor:
            return f"{major}.{minor - 1}.999"
        return f"{max(0, major - 1)}.999.0"

    def above(self, v: Version) -> str:
        """A release a little higher than `v`, usually not an existing one."""
        major, minor, patch = v.numbers
        return self.rng.choice((f"{major}.{minor}.{patch + 1}", f"{major}.{minor}.{patch + 50}",
                                f"{major}.{minor + 1}.0"))

    def between(self) -> str:
        known = {v.text for v in self.versions}
        for _ in range(10):
            text = self.rng.choice((self.below, self.above))(self.rng.choice(self.versions))
            if text not in known:
                break
        return text

    def pre(self) -> str:
        """An existing pre-release; else, sometimes, one just below or among
        the versions."""
        known = [v for v in self.versions if v.pre]
        if known and self.rng.random() < 0.8:
            return self.rng.choice(known).text
        v = self.rng.choice(self.versions)
        return ".".join(map(str, v.numbers)) + self.rng.choice(("-0", "-rc.1", "-zz.9"))

    def without_pre(self) -> str:
        known = [v for v in self.versions if v.pre] or self.versions
        return ".".join(map(str, self.rng.choice(known).numbers))

    def build(self) -> str:
        known = [v for v in self.versions if "+" in v.text]
        if known and self.rng.random() < 0.8:
            v = self.rng.choice(known)
            return v.text if self.rng.random() < 0.6 else v.text.split("+")[0]
        return self.existing().split("+")[0] + "+x.1"

    def partial(self) -> str:
        numbers = self.rng.choice(self.versions).numbers
        return ".".join(map(str, numbers[: self.rng.choice((1, 2, 2, 2))]))

    def make(self, kind: str) -> tuple[str, str]:
        """(min, max) of a kind; empty strings for absent bounds."""
        rng, top = self.rng, self.versions[-1]
        if kind == "min":
            return self.existing(), ""
        if kind == "max":
            return "", self.existing()
        if kind == "both":
            return self.pair()
        if kind == "equal":
            return (self.existing(),) * 2
        if kind == "equal-head":
            return top.text, top.text
        if kind == "min-between":
            return self.between(), ""
        if kind == "max-between":
            return "", self.between()
        if kind == "both-between":
            if rng.random() < 0.3:
                return _ordered(self.between(), self.between())
            low, high = map(strict_version, self.pair())
            return self.below(low), self.above(high)  # type: ignore[arg-type]
        if kind == "inverted":
            return self.pair()[::-1]
        if kind == "max-below-all":
            return rng.choice(("", "0.0.0")), "0.0.0-0"
        if kind == "min-above-all":
            above = f"{top.numbers[0] + 1}.0.0"
            return above, rng.choice(("", f"{top.numbers[0] + 2}.0.0"))
        if kind == "min-pre":
            return self.pre(), rng.choice(("", top.text))
        if kind == "max-pre":
            return rng.choice(("", self.versions[0].text)), self.pre()
        if kind == "without-pre":
            return _ordered(self.without_pre(), self.without_pre())
        if kind == "build":
            return rng.choice((
                (self.build(), ""), ("", self.build()), _ordered(self.build(), self.existing())
            ))
        if kind == "min-partial":
            return self.partial(), rng.choice(("", self.existing()))
        if kind == "max-partial":
            return rng.choice(("", self.existing())), self.partial()
        if kind == "both-partial":
            return _ordered(self.partial(), self.partial())
        raise AssertionError(kind)

    def kinds(self, count: int) -> list[str]:
        usable = [k for k in self.KINDS if self.api == V2 or "partial" not in k]
        chosen: list[str] = []
        while len(chosen) < count:
            chosen += self.rng.sample(usable, len(usable))
        return chosen[:count]


def _ordered(a: str, b: str) -> tuple[str, str]:
    low, high = sorted((a, b), key=lambda t: lenient_version(t).key)  # type: ignore[union-attr]
    return low, high


def _as_bounds(minimum: str, maximum: str) -> dict[str, str]:
    pairs = (("minVersion", minimum), ("maxVersion", maximum))
    return {k: v for k, v in pairs if v}


def _entry(package: dict, api: str, rng: random.Random) -> dict:
    entry: dict[str, Any] = {"packages": [package]}
    if api == V1:
        if rng.random() < 0.8:
            entry["skipDependencies"] = True
        if rng.random() < 0.15:
            entry["full"] = True
    return entry


def _range_cases(
    catalog: Catalog, package: Package, channel: Channel, api: str, count: int,
    rng: random.Random,
) -> Iterator[tuple[str, dict]]:
    versions = _versions(catalog, package, channel)
    if not versions:
        return
    maker = Bounds(versions, api, rng)
    for i, kind in enumerate(maker.kinds(count)):
        bounds = _as_bounds(*maker.make(kind))
        if i % 2 == 0:
            level = "channel"
            item = _listed(package, [{"name": channel.name, **bounds}])
        elif rng.random() < 0.2:
            level = "package-listed"
            item = _listed(package, [{"name": channel.name}], **bounds)
        else:
            level = "package"
            item = {"name": package.name, **bounds}
            if api == V2 and channel.name != package.default_channel and rng.random() < 0.2:
                item["defaultChannel"] = channel.name
        case = f"{package.name}/{channel.name}/range-{i:02d}-{level}-{kind}"
        yield case, _entry(item, api, rng)


def _mixed_cases(
    catalog: Catalog, package: Package, api: str, rng: random.Random
) -> Iterator[tuple[str, dict]]:
    """One listed channel with a range, another one without."""
    if len(package.channels) < 2:
        return
    for i in range(4):
        first, second = rng.sample(sorted(package.channels), 2)
        versions = _versions(catalog, package, package.channels[first])
        if not versions:
            continue
        maker = Bounds(versions, api, rng)
        bounds = _as_bounds(*maker.make(rng.choice(("min", "max", "both", "min-between"))))
        item = _listed(package, [{"name": first, **bounds}, {"name": second}])
        yield f"{package.name}/{first},{second}/mixed-{i}", _entry(item, api, rng)


# --------------------------------------------------------------------------
# Self-test


def tiny(text: str) -> Catalog:
    """A catalog from a short notation, one line each:
      package NAME DEFAULT
      channel NAME: ENTRY[<REPLACES][!SKIP...] ...
      needs BUNDLE gvk G/V/K | needs BUNDLE package NAME RANGE
      gives BUNDLE G/V/K
    An entry NAME.vVERSION declares its bundle of that version; `?` in front
    of it leaves the bundle out.
    """
    packages: list[Package] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        word, rest = line.split(None, 1)
        if word == "package":
            packages.append(Package(*rest.split()))
        elif word == "channel":
            name, _, items = rest.partition(":")
            entries = []
            for item in items.split():
                absent, item = item.startswith("?"), item.lstrip("?")
                left, *skips = item.split("!")
                entry, _, replaces = left.partition("<")
                entries.append(Entry(entry, replaces, frozenset(skips)))
                if not absent:
                    version = entry.split(".v", 1)[-1]
                    packages[-1].bundles.setdefault(
                        entry, Bundle(entry, version, frozenset(), (), (), ()))
            packages[-1].channels[name] = Channel(packages[-1].name, name, entries)
        else:
            target, *what = rest.split(None, 3)
            bundle = packages[-1].bundles[target]
            if word == "gives":
                g, v, k = what[0].split("/")
                bundle.provides |= {("gvk", g, v, k)}
            elif what[0] == "gvk":
                g, v, k = what[1].split("/")
                bundle.needs_gvk += (("gvk", g, v, k),)
            else:
                bundle.needs_package += ((what[1], what[2]),)
    return Catalog({p.name: p for p in sorted(packages, key=lambda p: p.name)})


STABLE_FAST = """
    package p stable
    channel stable: p.v1.0.0 p.v1.1.0<p.v1.0.0 p.v1.2.0<p.v1.1.0 p.v1.3.0<p.v1.2.0
    channel fast: p.v1.2.0 p.v1.3.0<p.v1.2.0 p.v2.0.0<p.v1.3.0
"""

FOO_BAR_BAZ = """
    package foo beta
    channel beta: foo.v0.1.0 foo.v0.2.0<foo.v0.1.0!foo.v0.1.1!foo.v0.1.2 foo.v0.3.0<foo.v0.2.0 foo.v0.3.1<foo.v0.2.0!foo.v0.3.0
    needs foo.v0.1.0 gvk test.bar/v1alpha1/Bar
    needs foo.v0.1.0 package bar <0.1.0
    needs foo.v0.2.0 gvk test.bar/v1alpha1/Bar
    needs foo.v0.2.0 package bar <0.1.0
    needs foo.v0.3.0 gvk test.bar/v1alpha1/Bar
    needs foo.v0.3.0 package bar <0.2.0
    needs foo.v0.3.1 gvk test.bar/v1alpha1/Bar
    needs foo.v0.3.1 package bar <0.2.0
    package bar stable
    channel alpha: bar.v0.1.0 bar.v0.2.0<bar.v0.1.0!bar.v0.1.0 bar.v1.0.0<bar.v0.2.0
    channel stable: bar.v1.0.0
    gives bar.v0.1.0 test.bar/v1alpha1/Bar
    gives bar.v0.2.0 test.bar/v1alpha1/Bar
    gives bar.v1.0.0 test.bar/v1alpha1/Bar
    package baz stable
    channel stable: baz.v1.0.0 baz.v1.0.1<baz.v1.0.0!baz.v1.0.0 baz.v1.1.0<baz.v1.0.0!baz.v1.0.1
"""


def self_test() -> int:
    passed = 0
    failures: list[str] = []

    def check(label: str, got: Any, wanted: Any) -> None:
        nonlocal passed
        if got == wanted:
            passed += 1
        else:
            failures.append(f"{label}:\n  got    {got}\n  wanted {wanted}")

    def summary(catalog: Catalog, entry: dict, api: str) -> Any:
        """Short form: an error code, or {package/channel: versions}."""
        result = outcome(catalog, entry, api)
        if "error" in result:
            return result["error"]
        if result["expect"].get("untouched"):
            return "untouched"
        return {
            f"{p}/{c}": " ".join(n.split(".v", 1)[1] for n in names)
            for p, item in result["expect"].items()
            for c, names in item["channels"].items()
        }

    def bundles(catalog: Catalog, entry: dict, api: str) -> Any:
        result = outcome(catalog, entry, api)
        if "error" in result:
            return result["error"]
        return " ".join(b for p in result["expect"].values() for b in p["bundles"])

    def p(channels: Any = None, name: str = "p", **more: Any) -> dict:
        item = {"name": name, **more}
        if channels is not None:
            item["channels"] = [{"name": c} if isinstance(c, str) else c for c in channels]
        return item

    def pk(*packages: dict, **more: Any) -> dict:
        return {"packages": list(packages), **more}

    # Semver 2.0.0 item 11 order.
    order = "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 " \
            "1.0.0-beta.11 1.0.0-rc.1 1.0.0".split()
    keys = [strict_version(v).key for v in order]  # type: ignore[union-attr]
    check("precedence", keys, sorted(keys))
    check("strict", [bool(strict_version(v)) for v in
                     ("1.2.3", "1.2", "v1.2.3", "01.2.3", "1.2.3-01", "1.2.3+01", None)],
          [True, False, False, False, False, True, False])
    check("build", strict_version("1.0.0+a").key, strict_version("1.0.0+b").key)

    def member(low: str, high: str, *versions: str) -> list[bool]:
        test = range_v2(low, high)
        return [test(strict_version(v)) for v in versions]  # type: ignore[arg-type]

    check("no pre", member("4.14.0", "", "4.14.0-2023", "4.15.0-1", "4.15.0"),
          [False, False, True])
    check("pre by max", member("4.14.0", "4.16.0-0", "4.14.0-2023", "4.15.0-1", "4.16.0"),
          [False, True, False])
    check("partial", member("4.13", "4.14", "4.12.9", "4.13.0", "4.14.9", "4.15.0"),
          [False, True, True, False])
    check("partial major", member("", "4", "4.99.9", "5.0.0"), [True, False])

    # v1 §2.4 table.
    sf = tiny(STABLE_FAST)
    heads = {"p/fast": "2.0.0", "p/stable": "1.3.0"}
    whole = {"p/fast": "1.2.0 1.3.0 2.0.0", "p/stable": "1.0.0 1.1.0 1.2.0 1.3.0"}
    for full in (False, True):
        f = {"full": full}
        plain = whole if full else heads
        rows: list[tuple[str, dict, Any]] = [
            ("no packages", {}, "untouched" if full else plain),
            ("package only", pk(p()), plain),
            ("channels", pk(p(["stable"])), {"p/stable": plain["p/stable"]}),
            ("package min 1.1", pk(p(minVersion="1.1.0")), {"p/stable": "1.1.0 1.2.0 1.3.0"}),
            ("package min 1.2", pk(p(minVersion="1.2.0")),
             {"p/fast": "1.2.0 1.3.0 2.0.0", "p/stable": "1.2.0 1.3.0"}),
            ("package min 2.0", pk(p(minVersion="2.0.0")), "default-channel"),
            ("package min 9", pk(p(minVersion="9.0.0")), "empty"),
            ("package range", pk(p(minVersion="1.1.0", maxVersion="1.2.0")),
             {"p/fast": "1.2.0", "p/stable": "1.1.0 1.2.0"}),
            ("package max", pk(p(maxVersion="1.1.0")), {"p/stable": "1.0.0 1.1.0"}),
            ("package min + channels", pk(p(["fast"], minVersion="1.3.0")),
             {"p/fast": "1.3.0 2.0.0", "p/stable": "1.3.0"}),
            ("package range + channels",
             pk(p(["stable"], minVersion="1.1.0", maxVersion="1.2.0")),
             {"p/stable": plain["p/stable"]}),
            ("both ranges", pk(p([{"name": "fast", "minVersion": "1.3.0", "maxVersion": "1.3.0"}],
                                 minVersion="1.1.0", maxVersion="1.2.0")), "other"),
            ("channel min", pk(p([{"name": "fast", "minVersion": "1.3.0"}],
                                 defaultChannel="fast")), {"p/fast": "1.3.0 2.0.0"}),
            ("channel min 9.9", pk(p([{"name": "fast", "minVersion": "9.9.0"}])), "empty"),
            ("channel range", pk(p([{"name": "stable", "minVersion": "1.0.5",
                                     "maxVersion": "1.2.5"}])), {"p/stable": "1.1.0 1.2.0"}),
            ("channel range empty", pk(p([{"name": "stable", "maxVersion": "0.1.0"}])), "empty"),
            ("package min + channel without it", pk(p(["fast"], minVersion="1.1.0")),
             {"p/stable": "1.1.0 1.2.0 1.3.0"}),
            ("package min with build", pk(p(minVersion="1.1.0+x")), "empty"),
            ("minBundle", pk(p(minBundle="p.v1.2.0")), whole),
            ("minBundle + channels", pk(p(["fast"], minBundle="p.v1.2.0")), whole),
            ("channel minBundle", pk(p([{"name": "stable", "minBundle": "x"}])),
             {"p/stable": whole["p/stable"]}),
            ("unknown package", pk(p(name="zzz")), "not-found"),
            ("unknown channel", pk(p(["nope"])), "not-found"),
            ("bad max", pk(p(maxVersion="1.x.?")), plain),
        ]
        for label, entry, wanted in rows:
            check(f"v1 {label} full={full}", summary(sf, {**entry, **f}, V1), wanted)
    check("v1 one channel configured",
          select(sf, pk(p(["fast"])), V1)["p"]["defaultChannel"], "fast")
    check("v1 default survives",
          select(sf, pk(p(["fast", "stable"], defaultChannel="fast")), V1)["p"]["defaultChannel"],
          "stable")
    odd = tiny("package p s\nchannel s: p.v2.2.0-0 p.v2.3.0<p.v2.2.0-0")
    check("v1 2.2.0-0 is 2.2.0", summary(odd, pk(p(minVersion="2.2.0")), V1),
          {"p/s": "2.2.0-0 2.3.0"})
    gap = tiny("package p s\nchannel s: p.v1.0.0 p.v1.1.0<p.v1.0.0 p.v1.2.0<p.v1.0.0!p.v1.1.0 "
               "p.v2.0.0<p.v1.2.0")
    check("v1 range without its head",
          summary(gap, pk(p(minVersion="1.0.0", maxVersion="1.1.0")), V1),
          {"p/s": "1.0.0 1.1.0"})
    gap = tiny("package p s\nchannel s: p.v1.0.0 p.v1.1.0<p.v1.0.0 p.v1.2.0<p.v1.0.0 "
               "p.v2.0.0<p.v1.2.0!p.v1.1.0")
    check("v1 two heads after range",
          summary(gap, pk(p(minVersion="1.0.0", maxVersion="1.2.0")), V1), "invalid-graph")

    # v1 §14.
    fbb = tiny(FOO_BAR_BAZ)
    check("v1 heads-only latest", bundles(fbb, {}, V1),
          "bar.v0.1.0 bar.v0.2.0 bar.v1.0.0 baz.v1.1.0 foo.v0.3.1")
    check("v1 heads-only channels", summary(fbb, {}, V1), {
        "bar/alpha": "0.1.0 0.2.0 1.0.0", "bar/stable": "1.0.0",
        "baz/stable": "1.1.0", "foo/beta": "0.3.1"})
    check("v1 heads-only skipDependencies", bundles(fbb, {"skipDependencies": True}, V1),
          "bar.v1.0.0 baz.v1.1.0 foo.v0.3.1")
    check("v1 full", summary(fbb, {"full": True}, V1), "untouched")
    check("v1 package without channels", summary(tiny("package p s"), {}, V1), "empty")
    check("v1 full foo", bundles(fbb, pk(p(name="foo"), full=True), V1),
          "bar.v0.1.0 bar.v0.2.0 bar.v1.0.0 foo.v0.1.0 foo.v0.2.0 foo.v0.3.0 foo.v0.3.1")
    for label, item, wanted in (
        ("baz 1.0.1", p(name="baz", minVersion="1.0.1", maxVersion="1.0.1"), "baz.v1.0.1"),
        ("foo 0.2-0.3", p(name="foo", minVersion="0.2.0", maxVersion="0.3.0"),
         "foo.v0.2.0 foo.v0.3.0"),
        ("foo -0.3", p(name="foo", maxVersion="0.3.0"), "foo.v0.1.0 foo.v0.2.0 foo.v0.3.0"),
    ):
        entry = pk(item, full=True, skipDependencies=True)
        check(f"v1 {label}", bundles(fbb, entry, V1), wanted)
    diff = tiny(FOO_BAR_BAZ.replace(
        "foo.v0.3.1<foo.v0.2.0!foo.v0.3.0",
        "foo.v0.3.1<foo.v0.2.0!foo.v0.3.0 foo.v0.3.2<foo.v0.2.0!foo.v0.3.0!foo.v0.3.1"))
    check("v1 floor 0.3.1", bundles(
        diff, pk(p(name="foo", minVersion="0.3.1"), skipDependencies=True), V1),
        "foo.v0.3.0 foo.v0.3.1 foo.v0.3.2")

    # v2 §3.1 and §3.2.
    check("v2 heads", summary(sf, {}, V2), heads)
    check("v2 full", summary(sf, {"full": True}, V2), "untouched")
    check("v2 full package", summary(sf, pk(p(), full=True), V2), whole)
    check("v2 full channel", summary(sf, pk(p(["stable"]), full=True), V2),
          {"p/stable": whole["p/stable"]})
    check("v2 full + range", summary(sf, pk(p(minVersion="1.1.0"), full=True), V2),
          "full-with-range")
    check("v2 default filtered out", summary(sf, pk(p(["fast"])), V2), "default-channel")
    check("v2 override", summary(sf, pk(p(["fast"], defaultChannel="fast")), V2),
          {"p/fast": "2.0.0"})
    check("v2 bad override", summary(sf, pk(p(["fast"], defaultChannel="stable")), V2),
          "default-channel")
    check("v2 package min", summary(sf, pk(p(minVersion="1.2.5")), V2),
          {"p/fast": "1.3.0 2.0.0", "p/stable": "1.3.0"})
    check("v2 other channel emptied", summary(sf, pk(p(maxVersion="1.1.0")), V2),
          {"p/stable": "1.0.0 1.1.0"})
    check("v2 override emptied", summary(
        sf, pk(p(maxVersion="1.1.0", defaultChannel="fast")), V2), "default-channel")
    check("v2 default emptied", summary(sf, pk(p(minVersion="1.5.0")), V2), "empty")
    check("v2 inverted", summary(sf, pk(p(minVersion="1.3.0", maxVersion="1.0.0")), V2), "empty")
    check("v2 listed and empty", summary(
        sf, pk(p(["stable", {"name": "fast", "maxVersion": "1.0.0"}])), V2), "empty")
    check("v2 mixed", summary(sf, pk(p(["stable", {"name": "fast", "maxVersion": "1.3.0"}])), V2),
          {"p/fast": "1.2.0 1.3.0", "p/stable": "1.3.0"})
    check("v2 mixing levels", summary(
        sf, pk(p([{"name": "stable", "maxVersion": "1.3.0"}], minVersion="1.0.0")), V2), "other")
    check("v2 unknown", [summary(sf, pk(p(name="zzz")), V2), summary(sf, pk(p(["x"])), V2)],
          ["not-found"] * 2)
    check("v2 foo range", bundles(
        fbb, pk(p(name="foo", minVersion="0.2.0", maxVersion="0.3.1")), V2),
        "foo.v0.2.0 foo.v0.3.0 foo.v0.3.1")
    check("v2 foo pinned", bundles(
        fbb, pk(p(name="foo", minVersion="0.3.1", maxVersion="0.3.1")), V2), "foo.v0.3.1")
    check("v2 skipped one only", bundles(
        fbb, pk(p(name="foo", minVersion="0.3.0", maxVersion="0.3.0")), V2),
        "foo.v0.3.0 foo.v0.3.1")
    hole = tiny("package p s\nchannel s: p.v1.0.0 p.v3.0.0<p.v1.0.0 p.v2.0.0<p.v3.0.0 "
                "p.v4.0.0<p.v2.0.0")
    check("v2 out of range in between", summary(
        hole, pk(p(minVersion="1.0.0", maxVersion="2.0.0")), V2), {"p/s": "1.0.0 2.0.0 3.0.0"})
    for label, graph in (
        ("duplicate", "p.v1.0.0 p.v1.0.0"), ("self", "p.v1.0.0<p.v1.0.0 p.v2.0.0<p.v1.0.0"),
        ("no head", "p.v1.0.0<p.v2.0.0 p.v2.0.0<p.v1.0.0"), ("two heads", "p.v1.0.0 p.v2.0.0"),
        ("cycle", "p.v1.0.0<p.v2.0.0 p.v2.0.0<p.v1.0.0 p.v3.0.0<p.v2.0.0"),
        ("cycle by skips", "p.v1.0.0!p.v2.0.0 p.v2.0.0<p.v1.0.0 p.v3.0.0<p.v2.0.0"),
    ):
        broken = tiny(f"package p s\nchannel s: {graph}")
        check(f"v2 {label}", summary(broken, pk(p()), V2), "invalid-graph")
        check(f"v2 {label} full", "p/s" in summary(broken, pk(p(), full=True), V2), True)
    check("v2 no version", summary(
        tiny("package p s\nchannel s: p.v1.0"), {}, V2), "version")
    absent = tiny("package p s\nchannel s: ?p.v1.0.0 p.v2.0.0<p.v1.0.0")
    check("v2 entry without bundle", bundles(absent, pk(p(), full=True), V2), "p.v2.0.0")

    # Loading.
    rules = IgnoreRules()
    rules._rules = [("", False, False, _glob("expected.json")),
                    ("", False, False, _glob("**/..*")), ("", True, False, _glob("**/..keep"))]
    check("indexignore", [rules.ignored(n, False) for n in
                          ("expected.json", "a/expected.json", "a/..x", "..keep", "b.yaml")],
          [True, False, True, False, False])
    package = '{"schema":"olm.package","name":"p","defaultChannel":"s"}'
    bundle = "schema: olm.bundle\nname: p.v1.0.0\npackage: p\nproperties:\n" \
             "- type: olm.package\n  value: {packageName: p, version: 1.0.0}\n"
    channel = "---\nschema: olm.channel\nname: s\npackage: p\nentries:\n- name: p.v1.0.0\n"
    good = {".indexignore": "README.md\nother/\n", "README.md": "# text\n* x",
            "other/x.yaml": "kind: x\n", "p/c.json": package, "p/b.yaml": bundle + channel}

    def loads(files: dict[str, str]) -> str:
        with tempfile.TemporaryDirectory() as top:
            for path, text in files.items():
                os.makedirs(os.path.dirname(os.path.join(top, path)), exist_ok=True)
                with open(os.path.join(top, path), "w", encoding="utf-8") as f:
                    f.write(text)
            try:
                return bundles(load(top), {}, V2)
            except NotACatalog as e:
                return str(e)

    check("load", loads(good), "p.v1.0.0")
    check("load concatenated JSON, other schema", loads(
        {**good, "p/c.json": package + '\n{"schema":"x.y"} '}), "p.v1.0.0")
    check("load without ignore file", "README.md" in loads({**good, ".indexignore": ""}), True)
    check("load duplicate", loads({**good, "q.json": package}), "duplicate package p")
    check("load undeclared", "not declared" in loads({**good, "p/c.json": ""}), True)
    check("load template", "template" in loads(
        {**good, "t.yaml": "schema: olm.template.basic\n"}), True)

    print(f"{passed} passed, {len(failures)} failed")
    for failure in failures:
        print(failure)
    return 1 if failures else 0


# --------------------------------------------------------------------------
# Command line


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    roots = commands.add_parser("roots", help="print the usable catalog roots below DIR")
    roots.add_argument("dir")
    making = commands.add_parser("cases", help="print the cases of one catalog root")
    making.add_argument("root")
    making.add_argument("--api", choices=(V2, V1), required=True)
    making.add_argument("--ranges", type=int, default=20, help="ranges per channel")
    making.add_argument("--seed", type=int, default=1)
    making.add_argument("--name", help="name that seeds the ranges "
                                       "(default: last three components of ROOT)")
    making.add_argument("--detail", action="store_true", help="explain errors")
    commands.add_parser("self-test", help="check the oracle itself")
    options = parser.parse_args(arguments)

    if options.command == "self-test":
        return self_test()
    if options.command == "roots":
        usable, excluded = find_roots(options.dir)
        print("\n".join(usable))
        for directory, reason in excluded:
            print(f"excluded {directory}: {reason}", file=sys.stderr)
        return 0
    try:
        catalog = load(options.root)
    except NotACatalog as e:
        print(f"{options.root}: {e}", file=sys.stderr)
        return 1
    parts = os.path.abspath(options.root).split(os.sep)
    name = options.name or "/".join(parts[-3:])
    for case, entry in cases(catalog, name, options.api, options.ranges, options.seed):
        result = outcome(catalog, entry, options.api, options.detail)
        line = {"id": f"{name}:{case}", "api": options.api, "entry": entry, **result}
        print(json.dumps(line, separators=(",", ":")))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BrokenPipeError:
        sys.exit(0)
