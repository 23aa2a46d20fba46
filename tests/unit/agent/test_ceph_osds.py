"""An OSD order with the power cut before and after every effect: it ends with the same OSD, and never with a second one.

LVM, the monitors and the disks are a small model here, with the rules that matter: a tag is set or not, `osd purge-new`
takes back only what was never up, an open volume can't be removed. Real programs: tests/net/agent/test_ceph_osd_on_loop.py.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from agent.act import (
    ceph,
    cephcommands,
    cephconfigure,
    cephdaemons,
    cephdisks,
    cephfiles,
    cephleave,
    cephlvm,
    cephmkfs,
    cephosds,
    cephvolumes,
)
from agent.act.cephguard import Claim
from agent.errors import CephError, DiskRefusedError, OrderRefusedError
from agent.run import CommandError, Result
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

    def _ceph(self, argv: list[str], options: Any) -> None:
        Path(argv[-1]).write_text("a monmap")

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


@pytest.fixture
def seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a world under the agent's code; everything that it calls is in there."""
    me = cephfiles.Owner(uid=os.getuid(), gid=os.getgid())
    monkeypatch.setattr(cephfiles, "owner_of", lambda name: me)
    monkeypatch.setattr(cephfiles, "need_programs", list)
    monkeypatch.setattr(cephfiles, "NOTES", tmp_path / "notes")
    monkeypatch.setattr(cephfiles, "RUN", tmp_path / "run")
    monkeypatch.setattr(cephfiles, "LIB", tmp_path / "lib")
    monkeypatch.setattr(cephfiles, "BOOTSTRAP", tmp_path / "bootstrap")
    monkeypatch.setattr(cephconfigure, "raise_limits", lambda: "")
    (tmp_path / "bootstrap").write_text("")
    monkeypatch.setattr(os, "chown", lambda path, uid, gid, **options: None)

    def put(world: World) -> None:
        for module in (cephvolumes, cephlvm, cephmkfs, cephosds, cephleave):
            monkeypatch.setattr(module, "run", world.run)
        monkeypatch.setattr(cephcommands, "question", world.question)
        monkeypatch.setattr(cephdaemons, "answer", lambda *words: {"state": "active"})
        monkeypatch.setattr(cephdisks, "opened", lambda claim, disks, judge: _opened(world, claim, judge))
        monkeypatch.setattr(cephdisks, "erase", lambda claim, device, disk, judge: _erase(world, claim, disk))

    return put


@contextlib.contextmanager
def _opened(world: World, claim: Claim, judge: Any) -> Iterator[Any]:
    disk, _ = cephdisks.accepted(cephdisks._found(claim, world.disks))
    cephdisks.accepted(judge(claim, disk))
    yield None, disk


def _erase(world: World, claim: Claim, disk: Disk) -> None:
    """In two parts, as the real one: marked, then blank."""
    if disk.content.blank:
        return
    cephdisks.note(claim)
    with world.effect("mark"):
        world.contents[disk.path] = Content(table="gpt", table_id=claim.marker, edges="3" * 64)
    with world.effect("wipe"):
        world.contents[disk.path] = BLANK


def perform(world: World, wanted: CephOrder) -> str:
    message, _ = ceph.perform(wanted, "m1", "p", world.disks, lambda name: "", Daemons(world), lambda *words: None)
    return message


def assert_made_once(world: World, encrypted: bool) -> None:
    assert {number: osd["uuid"] for number, osd in world.osds.items()} == {1: NEIGHBOUR, 3: OSD}
    assert world.running == {"3"}
    names = sorted(name for _, name in world.volumes)
    assert names == sorted([f"osd-block-{OSD}", f"osd-db-{OSD}", NEIGHBOURS])
    mine = {name: volume for (_, name), volume in world.volumes.items() if name != NEIGHBOURS}
    assert {volume.key for volume in mine.values()} == {world.osds[3]["key"]}
    assert all(bool(volume.luks) is encrypted for volume in mine.values())
    assert world.volumes[db_claim().group, NEIGHBOURS].key == "neighbour"
    assert mine[f"osd-db-{OSD}"].size == 40 * EXTENT
    assert world.contents["/dev/sdc"] == OLD and "/dev/sdc" not in world.physical


@pytest.mark.parametrize("encrypted", [False, True])
def test_the_power_may_go_at_any_point(seam: Any, encrypted: bool, tmp_path: Path) -> None:
    """Before and after each effect; then the same order again."""
    calm = fresh_world()
    seam(calm)
    assert "was made" in perform(calm, order(encrypted))
    assert_made_once(calm, encrypted)
    count = len(calm.effects)
    assert count >= 12
    cuts = 0
    for effect in range(1, count + 1):
        for after in (False, True):
            world = fresh_world()
            world.left, world.after = effect, after
            seam(world)
            with pytest.raises(PowerCut):
                perform(world, order(encrypted))
            world.boot()
            perform(world, order(encrypted))
            assert_made_once(world, encrypted)
            assert not list((tmp_path / "notes").glob("*.erasing"))
            cuts += 1
    assert cuts == 2 * count


def test_twice_in_the_middle(seam: Any) -> None:
    """The second try may be cut too."""
    for first in range(1, 14, 3):
        for second in range(1, 14, 4):
            world = fresh_world()
            seam(world)
            for left in (first, second):
                world.left = left
                with contextlib.suppress(PowerCut):
                    perform(world, order(False))
                world.boot()
            perform(world, order(False))
            assert_made_once(world, False)


def test_asked_again_nothing_happens(seam: Any) -> None:
    world = fresh_world()
    seam(world)
    perform(world, order(False))
    folder = cephfiles.data_folder("osd", "3")
    folder.mkdir(parents=True)
    (folder / "fsid").write_text(f"{OSD}\n")
    (folder / "ceph_fsid").write_text(f"{FSID}\n")
    before = list(world.effects)
    assert "runs" in perform(world, order(False))
    assert world.effects == before
    (folder / "fsid").write_text(f"{NEIGHBOUR}\n")
    with pytest.raises(OrderRefusedError, match=NEIGHBOUR):
        perform(world, order(False))


def test_after_a_boot_it_is_only_started(seam: Any) -> None:
    world = fresh_world()
    seam(world)
    perform(world, order(False))
    world.boot()
    before = len(world.effects)
    assert "was there" in perform(world, order(False))
    assert world.effects[before:] == ["activate"]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (
            lambda world: world.contents.update({"/dev/sda": replace(OLD, edges="9" * 64)}),
            DiskRefusedError,
            "plan again",
        ),
        (lambda world: world.contents.pop("/dev/sda"), DiskRefusedError, "pulled or swapped"),
        (
            lambda world: world.osds.update({3: {"uuid": NEIGHBOUR, "state": ["exists", "up"]}}),
            OrderRefusedError,
            "plan again",
        ),
        (
            lambda world: world.osds.update({7: {"uuid": OSD, "state": ["exists", "new"]}}),
            OrderRefusedError,
            "osd.7 already",
        ),
        (
            lambda world: world.osds.update({3: {"uuid": OSD, "state": ["exists"]}}),
            DiskRefusedError,
            "one with data",
        ),
    ],
)
def test_refused_before_anything_is_written(seam: Any, change: Any, error: type[Exception], words: str) -> None:
    world = fresh_world()
    seam(world)
    change(world)
    with pytest.raises(error, match=words):
        perform(world, order(False))
    assert world.effects == []


def test_whole_data_that_the_monitors_forgot_are_not_made_anew(seam: Any) -> None:
    """Their map may have been lost: the disks may be the last copy."""
    world = fresh_world()
    seam(world)
    perform(world, order(False))
    world.boot()
    del world.osds[3]
    before = len(world.effects)
    with pytest.raises(DiskRefusedError, match="do not know"):
        perform(world, order(False))
    assert len(world.effects) == before


def test_a_lost_db_is_said(seam: Any) -> None:
    world = fresh_world()
    seam(world)
    perform(world, order(False))
    world.boot()
    del world.physical["/dev/sdb"]
    world.volumes = {key: volume for key, volume in world.volumes.items() if "block" in key[1]}
    with pytest.raises(DiskRefusedError, match="holds no db"):
        perform(world, order(False))


def test_a_destroyed_id_is_used_again(seam: Any) -> None:
    world = fresh_world()
    world.osds[3] = {"uuid": "00000000-0000-4000-8000-000000000009", "state": ["exists", "destroyed", "new"]}
    seam(world)
    perform(world, order(False))
    assert_made_once(world, False)


def zap_order(*grants: DeviceGrant) -> CephOrder:
    return CephOrder(action=CephAction.ZAP, fsid=FSID, zap=grants)


def test_slots_of_an_osd_that_left_are_freed_and_no_other(seam: Any) -> None:
    world = fresh_world()
    seam(world)
    perform(world, order(False))
    world.running.clear()
    slots = zap_order(grant("sdb", OSD, BLANK, shared=True))
    assert "untouched" in perform(world, slots)
    assert (db_claim().group, NEIGHBOURS) in world.volumes
    assert (db_claim().group, f"osd-db-{OSD}") not in world.volumes
    assert "no slot removed" in perform(world, slots)


def test_a_running_osd_is_not_zapped(seam: Any) -> None:
    world = fresh_world()
    seam(world)
    perform(world, order(False))
    with pytest.raises(DiskRefusedError, match="stop it first"):
        perform(world, zap_order(grant("sda", OSD, OLD)))
    world.running.clear()
    world.opened.add(f"osd-block-{OSD}")
    with pytest.raises(DiskRefusedError, match="is open"):
        perform(world, zap_order(grant("sda", OSD, OLD)))


def test_the_monitors_may_refuse_to_take_it_back(seam: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world = fresh_world()
    world.left, world.after = 4, True
    seam(world)
    with pytest.raises(PowerCut):
        perform(world, order(False))
    world.boot()
    monkeypatch.setattr(cephosds, "_purge_new", lambda osd: (_ for _ in ()).throw(CephError("can't be taken back")))
    assert world.osds[3]["state"] == ["exists", "new"]
    with pytest.raises(CephError, match="taken back"):
        perform(world, order(False))


def test_a_program_that_fails_is_told_as_an_error_of_ceph(seam: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world = fresh_world()
    seam(world)

    def fail(argv: Sequence[str], **options: Any) -> Result:
        raise CommandError(argv, "ended with 5", code=5, stderr="no such thing")

    monkeypatch.setattr(cephmkfs, "run", fail)
    with pytest.raises(CephError, match=r"osd\.3 can't be made"):
        perform(world, order(False))
