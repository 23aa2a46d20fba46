"""The disk guard: may this order write a disk of this machine, and which one? Pure; asked twice.

First over the inventory (is there exactly one disk that fits the grant?), then over the disk that was opened, by what its
own descriptor says. Nothing else in the agent decides about writing.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from agent.wire import Content, Disk, DiskGrant


class Refusal(StrEnum):
    """Why no disk may be written. Closed set."""

    OTHER_MACHINE = "other-machine"
    BAD_PERMIT = "bad-permit"
    NAMELESS = "nameless"
    NO_DISK = "no-disk"
    MANY_DISKS = "many-disks"
    READ_ONLY = "read-only"
    IN_USE = "in-use"
    UNREADABLE = "unreadable"
    CONTENT_CHANGED = "content-changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``disk`` is the one that may be written, or None with a ``refusal``. ``resumed``: by the marker of this permit."""

    disk: Disk | None = None
    refusal: Refusal | None = None
    reason: str = ""
    resumed: bool = False


def judge(grant: DiskGrant, permit: str, machine: str, disks: Sequence[Disk]) -> Verdict:
    """``disks`` is what is in the machine now, multipath legs merged."""
    if grant.machine != machine:
        return _no(Refusal.OTHER_MACHINE, f"the grant is for machine {grant.machine}, this is {machine}")
    if not is_uuid(permit):
        return _no(Refusal.BAD_PERMIT, f"the permit {permit!r} is not a UUID: it could not serve as a marker")
    if grant.size <= 0 or not (grant.serial or grant.wwn):
        return _no(Refusal.NAMELESS, "the grant names neither serial nor WWN: a disk can't be told from its neighbours")
    fitting = [disk for disk in disks if fits(grant, disk)]
    if not fitting:
        return _no(Refusal.NO_DISK, f"no disk is {describe(grant)}{_near_misses(grant, disks)}; plan again")
    twins = fitting if grant.wwn else [disk for disk in disks if _same_label(grant, disk)]
    if len(twins) > 1:
        nodes = ", ".join(disk.path for disk in twins)
        return _no(Refusal.MANY_DISKS, f"{len(twins)} disks are {describe(grant)}: {nodes}; nothing tells them apart")
    return judge_content(grant, permit, fitting[0])


def judge_content(grant: DiskGrant, permit: str, disk: Disk) -> Verdict:
    """Whether one disk that is the granted one still holds what the plan saw, or an install of this permit."""
    content = disk.content
    if not fits(grant, disk):
        return _no(Refusal.NO_DISK, f"{disk.path} is not {describe(grant)}")
    if disk.read_only:
        return _no(Refusal.READ_ONLY, f"{disk.path} is read-only")
    if content.in_use:
        return _no(Refusal.IN_USE, f"{disk.path} is in use: something is mounted or assembled on it")
    if content.table == "gpt" and content.table_id == permit and is_uuid(permit):
        return Verdict(disk=disk, resumed=True, reason=f"{disk.path} carries the marker of permit {permit}")
    if not content.edges:
        return _no(Refusal.UNREADABLE, f"{disk.path} could not be read: what is on it is unknown")
    if content.fingerprint() != grant.fingerprint:
        return _no(
            Refusal.CONTENT_CHANGED,
            f"the content of {disk.path} is not what the plan saw: now {summary(content)}; plan again",
        )
    return Verdict(disk=disk, reason=f"{disk.path} is {describe(grant)} with the planned content")


def fits(grant: DiskGrant, disk: Disk) -> bool:
    """All four facts, also the empty ones."""
    return _same_label(grant, disk) and disk.wwn == grant.wwn


def _same_label(grant: DiskGrant, disk: Disk) -> bool:
    return (disk.serial, disk.model, disk.size) == (grant.serial, grant.model, grant.size)


def _near_misses(grant: DiskGrant, disks: Sequence[Disk]) -> str:
    """Disks that share a name with the grant but not all facts: shrunk, replaced, renamed."""
    near = [
        disk
        for disk in disks
        if (grant.serial and disk.serial == grant.serial) or (grant.wwn and disk.wwn == grant.wwn)
    ]
    said = [
        f"{disk.path} has model {disk.model or '(none)'}, serial {disk.serial or '(none)'}, WWN {disk.wwn or '(none)'}, "
        f"{disk.size} bytes"
        for disk in near
    ]
    return f" ({'; '.join(said)})" if said else ""


def describe(grant: DiskGrant) -> str:
    """``HUS728T8 serial VDJKG9LK, WWN naa.5000…, 8001563222016 bytes``."""
    wwn = f", WWN {grant.wwn}" if grant.wwn else ""
    return f"{grant.model or 'a disk'} serial {grant.serial or '(none)'}{wwn}, {grant.size} bytes"


def summary(content: Content) -> str:
    """What is on a disk, in a few words."""
    if content.blank:
        return "blank"
    kinds = {item.kind for item in content.signatures}
    kinds |= {item.kind for part in content.partitions for item in part.signatures}
    table = (
        f"{content.table} table {content.table_id} with {len(content.partitions)} partitions" if content.table else ""
    )
    words = [word for word in (table, ", ".join(sorted(kinds))) if word]
    return " and ".join(words) or "data that nobody recognises"


def _no(refusal: Refusal, reason: str) -> Verdict:
    return Verdict(refusal=refusal, reason=reason)


def is_uuid(text: str) -> bool:
    """In the one spelling that a GPT reader prints, and not the nil UUID."""
    try:
        parsed = uuid.UUID(text)
    except ValueError:
        return False
    return str(parsed) == text and parsed.int != 0
