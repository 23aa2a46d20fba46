"""Workers that are killed at random moments: run by test_storm.py as `python -m tests.unit.engine.storm FOLDER SEED`.

The launcher loads everything once and forks workers, so that a kill costs milliseconds and not a second of imports. What a
worker applies leaves two traces: a line in a log (before the effect; may be there several times), and a row in the event
table, written under the step's fence (must be there exactly once). Work is dealt out by kills, so that some is left for
every kill, however fast or busy the computer is.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

from sqlalchemy import Connection, func, select

from appliance.effects.authority import Authority
from appliance.effects.cephdoor import FakeCephDoor
from appliance.effects.clock import SystemClock
from appliance.engine.engine import Engine
from appliance.engine.registry import Failure, Run, Tools
from appliance.model.plan import StepKind
from appliance.model.settings import Settings
from appliance.store import events, schema, steps
from appliance.store.database import Store
from tests.unit.engine.world import ADDRESS, World, boot_step, install_step, render

MACHINES, LEASE = 16, 0.3
KILLS, CALM_SECONDS = 24, 60.0
"""So many workers are killed; then what is left is done in peace, also on a busy machine."""
EFFECT = "effect"


class Effect:
    """Not done at once: applied, then found done after a while, as an agent's work is."""

    poll_seconds: ClassVar[float] = 0.02

    def __init__(self, log: Path) -> None:
        self.log = log

    def done(self, run: Run) -> bool:
        with run.tools.store.read() as connection:
            return count(connection, run.row.key) > 0

    def apply(self, run: Run) -> None:
        with self.log.open("a") as file:
            file.write(f"{run.row.key} {run.row.fence} {os.getpid()}\n")
        while killed(self.log.parent) < share(run.row.key):
            time.sleep(0.01)
        time.sleep(random.random() * 0.06)
        with run.tools.store.write() as connection:
            run.guard(connection)
            if not count(connection, run.row.key):
                events.add(connection, at=time.time(), machine="", kind=EFFECT, text=run.row.key)

    def finished(self, connection: Connection, run: Run) -> None:
        events.add(connection, at=time.time(), machine="", kind="finished", text=run.row.key)

    def failed(self, connection: Connection, run: Run, failure: Failure) -> None:
        events.add(connection, at=time.time(), machine="", kind="failed", text=f"{run.row.key} {failure.text}")


def count(connection: Connection, key: str) -> int:
    query = select(func.count()).where(schema.event.c.kind == EFFECT, schema.event.c.text == key)
    return int(connection.execute(query).scalar() or 0)


def killed(folder: Path) -> int:
    """How many workers were killed so far."""
    file = folder / "kills"
    return file.stat().st_size if file.exists() else 0


def share(key: str) -> int:
    """After how many kills a step's effect may come: those of later machines come later, the last one's after the storm."""
    return KILLS * int(key.rsplit("-", 1)[1]) // (MACHINES - 1)


def worker(folder: Path) -> None:
    """One worker, as `rackseed serve worker` runs it, until it is killed or all is done."""
    clock = SystemClock()
    settings = Settings(state=folder, cache=folder, address=ADDRESS)
    tools = Tools(
        store=Store.open(settings.database_url),
        clock=clock,
        authority=Authority.open(folder, clock, ADDRESS),
        settings=settings,
        render=render,
        ceph=FakeCephDoor(),
    )
    effect = Effect(folder / "effects.log")
    stop = threading.Event()
    Engine(tools, {StepKind.INSTALL: effect, StepKind.FIRST_BOOT: effect}, lease=LEASE).run(stop)


def fork(folder: Path) -> int:
    child = os.fork()
    if child == 0:
        try:
            worker(folder)
        finally:
            os._exit(1)
    return child


def unfinished(store: Store) -> int:
    with store.read() as connection:
        return len(steps.unfinished(connection))


def main(folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    world = World(folder)
    wanted = [step for name in range(MACHINES) for step in (install_step(f"m-{name}"), boot_step(f"m-{name}"))]
    world.accept(*wanted)
    world.app.close()
    store = Store.open(f"sqlite:///{folder / 'rackseed.db'}")
    workers = [fork(folder), fork(folder)]
    for _ in range(KILLS):
        time.sleep(0.02 + chance.random() * 0.15)
        victim = chance.randrange(2)
        os.kill(workers[victim], signal.SIGKILL)
        os.waitpid(workers[victim], 0)
        workers[victim] = fork(folder)
        with (folder / "kills").open("a") as file:
            file.write(".")
    calm = time.monotonic() + CALM_SECONDS
    while (left := unfinished(store)) and time.monotonic() < calm:
        time.sleep(0.05)
    for child in workers:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    print(f"left {left}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    main(Path(sys.argv[1]), int(sys.argv[2]))
