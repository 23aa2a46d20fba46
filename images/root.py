"""Root images: what is streamed onto the system disk. A zstd-compressed tar of a complete Debian, cut into chunks.

mmdebstrap builds it from packages that our private apt has already chosen, fetched and verified; it sees no other
source, so the packages of an image are exactly those of its lock. Nothing in it belongs to one machine: no machine-id, no
host keys, no password.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.document import encode
from images.aptroot import AptRoot, Deb
from images.cache import Cache, Entry, key_of
from images.errors import RecipeError, ToolError
from images.lock import Lock, Request, build_locked
from images.progress import Progress, silent
from images.recipe import FOLDER, OsRecipe, os_recipe
from images.run import run

CHUNK_SIZE = 4 * 2**20
ROOT_TAR = "root.tar.zst"
MANIFEST = "manifest.json"
LEVEL = 9
KIND = "root"
INSTALLED_MODE = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class RootManifest:
    """The facts of `wire.ImageRef` (all but the URL), and the packages as ``(name, version)``."""

    name: str
    size: int
    sha256: str
    chunk_size: int
    chunks: tuple[str, ...]
    unpacked: int
    packages: tuple[tuple[str, str], ...]
    built: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RootImage:
    """``path`` is the zstd-compressed tar."""

    path: Path
    manifest: RootManifest


def build(cache: Cache, os_name: str = "debian-13", progress: Progress = silent) -> RootImage:
    """The root image of an operating system, from the cache or built (root needed). Raises `ImageBuildError`."""
    recipe = os_recipe(os_name)
    names = ("?essential", *recipe.packages)
    request = Request(names=names, optional=recipe.firmware)
    return build_locked(cache, request, lambda lock: _from_lock(cache, recipe, lock, progress), progress)


def chunk_hashes(path: Path, chunk_size: int = CHUNK_SIZE) -> Iterator[str]:
    """SHA-256 of every chunk of a file; the last one may be shorter."""
    with path.open("rb") as file:
        while chunk := file.read(chunk_size):
            yield hashlib.sha256(chunk).hexdigest()


def _from_lock(cache: Cache, recipe: OsRecipe, lock: Lock, progress: Progress) -> RootImage:
    parts = [path.read_bytes() for path in (*recipe.find("customize.sh"), FOLDER / "root.py")]
    key = key_of("root", lock.hashes, encode(recipe), *parts)
    return _describe(cache.make(KIND, key, lambda out: _build(cache, recipe, lock, out, progress)))


def _build(cache: Cache, recipe: OsRecipe, lock: Lock, out: Path, progress: Progress) -> None:
    paths = AptRoot(cache).download(lock.debs, progress)
    with cache.scratch() as scratch:
        write_repository(lock.debs, paths, scratch / "repository")
        _write_overlay(recipe, scratch / "overlay")
        tar = scratch / "root.tar"
        progress(f"{recipe.name}: install {len(lock.debs)} packages", 0.0)
        _bootstrap(recipe, lock, scratch, tar)
        progress(f"{recipe.name}: compress", 0.0)
        target = out / ROOT_TAR
        run(["zstd", "-q", f"-{LEVEL}", "-T2", tar, "-o", target], timeout=1800)
        with tarfile.open(tar) as members:
            unpacked = sum(member.size for member in members if member.isreg())
    with target.open("rb") as file:
        whole = hashlib.file_digest(file, "sha256").hexdigest()
    facts = {
        "name": f"{recipe.name}-{whole[:12]}.tar.zst",
        "size": target.stat().st_size,
        "sha256": whole,
        "chunk_size": CHUNK_SIZE,
        "chunks": list(chunk_hashes(target)),
        "unpacked": unpacked,
        "packages": lock.versions,
        "built": lock.released,
    }
    (out / MANIFEST).write_text(json.dumps(facts, indent=1, sort_keys=True), encoding="utf-8")
    progress(f"{recipe.name}: compress", 1.0)


def _bootstrap(recipe: OsRecipe, lock: Lock, scratch: Path, tar: Path) -> None:
    options = [f"--dpkgopt=path-exclude={path}" for path in recipe.without]
    options += [f"--dpkgopt=path-include={path}" for path in recipe.keep]
    env = {
        "SOURCE_DATE_EPOCH": str(lock.released),
        "RACKSEED_ENABLE": " ".join(recipe.enable),
        "RACKSEED_DISABLE": " ".join(recipe.disable),
        "RACKSEED_MASK": " ".join(recipe.mask),
        "RACKSEED_SOURCES": sources_text(recipe),
    }
    argv: list[str | Path] = [
        "mmdebstrap",
        "--quiet",
        f"--mode={'root' if os.geteuid() == 0 else 'unshare'}",
        "--variant=custom",
        "--architectures=amd64",
        "--format=tar",
        "--skip=output/mknod",
        "--aptopt=APT::Install-Recommends false",
        "--dpkgopt=force-unsafe-io",
        '--aptopt=Acquire::Languages "none"',
        f"--include={','.join(deb.name for deb in lock.debs)}",
        *options,
        f'--extract-hook=cp -R {scratch}/overlay/. "$1"/',
        *(f'--customize-hook=sh {script} "$1"' for script in recipe.find("customize.sh")),
        recipe.suite,
        tar,
        f"deb [trusted=yes] copy:{scratch}/repository ./",
    ]
    try:
        run(argv, env=env, timeout=1800)
    except ToolError as error:
        hint = "" if os.geteuid() == 0 else "; without root it needs user namespaces and /etc/subuid: run it as root"
        raise ToolError(f"the root image could not be built: {error}{hint}") from error


def write_repository(debs: tuple[Deb, ...], paths: tuple[Path, ...], folder: Path) -> None:
    """A flat repository (sources.list(5)) with exactly the packages of the lock: links, and their own index stanzas."""
    folder.mkdir()
    stanzas = []
    for deb, path in zip(debs, paths, strict=True):
        (folder / path.name.replace("%3a", "_")).hardlink_to(path)
        lines = [line for line in deb.record.splitlines() if not line.startswith("Filename:")]
        stanzas.append("\n".join([*lines, f"Filename: ./{path.name.replace('%3a', '_')}", ""]))
    (folder / "Packages").write_text("\n".join(stanzas), encoding="utf-8")


def _write_overlay(recipe: OsRecipe, folder: Path) -> None:
    folder.mkdir()
    for file in recipe.files:
        if not file.path.startswith("/") or ".." in file.path.split("/"):
            raise RecipeError(f"{recipe.name}: {file.path} is not an absolute path")
        path = folder / file.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.content, encoding="utf-8")
        path.chmod(INSTALLED_MODE)


def sources_text(recipe: OsRecipe) -> str:
    """``debian.sources`` of the installed system: the public archive, never the mirror of the host that built it."""
    stanzas = []
    for uri, suites in (
        (recipe.archive, f"{recipe.suite} {recipe.suite}-updates"),
        (recipe.security, f"{recipe.suite}-security"),
    ):
        fields = (
            ("Types", "deb"),
            ("URIs", uri),
            ("Suites", suites),
            ("Components", " ".join(recipe.components)),
            ("Signed-By", "/usr/share/keyrings/debian-archive-keyring.gpg"),
        )
        stanzas.append("".join(f"{name}: {value}\n" for name, value in fields))
    return "\n".join(stanzas)


def _describe(entry: Entry) -> RootImage:
    facts = json.loads(entry.files[MANIFEST].path.read_text(encoding="utf-8"))
    facts["chunks"] = tuple(facts["chunks"])
    facts["packages"] = tuple((name, version) for name, version in facts["packages"])
    return RootImage(path=entry.files[ROOT_TAR].path, manifest=RootManifest(**facts))
