"""Install by image: the sequence. Every stage can be repeated; nothing is written before the permit was claimed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from agent.act import bootloader, gpt, mounts, target
from agent.act.boot_entry import put_first
from agent.act.disk import Node, OpenDisk, granted, partition, partition_nodes
from agent.act.image import Download, unpack
from agent.client import AgentClient
from agent.errors import DiskRefusedError, InstallError, RefusedError, TransportError, UnauthorisedError
from agent.patience import Patience
from agent.probe import board
from agent.probe.tree import Tree
from agent.progress import Reporter
from agent.run import CommandError, run
from agent.trust import AgentKey
from agent.wire import CertificateRequest, Firmware, InstallOrder, Order, PartitionSpec, PermitClaim, SiteBundle

T = TypeVar("T")
MOUNT_POINT = Path("/run/rackseed/target")

CLAIM, PARTITION, FILESYSTEM, IMAGE, CONFIGURE, BOOT_LOADER, VERIFY, BOOT_ORDER = (
    "claim",
    "partition",
    "filesystem",
    "image",
    "configure",
    "boot-loader",
    "verify",
    "boot-order",
)
FRACTIONS = {
    CLAIM: 0.01,
    PARTITION: 0.02,
    FILESYSTEM: 0.04,
    IMAGE: 0.08,
    CONFIGURE: 0.70,
    BOOT_LOADER: 0.74,
    VERIFY: 0.94,
    BOOT_ORDER: 0.97,
}
"""Where each stage begins in the whole order."""


@dataclass(slots=True, kw_only=True)
class Install:
    """One install order on this machine."""

    order: Order
    body: InstallOrder
    site: SiteBundle
    order_key: str
    client: AgentClient
    reporter: Reporter
    patience: Patience
    tree: Tree = field(default_factory=Tree)
    mount_point: Path = MOUNT_POINT

    def run(self) -> str:
        """The message of success. Raises `DiskRefusedError` (nothing was written), `InstallError`, `CommandError`,
        `OrderWithdrawnError`, `UnauthorisedError`."""
        roles = self._roles()
        mounts.release(self.mount_point, self.tree)
        disk, nodes, layout = self.prepare_disk()
        for role, spec in roles.items():
            if spec.filesystem:
                self._stage(FILESYSTEM, f"{role} {spec.filesystem}")
                mounts.make_filesystem(nodes[role], spec)
        loader = self._fill(disk, nodes, roles)
        self._stage(VERIFY)
        self._verify(disk, layout, nodes, roles)
        return self._boot_order(disk, roles["esp"], loader)

    def _roles(self) -> dict[str, PartitionSpec]:
        """Checked before anything is written."""
        roles = {spec.role: spec for spec in self.body.partitions}
        if len(roles) != len(self.body.partitions) or not {"esp", "root"} <= set(roles):
            raise InstallError("the order needs one `esp`, one `root` and each other role at most once")
        return roles

    def prepare_disk(self) -> tuple[OpenDisk, dict[str, Node], gpt.Layout]:
        """Guard, claim, table. The exclusive descriptor is closed at the end: while it is held, nobody (not even mkfs)
        may open a partition exclusively. What follows works on partitions verified by device number."""
        grant, permit = self.body.grant, self.body.permit
        with granted(self.tree, grant, permit, self.order.machine) as disk:
            layout = gpt.lay_out(permit, self.body.partitions, size=disk.device.size, sector=disk.device.sector)
            self._stage(CLAIM, disk.verdict.reason)
            self._claim(permit)
            self._stage(PARTITION, f"{disk.path} resumed" if disk.verdict.resumed else disk.path)
            partition(disk, layout)
        with contextlib.suppress(CommandError):  # absent in a minimal image; the nodes are waited for anyway
            run(["udevadm", "settle", "--timeout=20"], timeout=30)
        return disk, partition_nodes(self.tree, disk, layout), layout

    def _claim(self, permit: str) -> None:
        claim = PermitClaim(order=self.order.id, nonce=self.order.nonce)
        try:
            self._patiently(lambda: self.client.claim(permit, claim))
        except UnauthorisedError:
            raise
        except RefusedError as error:
            raise DiskRefusedError(f"the permit was not granted, nothing was written: {error.detail}") from error

    def _fill(self, disk: OpenDisk, nodes: dict[str, Node], roles: dict[str, PartitionSpec]) -> str:
        """Everything that happens while the new system is mounted; returns the EFI path of its loader."""
        with mounts.mounted(nodes["root"], roles["root"].filesystem, self.mount_point) as root:
            self._stage(IMAGE, self.body.image.name)
            unpack(Download(image=self.body.image, patience=self.patience, progress=self._unpacked), root)
            efi = root / bootloader.EFI_DIRECTORY
            with mounts.mounted(nodes["esp"], roles["esp"].filesystem, efi):
                self._stage(CONFIGURE, self.body.hostname)
                target.write_files(root, self.body.files)
                target.install_agent(root, self._identity())
                self._stage(BOOT_LOADER)
                with mounts.chroot_mounts(root):
                    loader = bootloader.install(root, disk, os.uname().machine, nodes["root"])
            os.sync()
        return loader

    def _unpacked(self, done: int) -> None:
        begin, end = FRACTIONS[IMAGE], FRACTIONS[CONFIGURE]
        self.reporter.running(IMAGE, begin + (end - begin) * done / self.body.image.size)

    def _identity(self) -> target.Identity:
        """A key of its own for the installed system; it goes from RAM to its file, and nowhere else."""
        key = AgentKey.generate()
        request = CertificateRequest(csr=key.csr(self.body.hostname), order=self.order.id)
        certificate = self._patiently(lambda: self.client.certify(request))
        return target.Identity(
            site=self.site,
            key=key.pem(),
            certificate=certificate,
            order_key=self.order_key,
            permit=self.body.permit,
        )

    def _verify(
        self, disk: OpenDisk, layout: gpt.Layout, nodes: dict[str, Node], roles: dict[str, PartitionSpec]
    ) -> None:
        """File systems are clean, and the table is still there (GRUB wrote into the MBR and the BIOS boot partition)."""
        for role in ("root", "esp"):
            mounts.check_filesystem(nodes[role], roles[role].filesystem)
        with granted(self.tree, self.body.grant, self.body.permit, self.order.machine) as again:
            if not again.verdict.resumed or again.base != disk.base:
                raise InstallError(f"{disk.path} lost its marker during the install")
            gpt.check(again.device, layout)

    def _boot_order(self, disk: OpenDisk, esp: PartitionSpec, loader: str) -> str:
        """The very last write. A BIOS machine stays network-first: the appliance's boot script sends it to its disk."""
        if board.firmware(self.tree) is not Firmware.UEFI:
            self._stage(BOOT_ORDER, "BIOS: nothing to set")
            return f"{self.body.hostname} installed on {disk.path}"
        changed = put_first(disk.path, esp.number, esp.guid, loader)
        self._stage(BOOT_ORDER, changed)
        return f"{self.body.hostname} installed on {disk.path}; {changed}"

    def _stage(self, stage: str, message: str = "") -> None:
        self.reporter.running(stage, FRACTIONS[stage], message)

    def _patiently(self, request: Callable[[], T]) -> T:
        while True:
            try:
                return request()
            except RefusedError:
                raise
            except TransportError as error:
                self.reporter.console.line(f"waiting for the appliance: {error}")
                self.patience.back_off()
