"""Reading /sys, /proc and /dev below one root folder, so that tests can bring their own machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Tree:
    """``root`` is ``/``, or the folder of a fake machine. Paths are relative: ``sys/class/dmi/id/board_name``.

    What is absent, or can't be read, is empty: sysfs attributes come and go, and fail with EINVAL while a link is down.
    """

    root: Path = Path("/")

    def path(self, relative: str) -> Path:
        return self.root / relative

    def raw(self, relative: str) -> bytes:
        try:
            return self.path(relative).read_bytes()
        except OSError:
            return b""

    def text(self, relative: str) -> str:
        """Stripped, also of the NUL that ends device tree strings."""
        return self.raw(relative).rstrip(b"\0").decode("utf-8", "replace").strip()

    def number(self, relative: str, default: int = 0) -> int:
        try:
            return int(self.text(relative), 0)
        except ValueError:
            return default

    def names(self, relative: str) -> list[str]:
        """Sorted names in a folder."""
        try:
            return sorted(entry.name for entry in self.path(relative).iterdir())
        except OSError:
            return []

    def exists(self, relative: str) -> bool:
        """Also true of a link whose target is missing: dumps of sysfs are full of them."""
        path = self.path(relative)
        return path.exists() or path.is_symlink()

    def real(self, relative: str) -> str:
        """The path with all links followed, as text without the root: ``sys/devices/pci0000:00/…``."""
        resolved = self.path(relative).resolve()
        root = self.root.resolve()
        return str(resolved.relative_to(root)) if resolved.is_relative_to(root) else str(resolved).lstrip("/")
