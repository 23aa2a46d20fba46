"""Entries that one value stands for, keys without a value, and references to secrets."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from hwprofiles.convert import BARE, KEY, SHORT, closest
from hwprofiles.document import DocumentError, read_text
from hwprofiles.node import SecretName


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    name: str = field(metadata=KEY)
    service: str = field(metadata=SHORT)
    size: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    name: str = "store"
    pools: tuple[Pool, ...] = ()
    password: SecretName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    store: Store | None = field(default=None, metadata=BARE)
    note: str = ""


def load(text: str) -> File:
    return read_text(text, file="t.yaml").load(File)


def refused(text: str) -> str:
    with pytest.raises(DocumentError) as caught:
        load(text)
    return str(caught.value)


@pytest.mark.parametrize("text", ["store:\n", "store: ~\n", "store: {}\n"])
def test_a_bare_key_asks_for_defaults(text: str) -> None:
    assert load(text).store == Store()
    assert load("note: x\n").store is None


def test_one_value_stands_for_an_entry() -> None:
    long = load("store: {pools: [{name: a, service: block}, {name: b, service: file, size: 2}]}")
    assert load("store: {pools: {a: block, b: {service: file, size: 2}}}") == long


def test_a_short_form_without_a_value_is_an_entry_without_keys() -> None:
    assert refused("store: {pools: {a: }}") == "t.yaml:1:20: store.pools.a: 'service' is missing"


def test_secrets_are_names() -> None:
    found = load("store: {password: !secret bmc-password}").store
    assert found is not None
    assert found.password == "bmc-password"
    assert load("store: {password: !secret 'bmc-password'}").store == found
    assert load("store: {password: ~}").store == Store()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("store: {password: hunter2}", "a secret is never written here"),
        ("store: {password: !secret }", "expected the name of a secret"),
        ("store: {password: !secret 'a b'}", "expected the name of a secret"),
        ("store: {password: !vault x}", "tags are not supported (!vault)"),
        ("store: {password: [x]}", "expected one value, got a list"),
        ("store: !secret x", "'!secret' can't stand here"),
        ("note: !secret x", "'!secret' can't stand here"),
        ("store: {pools: {a: !secret x}}", "'!secret' can't stand here"),
        ("store: {pools: !secret x}", "'!secret' can't stand here"),
        ("!secret note: x", "a key must be text"),
        ("store: !secret {}", "tags are not supported (!secret)"),
    ],
)
def test_what_is_no_reference_is_refused(text: str, message: str) -> None:
    told = refused(text)
    assert message in told
    assert "hunter2" not in told


def test_a_long_list_of_known_words_is_cut() -> None:
    known = [f"word{number:03d}" for number in range(100)]
    assert closest("else", known).endswith("word039 and 60 more")


def test_a_literal_block_knows_its_first_line() -> None:
    document = read_text("note: |\n  a\n  b\n")
    node = document.node(("note",))
    assert node is not None
    assert node.line + node.block == 2  # type: ignore[attr-defined]
    assert document.node(("other",)) is None
