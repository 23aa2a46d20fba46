"""`plan`: what should be and what is → one immutable plan. Pure and deterministic; the order of inputs never matters.

A machine that is deployed has no steps, one that is being installed is left to the plan that does it, so a plan that was
carried out is followed by an empty one. What can't be done now is a wait with a reason from a closed set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.wire import Disk
from appliance.model.machine import Phase
from appliance.model.observed import Observed, ObservedMachine
from appliance.model.plan import (
    Allocation,
    Desired,
    DiskChoice,
    DiskFate,
    Fact,
    Plan,
    Step,
    Wait,
    WaitReason,
)
from appliance.model.site import ExpectedMachine, Site
from appliance.plan import facts
from appliance.plan.addresses import Ladder
from appliance.plan.candidate import Candidate
from appliance.plan.content import is_ours
from appliance.plan.desired import Layout, desire
from appliance.plan.disks import Claims, DiskPlan, choose, claims
from appliance.plan.location import locate
from appliance.plan.network import boot_port
from appliance.plan.order import natural
from appliance.plan.place import Places, display_name, kept, numbering
from appliance.plan.ready import SETTLED, not_yet, profile_of
from appliance.plan.steps import install_steps
from hwprofiles.profile import Profile

EXECUTABLE = frozenset({"x86_64"})
"""Architectures that a root image exists for."""


def plan(site: Site, profiles: Iterable[Profile], observed: Observed, parent: Plan | None) -> Plan:
    """The next plan. ``parent`` is the last accepted one; allocations come from it and from ``observed``."""
    machines = tuple(machine for machine in observed.machines if machine.machine.phase is not Phase.RETIRED)
    before = kept(machines, parent)
    planner = _Planner(
        site=site,
        entries={entry.name: entry for entry in site.machines},
        profiles={profile.name: profile for profile in profiles},
        images=dict(observed.images),
        claims=claims(site, machines),
        places=Places(site=site, kept=before),
        ladder=Ladder(site, before),
        allocations=dict(before),
    )
    seen = {machine.expected for machine in machines}
    for name in planner.entries.keys() - seen:
        planner.wait(name, WaitReason.NOT_SEEN, "no machine that fits the site file was seen yet; switch it on")
    doubled = _doubled(machines)
    for machine in sorted(machines, key=numbering):
        planner.take(machine, doubled.get(machine.machine.id, ""))
    planner.count()
    planner.lay_out(parent.desired if parent else Desired())
    return planner.finish(observed, parent)


def _doubled(machines: tuple[ObservedMachine, ...]) -> dict[str, str]:
    """Machines that are the same entry of the site file: id → the others."""
    found: dict[str, list[str]] = {}
    for machine in machines:
        if machine.expected:
            found.setdefault(machine.expected, []).append(machine.machine.id)
    return {who: ", ".join(sorted(set(ids) - {who})) for ids in found.values() if len(ids) > 1 for who in ids}


@dataclass(slots=True, kw_only=True)
class _Planner:
    """The plan while it grows; one machine at a time, then the layout over all of them."""

    site: Site
    entries: Mapping[str, ExpectedMachine]
    profiles: dict[str, Profile]
    images: dict[str, str]
    claims: Claims
    places: Places
    ladder: Ladder
    allocations: dict[str, Allocation]
    candidates: list[Candidate] = field(default_factory=list)
    ready: list[tuple[Candidate, DiskPlan]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    disks: dict[str, tuple[DiskChoice, ...]] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)
    layout: Layout | None = None

    def wait(self, about: str, reason: WaitReason, text: str) -> None:
        self.waits.append(Wait(about=about, reason=reason, text=text))

    def take(self, machine: ObservedMachine, others: str) -> None:
        """What becomes of one machine: it stands, it is a candidate, or it waits."""
        before = self.allocations.get(machine.machine.id)
        name = display_name(machine, before)
        if machine.machine.phase in SETTLED:
            self._stands(machine, before)
            return
        if others:
            text = f"another machine is this entry of the site file, too: {others}; retire one"
            self.wait(name, WaitReason.TROUBLE, text)
            return
        wait = not_yet(machine, name)
        if wait is not None:
            self.waits.append(wait)
            if machine.machine.phase is Phase.DEPLOYING:
                self._stands(machine, before)
            return
        entry = self.entries.get(machine.expected)
        profile = profile_of(machine, name, entry.profile if entry else "", self.profiles)
        if isinstance(profile, Wait):
            self.waits.append(profile)
            return
        self._candidate(machine, name, profile)

    def _stands(self, machine: ObservedMachine, given: Allocation | None) -> None:
        """A machine that is installed, or about to be, keeps what it has."""
        profile = self.profiles.get(given.profile) if given else None
        if given is None or profile is None or machine.inventory is None:
            return
        disks = machine.inventory.disks
        system = tuple(disk for disk in disks if disk.content.in_use or is_ours(machine, disk))
        self._add(machine, profile, given, system, standing=True)

    def _candidate(self, machine: ObservedMachine, name: str, profile: Profile) -> None:
        found = choose(machine, name, profile, self.claims)
        given = found.wait or self._port(machine, name) or self.places.give(machine, profile.name)
        if isinstance(given, Wait):
            self.disks[machine.machine.id] = tuple(_kept(choice) for choice in found.choices)
            self.waits.append(given)
            return
        one = self._add(machine, profile, given, found.systems, standing=False)
        if one is None:
            self.disks[machine.machine.id] = tuple(_kept(choice) for choice in found.choices)
            return
        later = self._later(one)
        if later is not None:
            self.waits.append(later)
            self.disks[one.id] = tuple(_kept(choice) for choice in found.choices)
            return
        self.disks[one.id] = found.choices
        self.ready.append((one, found))

    def _add(
        self,
        machine: ObservedMachine,
        profile: Profile,
        given: Allocation,
        system: tuple[Disk, ...],
        *,
        standing: bool,
    ) -> Candidate | None:
        """Number, addresses and place; None when there is no address for it (then it waits)."""
        who, inventory = machine.machine.id, machine.inventory
        number = self.ladder.number(who)
        addresses = self.ladder.addresses(who, number)
        if isinstance(addresses, Wait):
            self.waits.append(addresses)
            return None
        if inventory is None:
            return None
        one = Candidate(
            machine=machine,
            inventory=inventory,
            profile=profile,
            place=locate(self.site, self.entries.get(machine.expected), inventory),
            given=replace(given, number=number, addresses=addresses),
            system=system,
            standing=standing,
        )
        self.candidates.append(one)
        self.allocations[who] = one.given
        return one

    def _port(self, machine: ObservedMachine, name: str) -> Wait | None:
        if boot_port(machine.inventory) is not None:
            return None
        return Wait(about=name, reason=WaitReason.NOT_INSPECTED, text="its agent reported no network port")

    def _later(self, one: Candidate) -> Wait | None:
        """Why a machine that is placed can't be installed by us now."""
        architecture, system = one.inventory.architecture, self.site.operating_system
        if architecture not in EXECUTABLE:
            text = f"there is no root image for {architecture} yet"
            return Wait(about=one.name, reason=WaitReason.NOT_EXECUTABLE, text=text)
        if system not in self.images:
            text = f"the root image of {system} is not built: rackseed image root {system}"
            return Wait(about=one.name, reason=WaitReason.NO_IMAGE, text=text)
        return None

    def count(self) -> None:
        """Machines that are expected by number only, and are not there yet."""
        have = Counter(one.profile.name for one in self.candidates)
        for entry in self.site.counts:
            if have[entry.profile] < entry.count:
                text = f"{have[entry.profile]} of {entry.count} expected machines are there and ready; switch the others on"
                self.wait(entry.profile, WaitReason.NOT_SEEN, text)

    def lay_out(self, standing: Desired) -> None:
        """The layout over all candidates; then the steps of those that are installed now."""
        self.candidates.sort(key=lambda one: (one.given.number, one.id))
        placed = {one.given.name for one in self.candidates}
        unplaced = sorted(self.entries.keys() - placed, key=natural)
        self.layout = desire(self.site, self.candidates, self.claims, standing, unplaced)
        self.allocations.update(self.layout.allocations)
        self.waits += self.layout.waits
        members: dict[str, list[DiskChoice]] = {}
        for choice in self.layout.choices:
            members.setdefault(choice.machine, []).append(choice)
        for who, choices in members.items():
            system = [choice for choice in self.disks.get(who, ()) if choice.role == "system"]
            self.disks[who] = (*system, *choices)
        osds = self.layout.desired.ceph.osds if self.layout.desired.ceph else ()
        assigned = facts.assigned_keys(osds)
        for one, found in self.ready:
            self._install(one, found, assigned.pop(one.id, []))
        before = {osd.number for osd in standing.ceph.osds} if standing.ceph else set()
        new = facts.assigned_keys(osd for osd in osds if osd.number not in before)
        for one in self.candidates:
            if one.id in new and one.id in assigned:
                self.facts += facts.machine_facts(one.machine, new[one.id])

    def _install(self, one: Candidate, found: DiskPlan, assigned: Sequence[str]) -> None:
        """Steps and facts of one machine. ``assigned`` are the keys of its disks that the layout gives a role."""
        if found.system is None:
            return
        choice = next(choice for choice in found.choices if choice.fate is DiskFate.ERASE)
        image = self.images[self.site.operating_system]
        one = replace(one, given=self.allocations[one.id])
        install, boot = install_steps(self.site, one, choice, found.system, image)
        self.steps += [install, boot]
        self.facts += facts.machine_facts(one.machine, (*facts.erased_keys(install), *assigned))

    def finish(self, observed: Observed, parent: Plan | None) -> Plan:
        """Everything in its total order, and the hash over it."""
        desired = self.layout.desired if self.layout else Desired()
        steps = tuple(sorted(self.steps, key=lambda step: (natural(step.name), step.machine, bool(step.after))))
        if steps:
            self.facts += facts.image_facts(observed, [self.site.operating_system])
        found = tuple(sorted(self.facts, key=lambda fact: fact.name))
        names = {who: allocation.name for who, allocation in self.allocations.items()}
        order = sorted(self.disks, key=lambda who: (natural(names.get(who, "~" + who)), who))
        return Plan(
            hash=facts.plan_hash(steps, found, desired),
            parent=parent.hash if parent else "",
            steps=steps,
            waits=tuple(sorted(self.waits, key=lambda wait: (natural(wait.about), wait.reason, wait.text))),
            disks=tuple(choice for who in order for choice in sorted(self.disks[who], key=_disk)),
            allocations=tuple(sorted(self.allocations.values(), key=lambda a: (natural(a.name), a.machine))),
            facts=found,
            desired=desired,
            changes=bool(steps) or not facts.same_layout(desired, parent.desired if parent else Desired()),
        )


_FATES = {DiskFate.ERASE: 0, DiskFate.ASSIGN: 1, DiskFate.KEEP: 2}


def _disk(choice: DiskChoice) -> tuple[int, str, str, int]:
    return _FATES[choice.fate], choice.serial, choice.wwn, choice.size


def _kept(choice: DiskChoice) -> DiskChoice:
    """The same disk when the machine waits after all: nothing is erased."""
    if choice.fate is DiskFate.KEEP:
        return choice
    return replace(choice, fate=DiskFate.KEEP, why=f"{choice.why}; but the machine waits")
