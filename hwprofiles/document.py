"""The only YAML reader: text → nodes with positions, and every problem with file, line and column.

YAML 1.2 without what makes configuration files surprising or dangerous: aliases (and so bombs), tags (but ``!secret NAME``
where a secret is expected), several documents, keys that are not text, the same key twice. A plain value keeps its text
until its type is known, so a MAC or a serial made of digits stays text. Built from the parser's events with an own stack,
so that deep nesting can't exhaust Python's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml import events as ev
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from hwprofiles.convert import Converter, Scalars
from hwprofiles.node import (
    Entry,
    MappingNode,
    Node,
    Problem,
    ScalarNode,
    SequenceNode,
    Step,
    show_path,
    sorted_problems,
)

__all__ = ["Document", "DocumentError", "Problem", "read", "read_text"]

T = TypeVar("T")
MAX_BYTES = 8 * 1024 * 1024
MAX_NODES = 400_000
MAX_DEPTH = 32
REFERENCE = "!secret"
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ufffe\uffff]|[\ud800-\udfff]")
_TAB = re.compile(r"^ *\t+ *[^\s#]", re.MULTILINE)


class DocumentError(Exception):
    """A document can't be used. ``problems`` holds all of them, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted_problems(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file that could be parsed. ``problems`` are those of its structure (the same key twice, tags …); `load` and
    `convert` report them together with their own. ``children`` remembers the keys of mappings that were looked into, so
    that many problems in a large mapping are found in time."""

    file: str
    root: Node
    problems: tuple[Problem, ...] = ()
    children: dict[int, dict[str, Entry]] = field(default_factory=dict, repr=False, compare=False)

    def load(self, type_: type[T], scalars: Scalars | None = None) -> T:
        """The document as a frozen dataclass; `DocumentError` with all problems. ``scalars`` maps types of leaves (for
        example ``IPv4Address`` or a NewType) to functions from text that raise ``ValueError`` with what is expected."""
        value, problems = self.convert(type_, scalars)
        if problems or value is None:
            raise DocumentError(problems)
        return value

    def convert(self, type_: type[T], scalars: Scalars | None = None) -> tuple[T | None, tuple[Problem, ...]]:
        """Like `load`, for callers that have checks of their own: what could be converted (wrong fields have their
        default, wrong items of lists are left out), and all problems so far."""
        converter = Converter(file=self.file, scalars=scalars or {})
        value = converter.convert(type_, self.root, ())
        return value, sorted_problems([*self.problems, *converter.problems])

    def position(self, path: tuple[Step, ...], *, key: bool = False) -> tuple[int, int]:
        """Line and column (from 1) of a value, or of its key; of the nearest parent that exists when it is missing."""
        node, at = self.root, (self.root.line, self.root.column)
        for step in path:
            found = self._child(node, step)
            if found is None:
                return at
            node = found.value if isinstance(found, Entry) else found
            at = (found.line, found.column) if key and isinstance(found, Entry) else (node.line, node.column)
        return at

    def has(self, path: tuple[Step, ...]) -> bool:
        """Whether there is a value at ``path``."""
        return self.node(path) is not None

    def problem(self, path: tuple[Step, ...], message: str, *, key: bool = False) -> Problem:
        """A problem of the value (or key) at ``path``, for example ``("machines", 2, "mac")``."""
        line, column = self.position(path, key=key)
        return Problem(file=self.file, line=line, column=column, where=show_path(path), message=message)

    def node(self, path: tuple[Step, ...]) -> Node | None:
        """The node at ``path``."""
        node: Node | Entry | None = self.root
        for step in path:
            node = self._child(node.value if isinstance(node, Entry) else node, step) if node is not None else None
        return node.value if isinstance(node, Entry) else node

    def _child(self, node: Node, step: Step) -> Entry | Node | None:
        if isinstance(node, MappingNode):
            if id(node) not in self.children:
                self.children[id(node)] = {entry.key: entry for entry in node.entries}
            return self.children[id(node)].get(step) if isinstance(step, str) else None
        if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.items):
            return node.items[step]
        return None


def read(path: Path) -> Document:
    """Read and parse a file; `DocumentError` when it can't be read, is not UTF-8, or is no YAML."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _failed(str(path), 1, 1, f"can't be read: {error.strerror or error}") from error
    if len(raw) > MAX_BYTES:
        raise _failed(str(path), 1, 1, f"is larger than {MAX_BYTES // 1024 // 1024} MiB; this can't be meant")
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise _failed(str(path), 1, 1, "is UTF-16; save it as UTF-8")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        column = len(before[before.rfind(b"\n") + 1 :]) + 1
        raise _failed(str(path), before.count(b"\n") + 1, column, "is not UTF-8; save it as UTF-8") from error
    return read_text(text, file=str(path))


def read_text(text: str, *, file: str = "(text)") -> Document:
    """Parse text; ``file`` is the name for messages. A byte order mark and CRLF line ends are accepted."""
    text = text.removeprefix("\ufeff")
    found = _CONTROL.search(text)
    if found is not None:
        line, column = _line_column(text, found.start())
        raise _failed(file, line, column, f"control character U+{ord(found[0]):04X}; remove it")
    builder = _Builder(file)
    yaml = YAML(typ="safe", pure=True)
    try:
        for event in yaml.parse(text):
            builder.take(event)
    except MarkedYAMLError as error:
        raise _marked(file, text, error) from error
    except (YAMLError, RecursionError, ValueError) as error:
        raise _failed(file, 1, 1, f"is not YAML: {error}") from error
    if builder.root is None:
        raise _failed(file, 1, 1, "is empty")
    return Document(file=file, root=builder.root, problems=tuple(builder.problems))


class _Builder:
    """Events of the parser → nodes, on a stack."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self.stack: list[_Open] = []
        self.nodes = 0
        self.documents = 0

    def take(self, event: Any) -> None:
        if isinstance(event, ev.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self._fail(event, "a second document begins here (---); only one is allowed")
        elif isinstance(event, ev.AliasEvent):
            self._note(event, f"aliases are not supported (*{event.anchor}); write the value out")
            at = _at(event)
            self._put(ScalarNode(line=at["line"], column=at["column"], text="", plain=True, broken=True), event)
        elif isinstance(event, ev.ScalarEvent):
            self._put(self._scalar(event), event)
        elif isinstance(event, ev.MappingStartEvent | ev.SequenceStartEvent):
            self._tag(event)
            if len(self.stack) >= MAX_DEPTH:
                raise self._fail(event, f"nested deeper than {MAX_DEPTH} levels; this can't be meant")
            self.stack.append(_Open(mapping=isinstance(event, ev.MappingStartEvent), **_at(event)))
        elif isinstance(event, ev.MappingEndEvent | ev.SequenceEndEvent):
            self._put(self.stack.pop().close(), event)

    def _scalar(self, event: Any) -> ScalarNode:
        secret = event.tag is not None and str(event.tag) == REFERENCE
        if not secret:
            self._tag(event)
        at = _at(event)
        return ScalarNode(
            line=at["line"],
            column=at["column"],
            text=event.value,
            plain=event.style in (None, ""),
            broken=event.tag is not None and not secret,
            secret=secret,
            block=event.style == "|",
        )

    def _put(self, node: Node, event: Any) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self._fail(event, f"has more than {MAX_NODES} values; this can't be meant")
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        if not top.mapping:
            top.items.append(node)
        elif top.key is None:
            top.key = node
            self._check_key(top, node)
        else:
            if isinstance(top.key, ScalarNode) and top.fresh:
                top.entries[top.key.text] = Entry(
                    key=top.key.text, line=top.key.line, column=top.key.column, value=node
                )
            top.key = None

    def _check_key(self, top: _Open, node: Node) -> None:
        top.fresh = isinstance(node, ScalarNode) and node.text not in top.entries and not node.broken
        if not isinstance(node, ScalarNode) or node.secret:
            top.fresh = False
            self._add(node.line, node.column, "a key must be text")
        elif node.text in top.entries:
            first = top.entries[node.text]
            message = f"key '{node.text}' is here twice; it was first at {first.line}:{first.column}"
            self._add(node.line, node.column, message)

    def _tag(self, event: Any) -> None:
        if event.tag is not None:
            self._note(event, f"tags are not supported ({event.tag})")

    def _note(self, event: Any, message: str) -> None:
        at = _at(event)
        self._add(at["line"], at["column"], message)

    def _add(self, line: int, column: int, message: str) -> None:
        self.problems.append(Problem(file=self.file, line=line, column=column, where="", message=message))

    def _fail(self, event: Any, message: str) -> DocumentError:
        self._note(event, message)
        return DocumentError(self.problems)


class _Open:
    """A mapping or sequence whose end has not come yet."""

    __slots__ = ("column", "entries", "fresh", "items", "key", "line", "mapping")

    def __init__(self, *, mapping: bool, line: int, column: int) -> None:
        self.mapping = mapping
        self.line, self.column = line, column
        self.entries: dict[str, Entry] = {}
        self.items: list[Node] = []
        self.key: Node | None = None
        self.fresh = True

    def close(self) -> Node:
        if self.mapping:
            return MappingNode(line=self.line, column=self.column, entries=tuple(self.entries.values()))
        return SequenceNode(line=self.line, column=self.column, items=tuple(self.items))


def _at(event: Any) -> dict[str, int]:
    return {"line": event.start_mark.line + 1, "column": event.start_mark.column + 1}


def _line_column(text: str, index: int) -> tuple[int, int]:
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


def _failed(file: str, line: int, column: int, message: str) -> DocumentError:
    return DocumentError([Problem(file=file, line=line, column=column, where="", message=message)])


PLAIN_WORDS: Mapping[str, str] = {
    "mapping values are not allowed here": "a ':' where none can be; quote the value, or begin a new line",
    "expected <block end>, but found '<block mapping start>'": "indented more than the lines above it",
    "expected <block end>, but found '<block sequence start>'": "a list item at the wrong indentation",
    "could not find expected ':'": "a key without ':'",
}


def _marked(file: str, text: str, error: MarkedYAMLError) -> DocumentError:
    """The parser's error in words that say what to do."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    said = str(error.problem or error)
    tab = _TAB.search(text)
    if "'\\t'" in said or (tab is not None and text.count("\n", 0, tab.start()) + 1 == line):
        return _failed(file, line, column, "a tab; indent with blanks")
    if "that cannot start any token" in said:
        said = said.replace("that cannot start any token", "can't begin a value; quote it").replace("found ", "")
    elif error.context_mark is not None and ("<stream end>" in said or "but got" in said or "end of stream" in said):
        line, column = error.context_mark.line + 1, error.context_mark.column + 1
        opened = "a quoted text" if "end of stream" in said else "a bracket or brace"
        said = f"{opened} that is opened here and never closed"
    return _failed(file, line, column, PLAIN_WORDS.get(said, said))
