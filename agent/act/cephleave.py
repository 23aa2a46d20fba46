"""Daemons that leave this machine, and disks that become blank: stop, remove, zap."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agent.act import cephdaemons as daemons
from agent.act import cephdisks, cephguard, cephvolumes
from agent.act import cephfiles as files
from agent.act import cephmonitors as monitors
from agent.act.cephdaemons import DAEMON, KINDS
from agent.act.cepherrand import Errand
from agent.act.cephguard import Claim, Found, Use, Verdict
from agent.act.cephvolumes import Volume
from agent.errors import CephError, DiskRefusedError, OrderRefusedError
from agent.run import run
from agent.wire import DeviceGrant, Disk


def stop(errand: Errand) -> str:
    """Its data stay. An OSD on volumes would be activated again by ceph-volume's own unit at the next boot."""
    kind, daemon = named(errand)
    if errand.daemons.running(kind, daemon):
        errand.tell("stop", 0.3, f"{kind}.{daemon}")
    if kind == "osd":
        _disable_activation(daemon, [_runs_as(daemon)])
    daemons.stop(errand.daemons, kind, daemon)
    return f"{kind}.{daemon} is stopped, its data stay"


def remove(errand: Errand) -> str:
    """Stop it and remove its folder; the disks of an OSD are a zap's business."""
    kind, daemon = named(errand)
    folder = files.data_folder(kind, daemon)
    if kind == "osd":
        _check_granted(errand, folder)
    if kind == "mon" and errand.daemons.running("mon", daemon):
        monitors.check_left(errand.order)
    errand.tell("stop", 0.3, f"{kind}.{daemon}")
    daemons.stop(errand.daemons, kind, daemon)
    if kind == "osd":
        forget_osd(daemon, [grant.osd_uuid for grant in errand.order.zap])
    elif folder.is_dir():
        if kind == "mon":
            monitors.check_own_store(errand.order, folder)
        shutil.rmtree(folder)
    return f"{kind}.{daemon} is stopped and removed from this machine"


def named(errand: Errand) -> tuple[str, str]:
    """Kind and id of the order's daemon. Raises `OrderRefusedError`."""
    kind, daemon = errand.order.kind, errand.order.daemon
    if kind not in KINDS or not DAEMON.fullmatch(daemon):
        raise OrderRefusedError(f"the order does not say which daemon: {kind or '(none)'}.{daemon or '(none)'}")
    return kind, daemon


def _check_granted(errand: Errand, folder: Path) -> None:
    granted = {grant.osd_uuid for grant in errand.order.zap} - {""}
    if not granted:
        raise OrderRefusedError(f"osd.{errand.order.daemon} is only removed with a grant for its disks")
    fsid = folder / "fsid"
    was = fsid.read_text("ascii").strip() if fsid.is_file() else ""
    if was and was not in granted:
        raise OrderRefusedError(
            f"osd.{errand.order.daemon} is OSD {was}, the grant is for {', '.join(sorted(granted))}"
        )


def forget_osd(number: str, uuids: Sequence[str]) -> None:
    """Its folder, and the unit that would activate it at boot."""
    folder = files.data_folder("osd", number)
    _disable_activation(number, uuids)
    if folder.is_mount():
        run(["umount", str(folder)])
    if folder.is_dir():
        shutil.rmtree(folder)


def _disable_activation(number: str, uuids: Sequence[str]) -> None:
    if Path("/run/systemd/system").is_dir():  # as sd_booted(3) asks
        for uuid in filter(None, uuids):
            run(["systemctl", "disable", f"ceph-volume@lvm-{number}-{uuid}.service"], check=False)


# ---------------------------------------------------------------- zap


def zap(errand: Errand) -> str:
    """Every granted disk blank (of a shared one: the OSD's slots free). All are judged before the first is touched."""
    grants = errand.order.zap
    if not grants:
        raise OrderRefusedError("the order to zap grants no disk")
    jobs = [(claim, cephguard.judge_zap(claim, errand.disks())) for claim in (_claim(errand, item) for item in grants)]
    for claim, verdict in jobs:
        disk, found = cephdisks.accepted(verdict)
        if found is not Found.BLANK:
            check_idle(errand, claim, disk, verdict.group)
    said = []
    for index, (claim, verdict) in enumerate(jobs):
        disk, found = cephdisks.accepted(verdict)
        errand.tell("zap", (index + 0.1) / len(jobs), disk.path)
        if found is Found.SHARED:
            said.append(_free_slots(claim, disk, verdict.group))
        elif found is Found.BLANK:
            said.append(f"{disk.path} is blank")
        else:
            said.append(_wipe(errand, claim, disk, verdict.group))
        cephdisks.forget(claim)
    return "; ".join(said)


def _claim(errand: Errand, grant: DeviceGrant) -> Claim:
    if not grant.osd_uuid:
        raise OrderRefusedError(f"the grant to zap the disk with serial {grant.serial or '(none)'} names no OSD")
    claim = Claim(
        grant=grant,
        use=Use.DATA,
        machine=errand.machine,
        plan=errand.plan,
        fsid=errand.order.fsid,
        osd=grant.osd_uuid,
    )
    return replace(claim, begun=cephdisks.is_noted(claim))


def check_idle(errand: Errand, claim: Claim, disk: Disk, group: str) -> None:
    """Raises `DiskRefusedError` while an OSD of the disk runs, whatever else would tell."""
    labels = [item for item in cephguard.bluestores(disk.content) if not claim.grant.shared or item.uuid == claim.osd]
    for item in labels:
        number = item.label.removeprefix("osd.")
        if number.isdigit() and errand.daemons.running("osd", number) and _runs_as(number) in {"", item.uuid}:
            raise DiskRefusedError(f"in-use: osd.{number} runs on {disk.path}: stop it first")
    for volume in _mine(claim, group):
        if volume.open and not Path(f"/dev/mapper/{volume.uuid}").exists():
            raise DiskRefusedError(f"in-use: {volume.path} on {disk.path} is open: an OSD runs on it, or it is mounted")


def _runs_as(number: str) -> str:
    try:
        return (files.data_folder("osd", number) / "fsid").read_text("ascii").strip()
    except OSError:
        return ""


def _mine(claim: Claim, group: str) -> list[Volume]:
    if not group:
        return []
    volumes = cephvolumes.volumes(group)
    return cephvolumes.of_osd(volumes, claim.osd) if claim.grant.shared else volumes


def _free_slots(claim: Claim, disk: Disk, group: str) -> str:
    volumes = _mine(claim, group)
    for volume in volumes:
        close(volume)
        again = next(item for item in cephvolumes.volumes(group) if item.name == volume.name)
        cephvolumes.remove(again)
    names = ", ".join(volume.name for volume in volumes)
    return f"{disk.path}: {names or 'no slot'} removed, other OSDs of {group} are untouched"


def close(volume: Volume) -> None:
    """An encrypted volume that is open under the name that ceph-volume gives; cryptsetup refuses while it is used."""
    if Path(f"/dev/mapper/{volume.uuid}").exists():
        done = run(["cryptsetup", "close", volume.uuid], check=False)
        if done.code != 0:
            raise DiskRefusedError(f"in-use: {volume.path} is open and used: {done.stderr.strip()[-200:]}")


def _wipe(errand: Errand, claim: Claim, disk: Disk, group: str) -> str:
    def again(asked: Claim, opened: Disk) -> Verdict:
        return cephguard.judge_zap_content(replace(asked, begun=cephdisks.is_noted(asked)), opened)

    if group:
        for volume in cephvolumes.volumes(group):
            close(volume)
        cephvolumes.dissolve(group, disk)
    with cephdisks.opened(claim, errand.disks, again) as (device, now):
        cephdisks.erase(claim, device, now, again)
    if not _is_blank(errand, claim):
        raise CephError(f"{disk.path} was zapped, but is not blank when it is read again: is the disk failing?")
    os.sync()
    return f"{disk.path} (serial {claim.grant.serial or '(none)'}) is blank"


def _is_blank(errand: Errand, claim: Claim) -> bool:
    verdict = cephguard.judge_zap(replace(claim, begun=True), errand.disks())
    return verdict.found is Found.BLANK
