"""Which of the built files in the cache are the current ones: written by `rackseed image`, read when the appliance starts.

``<cache>/current.json`` names them, so that starting needs no mirror and builds nothing. A file that is gone or has
another size is left out, and the person is told what to run.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agent.wire import to_data
from appliance.operations import artefacts
from appliance.operations.context import Appliance
from appliance.store.artefacts import ArtefactKind
from images.agent import AgentImage
from images.boot import BootFiles
from images.cache import Cache
from images.root import RootImage

INDEX = "current.json"
NEEDED = {
    ArtefactKind.LOADER: "no boot loaders are built: run rackseed image boot",
    ArtefactKind.AGENT_KERNEL: "no agent image is built: run rackseed image agent",
    ArtefactKind.OS_IMAGE: "no root image is built: run rackseed image root",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedArtefact:
    """A built file: the arguments of `artefacts.register`."""

    kind: str
    name: str
    path: str
    sha256: str
    size: int
    document: dict[str, Any] = field(default_factory=dict)


def of_agent(image: AgentImage) -> tuple[CachedArtefact, ...]:
    """The kernel and initrd of an agent image."""
    facts = {"packages": [list(item) for item in image.packages], "built": image.built}
    return (
        CachedArtefact(
            kind=ArtefactKind.AGENT_KERNEL,
            name="kernel",
            path=str(image.kernel),
            sha256=image.kernel_sha256,
            size=image.kernel_size,
            document=facts,
        ),
        CachedArtefact(
            kind=ArtefactKind.AGENT_INITRD,
            name="agent.initrd",
            path=str(image.initrd),
            sha256=image.initrd_sha256,
            size=image.initrd_size,
            document=facts,
        ),
    )


def of_root(image: RootImage) -> tuple[CachedArtefact, ...]:
    """A root image; its document is the manifest (chunk hashes, packages).

    It is known by its operating system's name, without the piece of its hash, so that a new build replaces the old one.
    """
    manifest = image.manifest
    return (
        CachedArtefact(
            kind=ArtefactKind.OS_IMAGE,
            name=re.sub(r"-[0-9a-f]{12}(?=\.tar\.zst$)", "", manifest.name),
            path=str(image.path),
            sha256=manifest.sha256,
            size=manifest.size,
            document=to_data(manifest),
        ),
    )


def of_boot(files: BootFiles) -> tuple[CachedArtefact, ...]:
    """Boot loaders; their documents say from which package each came."""
    return tuple(
        CachedArtefact(
            kind=ArtefactKind.LOADER,
            name=name,
            path=str(file.path),
            sha256=file.sha256,
            size=file.size,
            document={"package": file.package, "version": file.version},
        )
        for name, file in sorted(files.files.items())
    )


def remember(cache: Cache, built: Iterable[CachedArtefact]) -> None:
    """Make these the current ones; what other builds made stays."""
    path = cache.path / INDEX
    with cache.lock("current"):
        known = {(item.kind, item.name): item for item in read(cache.path)}
        known |= {(item.kind, item.name): item for item in built}
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps([asdict(item) for _, item in sorted(known.items())], indent=1), encoding="utf-8")
        fresh.replace(path)


def read(cache: Path) -> tuple[CachedArtefact, ...]:
    """The current files that are there, by kind and name."""
    try:
        listed = [CachedArtefact(**item) for item in json.loads((cache / INDEX).read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError) as error:
        log.warning("step=artefacts why=%s cannot be read (%s): run rackseed image all", cache / INDEX, error)
        return ()
    return tuple(item for item in listed if _is_there(item))


def register_all(appliance: Appliance) -> tuple[str, ...]:
    """Register what the cache holds; returns what a person must still build, in words."""
    found = read(appliance.settings.cache)
    for item in found:
        artefacts.register(
            appliance,
            item.kind,
            item.name,
            Path(item.path),
            sha256=item.sha256,
            size=item.size,
            document=item.document,
        )
    kinds = {item.kind for item in found}
    return tuple(text for kind, text in NEEDED.items() if kind not in kinds and not _registered(appliance, kind))


def _registered(appliance: Appliance, kind: ArtefactKind) -> bool:
    row = artefacts.current(appliance, kind)
    return row is not None and Path(row.path).is_file()


def _is_there(item: CachedArtefact) -> bool:
    try:
        return Path(item.path).stat().st_size == item.size
    except OSError:
        return False
