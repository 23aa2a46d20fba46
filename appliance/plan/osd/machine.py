"""The OSDs of one machine: what stands, what joins, and for every disk why it is used or not.

Order of decisions: what stands keeps its disks; then each drive group takes data, WAL and DB devices of what is left
(earlier groups win); then DB and WAL slots; then memory. Nothing is guessed or shrunk: what does not fit is a wait with
the numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from appliance.model.ceph import CephSpec, OsdBudget, OsdLayout
from appliance.model.plan import DiskChoice, DiskFate, Wait, WaitReason
from appliance.model.site import Site
from appliance.plan.candidate import Candidate
from appliance.plan.disks.choice import disk_choice
from appliance.plan.disks.reject import Finding
from appliance.plan.disks.verdict import Claims, Identity, judge
from appliance.plan.order import natural
from appliance.plan.osd.budget import budget
from appliance.plan.osd.group import DATA, DB, ROLES, WAL, Host, NewOsd, plan_group
from appliance.plan.osd.pattern import Cut, Pattern, Use, Why
from appliance.plan.osd.replacing import NOTHING, Replacing, ref_identity, stay, without_a_disk
from appliance.plan.osd.rules import Rules, rules
from appliance.plan.osd.slots import Shelf, shelf, size_text
from appliance.plan.osd.standing import Dropped, formed, shared_places, stand, system_disks
from hwprofiles.normal import serial_key
from hwprofiles.values import show_size


@dataclass(frozen=True, slots=True, kw_only=True)
class OsdPlan:
    """``osds`` in the order of their disks, new ones with ``number`` -1. ``choices`` has every disk of the machine that is
    not a system disk, once. ``budget`` is None without OSDs."""

    osds: tuple[OsdLayout, ...]
    choices: tuple[DiskChoice, ...]
    waits: tuple[Wait, ...]
    budget: OsdBudget | None


def plan_osds(
    site: Site,
    spec: CephSpec,
    candidate: Candidate,
    claimed: Claims,
    standing: Sequence[OsdLayout],
    *,
    hyperconverged: bool,
    known: Known | None = None,
    replacing: Replacing = NOTHING,
) -> OsdPlan:
    """The OSDs of one machine. ``standing`` are those of the accepted plan (those of other machines are ignored);
    ``hyperconverged`` says whether the machine runs virtual machines, too. ``known`` are patterns of new machines, for the
    same site and specification; it grows. One whose disk is being ``replacing`` gives it up: a new OSD takes its
    number; without one it waits, and keeps number and slots."""
    looks = candidate.looks
    ruled = rules(spec.groups, candidate.profile.name, candidate.profile.disks)
    if known is None or looks is None or standing or ruled.by_serial:
        return _replaced(_Plea(spec, candidate, claimed, hyperconverged), standing, replacing)
    taken = set(map(id, candidate.system))
    disks = [disk for disk in looks.disks if id(disk) not in taken]
    system = tuple([position for position, disk in enumerate(looks.disks) if id(disk) in taken])
    memory, threads = candidate.inventory.memory, candidate.inventory.cpu.threads
    key = candidate.profile.name, looks.kind, system, memory.installed or memory.total, threads, hyperconverged
    pattern = known.get(key)
    if pattern is None:
        machine = _Machine(spec, candidate, claimed, standing, hyperconverged)
        found = machine.plan()
        if not found.waits:
            known[key] = machine.pattern(found)
        return found
    return OsdPlan(
        osds=pattern.osds(candidate, disks),
        choices=pattern.choices(candidate, disks),
        waits=(),
        budget=pattern.memory(candidate),
    )


Known = dict[Hashable, Pattern]
"""Profile, `Looks.kind`, positions of system disks, memory, threads, hyperconverged → what follows from them."""


def _replaced(ask: _Plea, standing: Sequence[OsdLayout], replacing: Replacing) -> OsdPlan:
    """With the disks that are being replaced: once more for those OSDs for which no new disk is there, until each of the
    others has one."""
    own = stay(osd for osd in standing if osd.machine == ask.candidate.id)
    pending = [osd for osd in own if replacing.lets_go(osd)]
    rest = [osd for osd in own if not replacing.lets_go(osd)]
    held: tuple[OsdLayout, ...] = ()
    while True:
        machine = ask.machine(rest)
        machine.let_go(pending, held)
        found = machine.plan()
        new = [osd for osd in found.osds if osd.number < 0]
        lost = [gone.osd for gone in machine.dropped if gone.osd.number not in replacing.running]
        left = without_a_disk(pending, held, lost, new)
        if left == held:
            refused = tuple(_refusals(ask.candidate.name, rest, replacing))
            return replace(found, waits=(*found.waits, *refused)) if refused else found
        held = left


class _Plea(NamedTuple):
    """What OSDs of a machine are planned by, whatever stands on it."""

    spec: CephSpec
    candidate: Candidate
    claimed: Claims
    hyperconverged: bool

    def machine(self, standing: Sequence[OsdLayout]) -> _Machine:
        return _Machine(self.spec, self.candidate, self.claimed, standing, self.hyperconverged)


def _refusals(name: str, standing: Sequence[OsdLayout], replacing: Replacing) -> Iterator[Wait]:
    for osd in standing:
        if replacing.meant(osd):
            text = (
                f"osd.{osd.number} can't leave its disk {serial_key(osd.data.serial)}: {replacing.refused[osd.number]}"
            )
            yield Wait(about=name, reason=WaitReason.DRAIN_REFUSED, text=text)


class _Machine:
    def __init__(
        self,
        spec: CephSpec,
        candidate: Candidate,
        claimed: Claims,
        standing: Sequence[OsdLayout],
        hyperconverged: bool,
    ) -> None:
        self.held: Sequence[OsdLayout] = ()
        self.spec, self.candidate, self.hyperconverged = spec, candidate, hyperconverged
        self.rules: Rules = rules(spec.groups, candidate.profile.name, candidate.profile.disks)
        verdicts = judge(candidate.machine, system_disks(candidate), claimed)
        own = sorted((osd for osd in standing if osd.machine == candidate.id), key=lambda osd: osd.number)
        stands, self.dropped = stand(own, verdicts, candidate.marks) if own else ([], [])
        kept = {where for one in stands for where in (one.data, one.db, one.wal)}
        self.host = Host(
            machine=candidate.id,
            encrypted=spec.encrypted,
            verdicts=verdicts,
            answers=[
                self.rules.answers(verdict.disk, verdict.free or position in kept)
                for position, verdict in enumerate(verdicts)
            ],
            standing=stands,
            roles=[""] * len(verdicts),
            whys=[""] * len(verdicts),
            offers=[""] * len(verdicts),
        )
        self.budget: OsdBudget | None = None
        self.named: dict[int, Why] = {}
        """Why-lines that name other disks."""

    def let_go(self, pending: Sequence[OsdLayout], held: Sequence[OsdLayout]) -> None:
        """The disks that are being replaced are left alone, whatever would like them. What their OSDs shared stays with
        Ceph; the slots of those that are ``held`` are theirs until a new disk comes."""
        host, self.held = self.host, held
        host.shared = shared_places(host.verdicts, pending, {osd.number for osd in held}, self.candidate.marks)
        for place in host.shared:
            host.answers[place.position] = self.rules.answers(host.verdicts[place.position].disk, True)
        names: dict[Identity, list[str]] = {}
        for osd in pending:
            names.setdefault(ref_identity(osd.data), []).append(f"osd.{osd.number}")
        for position, verdict in enumerate(host.verdicts):
            if verdict.identity in names:
                whose = ", ".join(names[verdict.identity])
                host.whys[position] = f"it is being replaced: {whose} leaves it, and nothing more is written to it"

    def plan(self) -> OsdPlan:
        host = self.host
        self._stand()
        for index, group in enumerate(self.rules.groups):
            plan_group(host, index, group)
        self._afford()
        osds = self._osds()
        self._explain(osds)
        return OsdPlan(
            osds=osds,
            choices=tuple(self._choice(position) for position in range(len(host.verdicts))),
            waits=tuple(self._waits()),
            budget=self.budget,
        )

    def _stand(self) -> None:
        """What stands keeps its disks and slots."""
        roles = self.host.roles
        for one in self.host.standing:
            roles[one.data] = ROLES[DATA]
            size = one.osd.data_size
            if one.db is not None:
                roles[one.db] = ROLES[DB]
                self._shelf(one.db).keep(one.osd.slot, one.osd.db_size, size)
            if one.wal is not None:
                roles[one.wal] = ROLES[WAL]
                self._shelf(one.wal).keep(one.osd.wal_slot, one.osd.wal_size, size)
        for place in self.host.shared:
            roles[place.position] = place.role
            shelf_ = self._shelf(place.position)
            if place.kept:
                shelf_.keep(place.slot, place.size, place.data_size)
        names = {group.group.name for group in self.rules.groups}
        kept = {where for one in self.host.standing if one.osd.group in names for where in (one.db, one.wal)}
        kept |= {one.position for one in self.host.shared if one.group in names}
        self.host.orphans = set(self.host.shelves) - kept

    def _shelf(self, position: int) -> Shelf:
        kept = self.host.shelves.get(position)
        if kept is None:
            kept = self.host.shelves[position] = shelf(position, self.host.verdicts[position].disk)
        return kept

    def _afford(self) -> None:
        """New OSDs that the machine has no memory for are refused, all of them; what stands stays."""
        host = self.host
        old = [*(one.osd.device_class for one in host.standing), *(osd.device_class for osd in self.held)]
        wanted = self._budget([*old, *(osd.layout.device_class for osd in host.new)])
        if wanted is None or wanted.fits:
            self.budget = wanted
            return
        host.waits.append((WaitReason.TOO_LITTLE_MEMORY, wanted.text))
        refused = {osd.position for osd in host.new}
        refused |= {slot.position for osd in host.new for slot in (osd.db, osd.wal) if slot.position is not None}
        refused -= {where for one in host.standing for where in (one.data, one.db, one.wal) if where is not None}
        refused -= {place.position for place in host.shared}
        for position in refused:
            host.roles[position] = ""
            host.whys[position] = f"it would be used: {wanted.text}"
        host.new.clear()
        self.budget = self._budget(old) if old else wanted

    def _budget(self, classes: list[str]) -> OsdBudget | None:
        inventory = self.candidate.inventory
        memory = inventory.memory.installed or inventory.memory.total
        if not classes:
            return None
        return budget(self.candidate.id, memory, inventory.cpu.threads, classes, hyperconverged=self.hyperconverged)

    # ------------------------------------------------------------ the result

    def _osds(self) -> tuple[OsdLayout, ...]:
        found = [(one.data, one.osd.part, one.osd) for one in self.host.standing]
        found += [(osd.position, osd.layout.part, osd.layout) for osd in self.host.new]
        osds = [osd for _, _, osd in sorted(found, key=lambda item: item[:2])]
        return (*osds, *(replace(osd, replacing=True) for osd in self.held))

    def _choice(self, position: int) -> DiskChoice:
        host = self.host
        disk, role = host.verdicts[position].disk, host.roles[position]
        written = role and not host.verdicts[position].protected
        fate = DiskFate.ASSIGN if written else DiskFate.KEEP
        return disk_choice(self.candidate.id, disk, fate, role, host.whys[position])

    # ------------------------------------------------------------ why

    def _explain(self, osds: tuple[OsdLayout, ...]) -> None:
        """A why-line for every disk that has none yet."""
        host = self.host
        self._explain_used(len(osds))
        for position, verdict in enumerate(host.verdicts):
            if host.whys[position]:
                continue
            if verdict.out is not None:
                host.whys[position] = verdict.why_out
            elif position in host.foreign:
                host.whys[position] = f"{verdict.carries}; {_grant(verdict.identity[0])}"
            else:
                host.whys[position] = host.offers[position] or self.rules.why_not(host.answers[position])

    def _explain_used(self, total: int) -> None:
        host = self.host
        for osd in host.new:
            parts = self.named[osd.position] = self._why_data(osd)
            host.whys[osd.position] = "".join(part if isinstance(part, str) else host.name(part) for part in parts)
        for one in host.standing:
            done = "Ceph has written it" if formed(host.verdicts[one.data].disk) else "not formed yet"
            before = host.whys[one.data]
            name = f"osd.{one.osd.number}"
            kept = "; protected by the site file, so nothing is written" if host.verdicts[one.data].protected else ""
            host.whys[one.data] = f"{before}, {name}" if before else f"stands as planned, {done}{kept}: {name}"
        users: Counter[int] = Counter(
            slot.position for osd in host.new for slot in (osd.db, osd.wal) if slot.position is not None
        )
        users.update(where for one in host.standing for where in (one.db, one.wal) if where is not None)
        users.update(one.position for one in host.shared if one.kept)
        for position, count in users.items():
            device = "DB" if host.roles[position] == ROLES[DB] else "WAL"
            why = host.verdicts[position].free_because or "it stands as planned"
            host.whys[position] = (
                f"{device} device of {count} OSD{'' if count == 1 else 's'}; "
                f"its loss takes {count} of {total} OSDs of this host; {why}"
            )

    def _why_data(self, osd: NewOsd) -> Why:
        host, layout = self.host, osd.layout
        text = f"{osd.group.why(osd.rank)}; {host.verdicts[osd.position].free_because}"
        if osd.parts > 1:
            text += f"; {osd.parts} OSDs of {size_text(layout.data_size)} each"
        elif osd.group.group.osds_per_device > 1:
            text += "; one OSD, only NVMe is split"
        why: Why = (text,)
        if osd.db.position is not None:
            percent = 100 * layout.db_size / layout.data_size
            text = f"; DB of {size_text(layout.db_size)} ({percent:.1f} %) in slot {layout.slot + 1} of {osd.db.of} on "
            why = (*why, text, osd.db.position)
        if osd.wal.position is not None:
            text = f"; WAL of {size_text(layout.wal_size)} in slot {layout.wal_slot + 1} of {osd.wal.of} on "
            why = (*why, text, osd.wal.position)
        return why

    def pattern(self, found: OsdPlan) -> Pattern:
        """What was planned (``found``) for every machine that looks the same: a new one, of which nothing waits."""
        where = {ref: position for position, ref in self.host.refs.items()}
        return Pattern(
            uses=tuple(
                Use(choice.role, choice.fate, choice.now, self.named.get(position, (choice.why,)), choice.fingerprint)
                for position, choice in enumerate(found.choices)
            ),
            cuts=tuple(
                Cut(osd, where[osd.data], where[osd.db] if osd.db else None, where[osd.wal] if osd.wal else None)
                for osd in found.osds
            ),
            budget=found.budget,
        )

    def _waits(self) -> Iterator[Wait]:
        name, host = self.candidate.name, self.host
        for text in self.rules.problems:
            yield Wait(about=name, reason=WaitReason.LAYOUT, text=text)
        for gone in self.dropped:
            yield Wait(about=name, reason=gone.reason, text=_dropped(gone))
        for osd in self.held:
            yield Wait(about=name, reason=WaitReason.NEW_DISK, text=_awaited(osd))
        if host.foreign:
            positions = sorted(host.foreign)
            shown = "; ".join(f"{host.show(position)} {host.verdicts[position].carries}" for position in positions)
            serials = sorted((host.verdicts[position].identity[0] or "…" for position in positions), key=natural)
            text = f"{shown}; {_grant(*serials)}"
            yield Wait(about=name, reason=WaitReason.FOREIGN_DATA, text=text)
        for reason, text in host.waits:
            yield Wait(about=name, reason=reason, text=text)
        yield from self._unusable()

    def _unusable(self) -> Iterator[Wait]:
        """Disks that a group means, but that can't be named or are failing: nobody should wonder why there is no OSD."""
        host = self.host
        for finding, reason in _TOLD.items():
            shown = [
                host.show(position)
                for position, verdict in enumerate(host.verdicts)
                if verdict.out is finding
                and not host.roles[position]
                and any(answer.rank >= 0 for answers in host.answers[position] for answer in answers)
            ]
            if shown:
                position = next(p for p, verdict in enumerate(host.verdicts) if verdict.out is finding)
                text = f"{', '.join(shown)} would be used: {host.verdicts[position].why_out}"
                yield Wait(about=self.candidate.name, reason=reason, text=text)


_TOLD = {
    Finding.NO_IDENTITY: WaitReason.NOT_IDENTIFIABLE,
    Finding.TWIN: WaitReason.NOT_IDENTIFIABLE,
    Finding.FAILING: WaitReason.LAYOUT,
}
"""What people are told beside the why-line. That a disk is protected, they said themselves."""


def _grant(*serials: str) -> str:
    grants = ", ".join(f"{{serial: {serial or '…'}}}" for serial in serials)
    named = ", ".join(serial or "…" for serial in serials)
    return f"allow its erasure in the site file (erase: [{grants}]), protect it (protect: [{named}]), or remove it"


def _awaited(osd: OsdLayout) -> str:
    group = f"drive group {osd.group}" if osd.group else "the profile"
    old = f"{serial_key(osd.data.serial) or osd.data.wwn} ({show_size(osd.data.size)})"
    return (
        f"osd.{osd.number} waits for a new disk in the place of {old}: put in one that {group} takes as "
        f"{osd.device_class}, then plan again"
    )


def _dropped(gone: Dropped) -> str:
    return f"osd.{gone.osd.number}: {gone.why}"
