"""A worker that kills itself: ``python -m tests.net.ceph.victim STATE LAB PLAN``.

It carries out the accepted plan on a lab, and dies by SIGKILL at points that it has not died at yet: before an order of a
step is given, after it was given, and when it has ended. The points are lines of ``STATE/deaths``. It ends with 0 when the
plan is over.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from agent.cephorder import CephOrder
from appliance.effects.cephdoor import CephDoor, DoorResult, DoorState
from appliance.model.cephstate import CephState
from appliance.rehearsal.cephlab.lab import CephLab
from tests.net.ceph.formed import Formation


@dataclass
class DeadlyDoor:
    """The lab's door, with the three points around every order."""

    door: CephDoor
    deaths: Path

    def observe(self) -> CephState | None:
        return self.door.observe()

    def start(self, machine: str, plan: str, step: str, order: CephOrder) -> None:
        self.die(f"before {step}")
        self.door.start(machine, plan, step, order)
        self.die(f"after {step}")

    def result(self, plan: str, step: str) -> DoorResult:
        found = self.door.result(plan, step)
        if found.state is DoorState.DONE:
            self.die(f"end of {step}")
        return found

    def die(self, where: str) -> None:
        """Once at every point."""
        if where in self.deaths.read_text(encoding="utf-8").splitlines():
            return
        with self.deaths.open("a", encoding="utf-8") as file:
            file.write(f"{where}\n")
            file.flush()
            os.fsync(file.fileno())
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    state, lab, plan = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    formation = Formation(lab=CephLab.attach(lab), folder=state)
    engine = formation.engine(DeadlyDoor(formation.door, state / "deaths"), lease=1.0)
    while formation.state_of(plan) == "accepted":
        if not engine.run_one():
            time.sleep(0.1)


if __name__ == "__main__":
    main()
