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


def load(path: Path, type_: type[T]) -> T:
    """A recipe as its dataclass. Raises `RecipeError` with every problem."""
    try:
        return read(path).load(type_)
    except DocumentError as error:
        raise RecipeError(str(error)) from error


def agent_recipe() -> AgentRecipe:
    """The recipe of the agent image."""
    return load(FOLDER / "agent.yaml", AgentRecipe)


def expand_braces(pattern: str) -> tuple[str, ...]:
    """``a/{b,c}`` → ``a/b``, ``a/c``; several groups multiply, none nest."""
    match = re.search(r"\{([^{}]*)\}", pattern)
    if match is None:
        return (pattern,)
    before, after = pattern[: match.start()], pattern[match.end() :]
    return tuple(whole for choice in match[1].split(",") for whole in expand_braces(before + choice + after))
