"""Disks by what people call them: a serial, a WWN, or MACHINE/SERIAL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from appliance.model.ceph import CephLayout, DiskRef
from appliance.operations.errors import Invalid, NotFound
from appliance.store import inventories, machines
from hwprofiles.normal import serial_key
from hwprofiles.values import show_size


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDisk:
    """A disk of a machine: reported by it, or named by the accepted layout (a dead disk is not reported any more).
    ``where`` is its bus path or empty."""

    machine: str
    name: str
    serial: str
    wwn: str
    model: str
    size: int
    where: str = ""

    @property
    def identity(self) -> tuple[str, str, int]:
        """As `appliance.plan.disks.verdict.identity`."""
        return serial_key(self.serial), self.wwn.lower(), self.size

    def fits(self, ref: DiskRef) -> bool:
        """Whether the layout means this disk."""
        return self.identity == (serial_key(ref.serial), ref.wwn.lower(), ref.size)


def show(disk: KnownDisk) -> str:
    """For messages: serial, size, model, and whose it is."""
    model = f" {disk.model}" if disk.model else ""
    return f"{disk.serial or disk.wwn} ({show_size(disk.size)}{model} of {disk.name})"


def known_disks(connection: Connection, layout: CephLayout | None) -> tuple[KnownDisk, ...]:
    """All of them, each once."""
    names = {row.id: row.machine.name or row.expected or row.id for row in machines.everything(connection)}
    found: dict[tuple[str, tuple[str, str, int]], KnownDisk] = {}
    for disk in (*_reported(connection, names), *_planned(layout, names)):
        found.setdefault((disk.machine, disk.identity), disk)
    return tuple(found.values())


def _reported(connection: Connection, names: dict[str, str]) -> Iterator[KnownDisk]:
    for machine, name in names.items():
        latest = inventories.latest(connection, machine)
        for disk in latest.inventory.disks if latest else ():
            yield KnownDisk(
                machine=machine,
                name=name,
                serial=disk.serial,
                wwn=disk.wwn,
                model=disk.model,
                size=disk.size,
                where=disk.bus_path,
            )


def _planned(layout: CephLayout | None, names: dict[str, str]) -> Iterator[KnownDisk]:
    for osd in layout.osds if layout else ():
        for ref in (osd.data, osd.db, osd.wal):
            if ref is not None:
                yield KnownDisk(
                    machine=osd.machine,
                    name=names.get(osd.machine, osd.machine),
                    serial=ref.serial,
                    wwn=ref.wwn,
                    model=ref.model,
                    size=ref.size,
                )


def find_disk(
    connection: Connection, text: str, layout: CephLayout | None, more: Iterable[KnownDisk] = ()
) -> KnownDisk:
    """The one disk that is meant. Raises `NotFound`, or `Invalid` when several are."""
    every: dict[tuple[str, tuple[str, str, int]], KnownDisk] = {}
    for disk in (*known_disks(connection, layout), *more):
        every.setdefault((disk.machine, disk.identity), disk)
    found = _meant(connection, text.strip(), list(every.values()))
    if not found:
        raise NotFound(
            f"no machine reports a disk {text.strip()!r}, and no OSD is planned on one; the disks of a machine: rackseed "
            "machine show MACHINE"
        )
    if len(found) > 1:
        raise Invalid(f"{text.strip()} are {len(found)} disks; say which: {_choice(found)}")
    return found[0]


def _meant(connection: Connection, text: str, every: Sequence[KnownDisk]) -> list[KnownDisk]:
    direct = [disk for disk in every if _called(disk, text)]
    head, slash, rest = text.partition("/")
    if direct or not slash:
        return direct
    machine = machines.find(connection, head)
    return [disk for disk in every if machine is not None and disk.machine == machine.id and _called(disk, rest)]


def _called(disk: KnownDisk, text: str) -> bool:
    serial, wwn = serial_key(text), text.lower()
    return bool(text) and ((bool(serial) and serial == serial_key(disk.serial)) or wwn == disk.wwn.lower())


def _choice(found: Sequence[KnownDisk]) -> str:
    """By machine; by WWN where a machine has several with this serial."""
    machines_ = {disk.machine for disk in found}
    if len(machines_) == len(found):
        return ", ".join(sorted(f"{disk.name}/{disk.serial or disk.wwn}" for disk in found))
    return ", ".join(sorted(f"{disk.name}/{disk.wwn or disk.serial}" for disk in found))
