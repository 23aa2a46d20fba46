"""Which disk becomes the system disk, and what happens to every disk of a machine, with the reason.

The profile's selectors are tried in order; the first that fits any disk decides and must fit exactly ``count``. Nothing
is guessed: more, fewer, or one that can't be told from another is refused. A disk with foreign data needs a grant by
serial, a protected disk is never chosen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from agent.wire import Disk
from appliance.model.observed import ObservedMachine, Replacement
from appliance.model.plan import DiskChoice, DiskFate, Wait, WaitReason
from appliance.model.site import Site
from appliance.plan.disks.choice import disk_choice
from appliance.plan.disks.content import describe, is_ours
from appliance.plan.disks.layout import SMALLEST_DISK
from appliance.plan.disks.looks import Looks, looks
from appliance.plan.disks.reject import TEXTS, Finding
from appliance.plan.disks.roles import RoleTable, role_table, show_selector
from appliance.plan.disks.verdict import BLANK, GRANTED, OURS, Claims, identity, in_order
from hwprofiles.normal import serial_key
from hwprofiles.profile import Content, DiskRoleName, DiskSelector, Profile
from hwprofiles.values import show_size

__all__ = ["Claims", "DiskPlan", "by_machine", "choose", "claims", "show_disk", "show_selector"]


@dataclass(slots=True, kw_only=True)
class DiskPlan:
    """``system`` is the disk to install on, None when the plan has to wait for ``wait``. ``systems`` are all disks that the
    system takes: two for a mirror, which is chosen although it has to wait. ``looks`` is what its disks have in common with
    those of other machines."""

    system: Disk | None = None
    systems: tuple[Disk, ...] = ()
    wait: Wait | None = None
    looks: Looks | None = None
    _choose: Callable[[Disk], DiskChoice]
    _disks: Sequence[Disk]
    _choices: tuple[DiskChoice, ...] | None = None
    _system_choices: tuple[DiskChoice, ...] | None = None

    @property
    def choices(self) -> tuple[DiskChoice, ...]:
        """All disks of the machine, made when somebody asks: the disks of OSDs have choices of their own."""
        if self._choices is None:
            self._choices = tuple(self._choose(disk) for disk in self._disks)
        return self._choices

    @property
    def system_choices(self) -> tuple[DiskChoice, ...]:
        """Only the disks of ``systems``."""
        if self._system_choices is None:
            self._system_choices = tuple(self._choose(disk) for disk in self.systems)
        return self._system_choices


Known = dict[Hashable, tuple[int, int]]
"""Profile and `Looks.kind` → the position of the system disk, and the selector that it fits."""


def claims(site: Site, machines: Iterable[ObservedMachine], replacing: Iterable[Replacement] = ()) -> Claims:
    """Grants and protection of the site file, the serials that are not unique among all disks that we know, and the disks
    that people replace."""
    seen = [machine.inventory.disks for machine in machines if machine.inventory]
    count = Counter([serial_key(disk.serial) for disks in seen for disk in disks])
    return Claims(
        granted=frozenset(serial_key(grant.serial) for grant in site.erase),
        protected=frozenset(serial_key(serial) for serial in site.protect),
        ambiguous=frozenset(serial for serial, number in count.items() if serial and number > 1),
        replaced=frozenset((serial_key(one.serial), one.wwn.lower(), one.size) for one in replacing),
    )


def choose(
    machine: ObservedMachine, name: str, profile: Profile, claimed: Claims, known: Known | None = None
) -> DiskPlan:
    """The system disk of one machine (its ``inventory`` must be there), or why there is none. ``name`` is for people.
    ``known`` is what was decided about machines that look alike, for the same site and profiles; it grows."""
    chooser = _Chooser(machine, name, profile, claimed)
    alike = looks(chooser.disks, claimed) if known is not None else None
    if known is None or alike is None:
        return _choose(chooser)[0]
    key = profile.name, alike.kind
    if key in known:
        position, selector = known[key]
        found = chooser.take(chooser.disks[position], selector)
    else:
        found, selector = _choose(chooser)
        if found.system is not None:
            known[key] = chooser.disks.index(found.system), selector
    found.looks = alike
    return found


def _choose(chooser: _Chooser) -> tuple[DiskPlan, int]:
    """What is decided, and the selector that decided."""
    if chooser.role is None:
        text = f"profile {chooser.profile.name} has no rule for a system disk"
        return chooser.waits(WaitReason.NO_SYSTEM_DISK, text), -1
    found, selector = chooser.candidates()
    found = _pair(found, chooser.role.count)
    trouble = chooser.trouble(found)
    if trouble is not None:
        return chooser.waits(*trouble, selector), selector
    if len(found) > 1:
        return chooser.mirror(found, selector), selector
    return chooser.take(found[0], selector), selector


def _pair(found: list[Disk], count: int) -> list[Disk]:
    """Of more disks than a mirror takes: those of one size and model, if there is only one such set."""
    if not 1 < count < len(found):
        return found
    alike: dict[tuple[int, str], list[Disk]] = {}
    for disk in found:
        alike.setdefault((disk.size, disk.model), []).append(disk)
    sets = [disks for disks in alike.values() if len(disks) >= count]
    return sets[0] if len(sets) == 1 and len(sets[0]) == count else found


class _Chooser:
    """The disks of one machine, in an order that does not depend on the kernel's. Selectors are known by their position in
    the profile's role ``system``."""

    def __init__(self, machine: ObservedMachine, name: str, profile: Profile, claimed: Claims) -> None:
        self.machine, self.name, self.profile, self.claimed = machine, name, profile, claimed
        self.role = profile.disk_role(DiskRoleName.SYSTEM)
        self.table: RoleTable = role_table(profile.disks)
        self.at = profile.disks.index(self.role) if self.role is not None else -1
        self.disks = in_order(machine.inventory.disks if machine.inventory else ())

    def free(self, disk: Disk) -> bool:
        """Blank, ours, or granted."""
        return disk.content.blank or is_ours(self.machine, disk) or self.claimed.grants(serial_key(disk.serial))

    def protected(self, disk: Disk) -> bool:
        return bool(self.claimed.protected) and serial_key(disk.serial) in self.claimed.protected

    def replaced(self, disk: Disk) -> bool:
        return bool(self.claimed.replaced) and identity(disk) in self.claimed.replaced

    def candidates(self) -> tuple[list[Disk], int]:
        """Disks of the first selector that fits any, and that selector (-1: none)."""
        for selector in range(len(self.role.choose) if self.role else 0):
            found = [disk for disk in self.disks if not self.misfit(selector, disk)]
            if found:
                return found, selector
        return [], -1

    def selector(self, position: int) -> DiskSelector | None:
        return self.role.choose[position] if self.role and self.role.choose and position >= 0 else None

    def misfit(self, selector: int, disk: Disk) -> str:
        """Why the disk is no candidate for this selector; empty when it is one."""
        if self.protected(disk):
            return "protected by the site file"
        if self.replaced(disk):
            return TEXTS[Finding.REPLACED]
        if disk.read_only:
            return "read-only"
        why = self.table.misfits(disk)[self.at][selector]
        if not why and self.role and self.role.choose[selector].content is Content.FREE and not self.free(disk):
            return f"carries {describe(disk.content)}"
        return why

    def trouble(self, found: list[Disk]) -> tuple[WaitReason, str] | None:
        """Why the candidates can't be taken."""
        count = self.role.count if self.role else 1
        if not found:
            return self._nothing()
        if len(found) != count:
            shown = ", ".join(show_disk(disk) for disk in found)
            if len(found) > count > 0:
                return WaitReason.TOO_MANY_DISKS, (
                    f"{len(found)} disks fit as system disk, {count} wanted: {shown}; "
                    "protect the others in the site file (protect: [serial]), or name a profile that chooses"
                )
            return WaitReason.NO_SYSTEM_DISK, f"{len(found)} of {count} system disks: {shown}"
        return next((trouble for trouble in map(self._single, found) if trouble is not None), None)

    def _single(self, disk: Disk) -> tuple[WaitReason, str] | None:
        serial = serial_key(disk.serial)
        if not serial and not disk.wwn:
            return (
                WaitReason.NOT_IDENTIFIABLE,
                f"{show_disk(disk)} has neither serial nor WWN; it can't be named safely",
            )
        if [identity(other)[:2] for other in self.disks].count(identity(disk)[:2]) > 1:
            return WaitReason.NOT_IDENTIFIABLE, f"two disks have the serial and WWN of {show_disk(disk)}; remove one"
        if disk.size < SMALLEST_DISK:
            return WaitReason.NO_SYSTEM_DISK, f"{show_disk(disk)} is too small: at least {show_size(SMALLEST_DISK)}"
        if not self.free(disk):
            text = f"{show_disk(disk)} carries {describe(disk.content)}"
            if serial in self.claimed.ambiguous:
                return WaitReason.FOREIGN_DATA, f"{text}; several disks have this serial, so no grant counts for it"
            grant = f"erase: [{{serial: {serial or '…'}}}]"
            return WaitReason.FOREIGN_DATA, f"{text}; allow its erasure in the site file ({grant}), or remove it"
        return None

    def _nothing(self) -> tuple[WaitReason, str]:
        if not self.disks or not self.role:
            return WaitReason.NO_SYSTEM_DISK, "the machine reported no disk; look at its controller and cabling"
        kept = [disk for disk in self.disks if self.protected(disk)]
        if any(not why for disk in kept for why in self.table.misfits(disk)[self.at]):
            shown = ", ".join(show_disk(disk) for disk in kept)
            return WaitReason.PROTECTED_DISK, f"only protected disks would fit: {shown}"
        last = len(self.role.choose) - 1
        why = "; ".join(f"{show_disk(disk)}: {self.misfit(last, disk)}" for disk in self.disks)
        return WaitReason.NO_SYSTEM_DISK, f"no disk fits: {why}"

    def waits(self, reason: WaitReason, text: str, selector: int = -1) -> DiskPlan:
        """Nothing is erased; every disk says why."""
        return DiskPlan(
            wait=Wait(about=self.name, reason=reason, text=text),
            _choose=lambda disk: self.keep(disk, selector, waiting=True),
            _disks=self.disks,
        )

    def take(self, system: Disk, selector: int) -> DiskPlan:
        """Install on ``system``; everything else is kept."""
        return DiskPlan(
            system=system,
            systems=(system,),
            _choose=lambda disk: self._erase(disk, selector) if disk is system else self.keep(disk, selector),
            _disks=self.disks,
        )

    def _erase(self, system: Disk, selector: int) -> DiskChoice:
        why = f"the one disk that fits ({show_selector(self.selector(selector))}); {self._free_because(system)}"
        return disk_choice(self.machine.machine.id, system, DiskFate.ERASE, DiskRoleName.SYSTEM.value, why)

    def mirror(self, systems: list[Disk], selector: int) -> DiskPlan:
        """The disks of a mirror are chosen and shown; nothing is erased, as it can't be installed yet."""
        shown = ", ".join(show_disk(disk) for disk in systems)
        smallest = min(disk.size for disk in systems)
        text = f"its system disk is mirrored on {shown}; installing a mirrored system disk comes later"
        return DiskPlan(
            systems=tuple(systems),
            wait=Wait(about=self.name, reason=WaitReason.NOT_EXECUTABLE, text=text),
            _choose=lambda disk: (
                self._half(disk, selector, smallest)
                if any(disk is one for one in systems)
                else self.keep(disk, selector)
            ),
            _disks=self.disks,
        )

    def _half(self, disk: Disk, selector: int, smallest: int) -> DiskChoice:
        why = f"half of the mirrored system disk ({show_selector(self.selector(selector))}); {self._free_because(disk)}"
        why += f"; only {show_size(smallest)} of it is used" if disk.size > smallest else ""
        why += "; nothing is written while the machine waits"
        return disk_choice(self.machine.machine.id, disk, DiskFate.KEEP, DiskRoleName.SYSTEM.value, why)

    def _free_because(self, disk: Disk) -> str:
        return BLANK if disk.content.blank else OURS if is_ours(self.machine, disk) else GRANTED

    def keep(self, disk: Disk, selector: int, *, waiting: bool = False) -> DiskChoice:
        """A disk that is not touched, with its later role if the profile has one for it."""
        why = self.misfit(selector, disk) if selector >= 0 else ""
        if not why:
            last = len(self.role.choose) - 1 if self.role else -1
            fits = "it fits as system disk, but nothing is written while the machine waits"
            why = (self.misfit(last, disk) if last >= 0 else "") or (fits if waiting else "not needed")
        role = self._later_role(disk)
        if role and not self.protected(disk):
            why = f"{why}; fits the role {role}, but nothing of the site uses it yet"
        return disk_choice(self.machine.machine.id, disk, DiskFate.KEEP, role, why)

    def _later_role(self, disk: Disk) -> str:
        for role, whys in zip(self.profile.disks, self.table.misfits(disk), strict=True):
            if role.role is not DiskRoleName.SYSTEM and not all(whys):
                return role.role.value
        return ""


def show_disk(disk: Disk) -> str:
    """Serial (or what there is instead), size and model, for messages."""
    who = serial_key(disk.serial) or disk.wwn or disk.path
    return f"{who} ({show_size(disk.size)}{' ' + disk.model if disk.model else ''})"


def by_machine(choices: Iterable[DiskChoice]) -> Mapping[str, list[DiskChoice]]:
    """Choices grouped by machine id, in their order."""
    table: dict[str, list[DiskChoice]] = {}
    for choice in choices:
        table.setdefault(choice.machine, []).append(choice)
    return table
