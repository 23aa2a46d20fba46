"""Boot loaders and firmware from Debian 13 packages, whatever Debian the appliance runs on.

Debian 12's iPXE is from 2019 and has no arm64; Debian 13's asks for ``autoexec.ipxe`` beside itself, so nothing is rebuilt
here. Files that Microsoft's and Debian's keys have signed stay byte for byte what they were.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from images.aptroot import AptRoot, unpack
from images.cache import Cache, Entry, key_of
from images.errors import TreeError
from images.lock import Lock, Request, build_locked
from images.progress import Progress, silent

PROVENANCE = "PROVENANCE.txt"
FACTS = "facts.json"
LOADERS = {
    "undionly.kpxe": ("ipxe", "usr/lib/ipxe/undionly.kpxe"),
    "ipxe.pxe": ("ipxe", "usr/lib/ipxe/ipxe.pxe"),
    "ipxe.lkrn": ("ipxe", "usr/lib/ipxe/ipxe.lkrn"),
    "snponly.efi": ("ipxe", "usr/lib/ipxe/snponly.efi"),
    "ipxe.efi": ("ipxe", "usr/lib/ipxe/ipxe-amd64.efi"),
    "ipxe-amd64.efi": ("ipxe", "usr/lib/ipxe/ipxe-amd64.efi"),
    "ipxe-arm64.efi": ("ipxe", "usr/lib/ipxe/ipxe-arm64.efi"),
    "shimx64.efi": ("shim-signed", "usr/lib/shim/shimx64.efi.signed"),
    "grubnetx64.efi": ("grub-efi-amd64-signed", "usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed"),
    "grubx64.efi": ("grub-efi-amd64-signed", "usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed"),
}
"""Name as served → (package, path in it). shim looks for its second stage as ``grubx64.efi`` beside itself."""

FIRMWARE = {
    "OVMF_CODE_4M.fd": ("ovmf", "usr/share/OVMF/OVMF_CODE_4M.fd"),
    "OVMF_VARS_4M.fd": ("ovmf", "usr/share/OVMF/OVMF_VARS_4M.fd"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BootFile:
    """One file, with where it came from: package and version are its licence's address."""

    path: Path
    size: int
    sha256: str
    package: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BootFiles:
    """Name as served (``undionly.kpxe``, ``snponly.efi`` …) → file. ``provenance`` lists package and version of each."""

    files: dict[str, BootFile]
    provenance: Path


def fetch(cache: Cache, progress: Progress = silent) -> BootFiles:
    """iPXE, shim and GRUB for network boot. Raises `MirrorError`."""
    return _fetch(cache, "boot", LOADERS, progress)


def fetch_firmware(cache: Cache, progress: Progress = silent) -> BootFiles:
    """OVMF for the lab: ``OVMF_CODE_4M.fd`` and ``OVMF_VARS_4M.fd``. Raises `MirrorError`."""
    return _fetch(cache, "firmware", FIRMWARE, progress)


def _fetch(cache: Cache, kind: str, wanted: Mapping[str, tuple[str, str]], progress: Progress) -> BootFiles:
    packages = tuple(sorted({package for package, _ in wanted.values()}))
    request = Request(names=packages, dependencies=False)
    return build_locked(cache, request, lambda lock: _from_lock(cache, kind, wanted, lock, progress), progress)


def _from_lock(
    cache: Cache, kind: str, wanted: Mapping[str, tuple[str, str]], lock: Lock, progress: Progress
) -> BootFiles:
    key = key_of("boot", lock.hashes, {name: list(source) for name, source in wanted.items()}, 1)
    return _describe(cache.make(kind, key, lambda out: _extract(cache, lock, wanted, out, progress)))


def _extract(cache: Cache, lock: Lock, wanted: Mapping[str, tuple[str, str]], out: Path, progress: Progress) -> None:
    paths = AptRoot(cache).download(lock.debs, progress)
    with cache.scratch() as scratch:
        for deb, path in zip(lock.debs, paths, strict=True):
            unpack([path], scratch / deb.name, progress)
        facts: dict[str, list[str]] = {}
        lines = ["Boot files and the Debian packages that they come from. Their licences are in each package's", ""]
        lines[0] += " /usr/share/doc/<package>/copyright."
        for name, (package, inside) in sorted(wanted.items()):
            source = scratch / package / PurePosixPath(inside)
            if not source.is_file():
                raise TreeError(f"{package} {lock.version(package)} has no {inside}")
            shutil.copyfile(source, out / name)
            facts[name] = [package, lock.version(package)]
            lines.append(f"{name}  {package} {lock.version(package)}  /{inside}")
        for package in sorted({package for package, _ in wanted.values()}):
            copyright_file = scratch / package / "usr/share/doc" / package / "copyright"
            if copyright_file.is_file():
                shutil.copyfile(copyright_file, out / f"copyright.{package}")
    (out / PROVENANCE).write_text("\n".join([*lines, ""]), encoding="utf-8")
    (out / FACTS).write_text(json.dumps(facts, sort_keys=True), encoding="utf-8")


def _describe(entry: Entry) -> BootFiles:
    facts = json.loads(entry.files[FACTS].path.read_text(encoding="utf-8"))
    files = {
        name: BootFile(
            path=entry.files[name].path,
            size=entry.files[name].size,
            sha256=entry.files[name].sha256,
            package=package,
            version=version,
        )
        for name, (package, version) in facts.items()
    }
    return BootFiles(files=files, provenance=entry.files[PROVENANCE].path)
