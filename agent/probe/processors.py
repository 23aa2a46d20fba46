"""Processors and memory."""

from __future__ import annotations

import re

from agent.probe import smbios
from agent.probe.tree import Tree
from agent.wire import Cpu, Memory

ARM_PARTS = {
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd40"): "Neoverse-V1",
    ("0x41", "0xd49"): "Neoverse-N2",
    ("0x41", "0xd4f"): "Neoverse-V2",
    ("0xc0", "0xac3"): "Ampere-1",
    ("0xc0", "0xac4"): "Ampere-1a",
}
"""MIDR implementer and part of processors that have no name in /proc/cpuinfo (Arm's public tables)."""

ARM_VENDORS = {"0x41": "ARM", "0xc0": "Ampere"}


def cpu(tree: Tree) -> Cpu:
    """Totals over all sockets that are online. Without topology files (some virtual machines) each thread is a core."""
    facts = _first_processor(tree)
    threads = [name for name in tree.names("sys/devices/system/cpu") if re.fullmatch(r"cpu\d+", name)]
    sockets: set[str] = set()
    cores: set[tuple[str, str, str]] = set()
    online = 0
    for name in threads:
        base = f"sys/devices/system/cpu/{name}"
        if tree.text(f"{base}/online") == "0":
            continue
        online += 1
        package = tree.text(f"{base}/topology/physical_package_id")
        siblings = tree.text(f"{base}/topology/thread_siblings") or name
        sockets.add(package)
        cores.add((package, tree.text(f"{base}/topology/core_id"), siblings))
    implementer, part = facts.get("CPU implementer", "").lower(), facts.get("CPU part", "").lower()
    return Cpu(
        model=" ".join((facts.get("model name") or ARM_PARTS.get((implementer, part), "")).split()),
        vendor=facts.get("vendor_id") or ARM_VENDORS.get(implementer, implementer),
        sockets=len(sockets),
        cores=len(cores),
        threads=online,
    )


def _first_processor(tree: Tree) -> dict[str, str]:
    facts: dict[str, str] = {}
    for line in tree.text("proc/cpuinfo").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            facts.setdefault(name.strip(), value.strip())
    return facts


def memory(tree: Tree) -> Memory:
    """Raises ValueError when the kernel does not say how much memory there is."""
    found = re.search(r"^MemTotal:\s+(\d+) kB", tree.text("proc/meminfo"), re.MULTILINE)
    if found is None:
        raise ValueError("/proc/meminfo has no MemTotal")
    return Memory(total=int(found[1]) * 1024, installed=smbios.installed_memory(tree.raw(smbios.TABLE)))
