"""Disks: what is erased, and what is listed for people to read."""

from __future__ import annotations

from collections import Counter

from appliance.model.plan import DiskFate
from appliance.plan.disks.content import describe, is_ours
from appliance.plan.lint.rule import ERROR, WARNING, Findings, counted, listed, rule
from appliance.plan.lint.scene import Scene, disk_name


@rule(ERROR, "take the serial out of protect, or the machine out of the plan")
def protected_disk(scene: Scene) -> Findings:
    """A disk that the site file protects is never written."""
    for choice in scene.erased:
        if scene.key(choice.serial) in scene.protected:
            yield choice.serial, "the plan erases a disk that the site file protects"


@rule(ERROR, "grant the erasure by serial, or remove the disk")
def foreign_data(scene: Scene) -> Findings:
    """A disk that is neither blank nor ours is erased only with a grant for its serial."""
    for choice in scene.erased:
        disk, machine = scene.disk(choice.machine, choice), scene.machines.get(choice.machine)
        if disk is None or machine is None:
            yield choice.serial or choice.wwn, "the plan erases a disk that is not there, or not there once"
        elif not (disk.content.blank or is_ours(machine, disk) or scene.key(disk.serial) in scene.granted):
            yield choice.serial or choice.wwn, f"erased without a grant; it carries {describe(disk.content)}"


@rule(ERROR, "remove one of the disks: the agent could not tell them apart")
def disk_not_unique(scene: Scene) -> Findings:
    """A disk that is written has a serial or WWN that no other disk of its machine has."""
    for choice in scene.erased:
        key = scene.key(choice.serial), choice.wwn.lower()
        machine = scene.machines.get(choice.machine)
        disks = machine.inventory.disks if machine and machine.inventory else ()
        if not any(key):
            yield choice.path, "erased, but has neither serial nor WWN"
        elif [(scene.key(disk.serial), disk.wwn.lower()) for disk in disks].count(key) > 1:
            yield choice.serial or choice.wwn, "erased, but another disk of the machine has the same serial and WWN"


@rule(ERROR, "report it as a fault of the planner; plan again")
def unnamed_erasure(scene: Scene) -> Findings:
    """Every disk that a step writes is in the list that people read, as erased."""
    listed_disks = {(c.machine, c.serial, c.wwn, c.size) for c in scene.plan.disks if c.fate is DiskFate.ERASE}
    for who, (key, name) in scene.formed.items():
        disks = scene.inventoried.get(who, ())
        if who not in scene.erasures and not (disks and all(scene.of_ceph(disk) for disk in disks)):
            yield name, f"{key} writes a disk that the plan does not list as erased"
    for step in scene.installs:
        disk = step.install.disk if step.install else None
        if disk and (disk.machine, disk.serial, disk.wwn, disk.size) not in listed_disks:
            yield disk.serial or disk.wwn, f"{step.key} writes a disk that the plan does not list as erased"


@rule(ERROR, "report it as a fault of the planner; plan again")
def unnamed_assignment(scene: Scene) -> Findings:
    """Every disk that Ceph takes of a machine whose disks are listed is in that list, and not as kept: people must read
    of every disk that is going to be written."""
    fates = {scene.identity(c.machine, c): c.fate for c in scene.plan.disks}
    shown = {choice.machine for choice in scene.plan.disks}
    for who, (reference, role) in scene.roles.items():
        formed = any(scene.of_ceph(disk) for disk in scene.inventoried.get(who, ()))
        kept = fates.get(who, DiskFate.KEEP) is DiskFate.KEEP
        if who[0] in shown and not formed and kept and not scene.kept(who):
            how = "as kept" if who in fates else "not at all"
            yield disk_name(reference), f"becomes {role} in {scene.name(who[0])}, but the plan lists it {how}"


@rule(ERROR, "report it as a fault of the planner; plan again")
def idle_assignment(scene: Scene) -> Findings:
    """A disk that the list assigns a role has that role in the layout."""
    for choice in scene.plan.disks:
        if choice.fate is DiskFate.ASSIGN and scene.identity(choice.machine, choice) not in scene.roles:
            where = scene.name(choice.machine)
            yield choice.serial or choice.wwn, f"listed as {choice.role} of {where}, but the layout does not use it"


@rule(WARNING, "replace the disk first")
def unhealthy_disk(scene: Scene) -> Findings:
    """A system disk does not say itself that it is failing."""
    for choice in scene.erased:
        disk = scene.disk(choice.machine, choice)
        if disk is not None and disk.smart is not None and disk.smart.healthy is False:
            yield choice.serial or choice.wwn, "SMART says that this system disk is failing; replace it first"


@rule(WARNING, "look which of the disks is meant before you accept the plan")
def serial_in_two_machines(scene: Scene) -> Findings:
    """A person who reads the serial of an erased disk knows which of the site's disks is meant."""
    everywhere: Counter[tuple[str, str]] = Counter()
    for (_, serial, wwn, _), disks in scene.inventoried.items():
        everywhere[serial, wwn] += len(disks)
    for choice in scene.erased:
        if everywhere[scene.key(choice.serial), choice.wwn.lower()] > 1:
            text = (
                f"erased in {choice.machine}, but another disk of the site has this serial and WWN; mind which is meant"
            )
            yield choice.serial or choice.wwn, text


@rule(WARNING, "add a drive group or a profile role for them, or take them out")
def disks_unused(scene: Scene) -> Findings:
    """Every disk of a machine that belongs to Ceph has a role: else capacity was paid for that nobody uses, or an OSD is
    missing without an error (`ceph.md` §6)."""
    used = scene.erasures | set(scene.roles)
    members = set(scene.ceph.members) if scene.ceph else set()
    idle: dict[str, int] = {}
    for who, disks in scene.inventoried.items():
        if who[0] not in members or who in used or who[1] in scene.protected:
            continue
        machine = scene.machines[who[0]]
        free = sum(not disk.removable and not is_ours(machine, disk) for disk in disks)
        if free:
            idle[who[0]] = idle.get(who[0], 0) + free
    if idle:
        where = listed(f"{scene.name(who)} ({count})" for who, count in idle.items())
        total = counted(sum(idle.values()), "disk")
        yield (
            "disks",
            f"{total} of {counted(len(idle), 'Ceph member')} without any role: {where}; explain DISK says why",
        )
