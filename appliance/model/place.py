"""Where a machine stands. The words are CRUSH bucket types, so that the site's tree is Ceph's tree and the rack picture."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """Failure domains from small to large, by their CRUSH bucket types. A zone is an availability zone."""

    HOST = "host"
    RACK = "rack"
    ROW = "row"
    DATACENTER = "datacenter"
    ZONE = "zone"


LEVELS = tuple(Level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rack:
    """A rack of the site file. ``row``, ``datacenter`` and ``zone`` are names of the levels above it, or empty: a level
    that is not named does not exist. ``units`` is its height, ``power`` the feeds that reach it (``a``, ``b``), and
    ``switches`` the names (LLDP system names) of the switches in it, by which machines are placed that nobody listed."""

    name: str
    row: str = ""
    datacenter: str = ""
    zone: str = ""
    units: int = 42
    power: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one machine stands; empty names are levels that are not known. ``unit`` is the lowest rack unit, 0 unknown."""

    zone: str = ""
    datacenter: str = ""
    row: str = ""
    rack: str = ""
    unit: int = 0

    def bucket(self, level: Level) -> str:
        """The CRUSH bucket of this place at ``level``, or empty. Rows are only unique inside their datacenter, so their
        bucket says both; racks, datacenters and zones have names that the site file keeps unique."""
        if level is Level.RACK:
            return self.rack
        if level is Level.ZONE:
            return self.zone
        if level is Level.DATACENTER:
            return self.datacenter
        if level is Level.ROW:
            return f"{self.datacenter}-{self.row}" if self.row and self.datacenter else self.row
        return ""
