"""Recipes of images: YAML beside the code, read strictly."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hwprofiles.document import DocumentError, read
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
    """``os.yaml``: see the comments there. ``without`` and ``keep`` are dpkg's path-exclude and path-include."""

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


def load(path: Path, type_: type[T]) -> T:
    """A recipe as its dataclass. Raises `RecipeError` with every problem."""
    try:
        return read(path).load(type_)
    except DocumentError as error:
        raise RecipeError(str(error)) from error


def agent_recipe() -> AgentRecipe:
    """The recipe of the agent image."""
    return load(FOLDER / "agent.yaml", AgentRecipe)


def os_names() -> tuple[str, ...]:
    """Operating systems that there is a recipe for."""
    return tuple(sorted(path.parent.name for path in (FOLDER / "os").glob("*/os.yaml")))


def os_recipe(name: str) -> OsRecipe:
    """The recipe of an operating system. Raises `RecipeError`, also for an unknown name."""
    if name not in os_names():
        raise RecipeError(f"there is no operating system {name!r}; there are {', '.join(os_names())}")
    return load(FOLDER / "os" / name / "os.yaml", OsRecipe)


def expand_braces(pattern: str) -> tuple[str, ...]:
    """``a/{b,c}`` → ``a/b``, ``a/c``; several groups multiply, none nest."""
    match = re.search(r"\{([^{}]*)\}", pattern)
    if match is None:
        return (pattern,)
    before, after = pattern[: match.start()], pattern[match.end() :]
    return tuple(whole for choice in match[1].split(",") for whole in expand_braces(before + choice + after))
