"""Ceph's files on this machine: where they are, and how they are written: whole or not at all, never readable too early."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agent.errors import CephError

ETC = Path("/etc/ceph")
LIB = Path("/var/lib/ceph")
RUN = Path("/run/ceph")
CONF = ETC / "ceph.conf"
ADMIN = ETC / "ceph.client.admin.keyring"
BOOTSTRAP = LIB / "bootstrap-osd" / "ceph.keyring"
NOTES = LIB / "rackseed"
"""Our own notes about work that was begun; no secrets."""

FOLDERS = ("mon", "mgr", "mds", "osd", "radosgw", "bootstrap-osd", "tmp")
"""Below `LIB`, as Debian's ceph-common and ceph-base make them (mode 0750 there)."""

PACKAGES = {
    "ceph": "ceph-common",
    "ceph-authtool": "ceph-common",
    "rbd": "ceph-common",
    "ceph-mon": "ceph-mon",
    "monmaptool": "ceph-base",
    "crushtool": "ceph-base",
    "osdmaptool": "ceph-base",
    "ceph-mgr": "ceph-mgr",
    "ceph-mds": "ceph-mds",
    "ceph-osd": "ceph-osd",
    "ceph-bluestore-tool": "ceph-osd",
    "ceph-volume": "ceph-volume",
    "lvm": "lvm2",
    "cryptsetup": "cryptsetup-bin",
    "radosgw": "radosgw",
    "radosgw-admin": "radosgw",
}
"""Program → the Debian 13 package that has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Numbers of a user and its group."""

    uid: int
    gid: int


def owner_of(name: str) -> Owner:
    """Raises `CephError` when there is no such user."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError as error:
        raise CephError(f"there is no user {name!r}: install the package ceph-common") from error
    return Owner(uid=entry.pw_uid, gid=entry.pw_gid)


def need_programs(names: Iterable[str]) -> None:
    """Raises `CephError` that names the package of every program that is missing."""
    search = "/usr/sbin:/usr/bin:/sbin:/bin"
    missing = [name for name in names if shutil.which(name, path=search) is None]
    if missing:
        packages = " ".join(sorted({PACKAGES.get(name, name) for name in missing}))
        raise CephError(f"{', '.join(missing)} not found: install {packages}")


def data_folder(kind: str, daemon: str) -> Path:
    """``/var/lib/ceph/mon/ceph-n1``; a gateway's name has its type in it: ``radosgw/ceph-rgw.n1``."""
    if kind == "rgw":
        return LIB / "radosgw" / f"ceph-rgw.{daemon}"
    return LIB / kind / f"ceph-{daemon}"


def make_folder(path: Path, owner: Owner, mode: int = 0o750) -> None:
    """With missing parents; owner and mode are put right when the folder is there."""
    make_parents(path)
    path.mkdir(exist_ok=True)
    status = path.stat()
    if (status.st_uid, status.st_gid) != (owner.uid, owner.gid):
        os.chown(path, owner.uid, owner.gid)
    if stat.S_IMODE(status.st_mode) != mode:
        path.chmod(mode)


def make_parents(path: Path) -> None:
    """Folders above it that are missing, readable by all: the agent's unit has a umask that would forbid that."""
    for folder in reversed(path.parents):
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)


def write(path: Path, content: str, *, mode: int, owner: Owner | None = None) -> bool:
    """Whether something had to be written. ``owner`` None leaves it to root. Raises OSError."""
    wanted, data = owner or Owner(uid=0, gid=0), content.encode()
    if _is_so(path, data, mode, wanted):
        return False
    make_parents(path)
    fresh = path.with_name(f".{path.name}.rackseed")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as stream:
        stream.write(data)
        os.fchown(stream.fileno(), wanted.uid, wanted.gid)
        os.fchmod(stream.fileno(), stat.S_IMODE(mode))
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(path)
    sync_folder(path.parent)
    return True


def _is_so(path: Path, data: bytes, mode: int, owner: Owner) -> bool:
    try:
        status = path.lstat()
        same = path.read_bytes() == data if stat.S_ISREG(status.st_mode) else False
    except OSError:
        return False
    return same and (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (mode, owner.uid, owner.gid)


def keep_links(units: Path) -> None:
    """What was enabled below ``units`` stays so when the power fails now: `systemctl` waits for nothing."""
    for folder in sorted(units.glob("*.wants")):
        sync_folder(folder)


def sync_folder(path: Path) -> None:
    """A name that was made or renamed in it survives a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def give_tree(path: Path, owner: Owner) -> None:
    """Everything below, without following links."""
    os.chown(path, owner.uid, owner.gid)
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            os.chown(Path(folder) / name, owner.uid, owner.gid, follow_symlinks=False)
