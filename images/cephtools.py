"""``crushtool`` and ``osdmaptool`` of Debian 13, with just the libraries that they need, for any amd64 Debian.

They are Ceph's own judges of a CRUSH map and need no cluster. They are run through their own dynamic loader
(`images.unpacked`), so that neither root nor Ceph on the host is needed. ``python -m images.cephtools`` fetches them.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from images.aptroot import AptRoot, unpack
from images.cache import Cache, key_of
from images.elf import MULTIARCH, library_closure
from images.errors import TreeError
from images.lock import Lock, Request, build_locked
from images.progress import Progress, silent
from images.told import build_told
from images.unpacked import LOADER

KIND = "ceph-tools"
PROGRAMS = ("usr/bin/crushtool", "usr/bin/osdmaptool")
PACKAGES = (
    "ceph-base",
    "libblkid1",
    "libboost-iostreams1.83.0",
    "libboost-thread1.83.0",
    "libbz2-1.0",
    "libc6",
    "libcap2",
    "libfmt10",
    "libgcc-s1",
    "libibverbs1",
    "liblzma5",
    "libnl-3-200",
    "libnl-route-3-200",
    "librados2",
    "librdmacm1t64",
    "libssl3t64",
    "libstdc++6",
    "libudev1",
    "libzstd1",
    "zlib1g",
)
"""Named one by one: with all that ceph-base depends on (systemd, Python …) they are 188 packages, 91 MB instead of 12."""
PRIVATE = f"{MULTIARCH}/ceph"
"""Where Ceph keeps libceph-common, found by the programs' RUNPATH; moved beside the other libraries here."""
MANIFEST = "manifest.json"


def ceph_tools(cache: Cache, progress: Progress = silent) -> Path:
    """The tree for `images.unpacked.run_unpacked`, from the cache or built. Raises `ImageBuildError`."""
    request = Request(names=PACKAGES, dependencies=False)
    return build_locked(cache, request, lambda lock: _from_lock(cache, lock, progress), progress)


def ceph_version(tree: Path) -> str:
    """Version of the Debian package that the tools in ``tree`` come from."""
    return str(dict(json.loads((tree / MANIFEST).read_text(encoding="utf-8")))["ceph-base"])


def _from_lock(cache: Cache, lock: Lock, progress: Progress) -> Path:
    key = key_of(KIND, lock.hashes, Path(__file__).read_bytes())
    return cache.make(KIND, key, lambda out: _extract(cache, lock, out, progress)).path


def _extract(cache: Cache, lock: Lock, out: Path, progress: Progress) -> None:
    paths = AptRoot(cache).download(lock.debs, progress)
    with cache.scratch() as scratch:
        tree = scratch / "tree"
        unpack(paths, tree, progress)
        for library in (tree / PRIVATE).glob("*.so*"):
            library.rename(tree / MULTIARCH / library.name)
        missing = [name for name in PROGRAMS if not (tree / name).is_file()]
        if missing:
            raise TreeError(f"ceph-base {lock.version('ceph-base')} has no {', '.join(missing)}")
        programs = [tree / name for name in PROGRAMS]
        for path in {*programs, *library_closure(tree, programs), tree / LOADER}:
            target = out / path.relative_to(tree)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        for name in ("ceph-base", "librados2"):
            shutil.copyfile(tree / "usr/share/doc" / name / "copyright", out / f"copyright.{name}")
    (out / MANIFEST).write_text(json.dumps(lock.versions, indent=1), encoding="utf-8")


def main() -> int:
    """Fetch the tools and say how long it took; see `build_told`."""

    def build(tell: Progress) -> str:
        tree = ceph_tools(Cache(), tell)
        return f"{ceph_version(tree)} in {tree}"

    return build_told("ceph tools", build)


if __name__ == "__main__":
    sys.exit(main())
