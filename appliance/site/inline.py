"""A site file that stands alone: its list of machines as text inside it, so that what is stored can be read anywhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

from appliance.site.manifest import MANIFEST, ManifestError, read_list
from hwprofiles.document import Document, DocumentError, read, read_text
from hwprofiles.node import Entry, MappingNode, ScalarNode

_NAME = re.compile(r"[^\s/\\#:'\"|>][^/\\#:'\"|>\n]*")


def manifest_entry(document: Document) -> tuple[Entry, ScalarNode] | None:
    """The key ``manifest`` and its value, when there is one."""
    root = document.root
    entries = root.entries if isinstance(root, MappingNode) else ()
    for entry in entries:
        if entry.key == MANIFEST and isinstance(entry.value, ScalarNode) and not entry.value.null:
            return entry, entry.value
    return None


def is_name(text: str) -> bool:
    """Whether ``manifest`` is the name of a file, and not a list itself: lists have lines."""
    return "\n" not in text


def beside(name: str, folder: Path) -> Path:
    """The file of that name beside the site file. `ManifestError` for what is no plain name: a site file from elsewhere
    must not make us read other folders."""
    if not _NAME.fullmatch(name) or name in (".", ".."):
        raise ManifestError(f"'{name[:60]}' is no file's name; the list stands beside the site file, without folders")
    return folder / name


def complete(path: Path) -> str:
    """The text of a site file with its list inside. `DocumentError` when one of them can't be read."""
    document = read(path)
    text = path.read_text(encoding="utf-8")
    found = manifest_entry(document)
    if found is None or not is_name(found[1].text):
        return text
    entry, node = found
    try:
        listed = read_list(beside(node.text.strip(), path.parent))
    except ManifestError as error:
        raise DocumentError([document.problem((MANIFEST,), f"{node.text}: {error.message}")]) from error
    lines = re.sub(r"\r\n?", "\n", listed).rstrip("\n") + "\n"
    for candidate in (_block(text, entry, node, lines), _quoted(text, node, lines)):
        if candidate is not None and _means(candidate, lines):
            return candidate
    raise DocumentError([document.problem((MANIFEST,), "write 'manifest: NAME' on a line of its own")])


def _means(text: str, listed: str) -> bool:
    try:
        found = manifest_entry(read_text(text))
    except DocumentError:
        return False
    return found is not None and found[1].text == listed


def _split(text: str, node: ScalarNode) -> tuple[list[str], str, str] | None:
    """All lines, and what stands before and behind the value on its line; None when the value is not written plainly."""
    lines = text.removeprefix("\ufeff").splitlines(keepends=True)
    line = lines[node.line - 1]
    before, rest = line[: node.column - 1], line[node.column - 1 :]
    for written in (node.text, f"'{node.text}'", f'"{node.text}"'):
        if rest.startswith(written):
            return lines, before, rest[len(written) :]
    return None


def _block(text: str, entry: Entry, node: ScalarNode, listed: str) -> str | None:
    """As a literal block, which people can read; not inside braces."""
    parts = _split(text, node)
    if parts is None or not re.fullmatch(r"\s*(?:#.*)?\s*", parts[2]):
        return None
    lines, before, _ = parts
    indent = " " * (entry.column + 1)
    block = "".join(f"{indent}{line}\n" if line else "\n" for line in listed.split("\n")[:-1])
    lines[node.line - 1] = f"{before}|2\n{block}"
    return "".join(lines)


def _quoted(text: str, node: ScalarNode, listed: str) -> str | None:
    """As one quoted text: JSON's strings are YAML's."""
    parts = _split(text, node)
    if parts is None:
        return None
    lines, before, behind = parts
    lines[node.line - 1] = f"{before}{json.dumps(listed)}{behind}"
    return "".join(lines)
