#!/usr/bin/env python3
"""Oracle: which releases does a configuration select from a Cincinnati graph?

An independent second implementation of the selection of releases, written from
the reference texts `oc-mirror-v2.md` ("v2", section 4.2) and `oc-mirror-v1.md`
("v1", section 2.5). It favours being obviously right over being fast.

A shortest path is not searched for. The cost of reaching the target is taken
as the least solution of "cost of a node = cheapest edge + cost of where it
leads", found by repeating the equation until nothing changes, and the path is
read off it. That neighbours are tried by descending version means: of all
cheapest paths it is the one that is the highest when written as a list of
versions.

Usage:
  releases.py digests DIR              # all graphs below DIR
  releases.py random COUNT             # made-up graphs, with cycles, equal versions and risks
  releases.py case FILE KIND MIN MAX   # one of them; KIND: range, shortest, risks
  releases.py self-test
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import sys
from typing import Any, Iterator, Optional

STRICT = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)

# Pairs of recorded graphs that make a path between channels.
PAIRS = [
    ("history/fefff5941f", "stable-4.2_amd64", "stable-4.2", "stable-4.3_amd64", "stable-4.3"),
    ("history/fefff5941f", "stable-4.2_s390x", "stable-4.2", "stable-4.3_s390x", "stable-4.3"),
    ("history/5a0659c1e3", "stable-4.2_amd64", "stable-4.2", "stable-4.3_amd64", "stable-4.3"),
    ("history/fefff5941f", "stable-4.2_amd64", "fast-4.3", "stable-4.3_amd64", "stable-4.3"),
    ("openshift__cincinnati/e2e", "stable-4.7_amd64", "stable-4.7", "stable-4.9_amd64", "stable-4.9"),
]


class Damaged(Exception):
    """A file is no graph."""


def version_key(text: str) -> tuple:
    """Orders versions as semver does; build metadata does not count."""
    match = STRICT.fullmatch(text)
    if not match:
        raise Damaged(f"{text!r} is no version")
    numbers = tuple(int(match[part]) for part in (1, 2, 3))
    if match[4] is None:
        return numbers + ((1,),)
    words = tuple((0, int(word), "") if word.isdigit() else (1, 0, word) for word in match[4].split("."))
    return numbers + ((0,) + words,)


class Graph:
    """Nodes by their place, edges as `from -> {to: has a condition}`."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.names = [node["version"] for node in data.get("nodes") or []]
        self.payloads = [node.get("payload") or "" for node in data.get("nodes") or []]
        self.keys = [version_key(name) for name in self.names]
        # Where versions are equal, the first one listed is meant.
        self.place: dict[tuple, int] = {}
        for place, key in enumerate(self.keys):
            self.place.setdefault(key, place)
        self.edges: dict[int, dict[int, bool]] = {place: {} for place in range(len(self.keys))}
        # A conditional update names its ends, so build metadata can tell which of equal versions is meant.
        by_name = {name: place for place, name in reversed(list(enumerate(self.names)))}
        for group in data.get("conditionalEdges") or []:
            for edge in group.get("edges") or []:
                texts = [edge[end] for end in ("from", "to") if STRICT.fullmatch(edge[end])]
                ends = [by_name.get(text, self.place.get(version_key(text))) for text in texts]
                if len(ends) == 2 and None not in ends and self.leads_up(*ends):
                    self.edges[ends[0]][ends[1]] = True
        self.has_conditions = any(self.edges.values())
        for start, end in data.get("edges") or []:
            if not (0 <= start < len(self.keys) and 0 <= end < len(self.keys)):
                raise Damaged("an edge to nowhere")
            if self.leads_up(start, end):
                self.edges[start][end] = False

    def leads_up(self, start: int, end: int) -> bool:
        """No cluster is updated to a lower version, or to the same one in another build, whatever a graph says."""
        return self.keys[start] < self.keys[end]

    def sorted_keys(self) -> list[tuple]:
        return sorted(self.place)

    def range(self, low: tuple, high: tuple) -> set[int]:
        return {place for place, key in enumerate(self.keys) if low <= key <= high}

    def costs(self, end: int, accept: bool) -> dict[int, tuple[int, int]]:
        """What it costs to get to `end`: (risky updates, updates)."""
        cost: dict[int, tuple[int, int]] = {end: (0, 0)}
        order = sorted(self.edges, key=lambda place: self.keys[place], reverse=True)
        changed = True
        while changed:
            changed = False
            for start in order:
                for to, condition in self.edges[start].items():
                    if to in cost:
                        new = (cost[to][0] + (condition and not accept), cost[to][1] + 1)
                        if start not in cost or new < cost[start]:
                            cost[start] = new
                            changed = True
        return cost

    def path(self, cost: dict[int, tuple[int, int]], start: int, end: int, accept: bool) -> Optional[list[int]]:
        """The cheapest path that is the highest list of versions."""
        if start not in cost:
            return None
        path = [start]
        while path[-1] != end:
            here = path[-1]
            good = [
                to
                for to, condition in self.edges[here].items()
                if to in cost and (cost[to][0] + (condition and not accept), cost[to][1] + 1) == cost[here]
            ]
            path.append(max(good, key=lambda place: (self.keys[place], -place)))
        return path

    def way(self, low: tuple, high: tuple, accept: bool = False) -> set[int]:
        """The nodes of a shortest path; only its ends if there is none."""
        start, end = self.place[low], self.place[high]
        return {start, end} | set(self.path(self.costs(end, accept), start, end, accept) or [])

    def text(self, places: set[int]) -> str:
        return listing((self.keys[p], self.payloads[p], self.names[p]) for p in places)


def listing(releases: Iterator[tuple]) -> str:
    """One release for each payload, sorted, as both sides print it. Releases without a payload are left out."""
    by_payload: dict[str, tuple] = {}
    for key, payload, name in sorted(releases):
        if payload:
            by_payload.setdefault(payload, (key, payload, name))
    return " ".join(name for _, _, name in sorted(by_payload.values()))


def digest(lines: list[str]) -> str:
    return hashlib.md5("".join(line + "\n" for line in lines).encode()).hexdigest()


def answers(graph: Graph) -> Iterator[tuple[str, str, list[str]]]:
    """All questions about one graph: (kind, maximum, answers by ascending minimum)."""
    keys = graph.sorted_keys()
    name = {key: graph.names[graph.place[key]] for key in keys}
    if not keys:
        return
    first, latest = keys[0], keys[-1]
    yield "head", "", [graph.text(graph.range(latest, latest))]
    yield "full", "", [graph.text(graph.range(first, latest))]
    yield "min", "", [graph.text(graph.range(key, latest)) for key in keys]
    yield "max", "", [graph.text(graph.range(first, key)) for key in keys]
    yield "min-shortest", "", [graph.text(graph.way(key, latest)) for key in keys]
    yield "max-shortest", "", [graph.text(graph.way(first, key)) for key in keys]
    # v1: a channel that was mirrored before is wanted from its first head on.
    yield "since", "", [graph.text(graph.range(key, latest)) for key in keys]
    for at, high in enumerate(keys):
        lows = keys[: at + 1]
        yield "range", name[high], [graph.text(graph.range(low, high)) for low in lows]
        kinds = (("shortest", False), ("risks", True)) if graph.has_conditions else (("shortest", False),)
        for kind, accept in kinds:
            end = graph.place[high]
            cost = graph.costs(end, accept)
            lines = []
            for low in lows:
                start = graph.place[low]
                found = graph.path(cost, start, end, accept) or []
                lines.append(graph.text({start, end} | set(found)))
            yield kind, name[high], lines


def between(source: Graph, source_name: str, target: Graph, target_name: str, low: tuple, high: tuple) -> str:
    """v2, 4.2 "Cross-channel", for two channels; channels of minor versions in between do not exist."""
    line = lambda name: name.rsplit("-", 1)[1]
    last = source.sorted_keys()[-1]
    picked = []

    def pick(graph: Graph, places: set[int]) -> None:
        picked.extend((graph.keys[p], graph.payloads[p], graph.names[p]) for p in places)

    # What the two channels select themselves: from `low` on, and up to `high`.
    pick(source, source.range(low, last))
    pick(target, target.range(target.sorted_keys()[0], high))
    lowest = min((low, 0), (target.sorted_keys()[0], 1))
    highest = max((last, 0), (high, -1))
    start, end = lowest[0], highest[0]
    from_source, to_target = lowest[1] == 0, highest[1] == -1
    first, first_name = (source, source_name) if from_source else (target, target_name)
    final, final_name = (target, target_name) if to_target else (source, source_name)
    at = start
    if first is not final and line(first_name) != line(final_name):
        latest = first.sorted_keys()[-1]
        found = first.path(first.costs(first.place[latest], False), first.place[start], first.place[latest], False)
        pick(first, {first.place[start]} | set(found or []))
        at = latest
        numbers = [int(line(name).split(".")[1]) for name in (first_name, final_name)]
        if numbers[1] != numbers[0] + 1:
            pick(final, {final.place[end]})
            return listing(picked)
    if at in final.place:
        pick(final, final.way(at, end))
    else:
        pick(final, {final.place[end]})
    return listing(picked)


def graphs(root: str) -> Iterator[tuple[str, Optional[Graph]]]:
    """All recorded graphs below a directory; None for one that is damaged."""
    for directory, _, files in sorted(os.walk(root)):
        for file in sorted(files):
            if not file.endswith(".json"):
                continue
            path = os.path.join(directory, file)
            name = os.path.relpath(path, root)
            try:
                with open(path, encoding="utf-8") as handle:
                    data = json.load(handle)
                if isinstance(data, dict) and "nodes" in data:
                    yield name, Graph(data)
            except (ValueError, Damaged):
                yield name, None


def digests(root: str) -> None:
    known = {}
    for name, graph in graphs(root):
        if graph is None:
            print(json.dumps({"graph": name, "damaged": True}))
            continue
        known[name] = graph
        for kind, high, lines in answers(graph):
            print(json.dumps({"graph": name, "kind": kind, "max": high, "cases": len(lines), "digest": digest(lines)}))
    for folder, left, source_name, right, target_name in PAIRS:
        pick = lambda part: next(n for n in known if n.startswith(folder) and part in n)
        names = pick(left), pick(right)
        source, target = known[names[0]], known[names[1]]
        for high in target.sorted_keys():
            lines = [
                between(source, source_name, target, target_name, low, high) for low in source.sorted_keys()
            ]
            row = {"graph": names[0], "name": source_name, "target": names[1], "targetName": target_name}
            row |= {"kind": "between", "max": target.names[target.place[high]]}
            print(json.dumps(row | {"cases": len(lines), "digest": digest(lines)}))


def made_up(count: int) -> None:
    """Graphs that no update service would answer with. The same ones every time."""
    chance = random.Random(1)
    versions = [f"1.{minor}.0{tail}" for minor in range(6) for tail in ("", "-rc.1", "-rc.10", "+a", "+b")]
    for number in range(count):
        names = chance.sample(versions, chance.randint(2, 12))
        places = range(len(names))
        nodes = [{"version": name, "payload": f"p{chance.randint(0, 40)}"} for name in names]
        edges = [[chance.choice(places), chance.choice(places)] for _ in range(chance.randint(0, 40))]
        groups = []
        for risk in range(chance.randint(0, 3)):
            ends = [{"from": chance.choice(names), "to": chance.choice(names)} for _ in range(chance.randint(0, 8))]
            groups.append({"edges": ends, "risks": [{"name": f"R{risk}"}]})
        data = {"nodes": nodes, "edges": edges, "conditionalEdges": groups}
        name = f"random {number}"
        print(json.dumps({"graph": name, "json": json.dumps(data)}))
        for kind, high, lines in answers(Graph(data)):
            print(json.dumps({"graph": name, "kind": kind, "max": high, "cases": len(lines), "digest": digest(lines)}))


def self_test() -> None:
    order = "1.0.0-1 1.0.0-1.0 1.0.0-2 1.0.0-10 1.0.0-a 1.0.0-a.1 1.0.0-a.b 1.0.0 1.0.1 1.10.0".split()
    assert sorted(order, key=version_key) == order
    assert version_key("1.0.0+a") == version_key("1.0.0+b")
    nodes = [{"version": v, "payload": v} for v in ("1.0.0", "1.1.0", "1.2.0", "1.3.0")]
    edges = [[0, 1], [0, 2], [1, 3], [2, 3], [3, 0]]
    graph = Graph({"nodes": nodes, "edges": edges})
    low, high = graph.keys[0], graph.keys[3]
    assert graph.text(graph.way(low, high)) == "1.0.0 1.2.0 1.3.0"
    assert graph.text(graph.range(low, graph.keys[1])) == "1.0.0 1.1.0"
    risky = [{"edges": [{"from": "1.0.0", "to": "1.3.0"}], "risks": [{"name": "A"}]}]
    graph = Graph({"nodes": nodes, "edges": edges, "conditionalEdges": risky})
    assert graph.text(graph.way(low, high)) == "1.0.0 1.2.0 1.3.0"
    assert graph.text(graph.way(low, high, accept=True)) == "1.0.0 1.3.0"
    print("ok")


def main(arguments: list[str]) -> int:
    match arguments:
        case ["digests", root]:
            digests(root)
        case ["random", count]:
            made_up(int(count))
        case ["case", file, kind, low, high]:
            with open(file, encoding="utf-8") as handle:
                graph = Graph(json.load(handle))
            ends = version_key(low), version_key(high)
            places = graph.range(*ends) if kind == "range" else graph.way(*ends, accept=kind == "risks")
            print(graph.text(places))
        case ["self-test"]:
            self_test()
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
