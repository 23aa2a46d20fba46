"""Named rules that a good plan and site keep. They look again at what the planner made, with their own eyes: an error
refuses ``apply``, whatever the planner thought."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface

from agent.wire import Disk, Inventory
from appliance.model.machine import Phase
from appliance.model.observed import Observed, ObservedMachine
from appliance.model.plan import DiskChoice, DiskFate, LintFinding, Plan, Step
from appliance.model.site import Site
from appliance.plan.content import describe, is_ours
from hwprofiles.match import judge
from hwprofiles.normal import serial_key
from hwprofiles.profile import Profile

ERROR = "error"
WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What the rules look at."""

    site: Site
    plan: Plan
    machines: Mapping[str, ObservedMachine]
    profiles: Mapping[str, Profile]

    @property
    def installs(self) -> tuple[Step, ...]:
        """Steps that write a disk."""
        return tuple(step for step in self.plan.steps if step.install is not None)

    @property
    def erased(self) -> tuple[DiskChoice, ...]:
        """Disks that steps write, or that the plan says it erases."""
        named = [step.install.disk for step in self.plan.steps if step.install is not None]
        return tuple({id(c): c for c in (*named, *(c for c in self.plan.disks if c.fate is DiskFate.ERASE))}.values())

    @property
    def disks(self) -> tuple[Disk, ...]:
        """All disks of all machines."""
        return tuple(disk for m in self.machines.values() if m.inventory for disk in m.inventory.disks)

    def disk(self, choice: DiskChoice) -> Disk | None:
        """The disk that a choice means, as observed."""
        machine = self.machines.get(choice.machine)
        disks = machine.inventory.disks if machine and machine.inventory else ()
        wanted = (serial_key(choice.serial), choice.wwn.lower(), choice.size)
        found = [disk for disk in disks if (serial_key(disk.serial), disk.wwn.lower(), disk.size) == wanted]
        return found[0] if len(found) == 1 else None

    def planned(self) -> Iterator[tuple[Step, ObservedMachine, Inventory]]:
        """Installs with the machines they are for."""
        for step in self.installs:
            machine = self.machines.get(step.machine)
            if machine is not None and machine.inventory is not None:
                yield step, machine, machine.inventory


Findings = Iterator[tuple[str, str]]
"""Pairs of what a finding is about, and its text."""
RULES: dict[str, tuple[str, Callable[[Scene], Findings]]] = {}


def rule(severity: str) -> Callable[[Callable[[Scene], Findings]], Callable[[Scene], Findings]]:
    """Registers a rule under its function's name, with hyphens."""

    def register(function: Callable[[Scene], Findings]) -> Callable[[Scene], Findings]:
        RULES[function.__name__.replace("_", "-")] = severity, function
        return function

    return register


def lint(site: Site, plan: Plan, observed: Observed, profiles: Iterable[Profile] = ()) -> tuple[LintFinding, ...]:
    """All findings, errors first. ``profiles`` add the rules that compare a machine with its profile."""
    scene = Scene(
        site=site,
        plan=plan,
        machines={machine.machine.id: machine for machine in observed.machines},
        profiles={profile.name: profile for profile in profiles},
    )
    found = [
        LintFinding(rule=name, severity=severity, about=about, text=text)
        for name, (severity, function) in RULES.items()
        for about, text in function(scene)
    ]
    return tuple(sorted(set(found), key=lambda f: (f.severity != ERROR, f.rule, f.about, f.text)))


# ---------------------------------------------------------------- what must never be


@rule(ERROR)
def protected_disk(scene: Scene) -> Findings:
    """A disk that the site file protects is never written."""
    protected = {serial_key(serial) for serial in scene.site.protect}
    for choice in scene.erased:
        if serial_key(choice.serial) in protected:
            yield choice.serial, "the plan erases a disk that the site file protects"


@rule(ERROR)
def foreign_data(scene: Scene) -> Findings:
    """A disk that is neither blank nor ours is erased only with a grant for its serial."""
    known = Counter(serial_key(disk.serial) for disk in scene.disks)
    granted = {serial_key(grant.serial) for grant in scene.site.erase if known[serial_key(grant.serial)] == 1}
    for choice in scene.erased:
        disk, machine = scene.disk(choice), scene.machines.get(choice.machine)
        if disk is None or machine is None:
            yield choice.serial or choice.wwn, "the plan erases a disk that is not there, or not there once"
        elif not (disk.content.blank or is_ours(machine, disk) or serial_key(disk.serial) in granted):
            yield choice.serial or choice.wwn, f"erased without a grant; it carries {describe(disk.content)}"


@rule(ERROR)
def one_disk_one_step(scene: Scene) -> Findings:
    """No disk belongs to two steps."""
    written = [step.install.disk for step in scene.installs if step.install]
    for who, count in Counter((disk.machine, disk.serial, disk.wwn) for disk in written).items():
        if count > 1:
            yield who[1] or who[2], f"{count} steps write this disk"


@rule(ERROR)
def disk_not_unique(scene: Scene) -> Findings:
    """A disk that is written has a serial or WWN that no other disk of its machine has."""
    for choice in scene.erased:
        key = serial_key(choice.serial), choice.wwn.lower()
        machine = scene.machines.get(choice.machine)
        disks = machine.inventory.disks if machine and machine.inventory else ()
        if not any(key):
            yield choice.path, "erased, but has neither serial nor WWN"
        elif [(serial_key(disk.serial), disk.wwn.lower()) for disk in disks].count(key) > 1:
            yield choice.serial or choice.wwn, "erased, but another disk of the machine has the same serial and WWN"


@rule(ERROR)
def unnamed_erasure(scene: Scene) -> Findings:
    """Every disk that a step writes is in the list that people read, as erased."""
    listed = {(c.machine, c.serial, c.wwn, c.size) for c in scene.plan.disks if c.fate is DiskFate.ERASE}
    for step in scene.installs:
        disk = step.install.disk if step.install else None
        if disk and (disk.machine, disk.serial, disk.wwn, disk.size) not in listed:
            yield disk.serial or disk.wwn, f"{step.key} writes a disk that the plan does not list as erased"


@rule(ERROR)
def duplicate_hostname(scene: Scene) -> Findings:
    """No two machines have one name."""
    for name, count in Counter(allocation.name for allocation in scene.plan.allocations).items():
        if count > 1:
            yield name, f"{count} machines have this name"


@rule(ERROR)
def duplicate_address(scene: Scene) -> Findings:
    """No two machines have one address."""
    for address, count in Counter(a.address for a in scene.plan.allocations if a.address).items():
        if count > 1:
            yield address, f"{count} machines have this address"


@rule(ERROR)
def address_outside_network(scene: Scene) -> Findings:
    """An installed machine's address lies in the provisioning network, and is not ours or the gateway's."""
    network = scene.site.provisioning
    for step in scene.installs:
        for nic in step.install.host.nics if step.install else ():
            if nic.address:
                address = IPv4Interface(nic.address)
                if address.network != network.cidr or address.ip in (network.appliance, network.gateway):
                    yield step.name, f"{nic.address} does not belong to a machine of {network.cidr}"


@rule(ERROR)
def address_in_pool(scene: Scene) -> Findings:
    """An installed machine's address is never leased to somebody else."""
    network = scene.site.provisioning
    for allocation in scene.plan.allocations:
        if allocation.address and network.mode == "authoritative":
            address = IPv4Address(allocation.address)
            if network.first <= address <= network.last:
                yield allocation.name, f"{address} lies in the pool {network.first}-{network.last}"


@rule(ERROR)
def not_ready(scene: Scene) -> Findings:
    """Only machines that are ready are installed."""
    for step in scene.installs:
        machine = scene.machines.get(step.machine)
        if machine is None or machine.machine.phase is not Phase.READY:
            yield step.name, f"is installed although it is {machine.machine.phase if machine else 'unknown'}"


@rule(ERROR)
def step_order(scene: Scene) -> Findings:
    """Steps come after everything that they wait for."""
    seen: set[str] = set()
    for step in scene.plan.steps:
        for before in step.after:
            if before not in seen:
                yield step.key, f"comes before {before}, which it waits for"
        seen.add(step.key)


@rule(ERROR)
def secure_boot(scene: Scene) -> Findings:
    """The boot loader that we install is not signed; with Secure Boot the machine would not start."""
    for step, _, inventory in scene.planned():
        if inventory.secure_boot:
            yield step.name, "Secure Boot is on; the installed boot loader would be refused. Switch it off"


# ---------------------------------------------------------------- what a person should know


@rule(WARNING)
def low_memory(scene: Scene) -> Findings:
    """A machine has less memory than its profile expects."""
    profiles = {allocation.machine: scene.profiles.get(allocation.profile) for allocation in scene.plan.allocations}
    for step, _, inventory in scene.planned():
        profile = profiles.get(step.machine)
        if profile and (inventory.memory.installed or inventory.memory.total) < profile.minimum_memory:
            has = (inventory.memory.installed or inventory.memory.total) >> 20
            yield step.name, f"has {has} MiB of memory; {profile.name} expects {profile.minimum_memory >> 20} MiB"


@rule(WARNING)
def profile_forced(scene: Scene) -> Findings:
    """The site file names a profile that does not match the machine."""
    named = {entry.name: entry.profile for entry in scene.site.machines if entry.profile}
    for step, machine, inventory in scene.planned():
        profile = scene.profiles.get(named.get(machine.expected, ""))
        if profile is not None and not judge(inventory, profile).score:
            yield step.name, f"the site file says so, but {judge(inventory, profile).text}"


@rule(WARNING)
def unhealthy_disk(scene: Scene) -> Findings:
    """A system disk that says itself that it is failing."""
    for choice in scene.erased:
        disk = scene.disk(choice)
        if disk is not None and disk.smart is not None and disk.smart.healthy is False:
            yield choice.serial or choice.wwn, "SMART says that this system disk is failing; replace it first"


@rule(WARNING)
def serial_in_two_machines(scene: Scene) -> Findings:
    """A person who reads the serial can't know which of the disks is meant."""
    everywhere = Counter((serial_key(disk.serial), disk.wwn.lower()) for disk in scene.disks)
    for choice in scene.erased:
        if everywhere[serial_key(choice.serial), choice.wwn.lower()] > 1:
            text = (
                f"erased in {choice.machine}, but another disk of the site has this serial and WWN; mind which is meant"
            )
            yield choice.serial or choice.wwn, text


@rule(WARNING)
def boot_port_unknown(scene: Scene) -> Findings:
    """The port that gets the address was guessed."""
    for step, _, inventory in scene.planned():
        if inventory.boot_mac not in {nic.mac for nic in inventory.nics}:
            port = step.install.host.nics[0].mac if step.install and step.install.host.nics else "none"
            yield step.name, f"it is not known which port it booted from; {port} gets the address"


@rule(WARNING)
def incomplete_inventory(scene: Scene) -> Findings:
    """A probe of the agent failed."""
    for step, _, inventory in scene.planned():
        for failure in inventory.failures:
            yield step.name, f"its agent could not read {failure.probe}: {failure.message}"


@rule(WARNING)
def unexpected_machine(scene: Scene) -> Findings:
    """A machine is installed that the site file does not name, although it names others."""
    for step, machine, _ in scene.planned():
        if scene.site.machines and not machine.expected:
            yield step.name, "the site file names machines, but not this one"


@rule(WARNING)
def renamed(scene: Scene) -> Findings:
    """A machine in service has another name than the site file now gives it."""
    names = {allocation.machine: allocation.name for allocation in scene.plan.allocations}
    for who, machine in scene.machines.items():
        name = names.get(who, "")
        if machine.expected and name and name != machine.expected:
            yield name, f"the site file calls it {machine.expected}; a machine in service is not renamed"


@rule(WARNING)
def approve_any(scene: Scene) -> Findings:
    """Every machine on the wire is approved."""
    if any(entry.any for entry in scene.site.approve):
        yield "approve", "'any: true' approves whatever is plugged in; for labs only"


@rule(WARNING)
def no_ssh_keys(scene: Scene) -> Findings:
    """Nobody could log in to an installed machine."""
    if scene.installs and not scene.site.ssh_keys:
        yield "ssh_keys", "no key is given: nobody can log in to the installed machines"


@rule(WARNING)
def idle_grant(scene: Scene) -> Findings:
    """A grant that fits no disk that we know: a typing error, or the disk is gone."""
    known = {serial_key(disk.serial) for disk in scene.disks}
    for grant in scene.site.erase:
        if known and serial_key(grant.serial) not in known:
            yield grant.serial, "no machine has reported a disk with this serial (erase)"


@rule(WARNING)
def idle_protection(scene: Scene) -> Findings:
    """A protected serial that fits no disk that we know: if it is a typing error, the disk is not protected."""
    known = {serial_key(disk.serial) for disk in scene.disks}
    for serial in scene.site.protect:
        if known and serial_key(serial) not in known:
            yield serial, "no machine has reported a disk with this serial (protect); is it typed right?"


@rule(WARNING)
def grant_without_reason(scene: Scene) -> Findings:
    """In a year nobody knows why this data could go."""
    for grant in scene.site.erase:
        if not grant.reason:
            yield grant.serial, "the grant has no reason; write down why this data may go"


@rule(WARNING)
def network_not_planned(scene: Scene) -> Findings:
    """Networks other than the provisioning network are declared only."""
    for network in scene.site.networks:
        yield network.name, "machines are not connected to this network by this version"
