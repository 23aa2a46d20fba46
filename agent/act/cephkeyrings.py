"""Keyrings: cephx keys as Ceph's daemons and clients read them from files."""

from __future__ import annotations

import base64
import binascii
import os
import re
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.act import cephfiles as files
from agent.errors import CephError
from agent.wire import SecretFile

KEY_HEADER = struct.Struct("<HIIH")
KEY_LENGTH = 16
AES = 1
"""``CryptoKey`` (src/auth/Crypto.h): u16 type, u32 seconds and u32 nanoseconds of birth, u16 length, the secret."""

ENTITY = re.compile(r"(mon\.|[a-z]+\.[A-Za-z0-9._-]+)")


def new_key() -> str:
    """A cephx key such as ``ceph-authtool --gen-print-key`` makes."""
    return base64.b64encode(KEY_HEADER.pack(AES, int(time.time()), 0, KEY_LENGTH) + os.urandom(KEY_LENGTH)).decode()


def text(entity: str, key: str, caps: Sequence[tuple[str, str]] = ()) -> str:
    """One section of a keyring. Raises `CephError` when the parts could break out of their lines, or are no key."""
    if not ENTITY.fullmatch(entity):
        raise CephError(f"{entity!r} is not the name of a Ceph entity")
    try:
        raw = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CephError(f"the key of {entity} is not base64") from error
    if len(raw) != KEY_HEADER.size + KEY_LENGTH or KEY_HEADER.unpack_from(raw)[3] != KEY_LENGTH:
        raise CephError(f"the key of {entity} is not a cephx key")
    if any('"' in words or "\n" in words or not kind.isalpha() for kind, words in caps):
        raise CephError(f"the capabilities of {entity} can't be written")
    lines = [f"[{entity}]", f"\tkey = {key}", *(f'\tcaps {kind} = "{words}"' for kind, words in caps)]
    return "\n".join(lines) + "\n"


def fetch(items: Sequence[SecretFile], secrets: Callable[[str], str]) -> dict[str, str]:
    """Entity → its section of a keyring."""
    return {item.entity: text(item.entity, secrets(item.secret).strip(), item.caps) for item in items}


def write(items: Sequence[SecretFile], sections: dict[str, str], *, beside: Path | None = None) -> list[str]:
    """Write the keyrings that have a path (not below ``beside``); returns the paths that were written anew."""
    written: list[str] = []
    for item in items:
        path = Path(item.path)
        if not item.path or (beside is not None and path.is_relative_to(beside)):
            continue
        check_path(path)
        owner = files.owner_of(item.owner)
        if not path.parent.exists():
            files.make_folder(path.parent, files.owner_of("ceph"))
        if files.write(path, sections[item.entity], mode=item.mode & 0o777, owner=owner):
            written.append(str(path))
    return written


def check_path(path: Path) -> None:
    """Orders write below Ceph's folders only. Raises `CephError`."""
    if ".." in path.parts or not any(path.is_relative_to(folder) for folder in (files.ETC, files.LIB)):
        raise CephError(f"{path} is not below {files.ETC} or {files.LIB}")
