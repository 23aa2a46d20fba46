"""Machines, and where they stand: what must differ, what must exist, what fits into a rack and into CRUSH's tree."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from appliance.model.machine import APPLIANCE
from appliance.model.place import Level, Place
from appliance.site.checked import Checked
from appliance.site.machineentries import MachineEntry, RackEntry
from hwprofiles.convert import closest
from hwprofiles.document import Problem
from hwprofiles.node import Position
from hwprofiles.normal import uuid_pair

MAX_UNITS = 100
MAX_COUNT = 100_000


def check_machines(checked: Checked) -> Iterator[Problem]:
    """All problems of machines, counts and racks."""
    yield from _identity(checked)
    yield from _profiles(checked)
    yield from _places(checked)
    yield from _counts(checked)
    yield from _racks(checked)
    yield from _levels(checked)
    yield from _buckets(checked)


def _identity(checked: Checked) -> Iterator[Problem]:
    for machine in checked.machines:
        if not (machine.serial or machine.mac or machine.uuid or machine.switch_port) and checked.sound(machine.at):
            message = "nothing identifies this machine: give at least one of serial, mac, uuid, switch_port"
            yield checked.problem(machine.at.path, message, key=True)
        if machine.name == APPLIANCE:
            message = "this name means the machine that rackseed itself runs on; give another one"
            yield checked.problem(machine.at.path, message, key=True)
    for key, what in _UNIQUE:
        values = ((machine.at, key, _comparable(key, getattr(machine, key))) for machine in checked.machines)
        yield from checked.twice(values, f"two machines have the {what}")


_UNIQUE = (
    *(("name", "name"), ("serial", "serial"), ("mac", "MAC"), ("uuid", "UUID"), ("address", "address")),
    *(("switch_port", "switch port"), ("bmc", "BMC")),
)


def _comparable(key: str, value: object) -> object:
    """UUIDs are the same in either byte order."""
    return min(uuid_pair(str(value))) if key == "uuid" and value is not None else value


def _profiles(checked: Checked) -> Iterator[Problem]:
    for machine in checked.machines:
        if machine.profile is not None and machine.profile not in checked.profiles:
            message = f"unknown profile '{machine.profile}'{closest(machine.profile, checked.profiles)}"
            yield checked.problem((*machine.at.path, "profile"), message)
    file = checked.file
    for group in (
        [(entry.at, entry.profile) for entry in file.expect],
        [(entry.at, entry.profile) for entry in file.firmware],
        [(entry.at, entry.profile) for entry in file.deadlines],
    ):
        for at, profile in group:
            if profile not in checked.profiles:
                message = f"unknown profile '{profile}'{closest(profile, checked.profiles)}"
                yield checked.problem(at.path, message, key=True)
        yield from checked.twice(((at, "profile", profile) for at, profile in group), "two entries are for the profile")


def _places(checked: Checked) -> Iterator[Problem]:
    racks: dict[str, RackEntry] = {rack.name: rack for rack in checked.file.racks}
    taken: list[tuple[Position, str, object]] = []
    for machine in checked.machines:
        if machine.rack is not None and machine.rack not in racks:
            hint = closest(machine.rack, checked.rack_names) or "; 'racks' names none"
            yield checked.problem((*machine.at.path, "rack"), f"unknown rack '{machine.rack}'{hint}")
        if machine.unit is None:
            continue
        rack = racks.get(machine.rack or "")
        path = (*machine.at.path, "unit")
        if machine.rack is None:
            yield checked.problem(path, "a unit is of a rack; give 'rack' too")
        elif machine.unit < 1:
            yield checked.problem(path, f"units count from 1, not {machine.unit}")
        elif rack is not None and machine.unit > rack.units:
            yield checked.problem(path, f"rack {rack.name} has {rack.units} units, there is no unit {machine.unit}")
        else:
            taken.append((machine.at, "unit", f"{machine.unit} of {machine.rack}"))
    yield from checked.twice(taken, "two machines stand in unit")


def _counts(checked: Checked) -> Iterator[Problem]:
    for entry in checked.file.expect:
        if not 1 <= entry.count <= MAX_COUNT:
            message = f"a count is 1 to {MAX_COUNT}, not {entry.count}"
            yield checked.problem((*entry.at.path, "count"), message)


def _racks(checked: Checked) -> Iterator[Problem]:
    switches: list[tuple[Position, str, object]] = []
    names = ((rack.at, "name", rack.name) for rack in checked.file.racks)
    yield from checked.twice(names, "two racks have the name")
    for rack in checked.file.racks:
        if not 1 <= rack.units <= MAX_UNITS:
            yield checked.problem((*rack.at.path, "units"), f"a rack has 1 to {MAX_UNITS} units, not {rack.units}")
        yield from checked.repeated((*rack.at.path, "power"), rack.power)
        yield from checked.repeated((*rack.at.path, "switches"), rack.switches)
        switches += [(rack.at, "switches", switch) for switch in dict.fromkeys(rack.switches)]
    yield from checked.twice(switches, "two racks have the switch")


_ABOVE: tuple[tuple[str, Callable[[RackEntry], str | None]], ...] = (
    ("row", lambda rack: rack.row),
    ("datacenter", lambda rack: rack.datacenter),
    ("zone", lambda rack: rack.zone),
)


def _levels(checked: Checked) -> Iterator[Problem]:
    """A level is of all racks or of none: CRUSH would never place on racks that a level passes by. What a level belongs
    to must be said the same everywhere."""
    racks = checked.file.racks
    for key, level in _ABOVE:
        with_it = next((rack for rack in racks if level(rack)), None)
        for rack in racks:
            if with_it is not None and not level(rack) and checked.sound(rack.at):
                message = f"has no {key}, but rack {with_it.name} has; give every rack one, or none"
                yield checked.problem(rack.at.path, message, key=True)
    yield from _zones(checked, "row", lambda rack: None if rack.datacenter else rack.row)
    yield from _zones(checked, "datacenter", lambda rack: rack.datacenter)


def _zones(checked: Checked, level: str, name: Callable[[RackEntry], str | None]) -> Iterator[Problem]:
    """A row or datacenter is in one zone."""
    first: dict[str, RackEntry] = {}
    for rack in checked.file.racks:
        value = name(rack)
        if value is None or rack.zone is None:
            continue
        other = first.setdefault(value, rack)
        if other.zone != rack.zone:
            message = f"{level} {value} is in zone {rack.zone} here, but rack {other.name} says {other.zone}"
            yield checked.problem((*rack.at.path, "zone"), f"{message}; it can be in one only")


def _buckets(checked: Checked) -> Iterator[Problem]:
    """Names of buckets are unique in CRUSH, whatever their level; hosts are buckets too."""
    numbered = re.compile(rf"{re.escape(checked.file.hostname_prefix)}[0-9]+")
    owner: dict[str, str] = {}
    for rack in checked.file.racks:
        place = Place(zone=rack.zone or "", datacenter=rack.datacenter or "", row=rack.row or "", rack=rack.name)
        for level in (Level.ZONE, Level.DATACENTER, Level.ROW, Level.RACK):
            name = place.bucket(level)
            if not name:
                continue
            said = (
                f"row {rack.row} of {rack.datacenter}" if level is Level.ROW and rack.datacenter else f"{level} {name}"
            )
            path, key = (rack.at.path, True) if level is Level.RACK else ((*rack.at.path, level.value), False)
            known = owner.get(name)
            owner.setdefault(name, said)
            if known is None and numbered.fullmatch(name):
                message = f"'{name}' is what a machine without a name would be called; names in CRUSH's tree are unique"
                yield checked.problem(path, message, key=key)
            elif known not in (None, said):
                message = f"'{name}' is also the bucket of {known}; names in CRUSH's tree are unique, choose another"
                yield checked.problem(path, message, key=key)
    for machine in checked.machines:
        if machine.name in owner:
            yield _host(checked, machine, owner[machine.name])


def _host(checked: Checked, machine: MachineEntry, what: str) -> Problem:
    message = f"'{machine.name}' is also the bucket of {what}; a host needs a name of its own in CRUSH's tree"
    named = (
        (*machine.at.path, "name") if len(machine.at.path) > 1 and machine.at.path[0] == "manifest" else machine.at.path
    )
    return checked.problem(named, message, key=True)
