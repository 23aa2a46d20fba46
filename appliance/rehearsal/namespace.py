"""A network namespace with one bridge and one tap per NIC: the rack's switch. Nothing leaves it.

It is removed by its owner, by the `reaper` when the owner was killed, and by the next rack when the reaper was killed
too. Names carry the rack's id, so racks never meet.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from ipaddress import IPv4Interface
from pathlib import Path

import psutil

from agent.run import CommandError, run
from appliance.rehearsal import reaper
from appliance.rehearsal.errors import NamespaceError, PrerequisiteError

RUN = Path("/run/rackseed/racks")
BRIDGE = "br0"


@dataclass(slots=True, kw_only=True)
class Namespace:
    """``name`` is the namespace's, ``run`` a short folder for sockets (a Unix socket's path has at most 107 bytes)."""

    name: str
    run: Path
    taps: list[str] = field(default_factory=list)
    _reaper: subprocess.Popen[bytes] | None = None

    @classmethod
    def create(cls, network: IPv4Interface) -> Namespace:
        """Make a namespace whose bridge has the address ``network``. `NamespaceError`, `PrerequisiteError`."""
        if os.geteuid() != 0:
            raise PrerequisiteError("a virtual rack needs root to make a network namespace: run it with sudo")
        remove_stale()
        identity = secrets.token_hex(3)
        namespace = cls(name=f"rackseed-{identity}", run=RUN / identity)
        namespace.run.mkdir(parents=True, mode=0o700)
        owner = {"pid": os.getpid(), "started": psutil.Process().create_time(), "namespace": namespace.name}
        (namespace.run / "owner.json").write_text(json.dumps(owner), encoding="ascii")
        namespace._reaper = subprocess.Popen(
            [sys.executable, "-I", reaper.__file__, namespace.name, str(namespace.run)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        _ip("netns", "add", namespace.name)
        namespace._make_bridge(network)
        return namespace

    def _make_bridge(self, network: IPv4Interface) -> None:
        self.ip("link", "set", "lo", "up")
        self.ip("link", "add", BRIDGE, "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
        self.ip("addr", "add", str(network), "dev", BRIDGE)
        self.ip("link", "set", BRIDGE, "up")

    def ip(self, *words: str) -> str:
        """Run ``ip`` on the namespace's links and addresses."""
        return _ip("-n", self.name, *words)

    def add_tap(self) -> str:
        """A new tap on the bridge; returns its name."""
        tap = f"tap{len(self.taps)}"
        self.ip("tuntap", "add", tap, "mode", "tap")
        self.ip("link", "set", tap, "master", BRIDGE)
        self.ip("link", "set", tap, "up")
        self.taps.append(tap)
        return tap

    def command(self, argv: list[str]) -> list[str]:
        """``argv`` as it runs inside: the process keeps its id, because ``ip netns exec`` replaces itself."""
        return ["ip", "netns", "exec", self.name, *argv]

    def remove(self) -> None:
        """Kill what still runs inside and delete everything. Safe to call twice."""
        if self._reaper is None:
            return
        self._reaper.communicate()  # closes its standard input, which is the signal, and waits
        self._reaper = None


def remove_stale() -> tuple[str, ...]:
    """Remove racks whose owner is dead; returns the names of their namespaces. A living owner's rack is left alone."""
    removed = []
    for owner in sorted(RUN.glob("*/owner.json")):
        try:
            facts = json.loads(owner.read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue  # it is being made or removed right now
        if not _alive(int(facts["pid"]), float(facts["started"])):
            reaper.remove(facts["namespace"], str(owner.parent))
            removed.append(str(facts["namespace"]))
    if RUN.is_dir() and not any(RUN.iterdir()):
        shutil.rmtree(RUN, ignore_errors=True)
    return tuple(removed)


def _alive(pid: int, started: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - started) < 1.0
    except psutil.NoSuchProcess:
        return False


def _ip(*words: str) -> str:
    try:
        return run(["ip", *words]).stdout
    except CommandError as error:
        raise NamespaceError(f"{error}\n(the command ip is in Debian's package iproute2)") from error
