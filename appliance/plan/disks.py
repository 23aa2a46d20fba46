"""Which disk becomes the system disk, and what happens to every disk of a machine, with the reason.

The profile's selectors are tried in order; the first that fits any disk decides and must fit exactly ``count``. Nothing
is guessed: more, fewer, or one that can't be told from another is refused. A disk with foreign data needs a grant by
serial, a protected disk is never chosen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from agent.wire import Disk
from appliance.model.observed import ObservedMachine
from appliance.model.plan import DiskChoice, DiskFate, Wait, WaitReason
from appliance.model.site import Site
from appliance.plan.content import describe, is_ours
from appliance.plan.layout import SMALLEST_DISK
from appliance.plan.order import natural
from hwprofiles.normal import serial_key, text_key
from hwprofiles.profile import Content, DiskRole, DiskRoleName, DiskSelector, Profile
from hwprofiles.values import show_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What the site says about disks, by serial: ``granted`` may be erased, ``protected`` never. ``ambiguous`` are
    serials that more than one disk of the site has; a grant for them counts for none."""

    granted: frozenset[str]
    protected: frozenset[str]
    ambiguous: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskPlan:
    """``system`` is the disk to install on, None when the plan has to wait for ``wait``. ``choices`` has all disks."""

    choices: tuple[DiskChoice, ...]
    system: Disk | None = None
    wait: Wait | None = None


def claims(site: Site, machines: Iterable[ObservedMachine]) -> Claims:
    """Grants and protection of the site file, and the serials that are not unique among all disks that we know."""
    count = Counter(
        serial_key(disk.serial)
        for machine in machines
        for disk in (machine.inventory.disks if machine.inventory else ())
        if serial_key(disk.serial)
    )
    return Claims(
        granted=frozenset(serial_key(grant.serial) for grant in site.erase),
        protected=frozenset(serial_key(serial) for serial in site.protect),
        ambiguous=frozenset(serial for serial, number in count.items() if number > 1),
    )


def choose(machine: ObservedMachine, name: str, profile: Profile, claimed: Claims) -> DiskPlan:
    """The system disk of one machine (its ``inventory`` must be there), or why there is none. ``name`` is for people."""
    chooser = _Chooser(machine, name, claimed)
    role = profile.disk_role(DiskRoleName.SYSTEM)
    if role is None:
        return chooser.waits(
            WaitReason.NO_SYSTEM_DISK, f"profile {profile.name} has no rule for a system disk", profile
        )
    found, selector = chooser.candidates(role)
    trouble = chooser.trouble(role, found)
    if trouble is not None:
        return chooser.waits(*trouble, profile, selector)
    return chooser.take(found[0], profile, selector)


class _Chooser:
    """The disks of one machine, in an order that does not depend on the kernel's."""

    def __init__(self, machine: ObservedMachine, name: str, claimed: Claims) -> None:
        self.machine, self.name, self.claimed = machine, name, claimed
        disks = machine.inventory.disks if machine.inventory else ()
        self.disks = sorted(
            disks, key=lambda disk: (natural(disk.bus_path), disk.serial, disk.wwn, disk.size, disk.path)
        )
        self.twins = Counter(_identity(disk) for disk in disks)

    def free(self, disk: Disk) -> bool:
        """Blank, ours, or granted."""
        return disk.content.blank or is_ours(self.machine, disk) or self.granted(disk)

    def granted(self, disk: Disk) -> bool:
        serial = serial_key(disk.serial)
        return serial in self.claimed.granted and serial not in self.claimed.ambiguous

    def protected(self, disk: Disk) -> bool:
        return serial_key(disk.serial) in self.claimed.protected

    def candidates(self, role: DiskRole) -> tuple[list[Disk], DiskSelector | None]:
        """Disks of the first selector that fits any, and that selector."""
        for selector in role.choose:
            found = [disk for disk in self.disks if not self.misfit(selector, disk)]
            if found:
                return found, selector
        return [], None

    def misfit(self, selector: DiskSelector, disk: Disk) -> str:
        """Why the disk is no candidate for this selector; empty when it is one."""
        if self.protected(disk):
            return "protected by the site file"
        if disk.read_only:
            return "read-only"
        return _misfit(selector, disk) or (
            f"carries {describe(disk.content)}" if selector.content is Content.FREE and not self.free(disk) else ""
        )

    def trouble(self, role: DiskRole, found: list[Disk]) -> tuple[WaitReason, str] | None:
        """Why the candidates can't be taken."""
        shown = ", ".join(show_disk(disk) for disk in found)
        if not found:
            return self._nothing(role)
        if len(found) != role.count:
            if len(found) > role.count > 0:
                return WaitReason.TOO_MANY_DISKS, (
                    f"{len(found)} disks fit as system disk, {role.count} wanted: {shown}; "
                    "protect the others in the site file (protect: [serial]), or name a profile that chooses"
                )
            return WaitReason.NO_SYSTEM_DISK, f"{len(found)} of {role.count} system disks: {shown}"
        if role.count > 1:
            return WaitReason.NOT_EXECUTABLE, f"a system disk mirrored on {shown} can't be installed by this version"
        return self._single(found[0])

    def _single(self, disk: Disk) -> tuple[WaitReason, str] | None:
        if not serial_key(disk.serial) and not disk.wwn:
            return (
                WaitReason.NOT_IDENTIFIABLE,
                f"{show_disk(disk)} has neither serial nor WWN; it can't be named safely",
            )
        if self.twins[_identity(disk)] > 1:
            return WaitReason.NOT_IDENTIFIABLE, f"two disks have the serial and WWN of {show_disk(disk)}; remove one"
        if disk.size < SMALLEST_DISK:
            return WaitReason.NO_SYSTEM_DISK, f"{show_disk(disk)} is too small: at least {show_size(SMALLEST_DISK)}"
        if not self.free(disk):
            text = f"{show_disk(disk)} carries {describe(disk.content)}"
            if serial_key(disk.serial) in self.claimed.ambiguous:
                return WaitReason.FOREIGN_DATA, f"{text}; several disks have this serial, so no grant counts for it"
            grant = f"erase: [{{serial: {serial_key(disk.serial) or '…'}}}]"
            return WaitReason.FOREIGN_DATA, f"{text}; allow its erasure in the site file ({grant}), or remove it"
        return None

    def _nothing(self, role: DiskRole) -> tuple[WaitReason, str]:
        if not self.disks:
            return WaitReason.NO_SYSTEM_DISK, "the machine reported no disk; look at its controller and cabling"
        kept = [disk for disk in self.disks if self.protected(disk)]
        if any(not _misfit(selector, disk) for disk in kept for selector in role.choose):
            shown = ", ".join(show_disk(disk) for disk in kept)
            return WaitReason.PROTECTED_DISK, f"only protected disks would fit: {shown}"
        why = "; ".join(f"{show_disk(disk)}: {self.misfit(role.choose[-1], disk)}" for disk in self.disks)
        return WaitReason.NO_SYSTEM_DISK, f"no disk fits: {why}"

    def waits(self, reason: WaitReason, text: str, profile: Profile, selector: DiskSelector | None = None) -> DiskPlan:
        """Nothing is erased; every disk says why."""
        return DiskPlan(
            choices=tuple(self.keep(disk, profile, selector, waiting=True) for disk in self.disks),
            wait=Wait(about=self.name, reason=reason, text=text),
        )

    def take(self, system: Disk, profile: Profile, selector: DiskSelector | None) -> DiskPlan:
        """Install on ``system``; everything else is kept."""
        free = (
            "it is blank"
            if system.content.blank
            else "an earlier install of this machine is on it"
            if is_ours(self.machine, system)
            else "its erasure is granted"
        )
        why = f"the one disk that fits ({show_selector(selector)}); {free}"
        choices = [
            _choice(self.machine, disk, DiskFate.ERASE, DiskRoleName.SYSTEM.value, why)
            if disk is system
            else self.keep(disk, profile, selector)
            for disk in self.disks
        ]
        return DiskPlan(choices=tuple(choices), system=system)

    def keep(self, disk: Disk, profile: Profile, selector: DiskSelector | None, *, waiting: bool = False) -> DiskChoice:
        """A disk that is not touched, with its later role if the profile has one for it."""
        why = self.misfit(selector, disk) if selector is not None else ""
        if not why:
            system = profile.disk_role(DiskRoleName.SYSTEM)
            last = system.choose[-1] if system and system.choose else None
            fits = "it fits as system disk, but nothing is written while the machine waits"
            why = (self.misfit(last, disk) if last else "") or (fits if waiting else "not needed")
        role = next(
            (entry.role.value for entry in _others(profile) if any(not _misfit(s, disk) for s in entry.choose)), ""
        )
        if role and not self.protected(disk):
            why = f"{why}; fits the role {role}, which this version does not write"
        return _choice(self.machine, disk, DiskFate.KEEP, role, why)


def _others(profile: Profile) -> Iterable[DiskRole]:
    return (entry for entry in profile.disks if entry.role is not DiskRoleName.SYSTEM)


def _identity(disk: Disk) -> tuple[str, str]:
    """NVMe namespaces and paths share serials, so the WWN belongs to it."""
    return serial_key(disk.serial), disk.wwn.lower()


def _misfit(selector: DiskSelector, disk: Disk) -> str:
    """Why the disk's own facts don't fit; empty when they do."""
    if disk.removable and not selector.removable:
        return "removable"
    if disk.size < selector.min_size:
        return f"{show_size(disk.size)} is smaller than {show_size(selector.min_size)}"
    if selector.max_size is not None and disk.size > selector.max_size:
        return f"{show_size(disk.size)} is larger than {show_size(selector.max_size)}"
    if selector.transport and disk.transport not in selector.transport:
        return f"is {disk.transport or 'of unknown transport'}, not {' or '.join(selector.transport)}"
    if selector.rotational is not None and disk.rotational != selector.rotational:
        return "spins" if disk.rotational else "does not spin"
    model = text_key(disk.model)
    if selector.model and not any(fnmatchcase(model, pattern.casefold()) for pattern in selector.model):
        return f"model '{disk.model}' is not {' or '.join(selector.model)}"
    return ""


def _choice(machine: ObservedMachine, disk: Disk, fate: DiskFate, role: str, why: str) -> DiskChoice:
    return DiskChoice(
        machine=machine.machine.id,
        serial=disk.serial,
        wwn=disk.wwn,
        model=disk.model,
        size=disk.size,
        path=disk.path,
        role=role,
        fate=fate,
        now=describe(disk.content),
        why=why,
        fingerprint=disk.content.fingerprint(),
    )


def show_disk(disk: Disk) -> str:
    """Serial (or what there is instead), size and model, for messages."""
    who = serial_key(disk.serial) or disk.wwn or disk.path
    return f"{who} ({show_size(disk.size)}{' ' + disk.model if disk.model else ''})"


def show_selector(selector: DiskSelector | None) -> str:
    """A selector in words."""
    if selector is None:
        return "any disk"
    words = []
    if selector.min_size:
        words.append(f"from {show_size(selector.min_size)}")
    if selector.max_size is not None:
        words.append(f"to {show_size(selector.max_size)}")
    if selector.transport:
        words.append("/".join(selector.transport))
    if selector.rotational is not None:
        words.append("spinning" if selector.rotational else "flash")
    if selector.model:
        words.append(f"model {'/'.join(selector.model)}")
    if selector.content is Content.FREE:
        words.append("free")
    return ", ".join(words) or "any disk"


def by_machine(choices: Iterable[DiskChoice]) -> Mapping[str, list[DiskChoice]]:
    """Choices grouped by machine id, in their order."""
    table: dict[str, list[DiskChoice]] = {}
    for choice in choices:
        table.setdefault(choice.machine, []).append(choice)
    return table
