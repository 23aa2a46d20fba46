"""Real monitors and OSDs on loop devices, made by the agent's own code in a namespace whose root is Debian 13's Ceph.

A power cut is SIGKILL of every process of the namespace; its files stay, as on a machine. LVM needs device mapper, which the
test machines' kernel lacks: here only its physical volumes and groups; the VM lane makes whole OSDs on it.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from agent.act.cephkeyrings import new_key
from agent.document import to_data
from agent.probe.machine import look
from agent.wire import (
    CephAction,
    CephOrder,
    ConfigFile,
    Content,
    DeviceGrant,
    MonCommand,
    ObjectStore,
    OsdOrder,
    SecretFile,
)
from images.cache import Cache
from images.errors import ImageBuildError

pytestmark = pytest.mark.net

ROOT = Path(__file__).resolve().parents[3]
ADDRESS, SECOND, NETWORK = "10.93.7.1", "10.93.7.2", "10.93.7.0/24"
SIZE = 4 << 30
FSID, OTHER_FSID = str(uuid.uuid4()), str(uuid.uuid4())
ALL = (("mon", "allow *"), ("osd", "allow *"), ("mds", "allow *"), ("mgr", "allow *"))
MON = SecretFile(path="", entity="mon.", secret="mon", caps=(("mon", "allow *"),))
ADMIN = SecretFile(
    path="/etc/ceph/ceph.client.admin.keyring", entity="client.admin", secret="admin", caps=ALL, owner="root"
)
BOOTSTRAP = SecretFile(
    path="/var/lib/ceph/bootstrap-osd/ceph.keyring",
    entity="client.bootstrap-osd",
    secret="bootstrap",
    caps=(("mon", "profile bootstrap-osd"),),
)
GATEWAY = SecretFile(path="/var/lib/ceph/radosgw/ceph-rgw.n1/keyring", entity="client.rgw.n1", secret="rgw")
CONF = f"""[global]
fsid = {FSID}
mon_host = [v2:{ADDRESS}:3300,v1:{ADDRESS}:6789]
public_network = {NETWORK}
auth_allow_insecure_global_id_reclaim = false
osd_crush_chooseleaf_type = 0
osd_pool_default_size = 2
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pg_autoscale_mode = off
bluestore_cache_autotune = false
bluestore_cache_size = 16777216
osd_memory_target = 939524096
mon_data_avail_crit = 1
mgr_initial_modules = iostat
osd_mclock_skip_benchmark = true
[osd]
crush_location = root=default rack=r1 host=n1
[mon.n2]
public_addr = {SECOND}
[client.rgw.n1]
rgw_frontends = beast endpoint={ADDRESS}:7480
"""
INIT = """
set -eu
root=$1 repository=$2
mount --rbind /dev "$root/dev"; mount -t proc proc "$root/proc"; mount -t sysfs sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/run"; mount -t tmpfs tmpfs "$root/tmp"
mkdir "$root/run/rackseed"; mount --bind -o ro "$repository" "$root/run/rackseed"
hostname n1
cd /
exec chroot "$root" env PYTHONPATH=/run/rackseed PYTHONDONTWRITEBYTECODE=1 \\
  /usr/bin/python3 /run/rackseed/tests/net/agent/ceph_host.py
"""


def sh(*argv: str | Path) -> str:
    return subprocess.run([str(word) for word in argv], check=True, capture_output=True, text=True).stdout.strip()


@dataclass
class Machine:
    """A namespace with Ceph. ``cut`` is a power cut, ``boot`` starts it again on the same files."""

    root: Path
    namespace: str
    keys: dict[str, str] = field(default_factory=dict)
    disks: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None

    def boot(self) -> None:
        argv = ["ip", "netns", "exec", self.namespace, "unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child"]
        self.process = subprocess.Popen(
            [*argv, "/bin/sh", "-c", INIT, "init", str(self.root), str(ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if not os.environ.get("CEPH_HOST_STDERR") else None,
            text=True,
        )

    def cut(self) -> None:
        """SIGKILL for unshare takes its child with it, and that is the namespace's init: the kernel kills the rest."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
            for stream in (self.process.stdin, self.process.stdout):
                if stream is not None:
                    stream.close()
            self.process = None
            time.sleep(0.5)

    def described(self) -> list[list[Any]]:
        return [[path, serial, SIZE] for serial, path in self.disks.items()]

    def ask(self, task: dict[str, Any], *, cut_at: str = "", after: float = 0.0) -> dict[str, Any]:
        """The end of a task, or (with ``cut_at``) nothing but a power cut ``after`` seconds in that stage."""
        assert self.process is not None and self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"disks": self.described(), "keys": self.keys, **task}) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            said = json.loads(line)
            if cut_at and said.get("stage") == cut_at:
                time.sleep(after)
                self.cut()
                return {}
            if "end" in said:
                return dict(said["end"])
        raise AssertionError("the machine died")

    def perform(self, order: CephOrder, **options: Any) -> dict[str, Any]:
        return self.ask({"do": "perform", "order": to_data(order)}, **options)

    def done(self, **changes: Any) -> str:
        end = self.perform(CephOrder(fsid=FSID, **changes))
        assert "error" not in end, end
        return str(end["message"])

    def refused(self, order: CephOrder) -> str:
        end = self.perform(order)
        assert end.get("error") in {"DiskRefusedError", "OrderRefusedError", "CephError"}, end
        return str(end["message"])

    def content(self, serial: str) -> Content:
        return look(Path(self.disks[serial]), False)

    def grant(self, serial: str, osd: str, **changes: Any) -> DeviceGrant:
        made = DeviceGrant(
            machine="m1",
            plan="p",
            serial=serial,
            wwn="",
            model="LOOPDISK",
            size=SIZE,
            fingerprint=self.content(serial).fingerprint(),
            osd_uuid=osd,
        )
        return replace(made, **changes)

    def checksum(self, serial: str) -> str:
        """Of the first and last 64 MiB: elsewhere it is a hole."""
        digest = hashlib.sha256()
        with Path(self.disks[serial]).open("rb") as device:
            for start in (0, SIZE - (64 << 20)):
                device.seek(start)
                digest.update(device.read(64 << 20))
        return digest.hexdigest()

    def scribble(self, serial: str) -> None:
        """Data that nobody recognises."""
        with Path(self.disks[serial]).open("r+b") as device:
            device.write(b"something else\n" * 4096)

    def osd_map(self) -> dict[int, str]:
        answer = self.perform(CephOrder(action=CephAction.ASK, fsid=FSID, commands=(command("osd dump"),)))
        osds = json.loads(answer["answers"][0]["output"])["osds"]
        return {item["osd"]: item["uuid"] for item in osds}


def command(prefix: str, **arguments: Any) -> MonCommand:
    return MonCommand(command=json.dumps({"prefix": prefix, "format": "json", **arguments}))


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    cephroot = pytest.importorskip("images.cephroot")
    try:
        image = cephroot.ceph_root(Cache()).image
    except ImageBuildError as error:
        pytest.skip(f"Ceph's root can't be had: {error}")
    folder = tmp_path_factory.mktemp("ceph")
    namespace = f"agent-osd-{os.getpid()}"
    undo: list[Callable[[], object]] = []
    made = Machine(root=folder / "root", namespace=namespace)
    try:
        for name in ("lower", "disk", "root"):
            (folder / name).mkdir()
        sh("mount", "-o", "ro,loop", image, folder / "lower")
        undo.append(lambda: sh("umount", folder / "lower"))
        (folder / "disk/upper").mkdir()
        (folder / "disk/work").mkdir()
        layers = f"lowerdir={folder}/lower,upperdir={folder}/disk/upper,workdir={folder}/disk/work"
        sh("mount", "-t", "overlay", "-o", layers, "overlay", folder / "root")
        undo.append(lambda: sh("umount", folder / "root"))
        sh("ip", "netns", "add", namespace)
        undo.append(lambda: sh("ip", "netns", "del", namespace))
        sh("ip", "-n", namespace, "link", "set", "lo", "up")
        for address in (ADDRESS, SECOND):
            sh("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", "lo")
        for serial in ("S0", "S1", "S2", "S3"):
            backing = folder / f"{serial}.img"
            with backing.open("wb") as stream:
                stream.truncate(SIZE)
            made.disks[serial] = sh("losetup", "--find", "--show", backing)
            undo.append(lambda node=made.disks[serial]: sh("losetup", "-d", node))
        made.keys = {item.secret: new_key() for item in (MON, ADMIN, BOOTSTRAP, GATEWAY)} | {"s3": uuid.uuid4().hex}
        made.boot()
        undo.append(made.cut)
        files = (ConfigFile(path="/etc/ceph/ceph.conf", content=CONF),)
        made.done(
            action=CephAction.CONFIGURE, kind="mon osd rgw", address=ADDRESS, files=files, secrets=(ADMIN, BOOTSTRAP)
        )
        monitor(made)
        yield made
    finally:
        for action in reversed(undo):
            action()


def monitor(machine: Machine) -> str:
    return machine.done(action=CephAction.MON, daemon="n1", address=ADDRESS, secrets=(MON, ADMIN, BOOTSTRAP))


def osd_order(machine: Machine, number: int, osd: str, serial: str, **changes: Any) -> CephOrder:
    data = machine.grant(serial, osd, **changes)
    one = OsdOrder(number=number, uuid=osd, device_class="ssd", data=data, backend="raw")
    return CephOrder(action=CephAction.OSD, fsid=FSID, daemon=str(number), osd=one)


def test_a_monitor_is_made_once(machine: Machine) -> None:
    assert "was there" in monitor(machine)
    machine.cut()
    machine.boot()
    assert "was there" in monitor(machine)
    other = CephOrder(action=CephAction.MON, fsid=OTHER_FSID, daemon="n1", address=ADDRESS, secrets=(MON,))
    assert FSID in machine.refused(other)


@pytest.mark.parametrize(("stage", "after"), [("monitor", 0.3), ("quorum", 0.0), ("mon.n2", 0.6)])
def test_the_power_goes_while_a_monitor_joins(machine: Machine, stage: str, after: float) -> None:
    """Before its store is there, before it is started, while it joins; then the same order again. Two monitors need each
    other, so the first is only started again, as its unit would be. Afterwards the second leaves."""
    order = CephOrder(
        action=CephAction.MON, fsid=FSID, daemon="n2", address=SECOND, monitors=(ADDRESS,), secrets=(MON,)
    )
    machine.perform(order, cut_at=stage, after=after)
    machine.boot()
    machine.ask({"do": "start", "kind": "mon", "daemon": "n1"})
    end = machine.perform(order)
    assert "is in the quorum" in str(end.get("message")) and "error" not in end, end
    answer = machine.perform(CephOrder(action=CephAction.ASK, fsid=FSID, commands=(command("mon dump"),)))
    mons = json.loads(answer["answers"][0]["output"])["mons"]
    assert [(item["name"], item["public_addr"].partition(":")[0]) for item in mons] == [("n1", ADDRESS), ("n2", SECOND)]
    leave = CephOrder(action=CephAction.REMOVE, fsid=FSID, kind="mon", daemon="n2")
    assert "`mon remove` it first" in machine.refused(leave)
    machine.done(action=CephAction.ASK, commands=(command("mon remove", name="n2"),))
    machine.done(action=CephAction.REMOVE, kind="mon", daemon="n2")
    assert "was there" in monitor(machine)


def without_an_end(machine: Machine, serial: str) -> None:
    """The label as it is when the power goes between the last write of the store and that of the OSD."""
    tool = f"ceph-bluestore-tool rm-label-key --dev {machine.disks[serial]} --key ceph_fsid --no-mon-config"
    sh("unshare", "--mount", "sh", "-ec", f"mount --bind /dev {machine.root}/dev; chroot {machine.root} {tool}")


def test_the_power_goes_while_an_osd_is_made(machine: Machine) -> None:
    """Four times, in different moments; the OSD that comes out has the planned id and uuid, and there is one."""
    osd, untouched = str(uuid.uuid4()), machine.checksum("S3")
    machine.scribble("S0")
    order = osd_order(machine, 0, osd, "S0")
    before = len(machine.osd_map())
    for stage, after in (("erase", 0.05), ("mkfs", 0.4), ("mkfs", 1.4)):
        machine.perform(order, cut_at=stage, after=after)
        machine.boot()
        monitor(machine)
    machine.perform(order, cut_at="start")
    without_an_end(machine, "S0")
    machine.boot()
    monitor(machine)
    end = machine.perform(order)
    assert "was made" in end["message"], end
    assert machine.osd_map() == {0: osd} and before == 0
    assert "runs" in machine.done(action=CephAction.OSD, daemon="0", osd=order.osd)
    assert machine.checksum("S3") == untouched
    label = machine.content("S0").signatures
    assert [(item.kind, item.uuid, item.owner, item.label) for item in label] == [
        ("ceph_bluestore", osd, FSID, "osd.0")
    ]


def test_it_comes_back_after_a_power_cut_with_its_data(machine: Machine) -> None:
    osd = str(uuid.uuid4())
    machine.done(action=CephAction.OSD, daemon="1", osd=osd_order(machine, 1, osd, "S1").osd)
    told = (
        command("osd pool create", pool="vms", pg_num=4),
        command("osd pool application enable", pool="vms", app="rbd"),
    )
    machine.done(action=CephAction.ASK, commands=told)
    assert "equal" in machine.done(action=CephAction.CHECK, service="block", check="vms")
    ids = machine.osd_map()
    machine.cut()
    machine.boot()
    monitor(machine)
    for number, serial in ((0, "S0"), (1, "S1")):
        order = osd_order(machine, number, ids[number], serial, fingerprint="0" * 64)
        assert "was there" in machine.done(action=CephAction.OSD, daemon=str(number), osd=order.osd)
    assert machine.osd_map() == ids
    assert "equal" in machine.done(action=CephAction.CHECK, service="block", check="vms")


def test_objects_are_served(machine: Machine) -> None:
    caps = (("mon", "allow rw"), ("osd", "allow rwx"))
    text = "".join(f'\tcaps {kind} = "{words}"\n' for kind, words in caps)
    add = replace(
        command("auth add", entity="client.rgw.n1"),
        payload=f"[client.rgw.n1]\n\tkey = {{secret}}\n{text}",
        secret="rgw",
    )
    machine.done(action=CephAction.ASK, commands=(add,))
    store = ObjectStore(realm="home", user="first", access="AKFIRST", secret="s3")
    made = machine.done(action=CephAction.RGW, daemon="n1", address=ADDRESS, secrets=(GATEWAY,), store=store)
    assert "was made" in made
    assert "is there" in machine.done(
        action=CephAction.RGW, daemon="n1", address=ADDRESS, secrets=(GATEWAY,), store=store
    )
    checked = machine.done(
        action=CephAction.CHECK, service="object", check="home", address=f"{ADDRESS}:7480", store=store
    )
    assert "equal" in checked
    wrong = CephOrder(
        action=CephAction.CHECK,
        fsid=FSID,
        service="object",
        check="home",
        address=f"{ADDRESS}:7480",
        store=replace(store, secret="mon"),
    )
    assert "403" in machine.refused(wrong)
    machine.done(action=CephAction.REMOVE, kind="rgw", daemon="n1")


def test_disks_that_are_not_granted_stay_as_they_are(machine: Machine) -> None:
    """A swapped disk, another OSD's, one that runs: refused, and not a byte is changed."""
    fresh, ids = str(uuid.uuid4()), machine.osd_map()
    seen = osd_order(machine, 2, fresh, "S2")
    machine.scribble("S2")
    sums = {serial: machine.checksum(serial) for serial in ("S2", "S3")}
    assert "plan again" in machine.refused(seen)
    gone = replace(seen, osd=replace(seen.osd, data=replace(seen.osd.data, serial="S9")))
    assert "swapped" in machine.refused(gone)
    for serial, number in (("S0", 0), ("S1", 1)):
        assert ids[number] in machine.refused(osd_order(machine, 2, fresh, serial, fingerprint="0" * 64))
        zap = CephOrder(action=CephAction.ZAP, fsid=FSID, zap=(machine.grant(serial, ids[number]),))
        assert "stop it first" in machine.refused(zap)
    assert {serial: machine.checksum(serial) for serial in ("S2", "S3")} == sums
    assert machine.osd_map() == ids


def test_an_osd_is_replaced_on_its_own_id(machine: Machine) -> None:
    """Stop, remove, destroy, zap, and another disk takes the id. The zapped disk is blank when it is read again."""
    ids, fresh = machine.osd_map(), str(uuid.uuid4())
    stop = {"action": CephAction.STOP, "kind": "osd", "daemon": "1"}
    machine.done(**stop)
    zap = machine.grant("S1", ids[1])
    assert "zap" not in machine.done(action=CephAction.REMOVE, kind="osd", daemon="1", zap=(zap,))
    told = (command("osd down", ids=["1"]), command("osd destroy-actual", id=1, yes_i_really_mean_it=True))
    machine.done(action=CephAction.ASK, commands=told)
    assert "is blank" in machine.done(action=CephAction.ZAP, zap=(zap,))
    assert machine.content("S1").blank
    assert "is blank" in machine.done(action=CephAction.ZAP, zap=(zap,))  # twice is once
    order = osd_order(machine, 1, fresh, "S2")
    assert "was made" in machine.done(action=CephAction.OSD, daemon="1", osd=order.osd)
    assert machine.osd_map() == {0: ids[0], 1: fresh}


def test_volume_groups_are_known_again_at_every_point(machine: Machine) -> None:
    """With LVM's own programs and the probe that reads disks: by the physical volume's uuid, then by the group's name."""
    osd, stranger = str(uuid.uuid4()), str(uuid.uuid4())
    grant = machine.grant("S3", osd)
    task = {"do": "group", "grant": to_data(grant), "fsid": FSID, "osd": osd, "stranger": stranger}
    end = machine.ask(task)
    assert end["group"] == end["wanted"] and end["free"] > SIZE - (16 << 20)
    assert end["said"] == [
        ["fresh", "", None],  # a stranger's grant with the same fingerprint would fit too: it is blank
        ["own", "", "content-changed"],
        ["own", end["group"], "content-changed"],
    ]
    zapped = machine.done(action=CephAction.ZAP, zap=(grant,))
    assert "is blank" in zapped and machine.content("S3").blank
