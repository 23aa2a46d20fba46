"""A rack with its appliance, watched: what the demo plays on, and what the tests break.

The machines are known by their serials, as the site file knows them. The appliance may be down at any moment (it is killed
on purpose): then what was last seen is kept.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from appliance.rehearsal import local_api
from appliance.rehearsal.appliance_process import Appliance
from appliance.rehearsal.board import Row
from appliance.rehearsal.console import find_code
from appliance.rehearsal.description import DiskBus, MachineDescription
from appliance.rehearsal.errors import ApplianceError, MachineError, WaitError
from appliance.rehearsal.rack import Rack

FATAL = frozenset({"install-refused", "step-failed", "no-profile", "ambiguous-profile"})
"""Kinds of trouble that only a person can end."""


@dataclass(slots=True, kw_only=True)
class Session:
    """``reached`` is when a machine was first seen in a phase: (machine, phase) → seconds since the rack was made."""

    rack: Rack
    appliance: Appliance
    reached: dict[tuple[str, str], float] = field(default_factory=dict)
    machines: dict[str, dict[str, Any]] = field(default_factory=dict)

    def look(self) -> None:
        """Ask the appliance for its machines; keeps what is known when it does not answer."""
        with contextlib.suppress(ApplianceError):
            document = local_api.get(self.appliance.socket, "machines?limit=100")
            for item in document["machines"]:
                name = self._name_of(item)
                if name:
                    self.machines[name] = item
                    self.reached.setdefault((name, item["phase"]), self.rack.elapsed())

    def phase(self, name: str) -> str:
        """The machine's phase, or the empty string before the appliance has heard of it."""
        return str(self.machines.get(name, {}).get("phase", ""))

    def code(self, name: str) -> str:
        """The code on the machine's serial console. `WaitError` when there is none."""
        code = find_code(self.rack.machines[name].console.text())
        if not code:
            raise WaitError(f"machine {name}: no enrolment code on its console ({self.rack.machines[name].log})")
        return code

    def progress(self, name: str) -> tuple[str, float]:
        """Stage and fraction of the machine's install as the appliance knows it; empty before one began."""
        progress = self.machines.get(name, {}).get("progress") or {}
        return str(progress.get("stage", "")), float(progress.get("fraction", 0.0))

    def newest_plan(self) -> str:
        """Hash of the newest plan."""
        return str(local_api.get(self.appliance.socket, "plans")["plans"][0]["hash"])

    def rows(self) -> list[Row]:
        """What the board shows."""
        return [self._row(name) for name in self.rack.machines]

    def until(
        self,
        goal: str,
        timeout: float,
        reached: Callable[[], bool],
        *,
        tick: Callable[[], None] = lambda: None,
        every: float = 1.0,
    ) -> float:
        """Look until ``reached``; returns the seconds it took. ``tick`` is called at every look. `WaitError` names the
        goal and shows where every machine stands."""
        begin = time.monotonic()
        while True:
            self.look()
            self.rack.recover()
            self._check_refusals()
            tick()
            if reached():
                return time.monotonic() - begin
            if time.monotonic() - begin > timeout:
                raise WaitError(f"{goal}: not within {timeout:.0f} s\n{self._report()}")
            time.sleep(every)

    def all_in(self, *phases: str) -> bool:
        """Is every machine that is switched on in one of these phases?"""
        return all(self.phase(name) in phases for name, machine in self.rack.machines.items() if machine.starts)

    def _check_refusals(self) -> None:
        """A trouble that time does not heal ends the wait at once."""
        for name, item in self.machines.items():
            trouble = item.get("trouble") or {}
            if trouble.get("kind") in FATAL:
                raise WaitError(f"machine {name}: {trouble.get('kind')}: {trouble.get('text')}\n{self._report()}")

    def _report(self) -> str:
        lines = [f"  {row.name}: {row.phase} {row.stage} {row.trouble}".rstrip() for row in self.rows()]
        return "\n".join(
            [*lines, self.rack.tails(), f"--- appliance, {self.appliance.log_file}", self.appliance.log_tail()]
        )

    def _name_of(self, item: dict[str, Any]) -> str:
        """Which of ours this is: by the serial it claims, before that by the MAC that was seen."""
        for machine in self.rack.description.machines:
            if item["serial"] == machine.smbios.serial or machine.nics[0].mac in item["macs"]:
                return machine.name
        return ""

    def _row(self, name: str) -> Row:
        machine = self.rack.machines[name]
        item = self.machines.get(name, {})
        trouble = item.get("trouble") or {}
        phase = self.phase(name) or ("booting" if machine.running() else "off")
        stage, fraction = self.progress(name)
        with contextlib.suppress(MachineError):
            return Row(
                name=name,
                what=what(machine.description),
                phase=phase,
                trouble=str(trouble.get("text", "")),
                stage=stage,
                fraction=fraction,
                said=machine.console.last(),
            )
        return Row(name=name, what=what(machine.description), phase=phase)


def what(machine: MachineDescription) -> str:
    """A few words on a machine: its firmware and the disk that it shall boot from."""
    bus = {DiskBus.VIRTIO: "virtio", DiskBus.NVME: "NVMe", DiskBus.SATA: "SATA", DiskBus.SCSI: "SAS"}[
        machine.disks[0].bus
    ]
    extra = f" + {len(machine.disks) - 1} more" if len(machine.disks) > 1 else ""
    return f"{machine.firmware.upper()}, {bus}{extra}"
