"""An OSD on whole disks without LVM: for machines without device mapper, and for the lab."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from agent.act import cephfiles as files
from agent.act.cephdaemons import Tell
from agent.act.cephguard import Use
from agent.act.cephlvm import own_by_ceph
from agent.act.cephmkfs import mkfs
from agent.act.cephosds import Keys, Place
from agent.errors import CephError
from agent.run import run
from agent.wire import Disk, OsdOrder

LINKS = {Use.DATA: "block", Use.DB: "block.db", Use.WAL: "block.wal"}


class Raw:
    """The backend ``raw``."""

    def free(self) -> dict[str, int]:
        files.need_programs(("ceph-osd", "ceph-bluestore-tool"))
        return {}

    def complete(self, osd: OsdOrder, fsid: str, data: Place) -> bool:
        found = label(data.disk.path)
        return found.get("osd_uuid") == osd.uuid and found.get("ceph_fsid") == fsid and found.get("mkfs_done") == "yes"

    def make(self, osd: OsdOrder, fsid: str, places: Sequence[Place], keys: Keys, tell: Tell) -> None:
        folder = files.data_folder("osd", str(osd.number))
        _clear(folder, osd)
        tell("mkfs", 0.6, "")
        mkfs(osd, keys, {place.claim.use: stable(place.disk) for place in places}, folder)

    def prepare_start(self, osd: OsdOrder, places: Sequence[Place]) -> None:
        """Folder and links, also when the disks came with another root disk or under other names."""
        folder = files.data_folder("osd", str(osd.number))
        ceph = files.owner_of("ceph")
        if not (folder / "keyring").is_file():
            _clear(folder, osd)
            files.make_folder(folder, ceph)
            where = ["--dev", places[0].disk.path, "--path", str(folder)]
            run(["ceph-bluestore-tool", "prime-osd-dir", *where, "--no-mon-config"])
        for place in places:
            link, target = folder / LINKS[place.claim.use], stable(place.disk)
            if not link.is_symlink() or str(link.readlink()) != target:
                link.unlink(missing_ok=True)
                link.symlink_to(target)
            own_by_ceph(place.disk.path)
        files.give_tree(folder, ceph)


def stable(disk: Disk) -> str:
    """A name that survives a reboot where udev made one."""
    for name in disk.by_id:
        path = Path("/dev/disk/by-id") / name
        if path.exists() and path.stat().st_rdev == Path(disk.path).stat().st_rdev:
            return str(path)
    return disk.path


def label(path: str) -> dict[str, str]:
    """BlueStore's label of a device without the OSD's key; empty when there is none."""
    done = run(["ceph-bluestore-tool", "show-label", "--dev", path], check=False)
    if done.code != 0:
        return {}
    try:
        found = json.loads(done.stdout)
    except ValueError:
        return {}
    (facts,) = found.values()
    return {str(name): str(value) for name, value in facts.items() if name != "osd_key"}


def _clear(folder: Path, osd: OsdOrder) -> None:
    """What an interrupted try left. Raises `CephError` when it is another OSD's folder."""
    if not folder.is_dir():
        return
    fsid = folder / "fsid"
    was = fsid.read_text("ascii").strip() if fsid.is_file() else ""
    if was not in {"", osd.uuid}:
        raise CephError(f"{folder} is OSD {was}'s: remove that one first")
    shutil.rmtree(folder)
