"""The machine that the appliance runs on, as a place for a monitor of Ceph: where it is, or why it can't be told yet.

It is no node: it is not installed, has no disk for anybody, and stands in no rack. Its own agent says which addresses it
has, and which Ceph is on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network

from appliance.model.ceph import CephHost, CephLayout
from appliance.model.machine import APPLIANCE, Policy, TroubleKind
from appliance.model.observed import ObservedMachine
from appliance.model.site import Site

RELEASES = {"debian-13": "18"}
"""The Ceph release (its first number) that members get, by how their operating system's name begins. Monitors of one
cluster are of one release: an older one can't read what the others write, a newer one may not go back."""
START = "as root: systemctl enable --now rackseed-arbiter (or: rackseed serve arbiter)"


def arbiter_host(
    site: Site, layout: CephLayout, seen: ObservedMachine | None, public: str, taken: Mapping[str, str]
) -> CephHost | str:
    """The host for Ceph's steps, or why there is none, with what to do. ``public`` are the ranges of the public network,
    ``taken`` names of machines by the addresses that they have or get."""
    if seen is None or seen.inventory is None:
        return f"the appliance's own agent has not reported: start it {START}"
    it, inventory = seen.machine, seen.inventory
    if it.policy is not Policy.USE:
        return f"the appliance has the policy {it.policy}: rackseed machine use {APPLIANCE}"
    if it.trouble is not None and it.trouble.kind is TroubleKind.IDENTITY_CONFLICT:
        return "the appliance is in quarantine"
    wanted = next((number for name, number in RELEASES.items() if site.operating_system.startswith(name)), "")
    if not inventory.ceph:
        release = f", of release {wanted} as on {site.operating_system}" if wanted else ""
        return f"there is no ceph-mon on the appliance{release}: apt install ceph-mon ceph-common"
    if wanted and inventory.ceph.partition(".")[0] != wanted:
        return (
            f"the appliance has Ceph {inventory.ceph}, members have release {wanted} of {site.operating_system}: run the "
            f"appliance on {site.operating_system}, or name a machine as 'tiebreaker'"
        )
    address = _address(inventory.addresses, public)
    if not address:
        return f"the appliance has no address in network {layout.public} ({public}): give it one, outside the machines'"
    if address in taken:
        return f"the appliance has the address {address}, which is {taken[address]}'s: give it another one"
    return CephHost(machine=APPLIANCE, name=APPLIANCE, address=address)


def _address(addresses: tuple[str, ...], public: str) -> str:
    """The first of them in the ranges, IPv4 before IPv6; the agent sends them sorted."""
    ranges = [ip_network(word) for word in public.split(",") if word]
    return next((one for one in addresses if any(ip_address(one) in network for network in ranges)), "")
