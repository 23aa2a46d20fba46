"""An OSD on logical volumes, with the tags that `ceph-volume lvm` reads: it activates it at every boot.

Not `ceph-volume lvm create`: it can't be asked again after a power cut, and its rollback zaps every volume that is tagged
with the OSD's id, also the old disk's that was not granted.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from agent.act import cephfiles as files
from agent.act import cephvolumes as lvm
from agent.act.cephdaemons import UNITS, Tell
from agent.act.cephguard import SLACK, Use
from agent.act.cephmkfs import mkfs
from agent.act.cephosds import Keys, Place
from agent.act.cephvolumes import Volume
from agent.errors import CephError
from agent.run import run
from agent.wire import OsdOrder

KINDS = {Use.DATA: "block", Use.DB: "db", Use.WAL: "wal"}
COMPLETE = "rackseed.complete"
"""Tag of a block volume whose OSD was made to the end. ceph-volume ignores tags that are not its own."""
LUKS_BITS = "512"
"""As ``osd_dmcrypt_key_size`` by default: `ceph-volume` opens with the same."""


class Lvm:
    """The backend ``lvm``."""

    def free(self) -> dict[str, int]:
        files.need_programs(("lvm", "ceph-volume", "ceph-osd"))
        return lvm.free()

    def complete(self, osd: OsdOrder, fsid: str, data: Place) -> bool:
        if not data.group:
            return False
        mine = [item for item in lvm.volumes(data.group) if item.name == lvm.named("block", osd.uuid)]
        tagged = [item for item in lvm.of_osd(lvm.volumes(data.group), osd.uuid) if item.fact("type") == "block"]
        if tagged and not mine:
            return True  # ceph-volume made it before we knew this cluster: never ours to make anew
        return bool(mine) and COMPLETE in mine[0].tags

    def make(self, osd: OsdOrder, fsid: str, places: Sequence[Place], keys: Keys, tell: Tell) -> None:
        files.need_programs(("cryptsetup",) if osd.encrypted else ())
        volumes: dict[Use, Volume] = {}
        for place in places:
            group = lvm.make_group(place.claim, place.disk, place.group)
            name = lvm.named(KINDS[place.claim.use], osd.uuid)
            for old in lvm.volumes(group):
                if old.name == name:  # begun before: its keys are lost, its OSD was never up
                    _close(old)
                    lvm.remove(next(item for item in lvm.volumes(group) if item.name == name))
            whole = not place.claim.grant.shared and place.size >= place.disk.size - SLACK
            volumes[place.claim.use] = lvm.make_volume(group, name, 0 if whole else place.size)
        _tag(osd, fsid, keys, volumes)
        paths = {use: _encrypted(item, keys) if osd.encrypted else item.path for use, item in volumes.items()}
        tell("mkfs", 0.6, "")
        try:
            mkfs(osd, keys, paths)
        finally:
            for item in volumes.values():
                _close(item)
        run(["lvchange", "--addtag", COMPLETE, volumes[Use.DATA].short])

    def prepare_start(self, osd: OsdOrder, places: Sequence[Place]) -> None:
        """Mounts, primes, opens what is encrypted, and enables its unit for every boot; also starts the OSD."""
        for place in places:
            if place.group:
                run(["vgchange", "--activate", "y", place.group])
        run(["ceph-volume", "lvm", "activate", str(osd.number), osd.uuid], timeout=900)
        files.keep_links(UNITS)


def _tag(osd: OsdOrder, fsid: str, keys: Keys, volumes: dict[Use, Volume]) -> None:
    """What `ceph-volume lvm prepare` (18.2.7) writes."""
    facts = {
        "osd_fsid": osd.uuid,
        "osd_id": str(osd.number),
        "cluster_fsid": fsid,
        "cluster_name": "ceph",
        "crush_device_class": osd.device_class,
        "osdspec_affinity": "",
        "encrypted": "1" if osd.encrypted else "0",
        "cephx_lockbox_secret": keys.lockbox,
        "vdo": "0",
    }
    for use, item in volumes.items():
        facts |= {f"{KINDS[use]}_device": item.path, f"{KINDS[use]}_uuid": item.uuid}
    for use, item in volumes.items():
        lvm.tag(item, {**facts, "type": KINDS[use]})


def _encrypted(volume: Volume, keys: Keys) -> str:
    """Format and open it under the name that ceph-volume uses; the key goes over standard input only."""
    secret = keys.disk.encode()
    base = ["cryptsetup", "--batch-mode", "--key-size", LUKS_BITS, "--key-file", "-"]
    run([*base, "luksFormat", volume.path], input=secret, timeout=300)
    run([*base, "--allow-discards", "luksOpen", volume.path, volume.uuid], input=secret, timeout=120)
    return f"/dev/mapper/{volume.uuid}"


def _close(volume: Volume) -> None:
    mapped = Path(f"/dev/mapper/{volume.uuid}")
    if mapped.exists():
        done = run(["cryptsetup", "close", volume.uuid], check=False)
        if done.code != 0 and mapped.exists():
            raise CephError(f"{mapped} can't be closed: {done.stderr.strip()[-200:]}")


def own_by_ceph(path: str) -> None:
    """The device node behind a path, so that a daemon without root may open it."""
    ceph = files.owner_of("ceph")
    os.chown(path, ceph.uid, ceph.gid)
