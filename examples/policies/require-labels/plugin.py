"""A custom policy in Python: refuses images that lack a label.

`ImagePolicy.evaluate` reads the labels of an image, or of every image of an index, and leaves the decision to
`lacking`. `wit_world` is what the build makes of the contract; interfaces that the plugin exports are classes here.
"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.types import Finding, Problem, Verdict, Verdict_Allow, Verdict_Deny

# What `configure` was given: an instance has one configuration for all its life.
wanted: list[str] = []


def problems(settings: dict) -> list[Problem]:
    """What the schema of the settings cannot say about them."""
    keys = settings["labels"]
    return [
        Problem(f"labels[{place}]", "require-labels.twice", f"`{key}` is there already")
        for place, key in enumerate(keys)
        if key in keys[:place]
    ]


def lacking(labels: list[tuple[str, str]]) -> list[str]:
    """The keys that labels do not have, or have without a value."""
    there = {key for key, value in labels if value.strip()}
    return [key for key in wanted if key not in there]


class Settings(exports.Settings):
    def validate(self, settings: str) -> list[Problem]:
        return problems(json.loads(settings))

    def configure(self, settings: str) -> None:
        global wanted
        parsed = json.loads(settings)
        if found := problems(parsed):
            raise Err(found)
        wanted = parsed["labels"]


class ImagePolicy(exports.ImagePolicy):
    def evaluate(self, request, img) -> Verdict:
        images = [img]
        if img.is_index():
            # Builders store attestations beside the images, for a platform that does not exist.
            platforms = [child.platform for child in img.children()]
            images = [img.child(p) for p in platforms if p is not None and p.os != "unknown"]
        missing = sorted({key for image in images for key in lacking(image.labels())})
        findings = [
            Finding("require-labels", f"`{request.origin}` lacks the label `{key}`", [("label", key)])
            for key in missing
        ]
        return Verdict_Deny(findings) if findings else Verdict_Allow()
