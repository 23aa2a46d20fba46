"""How fast a machine's storage network is, as far as its inventory tells."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from agent.wire import Nic
from appliance.model.network import Carrier, Network, Plane
from appliance.model.site import Site
from appliance.plan.candidate import Candidate
from hwprofiles.profile import NicRole, NicRoleName

MEGABIT = 1_000_000 // 8
"""Bytes per second of 1 Mbit/s."""
STORAGE = (NicRoleName.STORAGE.value, NicRoleName.BACKBONE.value)
"""Roles whose ports carry Ceph, the best first."""


def storage_networks(site: Site, public: str, cluster: str) -> tuple[Network | None, Network | None]:
    """The networks of clients and of copies, by name or (empty name) by plane; None is the provisioning network. Copies take
    the clients' network when there is no other."""
    named = {network.name: network for network in site.networks}
    planes = {network.plane: network for network in reversed(site.networks)}
    first = named.get(public) if public else planes.get(Plane.STORAGE_PUBLIC, planes.get(Plane.STORAGE_CLUSTER))
    second = named.get(cluster) if cluster else planes.get(Plane.STORAGE_CLUSTER)
    return first, second or first


def storage_rate(member: Candidate, network: Network | None = None) -> int | None:
    """Bytes per second, each way, of the ports that carry a storage network; None when their links do not tell a speed.

    They are ports of the network's role, else of the profile's storage or backbone role. A bond counts all of them,
    everything else one. Without any such role the fastest port counts."""
    roles = {role.role.value: role for role in member.profile.nics}
    wanted = (network.role,) if network is not None and network.role else STORAGE
    role = next((roles[name] for name in wanted if name in roles), None)
    speeds = _speeds(member.inventory.nics, role)
    if not speeds or None in speeds:
        return None
    known = [speed for speed in speeds if speed]
    bonded = role is not None and network is not None and network.carrier is Carrier.BOND
    return (sum(known) if bonded else max(known)) * MEGABIT


def storage_rates(members: Iterable[Candidate], network: Network | None = None) -> dict[str, int | None]:
    """`storage_rate` of each member by its name; of members with the same ports it is asked once."""
    found: dict[str, int | None] = {}
    known: dict[tuple[object, ...], int | None] = {}
    for member in members:
        ports = (member.profile.name, *[(nic.driver, nic.speed) for nic in member.inventory.nics])
        if ports not in known:
            known[ports] = storage_rate(member, network)
        found[member.name] = known[ports]
    return found


def _speeds(nics: tuple[Nic, ...], role: NicRole | None) -> list[int | None]:
    """Speeds of the ports that a role means, links that are up first; of all links that are up when there is no role."""
    if role is None:
        return [nic.speed for nic in nics if nic.speed]
    fitting = [nic for nic in nics if not role.driver or any(fnmatch.fnmatchcase(nic.driver, p) for p in role.driver)]
    known = sorted((nic.speed for nic in fitting if nic.speed and nic.speed >= role.min_speed), reverse=True)
    unknown = [nic.speed for nic in fitting if not nic.speed]
    return [*known, *unknown][: role.count or None]
