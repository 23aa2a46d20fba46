"""What a network is for: said, or by its name."""

from __future__ import annotations

import re

from appliance.model.network import Plane
from appliance.site.networkentries import NetworkEntry

ALIASES = {"storage": Plane.STORAGE_PUBLIC}
"""The name of the only storage network of a site."""
MAX_LINK = 7
"""corosync has links 0 to 7 (knet)."""
_COROSYNC = re.compile(r"corosync-?([0-7])")


def plane_of(entry: NetworkEntry) -> Plane:
    """What a network is for: said, or by its name; else it is the guests'."""
    if entry.plane is not None:
        return entry.plane
    if _COROSYNC.fullmatch(entry.name):
        return Plane.COROSYNC
    if entry.name in ALIASES:
        return ALIASES[entry.name]
    return next((plane for plane in Plane if plane.value == entry.name), Plane.TENANT)


def link_of(entry: NetworkEntry) -> int | None:
    """The number of corosync's link: said, or by the name, or 0."""
    if plane_of(entry) is not Plane.COROSYNC:
        return None
    named = _COROSYNC.fullmatch(entry.name)
    if entry.link is not None:
        return entry.link
    return int(named[1]) if named else 0
