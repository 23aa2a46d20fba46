"""A person wants an old OSD gone that no plan made: what is recorded, what is refused and with which words, how it ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.model.cephstate import OsdState
from appliance.operations import osdremovals, plans
from appliance.operations.audit import list_audit
from appliance.operations.context import Appliance
from appliance.operations.errors import Conflict, NotFound, PermissionDenied
from tests.unit.operations.lab import OPERATOR, VIEWER
from tests.unit.operations.life import Standing, app, standing, stood

__all__ = ["app", "standing", "stood"]

OLD = OsdState(
    number=70,
    uuid="11111111-2222-4333-8444-555555555555",
    host="",
    device_class="hdd",
    up=False,
    in_=False,
    weight=1.0,
    pgs=0,
    safe=True,
)


def put(standing: Standing, **facts: object) -> None:
    standing.sim.osds[70] = replace(OLD, **facts)  # type: ignore[arg-type]
    standing.look()


def test_from_the_wish_to_the_end(app: Appliance, standing: Standing) -> None:
    put(standing)
    idle = standing.plan()
    assert (idle.steps, idle.changes) == ((), False)
    assert [(one.about, one.rule, one.severity) for one in idle.lint if one.about == "osd.70"] == [
        ("osd.70", "ceph-osd-unknown", "warning")
    ]
    view = osdremovals.remove_osd(app, OPERATOR, 70)
    assert (view.row.number, view.row.uuid, view.row.state, view.kept) == (70, OLD.uuid, "wanted", "")
    assert osdremovals.remove_osd(app, OPERATOR, 70).row.seq == view.row.seq, "asked twice it is the same wish"
    audit = [row for row in list_audit(app, OPERATOR) if row.verb == "osd.remove"]
    assert [(row.about, row.detail["uuid"]) for row in audit] == [("osd.70", OLD.uuid)]

    made = standing.plan()
    assert [step.key for step in made.steps] == ["ceph-purge/osd.70", "ceph-settle", "ceph-prove"]
    standing.carry_out(made)
    assert 70 not in standing.sim.osds
    standing.look()
    after = standing.plan()
    assert (after.steps, after.changes, after.waits) == ((), False, ())
    assert osdremovals.list_removals(app, VIEWER) == (), "the wish is over"
    with pytest.raises(NotFound, match=r"there is no osd\.70 in ceph"):
        osdremovals.remove_osd(app, OPERATOR, 70)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"up": True, "in_": True, "pgs": 3}, r"osd\.70 is not removed: osd\.70 runs below no host and holds 3 PGs"),
        ({"up": True, "pgs": None}, "how much it holds is not known"),
    ],
)
def test_one_that_is_needed_is_refused_and_nothing_is_recorded(
    app: Appliance, standing: Standing, facts: dict[str, object], why: str
) -> None:
    put(standing, **facts)
    with pytest.raises(Conflict, match=why):
        osdremovals.remove_osd(app, OPERATOR, 70)
    assert osdremovals.list_removals(app, VIEWER) == ()


def test_an_osd_of_the_plan_is_refused(app: Appliance, standing: Standing) -> None:
    standing.look()
    number = standing.osd_of("N21")
    with pytest.raises(Conflict, match="is planned, on disk"):
        osdremovals.remove_osd(app, OPERATOR, number)
    with pytest.raises(PermissionDenied):
        osdremovals.remove_osd(app, VIEWER, number)


def test_it_came_back_after_the_wish(app: Appliance, standing: Standing) -> None:
    """The plan waits with the reason, and goes on when it is gone again."""
    put(standing)
    osdremovals.remove_osd(app, OPERATOR, 70)
    put(standing, up=True, in_=True, pgs=5)
    made = standing.plan()
    assert made.steps == ()
    (wait,) = made.waits
    assert wait.about == "osd.70" and wait.text.startswith("it is not removed: osd.70 runs below no host")
    (view,) = osdremovals.list_removals(app, VIEWER)
    assert "holds 5 PGs" in view.kept
    put(standing)
    assert [step.key for step in standing.plan().steps] == ["ceph-purge/osd.70", "ceph-settle", "ceph-prove"]


def test_another_osd_with_the_number_is_not_meant(app: Appliance, standing: Standing) -> None:
    put(standing)
    osdremovals.remove_osd(app, OPERATOR, 70)
    put(standing, uuid=OLD.uuid.replace("1", "9"))
    assert standing.plan().steps == ()
    assert osdremovals.list_removals(app, VIEWER) == ()


def test_taken_back(app: Appliance, standing: Standing) -> None:
    put(standing)
    osdremovals.remove_osd(app, OPERATOR, 70)
    made = standing.plan()
    osdremovals.keep_osd(app, OPERATOR, 70)
    with pytest.raises(Conflict, match=r"osd\.70 is gone already, or shall not be removed any more"):
        plans.apply_plan(app, OPERATOR, made.hash)
    with pytest.raises(Conflict, match=r"nobody wants osd\.70 removed"):
        osdremovals.keep_osd(app, OPERATOR, 70)

    osdremovals.remove_osd(app, OPERATOR, 70)
    again = standing.plan()
    plans.apply_plan(app, OPERATOR, again.hash)
    osdremovals.keep_osd(app, OPERATOR, 70)
    assert plans.show_plan(app, VIEWER, again.hash).state == "failed"
    assert 70 in standing.sim.osds
    assert [row.verb for row in list_audit(app, OPERATOR) if row.verb.startswith("osd.")].count("osd.keep") == 2
