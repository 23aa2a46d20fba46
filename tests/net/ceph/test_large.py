"""48 OSDs on 12 hosts in 4 racks and 2 datacenters, formed by the product; its report is committed in docs/reports."""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from appliance.model.ceph import PoolLayout
from appliance.model.plan import Plan
from appliance.rehearsal.cephlab.description import GIB, even
from appliance.rehearsal.cephlab.lab import CephLab
from tests.net.ceph.formed import Formation

pytestmark = [
    pytest.mark.net,
    pytest.mark.nightly,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for namespaces"),
]
HOSTS, DISKS, RACKS, DATACENTERS = 12, 4, 4, 2
OSDS = HOSTS * DISKS
REPORT = Path(__file__).resolve().parents[3] / "build" / "reports" / "ceph-48-osds.md"


def memory() -> dict[str, int]:
    """Proportional resident bytes of Ceph's daemons, by program."""
    found: Counter[str] = Counter()
    for process in psutil.process_iter(["name"]):
        name = str(process.info["name"])
        if name.startswith(("ceph-", "radosgw")):
            try:
                found[name] += process.memory_full_info().pss
            except psutil.Error:
                continue
    return dict(found)


def test_48_osds(ceph_image: Path, tmp_path: Path) -> None:
    description = even(HOSTS, DISKS, racks=RACKS, datacenters=DATACENTERS)
    with CephLab(description=description, image=ceph_image) as lab:
        formation = Formation(lab=lab, folder=tmp_path)
        try:
            begin = time.monotonic()
            made = formation.plan()
            planned = time.monotonic() - begin
            formation.apply(made)
            begin = time.monotonic()
            formation.work(2400)
            formation.healthy(300)
            formed = time.monotonic() - begin
            used = memory()
            state = formation.now()
            assert sum(osd.up and osd.in_ for osd in state.osds) == OSDS
            racks = {bucket.parent for bucket in state.buckets if bucket.level == "host"}
            assert len(racks) == RACKS
            assert {b.parent for b in state.buckets if b.level == "rack"} == {f"dc{n + 1}" for n in range(DATACENTERS)}
            assert formation.plan().steps == ()
            write_report(made, planned, formed, used, dict(state.pgs))
        finally:
            formation.close()


def copies(pool: PoolLayout) -> str:
    return f"{pool.erasure.k}+{pool.erasure.m} chunks" if pool.erasure else f"{pool.size} copies"


def write_report(made: Plan, planned: float, formed: float, used: dict[str, int], pgs: dict[str, int]) -> None:
    """Plain figures, as markdown."""
    layout = made.desired.ceph
    assert layout is not None
    pools = [f"| {pool.name} | {copies(pool)}, one in each {pool.domain} | {pool.pg_num} |" for pool in layout.pools]
    lines = [
        "# 48 OSDs",
        "",
        f"{HOSTS} hosts in namespaces, {DISKS} sparse loop disks each, {RACKS} racks in {DATACENTERS} datacenters, formed",
        "by planner, engine and the agent's own code with real daemons of Debian 13's Ceph (small-memory settings).",
        f"{os.cpu_count()} cores, kernel {platform.release().split('-')[0]}.",
        "",
        "| what | result |",
        "|---|---|",
        f"| steps of the plan | {len(made.steps)} |",
        f"| all disks looked at, and planned, in | {planned:.1f} s |",
        f"| from the accepted plan to HEALTH_OK | {formed:.0f} s |",
        f"| placement groups | {', '.join(f'{count} {name}' for name, count in pgs.items())} |",
        *(f"| memory of all {name} (PSS) | {size / GIB:.2f} GiB |" for name, size in sorted(used.items())),
        "| the plan afterwards | no steps |",
        "",
        "| pool | copies | PGs |",
        "|---|---|---|",
        *pools,
        "",
    ]
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text("\n".join(lines), encoding="utf-8")
