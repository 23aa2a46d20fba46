"""What the monitors (and the manager) are asked. Nothing of it changes anything, and no answer holds a secret."""

from __future__ import annotations

from agent.cephorder import MonCommand
from appliance.kinds.ceph.commands import NOTES, command
from appliance.model.cephstate import CephState

QUESTIONS = (
    "status",
    "mon dump",
    "mgr dump",
    "osd dump",
    "osd tree",
    "osd crush rule dump",
    "fs dump",
    "service dump",
    "config-key dump",
)
"""Answered by the monitors alone, also while there is no manager."""


def questions(state: CephState | None = None) -> tuple[MonCommand, ...]:
    """The manager is only asked when ``state``, what was seen last, has one: without one it would never answer."""
    asked = [command(name, key=NOTES) if name == "config-key dump" else command(name) for name in QUESTIONS]
    return (*asked, *(manager_questions() if state is not None and state.managers else ()))


def manager_questions() -> tuple[MonCommand, ...]:
    """How full OSDs are; the answers follow those of the monitors. Without them no disk is known to be drained."""
    return (command("osd df", manager=True, output_method="plain"),)
