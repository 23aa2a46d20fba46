"""What a YAML document is made of, with positions (line and column count from 1), and a problem of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NewType

Step = str | int
"""One step of a path into a document: a key, or the index of an item."""
SecretName = NewType("SecretName", str)
"""The type of leaves that are written ``!secret NAME``: the name of a secret, whose value is kept elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that is wrong, where it is, and what to do. ``where`` is a path such as ``machines.n1.mac``."""

    file: str
    line: int
    column: int
    where: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: "
        return f"{place}{self.where}: {self.message}" if self.where else f"{place}{self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Common part of the three kinds."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarNode(Node):
    """A leaf. ``plain`` means that it was not quoted; ``broken`` that a problem was already reported for it; ``secret``
    that it has the tag ``!secret``, so its text is a name; ``block`` that it is a literal block (``|``), whose text
    begins on the next line."""

    text: str
    plain: bool
    broken: bool = False
    secret: bool = False
    block: bool = False

    @property
    def null(self) -> bool:
        """Nothing, ``~`` or ``null`` (YAML 1.2 core schema)."""
        return self.plain and not self.secret and self.text in ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key of a mapping, with the position of the key."""

    key: str
    line: int
    column: int
    value: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingNode(Node):
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceNode(Node):
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a dataclass came from. A field of this type is filled by the converter, and is no key of the document."""

    path: tuple[Step, ...] = ()


NOWHERE = Position()


def show_path(path: tuple[Step, ...]) -> str:
    """``("machines", "n1", "disks", 0)`` → ``machines.n1.disks[0]``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def sorted_problems(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """In the order of the file, each once."""
    return tuple(sorted(set(problems), key=lambda p: (p.file, p.line, p.column, p.where, p.message)))
