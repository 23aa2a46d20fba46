"""When a machine has become a member: its last step of the plan that forms its cluster is done."""

from __future__ import annotations

from sqlalchemy import Connection

from appliance.model.ceph import CephVerb
from appliance.model.machine import MachineEvent, Phase
from appliance.model.plan import StepKind
from appliance.store import lifecycle, machines, steps
from appliance.store.steps import StepRow, StepState

LEAVING = frozenset({CephVerb.OUT, CephVerb.DESTROY, CephVerb.PURGE, CephVerb.ZAP, CephVerb.LEAVE, CephVerb.LOCATE})
"""Verbs that take something away: nobody becomes a member by them."""


def join(connection: Connection, row: StepRow, *, at: float) -> bool:
    """``row`` is done (or about to be): when it was the last one of its machine that makes something, the machine is a
    member from now on."""
    found = machines.get(connection, row.machine)
    if found is None or found.machine.phase is not Phase.DEPLOYED:
        return False
    own = [step for step in steps.of_machine(connection, row.plan, row.machine) if step.step.kind is StepKind.CEPH]
    making = [step for step in own if step.step.ceph is not None and step.step.ceph.verb not in LEAVING]
    left = [step for step in making if step.key != row.key and step.state is not StepState.DONE]
    if left or not making:
        return False
    cluster = next((step.step.ceph.name for step in making if step.step.ceph is not None), "")
    why = f"it is a member of {cluster or 'its cluster'}"
    lifecycle.advance(connection, row.machine, MachineEvent.JOIN, at=at, why=why)
    return True
