"""Where machines stand."""

from __future__ import annotations

from appliance.model.place import Place, Rack
from appliance.model.site import ExpectedMachine
from appliance.plan.placement.location import Locations, locate
from tests.unit.plan.floor import hears, site

R1 = Rack(name="r1", row="a", datacenter="dc1", zone="z1", switches=("sw-r1", "mgmt-r1.example.net"))
R2 = Rack(name="r2", row="a", datacenter="dc1", zone="z1", switches=("sw-r2",))
R3 = Rack(name="r3", row="b", datacenter="dc1", zone="z1", switches=("sw-r3",))
R4 = Rack(name="r4", row="a", datacenter="dc2", zone="z2", switches=("sw-r4", "shared"))
R5 = Rack(name="r5", switches=("shared",))
SITE = site(racks=(R1, R2, R3, R4, R5))
IN_R1 = Place(zone="z1", datacenter="dc1", row="a", rack="r1")


def test_the_site_file_decides() -> None:
    entry = ExpectedMachine(name="n1", rack="r1", unit=12)
    assert locate(SITE, entry, hears(("sw-r2", "1"))) == Place(zone="z1", datacenter="dc1", row="a", rack="r1", unit=12)


def test_a_rack_that_is_not_in_the_site_file_is_still_a_rack() -> None:
    assert locate(SITE, ExpectedMachine(name="n1", rack="cellar", unit=3), None) == Place(rack="cellar", unit=3)


def test_by_the_switch_that_is_heard() -> None:
    assert locate(SITE, None, hears(("sw-r1", "1"), ("SW-R1", "2"))) == IN_R1


def test_names_with_and_without_domain_are_the_same_switch() -> None:
    assert locate(SITE, None, hears(("sw-r1.example.org", "1"))) == IN_R1
    assert locate(SITE, None, hears(("mgmt-r1", "1"))) == IN_R1


def test_the_unit_of_the_entry_stays_when_only_the_rack_is_heard() -> None:
    assert locate(SITE, ExpectedMachine(name="n1", unit=7), hears(("sw-r1", "1"))).unit == 7


def test_two_racks_agree_on_what_is_above_them() -> None:
    assert locate(SITE, None, hears(("sw-r1", "1"), ("sw-r2", "1"))) == Place(zone="z1", datacenter="dc1", row="a")
    assert locate(SITE, None, hears(("sw-r1", "1"), ("sw-r3", "1"))) == Place(zone="z1", datacenter="dc1")


def test_rows_of_two_datacenters_are_not_the_same_row() -> None:
    assert locate(SITE, None, hears(("sw-r1", "1"), ("sw-r4", "1"))) == Place()


def test_a_switch_of_two_racks_places_nobody() -> None:
    assert locate(SITE, None, hears(("shared", "1"))) == Place()


def test_nothing_known() -> None:
    assert locate(SITE, None, None) == Place()
    assert locate(SITE, ExpectedMachine(name="n1"), hears(("other", "1"))) == Place()


def test_what_was_planned_holds_when_lldp_is_silent_or_says_something_else() -> None:
    assert locate(SITE, None, None, IN_R1) == IN_R1
    assert locate(SITE, None, hears(("sw-r3", "1")), IN_R1) == IN_R1


def test_what_was_planned_follows_the_rack_when_the_site_file_moves_it() -> None:
    moved = site(racks=(Rack(name="r1", row="c", zone="z9"),))
    assert locate(moved, None, None, IN_R1) == Place(zone="z9", row="c", rack="r1")


def test_the_site_file_goes_before_what_was_planned() -> None:
    assert locate(SITE, ExpectedMachine(name="n1", rack="r3"), None, IN_R1).rack == "r3"


def test_one_index_for_many_machines() -> None:
    locations = Locations(SITE)
    assert {locations.place(ExpectedMachine(name="n", rack=rack), None).rack for rack in ("r1", "r2")} == {"r1", "r2"}
