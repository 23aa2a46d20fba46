"""How one appliance runs on its host: paths, addresses and ports. Not part of the site file, which describes the rack."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """``state`` holds the database, the keys and the sockets; ``cache`` the built artefacts (shared, content-addressed).

    ``address`` is where machines reach us. ``interfaces`` are the only ones on which DHCP is answered.
    ``people_local``: the provisioning address serves enrolment only; pages and people's API are on loopback and the socket.
    ``kernel_arguments`` are added to the agent image's kernel line (a lab's ``no_timer_check``).
    """

    state: Path
    cache: Path
    address: IPv4Address
    interfaces: tuple[str, ...] = ()
    http_port: int = 8080
    https_port: int = 8443
    agent_port: int = 8444
    database: str = ""
    people_local: bool = True
    kernel_arguments: tuple[str, ...] = ()

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL; SQLite in the state folder unless one is set."""
        return self.database or f"sqlite:///{self.state / 'rackseed.db'}"

    @property
    def socket(self) -> Path:
        """Unix socket of the people's API, for the CLI (file mode 0600)."""
        return self.state / "run" / "api.sock"

    @property
    def public_url(self) -> str:
        """Plain HTTP: public artefacts and boot scripts."""
        return f"http://{self.address}:{self.http_port}"

    @property
    def enrol_url(self) -> str:
        """HTTPS: enrolment and people."""
        return f"https://{self.address}:{self.https_port}"

    @property
    def agent_url(self) -> str:
        """Mutual TLS: approved machines."""
        return f"https://{self.address}:{self.agent_port}"
