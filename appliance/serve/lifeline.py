"""A process that dies with its parent, and that tells systemd when it is ready."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys

_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15  # linux/prctl.h


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the process that started it dies, also by SIGKILL (prctl(2)).

    A parent that is gone already would never be noticed, so that is looked at last. Everything here may be killed at any
    time, that is the promise; so SIGKILL is honest.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit("the process that started this one is gone")


def name_process(name: str) -> None:
    """What ``ps -o comm`` and ``top`` show; the kernel keeps 15 bytes."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def notify(state: str) -> None:
    """One line to the service manager (sd_notify(3)), when it started us with NOTIFY_SOCKET."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        connection.connect("\0" + address[1:] if address.startswith("@") else address)
        connection.sendall(state.encode())
