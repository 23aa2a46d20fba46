"""What is wrong with real machines, done to those of a fleet: every kind was seen in a dump or a bug report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Any

from agent.wire import Content, Disk, Inventory, Partition, ProbeFailure, Signature
from appliance.model.machine import Phase, Policy, Trouble, TroubleKind
from appliance.model.observed import ObservedMachine
from appliance.rehearsal.fleetparts import TB

FOREIGN = Content(
    table="gpt",
    table_id="0f0e0d0c-0000-4000-8000-000000000001",
    partitions=(
        Partition(number=1, start=1 << 20, size=1 << 30, signatures=(Signature(kind="ext4", label="data"),)),
        Partition(number=2, start=2 << 30, size=3 << 30, signatures=(Signature(kind="LVM2_member", owner="vg0"),)),
    ),
    edges="ab" * 32,
)
OLD_OSD = Content(
    signatures=(
        Signature(
            kind="ceph_bluestore",
            uuid="7c1f2a34-5a0e-4a53-9a4e-6f3b1f0c2d11",
            owner="5b1c6f0e-3f5a-4b43-9d8e-2a7c8d9e0f12",
        ),
    ),
    edges="cd" * 32,
)


class Fault(StrEnum):
    """``shrunk-disk`` is a disk of which a part answers only (a failed NVMe controller shows 0.5 GB of itself)."""

    NOT_SEEN = "not-seen"
    DUPLICATE_SERIAL = "duplicate-serial"
    DUPLICATE_DISK = "duplicate-disk"
    PLACEHOLDER_DMI = "placeholder-dmi"
    NO_DISK = "no-disk"
    NO_SERIALS = "no-serials"
    FOREIGN_SYSTEM = "foreign-system"
    FOREIGN_DATA = "foreign-data"
    READ_ONLY = "read-only"
    SHRUNK_DISK = "shrunk-disk"
    NO_NICS = "no-nics"
    ONE_NIC = "one-nic"
    PROBE_FAILED = "probe-failed"
    LITTLE_MEMORY = "little-memory"
    HELD = "held"
    ENROLLED = "enrolled"
    INSPECTED = "inspected"
    CONFLICT = "conflict"


def apply(fault: Fault, machine: ObservedMachine, other: ObservedMachine | None = None) -> ObservedMachine | None:
    """The machine with the fault, None when it is not seen. ``other`` is the one whose identity is doubled; without one,
    or where a machine has no trusted inventory, that leaves it as it is."""
    if fault is Fault.NOT_SEEN:
        return None
    if fault in _STATES:
        return _STATES[fault](machine)
    if machine.inventory is None:
        return machine
    if fault in (Fault.DUPLICATE_SERIAL, Fault.DUPLICATE_DISK):
        twin = other.inventory if other else None
        return replace(machine, inventory=_doubled(fault, machine.inventory, twin)) if twin else machine
    return replace(machine, inventory=_INVENTORIES[fault](machine.inventory))


def _doubled(fault: Fault, inventory: Inventory, twin: Inventory) -> Inventory:
    if fault is Fault.DUPLICATE_SERIAL:
        return replace(inventory, board=twin.board)
    if not twin.disks or not inventory.disks:
        return inventory
    first = replace(inventory.disks[0], serial=twin.disks[0].serial)
    return replace(inventory, disks=(first, *inventory.disks[1:]))


def _state(**changes: Any) -> Callable[[ObservedMachine], ObservedMachine]:
    return lambda machine: replace(machine, machine=replace(machine.machine, **changes))


def _enrolled(machine: ObservedMachine) -> ObservedMachine:
    return replace(machine, machine=replace(machine.machine, phase=Phase.ENROLLED), inventory=None)


_STATES: dict[Fault, Callable[[ObservedMachine], ObservedMachine]] = {
    Fault.HELD: _state(policy=Policy.HOLD),
    Fault.ENROLLED: _enrolled,
    Fault.INSPECTED: _state(phase=Phase.INSPECTED),
    Fault.CONFLICT: _state(
        trouble=Trouble(
            kind=TroubleKind.IDENTITY_CONFLICT, text="another machine claims its serial; split or merge them", since=0.0
        )
    ),
}


def _placeholders(inventory: Inventory) -> Inventory:
    """AMI's template, left as it is."""
    text = "To be filled by O.E.M."
    board = replace(
        inventory.board,
        serial=text,
        system_serial=text,
        chassis_serial=text,
        system_product=text,
        system_uuid="03000200-0400-0500-0006-000700080009",
    )
    return replace(inventory, board=board)


def _disks(change: Callable[[Disk], Disk], *, system: bool = True) -> Callable[[Inventory], Inventory]:
    """Changes the small disks, which systems are installed on, or the large ones."""

    def changed(inventory: Inventory) -> Inventory:
        disks = tuple(change(disk) if (disk.size < TB) is system else disk for disk in inventory.disks)
        return replace(inventory, disks=disks)

    return changed


_INVENTORIES: dict[Fault, Callable[[Inventory], Inventory]] = {
    Fault.PLACEHOLDER_DMI: _placeholders,
    Fault.NO_DISK: lambda inventory: replace(inventory, disks=()),
    Fault.NO_SERIALS: _disks(lambda disk: replace(disk, serial="", wwn="")),
    Fault.FOREIGN_SYSTEM: _disks(lambda disk: replace(disk, content=FOREIGN)),
    Fault.FOREIGN_DATA: _disks(lambda disk: replace(disk, content=OLD_OSD), system=False),
    Fault.READ_ONLY: _disks(lambda disk: replace(disk, read_only=True)),
    Fault.SHRUNK_DISK: _disks(lambda disk: replace(disk, size=536_870_912)),
    Fault.NO_NICS: lambda inventory: replace(inventory, nics=(), boot_mac=""),
    Fault.ONE_NIC: lambda inventory: replace(inventory, nics=inventory.nics[:1]),
    Fault.PROBE_FAILED: lambda inventory: replace(
        inventory, failures=(ProbeFailure(probe="disks", message="sysfs: Input/output error"),)
    ),
    Fault.LITTLE_MEMORY: lambda inventory: replace(inventory, memory=replace(inventory.memory, total=8 << 30)),
}
