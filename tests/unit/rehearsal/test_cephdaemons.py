"""When a daemon of a lab's host has ended: not before its files are closed."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.rehearsal.cephlab import daemons

EXIT = {"x86_64": 60, "aarch64": 93}
"""The system call ``exit``, which ends one thread."""
LEADER_FIRST = """
import ctypes, sys, threading, time
threading.Thread(target=time.sleep, args=(60,)).start()
print("ready", flush=True)
ctypes.CDLL(None).syscall(int(sys.argv[1]), 0)
"""


@pytest.mark.skipif(platform.machine() not in EXIT, reason="the number of a system call is not known here")
def test_a_process_whose_first_thread_is_dead_still_holds_its_files() -> None:
    argv = [sys.executable, "-c", LEADER_FIRST, str(EXIT[platform.machine()])]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            stat = Path(f"/proc/{process.pid}/stat")
            deadline = time.monotonic() + 20
            while ") Z " not in stat.read_text(encoding="ascii"):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert daemons._holds_files(process.pid)
        finally:
            process.kill()
    assert not daemons._holds_files(process.pid)
