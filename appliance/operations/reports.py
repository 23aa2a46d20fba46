"""Trusted reports: what a machine says of itself over mutual TLS. Plans are made from these only."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sqlalchemy import Connection

from agent.wire import Environment, Inventory, Report, ReportReply
from appliance.model.identity import of_inventory
from appliance.model.machine import RETIRED_HINT, MachineEvent, Phase, TroubleKind
from appliance.operations import arbiter, identity, sites
from appliance.operations.context import Appliance
from appliance.operations.errors import Conflict, Invalid, NotSignedIn
from appliance.store import certificates, events, evidence, inventories, lifecycle, machines
from appliance.store.certificates import CertificateState
from appliance.store.events import Happening
from appliance.store.machines import MachineRow
from hwprofiles.match import match
from hwprofiles.profile import Profile

log = logging.getLogger(__name__)

POLL_SECONDS = {Environment.IMAGE: 3.0, Environment.INSTALLED: 15.0, Environment.ARBITER: 15.0}
REPORT_SECONDS = {Environment.IMAGE: 60.0, Environment.INSTALLED: 60.0, Environment.ARBITER: 60.0}
MATCHING_PHASES = frozenset({Phase.INSPECTED, Phase.READY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whose client certificate a mutual-TLS request carried."""

    machine: str
    environment: Environment
    key_sha256: str


def caller_of_certificate(app: Appliance, serial: str) -> Caller:
    """The machine behind a verified client certificate; ``serial`` is its serial number in hex (any spelling).

    Raises `NotSignedIn` when this certificate is not (or not any more) accepted, whatever its dates say.
    """
    with app.store.read() as connection:
        try:
            row = certificates.get(connection, serial)
        except ValueError:
            row = None
        if row is None or row.state is CertificateState.REVOKED or row.not_after <= app.clock.now():
            raise NotSignedIn("this certificate is not accepted any more: enrol again")
        machine = machines.get(connection, row.machine)
    if machine is None or machine.machine.phase is Phase.RETIRED:
        raise NotSignedIn(f"{row.machine} is retired; {RETIRED_HINT}")
    return Caller(machine=row.machine, environment=row.environment, key_sha256=row.key_sha256)


def report(app: Appliance, machine_id: str, report: Report, *, environment: Environment) -> ReportReply:
    """``POST /agent/v1/report``. ``environment`` is that of the certificate. All or nothing is stored.

    Raises `Invalid` when the report is of another environment, `Conflict` for a retired machine, or for hardware that
    is not this machine's (then the machine gets the trouble ``identity-conflict``).
    """
    if report.inventory.environment is not environment:
        message = f"the certificate is for the environment {environment}, the report of {report.inventory.environment}"
        raise Invalid(f"inventory/environment: {message}", (("inventory/environment", message),))
    now = app.clock.now()
    with app.store.write() as connection:
        row = machines.get(connection, machine_id)
        if row is None or row.machine.phase is Phase.RETIRED:
            raise Conflict(f"{machine_id} is retired and takes no reports; {RETIRED_HINT}")
        own = environment is Environment.ARBITER  # whose hardware is nobody's to identify: no machine is told by it
        foreign = not own and not identity.fits(connection, machine_id, report.inventory)
        if own:
            arbiter.keep(connection, machine_id, report, at=now)
        elif foreign:
            text = "its certificate is used by other hardware (disk moved?): put the disk back, or retire this machine"
            lifecycle.set_trouble(connection, machine_id, TroubleKind.IDENTITY_CONFLICT, text, at=now)
        else:
            _store(connection, row, report, now)
            _settle(app, connection, machine_id, report.inventory, now)
    if foreign:
        raise Conflict(f"this hardware is not {machine_id}: a person must decide")
    return ReportReply(
        machine=machine_id, interval=POLL_SECONDS[environment], report_interval=REPORT_SECONDS[environment]
    )


def _store(connection: Connection, row: MachineRow, report: Report, now: float) -> None:
    """The inventory, and what follows from where it came from."""
    inventory, machine_id = report.inventory, row.id
    before = inventories.get(connection, machine_id, inventory.environment)
    if inventory.environment is Environment.INSTALLED and certificates.promote(connection, machine_id):
        text = "the installed system reported with its own key; the agent image's key is not accepted any more"
        events.add(connection, at=now, machine=machine_id, kind=Happening.CERTIFICATE, text=text)
    inventories.put(connection, machine_id, inventory, at=now, nonce=report.nonce, permit=report.permit)
    evidence.replace(connection, machine_id, of_inventory(inventory), at=now)
    machines.touch(connection, machine_id, at=now, nonce=report.nonce)
    if before is None or before.nonce != report.nonce or not same_hardware(before.inventory, inventory):
        text = f"reported from the {inventory.environment} system: {describe(inventory)}"
        data = {"environment": inventory.environment.value, "permit": report.permit}
        events.add(connection, at=now, machine=machine_id, kind=Happening.REPORT, text=text, data=data)
    log.debug("machine=%s step=report why=%s", machine_id, inventory.environment)


def _settle(app: Appliance, connection: Connection, machine_id: str, inventory: Inventory, now: float) -> None:
    """Phase, place in the site file and profile, after a report from the machine's own hardware."""
    if not identity.conflicts_of(connection, machine_id):
        kind, why = TroubleKind.IDENTITY_CONFLICT, "it reports from its own hardware"
        lifecycle.clear_trouble(connection, machine_id, kind, at=now, why=why)
    row = machines.get(connection, machine_id)
    if row and row.machine.phase is Phase.APPROVED:
        lifecycle.advance(connection, machine_id, MachineEvent.REPORT, at=now, why="its first trusted report")
    sites.recognise(connection, machine_id, at=now)
    row = machines.get(connection, machine_id)
    if row and row.machine.phase in MATCHING_PHASES and inventory.environment is Environment.IMAGE:
        match_profile(app, connection, row, inventory, now)


def match_profile(
    app: Appliance, connection: Connection, row: MachineRow, inventory: Inventory, now: float
) -> Profile | None:
    """Give the machine its profile: the one that the site file names, or the one that matches; or say its trouble."""
    site = sites.current_in(connection)
    named = next((m.profile for m in site.machines if m.name == row.expected), "") if site and row.expected else ""
    found = match(inventory, app.profiles)
    profile = next((p for p in app.profiles if p.name == named), None) if named else found.profile
    if profile is None:
        kind = TroubleKind.AMBIGUOUS_PROFILE if found.tie and not named else TroubleKind.NO_PROFILE
        text = f"the site file names the profile {named}, which there is not" if named else found.text
        if row.machine.phase is Phase.READY:
            lifecycle.advance(connection, row.id, MachineEvent.UNMATCH, at=now, why=text, profile="")
        lifecycle.set_trouble(connection, row.id, kind, text, at=now)
        return None
    why = f"profile {profile.name}, named by the site file" if named else f"profile {found.text}"
    if row.machine.phase is Phase.INSPECTED:
        lifecycle.advance(connection, row.id, MachineEvent.MATCH, at=now, why=why, profile=profile.name)
    elif row.machine.profile != profile.name:
        machines.change(connection, row.id, profile=profile.name)
        events.add(connection, at=now, machine=row.id, kind=Happening.REPORT, text=why)
    kinds = (TroubleKind.NO_PROFILE, TroubleKind.AMBIGUOUS_PROFILE)
    lifecycle.clear_trouble(connection, row.id, *kinds, at=now, why=why)
    return profile


def same_hardware(before: Inventory, after: Inventory) -> bool:
    """Whether nothing that a person would call a change happened between two reports (temperatures are none)."""

    def shape(inventory: Inventory) -> object:
        disks = sorted((d.serial, d.wwn, d.size, d.content.fingerprint()) for d in inventory.disks)
        nics = sorted((n.mac, n.driver) for n in inventory.nics)
        return inventory.board, inventory.cpu, inventory.memory.installed, disks, nics, inventory.kernel

    return shape(before) == shape(after)


def describe(inventory: Inventory) -> str:
    """One line: processors, memory, disks and ports."""
    cpu = inventory.cpu
    gib = max(inventory.memory.total, inventory.memory.installed) / 2**30
    return (
        f"{cpu.cores or cpu.threads} cores, {gib:.1f} GiB, {_count(len(inventory.disks), 'disk')}, "
        f"{_count(len(inventory.nics), 'network port')}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
