"""Everything that an explanation looks at, indexed once: the plan, what was observed, the site file, the profiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from agent.wire import Disk
from appliance.model.ceph import DiskRef, OsdLayout
from appliance.model.observed import Observed, ObservedMachine
from appliance.model.plan import Allocation, Desired, DiskChoice, NodeLayout, Plan
from appliance.model.site import ExpectedMachine, Site
from appliance.plan.diff.ceph import DiskKey, assignments, disk_key
from appliance.plan.diff.layout import names_of
from appliance.plan.diff.lines import DiffLine, LineKind
from appliance.plan.stale import ChangedFact, changed_facts
from hwprofiles.normal import serial_key
from hwprofiles.profile import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class OsdsOfDisk:
    """OSDs with their data, their DB and their WAL on one disk."""

    data: tuple[OsdLayout, ...]
    db: tuple[OsdLayout, ...]
    wal: tuple[OsdLayout, ...]


@dataclass(frozen=True, kw_only=True)
class Known:
    """One plan and its inputs. ``machines`` are also those that the plan has nothing to do for; ``before`` is the layout of
    its parent."""

    plan: Plan
    observed: Observed
    site: Site
    profiles: tuple[Profile, ...] = ()
    before: Desired | None = None

    @cached_property
    def machines(self) -> Mapping[str, ObservedMachine]:
        return {machine.machine.id: machine for machine in self.observed.machines}

    @cached_property
    def allocations(self) -> Mapping[str, Allocation]:
        return {allocation.machine: allocation for allocation in self.plan.allocations}

    @cached_property
    def entries(self) -> Mapping[str, ExpectedMachine]:
        return {entry.name: entry for entry in self.site.machines}

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Machine id → name."""
        shown = {who: m.expected or m.machine.name or who for who, m in self.machines.items()}
        return shown | names_of(self.plan.allocations, self.plan.desired)

    @cached_property
    def nodes(self) -> Mapping[str, NodeLayout]:
        return {node.machine: node for node in self.plan.desired.nodes}

    @cached_property
    def roles(self) -> Mapping[DiskKey, str]:
        return assignments(self.plan.desired.ceph)

    @cached_property
    def choices(self) -> Mapping[DiskKey, DiskChoice]:
        return {disk_key(choice.machine, choice.serial, choice.wwn): choice for choice in self.plan.disks}

    @cached_property
    def disks(self) -> Mapping[DiskKey, Disk | None]:
        """Every disk that was seen or is in the plan or its layout, with what the machine reported of it (None: not any
        more)."""
        table: dict[DiskKey, Disk | None] = dict.fromkeys((*self.choices, *self.roles))
        for who, machine in self.machines.items():
            for disk in machine.inventory.disks if machine.inventory else ():
                table[disk_key(who, disk.serial, disk.wwn)] = disk
        return table

    @cached_property
    def stale(self) -> Mapping[str, ChangedFact]:
        """Facts that changed since the plan was made, by name."""
        return {fact.name: fact for fact in changed_facts(self.plan, self.observed)}

    def osds_on(self, key: DiskKey) -> OsdsOfDisk:
        """OSDs that stop when this disk fails."""
        osds = self.plan.desired.ceph.osds if self.plan.desired.ceph else ()

        def is_it(osd: OsdLayout, disk: DiskRef | None) -> bool:
            return disk is not None and disk_key(osd.machine, disk.serial, disk.wwn) == key

        here = [osd for osd in osds if osd.machine == key[0]]
        return OsdsOfDisk(
            data=tuple(osd for osd in here if is_it(osd, osd.data)),
            db=tuple(osd for osd in here if is_it(osd, osd.db)),
            wal=tuple(osd for osd in here if is_it(osd, osd.wal)),
        )

    def serials(self, who: str) -> frozenset[str]:
        """Normalised serials on the box of a machine."""
        machine = self.machines.get(who)
        board = machine.inventory.board if machine and machine.inventory else None
        found = (board.serial, board.system_serial, board.pi_serial) if board else ()
        return frozenset(serial_key(text) for text in found) - {""}

    def waits_about(self, *words: str) -> Iterable[DiffLine]:
        """Waits about one of these (names, ids, serials)."""
        wanted = {word for word in words if word}
        for wait in self.plan.waits:
            if wait.about in wanted:
                yield DiffLine(kind=LineKind.WAIT, text=f"{wait.about}: {wait.reason}: {wait.text}")

    def facts_of(self, prefix: str) -> Iterable[DiffLine]:
        """Facts whose names begin so, and whether they still hold."""
        for fact in self.plan.facts:
            if not fact.name.startswith(prefix):
                continue
            changed = self.stale.get(fact.name)
            if changed is None:
                yield fact_line(f"{fact.name}: {fact.value}")
            else:
                text = f"{fact.name}: CHANGED, so this plan can't be applied any more: {changed.text}"
                yield DiffLine(kind=LineKind.WAIT, text=text)


def fact_line(text: str) -> DiffLine:
    """Something that is so."""
    return DiffLine(kind=LineKind.FACT, text=text)


def section(title: str, lines: Iterable[DiffLine]) -> Iterable[DiffLine]:
    """An empty line, a heading, the lines; nothing when there are none."""
    found = list(lines)
    if found:
        yield DiffLine(kind=LineKind.SUMMARY, text="")
        yield DiffLine(kind=LineKind.HEADING, text=title)
        yield from found
