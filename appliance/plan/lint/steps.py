"""Steps: who is written, when, and in which order."""

from __future__ import annotations

from collections import Counter

from appliance.model.machine import Phase
from appliance.plan.lint.rule import ERROR, Findings, rule
from appliance.plan.lint.scene import Scene


@rule(ERROR, "report it as a fault of the planner; plan again")
def one_disk_one_step(scene: Scene) -> Findings:
    """No disk belongs to two steps."""
    written = [step.install.disk for step in scene.installs if step.install]
    for who, count in Counter((disk.machine, disk.serial, disk.wwn) for disk in written).items():
        if count > 1:
            yield who[1] or who[2], f"{count} steps write this disk"
    systems = {scene.identity(disk.machine, disk) for disk in written}
    for where, (key, name) in scene.formed.items():
        if where in systems:
            yield name, f"{key} writes the system disk that another step installs on"


@rule(ERROR, "plan again: the machine has moved on since")
def not_ready(scene: Scene) -> Findings:
    """Only machines that are ready are installed."""
    for step in scene.installs:
        machine = scene.machines.get(step.machine)
        if machine is None or machine.machine.phase is not Phase.READY:
            yield step.name, f"is installed although it is {machine.machine.phase if machine else 'unknown'}"


@rule(ERROR, "report it as a fault of the planner; plan again")
def step_order(scene: Scene) -> Findings:
    """Steps come after everything that they wait for."""
    seen: set[str] = set()
    for step in scene.plan.steps:
        for before in step.after:
            if before not in seen:
                yield step.key, f"comes before {before}, which it waits for"
        seen.add(step.key)


@rule(ERROR, "report it as a fault of the planner; plan again")
def step_twice(scene: Scene) -> Findings:
    """Every step has a key of its own: a plan that is made again must map to the same rows."""
    for key, count in Counter(step.key for step in scene.plan.steps).items():
        if count > 1:
            yield key, f"{count} steps have this key"


@rule(ERROR, "switch Secure Boot off in the machine's setup")
def secure_boot(scene: Scene) -> Findings:
    """The boot loader that we install is not signed; with Secure Boot the machine would not start."""
    for step, _, inventory in scene.planned():
        if inventory.secure_boot:
            yield step.name, "Secure Boot is on; the installed boot loader would be refused. Switch it off"
