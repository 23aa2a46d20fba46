"""The diff of layouts: golden texts, what is said of changes, and that no disk is ever left out."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from appliance.model.availability import Tier
from appliance.model.ceph import CephLayout, Erasure
from appliance.model.machine import Phase
from appliance.model.network import CableState
from appliance.model.plan import Desired, DiskFate, Plan
from appliance.plan.diff.lines import grouped, ranges, show_bytes
from appliance.plan.diff.text import MARKS, LineKind, kind_of, lines, render, summary
from tests.conftest import Golden
from tests.unit.plan.conftest import Workshop
from tests.unit.plan.scenes import SCENES, Scene, eight, mesh


def ceph_of(scene: Scene) -> CephLayout:
    assert scene.plan.desired.ceph is not None
    return scene.plan.desired.ceph


@pytest.mark.parametrize("name", ["eight", "mesh", "plain"])
def test_golden_layouts(name: str, golden: Golden) -> None:
    scene = SCENES[name](Workshop())
    golden.check(f"diff/{name}.txt", render(scene.plan, scene.observed, scene.before))


@pytest.mark.parametrize("name", SCENES)
def test_every_disk_is_listed_by_serial(name: str) -> None:
    scene = SCENES[name](Workshop())
    found = lines(scene.plan, scene.observed)
    kinds = {
        DiskFate.ERASE: (LineKind.DESTROY, "ERASE"),
        DiskFate.ASSIGN: (LineKind.ASSIGN, "assign"),
        DiskFate.KEEP: (LineKind.KEEP, "keep"),
    }
    for disk in scene.plan.disks:
        kind, verb = kinds[disk.fate]
        wanted = f"{verb} disk {disk.serial},"
        said = [line for line in found if line.machine == disk.machine and line.text.startswith(wanted)]
        assert [line.kind for line in said] == [kind]
        assert said[0].text.endswith(f"on it now: {disk.now}")
    assigned = sum(1 for line in found if "it will be erased when ceph is formed" in line.text)
    assert assigned == sum(1 for disk in scene.plan.disks if disk.fate is DiskFate.ASSIGN)


@pytest.mark.parametrize("name", SCENES)
def test_kinds_are_known_from_the_text(name: str) -> None:
    """What colours stored text sees the same as who colours lines."""
    scene = SCENES[name](Workshop())
    plain_kinds = {LineKind.HEADING: LineKind.SUMMARY, LineKind.MACHINE: LineKind.SUMMARY, LineKind.SAME: LineKind.KEEP}
    for line in lines(scene.plan, scene.observed):
        assert kind_of(f"{MARKS[line.kind]}{line.text}") is plain_kinds.get(line.kind, line.kind)


def standing() -> tuple[Scene, Plan]:
    """The eight nodes in service, and the plan that follows: no steps, the same layout."""
    scene = eight(Workshop(), phase=Phase.DEPLOYED)
    assert not scene.plan.steps
    return scene, replace(scene.plan, changes=False)


def test_what_stands_is_not_said_again(golden: Golden) -> None:
    scene, plan = standing()
    text = render(plan, scene.observed, plan.desired)
    golden.check("diff/eight-standing.txt", text)
    assert text.startswith("No changes.\n")


def said(scene: Scene, desired: Desired, before: Desired) -> str:
    return render(replace(scene.plan, desired=desired), scene.observed, before)


def test_a_ninth_node(golden: Golden) -> None:
    before = eight(Workshop())
    after = eight(Workshop(), count=9)
    known = {machine.machine.id for machine in before.observed.machines}
    observed = replace(
        after.observed,
        machines=tuple(
            replace(m, machine=replace(m.machine, phase=Phase.DEPLOYED)) if m.machine.id in known else m
            for m in after.observed.machines
        ),
    )
    steps = tuple(step for step in after.plan.steps if step.machine not in known)
    disks = tuple(d for d in after.plan.disks if d.machine not in known or d.fate is not DiskFate.ERASE)
    plan = replace(after.plan, steps=steps, disks=disks)
    text = render(plan, observed, before.plan.desired)
    golden.check("diff/ninth-node.txt", text)
    for serial in ("NV01A", "BOOT01", "HD04A"):
        assert serial not in text, "disks of those that stand are not touched"
    assert "NV09A" in text


def test_nodes_and_osds_that_leave() -> None:
    scene, plan = standing()
    smaller = eight(Workshop(), count=6, phase=Phase.DEPLOYED).plan.desired
    text = said(scene, smaller, plan.desired)
    assert "  - cluster pve1: n7, n8 leave\n" in text
    assert "  - hosts leave: n7, n8\n" in text
    for serial in ("NV07A", "NV08D", "HD08C"):
        assert f" leaves: disk {serial}, " in text
    assert "  ~ cluster pve1: votes 9 → 7, quorum 5 → 4, nodes that may fail 4 → 3\n" in text


def test_pools_and_rules_change() -> None:
    scene, plan = standing()
    ceph = ceph_of(scene)
    vms, archive = ceph.pools
    coded = replace(vms, erasure=Erasure(k=4, m=2), size=6, min_size=5, pg_num=256)
    rules = (replace(ceph.rules[0], steps=(*ceph.rules[0].steps, "step emit")), *ceph.rules[1:])
    changed = replace(ceph, pools=(coded, replace(archive, name="backups")), rules=rules)
    text = said(scene, replace(plan.desired, ceph=changed), plan.desired)
    assert "  ~ pool vms: protection 3 copies → erasure coding 4+2, min_size 2 → 5, PGs 1024 → 256\n" in text
    assert "  ~ rule replicated_nvme: " in text
    assert "  + pool backups (object, rgw): 2 copies" in text
    assert "  - pool archive is no longer in the site file: its data would be lost\n" in text


def test_an_osd_gets_another_place_for_its_db() -> None:
    scene, plan = standing()
    ceph = ceph_of(scene)
    moved = tuple(replace(osd, db=None, db_size=0) if osd.number == 16 else osd for osd in ceph.osds)
    text = said(scene, replace(plan.desired, ceph=replace(ceph, osds=moved)), plan.desired)
    assert "  ~ osd.16 of n4 (disk HD04A): DB on DB04 → its data disk, DB size 300 GB → 0 B\n" in text


def test_everything_is_taken_away() -> None:
    scene, plan = standing()
    text = said(scene, Desired(), plan.desired)
    assert "  - cluster pve1 is no longer in the site file: n1…n8 leave it\n" in text
    assert "  - ceph is no longer in the site file: its 40 OSDs run on, and no plan knows them any more; " in text
    assert "  - the backbone is no longer in the site file\n" in text


def test_what_only_people_read_is_no_change() -> None:
    """Predictions, sentences and what LLDP hears may differ without a new layout; a cable that went bad is said."""
    scene = mesh(Workshop())
    desired = scene.plan.desired
    ceph, backbone = ceph_of(scene), desired.backbone
    assert backbone is not None
    other = replace(
        desired,
        ceph=replace(
            ceph,
            budgets=tuple(replace(budget, memory=budget.memory - 1, text="other words") for budget in ceph.budgets),
            throughput=(),
        ),
        backbone=replace(
            backbone, why="other words", cables=tuple(replace(c, state=CableState.OK) for c in backbone.cables)
        ),
        nodes=tuple(replace(node, network=replace(node.network, missing=())) for node in desired.nodes),
    )
    bare = replace(scene.plan, steps=(), disks=(), waits=())
    there = render(replace(bare, desired=other), scene.observed, desired)
    back = render(bare, scene.observed, other)
    assert "~" not in there + back
    assert "+" not in there + back
    assert "  ! cable n2 " in back


def test_a_new_role_for_a_disk_that_stands() -> None:
    scene, plan = standing()
    ceph = ceph_of(scene)
    before = replace(plan.desired, ceph=replace(ceph, osds=ceph.osds[1:]))
    text = render(plan, scene.observed, before)
    assert "n1  (m-1, epyc-compute): another layout\n  > assign disk NV01A, " in text
    assert "NV01B" not in text


def test_the_tier_that_is_not_reached_is_seen() -> None:
    scene = eight(Workshop())
    availability = scene.plan.desired.availability
    assert availability is not None
    good = replace(scene.plan.desired, availability=replace(availability, wanted=Tier.II))
    assert "  + tier II is reached, tier II is wanted\n" in said(scene, good, Desired())
    assert "  ! tier II is reached, tier III is wanted\n" in render(scene.plan, scene.observed)


def test_of_the_availability_only_what_is_new_is_said() -> None:
    scene, plan = standing()
    found = plan.desired.availability
    assert found is not None
    vms, pve = found.services
    worse = replace(
        found,
        services=(replace(vms, survives="host", text="other words"), replace(pve, text="other words")),
        gaps=(replace(found.gaps[0], text="other words"), replace(found.gaps[0], about="corosync", text="one link")),
    )
    text = said(scene, replace(plan.desired, availability=worse), plan.desired)
    section = text.split("Availability\n")[1].split("\n\n")[0]
    assert section == (
        "  ~ vms: survives the loss of a host, and heals (other words)\n  ! for tier III, corosync: one link"
    )


def test_summaries() -> None:
    scene = eight(Workshop())
    assert summary(scene.plan).endswith(
        "8 machines to install, 8 disks to erase, 42 disks to assign, 1 kept, no waits."
    )
    alone = replace(scene.plan, steps=())
    assert summary(alone).endswith(": only the layout is another one, no machine is touched; no waits.")
    assert summary(replace(alone, changes=False)) == "No changes."


def test_the_order_of_observed_machines_does_not_matter() -> None:
    scene = eight(Workshop())
    turned = replace(scene.observed, machines=tuple(reversed(scene.observed.machines)))
    assert render(scene.plan, scene.observed) == render(scene.plan, turned)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["n1", "n2", "n3", "n4"], "n1…n4"),
        (["n4", "n2", "n1", "n3", "n6"], "n1…n4, n6"),
        (["n1", "n2"], "n1, n2"),
        (["n9", "n10", "n11", "n12"], "n9…n12"),
        (["n08", "n09", "n10", "n11"], "n08…n11"),
        (["n009", "n10", "n11", "n12"], "n009, n10, n11, n12"),
        (["a1", "b2", "c3", "d4"], "a1, b2, c3, d4"),
        (["ceph", "vm-1"], "ceph, vm-1"),
        ([], ""),
    ],
)
def test_ranges(names: list[str], text: str) -> None:
    assert ranges(names) == text


def test_grouping_and_sizes() -> None:
    pairs = [("n3", "a"), ("n1", "b"), ("n2", "a"), ("n10", "b")]
    assert list(grouped(pairs)) == [("n1, n10", "b"), ("n2, n3", "a")]
    shown = [show_bytes(number) for number in (0, 999, 999_600, 3_840_755_982_336, 4_470_000_000_000_000)]
    assert shown == ["0 B", "999 B", "1 MB", "3.84 TB", "4.47 PB"]


def test_large_diffs_grow_linearly() -> None:
    """Twenty times the disks in less than sixty times the time (CPU time: this machine may be busy)."""
    spent = []
    for factor in (1, 20):
        scene = eight(Workshop())
        ceph = ceph_of(scene)
        steps, disks, osds, nodes = [], [], [], []
        for copy in range(factor):
            steps += [replace(step, machine=f"{step.machine}-{copy}") for step in scene.plan.steps]
            disks += [replace(disk, machine=f"{disk.machine}-{copy}") for disk in scene.plan.disks]
            osds += [replace(osd, machine=f"{osd.machine}-{copy}") for osd in ceph.osds]
            nodes += [replace(node, machine=f"{node.machine}-{copy}") for node in scene.plan.desired.nodes]
        desired = replace(scene.plan.desired, nodes=tuple(nodes), ceph=replace(ceph, osds=tuple(osds)))
        plan = replace(scene.plan, steps=tuple(steps), disks=tuple(disks), desired=desired)
        best = 1e9
        for _ in range(3):
            start = time.process_time()
            render(plan, scene.observed)
            best = min(best, time.process_time() - start)
        spent.append(best)
    assert spent[1] < 60 * spent[0]
