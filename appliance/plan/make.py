"""`plan`: what should be and what is → one immutable plan. Pure and deterministic; the order of inputs never matters.

A machine that is deployed has no steps, one that is being installed is left to the plan that does it, so a plan that was
carried out is followed by an empty one. What can't be done now is a wait with a reason from a closed set.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from appliance.model.machine import DEADLINE_SECONDS, Phase, Policy, TroubleKind
from appliance.model.observed import Observed, ObservedMachine
from appliance.model.plan import (
    Allocation,
    DiskChoice,
    DiskFate,
    Fact,
    HostConfig,
    InstallArgs,
    Plan,
    Step,
    StepKind,
    Wait,
    WaitReason,
)
from appliance.model.site import Site
from appliance.plan import facts
from appliance.plan.disks import Claims, DiskPlan, choose, claims
from appliance.plan.layout import partitions
from appliance.plan.network import boot_port, configure
from appliance.plan.order import natural
from appliance.plan.place import Places, display_name, kept, numbering
from hwprofiles.match import match
from hwprofiles.profile import Profile

EXECUTABLE = frozenset({"x86_64"})
"""Architectures that a root image exists for."""
FIRST_BOOT_SECONDS = 1800.0
NEEDED_PROBES = frozenset({"disks", "nics"})

_SETTLED = frozenset({Phase.DEPLOYED, Phase.MEMBER, Phase.LEAVING, Phase.RETIRED})
_BEFORE: dict[Phase, tuple[WaitReason, str]] = {
    Phase.SEEN: (
        WaitReason.NOT_APPROVED,
        "it was seen on the network, but its agent has not enrolled; see its timeline",
    ),
    Phase.ENROLLED: (WaitReason.NOT_APPROVED, "approve it: rackseed machine approve {name} --code CODE"),
    Phase.APPROVED: (WaitReason.NOT_INSPECTED, "its first report over mutual TLS has not come yet"),
    Phase.DEPLOYING: (WaitReason.IN_PROGRESS, "it is being installed by an earlier plan"),
    Phase.WIPING: (WaitReason.IN_PROGRESS, "it is being wiped"),
    Phase.RESCUE: (WaitReason.HELD, "it runs the rescue system"),
}


def plan(site: Site, profiles: Iterable[Profile], observed: Observed, parent: Plan | None) -> Plan:
    """The next plan. ``parent`` is the last accepted one; allocations come from it and from ``observed``."""
    machines = tuple(machine for machine in observed.machines if machine.machine.phase is not Phase.RETIRED)
    before = kept(machines, parent)
    planner = _Planner(
        site=site,
        profiles={profile.name: profile for profile in profiles},
        images=dict(observed.images),
        claims=claims(site, machines),
        places=Places(site=site, kept=before),
        allocations=dict(before),
    )
    for entry in _unseen(site, machines):
        planner.wait(entry, WaitReason.NOT_SEEN, "no machine that fits the site file was seen yet; switch it on")
    doubled = _doubled(machines)
    for machine in sorted(machines, key=numbering):
        planner.take(machine, doubled.get(machine.machine.id, ""))
    return planner.finish(observed, parent.hash if parent else "")


def _unseen(site: Site, machines: tuple[ObservedMachine, ...]) -> list[str]:
    seen = {machine.expected for machine in machines}
    return [entry.name for entry in site.machines if entry.name not in seen]


def _doubled(machines: tuple[ObservedMachine, ...]) -> dict[str, str]:
    """Machines that are the same entry of the site file: id → the others."""
    found: dict[str, list[str]] = {}
    for machine in machines:
        if machine.expected:
            found.setdefault(machine.expected, []).append(machine.machine.id)
    return {who: ", ".join(sorted(set(ids) - {who})) for ids in found.values() if len(ids) > 1 for who in ids}


@dataclass(slots=True, kw_only=True)
class _Planner:
    """The plan while it grows; one machine at a time."""

    site: Site
    profiles: dict[str, Profile]
    images: dict[str, str]
    claims: Claims
    places: Places
    allocations: dict[str, Allocation]
    steps: list[Step] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    disks: list[DiskChoice] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    def wait(self, about: str, reason: WaitReason, text: str) -> None:
        self.waits.append(Wait(about=about, reason=reason, text=text))

    def take(self, machine: ObservedMachine, others: str) -> None:
        """Steps for one machine, or the first thing that it waits for."""
        name = display_name(machine, self.allocations.get(machine.machine.id))
        if machine.machine.phase in _SETTLED:
            return
        if others:
            text = f"another machine is this entry of the site file, too: {others}; retire one"
            self.wait(name, WaitReason.TROUBLE, text)
            return
        not_yet = self._not_yet(machine, name)
        if not_yet is not None:
            self.waits.append(not_yet)
            return
        profile = self._profile(machine, name)
        if isinstance(profile, Wait):
            self.waits.append(profile)
            return
        self._install(machine, name, profile)

    def _not_yet(self, machine: ObservedMachine, name: str) -> Wait | None:
        """What has to happen before the machine can be planned."""
        state = machine.machine
        if state.trouble is not None and state.trouble.kind is TroubleKind.IDENTITY_CONFLICT:
            return Wait(about=name, reason=WaitReason.TROUBLE, text=state.trouble.text)
        if state.policy is not Policy.USE:
            text = f"policy is {state.policy}; change it: rackseed machine policy {name} use"
            return Wait(about=name, reason=WaitReason.HELD, text=text)
        if state.phase in _BEFORE:
            reason, text = _BEFORE[state.phase]
            return Wait(about=name, reason=reason, text=text.format(name=name))
        failures = machine.inventory.failures if machine.inventory else ()
        failed = [failure for failure in failures if failure.probe in NEEDED_PROBES]
        if failed:
            text = f"its agent could not read its {failed[0].probe}: {failed[0].message}"
            return Wait(about=name, reason=WaitReason.NOT_INSPECTED, text=text)
        return None

    def _profile(self, machine: ObservedMachine, name: str) -> Profile | Wait:
        """The profile that the site file names, or the one that matches."""
        if machine.inventory is None:
            return Wait(about=name, reason=WaitReason.NOT_INSPECTED, text="no report over mutual TLS has come yet")
        named = next((entry.profile for entry in self.site.machines if entry.name == machine.expected), "")
        if named:
            found = self.profiles.get(named)
            text = f"the site file names profile {named}, which does not exist"
            return found or Wait(about=name, reason=WaitReason.NO_PROFILE, text=text)
        result = match(machine.inventory, self.profiles.values())
        if result.tie:
            return Wait(about=name, reason=WaitReason.AMBIGUOUS_PROFILE, text=result.text)
        if result.profile is None:
            return Wait(about=name, reason=WaitReason.NO_PROFILE, text=result.text)
        if machine.machine.phase is Phase.INSPECTED:
            text = f"profile {result.profile.name} matches; its next report makes it ready"
            return Wait(about=name, reason=WaitReason.NOT_INSPECTED, text=text)
        return result.profile

    def _install(self, machine: ObservedMachine, name: str, profile: Profile) -> None:
        found = choose(machine, name, profile, self.claims)
        given = self._obstacle(machine, name, found) or self.places.give(machine, profile.name)
        if isinstance(given, Wait):
            self.disks += [_kept(choice) for choice in found.choices]
            self.waits.append(given)
            return
        self.disks += found.choices
        self.allocations[machine.machine.id] = given
        self._steps(machine, given, profile, found)

    def _obstacle(self, machine: ObservedMachine, name: str, found: DiskPlan) -> Wait | None:
        """Why a machine whose profile is known can't be installed."""
        inventory, system = machine.inventory, self.site.operating_system
        if found.wait is not None:
            return found.wait
        if inventory is None or inventory.architecture not in EXECUTABLE:
            text = f"there is no root image for {inventory.architecture if inventory else 'it'} yet"
            return Wait(about=name, reason=WaitReason.NOT_EXECUTABLE, text=text)
        if boot_port(inventory) is None:
            return Wait(about=name, reason=WaitReason.NOT_INSPECTED, text="its agent reported no network port")
        if system not in self.images:
            text = f"the root image of {system} is not built: rackseed image root {system}"
            return Wait(about=name, reason=WaitReason.NO_IMAGE, text=text)
        return None

    def _steps(self, machine: ObservedMachine, given: Allocation, profile: Profile, found: DiskPlan) -> None:
        port = boot_port(machine.inventory)
        if found.system is None or port is None:
            return
        who = machine.machine.id
        disk = next(choice for choice in found.choices if choice.fate is DiskFate.ERASE)
        install = Step(
            key=f"install/{who}",
            kind=StepKind.INSTALL,
            machine=who,
            name=given.name,
            deadline=profile.deadline(Phase.DEPLOYING.value) or DEADLINE_SECONDS[Phase.DEPLOYING],
            reversible=False,
            install=InstallArgs(
                disk=disk,
                partitions=partitions(who, found.system),
                image=self.images[self.site.operating_system],
                host=host_config(self.site, given, profile, machine),
            ),
        )
        boot = Step(
            key=f"first-boot/{who}",
            kind=StepKind.FIRST_BOOT,
            machine=who,
            name=given.name,
            after=(install.key,),
            deadline=max(FIRST_BOOT_SECONDS, profile.deadline(Phase.APPROVED.value) or 0.0),
        )
        self.steps += [install, boot]
        self.facts += facts.machine_facts(machine, facts.erased_keys(install))

    def finish(self, observed: Observed, parent: str) -> Plan:
        """Everything in its total order, and the hash over it."""
        steps = tuple(sorted(self.steps, key=lambda step: (natural(step.name), step.machine, bool(step.after))))
        if steps:
            self.facts += facts.image_facts(observed, [self.site.operating_system])
        found = tuple(sorted(self.facts, key=lambda fact: fact.name))
        names = {who: allocation.name for who, allocation in self.allocations.items()}
        return Plan(
            hash=facts.plan_hash(steps, found),
            parent=parent,
            steps=steps,
            waits=tuple(sorted(self.waits, key=lambda wait: (natural(wait.about), wait.reason, wait.text))),
            disks=tuple(
                sorted(self.disks, key=lambda c: (natural(names.get(c.machine, "~" + c.machine)), c.machine, _disk(c)))
            ),
            allocations=tuple(sorted(self.allocations.values(), key=lambda a: (natural(a.name), a.machine))),
            facts=found,
        )


def _disk(choice: DiskChoice) -> tuple[bool, str, str, int]:
    return choice.fate is not DiskFate.ERASE, choice.serial, choice.wwn, choice.size


def _kept(choice: DiskChoice) -> DiskChoice:
    """The same disk when the machine waits after all: nothing is erased."""
    if choice.fate is DiskFate.KEEP:
        return choice
    return replace(choice, fate=DiskFate.KEEP, why=f"{choice.why}; but the machine waits")


def host_config(site: Site, given: Allocation, profile: Profile, machine: ObservedMachine) -> HostConfig:
    """What the files of the installed system are rendered from. The last console becomes ``/dev/console``; the others
    are plain kernel arguments."""
    port = boot_port(machine.inventory)
    consoles = (site.console,) if site.console else profile.console
    arguments = [f"console={console}" for console in consoles[:-1]]
    arguments += [*profile.boot.kernel_arguments, *site.kernel_arguments]
    return HostConfig(
        hostname=given.name,
        domain=site.domain,
        nics=configure(site, given, port) if port else (),
        ssh_keys=site.ssh_keys,
        time_servers=site.time_servers,
        console=consoles[-1] if consoles else "",
        kernel_arguments=tuple(dict.fromkeys(arguments)),
    )
