"""What leaves, in the plan's words: how long a drain takes, what a person wants removed, namespaces that stay."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.model.ceph import OsdLayout, Service
from appliance.model.cephstate import OsdState
from appliance.model.machine import Policy
from appliance.model.observed import Observed
from appliance.model.plan import Plan, WaitReason
from appliance.model.site import Site
from appliance.plan.diff.drain import duration
from appliance.plan.diff.lines import to_text
from appliance.plan.diff.text import render
from appliance.plan.explain.answer import explain
from appliance.plan.stale import changed_facts
from tests.unit.plan.test_ceph_steps import PROFILES, Storage, errors, make

TB = 10**12
OLD = "11111111-2222-4333-8444-555555555555"


@pytest.fixture(scope="module")
def storage() -> Storage:
    return Storage()


def stands(storage: Storage, *, used: int = TB, known: bool = True) -> Observed:
    """Formed; every OSD holds so many bytes."""
    seen = storage.formed()
    assert seen.ceph is not None
    osds = (replace(osd, size=4 * TB, used=used, pgs=9 if known else None) for osd in seen.ceph.osds)
    return replace(seen, ceph=replace(seen.ceph, osds=tuple(osds)))


def leaves(storage: Storage, seen: Observed) -> tuple[Plan, Observed, list[OsdLayout]]:
    """The plan when the last machine is to be drained, what is seen, and the OSDs that leave."""
    layout = storage.second.desired.ceph
    assert layout is not None
    who = layout.members[-1]
    machines = tuple(
        replace(one, machine=replace(one.machine, policy=Policy.DRAIN)) if one.machine.id == who else one
        for one in seen.machines
    )
    seen = replace(seen, machines=machines)
    return make(storage.site, seen, storage.second), seen, [osd for osd in layout.osds if osd.machine == who]


# ---------------------------------------------------------------- drains


def test_the_diff_says_how_long_it_takes_before_anything_begins(storage: Storage) -> None:
    plan, seen, osds = leaves(storage, stands(storage))
    assert len([step for step in plan.steps if step.key.startswith("ceph-out/")]) == len(osds)
    text = render(plan, seen, storage.second.desired)
    (line,) = [line for line in text.splitlines() if "OSDs: osd." in line and "~" in line]
    assert f"{len(osds)} OSDs" in line
    after = text[text.index(line) :].splitlines()[1:4]
    assert after[0].strip() == f"stored there: {len(osds)} TB"
    layout = storage.second.desired.ceph
    assert layout is not None
    port = dict(layout.ports)[layout.members[-1]]
    least = len(osds) * TB / port
    assert f"in no less than {duration(least)};" in after[1]
    assert f"in about {duration(least / 0.6)}," in after[1]
    assert "(the ports of hosts that are drained)" in after[2]


def test_ten_terabytes_over_ten_gigabits_take_two_hours_at_least(storage: Storage) -> None:
    """`ceph.md` §5."""
    layout = storage.second.desired.ceph
    assert layout is not None
    slow = replace(layout, ports=tuple((who, 10 * 10**9 // 8) for who, _ in layout.ports))
    parent = replace(storage.second, desired=replace(storage.second.desired, ceph=slow))
    _, seen, osds = leaves(storage, stands(storage))
    assert seen.ceph is not None
    part = (replace(osd, used=10 * TB // len(osds)) for osd in seen.ceph.osds)
    seen = replace(seen, ceph=replace(seen.ceph, osds=tuple(part)))
    text = render(make(storage.site, seen, parent), seen, parent.desired)
    assert "stored there: 10 TB" in text and "in no less than 2.2 h" in text


def test_what_is_not_known_is_said(storage: Storage) -> None:
    plan, seen, _ = leaves(storage, stands(storage, known=False))
    assert "how much is stored there is not known" in render(plan, seen, storage.second.desired)


def test_explain_tells_it_of_the_step_and_of_the_osd(storage: Storage) -> None:
    plan, seen, osds = leaves(storage, stands(storage))
    number = osds[0].number
    for what in (f"ceph-out/osd.{number}", f"osd.{number}"):
        said = to_text(explain(plan, seen, storage.site, what, PROFILES, before=storage.second.desired))
        assert f"drain osd.{number}" in said
        assert f"Until it is empty, with all {len(osds)} OSDs that this plan drains" in said
        assert "in no less than" in said


def test_the_ports_and_the_rate_are_no_part_of_the_hash(storage: Storage) -> None:
    """A link that tells another speed today makes no other plan."""
    plan, seen, _ = leaves(storage, stands(storage))
    layout = storage.second.desired.ceph
    assert layout is not None
    parent = replace(storage.second, desired=replace(storage.second.desired, ceph=replace(layout, ports=())))
    again = make(storage.site, seen, parent)
    rates = {step.ceph.rate for one in (plan, again) for step in one.steps if step.ceph and step.ceph.old}
    assert len(rates) > 1
    assert again.hash == plan.hash


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3, "1 min"), (90, "2 min"), (7000, "117 min"), (8000, "2.2 h"), (90000, "25 h"), (300000, "3.5 days")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


# ---------------------------------------------------------------- old OSDs


def strange(seen: Observed, **facts: object) -> Observed:
    """With an OSD that no plan made."""
    assert seen.ceph is not None
    old = OsdState(number=77, uuid=OLD, host="h-old", device_class="hdd", up=False, in_=False, weight=1.0)
    old = replace(old, **facts)  # type: ignore[arg-type]
    return replace(seen, ceph=replace(seen.ceph, osds=(*seen.ceph.osds, old)))


def test_an_osd_that_no_plan_made_stays_until_somebody_wants_it_gone(storage: Storage) -> None:
    seen = strange(storage.formed())
    assert make(storage.site, seen, storage.second).steps == ()
    plan = make(storage.site, replace(seen, removing=(77,)), storage.second)
    assert [step.key for step in plan.steps] == ["ceph-purge/osd.77", "ceph-settle", "ceph-prove"]
    assert plan.changes and not plan.steps[0].reversible
    text = render(plan, seen, storage.second.desired)
    assert "remove osd.77 with its number and place; no plan has it [NOT reversible]" in text
    assert errors(storage, plan, seen) == []


def test_taken_back_between_plan_and_apply(storage: Storage) -> None:
    seen = strange(storage.formed())
    plan = make(storage.site, replace(seen, removing=(77,)), storage.second)
    assert changed_facts(plan, replace(seen, removing=(77,))) == ()
    (changed,) = changed_facts(plan, seen)
    assert changed.text == "osd.77 is gone already, or shall not be removed any more"


def test_why_it_is_kept_is_a_wait(storage: Storage) -> None:
    seen = replace(strange(storage.formed(), up=True, in_=True, pgs=12, size=TB), removing=(77,))
    plan = make(storage.site, seen, storage.second)
    assert plan.steps == ()
    (wait,) = plan.waits
    assert (wait.about, wait.reason) == ("osd.77", WaitReason.LAYOUT)
    assert wait.text == (
        "it is not removed: osd.77 runs on h-old and holds 12 PGs: `ceph osd out 77`, and wait until it is empty"
    )
    assert make(storage.site, replace(storage.formed(), removing=(77,)), storage.second).waits == (), "it is gone"


# ---------------------------------------------------------------- namespaces


def test_a_namespace_that_leaves_the_site_file_stays_and_the_plan_says_so(storage: Storage) -> None:
    assert storage.site.ceph is not None
    pools = storage.site.ceph.pools
    pool = next(one for one in pools if one.service is Service.BLOCK)

    def asking(*names: str) -> Site:
        assert storage.site.ceph is not None
        mine = tuple(replace(one, namespaces=names) if one is pool else one for one in pools)
        return replace(storage.site, ceph=replace(storage.site.ceph, pools=mine))

    seen = storage.formed()
    more = make(asking("a", "b"), seen, storage.second)
    assert [step.key for step in more.steps if "namespaces" in step.key] == [
        f"ceph-namespaces/{pool.name}",
        f"ceph-verify/{pool.name}/namespaces",
    ]
    text = render(more, seen, storage.second.desired)
    assert f"pool {pool.name}: namespaces none → a, b" in text
    assert f"write, read and compare: {pool.name} in a, b, with their own keys" in text
    less = make(asking("b"), seen, more)
    assert less.desired.ceph is not None
    assert next(one for one in less.desired.ceph.pools if one.name == pool.name).namespaces == ("a", "b")
    text = "the namespace stands and the site file does not ask for it: it stays, with its key"
    assert [(wait.about, wait.reason, wait.text) for wait in less.waits] == [
        (f"{pool.name}/a", WaitReason.LAYOUT, text)
    ]
