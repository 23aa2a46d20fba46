"""The site file as JSON Schema 2020-12, for editors. It says what the reader's types say; what names and addresses must fit
together is only found by ``rackseed site check``. It accepts everything that the reader accepts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from appliance.site.file import SiteFile
from appliance.site.networkentries import PROVISIONING
from appliance.site.reference import bare_type, described, fields_of, is_entry, key_field, short_field
from appliance.site.scalars import KINDS
from hwprofiles.node import SecretName

DIALECT = "https://json-schema.org/draft/2020-12/schema"
BASIC: Mapping[Any, Mapping[str, Any]] = {
    str: {"type": ["string", "number", "boolean"]},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    SecretName: {"type": "string", "description": "written '!secret NAME', never the secret itself"},
}
"""A plain text may look like a number to an editor (``bios: 2.8``); the reader keeps it as it is written."""


def schema() -> dict[str, Any]:
    """The whole schema; ``$defs`` has one for every entry."""
    definitions: dict[str, Any] = {}
    root = _object(SiteFile, definitions, named=False)
    root["required"] = ["site", "networks"]
    networks = root["properties"]["networks"]
    networks["anyOf"][0]["required"] = [PROVISIONING]
    return {
        "$schema": DIALECT,
        "title": "rackseed site file",
        **root,
        "$defs": {name: definitions[name] for name in sorted(definitions)},
    }


def _object(owner: type, definitions: dict[str, Any], *, named: bool) -> dict[str, Any]:
    """An entry as keys and values; ``named``: its name is one of them, as in lists."""
    properties: dict[str, Any] = {}
    required = []
    for spec, hint in fields_of(owner):
        if spec.metadata.get("key") and not named:
            continue
        kind, _, several = bare_type(hint)
        must = spec.default is dataclasses.MISSING
        found = _values(kind, definitions, several=several)
        properties[spec.name] = _told(spec, found if must else _or_null(found))
        required += [spec.name] if must else []
    whole: dict[str, Any] = {"type": "object", "description": described(owner), "properties": properties}
    if required:
        whole["required"] = required
    return {**whole, "additionalProperties": False}


def _told(spec: dataclasses.Field[Any], found: dict[str, Any]) -> dict[str, Any]:
    default = spec.metadata["default"]
    said = f"{spec.metadata['about']}. Default: {default}" if default else spec.metadata["about"]
    return {"description": said, **{key: value for key, value in found.items() if key != "description"}}


def _or_null(found: dict[str, Any]) -> dict[str, Any]:
    """A key without a value is as if it were not there."""
    if "anyOf" in found:
        return {**found, "anyOf": [*found["anyOf"], {"type": "null"}]}
    return {"anyOf": [found, {"type": "null"}]}


def _values(kind: Any, definitions: dict[str, Any], *, several: bool) -> dict[str, Any]:
    if is_entry(kind):
        return _entries(kind, definitions) if several else _one(kind, definitions)
    leaf = _leaf(kind)
    return {"anyOf": [{"type": "array", "items": leaf}, leaf]} if several else leaf


def _entries(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    """Several entries: by name where they have one, and as a list."""
    listed = {"type": "array", "items": _one(kind, definitions, named=True)}
    if not key_field(kind):
        return {"anyOf": [listed]}
    entry = _one(kind, definitions)
    empty = all(spec.default is not dataclasses.MISSING for spec, _ in fields_of(kind) if not spec.metadata.get("key"))
    return {"anyOf": [{"type": "object", "additionalProperties": _or_null(entry) if empty else entry}, listed]}


def _one(kind: type, definitions: dict[str, Any], *, named: bool = False) -> dict[str, Any]:
    """One entry: keys and values, or the value of its short form."""
    name = kind.__name__.removesuffix("Entry") + ("Item" if named and key_field(kind) else "")
    if name not in definitions:
        definitions[name] = {}
        definitions[name].update(_object(kind, definitions, named=named))
    reference = {"$ref": f"#/$defs/{name}"}
    short = short_field(kind)
    if not short or (named and key_field(kind)):
        return reference
    hint = next(hint for spec, hint in fields_of(kind) if spec.name == short)
    return {"anyOf": [reference, _leaf(bare_type(hint)[0])]}


def _leaf(kind: Any) -> dict[str, Any]:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return {"enum": [word.value for word in kind]}
    if kind in BASIC:
        return dict(BASIC[kind])
    scalar = KINDS[kind]
    found: dict[str, Any] = {"type": ["string", "number"] if scalar.number else "string", "description": scalar.words}
    return {**found, "pattern": scalar.pattern} if scalar.pattern else found
