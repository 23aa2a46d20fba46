"""Daemons of a lab host: plain processes where a machine has systemd units. Runs in the host, standard library only.

``python3 daemons.py start mon h1`` starts one, as Debian's units do, and notes that it belongs to the host: ``boot`` starts
all of those again. Also used as a module by `inhost`.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ENABLED = Path("/var/lib/rackseed/enabled")
RUNNING = Path("/run/rackseed")
LOGS = Path("/var/log/ceph")
DEFAULTS = Path("/etc/default/ceph")
MANAGER = Path("/usr/local/lib/rackseed/ceph-mgr")
PROGRAMS = {"mon": "ceph-mon", "mgr": "ceph-mgr", "osd": "ceph-osd", "mds": "ceph-mds", "rgw": "radosgw"}
STOPPING = 20.0
"""Seconds before a daemon that was asked to end is killed."""


def command(kind: str, name: str) -> list[str]:
    """What the package's unit runs (ceph-mon@.service … ceph-radosgw@.service). KeyError for another kind."""
    who = ["--name", f"client.rgw.{name}"] if kind == "rgw" else ["--id", name]
    return [PROGRAMS[kind], "-f", "--cluster", "ceph", *who, "--setuser", "ceph", "--setgroup", "ceph"]


def start(kind: str, name: str) -> None:
    """Start a daemon that does not run, and again after a boot of the host."""
    argv = command(kind, name)
    ENABLED.mkdir(parents=True, exist_ok=True)
    (ENABLED / f"{kind}.{name}").touch()
    if running(kind, name):
        return
    RUNNING.mkdir(parents=True, exist_ok=True)
    LOGS.mkdir(parents=True, exist_ok=True)
    with (LOGS / f"{kind}.{name}.out").open("ab") as out:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            cwd="/",
            env=environment(kind),
        )
    (RUNNING / f"{kind}.{name}.pid").write_text(str(process.pid), encoding="ascii")


def environment(kind: str) -> dict[str, str]:
    """As systemd gives it to Ceph's units (``EnvironmentFile=-/etc/default/ceph``), what the agent gives ceph-mgr on Debian
    13, and the lab's settings."""
    found = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    with contextlib.suppress(FileNotFoundError):
        for line in DEFAULTS.read_text(encoding="utf-8").splitlines():
            name, sign, value = line.strip().partition("=")
            if sign and not name.startswith("#"):
                found[name] = value.strip("\"'")
    if kind == "mgr" and importlib.util.find_spec("agent.act.cephmgr"):
        found |= importlib.import_module("agent.act.cephmgr").environment(MANAGER)
    if "CEPH_ARGS" in os.environ:
        found["CEPH_ARGS"] = os.environ["CEPH_ARGS"]
    return found


def stop(kind: str, name: str) -> None:
    """End a daemon and wait for its end; it stays ended after a boot."""
    (ENABLED / f"{kind}.{name}").unlink(missing_ok=True)
    _end(kind, name)


def restart(kind: str, name: str) -> None:
    """End it when it runs, and start it."""
    _end(kind, name)
    start(kind, name)


def _end(kind: str, name: str) -> None:
    pid = running(kind, name)
    end = time.monotonic() + STOPPING
    while pid and _holds_files(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM if time.monotonic() < end else signal.SIGKILL)
        time.sleep(0.05)


def _holds_files(pid: int) -> bool:
    """A process that ends has no command line first, then closes its files (an OSD its disk); its first thread may be dead
    before the others, which hold them as long."""
    try:
        return _state(pid) != "Z" or len(list(Path(f"/proc/{pid}/task").iterdir())) > 1
    except (OSError, IndexError):
        return False


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]


def running(kind: str, name: str) -> int:
    """Its process id, or 0."""
    try:
        pid = int((RUNNING / f"{kind}.{name}.pid").read_text(encoding="ascii"))
        said = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return pid if _state(pid) != "Z" and said[0].decode() == PROGRAMS[kind] else 0
    except (OSError, ValueError, IndexError):
        return 0


def enabled() -> list[tuple[str, str]]:
    """(kind, name) of every daemon that belongs to the host, monitors first."""
    found = [path.name.partition(".")[::2] for path in ENABLED.glob("*.*")] if ENABLED.is_dir() else []
    return sorted(found, key=lambda item: (list(PROGRAMS).index(item[0]), item[1]))


def boot() -> None:
    """Start everything that belongs to the host."""
    for kind, name in enabled():
        start(kind, name)


def main(verb: str, *which: str) -> None:
    """``boot``, or ``start``, ``stop``, ``restart`` with a kind and a name."""
    if verb == "boot":
        boot()
    else:
        {"start": start, "stop": stop, "restart": restart}[verb](*which)


if __name__ == "__main__":
    main(*sys.argv[1:])
