"""What the disk roles of a profile say about a disk. Disks of one kind get one answer, made once."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import lru_cache

from agent.wire import Disk
from hwprofiles.normal import text_key
from hwprofiles.profile import Content, DiskRole, DiskSelector
from hwprofiles.values import show_size

_KINDS = 8192
"""Kinds of disks that are remembered; a site has a few dozen."""


def misfit(selector: DiskSelector, disk: Disk) -> str:
    """Why the disk's own facts don't fit; empty when they do. What is on the disk is not looked at."""
    if disk.removable and not selector.removable:
        return "removable"
    if disk.size < selector.min_size:
        return f"{show_size(disk.size)} is smaller than {show_size(selector.min_size)}"
    if selector.max_size is not None and disk.size > selector.max_size:
        return f"{show_size(disk.size)} is larger than {show_size(selector.max_size)}"
    if selector.transport and disk.transport not in selector.transport:
        return f"is {disk.transport or 'of unknown transport'}, not {' or '.join(selector.transport)}"
    if selector.rotational is not None and disk.rotational != selector.rotational:
        return "spins" if disk.rotational else "does not spin"
    model = text_key(disk.model)
    if selector.model and not any(fnmatchcase(model, pattern.casefold()) for pattern in selector.model):
        return f"model '{disk.model}' is not {' or '.join(selector.model)}"
    return ""


def show_selector(selector: DiskSelector | None) -> str:
    """A selector in words."""
    if selector is None:
        return "any disk"
    words = []
    if selector.min_size:
        words.append(f"from {show_size(selector.min_size)}")
    if selector.max_size is not None:
        words.append(f"to {show_size(selector.max_size)}")
    if selector.transport:
        words.append("/".join(selector.transport))
    if selector.rotational is not None:
        words.append("spinning" if selector.rotational else "flash")
    if selector.model:
        words.append(f"model {'/'.join(selector.model)}")
    if selector.content is Content.FREE:
        words.append("free")
    return ", ".join(words) or "any disk"


Shape = tuple[int, str, bool, bool, str]


def shape(disk: Disk) -> Shape:
    """Everything that a selector looks at."""
    return disk.size, disk.transport, disk.rotational, disk.removable, disk.model


class RoleTable:
    """The selectors of all roles of one profile against kinds of disks."""

    def __init__(self, roles: tuple[DiskRole, ...]) -> None:
        self.roles = roles
        self._known: dict[Shape, tuple[tuple[str, ...], ...]] = {}

    def misfits(self, disk: Disk) -> tuple[tuple[str, ...], ...]:
        """For each role, for each of its selectors: why the disk does not fit, or empty."""
        key = shape(disk)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _KINDS:
                self._known.clear()
            found = tuple(tuple(misfit(selector, disk) for selector in role.choose) for role in self.roles)
            self._known[key] = found
        return found


@lru_cache(maxsize=256)
def role_table(roles: tuple[DiskRole, ...]) -> RoleTable:
    """The table of a profile's ``disks``."""
    return RoleTable(roles)
