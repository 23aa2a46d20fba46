"""A plan in words: what is created, destroyed and kept, disk by disk with what is on it now.

`lines` is for whoever colours (CLI, UI); `render` is the same as plain text, and what is stored and compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from agent.wire import PartitionSpec
from appliance.model.machine import Phase
from appliance.model.observed import Observed
from appliance.model.plan import DiskChoice, DiskFate, Plan, Step, StepKind
from appliance.plan.disks import by_machine
from appliance.plan.order import natural
from hwprofiles.values import show_size

SHORT = 12
"""Digits of a hash that people see and may type."""


class LineKind(StrEnum):
    """What a line is about; ``destroy`` is the one that can't be taken back."""

    SUMMARY = "summary"
    MACHINE = "machine"
    CREATE = "create"
    DESTROY = "destroy"
    KEEP = "keep"
    WHY = "why"
    WAIT = "wait"
    SAME = "same"


MARKS = {
    LineKind.SUMMARY: "",
    LineKind.MACHINE: "",
    LineKind.CREATE: "  + ",
    LineKind.DESTROY: "  - ",
    LineKind.KEEP: "  = ",
    LineKind.WHY: "      ",
    LineKind.WAIT: "  ! ",
    LineKind.SAME: "  = ",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffLine:
    """One line. ``machine`` is the id that it belongs to, or empty."""

    kind: LineKind
    text: str
    machine: str = ""


def render(plan: Plan, observed: Observed) -> str:
    """The plan as plain text, ending in a newline."""
    return "".join(f"{MARKS[line.kind]}{line.text}\n" for line in lines(plan, observed))


def summary(plan: Plan) -> str:
    """One line: how many machines and disks, or that nothing changes."""
    erased = sum(1 for choice in plan.disks if choice.fate is DiskFate.ERASE)
    installs = sum(1 for step in plan.steps if step.kind is StepKind.INSTALL)
    waits = f"{_count(len(plan.waits), 'wait')}" if plan.waits else "no waits"
    if not plan.steps:
        return f"No changes; {waits}." if plan.waits else "No changes."
    kept = sum(1 for choice in plan.disks if choice.fate is DiskFate.KEEP)
    return (
        f"Plan {plan.hash[:SHORT]}: {_count(installs, 'machine')} to install, {_count(erased, 'disk')} to erase, "
        f"{kept} kept, {waits}."
    )


def lines(plan: Plan, observed: Observed) -> tuple[DiffLine, ...]:
    """All lines in order: summary, machines with steps, waits with the disks they are about, machines that stay."""
    return tuple(_lines(plan, observed))


def _lines(plan: Plan, observed: Observed) -> Iterator[DiffLine]:
    yield DiffLine(kind=LineKind.SUMMARY, text=summary(plan))
    disks = by_machine(plan.disks)
    profiles = {allocation.machine: allocation.profile for allocation in plan.allocations}
    planned = set()
    for step in plan.steps:
        if step.kind is StepKind.INSTALL and step.install is not None:
            planned.add(step.machine)
            yield DiffLine(kind=LineKind.SUMMARY, text="")
            text = f"{step.name}  ({step.machine}, {profiles.get(step.machine, '')})"
            yield DiffLine(kind=LineKind.MACHINE, text=text, machine=step.machine)
            yield from _install(step, disks.get(step.machine, []))
    if plan.waits:
        yield DiffLine(kind=LineKind.SUMMARY, text="")
        yield DiffLine(kind=LineKind.SUMMARY, text="Waiting")
    for wait in plan.waits:
        yield DiffLine(kind=LineKind.WAIT, text=f"{wait.about}: {wait.reason}: {wait.text}")
    names = {machine.machine.id: machine.expected for machine in observed.machines if machine.expected}
    names |= {allocation.machine: allocation.name for allocation in plan.allocations}
    for machine, choices in disks.items():
        if machine not in planned:
            yield from _waiting_disks(machine, names.get(machine, machine), choices)
    yield from _same(plan, observed)


def _install(step: Step, choices: list[DiskChoice]) -> Iterator[DiffLine]:
    install = step.install
    if install is None:
        return
    host = install.host
    name = f"{host.hostname}.{host.domain}" if host.domain else host.hostname
    nic = host.nics[0]
    address = nic.address or "address by DHCP"
    text = f"install image {install.image[:SHORT]} as {name}, {address} on {nic.name} ({nic.mac})"
    yield DiffLine(kind=LineKind.CREATE, text=text, machine=step.machine)
    arguments = " ".join([*host.kernel_arguments, *([f"console={host.console}"] if host.console else [])])
    if arguments:
        yield DiffLine(kind=LineKind.CREATE, text=f"kernel arguments: {arguments}", machine=step.machine)
    for choice in choices:
        yield from _disk(choice)
        if choice.fate is DiskFate.ERASE:
            text = f"then: {', '.join(_partition(spec) for spec in install.partitions)}"
            yield DiffLine(kind=LineKind.WHY, text=text, machine=step.machine)


def _disk(choice: DiskChoice) -> Iterator[DiffLine]:
    erased = choice.fate is DiskFate.ERASE
    who = choice.serial.strip() or choice.wwn or choice.path
    model = f" {choice.model}" if choice.model else ""
    verb = "ERASE disk" if erased else "keep disk"
    text = f"{verb} {who}, {show_size(choice.size)}{model}; on it now: {choice.now}"
    yield DiffLine(kind=LineKind.DESTROY if erased else LineKind.KEEP, text=text, machine=choice.machine)
    yield DiffLine(kind=LineKind.WHY, text=f"why: {choice.why}", machine=choice.machine)


def _waiting_disks(machine: str, name: str, choices: list[DiskChoice]) -> Iterator[DiffLine]:
    yield DiffLine(kind=LineKind.SUMMARY, text="")
    yield DiffLine(kind=LineKind.MACHINE, text=f"{name}: nothing is written", machine=machine)
    for choice in choices:
        yield from _disk(choice)


def _same(plan: Plan, observed: Observed) -> Iterator[DiffLine]:
    """Machines that are in service and stay as they are."""
    names = {allocation.machine: allocation.name for allocation in plan.allocations}
    settled = sorted(
        (names.get(machine.machine.id, machine.machine.id), machine.machine.phase, machine.machine.id)
        for machine in observed.machines
        if machine.machine.phase in (Phase.DEPLOYED, Phase.MEMBER, Phase.LEAVING)
    )
    if settled:
        yield DiffLine(kind=LineKind.SUMMARY, text="")
        yield DiffLine(kind=LineKind.SUMMARY, text="Unchanged")
    for name, phase, machine in sorted(settled, key=lambda item: (natural(item[0]), item[2])):
        yield DiffLine(kind=LineKind.SAME, text=f"{name}: {phase}", machine=machine)


def _partition(spec: PartitionSpec) -> str:
    size = f"{spec.size >> 20} MiB" if spec.size else "the rest"
    return f"{spec.role} {size}{' ' + spec.filesystem if spec.filesystem else ''}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
