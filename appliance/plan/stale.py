"""Does a plan still fit what is? The answer that ``apply`` refuses with names the facts that changed, and only those."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.model.observed import Observed
from appliance.model.plan import Plan
from appliance.plan.facts import REMOVING, REPLACING, recompute


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedFact:
    """A fact as the plan knew it and as it is now (empty: it is gone). ``text`` says it to a person."""

    name: str
    planned: str
    now: str
    text: str


def changed_facts(plan: Plan, observed: Observed) -> tuple[ChangedFact, ...]:
    """Facts of the plan that are different now, by name; empty when the plan still holds."""
    now = recompute(plan.facts, observed)
    names = {allocation.machine: allocation.name for allocation in plan.allocations}
    return tuple(
        ChangedFact(
            name=fact.name, planned=fact.value, now=now[fact.name], text=_text(names, fact.name, now[fact.name])
        )
        for fact in plan.facts
        if now[fact.name] != fact.value
    )


def _text(names: dict[str, str], name: str, now: str) -> str:
    head, _, what = name.partition("/")
    who = names.get(head, head)
    if head == "image":
        return f"the root image {what} was built anew; plan again" if now else f"the root image {what} is gone"
    if name.startswith(REMOVING):
        return f"{what} is gone already, or shall not be removed any more"
    if what.startswith(REPLACING):
        return f"{who}: its disk {_serial(what)} is not to be replaced any more"
    if not now:
        gone = f"its disk {_serial(what)}" if what.startswith("disk/") else "its inventory"
        return f"{who}: {gone} is gone"
    if what.startswith("disk/"):
        return f"{who}: what is on disk {_serial(what)} changed, or its size did"
    words = {
        "disks": "the set of its disks or their sizes changed",
        "ports": "its network ports changed",
        "firmware": f"it now starts by {now}",
        "phase": f"it is {now} now",
        "policy": f"its policy is {now} now",
    }
    return f"{who}: {words.get(what, f'{what} is {now} now')}"


def _serial(what: str) -> str:
    serial, _, wwn = what.removeprefix("disk/").removeprefix(REPLACING).partition("/")
    return serial or wwn
