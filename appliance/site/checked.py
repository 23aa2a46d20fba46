"""What all checks look at: a file whose types are right, its list of machines, and the names that exist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from appliance.model.site import ProvisioningNetwork
from appliance.site.file import SiteFile
from appliance.site.machineentries import MachineEntry
from appliance.site.manifest import MANIFEST, Manifest
from hwprofiles.convert import closest
from hwprofiles.document import Document, Problem
from hwprofiles.node import Position, SequenceNode, Step, show_path


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A file whose types are right, or were replaced by defaults where they are not: ``before`` are those problems.
    ``network`` is None when the provisioning network is missing or wrong. ``profiles`` and ``systems`` are the names of
    hardware profiles and operating systems."""

    document: Document
    file: SiteFile
    network: ProvisioningNetwork | None
    manifest: Manifest | None
    profiles: frozenset[str]
    systems: frozenset[str]
    before: tuple[Problem, ...]

    @cached_property
    def machines(self) -> tuple[MachineEntry, ...]:
        """Those of the file and those of the list."""
        return (*self.file.machines, *(self.manifest.entries if self.manifest else ()))

    @cached_property
    def machine_names(self) -> dict[str, MachineEntry]:
        """Machines by name."""
        return {machine.name: machine for machine in self.machines}

    @cached_property
    def counted(self) -> int:
        """How many machines are only counted."""
        return sum(max(entry.count, 0) for entry in self.file.expect)

    @cached_property
    def known_machines(self) -> frozenset[str]:
        """Names that a machine has or will have: those that are only counted are called by the prefix and a number."""
        numbered = (f"{self.file.hostname_prefix}{number}" for number in range(1, self.counted + 1))
        return frozenset((*self.machine_names, *numbered))

    @cached_property
    def network_names(self) -> frozenset[str]:
        """Names of networks."""
        return frozenset(entry.name for entry in self.file.networks)

    @cached_property
    def rack_names(self) -> frozenset[str]:
        """Names of racks."""
        return frozenset(rack.name for rack in self.file.racks)

    @cached_property
    def expected(self) -> int:
        """How many machines there will be: listed and counted."""
        return len(self.machines) + self.counted

    @cached_property
    def unsound(self) -> frozenset[str]:
        """Places with a problem, and all places around them."""
        places: set[str] = set()
        for problem in self.before:
            where = problem.where
            while where and where not in places:
                places.add(where)
                where = where[: max(where.rfind("."), where.rfind("["), 0)]
        return frozenset(places)

    def problem(self, path: tuple[Step, ...], message: str, *, key: bool = False) -> Problem:
        """A problem of the value (or key) at ``path``, in the file or in the list."""
        if self.manifest is not None and self._listed(path):
            return self.manifest.problem(path, message)
        return self.document.problem(path, message, key=key)

    def place(self, path: tuple[Step, ...]) -> tuple[str, int, int]:
        """File, line and column of a value."""
        if self.manifest is not None and self._listed(path):
            return (self.manifest.file, *self.manifest.position(path))
        return (self.document.file, *self.document.position(path))

    @staticmethod
    def _listed(path: tuple[Step, ...]) -> bool:
        """Whether it is a row of the list, or a field of one."""
        return path[:1] == (MANIFEST,) and len(path) > 1

    def sound(self, at: Position) -> bool:
        """Whether nothing is wrong at or below this place so far: else a problem would only follow from another."""
        if self.manifest is not None and self._listed(at.path):
            return int(at.path[1]) not in self.manifest.broken
        return show_path(at.path) not in self.unsound

    def twice(self, found: Iterable[tuple[Position, str, object]], what: str) -> Iterator[Problem]:
        """Equal values of (place, key, value); what YAML already refuses as the same key twice is not said again."""
        first: dict[object, tuple[Step, ...]] = {}
        for at, key, value in found:
            if value is None:
                continue
            path = (*at.path, key)
            if value not in first:
                first[value] = path
                continue
            if self._listed(path) or self.place(path) != self.place(first[value]):
                yield self.problem(path, f"{what} '{value}'; the other is at {self.seen_from(path, first[value])}")

    def seen_from(self, path: tuple[Step, ...], other: tuple[Step, ...]) -> str:
        """``line:column`` of ``other``, with its file when it is another one than that of ``path``."""
        if self.manifest is not None and self.manifest.rows and self._listed(other):
            return f"line {self.manifest.rows[int(other[1])]} of the list"
        file, line, column = self.place(other)
        return f"{line}:{column}" if file == self.place(path)[0] else f"{file}:{line}:{column}"

    def unknown(
        self, path: tuple[Step, ...], what: str, names: Sequence[str], known: Iterable[str], *, single: bool = False
    ) -> Iterator[Problem]:
        """Names that do not exist. ``path`` is that of the list, or with ``single`` that of the only value."""
        words = known if isinstance(known, frozenset) else frozenset(known)
        for index, name in enumerate(names):
            if name not in words:
                at = path if single else self.item(path, index)
                yield self.problem(at, f"unknown {what} '{name}'{closest(name, words)}")

    def item(self, path: tuple[Step, ...], index: int) -> tuple[Step, ...]:
        """The path of an item; that of the list where one value stands for it. ``index`` counts those that could be read:
        the others were left out."""
        if show_path(path) in self.unsound:
            node = self.document.node(path)
            count = len(node.items) if isinstance(node, SequenceNode) else 0
            read = [number for number in range(count) if show_path((*path, number)) not in self.unsound]
            return (*path, read[index]) if index < len(read) else path
        return (*path, index) if self.document.has((*path, index)) else path

    def repeated(self, path: tuple[Step, ...], names: Sequence[str]) -> Iterator[Problem]:
        """Names that a list has twice."""
        seen: set[str] = set()
        for index, name in enumerate(names):
            if name in seen:
                yield self.problem(self.item(path, index), f"'{name}' is in this list twice")
            seen.add(name)
