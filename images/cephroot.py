"""A whole Debian 13 with the real Ceph in it, as a filesystem image: what hosts of the Ceph lab run from, read-only.

Built like root images (mmdebstrap, from packages that our private apt chose and verified), but for namespaces: no
kernel, no boot loader, and the services' units are never started by it. An ext4 image is one file of the cache, it is
mounted in no time, and all hosts of all labs share its pages. ``python -m images.cephroot`` builds it (root needed).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from images.aptroot import AptRoot
from images.cache import Cache, Entry, key_of
from images.errors import ToolError
from images.lock import Lock, Request, build_locked
from images.progress import Progress, silent
from images.root import write_repository
from images.run import run
from images.told import build_told

KIND = "ceph-root"
IMAGE = "root.ext4"
MANIFEST = "manifest.json"
PACKAGES = (
    # every daemon, and what makes and asks them
    "ceph-mon",
    "ceph-mgr",
    "ceph-osd",
    "ceph-mds",
    "radosgw",
    "ceph-common",
    "ceph-volume",
    "ceph-fuse",
    "rbd-nbd",
    "python3-rados",
    "python3-rbd",
    "python3-cephfs",
    # what the agent needs on an installed machine (images/os/debian-13/os.yaml)
    "python3",
    "python3-cryptography",
    "python3-psutil",
    "python3-pyroute2",
    "python3-pyudev",
    "python3-requests",
    "iproute2",
    "iputils-ping",
    "kmod",
    "mount",
    "passwd",
    "procps",
    "util-linux",
    "fdisk",
    "gdisk",
    "udev",
    "curl",
    "ca-certificates",
)
WITHOUT = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*", "/usr/share/lintian/*")
SPARE = 64 << 20
"""Bytes left free in the image: it is never written, ext4 needs some of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CephRoot:
    """``image`` is an ext4 filesystem for ``mount -o ro,loop``; ``packages`` as ``(name, version)``."""

    image: Path
    packages: tuple[tuple[str, str], ...]

    @property
    def version(self) -> str:
        """Version of the Debian package ``ceph-osd``."""
        return dict(self.packages)["ceph-osd"]


def ceph_root(cache: Cache, progress: Progress = silent) -> CephRoot:
    """The image, from the cache or built. Raises `ImageBuildError`."""
    request = Request(names=("?essential", *PACKAGES))
    return build_locked(cache, request, lambda lock: _from_lock(cache, lock, progress), progress)


def _from_lock(cache: Cache, lock: Lock, progress: Progress) -> CephRoot:
    key = key_of(KIND, lock.hashes, Path(__file__).read_bytes())
    return _describe(cache.make(KIND, key, lambda out: _build(cache, lock, out, progress)))


def _describe(entry: Entry) -> CephRoot:
    packages = json.loads((entry.path / MANIFEST).read_text(encoding="utf-8"))
    return CephRoot(image=entry.path / IMAGE, packages=tuple((name, version) for name, version in packages))


def _build(cache: Cache, lock: Lock, out: Path, progress: Progress) -> None:
    if os.geteuid() != 0:
        raise ToolError("the Ceph root needs root to be built: run `sudo python -m images.cephroot`")
    paths = AptRoot(cache).download(lock.debs, progress)
    with cache.scratch() as scratch:
        write_repository(lock.debs, paths, scratch / "repository")
        tree = scratch / "tree"
        progress(f"install {len(lock.debs)} packages", 0.0)
        _bootstrap(lock, scratch, tree)
        for name in ("proc", "sys", "dev", "run", "tmp"):
            shutil.rmtree(tree / name, ignore_errors=True)
            (tree / name).mkdir(mode=0o1777 if name == "tmp" else 0o755)
        progress("make the image", 0.0)
        _make_image(tree, out / IMAGE)
    (out / MANIFEST).write_text(json.dumps(lock.versions, indent=1), encoding="utf-8")


def _bootstrap(lock: Lock, scratch: Path, tree: Path) -> None:
    """Packages' scripts run (they make the user ``ceph``), but nothing is started: mmdebstrap's policy-rc.d says no."""
    argv: list[str | Path] = [
        "mmdebstrap",
        "--quiet",
        "--mode=root",
        "--variant=custom",
        "--architectures=amd64",
        "--format=directory",
        "--skip=output/mknod,output/dev",
        "--aptopt=APT::Install-Recommends false",
        "--dpkgopt=force-unsafe-io",
        '--aptopt=Acquire::Languages "none"',
        f"--include={','.join(deb.name for deb in lock.debs)}",
        *(f"--dpkgopt=path-exclude={path}" for path in WITHOUT),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        "trixie",
        tree,
        f"deb [trusted=yes] copy:{scratch}/repository ./",
    ]
    run(argv, env={"SOURCE_DATE_EPOCH": str(lock.released)}, timeout=1800)


def _make_image(tree: Path, image: Path) -> None:
    used = sum(path.lstat().st_blocks * 512 for path in tree.rglob("*"))
    size = used + used // 10 + SPARE
    with image.open("wb") as file:
        file.truncate(size)
    options = ["-q", "-F", "-m", "0", "-O", "^has_journal", "-L", "ceph-root", "-d", str(tree)]
    run(["mkfs.ext4", *options, image], timeout=900)


def main() -> int:
    """Build it and say how long it took; see `build_told`."""

    def build(tell: Progress) -> str:
        root = ceph_root(Cache(), tell)
        return f"Ceph {root.version} in {root.image}, {root.image.stat().st_blocks * 512 >> 20} MiB"

    return build_told("ceph root", build)


if __name__ == "__main__":
    sys.exit(main())
