"""Dataclasses as JSON and back: strict, with the path of every offending value. Standard library only."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

T = TypeVar("T")


class WireError(ValueError):
    """A document does not fit its type. ``at`` is the path of the offending value, for example ``disks/2/size``."""

    def __init__(self, at: str, message: str) -> None:
        super().__init__(f"{at or '(document)'}: {message}")
        self.at = at
        self.message = message


_PLAIN = frozenset({str, int, float, bool, type(None)})
_FIELDS: dict[type, tuple[str, ...]] = {}
"""Names of the fields of every dataclass that was seen."""


def field_names(type_: type) -> tuple[str, ...]:
    """Names of the fields of a dataclass, in their order; empty for other types."""
    names = _FIELDS.get(type_)
    if names is None:
        if not dataclasses.is_dataclass(type_):
            return ()
        names = _FIELDS[type_] = tuple(field.name for field in dataclasses.fields(type_))
    return names


def to_data(value: Any) -> Any:
    """Dataclass → plain JSON data (dict, list, str, int, float, bool, None)."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind in _FIELDS or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        return {name: to_data(getattr(value, name)) for name in field_names(kind)}
    if isinstance(value, tuple | list):
        return [to_data(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_data(item) for key, item in value.items()}
    if isinstance(value, StrEnum):
        return value.value
    return value


def canonical(data: Any) -> bytes:
    """The one byte string for JSON data: sorted keys, no spaces, UTF-8, no NaN. What hashes and signatures cover."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def encode(value: Any) -> bytes:
    """Dataclass → canonical JSON bytes."""
    return canonical(to_data(value))


def decode(type_: type[T], raw: bytes | str) -> T:
    """JSON bytes → ``type_``. Strict: unknown and missing keys, wrong types and broken JSON are `WireError`."""
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise WireError("", f"not JSON: {error}") from error
    return from_data(type_, data)


def from_data(type_: type[T], data: Any) -> T:
    """Plain JSON data → ``type_`` (a dataclass of this module); see `decode`."""
    try:
        return typing.cast(T, _reader(type_)(data))
    except _Misfit:
        return typing.cast(T, _convert(type_, data, ""))


# ---------------------------------------------------------------- the quick way, for documents that fit

Reader = Callable[[Any], Any]
_READERS: dict[Any, Reader] = {}


class _Misfit(Exception):
    """The document does not fit; `_convert` says where and why."""


def _reader(want: Any) -> Reader:
    """What makes a value of type ``want``, made once for every type. It accepts exactly what `_convert` does, but knows
    no paths, which cost more than everything else."""
    found = _READERS.get(want)
    if found is None:
        found = _READERS[want] = _make_reader(want)
    return found


def _make_reader(want: Any) -> Reader:
    origin = typing.get_origin(want)
    if origin in (types.UnionType, typing.Union):
        inner = _reader(next(option for option in typing.get_args(want) if option is not type(None)))
        return lambda data: None if data is None else inner(data)
    if origin is tuple and _mixed(want):
        return _mixed_reader([_reader(item) for item in typing.get_args(want)])
    if origin is tuple:
        return _tuple_reader(_reader(typing.get_args(want)[0]))
    if dataclasses.is_dataclass(want):
        return _dataclass_reader(typing.cast(type, want))
    if isinstance(want, type) and issubclass(want, StrEnum):
        return _enum_reader(want)

    def plain(data: Any) -> Any:
        if type(data) is want:
            return data
        if want is float and type(data) is int:
            return float(data)
        raise _Misfit

    return plain


def _mixed(want: Any) -> bool:
    """Whether a tuple has items of different types, each in its place (``tuple[str, int]``)."""
    items = typing.get_args(want)
    return Ellipsis not in items and len(set(items)) > 1


def _mixed_reader(items: list[Reader]) -> Reader:
    def read(data: Any) -> tuple[Any, ...]:
        if not isinstance(data, list) or len(data) != len(items):
            raise _Misfit
        return tuple(item(value) for item, value in zip(items, data, strict=True))

    return read


def _tuple_reader(item: Reader) -> Reader:
    def read(data: Any) -> tuple[Any, ...]:
        if not isinstance(data, list):
            raise _Misfit
        return tuple(map(item, data))

    return read


def _enum_reader(want: type[StrEnum]) -> Reader:
    def read(data: Any) -> StrEnum:
        try:
            return want(data)
        except ValueError:
            raise _Misfit from None

    return read


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """``reader`` is None where the value itself is the answer when its type is ``kind``."""

    name: str
    kind: Any
    reader: Reader | None
    needed: bool


def _dataclass_reader(want: type) -> Reader:
    known: tuple[_Field, ...] | None = None

    def read(data: Any) -> Any:
        nonlocal known
        if not isinstance(data, dict):
            raise _Misfit
        if known is None:
            known = _fields(want)  # at the first use: a class may contain itself
        values = {}
        for field in known:
            if field.name not in data:
                if field.needed:
                    raise _Misfit
                continue
            value = data[field.name]
            if field.reader is not None:
                value = field.reader(value)
            elif type(value) is not field.kind:
                raise _Misfit
            values[field.name] = value
        if len(values) != len(data):
            raise _Misfit
        return want(**values)

    return read


def _fields(want: type) -> tuple[_Field, ...]:
    hints = typing.get_type_hints(want)
    return tuple(
        _Field(
            name=field.name,
            kind=hints[field.name],
            reader=None if hints[field.name] in (str, int, bool) else _reader(hints[field.name]),
            needed=field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(want)
    )


# ---------------------------------------------------------------- the careful way, for what is wrong

_HINTS: dict[type, dict[str, Any]] = {}


def _convert(want: Any, data: Any, at: str) -> Any:
    origin = typing.get_origin(want)
    if origin in (types.UnionType, typing.Union):
        options = [option for option in typing.get_args(want) if option is not type(None)]
        return None if data is None else _convert(options[0], data, at)
    if origin is tuple:
        return _convert_tuple(typing.get_args(want), data, at, mixed=_mixed(want))
    if dataclasses.is_dataclass(want):
        return _convert_dataclass(typing.cast(type, want), data, at)
    if isinstance(want, type) and issubclass(want, StrEnum):
        return _convert_enum(want, data, at)
    if want is float and type(data) is int:
        return float(data)
    if type(data) is not want:
        raise WireError(at, f"expected {want.__name__}, got {type(data).__name__}")
    return data


def _convert_tuple(items: tuple[Any, ...], data: Any, at: str, *, mixed: bool) -> tuple[Any, ...]:
    if not isinstance(data, list):
        raise WireError(at, f"expected a list, got {type(data).__name__}")
    if mixed and len(data) != len(items):
        raise WireError(at, f"expected {len(items)} items, got {len(data)}")
    return tuple(
        _convert(items[index] if mixed else items[0], value, f"{at}/{index}" if at else str(index))
        for index, value in enumerate(data)
    )


def _convert_enum(want: type[StrEnum], data: Any, at: str) -> StrEnum:
    try:
        return want(data)
    except ValueError:
        allowed = ", ".join(member.value for member in want)
        raise WireError(at, f"expected one of {allowed}; got {data!r}") from None


def _convert_dataclass(want: type, data: Any, at: str) -> Any:
    if not isinstance(data, dict):
        raise WireError(at, f"expected an object, got {type(data).__name__}")
    if want not in _HINTS:
        _HINTS[want] = typing.get_type_hints(want)
    fields = {field.name: field for field in dataclasses.fields(want)}
    prefix = f"{at}/" if at else ""
    for key in data:
        if key not in fields:
            raise WireError(f"{prefix}{key}", "unknown key")
    values = {name: _convert(_HINTS[want][name], data[name], f"{prefix}{name}") for name in fields if name in data}
    for name, field in fields.items():
        if name not in data and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise WireError(f"{prefix}{name}", "is missing")
    return want(**values)
