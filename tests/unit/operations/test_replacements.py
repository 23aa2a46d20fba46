"""A person wants a disk replaced or a host out: what is recorded, what is refused and with which words, and how it ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.model.machine import Policy
from appliance.operations import hosts, plans, replacements, sites
from appliance.operations.audit import list_audit
from appliance.operations.errors import Conflict, Invalid, NotFound, PermissionDenied
from appliance.operations.machines import set_policy, show_machine
from tests.unit.operations.lab import APPROVE_ANY, OPERATOR, VIEWER
from tests.unit.operations.life import Standing, app, standing, stood
from tests.unit.operations.test_ceph_plans import fail

__all__ = ["app", "standing", "stood"]


def test_from_the_wish_to_the_new_disk_and_the_old_one_stays_out(standing: Standing) -> None:
    app, m2, number = standing.app, standing.machine(2), standing.osd_of("N21")
    view = replacements.replace_disk(app, OPERATOR, "N21")
    assert (view.row.osds, view.row.state, view.row.machine) == ((number,), "wanted", m2)
    assert view.seconds is not None
    again = replacements.replace_disk(app, OPERATOR, f"{m2}/n21")
    assert again.row.seq == view.row.seq, "asked twice it is the same wish"
    audit = [row for row in list_audit(app, OPERATOR) if row.verb == "disk.replace"]
    assert [(row.about, row.detail["serial"], row.detail["osds"]) for row in audit] == [(m2, "N21", [number])]

    drain = standing.plan()
    assert [wait.reason for wait in drain.waits] == ["new-disk"]
    standing.carry_out(drain)
    assert standing.sim.osds[number].destroyed
    assert standing.sim.lamps == [(m2, "N21", True)]
    waiting = standing.plan()
    assert (waiting.steps, waiting.changes, [wait.reason for wait in waiting.waits]) == ((), False, ["new-disk"])

    standing.put_in(m2, "NEW")
    standing.carry_out(standing.plan())
    standing.carries(m2, "NEW", standing.label("8"))
    found = standing.sim.osds[number]
    assert found.up and not found.destroyed and found.host == standing.sim.hosts[m2].name
    assert standing.sim.lamps[-1] == (m2, "N21", False)
    (done,) = replacements.list_replacements(app, VIEWER)
    assert done.row.state == "done"
    assert f"osd.{number} is on another disk" in done.row.ended_why
    after = standing.plan()
    assert (after.steps, after.changes, after.waits) == ((), False, ())
    old = next(disk for disk in after.disks if disk.serial == "N21")
    assert (old.fate, old.why[:15]) == ("keep", "it was replaced")

    replacements.cancel(app, OPERATOR, "N21")
    assert replacements.list_replacements(app, VIEWER) == ()


def test_taken_back_while_it_drains(standing: Standing) -> None:
    number = standing.osd_of("N32")
    replacements.replace_disk(standing.app, OPERATOR, "N32")
    draft = standing.plan()
    standing.carry_out(draft, until="ceph-out")
    assert not standing.sim.osds[number].in_
    replacements.cancel(standing.app, OPERATOR, "N32")
    assert plans.show_plan(standing.app, VIEWER, draft.hash).state == "failed"
    with pytest.raises(Conflict, match="disk N32 is not to be replaced any more"):
        plans.apply_plan(standing.app, OPERATOR, draft.hash)
    standing.look()
    back = standing.plan()
    standing.carry_out(back)
    assert standing.sim.osds[number].in_ and standing.sim.osds[number].up
    after = standing.plan()
    assert (after.steps, after.changes, after.waits) == ((), False, ())
    with pytest.raises(Conflict, match=r"nobody wants disk N32 .* replaced"):
        replacements.cancel(standing.app, OPERATOR, "N32")


def test_too_late_to_take_it_back(standing: Standing) -> None:
    replacements.replace_disk(standing.app, OPERATOR, "N32")
    standing.carry_out(standing.plan())
    with pytest.raises(Conflict, match="is destroyed already, its data are elsewhere: put a new disk in"):
        replacements.cancel(standing.app, OPERATOR, "N32")


def test_a_plan_of_which_nothing_was_seen_ends_the_wish_all_the_same(standing: Standing) -> None:
    """The engine's hook did not run (the step was cancelled after its OSD was made): the next plan sees that it lives."""
    number, m1 = standing.osd_of("N11"), standing.machine(1)
    replacements.replace_disk(standing.app, OPERATOR, "N11")
    standing.carry_out(standing.plan())
    standing.put_in(m1, "NEW")
    last = standing.plan()
    plans.apply_plan(standing.app, OPERATOR, last.hash)
    standing.form(last.hash, until="ceph-osd")
    fail(standing, last.hash)
    assert standing.sim.osds[number].up
    standing.look()
    assert replacements.list_replacements(standing.app, VIEWER)[0].row.state == "wanted"
    standing.plan()
    assert replacements.list_replacements(standing.app, VIEWER)[0].row.state == "done"


def test_what_is_refused_and_nothing_is_recorded(standing: Standing) -> None:
    app, m1 = standing.app, standing.machine(1)
    with pytest.raises(PermissionDenied):
        replacements.replace_disk(app, VIEWER, "N11")
    with pytest.raises(NotFound, match="no machine reports a disk 'NOPE'"):
        replacements.replace_disk(app, OPERATOR, "NOPE")
    system = standing.members[m1].inventory.disks[0]
    with pytest.raises(Conflict, match="carries no OSD of the accepted plan"):
        replacements.replace_disk(app, OPERATOR, system.wwn or f"{m1}/{system.serial}")
    standing.put_in(m1, "N21")
    with pytest.raises(Invalid, match=r"N21 are 2 disks; say which: .*/N21, .*/N21"):
        replacements.replace_disk(app, OPERATOR, "N21")
    set_policy(app, OPERATOR, m1, Policy.HOLD)
    with pytest.raises(Conflict, match="has policy hold"):
        replacements.replace_disk(app, OPERATOR, "N11")
    assert replacements.list_replacements(app, VIEWER) == ()


def test_refused_with_the_numbers(standing: Standing) -> None:
    """Both drives of a host: the second would take the third host away from three copies."""
    replacements.replace_disk(standing.app, OPERATOR, "N11")
    with pytest.raises(Conflict, match=r"can't leave disk N12 .* 3 copies need 3 hosts of class nvme, 2 would stay"):
        replacements.replace_disk(standing.app, OPERATOR, "N12")
    assert [view.row.serial for view in replacements.list_replacements(standing.app, VIEWER)] == ["N11"]


def test_a_host_that_is_needed_does_not_leave(standing: Standing) -> None:
    m3 = standing.machine(3)
    with pytest.raises(Conflict, match="can't leave: pool vms: 3 copies need 3 hosts of class nvme, 2 would stay"):
        hosts.remove_host(standing.app, OPERATOR, m3)
    assert show_machine(standing.app, VIEWER, m3).view.machine.policy is Policy.USE, "nothing is recorded"
    with pytest.raises(Conflict, match="can't take its own place"):
        hosts.remove_host(standing.app, OPERATOR, m3, m3)
    with pytest.raises(Conflict, match="is not in the site file: write it there"):
        hosts.remove_host(standing.app, OPERATOR, m3, standing.machine(2))


def test_another_machine_takes_the_place_of_one(standing: Standing) -> None:
    """Three copies need three hosts: the third may leave as soon as the plan forms a fourth, and not before."""
    app, m3 = standing.app, standing.machine(3)
    where = "".join(
        f"  n{n}: {{serial: WM21{n:06d}, rack: {rack}}}\n" for n, rack in enumerate(("r1", "r1", "r1", "r2"), 1)
    )
    racks = "racks: {r1: , r2: }\n"
    site = APPROVE_ANY + "ceph: {pools: {vms: block}}\n" + racks + "machines:\n"
    sites.load_site_text(app, OPERATOR, site + where, "lab.yaml")
    m4 = standing.join_drives(4)
    with pytest.raises(Conflict, match=r"n4 is in r2 and n3 in r1: write the right rack of n4"):
        hosts.remove_host(app, OPERATOR, m3, m4)
    sites.load_site_text(app, OPERATOR, site + where.replace("r2", "r1"), "lab.yaml")
    with pytest.raises(Conflict, match=r"no member yet that could take over: .* add host"):
        hosts.remove_host(app, OPERATOR, m3, m4)
    assert show_machine(app, VIEWER, m3).view.machine.policy is Policy.USE
    standing.install_one(m4)
    view = hosts.remove_host(app, OPERATOR, m3, m4)
    assert (view.osds, view.down) == ((standing.osd_of("N31"), standing.osd_of("N32")), ())
    made = [step.key.split("/")[0] for step in standing.plan().steps]
    assert made.count("ceph-osd") == 2
    assert made.index("ceph-out") > max(index for index, key in enumerate(made) if key == "ceph-osd")
    assert made.count("ceph-purge") == 2


def test_a_host_that_is_gone_for_ever_leaves(standing: Standing) -> None:
    """Nothing of it runs: there is nothing to drain, and the plan waits until all placement groups are used without it."""
    m3 = standing.machine(3)
    for number, osd in standing.sim.osds.items():
        if osd.host == standing.sim.hosts[m3].name:
            standing.sim.osds[number] = replace(osd, up=False)
    standing.look()
    view = hosts.remove_host(standing.app, OPERATOR, m3)
    assert view.down == view.osds == (standing.osd_of("N31"), standing.osd_of("N32"))
    assert view.seconds == 0.0
    assert show_machine(standing.app, VIEWER, m3).view.machine.policy is Policy.DRAIN
    assert any(row.verb == "host.remove" and row.about == m3 for row in list_audit(standing.app, OPERATOR))
