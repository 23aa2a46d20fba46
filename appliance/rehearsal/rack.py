"""A virtual rack: machines on one switch, with a power button each.

``with Rack(description, folder, firmware=…) as rack:`` makes the namespace; at the end, or when this process is killed,
everything is gone but ``folder``, which keeps logs, disks and UEFI variables.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from appliance.rehearsal.console import gave_up, is_tcg_panic
from appliance.rehearsal.description import RackDescription
from appliance.rehearsal.errors import MachineError, WaitError
from appliance.rehearsal.machine import VirtualMachine, prepare_files
from appliance.rehearsal.namespace import BRIDGE, Namespace
from appliance.rehearsal.router import Router
from appliance.rehearsal.timeserver import TimeServer

log = logging.getLogger(__name__)


class Rack:
    """``firmware`` is OVMF's code image and variable template, needed when a machine is UEFI.

    ``panics`` counts the boots that were tried again because QEMU's emulation broke them.
    """

    def __init__(
        self,
        description: RackDescription,
        folder: Path,
        *,
        firmware: tuple[Path, Path] | None = None,
    ) -> None:
        self.description = description
        self.folder = folder
        self.logs = folder / "logs"
        self.machines: dict[str, VirtualMachine] = {}
        self.panics: dict[str, int] = {}
        self.start = time.monotonic()
        self._firmware = firmware
        self._namespace: Namespace | None = None
        self._neighbours: tuple[Router | TimeServer, ...] = ()

    @property
    def namespace(self) -> Namespace:
        """The rack's namespace; only inside the ``with`` block."""
        if self._namespace is None:
            raise MachineError("the rack has no power outside of its with block")
        return self._namespace

    def __enter__(self) -> Rack:
        self.logs.mkdir(parents=True, exist_ok=True)
        self._namespace = Namespace.create(self.description.network)
        address = str(self.description.network.ip)
        self._neighbours = (Router(self._namespace.name, BRIDGE), TimeServer(self._namespace.name, address))
        try:
            for machine in self.description.machines:
                files, plain = prepare_files(machine, self._namespace, self.folder / "machines", self._firmware)
                self.machines[machine.name] = VirtualMachine(
                    machine, files, self._namespace, logs=self.logs, start=self.start, plain_pxe=plain
                )
        except BaseException:
            self._namespace.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for machine in self.machines.values():
            machine.remove()
        for neighbour in self._neighbours:
            neighbour.close()
        self.namespace.remove()

    def power_on(self, *names: str) -> None:
        """Switch on the named machines, or all of them."""
        for name in names or tuple(self.machines):
            self.machines[name].power_on()
            log.info("machine=%s step=power-on why=asked", name)

    def power_cut(self, name: str) -> None:
        """Take one machine's power away (SIGKILL of its QEMU)."""
        self.machines[name].power_cut()
        log.info("machine=%s step=power-cut why=asked", name)

    def cpu_seconds(self) -> dict[str, float]:
        """Processor seconds per machine so far."""
        return {name: machine.cpu_seconds() for name, machine in self.machines.items()}

    def elapsed(self) -> float:
        """Seconds since the rack was made."""
        return time.monotonic() - self.start

    def recover(self) -> tuple[str, ...]:
        """Do what a server does by itself: begin anew when nothing could be booted. And power-cycle machines whose kernel
        died of QEMU's emulation, each at most once. Returns their names."""
        again = []
        for name, machine in self.machines.items():
            if machine.running() and gave_up(machine.console):
                machine.power_cut()
                machine.power_on()
                log.warning(
                    "machine=%s step=power-cycle why=its firmware had nothing left to boot; servers begin anew", name
                )
                again.append(name)
            if machine.running() and name not in self.panics and is_tcg_panic(machine.console.text()):
                self.panics[name] = 1
                machine.power_cut()
                machine.power_on()
                log.warning(
                    "machine=%s step=power-cycle why=QEMU's emulation let its kernel panic; tried once more", name
                )
                again.append(name)
        return tuple(again)

    def wait_for(self, what: str, condition: Callable[[], bool], timeout: float, *, every: float = 0.5) -> float:
        """Poll until ``condition`` holds; returns the seconds it took. `WaitError` with the ends of all consoles."""
        begin = time.monotonic()
        while not condition():
            self.recover()
            if time.monotonic() - begin > timeout:
                raise WaitError(f"{what}: not within {timeout:.0f} s\n{self.tails()}")
            time.sleep(every)
        return time.monotonic() - begin

    def wait_console(self, name: str, text: str, timeout: float) -> float:
        """Wait until the console of ``name`` shows ``text`` since its last power-on."""
        machine = self.machines[name]
        return self.wait_for(
            f"machine {name}: {text!r} on its console", lambda: text in machine.console.text(), timeout
        )

    def tails(self) -> str:
        """The last lines of every console, for error messages."""
        parts = []
        for name, machine in self.machines.items():
            if machine.starts:
                state = "on" if machine.running() else "off"
                parts.append(f"--- {name} ({state}), {machine.log}\n{machine.console.tail()}")
        return "\n".join(parts)
