"""Which port of a machine is for what: the roles of its hardware profile, given to ports by permanent MAC."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from agent.wire import Nic
from appliance.model.network import ROUTED, Network, Plane
from appliance.model.site import Site
from appliance.plan.candidate import Candidate
from appliance.plan.network.ports import boot_port
from hwprofiles.profile import NicRole, NicRoleName

MAC_LENGTH = 17
"""Text of an Ethernet address; InfiniBand ports have twenty bytes, and can neither be bonded by LACP nor bridged."""

_CARRYING: dict[Plane, tuple[str, ...]] = {
    Plane.COROSYNC: (NicRoleName.CLUSTER.value,),
    Plane.STORAGE_PUBLIC: (NicRoleName.STORAGE.value, NicRoleName.BACKBONE.value),
    Plane.STORAGE_CLUSTER: (NicRoleName.STORAGE.value, NicRoleName.BACKBONE.value),
    Plane.MIGRATION: (NicRoleName.BACKBONE.value, NicRoleName.STORAGE.value),
    Plane.TENANT: (NicRoleName.BACKBONE.value,),
}
_BACKBONE = (NicRoleName.BACKBONE.value, NicRoleName.STORAGE.value)

_ADAPTERS = frozenset({"cdc_ether", "cdc_ncm", "cdc_eem", "rndis_host"})
"""Drivers of the network ports that BMCs and phones pretend to be: never for a role that does not ask for them."""


def nic_roles(candidate: Candidate) -> Mapping[str, str]:
    """Permanent MAC → a word of `NicRoleName`, or empty, for every port of the machine, in the order of pinned names.

    The boot port is ``provisioning``, whatever else would fit it. The other roles choose in the order of the profile among
    the ports that are left, by driver and by the speed that the port can do (the current one where the driver tells
    nothing else); a role with a ``count`` takes the first ones, 0 takes all. The order is that of the pinned names, not
    of the bus: a card that is added later has higher names, and takes nothing away from the ports that were there. Ports
    of an installed machine keep the roles that they have, also while their links are down."""
    ports = ordered_ports(candidate)
    roles = dict.fromkeys((nic.mac for nic in ports), "")
    if candidate.standing:
        roles.update((mac, role) for mac, role in candidate.roles if mac in roles)
    boot = boot_port(candidate.inventory, candidate.given.port)
    if boot is not None and boot.mac in roles and NicRoleName.PROVISIONING.value not in roles.values():
        roles[boot.mac] = NicRoleName.PROVISIONING.value
    have = Counter(roles.values())
    for rule in candidate.profile.nics:
        if rule.role is NicRoleName.PROVISIONING:
            continue
        for nic in ports:
            if rule.count and have[rule.role.value] >= rule.count:
                break
            if not roles[nic.mac] and _fits(nic, rule):
                roles[nic.mac] = rule.role.value
                have[rule.role.value] += 1
    return roles


def carrying_roles(network: Network) -> tuple[str, ...]:
    """The roles whose ports may carry a network, best first: the site file's, else by plane. After them comes the
    provisioning port, which is the only choice where this is empty."""
    return (network.role,) if network.role else _CARRYING.get(network.plane, ())


def backbone_choices(site: Site) -> tuple[tuple[str, ...], ...]:
    """Which roles the backbone may take its ports from, one entry for each network that it routes."""
    routed = {carrying_roles(network) for network in site.networks if network.carrier in ROUTED}
    return tuple(sorted(routed - {()})) or (_BACKBONE,)


def backbone_ports(choices: Iterable[tuple[str, ...]], roles: Mapping[str, str]) -> tuple[str, ...]:
    """MACs of the ports that form the backbone: those of the first role of each choice that the machine has ports of."""
    there = set(roles.values())
    taken = {next((role for role in choice if role in there), "") for choice in choices} - {""}
    return tuple(mac for mac, role in roles.items() if role in taken)


def ordered_ports(candidate: Candidate) -> list[Nic]:
    """Ports that are there and have a pinned name, in the order of these names (which `network.nic_names` keeps)."""
    found = {nic.mac: nic for nic in candidate.inventory.nics}
    return [found[mac] for mac, _ in candidate.given.nics if mac in found]


def _fits(nic: Nic, rule: NicRole) -> bool:
    if len(nic.mac) != MAC_LENGTH:
        return False
    if (nic.max_speed or nic.speed or 0) < rule.min_speed:
        return False
    if rule.driver:
        return any(fnmatchcase(nic.driver, pattern) for pattern in rule.driver)
    return nic.driver not in _ADAPTERS
