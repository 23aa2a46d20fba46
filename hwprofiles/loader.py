"""Reads the profiles: those that ship beside this module, or those of another folder."""

from __future__ import annotations

from pathlib import Path

from hwprofiles.document import DocumentError, Problem, read
from hwprofiles.profile import DiskRoleName, Profile
from hwprofiles.values import SCALARS

SHIPPED = Path(__file__).resolve().parent


def load_profiles(folder: Path | None = None) -> tuple[Profile, ...]:
    """All ``*.yaml`` of a folder (the shipped ones by default), by name. `DocumentError` names every problem at once:
    what the documents say wrong, a name that is not the file's, and a name that two files have."""
    problems: list[Problem] = []
    profiles: dict[str, Profile] = {}
    for path in sorted((folder or SHIPPED).glob("*.yaml")):
        try:
            document = read(path)
            profile = document.load(Profile, SCALARS)
        except DocumentError as error:
            problems += error.problems
            continue
        if profile.name != path.stem:
            message = f"the profile's name must be the file's: {path.stem}, not {profile.name}"
            problems.append(document.problem(("name",), message))
        for index, role in enumerate(profile.disks):
            if not role.choose:
                problems.append(document.problem(("disks", index, "choose"), "is empty: give at least one selector"))
            if role.count < 0 or (role.count == 0 and role.role is DiskRoleName.SYSTEM):
                problems.append(document.problem(("disks", index, "count"), "at least 1 disk makes a system"))
        profiles[profile.name] = profile
    if problems:
        raise DocumentError(problems)
    return tuple(profiles[name] for name in sorted(profiles))
