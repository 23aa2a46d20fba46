"""Which drive groups hold for a machine, and what they say about a disk. Disks of one kind get one answer, made once.

A filter of the site file says whether a disk is meant; a role of the profile has selectors of which the first that fits any
disk decides. Both become a *rank*: the position of the first selector that fits (a filter has one), -1 for none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from agent.wire import Disk
from appliance.model.ceph import DeviceFilter, DriveGroup, FilterLogic
from appliance.plan.disks.roles import misfit as selector_misfit
from appliance.plan.disks.roles import show_selector
from appliance.plan.osd.drivegroup import misfit, problems
from hwprofiles.profile import Content, DiskRole, DiskRoleName

NONE = -1
_KINDS = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """``rank`` of a disk for one source, and why it has none."""

    rank: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the disks of one purpose come from: a filter, or a role of the profile (either may be None, then nothing
    does). ``count`` is how many a role must have, 0 for any."""

    wanted: DeviceFilter | None = None
    logic: FilterLogic = FilterLogic.AND
    role: DiskRole | None = None

    @property
    def exists(self) -> bool:
        """Whether anything is asked for."""
        return self.wanted is not None or self.role is not None

    @property
    def limit(self) -> int:
        return self.wanted.limit if self.wanted else 0

    @property
    def count(self) -> int:
        return self.role.count if self.role and not self.wanted else 0

    def answer(self, disk: Disk, free: bool) -> Answer:
        """``free``: the disk is blank, ours, or granted."""
        if self.wanted is not None:
            why = misfit(self.wanted, self.logic, disk)
            return Answer(rank=NONE if why else 0, why=why)
        why = ""
        for rank, selector in enumerate(self.role.choose if self.role else ()):
            why = selector_misfit(selector, disk)
            if not why and selector.content is Content.FREE and not free:
                why = "carries data"
            if not why:
                return Answer(rank=rank, why="")
        return Answer(rank=NONE, why=why)

    @property
    def shown(self) -> tuple[str, ...]:
        """What decides, in words, by rank."""
        if self.wanted is not None:
            return (_show_filter(self.wanted, self.logic),)
        return tuple(show_selector(selector) for selector in self.role.choose) if self.role else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A drive group that holds for the machine, with where its disks come from. ``label`` is for people."""

    group: DriveGroup
    label: str
    data: Source
    wal: Source
    db: Source
    data_whys: tuple[str, ...]

    def why(self, rank: int) -> str:
        """What made the group take a data disk, in words."""
        return self.data_whys[rank]


Answers = tuple[tuple[Answer, Answer, Answer], ...]
"""For each group: data, WAL, DB."""


class Rules:
    """The groups that hold for machines of one profile. Those that make no sense are left out, and said in ``problems``."""

    def __init__(self, groups: tuple[DriveGroup, ...], profile: str, roles: tuple[DiskRole, ...]) -> None:
        named = {role.role: role for role in roles}
        found = [group for group in groups if not group.profiles or profile in group.profiles]
        if not groups and DiskRoleName.OSD in named:
            found = [DriveGroup(name="")]
        self.problems = tuple(f"drive group {group.name}: {text}" for group in found for text in problems(group))
        found = [group for group in found if not problems(group)]
        self.groups = tuple(_group(group, profile, named) for group in found)
        self.nothing = _nothing(groups, profile, self.problems)
        self.by_serial = any(f.serials for group in found for f in (group.data, group.wal, group.db))
        self._known: dict[tuple[object, ...], Answers] = {}
        self._whys: dict[Answers, str] = {}

    def answers(self, disk: Disk, free: bool) -> Answers:
        """What all groups say about a disk."""
        key = (disk.size, disk.transport, disk.rotational, disk.removable, disk.model, disk.vendor, free)
        if self.by_serial:
            key = (*key, disk.serial)  # type: ignore[assignment]
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _KINDS:
                self._known.clear()
            found = tuple(
                (group.data.answer(disk, free), group.wal.answer(disk, free), group.db.answer(disk, free))
                for group in self.groups
            )
            self._known[key] = found
        return found

    def why_not(self, answers: Answers) -> str:
        """Why no group takes a disk, in words."""
        if not answers:
            return self.nothing
        found = self._whys.get(answers)
        if found is None:
            if len(self._whys) >= _KINDS:
                self._whys.clear()
            found = "not needed: " + "; ".join(
                _why_not(group, answer) for group, answer in zip(self.groups, answers, strict=True)
            )
            self._whys[answers] = found
        return found


@lru_cache(maxsize=256)
def rules(groups: tuple[DriveGroup, ...], profile: str, roles: tuple[DiskRole, ...]) -> Rules:
    """The rules for machines of a profile (its name, and its ``disks``)."""
    return Rules(groups, profile, roles)


def _group(group: DriveGroup, profile: str, roles: dict[DiskRoleName, DiskRole]) -> Group:
    label = f"drive group {group.name}" if group.name else f"profile {profile}"
    data = _source(group.data, group.filter_logic, roles.get(DiskRoleName.OSD))
    return Group(
        group=group,
        label=label,
        data=data,
        data_whys=tuple(f"{label} ({text})" for text in data.shown),
        wal=_source(group.wal, group.filter_logic, None),
        db=_source(group.db, group.filter_logic, roles.get(DiskRoleName.DB)),
    )


def _source(wanted: DeviceFilter, logic: FilterLogic, role: DiskRole | None) -> Source:
    return Source(wanted=None if wanted.empty else wanted, logic=logic, role=role if wanted.empty else None)


def _nothing(groups: tuple[DriveGroup, ...], profile: str, wrong: tuple[str, ...]) -> str:
    if wrong:
        return f"no drive group can be used for profile {profile}: {wrong[0]}"
    if groups:
        return f"not needed: no drive group of the site file is for profile {profile}"
    return f"not needed: profile {profile} has no role for OSDs, and the site file no drive groups"


def _why_not(group: Group, answer: tuple[Answer, Answer, Answer]) -> str:
    named = zip(("data", "WAL", "DB"), answer, (group.data, group.wal, group.db), strict=True)
    whys: dict[str, list[str]] = {}
    for name, one, source in named:
        if source.exists and one.why:
            whys.setdefault(one.why, []).append(name)
    text = ", ".join(f"{why} ({'/'.join(names)})" for why, names in whys.items())
    return f"{group.label}: {text}" if text else f"{group.label} has enough"


def _show_filter(wanted: DeviceFilter, logic: FilterLogic) -> str:
    words = ["all"] if wanted.all else []
    if wanted.rotational is not None:
        words.append("spinning" if wanted.rotational else "flash")
    words += [f"size {wanted.size}"] if wanted.size else []
    words += [f"model {wanted.model}"] if wanted.model else []
    words += [f"vendor {wanted.vendor}"] if wanted.vendor else []
    words += ["listed serials"] if wanted.serials else []
    return (" or " if logic is FilterLogic.OR else ", ").join(words)
