"""Ceph's networks."""

from __future__ import annotations

from collections import Counter

from appliance.model.ceph import CephLayout, DeviceClass
from appliance.model.network import STORAGE_PLANES
from appliance.plan.lint.rule import ERROR, WARNING, Findings, counted, listed, rule
from appliance.plan.lint.scene import Scene

ENOUGH, ENOUGH_NVME = 10_000, 25_000
"""Mbit/s for Ceph, and where OSDs are on NVMe (`ceph.md` §4)."""
JUMBO = 9000


def _networks(ceph: CephLayout) -> list[tuple[str, str]]:
    """What Ceph uses: the word and the network's name, each network once."""
    found = [("public", ceph.public)]
    return [*found, ("cluster", ceph.cluster)] if ceph.cluster and ceph.cluster != ceph.public else found


@rule(ERROR, "name networks of the site file in ceph: public and cluster")
def ceph_network_unknown(scene: Scene) -> Findings:
    """Ceph's public network exists, and its cluster network if it has one."""
    for what, name in _networks(scene.ceph) if scene.ceph else ():
        if name not in scene.networks and scene.ceph:
            yield scene.ceph.name, f"its {what} network '{name}' is not in the site"


@rule(ERROR, "cable the machines that the finding names, or choose other networks for Ceph")
def ceph_not_connected(scene: Scene) -> Findings:
    """Every member has an address in Ceph's public network, and every machine with OSDs in its cluster network: a
    monitor without one does not start, and says nothing (`ceph.md` §1)."""
    ceph = scene.ceph
    for what, name in _networks(ceph) if ceph else ():
        wanted = ceph.members if ceph and what == "public" else tuple(scene.by_host)
        lost = [scene.name(who) for who in wanted if scene.unconnected(who, name)]
        if name in scene.networks and lost:
            yield name, f"{counted(len(lost), 'member')} without an address in Ceph's {what} network: {listed(lost)}"


@rule(WARNING, "add a network of plane storage-public")
def ceph_off_storage(scene: Scene) -> Findings:
    """Ceph runs over networks of its own planes: recovery fills whatever it runs over (`network.md` §2)."""
    for what, name in _networks(scene.ceph) if scene.ceph else ():
        network = scene.networks.get(name)
        if network is not None and network.plane not in STORAGE_PLANES:
            yield name, f"Ceph's {what} network is of plane {network.plane}; recovery will fill it"


@rule(WARNING, "add a network of plane storage-cluster")
def no_cluster_network(scene: Scene) -> Findings:
    """Ceph has a cluster network beside the public one: copies and recovery don't compete with clients (`ceph.md`
    §4)."""
    ceph = scene.ceph
    if ceph is not None and ceph.cluster in ("", ceph.public) and len(ceph.members) > 1:
        yield ceph.name, f"copies and recovery share {ceph.public} with clients; a cluster network takes them off"


@rule(WARNING, "use faster ports")
def storage_slow(scene: Scene) -> Findings:
    """Machines have 10 Gbit/s or more for Ceph, 25 where OSDs are on NVMe (`ceph.md` §4); counted where the speed is
    known, all legs of a bond together."""
    slow: dict[tuple[str, int, int], list[str]] = {}
    for who, osds in scene.by_host.items():
        wanted = ENOUGH_NVME if any(osd.device_class == DeviceClass.NVME for osd in osds) else ENOUGH
        for _, name in _networks(scene.ceph) if scene.ceph else ():
            speed = _speed(scene, who, name)
            if speed is not None and speed < wanted:
                slow.setdefault((name, speed, wanted), []).append(scene.name(who))
    for (name, speed, wanted), names in slow.items():
        where = f"{counted(len(names), 'machine')}: {listed(names)}"
        yield name, f"{speed / 1000:g} Gbit/s in {where}; {wanted / 1000:g} or more are recommended for their OSDs"


def _speed(scene: Scene, who: str, network: str) -> int | None:
    """Mbit/s of all ports that carry the network, None when it is not known."""
    inventory, ports = scene.inventory(who), scene.carriers(who, network)
    if inventory is None or not ports:
        return None
    speeds = {nic.mac: nic.speed for nic in inventory.nics}
    found = [speeds.get(scene.links[who].macs[port]) for port in ports]
    known = [speed for speed in found if speed]
    return sum(known) if len(known) == len(found) else None


def _mtus(scene: Scene, name: str) -> Counter[int]:
    """Members of Ceph by the MTU of their interface in a network; a plain port has the network's."""
    network = scene.networks.get(name)
    table: Counter[int] = Counter()
    for who in scene.ceph.members if scene.ceph and network else ():
        for layout in scene.connected.get((who, name), ()):
            table[scene.links[who].mtus.get(layout.interface, network.mtu if network else 0)] += 1
    return table


@rule(WARNING, "give all members one MTU")
def storage_mtu_mixed(scene: Scene) -> Findings:
    """All members have one MTU in a storage network: between 9000 and 1500 small pings pass and large frames vanish
    (`network.md` §8)."""
    for _, name in _networks(scene.ceph) if scene.ceph else ():
        found = _mtus(scene, name)
        if len(found) > 1:
            shown = ", ".join(f"{mtu} in {counted(count, 'machine')}" for mtu, count in sorted(found.items()))
            yield name, f"different MTUs: {shown}; large frames vanish between them"


@rule(WARNING, "set mtu: 9000 when all switches allow it")
def storage_mtu_small(scene: Scene) -> Findings:
    """The cluster network has jumbo frames (`network.md` §2): copies of 4 MiB objects cost six times the packets
    without."""
    ceph = scene.ceph
    network = scene.networks.get(ceph.cluster) if ceph else None
    if ceph is not None and network is not None and ceph.cluster != ceph.public and network.mtu < JUMBO:
        yield network.name, f"an MTU of {network.mtu} in the cluster network; {JUMBO} if all switches allow it"
