"""What a plan depends on, by name.

Only what a reboot leaves as it is: no device nodes, no carrier, no SMART values, no times. A disk that is swapped, has
shrunk, or was written to is another fact.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import zip_longest

from appliance.model.ceph import CephLayout, OsdLayout
from appliance.model.machine import Phase
from appliance.model.observed import Observed, ObservedMachine, Replacement
from appliance.model.plan import Desired, DiskFate, Fact, Step
from appliance.plan.bound import Bound, pieces
from appliance.plan.ceph import steps as cephsteps
from appliance.plan.disks.key import AnyDisk, label
from hwprofiles.normal import serial_key

REPLACING = "replacing/"
REMOVING = "removing/"
WANTED = "wanted"
_IN_SERVICE = {Phase.MEMBER: Phase.DEPLOYED}
"""A machine becomes a member while the plan is carried out that makes it one."""


def machine_facts(machine: ObservedMachine, written: Iterable[str]) -> list[Fact]:
    """Facts of one machine that the plan does something to. ``written`` are the `disk_key` of disks that it writes: now
    (`erased_keys`) or when their cluster is formed (`assigned_keys`)."""
    who, inventory = machine.machine.id, machine.inventory
    if inventory is None:
        return []
    disks = inventory.disks
    keys = [disk_key(disk) for disk in disks]
    table = dict(zip(keys, disks, strict=True))
    sizes = sorted([f"{key}:{disk.size}" for key, disk in zip(keys, disks, strict=True)])
    found = [
        Fact(name=f"{who}/policy", value=machine.machine.policy.value),
        Fact(name=f"{who}/phase", value=_IN_SERVICE.get(machine.machine.phase, machine.machine.phase).value),
        Fact(name=f"{who}/architecture", value=inventory.architecture),
        Fact(name=f"{who}/firmware", value=inventory.firmware.value),
        Fact(name=f"{who}/disks", value=" ".join(sizes)),
        Fact(name=f"{who}/ports", value=" ".join(sorted(nic.mac for nic in inventory.nics if nic.mac))),
    ]
    for key in dict.fromkeys(written):
        disk = table.get(key)
        value = _state(disk.content.fingerprint(), disk.size, disk.model) if disk else ""
        found.append(Fact(name=f"{who}/disk/{key}", value=value))
    return found


@lru_cache(maxsize=1 << 10)
def _state(fingerprint: str, size: int, model: str) -> str:
    """What a disk is and carries. One text for all new disks of a kind, of which a site has a hundred thousand."""
    return f"{fingerprint} {size} {model}"


def image_facts(observed: Observed, names: Iterable[str]) -> list[Fact]:
    """The root images that the steps install."""
    images = dict(observed.images)
    return [Fact(name=f"image/{name}", value=images.get(name, "")) for name in sorted(set(names))]


def replacing_facts(found: Iterable[Replacement], standing: CephLayout | None) -> list[Fact]:
    """Which disks of the accepted layout's OSDs people want replaced. It stays true when it was done: a plan that failed
    afterwards goes on."""
    osds = {(osd.machine, disk_key(osd.data)) for osd in standing.osds} if standing and found else frozenset()
    names = {(one.machine, disk_key(one)) for one in found if not one.done}
    return [Fact(name=f"{who}/{REPLACING}{key}", value=WANTED) for who, key in sorted(osds & names)]


def disk_key(disk: AnyDisk) -> str:
    """Serial and WWN, the identity of a disk inside its machine."""
    serial, wwn = label(disk)
    return f"{serial}/{wwn}"


def removing_facts(numbers: Iterable[int]) -> list[Fact]:
    """Which OSDs that no plan made people want to be gone. Only what a plan removes is a fact of it."""
    return [Fact(name=f"{REMOVING}osd.{number}", value=WANTED) for number in sorted(numbers)]


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
    now |= {fact.name: fact.value for fact in removing_facts(observed.removing)}
    for one in observed.replacing:
        now[f"{one.machine}/{REPLACING}{disk_key(one)}"] = WANTED
    now |= {fact.name: fact.value for fact in image_facts(observed, (name for name, _ in observed.images))}
    return {fact.name: now.get(fact.name, "") for fact in facts}


def plan_hash(steps: Sequence[Step], facts: Sequence[Fact], desired: Desired = Desired()) -> str:  # noqa: B008 - frozen
    """SHA-256 of the canonical JSON of ``desired``, ``facts`` and ``steps``, without `bound.UNBOUND`.

    Parts of ``desired`` that are empty do not appear, so a plan without clusters has the hash that it had before there
    were any. Fed in pieces: the JSON of 10 000 machines is never in memory as a whole."""
    digest = hashlib.sha256()
    for piece in pieces(Bound(desired=desired, facts=tuple(facts), steps=tuple(steps))):
        digest.update(piece.encode())
    return digest.hexdigest()


def same_layout(one: Desired, other: Desired) -> bool:
    """Whether two layouts are the same as far as the hash binds them."""
    if one == other:
        return True
    return all(a == b for a, b in zip_longest(pieces(one), pieces(other)))


def erased_keys(step: Step) -> list[str]:
    """`disk_key` of the disks that a step writes."""
    install = step.install
    if install is None or install.disk.fate is not DiskFate.ERASE:
        return []
    return [disk_key(install.disk)]


def assigned_keys(osds: Iterable[OsdLayout]) -> dict[str, list[str]]:
    """`disk_key` of the disks that OSDs are made on, by machine, each disk once. For OSDs that are new in a plan: what
    stands is not written again."""
    found: dict[str, dict[str, None]] = {}
    for osd in osds:
        keys = found.setdefault(osd.machine, {})
        for disk in (osd.data, osd.db, osd.wal):
            if disk is not None:
                keys[f"{serial_key(disk.serial)}/{disk.wwn.lower()}"] = None  # `disk_key`; a call each is felt
    return {machine: list(keys) for machine, keys in found.items()}


def written_keys(steps: Iterable[Step]) -> dict[str, list[str]]:
    """`disk_key` of the disks that steps of Ceph write, by machine; an empty list for a machine that is told something
    but keeps its disks."""
    found: dict[str, dict[str, None]] = {}
    for step in steps:
        found.setdefault(step.machine, {})
        for machine, serial, wwn in cephsteps.written_keys(step):
            found.setdefault(machine, {})[f"{serial}/{wwn}"] = None
    return {machine: list(keys) for machine, keys in found.items()}
