"""Boot loaders and firmware from Debian 13 packages, whatever Debian the appliance runs on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from images.cache import Cache
from images.progress import Progress, silent


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
    raise NotImplementedError


def fetch_firmware(cache: Cache, progress: Progress = silent) -> BootFiles:
    """OVMF for the lab: ``OVMF_CODE_4M.fd`` and ``OVMF_VARS_4M.fd``. Raises `MirrorError`."""
    raise NotImplementedError
