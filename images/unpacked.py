"""Programs of unpacked packages, run on the host through their own dynamic loader: no chroot, no root, and the same
versions (so the same bytes) whatever the host has installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agent.run import Result
from images.elf import LIBRARY_FOLDERS
from images.errors import ToolError
from images.run import run

LOADER = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"


def run_unpacked(
    tree: Path,
    program: str,
    *arguments: str | Path,
    name: str = "",
    env: Mapping[str, str] | None = None,
    timeout: float = 900.0,
) -> Result:
    """Run ``tree/program``; ``name`` is its argv[0] where one binary is many programs. Raises `ToolError`."""
    folders = ":".join(str(tree / folder) for folder in LIBRARY_FOLDERS)
    loader: list[str | Path] = [tree / LOADER, "--library-path", folders, "--argv0", name or program]
    try:
        return run([*loader, tree / program, *arguments], env=env, timeout=timeout)
    except ToolError as error:
        if isinstance(error.__cause__, Exception) and isinstance(error.__cause__.__cause__, OSError):
            raise ToolError(f"{tree / LOADER} does not run here: images are built on amd64 hosts") from error
        raise
