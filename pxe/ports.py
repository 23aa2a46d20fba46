"""The seam between the network boot servers and the appliance.

The servers turn packets into a `Client`, ask a `Directory` what to do, and turn the `Decision` back into packets. Every
transport (DHCP on 67, proxyDHCP on 67 and 4011, TFTP, HTTP) asks the same method, so a rule holds on all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface
from typing import Protocol


class Architecture(StrEnum):
    """What can run on the client, after the lies were corrected (DHCP option 93, RFC 5970 registry, see `classify`)."""

    X86_BIOS = "x86-bios"
    X86_64_UEFI = "x86-64-uefi"
    IA32_UEFI = "ia32-uefi"
    ARM64_UEFI = "arm64-uefi"
    RASPBERRY_PI = "raspberry-pi"
    UNKNOWN = "unknown"


class Transport(StrEnum):
    """Where the question came from."""

    DHCP = "dhcp"
    PROXY = "proxy"
    BOOT_SERVER = "4011"
    TFTP = "tftp"
    HTTP = "http"


class Stage(StrEnum):
    """Which program on the machine is asking.

    ``firmware``: a PXE ROM or UEFI PXE; ``firmware-http``: UEFI HTTP Boot; ``ipxe``: an iPXE that can fetch HTTP (user
    class ``iPXE`` and HTTP in option 175); ``ipxe-limited``: an iPXE without HTTP; ``os``: a DHCP client that does not
    boot (installer, agent, installed system).
    """

    FIRMWARE = "firmware"
    FIRMWARE_HTTP = "firmware-http"
    IPXE = "ipxe"
    IPXE_LIMITED = "ipxe-limited"
    OS = "os"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Who is asking. ``mac`` is lower case with colons. ``uuids`` holds option 97 or the script's uuid argument in both
    byte orders (empty when absent). ``pi_serial`` is 8 hex digits. ``server`` is our address as this client reaches us."""

    mac: str
    architecture: Architecture
    stage: Stage
    transport: Transport
    server: IPv4Address
    uuids: tuple[str, ...] = ()
    serial: str = ""
    pi_serial: str = ""
    address: IPv4Address | None = None
    vendor_class: str = ""
    user_class: str = ""
    relay: IPv4Address | None = None
    circuit_id: str = ""
    remote_id: str = ""


class Action(StrEnum):
    """What the client gets. ``ignore``: no boot information (a lease may still be given); ``loader``: a file by TFTP or,
    for HTTP clients, by URL; ``script``: the boot script; ``local``: boot the local disk."""

    IGNORE = "ignore"
    LOADER = "loader"
    SCRIPT = "script"
    LOCAL = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """What a boot script starts. URLs are absolute; ``initrds`` are loaded in order."""

    kernel: str
    initrds: tuple[str, ...]
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer. ``file`` is the TFTP name or URL of a loader, or the URL of the script. ``kernel`` is set for scripts
    asked over HTTP. ``local_method`` is how BIOS iPXE leaves for the disk: ``exit`` or ``sanboot``. ``reason`` is one
    line for the log and the timeline. ``retry`` asks the script to sleep so many seconds and ask again."""

    action: Action
    reason: str
    file: str = ""
    kernel: Kernel | None = None
    local_method: str = "exit"
    retry: int = 0
    machine: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One address given to one client. ``expires`` is seconds since the epoch. ``key`` identifies the client: ``mac`` of
    the form ``aa:bb:…``, or ``id:<hex>`` for a client identifier that is not its MAC."""

    address: IPv4Address
    key: str
    mac: str
    expires: float
    hostname: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One subnet to serve. ``interface`` is ours (address and prefix) for a local subnet; for a relayed one it is the
    relay's subnet. Addresses from ``first`` to ``last`` are given; fixed addresses may lie outside."""

    subnet: IPv4Interface
    first: IPv4Address
    last: IPv4Address
    lease_seconds: int = 3600
    router: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    time_servers: tuple[IPv4Address, ...] = ()
    domain: str = ""


class EventKind(StrEnum):
    """Steps of a boot as the servers see them; they become rows of the machine's timeline."""

    DHCP_DISCOVER = "dhcp-discover"
    DHCP_OFFER = "dhcp-offer"
    DHCP_REQUEST = "dhcp-request"
    DHCP_ACK = "dhcp-ack"
    DHCP_NAK = "dhcp-nak"
    DHCP_DECLINE = "dhcp-decline"
    PROXY_OFFER = "proxy-offer"
    TFTP_START = "tftp-start"
    TFTP_DONE = "tftp-done"
    TFTP_ABORT = "tftp-abort"
    SCRIPT = "script"
    HTTP_FILE = "http-file"


@dataclass(frozen=True, slots=True, kw_only=True)
class BootEvent:
    """One observation. ``at`` is when it was made, seconds since the epoch: it is written some tenths of a second later, by
    one of several processes. ``mac`` may be empty for TFTP and HTTP: then ``address`` joins it to a lease."""

    kind: EventKind
    at: float
    mac: str = ""
    address: IPv4Address | None = None
    uuids: tuple[str, ...] = ()
    detail: str = ""


class Directory(Protocol):
    """What the boot servers may ask the appliance. Every method must be quick (milliseconds) and never raise for a
    strange client; a failure of the store raises `DirectoryError`, and the servers stay silent rather than guess."""

    def decide(self, client: Client) -> Decision:
        """What this client shall boot. Consumes nothing: asking twice gives the same answer."""
        ...

    def pools(self) -> tuple[Pool, ...]:
        """Subnets to serve; read again at every reload."""
        ...

    def fixed_address(self, client: Client) -> IPv4Address | None:
        """The address that a plan or the site file gives this client, if any."""
        ...

    def leases(self) -> tuple[Lease, ...]:
        """All leases that are stored, also expired ones: an address returns to the client that had it."""
        ...

    def save_leases(self, leases: tuple[Lease, ...]) -> None:
        """Persist before the ACKs are sent (one transaction for a batch)."""
        ...

    def forget_lease(self, address: IPv4Address, *, until: float) -> None:
        """An address was declined or is in use by a stranger: keep it out of the pool until then."""
        ...

    def observe(self, events: tuple[BootEvent, ...]) -> None:
        """Add to timelines; a MAC never seen before becomes a machine in phase ``seen``."""
        ...

    def tftp_file(self, name: str, address: IPv4Address) -> str | None:
        """Absolute path of a public boot file for this name, or None. The server has already refused traversal."""
        ...


class DirectoryError(Exception):
    """The appliance's store could not be asked. The message says why."""
