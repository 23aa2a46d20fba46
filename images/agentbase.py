"""The slow part of the agent image: kernel and base initrd from Debian 13 packages, without the agent's own code."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from images import agenttree, kernelmodules
from images.aptroot import AptRoot, unpack
from images.cache import Cache, Entry, key_of
from images.cpio import Node, tree_nodes, write_newc
from images.lock import Lock, Request, build_locked
from images.progress import Progress, silent
from images.recipe import FOLDER, AgentRecipe, agent_recipe
from images.unpacked import run_unpacked

KIND = "agent-base"
KERNEL = "kernel"
INITRD = "base.initrd"
MANIFEST = "manifest.json"
COMPILER = "compiler"
LEVEL = 9
"""zstd level: 19 is 11 % smaller, and takes two minutes of two cores instead of three seconds."""

BUILDERS = (
    "agent.yaml",
    "agentbase.py",
    "agenttree.py",
    "bytecode.py",
    "cpio.py",
    "elf.py",
    "kernelmodules.py",
    "recipe.py",
    "initramfs/init.sh",
    "initramfs/network.sh",
    "initramfs/power.sh",
    "initramfs/udhcpc.sh",
)
SKIPPED = ("debconf", "dpkg", "initramfs-tools", "initramfs-tools-core", "klibc-utils", "libklibc", "tzdata", "passwd")
"""Packages that others depend on for their installation scripts, which are never run here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentBase:
    """``compiler`` is a folder with the image's Python, for `agenttree.compile_sources`."""

    kernel: Path
    kernel_sha256: str
    kernel_size: int
    initrd: Path
    key: str
    kernel_version: str
    packages: tuple[tuple[str, str], ...]
    firmware: tuple[str, ...]
    firmware_missing: tuple[str, ...]
    modules: int
    built: int
    compiler: Path


def build_base(cache: Cache, progress: Progress = silent) -> AgentBase:
    """From the cache or built. Raises `ImageBuildError`."""
    recipe = agent_recipe()
    request = Request(names=recipe.packages, optional=recipe.firmware)
    return build_locked(cache, request, lambda lock: _from_lock(cache, recipe, lock, progress), progress)


def builder_hash(names: tuple[str, ...]) -> str:
    """Hash of the code and data that make an image: a change of them makes another image."""
    return key_of(*((FOLDER / name).read_bytes() for name in names))


def _from_lock(cache: Cache, recipe: AgentRecipe, lock: Lock, progress: Progress) -> AgentBase:
    key = key_of("agent-base", lock.hashes, builder_hash(BUILDERS))
    return _describe(cache.make(KIND, key, lambda out: _build(cache, recipe, lock, out, progress)))


def _build(cache: Cache, recipe: AgentRecipe, lock: Lock, out: Path, progress: Progress) -> None:
    paths = AptRoot(cache).download(lock.debs, progress)
    with cache.scratch() as scratch:
        tree, target = scratch / "tree", scratch / "target"
        target.mkdir()
        wanted = [path for deb, path in zip(lock.debs, paths, strict=True) if deb.name not in SKIPPED]
        unpack(wanted, tree, progress)
        progress("agent image: programs", 0.0)
        agenttree.assemble(tree, target, recipe)
        progress("agent image: kernel modules", 0.0)
        selection = kernelmodules.select(tree, recipe.modules)
        kernelmodules.copy(tree, target, selection)
        asked = kernelmodules.firmware_names(target, selection)
        firmware = kernelmodules.copy_firmware(tree, target, asked)
        progress("agent image: compress", 0.0)
        _write_initrd(tree, target, scratch / "base.cpio", out / INITRD)
        (out / KERNEL).write_bytes((tree / "boot" / f"vmlinuz-{selection.version}").read_bytes())
        agenttree.copy_compiler(tree, out / COMPILER)
        missing = sorted({f"{module}: {name}" for module, name in asked if name not in firmware and "*" not in name})
        facts = {
            "built": lock.released,
            "kernel": selection.version,
            "packages": lock.versions,
            "firmware": firmware,
            "firmware_missing": missing,
            "modules": len(selection.modules),
            "unmatched_patterns": selection.unmatched,
            "unpacked": (scratch / "base.cpio").stat().st_size,
        }
        (out / MANIFEST).write_text(json.dumps(facts, indent=1, sort_keys=True), encoding="utf-8")
        progress("agent image: compress", 1.0)


def _write_initrd(tree: Path, target: Path, archive: Path, initrd: Path) -> None:
    """/dev/console must be there before anything is mounted: the kernel opens it for /init."""
    console = Node(name="dev/console", mode=stat.S_IFCHR | 0o600, device=(5, 1))
    with archive.open("wb") as file:
        write_newc(file, sorted([*tree_nodes(target), console], key=lambda node: node.name))
    level = f"-{LEVEL}"
    run_unpacked(tree, "usr/bin/zstd", "-q", level, "-T2", archive, "-o", initrd, name="zstd", timeout=1800)
    os.truncate(initrd, initrd.stat().st_size + -initrd.stat().st_size % 4)


def _describe(entry: Entry) -> AgentBase:
    facts = json.loads(entry.files[MANIFEST].path.read_text(encoding="utf-8"))
    return AgentBase(
        kernel=entry.files[KERNEL].path,
        kernel_sha256=entry.files[KERNEL].sha256,
        kernel_size=entry.files[KERNEL].size,
        initrd=entry.files[INITRD].path,
        key=entry.key,
        kernel_version=facts["kernel"],
        packages=tuple((name, version) for name, version in facts["packages"]),
        firmware=tuple(facts["firmware"]),
        firmware_missing=tuple(facts["firmware_missing"]),
        modules=facts["modules"],
        built=facts["built"],
        compiler=entry.path / COMPILER,
    )
