"""What each environment can do for an order."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agent import arbiter
from agent.act import boot_entry
from agent.act.cephdaemons import Daemons, Systemd
from agent.act.install import Install
from agent.client import AgentClient
from agent.errors import AgentError, OrderRefusedError
from agent.patience import Patience
from agent.probe import board
from agent.probe.disks import disks
from agent.probe.machine import look
from agent.probe.tree import Tree
from agent.progress import Reporter
from agent.run import run
from agent.wire import CephOrder, Disk, Firmware, InstallOrder, MonAnswer, Order, RebootOrder, SiteBundle

RESTART = 0x01234567  # LINUX_REBOOT_CMD_RESTART


@dataclass(slots=True, kw_only=True)
class ImageActions:
    """In RAM: may install."""

    site: SiteBundle
    patience: Patience
    tree: Tree = field(default_factory=Tree)

    def install(self, order: Order, body: InstallOrder, client: AgentClient, reporter: Reporter, order_key: str) -> str:
        return Install(
            order=order,
            body=body,
            site=self.site,
            order_key=order_key,
            client=client,
            reporter=reporter,
            patience=self.patience,
            tree=self.tree,
        ).run()

    def ceph(
        self, order: Order, body: CephOrder, client: AgentClient, reporter: Reporter
    ) -> tuple[str, tuple[MonAnswer, ...]]:
        raise OrderRefusedError("this machine runs the agent image: Ceph needs an installed system")

    def prepare_reboot(self, body: RebootOrder) -> str:
        return prepare_reboot(self.tree, body)

    def reboot(self) -> None:
        """There is no init that could be asked: everything is synced, then the kernel restarts the machine."""
        os.sync()
        time.sleep(1)  # lets the last console line leave a slow serial port
        if ctypes.CDLL(None, use_errno=True).reboot(RESTART) != 0:
            raise AgentError(f"the kernel refuses to restart: {os.strerror(ctypes.get_errno())}")


@dataclass(slots=True, kw_only=True)
class InstalledActions:
    """A service of the installed system: observes, and carries out orders that leave the system as it is."""

    tree: Tree = field(default_factory=Tree)

    def install(self, order: Order, body: InstallOrder, client: AgentClient, reporter: Reporter, order_key: str) -> str:
        raise OrderRefusedError("an installed system does not install itself: boot the machine from the network")

    def ceph(
        self, order: Order, body: CephOrder, client: AgentClient, reporter: Reporter
    ) -> tuple[str, tuple[MonAnswer, ...]]:
        return _ceph(order, body, client, reporter, seen=self._disks, daemons=Systemd())

    def _disks(self) -> Sequence[Disk]:
        return disks(self.tree, look, lambda _node, _transport: None)[0]

    def prepare_reboot(self, body: RebootOrder) -> str:
        return prepare_reboot(self.tree, body)

    def reboot(self) -> None:
        run(["systemctl", "reboot"])


@dataclass(slots=True, kw_only=True)
class ArbiterActions:
    """On the boot server: a monitor of Ceph, and nothing else. It is not even told which disks there are."""

    daemons: Daemons = field(default_factory=Systemd)

    def install(self, order: Order, body: InstallOrder, client: AgentClient, reporter: Reporter, order_key: str) -> str:
        raise OrderRefusedError("the boot server is not installed by its own appliance")

    def ceph(
        self, order: Order, body: CephOrder, client: AgentClient, reporter: Reporter
    ) -> tuple[str, tuple[MonAnswer, ...]]:
        why = arbiter.refusal(body)
        if why:
            raise OrderRefusedError(f"not on the boot server: {why}")
        return _ceph(order, body, client, reporter, seen=tuple, daemons=self.daemons)

    def prepare_reboot(self, body: RebootOrder) -> str:
        raise OrderRefusedError("the boot server is not restarted by its own appliance")

    def reboot(self) -> None:
        raise AgentError("the boot server is not restarted by its own appliance")


def _ceph(
    order: Order,
    body: CephOrder,
    client: AgentClient,
    reporter: Reporter,
    *,
    seen: Callable[[], Sequence[Disk]],
    daemons: Daemons,
) -> tuple[str, tuple[MonAnswer, ...]]:
    from agent.act.ceph import perform  # noqa: PLC0415 - most machines are never asked

    return perform(
        body,
        order.machine,
        order.plan,
        seen,
        lambda name: client.secret(name, order.id),
        daemons,
        reporter.running,
    )


def prepare_reboot(tree: Tree, body: RebootOrder) -> str:
    """BootNext for one network boot on UEFI; a BIOS machine boots from the network first anyway."""
    if not body.netboot or board.firmware(tree) is not Firmware.UEFI:
        return "rebooting"
    return f"rebooting to the network; {boot_entry.network_next(board.boot_mac(tree))}"
