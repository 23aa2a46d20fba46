"""`plan`: what should be and what is → one immutable plan. Pure and deterministic; the order of inputs never matters.

A machine that is deployed has no steps, one that is being installed is left to the plan that does it, so a plan that was
carried out is followed by an empty one. What can't be done now is a wait with a reason from a closed set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

from agent.wire import Disk
from appliance.kinds.ceph import begun, may_be_begun
from appliance.kinds.ceph import marks as begun_marks
from appliance.model.ceph import OsdLayout
from appliance.model.machine import Phase
from appliance.model.observed import Observed, ObservedMachine
from appliance.model.plan import (
    Allocation,
    Desired,
    DiskChoice,
    DiskFate,
    Fact,
    NodeLayout,
    Plan,
    Step,
    Wait,
    WaitReason,
)
from appliance.model.site import ExpectedMachine, Site
from appliance.plan import facts
from appliance.plan.candidate import Candidate
from appliance.plan.ceph.steps import removed
from appliance.plan.desired import Ground, Layout, desire
from appliance.plan.disks.content import is_ours
from appliance.plan.disks.looks import Looks
from appliance.plan.disks.system import Claims, DiskPlan, Known, choose, claims
from appliance.plan.garbage import collection_paused
from appliance.plan.network.addresses import Ladder
from appliance.plan.network.ports import boot_port
from appliance.plan.order import natural
from appliance.plan.placement.location import Locations
from appliance.plan.placement.membership import LEAVING
from appliance.plan.placement.place import Places, display_name, kept, numbering
from appliance.plan.ready import SETTLED, not_yet, profile_of
from appliance.plan.steps import install_steps, operating_system
from hwprofiles.profile import DiskRoleName, Profile

EXECUTABLE = frozenset({"x86_64"})
"""Architectures that a root image exists for."""


def plan(site: Site, profiles: Iterable[Profile], observed: Observed, parent: Plan | None) -> Plan:
    """The next plan. ``parent`` is the last accepted one; allocations come from it and from ``observed``."""
    with collection_paused():
        return _plan(site, profiles, observed, parent)


def _plan(site: Site, profiles: Iterable[Profile], observed: Observed, parent: Plan | None) -> Plan:
    machines = tuple(machine for machine in observed.machines if machine.machine.phase is not Phase.RETIRED)
    before = kept(machines, parent)
    standing = parent.desired if parent else Desired()
    planner = _Planner(
        site=site,
        entries={entry.name: entry for entry in site.machines},
        profiles={profile.name: profile for profile in profiles},
        images=dict(observed.images),
        claims=claims(site, machines, observed.replacing),
        places=Places(site=site, kept=before),
        ladder=Ladder(site, before),
        locations=Locations(site),
        standing={node.machine: node for node in standing.nodes},
        chosen=_chosen(parent),
        allocations=dict(before),
        ids=frozenset(machine.machine.id for machine in machines),
        leaving=frozenset(machine.machine.id for machine in observed.machines if _leaves(machine)),
        osds=_by_machine(standing.ceph.osds if standing.ceph else ()),
        fsid=standing.ceph.fsid if standing.ceph else "",
        observed=observed,
    )
    seen = {machine.expected for machine in machines}
    for name in planner.entries.keys() - seen:
        planner.wait(name, WaitReason.NOT_SEEN, "no machine that fits the site file was seen yet; switch it on")
    doubled = _doubled(machines)
    for machine in sorted(machines, key=numbering):
        planner.take(machine, doubled.get(machine.machine.id, ""))
    planner.count()
    planner.lay_out(standing)
    return planner.finish(parent)


def _by_machine(osds: Iterable[OsdLayout]) -> dict[str, list[OsdLayout]]:
    found: dict[str, list[OsdLayout]] = {}
    for osd in osds:
        found.setdefault(osd.machine, []).append(osd)
    return found


def _leaves(machine: ObservedMachine) -> bool:
    """Whether a person has let the machine go."""
    return machine.machine.phase is Phase.RETIRED or machine.machine.policy in LEAVING


def _doubled(machines: tuple[ObservedMachine, ...]) -> dict[str, str]:
    """Machines that are the same entry of the site file: id → the others."""
    found: dict[str, list[str]] = {}
    for machine in machines:
        if machine.expected:
            found.setdefault(machine.expected, []).append(machine.machine.id)
    return {who: ", ".join(sorted(set(ids) - {who})) for ids in found.values() if len(ids) > 1 for who in ids}


def _chosen(parent: Plan | None) -> dict[str, set[tuple[str, str]]]:
    """Serial and WWN of the system disks that the parent chose, by machine id."""
    found: dict[str, set[tuple[str, str]]] = {}
    for choice in parent.disks if parent else ():
        if choice.role == DiskRoleName.SYSTEM:
            found.setdefault(choice.machine, set()).add((choice.serial, choice.wwn))
    return found


@dataclass(slots=True, kw_only=True)
class _Planner:
    """The plan while it grows; one machine at a time, then the layout over all of them. ``standing`` are the nodes of the
    parent's layout."""

    site: Site
    entries: Mapping[str, ExpectedMachine]
    profiles: dict[str, Profile]
    images: dict[str, str]
    claims: Claims
    places: Places
    ladder: Ladder
    locations: Locations
    standing: Mapping[str, NodeLayout]
    chosen: Mapping[str, set[tuple[str, str]]]
    allocations: dict[str, Allocation]
    ids: frozenset[str]
    leaving: frozenset[str]
    osds: Mapping[str, Sequence[OsdLayout]]
    fsid: str
    observed: Observed
    candidates: list[Candidate] = field(default_factory=list)
    ready: list[tuple[Candidate, DiskPlan]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    alike: Known = field(default_factory=dict)
    found: dict[str, DiskPlan] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    disks: dict[str, tuple[DiskChoice, ...]] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)
    systems: set[str] = field(default_factory=set)
    layout: Layout | None = None

    def wait(self, about: str, reason: WaitReason, text: str) -> None:
        self.waits.append(Wait(about=about, reason=reason, text=text))

    def take(self, machine: ObservedMachine, others: str) -> None:
        """What becomes of one machine: it stands, it is a candidate, or it waits."""
        if machine.machine.phase in SETTLED:
            self._stands(machine)
            return
        wait = self._plan(machine, others)
        if wait is None:
            return
        self.waits.append(wait)
        if machine.machine.phase is Phase.DEPLOYING or machine.machine.id in self.standing:
            self._stands(machine)

    def _plan(self, machine: ObservedMachine, others: str) -> Wait | None:
        """Makes a machine that is not installed a candidate; else what it waits for."""
        name = display_name(machine, self.allocations.get(machine.machine.id))
        if others:
            text = f"another machine is this entry of the site file, too: {others}; retire one"
            return Wait(about=name, reason=WaitReason.TROUBLE, text=text)
        wait = not_yet(machine, name)
        if wait is not None:
            return wait
        entry = self.entries.get(machine.expected)
        profile = profile_of(machine, name, entry.profile if entry else "", self.profiles)
        return profile if isinstance(profile, Wait) else self._candidate(machine, name, profile)

    def _stands(self, machine: ObservedMachine) -> None:
        """A machine that is installed, about to be, or has a place in the accepted layout keeps what it has."""
        who, inventory = machine.machine.id, machine.inventory
        given = self.allocations.get(who)
        profile = self.profiles.get(given.profile) if given else None
        if given is None or profile is None or inventory is None:
            return
        chosen, marks = self.chosen.get(who, ()), self._marks(who, inventory.disks)
        system = tuple(
            disk
            for disk in inventory.disks
            if (disk.content.in_use and not begun(disk.content, marks))
            or (disk.serial, disk.wwn) in chosen
            or is_ours(machine, disk)
        )
        wait = self._add(machine, profile, given, system, standing=True, marks=marks)
        if isinstance(wait, Wait):
            self.waits.append(wait)

    def _marks(self, who: str, disks: Sequence[Disk]) -> frozenset[str]:
        """What is on disks of this machine while OSDs of the accepted layout are made of them."""
        if who not in self.osds or not any(may_be_begun(disk.content) for disk in disks):
            return frozenset()
        return begun_marks(self.fsid, self.osds[who])

    def _candidate(self, machine: ObservedMachine, name: str, profile: Profile) -> Wait | None:
        found = choose(machine, name, profile, self.claims, self.alike)
        self.found[machine.machine.id] = found
        given = found.wait or self._port(machine, name) or self.places.give(machine, profile.name)
        one = given if isinstance(given, Wait) else self._add(machine, profile, given, found.systems, found.looks)
        wait = one if isinstance(one, Wait) else self._later(one)
        if wait is not None:
            self.waiting.add(machine.machine.id)
        elif isinstance(one, Candidate):
            self.ready.append((one, found))
        if isinstance(one, Candidate) and wait is not None:
            self.waits.append(wait)
            return None
        return wait

    def _add(
        self,
        machine: ObservedMachine,
        profile: Profile,
        given: Allocation,
        system: tuple[Disk, ...],
        looks: Looks | None = None,
        *,
        standing: bool = False,
        marks: frozenset[str] = frozenset(),
    ) -> Candidate | Wait:
        """Number, addresses and place; or why there is no address for it. The inventory must be there."""
        who, inventory = machine.machine.id, machine.inventory
        number = self.ladder.number(who)
        addresses = self.ladder.addresses(who, number)
        if isinstance(addresses, Wait) or inventory is None:
            return addresses if isinstance(addresses, Wait) else _unseen(given.name)
        node, port = self.standing.get(who), boot_port(inventory, given.port)
        one = Candidate(
            machine=machine,
            inventory=inventory,
            profile=profile,
            place=self.locations.place(self.entries.get(machine.expected), inventory, node.place if node else None),
            given=replace(given, number=number, addresses=addresses, port=port.mac if port else given.port),
            roles=tuple((port.mac, port.role) for port in node.network.ports) if node else (),
            system=system,
            standing=standing,
            looks=looks,
            marks=marks,
        )
        self.candidates.append(one)
        self.allocations[who] = one.given
        return one

    @staticmethod
    def _port(machine: ObservedMachine, name: str) -> Wait | None:
        if boot_port(machine.inventory) is not None:
            return None
        return Wait(about=name, reason=WaitReason.NOT_INSPECTED, text="its agent reported no network port")

    def _later(self, one: Candidate) -> Wait | None:
        """Why a machine that is placed can't be installed by us now."""
        architecture = one.inventory.architecture
        if architecture not in EXECUTABLE:
            text = f"there is no root image for {architecture} yet"
            return Wait(about=one.name, reason=WaitReason.NOT_EXECUTABLE, text=text)
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
        self.layout = desire(self._ground(standing))
        self.allocations.update(self.layout.allocations)
        self.waits += self.layout.waits
        self.ready = [(one, found) for one, found in self.ready if self._has_image(one)]
        members: dict[str, list[DiskChoice]] = {}
        for choice in self.layout.choices:
            members.setdefault(choice.machine, []).append(choice)
        for who, choices in members.items():
            self.disks[who] = tuple(choices)
        for who, found in self.found.items():
            own = found.system_choices if who in members else found.choices
            self.disks[who] = (*(map(_kept, own) if who in self.waiting else own), *self.disks.get(who, ()))
        osds = self.layout.desired.ceph.osds if self.layout.desired.ceph else ()
        before = {osd.number for osd in standing.ceph.osds} if standing.ceph else set()
        new = facts.assigned_keys(osd for osd in osds if osd.number not in before)
        assigned = facts.assigned_keys(osds) if before else new
        installed = {one.id for one, _ in self.ready}
        for one, found in self.ready:
            self._install(one, found, assigned.get(one.id, []))
        told = facts.written_keys(self.layout.steps)
        for one in self.candidates:
            if one.id not in installed and (one.id in new or one.id in told):
                keys = dict.fromkeys((*new.get(one.id, ()), *told.get(one.id, ())))
                self.facts += facts.machine_facts(one.machine, keys)
        self.facts += facts.replacing_facts(self.observed.replacing, standing.ceph)
        self.facts += facts.removing_facts(removed(self.layout.steps))

    def _ground(self, standing: Desired) -> Ground:
        """Machines that are there but are no candidates keep what they have, too."""
        hidden = self.ids - {one.id for one in self.candidates}
        names = self.entries.keys() - {one.machine.expected for one in self.candidates}
        return Ground(
            site=self.site,
            candidates=self.candidates,
            claims=self.claims,
            standing=standing,
            unplaced=sorted({*names, *hidden}, key=natural),
            kept={who: self.allocations[who] for who in hidden if who in self.allocations},
            hidden=hidden,
            leaving=self.leaving,
            observed=self.observed,
        )

    def _system(self, one: Candidate) -> str:
        """The operating system of a machine, by the name of its root image."""
        return operating_system(self.site, storage=self.layout is not None and one.id in self.layout.storage)

    def _has_image(self, one: Candidate) -> bool:
        """Whether its root image is there; else the machine waits until somebody has built it."""
        system = self._system(one)
        if system not in self.images:
            text = f"the root image of {system} is not built: rackseed image root --os {system}"
            self.wait(one.name, WaitReason.NO_IMAGE, text)
            self.waiting.add(one.id)
            return False
        self.systems.add(system)
        return True

    def _install(self, one: Candidate, found: DiskPlan, assigned: Sequence[str]) -> None:
        """Steps and facts of one machine. ``assigned`` are the keys of its disks that the layout gives a role."""
        if found.system is None:
            return
        choice = found.system_choices[0]
        image = self.images[self._system(one)]
        install, boot = install_steps(self.site, one, choice, found.system, image)
        self.steps += [install, boot]
        self.facts += facts.machine_facts(one.machine, (*facts.erased_keys(install), *assigned))

    def finish(self, parent: Plan | None) -> Plan:
        """Everything in its total order, and the hash over it."""
        desired = self.layout.desired if self.layout else Desired()
        installs = sorted(self.steps, key=lambda step: (natural(step.name), step.machine, bool(step.after)))
        steps = (*installs, *(self.layout.steps if self.layout else ()))
        if installs:
            self.facts += facts.image_facts(self.observed, self.systems)
        found = tuple(sorted(self.facts, key=attrgetter("name")))
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


def _unseen(name: str) -> Wait:
    return Wait(about=name, reason=WaitReason.NOT_INSPECTED, text="no report over mutual TLS has come yet")


_FATES = {DiskFate.ERASE: 0, DiskFate.ASSIGN: 1, DiskFate.KEEP: 2}


def _disk(choice: DiskChoice) -> tuple[int, str, str, int]:
    return _FATES[choice.fate], choice.serial, choice.wwn, choice.size


def _kept(choice: DiskChoice) -> DiskChoice:
    """The same disk when the machine waits after all: nothing is erased."""
    if choice.fate is DiskFate.KEEP:
        return choice
    return replace(choice, fate=DiskFate.KEEP, why=f"{choice.why}; but the machine waits")
