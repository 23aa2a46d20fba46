"""How large the agent image is, beside Debian's own network installer: kernel and initrd of the same release, which also
come over the network before anything else can happen. Ours carries Python, the agent and its tools; theirs an installer
that fetches its drivers for disks later. The root image is listed without a reference."""

from __future__ import annotations

from pathlib import Path

from bench.row import Row
from images import agent, root
from images.aptroot import AptRoot, unpack
from images.cache import Cache
from images.lock import Request, build_locked

INSTALLER = "debian-installer-13-netboot-amd64"
INSIDE = "usr/lib/debian-installer/images/13/amd64/text/debian-installer/amd64"
MEBI = 2**20


def run() -> list[Row]:
    """Sizes in MiB. Builds what is not in the cache."""
    cache = Cache()
    ours = agent.build(cache)
    system = root.build(cache).manifest
    kernel, initrd = installer_sizes(cache)
    note = "d-i fetches its drivers and tools after this"
    return [
        _row("kernel", ours.kernel_size, kernel, ""),
        _row("initrd", ours.initrd_size, initrd, note),
        _row("kernel and initrd", ours.kernel_size + ours.initrd_size, kernel + initrd, note),
        _row("root image, compressed", system.size, None, f"{len(system.packages)} packages"),
        _row("root image, unpacked", system.unpacked, None, ""),
    ]


def installer_sizes(cache: Cache) -> tuple[int, int]:
    """Kernel and initrd of Debian 13's netboot installer, in bytes."""
    request = Request(names=(INSTALLER,), dependencies=False)

    def measure(folder: Path) -> tuple[int, int]:
        files = folder / INSIDE
        return (files / "linux").stat().st_size, (files / "initrd.gz").stat().st_size

    with cache.scratch() as scratch:
        build_locked(cache, request, lambda lock: unpack(AptRoot(cache).download(lock.debs), scratch))
        return measure(scratch)


def _row(what: str, ours: int, reference: int | None, note: str) -> Row:
    return Row(
        section="image",
        what=what,
        unit="MiB",
        ours=ours / MEBI,
        against="Debian 13 netboot" if reference else "",
        reference=reference / MEBI if reference else None,
        better="lower",
        note=note,
    )
