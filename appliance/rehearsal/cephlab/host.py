"""One host of a lab: its first process, its disks, and how something is run in it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import agent
from agent.run import Result, run
from agent.run import environment as plain
from appliance.rehearsal.cephlab import hostinit
from appliance.rehearsal.cephlab.description import LabHost
from appliance.rehearsal.cephlab.disks import Attached
from appliance.rehearsal.cephlab.space import ALL, Space, environment, init_of, wait_gone, wait_ready
from appliance.rehearsal.errors import MachineError

LOOP_MAJOR = 7
OUTER = ("--pid", "--mount", "--ipc")
INNER = ("--fork", "--kill-child", "--pid", "--mount", "--net", "--uts", "--ipc", "--propagation", "private")
AGENT = Path(agent.__file__).parent


@dataclass(slots=True, kw_only=True)
class Host:
    """``pid`` is its first process as this computer counts, 0 while it is off. ``settings`` is what its daemons and tools
    are told beside ceph.conf (``CEPH_ARGS``); ``agent`` the folder of the agent's code that carries out its orders."""

    space: Space
    description: LabHost
    disks: dict[str, Attached] = field(default_factory=dict)
    settings: str = ""
    agent: Path = AGENT
    pid: int = 0

    @property
    def name(self) -> str:
        return self.description.name

    @property
    def folder(self) -> Path:
        """What outlives a boot of the host: its part of the root is ``upper``."""
        return self.space.folder / "hosts" / self.name

    @property
    def off(self) -> bool:
        return self.pid == 0

    def boot(self) -> None:
        """Start the first process; without ports yet. Raises `NamespaceError`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        root = str(self.space.folder / "root")
        script = [sys.executable, "-I", hostinit.__file__, self.name, root, str(self.folder), str(self.agent)]
        argv = self.space.inside(self.space.keeper, OUTER, ["unshare", *INNER, *script])
        with (self.folder / "console").open("ab") as console:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=console, start_new_session=True
            )
        try:
            wait_ready(process, f"host {self.name}")
        finally:
            if process.stdout:
                process.stdout.close()
        self.pid = init_of(process.pid)
        (self.folder / "pid").write_text(str(self.pid), encoding="ascii")
        self._outer = process
        for attached in self.disks.values():
            self.show(attached)

    _outer: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def show(self, attached: Attached) -> None:
        """Give the host the node of a disk, and the link that udev would make."""
        node, link = attached.node, f"/dev/disk/by-id/{attached.by_id}"
        script = f"[ -b {node} ] || mknod -m 660 {node} b {LOOP_MAJOR} {attached.number}; chown ceph:ceph {node}"
        self.run(["sh", "-ec", f"{script}; ln -sf ../../{node.removeprefix('/dev/')} {link}"])

    def hide(self, attached: Attached) -> None:
        """Take the node and its link away."""
        self.run(["rm", "-f", attached.node, f"/dev/disk/by-id/{attached.by_id}"])

    def power_off(self) -> None:
        """SIGKILL to everything at once, as when power is pulled. Does nothing for a host that is off."""
        if self.off:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        wait_gone(self.pid)
        self.pid = 0
        (self.folder / "pid").unlink(missing_ok=True)
        if self._outer is not None:
            self._outer.wait()
            self._outer = None

    def reap(self) -> None:
        """The host was killed with the lab: note it, and let go of its first process."""
        self.pid = 0
        if self._outer is not None:
            self._outer.wait()
            self._outer = None

    def command(self, argv: Sequence[str]) -> list[str]:
        """``argv`` as it runs in the host. Raises `MachineError` when the host is off."""
        if self.off:
            raise MachineError(f"host {self.name} is off: boot it first")
        return self.space.inside(self.pid, ALL, argv, root=True)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a process of the host sees."""
        told = {"CEPH_ARGS": self.settings} if self.settings else {}
        return environment({**told, **(extra or {})})

    def run(
        self, argv: Sequence[str], *, input: bytes | None = None, timeout: float = 120.0, check: bool = True
    ) -> Result:
        """Run a command in the host to its end. Raises `agent.run.CommandError`, `MachineError`."""
        return run(self.command(argv), input=input, timeout=timeout, check=check, env=self.environment())

    def start(
        self, argv: Sequence[str], *, stdin: int | IO[bytes] = subprocess.DEVNULL, pass_fds: Sequence[int] = ()
    ) -> subprocess.Popen[bytes]:
        """Start something in the host that speaks through pipes; what it says on standard error goes to the console."""
        with (self.folder / "console").open("ab") as console:
            return subprocess.Popen(
                self.command(argv),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=console,
                pass_fds=tuple(pass_fds),
                start_new_session=True,
                env=plain(self.environment()),
            )

    def write(self, path: str, text: str, *, mode: int = 0o644, owner: str = "root") -> None:
        """Write a text file in the running host, with the folders above it."""
        script = 'mkdir -p "${1%/*}" && umask 077 && cat > "$1" && chmod "$2" "$1" && chown "$3" "$1"'
        self.run(["sh", "-ec", script, "sh", path, f"{mode:o}", f"{owner}:{owner}"], input=text.encode())

    def daemon(self, verb: str, kind: str = "", name: str = "") -> None:
        """``start``, ``stop`` or ``restart`` a daemon, or ``boot`` all that belong to the host (see `daemons`)."""
        self.run(["python3", "/opt/rackseed/lab/daemons.py", verb, *([kind, name] if kind else [])])

    def read(self, path: str) -> str:
        """A text file of the host, also while it is off; empty when it was never written there."""
        try:
            return (self.folder / "upper" / path.lstrip("/")).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
