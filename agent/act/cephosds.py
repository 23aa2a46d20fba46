"""OSDs on this machine: registered with the monitors, made on the granted disks, started; stopped, removed, zapped.

What was done is read from three places each time: the monitors' map (is this uuid known, was it ever up?), the disks (is
this OSD's data complete?), and the daemon. The same order again does what is missing, with the same id and uuid.
"""

from __future__ import annotations

import json
import uuid as uuids
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from agent.act import cephcommands as commands
from agent.act import cephdaemons as daemons
from agent.act import cephdisks, cephguard, cephvolumes
from agent.act import cephfiles as files
from agent.act import cephkeyrings as keyrings
from agent.act.cephdaemons import Daemons, Tell
from agent.act.cepherrand import Errand
from agent.act.cephguard import SLACK, Claim, Found, Use, Verdict
from agent.errors import CephError, DiskRefusedError, OrderRefusedError
from agent.wire import CephOrder, DeviceGrant, Disk, MonAnswer, OsdOrder

EXISTS = 17
BOOT_PATIENCE = 300.0


class Known(StrEnum):
    """What the monitors know of a uuid: nothing, registered but never up, or it was up once (it has data)."""

    ABSENT = "absent"
    NEW = "new"
    USED = "used"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A judged disk of an OSD. ``disk`` is as it was seen, ``size`` the bytes wanted of it (0: all)."""

    claim: Claim
    disk: Disk
    found: Found
    group: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What `osd new` was told; never written by us except where Ceph itself keeps it."""

    cephx: str
    lockbox: str = ""
    disk: str = ""


class Backend(Protocol):
    """How data, DB and WAL lie on disks: `agent.act.cephlvm`, `agent.act.cephraw`."""

    def free(self) -> dict[str, int]:
        """Free bytes of volume groups, for the guard."""
        ...

    def complete(self, osd: OsdOrder, fsid: str, data: Place) -> bool:
        """Whether the OSD's data were made to the end."""
        ...

    def make(self, osd: OsdOrder, fsid: str, places: Sequence[Place], keys: Keys, tell: Tell) -> None:
        """From disks that are blank, or hold only what this OSD began (which is thrown away)."""
        ...

    def prepare_start(self, osd: OsdOrder, places: Sequence[Place]) -> None:
        """Until the daemon can be started."""
        ...


def make(errand: Errand, backend: Backend) -> str:
    """Raises `DiskRefusedError`, `OrderRefusedError`, `CephError`. Nothing is written before every disk was judged."""
    order, agents, tell = errand.order, errand.daemons, errand.tell
    osd = _checked(order)
    number = str(osd.number)
    if agents.running("osd", number):
        _check_running(osd, order.fsid)
        return f"osd.{number} ({osd.uuid}) runs"
    tell("judge", 0.05, "")
    places = judged(errand, osd, backend)
    known = registered(osd)
    data = places[0]
    complete = data.found in {Found.OWN, Found.SHARED} and backend.complete(osd, order.fsid, data)
    _agree(osd, known, complete, places)
    if not complete:
        places = _erase(places, errand, osd, backend)
        tell("register", 0.3, f"osd.{number} is {osd.uuid}")
        keys = register(osd, known)
        tell("make", 0.4, f"making osd.{number} on {data.disk.path}")
        backend.make(osd, order.fsid, places, keys, tell)
    for place in places:
        cephdisks.forget(place.claim)
    tell("start", 0.8, "")
    backend.prepare_start(osd, places)
    state = _start(osd, agents, tell)
    return f"osd.{number} ({osd.uuid}) on {data.disk.path} {'was there' if complete else 'was made'} and {state}"


def _checked(order: CephOrder) -> OsdOrder:
    osd = order.osd
    if osd is None or order.daemon not in {"", str(osd.number)} or osd.number < 0:
        raise OrderRefusedError("the order for an OSD does not say which")
    grants = [grant for grant in (osd.data, osd.db, osd.wal) if grant is not None]
    alone = [(grant.serial, grant.wwn) for grant in grants if not grant.shared]
    if len(set(alone)) != len(alone):
        raise OrderRefusedError("the order grants one disk for two uses of one OSD")
    if osd.data.osd_uuid != osd.uuid:
        raise OrderRefusedError(
            f"the grant for the data disk is for OSD {osd.data.osd_uuid or '(none)'}, not {osd.uuid}"
        )
    if osd.backend == "raw":
        osd = _whole(osd)
        if osd.encrypted or any(grant is not None and grant.shared for grant in (osd.data, osd.db, osd.wal)):
            raise OrderRefusedError("without LVM an OSD takes whole disks and can't be encrypted: use the backend lvm")
    return osd


def _whole(osd: OsdOrder) -> OsdOrder:
    """A device of which one OSD takes everything is shared with nobody."""

    def alone(grant: DeviceGrant, size: int) -> DeviceGrant:
        return replace(grant, shared=grant.shared and 0 < size < grant.size - SLACK)

    return replace(
        osd,
        data=alone(osd.data, osd.data_size),
        db=osd.db and alone(osd.db, osd.db_size),
        wal=osd.wal and alone(osd.wal, osd.wal_size),
    )


def claims(errand: Errand, osd: OsdOrder) -> list[tuple[Claim, int]]:
    """Data first; each with the bytes that are wanted of it."""
    uses = ((Use.DATA, osd.data, osd.data_size), (Use.DB, osd.db, osd.db_size), (Use.WAL, osd.wal, osd.wal_size))
    made: list[tuple[Claim, int]] = []
    for use, grant, size in uses:
        if grant is not None:
            claim = Claim(
                grant=grant,
                use=use,
                machine=errand.machine,
                plan=errand.plan,
                fsid=errand.order.fsid,
                osd=osd.uuid,
                size=size,
            )
            made.append((replace(claim, begun=cephdisks.is_noted(claim)), size))
    return made


def judged(errand: Errand, osd: OsdOrder, backend: Backend) -> list[Place]:
    """Raises `DiskRefusedError`: then nothing was written anywhere."""
    present, free = errand.disks(), backend.free()
    places: list[Place] = []
    for claim, size in claims(errand, osd):
        verdict = cephguard.judge(claim, present, free)
        disk, found = cephdisks.accepted(verdict)
        places.append(Place(claim=claim, disk=disk, found=found, group=verdict.group, size=size))
    return places


def _agree(osd: OsdOrder, known: Known, complete: bool, places: Sequence[Place]) -> None:
    """The monitors' word against the disks'. Raises `DiskRefusedError`: data that may be the last copy is not made anew."""
    if known is Known.USED and not complete:
        raise DiskRefusedError(
            f"other-osd: the monitors know osd.{osd.number} ({osd.uuid}) as one with data, but {places[0].disk.path} does "
            f"not hold them: if they are lost, destroy it and plan its replacement"
        )
    if known is Known.ABSENT and complete:
        raise DiskRefusedError(
            f"other-osd: {places[0].disk.path} holds the whole OSD {osd.uuid}, which the monitors do not know (any more): "
            f"zap it first if its data are not needed"
        )
    lost = [place for place in places[1:] if complete and place.found is Found.FRESH]
    if lost:
        raise DiskRefusedError(
            f"other-osd: OSD {osd.uuid} has data, but {lost[0].disk.path} holds no {lost[0].claim.use} of it"
        )


def _erase(places: Sequence[Place], errand: Errand, osd: OsdOrder, backend: Backend) -> list[Place]:
    """Blank what is fresh; without LVM also what an interrupted try of this OSD left on whole disks: a label that says that
    the store was made, though the OSD was not, ends every further `ceph-osd --mkfs`. The places as they are afterwards: a
    group that lay on an erased disk is gone."""
    kinds = {Found.FRESH, Found.OWN} if osd.backend == "raw" else {Found.FRESH}

    def again(claim: Claim, disk: Disk) -> Verdict:
        now = replace(claim, begun=cephdisks.is_noted(claim))
        verdict = cephguard.judge_content(now, disk, backend.free())
        if verdict.found not in {None, *kinds}:
            raise DiskRefusedError(f"content-changed: {disk.path} changed after the first look; ask again")
        return verdict

    fresh = [place for place in places if place.found in kinds]
    for place in fresh:
        if place.group:
            cephvolumes.dissolve(place.group, place.disk)
    for place in fresh:
        errand.tell("erase", 0.1, f"{place.disk.path} for {place.claim.use}")
        with cephdisks.opened(place.claim, errand.disks, again) as (device, disk):
            cephdisks.note(place.claim)
            cephdisks.erase(place.claim, device, disk, again)
    return [replace(place, group="") if place in fresh else place for place in places]


# ---------------------------------------------------------------- the monitors' half


def credentials() -> tuple[str, Path]:
    """The least that is here and enough. Raises `CephError`."""
    for entity, path in ((commands.CLIENT_BOOTSTRAP, files.BOOTSTRAP), (commands.CLIENT_ADMIN, files.ADMIN)):
        if path.is_file():
            return entity, path
    raise CephError(f"neither {files.BOOTSTRAP} nor {files.ADMIN} is here: configure this machine first")


def registered(osd: OsdOrder) -> Known:
    """Raises `OrderRefusedError` when the id is another OSD's, or the uuid has another id."""
    entity, keyring = credentials()
    answer = commands.question(entity, keyring, "osd dump")
    if answer.code:
        raise CephError(f"the monitors do not tell their OSDs: {answer.status} ({answer.code})")
    for item in json.loads(answer.output)["osds"]:
        states = set(item.get("state", ()))
        if item["uuid"] == osd.uuid and item["osd"] != osd.number:
            raise OrderRefusedError(f"OSD {osd.uuid} is osd.{item['osd']} already, not osd.{osd.number}: plan again")
        if item["osd"] == osd.number and item["uuid"] != osd.uuid and "destroyed" not in states:
            raise OrderRefusedError(f"osd.{osd.number} is OSD {item['uuid']}, not {osd.uuid}: plan again")
        if item["uuid"] == osd.uuid and "destroyed" not in states:
            return Known.NEW if "new" in states else Known.USED
    return Known.ABSENT


def register(osd: OsdOrder, known: Known) -> Keys:
    """`osd new` with fresh keys. One that was registered but never up is taken back first (the monitors refuse that for
    any other): its keys are not known here any more."""
    entity, keyring = credentials()
    if known is Known.NEW:
        _purge_new(osd)
    keys = Keys(cephx=keyrings.new_key())
    told = {"cephx_secret": keys.cephx, "crush_device_class": osd.device_class}
    if osd.encrypted:
        keys = replace(keys, lockbox=keyrings.new_key(), disk=uuids.uuid4().hex + uuids.uuid4().hex)
        told |= {"cephx_lockbox_secret": keys.lockbox, "dmcrypt_key": keys.disk}
    if not osd.device_class:
        del told["crush_device_class"]
    answer = commands.question(entity, keyring, "osd new", json.dumps(told), uuid=osd.uuid, id=osd.number)
    if answer.code:
        raise CephError(f"`osd new` of osd.{osd.number}: {answer.status or 'failed'} ({answer.code})")
    got = _osd_id(answer)
    if got != osd.number:
        _purge_new(replace(osd, number=got))
        raise CephError(f"the monitors gave OSD {osd.uuid} the id {got}, the plan says {osd.number}: plan again")
    return keys


def _osd_id(answer: MonAnswer) -> int:
    said = json.loads(answer.output)
    return int(said["osdid"] if isinstance(said, dict) else said)


def _purge_new(osd: OsdOrder) -> None:
    entity, keyring = credentials()
    answer = commands.question(entity, keyring, "osd purge-new", id=osd.number, yes_i_really_mean_it=True)
    if answer.code:
        raise CephError(
            f"osd.{osd.number} was registered before and can't be taken back: {answer.status} ({answer.code})"
        )


def monmap(path: Path) -> None:
    entity, keyring = credentials()
    commands.fetch_monmap(path, entity=entity, keyring=keyring)


# ---------------------------------------------------------------- the daemon


def _check_running(osd: OsdOrder, fsid: str) -> None:
    folder = files.data_folder("osd", str(osd.number))
    runs, cluster = (_line(folder / name) for name in ("fsid", "ceph_fsid"))
    if runs != osd.uuid or cluster != fsid:
        raise OrderRefusedError(
            f"osd.{osd.number} runs here, but as OSD {runs or '(unknown)'} of cluster {cluster or '(unknown)'}: plan again"
        )


def _line(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except OSError:
        return ""


def _start(osd: OsdOrder, agents: Daemons, tell: Tell) -> str:
    """Returns its state; ``active`` is up. Coming up may wait for others (a full map, a network): that is no failure."""
    number, seen = str(osd.number), ["silent"]

    def ready() -> str:
        said = daemons.answer("osd", number, "status")
        seen[0] = str((said or {}).get("state", "silent"))
        return "" if seen[0] == "active" else f"it is {seen[0]}"

    try:
        daemons.start_and_wait(agents, "osd", number, ready=ready, tell=tell, seconds=BOOT_PATIENCE)
    except CephError:
        if seen[0] in {"silent", "initializing"} or not agents.running("osd", number):
            raise
        return f"is {seen[0]}: the monitors have not marked it up yet"
    return "is active"
