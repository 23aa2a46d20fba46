"""Packing lists: machines as CSV, as vendors ship them. Every problem has the line, the column (the field's number, from 1,
as a spreadsheet counts) and the heading of that column.

Delimiters ``,``, ``;`` and tabs, quoted fields, a byte order mark and any line ends are understood; lines above the
headings, empty rows, rows that begin with ``#`` and columns that mean nothing here are passed over.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, NewType

from appliance.site import headings
from appliance.site.machineentries import MachineEntry
from appliance.site.scalars import SCALARS
from appliance.site.values import Host, Hostname, Mac, MachineUuid, Serial, SwitchPort, hostname
from appliance.site.wishes import BucketName
from hwprofiles.document import MAX_BYTES, Problem
from hwprofiles.node import Position, Step

MANIFEST = "manifest"
HEAD = 20
"""Rows among which the headings are looked for."""
MAX_ROWS = 100_000
Row = NewType("Row", tuple[int, list[str]])
"""The line on which it begins, and its fields."""
_UNIT = re.compile(r"[Uu]?\s*([0-9]{1,3})\s*[Uu]?")


class ManifestError(Exception):
    """The file can't be used at all. ``line`` and ``column`` are in the file."""

    def __init__(self, message: str, *, line: int = 1, column: int = 1) -> None:
        self.line, self.column, self.message = line, column, message
        super().__init__(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """``file`` is the name for messages. Entry ``i`` has the path ``("manifest", i)`` and began at ``lines[i]``;
    ``columns`` are the numbers of the fields by key, ``titles`` their headings. ``broken`` are entries with a problem of
    their own. ``rows`` are lines inside the list where ``lines`` can't say them."""

    file: str
    entries: tuple[MachineEntry, ...] = ()
    lines: tuple[int, ...] = ()
    columns: Mapping[str, int]
    titles: Mapping[str, str]
    problems: tuple[Problem, ...] = ()
    broken: frozenset[int] = frozenset()
    rows: tuple[int, ...] = ()

    def position(self, path: tuple[Step, ...]) -> tuple[int, int]:
        """Line and field of ``("manifest", row, key)``; the first field for what the list does not have."""
        return self.lines[int(path[1])], self.columns.get(str(path[2]), 0) + 1 if len(path) > 2 else 1

    def problem(self, path: tuple[Step, ...], message: str) -> Problem:
        """A problem of a field, or of a row."""
        line, column = self.position(path)
        where = self.titles.get(str(path[2]), str(path[2])) if len(path) > 2 else ""
        where = _where(self.rows[int(path[1])], where) if self.rows else where
        return Problem(file=self.file, line=line, column=column, where=where, message=message)


def parse(text: str, *, file: str, first: int = 1, prefix: str = "node", flat: bool = False) -> Manifest:
    """The machines of a list whose text begins on line ``first`` of ``file``, or is that line (``flat``: a quoted text).
    Machines without a name get ``prefix`` and their serial or MAC. `ManifestError` when there are no headings or it is no
    CSV."""
    rows = _rows(text.removeprefix("\ufeff"))
    head = _head(rows)
    line, titles = rows[head]
    reader = _Reader(file=file, first=first, prefix=prefix, flat=flat)
    reader.head(line, titles)
    for at, cells in rows[head + 1 :]:
        reader.row(at, cells)
    return reader.manifest()


def read_list(path: Path) -> str:
    """The text of a list as spreadsheets save it: UTF-8, or UTF-16 with its mark. `ManifestError` otherwise."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ManifestError(f"can't be read: {error.strerror or error}") from error
    if len(raw) > MAX_BYTES:
        raise ManifestError(f"is larger than {MAX_BYTES >> 20} MiB; this can't be meant")
    try:
        text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        column = len(before) - before.rfind(b"\n")
        message = "is not UTF-8; save it as 'CSV UTF-8'"
        raise ManifestError(message, line=before.count(b"\n") + 1, column=column) from error
    if "\0" in text:
        raise ManifestError("is no text", line=text.count("\n", 0, text.index("\0")) + 1)
    return text.removeprefix("\ufeff")


def _rows(text: str) -> list[Row]:
    """Rows by the delimiter under which the headings make most sense."""
    best: list[Row] = []
    most = -1
    for delimiter in ",;\t":
        try:
            start = list(itertools.islice(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), HEAD))
        except csv.Error:
            start = []
        score = max((headings.known(cells) for cells in start), default=0)
        if score > most:
            most, chosen = score, delimiter
    if most == 0:
        raise ManifestError(
            "no row of headings names a serial, MAC, UUID or switch port; the first row is for headings such as "
            "Name, Serial Number, MAC Address, Rack, Unit"
        )
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=chosen, strict=True)
    begin = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells) and not cells[0].lstrip().startswith("#"):
                best.append(Row((begin, cells)))
            begin = reader.line_num + 1
            if len(best) > MAX_ROWS:
                raise ManifestError(f"has more than {MAX_ROWS} rows; this can't be meant", line=begin)
    except csv.Error as error:
        said = "a quoted field that is never closed" if "end of data" in str(error) else f"is no CSV: {error}"
        raise ManifestError(said, line=begin) from error
    return best


def _head(rows: list[Row]) -> int:
    for index, (_, cells) in enumerate(rows[:HEAD]):
        if headings.IDENTIFYING & {headings.key(cell) for cell in cells}:
            return index
    line = rows[0][0] if rows else 1
    raise ManifestError("no column says which machine it is: a serial, MAC, UUID or switch port is needed", line=line)


def _unit(text: str) -> int:
    found = _UNIT.fullmatch(text)
    if found is None:
        raise ValueError(f"expected a rack unit such as 12, got '{text[:40]}'")
    return int(found[1])


_READERS: Mapping[str, Callable[[str], Any]] = {
    "name": SCALARS[Hostname],
    "serial": SCALARS[Serial],
    "mac": SCALARS[Mac],
    "uuid": SCALARS[MachineUuid],
    "switch_port": SCALARS[SwitchPort],
    "profile": str,
    "address": SCALARS[IPv4Address],
    "rack": SCALARS[BucketName],
    "unit": _unit,
    "bmc": SCALARS[Host],
}


class _Reader:
    """Rows → entries."""

    def __init__(self, *, file: str, first: int, prefix: str, flat: bool) -> None:
        self.file, self.first, self.prefix, self.flat = file, first, prefix, flat
        self.columns: dict[str, int] = {}
        self.titles: dict[str, str] = {}
        self.width = 0
        self.entries: list[MachineEntry] = []
        self.lines: list[int] = []
        self.problems: list[Problem] = []
        self.broken: set[int] = set()

    def head(self, line: int, titles: list[str]) -> None:
        """The row of headings."""
        self.width = len(titles)
        for column, title in enumerate(titles):
            key, shown = headings.key(title), " ".join(title.split())
            if key and key in self.columns:
                self._note(line, column, shown, f"means {key} as '{self.titles[key]}' does; leave one of them out")
            elif key:
                self.columns[key], self.titles[key] = column, shown
            elif near := headings.meant(title):
                self._note(line, column, shown, f"means nothing here; did you mean '{near}'?")

    def row(self, line: int, cells: list[str]) -> None:
        """One machine."""
        index = len(self.entries)
        before = len(self.problems)
        values: dict[str, Any] = {}
        for key, column in self.columns.items():
            text = cells[column].strip() if column < len(cells) else ""
            if not text:
                continue
            try:
                values[key] = _READERS[key](text)
            except ValueError as error:
                self._note(line, column, self.titles[key], str(error))
        if any(cell.strip() for cell in cells[self.width :]):
            message = (
                f"has {len(cells)} fields, but there are {self.width} headings; quote what has the delimiter in it"
            )
            self._note(line, self.width, "", message)
        if "name" not in values and len(self.problems) == before:
            self._name(line, values)
        if len(self.problems) > before:
            self.broken.add(index)
        values.setdefault("name", Hostname(f"line {line}"))
        self.entries.append(MachineEntry(at=Position(path=(MANIFEST, index)), **values))
        self.lines.append(line)

    def manifest(self) -> Manifest:
        """What was read."""
        return Manifest(
            file=self.file,
            entries=tuple(self.entries),
            lines=tuple(map(self._at, self.lines)),
            rows=tuple(self.lines) if self.flat else (),
            columns=self.columns,
            titles=self.titles,
            problems=tuple(self.problems),
            broken=frozenset(self.broken),
        )

    def _name(self, line: int, values: dict[str, Any]) -> None:
        """A name that does not depend on the order of rows."""
        known = next(_identities(values), "")
        if not known:
            return
        try:
            values["name"] = hostname(f"{self.prefix}-{re.sub('[^a-z0-9]+', '', known.lower())}")
        except ValueError as error:
            self._note(line, self.columns.get("name", 0), self.titles.get("name", ""), f"has no name, and {error}")

    def _note(self, line: int, column: int, title: str, message: str) -> None:
        where = _where(line, title) if self.flat else title
        self.problems.append(
            Problem(file=self.file, line=self._at(line), column=column + 1, where=where, message=message)
        )

    def _at(self, line: int) -> int:
        return self.first if self.flat else self.first + line - 1


def _where(row: int, title: str) -> str:
    return f"line {row}: {title}" if title else f"line {row}"


def _identities(values: Mapping[str, Any]) -> Iterator[str]:
    for key in ("serial", "mac", "uuid", "switch_port"):
        if values.get(key):
            yield str(values[key])
