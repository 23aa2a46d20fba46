"""Why a machine is planned as it is: its profile, its name and addresses, its place, its disks, its part in clusters."""

from __future__ import annotations

from collections.abc import Iterator

from agent.wire import Inventory
from appliance.model.network import HostNetwork
from appliance.model.observed import ObservedMachine
from appliance.model.plan import NodeLayout
from appliance.plan.diff.ceph import SERVICES, disk_key
from appliance.plan.diff.layout import network_texts, place_text
from appliance.plan.diff.lines import DiffLine, LineKind, count, why
from appliance.plan.disks.system import by_machine
from appliance.plan.explain.known import Known, fact_line, section
from appliance.plan.explain.parts import disk_lines, fate_lines, osd_text, step_line
from appliance.plan.network.ports import ports
from appliance.plan.order import natural
from hwprofiles.match import match
from hwprofiles.values import show_size

NEAR_MISSES = 3

__all__ = ["disk_lines", "machine_lines"]


def machine_lines(known: Known, who: str) -> Iterator[DiffLine]:
    """Everything that the plan knows about one machine."""
    machine, node = known.machines.get(who), known.nodes.get(who)
    name = known.names.get(who, who)
    state = f"{machine.machine.phase}, policy {machine.machine.policy}" if machine else "not there any more"
    yield DiffLine(kind=LineKind.HEADING, text=f"{name} ({who}): {state}", machine=who)
    if machine is not None:
        yield from _hardware(machine)
        if machine.machine.trouble is not None:
            yield DiffLine(kind=LineKind.WAIT, text=f"{machine.machine.trouble.kind}: {machine.machine.trouble.text}")
    about = (name, who, machine.expected if machine else "")
    yield from section("What it waits for", known.waits_about(*about))
    yield from section("Why it is called so", _identity(known, who, machine))
    yield from section("Why this profile", _profile(known, who, machine))
    yield from section("Where it stands", _place(known, machine, node))
    yield from section("What it is part of", _parts(known, who))
    yield from section("Disks", _disks(known, who))
    yield from section("Network", _network(machine, node))
    steps = [step for step in known.plan.steps if step.machine == who]
    yield from section("Steps, in their order", (step_line(known, step) for step in steps))
    yield from section("Facts that bind the plan", known.facts_of(f"{who}/"))


def _hardware(machine: ObservedMachine) -> Iterator[DiffLine]:
    inventory = machine.inventory
    if inventory is None:
        yield fact_line("no report over mutual TLS has come yet, so nothing is planned from it")
        return
    board = inventory.board
    vendor = f"{board.system_vendor or board.vendor} {board.system_product or board.name or board.model}".strip()
    serial = board.system_serial or board.serial or board.pi_serial
    words = [
        vendor or "unknown board",
        f"serial {serial or 'unknown'}",
        inventory.architecture,
        inventory.firmware.value,
    ]
    words += [inventory.cpu.model] if inventory.cpu.model else []
    words += [f"{inventory.memory.total / 2**30:.3g} GiB of memory"] if inventory.memory.total else []
    yield fact_line(", ".join(words))


# ---------------------------------------------------------------- names, profile, place


def _identity(known: Known, who: str, machine: ObservedMachine | None) -> Iterator[DiffLine]:
    given = known.allocations.get(who)
    entry = known.entries.get(machine.expected) if machine else None
    kept = machine.allocation if machine else None
    if entry is not None:
        serials = known.serials(who)
        fields = (
            ("serial", entry.serial),
            ("MAC", entry.mac),
            ("UUID", entry.uuid),
            ("switch port", entry.switch_port),
        )
        said = " and ".join(f"{word} {value}" for word, value in fields if value)
        yield fact_line(f"name {entry.name}: the site file's entry with {said or 'that name'}")
        if entry.serial and serials and not any(entry.serial.casefold() in text.casefold() for text in serials):
            yield why(f"the machine itself says {', '.join(sorted(serials))}")
    elif given is not None:
        source = "kept from the accepted plan" if kept else f"the next free name of {known.site.hostname_prefix}…"
        yield fact_line(f"name {given.name}: {source}; the site file has no entry for this machine")
    if given is None:
        yield fact_line("it has no address and no number yet: it gets them with the first plan that installs it")
        return
    if given.address:
        fixed = entry is not None and entry.address is not None
        source = "by the site file" if fixed else "kept from the accepted plan" if kept else "the next free one"
        yield fact_line(f"address {given.address}: {source}")
    else:
        yield fact_line("address by DHCP: the site file leaves addresses to another server")
    if given.number:
        yield fact_line(f"number {given.number} in the site: {'kept' if kept and kept.number else 'the next free one'}")


def _profile(known: Known, who: str, machine: ObservedMachine | None) -> Iterator[DiffLine]:
    given = known.allocations.get(who)
    entry = known.entries.get(machine.expected) if machine else None
    if given is not None:
        yield fact_line(f"profile {given.profile}")
    if entry is not None and entry.profile:
        yield why(f"the site file names {entry.profile} for {entry.name}")
    if machine is None or machine.inventory is None or not known.profiles:
        return
    result = match(machine.inventory, known.profiles)
    if result.tie:
        yield DiffLine(kind=LineKind.WAIT, text=result.text)
    matching = [verdict for verdict in result.verdicts if verdict.score]
    missed = [verdict for verdict in result.verdicts if not verdict.score]
    for verdict in matching:
        yield DiffLine(kind=LineKind.CREATE, text=verdict.text)
    for verdict in missed[:NEAR_MISSES]:
        yield why(f"{verdict.text}{f' (but {len(verdict.held)} held)' if verdict.held else ''}")


def _place(known: Known, machine: ObservedMachine | None, node: NodeLayout | None) -> Iterator[DiffLine]:
    place = place_text(node.place) if node else ""
    entry = known.entries.get(machine.expected) if machine else None
    if entry is not None and entry.rack:
        source = f"the site file puts {entry.name} into rack {entry.rack}"
    else:
        source = _heard(known, machine.inventory if machine else None, node)
    if place:
        yield fact_line(place)
        yield why(f"why: {source or 'kept from the accepted plan'}")
    elif known.site.racks:
        text = "its rack is not known: name it in the site file (rack: NAME), or name the switches of racks (LLDP)"
        yield DiffLine(kind=LineKind.WAIT, text=text)


def _heard(known: Known, inventory: Inventory | None, node: NodeLayout | None) -> str:
    """The switch of its rack that a port heard by LLDP."""
    rack = known.site.rack(node.place.rack) if node and node.place.rack else None
    if rack is None or inventory is None:
        return ""
    for nic in ports(inventory):
        for neighbour in nic.neighbours:
            if neighbour.system in rack.switches:
                return f"{nic.name} hears switch {neighbour.system} of rack {rack.name}"
    return ""


# ---------------------------------------------------------------- clusters and Ceph


def _parts(known: Known, who: str) -> Iterator[DiffLine]:
    desired = known.plan.desired
    for cluster in desired.clusters:
        if who in cluster.members:
            position = cluster.members.index(who) + 1
            text = f"node {position} of {len(cluster.members)} in {cluster.kind} cluster {cluster.name}"
            yield fact_line(f"{text}; quorum is {cluster.quorum} of {cluster.votes}")
        if cluster.arbiter == who:
            yield fact_line(f"arbiter of cluster {cluster.name}")
    ceph = desired.ceph
    if ceph is not None:
        found = [service for service in ceph.services if service.machine == who]
        for service in found:
            same = sum(1 for other in ceph.services if other.kind == service.kind)
            where = f", for {service.bucket}" if service.bucket not in ("", known.names.get(who)) else ""
            yield fact_line(f"one of {same} {SERVICES.get(service.kind, service.kind)} of {ceph.name}{where}")
        osds = [osd for osd in ceph.osds if osd.machine == who]
        for osd in osds:
            yield fact_line(osd_text(osd))
        yield from (why(f"memory: {budget.text}") for budget in ceph.budgets if budget.machine == who)
    backbone = desired.backbone
    if backbone is not None and who in backbone.members:
        yield fact_line(f"in the backbone ({backbone.shape} of {count(len(backbone.members), 'machine')})")


def _disks(known: Known, who: str) -> Iterator[DiffLine]:
    listed = by_machine(known.plan.disks).get(who, [])
    for choice in listed:
        key = disk_key(who, choice.serial, choice.wwn)
        shown = choice.serial.strip() or choice.wwn or choice.path
        first, *rest = fate_lines(known, key, choice)
        text = f"{shown}, {show_size(choice.size)}{' ' + choice.model if choice.model else ''}: {first.text}"
        yield DiffLine(kind=first.kind, text=text, machine=who)
        yield from rest
    seen = {disk_key(who, choice.serial, choice.wwn) for choice in listed}
    machine = known.machines.get(who)
    others = machine.inventory.disks if machine and machine.inventory else ()
    for disk in sorted(others, key=lambda disk: (natural(disk.bus_path), disk.serial, disk.wwn)):
        if disk_key(who, disk.serial, disk.wwn) not in seen:
            text = f"{disk.serial.strip() or disk.wwn or disk.path}, {show_size(disk.size)}: not touched by this plan"
            yield DiffLine(kind=LineKind.KEEP, text=text, machine=who)


def _network(machine: ObservedMachine | None, node: NodeLayout | None) -> Iterator[DiffLine]:
    network = node.network if node else HostNetwork()
    yield from (fact_line(text) for text in network_texts(network))
    planned = {port.mac: port for port in network.ports}
    for nic in ports(machine.inventory if machine else None):
        port = planned.pop(nic.mac, None)
        link = f"{nic.speed / 1000:g} Gb/s" if nic.speed else "no link"
        pinned = f"{port.name}" if port else "not pinned"
        role = f", role {port.role}" if port and port.role else ""
        user = f", for {port.user}" if port and port.user else ", unused" if port else ""
        booted = machine is not None and machine.inventory is not None and machine.inventory.boot_mac == nic.mac
        yield why(f"{nic.mac} ({nic.name}, {link}): {pinned}{role}{user}{', it was booted from' if booted else ''}")
    for port in planned.values():
        yield DiffLine(kind=LineKind.WAIT, text=f"{port.mac} ({port.name}) is planned, but not reported any more")
    yield from (DiffLine(kind=LineKind.WAIT, text=text) for text in network.missing)
