"""Machines: names, numbers, places, and what their inventories say."""

from __future__ import annotations

import re
from collections import Counter

from appliance.plan.lint.rule import ERROR, WARNING, Findings, counted, listed, rule
from appliance.plan.lint.scene import Scene
from hwprofiles.match import judge
from hwprofiles.normal import clean

_HOSTNAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@rule(ERROR, "retire one of the machines, or rename one in the site file")
def duplicate_hostname(scene: Scene) -> Findings:
    """No two machines have one name."""
    for name, count in Counter(allocation.name for allocation in scene.plan.allocations).items():
        if count > 1:
            yield name, f"{count} machines have this name"


@rule(ERROR, "report it as a fault of the planner; plan again")
def node_twice(scene: Scene) -> Findings:
    """The layout has every machine once, and no two of its machines have one name."""
    nodes = scene.plan.desired.nodes
    for who, count in Counter(node.machine for node in nodes).items():
        if count > 1:
            yield scene.name(who), f"the layout has the machine {who} {count} times"
    for name, count in Counter(node.name for node in nodes).items():
        if count > 1:
            yield name, f"{count} machines of the layout have this name"


@rule(ERROR, "report it as a fault of the planner; plan again")
def node_unknown(scene: Scene) -> Findings:
    """Every machine of the layout has reported an inventory over mutual TLS: nothing is planned from hearsay."""
    for who, node in scene.nodes.items():
        if scene.inventory(who) is None and not scene.stands(who):
            yield node.name, f"the layout has the machine {who}, of which there is no trusted inventory"


@rule(WARNING, "see why it waits and bring it back; or let it go: rackseed machine policy NAME drain, or retire it")
def node_unseen(scene: Scene) -> Findings:
    """A machine that stands in the layout can be looked at: nothing of it is changed until then."""
    for who, node in scene.nodes.items():
        if scene.inventory(who) is None and scene.stands(who):
            yield node.name, "it stands in the layout as it was accepted, but there is no trusted inventory of it"


@rule(ERROR, "choose another name in the site file: letters, digits and hyphens, at most 63")
def node_name_invalid(scene: Scene) -> Findings:
    """A machine's name is a DNS label (RFC 1123 §2.1): it becomes the host name, the Proxmox node and the CRUSH bucket."""
    for node in scene.plan.desired.nodes:
        if not _HOSTNAME.fullmatch(node.name.lower()):
            yield node.name or node.machine, f"'{node.name}' is no host name: letters, digits and hyphens, at most 63"


@rule(ERROR, "report it as a fault of the planner; plan again")
def node_number_twice(scene: Scene) -> Findings:
    """Every machine has a number of its own, from 1: addresses, AS numbers and router ids are made from it
    (`network.md` §3)."""
    numbers: dict[int, list[str]] = {}
    for node in scene.plan.desired.nodes:
        numbers.setdefault(node.number, []).append(node.name)
    for number, names in numbers.items():
        if number < 1 or len(names) > 1:
            yield (
                listed(names),
                f"the number {number} is given to {counted(len(names), 'machine')}; it must be 1 or more",
            )


@rule(WARNING, "give every machine its rack in the site file, or name the racks' switches so that LLDP tells it")
def rack_unknown(scene: Scene) -> Findings:
    """Where racks are declared, every machine of a cluster stands in one of them: without it the machine is no part of
    the rack failure domain, and CRUSH can't spread copies over it."""
    racks = {rack.name for rack in scene.site.racks}
    lost = [
        scene.nodes[who] for who in scene.members if who in scene.nodes and scene.nodes[who].place.rack not in racks
    ]
    if racks and lost:
        names = listed(f"{node.name} ({node.place.rack or 'no rack'})" for node in lost)
        yield "racks", f"{counted(len(lost), 'member')} in none of the {counted(len(racks), 'declared rack')}: {names}"


@rule(WARNING, "correct the units in the site file")
def rack_unit_twice(scene: Scene) -> Findings:
    """Two machines don't stand in one unit of a rack, and none above its height: else the picture and the person who
    looks for the machine are wrong."""
    heights = {rack.name: rack.units for rack in scene.site.racks}
    units: dict[tuple[str, int], list[str]] = {}
    for node in scene.plan.desired.nodes:
        rack, unit = node.place.rack, node.place.unit
        if rack and unit:
            units.setdefault((rack, unit), []).append(node.name)
        if unit > heights.get(rack, unit):
            yield node.name, f"unit {unit} of rack {rack}, which has {heights[rack]} units"
    for (rack, unit), names in units.items():
        if len(names) > 1:
            yield rack, f"unit {unit} is given to {listed(names)}"


@rule(WARNING, "update the firmware, or the baseline in the site file")
def firmware_differs(scene: Scene) -> Findings:
    """Machines have the firmware that the site file's baseline names for their profile."""
    wanted = {baseline.profile: baseline for baseline in scene.site.firmware}
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for node in scene.plan.desired.nodes if wanted else ():
        inventory, baseline = scene.inventory(node.machine), wanted.get(node.profile)
        if inventory is None or baseline is None:
            continue
        has = {
            "BIOS": (baseline.bios, {clean(inventory.board.bios_version)}),
            "BMC": (baseline.bmc, {clean(inventory.bmc.firmware)} if inventory.bmc else set()),
            "NIC": (baseline.nic, {clean(nic.firmware) for nic in inventory.nics if nic.firmware}),
        }
        for part, (should, versions) in has.items():
            for version in versions - {should, ""} if should else ():
                found.setdefault((node.profile, part, version, should), []).append(node.name)
    for (profile, part, version, should), names in found.items():
        yield (
            profile,
            f"{part} firmware {version} instead of {should} in {counted(len(names), 'machine')}: {listed(names)}",
        )


@rule(WARNING, "add memory, or name another profile")
def low_memory(scene: Scene) -> Findings:
    """A machine has the memory that its profile expects."""
    profiles = {allocation.machine: scene.profiles.get(allocation.profile) for allocation in scene.plan.allocations}
    for step, _, inventory in scene.planned():
        profile = profiles.get(step.machine)
        if profile and (inventory.memory.installed or inventory.memory.total) < profile.minimum_memory:
            has = (inventory.memory.installed or inventory.memory.total) >> 20
            yield step.name, f"has {has} MiB of memory; {profile.name} expects {profile.minimum_memory >> 20} MiB"


@rule(WARNING, "take the profile out of the site file, or correct the profile")
def profile_forced(scene: Scene) -> Findings:
    """The profile that the site file names for a machine also matches it."""
    named = {entry.name: entry.profile for entry in scene.site.machines if entry.profile}
    for step, machine, inventory in scene.planned():
        profile = scene.profiles.get(named.get(machine.expected, ""))
        if profile is not None and not judge(inventory, profile).score:
            yield step.name, f"the site file says so, but {judge(inventory, profile).text}"


@rule(WARNING, "boot it from the network once, or check the port that the finding names")
def boot_port_unknown(scene: Scene) -> Findings:
    """The port that gets the address is the one that the machine was booted from, not a guess."""
    for step, _, inventory in scene.planned():
        if inventory.boot_mac not in {nic.mac for nic in inventory.nics}:
            port = step.install.host.nics[0].mac if step.install and step.install.host.nics else "none"
            yield step.name, f"it is not known which port it booted from; {port} gets the address"


@rule(WARNING, "look into the machine's log for the probe that failed")
def incomplete_inventory(scene: Scene) -> Findings:
    """No probe of the agent failed."""
    for step, _, inventory in scene.planned():
        for failure in inventory.failures:
            yield step.name, f"its agent could not read {failure.probe}: {failure.message}"


@rule(WARNING, "name the machine in the site file, or hold it")
def unexpected_machine(scene: Scene) -> Findings:
    """Where the site file names machines, only those are installed."""
    for step, machine, _ in scene.planned():
        if scene.site.machines and not machine.expected:
            yield step.name, "the site file names machines, but not this one"


@rule(WARNING, "give it its old name in the site file, or reinstall it")
def renamed(scene: Scene) -> Findings:
    """A machine in service has the name that the site file gives it."""
    names = {allocation.machine: allocation.name for allocation in scene.plan.allocations}
    for who, machine in scene.machines.items():
        name = names.get(who, "")
        if machine.expected and name and name != machine.expected:
            yield name, f"the site file calls it {machine.expected}; a machine in service is not renamed"
