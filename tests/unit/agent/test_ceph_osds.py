"""An OSD order with the power cut before and after every effect: it ends with the same OSD, and never with a second one.

LVM, the monitors and the disks are a small model here, with the rules that matter: a tag is set or not, `osd purge-new`
takes back only what was never up, an open volume can't be removed. Real programs: tests/net/agent/test_ceph_osd_on_loop.py.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
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
from agent.wire import CephAction, CephOrder, Content, DeviceGrant, Disk
from tests.unit.agent.ceph_world import (
    BLANK,
    EXTENT,
    FSID,
    NEIGHBOUR,
    NEIGHBOURS,
    OLD,
    OSD,
    OTHER_FSID,
    Daemons,
    PowerCut,
    Volume,
    World,
    db_claim,
    fresh_world,
    grant,
    order,
)


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
        for module in (cephvolumes, cephlvm, cephmkfs, cephleave):
            monkeypatch.setattr(module, "run", world.run)
        monkeypatch.setattr(cephcommands, "question", world.question)
        monkeypatch.setattr(cephcommands, "fetch_monmap", world.fetch_monmap)
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
        _, group = world.physical.pop(disk.path, ("", ""))
        world.volumes = {key: volume for key, volume in world.volumes.items() if not group or key[0] != group}


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


def old_cluster_on_sda(world: World) -> DeviceGrant:
    """A whole OSD of a cluster that was given up, its group assembled by the machine; and a grant for exactly that."""
    tags = ["ceph.osd_fsid=00000000-0000-4000-8000-0000000000aa", "ceph.osd_id=3", "ceph.type=block"]
    world.physical["/dev/sda"] = ("Old-Pv", "ceph-old")
    world.volumes["ceph-old", "osd-block-old"] = Volume(9 * EXTENT, [*tags, f"ceph.cluster_fsid={OTHER_FSID}"])
    return grant("sda", OSD, world.content("/dev/sda"))


def test_an_old_clusters_group_is_taken_down_and_erased_when_that_was_granted(seam: Any) -> None:
    world = fresh_world()
    seam(world)
    wanted = order(False)
    assert wanted.osd is not None
    granted = replace(wanted, osd=replace(wanted.osd, data=old_cluster_on_sda(world)))
    world.opened.add("osd-block-old")
    with pytest.raises(DiskRefusedError, match="is open"):
        perform(world, granted)
    assert world.effects == []
    with pytest.raises(DiskRefusedError, match=OTHER_FSID):
        perform(world, wanted)  # its grant names what was there before
    world.opened.clear()
    perform(world, granted)
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
