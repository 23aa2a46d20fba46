"""What can be done with each disk of a machine, before anybody chooses: it is free, it needs a grant, or it is out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from agent.wire import Disk
from appliance.model.observed import ObservedMachine
from appliance.plan.disks.content import is_ours
from appliance.plan.disks.key import label
from appliance.plan.disks.reject import Finding, carries, device_findings, explain
from appliance.plan.order import natural

Identity = tuple[str, str, int]
"""Serial as it is compared, WWN in lower case, size. NVMe namespaces and paths share serials, so the WWN belongs to it."""

BLANK = "it is blank"
OURS = "an earlier install of this machine is on it"
GRANTED = "its erasure is granted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What the site says about disks, by serial: ``granted`` may be erased, ``protected`` never. ``ambiguous`` are
    serials that more than one disk of the site has; a grant for them counts for none. ``replaced`` are disks that people
    replaced or want replaced: neither used nor erased, in whatever machine they turn up."""

    granted: frozenset[str]
    protected: frozenset[str]
    ambiguous: frozenset[str]
    replaced: frozenset[Identity] = frozenset()
    special: frozenset[str] = field(init=False)
    """Serials that say more of a disk than which one it is: all of the above, and none at all."""

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "special", self.granted | self.protected | self.ambiguous | {""} | {key[0] for key in self.replaced}
        )

    def grants(self, serial: str) -> bool:
        """Whether the disk with this serial (as `serial_key` gives it) may be erased."""
        return serial in self.granted and serial not in self.ambiguous


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One disk. ``out`` is the finding that no grant removes, or None; ``free_because`` why what is on it may go, or
    empty; ``protected`` is also said when another finding is graver."""

    disk: Disk
    identity: Identity
    out: Finding | None
    protected: bool
    free_because: str

    @property
    def free(self) -> bool:
        """Blank, ours, or granted."""
        return bool(self.free_because)

    @property
    def carries(self) -> str:
        """What is on it, for people."""
        return carries(self.disk.content)

    @property
    def why_out(self) -> str:
        """`out` in words."""
        return explain(self.disk, self.out) if self.out else ""


def identity(disk: Disk) -> Identity:
    """What a disk is known by inside its machine."""
    return (*label(disk), disk.size)


def in_order(disks: Sequence[Disk]) -> list[Disk]:
    """By bus path, then by what is on the label: an order that does not depend on the kernel's."""
    order = _by_bus(tuple([disk.bus_path for disk in disks]))
    return sorted(disks, key=_order) if order is None else [disks[position] for position in order]


@lru_cache(maxsize=1 << 10)
def _by_bus(paths: tuple[str, ...]) -> tuple[int, ...] | None:
    """The order of bus paths, which all machines of a kind have in common; None when they don't tell the disks apart."""
    keys = [_natural(path) for path in paths]
    distinct = len(set(paths)) == len(paths) and len(set(keys)) == len(keys)
    return tuple(sorted(range(len(paths)), key=keys.__getitem__)) if distinct else None


def _order(disk: Disk) -> tuple[object, ...]:
    return _natural(disk.bus_path), disk.serial, disk.wwn, disk.size, disk.path


_natural = lru_cache(maxsize=1 << 14)(natural)
"""Bus paths are few: every machine of a kind has the same."""


def judge(machine: ObservedMachine, system: Sequence[Disk], claimed: Claims) -> list[Verdict]:
    """All disks of the machine but its system disks, in order."""
    disks = machine.inventory.disks if machine.inventory else ()
    known = [(disk, identity(disk)) for disk in in_order(disks)]
    twins: Counter[tuple[str, str]] = Counter([key[:2] for _, key in known])
    taken = {identity(one) for one in system}
    return [
        _verdict(machine, disk, key, claimed, twin=twins[key[:2]] > 1)
        for disk, key in known
        if key not in taken or disk not in system
    ]


def _verdict(machine: ObservedMachine, disk: Disk, key: Identity, claimed: Claims, *, twin: bool) -> Verdict:
    found = device_findings(disk)
    protected = key[0] in claimed.protected
    replaced = key in claimed.replaced
    out = found[0] if found else Finding.TWIN if twin else Finding.PROTECTED if protected else None
    return Verdict(
        disk=disk,
        identity=key,
        out=Finding.REPLACED if replaced else out,
        protected=protected,
        free_because="" if replaced else _free_because(machine, disk, key[0], claimed),
    )


def _free_because(machine: ObservedMachine, disk: Disk, serial: str, claimed: Claims) -> str:
    if disk.content.blank:
        return BLANK
    if is_ours(machine, disk):
        return OURS
    return GRANTED if claimed.grants(serial) else ""
