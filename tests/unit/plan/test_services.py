"""Ceph's daemons: how many, where, and that they stay."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.model.ceph import CephSpec, Service, ServiceLayout
from appliance.model.place import Place, Rack
from appliance.model.plan import Wait, WaitReason
from appliance.plan.candidate import Candidate
from appliance.plan.ceph.services import Services, monitors_wanted, place_services, stretch_sites
from tests.unit.plan.floor import GIB, PI, machine, machines, racks, site

ALL = frozenset(Service)


def placed(
    members: list[Candidate],
    pools: frozenset[Service] = frozenset(),
    standing: Services = (),
    outside: list[Candidate] | None = None,
    **fields: Any,
) -> tuple[Services, tuple[Wait, ...]]:
    spec = CephSpec(**fields)
    hosts = frozenset(member.id for member in members)
    return place_services(site(ceph=spec), spec, members, hosts, pools, standing, outside or members)


def on(services: Services, kind: str) -> list[str]:
    return [service.machine.removeprefix("m-") for service in services if service.kind == kind]


def buckets(services: Services, kind: str) -> list[str]:
    return [service.bucket for service in services if service.kind == kind]


@pytest.mark.parametrize(("hosts", "monitors"), [(1, 1), (2, 1), (3, 3), (4, 3), (8, 3)])
def test_hosts_without_racks_have_three_monitors(hosts: int, monitors: int) -> None:
    services, waits = placed(machines(hosts))
    assert len(on(services, "mon")) == monitors and waits == ()
    assert len(on(services, "mgr")) == max(monitors, min(hosts, 2))


@pytest.mark.parametrize(("number", "monitors"), [(3, 3), (4, 3), (5, 5), (8, 5)])
def test_five_racks_have_five(number: int, monitors: int) -> None:
    services, _ = placed(machines(16, racks(number)))
    assert len(set(buckets(services, "mon"))) == monitors


def test_the_largest_level_that_has_enough() -> None:
    services, _ = placed(machines(12, racks(6, zones=3)))
    assert buckets(services, "mon") == ["z1", "z2", "z3"]
    services, _ = placed(machines(12, racks(6, zones=2)))
    assert sorted(buckets(services, "mon")) == ["r1", "r2", "r3", "r4", "r5"]
    assert [name[-1] for name in buckets(services, "mon")[:2]] == ["1", "2"], "one zone, then the other"


def test_distinct_racks_go_before_even_zones() -> None:
    hall = (Rack(name="r1", zone="z1"), *(Rack(name=f"r{i}", zone="z2") for i in (2, 3)))
    services, _ = placed(machines(9, hall))
    assert sorted(buckets(services, "mon")) == ["r1", "r2", "r3"]


def test_two_racks_share_as_evenly_as_they_can() -> None:
    hall = racks(2)
    services, _ = placed(machines(4, hall))
    found = {"n1": "r1", "n2": "r2", "n3": "r1", "n4": "r2"}
    assert sorted(found[name] for name in on(services, "mon")) == ["r1", "r1", "r2"]


def test_more_memory_goes_first_only_among_equal_places() -> None:
    hall = racks(3)
    big = machine("n9", hall[0], memory=1024 * GIB)
    services, _ = placed([*machines(6, hall), big])
    assert on(services, "mon")[0] == "n9" and sorted(buckets(services, "mon")) == ["r1", "r2", "r3"]


def test_the_site_file_says_how_many() -> None:
    assert len(on(placed(machines(8), monitors=5)[0], "mon")) == 5
    assert len(on(placed(machines(8), monitors=4)[0], "mon")) == 3
    services, waits = placed(machines(3), monitors=5)
    assert len(on(services, "mon")) == 3
    assert [(wait.reason, wait.text) for wait in waits] == [
        (WaitReason.TOO_FEW_MEMBERS, "5 monitors are wanted, 3 fit on 3 hosts; add hosts")
    ]


def test_daemons_only_for_pools_that_need_them() -> None:
    assert not on(placed(machines(4))[0], "mds")
    services, _ = placed(machines(4), frozenset({Service.FILE}))
    assert len(on(services, "mds")) == 2 and not on(services, "rgw")
    services, _ = placed(machines(9, racks(3, zones=3)), ALL)
    assert len(set(on(services, "rgw"))) == 3, "one in each zone"
    assert len(on(placed(machines(1), ALL)[0], "rgw")) == 1


def test_with_little_memory_gateways_avoid_monitors() -> None:
    small = [machine(f"n{i}", memory=16 * GIB) for i in range(1, 6)]
    services, _ = placed(small, frozenset({Service.OBJECT}))
    assert not set(on(services, "rgw")) & set(on(services, "mon"))


def test_nobody_is_there() -> None:
    assert placed([], ALL) == ((), ())


# ---------------------------------------------------------------- what stands


def test_services_stay_and_new_ones_are_added() -> None:
    before, _ = placed(machines(3), ALL)
    after, _ = placed([machine("a", memory=1024 * GIB), *machines(3)], ALL, before)
    assert after == before
    hall = racks(5)
    wide, _ = placed(machines(5, hall), ALL, before)
    assert on(wide, "mon")[:3] == on(before, "mon") and len(on(wide, "mon")) == 5
    assert len(set(buckets(wide, "mon"))) == 5


def test_a_service_goes_with_its_machine_and_is_replaced() -> None:
    before, _ = placed(machines(4))
    left = [one for one in machines(4) if one.name != "n1"]
    after, waits = placed(left, standing=before)
    assert on(after, "mon") == ["n2", "n3", "n4"] and waits == ()


def test_two_monitors_that_are_left_say_that_they_are_two() -> None:
    before, _ = placed(machines(3))
    after, waits = placed(machines(2), standing=before)
    assert on(after, "mon") == ["n1", "n2"]
    assert [wait.reason for wait in waits] == [WaitReason.TOO_FEW_MEMBERS]
    assert waits[0].text == "2 monitors on 2 hosts tolerate the loss of 0, as 1 would; add a host"


# ---------------------------------------------------------------- stretch


HALL = racks(4, datacenters=2)


def test_stretch_has_two_and_two_and_a_tiebreaker() -> None:
    services, waits = placed(machines(8, HALL), ALL, stretch=True)
    assert waits == ()
    assert buckets(services, "mon") == ["dc1", "dc1", "dc2", "dc2", "appliance"]
    assert sorted(buckets(services, "mgr")) == ["dc1", "dc1", "dc2", "dc2"]
    assert sorted(buckets(services, "mds")) == ["dc1", "dc2"]


@pytest.mark.parametrize("word", ["pi1", PI])
def test_a_pi_is_the_tiebreaker(word: str) -> None:
    pis = [machine("pi2", profile=PI), machine("pi1", Place(datacenter="dc3"), profile=PI)]
    services, waits = placed(machines(8, HALL), stretch=True, tiebreaker=word, outside=pis)
    assert on(services, "mon")[-1] == "pi1" and waits == ()
    again, _ = placed(
        machines(8, HALL), stretch=True, tiebreaker=PI, outside=[machine("pi0", profile=PI), *pis], standing=services
    )
    assert again == services


def test_a_tiebreaker_that_is_not_there_or_inside() -> None:
    services, waits = placed(machines(8, HALL), stretch=True, tiebreaker="pi1")
    assert services == () and [wait.reason for wait in waits] == [WaitReason.NO_QUORUM]
    inside = machine("pi1", Place(datacenter="dc2"), profile=PI)
    services, waits = placed(machines(8, HALL), stretch=True, tiebreaker="pi1", outside=[inside])
    assert services == ()
    assert waits[0].text == "the tiebreaker 'pi1' stands in datacenter dc2, one of the two sites; it must be outside"


def test_stretch_needs_two_sites() -> None:
    services, waits = placed(machines(9, racks(3, zones=3)), stretch=True)
    assert services == () and waits[0].reason is WaitReason.TOO_FEW_DOMAINS
    assert "3 zones, 0 datacenters, 0 rows, 3 racks are known" in waits[0].text
    _, waits = placed([machine("n1", HALL[0]), *machines(3, HALL[1:2], first=2)], stretch=True)
    assert waits[0].text == "stretch mode needs two hosts for monitors in each site; datacenter dc1 has 1"


def test_sites_are_where_the_osds_are() -> None:
    found = [*machines(4, HALL[:2]), machine("quiet", Place(datacenter="dc3", rack="r9"))]
    hosts = frozenset(f"m-n{i}" for i in range(1, 5))
    assert stretch_sites(found, hosts) == ("datacenter", ("dc1", "dc2"))
    assert stretch_sites(found, hosts | {"m-quiet"}) is None


def test_a_tiebreaker_goes_when_stretch_mode_does() -> None:
    before, _ = placed(machines(8, HALL), stretch=True)
    after, waits = placed(machines(8, HALL), standing=before)
    assert "appliance" not in on(after, "mon") and waits == ()
    assert on(after, "mon")[:4] == on(before, "mon")[:4] and len(on(after, "mon")) == 5, "an odd number again"


def test_how_many_monitors() -> None:
    assert monitors_wanted(CephSpec(), machines(20, racks(10, zones=3))) == 3
    assert monitors_wanted(CephSpec(), machines(20, racks(10, zones=5))) == 5
    assert monitors_wanted(CephSpec(monitors=7), machines(20)) == 7


def test_unknown_services_of_a_plan_are_kept_by_kind() -> None:
    standing = (ServiceLayout(kind="mds", machine="m-n1"), ServiceLayout(kind="mds", machine="m-gone"))
    services, _ = placed(machines(3), standing=standing)
    assert on(services, "mds") == ["n1"]
