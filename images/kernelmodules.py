"""Which modules of a Debian kernel go into the agent image, and the firmware that they ask for.

Modules are stored uncompressed: the archive around them is compressed as a whole, which is smaller than the sum of the
kernel's own .ko.xz files, and a machine then decompresses once instead of for every module.
"""

from __future__ import annotations

import fnmatch
import lzma
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

from images.errors import TreeError
from images.recipe import expand_braces
from images.unpacked import run_unpacked

KMOD = "usr/bin/kmod"
_FIRMWARE = re.compile(rb"\0firmware=([^\0]+)(?=\0)")
META = ("modules.builtin", "modules.builtin.modinfo", "modules.order")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """``modules`` are paths below the version's folder as in modules.dep; ``unmatched`` are globs that fit nothing."""

    version: str
    modules: tuple[str, ...]
    unmatched: tuple[str, ...]


def kernel_version(tree: Path) -> str:
    """The version of the one kernel in a tree, as ``uname -r`` prints it."""
    found = sorted(path.name for path in (tree / "usr/lib/modules").iterdir())
    if len(found) != 1:
        raise TreeError(f"expected one kernel in the packages, found {', '.join(found) or 'none'}")
    return found[0]


def select(tree: Path, patterns: Sequence[str]) -> Selection:
    """The modules that fit the globs, with everything that they depend on (hard and soft). Runs ``depmod`` in ``tree``."""
    version = kernel_version(tree)
    _depmod(tree, tree, version)
    folder = tree / "usr/lib/modules" / version
    depends = _read_dependencies(folder / "modules.dep")
    names = {_stem(path): path for path in depends}
    wanted: set[str] = set()
    unmatched = []
    for pattern in chain.from_iterable(map(expand_braces, patterns)):
        fits = [path for name, path in names.items() if _fits(name, pattern)]
        if not fits and not _is_builtin(folder, pattern):
            unmatched.append(pattern)
        wanted |= set(fits)
    soft = _soft_dependencies(folder / "modules.softdep")
    by_module = {_module_name(path): path for path in depends}
    waiting = sorted(wanted)
    chosen: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in chosen:
            continue
        chosen.add(path)
        waiting += depends[path]
        waiting += [by_module[name] for name in soft.get(_module_name(path), ()) if name in by_module]
    return Selection(version=version, modules=tuple(sorted(chosen)), unmatched=tuple(unmatched))


def copy(tree: Path, target: Path, selection: Selection) -> None:
    """Put the selected modules, uncompressed, and their indexes into ``target``."""
    source = tree / "usr/lib/modules" / selection.version
    folder = target / "usr/lib/modules" / selection.version
    for path in selection.modules:
        out = folder / path.removesuffix(".xz")
        out.parent.mkdir(parents=True, exist_ok=True)
        raw = (source / path).read_bytes()
        out.write_bytes(lzma.decompress(raw) if path.endswith(".xz") else raw)
    for name in META:
        (folder / name).write_bytes((source / name).read_bytes())
    _depmod(tree, target, selection.version)
    for index in folder.glob("modules.*"):
        if index.suffix != ".bin" and index.name not in {"modules.builtin.modinfo", "modules.softdep"}:
            index.unlink()


def firmware_names(target: Path, selection: Selection) -> tuple[tuple[str, str], ...]:
    """(module, firmware file) for everything that the copied modules may ask for: strings of their .modinfo sections."""
    folder = target / "usr/lib/modules" / selection.version
    found = []
    for path in selection.modules:
        raw = (folder / path.removesuffix(".xz")).read_bytes()
        names = sorted({match[1].decode() for match in _FIRMWARE.finditer(raw)})
        found += [(_module_name(path), name) for name in names]
    return tuple(found)


def copy_firmware(tree: Path, target: Path, names: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Copy the named blobs (globs allowed, as in modinfo) that the packages hold; returns what was copied, sorted."""
    base = tree / "usr/lib/firmware"
    copied = set()
    for name in sorted({name for _, name in names}):
        for path in sorted(base.glob(name)) if base.is_dir() else []:
            relative = path.relative_to(base)
            if not path.is_file():
                continue
            out = target / "usr/lib/firmware" / relative
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_bytes(path.read_bytes())
            copied.add(relative.as_posix())
    return tuple(sorted(copied))


def _depmod(tree: Path, base: Path, version: str) -> None:
    """``depmod -b`` wants <base>/lib/modules; Debian's packages have only /usr/lib, and link /lib to it."""
    if not (base / "lib").exists():
        (base / "lib").symlink_to("usr/lib")
    run_unpacked(tree, KMOD, "-b", base, version, name="depmod")


def _read_dependencies(path: Path) -> dict[str, list[str]]:
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, rest = line.partition(":")
        found[name] = rest.split()
    return found


def _soft_dependencies(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        words = line.split()
        if len(words) > 2 and words[0] == "softdep":
            found.setdefault(words[1].replace("-", "_"), []).extend(
                word.replace("-", "_") for word in words[2:] if not word.endswith(":")
            )
    return found


def _stem(path: str) -> str:
    """``kernel/drivers/net/tun.ko.xz`` → ``drivers/net/tun``."""
    return re.sub(r"\.ko(\.\w+)?$", "", path).removeprefix("kernel/")


def _module_name(path: str) -> str:
    return PurePosixPath(_stem(path)).name.replace("-", "_")


def _fits(name: str, pattern: str) -> bool:
    """``**`` fits any depth, ``*`` one name."""
    if pattern.endswith("/**"):
        return name.startswith(pattern.removesuffix("**"))
    return name.count("/") == pattern.count("/") and fnmatch.fnmatchcase(name, pattern)


def _is_builtin(folder: Path, pattern: str) -> bool:
    builtin = (folder / "modules.builtin").read_text(encoding="utf-8").splitlines()
    return any(_fits(_stem(path), pattern) for path in builtin)
