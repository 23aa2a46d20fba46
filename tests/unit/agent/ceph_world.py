"""A small model of what an OSD is made of: LVM, monitors, disks, with the power cut at any effect.

The rules that matter are kept: a tag is set or not, `osd purge-new` takes back only what was never up, an open volume can't
be removed, a volume that is added and deleted as tag in one command is gone.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.act import (
    cephosds,
)
from agent.act.cephguard import Claim
from agent.run import Result
from agent.wire import CephAction, CephOrder, Content, DeviceGrant, Disk, MonAnswer, OsdOrder, Signature

FSID, OTHER_FSID = "6e1f7c52-34a8-4a57-9d0e-0f5a3a0e8f11", "6e1f7c52-34a8-4a57-9d0e-0f5a3a0e8f12"
OSD, NEIGHBOUR = "00000000-0000-4000-8000-000000000003", "00000000-0000-4000-8000-000000000001"
TERA, EXTENT = 10**12, 4 * 2**20
BLANK = Content(blank=True, edges="0" * 64)


class PowerCut(BaseException):
    """Not an Exception: nothing may catch it."""


@dataclass
class Volume:
    size: int
    tags: list[str] = field(default_factory=list)
    key: str = ""  # of the OSD that mkfs made on it
    luks: str = ""


@dataclass
class World:
    """``left`` effects until the power goes; ``after`` says whether that effect still happens."""

    contents: dict[str, Content]
    physical: dict[str, tuple[str, str]] = field(default_factory=dict)
    volumes: dict[tuple[str, str], Volume] = field(default_factory=dict)
    osds: dict[int, dict[str, Any]] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    opened: set[str] = field(default_factory=set)
    left: int = -1
    after: bool = False
    effects: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def effect(self, name: str) -> Iterator[None]:
        """One thing that changes the world."""
        self.effects.append(name)
        self.left -= 1
        if self.left == 0 and not self.after:
            raise PowerCut
        yield
        if self.left == 0:
            raise PowerCut

    def boot(self) -> None:
        self.running.clear()
        self.opened.clear()
        self.left = -1

    def disks(self) -> tuple[Disk, ...]:
        return tuple(
            Disk(path=path, size=TERA, serial=path[-3:], model="M", content=self.content(path))
            for path in sorted(self.contents)
        )

    def content(self, path: str) -> Content:
        """As the probe reads it: the physical volume, and OSDs by the tags of its volumes."""
        if path not in self.physical:
            return self.contents[path]
        pv, group = self.physical[path]
        found = {Signature(kind="LVM2_member", uuid=pv, owner=group)}
        for (where, _), volume in self.volumes.items():
            facts = dict(tag.removeprefix("ceph.").split("=", 1) for tag in volume.tags if tag.startswith("ceph."))
            if where == group and facts:
                label = f"osd.{facts['osd_id']}"
                found.add(
                    Signature(kind="ceph_bluestore", uuid=facts["osd_fsid"], label=label, owner=facts["cluster_fsid"])
                )
        in_use = any(where == group for where, _ in self.volumes)
        return Content(signatures=tuple(sorted(found, key=repr)), edges="1" * 64, in_use=in_use)

    # ------------------------------------------------------------ programs

    def run(self, argv: Sequence[str], **options: Any) -> Result:
        program = {"ceph-osd": "mkfs", "ceph-volume": "activate"}.get(argv[0], argv[0])
        out = getattr(self, f"_{program}")(list(argv), options)
        return Result(argv=tuple(argv), code=0, stdout=out or "", stderr="")

    def _report(self, kind: str, rows: list[dict[str, Any]]) -> str:
        return json.dumps({"report": [{kind: rows}]})

    def _vgs(self, argv: list[str], options: Any) -> str:
        rows = [
            {"vg_name": group, "vg_free": str(self.free(group)), "vg_extent_size": str(EXTENT)}
            for _, group in self.physical.values()
            if group and (argv[-1] == group or argv[-1].startswith("vg_"))
        ]
        return self._report("vg", rows)

    def free(self, group: str) -> int:
        used = sum(volume.size for (where, _), volume in self.volumes.items() if where == group)
        return (TERA - 2**20) // EXTENT * EXTENT - used

    def _pvs(self, argv: list[str], options: Any) -> str:
        rows = [{"pv_name": path, "pv_uuid": pv, "vg_name": vg} for path, (pv, vg) in self.physical.items()]
        return self._report("pv", rows)

    def _lvs(self, argv: list[str], options: Any) -> str:
        rows = [
            {
                "vg_name": group,
                "lv_name": name,
                "lv_uuid": f"id-{name}",
                "lv_size": str(volume.size),
                "lv_device_open": "open" if name in self.opened else "",
                "lv_tags": ",".join(volume.tags),
            }
            for (group, name), volume in self.volumes.items()
            if argv[-1] in {group, "vg_name,lv_name,lv_uuid,lv_size,lv_device_open,lv_tags"}
        ]
        return self._report("lv", rows)

    def _pvcreate(self, argv: list[str], options: Any) -> None:
        with self.effect("pvcreate"):
            assert argv[-1] not in self.physical and self.contents[argv[-1]].blank
            self.physical[argv[-1]] = (argv[argv.index("--uuid") + 1], "")

    def _vgcreate(self, argv: list[str], options: Any) -> None:
        with self.effect("vgcreate"):
            pv, old = self.physical[argv[-1]]
            assert not old
            self.physical[argv[-1]] = (pv, argv[-2])

    def _vgchange(self, argv: list[str], options: Any) -> None:
        assert argv[-1] in {group for _, group in self.physical.values()}

    def _lvcreate(self, argv: list[str], options: Any) -> None:
        with self.effect("lvcreate"):
            group, name = argv[-1], argv[argv.index("--name") + 1]
            size = int(argv[argv.index("--extents") + 1]) * EXTENT
            assert (group, name) not in self.volumes and 0 < size <= self.free(group)
            self.volumes[group, name] = Volume(size)

    def _lvremove(self, argv: list[str], options: Any) -> None:
        with self.effect("lvremove"):
            group, _, name = argv[-1].partition("/")
            assert name not in self.opened
            del self.volumes[group, name]

    def _lvchange(self, argv: list[str], options: Any) -> None:
        if "--activate" in argv:
            return
        with self.effect("lvchange"):
            group, _, name = argv[-1].partition("/")
            tags = self.volumes[group, name].tags
            added = [argv[i + 1] for i, word in enumerate(argv) if word == "--addtag"]
            gone = [argv[i + 1] for i, word in enumerate(argv) if word == "--deltag"]
            assert not set(added) & set(gone)  # lvchange would delete them
            self.volumes[group, name].tags = [tag for tag in tags if tag not in gone and tag not in added] + added

    def _cryptsetup(self, argv: list[str], options: Any) -> None:
        with self.effect(f"cryptsetup {argv[-3]}" if "luksOpen" in argv else "cryptsetup"):
            if "luksFormat" in argv:
                self._at(argv[-1]).luks = options["input"].decode()
            if "luksOpen" in argv:
                assert self._at(argv[-2]).luks == options["input"].decode()

    def _at(self, path: str) -> Volume:
        _, _, group, name = path.split("/")
        if group == "mapper":
            name = name.removeprefix("id-")
            return next(volume for (_, other), volume in self.volumes.items() if other == name)
        return self.volumes[group, name]

    def _mkfs(self, argv: list[str], options: Any) -> None:
        with self.effect("mkfs"):
            home = Path(argv[argv.index("--osd-data") + 1])
            paths = [str((home / "block").readlink())]
            paths += [argv[argv.index(word) + 1] for word in argv if word.endswith("-path")]
            for path in paths:
                self._at(path).key = options["input"].decode()

    def _activate(self, argv: list[str], options: Any) -> None:
        with self.effect("activate"):
            number = int(argv[-2])
            mine = [item for item in self.volumes.values() if f"ceph.osd_fsid={argv[-1]}" in item.tags]
            assert mine and all(item.key == self.osds[number]["key"] for item in mine)
            assert all(item.luks == self.osds[number]["luks"] for item in mine)
            self.running.add(str(number))
            self.osds[number]["state"] = ["exists", "up"]

    # ------------------------------------------------------------ monitors

    def fetch_monmap(self, path: Path, *, entity: str, keyring: Path) -> None:
        path.write_text("a monmap")

    def question(self, entity: str, keyring: Any, prefix: str, payload: str = "", **arguments: Any) -> MonAnswer:
        if prefix == "osd dump":
            rows = [{"osd": number, "uuid": osd["uuid"], "state": osd["state"]} for number, osd in self.osds.items()]
            return MonAnswer(code=0, output=json.dumps({"osds": rows}))
        number = arguments["id"]
        with self.effect(prefix):
            found = self.osds.get(number)
            if prefix == "osd purge-new":
                if found and "new" not in found["state"]:
                    return MonAnswer(code=1, status="not new")
                self.osds.pop(number, None)
                return MonAnswer(code=0)
            assert prefix == "osd new"
            told = json.loads(payload)
            if found and "destroyed" not in found["state"]:
                return MonAnswer(code=17, status="exists")
            self.osds[number] = {
                "uuid": arguments["uuid"],
                "key": told["cephx_secret"],
                "luks": told.get("dmcrypt_key", ""),
                "state": ["exists", "new"],
            }
            return MonAnswer(code=0, output=json.dumps({"osdid": number}))


@dataclass
class Daemons:
    world: World

    def start(self, kind: str, daemon: str) -> None:
        self.world.running.add(daemon)

    def stop(self, kind: str, daemon: str) -> None:
        self.world.running.discard(daemon)

    def running(self, kind: str, daemon: str) -> bool:
        return daemon in self.world.running


NEIGHBOURS = "osd-db-" + NEIGHBOUR


def db_claim() -> Claim:
    return Claim(
        grant=grant("sdb", OSD, BLANK, shared=True), use=cephosds.Use.DB, machine="m1", plan="p", fsid=FSID, osd=OSD
    )


def grant(serial: str, osd: str, content: Content, **changes: Any) -> DeviceGrant:
    made = DeviceGrant(
        machine="m1",
        plan="p",
        serial=serial,
        wwn="",
        model="M",
        size=TERA,
        fingerprint=content.fingerprint(),
        osd_uuid=osd,
    )
    return replace(made, **changes)


OLD = Content(signatures=(Signature(kind="ext4"),), edges="2" * 64)


def fresh_world() -> World:
    """sda has an old file system that was granted; sdb carries the DB of a neighbour; sdc nobody granted."""
    world = World(contents={"/dev/sda": OLD, "/dev/sdb": BLANK, "/dev/sdc": OLD})
    claim = db_claim()
    world.physical["/dev/sdb"] = (claim.volume, claim.group)
    tags = [f"ceph.osd_fsid={NEIGHBOUR}", "ceph.osd_id=1", f"ceph.cluster_fsid={FSID}", "ceph.type=db"]
    world.volumes[claim.group, NEIGHBOURS] = Volume(100 * EXTENT, tags, key="neighbour")
    world.osds[1] = {"uuid": NEIGHBOUR, "state": ["exists", "up"], "key": "neighbour", "luks": ""}
    return world


def order(encrypted: bool) -> CephOrder:
    osd = OsdOrder(
        number=3,
        uuid=OSD,
        device_class="hdd",
        data=grant("sda", OSD, OLD),
        db=grant("sdb", OSD, BLANK, shared=True),
        db_size=40 * EXTENT,
        encrypted=encrypted,
    )
    return CephOrder(action=CephAction.OSD, fsid=FSID, daemon="3", osd=osd)
