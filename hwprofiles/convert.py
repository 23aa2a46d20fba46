"""Nodes → frozen dataclasses, by their type hints. Goes on after a problem, so that all of them are reported at once."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any

from hwprofiles.node import (
    Entry,
    MappingNode,
    Node,
    Position,
    Problem,
    ScalarNode,
    SecretName,
    SequenceNode,
    Step,
    show_path,
)

Scalars = Mapping[Any, Callable[[str], Any]]
"""Types of leaves with their readers: text → value, or ``ValueError`` with what is expected."""

KEY: dict[str, Any] = {"key": True}
"""Metadata of the field that holds the key when a list of dataclasses is written as a mapping (``n1: {…}``)."""
SHORT: dict[str, Any] = {"short": True}
"""Metadata of the field that one value alone stands for: ``vms: block`` instead of ``vms: {service: block}``."""
BARE: dict[str, Any] = {"bare": True}
"""Metadata of an optional dataclass that a key without a value asks for, with all its defaults (``ceph:``)."""

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_SECRET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHOWN = 60
_LISTED = 40
"""Known words that a message lists."""


class _Invalid:
    """A value that could not be converted; its problem has been noted."""


INVALID = _Invalid()


def closest(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the nearest known word, or the list of known words when none is near."""
    return _closest(word, frozenset(known))


@functools.lru_cache(maxsize=4096)
def _closest(word: str, known: frozenset[str]) -> str:
    """Remembered, because one wrong word may stand in every row of a long list."""
    words = sorted(known)
    folded = {entry.casefold().replace("-", "_"): entry for entry in words}
    given = word.casefold().replace("-", "_")
    near = difflib.get_close_matches(given, folded, n=1, cutoff=0.6)
    near = near or [entry for entry in folded if len(given) > 2 and entry.startswith(given)]
    if near:
        return f"; did you mean '{folded[near[0]]}'?"
    more = f" and {len(words) - _LISTED} more" if len(words) > _LISTED else ""
    return f"; known: {', '.join(words[:_LISTED])}{more}" if words else ""


class Converter:
    """One conversion. ``problems`` grows while it runs."""

    def __init__(self, *, file: str, scalars: Scalars) -> None:
        self.file = file
        self.scalars = scalars
        self.problems: list[Problem] = []

    def convert(self, want: Any, node: Node, path: tuple[Step, ...]) -> Any:
        """The value for type ``want``, or None when it could not be made."""
        value = self._value(want, node, path)
        return None if value is INVALID else value

    def _note(self, node: Node, path: tuple[Step, ...], message: str) -> Any:
        where = show_path(path)
        self.problems.append(Problem(file=self.file, line=node.line, column=node.column, where=where, message=message))
        return INVALID

    def _value(self, want: Any, node: Node, path: tuple[Step, ...]) -> Any:
        if isinstance(node, ScalarNode) and node.broken:
            return INVALID
        if isinstance(node, ScalarNode) and node.secret:
            return self._secret(want, node, path)
        origin = typing.get_origin(want)
        if origin in (types.UnionType, typing.Union):
            if isinstance(node, ScalarNode) and node.null:
                return None
            return self._value(next(a for a in typing.get_args(want) if a is not type(None)), node, path)
        if origin is tuple:
            return self._items(typing.get_args(want)[0], node, path)
        if dataclasses.is_dataclass(want) and want not in self.scalars:
            return self._dataclass(typing.cast(type, want), node, path)
        if not isinstance(node, ScalarNode):
            return self._note(node, path, f"expected one value, got a {_kind(node)}")
        if node.null:
            return self._note(node, path, "is empty")
        if want is SecretName:
            message = "a secret is never written here; write '!secret NAME' and keep its value outside this file"
            return self._note(node, path, message)
        return self._leaf(want, node, path)

    def _secret(self, want: Any, node: ScalarNode, path: tuple[Step, ...]) -> Any:
        if want is not SecretName and SecretName not in typing.get_args(want):
            return self._note(node, path, "'!secret' can't stand here: this value is no secret; write it out")
        if not _SECRET.fullmatch(node.text):
            message = f"expected the name of a secret such as '!secret bmc-password', got {_show(node)}"
            return self._note(node, path, message)
        return SecretName(node.text)

    def _leaf(self, want: Any, node: ScalarNode, path: tuple[Step, ...]) -> Any:
        try:
            if want in self.scalars:
                return self.scalars[want](node.text.strip())
            if isinstance(want, type) and issubclass(want, StrEnum):
                return _enum(want, node.text)
            return _BASIC[want](node)
        except ValueError as error:
            return self._note(node, path, str(error))

    def _items(self, want: Any, node: Node, path: tuple[Step, ...]) -> Any:
        leaf = not dataclasses.is_dataclass(want) or want in self.scalars
        if isinstance(node, ScalarNode):
            if node.null:
                return ()
            if not leaf:
                return self._note(node, path, f"expected a list, got {_show(node)}")
            value = self._value(want, node, path)
            return value if value is INVALID else (value,)
        steps: list[tuple[Step, Node, Mapping[str, Any]]]
        if isinstance(node, MappingNode):
            key = None if leaf else _key_field(typing.cast(type, want))
            if key is None:
                return self._note(node, path, "expected a list (lines that begin with '- '), got a mapping")
            steps = [(entry.key, entry.value, {key: entry}) for entry in node.entries]
        else:
            steps = [(index, item, {}) for index, item in enumerate(typing.cast(SequenceNode, node).items)]
        values = []
        for step, item, given in steps:
            at = (*path, step)
            value = self._value(want, item, at) if leaf else self._dataclass(want, item, at, given)
            if value is not INVALID:
                values.append(value)
        return tuple(values)

    def _dataclass(self, want: type, node: Node, path: tuple[Step, ...], given: Mapping[str, Any] | None = None) -> Any:
        given = given or {}
        shape = _shape(want)
        if isinstance(node, ScalarNode):
            node = shape.mapping(node, keyed=bool(given))
        if not isinstance(node, MappingNode):
            shown = _show(node) if isinstance(node, ScalarNode) else f"a {_kind(node)}"
            return self._note(node, path, f"expected keys and values, got {shown}")
        hints, fields = shape.hints, shape.fields
        values: dict[str, Any] = {name: Position(path=path) for name in shape.positions}
        found: dict[str, Any] = {**given}
        for entry in node.entries:
            if entry.key in fields and entry.key not in given:
                found[entry.key] = entry
                continue
            mark = Node(line=entry.line, column=entry.column)
            known = [name for name in fields if name not in given]
            self._note(mark, path, f"unknown key '{entry.key}'{closest(entry.key, known)}")
        for name, spec in fields.items():
            value = self._field(hints[name], spec, found.get(name), node, path, keyed=name in given)
            if value is not dataclasses.MISSING:
                values[name] = value
        return INVALID if INVALID in values.values() else want(**values)

    def _field(
        self, hint: Any, spec: dataclasses.Field[Any], entry: Any, node: Node, path: tuple[Step, ...], *, keyed: bool
    ) -> Any:
        """The value of one field; MISSING to take its default; INVALID when there is none."""
        optional = spec.default is not dataclasses.MISSING or spec.default_factory is not dataclasses.MISSING
        if entry is None:
            return dataclasses.MISSING if optional else self._note(node, path, f"'{spec.name}' is missing")
        if keyed:
            mark = ScalarNode(line=entry.line, column=entry.column, text=entry.key, plain=True)
            return self._value(hint, mark, path)
        null = isinstance(entry.value, ScalarNode) and entry.value.null
        if null and spec.metadata.get("bare"):
            nothing = MappingNode(line=entry.value.line, column=entry.value.column, entries=())
            return self._value(hint, nothing, (*path, spec.name))
        if optional and null:
            return dataclasses.MISSING
        if null and not _may_be_none(hint):
            return self._note(Node(line=entry.line, column=entry.column), (*path, spec.name), "is empty")
        value = self._value(hint, entry.value, (*path, spec.name))
        return dataclasses.MISSING if value is INVALID and optional else value


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """What is asked about a dataclass for every value of it: finding type hints out is slow."""

    hints: Mapping[str, Any]
    fields: Mapping[str, dataclasses.Field[Any]]
    positions: tuple[str, ...]
    short: str

    def mapping(self, node: ScalarNode, *, keyed: bool) -> Node:
        """What a value alone stands for: nothing behind a key is a mapping without keys; else that of the short form."""
        if node.null:
            return MappingNode(line=node.line, column=node.column, entries=()) if keyed else node
        if not self.short:
            return node
        entry = Entry(key=self.short, line=node.line, column=node.column, value=node)
        return MappingNode(line=node.line, column=node.column, entries=(entry,))


@functools.cache
def _shape(want: type) -> _Shape:
    hints = typing.get_type_hints(want)
    fields = {f.name: f for f in dataclasses.fields(want) if hints[f.name] is not Position}
    return _Shape(
        hints=hints,
        fields=fields,
        positions=tuple(name for name, hint in hints.items() if hint is Position),
        short=next((name for name, spec in fields.items() if spec.metadata.get("short")), ""),
    )


def _may_be_none(hint: Any) -> bool:
    return type(None) in typing.get_args(hint) or typing.get_origin(hint) is tuple


def _key_field(want: type) -> str | None:
    return next((field.name for field in dataclasses.fields(want) if field.metadata.get("key")), None)


def _kind(node: Node) -> str:
    return "mapping" if isinstance(node, MappingNode) else "list"


def _show(node: ScalarNode) -> str:
    if node.null:
        return "nothing"
    return f"'{node.text[:_SHOWN]}…'" if len(node.text) > _SHOWN else f"'{node.text}'"


def _enum(want: type[StrEnum], text: str) -> StrEnum:
    try:
        return want(text)
    except ValueError:
        words = [member.value for member in want]
        near = closest(text, words)
        hint = near if near.startswith("; did") else ""
        raise ValueError(f"expected one of {', '.join(words)}; got '{text[:_SHOWN]}'{hint}") from None


def _text(node: ScalarNode) -> str:
    return node.text.strip() if node.plain else node.text


def _integer(node: ScalarNode) -> int:
    if not node.plain or not _INT.fullmatch(node.text) or len(node.text) > 18:
        raise ValueError(f"expected a whole number, got {_show(node)}")
    return int(node.text)


def _number(node: ScalarNode) -> float:
    if not node.plain or not _FLOAT.fullmatch(node.text):
        raise ValueError(f"expected a number, got {_show(node)}")
    return float(node.text)


def _boolean(node: ScalarNode) -> bool:
    words = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
    if not node.plain or node.text not in words:
        raise ValueError(f"expected true or false, got {_show(node)}")
    return words[node.text]


_BASIC: dict[Any, Callable[[ScalarNode], Any]] = {str: _text, int: _integer, float: _number, bool: _boolean}
