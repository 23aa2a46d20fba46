"""The machines of one cluster beside each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agent.wire import Inventory
from appliance.plan.lint.rule import WARNING, Findings, counted, listed, rule
from appliance.plan.lint.scene import Scene
from hwprofiles.normal import clean, serial_key, vendor_key


def _groups(scene: Scene, members: Iterable[str], value: Callable[[Inventory], str]) -> dict[str, list[str]]:
    """Names of members by a fact of their inventories; those without it are left out."""
    found: dict[str, list[str]] = {}
    for who in members:
        inventory = scene.inventory(who)
        if inventory is not None and value(inventory):
            found.setdefault(value(inventory), []).append(scene.name(who))
    return found


def _shown(groups: dict[str, list[str]]) -> str:
    return "; ".join(f"{value}: {listed(names)}" for value, names in sorted(groups.items()))


@rule(WARNING, "make one cluster for each vendor")
def mixed_cpu_vendors(scene: Scene) -> Findings:
    """Members have processors of one vendor: guests can't migrate alive between AMD and Intel."""
    for cluster in scene.plan.desired.clusters:
        groups = _groups(scene, cluster.members, _cpu_vendor)
        if len(groups) > 1:
            yield cluster.name, f"guests can't migrate alive between {_shown(groups)}"


def _cpu_vendor(inventory: Inventory) -> str:
    if inventory.cpu.vendor:
        return vendor_key(inventory.cpu.vendor)
    model = inventory.cpu.model.casefold()
    return next((vendor for vendor in ("amd", "intel", "ampere") if vendor in model), "")


@rule(WARNING, "make one cluster for each architecture")
def mixed_architectures(scene: Scene) -> Findings:
    """Members have one architecture: Proxmox can't run a guest of the other one."""
    for cluster in scene.plan.desired.clusters:
        groups = _groups(scene, cluster.members, lambda inventory: inventory.architecture)
        if len(groups) > 1:
            yield cluster.name, f"members of several architectures: {_shown(groups)}"


@rule(WARNING, "connect the BMCs, or accept that somebody walks to the rack")
def members_without_bmc(scene: Scene) -> Findings:
    """A member has a BMC: without one nobody can fence it, or start it again, from afar."""
    for cluster in scene.plan.desired.clusters:
        found = [(who, scene.inventory(who)) for who in cluster.members]
        lost = [scene.name(who) for who, inventory in found if inventory is not None and inventory.bmc is None]
        if lost:
            where = f"{counted(len(lost), 'member')} of {len(cluster.members)}"
            yield cluster.name, f"{where} without a BMC, so nobody can fence or restart them from afar: {listed(lost)}"


@rule(WARNING, "spread the cluster over more chassis, or count the chassis as a rack")
def shared_chassis(scene: Scene) -> Findings:
    """Members stand in chassis of their own: nodes of a multi-node chassis share power supplies and fans, so the failure
    domain host is a fiction (`machine-identities.md` §1, 6)."""
    groups = [(cluster.name, cluster.members) for cluster in scene.plan.desired.clusters]
    groups += [(scene.ceph.name, scene.ceph.members)] if scene.ceph else []
    told: set[tuple[str, ...]] = set()
    for name, members in groups:
        chassis = _groups(scene, members, lambda inventory: serial_key(inventory.board.chassis_serial))
        for serial, names in chassis.items():
            together = tuple(sorted(set(names)))
            if len(together) > 1 and together not in told:
                told.add(together)
                yield name, f"{len(together)} members share the chassis {serial}: {listed(together)}"


@rule(WARNING, "bring all members to one BIOS version, and name it in the site file's firmware baseline")
def mixed_bios(scene: Scene) -> Findings:
    """Members with the same board have the same BIOS version: guests see the processor's features that the oldest one
    gives."""
    for cluster in scene.plan.desired.clusters:
        boards: dict[str, dict[str, list[str]]] = {}
        for who in cluster.members:
            inventory = scene.inventory(who)
            version = clean(inventory.board.bios_version) if inventory else ""
            if inventory and version and clean(inventory.board.name):
                boards.setdefault(clean(inventory.board.name), {}).setdefault(version, []).append(scene.name(who))
        for board, versions in boards.items():
            if len(versions) > 1:
                yield cluster.name, f"{len(versions)} BIOS versions on {board}: {_shown(versions)}"
