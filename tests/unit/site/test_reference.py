"""What is told about keys is what is read: the documentation, `explain` and the schema have one source with the reader."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from appliance.model.machine import DEADLINE_SECONDS
from appliance.site.clusterentries import ErasureEntry
from appliance.site.example import EXAMPLES
from appliance.site.file import SiteFile
from appliance.site.load import SiteError, load_text
from appliance.site.machineentries import PHASES, DeadlineEntry
from appliance.site.reference import UnknownKey, bare_type, every_key, fields_of, find, key_field, markdown
from appliance.site.scalars import KINDS, SCALARS
from appliance.site.schema import DIALECT, schema
from hwprofiles.convert import Converter
from hwprofiles.document import read_text
from hwprofiles.node import MappingNode, Node, ScalarNode, SequenceNode
from hwprofiles.profile import WatchedPhase

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs" / "site-file.md"
EVERYTHING = Path(__file__).parent / "sites" / "everything.yaml"
BEGIN, END = "<!-- keys: begin -->\n", "<!-- keys: end -->\n"


def as_editors_see_it(node: Node) -> Any:
    """A document as YAML 1.2's core schema has it."""
    if isinstance(node, MappingNode):
        return {entry.key: as_editors_see_it(entry.value) for entry in node.entries}
    if isinstance(node, SequenceNode):
        return [as_editors_see_it(item) for item in node.items]
    assert isinstance(node, ScalarNode)
    if node.null:
        return None
    if not node.plain or node.secret:
        return node.text
    if node.text in ("true", "false"):
        return node.text == "true"
    if re.fullmatch(r"[-+]?[0-9]+", node.text):
        return int(node.text)
    return (
        float(node.text)
        if re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", node.text)
        else node.text
    )


def valid(text: str) -> bool:
    return jsonschema_rs.Draft202012Validator(schema()).is_valid(as_editors_see_it(read_text(text).root))


def test_every_key_says_what_it_is() -> None:
    for _, owner, keys in every_key():
        assert owner.__doc__
        for key in keys:
            assert key.about, f"{key.path} is not explained"
            assert key.example, f"{key.path} has no example"
            assert not key.about.endswith("."), key.path


def test_examples_are_read() -> None:
    """Each key's example is YAML that its field takes."""
    for path, owner, _ in every_key():
        for spec, hint in fields_of(owner):
            text = f"{spec.name}: {spec.metadata['example']}".replace(
                "AAAA… ", "AAAAC3NzaC1lZDI1NTE5AAAAIFEx2Hn9y0YqHjJjJ5xkVb0h0tq6Wc3m8k4Jf1q2s3T4 "
            )
            document = read_text(text, file=f"{path}.{spec.name}")
            assert not document.problems, text
            node = document.node((spec.name,))
            assert node is not None
            converter = Converter(file=f"{path}.{spec.name}", scalars=SCALARS)
            value = converter.convert(hint, node, (spec.name,))
            assert not converter.problems, "\n".join(map(str, converter.problems))
            assert value is not None


def test_documentation_has_every_key(golden: Any) -> None:
    text = DOCS.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin
    assert end
    wanted = f"{before}{BEGIN}\n{markdown()}\n{END}{after}"
    if golden.update:
        DOCS.write_text(wanted, encoding="utf-8")
        return
    assert text == wanted, "docs/site-file.md differs from the keys: run pytest with --update-golden"


def test_documentation_has_files_that_load() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks == [text for which, text in EXAMPLES.items() if which != "short"]
    for block in blocks:
        load_text(block, systems=("debian-13",))
        assert valid(block)


@pytest.mark.parametrize("which", EXAMPLES)
def test_schema_takes_the_examples(which: str) -> None:
    assert valid(EXAMPLES[which])


def test_schema_takes_everything() -> None:
    """The file with every key of the top; a list of machines inside."""
    text = EVERYTHING.read_text(encoding="utf-8")
    validator = jsonschema_rs.Draft202012Validator(schema())
    errors = [
        f"{error.instance_path}: {error.message}"
        for error in validator.iter_errors(as_editors_see_it(read_text(text).root))
    ]
    assert not errors
    given = {entry.key for entry in read_text(text).root.entries}  # type: ignore[attr-defined]
    assert given == {spec.name for spec, _ in fields_of(SiteFile)}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("site: edge-1", "sitte: edge-1"),
        ("serial: A0000001", "seral: A0000001"),
        ("cidr: 192.168.90.0/24", "cidr: here"),
        ("provisioning", "provision"),
        ("expected: true", "expected: yes"),
        ("clusters: {pve1: }", "clusters: {pve1: {arbiters: x}}"),
        ("clusters: {pve1: }", "clusters: {pve1: {kind: kubernetes}}"),
        ("clusters: {pve1: }", "clusters: {pve1: {maximum: '3'}}"),
        ("ceph:", "ceph: {pools: {vms: blok}}"),
        ("ceph:", "ceph: {pools: {vms: {size: 3}}}"),
        ("ceph:", "ceph: {pools: {vms: {service: block, erasure: 4-2}}}"),
        ("ceph:", "ceph: {frozen: tomorrow}"),
        ("provisioning: {cidr: 192.168.90.0/24}", "- {cidr: 192.168.90.0/24}"),
    ],
)
def test_schema_refuses_what_the_reader_refuses(old: str, new: str) -> None:
    text = EXAMPLES["three"]
    assert old in text
    broken = text.replace(old, new)
    with pytest.raises(SiteError):
        load_text(broken, systems=("debian-13",))
    assert not valid(broken)


def test_schema_is_one() -> None:
    made = schema()
    assert made["$schema"] == DIALECT
    jsonschema_rs.meta.validate(made)
    assert json.dumps(made) == json.dumps(schema())
    objects = [made, *made["$defs"].values()]
    assert all(entry["additionalProperties"] is False for entry in objects)
    assert all("description" in value for entry in objects for value in entry["properties"].values())


def test_every_type_has_words() -> None:
    """No field has a type that neither the documentation nor the schema knows."""
    for _, owner, _ in every_key():
        assert not key_field(owner) or key_field(owner) in {spec.name for spec, _ in fields_of(owner)}
        for _, hint in fields_of(owner):
            assert bare_type(hint)[0] is not None
    assert all(scalar.words for scalar in KINDS.values())


def test_patterns_accept_what_is_read() -> None:
    """A schema that refuses a good file would be worse than none."""
    for _, owner, _ in every_key():
        for spec, hint in fields_of(owner):
            kind = bare_type(hint)[0]
            if kind in KINDS and KINDS[kind].pattern and not spec.metadata["example"].startswith(("[", "{")):
                assert re.search(KINDS[kind].pattern, spec.metadata["example"].strip("\"'")), spec.name


def test_deadlines_have_the_phases_of_the_model() -> None:
    assert set(PHASES) == {phase.value for phase in WatchedPhase} == {str(phase) for phase in DEADLINE_SECONDS}
    assert set(PHASES) == {spec.name for spec, _ in fields_of(DeadlineEntry)} - {"profile"}


@pytest.mark.parametrize(
    ("path", "general"),
    [
        ("networks.storage-public.mtu", "networks.NAME.mtu"),
        ("networks.mtu", "networks.NAME.mtu"),
        ("networks.NAME", "networks.NAME"),
        ("ceph.pools.vms", "ceph.pools.NAME"),
        ("ceph.pools", "ceph.pools"),
        ("ceph.pools.vms.erasure.k", "ceph.pools.NAME.erasure.k"),
        ("approve[0].serial", "approve.serial"),
        ("site", "site"),
        ("", ""),
    ],
)
def test_paths_are_found(path: str, general: str) -> None:
    assert find(path)[0] == general


@pytest.mark.parametrize("path", ["nope", "networks.x.nope", "site.x", "ceph.pools.vms.erasure.n", "approve[0].x"])
def test_unknown_paths(path: str) -> None:
    with pytest.raises(UnknownKey, match=r"there is no key|has no keys inside"):
        find(path)


def test_find_gives_the_keys_inside() -> None:
    assert [key.name for key in find("ceph.pools.vms.erasure")[3]] == [spec.name for spec, _ in fields_of(ErasureEntry)]
