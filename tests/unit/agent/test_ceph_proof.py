"""The judge of live maps: what it says of maps that Ceph's own tool mapped, and of each kind of mistake."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent import cephproof
from agent.act import cephprove
from agent.act.cepherrand import Errand
from agent.cephorder import CephAction, CephOrder, PoolLaw
from agent.cephproof import NONE, judge
from agent.errors import CephError
from appliance.kinds.ceph.serve import law
from appliance.plan.crush.crushmap import text
from images.unpacked import run_unpacked
from tests.oracle.crush import Oracle
from tests.unit.agent.ceph_bare import FSID, NoDaemons, perform, silent
from tests.unit.kinds.scenes import BLOCK, boxes, scene

LAW = PoolLaw(pool="vms", size=3, min_size=2, level="rack", per_domain=1, root="default", device_class="ssd")
RACKS = {"r1": ("h1", "h2"), "r2": ("h3", "h4"), "r3": ("h5", "h6")}


def tree(classes: Mapping[int, str] = {}, racks: Mapping[str, Sequence[str]] = RACKS) -> dict[str, Any]:
    """Two OSDs on each host: osd.0 and osd.1 on the first."""
    nodes: list[dict[str, Any]] = []
    hosts = [name for inside in racks.values() for name in inside]
    for index, host in enumerate(hosts):
        osds = [2 * index, 2 * index + 1]
        nodes.append({"id": -10 - index, "name": host, "type": "host", "children": osds})
        nodes += [{"id": n, "name": f"osd.{n}", "type": "osd", "device_class": classes.get(n, "ssd")} for n in osds]
    for index, (rack, inside) in enumerate(racks.items()):
        children = [-10 - hosts.index(host) for host in inside]
        nodes.append({"id": -100 - index, "name": rack, "type": "rack", "children": children})
    nodes.append({"id": -1, "name": "default", "type": "root", "children": [-100 - n for n in range(len(racks))]})
    return {"nodes": nodes}


def dump(pg_num: int, *, down: Sequence[int] = (), **pool: int) -> dict[str, Any]:
    return {
        "pools": [{"pool": 2, "pool_name": "vms", "size": 3, "min_size": 2, "pg_num": pg_num, **pool}],
        "osds": [{"osd": n, "up": int(n not in down)} for n in range(12)],
    }


def mapped(*rows: Sequence[int | str]) -> str:
    lines = [f"2.{seed:x}\t[{','.join(map(str, row))}]\t{row[0] if row else -1}" for seed, row in enumerate(rows)]
    return "\n".join(["pool 2 pg_num 8", *lines, "#osd\tcount\tfirst", "osd.0\t3\t3", "size 3\t3", ""])


GOOD = ((0, 4, 8), (5, 1, 10), (11, 2, 7))


def problems(rows: Sequence[Sequence[int | str]], law: PoolLaw = LAW, **facts: Any) -> tuple[str, ...]:
    found = judge((law,), dump(len(rows), **facts), tree(), mapped(*rows))
    assert found.groups == len(rows)
    return found.problems


def test_a_good_map() -> None:
    assert problems(GOOD) == ()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ((0, 4), "PG 2.3 is on 2 OSDs instead of 3 (osd.0, osd.4)"),
        ((0, 4, 4), "PG 2.3 is on 2 OSDs instead of 3"),
        ((0, NONE, 4), "PG 2.3 is on 2 OSDs instead of 3 (osd.0, osd.4)"),
        ((0, "NONE", 4), "PG 2.3 is on 2 OSDs instead of 3 (osd.0, osd.4)"),
        ((), "PG 2.3 is on 0 OSDs instead of 3 (none)"),
        ((0, 4, 12), "PG 2.3 is on osd.12, which hangs nowhere in the tree"),
        ((0, 2, 8), "PG 2.3 has 2 copies in rack r1 (osd.0, osd.2), at most 1 is planned"),
        ((0, 1, 8), "PG 2.3 has 2 copies in rack r1 (osd.0, osd.1), at most 1 is planned"),
        ((0, 2, 3), "PG 2.3 would have 0 copies without rack r1, fewer than its min_size 2"),
        ((0, 2, 8), "PG 2.3 would have 1 copies without rack r1, fewer than its min_size 2"),
    ],
)
def test_what_breaks_a_law_is_named(row: Sequence[int | str], words: str) -> None:
    found = problems((*GOOD, row))
    assert any(words in text for text in found), found
    assert all(text.startswith("pool vms: PG 2.3 ") and "; " in text for text in found), "and what to do"


def test_classes_roots_and_values() -> None:
    other = judge((LAW,), dump(3), tree({4: "hdd"}), mapped(*GOOD)).problems
    assert other[0].startswith("pool vms: PG 2.0 is on osd.4 of class hdd, ssd is planned")
    (outside,) = problems(GOOD, replace(LAW, root="az1"))
    assert "PG 2.0 is on osd.0, which is not below az1 (3 of 3 groups are so)" in outside
    assert problems(GOOD, min_size=1)[0].startswith("pool vms: its min_size is 1, 2 is planned")
    assert any("its size is 2, 3 is planned" in text for text in problems(GOOD, size=2))
    (lost,) = judge((LAW,), dump(4), tree(), mapped(*GOOD)).problems
    assert lost == "pool vms: osdmaptool mapped 3 of its 4 groups"
    (none,) = judge((replace(LAW, pool="fs"),), dump(3), tree(), mapped(*GOOD)).problems
    assert none == "pool fs: the map has none of this name: plan again"


def test_what_is_down_is_said() -> None:
    (found,) = problems((*GOOD, (0, 4)), down=(8,))
    assert "is on 2 OSDs instead of 3 (osd.0, osd.4); not up: osd.8; bring back what is down" in found


def test_several_copies_in_a_domain_are_on_several_hosts() -> None:
    """Two copies in each of two datacenters, as stretch mode has them."""
    law = replace(LAW, size=4, per_domain=2)
    assert problems(((0, 2, 4, 6),), law, size=4) == ()
    (found,) = problems(((0, 1, 4, 6),), law, size=4)
    assert "has 2 copies in host h1 (osd.0, osd.1), at most 1 is planned" in found


@pytest.mark.parametrize("bad", [{}, {"pools": [{}], "osds": []}, {"pools": None, "osds": []}])
def test_what_is_no_map(bad: dict[str, Any]) -> None:
    with pytest.raises(cephproof.MapError, match="can't read"):
        judge((LAW,), bad, tree(), mapped(*GOOD))


# ---------------------------------------------------------------- with Ceph's own tool


def osdmaptool(oracle: Oracle, *words: object) -> str:
    return run_unpacked(oracle.tools, "usr/bin/osdmaptool", *words).stdout  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def mapped_by_ceph(oracle: Oracle, tmp_path_factory: pytest.TempPathFactory) -> tuple[PoolLaw, Any, Any, str]:
    """A planned layout of eight OSDs on four hosts, and 16 384 groups of its pool, as osdmaptool maps them."""
    folder = tmp_path_factory.mktemp("map")
    layout = scene(boxes(4), (BLOCK,)).layout
    (rule,) = (one for one in layout.rules if one.name == layout.pools[0].rule)
    compiled = oracle.compile(text(replace(layout, rules=(replace(rule, number=0),))), folder)
    live = folder / "osdmap"
    bits = ("--pg-bits", "11", "--pgp-bits", "11", "--osd_pool_default_size=3")
    osdmaptool(oracle, live, "--createsimple", "8", "--with-default-pool", *bits)
    osdmaptool(oracle, live, "--import-crush", compiled)
    mappings = osdmaptool(oracle, live, "--mark-up-in", "--test-map-pgs-dump")
    described, placed = (
        json.loads(osdmaptool(oracle, live, *words)) for words in (("--dump", "json"), ("--tree=json",))
    )
    return replace(law(layout.pools[0]), pool="rbd"), described, placed, mappings


def test_a_planned_map_keeps_its_laws(mapped_by_ceph: tuple[PoolLaw, Any, Any, str]) -> None:
    wanted, described, placed, mappings = mapped_by_ceph
    found = judge((wanted,), described, placed, mappings)
    assert (found.pools, found.groups, found.problems) == (1, 16_384, ())


def test_another_plan_is_not_what_the_map_is(mapped_by_ceph: tuple[PoolLaw, Any, Any, str]) -> None:
    wanted, described, placed, mappings = mapped_by_ceph
    found = judge((replace(wanted, level="rack", device_class="hdd"),), described, placed, mappings).problems
    assert len(found) == 1
    assert "of class ssd, hdd is planned (16384 of 16384 groups are so)" in found[0]


# ---------------------------------------------------------------- the order


class Tool:
    """``ceph`` and ``osdmaptool`` that say what a test wants."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, rows: Sequence[Sequence[int | str]]) -> None:
        self.asked: list[list[str]] = []
        self.said = {"--dump": json.dumps(dump(len(rows))), "--tree=json": json.dumps(tree()), "": ""}
        self.said["--test-map-pgs-dump"] = mapped(*rows)
        monkeypatch.setattr(cephprove, "run", self.run)
        monkeypatch.setattr(cephprove, "scratch", lambda: contextlib.nullcontext(Path("/nowhere")))
        monkeypatch.setattr(cephprove.files, "need_programs", lambda _names: None)

    def run(self, argv: Sequence[str], **_options: object) -> Any:
        self.asked.append(list(argv))
        text = self.said[argv[2]] if argv[0] == "osdmaptool" else ""
        return type("Result", (), {"stdout": text, "stderr": "", "code": 0})()


def errand(*laws: PoolLaw) -> Errand:
    return Errand(
        order=CephOrder(action=CephAction.PROVE, fsid=FSID, laws=laws),
        machine="m1",
        plan="p1",
        disks=lambda: (),
        secrets=lambda _name: "",
        daemons=NoDaemons(),
        tell=silent,
    )


def test_one_map_is_read_once_and_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = Tool(monkeypatch, GOOD)
    assert cephprove.prove(errand(LAW)) == (
        "3 PGs are where the plan wants them, each may lose any one domain; pools: vms"
    )
    assert [words[:1] + words[2:3] for words in tool.asked[1:]] == [
        ["osdmaptool", "--dump"],
        ["osdmaptool", "--tree=json"],
        ["osdmaptool", "--test-map-pgs-dump"],
    ]
    assert tool.asked[0][:1] == ["ceph"] and "getmap" in tool.asked[0]
    assert len({words[1] for words in tool.asked[1:]} | {tool.asked[0][-1]}) == 1


def test_a_broken_law_fails_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    Tool(monkeypatch, (*GOOD, (0, 2, 8)))
    laws = [LAW, *(replace(LAW, pool=f"p{number}") for number in range(4))]
    with pytest.raises(CephError, match=r"^pool vms: PG 2\.3 has 2 copies in rack r1.*and 3 more$"):
        cephprove.prove(errand(*laws))


def test_a_proof_of_nothing_is_refused(home: Path) -> None:
    with pytest.raises(Exception, match="names no pool"):
        perform(CephOrder(action=CephAction.PROVE, fsid=FSID))
