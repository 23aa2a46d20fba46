"""What pools of every kind give one client over shaped links, beside what the plan promised; and the proof of their rules on
the live map. Its report is committed in docs/reports."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.act.cephmeasure import NAMESPACE
from agent.cephorder import CephAction, CephOrder
from appliance.effects.cephdoor import DoorState
from appliance.kinds.ceph import measuring
from appliance.kinds.ceph.serve import law
from appliance.model.ceph import CephLayout, CephSpec, Erasure, PoolSpec, Service
from appliance.model.measured import Measured
from appliance.operations.measurements import PoolSpeed
from appliance.rehearsal.cephlab import inventory
from appliance.rehearsal.cephlab.description import GIB, even
from appliance.rehearsal.cephlab.lab import CephLab
from appliance.ui.pictures.speed import speed_picture
from tests.net.ceph.formed import ASIDE, Formation

pytestmark = [
    pytest.mark.net,
    pytest.mark.nightly,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces"),
]
HOSTS, RATE, PORT, SECONDS = 5, "200mbit", 25_000_000, 10.0
POOLS = (
    PoolSpec(name="vms", service=Service.BLOCK),
    PoolSpec(name="cold", service=Service.BLOCK, erasure=Erasure(k=2, m=2)),
    PoolSpec(name="shares", service=Service.FILE),
    PoolSpec(name="objects", service=Service.OBJECT),
)
LARGE = ("cold-data", "objects.rgw.buckets.data", "shares_data", "vms")
SPEC = CephSpec(groups=(inventory.EVERY_DISK,), pools=POOLS)
REPORTS = Path(__file__).resolve().parents[3] / "build" / "reports"


@pytest.fixture(scope="module")
def formation(ceph_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Formation]:
    """Hosts with one disk each, every port shaped; formed by the product. Tests leave it as it was."""
    with CephLab(description=even(HOSTS, 1, size=32 * GIB, rate=RATE), image=ceph_image) as lab:
        formed = Formation(lab=lab, folder=tmp_path_factory.mktemp("appliance"), spec=SPEC)
        try:
            formed.apply(formed.plan())
            formed.work(900)
            formed.healthy(300)
            yield formed
        finally:
            formed.close()


def layout_of(formation: Formation) -> CephLayout:
    assert formation.accepted is not None and formation.accepted.desired.ceph is not None
    return formation.accepted.desired.ceph


def left_over(formation: Formation) -> list[str]:
    return formation.lab.host("h1").run(["rados", "-p", "vms", "-N", NAMESPACE, "ls"]).stdout.split()


def test_one_that_is_killed_leaves_objects_and_the_next_one_removes_them(formation: Formation) -> None:
    order = measuring.measure_order(layout_of(formation), "h1", ("vms",), SECONDS)
    host = formation.lab.host("h1")
    assert formation.accepted is not None
    plan, machine = formation.accepted.hash, inventory.machine_of(formation.lab.description, "h1")
    formation.door.start(machine, plan, ASIDE, order)
    end = time.monotonic() + 300
    while not left_over(formation):
        assert time.monotonic() < end, "nothing was written"
        time.sleep(0.2)
    host.run(["pkill", "-KILL", "-f", "cephtalk.py"])  # the host sees no processes but its own
    while (killed := formation.door.result(plan, ASIDE)).state is DoorState.RUNNING:
        assert time.monotonic() < end, killed
        time.sleep(0.2)
    assert killed.state is DoorState.FAILED and "pool vms can't be measured" in killed.message, killed
    assert left_over(formation)
    formation.measure(("vms",), 1.0)
    assert left_over(formation) == []


def test_no_client_gets_more_than_the_bound(formation: Formation) -> None:
    layout = layout_of(formation)
    assert tuple(sorted(measuring.measurable(layout))) == LARGE
    promises = [one for one in layout.throughput if one.pool in LARGE]
    assert {(one.write_bound, one.read_bound) for one in promises} == {(PORT, PORT)}
    assert all("client's port" in one.limit for one in promises)
    write_report(formation.measure(LARGE, SECONDS))


def test_the_live_map_is_proven(formation: Formation) -> None:
    """The plan's own step has passed. What is not so, in the map or in the plan, is named with the group and what it has."""
    layout = layout_of(formation)
    laws = tuple(law(pool) for pool in layout.pools)
    order = CephOrder(action=CephAction.PROVE, fsid=layout.fsid, laws=laws)
    good = formation.tell("h1", order)
    assert good.state is DoorState.DONE, good
    assert re.match(r"\d+ PGs are where the plan wants them", good.message), good

    racks = formation.tell("h1", replace(order, laws=tuple(replace(one, level="rack") for one in laws)))
    assert racks.state is DoorState.FAILED, racks
    assert re.search(r"pool \S+: PG \d+\.\S+ has \d copies in rack r1 \(osd\.", racks.message), racks.message

    host = formation.lab.host("h1")
    host.run(["ceph", "osd", "set", "noup"])
    host.run(["ceph", "osd", "down", "0"])
    down = formation.tell("h1", order)
    assert down.state is DoorState.FAILED, down
    assert "not up: osd.0" in down.message, down.message
    host.run(["ceph", "osd", "unset", "noup"])
    formation.healthy(300)


def write_report(found: tuple[Measured, ...]) -> None:
    """The picture and the numbers of this run. The PNG of the documentation is made of the picture with the pages' style
    (`docs.make_report_pictures`)."""
    lines = [
        "# Throughput beside bound and expectation",
        "",
        f"{HOSTS} hosts in network namespaces on {os.cpu_count()} cores, one sparse loop disk each. Every port is",
        f"shaped by tbf to {RATE.removesuffix('mbit')} Mbit/s ({PORT / 1e6:.0f} MB/s) in both directions. Real daemons",
        f"of Debian 13's Ceph, with settings that save memory; kernel {platform.release().partition('-')[0]}.",
        "Formed by planner, engine and the agent's own code, measured from the first host as `rackseed ceph measure` does.",
        "",
        "Nothing here says how fast Ceph is on machines: disks and processors of one computer are shared by all hosts.",
        "It shows that the plan's bound, here the client's port, is one. Over links as slow as these nothing else limits,",
        "so what is measured is nearer to the bound than the 0.6 of it that are expected of machines.",
        "",
        "![Bars of what was measured inside the outline of the bound](ceph-throughput.png)",
        "",
        "| pool | | measured | expected | never above | time |",
        "|---|---|---|---|---|---|",
    ]
    for one in found:
        for way, flow, expected, bound in (
            ("write", one.write, one.promise.write_expected, one.promise.write_bound),
            ("read", one.read, one.promise.read_expected, one.promise.read_bound),
        ):
            numbers = f"{flow.rate / 1e6:.1f} MB/s | {expected / 1e6:.1f} MB/s | {bound / 1e6:.1f} MB/s"
            lines.append(f"| {one.pool} | {way} | {numbers} | {flow.seconds:.1f} s |")
    REPORTS.mkdir(parents=True, exist_ok=True)
    (REPORTS / "ceph-throughput.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    speeds = tuple(PoolSpeed(pool=one.pool, promise=one.promise, measured=one) for one in found)
    (REPORTS / "ceph-throughput.svg").write_text(speed_picture(speeds, "the lab"), encoding="utf-8")
