"""Build results that machines fetch: registered by content hash, served by the web layer, named by plans."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance.operations import audit
from appliance.operations.context import SYSTEM, Actor, Appliance, Role
from appliance.operations.errors import Invalid, NotFound
from appliance.store import artefacts
from appliance.store.artefacts import ArtefactKind, ArtefactRow

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")


def register(
    app: Appliance,
    kind: str,
    name: str,
    path: Path,
    *,
    sha256: str,
    size: int,
    document: Mapping[str, Any] | None = None,
    current: bool = True,
    actor: Actor = SYSTEM,
) -> ArtefactRow:
    """Make a file known (idempotent). ``kind`` is one of `ArtefactKind`; the file must exist with that size.

    ``current`` ones are used from now on. Raises `Invalid` or `PermissionDenied`.
    """
    actor.require(Role.OPERATOR, "register artefacts")
    _check(kind, name, path, sha256, size)
    row = ArtefactRow(
        sha256=sha256,
        kind=ArtefactKind(kind),
        name=name,
        path=str(path.resolve()),
        size=size,
        document=dict(document or {}),
        current=current,
        added=app.clock.now(),
    )
    with app.store.write() as connection:
        if artefacts.get(connection, sha256) != row:
            artefacts.put(connection, row)
            audit.record(connection, app, actor, "artefact.register", f"{kind}/{name}", sha256=sha256, current=current)
    return row


def current(app: Appliance, kind: str, name: str | None = None) -> ArtefactRow | None:
    """The artefact of this kind (and name) to use now, None when none was built. Public: no actor."""
    with app.store.read() as connection:
        return artefacts.current(connection, kind, name)


def find(app: Appliance, sha256: str) -> ArtefactRow:
    """The artefact with this content, for serving it. Public. Raises `NotFound`."""
    with app.store.read() as connection:
        row = artefacts.get(connection, sha256)
    if row is None:
        raise NotFound(f"there is no artefact {sha256}")
    return row


def list_artefacts(app: Appliance, actor: Actor) -> tuple[ArtefactRow, ...]:
    """Everything that is registered."""
    actor.require(Role.VIEWER, "list artefacts")
    with app.store.read() as connection:
        return artefacts.everything(connection)


def _check(kind: str, name: str, path: Path, sha256: str, size: int) -> None:
    problems = []
    if kind not in {member.value for member in ArtefactKind}:
        problems.append(("kind", f"must be one of {', '.join(ArtefactKind)}"))
    if not _NAME.fullmatch(name):
        problems.append(("name", "must be a plain file name"))
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        problems.append(("sha256", "must be 64 lower-case hex digits"))
    if not path.is_file():
        problems.append(("path", f"{path} is not a file"))
    elif path.stat().st_size != size:
        problems.append(("size", f"{path} has {path.stat().st_size} bytes, not {size}"))
    if problems:
        raise Invalid("; ".join(f"{where}: {text}" for where, text in problems), tuple(problems))
