"""A `pxe.ports.Directory` on a SQLite file of its own: leases are as durable as the appliance's (WAL, FULL, one
transaction per batch), decisions are a small table. For the bench and for tests of the servers without an appliance."""

from __future__ import annotations

import sqlite3
import threading
from ipaddress import IPv4Address
from pathlib import Path

from pxe.ports import Action, Architecture, BootEvent, Client, Decision, DirectoryError, Lease, Pool, Stage

LOADERS = {
    Architecture.X86_BIOS: "undionly.kpxe",
    Architecture.X86_64_UEFI: "snponly.efi",
    Architecture.ARM64_UEFI: "ipxe-arm64.efi",
}


class SqliteDirectory:
    """``root`` is the TFTP folder, ``url`` the base of HTTP."""

    def __init__(
        self,
        database: Path,
        pools: tuple[Pool, ...],
        *,
        root: Path,
        url: str = "http://192.0.2.1:8080",
        fixed: dict[str, IPv4Address] | None = None,
    ) -> None:
        self.database = database
        self.given = pools
        self.root = root.resolve()
        self.url = url
        self.fixed = fixed or {}
        self.local = threading.local()
        with self.connection() as opened:
            opened.execute(
                "CREATE TABLE IF NOT EXISTS lease (address TEXT PRIMARY KEY, key TEXT, mac TEXT, expires REAL, "
                "hostname TEXT)"
            )
            opened.execute("CREATE TABLE IF NOT EXISTS event (kind TEXT, mac TEXT, address TEXT, detail TEXT)")

    def connection(self) -> sqlite3.Connection:
        """One connection per thread."""
        opened = getattr(self.local, "connection", None)
        if opened is None:
            opened = sqlite3.connect(self.database, timeout=10)
            opened.execute("PRAGMA journal_mode=WAL")
            opened.execute("PRAGMA synchronous=FULL")
            self.local.connection = opened
        return opened

    def decide(self, client: Client) -> Decision:
        """Loaders by architecture, the script for an iPXE that can fetch it, nothing for an OS."""
        why = f"{client.architecture} {client.stage}"
        if client.stage is Stage.OS:
            return Decision(action=Action.IGNORE, reason=why)
        if client.stage is Stage.IPXE:
            return Decision(action=Action.SCRIPT, reason=why, file=f"{self.url}/autoexec.ipxe")
        if client.stage is Stage.FIRMWARE_HTTP:
            return Decision(action=Action.LOADER, reason=why, file=f"{self.url}/loaders/ipxe.efi")
        if client.architecture is Architecture.RASPBERRY_PI:
            return Decision(action=Action.LOADER, reason=why)
        file = LOADERS.get(client.architecture)
        return Decision(action=Action.LOADER if file else Action.IGNORE, reason=why, file=file or "")

    def pools(self) -> tuple[Pool, ...]:
        return self.given

    def fixed_address(self, client: Client) -> IPv4Address | None:
        return self.fixed.get(client.mac)

    def leases(self) -> tuple[Lease, ...]:
        rows = self.connection().execute("SELECT address, key, mac, expires, hostname FROM lease").fetchall()
        return tuple(
            Lease(address=IPv4Address(address), key=key, mac=mac, expires=expires, hostname=hostname)
            for address, key, mac, expires, hostname in rows
        )

    def save_leases(self, leases: tuple[Lease, ...]) -> None:
        rows = [(str(each.address), each.key, each.mac, each.expires, each.hostname) for each in leases]
        try:
            with self.connection() as opened:
                opened.execute("BEGIN IMMEDIATE")
                opened.executemany("INSERT OR REPLACE INTO lease VALUES (?, ?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise DirectoryError(str(error)) from error

    def forget_lease(self, address: IPv4Address, *, until: float) -> None:
        with self.connection() as opened:
            opened.execute("DELETE FROM lease WHERE address = ?", (str(address),))

    def observe(self, events: tuple[BootEvent, ...]) -> None:
        rows = [(event.kind.value, event.mac, str(event.address or ""), event.detail) for event in events]
        with self.connection() as opened:
            opened.executemany("INSERT INTO event VALUES (?, ?, ?, ?)", rows)

    def tftp_file(self, name: str, address: IPv4Address) -> str | None:
        path = self.root / name
        return str(path) if path.is_file() else None
