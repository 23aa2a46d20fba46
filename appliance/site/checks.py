"""What types can't say: names that must exist, things that must differ, addresses that must fit together."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.site.cephchecks import check_ceph
from appliance.site.checked import Checked
from appliance.site.clusterchecks import check_clusters
from appliance.site.machinechecks import check_machines
from appliance.site.networkchecks import check_networks
from appliance.site.provisioning import AUTHORITATIVE, check_provisioning, host_addresses
from hwprofiles.convert import closest
from hwprofiles.document import Problem

__all__ = ["AUTHORITATIVE", "Checked", "check", "host_addresses"]

SCHEMA = 1
MAX_NUMBER = 255


def check(checked: Checked) -> list[Problem]:
    """All problems that types can't find."""
    return [
        *_names(checked),
        *_rules(checked),
        *_disks(checked),
        *_settings(checked),
        *check_machines(checked),
        *check_networks(checked),
        *check_provisioning(checked),
        *check_clusters(checked),
        *check_ceph(checked),
    ]


def _names(checked: Checked) -> Iterator[Problem]:
    file = checked.file
    if file.site is None and "site" not in checked.unsound:
        yield checked.problem((), "'site' is missing: the name of the site")
    if file.provisioning is None and "networks" not in checked.unsound:
        example = "networks: {provisioning: {cidr: 192.168.90.0/24}}"
        yield checked.problem(("networks",), f"the network 'provisioning' is missing; for example {example}")
    if file.schema != SCHEMA:
        message = f"this version reads schema {SCHEMA}, not {file.schema}"
        yield checked.problem(("schema",), message)
    if checked.systems and file.operating_system not in checked.systems:
        hint = closest(file.operating_system, checked.systems)
        message = f"unknown operating system '{file.operating_system}'{hint}"
        yield checked.problem(("operating_system",), message)


def _rules(checked: Checked) -> Iterator[Problem]:
    file = checked.file
    for rule in file.approve:
        path = rule.at.path
        if not (rule.serial or rule.mac or rule.expected or rule.any):
            if checked.sound(rule.at):
                message = "an empty rule would approve nothing; give serial, mac, 'expected: true' or 'any: true'"
                yield checked.problem(path, message)
        elif rule.any and (rule.serial or rule.mac or rule.expected):
            yield checked.problem((*path, "any"), "'any: true' stands alone: it approves every machine")
        elif rule.expected and not checked.machines and file.manifest is None:
            message = "approves expected machines, but 'machines' names none"
            message += "; 'expect' only counts: nothing tells who they are" if file.expect else ""
            yield checked.problem((*path, "expected"), message)


def _disks(checked: Checked) -> Iterator[Problem]:
    file = checked.file
    yield from checked.twice(((g.at, "serial", g.serial) for g in file.erase), "two grants are for the serial")
    protected = {serial: index for index, serial in enumerate(file.protect)}
    for grant in file.erase:
        if grant.serial in protected:
            line, column = checked.document.position(("protect", protected[grant.serial]))
            message = f"disk '{grant.serial}' is also protected at {line}:{column}; a disk is one or the other"
            yield checked.problem((*grant.at.path, "serial"), message)
    if len(protected) < len(file.protect):
        yield checked.problem(("protect",), "names a serial twice")


def _settings(checked: Checked) -> Iterator[Problem]:
    file = checked.file
    if not 0 <= file.number <= MAX_NUMBER:
        message = f"a site's number is 0 to {MAX_NUMBER}, not {file.number}: it is a part of addresses (10.NUMBER.…)"
        yield checked.problem(("number",), message)
    names = ((entry.at, "name", entry.name) for entry in file.repositories)
    yield from checked.twice(names, "two entries are for the repository")
    for entry in file.repositories:
        if entry.mirror is None and entry.frozen is None and checked.sound(entry.at):
            yield checked.problem(entry.at.path, "says nothing; give mirror, frozen or both", key=True)
    yield from checked.repeated(("dns_servers",), file.dns_servers)
    if file.bmc is not None and file.bmc.password is not None and file.bmc.user is None and checked.sound(file.bmc.at):
        yield checked.problem(file.bmc.at.path, "a password is somebody's; give 'user' too")
