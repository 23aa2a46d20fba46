"""Where a machine stands: what the site file says of it, else which rack's switches it hears.

A machine is never guessed into a rack. When it hears switches of several racks (dual-homed to a pair that stands in two),
only those levels count on which all of these racks agree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from agent.wire import Inventory
from appliance.model.place import Place, Rack
from appliance.model.site import ExpectedMachine, Site


def locate(
    site: Site, entry: ExpectedMachine | None, inventory: Inventory | None, before: Place | None = None
) -> Place:
    """The place of one machine; for many machines make one `Locations` and ask that. ``before`` is where an accepted
    plan has it."""
    return Locations(site).place(entry, inventory, before)


@dataclass(slots=True)
class Locations:
    """The racks of a site, by name and by the switches in them."""

    site: Site
    racks: dict[str, Rack] = field(init=False)
    switches: dict[str, str] = field(init=False)
    """LLDP system name, and the part of it before the first dot, both case-folded → rack. A name that racks share is
    left out: it places nobody."""

    def __post_init__(self) -> None:
        self.racks = {rack.name: rack for rack in self.site.racks}
        found: dict[str, set[str]] = {}
        for rack in self.site.racks:
            for switch in rack.switches:
                for name in spellings(switch):
                    found.setdefault(name, set()).add(rack.name)
        self.switches = {name: min(racks) for name, racks in found.items() if len(racks) == 1}

    def place(self, entry: ExpectedMachine | None, inventory: Inventory | None, before: Place | None = None) -> Place:
        """The site file's entry decides. Else what an accepted plan said holds (LLDP falls silent with every reboot, and
        what stands is not moved by a cable). Else the racks whose switches are heard. Unknown levels stay empty."""
        unit = entry.unit if entry else 0
        if entry is not None and entry.rack:
            return self._in_rack(entry.rack, unit)
        if before is not None and before.rack in self.racks:
            return self._in_rack(before.rack, unit or before.unit)
        heard = self._heard(inventory)
        if not heard:
            return before or Place()
        if len(heard) == 1:
            return self._in_rack(heard[0], unit)
        return replace(self._common([self._in_rack(rack, 0) for rack in heard]), unit=0)

    def _heard(self, inventory: Inventory | None) -> list[str]:
        """Racks whose switches a port of the machine hears, sorted."""
        if inventory is None or not self.switches:
            return []
        names = {neighbour.system for nic in inventory.nics for neighbour in nic.neighbours if neighbour.system}
        racks = {self.switches[name] for system in names for name in spellings(system) if name in self.switches}
        return sorted(racks)

    def _in_rack(self, name: str, unit: int) -> Place:
        rack = self.racks.get(name)
        if rack is None:
            return Place(rack=name, unit=unit)
        return Place(zone=rack.zone, datacenter=rack.datacenter, row=rack.row, rack=name, unit=unit)

    def _common(self, places: Iterable[Place]) -> Place:
        """What all these places have in common. A row counts only inside one datacenter."""
        zones, datacenters, rows = zip(*((place.zone, place.datacenter, place.row) for place in places), strict=True)
        zone, datacenter, row = _same(zones), _same(datacenters), _same(rows)
        return Place(zone=zone, datacenter=datacenter, row=row if len(set(datacenters)) == 1 else "")


def spellings(system: str) -> tuple[str, ...]:
    """An LLDP system name as it is compared: case-folded, in full and without its domain."""
    full = system.strip().casefold()
    short = full.split(".", 1)[0]
    return (full, short) if short and short != full else (full,)


def _same(names: tuple[str, ...]) -> str:
    return names[0] if len(set(names)) == 1 else ""
