"""The whole inventory: every probe on its own, so that one that fails costs one field."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from agent import VERSION
from agent.probe import board, management, processors, smart
from agent.probe.content import content
from agent.probe.device import opened
from agent.probe.disks import disks
from agent.probe.ethtool import Ethtool
from agent.probe.lldp import Listener
from agent.probe.nics import Driver, nics, physical
from agent.probe.tree import Tree
from agent.probe.uarts import uarts
from agent.wire import Board, Content, Cpu, Disk, Environment, Inventory, Memory, Nic, ProbeFailure, Smart

T = TypeVar("T")


def look(node: Path, in_use: bool) -> Content:
    """The content of a disk node, read once through one descriptor."""
    with opened(node) as device:
        return content(device, in_use=in_use)


@dataclass(slots=True, kw_only=True)
class Probe:
    """Takes inventories of this machine. ``listener`` adds the LLDP neighbours heard so far."""

    environment: Environment
    tree: Tree = field(default_factory=Tree)
    driver: Driver = field(default_factory=Ethtool)
    look: Callable[[Path, bool], Content] = look
    health: Callable[[str, str], Smart | None] = smart.health
    listener: Listener | None = None
    _heard_at_end: bool = False

    def listen(self) -> None:
        """Bring all ports up (a link that is down hears nothing) and listen in the background."""
        ports = physical(self.tree)
        ethtool = Ethtool()
        for name in ports:
            with contextlib.suppress(OSError):
                ethtool.up(name)
        self.listener = Listener(ports)
        self.listener.start()

    def fresh(self) -> bool:
        """True once: when listening is over and somebody was heard."""
        if self._heard_at_end or self.listener is None or not self.listener.settled:
            return False
        self._heard_at_end = True
        return bool(self.listener.neighbours())

    def facts(self) -> list[tuple[str, str]]:
        """What the console's header says of this machine; cheap."""
        who = board.board(self.tree)
        ports = nics(self.tree, self.driver)
        booted = board.boot_mac(self.tree)
        maker = " ".join(word for word in (who.system_vendor, who.system_product) if word)
        return [
            ("machine", maker or who.model),
            ("board", " ".join(word for word in (who.vendor, who.name) if word)),
            ("serial", who.system_serial or who.serial or who.pi_serial),
            ("mac", booted or ", ".join(nic.mac for nic in ports if nic.carrier)),
        ]

    def take(self) -> Inventory:
        """Never raises for a machine that is odd: what could not be read is in ``failures``."""
        failures: list[ProbeFailure] = []

        def guarded(name: str, probe: Callable[[], T], default: T) -> T:
            try:
                return probe()
            except Exception as error:
                failures.append(ProbeFailure(probe=name, message=f"{type(error).__name__}: {error}"))
                return default

        tree, system = self.tree, os.uname()
        nothing: tuple[tuple[Disk, ...], tuple[ProbeFailure, ...]] = ((), ())
        found, unread = guarded("disks", lambda: disks(tree, self.look, self.health), nothing)
        inventory = Inventory(
            environment=self.environment,
            architecture=system.machine,
            firmware=board.firmware(tree),
            secure_boot=guarded("secure boot", lambda: board.secure_boot(tree), None),
            board=guarded("board", lambda: board.board(tree), Board()),
            cpu=guarded("cpu", lambda: processors.cpu(tree), Cpu()),
            memory=guarded("memory", lambda: processors.memory(tree), Memory(total=0)),
            disks=found,
            nics=self._heard(guarded("nics", lambda: nics(tree, self.driver), ())),
            bmc=guarded("bmc", lambda: management.bmc(tree), None),
            tpm=guarded("tpm", lambda: management.tpm(tree), None),
            uarts=guarded("uarts", lambda: uarts(tree), ()),
            boot_mac=board.boot_mac(tree),
            hostname=system.nodename,
            kernel=system.release,
            agent_version=VERSION,
        )
        return replace(inventory, failures=(*failures, *unread))

    def _heard(self, ports: tuple[Nic, ...]) -> tuple[Nic, ...]:
        heard = self.listener.neighbours() if self.listener else {}
        return tuple(replace(nic, neighbours=heard.get(nic.name, ())) for nic in ports)
