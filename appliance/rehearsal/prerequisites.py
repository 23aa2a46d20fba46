"""What a virtual rack needs of this computer, and what to install when it is not there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from appliance.rehearsal.errors import PrerequisiteError

PROGRAMS = {
    "ip": "iproute2",
    "qemu-system-x86_64": "qemu-system-x86",
    "mmdebstrap": "mmdebstrap",
    "zstd": "zstd",
    "cpio": "cpio",
}
"""Program → Debian package."""
DISK_BYTES = 12 << 30
MEMORY_BYTES = 5 << 30


def missing() -> tuple[str, ...]:
    """One sentence per thing that is missing; empty when the rack can be built."""
    found = []
    if os.geteuid() != 0:
        found.append("root is needed to make network namespaces: run it with sudo")
    packages = sorted(package for program, package in PROGRAMS.items() if shutil.which(program) is None)
    if packages:
        found.append(f"programs are missing: apt-get install --no-install-recommends {' '.join(packages)}")
    if not Path("/dev/net/tun").exists():
        found.append("/dev/net/tun is missing: modprobe tun (in a container: pass the device in)")
    return tuple(found)


def check(folder: Path) -> None:
    """Raise `PrerequisiteError` with everything that is missing at once. ``folder`` is where disks will be kept."""
    found = list(missing())
    free = shutil.disk_usage(folder).free
    if free < DISK_BYTES:
        found.append(f"{folder} has {free >> 30} GiB free; {DISK_BYTES >> 30} GiB are needed (--folder takes another)")
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if max(available, total * 3 // 4) < MEMORY_BYTES:
        found.append(f"{total >> 30} GiB of memory; {MEMORY_BYTES >> 30} GiB are needed for three machines")
    if found:
        raise PrerequisiteError(
            "this computer can't run a virtual rack yet:\n" + "\n".join(f"  - {line}" for line in found)
        )
