"""The planner at scale: ``plan()`` from loaded objects for 100 to 10 000 machines of 12 disks, each in a process of its own.

Two references in the same process: what the standard library needs to write the same inventories once as JSON
(``json.dumps`` of plain data that is there already: the least that anybody could do with every disk), and what Ceph's own
``crushtool`` needs to compile the map of the planned cluster. Times are of the first plan in a fresh process, nothing is
warm; of several processes the fastest counts. CPU seconds are compared, as the planner has one thread; wall seconds are
shown beside them. ``python -m bench.plan --picture FILE`` draws the growth.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from agent.wire import to_data
from appliance.model.ceph import CephLayout
from appliance.plan.crush import crushmap
from appliance.plan.make import plan
from appliance.rehearsal.fleet import accepted, fleet
from bench.fit import Line, ascii_plot, line, power, svg_plot
from bench.row import Row
from hwprofiles.loader import load_profiles
from images.cache import Cache
from images.cephtools import ceph_tools
from images.errors import ImageBuildError
from images.unpacked import run_unpacked

SIZES = (100, 300, 1_000, 3_000, 10_000)
PER_RACK = 20
TARGET_SECONDS, TARGET_MIB = 5.0, 1024
COMPILED = 1_000
"""The map of this many machines is compiled: one of more would weigh over 65 535 TiB, which CRUSH can't add up."""
_DUMPS = "json.dumps of the inventories"
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One process. ``wall`` and ``cpu`` seconds are those of the first plan, ``again`` CPU seconds of the plan that follows
    when the first was carried out, ``dumps`` of ``json.dumps``, ``crushtool`` of the compiler (0: not measured). Memory is
    the highest resident size (VmHWM) in KiB: before, with the inputs alone, and after the first plan."""

    machines: int
    disks: int
    osds: int
    clusters: int
    wall: float
    cpu: float
    again: float
    dumps: float
    crushtool: float
    inputs_kib: int
    peak_kib: int


def run() -> list[Row]:
    """Measures, prints the growth, and gives rows for the table."""
    samples = [measure(size) for size in SIZES]
    print(report(samples), file=sys.stderr, flush=True)
    return rows(samples)


def rows(samples: list[Sample]) -> list[Row]:
    """What the table shows of the measurements."""
    largest, growth = samples[-1], power(points(samples))
    what = f"{largest.machines:,} machines, {largest.disks:,} disks"
    note = f"{largest.clusters} clusters, {largest.osds:,} OSDs; wall {largest.wall:.1f} s, target {TARGET_SECONDS:g} s"
    peak, inputs = largest.peak_kib / 1024, largest.inputs_kib / 1024
    found = [
        (f"plan, {what}", "CPU s", largest.cpu, _DUMPS, largest.dumps, note),
        (f"plan again after it, {what}", "CPU s", largest.again, _DUMPS, largest.dumps, "no steps"),
        (f"peak memory, {what}", "MiB", peak, "the inputs alone", inputs, f"target {TARGET_MIB} MiB"),
        (f"exponent of growth from {SIZES[0]}", "", growth.slope, "linear", 1.0, f"R² {growth.r_squared:.4f}"),
    ]
    found += [
        (
            f"plan, {one.machines:,} machines",
            "CPU s",
            one.cpu,
            "crushtool -c",
            one.crushtool,
            f"map of {one.osds:,} OSDs",
        )
        for one in samples
        if one.crushtool
    ]
    return [
        Row(section="plan", what=about, unit=unit, ours=ours, against=to, reference=other, better="lower", note=words_)
        for about, unit, ours, to, other, words_ in found
    ]


def points(samples: list[Sample]) -> list[tuple[float, float]]:
    """Machines and CPU seconds."""
    return [(float(sample.machines), sample.cpu) for sample in samples]


def report(samples: list[Sample]) -> str:
    """Every size, the fits in words, and a plot in text."""
    found = points(samples)
    growth, straight = power(found), line(found)
    lines = [
        f"{one.machines:>7,} machines {one.disks:>8,} disks {one.osds:>8,} OSDs: plan {one.cpu:6.3f} CPU s "
        f"({one.wall:.3f} wall), again {one.again:6.3f}, json.dumps {one.dumps:6.3f}, "
        f"peak {one.peak_kib / 1024:4.0f} MiB (inputs {one.inputs_kib / 1024:.0f})"
        for one in samples
    ]
    return "\n".join([*lines, words(growth, straight), ascii_plot(found, growth)])


def words(growth: Line, straight: Line) -> str:
    """The fits in one line."""
    return (
        f"CPU seconds ~ machines^{growth.slope:.3f} (R² {growth.r_squared:.4f}); straight line: "
        f"{straight.slope * 1e6:.0f} µs a machine and {straight.offset * 1000:.0f} ms (R² {straight.r_squared:.4f})"
    )


def measure(size: int) -> Sample:
    """The fastest of three processes (two for large sizes)."""
    found = [_child(size) for _ in range(3 if size <= 1000 else 2)]
    return min(found, key=lambda sample: sample.cpu)


def _child(size: int) -> Sample:
    command = [sys.executable, "-m", "bench.plan", "--one", str(size)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return Sample(**json.loads(answer.stdout))


def _one(size: int) -> Sample:
    """What the child does."""
    profiles = load_profiles()
    scene = fleet(racks=size // PER_RACK, per_rack=PER_RACK)
    inputs = _highest()
    begin, spent = time.perf_counter(), time.process_time()
    made = plan(scene.site, profiles, scene.observed, None)
    wall, cpu, peak = time.perf_counter() - begin, time.process_time() - spent, _highest()
    after = accepted(made, scene.observed)
    spent = time.process_time()
    second = plan(scene.site, profiles, after, made)
    again = time.process_time() - spent
    if second.steps or second.changes or len({step.machine for step in made.steps}) != size:
        raise AssertionError("the plan does not install every machine, or the one after it changes something")
    data = [to_data(machine.inventory) for machine in scene.observed.machines]
    spent = time.process_time()
    json.dumps(data)
    dumps = time.process_time() - spent
    return Sample(
        machines=size,
        disks=sum(len(machine.inventory.disks) for machine in scene.observed.machines if machine.inventory),
        osds=len(made.desired.ceph.osds) if made.desired.ceph else 0,
        clusters=len(made.desired.clusters),
        wall=wall,
        cpu=cpu,
        again=again,
        dumps=dumps,
        crushtool=_compile(made.desired.ceph) if made.desired.ceph and size == COMPILED else 0.0,
        inputs_kib=inputs,
        peak_kib=peak,
    )


def _compile(layout: CephLayout) -> float:
    """CPU seconds of ``crushtool -c``; 0 where it can't be had."""
    try:
        tools = ceph_tools(Cache())
    except ImageBuildError as error:
        print(f"crushtool is not measured: {error}", file=sys.stderr)
        return 0.0
    with tempfile.TemporaryDirectory(prefix="rackseed-bench-") as folder:
        text, binary = Path(folder) / "map.txt", Path(folder) / "map"
        text.write_text(crushmap.text(layout), encoding="utf-8")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run_unpacked(tools, "usr/bin/crushtool", "-c", text, "-o", binary)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _highest() -> int:
    """VmHWM of this process in KiB."""
    status = Path("/proc/self/status").read_text()
    return next(int(entry.split()[1]) for entry in status.splitlines() if entry.startswith("VmHWM:"))


def picture(samples: list[Sample]) -> str:
    """The growth as SVG."""
    found = points(samples)
    growth = power(found)
    return svg_plot(
        found,
        growth,
        title=f"plan(): CPU seconds grow as machines^{growth.slope:.2f} (R² {growth.r_squared:.4f})",
        across="machines of 12 disks",
        up="CPU seconds",
        target=TARGET_SECONDS,
    )


def main() -> None:
    """The child, or the bench with a picture."""
    parser = argparse.ArgumentParser(prog="python -m bench.plan")
    parser.add_argument("--one", type=int, help="measure this many machines in this process, and print JSON")
    parser.add_argument("--picture", type=Path, help="write the growth as SVG")
    options = parser.parse_args()
    if options.one:
        sample = _one(options.one)
        print(json.dumps({name: getattr(sample, name) for name in Sample.__slots__}))
        return
    samples = [measure(size) for size in SIZES]
    print(report(samples))
    if options.picture:
        options.picture.write_text(picture(samples), encoding="utf-8")


if __name__ == "__main__":
    main()
