"""Machines, clusters and corosync."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

from agent.wire import Cpu
from appliance.model.network import BondLayout, VlanLayout
from appliance.model.place import Place, Rack
from appliance.model.plan import Step, StepKind, WaitReason
from appliance.model.site import FirmwareBaseline, Repository
from tests.unit.plan.lintcases.case import case
from tests.unit.plan.lintcases.net import more
from tests.unit.plan.lintcases.sane import HOSTS, Sane, who


def board(s: Sane, number: int, **facts: Any) -> None:
    inventory = s.machines[number].inventory
    assert inventory is not None
    s.observe(number, board=replace(inventory.board, **facts))


def spec(s: Sane, **facts: Any) -> None:
    s.of_site(clusters=(replace(s.site.clusters[0], **facts),))


# ---------------------------------------------------------------- steps


def twice(s: Sane) -> None:
    step = Step(key="first-boot/m-1", kind=StepKind.FIRST_BOOT, machine="m-1", name="n1")
    s.plan = replace(s.plan, steps=(step, step))


case("step-twice", twice)

# ---------------------------------------------------------------- machines

case(
    "node-twice",
    lambda s: s.change(nodes=(*s.plan.desired.nodes, replace(s.plan.desired.nodes[7], machine="m-1"))),
    also="asn-twice loopback-twice node-number-twice planned-address-twice port-unknown rack-unit-twice",
)
case("node-unknown", lambda s: s.machines.pop(8), also="osd-disk-missing")
case("node-unseen", lambda s: (s.machines.pop(8), s.wait("n8", WaitReason.STANDS)))
case("node-name-invalid", lambda s: s.node(1, name="n_1"), also="host-not-in-tree osd-in-wrong-host")
case("node-number-twice", lambda s: s.node(1, number=2), lambda s: s.node(1, number=0))
case("rack-unknown", lambda s: s.node(1, place=Place()), also="bucket-not-place")
case(
    "rack-unit-twice",
    lambda s: s.node(1, place=Place(rack="r1", unit=2)),
    lambda s: s.node(1, place=Place(rack="r1", unit=43)),
)


def baseline(**facts: str) -> Any:
    return lambda s: s.of_site(firmware=(FirmwareBaseline(profile="epyc-compute", **facts),))


case("firmware-differs", baseline(bios="2.5"), baseline(bmc="1.06"))


def nic_firmware(s: Sane) -> None:
    inventory = s.machines[1].inventory
    assert inventory is not None
    s.observe(1, nics=tuple(replace(nic, firmware="8.30") for nic in inventory.nics))
    baseline(nic="8.40")(s)


case("firmware-differs", nic_firmware)

# ---------------------------------------------------------------- clusters


def second(s: Sane, **facts: Any) -> None:
    """A second cluster that is like the first."""
    first = s.plan.desired.clusters[0]
    s.change(clusters=(first, replace(first, **facts)))


case("machine-in-two-clusters", lambda s: second(s, name="pve2"), also="member-unknown")
case("member-unknown", lambda s: s.node(1, cluster="other"))
case("member-unknown", lambda s: s.node(1, cluster=""))
case("cluster-too-large", lambda s: (s.ready(), spec(s, maximum=7)))
case("cluster-above-maximum", lambda s: spec(s, maximum=7))
case("cluster-orphaned", lambda s: (s.of_site(clusters=()), s.wait("pve", WaitReason.HELD)))
case("member-absent", lambda s: s.change(nodes=s.plan.desired.nodes[:7]))
case("cluster-name", lambda s: (s.cluster(name="a-name-of-16-let"), join(s, "a-name-of-16-let")))
case("cluster-name", lambda s: (s.cluster(name="1pve"), join(s, "1pve")))


def join(s: Sane, name: str) -> None:
    s.change(nodes=tuple(replace(node, cluster=name) for node in s.plan.desired.nodes))


case("cluster-name", second, also="machine-in-two-clusters")
case("cluster-without-spec", lambda s: s.cluster(spec="other"))
case(
    "cluster-without-spec",
    lambda s: second(s, name="pve2", members=(), arbiter="", votes=0, quorum=1, tolerates=-1),
    also="even-votes",
)
case("even-votes", lambda s: s.cluster(arbiter="", votes=8, quorum=5, tolerates=3))
case("even-votes-wanted", lambda s: (spec(s, arbiter="none"), s.cluster(arbiter="", votes=8, quorum=5, tolerates=3)))
case("arbiter-is-member", lambda s: s.cluster(arbiter="m-1"), lambda s: s.cluster(arbiter="m-77"))
case(
    "quorum-wrong",
    lambda s: s.cluster(votes=8),
    lambda s: s.cluster(quorum=4),
    lambda s: s.cluster(tolerates=5),
)


case(
    "even-votes-wanted",
    lambda s: (s.cluster(arbiter="", votes=8, quorum=5, tolerates=3), s.wait("pve", WaitReason.NO_QUORUM)),
)


def of_three(s: Sane) -> None:
    """Ceph stays as it is; the cluster has only three of its machines."""
    s.cluster(members=tuple(map(who, (1, 2, 3))), arbiter="", votes=3, quorum=2, tolerates=1)


case("few-nodes", of_three)
case(
    "nothing-may-fail",
    lambda s: s.cluster(members=("m-1",), arbiter="", votes=1, quorum=1, tolerates=0),
    also="few-nodes",
)
case("frozen-missing", lambda s: s.cluster(frozen=""), lambda s: s.of_ceph(frozen=""))
case("frozen-missing", lambda s: (s.of_ceph(frozen=""), s.of_site(repositories=(Repository(name="ceph"),))))

# ---------------------------------------------------------------- corosync


def links(*names: str) -> Any:
    return lambda s: s.cluster(links=names)


case("no-corosync-links", links())
case("no-corosync-links", links("ring0", "nowhere"))
case("no-corosync-links", links(*["ring0"] * 9), also="two-links-one-network")
case("two-links-one-network", links("ring0", "ring0"))
case(
    "link-not-connected",
    lambda s: s.host(1, addresses=tuple(a for a in s.plan.desired.nodes[0].network.addresses if a.network != "ring0")),
)
case(
    "link-range-too-small",
    lambda s: s.network("ring0", cidr=IPv4Network("10.1.20.0/29")),
    also="planned-address-outside",
)
case("corosync-on-storage", links("public", "ring0"), links("copies", "ring0"))
case("corosync-on-storage-wanted", lambda s: (links("public", "ring0")(s), spec(s, links=("public", "ring0"))))
case("corosync-on-storage-wanted", links("ring0", "public", "management"))
case("one-corosync-link", links("ring0"))


def ring_on_bond(s: Sane, mode: str = "802.3ad", rate: str = "fast") -> None:
    """Link0 as a VLAN of the storage bond."""
    for number in HOSTS:
        more(s, number, "vlans", VlanLayout(name="bond0.20", raw="bond0", vlan=20))
        s.part(number, "addresses", "ring0", interface="bond0.20")
        s.part(number, "bonds", "bond0", mode=mode, lacp_rate=rate)


def ring_on_own_bond(s: Sane, mode: str, rate: str = "") -> None:
    """Link0 on a bond of its own; storage on none."""
    for number in HOSTS:
        more(s, number, "bonds", BondLayout(name="bond1", ports=("nic1",), mode=mode, lacp_rate=rate))
        s.part(number, "addresses", "ring0", interface="bond1")


case("corosync-shares-port", ring_on_bond)
case(
    "corosync-bond-mode",
    lambda s: ring_on_own_bond(s, "balance-rr"),
    lambda s: ring_on_own_bond(s, "balance-alb"),
    also="bond-of-one",
)
case(
    "corosync-bond-slow",
    lambda s: ring_on_own_bond(s, "802.3ad", "slow"),
    lambda s: ring_on_own_bond(s, "802.3ad"),
    also="bond-of-one",
)


def one_port(s: Sane) -> None:
    for number in HOSTS:
        s.part(number, "addresses", "ring0", interface="nic0")


case("links-share-port", one_port)


def zones(s: Sane) -> None:
    s.of_site(racks=tuple(replace(rack, zone=f"z{int(rack.name[1]) % 2}") for rack in s.site.racks))
    for number, node in enumerate(s.plan.desired.nodes, 1):
        s.node(number, place=replace(node.place, zone=f"z{int(node.place.rack[1]) % 2}"))


case("cluster-spans-zones", zones, also="bucket-not-place")

# ---------------------------------------------------------------- members

case(
    "mixed-cpu-vendors",
    lambda s: s.observe(1, cpu=Cpu(model="Intel Xeon", vendor="GenuineIntel", threads=64)),
    lambda s: s.observe(1, cpu=Cpu(model="Intel(R) Xeon(R) Gold 6338", threads=64)),
)
case("mixed-architectures", lambda s: s.observe(1, architecture="aarch64"))
case("members-without-bmc", lambda s: s.observe(1, bmc=None))
case("shared-chassis", lambda s: board(s, 1, chassis_serial="C902LK"))
case("mixed-bios", lambda s: board(s, 1, bios_version="2.1"))

# ---------------------------------------------------------------- racks

case("rack-power", lambda s: s.of_site(racks=(Rack(name="r1", power=("a",)), *s.site.racks[1:])))
