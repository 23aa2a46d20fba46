"""The lab itself: real daemons come up healthy, drills hurt and heal, and nothing is left behind, whoever is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from agent.cephorder import MonAnswer, MonCommand
from agent.run import CommandError
from appliance.model.ceph import CephSpec, DeviceClass, PoolSpec, Service
from appliance.model.cephstate import CephState
from appliance.plan.make import plan
from appliance.rehearsal.cephlab import drills, inventory
from appliance.rehearsal.cephlab.description import LabDisk, LabHost, even
from appliance.rehearsal.cephlab.door import LabDoor, questions
from appliance.rehearsal.cephlab.lab import CephLab, check_requests
from appliance.rehearsal.cephlab.network import Plane
from appliance.rehearsal.cephlab.space import LABS, remove_stale
from appliance.rehearsal.errors import MachineError, PrerequisiteError
from hwprofiles.loader import load_profiles
from tests.net.ceph.by_hand import ByHand, clean, healthy, up

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces")]

ROOT = Path(__file__).resolve().parents[3]
WITHIN = 90.0
"""Seconds from nothing to HEALTH_OK, with other work on two cores."""
HOSTS, OSDS = 4, 2
OWNER = """
import sys, time
from pathlib import Path
from appliance.rehearsal.cephlab.description import even
from appliance.rehearsal.cephlab.lab import CephLab
lab = CephLab(description=even(2, 1), image=Path(sys.argv[1]))
lab.open()
lab.host("h1").start(["sleep", "600"])
print(lab.folder, lab.space.keeper, lab.host("h1").pid, flush=True)
time.sleep(600)
"""


def loops(folder: Path) -> list[str]:
    """Loop devices with a file of a lab behind them."""
    files = Path("/sys/block").glob("loop*/loop/backing_file")
    return [path.parts[3] for path in files if str(folder) in path.read_text()]


def processes(folder: Path) -> list[int]:
    """Processes of a lab: its scripts name the folder, and whatever runs in a host has its root."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            mounts = Path(f"/proc/{process.pid}/mountinfo").read_text(encoding="utf-8", errors="replace")
            if str(folder) in mounts or str(folder) in " ".join(process.cmdline()):
                found.append(process.pid)
    return found


def wait_until_gone(folder: Path, keeper: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and (folder.exists() or psutil.pid_exists(keeper) or loops(folder)):
        time.sleep(0.1)
    assert not psutil.pid_exists(keeper)
    assert not loops(folder)
    assert not processes(folder)
    assert not folder.exists()


# ---------------------------------------------------------------- without Ceph


@pytest.fixture(scope="module")
def bare(ceph_image: Path) -> Iterator[CephLab]:
    """Two hosts with two disks, nothing of Ceph on them."""
    with CephLab(description=even(2, 2, racks=2, device_class=DeviceClass.HDD), image=ceph_image) as lab:
        yield lab


def test_a_host_has_its_own_name_disks_files_and_networks(bare: CephLab) -> None:
    first, second = bare.host("h1"), bare.host("h2")
    assert first.run(["hostname"]).stdout.strip() == "h1"
    assert first.run(["ceph", "--version"]).stdout.startswith("ceph version 18.2.7")
    nodes = {host.name: set(host.run(["sh", "-c", "ls /dev/loop*"]).stdout.split()) for host in (first, second)}
    assert nodes["h1"] == {item.node for item in first.disks.values()}
    assert not nodes["h1"] & nodes["h2"]
    first.write("/etc/ceph/only-here", "x")
    assert first.read("/etc/ceph/only-here") == "x"
    assert second.read("/etc/ceph/only-here") == ""
    first.run(["ping", "-c1", "-W2", "-M", "do", "-s", "8900", "10.77.2.2"])
    first.run(["ping", "-c1", "-W2", "10.77.1.254"])
    with pytest.raises(CommandError):
        bare.appliance.run(["ping", "-c1", "-W1", "10.77.2.2"])  # only the public network reaches the appliance
    assert int(bare.appliance.run(["sh", "-c", "ls -d /proc/[0-9]* | wc -l"]).stdout) < 8  # and it sees itself only


def test_disks_are_what_the_description_says(bare: CephLab) -> None:
    disk, blank = inventory.read_disks(bare.host("h1"))[0], bare.host("h1").disks["LAB001D01"]
    assert (disk.serial, disk.size, disk.rotational) == ("LAB001D01", 8 << 30, True)
    assert (disk.path, disk.by_id) == (blank.node, (blank.by_id,))
    assert disk.content.blank
    assert blank.file.stat().st_blocks == 0
    rotational = Path(f"/sys/block/{blank.node.removeprefix('/dev/')}/queue/rotational")
    assert rotational.read_text().strip() == "1"


def test_a_disk_comes_and_goes(bare: CephLab) -> None:
    attached = bare.add_disk("h2", LabDisk(serial="NEW1", size=1 << 30))
    assert "NEW1" in {disk.serial for disk in inventory.read_disks(bare.host("h2"))}
    with pytest.raises(MachineError, match="it is blank"):
        drills.corrupt_label(bare, "h2", "NEW1")
    assert bare.pull_disk("h2", "NEW1") == attached.disk
    with pytest.raises(MachineError, match=r"disk HUGE of .* RACKSEED_LABS"):
        bare.add_disk("h2", LabDisk(serial="HUGE", size=(1 << 63) - 1))
    assert not attached.file.exists()
    assert loops(bare.folder) and attached.node.removeprefix("/dev/") not in loops(bare.folder)


def test_power_off_kills_everything_of_one_host(bare: CephLab) -> None:
    host = bare.host("h2")
    sleeper = host.start(["sleep", "600"])
    host.write("/var/lib/ceph/kept", "x")
    drills.power_off(bare, "h2")
    with sleeper:
        assert sleeper.wait(10) != 0
    with pytest.raises(MachineError, match="is off"):
        host.run(["true"])
    assert CephLab.attach(bare.folder).host("h2").off
    bare.boot("h2")
    assert host.run(["cat", "/var/lib/ceph/kept"]).stdout == "x"
    assert host.run(["sh", "-c", "ls /run/rackseed 2>/dev/null || true"]).stdout == ""
    bare.host("h1").run(["ping", "-c1", "-W2", "10.77.1.2"])


def test_a_cut_is_silent(bare: CephLab) -> None:
    host = bare.host("h2")
    drills.cut(bare, "h2")
    with pytest.raises(CommandError):
        bare.host("h1").run(["ping", "-c1", "-W1", "10.77.1.2"])
    assert host.run(["cat", "/sys/class/net/public/carrier"]).stdout.strip() == "1"
    drills.heal(bare, "h2")
    bare.host("h1").run(["ping", "-c1", "-W2", "10.77.1.2"])


def test_a_slow_disk_is_slow_for_who_has_it_open(bare: CephLab) -> None:
    host, serial = bare.host("h1"), "LAB001D02"
    node = host.disks[serial].node
    with pytest.raises(MachineError, match=r"has .* open"):
        drills.slow(bare, "h1", serial, 1 << 20)
    script = f"exec 3<>{node}; read x; dd if={node} of=/dev/null bs=64k count=32 iflag=direct status=none; echo done"
    reader = host.start(["sh", "-c", script], stdin=subprocess.PIPE)
    assert reader.stdin and reader.stdout
    deadline = time.monotonic() + 10
    while not (pids := tuple(drills.users(host, host.disks[serial]))):
        assert time.monotonic() < deadline
    with pytest.raises(MachineError, match="in use"):
        drills.corrupt_label(bare, "h1", serial)
    assert drills.slow(bare, "h1", serial, 1 << 20) == pids
    begin = time.monotonic()
    reader.stdin.write(b"go\n")
    reader.stdin.close()
    assert reader.stdout.readline() == b"done\n"
    assert time.monotonic() - begin > 1.0  # 2 MiB at 1 MiB/s
    reader.stdout.close()
    reader.wait(10)
    drills.quick(bare, "h1", serial)


def test_networks_are_shaped_and_addressed_as_asked(ceph_image: Path) -> None:
    listen = (
        "import socket\nc, n = socket.create_server(('', 9)).accept()[0], 0\n"
        "while d := c.recv(1 << 20):\n    n += len(d)\nprint(n)"
    )
    send = "import socket; c = socket.create_connection(('192.0.2.2', 9)); c.sendall(bytes(6 << 20))"
    with CephLab(description=even(2, 0, rate="40mbit"), image=ceph_image) as lab:
        lab.readdress("h2", Plane.CLUSTER, ("192.0.2.2/24",))
        lab.readdress("h1", Plane.CLUSTER, ("192.0.2.1/24",))
        with lab.host("h2").start(["python3", "-c", listen]) as server:
            assert server.stdout
            deadline = time.monotonic() + 10
            while "00000000:0009" not in lab.host("h2").run(["cat", "/proc/net/tcp"]).stdout:
                assert time.monotonic() < deadline
            begin = time.monotonic()
            lab.host("h1").run(["python3", "-c", send])
            assert server.stdout.readline().strip() == str(6 << 20).encode()
            assert time.monotonic() - begin > 1.0  # 48 Mbit at 40 Mbit/s, but for a burst
        addresses = lab.host("h1").run(["ip", "-br", "addr", "show", "cluster"]).stdout
        assert "192.0.2.1/24" in addresses and "10.77.2" not in addresses


def test_the_planner_lays_ceph_out_on_a_lab(bare: CephLab) -> None:
    spec = CephSpec(groups=(inventory.EVERY_DISK,), pools=(PoolSpec(name="vm", service=Service.BLOCK),))
    layout = plan(inventory.site(bare, spec), load_profiles(), inventory.observed(bare), None).desired.ceph
    assert layout is not None
    hosts = inventory.machine_names(bare.description)
    where = {(hosts[osd.machine], osd.data.serial, osd.device_class) for osd in layout.osds}
    assert where == {(f"h{n}", f"LAB00{n}D0{slot}", "hdd") for n in (1, 2) for slot in (1, 2)}


def test_too_many_osds_for_the_kernel_are_refused(tmp_path: Path) -> None:
    used, limit = tmp_path / "used", tmp_path / "limit"
    used.write_text("1000\n")
    limit.write_text("65536\n")
    check_requests(48, small=True, used=used, limit=limit)
    with pytest.raises(PrerequisiteError, match=r"48 OSDs .* sysctl fs.aio-max-nr"):
        check_requests(48, small=False, used=used, limit=limit)


# ---------------------------------------------------------------- nothing is left


@pytest.mark.parametrize("victim", ["owner", "keeper"])
def test_a_killed_lab_leaves_nothing(ceph_image: Path, victim: str) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(ceph_image)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    assert owner.stdout is not None
    with owner, owner.stdout:
        words = owner.stdout.readline().split()
        folder, keeper, host = Path(words[0]), int(words[1]), int(words[2])
        assert len(loops(folder)) == 2 and processes(folder)
        os.kill(owner.pid if victim == "owner" else keeper, signal.SIGKILL)
        wait_until_gone(folder, keeper)
        assert not psutil.pid_exists(host)
        owner.kill()


def test_a_folder_that_was_left_is_removed_by_the_next_lab() -> None:
    dead = subprocess.Popen(["sleep", "0"])
    dead.wait()
    folder = LABS / "test-stale"
    folder.mkdir(parents=True)
    (folder / "owner.json").write_text(json.dumps({"pid": dead.pid, "started": 1.0, "watcher": dead.pid}))
    assert "test-stale" in remove_stale()
    assert not folder.exists()


# ---------------------------------------------------------------- with Ceph


def test_a_real_cluster_comes_up_loses_a_host_and_heals(ceph_image: Path) -> None:
    begin = time.monotonic()
    with CephLab(description=even(HOSTS, OSDS, racks=2), image=ceph_image) as lab:
        folder, keeper = lab.folder, lab.space.keeper
        with closing(ByHand(lab)) as ceph:
            ceph.form()
            ceph.wait_for("osd pool create", pool="vm", pg_num=16)
            ceph.wait_for("osd pool application enable", pool="vm", app="rbd")
            ceph.until("healthy", WITHIN, lambda status: healthy(status) and up(status) == HOSTS * OSDS)
            took = time.monotonic() - begin
            print(f"{HOSTS} hosts with {OSDS} OSDs each: HEALTH_OK after {took:.0f} s")
            put_and_get(lab)
            lose_a_host(lab, ceph)
            fill_disks(lab, ceph)
            spoil_a_label(lab, ceph)
            add_a_host(lab, ceph)
    wait_until_gone(folder, keeper)


def put_and_get(lab: CephLab) -> None:
    """Real data through real OSDs, which have disks' files grow."""
    script = (
        "head -c 8000000 /dev/urandom > /tmp/a; rados -p vm put a /tmp/a; rados -p vm get a /tmp/b; cmp /tmp/a /tmp/b"
    )
    lab.appliance.run(["sh", "-ec", script])
    assert sum(item.file.stat().st_blocks * 512 for host in lab.hosts.values() for item in host.disks.values()) > 24e6


def lose_a_host(lab: CephLab, ceph: ByHand) -> None:
    """Data is there without one host (which has a monitor, the one that is asked), the door asks another monitor, and
    everything is clean when the host is back. The door sits in another process's place: it is attached to the lab."""
    door = LabDoor(lab=CephLab.attach(lab.folder), secrets={}.__getitem__, look=questions(status_only, state_of))
    state = door.observe()
    assert state is not None and (state.fsid, state.health) == (ceph.fsid, "HEALTH_OK")
    assert door.asked == "h1"
    drills.power_off(lab, "h1")
    ceph.until("noticed", 60, lambda status: up(status) == (HOSTS - 1) * OSDS)
    deadline = time.monotonic() + 30
    while (state := door.observe()) is None:
        assert time.monotonic() < deadline
    assert door.asked != "h1" and state.quorum == ("h2", "h3")
    door.close()
    lab.appliance.run(["sh", "-ec", "rados -p vm get a /tmp/c; cmp /tmp/a /tmp/c; rados -p vm put d /tmp/a"])
    lab.boot("h1")
    ceph.until("back", 60, lambda status: up(status) == HOSTS * OSDS and clean(status))


def status_only() -> tuple[MonCommand, ...]:
    return (MonCommand(command=json.dumps({"prefix": "status", "format": "json"})),)


def state_of(answers: Sequence[MonAnswer], at: float) -> CephState:
    said = json.loads(answers[0].output)
    return CephState(fsid=said["fsid"], quorum=tuple(said["quorum_names"]), health=said["health"]["status"], at=at)


def fill_disks(lab: CephLab, ceph: ByHand) -> None:
    """Disks that fill up are complained of: nearfull is put a little above what the fullest one holds."""
    fullest = max(item["utilization"] for item in ceph.usage())
    ceph.wait_for("osd set-nearfull-ratio", ratio=fullest / 100 + 0.003)
    drills.fill(lab.appliance, "vm", 120 << 20)
    ceph.until("nearfull", 60, lambda status: "OSD_NEARFULL" in status["health"]["checks"])
    ceph.wait_for("osd set-nearfull-ratio", ratio=0.85)


def spoil_a_label(lab: CephLab, ceph: ByHand) -> None:
    """An OSD without its label does not start, and does when it is written back."""
    number = next(osd for osd, host in ceph.osds.items() if host == "h4")
    serial = next(iter(lab.host("h4").disks))
    lab.host("h4").daemon("stop", "osd", str(number))
    label = drills.corrupt_label(lab, "h4", serial)
    assert label.startswith(b"bluestore block device")
    lab.host("h4").daemon("start", "osd", str(number))
    deadline = time.monotonic() + 20
    while "unable to" not in (said := lab.host("h4").read(f"/var/log/ceph/osd.{number}.out")) and "failed" not in said:
        assert time.monotonic() < deadline, said
        time.sleep(0.2)
    drills.restore_label(lab, "h4", serial, label)
    lab.host("h4").daemon("restart", "osd", str(number))
    ceph.until("up again", 60, lambda status: up(status) == HOSTS * OSDS and clean(status))


def add_a_host(lab: CephLab, ceph: ByHand) -> None:
    """A host that comes later is one like the others."""
    new = lab.add_host(LabHost(name="h5", rack="r1", disks=(LabDisk(serial="LAB005D01"),)))
    new.write("/etc/ceph/ceph.conf", lab.host("h4").read("/etc/ceph/ceph.conf").replace("host=h4", "host=h5"))
    number = ceph.osd("h5", "LAB005D01")
    ceph.until("bigger", 60, lambda status: up(status) == HOSTS * OSDS + 1)
    tree = {item["name"]: item for item in ceph.wait_for("osd tree")["nodes"]}
    assert tree["h5"]["children"] == [number]


def test_a_description_names_its_addresses() -> None:
    description = replace(even(3, 1), public="192.0.2.0/28")
    assert [description.address(description.public, name) for name in ("h1", "h3", "appliance")] == [
        "192.0.2.1",
        "192.0.2.3",
        "192.0.2.14",
    ]
    with pytest.raises(KeyError):
        description.address(description.public, "h4")
