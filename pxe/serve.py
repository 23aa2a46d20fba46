"""The boot servers as one process: DHCP on 67, boot server on 4011, TFTP on 69, on the named interfaces only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from enum import StrEnum

from pxe.ports import Directory


class Mode(StrEnum):
    """``authoritative``: we give addresses. ``proxy``: another server does, we add the boot information."""

    AUTHORITATIVE = "authoritative"
    PROXY = "proxy"


def run(
    directory: Directory,
    interfaces: Sequence[str],
    mode: Mode = Mode.AUTHORITATIVE,
    *,
    probe_seconds: float = 4.0,
    on_ready: Callable[[], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT or ``stop``; SIGHUP reads the pools again. ``on_ready`` is called when packets are
    answered. ``probe_seconds`` is how long the start waits for a foreign DHCP server (authoritative mode only).

    Raises `InterfaceError`, `PortError` or `ForeignServerError` (all `PxeError`) when it can't start.
    """
    raise NotImplementedError
