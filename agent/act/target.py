"""Files of the installed system: what the appliance rendered, and the agent itself with its identity."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from agent import deploy
from agent.document import encode
from agent.errors import InstallError
from agent.wire import FileSpec, SiteBundle

LOOSE_MODE, SECRET_MODE = 0o644, 0o600
WANTS = PurePosixPath("/etc/systemd/system/multi-user.target.wants")
MAXIMUM_LINKS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Of the installed agent; PEM texts. ``key`` is secret."""

    site: SiteBundle
    key: str
    certificate: str
    order_key: str
    permit: str


def inside(target: Path, path: PurePosixPath) -> Path:
    """``path`` as the installed system would resolve it: absolute links start at ``target`` again. Raises `InstallError`."""
    if not path.is_absolute() or ".." in path.parts:
        raise InstallError(f"{path} is not an absolute path inside the installed system")
    at, parts, links = target, list(path.parts[1:]), 0
    while parts:
        part = parts.pop(0)
        if part == "..":
            at = at if at == target else at.parent
            continue
        step = at / part
        if parts and step.is_symlink():
            links += 1
            if links > MAXIMUM_LINKS:
                raise InstallError(f"{path}: too many links")
            link = PurePosixPath(step.readlink().as_posix())
            at, parts = (target, [*link.parts[1:], *parts]) if link.is_absolute() else (at, [*link.parts, *parts])
        else:
            at = step
    return at


def write_file(target: Path, path: PurePosixPath, content: bytes, mode: int) -> None:
    """Whole or not at all; never readable by others before its mode is right."""
    place = inside(target, path)
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink():
        place.unlink()  # replaced, as a package would: /etc/resolv.conf is a link in many images
    fresh = place.with_name(f".{place.name}.rackseed")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, SECRET_MODE)
    with os.fdopen(fd, "wb") as stream:
        stream.write(content)
        os.fchmod(stream.fileno(), stat.S_IMODE(mode))
    fresh.replace(place)


def write_files(target: Path, files: Sequence[FileSpec]) -> None:
    """What the appliance rendered for this host."""
    for item in files:
        write_file(target, PurePosixPath(item.path), item.content.encode(), item.mode)


def install_agent(target: Path, identity: Identity) -> None:
    """The agent's own files, its unit (enabled), and what it needs to know. Keys are readable by root only."""
    home = inside(target, deploy.HOME / "agent")
    if home.is_dir():
        shutil.rmtree(home)  # no source without its byte code, no byte code without its source
    for path, source in (*deploy.files(), *deploy.byte_code()):
        write_file(target, path, source.read_bytes(), LOOSE_MODE)
    write_file(target, deploy.UNIT_PATH, deploy.UNIT.encode(), LOOSE_MODE)
    link = inside(target, WANTS / deploy.UNIT_NAME)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(str(deploy.UNIT_PATH))
    configuration = deploy.CONFIGURATION
    write_file(target, configuration / "agent.key", identity.key.encode(), SECRET_MODE)
    write_file(target, configuration / "agent.pem", identity.certificate.encode(), LOOSE_MODE)
    write_file(target, configuration / "order-key.pem", identity.order_key.encode(), LOOSE_MODE)
    write_file(target, configuration / "site.json", encode(identity.site), LOOSE_MODE)
    write_file(target, configuration / "permit", f"{identity.permit}\n".encode(), LOOSE_MODE)
