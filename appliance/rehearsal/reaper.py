"""Outlives its rack by a moment: when the owner is gone, however it ended, it kills what runs in the namespace.

Run as a file (``python -I reaper.py NAMESPACE FOLDER``), so only the standard library is imported and it starts quickly.
Its standard input is a pipe whose other end only the owner holds: end of file means that the owner is gone, also after
SIGKILL. It sits in a session of its own, so that a signal to the owner's process group does not reach it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time


def remove(namespace: str, folder: str) -> None:
    """Kill every process of the namespace, delete it, delete the rack's run folder. Never raises for what is gone."""
    for _ in range(50):
        listing = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
        pids = [int(word) for word in listing.stdout.split()]
        if not pids:
            break
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)
    subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Wait for the end of standard input, then remove the rack."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    remove(sys.argv[1], sys.argv[2])


if __name__ == "__main__":
    main()
