"""What has to happen before a machine can be planned, and which profile it has."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from agent.wire import Inventory, ProbeFailure
from appliance.model.machine import Phase, Policy, TroubleKind
from appliance.model.observed import ObservedMachine
from appliance.model.plan import Wait, WaitReason
from hwprofiles.match import match
from hwprofiles.profile import Profile

NEEDED_PROBES = frozenset({"disks", "nics"})
SETTLED = frozenset({Phase.DEPLOYED, Phase.MEMBER, Phase.LEAVING})
"""Phases of machines that are installed: they have no steps, and stand in the layout."""

_BEFORE: dict[Phase, tuple[WaitReason, str]] = {
    Phase.SEEN: (
        WaitReason.NOT_APPROVED,
        "it was seen on the network, but its agent has not enrolled; see its timeline",
    ),
    Phase.ENROLLED: (WaitReason.NOT_APPROVED, "approve it: rackseed machine approve {name} --code CODE"),
    Phase.APPROVED: (WaitReason.NOT_INSPECTED, "its first report over mutual TLS has not come yet"),
    Phase.DEPLOYING: (WaitReason.IN_PROGRESS, "it is being installed by an earlier plan"),
    Phase.WIPING: (WaitReason.IN_PROGRESS, "it is being wiped"),
    Phase.RESCUE: (WaitReason.HELD, "it runs the rescue system"),
}


def not_yet(machine: ObservedMachine, name: str) -> Wait | None:
    """What has to happen before the machine can be planned; None when nothing has to."""
    state = machine.machine
    if state.trouble is not None and state.trouble.kind is TroubleKind.IDENTITY_CONFLICT:
        return Wait(about=name, reason=WaitReason.TROUBLE, text=state.trouble.text)
    if state.policy is not Policy.USE:
        text = f"policy is {state.policy}; change it: rackseed machine policy {name} use"
        return Wait(about=name, reason=WaitReason.HELD, text=text)
    if state.phase in _BEFORE:
        reason, text = _BEFORE[state.phase]
        return Wait(about=name, reason=reason, text=text.format(name=name))
    failed = failed_probe(machine.inventory, NEEDED_PROBES)
    if failed is not None:
        text = f"its agent could not read its {failed.probe}: {failed.message}"
        return Wait(about=name, reason=WaitReason.NOT_INSPECTED, text=text)
    return None


def failed_probe(inventory: Inventory | None, probes: Collection[str]) -> ProbeFailure | None:
    """The first of these probes that could not answer."""
    failures = inventory.failures if inventory else ()
    return next((failure for failure in failures if failure.probe in probes), None)


def profile_of(machine: ObservedMachine, name: str, named: str, profiles: Mapping[str, Profile]) -> Profile | Wait:
    """The profile that the site file names for this machine (``named``, or empty), or the one that matches."""
    if machine.inventory is None:
        return Wait(about=name, reason=WaitReason.NOT_INSPECTED, text="no report over mutual TLS has come yet")
    if named:
        found = profiles.get(named)
        text = f"the site file names profile {named}, which does not exist"
        return found or Wait(about=name, reason=WaitReason.NO_PROFILE, text=text)
    result = match(machine.inventory, profiles.values())
    if result.tie:
        return Wait(about=name, reason=WaitReason.AMBIGUOUS_PROFILE, text=result.text)
    if result.profile is None:
        return Wait(about=name, reason=WaitReason.NO_PROFILE, text=result.text)
    if machine.machine.phase is Phase.INSPECTED:
        text = f"profile {result.profile.name} matches; its next report makes it ready"
        return Wait(about=name, reason=WaitReason.NOT_INSPECTED, text=text)
    return result.profile
