"""The namespaces of a lab: made here, and gone with their keeper, however its owner ends (see `keeper`)."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from agent.run import Result, run
from appliance.rehearsal.cephlab import keeper
from appliance.rehearsal.errors import NamespaceError, PrerequisiteError

LABS = Path(os.environ.get("RACKSEED_LABS", "/var/tmp/rackseed/ceph"))  # noqa: S108 - root's, and not for others
"""On a disk, not in memory: sparse files fill up."""
OWNER = "owner.json"
PATIENCE = 30.0
ALL = ("--mount", "--uts", "--ipc", "--net", "--pid")
"""What a host has for itself."""


@dataclass(slots=True, kw_only=True)
class Space:
    """``folder`` holds everything that the lab writes; ``keeper`` is the process id that its life hangs on."""

    folder: Path
    keeper: int
    _watcher: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @classmethod
    def create(cls, image: Path) -> Space:
        """Make the folder and start the keeper. Raises `PrerequisiteError`, `NamespaceError`."""
        if os.geteuid() != 0:
            raise PrerequisiteError("a Ceph lab needs root to make namespaces and loop devices: run it with sudo")
        remove_stale()
        folder = LABS / secrets.token_hex(3)
        folder.mkdir(parents=True, mode=0o711)
        for parent in (LABS, LABS.parent):
            parent.chmod(0o755)
        argv = [sys.executable, "-I", keeper.__file__, "watch", str(folder), str(image)]
        watcher = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        space = cls(folder=folder, keeper=0, _watcher=watcher)
        facts = {"pid": os.getpid(), "started": psutil.Process().create_time(), "watcher": watcher.pid}
        (folder / OWNER).write_text(json.dumps(facts), encoding="ascii")
        wait_ready(watcher, "the lab's first process")
        space.keeper = init_of(watcher.pid)
        (folder / OWNER).write_text(json.dumps({**facts, "keeper": space.keeper}), encoding="ascii")
        return space

    @classmethod
    def attach(cls, folder: Path) -> Space:
        """The space of a lab that another process owns. Raises `NamespaceError` when it is gone."""
        try:
            facts = json.loads((folder / OWNER).read_text(encoding="ascii"))
            return cls(folder=folder, keeper=int(facts["keeper"]))
        except (OSError, ValueError, KeyError) as error:
            raise NamespaceError(f"there is no Ceph lab in {folder}: {error}") from error

    def inside(self, pid: int, spaces: Sequence[str], argv: Sequence[str], *, root: bool = False) -> list[str]:
        """``argv`` as it runs in namespaces of a process; ``root``: with its root and its working folder."""
        return ["nsenter", "--target", str(pid), *spaces, *(["--root", "--wd"] if root else []), "--", *argv]

    def run(self, spaces: Sequence[str], argv: Sequence[str], **options: object) -> Result:
        """Run a command in namespaces of the keeper, with this computer's files."""
        return run(self.inside(self.keeper, spaces, argv), **options)  # type: ignore[arg-type]

    def remove(self) -> bool:
        """End everything and delete it. Safe to call twice; does nothing for a lab that another process owns (false)."""
        watcher, self._watcher = self._watcher, None
        if watcher is None:
            return False
        watcher.communicate()  # closes its standard input, which is the signal, and waits
        return True


def wait_ready(process: subprocess.Popen[bytes], what: str) -> None:
    """Wait for the line that says so. Raises `NamespaceError` when the process ends instead."""
    line = process.stdout.readline() if process.stdout else b""
    if line.strip() != b"ready":
        process.wait()
        raise NamespaceError(f"{what} ended with {process.returncode}; its last words are above")


def init_of(pid: int) -> int:
    """The process below ``pid`` that is number 1 of the innermost PID namespace. Raises `NamespaceError`."""
    found: list[tuple[int, int]] = []
    for child in psutil.Process(pid).children(recursive=True):
        try:
            status = Path(f"/proc/{child.pid}/status").read_text(encoding="ascii", errors="replace")
        except OSError:
            continue
        levels = next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))
        if levels[-1] == "1":
            found.append((len(levels), child.pid))
    if not found:
        raise NamespaceError(f"process {pid} has no child that is process 1 of a namespace")
    return max(found)[1]


def remove_stale() -> tuple[str, ...]:
    """Delete folders of labs whose owner and keeper are dead; returns their names. Only a watcher that was killed with
    SIGKILL leaves one: everything else of the lab died with it."""
    removed = []
    for path in sorted(LABS.glob(f"*/{OWNER}")):
        try:
            facts = json.loads(path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue  # it is being made or removed right now
        if not _alive(int(facts["pid"]), float(facts["started"])) and not psutil.pid_exists(int(facts["watcher"])):
            keeper.remove(str(path.parent))
            removed.append(path.parent.name)
    return tuple(removed)


def _alive(pid: int, started: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - started) < 1.0
    except psutil.NoSuchProcess:
        return False


def wait_gone(pid: int, seconds: float = PATIENCE) -> None:
    """Wait until a process is dead (a zombie counts as dead). Raises `NamespaceError`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        time.sleep(0.02)
    raise NamespaceError(f"process {pid} did not end within {seconds:g} s")


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """What processes of a host see beside what `agent.run` gives. The agent's folder is read-only there, and its byte code
    is another Python's: each host keeps its own."""
    return {"PYTHONPATH": "/opt/rackseed", "PYTHONPYCACHEPREFIX": "/var/cache/rackseed", **extra}
