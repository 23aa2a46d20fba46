"""Site file → `Site`: types, defaults and checks; every problem at once, with file, line, column and what to do."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cache
from importlib import resources
from pathlib import Path

from appliance.model.site import Site
from appliance.site.build import build
from appliance.site.checks import Checked, check
from appliance.site.file import SiteFile
from appliance.site.inline import beside, complete, is_name, manifest_entry
from appliance.site.manifest import MANIFEST, Manifest, ManifestError, parse, read_list
from appliance.site.provisioning import default_pool, provisioning_network
from appliance.site.scalars import SCALARS
from hwprofiles.document import Document, DocumentError, Problem, read, read_text
from hwprofiles.loader import load_profiles
from hwprofiles.node import sorted_problems
from hwprofiles.profile import Profile

__all__ = ["Problem", "SiteError", "complete_text", "default_pool", "load_site", "load_text", "operating_systems"]


class SiteError(Exception):
    """The site file can't be used. ``problems`` holds all of them in the order of the file; the text has one a line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted_problems(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def load_site(path: Path, profiles: Iterable[Profile] | None = None, systems: Collection[str] | None = None) -> Site:
    """Read a site file, and the list of machines beside it that it names. ``profiles`` and ``systems`` (names of operating
    systems) are what names in it may mean; the shipped ones unless given. `SiteError` with everything that is wrong."""
    try:
        document = read(path)
    except DocumentError as error:
        raise SiteError(error.problems) from error
    return _load(document, profiles, systems, path.parent)


def load_text(
    text: str,
    file: str = "(site)",
    profiles: Iterable[Profile] | None = None,
    systems: Collection[str] | None = None,
) -> Site:
    """Like `load_site`, from text that was stored; ``file`` is the name for messages. No other file is read: a list of
    machines must be inside (`complete_text`)."""
    try:
        document = read_text(text, file=file)
    except DocumentError as error:
        raise SiteError(error.problems) from error
    return _load(document, profiles, systems, None)


def complete_text(path: Path) -> str:
    """The text of a site file that stands alone: the list of machines that it names is put inside. `SiteError` when one of
    them can't be read."""
    try:
        return complete(path)
    except DocumentError as error:
        raise SiteError(error.problems) from error


def operating_systems() -> tuple[str, ...]:
    """Names of the operating systems that ship: folders of ``images/os`` with an ``os.yaml``."""
    folder = resources.files("images") / "os"
    if not folder.is_dir():
        return ()
    return tuple(sorted(entry.name for entry in folder.iterdir() if (entry / "os.yaml").is_file()))


def _load(
    document: Document, profiles: Iterable[Profile] | None, systems: Collection[str] | None, folder: Path | None
) -> Site:
    file, problems = document.convert(SiteFile, SCALARS)
    if file is None:
        raise SiteError(problems)
    manifest, more = _manifest(document, file, folder)
    listed = len(file.machines) + (len(manifest.entries) if manifest else 0)
    network = provisioning_network(file.provisioning, listed + sum(max(entry.count, 0) for entry in file.expect))
    checked = Checked(
        document=document,
        file=file,
        network=network,
        manifest=manifest,
        profiles=frozenset(_shipped() if profiles is None else (profile.name for profile in profiles)),
        systems=frozenset(operating_systems() if systems is None else systems),
        before=problems,
    )
    found = [*problems, *more, *check(checked)]
    if found or network is None or file.site is None:
        raise SiteError(found)
    return build(file, file.site, network, checked.machines)


def _manifest(document: Document, file: SiteFile, folder: Path | None) -> tuple[Manifest | None, tuple[Problem, ...]]:
    """The list of machines, from the file that ``manifest`` names or from its text; and its problems."""
    found = manifest_entry(document)
    if file.manifest is None or found is None:
        return None, ()
    node = found[1]
    try:
        if not is_name(node.text):
            return _parsed(
                node.text, document.file, file.hostname_prefix, first=node.line + node.block, flat=not node.block
            )
        if folder is None:
            message = (
                "names a file, but this text stands alone; load it with 'rackseed site load', or put the list inside"
            )
            return None, (document.problem((MANIFEST,), message),)
        path = beside(node.text.strip(), folder)
        text = read_list(path)
    except ManifestError as error:
        return None, (document.problem((MANIFEST,), f"{node.text.strip()[:80]}: {error.message}"),)
    return _parsed(text, str(path), file.hostname_prefix)


def _parsed(
    text: str, name: str, prefix: str, *, first: int = 1, flat: bool = False
) -> tuple[Manifest | None, tuple[Problem, ...]]:
    try:
        manifest = parse(text, file=name, first=first, prefix=prefix, flat=flat)
    except ManifestError as error:
        line, column = (first, 1) if flat else (first + error.line - 1, error.column)
        return None, (
            Problem(file=name, line=line, column=column, where=MANIFEST if flat else "", message=error.message),
        )
    return manifest, manifest.problems


@cache
def _shipped() -> tuple[str, ...]:
    """Names of the profiles that ship; they don't change while we run."""
    return tuple(profile.name for profile in load_profiles())
