"""Which port is for what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.wire import Nic
from appliance.model.network import Carrier, Plane
from appliance.plan.network.nicroles import backbone_choices, backbone_ports, nic_roles, ordered_ports
from appliance.plan.network.ports import nic_names
from hwprofiles.profile import NicRole, NicRoleName
from tests.unit.plan.wires import PROFILES, candidate, mac, network, ports, site


def roles(*nics: Nic, profile: str = "epyc-compute", **facts: object) -> list[str]:
    found = candidate(1, nics=nics, profile=profile, **facts)
    return [nic_roles(found)[nic.mac] for nic in ordered_ports(found)]


def test_an_epyc_board() -> None:
    """Two slow ports on board and a card with two fast ones."""
    assert roles(*ports(1)) == ["provisioning", "cluster", "backbone", "backbone"]


def test_the_boot_port_is_for_provisioning_whatever_it_can() -> None:
    assert roles(*ports(1), boot_mac=mac(1, 3)) == ["cluster", "", "backbone", "provisioning"]
    assert roles(*ports(1, fast=1, slow=0)) == ["provisioning"]
    assert roles(*ports(1), boot_mac="") == ["provisioning", "cluster", "backbone", "backbone"]


def test_speed_without_a_link() -> None:
    """A port tells its speed only while it has a link; what it can do counts, where the driver says so."""
    first, second = ports(1, fast=0)
    fast = Nic(name="e2", mac=mac(1, 2), driver="ice", bus_path="0000:81:00.0", speed=1000, max_speed=25000)
    unknown = replace(fast, mac=mac(1, 3), max_speed=None, bus_path="0000:82:00.0")
    linked = replace(unknown, mac=mac(1, 4), speed=25000, bus_path="0000:83:00.0")
    assert roles(first, second, fast, unknown, linked) == ["provisioning", "cluster", "backbone", "", "backbone"]


def test_a_virtual_machine_has_a_backbone_without_speeds() -> None:
    nics = tuple(
        Nic(name=f"eth{n}", mac=mac(1, n), driver="virtio_net", bus_path=f"0000:00:0{n}.0", identifying=False)
        for n in range(5)
    )
    assert roles(*nics, profile="generic-x86-64") == ["provisioning", "backbone", "backbone", "cluster", ""]


@pytest.mark.parametrize(
    "nic",
    [
        Nic(name="ib0", mac=":".join(["80"] * 20), driver="mlx5_core", bus_path="0000:81:00.0", max_speed=100000),
        Nic(name="usb0", mac="be:3a:f2:b6:05:9f", driver="cdc_ether", bus_path="0000:81:00.0", identifying=False),
    ],
)
def test_infiniband_and_adapters_of_bmcs_have_no_role(nic: Nic) -> None:
    boot, _ = ports(1, fast=0)
    assert roles(boot, nic) == ["provisioning", ""]


def test_an_adapter_gets_the_role_that_asks_for_its_driver() -> None:
    usb = Nic(name="usb0", mac="2c:cf:67:00:00:09", driver="cdc_ncm", bus_path="0000:81:00.0")
    rules = (NicRole(role=NicRoleName.CLUSTER, driver=("r8152", "cdc_*")),)
    found = candidate(1, nics=(*ports(1, 0, 1), usb), profile=replace(PROFILES["raspberry-pi-5"], nics=rules))
    assert nic_roles(found)[usb.mac] == "cluster"


def test_a_card_that_comes_later_takes_nothing_away() -> None:
    """It sits before the others on the bus, but its names come after theirs."""
    rules = (NicRole(role=NicRoleName.STORAGE, min_speed=25000, count=2),)
    profile = replace(PROFILES["epyc-compute"], nics=rules)
    before = candidate(1, profile=profile)
    card = Nic(name="new", mac="b4:96:91:00:00:99", driver="ice", bus_path="0000:01:00.0", max_speed=100000)
    inventory = replace(before.inventory, nics=(card, *before.inventory.nics))
    machine = replace(before.machine, inventory=inventory)
    after = replace(
        before,
        machine=machine,
        inventory=inventory,
        given=replace(before.given, nics=nic_names(machine, before.given.nics)),
    )
    assert nic_roles(after) == {**nic_roles(before), card.mac: ""}


def test_the_backbone_takes_the_ports_that_its_networks_need() -> None:
    mesh = site(network("storage", Plane.STORAGE_PUBLIC, 4, Carrier.MESH), network("mgmt", Plane.MANAGEMENT, 2))
    assert backbone_choices(mesh) == (("storage", "backbone"),)
    assert backbone_choices(site()) == (("backbone", "storage"),)
    own = site(network("storage", Plane.STORAGE_PUBLIC, 4, Carrier.MESH, role="cluster"))
    found = nic_roles(candidate(1))
    assert backbone_ports(backbone_choices(mesh), found) == (mac(1, 2), mac(1, 3))
    assert backbone_ports(backbone_choices(own), found) == (mac(1, 1),)
    assert backbone_ports(backbone_choices(mesh), nic_roles(candidate(1, nics=ports(1, fast=0)))) == ()
