"""A monitor on the machine that the appliance runs on: formed when its agent is ready for it, and why it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent import arbiter
from agent.wire import Environment, Firmware, Inventory, Memory
from appliance.kinds import ceph
from appliance.model.ceph import CephVerb
from appliance.model.cephstate import CephState
from appliance.model.machine import APPLIANCE, Machine, Phase, Policy
from appliance.model.observed import Observed, ObservedMachine
from appliance.model.plan import DiskFate, Plan, StepKind, WaitReason
from appliance.plan.diff.text import render
from appliance.plan.lint import ERROR, lint
from appliance.plan.make import plan
from appliance.rehearsal import fleet
from tests.unit.plan.sites import EPYC, PLANES, named, site
from tests.unit.plan.test_sites import PROFILES, load

RACKS = "racks: {a: {datacenter: dc-a}, b: {datacenter: dc-b}}"
ADDRESS = "10.10.4.200"


def own(**changes: object) -> ObservedMachine:
    """The appliance's machine, as its agent reports it."""
    facts = {"addresses": ("10.10.0.1", ADDRESS), "ceph": "18.2.7"} | changes
    inventory = Inventory(
        environment=Environment.ARBITER,
        architecture="x86_64",
        firmware=Firmware.UEFI,
        memory=Memory(total=8 << 30),
        **facts,  # type: ignore[arg-type]
    )
    machine = Machine(id=APPLIANCE, name=APPLIANCE, policy=Policy.USE, phase=Phase.DEPLOYED, phase_since=0.0)
    return ObservedMachine(machine=machine, inventory=inventory)


class Halls:
    """Four machines in two datacenters, installed; the tiebreaker is ``word``."""

    def __init__(self, word: str = "appliance", more: int = 0) -> None:
        lines, machines = named([EPYC] * 4, ("a", "b"))
        extra, others = named([EPYC] * 5)
        if more:
            lines, machines = [*lines, extra[5]], (*machines, others[4])
        ceph = f"ceph: {{machines: [n1, n2, n3, n4], stretch: true, tiebreaker: {word}, pools: {{vms: block}}}}"
        self.site = load(site(*PLANES, RACKS, *lines, ceph))
        first = plan(self.site, PROFILES, fleet.observed(machines), None)
        self.seen = fleet.accepted(first, fleet.observed(machines))
        self.first = first

    def next(self, arbiter: ObservedMachine | None, state: CephState | None = None) -> tuple[Plan, Observed]:
        seen = replace(self.seen, arbiter=arbiter, ceph=state)
        made = plan(self.site, PROFILES, seen, self.first)
        assert [one for one in lint(self.site, made, seen, PROFILES) if one.severity == ERROR] == []
        return made, seen


@pytest.fixture(scope="module")
def halls() -> Halls:
    return Halls()


def waits(made: Plan) -> list[str]:
    return [wait.text for wait in made.waits if wait.about == "ceph" and wait.reason is WaitReason.MEMBERS_MISSING]


def test_it_is_formed_with_the_others(halls: Halls) -> None:
    made, seen = halls.next(own())
    told = [step.key for step in made.steps if step.machine == APPLIANCE]
    assert told == ["ceph-configure/appliance", "ceph-mon/appliance"]
    monitors = [step for step in made.steps if step.ceph and step.ceph.verb is CephVerb.MON]
    assert monitors[-1].machine == APPLIANCE, "the cluster is begun by a member"
    assert monitors[-1].ceph is not None
    assert monitors[-1].ceph.host is not None
    assert monitors[-1].ceph.host.address == ADDRESS
    assert not waits(made)
    assert APPLIANCE not in {choice.machine for choice in made.disks}
    assert APPLIANCE not in {node.machine for node in made.desired.nodes}
    assert APPLIANCE not in {allocation.machine for allocation in made.allocations}
    assert {step.kind for step in made.steps if step.machine == APPLIANCE} == {StepKind.CEPH}
    text = render(made, seen, halls.first.desired)
    assert "appliance" in text


def test_what_it_is_told_is_what_its_agent_does(halls: Halls) -> None:
    """Every order of these steps passes the agent's own check, and no other machine's does."""
    made, _ = halls.next(own())
    layout = made.desired.ceph
    assert layout is not None
    names = tuple(host.name for step in made.steps if step.ceph for host in step.ceph.monitors)
    state = CephState(fsid=layout.fsid, monitors=names, quorum=names[:3])
    for step in made.steps:
        what = ceph.act(step, state)
        if not isinstance(what, ceph.Act):
            continue
        fits = arbiter.refusal(what.order) == ""
        if what.machine == APPLIANCE:
            assert fits, step.key
        elif what.order.grants or what.order.daemon:
            assert not fits, step.key


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (None, "the appliance's own agent has not reported: start it as root"),
        (replace(own(), inventory=None), "the appliance's own agent has not reported"),
        (own(ceph=""), "apt install ceph-mon ceph-common"),
        (own(ceph="16.2.15"), "the appliance has Ceph 16.2.15, members have release 18 of debian-13"),
        (own(addresses=("10.10.0.1",)), "no address in network storage-public (10.10.4.0/24)"),
        (own(addresses=("10.10.4.1",)), "has the address 10.10.4.1, which is n1's"),
        (replace(own(), machine=replace(own().machine, policy=Policy.HOLD)), "has the policy hold"),
    ],
    ids=["none", "silent", "no-ceph", "older", "elsewhere", "taken", "held"],
)
def test_it_is_not_formed_before_its_tiebreaker_can_be(halls: Halls, seen: ObservedMachine | None, text: str) -> None:
    made, _ = halls.next(seen)
    assert made.steps == ()
    assert len(waits(made)) == 1
    assert text in waits(made)[0]
    assert not [choice for choice in made.disks if choice.fate is DiskFate.ERASE and choice.role != "system"]


def test_stretch_mode_is_not_left(halls: Halls) -> None:
    made, _ = halls.next(own())
    assert made.desired.ceph is not None
    state = CephState(fsid=made.desired.ceph.fsid, stretch=True, tiebreaker=APPLIANCE)
    lines, _ = named([EPYC] * 4, ("a", "b"))
    plain = load(site(*PLANES, RACKS, *lines, "ceph: {machines: [n1, n2, n3, n4], pools: {vms: block}}"))
    again = plan(plain, PROFILES, replace(halls.seen, arbiter=own(), ceph=state), made)
    assert again.steps == ()
    (wait,) = [wait for wait in again.waits if wait.about == "ceph" and wait.reason is WaitReason.NOT_EXECUTABLE]
    assert "say 'stretch: true'" in wait.text


def test_a_declared_machine_is_formed_like_any_other() -> None:
    """It is in the public network, outside the tree, and gets a monitor only."""
    halls = Halls("n5", more=1)
    made, _ = halls.next(None)
    (node,) = [node for node in made.desired.nodes if node.name == "n5"]
    assert {one.network for one in node.network.addresses} >= {"storage-public"}
    assert "storage-cluster" not in {one.network for one in node.network.addresses}
    told = [step for step in made.steps if step.machine == node.machine]
    assert [step.key for step in told] == ["ceph-configure/n5", "ceph-mon/n5"]
    assert told[-1].ceph is not None
    assert told[-1].ceph.host is not None
    assert told[-1].ceph.host.location == ()
    (stretch,) = [step for step in made.steps if step.key == "ceph-stretch"]
    assert stretch.ceph is not None
    assert stretch.ceph.sites[-1] == ("n5", "datacenter", "n5")
    assert waits(made) == []
