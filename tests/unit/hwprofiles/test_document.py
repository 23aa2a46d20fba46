"""The YAML reader: positions, and every kind of broken document as a clear error, all at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NewType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwprofiles.convert import KEY
from hwprofiles.document import DocumentError, read, read_text
from hwprofiles.node import NOWHERE, Position

Even = NewType("Even", int)


def even(text: str) -> Even:
    if not text.isdigit() or int(text) % 2:
        raise ValueError(f"expected an even number, got '{text}'")
    return Even(int(text))


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    at: Position = NOWHERE
    name: str = field(metadata=KEY)
    mac: str = ""
    size: Even = Even(0)
    colour: Colour = Colour.RED


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    title: str
    count: int = 1
    ratio: float = 0.5
    on: bool = False
    words: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    maybe: int | None = None


def load(text: str) -> Thing:
    return read_text(text, file="t.yaml").load(Thing, {Even: even})


GOOD = """\
title: a thing
count: 0
ratio: 2
on: true
words: one
maybe: ~
parts:
  p1: {mac: 52:54:00:12:34:56, size: 4}
  p2: {mac: 0012345, colour: green}
"""


def test_values_and_positions() -> None:
    thing = load(GOOD)
    assert thing.words == ("one",)
    assert thing.ratio == 2.0
    assert thing.on is True
    assert thing.maybe is None
    assert [part.mac for part in thing.parts] == ["52:54:00:12:34:56", "0012345"], "text keeps its digits"
    assert thing.parts[1].colour is Colour.GREEN
    assert thing.parts[1].at.path == ("parts", "p2")
    document = read_text(GOOD, file="t.yaml")
    assert document.position(("parts", "p1", "mac")) == (8, 13)
    assert document.position(("parts", "p1", "mac"), key=True) == (8, 8)
    assert document.position(("parts", "p9", "mac")) == (8, 3), "the nearest parent"
    assert document.has(("parts", "p1", "size"))
    assert not document.has(("parts", "p2", "size"))


@pytest.mark.parametrize("change", [lambda t: t.replace("\n", "\r\n"), lambda t: "\ufeff" + t, lambda t: "---\n" + t])
def test_line_ends_and_marks_do_not_matter(change: Any) -> None:
    assert load(change(GOOD)) == load(GOOD)


BROKEN = {
    "empty": "",
    "only a comment": "# nothing\n",
    "not a mapping": "- a\n- b\n",
    "just text": "hello\n",
    "missing key": "count: 3\n",
    "unknown key": "title: a\ncuont: 3\n",
    "unknown key far off": "title: a\nzzz: 3\n",
    "hyphen for underscore, wrong kinds": "title: a\ncount: many\nratio: x\non: yes\nwords: {a: 1}\n",
    "nothing where text must be": "title:\n",
    "list for text": "title: [a]\n",
    "duplicate keys": "title: a\ncount: 1\ncount: 2\nparts:\n  p: {}\n  p: {}\n",
    "tab": "title: a\nparts:\n\t- name: x\n",
    "unclosed bracket": "title: a\nwords: [a, b\ncount: 1\n",
    "unclosed quote": "title: 'a\ncount: 1\n",
    "colon in value": "title: a: b\n",
    "wrong indentation": "title: a\n  count: 1\n",
    "alias": "title: &t a\nwords: [*t]\n",
    "tag": "title: !!python/name:os.system x\n",
    "secret tag": "title: !secret admin\n",
    "two documents": "title: a\n---\ntitle: b\n",
    "key is a list": "? [a]\n: 1\ntitle: a\n",
    "control character": "title: a\nwords: [b\x07]\n",
    "at sign": "title: @home\n",
    "item of wrong kind": "title: a\nparts: [1, {name: x}, {mac: y}]\n",
    "enum": "title: a\nparts: {p: {colour: gren}, q: {colour: green, size: 3}}\n",
    "number too long": "title: a\ncount: 99999999999999999999999\n",
    "octal": "title: a\ncount: 007\n",
    "scalar for list of parts": "title: a\nparts: p\n",
}


def test_error_texts(golden: Any) -> None:
    """One golden file: every broken document with all that is said about it."""
    told = []
    for name, text in BROKEN.items():
        with pytest.raises(DocumentError) as caught:
            load(text)
        told.append(f"# {name}\n{caught.value}\n")
    golden.check("hwprofiles/document-errors.txt", "\n".join(told))


def test_nesting_and_bombs_are_refused() -> None:
    with pytest.raises(DocumentError, match="nested deeper than 32"):
        load("title: " + "[" * 5000 + "]" * 5000)
    with pytest.raises(DocumentError, match="nested deeper than 32"):
        load("\n".join(" " * depth + f"k{depth}:" for depth in range(100)))
    levels = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    levels += [f"{b}: &{b} [{', '.join(['*' + a] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    with pytest.raises(DocumentError, match="aliases are not supported"):
        load("title: t\n" + "\n".join(levels))


def test_files_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    with pytest.raises(DocumentError, match="can't be read: No such file"):
        read(path)
    with pytest.raises(DocumentError, match="can't be read: Is a directory"):
        read(tmp_path)
    path.write_bytes("title: ä".encode("latin-1"))
    with pytest.raises(DocumentError, match=r"s\.yaml:1:8: is not UTF-8"):
        read(path)
    path.write_bytes("title: a".encode("utf-16"))
    with pytest.raises(DocumentError, match="is UTF-16"):
        read(path)
    path.write_bytes(b"#" * (8 * 1024 * 1024 + 1))
    with pytest.raises(DocumentError, match="larger than 8 MiB"):
        read(path)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.one_of(st.text(max_size=80), st.text(alphabet="ab:-[]{}&*!'\"|>%@`#? \n\t,", max_size=60)))
def test_any_text_loads_or_is_a_problem_with_a_place(text: str) -> None:
    try:
        document = read_text(text, file="f")
        _, problems = document.convert(Thing, {Even: even})
    except DocumentError as error:
        problems = error.problems
        assert problems
    for problem in problems:
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.message
