"""First process of a lab, and what its life hangs on: everything of the lab is in namespaces that die with it.

Run as a file, with only the standard library: as process 1 of a PID namespace (``keeper.py run FOLDER IMAGE``), so that the
kernel kills every process of every host when it ends, however it ends; and outside of it (``keeper.py watch FOLDER …``),
where it starts the first one and removes the lab's folder when that is gone. The standard input of both is a pipe that
their owner holds: end of file means that the owner is gone.

The keeper holds open what must not outlive it: loop devices (they are set to clear themselves with the last close). It
is given them over a Unix socket, with a name; a name alone lets go.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

SOCKET = "keeper.sock"
SPACES = ("--fork", "--kill-child", "--pid", "--mount", "--net", "--ipc", "--propagation", "private")


def run(folder: str, image: str) -> None:
    """Mount the image, say that it is ready, and hold until the end of standard input."""
    root = f"{folder}/root"
    Path(root).mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "ext4", "-o", "ro,loop", image, root], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server.bind(f"{folder}/{SOCKET}")
    server.listen(64)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    held: dict[str, int] = {}
    while True:
        readable, _, _ = select.select([0, server.fileno()], [], [])
        if 0 in readable and not os.read(0, 4096):
            return
        if server.fileno() in readable:
            _serve(server, held)


def _serve(server: socket.socket, held: dict[str, int]) -> None:
    peer, _ = server.accept()
    with peer:
        data, descriptors, _flags, _address = socket.recv_fds(peer, 4096, 1)
        name = data.decode()
        if name in held:
            os.close(held.pop(name))
        if descriptors:
            held[name] = descriptors[0]
        peer.send(b"ok")


def watch(folder: str, image: str) -> None:
    """Start the first process, wait for the end of standard input (or of that process), remove the folder."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    argv = ["unshare", *SPACES, sys.executable, "-I", __file__, "run", folder, image]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as first:
        while first.poll() is None:
            readable, _, _ = select.select([0], [], [], 0.2)
            if readable and not os.read(0, 4096):
                break
        if first.stdin is not None:
            first.stdin.close()
        first.wait()
    for group in groups(folder):
        with contextlib.suppress(OSError):
            group.rmdir()
    remove(folder)


def groups(folder: str) -> list[Path]:
    """Control groups that a lab may have made (see `drills.slow`), where this computer has the hierarchy for it."""
    name = f"rackseed-{Path(folder).name}"
    return [root / name for root in (Path("/sys/fs/cgroup/blkio"), Path("/sys/fs/cgroup")) if (root / name).is_dir()]


def remove(folder: str) -> None:
    """Delete a lab's folder. What is in it may still be held for a moment by processes that are being killed."""
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not Path(folder).exists():
            return
        time.sleep(0.1)


if __name__ == "__main__":
    {"run": run, "watch": watch}[sys.argv[1]](*sys.argv[2:])
