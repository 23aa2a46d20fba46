"""The CRUSH tree and the map's text; and the oracle itself, which must see what is wrong."""

from __future__ import annotations

import cProfile
import re
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.model.ceph import CephLayout, Erasure, RuleLayout
from appliance.model.place import Level, Place
from appliance.plan.crush.crushmap import bucket_names, text, tree, weigh
from tests.conftest import Golden
from tests.oracle.crush import Oracle, inclusion
from tests.oracle.yard import BLOCK, FILES, OBJECTS, HostSpec, Yard, rows, yard

MIXED = (("nvme", 2.0), *((("hdd", 8.0),) * 2))


def planned(built: Yard, **facts: object) -> CephLayout:
    return built.layout(built.plan(replace(BLOCK, **facts)))


def shape(built: Yard) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(b.level, b.name, b.items) for b in tree(built.site, built.members, built.osds)]


def test_levels_are_there_only_where_the_site_names_them() -> None:
    built = yard(*rows(2, racks=2, disks=(("hdd", 1.0),)))
    assert shape(built) == [
        ("root", "default", ("r1", "r2")),
        ("rack", "r1", ("n1",)),
        ("host", "n1", ("osd.0",)),
        ("rack", "r2", ("n2",)),
        ("host", "n2", ("osd.1",)),
    ]


def test_a_machine_without_a_rack_hangs_below_the_root() -> None:
    built = yard(*rows(2, racks=1), HostSpec(name="n3"))
    assert shape(built)[0] == ("root", "default", ("n3", "r1"))


def test_machines_without_osds_are_not_in_the_tree() -> None:
    built = yard(HostSpec(name="n1"), HostSpec(name="n2", disks=(), place=Place(rack="r9")))
    assert [name for _, name, _ in shape(built)] == ["default", "n1"]


def test_without_osds_there_is_a_root() -> None:
    assert shape(yard()) == [("root", "default", ())]


def test_natural_order_whatever_the_order_of_inputs() -> None:
    built = yard(*rows(12, racks=3, zones=3, disks=(("hdd", 1.0),)))
    assert shape(built) == shape(built.shuffled())
    assert shape(yard(*rows(12)))[0][2][:3] == ("n1", "n2", "n3")


def test_one_name_for_two_buckets_is_told_apart() -> None:
    places = (
        Place(zone="a", row="r", rack="a1"),
        Place(zone="b", row="r", rack="b1"),
        Place(zone="n1", rack="default"),
    )
    built = yard(*(HostSpec(name=f"n{at}", place=place) for at, place in enumerate(places, 1)))
    names = bucket_names(built.site, built.members)
    assert sorted(names.values()) == ["a", "a1", "b", "b1", "rack-n1-default", "row-a-r", "row-b-r", "zone-n1"]
    found = [name for _, name, _ in shape(built)]
    assert len(found) == len(set(found)) == 12


def test_rows_of_two_datacenters_are_two_buckets() -> None:
    places = (Place(datacenter="east", row="1", rack="e1"), Place(datacenter="west", row="1", rack="w1"))
    built = yard(*(HostSpec(name=f"n{at}", place=place) for at, place in enumerate(places, 1)))
    assert {name for level, name, _ in shape(built) if level == "row"} == {"east-1", "west-1"}


def test_weights_are_sums_in_tebibytes() -> None:
    built = yard(*rows(2, racks=1, disks=(("hdd", 1.0), ("nvme", 2.0))))
    weights = weigh(tree(built.site, built.members, built.osds), built.osds)
    assert weights["osd.0"] == pytest.approx(0.9095, abs=1e-4)
    assert weights["default"] == weights["r1"] == pytest.approx(6 * 0.90949, abs=1e-4)


def ids(written: str) -> dict[str, str]:
    return dict(re.findall(r"^\w+ (\S+) \{\n\tid (-\d+)$", written, re.MULTILINE))


def test_ids_are_kept_when_a_machine_and_a_rack_come() -> None:
    before = planned(yard(*rows(6, racks=3)))
    more = (HostSpec(name="n0", place=Place(rack="r1")), HostSpec(name="a9", place=Place(rack="r0")))
    after = planned(yard(*rows(6, racks=3), *more))
    old, new = ids(text(before)), ids(text(after))
    assert old.items() <= new.items()
    assert len(set(new.values())) == len(new) == len(after.buckets)


def test_ids_of_buckets_and_shadows_differ() -> None:
    found = re.findall(r"\tid (-\d+)", text(planned(yard(*rows(9, racks=3, disks=MIXED)))))
    assert len(found) == len(set(found)) == 3 * (1 + 3 + 9)


@pytest.mark.parametrize(
    ("name", "hosts", "stretch"),
    [
        ("eight-hosts-in-four-racks", rows(8, racks=4, disks=MIXED), False),
        ("three-zones", rows(6, racks=6, zones=3, disks=(("nvme", 3.84),) * 2), False),
        ("stretch", rows(4, racks=4, datacenters=2, disks=(("ssd", 1.92),) * 2), True),
    ],
)
def test_map_text(name: str, hosts: tuple[HostSpec, ...], stretch: bool, golden: Golden, oracle: Oracle) -> None:
    built = yard(*hosts)
    layout = built.layout(built.plan(BLOCK, FILES, stretch=stretch))
    golden.check(f"crush/{name}.map.txt", text(layout))
    assert oracle.check(layout) == []


def test_text_grows_linearly() -> None:
    """Counted in calls, which no other load changes."""

    def calls(hosts: int) -> int:
        layout = planned(yard(*rows(hosts, racks=hosts // 10)))
        profile = cProfile.Profile()
        profile.runcall(text, layout)
        return sum(entry.callcount for entry in profile.getstats())

    assert calls(1000) < 12 * calls(100)


# ---------------------------------------------------------------- how little moves, with Ceph's own CRUSH


def test_a_new_machine_takes_only_its_part(oracle: Oracle, tmp_path: Path) -> None:
    """Ids of buckets are stable, so that a machine whose name sorts first draws its own share and nothing else moves."""
    before, after = (
        planned(yard(*rows(12, racks=4), *more)) for more in ((), (HostSpec(name="a0", place=Place(rack="r1")),))
    )
    found = [
        oracle.mappings(oracle.compile(text(layout), tmp_path, name), layout.rules[0].number, 3, 4096)
        for name, layout in (("before", before), ("after", after))
    ]
    moved = sum(len(set(new) - set(old)) for old, new in zip(*found, strict=True)) / (3 * 4096)
    assert moved < 2 * 4 / 52, "1/13 of the weight is new; a rack that grows draws a little more"


# ---------------------------------------------------------------- the oracle sees what is wrong


def wrong(layout: CephLayout, rule: RuleLayout | None = None, **facts: object) -> CephLayout:
    """The layout with another only pool, and maybe another rule."""
    pool = replace(layout.pools[0], **facts)
    return replace(layout, pools=(pool,), rules=(rule,) if rule else layout.rules)


def with_steps(layout: CephLayout, *steps: str, erasure: bool = False) -> RuleLayout:
    return replace(layout.rules[0], erasure=erasure, steps=tuple(f"step {step}" for step in steps))


def test_oracle_sees_copies_in_one_rack(oracle: Oracle) -> None:
    layout = planned(yard(*rows(8, racks=4)))
    rule = with_steps(layout, "take default class hdd", "chooseleaf firstn 0 type host", "emit")
    found = "; ".join(oracle.check(wrong(layout, rule)))
    assert "more than 1 copies in one rack" in found
    assert "fall below min_size 2 with the loss of rack r1" in found


def test_oracle_sees_the_wrong_class(oracle: Oracle) -> None:
    layout = planned(yard(*rows(4, disks=MIXED)))
    rule = with_steps(layout, "take default", "chooseleaf firstn 0 type host", "emit")
    assert any("is not of class nvme below default" in text for text in oracle.check(wrong(layout, rule)))


def test_oracle_sees_another_zones_osds(oracle: Oracle) -> None:
    layout = planned(yard(*rows(8, racks=8, zones=2)))
    rule = with_steps(layout, "take default class hdd", "chooseleaf firstn 0 type host", "emit")
    assert any("is not of class hdd below z1" in text for text in oracle.check(wrong(layout, rule)))


def test_oracle_sees_missing_copies(oracle: Oracle) -> None:
    """The measured case of `ceph.md` §2: racks of 5:5:1 with Ceph's own 50 tries; and our rule for it."""
    hosts = tuple(
        HostSpec(name=f"n{at}", place=Place(rack="r1" if at < 5 else "r2" if at < 10 else "r3")) for at in range(11)
    )
    layout = planned(yard(*hosts), domain=Level.RACK)
    assert oracle.check(layout) == []
    few = with_steps(layout, "take default class hdd", "chooseleaf firstn 0 type rack", "emit")
    found = "; ".join(oracle.check(wrong(layout, few)))
    bad, pgs = map(int, re.findall(r"(\d+) of (\d+) PGs lack copies", found)[0])
    assert bad / pgs == pytest.approx(28 / 4096, rel=0.5)
    assert "osdmaptool finds PGs with" in found


def test_oracle_sees_what_does_not_heal(oracle: Oracle) -> None:
    layout = planned(yard(*rows(3)))
    assert any("do not heal after the loss of host" in text for text in oracle.check(wrong(layout, heals=True)))


def test_oracle_sees_a_map_that_does_not_compile(oracle: Oracle) -> None:
    layout = planned(yard(*rows(3)))
    found = oracle.check(wrong(layout, with_steps(layout, "take nowhere", "emit")))
    assert len(found) == 1
    assert "does not compile" in found[0]


def test_oracle_sees_an_unbalanced_rule(oracle: Oracle) -> None:
    """A rack gets one copy of three whatever it weighs: of 4, 4 and 1 hosts the single one holds three times as much."""
    hosts = tuple(
        HostSpec(name=f"n{at}", place=Place(rack="r1" if at < 4 else "r2" if at < 8 else "r3")) for at in range(9)
    )
    layout = planned(yard(*hosts))
    assert layout.pools[0].domain is Level.HOST
    rule = with_steps(layout, "set_choose_tries 500", "take default class hdd", "chooseleaf firstn 0 type rack", "emit")
    assert any("PGs per OSD vary by" in text for text in oracle.check(wrong(layout, rule)))


def test_oracle_sees_a_wrong_number_of_domains(oracle: Oracle) -> None:
    layout = planned(yard(*rows(4)))
    assert oracle.check(wrong(layout, domains=5)) == ["vms: 5 hosts are said, there are 4"]


def test_oracle_sees_a_pool_without_its_rule(oracle: Oracle) -> None:
    layout = planned(yard(*rows(4)))
    assert oracle.check(replace(layout, rules=())) == ["vms: there is no rule hdd-host"]


def test_oracle_draws_like_crush() -> None:
    """Three of 1, 1, 1, 2: the heavy one is left out with 3/5 · 2/4 · 1/3."""
    assert inclusion((1.0, 1.0, 1.0, 2.0), 3) == pytest.approx((0.7, 0.7, 0.7, 0.9))
    assert inclusion((1.0, 5.0), 2) == (1.0, 1.0)
    many = inclusion((1.0,) * 200 + (2.0,) * 100, 3)
    assert sum(many) == pytest.approx(3)
    assert many[-1] / many[0] == pytest.approx(2, rel=0.02)


def test_a_thousand_osds_are_judged(oracle: Oracle) -> None:
    assert oracle.check(planned(yard(*rows(84, racks=14, disks=(("hdd", 16.0),) * 12)))) == []


def test_coded_pools_of_every_size_compile_and_place(oracle: Oracle) -> None:
    for hosts in (3, 4, 6, 7, 12):
        built = yard(*rows(hosts))
        layout = built.layout(built.plan(replace(OBJECTS, erasure=Erasure(k=0, m=0))))
        assert oracle.check(layout) == [], hosts
