"""`LabDoor`: `appliance.effects.cephdoor.CephDoor` on a lab. The agent's code carries out the orders, in the hosts.

Nothing of an order depends on the process that gave it: it runs on when that one is killed, as an agent does, and whoever
opens the door again sees how it went. Only keys come from a living appliance.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from errno import ETIMEDOUT
from pathlib import Path
from typing import Any

from agent.cephorder import CephOrder, MonAnswer, MonCommand
from agent.document import from_data, to_data
from appliance.effects.cephdoor import DoorError, DoorResult, DoorState
from appliance.model.cephstate import CephState
from appliance.rehearsal.cephlab.daemons import ENABLED
from appliance.rehearsal.cephlab.description import APPLIANCE
from appliance.rehearsal.cephlab.host import Host
from appliance.rehearsal.cephlab.inventory import disk_facts, machine_names
from appliance.rehearsal.cephlab.lab import CephLab
from appliance.rehearsal.cephlab.monitors import Monitors
from appliance.rehearsal.errors import MachineError

SCRIPT = ["python3", "-P", "/opt/rackseed/lab/inhost.py"]
ADMIN = "etc/ceph/ceph.client.admin.keyring"

Ask = Callable[[Sequence[MonCommand]], tuple[MonAnswer, ...] | None]
Look = Callable[[Ask], CephState | None]
"""What `CephDoor.observe` makes of a way to ask the monitors; `questions` makes one."""


def questions(
    commands: Callable[[], Sequence[MonCommand]],
    parse: Callable[[Sequence[MonAnswer], float], CephState],
    more: Callable[[CephState], Sequence[MonCommand]] | None = None,
) -> Look:
    """A look with the questions of a kind: ``more`` are those for the manager, asked when the state names one. A look at
    namespaces may fail, the manager's answers count all the same. Monitors that elect in the middle are silent."""

    def look(ask: Ask) -> CephState | None:
        at = time.time()
        answers = ask(commands())
        if answers is None or any(item.code == ETIMEDOUT for item in answers):
            return None
        state = parse(answers, at)
        if more is None or not state.managers:
            return state
        asked = more(state)
        known = ask(asked)
        failed = known is None or any(_failed(*pair) for pair in zip(known, asked, strict=False))
        return state if known is None or failed else parse((*answers, *known), at)

    return look


def _failed(answer: MonAnswer, asked: MonCommand) -> bool:
    return bool(answer.code) and not asked.pool and answer.code not in asked.may_fail


@dataclass(slots=True, kw_only=True)
class LabDoor:
    """``secrets`` gives the appliance's keys by name (KeyError: there is none). ``machines`` maps machine ids to names of
    hosts, by default as `inventory` numbers them. May be shared by threads."""

    lab: CephLab
    secrets: Callable[[str], str]
    look: Look
    machines: dict[str, str] = field(default_factory=dict)
    _monitors: Monitors | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # ------------------------------------------------------------ observe

    def observe(self) -> CephState | None:
        """See `CephDoor.observe`; asks a host with a monitor, another one the next time when it stays silent."""
        with self._lock:
            self.lab.refresh()
            if self._monitors is not None and self._monitors.host.off:
                self._monitors.close()
                self._monitors = None
            if self._monitors is None:
                host = next(iter(self._askable()), None)
                self._monitors = Monitors(host=host) if host else None
            if self._monitors is None:
                return None
            silent = self._monitors.host.name
            state = self.look(self._monitors.ask)
            if state is None:
                self._monitors.close()
                others = [host for host in self._askable() if host.name != silent]
                self._monitors = Monitors(host=others[0]) if others else None
            return state

    @property
    def asked(self) -> str:
        """The host that is asked now, or empty."""
        return self._monitors.host.name if self._monitors else ""

    def close(self) -> None:
        """End the connection to the monitors; orders run on."""
        with self._lock:
            if self._monitors is not None:
                self._monitors.close()
                self._monitors = None

    def _askable(self) -> list[Host]:
        """Hosts that are on and have a monitor and the admin's key."""
        found = []
        for host in self.lab.hosts.values():
            root = host.folder / "upper"
            monitors = (root / ENABLED.relative_to("/")).glob("mon.*")
            if not host.off and (root / ADMIN).exists() and any(monitors):
                found.append(host)
        return found

    # ------------------------------------------------------------ orders

    def start(self, machine: str, plan: str, step: str, order: CephOrder) -> None:
        """See `CephDoor.start`. A host that is off fails its order at once. OSDs are made without LVM: hosts have no
        device mapper of their own."""
        self.lab.refresh()
        host = self._host(machine)
        order = _granted(order, plan)
        base = self._base(plan, step)
        lock = os.open(base.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return  # it runs: whoever carries it out holds the lock
        log = os.open(base.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            task = {
                "order": to_data(order),
                "machine": machine,
                "plan": plan,
                "disks": [disk_facts(attached) for attached in host.disks.values()],
            }
            argv = [*SCRIPT, "perform", str(log)]
            process = host.start(argv, stdin=subprocess.PIPE, pass_fds=(lock, log))
        except MachineError as error:
            os.write(log, json.dumps({"state": "failed", "message": str(error)}).encode() + b"\n")
        else:
            threading.Thread(target=self._serve, args=(process, task), daemon=True).start()
        finally:
            os.close(log)
            os.close(lock)

    def result(self, plan: str, step: str) -> DoorResult:
        """See `CephDoor.result`."""
        base = self._base(plan, step)
        try:
            lock = os.open(base.with_suffix(".lock"), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return DoorResult(state=DoorState.NONE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ended = True
        except BlockingIOError:
            ended = False
        finally:
            os.close(lock)
        lines = base.with_suffix(".log").read_text(encoding="utf-8").splitlines()
        said: dict[str, Any] = json.loads(lines[-1]) if lines else {"state": "running", "message": ""}
        if ended and said["state"] == DoorState.RUNNING:
            message = f"the machine was gone while it carried out the order ({said['message']}): give it again"
            return DoorResult(state=DoorState.FAILED, message=message)
        if not ended:
            return DoorResult(state=DoorState.RUNNING, message=str(said["message"]))
        answers = tuple(from_data(MonAnswer, item) for item in said.get("answers", ()))
        return DoorResult(state=DoorState(said["state"]), message=str(said["message"]), answers=answers)

    def _serve(self, process: subprocess.Popen[bytes], task: dict[str, Any]) -> None:
        """Give the order, then keys as they are asked for, until it ended."""
        assert process.stdin and process.stdout  # noqa: S101 - opened with PIPE
        with process, process.stdin, process.stdout:
            try:
                self._answer(process, task)
                for line in process.stdout:
                    name = str(json.loads(line)["secret"])
                    try:
                        self._answer(process, {"secret": self.secrets(name)})
                    except KeyError:
                        self._answer(process, {"error": f"the appliance has no key {name}"})
            except OSError:
                return  # the host was killed: `result` says so

    @staticmethod
    def _answer(process: subprocess.Popen[bytes], what: dict[str, Any]) -> None:
        assert process.stdin  # noqa: S101 - opened with PIPE
        process.stdin.write(json.dumps(what).encode() + b"\n")
        process.stdin.flush()

    def _host(self, machine: str) -> Host:
        names = self.machines or machine_names(self.lab.description)
        name = APPLIANCE if machine == APPLIANCE else names.get(machine, "")
        if name not in self.lab.hosts:
            raise DoorError(f"the lab has no host for machine {machine}")
        return self.lab.host(name)

    def _base(self, plan: str, step: str) -> Path:
        folder = self.lab.folder / "orders"
        folder.mkdir(exist_ok=True, mode=0o700)
        return folder / hashlib.sha256(f"{plan}\0{step}".encode()).hexdigest()[:24]


def _granted(order: CephOrder, plan: str) -> CephOrder:
    """A step can't name its plan, whose hash covers it: its grants become the plan's when they are told to a machine.
    And it can't know that the machine is a host of a lab."""
    osd = order.osd
    if osd is not None:
        osd = replace(
            osd,
            data=replace(osd.data, plan=plan),
            db=replace(osd.db, plan=plan) if osd.db else None,
            wal=replace(osd.wal, plan=plan) if osd.wal else None,
            backend="raw",
        )
    return replace(order, osd=osd, zap=tuple(replace(grant, plan=plan) for grant in order.zap))
