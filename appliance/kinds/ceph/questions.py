"""What the monitors (and the manager) are asked. Nothing of it changes anything, and no answer holds a secret."""

from __future__ import annotations

from errno import EAGAIN, EBUSY

from agent.cephorder import MonCommand
from appliance.kinds.ceph.commands import NOTES, command
from appliance.kinds.ceph.there import NAMESPACES, all_active
from appliance.model.cephstate import CephState

QUESTIONS = (
    "status",
    "mon dump",
    "mgr metadata",
    "osd dump",
    "osd tree",
    "osd crush rule dump",
    "fs dump",
    "config-key dump",
)
"""Answered by the monitors alone, also while there is no manager. Not ``mgr dump``: it repeats the options of all modules
for every manager, 169 kB for three of them."""
MANAGER_QUESTIONS = ("service dump", "osd df")
"""Never answered while no manager was ever there, the first too although a monitor answers it (seen on 18.2.7)."""


SAFE_QUESTION = "osd safe-to-destroy"
"""Of OSDs that are out. That no PG is counted as an OSD's own does not say that it is empty: PGs with a whole log leave it
at once, and what it holds is copied afterwards. Answered with an error number while one of them is needed."""
NAMESPACE_QUESTION = "rbd namespace ls"
"""Not a command of the monitors: librbd is asked."""


def questions(state: CephState | None = None) -> tuple[MonCommand, ...]:
    """With `manager_questions` when ``state``, what was seen last, has a manager."""
    asked = [command(name, key=NOTES) if name == "config-key dump" else command(name) for name in QUESTIONS]
    return (*asked, *(manager_questions(state) if state is not None and state.managers else ()))


def manager_questions(state: CephState | None = None) -> tuple[MonCommand, ...]:
    """Which gateways there are, and how full OSDs are; the answers follow those to the others. Without them no gateway is
    known to run, and no disk to be drained. Then which OSDs that are out are not needed any more, and what namespaces there
    are in pools that have ours: OSDs answer that, so it is asked only while everything can be used."""
    asked = [command("service dump"), command("osd df", manager=True, output_method="plain")]
    out = [str(osd.number) for osd in state.osds if not osd.in_] if state is not None else []
    if out:
        asked.append(command(SAFE_QUESTION, manager=True, may_fail=(EAGAIN, EBUSY), ids=out))
    if state is not None and all_active(state):
        ours = {name.removeprefix(NAMESPACES) for name, _ in state.notes if name.startswith(NAMESPACES)}
        pools = sorted(ours & {pool.name for pool in state.pools})
        asked += [MonCommand(command=command(NAMESPACE_QUESTION).command, pool=pool) for pool in pools]
    return tuple(asked)
