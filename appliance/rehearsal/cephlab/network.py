"""Two switches and the ports of hosts: bridges and veth pairs in the keeper's namespace.

A cut takes a host's port out of its bridge: the host keeps its carrier and hears nothing any more, as behind a switch
that forgot it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from agent.run import CommandError, run
from appliance.rehearsal.cephlab.description import APPLIANCE, LabDescription
from appliance.rehearsal.cephlab.space import Space
from appliance.rehearsal.errors import NamespaceError

BURST = "512k"
LATENCY = "50ms"


class Plane(StrEnum):
    """The names are those of the hosts' ports."""

    PUBLIC = "public"
    CLUSTER = "cluster"


@dataclass(slots=True, kw_only=True)
class Switches:
    """The bridges ``public`` and ``cluster`` of a lab."""

    space: Space
    description: LabDescription

    def make(self) -> None:
        """Both bridges, without spanning tree or snooping: a port forwards at once."""
        lines = []
        for plane in Plane:
            lines.append(f"link add {plane} mtu {self.description.mtu} type bridge stp_state 0 mcast_snooping 0")
            lines.append(f"link set {plane} up")
        self._ip(lines)

    def plug(self, host: str, pid: int) -> None:
        """Give a host (by the process id of its first process) its ports, with addresses and shaping."""
        description = self.description
        for plane in self._planes(host):
            peer = self._peer(host, plane)
            make = (
                f"link add {peer} mtu {description.mtu} type veth peer name {plane} mtu {description.mtu} netns {pid}"
            )
            self._ip([make, f"link set {peer} master {plane} up"])
            network = description.public if plane is Plane.PUBLIC else description.cluster
            address = f"{description.address(network, host)}/{network.partition('/')[2]}"
            self._ip([f"addr add {address} dev {plane}", f"link set {plane} up"], pid)
            if description.rate:
                self._shape(pid, plane)
                self._shape(self.space.keeper, peer)

    def cut(self, host: str, planes: Iterable[Plane] = tuple(Plane)) -> None:
        """Silence: frames of the host go nowhere, its links stay up."""
        self._ip([f"link set {self._peer(host, plane)} nomaster" for plane in planes if plane in self._planes(host)])

    def heal(self, host: str, planes: Iterable[Plane] = tuple(Plane)) -> None:
        """The host's ports are in their bridges again."""
        lines = [
            f"link set {self._peer(host, plane)} master {plane}" for plane in planes if plane in self._planes(host)
        ]
        self._ip(lines)

    def readdress(self, pid: int, plane: Plane, addresses: Iterable[str]) -> None:
        """Replace the addresses (with prefix length) of a host's port."""
        lines = [f"addr flush dev {plane} scope global", *(f"addr add {item} dev {plane}" for item in addresses)]
        self._ip(lines, pid)

    def _planes(self, host: str) -> tuple[Plane, ...]:
        return (Plane.PUBLIC,) if host == APPLIANCE else tuple(Plane)

    def _peer(self, host: str, plane: Plane) -> str:
        """The switch's end; at most 15 characters, whatever the host is called."""
        names = [item.name for item in self.description.hosts]
        number = 0 if host == APPLIANCE else names.index(host) + 1
        return f"{plane[:3]}{number}"

    def _shape(self, pid: int, device: str) -> None:
        words = ["rate", self.description.rate, "burst", BURST, "latency", LATENCY]
        argv = ["tc", "qdisc", "replace", "dev", device, "root", "tbf", *words]
        self._run(argv, pid, None)

    def _ip(self, lines: Iterable[str], pid: int = 0) -> None:
        text = "\n".join(lines)
        if text:
            self._run(["ip", "-batch", "-"], pid or self.space.keeper, f"{text}\n".encode())

    def _run(self, argv: list[str], pid: int, data: bytes | None) -> None:
        try:
            run(self.space.inside(pid, ["--net"], argv), input=data)
        except CommandError as error:
            raise NamespaceError(f"{error}\n(ip and tc are in Debian's package iproute2)") from error
