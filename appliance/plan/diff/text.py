"""A plan in words: what is created, changed, destroyed and kept, disk by disk with what is on it now.

`lines` is for whoever colours (CLI, UI); `render` is the same as plain text, and what is stored and compared. Equal hosts
are joined in the summary of a layout, disks never: every disk that is erased or assigned is listed by its serial.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agent.wire import PartitionSpec
from appliance.model.machine import Phase
from appliance.model.observed import Observed
from appliance.model.plan import Desired, DiskChoice, DiskFate, NodeLayout, Plan, Step, StepKind
from appliance.plan.ceph.texts import step_text
from appliance.plan.diff import drain, layout
from appliance.plan.diff.ceph import DiskKey, assignments, disk_key
from appliance.plan.diff.layout import node_lines, place_text
from appliance.plan.diff.lines import BLANK, MARKS, DiffLine, LineKind, count, create, heading, kind_of, to_text, why
from appliance.plan.disks.system import by_machine
from appliance.plan.order import natural
from hwprofiles.values import show_size

__all__ = ["MARKS", "SHORT", "DiffLine", "LineKind", "kind_of", "lines", "render", "summary"]

SHORT = 12
"""Digits of a hash that people see and may type."""
SETTLED = frozenset({Phase.DEPLOYED, Phase.MEMBER, Phase.LEAVING})
"""Machines in service."""
STEP_WORDS = {StepKind.INSTALL: "install", StepKind.FIRST_BOOT: "first boot from its disk, and its report"}


def render(plan: Plan, observed: Observed, before: Desired | None = None) -> str:
    """The plan as plain text, ending in a newline."""
    return to_text(_Diff(plan, observed, before).lines())


def lines(plan: Plan, observed: Observed, before: Desired | None = None) -> tuple[DiffLine, ...]:
    """All lines in order: summary, layout of the site, machines with steps, waits with the disks they are about, machines
    that stay. ``before`` is the layout that was accepted last (None: nothing stood); of what is equal nothing is said."""
    return tuple(_Diff(plan, observed, before).lines())


def summary(plan: Plan, before: Desired | None = None) -> str:
    """One line: how many machines and disks, or that nothing changes. Disks that have had their role since ``before`` are
    not counted as assigned again."""
    fates = Counter(choice.fate for choice in plan.disks)
    installs = sum(1 for step in plan.steps if step.kind is StepKind.INSTALL)
    forming = sum(1 for step in plan.steps if step.kind is StepKind.CEPH)
    waits = f"{count(len(plan.waits), 'wait')}" if plan.waits else "no waits"
    if not plan.steps and plan.changes:
        return f"Plan {plan.hash[:SHORT]}: only the layout is another one, no machine is touched; {waits}."
    if not plan.steps:
        return f"No changes; {waits}." if plan.waits else "No changes."
    known = assignments(before.ceph) if before and fates[DiskFate.ASSIGN] else {}
    new = fates[DiskFate.ASSIGN] - sum(
        1 for c in plan.disks if c.fate is DiskFate.ASSIGN and disk_key(c.machine, c.serial, c.wwn) in known
    )
    assigned = f"{count(new, 'disk')} to assign, " if new else ""
    formed = f"{count(forming, 'step')} of Ceph, " if forming else ""
    return (
        f"Plan {plan.hash[:SHORT]}: {count(installs, 'machine')} to install, {formed}"
        f"{count(fates[DiskFate.ERASE], 'disk')} to erase, {assigned}{fates[DiskFate.KEEP]} kept, {waits}."
    )


@dataclass(frozen=True, slots=True)
class _Index:
    """What is looked up for every machine and disk; made once."""

    names: Mapping[str, str]
    profiles: Mapping[str, str]
    disks: Mapping[str, list[DiskChoice]]
    nodes: Mapping[str, NodeLayout]
    earlier: Mapping[str, NodeLayout]
    roles: Mapping[DiskKey, str]
    roles_before: Mapping[DiskKey, str]
    ceph: str


class _Diff:
    """One plan against what stood before it."""

    def __init__(self, plan: Plan, observed: Observed, before: Desired | None) -> None:
        self.plan, self.observed, self.before = plan, observed, before
        expected = {machine.machine.id: machine.expected for machine in observed.machines if machine.expected}
        self.index = _Index(
            names=expected | layout.names_of(plan.allocations, before, plan.desired),
            profiles={allocation.machine: allocation.profile for allocation in plan.allocations},
            disks=by_machine(plan.disks),
            nodes={node.machine: node for node in plan.desired.nodes},
            earlier={node.machine: node for node in before.nodes} if before else {},
            roles=assignments(plan.desired.ceph),
            roles_before=assignments(before.ceph) if before else {},
            ceph=plan.desired.ceph.name if plan.desired.ceph else "its cluster",
        )
        self.settled = {m.machine.id: m.machine.phase for m in observed.machines if m.machine.phase in SETTLED}

    def lines(self) -> Iterator[DiffLine]:
        yield DiffLine(kind=LineKind.SUMMARY, text=summary(self.plan, self.before))
        yield from layout.lines(self.plan.desired, self.before, self.index.names)
        yield from drain.lines(self.plan, self.observed, self.before, self.index.names)
        planned: dict[str, list[Step]] = {}
        for step in self.plan.steps:
            planned.setdefault(step.machine, []).append(step)
        for who, steps in planned.items():
            yield from self._machine(who, steps)
        yield from self._relaid(planned)
        yield from self._waits()
        for machine, choices in self.index.disks.items():
            if machine not in planned and machine not in self.settled:
                yield from self._waiting_disks(machine, choices)
        yield from self._same()

    # ------------------------------------------------------------ machines with steps

    def _machine(self, who: str, steps: list[Step]) -> Iterator[DiffLine]:
        yield BLANK
        text = f"{steps[0].name}  ({who}, {self.index.profiles.get(who, '')})"
        yield DiffLine(kind=LineKind.MACHINE, text=text, machine=who)
        for step in steps:
            yield from _step(step)
        if (node := self.index.nodes.get(who)) is not None:
            yield from node_lines(node, self.index.earlier.get(who))
        install = next((step.install for step in steps if step.install is not None), None)
        for choice in self.index.disks.get(who, []):
            yield from self._disk(choice)
            if install is not None and choice.fate is DiskFate.ERASE:
                yield why(f"then: {', '.join(_partition(spec) for spec in install.partitions)}", who)

    def _disk(self, choice: DiskChoice) -> Iterator[DiffLine]:
        verb, kind = _FATES[choice.fate]
        who = choice.serial.strip() or choice.wwn or choice.path
        model = f" {choice.model}" if choice.model else ""
        text = f"{verb} disk {who}, {show_size(choice.size)}{model}; on it now: {choice.now}"
        yield DiffLine(kind=kind, text=text, machine=choice.machine)
        role = self.index.roles.get(disk_key(choice.machine, choice.serial, choice.wwn), "")
        if choice.fate is DiskFate.ASSIGN:
            later = f"it will be erased when {self.index.ceph} is formed"
            yield why(f"for {role or f'role {choice.role}'}; {later}", choice.machine)
        elif choice.fate is DiskFate.ERASE and role:
            yield why(f"then: {role}", choice.machine)
        yield why(f"why: {choice.why}", choice.machine)

    # ------------------------------------------------------------ machines without steps

    def _relaid(self, planned: Mapping[str, list[Step]]) -> Iterator[DiffLine]:
        """Machines in service whose layout is another one: what is different, and their disks that got another role."""
        for node in self.plan.desired.nodes:
            who = node.machine
            if who in planned:
                continue
            found = list(node_lines(node, self.index.earlier.get(who)))
            if who in self.settled:
                for choice in self.index.disks.get(who, []):
                    found += self._disk(choice) if self._new_role(choice) else ()
            if found:
                yield BLANK
                what = "another layout" if who in self.index.earlier else "its layout"
                text = f"{node.name}  ({who}, {node.profile}): {what}"
                yield DiffLine(kind=LineKind.MACHINE, text=text, machine=who)
                yield from found

    def _new_role(self, choice: DiskChoice) -> bool:
        key = disk_key(choice.machine, choice.serial, choice.wwn)
        return choice.fate is not DiskFate.KEEP and self.index.roles.get(key) != self.index.roles_before.get(key)

    def _waits(self) -> Iterator[DiffLine]:
        if self.plan.waits:
            yield from heading("Waiting")
        for wait in self.plan.waits:
            yield DiffLine(kind=LineKind.WAIT, text=f"{wait.about}: {wait.reason}: {wait.text}")

    def _waiting_disks(self, machine: str, choices: list[DiskChoice]) -> Iterator[DiffLine]:
        yield BLANK
        name = self.index.names.get(machine, machine)
        yield DiffLine(kind=LineKind.MACHINE, text=f"{name}: nothing is written", machine=machine)
        for choice in choices:
            yield from self._disk(choice)

    def _same(self) -> Iterator[DiffLine]:
        """What is in service and stays as it is: machines, then clusters and Ceph."""
        plan, before = self.plan, self.before or Desired()
        clusters = [cluster for cluster in plan.desired.clusters if cluster in before.clusters]
        ceph = plan.desired.ceph if plan.desired.ceph == before.ceph else None
        if self.settled or clusters or ceph:
            yield from heading("Unchanged")
        named = {who: self.index.names.get(who, who) for who in self.settled}
        for who, name in sorted(named.items(), key=lambda item: (natural(item[1]), item[0])):
            node = self.index.nodes.get(who)
            place = f", {place_text(node.place)}" if node and place_text(node.place) else ""
            yield DiffLine(kind=LineKind.SAME, text=f"{name}: {self.settled[who]}{place}", machine=who)
        for cluster in clusters:
            text = f"cluster {cluster.name}: {count(len(cluster.members), 'node')}"
            yield DiffLine(kind=LineKind.SAME, text=text)
        if ceph:
            text = f"ceph {ceph.name}: {count(len(ceph.osds), 'OSD')}, {count(len(ceph.pools), 'pool')}"
            yield DiffLine(kind=LineKind.SAME, text=text)


_FATES = {
    DiskFate.ERASE: ("ERASE", LineKind.DESTROY),
    DiskFate.ASSIGN: ("assign", LineKind.ASSIGN),
    DiskFate.KEEP: ("keep", LineKind.KEEP),
}


def _step(step: Step) -> Iterator[DiffLine]:
    label = "reversible" if step.reversible else "NOT reversible"
    if step.ceph is not None:
        yield create(f"ceph {step.ceph.name}: {step_text(step.ceph)} [{label}]", step.machine)
        return
    if step.install is None:
        yield create(f"{STEP_WORDS.get(step.kind, step.kind)} [{label}]", step.machine)
        return
    install, host = step.install, step.install.host
    name = f"{host.hostname}.{host.domain}" if host.domain else host.hostname
    nic = host.nics[0]
    address = nic.address or "address by DHCP"
    text = f"install image {install.image[:SHORT]} as {name}, {address} on {nic.name} ({nic.mac}) [{label}]"
    yield create(text, step.machine)
    arguments = " ".join([*host.kernel_arguments, *([f"console={host.console}"] if host.console else [])])
    if arguments:
        yield create(f"kernel arguments: {arguments}", step.machine)


def _partition(spec: PartitionSpec) -> str:
    size = f"{spec.size >> 20} MiB" if spec.size else "the rest"
    return f"{spec.role} {size}{' ' + spec.filesystem if spec.filesystem else ''}"
