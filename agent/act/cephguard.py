"""The guard of Ceph's disks: may this order make an OSD of that disk, or make it blank? Pure; asked twice.

Once over what is in the machine, once over what was opened. Nothing else in the agent decides about writing for Ceph. What
makes a disk "this OSD's own" is only what this OSD's uuid made: its BlueStore label, its volumes' tags, or names that are
computed from the uuid. A device that several OSDs share carries a group whose name is computed from fsid and disk.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from agent import cephmarks
from agent.act.guard import describe, fits, is_uuid, summary
from agent.cephmarks import PHYSICAL_VOLUME
from agent.wire import Content, DeviceGrant, Disk, DiskGrant, Signature

SLACK = 64 * 2**20
"""Bytes that the last slot of a device may be short of: LVM's own metadata, and rounding to its extents of 4 MiB."""

BLUESTORE = "ceph_bluestore"


class Use(StrEnum):
    """What a disk of an OSD is for."""

    DATA = "data"
    DB = "db"
    WAL = "wal"


class Found(StrEnum):
    """Why a disk is allowed. ``fresh``: it is as the plan saw it (or this order began to erase it). ``own``: this OSD made
    what is there, nothing may be erased. ``shared``: a group of this cluster, only its free space is used. ``blank``:
    there is nothing to do for a zap."""

    FRESH = "fresh"
    OWN = "own"
    SHARED = "shared"
    BLANK = "blank"


class Refusal(StrEnum):
    """Why no disk may be written. Closed set."""

    OTHER_MACHINE = "other-machine"
    OTHER_PLAN = "other-plan"
    OTHER_GRANT = "other-grant"
    NAMELESS = "nameless"
    NO_DISK = "no-disk"
    MANY_DISKS = "many-disks"
    READ_ONLY = "read-only"
    IN_USE = "in-use"
    UNREADABLE = "unreadable"
    OTHER_OSD = "other-osd"
    OTHER_CLUSTER = "other-cluster"
    CONTENT_CHANGED = "content-changed"
    NO_SPACE = "no-space"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What an order wants of one disk. ``osd`` is the OSD's uuid, ``size`` the bytes that it needs of a shared device (0:
    what is free). ``begun``: this machine noted, before its first write, that it erases this disk by this very grant."""

    grant: DeviceGrant
    use: Use
    machine: str
    plan: str
    fsid: str
    osd: str
    size: int = 0
    begun: bool = False

    @property
    def group(self) -> str:
        """The volume group that this order makes on the disk."""
        return cephmarks.group_name(self._mark)

    @property
    def marker(self) -> str:
        """GPT disk GUID while the disk is being erased for this claim."""
        return str(self._mark)

    @property
    def volume(self) -> str:
        """UUID of the physical volume, as LVM writes it: the marker from before the group is there."""
        return cephmarks.volume_uuid(self._mark)

    @property
    def _mark(self) -> uuid.UUID:
        return cephmarks.mark(self.grant, self.fsid, self.osd, self.use)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``disk`` may be written as ``found`` says, or there is a ``refusal``. ``group`` is a volume group that lies on it:
    what ``shared`` and ``own`` use, and what has to be taken down (if nothing of it is open) before ``fresh`` erases."""

    disk: Disk | None = None
    found: Found | None = None
    group: str = ""
    refusal: Refusal | None = None
    reason: str = ""


def judge(claim: Claim, disks: Sequence[Disk], free: Mapping[str, int]) -> Verdict:
    """May an OSD be made there? ``disks`` is what is in the machine, ``free`` the free bytes of its volume groups."""
    at = locate(claim, disks)
    return at if at.disk is None else judge_content(claim, at.disk, free)


def judge_content(claim: Claim, disk: Disk, free: Mapping[str, int]) -> Verdict:
    """The same for one disk that was opened."""
    wrong = _sound(claim, disk)
    if wrong:
        return wrong
    content, group = disk.content, group_of(disk.content)
    if claim.grant.shared and _is_ours(claim, content):
        return _shared(claim, disk, group, free)
    if is_own(claim, content):
        return Verdict(disk=disk, found=Found.OWN, group=group, reason=f"{disk.path} holds what OSD {claim.osd} made")
    if content.fingerprint() == claim.grant.fingerprint or _erasing(claim, content):
        taken = [item for item in bluestores(content) if item.owner == claim.fsid and item.uuid != claim.osd]
        if taken:
            text = f"{disk.path} holds {_named(taken)} of this very cluster: destroy and zap it first"
            return _no(Refusal.OTHER_OSD, text)
        return _fresh(claim, disk, group)
    return _changed(claim, disk)


def judge_zap(claim: Claim, disks: Sequence[Disk]) -> Verdict:
    """May the disk (``shared``: this OSD's volumes on it) be made blank?"""
    at = locate(claim, disks)
    return at if at.disk is None else judge_zap_content(claim, at.disk)


def judge_zap_content(claim: Claim, disk: Disk) -> Verdict:
    """The same for one disk that was opened."""
    wrong = _sound(claim, disk)
    if wrong:
        return wrong
    content, group = disk.content, group_of(disk.content)
    if content.blank and not content.in_use:
        return Verdict(disk=disk, found=Found.BLANK, reason=f"{disk.path} is blank")
    if claim.grant.shared:
        if _is_ours(claim, content) and group:
            return Verdict(disk=disk, found=Found.SHARED, group=group, reason=f"{disk.path} has slots of this cluster")
        return _changed(claim, disk)
    if is_own(claim, content) or content.fingerprint() == claim.grant.fingerprint or _erasing(claim, content):
        return _fresh(claim, disk, group)
    return _changed(claim, disk)


def locate(claim: Claim, disks: Sequence[Disk]) -> Verdict:
    """The one disk that the grant names."""
    grant = claim.grant
    if grant.machine != claim.machine:
        return _no(Refusal.OTHER_MACHINE, f"the grant is for machine {grant.machine}, this is {claim.machine}")
    if grant.plan != claim.plan:
        return _no(Refusal.OTHER_PLAN, "the grant belongs to another plan than the order")
    if not is_uuid(claim.fsid) or not is_uuid(claim.osd) or grant.osd_uuid not in {"", claim.osd}:
        text = f"the grant is for OSD {grant.osd_uuid or '(none)'}, the order for OSD {claim.osd or '(none)'}"
        return _no(Refusal.OTHER_GRANT, f"{text} of cluster {claim.fsid or '(none)'}")
    if grant.size <= 0 or not (grant.serial or grant.wwn):
        return _no(Refusal.NAMELESS, "the grant names neither serial nor WWN: a disk can't be told from its neighbours")
    wanted = as_disk_grant(grant)
    fitting = [disk for disk in disks if fits(wanted, disk)]
    if not fitting:
        return _no(Refusal.NO_DISK, f"no disk is {describe(wanted)}; was it pulled or swapped? plan again")
    label = (grant.serial, grant.model, grant.size)
    twins = fitting if grant.wwn else [disk for disk in disks if (disk.serial, disk.model, disk.size) == label]
    if len(twins) > 1:
        nodes = ", ".join(disk.path for disk in twins)
        return _no(Refusal.MANY_DISKS, f"{len(twins)} disks are {describe(wanted)}: {nodes}; nothing tells them apart")
    return Verdict(disk=fitting[0])


def as_disk_grant(grant: DeviceGrant) -> DiskGrant:
    """The identity part, for the functions that installs have."""
    return DiskGrant(
        machine=grant.machine,
        plan=grant.plan,
        serial=grant.serial,
        wwn=grant.wwn,
        model=grant.model,
        size=grant.size,
        fingerprint=grant.fingerprint,
    )


def bluestores(content: Content) -> tuple[Signature, ...]:
    """Every OSD whose data (or DB, or WAL) is on the disk: by label, or by tags of volumes."""
    inside = (item for part in content.partitions for item in part.signatures)
    return tuple(item for item in (*content.signatures, *inside) if item.kind == BLUESTORE)


def group_of(content: Content) -> str:
    """The volume group of a disk that is wholly a physical volume; empty when there is none."""
    volumes = [item for item in content.signatures if item.kind == PHYSICAL_VOLUME]
    return volumes[0].owner if len(volumes) == 1 and _is_plain(content) else ""


def is_own(claim: Claim, content: Content) -> bool:
    """Whether all that is on the disk was made by this OSD (a half-made label names no cluster yet)."""
    if claim.grant.shared:
        return False
    labels = bluestores(content)
    if not _is_plain(content) or any(item.uuid != claim.osd or item.owner not in {"", claim.fsid} for item in labels):
        return False
    return bool(labels) or _has_our_volume(claim, content)


def _is_ours(claim: Claim, content: Content) -> bool:
    """Whether a shared device carries one group, with OSDs of this cluster only."""
    labels = bluestores(content)
    volumes = [item for item in content.signatures if item.kind == PHYSICAL_VOLUME]
    if not _is_plain(content) or len(volumes) != 1 or any(item.owner != claim.fsid for item in labels):
        return False
    return bool(labels) or _has_our_volume(claim, content)


def _has_our_volume(claim: Claim, content: Content) -> bool:
    """A physical volume of the computed group, or of the computed uuid while it has no group yet."""
    return any(
        item.kind == PHYSICAL_VOLUME
        and (item.owner == claim.group or (not item.owner and item.uuid.lower() == claim.volume))
        for item in content.signatures
    )


def _is_plain(content: Content) -> bool:
    """No partition table, and nothing but LVM and BlueStore."""
    kinds = {item.kind for item in content.signatures}
    return not content.table and not content.partitions and bool(kinds) and kinds <= {BLUESTORE, PHYSICAL_VOLUME}


def _erasing(claim: Claim, content: Content) -> bool:
    """This machine noted that it erases the disk, and it is blank by now or carries the marker of that."""
    return claim.begun and (content.blank or (content.table == "gpt" and content.table_id == claim.marker))


def _sound(claim: Claim, disk: Disk) -> Verdict | None:
    if not fits(as_disk_grant(claim.grant), disk):
        return _no(Refusal.NO_DISK, f"{disk.path} is not {describe(as_disk_grant(claim.grant))}")
    if disk.read_only:
        return _no(Refusal.READ_ONLY, f"{disk.path} is read-only")
    if not disk.content.edges:
        return _no(Refusal.UNREADABLE, f"{disk.path} could not be read: what is on it is unknown")
    return None


def _shared(claim: Claim, disk: Disk, group: str, free: Mapping[str, int]) -> Verdict:
    if not group:  # the power went between the physical volume and its group
        if disk.content.in_use:
            return _no(Refusal.IN_USE, f"{disk.path} is in use, but its volume group is not there")
        return Verdict(disk=disk, found=Found.SHARED, reason=f"{disk.path} was begun for this cluster")
    made = any(item.uuid == claim.osd for item in bluestores(disk.content))
    room = free.get(group, 0)
    if not made and (room <= 0 or room < claim.size - SLACK):
        text = f"{disk.path} (volume group {group}) has {room} bytes free, OSD {claim.osd} needs {claim.size}"
        return _no(Refusal.NO_SPACE, f"{text}; remove the slots of OSDs that left, or plan again")
    return Verdict(disk=disk, found=Found.SHARED, group=group, reason=f"{disk.path} carries OSDs of this cluster only")


def _fresh(claim: Claim, disk: Disk, group: str) -> Verdict:
    """To be erased. What holds it may only be its own volume group, which is taken down if none of its volumes is open."""
    if disk.content.in_use and not group:
        return _no(Refusal.IN_USE, f"{disk.path} is in use: something is mounted or assembled on it")
    words = f"{disk.path} is {describe(as_disk_grant(claim.grant))} with the planned content"
    return Verdict(disk=disk, found=Found.FRESH, group=group, reason=words)


def _changed(claim: Claim, disk: Disk) -> Verdict:
    """The refusal that says most."""
    if disk.content.in_use and not group_of(disk.content):
        return _no(Refusal.IN_USE, f"{disk.path} is in use: something is mounted or assembled on it")
    labels = bluestores(disk.content)
    foreign = [item for item in labels if item.owner not in {"", claim.fsid}]
    if foreign:
        return _no(Refusal.OTHER_CLUSTER, f"{disk.path} holds {_named(foreign)}, not of this cluster ({claim.fsid})")
    others = [item for item in labels if item.uuid != claim.osd]
    if others:
        return _no(Refusal.OTHER_OSD, f"{disk.path} holds {_named(others)}, this order is for OSD {claim.osd}")
    text = f"the content of {disk.path} is not what the plan saw: now {summary(disk.content)}; plan again"
    return _no(Refusal.CONTENT_CHANGED, text)


def _named(labels: Sequence[Signature]) -> str:
    return ", ".join(f"{item.label or 'an OSD'} ({item.uuid}) of cluster {item.owner or '?'}" for item in labels)


def _no(refusal: Refusal, reason: str) -> Verdict:
    return Verdict(refusal=refusal, reason=reason)
