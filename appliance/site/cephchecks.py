"""Ceph: pools that keep what they promise, drive groups that cephadm would take too, stretch mode that has its sites."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import PurePosixPath

from appliance.model.ceph import DeviceClass, Service, Spread
from appliance.model.place import Level
from appliance.site.checked import Checked
from appliance.site.clusterchecks import selection, somebody
from appliance.site.clusterentries import CephEntry, DriveGroupEntry, FilterEntry, PoolEntry
from hwprofiles.convert import closest
from hwprofiles.document import Problem
from hwprofiles.node import Step

COPIES = 3
STRETCH_COPIES = 4
MAX_COPIES = 10
MAX_OSDS_PER_DEVICE = 4
K = (2, 16)
M = (2, 8)
MAX_MONITORS = 7
APPLIANCE = "appliance"
CLASSES = tuple(word.value for word in DeviceClass)


def check_ceph(checked: Checked) -> Iterator[Problem]:
    """All problems of Ceph."""
    ceph = checked.file.ceph
    if ceph is None:
        return
    at = ceph.at.path
    yield from selection(checked, ceph)
    for key, network in (("public", ceph.public), ("cluster", ceph.cluster)):
        if network is not None:
            yield from checked.unknown((*at, key), "network", (network,), checked.network_names, single=True)
    if ceph.monitors and (ceph.monitors < 1 or ceph.monitors > MAX_MONITORS or ceph.monitors % 2 == 0):
        message = f"monitors vote: 1, 3, 5 or {MAX_MONITORS}, not {ceph.monitors}"
        yield checked.problem((*at, "monitors"), message)
    for group in ceph.osds:
        yield from _group(checked, ceph, group)
    names = ((group.at, "name", group.name) for group in ceph.osds)
    yield from checked.twice(names, "two drive groups have the name")
    for pool in ceph.pools:
        yield from _pool(checked, ceph, pool)
    yield from checked.twice(((pool.at, "name", pool.name) for pool in ceph.pools), "two pools have the name")
    yield from _stretch(checked, ceph)


def _group(checked: Checked, ceph: CephEntry, group: DriveGroupEntry) -> Iterator[Problem]:
    at = group.at.path
    yield from checked.unknown((*at, "profiles"), "profile", group.profiles, checked.profiles)
    yield from checked.repeated((*at, "profiles"), group.profiles)
    for key, found in (("data", group.data), ("db", group.db), ("wal", group.wal)):
        if found is not None:
            yield from _filter(checked, (*at, key), key, found)
    if not 1 <= group.osds_per_device <= MAX_OSDS_PER_DEVICE:
        message = f"1 to {MAX_OSDS_PER_DEVICE} OSDs share a device, not {group.osds_per_device}"
        yield checked.problem((*at, "osds_per_device"), message)
    if group.db_slots < 0:
        yield checked.problem((*at, "db_slots"), f"a number of databases is 1 or more, not {group.db_slots}")
    if group.db_size == 0:
        yield checked.problem((*at, "db_size"), "a database has a size; leave it out for as large as fits")
    if group.device_class is not None and group.device_class not in CLASSES:
        near = difflib.get_close_matches(group.device_class, CLASSES, n=1, cutoff=0.6)
        if near:
            message = f"unknown device class '{group.device_class}'; did you mean '{near[0]}'?"
            yield checked.problem((*at, "device_class"), message)
    if ceph.encrypted and group.encrypted is False:
        message = "'ceph.encrypted: true' is for every OSD; leave it out there to choose by group"
        yield checked.problem((*at, "encrypted"), message)


def _filter(checked: Checked, path: tuple[Step, ...], key: str, found: FilterEntry) -> Iterator[Problem]:
    """cephadm's rules of `DeviceSelection`."""
    asked = found.model or found.vendor or found.size or found.serials or found.rotational is not None
    if found.all and key != "data":
        yield checked.problem((*path, "all"), "'all' is for data only: databases would take every device")
    elif not asked and not found.all and checked.sound(found.at):
        message = "chooses nothing: give model, vendor, size, rotational, serials or 'all: true'"
        yield checked.problem(path, message)
    if found.limit < 0:
        yield checked.problem((*path, "limit"), f"a limit is 1 or more, not {found.limit}; leave it out for none")
    for index, serial in enumerate(found.serials):
        if PurePosixPath(serial).is_absolute():
            message = f"'{serial}' is a device's name, which changes with every boot; give its serial number"
            yield checked.problem(checked.item((*path, "serials"), index), message)
    yield from checked.repeated((*path, "serials"), found.serials)


def _pool(checked: Checked, ceph: CephEntry, pool: PoolEntry) -> Iterator[Problem]:
    at = pool.at.path
    classes = {*CLASSES, *(group.device_class for group in ceph.osds if group.device_class)}
    if pool.device_class is not None and pool.device_class not in classes:
        hint = closest(pool.device_class, classes)
        yield checked.problem((*at, "device_class"), f"unknown device class '{pool.device_class}'{hint}")
    if pool.share <= 0:
        yield checked.problem((*at, "share"), f"a share is more than 0, not {pool.share:g}")
    if pool.spread is Spread.ZONE and pool.domain is Level.ZONE:
        message = "copies inside one zone can't be in different zones; say 'spread: zones', or a smaller domain"
        yield checked.problem((*at, "domain"), message)
    yield from _namespaces(checked, ceph, pool)
    if pool.erasure is None:
        yield from _copies(checked, ceph, pool)
    else:
        yield from _erasure(checked, ceph, pool)


def _namespaces(checked: Checked, ceph: CephEntry, pool: PoolEntry) -> Iterator[Problem]:
    """Of RBD only; and no other pool's key may have the name of theirs (``client.ceph-vms.tenant-a``)."""
    path = (*pool.at.path, "namespaces")
    if pool.namespaces and pool.service is not Service.BLOCK:
        message = f"namespaces are for block pools, '{pool.name}' serves {pool.service}; leave them out"
        yield checked.problem(path, message)
        return
    yield from checked.repeated(path, pool.namespaces)
    for index, name in enumerate(pool.namespaces):
        other = next(
            (one for one in ceph.pools if one.name.startswith(pool.name) and one.name.endswith(f".{name}")), None
        )
        if other is not None:
            message = f"its key would have the name of the key of pool '{other.name}'; give one of them another name"
            yield checked.problem(checked.item(path, index), message)


def _copies(checked: Checked, ceph: CephEntry, pool: PoolEntry) -> Iterator[Problem]:
    """`ceph.md` §4: size 3, min_size 2; never min_size 1."""
    at = pool.at.path
    size = pool.size or (STRETCH_COPIES if ceph.stretch else COPIES)
    path = (*at, "size")
    if size == 1:
        yield checked.problem(path, "one copy is lost with its disk; give 3")
        return
    if not 2 <= size <= MAX_COPIES:
        yield checked.problem(path, f"a pool has 2 to {MAX_COPIES} copies, not {size}")
        return
    if ceph.stretch and size != STRETCH_COPIES:
        yield checked.problem(path, f"stretch mode keeps {STRETCH_COPIES} copies, two a site; leave the size out")
        return
    if size == 2 and pool.min_size != 2:
        message = (
            "with 2 copies, the loss of one leaves the last one to be written alone; give 3, "
            "or 'min_size: 2' to stop writing until it is back"
        )
        yield checked.problem(path if pool.min_size == 0 else (*at, "min_size"), message)
    elif pool.min_size == 1:
        message = "with 'min_size: 1' the last copy is written alone, and lost with its disk; give 2"
        yield checked.problem((*at, "min_size"), message)
    elif pool.min_size and not 2 <= pool.min_size <= size:
        yield checked.problem((*at, "min_size"), f"min_size is 2 to {size} of {size} copies, not {pool.min_size}")
    yield from _domains(checked, pool, size, f"{size} copies")


def _erasure(checked: Checked, ceph: CephEntry, pool: PoolEntry) -> Iterator[Problem]:
    at, found = pool.at.path, pool.erasure
    if found is None or not checked.sound(found.at):
        return
    path = found.at.path
    k, m = (found.code.k, found.code.m) if found.code else (found.k or 0, found.m or 0)
    if found.code is not None and (found.k is not None or found.m is not None):
        yield checked.problem(path, "give 'code', or k and m")
    elif not found.code and (found.k is None or found.m is None):
        yield checked.problem(path, "both k and m are needed, such as {k: 4, m: 2}; or write 'erasure: auto'")
        return
    if ceph.stretch:
        yield checked.problem((*at, "erasure"), "stretch mode has no erasure coding; leave it out")
    if pool.size:
        yield checked.problem((*at, "size"), "a pool has copies or erasure coding; leave one out")
    if (k, m) == (0, 0):
        if pool.min_size:
            yield checked.problem((*at, "min_size"), "is chosen with k and m; leave it out, or give both numbers")
        return
    for value, name, (low, high) in ((k, "k", K), (m, "m", M)):
        if not low <= value <= high:
            why = "; with less, the loss of one domain stops the pool (min_size is k + 1)" if name == "m" else ""
            yield checked.problem((*path, name), f"{name} is {low} to {high}, not {value}{why if value < low else ''}")
            return
    if pool.min_size and not k + 1 <= pool.min_size <= k + m:
        message = f"min_size is {k + 1} to {k + m} of {k}+{m} chunks, not {pool.min_size}"
        yield checked.problem((*at, "min_size"), message)
    yield from _domains(checked, pool, k + m, f"{k + m} chunks")


def _domains(checked: Checked, pool: PoolEntry, wanted: int, what: str) -> Iterator[Problem]:
    """Whether the declared tree has enough buckets. Hosts are counted by the planner; inside a zone the largest counts."""
    level = pool.domain
    if level is None or level is Level.HOST:
        return
    path = (*pool.at.path, "domain")
    names = {_bucket(checked, index, level) for index in range(len(checked.file.racks))} - {""}
    if not names:
        yield checked.problem(path, f"no rack has a {level}; name it in 'racks', or leave the domain out")
    elif len(names) < wanted and not _several(checked, level):
        message = f"{what} need {wanted} {level}s, the site has {len(names)}; choose a smaller domain"
        yield checked.problem(path, message)


def _several(checked: Checked, level: Level) -> bool:
    """Two copies in each of two sites are meant in stretch mode."""
    ceph = checked.file.ceph
    return ceph is not None and ceph.stretch and level in (Level.DATACENTER, Level.ZONE)


def _bucket(checked: Checked, index: int, level: Level) -> str:
    rack = checked.file.racks[index]
    if level is Level.RACK:
        return rack.name
    if level is Level.ROW:
        return f"{rack.datacenter or ''}-{rack.row}" if rack.row else ""
    return (rack.datacenter if level is Level.DATACENTER else rack.zone) or ""


def _stretch(checked: Checked, ceph: CephEntry) -> Iterator[Problem]:
    """`ceph.md` §4: two sites with two monitors each, and a tiebreaker outside the CRUSH map."""
    at = ceph.at.path
    if not ceph.stretch:
        if ceph.tiebreaker is not None:
            yield checked.problem((*at, "tiebreaker"), "is for 'stretch: true' only")
        return
    if ceph.tiebreaker is None:
        if checked.sound(ceph.at):
            message = "two sites need a tiebreaker elsewhere; give 'tiebreaker: appliance', a machine or a profile"
            yield checked.problem((*at, "stretch"), message)
        return
    if ceph.tiebreaker != APPLIANCE and not somebody(checked, ceph.tiebreaker):
        known = {APPLIANCE, *checked.known_machines, *checked.profiles}
        near = closest(ceph.tiebreaker, known)
        hint = near if near.startswith("; did") else "; it is appliance, a machine or a profile"
        yield checked.problem((*at, "tiebreaker"), f"unknown tiebreaker '{ceph.tiebreaker}'{hint}")
        return
    if ceph.tiebreaker in ceph.machines or ceph.tiebreaker in ceph.profiles:
        message = f"'{ceph.tiebreaker}' is among the members of Ceph; a tiebreaker stands outside"
        yield checked.problem((*at, "tiebreaker"), message)
    if ceph.monitors not in (0, 5):
        yield checked.problem(
            (*at, "monitors"), f"stretch mode has 5 monitors, two a site and one, not {ceph.monitors}"
        )
    yield from _sites(checked, ceph)


def _sites(checked: Checked, ceph: CephEntry) -> Iterator[Problem]:
    tiebreaker = checked.machine_names.get(ceph.tiebreaker or "")
    own = next((rack for rack in checked.file.racks if tiebreaker and rack.name == tiebreaker.rack), None)
    found: dict[Level, list[str]] = {}
    for level in (Level.DATACENTER, Level.ZONE):
        names = sorted({_bucket(checked, index, level) for index in range(len(checked.file.racks))} - {""})
        aside = _bucket(checked, checked.file.racks.index(own), level) if own else ""
        others = [name for name in names if name != aside]
        if len(others) == 2:
            return
        if aside and len(names) == 2:
            message = (
                f"'{ceph.tiebreaker}' stands in {level} {aside}, one of the two sites; a tiebreaker stands elsewhere"
            )
            yield checked.problem((*ceph.at.path, "tiebreaker"), message)
            return
        found[level] = others
    counts = " and ".join(f"{len(names)} {level}s" for level, names in found.items())
    message = f"needs exactly two datacenters (or zones) beside the tiebreaker; 'racks' names {counts}"
    yield checked.problem((*ceph.at.path, "stretch"), message)
