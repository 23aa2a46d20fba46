"""One virtual machine: its disks and flash on the host, and QEMU while it is switched on."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil

from agent.run import run
from appliance.rehearsal.console import Console
from appliance.rehearsal.description import DiskDescription, Firmware, MachineDescription, NetworkBoot
from appliance.rehearsal.errors import MachineError
from appliance.rehearsal.namespace import Namespace
from appliance.rehearsal.plain_pxe import PlainPxe
from appliance.rehearsal.qemu import MachineFiles, command


class VirtualMachine:
    """Switched off when made. Disks and UEFI variables stay over power cuts, as on a real machine."""

    def __init__(
        self,
        description: MachineDescription,
        files: MachineFiles,
        namespace: Namespace,
        *,
        logs: Path,
        start: float,
        plain_pxe: PlainPxe | None = None,
    ) -> None:
        self.description = description
        self.files = files
        self.powered_on = 0.0
        self.starts = 0
        self._namespace = namespace
        self._logs = logs
        self._start = start
        self._plain_pxe = plain_pxe
        self._process: psutil.Popen | None = None
        self._console: Console | None = None
        self._spent = 0.0

    @property
    def name(self) -> str:
        return self.description.name

    @property
    def log(self) -> Path:
        """The serial console's log, over all power-ons."""
        return self._logs / f"{self.name}.console.log"

    @property
    def console(self) -> Console:
        """The console since the last power-on. `MachineError` when it was never switched on."""
        if self._console is None:
            raise MachineError(f"machine {self.name} was never switched on")
        return self._console

    def power_on(self) -> None:
        """Start QEMU; nothing happens when it runs already."""
        if self.running():
            return
        if self._plain_pxe is not None:
            self._plain_pxe.power_on()
        errors = (self._logs / f"{self.name}.qemu.log").open("ab")
        try:
            self._process = psutil.Popen(
                self._namespace.command(command(self.description, self.files)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        except FileNotFoundError as error:
            raise MachineError(f"machine {self.name}: {error.filename} is missing") from error
        finally:
            errors.close()
        self._console = Console(self._process.stdout, self.log, self._start)
        self.powered_on = time.monotonic()
        self.starts += 1

    def power_cut(self) -> None:
        """Take its power away: SIGKILL of its QEMU, at whatever it was doing."""
        if self._process is None:
            return
        self._spent += self._running_seconds()
        self._process.kill()
        self._process.wait(timeout=30)
        if self._console is not None:
            self._console.join()
        self._process = None

    def remove(self) -> None:
        """Power cut, and nothing of it runs any more."""
        self.power_cut()
        if self._plain_pxe is not None:
            self._plain_pxe.close()
            self._plain_pxe = None

    def running(self) -> bool:
        """Is it switched on? A machine that switched itself off is not."""
        return self._process is not None and self._process.poll() is None

    def monitor(self, execute: str, **arguments: Any) -> Any:
        """One QMP command (``quit``, ``system_reset``, ``system_powerdown``, ``query-status``) and its answer."""
        try:
            return _converse(self.files.monitor, execute, arguments)
        except (OSError, ValueError, EOFError) as error:
            raise MachineError(f"machine {self.name}: its monitor does not answer: {error}") from error

    def reset(self) -> None:
        """Press the reset button."""
        self.monitor("system_reset")

    def cpu_seconds(self) -> float:
        """Processor time that this machine cost the host so far."""
        return self._spent + self._running_seconds()

    def _running_seconds(self) -> float:
        if self._process is None:
            return 0.0
        with contextlib.suppress(psutil.Error):
            times = self._process.cpu_times()
            return float(times.user + times.system)
        return 0.0


def prepare_files(
    description: MachineDescription,
    namespace: Namespace,
    folder: Path,
    firmware: tuple[Path, Path] | None,
) -> tuple[MachineFiles, PlainPxe | None]:
    """Make disks, a private copy of OVMF's variables and taps. ``firmware`` is OVMF's code and variable template."""
    folder.mkdir(parents=True, exist_ok=True)
    code = variables = None
    if description.firmware is Firmware.UEFI:
        if firmware is None:
            raise MachineError(f"machine {description.name} needs OVMF, and none was given")
        code, variables = firmware[0], folder / f"{description.name}.vars.fd"
        shutil.copyfile(firmware[1], variables)
    disks = {
        disk.serial: _make_disk(disk, folder / f"{description.name}-{disk.serial}.img") for disk in description.disks
    }
    taps = tuple(namespace.add_tap() for _ in description.nics)
    plain = PlainPxe(namespace.name, taps[0]) if description.boot is NetworkBoot.PLAIN_PXE else None
    files = MachineFiles(
        disks=disks,
        monitor=namespace.run / f"{description.name}.qmp",
        taps=taps,
        code=code,
        variables=variables,
        plain_pxe=None if plain is None else (plain.ours, plain.qemus),
    )
    return files, plain


def _make_disk(disk: DiskDescription, path: Path) -> Path:
    if disk.content is not None:
        run(["cp", "--sparse=auto", str(disk.content), str(path)])  # keeps holes, which copyfile() fills
    with path.open("ab") as image:
        if image.tell() > disk.size:
            raise MachineError(f"disk {disk.serial}: {disk.content} is larger than the disk ({disk.size} bytes)")
        image.truncate(disk.size)
    return path


def _converse(monitor: Path, execute: str, arguments: dict[str, Any]) -> Any:
    """QMP: greeting, ``qmp_capabilities``, one command. Events in between are skipped."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(30)
        connection.connect(str(monitor))
        with connection.makefile("rwb") as stream:
            stream.readline()
            for name, values in (("qmp_capabilities", {}), (execute, arguments)):
                request = {"execute": name, "arguments": values} if values else {"execute": name}
                stream.write(json.dumps(request).encode() + b"\n")
                stream.flush()
                answer = _answer(stream)
            return answer


def _answer(stream: Any) -> Any:
    while line := stream.readline():
        message = json.loads(line)
        if "error" in message:
            raise ValueError(message["error"].get("desc", "refused"))
        if "return" in message:
            return message["return"]
    raise EOFError("it closed the connection")
