"""Which shared libraries a program needs: the dynamic section of 64-bit ELF files (System V gABI, chapter 5)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from images.errors import TreeError

PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NEEDED, DT_STRTAB, DT_RPATH, DT_RUNPATH = 1, 5, 15, 29
MULTIARCH = "usr/lib/x86_64-linux-gnu"
LIBRARY_FOLDERS = (MULTIARCH, "usr/lib", "usr/lib64", f"{MULTIARCH}/systemd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Linkage:
    """``needed`` are sonames, ``interpreter`` the dynamic loader's absolute path (programs only)."""

    needed: tuple[str, ...] = ()
    interpreter: str = ""


def is_elf(path: Path) -> bool:
    """Whether a file begins like an ELF file."""
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def linkage(raw: bytes) -> Linkage:
    """What a file is linked with; empty for a static one. Raises ValueError when it is not a 64-bit ELF file."""
    if raw[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    offset, entry_size, count = struct.unpack_from("<Q", raw, 32)[0], *struct.unpack_from("<HH", raw, 54)
    segments = [struct.unpack_from("<IIQQQQ", raw, offset + entry_size * index) for index in range(count)]
    interpreter = ""
    dynamic: list[tuple[int, int]] = []
    for kind, _, start, _, _, size in segments:
        if kind == PT_INTERP:
            interpreter = raw[start : start + size].rstrip(b"\0").decode()
        elif kind == PT_DYNAMIC:
            dynamic = [pair for pair in struct.iter_unpack("<QQ", raw[start : start + size - size % 16]) if pair[0]]
    addresses = [value for tag, value in dynamic if tag == DT_STRTAB]
    if not addresses:
        return Linkage(interpreter=interpreter)
    strings = _file_offset(segments, addresses[0])
    needed = tuple(_text(raw, strings + value) for tag, value in dynamic if tag == DT_NEEDED)
    return Linkage(needed=needed, interpreter=interpreter)


def _file_offset(segments: Iterable[tuple[int, ...]], address: int) -> int:
    for kind, _, start, virtual, _, size in segments:
        if kind == PT_LOAD and virtual <= address < virtual + size:
            return start + address - virtual
    raise ValueError("the string table lies outside of every loaded segment")


def _text(raw: bytes, start: int) -> str:
    return raw[start : raw.index(b"\0", start)].decode()


def library_closure(tree: Path, roots: Iterable[Path], extra: Iterable[str] = ()) -> tuple[Path, ...]:
    """Every library (with the links that lead to it) that ``roots`` and the sonames ``extra`` need, from ``tree``.

    Raises `TreeError` naming the program when a library is in none of the packages.
    """
    found: dict[str, Path] = {}
    waiting = [(soname, "the recipe") for soname in extra]
    for root in roots:
        waiting += [(name, str(root.relative_to(tree))) for name in _names(root)]
    while waiting:
        soname, asker = waiting.pop()
        if soname in found:
            continue
        found[soname] = path = _find(tree, soname, asker)
        waiting += [(name, soname) for name in _names(path)]
    return tuple(sorted(set(found.values())))


def _names(path: Path) -> tuple[str, ...]:
    facts = linkage(path.read_bytes())
    loader = (Path(facts.interpreter).name,) if facts.interpreter else ()
    return (*facts.needed, *loader)


def _find(tree: Path, soname: str, asker: str) -> Path:
    for folder in LIBRARY_FOLDERS:
        path = tree / folder / soname
        if path.exists():
            return path
    raise TreeError(f"{asker} needs {soname}, which is in none of the packages: add its package to the recipe")
