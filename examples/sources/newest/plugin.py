"""A custom content source in Python: mirrors the newest versions of a repository.

`Source.collect` asks the host for the tags, page by page, and `newest` picks among them. The plugin never sees a password:
the host asks the registry. `wit_world` is what the build makes of the contract; interfaces that the plugin exports are
classes here, and resources of the host, such as the sink, are objects with methods.
"""

import json
import re

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.source import Summary
from wit_world.imports import progress, registry
from wit_world.imports.types import Error_Cancelled, Error_NotFound, ImageRequest, Problem

# How many tags one page holds.
PAGE = 1000

# What counts as a version: `1.2`, `v1.2.3`, and also `1.2.3-alpine` where that end is asked for.
VERSION = re.compile(r"v?(\d+(?:\.\d+)*)(-.+)?")

# What `configure` was given: an instance has one configuration for all its life.
config: dict = {}


def problems(settings: dict) -> list[Problem]:
    """What the schema of the settings cannot say about them."""
    last = settings["repository"].rpartition("/")[2]
    if ":" in last or "@" in last:
        return [Problem("repository", "newest.repository", "a repository is named without tag and digest")]
    return []


def newest(tags: list[str], count: int, suffix: str) -> list[str]:
    """The tags of the newest versions, the newest first. Of two tags of one version, the longer says more."""
    versions = []
    for tag in tags:
        found = VERSION.fullmatch(tag)
        if found and (found[2] or "") == suffix:
            numbers = [int(number) for number in found[1].split(".")]
            versions.append((numbers, len(tag), tag))
    return [tag for _, _, tag in sorted(versions, reverse=True)[:count]]


def request(tag: str) -> ImageRequest:
    name = f"{config['repository']}:{tag}"
    return ImageRequest(
        source=name,
        origin=name,
        kind="additional",
        target_repository=None,
        target_tag=None,
        platforms=[],
        with_referrers=False,
        provenance=[("plugin", "newest")],
    )


class Settings(exports.Settings):
    def validate(self, settings: str) -> list[Problem]:
        return problems(json.loads(settings))

    def configure(self, settings: str) -> None:
        global config
        parsed = json.loads(settings)
        if found := problems(parsed):
            raise Err(found)
        config = parsed


class Source(exports.Source):
    def collect(self, out) -> Summary:
        repository = config["repository"]
        tags: list[str] = []
        # What the host answers as an error is raised, and what is not caught here fails the source.
        while page := registry.tags(repository, tags[-1] if tags else None, PAGE):
            tags += page
            if progress.cancelled():
                raise Err(Error_Cancelled())
        suffix = config.get("suffix", "")
        wanted = newest(tags, config["count"], suffix)
        if not wanted:
            raise Err(Error_NotFound(f"`{repository}` has no tag like `1.2.3{suffix}`"))
        images = out.images([request(tag) for tag in wanted])
        return Summary(images=images, generated=0, skipped=len(tags) - len(wanted))
