"""From power-on to enrolled: one machine alone, each firmware, with the real appliance: wall and CPU seconds.

There is no reference in the same run: the peers' agents need their own servers. Under emulation (TCG) a CPU second is
what repeats; a real server is faster by one to two orders of magnitude, and slower by its memory training.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from appliance.rehearsal import lab, scenario
from appliance.rehearsal.demo import stage
from appliance.rehearsal.description import MachineDescription, RackDescription
from appliance.serve.environment import default_cache
from bench.row import Row

ENROL_SECONDS = 900.0


def run() -> list[Row]:
    """Two rows per firmware. Raises `RehearsalError` when the machine does not enrol."""
    cache = default_cache()
    lab.build_images(cache)
    rows: list[Row] = []
    for machine in (scenario.bios_machine("bios", 1), scenario.nvme_machine("uefi", 2)):
        rows += _measure(machine, cache)
    return rows


def _measure(machine: MachineDescription, cache: Path) -> list[Row]:
    description = RackDescription(machines=(machine,))
    with (
        tempfile.TemporaryDirectory(prefix="rackseed-bench-") as folder,
        stage(Path(folder), description, cache=cache, by_rule=()) as session,
    ):
        session.appliance.start()
        session.appliance.wait_ready()
        session.rack.power_on()
        wall = session.until("the machine has enrolled", ENROL_SECONDS, lambda: session.all_in("enrolled"))
        spent = session.rack.cpu_seconds()[machine.name]
        served = session.appliance.cpu_seconds()
    what = f"power-on to enrolled, {machine.firmware.upper()}"
    return [
        Row(section="enrol", what=f"{what}: wall", unit="s", ours=wall, better="lower", note="one machine, TCG"),
        Row(section="enrol", what=f"{what}: machine", unit="CPU s", ours=spent, better="lower"),
        Row(
            section="enrol", what=f"{what}: appliance", unit="CPU s", ours=served, better="lower", note="with its start"
        ),
    ]
