"""The planner at scale: ``plan()`` from loaded objects for 100 to 10 000 machines of 12 disks, each in a process of its own.

The reference is what the standard library needs to write the same inventories once as JSON (``json.dumps`` of plain data
that is there already): the least that anybody could do with every disk. ``python -m bench.plan --picture FILE`` draws
the growth. Times are of the first plan in a fresh process, nothing is warm; of several processes the fastest counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.fit import Line, ascii_plot, line, power, svg_plot
from bench.row import Row

SIZES = (100, 300, 1_000, 3_000, 10_000)
PER_RACK = 20
TARGET_SECONDS, TARGET_MIB = 5.0, 1024
_AGAINST = "json.dumps of the inventories"
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One process. Memory is the highest resident size (VmHWM) in KiB: before, with the inputs alone, and after the first
    plan. ``again`` is the plan that follows when the first was carried out, ``reference`` that of ``json.dumps``."""

    machines: int
    disks: int
    osds: int
    clusters: int
    steps: int
    seconds: float
    again: float
    reference: float
    inputs_kib: int
    peak_kib: int


def run() -> list[Row]:
    """Measures, prints the growth, and gives rows for the table."""
    samples = [measure(size) for size in SIZES]
    print(report(samples), file=sys.stderr, flush=True)
    points = [(float(sample.machines), sample.seconds) for sample in samples]
    largest, growth = samples[-1], power(points)
    what = f"{largest.machines:,} machines, {largest.disks:,} disks"
    note = f"{largest.clusters} clusters, {largest.osds:,} OSDs; target {TARGET_SECONDS:g} s"
    peak, inputs = largest.peak_kib / 1024, largest.inputs_kib / 1024
    rows = (
        (f"plan, {what}", "s", largest.seconds, _AGAINST, largest.reference, note),
        (f"plan again after it, {what}", "s", largest.again, _AGAINST, largest.reference, "no steps"),
        (f"peak memory, {what}", "MiB", peak, "the inputs alone", inputs, f"target {TARGET_MIB} MiB"),
        (f"exponent of growth from {SIZES[0]}", "", growth.slope, "linear", 1.0, f"R² {growth.r_squared:.4f}"),
    )
    return [
        Row(section="plan", what=about, unit=unit, ours=ours, against=to, reference=other, better="lower", note=words_)
        for about, unit, ours, to, other, words_ in rows
    ]


def report(samples: list[Sample]) -> str:
    """Every size, the fits in words, and a plot in text."""
    points = [(float(sample.machines), sample.seconds) for sample in samples]
    growth, straight = power(points), line(points)
    rows = [
        f"{sample.machines:>7,} machines {sample.disks:>8,} disks {sample.osds:>8,} OSDs: plan {sample.seconds:6.3f} s, "
        f"again {sample.again:6.3f} s, json.dumps {sample.reference:6.3f} s, peak {sample.peak_kib / 1024:5.0f} MiB "
        f"(inputs {sample.inputs_kib / 1024:.0f})"
        for sample in samples
    ]
    return "\n".join([*rows, words(growth, straight), ascii_plot(points, growth)])


def words(growth: Line, straight: Line) -> str:
    """The fits in one line."""
    return (
        f"seconds ~ machines^{growth.slope:.3f} (R² {growth.r_squared:.4f}); straight line: "
        f"{straight.slope * 1e6:.0f} µs a machine and {straight.offset * 1000:.0f} ms (R² {straight.r_squared:.4f})"
    )


def measure(size: int) -> Sample:
    """The fastest of three processes (two for large sizes)."""
    found = [_child(size) for _ in range(3 if size <= 1000 else 2)]
    return min(found, key=lambda sample: sample.seconds)


def _child(size: int) -> Sample:
    command = [sys.executable, "-m", "bench.plan", "--one", str(size)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return Sample(**json.loads(answer.stdout))


def _one(size: int) -> Sample:
    """What the child does."""
    from agent.wire import to_data  # noqa: PLC0415 - the parent needs none of it
    from appliance.plan.make import plan  # noqa: PLC0415
    from appliance.rehearsal.fleet import accepted, fleet  # noqa: PLC0415
    from hwprofiles.loader import load_profiles  # noqa: PLC0415

    profiles = load_profiles()
    scene = fleet(racks=size // PER_RACK, per_rack=PER_RACK)
    inputs = _highest()
    started = time.perf_counter()
    made = plan(scene.site, profiles, scene.observed, None)
    seconds, peak = time.perf_counter() - started, _highest()
    after = accepted(made, scene.observed)
    started = time.perf_counter()
    second = plan(scene.site, profiles, after, made)
    again = time.perf_counter() - started
    if second.steps or len({step.machine for step in made.steps}) != size:
        raise AssertionError("the plan does not install every machine, or the one after it something")
    data = [to_data(machine.inventory) for machine in scene.observed.machines]
    started = time.perf_counter()
    json.dumps(data)
    return Sample(
        machines=size,
        disks=sum(len(machine.inventory.disks) for machine in scene.observed.machines if machine.inventory),
        osds=len(made.desired.ceph.osds) if made.desired.ceph else 0,
        clusters=len(made.desired.clusters),
        steps=len(made.steps),
        seconds=seconds,
        again=again,
        reference=time.perf_counter() - started,
        inputs_kib=inputs,
        peak_kib=peak,
    )


def _highest() -> int:
    """VmHWM of this process in KiB."""
    status = Path("/proc/self/status").read_text()
    return next(int(entry.split()[1]) for entry in status.splitlines() if entry.startswith("VmHWM:"))


def picture(samples: list[Sample]) -> str:
    """The growth as SVG."""
    points = [(float(sample.machines), sample.seconds) for sample in samples]
    growth = power(points)
    return svg_plot(
        points,
        growth,
        title=f"plan(): seconds grow as machines^{growth.slope:.2f} (R² {growth.r_squared:.4f})",
        across="machines of 12 disks",
        up="seconds",
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
