"""Board, firmware and start: DMI on servers, the device tree on boards like the Raspberry Pi 5."""

from __future__ import annotations

from agent.probe import smbios
from agent.probe.tree import Tree
from agent.wire import Board, Firmware

DMI = "sys/class/dmi/id"
DEVICE_TREE = "sys/firmware/devicetree/base"
DEVICE_TREE_OLD = "proc/device-tree"
EFI = "sys/firmware/efi"
SECURE_BOOT = f"{EFI}/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

DMI_FIELDS = {
    "vendor": "board_vendor",
    "name": "board_name",
    "version": "board_version",
    "serial": "board_serial",
    "system_vendor": "sys_vendor",
    "system_product": "product_name",
    "system_version": "product_version",
    "system_serial": "product_serial",
    "system_sku": "product_sku",
    "system_family": "product_family",
    "chassis_vendor": "chassis_vendor",
    "chassis_type": "chassis_type",
    "chassis_serial": "chassis_serial",
    "chassis_asset": "chassis_asset_tag",
    "bios_vendor": "bios_vendor",
    "bios_version": "bios_version",
    "bios_date": "bios_date",
}


def board(tree: Tree) -> Board:
    """Both sources are read: a Raspberry Pi under EDK2 has DMI *and* a device tree."""
    dmi = {field: tree.text(f"{DMI}/{name}") for field, name in DMI_FIELDS.items()}
    base = DEVICE_TREE if tree.exists(DEVICE_TREE) else DEVICE_TREE_OLD
    compatible = tree.raw(f"{base}/compatible").split(b"\0")
    revision = tree.raw(f"{base}/system/linux,revision")
    return Board(
        **dmi,
        system_uuid=_uuid(tree),
        model=tree.text(f"{base}/model"),
        compatible=tuple(name.decode("ascii", "replace") for name in compatible if name),
        pi_serial=tree.text(f"{base}/serial-number").lower(),
        pi_revision=f"{int.from_bytes(revision, 'big'):x}" if len(revision) == 4 else "",
    )


def _uuid(tree: Tree) -> str:
    """The kernel hides an invalid UUID, and shows it to root only: then the raw table is asked."""
    shown = tree.text(f"{DMI}/product_uuid").lower()
    version = smbios.version_of(tree.raw(smbios.ENTRY_POINT))
    return shown or smbios.system_uuid(tree.raw(smbios.TABLE), version)


def firmware(tree: Tree) -> Firmware:
    """How this kernel was started."""
    if tree.exists(EFI):
        return Firmware.UEFI
    if not tree.exists(DMI) and (tree.exists(DEVICE_TREE) or tree.exists(DEVICE_TREE_OLD)):
        return Firmware.DEVICETREE
    return Firmware.BIOS


def secure_boot(tree: Tree) -> bool | None:
    """None where the firmware has no such thing. An efivarfs file starts with four bytes of attributes."""
    value = tree.raw(SECURE_BOOT)
    return value[4] == 1 if len(value) >= 5 else None


def boot_mac(tree: Tree) -> str:
    """The port that the machine was booted from: ``rackseed.boot_mac=`` of the kernel's command line."""
    for word in tree.text("proc/cmdline").split():
        name, _, value = word.partition("=")
        if name == "rackseed.boot_mac":
            return value.lower().replace("-", ":")
    return ""
