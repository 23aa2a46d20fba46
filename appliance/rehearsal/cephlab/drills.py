"""What can happen to a running Ceph, done to a lab for real.

A host that loses power is killed, and `CephLab.boot` starts it again. A slow disk is slowed by the kernel (the I/O
controller of control groups), a full one is written full, a corrupt one is overwritten.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import psutil

from appliance.rehearsal.cephlab.disks import Attached
from appliance.rehearsal.cephlab.host import LOOP_MAJOR, Host
from appliance.rehearsal.cephlab.lab import CephLab
from appliance.rehearsal.errors import MachineError, PrerequisiteError

V1 = Path("/sys/fs/cgroup/blkio")
V2 = Path("/sys/fs/cgroup")
LABEL = 4096
"""Bytes of BlueStore's label, at the begin of the device (src/os/bluestore/bluestore_types.h)."""
OBJECT = 4 << 20
SECONDS = 300
"""How long to fill at most."""


def power_off(lab: CephLab, name: str) -> None:
    """Everything on a host is killed at once; its ports go with it, as the carrier of a machine without power does."""
    lab.host(name).power_off()


def cut(lab: CephLab, name: str) -> None:
    """The network forgets a host, whose links stay up: nobody is told. `heal` ends it."""
    lab.switches.cut(name)


def heal(lab: CephLab, name: str) -> None:
    """The network knows the host again."""
    lab.switches.heal(name)


def slow(lab: CephLab, name: str, serial: str, rate: int) -> tuple[int, ...]:
    """Limit what the programs that have a disk open now may read and write of it, to ``rate`` bytes per second each way.
    Returns their process ids. A program that is started anew is fast again. Raises `MachineError`, `PrerequisiteError`."""
    host = lab.host(name)
    attached = host.disks[serial]
    pids = tuple(users(host, attached))
    if not pids:
        raise MachineError(f"nothing on {name} has {attached.node} open: start its OSD first")
    device = f"{LOOP_MAJOR}:{attached.number}"
    group = _group(lab.folder)
    if group.parent == V1:
        for way in ("read", "write"):
            (group / f"blkio.throttle.{way}_bps_device").write_text(f"{device} {rate}", encoding="ascii")
    else:
        (group / "io.max").write_text(f"{device} rbps={rate} wbps={rate}", encoding="ascii")
    for pid in pids:
        (group / "cgroup.procs").write_text(str(pid), encoding="ascii")
    return pids


def quick(lab: CephLab, name: str, serial: str) -> None:
    """The disk is as fast as before."""
    device = f"{LOOP_MAJOR}:{lab.host(name).disks[serial].number}"
    group = _group(lab.folder)
    if group.parent == V1:
        for way in ("read", "write"):
            (group / f"blkio.throttle.{way}_bps_device").write_text(f"{device} 0", encoding="ascii")
    else:
        (group / "io.max").write_text(f"{device} rbps=max wbps=max", encoding="ascii")


def _group(folder: Path) -> Path:
    """The lab's control group, which its watcher removes at the end (`keeper.groups`)."""
    if V1.is_dir():
        group = V1 / f"rackseed-{folder.name}"
    else:
        group = V2 / f"rackseed-{folder.name}"
        control = V2 / "cgroup.subtree_control"
        if not control.exists() or "io" not in (V2 / "cgroup.controllers").read_text(encoding="ascii").split():
            raise PrerequisiteError("this kernel has no I/O controller for control groups: no disk can be made slow")
        control.write_text("+io", encoding="ascii")
    group.mkdir(exist_ok=True)
    return group


def users(host: Host, attached: Attached) -> Iterator[int]:
    """Process ids (of this computer) of a host's programs that have a disk open."""
    if host.off:
        return
    space = Path(f"/proc/{host.pid}/ns/pid").readlink()
    for process in psutil.process_iter():
        folder = Path(f"/proc/{process.pid}")
        try:
            if (folder / "ns/pid").readlink() == space and _opens(folder, attached.number):
                yield process.pid
        except OSError:
            continue  # it ended


def _opens(folder: Path, number: int) -> bool:
    for descriptor in (folder / "fd").iterdir():
        try:
            if descriptor.stat().st_rdev == os.makedev(LOOP_MAJOR, number):
                return True
        except OSError:
            continue  # closed meanwhile
    return False


def corrupt_label(lab: CephLab, name: str, serial: str) -> bytes:
    """Overwrite the BlueStore label of a disk that nobody uses with noise; returns what was there. Raises `MachineError`
    while something has the disk open."""
    host = lab.host(name)
    attached = host.disks[serial]
    busy = tuple(users(host, attached))
    if busy:
        raise MachineError(f"{attached.node} is in use by process {busy[0]}: stop the OSD first")
    old = _exchange(attached, secrets.token_bytes(LABEL))
    if not any(old):
        _exchange(attached, old)
        raise MachineError(f"there is no label on {attached.node} ({serial}): it is blank")
    return old


def restore_label(lab: CephLab, name: str, serial: str, label: bytes) -> None:
    """Write a label back."""
    _exchange(lab.host(name).disks[serial], label)


def _exchange(attached: Attached, data: bytes) -> bytes:
    try:
        descriptor = os.open(attached.node, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        raise MachineError(f"{attached.node} can't be had: {error.strerror}; is its OSD stopped?") from error
    try:
        old = os.pread(descriptor, len(data), 0)
        os.pwrite(descriptor, data, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return old


def fill(host: Host, pool: str, size: int) -> None:
    """Write ``size`` bytes (before copies) of new objects into a pool, from a host with the admin's key. Raises
    `agent.run.CommandError` when Ceph takes no more (it waits when an OSD is full)."""
    count = max(1, size // OBJECT)
    bench = ["bench", str(SECONDS), "write", "--no-cleanup", "-t", "4", "-b", str(OBJECT), "--max-objects", str(count)]
    host.run(["rados", "-p", pool, *bench, "--run-name", secrets.token_hex(4)], timeout=SECONDS + 60)
