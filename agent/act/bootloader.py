"""GRUB for both firmwares, installed by the installed system's own tools in a chroot."""

from __future__ import annotations

from pathlib import Path

from agent.act.disk import Node, OpenDisk
from agent.errors import InstallError
from agent.run import run

BOOTLOADER_ID = "debian"
EFI_DIRECTORY = "boot/efi"
EFI_TARGETS = {"x86_64": ("x86_64-efi", "x64"), "aarch64": ("arm64-efi", "aa64")}
BIOS_TARGETS = {"x86_64": "i386-pc"}


def install(target: Path, disk: OpenDisk, architecture: str, root: Node) -> str:
    """BIOS boot code and core image on the disk, EFI loader as ``\\EFI\\debian`` and on the removable path, configuration.

    No NVRAM is touched here: the boot order is the last write of an install. Returns the loader's path for the boot
    entry, in EFI spelling.
    """
    if architecture not in EFI_TARGETS:
        raise InstallError(f"no boot loader is known for {architecture}")
    efi, suffix = EFI_TARGETS[architecture]
    _show_uuid(target, root)
    bios = BIOS_TARGETS.get(architecture)
    if bios:
        _chroot(target, "grub-install", f"--target={bios}", "--recheck", disk.path)
    common = (f"--target={efi}", f"--efi-directory=/{EFI_DIRECTORY}", "--no-nvram", "--recheck")
    _chroot(target, "grub-install", *common, f"--bootloader-id={BOOTLOADER_ID}")
    _chroot(target, "grub-install", *common, "--removable")
    _chroot(target, "grub-mkconfig", "-o", "/boot/grub/grub.cfg")
    return _verified(target, suffix)


def _chroot(target: Path, *argv: str) -> None:
    run(["chroot", str(target), *argv], timeout=900)


def _show_uuid(target: Path, root: Node) -> None:
    """grub-mkconfig names the root by UUID only if udev's link is there: else the kernel's name of today stays in it."""
    uuid = run(["blkid", "-p", "-s", "UUID", "-o", "value", root.verified()]).stdout.strip()
    link = target / "dev/disk/by-uuid" / uuid
    if uuid and not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(f"../../{root.path.name}")


def _verified(target: Path, suffix: str) -> str:
    """What must be there for the machine to come back. Raises `InstallError`."""
    configuration = target / "boot/grub/grub.cfg"
    text = configuration.read_text(encoding="utf-8", errors="replace") if configuration.exists() else ""
    if "linux" not in text or "root=UUID=" not in text:
        raise InstallError(
            "grub.cfg boots no kernel by UUID: the root image lacks a kernel or /etc/default/grub is odd"
        )
    vendor = target / EFI_DIRECTORY / "EFI" / BOOTLOADER_ID
    loaders = [name for name in (f"shim{suffix}.efi", f"grub{suffix}.efi") if (vendor / name).exists()]
    if not loaders:
        raise InstallError(f"grub-install left no loader in \\EFI\\{BOOTLOADER_ID}")
    if not (target / EFI_DIRECTORY / "EFI" / "BOOT" / f"BOOT{suffix.upper()}.EFI").exists():
        raise InstallError("grub-install left no loader on the removable path")
    return f"\\EFI\\{BOOTLOADER_ID}\\{loaders[0]}"
