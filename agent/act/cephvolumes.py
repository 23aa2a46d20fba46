"""Volumes of OSDs: physical volume, group and logical volumes by names that are computed, as ceph-volume reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.act.cephguard import SLACK, Claim
from agent.errors import CephError, DiskRefusedError
from agent.run import run
from agent.wire import Disk

REPORT = ("--reportformat", "json", "--units", "b", "--nosuffix")


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """One logical volume. ``size`` in bytes."""

    group: str
    name: str
    uuid: str
    size: int
    open: bool
    tags: tuple[str, ...]

    @property
    def path(self) -> str:
        return f"/dev/{self.group}/{self.name}"

    @property
    def short(self) -> str:
        return f"{self.group}/{self.name}"

    def fact(self, name: str) -> str:
        """Of a ``ceph.<name>=`` tag."""
        start = f"ceph.{name}="
        return next((tag.removeprefix(start) for tag in self.tags if tag.startswith(start)), "")


def _report(program: str, columns: str, *arguments: str) -> list[dict[str, Any]]:
    done = run([program, *REPORT, "-o", columns, *arguments])
    kind = {"vgs": "vg", "lvs": "lv", "pvs": "pv"}[program]
    return [row for part in json.loads(done.stdout)["report"] for row in part.get(kind, [])]


def free() -> dict[str, int]:
    """Free bytes of every volume group."""
    return {str(row["vg_name"]): int(row["vg_free"]) for row in _report("vgs", "vg_name,vg_free")}


def volumes(group: str = "") -> list[Volume]:
    """Of one group, or of all."""
    columns = "vg_name,lv_name,lv_uuid,lv_size,lv_device_open,lv_tags"
    return [
        Volume(
            group=str(row["vg_name"]),
            name=str(row["lv_name"]),
            uuid=str(row["lv_uuid"]),
            size=int(row["lv_size"]),
            open=str(row["lv_device_open"]) != "",  # "open", or "unknown" without an answer from the kernel
            tags=tuple(filter(None, str(row["lv_tags"]).split(","))),
        )
        for row in _report("lvs", columns, *([group] if group else []))
    ]


def make_group(claim: Claim, disk: Disk, group: str) -> str:
    """The group on a disk that was judged (``group``: the one that it has). The physical volume's uuid is the marker while
    the group is not there yet. Returns the group's name."""
    if group:
        run(["vgchange", "--activate", "y", group])
        return group
    physical = [row for row in _report("pvs", "pv_name,pv_uuid,vg_name") if _is_same(str(row["pv_name"]), disk.path)]
    if not physical:
        run(["pvcreate", "--yes", "--norestorefile", "--uuid", claim.volume, disk.path])
    elif str(physical[0]["pv_uuid"]).lower() != claim.volume or physical[0]["vg_name"]:
        raise DiskRefusedError(f"content-changed: {disk.path} became a physical volume of somebody else")
    run(["vgcreate", "--yes", claim.group, disk.path])
    return claim.group


def make_volume(group: str, name: str, size: int) -> Volume:
    """``size`` 0, or all but a rounding rest of what is free: all of it."""
    found = [item for item in volumes(group) if item.name == name]
    if not found:
        room = free().get(group, 0)
        if size and room < size - SLACK:
            raise DiskRefusedError(f"no-space: volume group {group} has {room} bytes free, {name} needs {size}")
        extent = next(int(row["vg_extent_size"]) for row in _report("vgs", "vg_extent_size", group))
        extents = size // extent if size and size < room - SLACK else room // extent
        run(["lvcreate", "--yes", "--wipesignatures", "y", "--extents", str(extents), "--name", name, group])
        found = [item for item in volumes(group) if item.name == name]
    run(["lvchange", "--activate", "y", found[0].short])
    return found[0]


def tag(volume: Volume, facts: Mapping[str, str]) -> None:
    """Set ``ceph.`` tags; old values of the same names go. One that is removed and added in one command is gone."""
    wanted = {f"ceph.{name}={value}" for name, value in facts.items()}
    names = tuple(f"ceph.{name}=" for name in facts)
    stale = [old for old in volume.tags if old.startswith(names) and old not in wanted]
    fresh = sorted(wanted - set(volume.tags))
    if stale or fresh:
        words = [word for old in stale for word in ("--deltag", old)] + [w for new in fresh for w in ("--addtag", new)]
        run(["lvchange", *words, volume.short])


def remove(volume: Volume) -> None:
    """Raises `DiskRefusedError` when it is open: an OSD runs on it, or something is mounted."""
    if volume.open:
        raise DiskRefusedError(f"in-use: {volume.path} is open: an OSD runs on it, or it is mounted")
    run(["lvremove", "--yes", volume.short])


def dissolve(group: str, disk: Disk) -> None:
    """Take a whole group down that lies on this one disk, if nothing of it is open. Raises `DiskRefusedError`."""
    others = [row for row in _report("pvs", "pv_name,vg_name") if row["vg_name"] == group]
    paths = sorted(str(row["pv_name"]) for row in others)
    if len(paths) != 1 or not _is_same(paths[0], disk.path):
        raise DiskRefusedError(
            f"in-use: volume group {group} lies on {', '.join(paths) or 'nothing'}, not on {disk.path} alone"
        )
    busy = [item.path for item in volumes(group) if item.open]
    if busy:
        raise DiskRefusedError(f"in-use: {', '.join(busy)} on {disk.path} is open: an OSD runs on it, or it is mounted")
    run(["vgchange", "--activate", "n", group])


def _is_same(one: str, other: str) -> bool:
    """Whether two names are one device: LVM may prefer another of its names."""
    if one == other:
        return True
    try:
        return Path(one).stat().st_rdev == Path(other).stat().st_rdev
    except OSError:
        return False


def named(kind: str, uuid: str) -> str:
    """As `ceph-volume lvm batch` names them, with the OSD's uuid."""
    return f"osd-{kind}-{uuid}"


def of_osd(items: Sequence[Volume], uuid: str) -> list[Volume]:
    """By tag, or by our name when the power went before the tags."""
    return [item for item in items if item.fact("osd_fsid") == uuid or item.name.endswith(f"-{uuid}")]


def need(found: Sequence[Volume], kind: str, uuid: str) -> Volume:
    for item in found:
        if item.name == named(kind, uuid) or (item.fact("type") == kind and item.fact("osd_fsid") == uuid):
            return item
    raise CephError(f"the {kind} volume of OSD {uuid} is not there: was its disk pulled?")
