"""The boot server as its own appliance has to know it: addresses, memory, and which Ceph is there. No disk is looked at."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, field

from agent import VERSION
from agent.probe import board, processors
from agent.probe.tree import Tree
from agent.run import CommandError, run
from agent.wire import Environment, Inventory, ProbeFailure

VERSION_OF = re.compile(r"ceph version (\d+\.\d+\.\d+)")


@dataclass(slots=True, kw_only=True)
class ArbiterProbe:
    """Takes inventories of the boot server."""

    tree: Tree = field(default_factory=Tree)

    def take(self) -> Inventory:
        """``ceph`` is empty when there is no ceph-mon; then ``failures`` say why."""
        system = os.uname()
        version, failures = ceph_version()
        return Inventory(
            environment=Environment.ARBITER,
            architecture=system.machine,
            firmware=board.firmware(self.tree),
            memory=processors.memory(self.tree),
            hostname=system.nodename,
            kernel=system.release,
            agent_version=VERSION,
            addresses=addresses(),
            ceph=version,
            failures=failures,
        )


def ceph_version() -> tuple[str, tuple[ProbeFailure, ...]]:
    """Of ceph-mon, as ``18.2.7``."""
    try:
        said = run(["ceph-mon", "--version"], timeout=60).stdout
    except CommandError as error:
        return "", (ProbeFailure(probe="ceph-mon", message=str(error)),)
    found = VERSION_OF.search(said)
    if found is None:
        return "", (ProbeFailure(probe="ceph-mon", message=f"it does not say its version: {said[:100]!r}"),)
    return found[1], ()


def addresses() -> tuple[str, ...]:
    """Of all ports, without those that nobody else can reach; sorted."""
    import psutil  # noqa: PLC0415 - as in `agent.act.cephconfigure`

    found = set()
    for items in psutil.net_if_addrs().values():
        for item in items:
            try:
                address = ipaddress.ip_address(item.address.partition("%")[0])
            except ValueError:
                continue  # a MAC
            if not (address.is_loopback or address.is_link_local):
                found.add(address)
    return tuple(str(address) for address in sorted(found, key=lambda one: (one.version, int(one))))
