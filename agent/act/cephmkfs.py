"""`ceph-osd --mkfs`: BlueStore on devices that were made ready for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from agent.act import cephfiles as files
from agent.act import cephosds as osds
from agent.act.cephguard import Use
from agent.act.cephmonitors import AS_CEPH, scratch
from agent.act.cephosds import Keys
from agent.errors import CephError
from agent.run import CommandError, run
from agent.wire import OsdOrder

MKFS_SECONDS = 900.0


def mkfs(osd: OsdOrder, keys: Keys, paths: Mapping[Use, str], folder: Path | None = None) -> None:
    """``paths`` are block devices. ``folder`` becomes the OSD's; without one its files are thrown away afterwards: they
    are in the label too (`ceph-bluestore-tool prime-osd-dir` makes them again). Raises `CephError`."""
    ceph = files.owner_of("ceph")
    for path in paths.values():
        os.chown(path, ceph.uid, ceph.gid)
    with scratch() as place:
        home = folder or place / "osd"
        files.make_folder(home, ceph)
        (home / "block").symlink_to(paths[Use.DATA])
        monmap = place / "monmap"
        osds.monmap(monmap)
        os.chown(monmap, ceph.uid, ceph.gid)
        argv = ["ceph-osd", "--mkfs", "-i", str(osd.number), "--osd-uuid", osd.uuid, "--osd-objectstore", "bluestore"]
        argv += ["--osd-data", str(home), "--monmap", str(monmap), "--keyfile", "-", "--no-mon-config", *AS_CEPH]
        for use, option in ((Use.DB, "--bluestore-block-db-path"), (Use.WAL, "--bluestore-block-wal-path")):
            if use in paths:
                argv += [option, paths[use]]
        try:
            run(argv, input=keys.cephx.encode(), timeout=MKFS_SECONDS)
        except CommandError as error:
            raise CephError(f"osd.{osd.number} can't be made on {paths[Use.DATA]}: {error}") from error
