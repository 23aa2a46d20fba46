"""Machines with ports and cables, sites with networks, and their layouts as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Any

from agent.wire import Environment, Firmware, Inventory, Memory, Neighbour, Nic
from appliance.model.cluster import ClusterSpec
from appliance.model.machine import Machine, Phase, Policy
from appliance.model.network import BackboneLayout, BackboneSpec, Cable, Carrier, HostNetwork, Network, Plane
from appliance.model.observed import ObservedMachine
from appliance.model.place import Place
from appliance.model.plan import Allocation, Wait
from appliance.model.site import ProvisioningNetwork, Site
from appliance.plan.candidate import Candidate
from appliance.plan.network.addresses import Ladder
from appliance.plan.network.backbone import plan_backbone
from appliance.plan.network.ports import nic_names
from hwprofiles.loader import load_profiles
from hwprofiles.profile import Profile

PROFILES = {profile.name: profile for profile in load_profiles()}
PROVISIONING = ProvisioningNetwork(
    cidr=IPv4Network("10.1.0.0/24"),
    appliance=IPv4Address("10.1.0.1"),
    first=IPv4Address("10.1.0.128"),
    last=IPv4Address("10.1.0.254"),
)


def network(name: str, plane: Plane, number: int, carrier: Carrier = Carrier.PORT, **more: Any) -> Network:
    """``10.1.NUMBER.0/24``, of the ladder."""
    return Network(
        **{"name": name, "plane": plane, "cidr": IPv4Network(f"10.1.{number}.0/24"), "carrier": carrier} | more
    )


def site(*networks: Network, backbone: BackboneSpec | None = None, clusters: Sequence[str] = (), **more: Any) -> Site:
    known: dict[str, Any] = {"name": "lab", "domain": "internal", "provisioning": PROVISIONING}
    specs = tuple(ClusterSpec(name=name) for name in clusters)
    return Site(**known | {"networks": networks, "backbone": backbone, "clusters": specs} | more)


def mac(machine: int, port: int) -> str:
    """Port 0 is the one that the machine boots from."""
    return f"3c:ec:ef:00:{machine:02x}:{port:02x}"


def ports(
    machine: int, fast: int = 2, slow: int = 2, neighbours: Mapping[int, Neighbour] | None = None
) -> tuple[Nic, ...]:
    """``slow`` ports of 1G, of which the first boots, then ``fast`` ones of 25G."""
    heard = neighbours or {}
    return tuple(
        Nic(
            name=f"eth{port}",
            mac=mac(machine, port),
            driver="igb" if port < slow else "ice",
            max_speed=1000 if port < slow else 25000,
            bus_path=f"0000:{0x41 + port:02x}:00.0",
            neighbours=(heard[port],) if port in heard else (),
        )
        for port in range(slow + fast)
    )


def candidate(
    number: int,
    *,
    nics: tuple[Nic, ...] | None = None,
    profile: str | Profile = "epyc-compute",
    given: Mapping[str, Any] | None = None,
    ladder: Ladder | None = None,
    **facts: Any,
) -> Candidate:
    """Machine ``m-NUMBER`` called ``nNUMBER``, with addresses from ``ladder``."""
    who = f"m-{number}"
    known: dict[str, Any] = {
        "environment": Environment.IMAGE,
        "architecture": "x86_64",
        "firmware": Firmware.UEFI,
        "memory": Memory(total=64 << 30),
        "nics": ports(number) if nics is None else nics,
        "boot_mac": mac(number, 0),
    }
    inventory = Inventory(**known | facts)
    machine = ObservedMachine(
        machine=Machine(id=who, policy=Policy.USE, phase=Phase.READY, phase_since=1.0), inventory=inventory
    )
    chosen = PROFILES[profile] if isinstance(profile, str) else profile
    allocation = Allocation(
        machine=who,
        name=f"n{number}",
        address=f"10.1.0.{number + 1}",
        profile=chosen.name,
        nics=nic_names(machine, ()),
        number=number,
    )
    if ladder is not None:
        allocation = replace(allocation, number=ladder.number(who))
        addresses = ladder.addresses(who, allocation.number)
        assert not isinstance(addresses, Wait), addresses
        allocation = replace(allocation, addresses=addresses)
    allocation = replace(allocation, **dict(given or {}))
    return Candidate(machine=machine, inventory=inventory, profile=chosen, place=Place(), given=allocation)


def cabled(count: int, *cables: tuple[int, int, int, int], fast: int = 2, deaf: Iterable[int] = ()) -> list[Candidate]:
    """Machines 1 to ``count`` whose ports hear each other: cables are (machine, port, machine, port). Machines in ``deaf``
    hear nothing, though they are heard."""
    heard: dict[int, dict[int, Neighbour]] = {number: {} for number in range(1, count + 1)}
    for a, a_port, b, b_port in cables:
        for near, near_port, far, far_port in ((a, a_port, b, b_port), (b, b_port, a, a_port)):
            if near not in deaf:
                told = Neighbour(
                    chassis=f"n{far}", port=mac(far, far_port), system=f"n{far}", port_description=f"eth{far_port}"
                )
                heard[near][near_port] = told
    return [candidate(number, nics=ports(number, fast, neighbours=heard[number])) for number in heard]


def ring_cables(count: int) -> list[tuple[int, int, int, int]]:
    """Port 3 of each to port 2 of the next one."""
    return [(number, 3, number % count + 1, 2) for number in range(1, count + 1)]


def mesh_cables(count: int) -> list[tuple[int, int, int, int]]:
    """Every machine uses its ports from 2 on, in the order of the others."""
    return [(a, b, b, a + 1) for a in range(1, count + 1) for b in range(a + 1, count + 1)]


def cable(a: str, b: str) -> Cable:
    """``n1:nic2`` to ``n2:nic3``; without a port any will do."""
    (a, _, a_port), (b, _, b_port) = a.partition(":"), b.partition(":")
    return Cable(a=a, b=b, a_port=a_port, b_port=b_port)


def ula(text: str) -> IPv6Network:
    return IPv6Network(text)


AUTO = BackboneSpec()
STORAGE = network("storage", Plane.STORAGE_PUBLIC, 4, mtu=9000)


def wants(*cables: tuple[str, str], **spec: object) -> Site:
    """A site with these declared cables."""
    return site(STORAGE, backbone=BackboneSpec(cables=tuple(cable(a, b) for a, b in cables), **spec))  # type: ignore[arg-type]


def form(
    described: Site, machines: Sequence[Candidate], standing: BackboneLayout | None = None
) -> tuple[BackboneLayout, tuple[Wait, ...]]:
    layout, waits = plan_backbone(described, machines, standing)
    assert layout is not None, waits
    return layout, waits


def states(layout: BackboneLayout) -> dict[str, str]:
    """``m-1 m-2`` → the state of their cable."""
    return {f"{entry.a} {entry.b}": entry.state.value for entry in layout.cables}


# ---------------------------------------------------------------- as text


def host_text(host: HostNetwork) -> str:
    """One line for everything that a machine's network consists of."""
    lines = [f"port {p.name} {p.mac} role={p.role or '-'} user={p.user or '-'} mtu={p.mtu}" for p in host.ports]
    lines += [f"bond {b.name} {' '.join(b.ports)} {b.mode} lacp-rate={b.lacp_rate} mtu={b.mtu}" for b in host.bonds]
    lines += [f"vlan {v.name} on {v.raw} id={v.vlan} mtu={v.mtu}" for v in host.vlans]
    lines += [f"bridge {b.name} on {b.port} vlan-aware={b.vlan_aware} mtu={b.mtu}" for b in host.bridges]
    for entry in host.addresses:
        gateway = f" gateway {entry.gateway}" if entry.gateway else ""
        lines.append(
            f"address {entry.interface} {entry.address or 'by DHCP'} ({entry.network}, {entry.plane}){gateway}"
        )
    if host.router_id:
        lines.append(f"loopback {host.loopback4} {host.loopback6} router-id {host.router_id}")
    lines += [f"net {host.net}"] if host.net else []
    lines += [f"asn {host.asn}"] if host.asn else []
    lines += [f"missing: {text}" for text in host.missing]
    return "".join(f"{line}\n" for line in lines)


def backbone_text(layout: BackboneLayout | None, waits: Sequence[Wait]) -> str:
    lines = ["no backbone"]
    if layout is not None:
        lines = [
            f"{layout.shape} of {' '.join(layout.members)}, routing {layout.routing}{' with BFD' if layout.bfd else ''}",
            f"why: {layout.why}",
        ]
        lines += [f"loopbacks {layout.loopbacks}, {layout.ula}"] if layout.loopbacks else []
        lines += [f"cable {c.a} {c.a_mac or 'any'} - {c.b} {c.b_mac or 'any'}: {c.state}" for c in layout.cables]
    lines += [f"wait {wait.about} ({wait.reason}): {wait.text}" for wait in waits]
    return "".join(f"{line}\n" for line in lines)
