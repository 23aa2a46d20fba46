"""Process 1 of a lab host: makes its root, steps into it, and reaps orphans until it is killed, and all of the host with it.

Run as a file with only the standard library: ``hostinit.py NAME ROOT FOLDER AGENT``. ROOT is the mounted image, FOLDER the
host's own, which outlives its boots (its writes, as a disk would), AGENT the folder of the agent's code.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

NODES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
CODE = "opt/rackseed"
"""Where the agent's code is seen in the host."""


def main(name: str, root: str, folder: str, agent: str) -> None:
    socket.sethostname(name)
    here = f"{folder}/system"
    _overlay(root, folder, here)
    for target in ("proc", "sys", "dev", "run", "tmp", CODE, f"{CODE}/agent", f"{CODE}/lab"):
        Path(here, target).mkdir(parents=True, exist_ok=True)
    _mount("-t", "proc", "proc", f"{here}/proc")
    _mount("-t", "sysfs", "sysfs", f"{here}/sys")
    _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", f"{here}/run")
    _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", f"{here}/dev")
    _mount("--bind", "-o", "ro", agent, f"{here}/{CODE}/agent")
    _mount("--bind", "-o", "ro", str(Path(__file__).resolve().parent), f"{here}/{CODE}/lab")
    _devices(f"{here}/dev")
    _files(here, name)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    _enter(here)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        signal.pause()


def _overlay(root: str, folder: str, here: str) -> None:
    """The image below, the host's writes above. ``volatile`` saves the syncs: a lab need not survive this computer's."""
    upper, work = f"{folder}/upper", f"{folder}/work"
    shutil.rmtree(work, ignore_errors=True)  # the mark of an earlier volatile mount would forbid this one
    for path in (upper, work, here):
        Path(path).mkdir(exist_ok=True)
    _mount("-t", "overlay", "-o", f"lowerdir={root},upperdir={upper},workdir={work},volatile", "overlay", here)


def _devices(dev: str) -> None:
    os.umask(0)
    for name, (major, minor) in NODES.items():
        os.mknod(f"{dev}/{name}", 0o020666, os.makedev(major, minor))
    os.umask(0o022)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        Path(dev, name).symlink_to(target)
    for name in ("shm", "pts", "disk/by-id"):
        Path(dev, name).mkdir(parents=True)
    _mount("-t", "tmpfs", "tmpfs", f"{dev}/shm")


def _files(here: str, name: str) -> None:
    Path(here, "etc/hostname").write_text(f"{name}\n", encoding="ascii")
    Path(here, "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {name}\n", encoding="ascii")
    for path in ("run/ceph", "run/lock", "run/lock/lvm"):
        Path(here, path).mkdir(parents=True, exist_ok=True)
    shutil.chown(f"{here}/run/ceph", 64045, 64045)  # Debian's fixed id of the user ceph, which tmpfiles.d would use


def _enter(here: str) -> None:
    """The host's root becomes the root, and everything else is out of sight."""
    os.chdir(here)
    Path("mnt").mkdir(exist_ok=True)
    subprocess.run(["pivot_root", ".", "mnt"], check=True)
    os.chdir("/")
    subprocess.run(["umount", "-l", "/mnt"], check=True)


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
