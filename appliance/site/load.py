"""Site file → `Site`: types, defaults and checks; every problem at once, with file, line, column and what to do."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cache
from importlib import resources
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from appliance.model.network import Network, Plane
from appliance.model.site import (
    ApprovalRule,
    EraseGrant,
    ExpectedMachine,
    ProvisioningNetwork,
    Site,
)
from appliance.site.checks import Checked, check
from appliance.site.file import PROVISIONING, MachineEntry, NetworkEntry, SiteFile
from appliance.site.values import SCALARS, AddressRange
from hwprofiles.document import Document, DocumentError, Problem, read, read_text
from hwprofiles.loader import load_profiles
from hwprofiles.node import sorted_problems
from hwprofiles.profile import Profile

__all__ = ["Problem", "SiteError", "load_site", "load_text", "operating_systems"]


class SiteError(Exception):
    """The site file can't be used. ``problems`` holds all of them in the order of the file; the text has one a line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted_problems(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def load_site(path: Path, profiles: Iterable[Profile] | None = None, systems: Collection[str] | None = None) -> Site:
    """Read a site file. ``profiles`` and ``systems`` (names of operating systems) are what names in it may mean; the
    shipped ones unless given. `SiteError` with everything that is wrong."""
    try:
        document = read(path)
    except DocumentError as error:
        raise SiteError(error.problems) from error
    return _load(document, profiles, systems)


def load_text(
    text: str,
    file: str = "(site)",
    profiles: Iterable[Profile] | None = None,
    systems: Collection[str] | None = None,
) -> Site:
    """Like `load_site`, from text that was stored; ``file`` is the name for messages."""
    try:
        document = read_text(text, file=file)
    except DocumentError as error:
        raise SiteError(error.problems) from error
    return _load(document, profiles, systems)


def operating_systems() -> tuple[str, ...]:
    """Names of the operating systems that ship: folders of ``images/os`` with an ``os.yaml``."""
    folder = resources.files("images") / "os"
    if not folder.is_dir():
        return ()
    return tuple(sorted(entry.name for entry in folder.iterdir() if (entry / "os.yaml").is_file()))


def _load(document: Document, profiles: Iterable[Profile] | None, systems: Collection[str] | None) -> Site:
    file, problems = document.convert(SiteFile, SCALARS)
    if file is None:
        raise SiteError(problems)
    known = _shipped() if profiles is None else tuple(profile.name for profile in profiles)
    names = operating_systems() if systems is None else tuple(systems)
    network = _provisioning(file.provisioning) if file.provisioning else None
    found = [*problems, *check(Checked(document=document, file=file, network=network, before=problems), known, names)]
    if found or network is None or file.site is None:
        raise SiteError(found)
    return _site(file, file.site, network)


@cache
def _shipped() -> tuple[str, ...]:
    """Names of the profiles that ship; they don't change while we run."""
    return tuple(profile.name for profile in load_profiles())


def _site(file: SiteFile, name: str, network: ProvisioningNetwork) -> Site:
    return Site(
        name=name,
        domain=file.domain,
        provisioning=network,
        machines=tuple(sorted((_machine(entry) for entry in file.machines), key=lambda machine: machine.name)),
        approve=tuple(
            ApprovalRule(serial=rule.serial or "", mac=rule.mac or "", expected=rule.expected, any=rule.any)
            for rule in file.approve
        ),
        erase=tuple(EraseGrant(serial=grant.serial, reason=grant.reason) for grant in file.erase),
        protect=tuple(file.protect),
        ssh_keys=tuple(file.ssh_keys),
        time_servers=tuple(file.time_servers),
        operating_system=file.operating_system,
        hostname_prefix=file.hostname_prefix,
        networks=tuple(
            Network(name=entry.name, plane=Plane.TENANT, cidr=entry.cidr, vlan=entry.vlan)
            for entry in file.networks
            if entry.name != PROVISIONING
        ),
        console=file.console or "",
        kernel_arguments=tuple(file.kernel_arguments),
    )


def _machine(entry: MachineEntry) -> ExpectedMachine:
    return ExpectedMachine(
        name=entry.name,
        serial=entry.serial or "",
        mac=entry.mac or "",
        uuid=entry.uuid or "",
        profile=entry.profile or "",
        address=entry.address,
    )


def _provisioning(entry: NetworkEntry) -> ProvisioningNetwork:
    appliance = entry.appliance or entry.cidr.network_address + 1
    special = {appliance, *entry.dns, *([entry.gateway] if entry.gateway else [])}
    pool = entry.pool or default_pool(entry.cidr, special)
    return ProvisioningNetwork(
        cidr=entry.cidr,
        appliance=appliance,
        first=pool.first,
        last=pool.last,
        mode=entry.mode.value,
        gateway=entry.gateway,
        dns=tuple(entry.dns),
        interfaces=tuple(entry.interfaces),
        hosts_first=entry.hosts.first if entry.hosts else None,
        hosts_last=entry.hosts.last if entry.hosts else None,
    )


def default_pool(network: IPv4Network, avoid: Collection[IPv4Address]) -> AddressRange:
    """The upper half of the network (at most 1 024 addresses), cut so that none of ``avoid`` (appliance, gateway, name
    servers) is inside: the larger side stays."""
    last = network.broadcast_address - 1
    first = max(network.network_address + network.num_addresses // 2, last - 1023)
    for address in sorted(avoid):
        if not first <= address <= last or first == last:
            continue
        if int(address) - int(first) < int(last) - int(address):
            first = address + 1
        else:
            last = address - 1
    return AddressRange(first=first, last=last)
