"""Every rule finds what it is for, and nothing in a good plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agent.wire import Memory, ProbeFailure, Smart
from appliance.model.machine import Phase
from appliance.model.plan import Allocation, DiskFate, LintFinding, NicConfig, Plan, Step
from appliance.plan.lint import ERROR, RULES, WARNING, lint

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFEx2Hn9y0YqHjJjJ5xkVb0h0tq6Wc3m8k4Jf1q2s3T4 admin"
GOOD = (f"ssh_keys: [{KEY}]", "machines: {n1: {serial: SN1}, n2: {serial: SN2}}")


class Bench:
    """A good site, plan and inventory, to be spoiled one thing at a time."""

    def __init__(self, workshop: Any) -> None:
        self.workshop = workshop
        self.site = workshop.site(*GOOD)
        self.machines = [workshop.machine(1), workshop.machine(2)]
        self.plan: Plan = workshop.plan(self.site, *self.machines)

    def replan(self, *lines: str) -> None:
        self.site = self.workshop.site(*(lines or GOOD))
        self.plan = self.workshop.plan(self.site, *self.machines)

    def found(self) -> tuple[LintFinding, ...]:
        return lint(self.site, self.plan, self.workshop.observed(*self.machines), self.workshop.profiles)

    def rules(self) -> set[str]:
        return {finding.rule for finding in self.found()}

    def step(self, index: int, **install: Any) -> None:
        """Change the arguments of one install step."""
        steps = list(self.plan.steps)
        assert steps[index].install is not None
        steps[index] = replace(steps[index], install=replace(steps[index].install, **install))
        self.plan = replace(self.plan, steps=tuple(steps))

    def host(self, address: str) -> None:
        first: Step = self.plan.steps[0]
        assert first.install is not None
        nic: NicConfig = replace(first.install.host.nics[0], address=address)
        self.step(0, host=replace(first.install.host, nics=(nic,)))


@pytest.fixture
def bench(workshop: Any) -> Bench:
    return Bench(workshop)


def test_a_good_plan_has_no_findings(bench: Bench) -> None:
    assert bench.found() == ()
    assert len(RULES) >= 40


def test_protected_disk(bench: Bench) -> None:
    bench.site = replace(bench.site, protect=("d1",))
    assert [(f.rule, f.severity, f.about) for f in bench.found()] == [("protected-disk", "error", "D1")]


def test_foreign_data(bench: Bench) -> None:
    machine = bench.machines[0]
    disk = replace(machine.inventory.disks[0], content=bench.workshop.foreign)
    bench.machines[0] = replace(machine, inventory=replace(machine.inventory, disks=(disk,)))
    assert bench.rules() == {"foreign-data"}
    grant = bench.workshop.site(*GOOD, "erase: [{serial: D1, reason: old}]")
    bench.site = grant
    assert bench.rules() == set()
    bench.machines[0] = replace(machine, inventory=replace(machine.inventory, disks=()))
    assert "foreign-data" in bench.rules(), "a disk that is not there is not erased"


def test_one_disk_one_step(bench: Bench) -> None:
    bench.plan = replace(bench.plan, steps=(*bench.plan.steps, replace(bench.plan.steps[0], key="install/again")))
    assert "one-disk-one-step" in bench.rules()


def test_disk_not_unique(bench: Bench) -> None:
    disk = bench.machines[0].inventory.disks[0]
    inventory(bench, disks=(disk, replace(disk, size=1)))
    assert "disk-not-unique" in bench.rules()
    inventory(bench, disks=(replace(disk, serial="", wwn=""),))
    bench.step(0, disk=replace(bench.plan.disks[0], serial="", wwn=""))
    assert "disk-not-unique" in bench.rules()


def test_serial_in_two_machines(bench: Bench) -> None:
    disk = bench.machines[0].inventory.disks[0]
    second = bench.machines[1]
    bench.machines[1] = replace(second, inventory=replace(second.inventory, disks=(*second.inventory.disks, disk)))
    assert bench.rules() == {"serial-in-two-machines"}


def test_unnamed_erasure(bench: Bench) -> None:
    bench.plan = replace(bench.plan, disks=tuple(replace(c, fate=DiskFate.KEEP) for c in bench.plan.disks))
    assert "unnamed-erasure" in bench.rules()


def allocated(bench: Bench, **facts: str) -> None:
    first, second = bench.plan.allocations
    changed: Allocation = replace(second, **facts)  # type: ignore[arg-type]
    bench.plan = replace(bench.plan, allocations=(first, changed))


def test_duplicate_hostname(bench: Bench) -> None:
    allocated(bench, name="n1")
    assert "duplicate-hostname" in bench.rules()


def test_duplicate_address(bench: Bench) -> None:
    allocated(bench, address="10.20.0.2")
    assert "duplicate-address" in bench.rules()


def test_address_in_pool(bench: Bench) -> None:
    allocated(bench, address="10.20.0.200")
    assert bench.rules() == {"address-in-pool"}


@pytest.mark.parametrize("address", ["10.99.0.2/24", "10.20.0.1/24", "10.20.0.2/25"])
def test_address_outside_network(bench: Bench, address: str) -> None:
    bench.host(address)
    assert bench.rules() == {"address-outside-network"}


def test_not_ready(bench: Bench) -> None:
    bench.machines[0] = replace(bench.machines[0], machine=replace(bench.machines[0].machine, phase=Phase.DEPLOYED))
    assert bench.rules() == {"not-ready"}


def test_step_order(bench: Bench) -> None:
    bench.plan = replace(bench.plan, steps=bench.plan.steps[::-1])
    assert bench.rules() == {"step-order"}


def inventory(bench: Bench, **facts: Any) -> None:
    machine = bench.machines[0]
    bench.machines[0] = replace(machine, inventory=replace(machine.inventory, **facts))


def test_secure_boot(bench: Bench) -> None:
    inventory(bench, secure_boot=True)
    assert bench.rules() == {"secure-boot"}


def test_low_memory(bench: Bench) -> None:
    inventory(bench, memory=Memory(total=1 << 30))
    assert [(f.rule, f.severity) for f in bench.found()] == [("low-memory", "warning")]
    inventory(bench, memory=Memory(total=15 << 30, installed=16 << 30))
    assert bench.rules() == set(), "what the firmware keeps does not count against it"


def test_profile_forced(bench: Bench) -> None:
    bench.replan(GOOD[0], "machines: {n1: {serial: SN1, profile: raspberry-pi-5}, n2: {serial: SN2}}")
    machine = bench.machines[0]
    disk = replace(machine.inventory.disks[0], transport="nvme")
    inventory(bench, disks=(disk,))
    bench.plan = bench.workshop.plan(bench.site, *bench.machines)
    assert "profile-forced" in bench.rules()


def test_unhealthy_disk(bench: Bench) -> None:
    inventory(bench, disks=(replace(bench.machines[0].inventory.disks[0], smart=Smart(healthy=False)),))
    assert bench.rules() == {"unhealthy-disk"}


def test_boot_port_unknown(bench: Bench) -> None:
    inventory(bench, boot_mac="")
    assert bench.rules() == {"boot-port-unknown"}


def test_incomplete_inventory(bench: Bench) -> None:
    inventory(bench, failures=(ProbeFailure(probe="tpm", message="OSError"),))
    assert bench.rules() == {"incomplete-inventory"}


def test_unexpected_machine(bench: Bench) -> None:
    bench.machines[1] = replace(bench.machines[1], expected="")
    assert bench.rules() >= {"unexpected-machine"}


def test_renamed(bench: Bench) -> None:
    bench.machines[1] = replace(bench.machines[1], expected="n9")
    assert bench.rules() >= {"renamed"}


SITE_RULES = [
    ("approve: [{any: true}]", "approve-any"),
    ("erase: [{serial: NOWHERE, reason: x}]", "idle-grant"),
    ("protect: [NOWHERE]", "idle-protection"),
    ("erase: [{serial: D1}]", "grant-without-reason"),
]


@pytest.mark.parametrize(("line", "rule"), SITE_RULES)
def test_site_rules(bench: Bench, line: str, rule: str) -> None:
    bench.replan(*GOOD, line)
    assert bench.rules() == {rule}


def test_no_ssh_keys(bench: Bench) -> None:
    bench.replan(GOOD[1])
    assert bench.rules() == {"no-ssh-keys"}


def test_errors_come_first(bench: Bench) -> None:
    bench.site = replace(bench.site, protect=("D1", "NOWHERE"), ssh_keys=())
    assert [finding.severity for finding in bench.found()] == ["error", "warning", "warning"]


def test_every_rule_says_what_it_is_for() -> None:
    for name, rule in RULES.items():
        assert rule.severity in (ERROR, WARNING)
        assert rule.says.endswith("."), name
        assert rule.remedy, name
