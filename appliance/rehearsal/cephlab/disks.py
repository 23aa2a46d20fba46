"""Sparse files as loop devices that clear themselves: nobody has to detach them, whoever is killed."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from appliance.rehearsal.cephlab.description import LabDisk
from appliance.rehearsal.cephlab.keeper import SOCKET
from appliance.rehearsal.errors import MachineError

LOOP_CTL_GET_FREE, LOOP_CONFIGURE, LOOP_SET_CAPACITY = 0x4C82, 0x4C0A, 0x4C07
AUTOCLEAR = 4
CONFIG = struct.Struct("=II QQQQQ IIII 64s64s32s QQ 8Q")
"""``struct loop_config`` of linux/loop.h: descriptor, block size, ``loop_info64``, reserved words."""

ATTEMPTS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A disk with its file and its loop device (``/dev/loop3``)."""

    disk: LabDisk
    file: Path
    node: str

    @property
    def number(self) -> int:
        """Minor number of the loop device (its major one is 7)."""
        return int(self.node.removeprefix("/dev/loop"))

    @property
    def by_id(self) -> str:
        """What udev would call it below ``/dev/disk/by-id``."""
        return f"scsi-{self.disk.name}_{self.disk.serial}"


def attach(folder: Path, disk: LabDisk) -> Attached:
    """Make the file when it is not there, and a loop device that the lab's keeper holds. Raises `MachineError`."""
    path = folder / "disks" / disk.serial
    path.parent.mkdir(exist_ok=True)
    with path.open("ab") as file:
        if file.tell() != disk.size:
            _resize(file.fileno(), disk)
    descriptor, node = _configure(path)
    try:
        give(folder, disk.serial, descriptor)
    finally:
        os.close(descriptor)
    Path(f"/sys/block/{node.removeprefix('/dev/')}/queue/rotational").write_text(str(int(disk.rotational)), "ascii")
    return Attached(disk=disk, file=path, node=node)


def _resize(descriptor: int, disk: LabDisk) -> None:
    try:
        os.ftruncate(descriptor, disk.size)
    except OSError as error:
        raise MachineError(
            f"disk {disk.serial} of {disk.size} bytes can't be made ({error.strerror}): ext4 ends below 16 TiB; "
            f"RACKSEED_LABS names another folder, and /dev/shm takes any size"
        ) from error


def detach(folder: Path, attached: Attached, *, forget: bool = False) -> None:
    """Pull the disk: its device clears itself when its last user is gone. ``forget`` removes the file too."""
    give(folder, attached.disk.serial, None)
    if forget:
        attached.file.unlink(missing_ok=True)


def give(folder: Path, name: str, descriptor: int | None) -> None:
    """Let the keeper of a lab hold a descriptor by ``name``, or let go of it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(10)
        client.connect(str(folder / SOCKET))
        socket.send_fds(client, [name.encode()], [descriptor] if descriptor is not None else [])
        client.recv(16)


def _configure(path: Path) -> tuple[int, str]:
    """An open descriptor of a free loop device that now has ``path`` behind it."""
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    backing = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(ATTEMPTS):
            node = f"/dev/loop{fcntl.ioctl(control, LOOP_CTL_GET_FREE)}"
            device = os.open(node, os.O_RDWR | os.O_CLOEXEC)
            name = str(path).encode()[-63:]
            config = CONFIG.pack(backing, 512, *[0] * 5, 0, 0, 0, AUTOCLEAR, name, b"", b"", 0, 0, *[0] * 8)
            try:
                fcntl.ioctl(device, LOOP_CONFIGURE, config)
            except OSError:  # somebody else took it between the two calls
                os.close(device)
                continue
            return device, node
    finally:
        os.close(backing)
        os.close(control)
    raise MachineError("no loop device could be had: see `losetup -a` for who holds them")
