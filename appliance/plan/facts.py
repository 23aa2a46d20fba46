"""What a plan depends on, by name; and the hash that binds people's approval to it.

Only what a reboot leaves as it is: no device nodes, no carrier, no SMART values, no times. A disk that is swapped, has
shrunk, or was written to is another fact.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from agent.wire import Disk, canonical, to_data
from appliance.model.observed import Observed, ObservedMachine
from appliance.model.plan import DiskFate, Fact, Step
from appliance.plan.network import ports
from hwprofiles.normal import serial_key


def machine_facts(machine: ObservedMachine, erased: Iterable[str]) -> list[Fact]:
    """Facts of one machine that has steps. ``erased`` are the `disk_key` of disks that the plan writes."""
    who, inventory = machine.machine.id, machine.inventory
    if inventory is None:
        return []
    values = {
        "policy": machine.machine.policy.value,
        "phase": machine.machine.phase.value,
        "architecture": inventory.architecture,
        "firmware": inventory.firmware.value,
        "disks": " ".join(sorted(f"{disk_key(disk)}:{disk.size}" for disk in inventory.disks)),
        "ports": " ".join(sorted(nic.mac for nic in ports(inventory))),
    }
    table = {disk_key(disk): disk for disk in inventory.disks}
    for key in erased:
        disk = table.get(key)
        values[f"disk/{key}"] = f"{disk.content.fingerprint()} {disk.size} {disk.model}" if disk else ""
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


def plan_hash(steps: Sequence[Step], facts: Sequence[Fact]) -> str:
    """SHA-256 of the canonical JSON of steps and facts. Device nodes and texts for people are left out."""
    data = to_data(steps)
    for step in data:
        if step["install"]:
            disk = step["install"]["disk"]
            for volatile in ("path", "now", "why"):
                del disk[volatile]
    return hashlib.sha256(canonical({"steps": data, "facts": to_data(facts)})).hexdigest()


def erased_keys(step: Step) -> list[str]:
    """`disk_key` of the disks that a step writes."""
    install = step.install
    if install is None or install.disk.fate is not DiskFate.ERASE:
        return []
    return [f"{serial_key(install.disk.serial)}/{install.disk.wwn.lower()}"]
