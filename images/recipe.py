"""Recipes of images: YAML beside the code, read strictly."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from hwprofiles.document import Document, DocumentError, read
from images.errors import RecipeError

FOLDER = Path(__file__).parent
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRecipe:
    """``agent.yaml``: see the comments there. Globs may have ``**`` and ``{a,b}``; ``links`` are ``path -> target``."""

    packages: tuple[str, ...]
    firmware: tuple[str, ...] = ()
    modules: tuple[str, ...]
    programs: tuple[str, ...]
    links: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    python_without: tuple[str, ...] = ()
    python_with: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeFile:
    """A file of the root image, as text."""

    path: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OsRecipe:
    """``os.yaml``: see the comments there. ``without`` and ``keep`` are dpkg's path-exclude and path-include. ``folders`` of
    ``images/os`` are searched in order for templates; the first is the system's own."""

    name: str
    suite: str
    archive: str
    security: str
    components: tuple[str, ...]
    packages: tuple[str, ...]
    firmware: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    enable: tuple[str, ...] = ()
    disable: tuple[str, ...] = ()
    mask: tuple[str, ...] = ()
    files: tuple[RecipeFile, ...] = ()
    folders: tuple[str, ...] = ()

    def find(self, name: str) -> tuple[Path, ...]:
        """The files of this name in the folders, the system's own first."""
        paths = (FOLDER / "os" / folder / name for folder in self.folders)
        return tuple(path for path in paths if path.exists())


@dataclass(frozen=True, slots=True, kw_only=True)
class OsAddition:
    """``os.yaml`` with ``base``: that operating system, and more."""

    name: str
    base: str
    packages: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    enable: tuple[str, ...] = ()
    disable: tuple[str, ...] = ()
    mask: tuple[str, ...] = ()
    files: tuple[RecipeFile, ...] = ()


def load(path: Path, type_: type[T]) -> T:
    """A recipe as its dataclass. Raises `RecipeError` with every problem."""
    try:
        return _read(path).load(type_)
    except DocumentError as error:
        raise RecipeError(str(error)) from error


def _read(path: Path) -> Document:
    try:
        return read(path)
    except DocumentError as error:
        raise RecipeError(str(error)) from error


def agent_recipe() -> AgentRecipe:
    """The recipe of the agent image."""
    return load(FOLDER / "agent.yaml", AgentRecipe)


def os_names() -> tuple[str, ...]:
    """Operating systems that there is a recipe for."""
    return tuple(sorted(path.parent.name for path in (FOLDER / "os").glob("*/os.yaml")))


@functools.cache
def os_recipe(name: str) -> OsRecipe:
    """The recipe of an operating system, complete with what its base has. Raises `RecipeError`, also for an unknown name."""
    if name not in os_names():
        raise RecipeError(f"there is no operating system {name!r}; there are {', '.join(os_names())}")
    path = FOLDER / "os" / name / "os.yaml"
    if not _read(path).has(("base",)):
        return replace(load(path, OsRecipe), folders=(name,))
    more = load(path, OsAddition)
    base = os_recipe(more.base) if more.base != name else None
    if base is None or len(base.folders) > 1:
        raise RecipeError(f"{path}: the base of {name} must be an operating system that has none itself")
    return replace(
        base,
        name=more.name,
        packages=(*base.packages, *more.packages),
        without=(*base.without, *more.without),
        keep=(*base.keep, *more.keep),
        enable=(*base.enable, *more.enable),
        disable=(*base.disable, *more.disable),
        mask=(*base.mask, *more.mask),
        files=(*base.files, *more.files),
        folders=(name, *base.folders),
    )


def expand_braces(pattern: str) -> tuple[str, ...]:
    """``a/{b,c}`` → ``a/b``, ``a/c``; several groups multiply, none nest."""
    match = re.search(r"\{([^{}]*)\}", pattern)
    if match is None:
        return (pattern,)
    before, after = pattern[: match.start()], pattern[match.end() :]
    return tuple(whole for choice in match[1].split(",") for whole in expand_braces(before + choice + after))
