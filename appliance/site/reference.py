"""Every key of the site file: what it means, what its value is, what holds without it. Made from the entries themselves, so
that the documentation, ``rackseed site explain`` and the schema can't say something else than what is read."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import cache
from typing import Any

from appliance.site.file import SiteFile
from appliance.site.scalars import KINDS
from hwprofiles.convert import closest
from hwprofiles.node import Position, SecretName

NAME = "NAME"
WORDS: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    SecretName: "`!secret NAME`",
}


class UnknownKey(Exception):
    """There is no such key; the text says which are near."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """``path`` has `NAME` where names are chosen, and ``[]`` for items of lists. ``inside`` is the dataclass of its value,
    or of the values in it; ``keyed`` says that those have names."""

    path: str
    name: str
    about: str
    value: str
    default: str
    example: str
    inside: type | None
    keyed: bool

    @property
    def below(self) -> str:
        """The path of what is inside."""
        return f"{self.path}.{NAME}" if self.keyed else self.path


@cache
def keys_of(owner: type, path: str = "") -> tuple[Key, ...]:
    """The keys of one entry, in the order in which they are documented; ``path`` is where it stands."""
    return tuple(_key(spec, hint, path) for spec, hint in fields_of(owner) if not spec.metadata.get("key"))


def every_key(owner: type = SiteFile, path: str = "") -> Iterator[tuple[str, type, tuple[Key, ...]]]:
    """Every entry: its path, its dataclass and its keys; an entry before those inside it."""
    keys = keys_of(owner, path)
    yield path, owner, keys
    for key in keys:
        if key.inside is not None:
            yield from every_key(key.inside, key.below)


def find(path: str) -> tuple[str, type | None, Key | None, tuple[Key, ...]]:
    """What a path such as ``networks.storage-public.mtu`` means: its general form, the entry that it is or whose items it
    has, its key (None for an entry with a name of its own) and the keys inside. `UnknownKey` when there is none."""
    owner: type = SiteFile
    at, key = "", None
    steps = [step for step in path.replace("[", ".[").split(".") if step and not step.startswith("[")]
    while steps:
        step = steps.pop(0)
        known = {entry.name: entry for entry in keys_of(owner, at)}
        if step not in known:
            raise UnknownKey(f"there is no key '{step}'{f' in {at}' if at else ''}{closest(step, known)}")
        key = known[step]
        if key.inside is None:
            if steps:
                raise UnknownKey(f"{key.path} has no keys inside; it is: {key.value}")
            return key.path, None, key, ()
        owner, at = key.inside, key.below
        if key.keyed and steps and not (len(steps) == 1 and steps[0] in {entry.name for entry in keys_of(owner, at)}):
            steps.pop(0)
            if not steps:
                return at, owner, None, keys_of(owner, at)
    if key is None:
        return "", owner, None, keys_of(owner, at)
    return key.path, owner, key, keys_of(owner, at)


def fields_of(owner: type) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
    """Fields of an entry with their types, but for its position."""
    hints = typing.get_type_hints(owner)
    for spec in dataclasses.fields(owner):
        if hints[spec.name] is not Position:
            yield spec, hints[spec.name]


def bare_type(hint: Any) -> tuple[Any, bool, bool]:
    """The type without ``| None`` and ``tuple``; whether it may be None; whether it is a list."""
    arguments = typing.get_args(hint)
    optional = type(None) in arguments
    if optional:
        hint = next(argument for argument in arguments if argument is not type(None))
    several = typing.get_origin(hint) is tuple
    return (typing.get_args(hint)[0] if several else hint), optional, several


def is_entry(kind: Any) -> bool:
    """Whether a type is one of our entries (and not a leaf that is read into a dataclass)."""
    return dataclasses.is_dataclass(kind) and kind not in KINDS


def key_field(owner: type) -> str:
    """The field that holds an entry's name, or empty."""
    return next((spec.name for spec, _ in fields_of(owner) if spec.metadata.get("key")), "")


def short_field(owner: type) -> str:
    """The field that one value alone stands for, or empty."""
    return next((spec.name for spec, _ in fields_of(owner) if spec.metadata.get("short")), "")


def described(owner: type) -> str:
    """What the docstring of an entry says, in one line."""
    return " ".join(inspect.cleandoc(owner.__doc__ or "").split())


def _key(spec: dataclasses.Field[Any], hint: Any, path: str) -> Key:
    kind, _, several = bare_type(hint)
    inside = kind if is_entry(kind) else None
    return Key(
        path=f"{path}.{spec.name}" if path else spec.name,
        name=spec.name,
        about=spec.metadata["about"],
        value=_value(kind, several=several),
        default=spec.metadata["default"] or _default(spec),
        example=spec.metadata["example"],
        inside=inside,
        keyed=inside is not None and several and bool(key_field(inside)),
    )


def _value(kind: Any, *, several: bool) -> str:
    if is_entry(kind):
        short = short_field(kind)
        inside = "keys and values"
        if short:
            hint = next(hint for spec, hint in fields_of(kind) if spec.name == short)
            inside += f", or alone its `{short}` ({_value(bare_type(hint)[0], several=False)})"
        if not several:
            return inside
        return f"by {key_field(kind)}: {inside}" if key_field(kind) else f"list: {inside}"
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        words = ", ".join(f"`{word.value}`" for word in kind)
    else:
        words = WORDS[kind] if kind in WORDS else KINDS[kind].words
    return f"list: {words}" if several else words


def _default(spec: dataclasses.Field[Any]) -> str:
    value = spec.default
    if value is dataclasses.MISSING:
        return "must be given"
    if value is None or value == ():
        return "none"
    if isinstance(value, Enum):
        return f"`{value.value}`"
    if isinstance(value, bool):
        return str(value).lower()
    return f"`{value}`" if isinstance(value, str) and value else str(value) or "none"


def markdown() -> str:
    """The tables of the documentation: one for every kind of entry, with all places where it stands."""
    places: dict[type, list[str]] = {}
    for path, owner, _ in every_key():
        places.setdefault(owner, []).append(path)
    parts = []
    for owner, paths in places.items():
        heading = ", ".join(f"`{path}`" for path in paths)
        told = [f"### {heading}\n\n{described(owner)}\n"] if paths[0] else []
        rows = ["| key | meaning | value | default |", "|---|---|---|---|"]
        rows += [f"| `{key.name}` | {key.about} | {key.value} | {key.default} |" for key in keys_of(owner)]
        parts.append("\n".join([*told, *rows]))
    return "\n\n".join(parts) + "\n"
