"""What the boot servers ask the appliance, and what they tell it: `pxe.ports.Directory` over the store.

DHCP, proxyDHCP, TFTP and the HTTP boot script all go through `facts_of` and `appliance.plan.boot.boot_for`, so a rule holds
on all of them. Decisions are kept in memory until anybody else commits something (see `appliance.store.watch`).
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_interface

from sqlalchemy import Connection

from appliance.effects import files
from appliance.model.machine import Phase
from appliance.operations import bootlog, identity, sites
from appliance.operations.bootlog import SEEN
from appliance.operations.context import Appliance
from appliance.operations.errors import Invalid, OperationError, Unavailable
from appliance.plan.boot import BootFacts, boot_for
from appliance.store import allocations, artefacts, leases, machines, permits
from appliance.store.artefacts import ArtefactKind
from appliance.store.database import StoreError
from appliance.store.watch import Watch
from hwprofiles.normal import uuid_pair
from pxe import script
from pxe.ports import (
    Architecture,
    BootEvent,
    Client,
    Decision,
    DirectoryError,
    EventKind,
    Kernel,
    Lease,
    Pool,
    Stage,
    Transport,
)

log = logging.getLogger(__name__)

AUTOEXEC = "autoexec.ipxe"
CACHED_CLIENTS = 4096
DEFAULT_CONSOLES = ("tty0", "ttyS0,115200n8")
"""For machines without a profile: screen and first serial port; a kernel without that port goes on."""

ARCHITECTURES = {
    ("pcbios", "i386"): Architecture.X86_BIOS,
    ("pcbios", "x86_64"): Architecture.X86_BIOS,
    ("efi", "x86_64"): Architecture.X86_64_UEFI,
    ("efi", "i386"): Architecture.IA32_UEFI,
    ("efi", "arm64"): Architecture.ARM64_UEFI,
}
"""iPXE's ``platform`` and ``buildarch`` settings. A 32-bit undionly also runs on 64-bit machines."""

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


class NetbootDirectory:
    """Implements `pxe.ports.Directory`. Safe to share between threads; one per process."""

    def __init__(self, app: Appliance) -> None:
        self.app = app
        self._watch = Watch(app.store)
        self._lock = threading.Lock()
        self._decisions: dict[Client, Decision] = {}
        self._round = 0  # grows when the cache is thrown away: an answer read before is not put into the new one
        self._common: Common | None = None
        self._fixed: dict[Client, IPv4Address | None] = {}
        self._pools: tuple[Pool, ...] | None = None

    def decide(self, client: Client) -> Decision:
        """What this client shall boot. Raises `DirectoryError` when the store cannot be asked."""
        with self._asking():
            self._forget_when_changed()
            with self._lock:
                known, common, began = self._decisions.get(client), self._common, self._round
            if known is not None:
                return known
            with self.app.store.read() as connection:
                common = common or common_of(self.app, connection)
                decision = boot_for(facts_of(self.app, connection, client, common))
            with self._lock:
                if len(self._decisions) >= CACHED_CLIENTS:
                    self._decisions.clear()
                if began == self._round:
                    self._common, self._decisions[client] = common, decision
        log.info("machine=%s step=boot-decision why=%s %s", decision.machine or "-", client.mac, decision.reason)
        return decision

    def pools(self) -> tuple[Pool, ...]:
        """The provisioning network of the site file; none before one was loaded, or when somebody else gives addresses."""
        with self._asking():
            self._forget_when_changed()
            with self._lock:
                known, began = self._pools, self._round
            if known is not None:
                return known
            with self.app.store.read() as connection:
                found = _pools(connection)
            with self._lock:
                if began == self._round:
                    self._pools = found
            return found

    def fixed_address(self, client: Client) -> IPv4Address | None:
        """The address of an accepted plan, else of the site file's entry that this machine is."""
        with self._asking():
            self._forget_when_changed()
            with self._lock:
                if client in self._fixed:
                    return self._fixed[client]
                began = self._round
            with self.app.store.read() as connection:
                found = _fixed_address(connection, client)
            with self._lock:
                if began == self._round and len(self._fixed) < CACHED_CLIENTS:
                    self._fixed[client] = found
            return found

    def leases(self) -> tuple[Lease, ...]:
        """All stored leases, also expired ones."""
        with self._asking(), self.app.store.read() as connection:
            return tuple(lease for lease in leases.everything(connection) if not lease.key.startswith(SEEN))

    def save_leases(self, leases_: tuple[Lease, ...]) -> None:
        """One transaction; returns when it is on the disk."""
        with self._asking(), self._watch.write() as connection:
            leases.put(connection, leases_)

    def forget_lease(self, address: IPv4Address, *, until: float) -> None:
        """Keep an address out of the pool until then."""
        with self._asking(), self._watch.write() as connection:
            leases.block(connection, address, until=until)

    def observe(self, events: tuple[BootEvent, ...]) -> None:
        """Write timelines, in one transaction; a machine that was never seen becomes a record."""
        with self._asking(), self._watch.write() as connection:
            new = bootlog.record(connection, events, at=self.app.clock.now())
        if new:
            self._forget()

    def tftp_file(self, name: str, address: IPv4Address) -> str | None:
        """Path of a loader by its name, or of the script that iPXE looks for beside itself."""
        with self._asking():
            if name == AUTOEXEC:
                return self._autoexec()
            with self.app.store.read() as connection:
                row = artefacts.current(connection, ArtefactKind.LOADER, name)
            return row.path if row else None

    def close(self) -> None:
        """Give back the connection that watches."""
        self._watch.close()

    def _autoexec(self) -> str:
        path = self.app.settings.state / "boot" / AUTOEXEC
        content = script.chain(self.app.settings.public_url).encode()
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            files.replace(path, content)
        return str(path)

    def _forget_when_changed(self) -> None:
        if self._watch.changed():
            self._forget()

    def _forget(self) -> None:
        with self._lock:
            self._decisions.clear()
            self._fixed.clear()
            self._common = None
            self._pools = None
            self._round += 1

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except (StoreError, OperationError, OSError) as error:
            raise DirectoryError(str(error)) from error


def script_decision(app: Appliance, query: Mapping[str, str], remote: IPv4Address | None = None) -> Decision:
    """``GET /boot/script.ipxe``: the decision for an iPXE that tells its ``mac``, ``uuid``, ``serial``, ``arch`` and
    ``platform``. Writes the step to the timeline. Raises `Invalid` without a MAC address, `Unavailable`."""
    mac = query.get("mac", "").strip().lower().replace("-", ":")
    if not _MAC.fullmatch(mac):
        message = "must be a MAC address, as iPXE's ${mac} prints it"
        raise Invalid(f"mac: {message}", (("mac", message),))
    client = Client(
        mac=mac,
        architecture=ARCHITECTURES.get((query.get("platform", ""), query.get("arch", "")), Architecture.UNKNOWN),
        stage=Stage.IPXE,
        transport=Transport.HTTP,
        server=app.settings.address,
        uuids=uuid_pair(query.get("uuid", "")),
        serial=query.get("serial", "")[:128],
        address=remote,
    )
    try:
        with app.store.write() as connection:
            event = BootEvent(kind=EventKind.SCRIPT, at=app.clock.now(), mac=mac, address=remote, uuids=client.uuids)
            bootlog.arrive(connection, event)
            decision = boot_for(facts_of(app, connection, client))
            bootlog.script(connection, event, decision)
    except StoreError as error:
        raise Unavailable(str(error)) from error
    log.info("machine=%s step=script why=%s %s", decision.machine or "-", mac, decision.reason)
    return decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What is the same for all clients: how the agent image is started, and the site's console (empty: by profile)."""

    agent: Kernel | None
    console: str


def common_of(app: Appliance, connection: Connection) -> Common:
    """Read it."""
    site = sites.current_in(connection)
    return Common(agent=_agent(app, connection), console=site.console if site else "")


def facts_of(app: Appliance, connection: Connection, client: Client, common: Common | None = None) -> BootFacts:
    """Everything that the decision for a client may depend on."""
    common = common or common_of(app, connection)
    machine = identity.locate(connection, client.mac, client.uuids)
    row = machines.get(connection, machine) if machine else None
    public = app.settings.public_url
    if row is None:
        return BootFacts(client=client, public_url=public, agent=common.agent, console=_consoles(common, ()))
    profile = next((p for p in app.profiles if p.name == row.machine.profile), None)
    return BootFacts(
        client=client,
        public_url=public,
        machine=row.id,
        name=row.machine.name or row.expected,
        phase=row.machine.phase,
        policy=row.machine.policy,
        trouble=row.machine.trouble.kind if row.machine.trouble else None,
        settings=profile.boot if profile else None,
        console=_consoles(common, profile.console if profile else ()),
        permit_open=row.machine.phase is not Phase.RETIRED and permits.open_of_machine(connection, row.id) is not None,
        agent=common.agent,
    )


def preview(app: Appliance, machine_id: str, architecture: Architecture, stage: Stage) -> Decision:
    """What a machine would get if it asked now; for people. Writes nothing."""
    with app.store.read() as connection:
        macs = [item.value for item in identity.ports_of(connection, machine_id)]
        client = Client(
            mac=macs[0] if macs else "",
            architecture=architecture,
            stage=stage,
            transport=Transport.HTTP if stage is Stage.IPXE else Transport.DHCP,
            server=app.settings.address,
        )
        return boot_for(facts_of(app, connection, client))


def _agent(app: Appliance, connection: Connection) -> Kernel | None:
    """What starts the agent image; None while it is not built."""
    kernel = artefacts.current(connection, ArtefactKind.AGENT_KERNEL)
    initrd = artefacts.current(connection, ArtefactKind.AGENT_INITRD)
    if kernel is None or initrd is None:
        return None
    public = app.settings.public_url
    return Kernel(
        kernel=f"{public}/artefacts/{kernel.sha256}/{kernel.name}",
        initrds=(f"{public}/artefacts/{initrd.sha256}/{initrd.name}", f"{public}/site.cpio"),
        arguments=app.settings.kernel_arguments,
    )


def _consoles(common: Common, profile: tuple[str, ...]) -> tuple[str, ...]:
    return (common.console,) if common.console else profile or DEFAULT_CONSOLES


def _pools(connection: Connection) -> tuple[Pool, ...]:
    site = sites.current_in(connection)
    if site is None or site.provisioning.mode != "authoritative":
        return ()
    network = site.provisioning
    return (
        Pool(
            subnet=network.interface,
            first=network.first,
            last=network.last,
            router=network.gateway,
            dns=network.dns or (network.appliance,),
            time_servers=tuple(IPv4Address(text) for text in site.time_servers if _is_address(text)),
            domain=site.domain,
        ),
    )


def _fixed_address(connection: Connection, client: Client) -> IPv4Address | None:
    """An accepted plan's address wins over the site file's."""
    machine = identity.locate(connection, client.mac, client.uuids)
    allocation = allocations.get(connection, machine) if machine else None
    if allocation and allocation.address:
        return _inside(connection, str(ip_interface(allocation.address).ip))
    row = machines.get(connection, machine) if machine else None
    site = sites.current_in(connection)
    if site is None or row is None or not row.expected:
        return None
    found = next((entry.address for entry in site.machines if entry.name == row.expected), None)
    return _inside(connection, str(found)) if found else None


def _inside(connection: Connection, text: str) -> IPv4Address | None:
    """An address that DHCP may give: one of the provisioning network, never our own."""
    site, address = sites.current_in(connection), IPv4Address(text)
    if site is None or address not in site.provisioning.cidr or address == site.provisioning.appliance:
        return None
    return address


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True
