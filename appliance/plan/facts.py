"""What a plan depends on, by name.

Only what a reboot leaves as it is: no device nodes, no carrier, no SMART values, no times. A disk that is swapped, has
shrunk, or was written to is another fact.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, is_dataclass
from itertools import zip_longest
from operator import attrgetter

from agent.document import field_names
from agent.wire import Disk
from appliance.model.ceph import CephLayout, OsdBudget, OsdLayout, PoolLayout
from appliance.model.network import BackboneLayout, CableLayout, HostNetwork
from appliance.model.observed import Observed, ObservedMachine
from appliance.model.plan import Desired, DiskChoice, DiskFate, Fact, Step
from hwprofiles.normal import serial_key


def machine_facts(machine: ObservedMachine, written: Iterable[str]) -> list[Fact]:
    """Facts of one machine that the plan does something to. ``written`` are the `disk_key` of disks that it writes: now
    (`erased_keys`) or when their cluster is formed (`assigned_keys`)."""
    who, inventory = machine.machine.id, machine.inventory
    if inventory is None:
        return []
    table: dict[str, Disk] = {}
    sizes: list[str] = []
    for disk in inventory.disks:
        key = disk_key(disk)
        table[key] = disk
        sizes.append(f"{key}:{disk.size}")
    values = {
        "policy": machine.machine.policy.value,
        "phase": machine.machine.phase.value,
        "architecture": inventory.architecture,
        "firmware": inventory.firmware.value,
        "disks": " ".join(sorted(sizes)),
        "ports": " ".join(sorted(nic.mac for nic in inventory.nics if nic.mac)),
    }
    for key in written:
        found = table.get(key)
        values[f"disk/{key}"] = f"{found.content.fingerprint()} {found.size} {found.model}" if found else ""
    return [Fact(name=f"{who}/{name}", value=value) for name, value in values.items()]


def image_facts(observed: Observed, names: Iterable[str]) -> list[Fact]:
    """The root images that the steps install."""
    images = dict(observed.images)
    return [Fact(name=f"image/{name}", value=images.get(name, "")) for name in sorted(set(names))]


def disk_key(disk: Disk) -> str:
    """Serial and WWN, the identity of a disk inside its machine."""
    return f"{serial_key(disk.serial)}/{disk.wwn.lower()}"


def recompute(facts: Sequence[Fact], observed: Observed) -> dict[str, str]:
    """The same facts as they are now, by name; empty for what is gone."""
    machines = {machine.machine.id: machine for machine in observed.machines}
    now: dict[str, str] = {}
    erased: dict[str, list[str]] = {}
    for fact in facts:
        head, _, rest = fact.name.partition("/")
        erased.setdefault(head, [])
        if rest.startswith("disk/"):
            erased[head].append(rest.removeprefix("disk/"))
    for head, keys in erased.items():
        if head in machines:
            now |= {fact.name: fact.value for fact in machine_facts(machines[head], keys)}
    now |= {fact.name: fact.value for fact in image_facts(observed, (name for name, _ in observed.images))}
    return {fact.name: now.get(fact.name, "") for fact in facts}


def plan_hash(steps: Sequence[Step], facts: Sequence[Fact], desired: Desired = Desired()) -> str:  # noqa: B008 - frozen
    """SHA-256 of the canonical JSON (`agent.document.canonical`) of ``desired``, ``facts`` and ``steps``, without `UNBOUND`.

    Parts of ``desired`` that are empty do not appear, so a plan without clusters has the hash that it had before there
    were any. Fed in pieces: the JSON of 10 000 machines is never in memory as a whole."""
    digest = hashlib.sha256()
    for piece in _pieces(_Bound(desired=desired, facts=tuple(facts), steps=tuple(steps))):
        digest.update(piece.encode())
    return digest.hexdigest()


def same_layout(one: Desired, other: Desired) -> bool:
    """Whether two layouts are the same as far as the hash binds them."""
    if one == other:
        return True
    return all(a == b for a, b in zip_longest(_pieces(one), _pieces(other)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bound:
    """What people approve."""

    desired: Desired
    facts: tuple[Fact, ...]
    steps: tuple[Step, ...]


UNBOUND: dict[type, frozenset[str]] = {
    DiskChoice: frozenset({"path", "now", "why"}),
    Desired: frozenset({"availability"}),
    CephLayout: frozenset({"capacity", "throughput"}),
    OsdBudget: frozenset({"memory", "text"}),
    PoolLayout: frozenset({"why"}),
    HostNetwork: frozenset({"missing"}),
    BackboneLayout: frozenset({"why"}),
    CableLayout: frozenset({"state"}),
}
"""Fields that the hash leaves out: the kernel's device nodes, what LLDP hears at the moment, what a kernel says that it has
of the memory, and everything that follows from the rest and is only for people: sentences, reports, predictions."""
_BATCH = 512


def _pieces(value: object) -> Iterator[str]:
    """The canonical JSON of a value, in pieces of at most `_BATCH` items of a tuple."""
    if isinstance(value, tuple):
        for start in range(0, len(value), _BATCH):
            yield ("," if start else "[") + _ENCODER.encode(value[start : start + _BATCH])[1:-1]
        yield "]" if value else "[]"
    elif is_dataclass(value):
        names, values = _shape(type(value))
        found = [item for item in zip(names, values(value), strict=True) if not _left_out(value, *item)]
        for index, (name, item) in enumerate(found):
            yield f'{"," if index else "{"}"{name}":'
            yield from _pieces(item)
        yield "}" if found else "{}"
    else:
        yield _ENCODER.encode(value)


def _left_out(value: object, name: str, item: object) -> bool:
    """Empty parts of what is desired; steps and facts are always there."""
    if isinstance(value, _Bound):
        return name == "desired" and isinstance(item, Desired) and not any(_shape(Desired)[1](item))
    return isinstance(value, Desired) and not item


def _plain(value: object) -> dict[str, object]:
    """A dataclass as the encoder wants it, its keys in canonical order."""
    names, values = _shape(type(value))
    return dict(zip(names, values(value), strict=True))


Shape = tuple[tuple[str, ...], Callable[[object], tuple[object, ...]]]
_SHAPES: dict[type, Shape] = {}


def _shape(kind: type) -> Shape:
    """Names of the bound fields of a dataclass, sorted, and what gets their values; made once for every class."""
    found = _SHAPES.get(kind)
    if found is None:
        found = _SHAPES[kind] = _make_shape(kind)
    return found


def _make_shape(kind: type) -> Shape:
    names = tuple(sorted(set(field_names(kind)) - UNBOUND.get(kind, frozenset())))
    if not names:
        raise TypeError(f"{kind.__name__} has no place in a plan")
    if len(names) == 1:
        return names, lambda value: (getattr(value, names[0]),)
    return names, attrgetter(*names)


_ENCODER = json.JSONEncoder(
    default=_plain, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
)


def erased_keys(step: Step) -> list[str]:
    """`disk_key` of the disks that a step writes."""
    install = step.install
    if install is None or install.disk.fate is not DiskFate.ERASE:
        return []
    return [f"{serial_key(install.disk.serial)}/{install.disk.wwn.lower()}"]


def assigned_keys(osds: Iterable[OsdLayout]) -> dict[str, list[str]]:
    """`disk_key` of the disks that OSDs are made on, by machine, each disk once. For OSDs that are new in a plan: what
    stands is not written again."""
    found: dict[str, dict[str, None]] = {}
    for osd in osds:
        keys = found.setdefault(osd.machine, {})
        for disk in (osd.data, osd.db):
            if disk is not None:
                keys[f"{serial_key(disk.serial)}/{disk.wwn.lower()}"] = None
    return {machine: list(keys) for machine, keys in found.items()}
