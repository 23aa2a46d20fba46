"""The ladder: numbers, and addresses that follow from them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network

import pytest

from appliance.model.network import Network, Plane
from appliance.model.plan import Allocation, Wait, WaitReason
from appliance.model.site import ExpectedMachine
from appliance.plan.network.addresses import Ladder
from tests.unit.plan.wires import PROVISIONING, network, site

STORAGE = network("storage", Plane.STORAGE_PUBLIC, 4)


def has(machine: str, number: int = 0, **addresses: str) -> Allocation:
    return Allocation(
        machine=machine, name=f"n{number}", address="", profile="", number=number, addresses=tuple(addresses.items())
    )


def test_numbers_are_the_lowest_free_ones() -> None:
    ladder = Ladder(site(), {"m-b": has("m-b", 2), "m-d": has("m-d", 4), "m-e": has("m-e")})
    assert [ladder.number(who) for who in ("m-b", "m-x", "m-y", "m-e", "m-x", "m-d")] == [2, 1, 3, 5, 1, 4]


def test_a_number_that_two_have_is_kept_by_one() -> None:
    """Only a damaged store could say so."""
    ladder = Ladder(site(), {"m-b": has("m-b", 1), "m-a": has("m-a", 1)})
    assert (ladder.number("m-a"), ladder.number("m-b")) == (1, 2)


def test_the_number_is_the_host_part_in_every_network() -> None:
    both = replace(STORAGE, cidr6=IPv6Network("fd00:1:2:4::/64"))
    only6 = Network(name="mgmt", plane=Plane.MANAGEMENT, cidr6=IPv6Network("fd00:1:2:2::/64"))
    wide = network("migration", Plane.MIGRATION, 0, cidr=IPv4Network("10.9.0.0/16"))
    small = network("corosync", Plane.COROSYNC, 0, cidr=IPv4Network("10.8.0.64/26"))
    ladder = Ladder(site(both, wide, only6, small), {})
    assert ladder.addresses("m-1", 19) == (
        ("corosync", "10.8.0.83"),
        ("mgmt/6", "fd00:1:2:2::13"),
        ("migration", "10.9.0.19"),
        ("storage", "10.1.4.19"),
        ("storage/6", "fd00:1:2:4::13"),
    )
    found = dict(Ladder(site(wide), {}).addresses("m-1", 300))
    assert found["migration"] == "10.9.1.44"


def test_guests_and_booting_machines_get_none_here() -> None:
    tenant, boot = network("guests", Plane.TENANT, 9), network("boot", Plane.PROVISIONING, 8)
    assert Ladder(site(tenant, boot), {}).addresses("m-1", 1) == ()


@pytest.mark.parametrize("gateway", ["10.1.4.7", ""])
def test_what_the_site_uses_itself_is_never_given(gateway: str) -> None:
    """The gateway, name and time servers, BMCs: the machine gets the highest address instead."""
    described = site(
        replace(STORAGE, gateway=gateway, plane=Plane.MANAGEMENT),
        dns_servers=() if gateway else ("10.1.4.7",),
        time_servers=("10.1.4.254", "ntp.example.org"),
        machines=(ExpectedMachine(name="n1", bmc="10.1.4.253"), ExpectedMachine(name="n2", bmc="bmc2.example.org")),
    )
    ladder = Ladder(described, {})
    assert ladder.addresses("m-7", 7) == (("storage", "10.1.4.252"),)
    assert ladder.addresses("m-8", 8) == (("storage", "10.1.4.8"),)
    assert ladder.addresses("m-300", 300) == (("storage", "10.1.4.251"),)


def test_the_appliance_keeps_its_address_in_an_overlapping_network() -> None:
    inside = network("mgmt", Plane.MANAGEMENT, 0, cidr=IPv4Network("10.1.0.0/28"))
    described = site(inside, provisioning=replace(PROVISIONING, gateway=IPv4Address("10.1.0.2")))
    assert Ladder(described, {}).addresses("m-1", 1) == (("mgmt", "10.1.0.14"),)
    assert Ladder(described, {}).addresses("m-2", 2) == (("mgmt", "10.1.0.14"),)


def test_kept_addresses_stay_while_they_fit() -> None:
    kept = {
        "m-a": has("m-a", 1, storage="10.1.4.200", gone="10.1.9.1"),
        "m-b": has("m-b", 2, storage="10.7.4.2"),
        "m-c": has("m-c", 3, storage="10.1.4.200"),
        "m-d": has("m-d", 4, storage="nonsense"),
        "m-e": has("m-e", 200),
    }
    ladder = Ladder(site(STORAGE), kept)
    assert [ladder.addresses(who, ladder.number(who)) for who in sorted(kept)] == [
        (("storage", f"10.1.4.{host}"),) for host in (200, 2, 3, 4, 254)
    ]


def test_asking_again_gives_the_same() -> None:
    ladder = Ladder(site(STORAGE), {})
    assert ladder.addresses("m-1", 1) == ladder.addresses("m-1", 1)


def test_what_is_kept_of_machines_that_are_not_planned_is_nobody_elses() -> None:
    ladder = Ladder(site(STORAGE), {"m-away": has("m-away", 1, storage="10.1.4.2")})
    assert ladder.number("m-new") == 2
    assert ladder.addresses("m-new", 2) == (("storage", "10.1.4.254"),)


def test_a_full_network_is_told_with_its_numbers_and_takes_nothing() -> None:
    tiny = network("tiny", Plane.STORAGE_CLUSTER, 0, cidr=IPv4Network("10.3.0.0/29"), gateway="10.3.0.1")
    roomy = network("roomy", Plane.STORAGE_PUBLIC, 4)
    ladder = Ladder(site(tiny, roomy), {"m-9": has("m-9", 9)})
    for number in range(1, 6):
        assert not isinstance(ladder.addresses(f"m-{number}", number), Wait)
    assert ladder.addresses("m-9", 9) == Wait(
        about="n9",
        reason=WaitReason.NO_ADDRESS,
        text="network 'tiny' (10.3.0.0/29) has 5 addresses for machines and all are taken; give it a larger cidr that "
        "contains this one, or retire machines",
    )
    assert Ladder(site(roomy), {}).addresses("m-9", 9) == (("roomy", "10.1.4.9"),)


@pytest.mark.parametrize(
    ("cidr", "found"),
    [
        ("10.3.0.0/31", ["10.3.0.1", "10.3.0.0"]),
        ("10.3.0.8/32", ["10.3.0.8"]),
        ("10.3.0.0/30", ["10.3.0.1", "10.3.0.2"]),
    ],
)
def test_the_smallest_networks(cidr: str, found: list[str]) -> None:
    """RFC 3021: both addresses of a /31 are a host's."""
    ladder = Ladder(site(network("p2p", Plane.MIGRATION, 0, cidr=IPv4Network(cidr))), {})
    given = [ladder.addresses(f"m-{number}", number) for number in range(1, len(found) + 1)]
    assert given == [(("p2p", address),) for address in found]
    assert isinstance(ladder.addresses("m-9", 9), Wait)
