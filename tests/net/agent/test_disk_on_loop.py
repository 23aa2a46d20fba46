"""The disk part of an install on real block devices: one loop device is granted, another one must stay as it is."""

from __future__ import annotations

import hashlib
import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent.act import gpt, mounts
from agent.act import install as sequence
from agent.act.disk import granted, partition, partition_nodes
from agent.console import Console
from agent.errors import DiskRefusedError, InstallError, RefusedError, UnavailableError
from agent.patience import Patience
from agent.probe.content import content
from agent.probe.device import opened
from agent.probe.tree import Tree
from agent.progress import Reporter
from agent.wire import (
    DiskGrant,
    ImageRef,
    InstallOrder,
    Order,
    OrderKind,
    PartitionSpec,
    PermitClaim,
    Progress,
    SiteBundle,
)

pytestmark = pytest.mark.net

MIB = 2**20
SIZE = 128 * MIB
PERMIT = "6e1f7c52-34a8-4a57-9d0e-0f5a3a0e8f11"
ROOT_UUID = "0f3c5dd2-54d4-4b8e-8a4b-0d6a5e9b0c11"
SPECS = (
    PartitionSpec(number=1, role="bios-boot", size=MIB, guid="11111111-1111-4111-8111-111111111111"),
    PartitionSpec(
        number=2,
        role="esp",
        size=40 * MIB,
        guid="22222222-2222-4222-8222-222222222222",
        filesystem="vfat",
        uuid="ABCD-0123",
        label="ESP",
    ),
    PartitionSpec(
        number=3,
        role="root",
        size=0,
        guid="33333333-3333-4333-8333-333333333333",
        filesystem="ext4",
        uuid=ROOT_UUID,
        label="root",
    ),
)


def sh(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


@dataclass(frozen=True)
class Loop:
    """A loop device, and the fake sysfs folder that gives it the face of a disk."""

    node: Path
    backing: Path
    name: str

    def checksum(self) -> str:
        return hashlib.sha256(self.node.read_bytes()).hexdigest()


@pytest.fixture
def loops(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Loop, Loop]]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    sector = getattr(request, "param", 512)
    made: list[Loop] = []
    try:
        for name in ("vda", "vdb"):
            backing = tmp_path / f"{name}.img"
            with backing.open("wb") as stream:
                stream.truncate(SIZE)
            node = sh("losetup", "--find", "--show", "--partscan", f"--sector-size={sector}", str(backing))
            made.append(Loop(node=Path(node), backing=backing, name=name))
        yield made[0], made[1]
    finally:
        for loop in made:
            subprocess.run(["partx", "--delete", str(loop.node)], check=False, capture_output=True)
            subprocess.run(["losetup", "-d", str(loop.node)], check=False)


@pytest.fixture
def tree(loops: tuple[Loop, Loop], tmp_path: Path) -> Tree:
    root = tmp_path / "root"
    (root / "dev").mkdir(parents=True)
    (root / "sys/dev/block").mkdir(parents=True)
    for loop in loops:
        _dress(root, loop, serial=f"SERIAL-{loop.name}")
    return Tree(root)


def _dress(root: Path, loop: Loop, *, serial: str) -> None:
    folder = root / "sys/block" / loop.name
    (folder / "device").mkdir(parents=True)
    (folder / "device/model").write_text("LOOPDISK\n")
    (folder / "serial").write_text(f"{serial}\n")
    (folder / "size").write_text(f"{SIZE // 512}\n")
    (folder / "ro").write_text("0\n")
    (root / "dev" / loop.name).symlink_to(loop.node)
    rdev = loop.node.stat().st_rdev
    (root / f"sys/dev/block/{os.major(rdev)}:{os.minor(rdev)}").symlink_to(folder)


def grant(loop: Loop, **changes: object) -> DiskGrant:
    with opened(loop.node) as device:
        fingerprint = content(device).fingerprint()
    facts = DiskGrant(
        machine="m1",
        plan="p",
        serial=f"SERIAL-{loop.name}",
        wwn="",
        model="LOOPDISK",
        size=SIZE,
        fingerprint=fingerprint,
    )
    return replace(facts, **changes)  # type: ignore[arg-type]


def prepare(tree: Tree, allowed: DiskGrant) -> tuple[dict[str, mounts.Node], gpt.Layout, bool]:
    with granted(tree, allowed, PERMIT, "m1") as disk:
        layout = gpt.lay_out(PERMIT, SPECS, size=disk.device.size, sector=disk.device.sector)
        partition(disk, layout)
        resumed = disk.verdict.resumed
    sh("partx", "--update", str(tree.path(disk.path.lstrip("/")).resolve()))  # for kernels built without GPT
    return partition_nodes(Tree(), disk, layout), layout, resumed


@pytest.mark.parametrize("loops", [512, 4096], indirect=True)
def test_granted_disk_is_prepared_and_the_other_one_is_untouched(
    loops: tuple[Loop, Loop], tree: Tree, tmp_path: Path
) -> None:
    target, foreign = loops
    sh("mkfs.ext4", "-q", "-F", "-L", "precious", str(foreign.node))
    before = foreign.checksum()
    nodes, _, resumed = prepare(tree, grant(target))
    assert not resumed
    for spec in SPECS:
        mounts.make_filesystem(nodes[spec.role], spec)
    with mounts.mounted(nodes["root"], "ext4", tmp_path / "mnt") as root:
        (root / "hello").write_text("there")
        if "vfat" in Path("/proc/filesystems").read_text():
            with mounts.mounted(nodes["esp"], "vfat", root / "boot/efi") as esp:
                (esp / "EFI").mkdir()
        with pytest.raises(DiskRefusedError, match="in-use"), granted(tree, grant(target), PERMIT, "m1"):
            pass
    for role, filesystem in (("root", "ext4"), ("esp", "vfat")):
        mounts.check_filesystem(nodes[role], filesystem)
    assert foreign.checksum() == before
    with opened(target.node) as device:
        now = content(device)
    assert (now.table, now.table_id) == ("gpt", PERMIT)
    found = {(part.number, item.kind, item.uuid) for part in now.partitions for item in part.signatures}
    assert found == {(2, "vfat", "ABCD-0123"), (3, "ext4", ROOT_UUID)}
    verified = sh("sgdisk", "--verify", str(target.node))
    assert "No problems found" in verified


def test_interrupted_install_resumes_on_its_marker_only(loops: tuple[Loop, Loop], tree: Tree) -> None:
    target, _ = loops
    planned = grant(target)
    nodes, _, _ = prepare(tree, planned)
    mounts.make_filesystem(nodes["root"], SPECS[2])
    _, _, resumed = prepare(tree, planned)
    assert resumed
    with (
        pytest.raises(DiskRefusedError, match="content-changed"),
        granted(tree, planned, str(uuid.UUID(int=7, version=4)), "m1"),
    ):
        pass


def test_power_cut_after_the_first_sector_leaves_the_marker(loops: tuple[Loop, Loop], tree: Tree) -> None:
    target, _ = loops
    sh("mkfs.ext4", "-q", "-F", str(target.node))
    planned = grant(target)
    layout = gpt.lay_out(PERMIT, SPECS, size=SIZE, sector=512)
    with target.node.open("r+b") as stream:
        stream.seek(512)
        stream.write(gpt.header(layout, backup=False))
    with granted(tree, planned, PERMIT, "m1") as disk:
        assert disk.verdict.resumed


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"serial": "SERIAL-other"}, "no-disk"),
        ({"size": SIZE + 512}, "no-disk"),
        ({"machine": "m2"}, "other-machine"),
        ({"serial": "", "wwn": ""}, "nameless"),
        ({"fingerprint": "0" * 64}, "content-changed"),
    ],
)
def test_refusals_write_nothing(loops: tuple[Loop, Loop], tree: Tree, changes: dict[str, object], refusal: str) -> None:
    before = [loop.checksum() for loop in loops]
    with pytest.raises(DiskRefusedError, match=refusal), granted(tree, grant(loops[0], **changes), PERMIT, "m1"):
        pass
    assert [loop.checksum() for loop in loops] == before


def test_two_equal_disks_are_refused(loops: tuple[Loop, Loop], tree: Tree) -> None:
    (tree.root / "sys/block/vdb/serial").write_text("SERIAL-vda\n")
    with pytest.raises(DiskRefusedError, match="many-disks"), granted(tree, grant(loops[0]), PERMIT, "m1"):
        pass


def test_disk_swapped_between_look_and_open_is_refused(loops: tuple[Loop, Loop], tree: Tree) -> None:
    """/dev/vda points to another disk than sysfs says: the descriptor's own facts decide."""
    planned = grant(loops[0])
    node = tree.root / "dev/vda"
    node.unlink()
    node.symlink_to(loops[1].node)
    before = loops[1].checksum()
    with pytest.raises(DiskRefusedError, match="after opening"), granted(tree, planned, PERMIT, "m1"):
        pass
    assert loops[1].checksum() == before


def test_renamed_partition_node_is_noticed(loops: tuple[Loop, Loop], tree: Tree) -> None:
    nodes, _, _ = prepare(tree, grant(loops[0]))
    moved = replace(nodes["root"], path=nodes["esp"].path)
    with pytest.raises(InstallError, match="another device"):
        mounts.make_filesystem(moved, SPECS[2])


class ClaimingClient:
    """An appliance that answers claims from a list, and looks at the disk while it is asked."""

    def __init__(self, loop: Loop, answers: list[Exception | None]) -> None:
        self.loop, self.answers = loop, answers
        self.before = loop.checksum()
        self.untouched: list[bool] = []

    def claim(self, permit: str, claim: PermitClaim) -> None:
        assert permit == PERMIT and claim.nonce == "n"
        self.untouched.append(self.loop.checksum() == self.before)
        answer = self.answers.pop(0)
        if answer is not None:
            raise answer

    def progress(self, progress: Progress) -> None: ...


def install(tree: Tree, loop: Loop, client: ClaimingClient) -> sequence.Install:
    image = ImageRef(name="i", url="http://x/i", size=1, sha256="", chunk_size=1, chunks=("",), unpacked=1)
    body = InstallOrder(permit=PERMIT, hostname="n1", grant=grant(loop), partitions=SPECS, image=image, files=())
    order = Order(
        id="o1", machine="m1", plan="p", step="install/m1", fence=1, nonce="n", kind=OrderKind.INSTALL, install=body
    )
    patience = Patience(scale=0.001)
    reporter = Reporter(order=order, client=client, console=Console(sinks=[]), patience=patience)  # type: ignore[arg-type]
    return sequence.Install(
        order=order,
        body=body,
        site=SiteBundle(enrol_url="", agent_url="", public_url="", ca=""),
        order_key="",
        client=client,  # type: ignore[arg-type]
        reporter=reporter,
        patience=patience,
        tree=tree,
    )


def test_nothing_is_written_before_the_claim_is_granted(
    loops: tuple[Loop, Loop], tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = ClaimingClient(loops[0], [UnavailableError("restarting"), UnavailableError("half an answer"), None])
    monkeypatch.setattr(sequence, "partition_nodes", lambda *_: {})
    install(tree, loops[0], client).prepare_disk()
    assert client.untouched == [True, True, True]
    assert loops[0].checksum() != client.before


def test_a_refused_claim_leaves_the_disk_alone(loops: tuple[Loop, Loop], tree: Tree) -> None:
    client = ClaimingClient(loops[0], [RefusedError(409, "the permit was spent")])
    with pytest.raises(DiskRefusedError, match="nothing was written: the permit was spent"):
        install(tree, loops[0], client).run()
    assert loops[0].checksum() == client.before
