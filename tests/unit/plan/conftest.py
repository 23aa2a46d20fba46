"""A small workshop: machines as the agent reports them, and sites as text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from agent.wire import (
    Board,
    Content,
    Cpu,
    Disk,
    Environment,
    Firmware,
    Inventory,
    Memory,
    Nic,
    Partition,
    Signature,
)
from appliance.model.machine import Machine, Phase, Policy, Trouble
from appliance.model.observed import Observed, ObservedMachine
from appliance.model.plan import Plan
from appliance.model.site import Site
from appliance.plan.make import plan
from appliance.site.load import load_text
from hwprofiles.loader import load_profiles
from hwprofiles.profile import Profile

PROFILES = load_profiles()
IMAGES = (("debian-13", "5f" * 32), ("debian-13-ceph", "ce" * 32))
BLANK = Content(blank=True, edges="00" * 32)
FOREIGN = Content(
    table="gpt",
    table_id="0f0e0d0c-0000-4000-8000-000000000001",
    partitions=(
        Partition(number=1, start=1 << 20, size=1 << 30, signatures=(Signature(kind="ext4", label="data"),)),
        Partition(number=2, start=2 << 30, size=3 << 30, signatures=(Signature(kind="LVM2_member", owner="vg0"),)),
    ),
    edges="ab" * 32,
)


@dataclass(slots=True, kw_only=True)
class Workshop:
    """Makes the inputs of the planner."""

    profiles: tuple[Profile, ...] = PROFILES
    blank: Content = BLANK
    foreign: Content = FOREIGN
    images: tuple[tuple[str, str], ...] = IMAGES
    extra: dict[str, Any] = field(default_factory=dict)

    def site(self, *lines: str, provisioning: str = "cidr: 10.20.0.0/24") -> Site:
        """A site with the given top-level lines; three expected machines unless the lines name some."""
        text = [*("site: lab", f"networks: {{provisioning: {{{provisioning}}}}}"), *lines]
        if not any(line.startswith("machines") for line in lines):
            text.append("machines: {n1: {serial: SN1}, n2: {serial: SN2}, n3: {serial: SN3}}")
        return load_text("\n".join(text), "site.yaml", self.profiles, tuple(dict(IMAGES)))

    def disk(self, serial: str, size: float = 480, content: Content = BLANK, **facts: Any) -> Disk:
        """``size`` in GB."""
        known = {"path": f"/dev/{serial.lower()}", "transport": "sata", "model": "MTFDDAK480TDS"}
        return Disk(size=int(size * 10**9), serial=serial, content=content, **{**known, **facts})

    def machine(
        self,
        number: int,
        *disks: Disk,
        phase: Phase = Phase.READY,
        policy: Policy = Policy.USE,
        trouble: Trouble | None = None,
        expected: str | None = None,
        seen: bool = True,
        installed_by: str = "",
        permits: tuple[str, ...] = (),
        **facts: Any,
    ) -> ObservedMachine:
        """Machine ``m-<number>``, dressed as a Supermicro EPYC board; without disks it has one of 480 GB, blank."""
        mac = f"3c:ec:ef:00:00:{number:02x}"
        known: dict[str, Any] = {
            "environment": Environment.IMAGE,
            "architecture": "x86_64",
            "firmware": Firmware.UEFI,
            "memory": Memory(total=64 << 30),
            "board": Board(vendor="Supermicro", name="H12SSW-NTR", system_serial=f"SN{number}"),
            "cpu": Cpu(model="AMD EPYC 7302 16-Core Processor"),
            "disks": disks or (self.disk(f"D{number}"),),
            "nics": (
                Nic(name="eth1", mac=mac, bus_path="0000:41:00.0", driver="ixgbe"),
                Nic(name="eth0", mac=mac.replace("3c:ec", "b4:96"), bus_path="0000:03:00.0", driver="igb"),
            ),
            "boot_mac": mac,
        }
        return ObservedMachine(
            machine=Machine(id=f"m-{number}", policy=policy, phase=phase, phase_since=1.0, trouble=trouble),
            inventory=Inventory(**{**known, **facts}) if seen else None,
            expected=f"n{number}" if expected is None else expected,
            installed_by=installed_by,
            permits=permits,
        )

    def observed(self, *machines: ObservedMachine) -> Observed:
        return Observed(machines=machines, images=self.images)

    def plan(self, site: Site, *machines: ObservedMachine, parent: Plan | None = None) -> Plan:
        return plan(site, self.profiles, self.observed(*machines), parent)


@pytest.fixture
def workshop() -> Workshop:
    return Workshop()
