"""Ceph's daemons: started, stopped, and asked how they are over their admin sockets.

Who starts them is behind `Daemons`: systemd on machines, the lab's own processes in namespaces.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from agent.act import cephfiles as files
from agent.act import cephmgr
from agent.errors import CephError
from agent.run import CommandError, run

KINDS = ("mon", "mgr", "mds", "rgw", "osd")
DAEMON = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
ANSWER_LIMIT = 16 * 2**20
SOCKET_PATIENCE = 10.0
POLL = 0.3
GRACE = 12.0
"""Seconds in which a daemon that fell over may be started again: Ceph's units wait 10 (RestartSec)."""

UNITS = Path("/etc/systemd/system")

Tell = Callable[[str, float, str], None]
"""(stage, fraction 0..1, message): also where an order that was withdrawn stops."""


class Daemons(Protocol):
    """``kind`` is ``mon``, ``mgr``, ``mds``, ``rgw`` or ``osd``, ``daemon`` the id without it. All raise `AgentError`."""

    def start(self, kind: str, daemon: str) -> None:
        """Starts it, now and at every boot; nothing happens when it runs."""
        ...

    def stop(self, kind: str, daemon: str) -> None:
        """Stops it, now and for ever; returns when it is gone."""
        ...

    def running(self, kind: str, daemon: str) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Systemd:
    """The units of Debian's packages."""

    def start(self, kind: str, daemon: str) -> None:
        """An OSD is enabled until the next boot only, as ceph-volume does it: then ceph-volume's unit opens its volumes
        first and starts it. Started by itself at boot, it would fail three times, and not be started for half an hour.

        Units are read again (seconds on a slow machine) only for a new drop-in: what enabling links is for the next boot.
        """
        name, how = unit(kind, daemon), ["--runtime"] if kind == "osd" else []
        changed = kind == "mgr" and cephmgr.drop_in()
        if not self._enabled(kind, name):
            run(["systemctl", "enable", "--no-reload", *how, name])
            files.keep_links(UNITS)
        if changed:
            run(["systemctl", "daemon-reload"])
        if not self.running(kind, daemon):
            run(["systemctl", "reset-failed", name], check=False)  # or StartLimitBurst refuses it
            run(["systemctl", "start", name], timeout=300)

    @staticmethod
    def _enabled(kind: str, name: str) -> bool:
        said = run(["systemctl", "is-enabled", name], check=False).stdout.strip()
        return said in ({"enabled", "enabled-runtime"} if kind == "osd" else {"enabled"})

    def stop(self, kind: str, daemon: str) -> None:
        name = unit(kind, daemon)
        run(["systemctl", "disable", "--runtime", name], check=False)
        run(["systemctl", "disable", "--now", name], timeout=300)

    def running(self, kind: str, daemon: str) -> bool:
        return run(["systemctl", "is-active", "--quiet", unit(kind, daemon)], check=False).code == 0


def unit(kind: str, daemon: str) -> str:
    """``ceph-mon@n1.service``; a gateway's is ``ceph-radosgw@rgw.n1.service``: the instance is the client's name."""
    if kind not in KINDS or not DAEMON.fullmatch(daemon):
        raise CephError(f"{kind}.{daemon} is not a daemon of Ceph")
    return f"ceph-radosgw@rgw.{daemon}.service" if kind == "rgw" else f"ceph-{kind}@{daemon}.service"


def admin_socket(kind: str, daemon: str) -> Path:
    return files.RUN / f"ceph-{kind}.{daemon}.asok"


def ask_socket(path: Path, prefix: str, **arguments: Any) -> Any:
    """A command to one daemon's admin socket: JSON and a NUL there, a big-endian length and the answer back
    (src/common/admin_socket.cc). Raises OSError when nobody is there, `CephError` when the answer makes no sense."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(SOCKET_PATIENCE)
        link.connect(str(path))
        link.sendall(json.dumps({"prefix": prefix, "format": "json", **arguments}).encode() + b"\0")
        (length,) = struct.unpack(">I", _exactly(link, 4))
        if length > ANSWER_LIMIT:
            raise CephError(f"{path} answers {length} bytes to {prefix}")
        raw = _exactly(link, length)
    try:
        return json.loads(raw or b"null")
    except ValueError as error:
        raise CephError(f"{path} does not understand {prefix}: {raw[:200]!r}") from error


def _exactly(link: socket.socket, length: int) -> bytes:
    parts = b""
    while len(parts) < length:
        part = link.recv(length - len(parts))
        if not part:
            raise OSError("the daemon closed its admin socket")
        parts += part
    return parts


def answer(kind: str, daemon: str, prefix: str) -> dict[str, Any] | None:
    """None while the daemon does not answer."""
    try:
        said = ask_socket(admin_socket(kind, daemon), prefix)
    except (OSError, CephError):
        return None
    return said if isinstance(said, dict) else None


def start_and_wait(
    daemons: Daemons, kind: str, daemon: str, *, ready: Callable[[], str], tell: Tell, seconds: float
) -> None:
    """``ready`` says what is still missing (empty: nothing). Raises `CephError` when it dies or is not ready in time."""
    daemons.start(kind, daemon)
    end, alive = time.monotonic() + seconds, time.monotonic()
    while True:
        missing = ready()
        if not missing:
            return
        now = time.monotonic()
        alive = now if daemons.running(kind, daemon) else alive
        if now - alive > GRACE:
            raise CephError(f"{kind}.{daemon} does not stay up: {last_words(kind, daemon)}")
        if now > end:
            raise CephError(f"{kind}.{daemon} runs, but after {seconds:g} s {missing}")
        tell(f"{kind}.{daemon}", 0.8, "")
        time.sleep(POLL)


def last_words(kind: str, daemon: str) -> str:
    """The end of its log, for a person."""
    name = f"ceph-client.rgw.{daemon}.log" if kind == "rgw" else f"ceph-{kind}.{daemon}.log"
    log = Path("/var/log/ceph") / name
    try:
        lines = log.read_text("utf-8", "replace").splitlines()
    except OSError:
        return f"see `journalctl -u {unit(kind, daemon)}`"
    bad = [line for line in lines[-200:] if " -1 " in line] or lines
    return f"{log} ends with: " + " | ".join(line[-200:] for line in bad[-3:])


def stop(daemons: Daemons, kind: str, daemon: str) -> None:
    """Raises `CephError` when it still runs afterwards."""
    try:
        daemons.stop(kind, daemon)
    except CommandError as error:
        if daemons.running(kind, daemon):
            raise CephError(f"{kind}.{daemon} does not stop: {error}") from error
    if daemons.running(kind, daemon):
        raise CephError(f"{kind}.{daemon} still runs after it was stopped")
