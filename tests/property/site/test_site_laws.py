"""Laws of the site file, on files that people would not write: nothing crashes, problems have places, order means nothing,
and the schema refuses nothing that is read."""

from __future__ import annotations

import dataclasses
import json
import re
import tempfile
from pathlib import Path
from random import Random

import jsonschema_rs
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from appliance.model.site import Site
from appliance.site.example import EXAMPLES
from appliance.site.load import SiteError, complete_text, load_site, load_text
from appliance.site.schema import schema
from hwprofiles.document import DocumentError, read_text
from hwprofiles.node import Entry, MappingNode, Node, ScalarNode, SequenceNode
from tests.unit.site.test_reference import EVERYTHING, as_editors_see_it

LAWS = settings(derandomize=True, deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
SYSTEMS = ("debian-13",)
FILES = (EVERYTHING.read_text(encoding="utf-8"), *EXAMPLES.values())
SCHEMA = jsonschema_rs.Draft202012Validator(schema())
PLAIN = re.compile(r"[A-Za-z0-9_./+-][A-Za-z0-9_./+:-]*(?<!:)")
VALUES = (
    *(
        "",
        "~",
        "0",
        "-1",
        "1e9",
        "true",
        "yes",
        "auto",
        "none",
        "3",
        "4095",
        "99999999999999999999",
        "2.10",
        "é",
        "x" * 300,
    ),
    *("n1", "n9", "r1", "dc1", "az1", "pve1", "epyc-compute", "nobody", "block", "4+2", "4TB:", "ring", "mesh", "bond"),
    *(
        "10.7.0.0/22",
        "10.7.20.0/24",
        "fd00::/8",
        "10.7.0.11",
        "10.7.0.1-5",
        "2026-11-01",
        "2026-02-30",
        "storage-public",
    ),
    *(
        "{}",
        "[]",
        "[n1, n1]",
        "{k: 4}",
        "{a: {}}",
        "!secret x",
        "!other x",
        "'quoted'",
        '"4"',
        "a: b",
        "&a x",
        "*a",
        "|",
    ),
)


def outcome(text: str) -> Site | SiteError:
    try:
        return load_text(text, "site.yaml", systems=SYSTEMS)
    except SiteError as error:
        return error


def emitted(node: Node, random: Random | None = None) -> str:
    """A document in braces; the keys in another order when ``random`` is given."""
    if isinstance(node, MappingNode):
        entries = list(node.entries)
        if random is not None:
            random.shuffle(entries)
        return "{" + ", ".join(f"{json.dumps(entry.key)}: {emitted(entry.value, random)}" for entry in entries) + "}"
    if isinstance(node, SequenceNode):
        return "[" + ", ".join(emitted(item, random) for item in node.items) + "]"
    assert isinstance(node, ScalarNode)
    if node.null:
        return "null"
    if node.secret:
        return f"!secret {node.text}"
    return node.text if node.plain and PLAIN.fullmatch(node.text) else json.dumps(node.text)


def changed(node: Node, random: Random, rate: float) -> Node:
    """Some values, keys and items are others, doubled or gone."""
    if random.random() < rate:
        return ScalarNode(line=1, column=1, text=random.choice(VALUES), plain=random.random() < 0.8)
    if isinstance(node, MappingNode):
        entries = [
            dataclasses.replace(entry, key=_key(entry, random, rate), value=changed(entry.value, random, rate))
            for entry in node.entries
            if random.random() > rate / 2
        ]
        unique = {entry.key: entry for entry in entries}
        return dataclasses.replace(node, entries=tuple(unique.values()))
    if isinstance(node, SequenceNode):
        items = [changed(item, random, rate) for item in node.items for _ in range(1 + (random.random() < rate))]
        return dataclasses.replace(node, items=tuple(items))
    return node


def _key(entry: Entry, random: Random, rate: float) -> str:
    return random.choice(VALUES[5:30]) if random.random() < rate / 3 else entry.key


@LAWS
@given(which=st.sampled_from(FILES), seed=st.integers(0, 2**32), rate=st.sampled_from([0.0, 0.01, 0.03, 0.1, 0.3]))
def test_changed_files_are_read_or_refused_with_places(which: str, seed: int, rate: float) -> None:
    """And the schema takes each one that is read."""
    text = emitted(changed(read_text(which).root, Random(seed), rate))
    found = outcome(text)
    if isinstance(found, Site):
        assert SCHEMA.is_valid(as_editors_see_it(read_text(text).root))
        return
    assert found.problems
    for problem in found.problems:
        assert problem.file == "site.yaml"
        assert problem.line == 1
        assert 1 <= problem.column <= len(text) + 1
        assert problem.message


@LAWS
@given(which=st.sampled_from(FILES), seed=st.integers(0, 2**32))
def test_broken_text_is_read_or_refused_with_places(which: str, seed: int) -> None:
    """As people break it: lines moved, doubled, cut, indented, and characters that do not belong."""
    random = Random(seed)
    lines = which.splitlines()
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(lines))
        line = lines[at]
        lines[at : at + 1] = random.choice(
            [
                [],
                [line, line],
                [line[: random.randrange(len(line) + 1)]],
                [" " * random.randint(1, 4) + line],
                [line.replace(":", random.choice(["", " :", "::", "="]), 1)],
                [line + random.choice(["}", "]", "'", '"', ": x", "\t", " #", ",", "\x00", "\u2028"])],
                [random.choice(VALUES) + ": " + random.choice(VALUES)],
            ]
        )
        lines = lines or [""]
    text = "\n".join(lines)
    found = outcome(text)
    if isinstance(found, SiteError):
        assert found.problems
        last = len(re.split("\r\n|[\n\r\x85\u2028\u2029]", text))
        assert all(1 <= problem.line <= last + 1 and problem.column >= 1 for problem in found.problems)


@LAWS
@given(which=st.sampled_from(FILES), seed=st.integers(0, 2**32), rate=st.sampled_from([0.0, 0.01]))
def test_the_order_of_keys_means_nothing(which: str, seed: int, rate: float) -> None:
    """The same site, or refused both times."""
    random = Random(seed)
    root = changed(read_text(which).root, random, rate)
    first, second = outcome(emitted(root)), outcome(emitted(root, random))
    if isinstance(first, Site):
        assert first == second
    else:
        assert isinstance(second, SiteError)


FIELDS = st.one_of(
    st.sampled_from(
        ["n1", "n2", "S1", "S2", "3c:ec:ef:00:00:01", "r1", "1", "U2", "10.7.0.12", "", '"', ",", ";", "\t", "#"]
    ),
    st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=8),
)
HEADS = st.sampled_from(["Name", "Serial Number", "S/N", "MAC", "Rack", "Unit", "Remark", "Seral Number", "", "IP"])


@LAWS
@given(
    heads=st.lists(HEADS, max_size=6),
    rows=st.lists(st.lists(FIELDS, max_size=7), max_size=6),
    delimiter=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
@example(heads=["Serial Number"], rows=[["\u2028a\u0085b"]], delimiter=",", end="\n")
@example(heads=["Serial Number"], rows=[['"a\nb"'], ["S1"]], delimiter=",", end="\r\n")
def test_any_list_is_read_or_refused_with_places(
    heads: list[str], rows: list[list[str]], delimiter: str, end: str
) -> None:
    """And what is stored of a site with a list is the same site without the file."""
    text = end.join(delimiter.join(row) for row in [heads, *rows])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "site.yaml"
        path.write_text("site: s\nnetworks: {provisioning: {cidr: 10.7.0.0/24}}\nracks: {r1: }\nmanifest: list.csv\n")
        (Path(folder) / "list.csv").write_bytes(text.encode())
        try:
            site = load_site(path, systems=SYSTEMS)
        except SiteError as error:
            for problem in error.problems:
                last = len(re.split("\r\n|[\n\r]", text)) if problem.file.endswith("list.csv") else 5
                assert 1 <= problem.line <= last + 1
                assert problem.column >= 1
            return
        assert load_text(complete_text(path), systems=SYSTEMS) == site


@LAWS
@given(order=st.permutations(range(8)))
def test_the_order_of_rows_means_nothing(order: list[int]) -> None:
    rows = [f"  {'' if number % 3 else f'n{number}'},S{number:03d}Z,{number}" for number in range(8)]
    text = "site: s\nnetworks: {provisioning: {cidr: 10.7.0.0/24}}\nmanifest: |\n  name,serial,remark\n"
    assert outcome(text + "\n".join(rows)) == outcome(text + "\n".join(rows[number] for number in order))


@LAWS
@given(text=st.text(max_size=200))
def test_any_text_is_refused_in_words(text: str) -> None:
    """Whatever is given as a site file."""
    found = outcome(text)
    assert isinstance(found, SiteError)
    assert str(found).startswith("site.yaml:")
    try:
        read_text(text)
    except DocumentError:
        return
    assert found.problems
