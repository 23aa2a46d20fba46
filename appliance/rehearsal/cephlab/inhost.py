"""Runs in a lab host, with its Python: the agent's part of an order, with the lab's disks and daemons under it.

``inhost.py disks`` reads the host's disks, ``inhost.py perform FD`` carries out an order and writes what becomes of it, line
by line, to a descriptor that it inherited. The task is the first line of standard input; keys are asked for one by one on
standard output and answered on standard input, so that they never lie in a file.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

BUSY = Path("/run/rackseed/order.lock")
"""A machine carries out one order at a time."""


class Daemons:
    """`agent.act.cephdaemons.Daemons` with plain processes."""

    def __init__(self) -> None:
        self._processes: Any = importlib.import_module("lab.daemons")

    def start(self, kind: str, daemon: str) -> None:
        self._processes.start(kind, daemon)

    def stop(self, kind: str, daemon: str) -> None:
        self._processes.stop(kind, daemon)

    def running(self, kind: str, daemon: str) -> bool:
        return bool(self._processes.running(kind, daemon))


def disks(described: list[dict[str, Any]]) -> list[Any]:
    """Disks (`agent.wire.Disk`) as the lab describes them, with what is on them now by the agent's own probe."""
    wire, probe = importlib.import_module("agent.wire"), importlib.import_module("agent.probe.machine")
    found = []
    for facts in described:
        known = {**facts, "by_id": tuple(facts["by_id"])}
        found.append(wire.Disk(**known, content=probe.look(Path(known["path"]), False)))
    return found


def perform(task: dict[str, Any], keys: Keys, report: Callable[[dict[str, Any]], None]) -> None:
    """Carry out one order and say how it ended: ``state`` is `DoorState`'s word."""
    act, wire = importlib.import_module("agent.act.ceph"), importlib.import_module("agent.cephorder")
    document, errors = importlib.import_module("agent.document"), importlib.import_module("agent.errors")
    order = document.from_data(wire.CephOrder, task["order"])
    machine, plan = task["machine"], task["plan"]

    def tell(stage: str, fraction: float, message: str = "") -> None:
        report({"state": "running", "message": message or f"{stage} {fraction:.0%}"})

    try:
        said, answers = act.perform(order, machine, plan, lambda: disks(task["disks"]), keys, Daemons(), tell)
    except (errors.OrderRefusedError, errors.DiskRefusedError) as error:
        report({"state": "refused", "message": str(error)})
    except Exception as error:  # whatever goes wrong is the order's end, and a person reads it
        known = isinstance(error, errors.AgentError | OSError)
        text = str(error) if known else f"{type(error).__name__}: {error}"
        answers = [document.to_data(item) for item in getattr(error, "answers", ())]
        report({"state": "failed", "message": text, "answers": answers})
    else:
        report({"state": "done", "message": said, "answers": [document.to_data(item) for item in answers]})


class Keys:
    """Keys by name from the appliance. Takes standard output for itself: what else is printed goes to standard error."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def __call__(self, name: str) -> str:
        """OSError when the appliance is gone or does not give it."""
        self._out.write(json.dumps({"secret": name}) + "\n")
        self._out.flush()
        line = sys.stdin.readline()
        if not line:
            raise OSError("the appliance does not answer: it is asked again with the next order")
        answer = json.loads(line)
        if "secret" not in answer:
            raise OSError(str(answer.get("error", "the appliance does not give this key")))
        return str(answer["secret"])


def carry_out(task: dict[str, Any], descriptor: int) -> None:
    """One order after the other."""
    BUSY.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(descriptor, "w", encoding="utf-8") as log, BUSY.open("w") as busy:

        def report(what: dict[str, Any]) -> None:
            log.write(json.dumps(what) + "\n")
            log.flush()

        report({"state": "running", "message": "the machine has its order"})
        fcntl.flock(busy, fcntl.LOCK_EX)
        perform(task, Keys(), report)


def main(verb: str, *rest: str) -> int:
    task = json.loads(sys.stdin.readline())
    if verb == "disks":
        document = importlib.import_module("agent.document")
        print(json.dumps([document.to_data(item) for item in disks(task["disks"])]))
    else:
        carry_out(task, int(rest[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
