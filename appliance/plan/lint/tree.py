"""The CRUSH tree, read from its buckets alone, whatever is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from appliance.model.ceph import Bucket, OsdLayout
from appliance.model.place import LEVELS

ROOT = "root"
ORDER = (*(level.value for level in LEVELS), ROOT)
"""Bucket types from small to large."""
Holding = dict[str, tuple[int, float]]
"""Number of OSDs and their weight in TiB, by device class."""


def osd_item(number: int) -> str:
    """The name of an OSD in a bucket."""
    return f"osd.{number}"


class Tree:
    """Where a name stands twice, the first bucket counts; buckets in a circle hold nothing."""

    def __init__(self, buckets: Iterable[Bucket], osds: Iterable[OsdLayout]) -> None:
        self.all = tuple(buckets)
        self.osds = {osd_item(osd.number): osd for osd in osds}
        self.buckets: dict[str, Bucket] = {}
        for bucket in self.all:
            self.buckets.setdefault(bucket.name, bucket)
        self._domains: dict[tuple[str, str, str], dict[str, float]] = {}

    @cached_property
    def parents(self) -> dict[str, list[str]]:
        """Names of the buckets that an item is in."""
        table: dict[str, list[str]] = {}
        for bucket in self.buckets.values():
            for item in bucket.items:
                table.setdefault(item, []).append(bucket.name)
        return table

    @cached_property
    def _upwards(self) -> tuple[str, ...]:
        """Buckets, each after all buckets in it; those in or above a circle are missing."""
        open_items = {name: sum(item in self.buckets for item in b.items) for name, b in self.buckets.items()}
        ready = [name for name, count in open_items.items() if not count]
        for name in ready:
            for parent in self.parents.get(name, ()):
                open_items[parent] -= 1
                if not open_items[parent]:
                    ready.append(parent)
        return tuple(ready)

    @cached_property
    def circle(self) -> tuple[str, ...]:
        """Buckets that contain themselves."""
        left = set(self.buckets) - set(self._upwards)
        loose = [name for name in left if not left & set(self.parents.get(name, ()))]
        while loose:
            left -= set(loose)
            loose = [name for name in left if not left & set(self.parents.get(name, ()))]
        return tuple(sorted(left))

    @cached_property
    def holdings(self) -> dict[str, Holding]:
        """What is below each bucket."""
        table: dict[str, Holding] = {}
        for name in self._upwards:
            counts: Counter[str] = Counter()
            weights: dict[str, float] = {}
            for item in self.buckets[name].items:
                osd = self.osds.get(item)
                below = {osd.device_class: (1, osd.weight)} if osd else table.get(item, {})
                for kind, (count, weight) in below.items():
                    counts[kind] += count
                    weights[kind] = weights.get(kind, 0.0) + weight
            table[name] = {kind: (counts[kind], weight) for kind, weight in weights.items()}
        return table

    def weight(self, name: str, device_class: str = "") -> float:
        """TiB below a bucket, of one class or all."""
        below = self.holdings.get(name, {})
        return sum(weight for kind, (_, weight) in below.items() if device_class in ("", kind))

    def count(self, name: str, device_class: str = "") -> int:
        """Number of OSDs below a bucket, of one class or all."""
        below = self.holdings.get(name, {})
        return sum(count for kind, (count, _) in below.items() if device_class in ("", kind))

    def domains(self, root: str, level: str, device_class: str = "") -> dict[str, float]:
        """Buckets of a level below ``root`` that have OSDs of the class, with their weight in TiB."""
        key = root, level, device_class
        if key not in self._domains:
            names = [name for name in self.under(root) if self.buckets[name].level == level]
            weights = {name: self.weight(name, device_class) for name in names}
            self._domains[key] = {name: weight for name, weight in weights.items() if weight > 0}
        return self._domains[key]

    def under(self, root: str) -> tuple[str, ...]:
        """The bucket and all buckets below it, once each."""
        seen: dict[str, None] = {}
        waiting = [root] if root in self.buckets else []
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen[name] = None
                waiting += [item for item in self.buckets[name].items if item in self.buckets]
        return tuple(seen)

    def above(self, item: str) -> dict[str, str]:
        """Buckets above an item by their level; the first parent counts."""
        found: dict[str, str] = {}
        seen = {item}
        while self.parents.get(item):
            item = self.parents[item][0]
            if item in seen:
                break
            seen.add(item)
            found.setdefault(self.buckets[item].level, item)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One ``take`` … ``emit`` of a CRUSH rule: the bucket, the class (or empty), and pairs of number and level. A number
    of 0 means as many as the pool's size."""

    take: str
    device_class: str
    choices: tuple[tuple[int, str], ...]
    leaves: bool
    emitted: bool


def blocks(steps: Iterable[str]) -> tuple[Block, ...]:
    """The blocks of a rule; steps that set tunables are passed over. A step that can't be read is `ValueError`."""
    found: list[Block] = []
    for text in steps:
        words = text.removeprefix("step ").split()
        last = found[-1] if found else None
        match words:
            case ["take", bucket, *rest]:
                device = rest[1] if len(rest) == 2 and rest[0] == "class" else ""
                found.append(Block(take=bucket, device_class=device, choices=(), leaves=False, emitted=False))
            case ["choose" | "chooseleaf" as verb, "firstn" | "indep", number, "type", level] if last:
                choices = (*last.choices, (int(number), level))
                leaves = verb == "chooseleaf" or level == "osd"
                found[-1] = Block(
                    take=last.take, device_class=last.device_class, choices=choices, leaves=leaves, emitted=False
                )
            case ["emit"] if last:
                found[-1] = Block(
                    take=last.take,
                    device_class=last.device_class,
                    choices=last.choices,
                    leaves=last.leaves,
                    emitted=True,
                )
            case [word, *_] if word.startswith("set_") or word in ("id", "type", "min_size", "max_size"):
                continue
            case _:
                raise ValueError(f"'{text}'")
    return tuple(found)
