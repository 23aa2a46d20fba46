"""Every rule of lint finds what it is for, and nothing else in a sane site."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.plan.lint import AREAS, ERROR, MOST, RULES
from appliance.plan.lint.table import table
from tests.conftest import ROOT, Golden
from tests.unit.plan import test_lint
from tests.unit.plan.lintcases import ceph, clusters, disks, net
from tests.unit.plan.lintcases.case import CASES, Case
from tests.unit.plan.lintcases.sane import Sane

MODULES = (ceph, clusters, disks, net)
MARK = "<!-- The rest of this page is made: python -m appliance.plan.lint.table -->\n\n"


def test_a_sane_site_has_no_findings() -> None:
    assert Sane.make().found() == ()


@pytest.mark.parametrize("broken", CASES, ids=[f"{number}-{one.rule}" for number, one in enumerate(CASES)])
def test_rule(broken: Case) -> None:
    sane = Sane.make()
    broken.spoil(sane)
    found = {finding.rule: f"{finding.about}: {finding.text}" for finding in sane.found()}
    assert set(found) == {broken.rule, *broken.also}, found


def test_every_rule_is_broken_by_a_test() -> None:
    """Here, or on the small bench of `test_lint`, where a test by the rule's name asserts that it is found."""
    assert MODULES
    bench = {name.removeprefix("test_").replace("_", "-") for name in vars(test_lint) if name.startswith("test_")}
    bench |= {rule for _, rule in test_lint.SITE_RULES}
    assert {case.rule for case in CASES} | (bench & set(RULES)) == set(RULES)


def test_rules_have_the_severity_that_the_site_needs() -> None:
    """Whatever destroys or can't work is an error; at least as many invariants as the issue asks for."""
    errors = {rule.name for rule in RULES.values() if rule.severity == ERROR}
    assert len(errors) >= 40
    must = {
        "disk-in-two-osds",
        "osd-foreign-data",
        "osd-on-protected-disk",
        "system-disk-in-ceph",
        "loss-below-min-size",
    }
    assert must | {"monitors-crowded", "corosync-on-storage", "machine-in-two-clusters", "even-votes"} <= errors


def test_every_rule_is_in_an_area_that_is_listed() -> None:
    assert {rule.area for rule in RULES.values()} == {module.__name__.rpartition(".")[2] for module in AREAS}


def test_texts(golden: Golden) -> None:
    """What people read: of every way to break a rule, what the rule then says."""
    lines = []
    for broken in CASES:
        sane = Sane.make()
        broken.spoil(sane)
        lines += [f"{f.severity} {f.rule} {f.about}: {f.text}" for f in sane.found() if f.rule == broken.rule]
    golden.check("lint/texts.txt", "".join(f"{line}\n" for line in sorted(set(lines))))


def test_the_documentation_has_the_table(golden: Golden) -> None:
    """``docs/lint.md`` is regenerated like a golden file."""
    page = (ROOT / "docs" / "lint.md").read_text(encoding="utf-8")
    head, mark, _ = page.partition(MARK)
    assert mark
    golden.check("../../docs/lint.md", head + mark + table())


@pytest.mark.parametrize("broken", [case for case in CASES if len(case.also) > 1], ids=lambda case: case.rule)
def test_order_never_matters(broken: Case) -> None:
    sane = Sane.make()
    broken.spoil(sane)
    layout, turned = sane.plan.desired, Sane.make()
    turned.site = replace(sane.site, networks=sane.site.networks[::-1], racks=sane.site.racks[::-1])
    turned.machines = dict(reversed(sane.machines.items()))
    cluster = layout.ceph
    assert cluster is not None
    turned.plan = replace(sane.plan, allocations=sane.plan.allocations[::-1])
    turned.change(
        nodes=layout.nodes[::-1],
        clusters=layout.clusters,
        backbone=layout.backbone,
        availability=layout.availability,
        ceph=replace(
            cluster,
            osds=cluster.osds[::-1],
            buckets=cluster.buckets[::-1],
            pools=cluster.pools[::-1],
            rules=cluster.rules[::-1],
            services=cluster.services[::-1],
        ),
    )
    assert {finding.rule for finding in turned.found()} == {finding.rule for finding in sane.found()}
    assert turned.found() == sane.found()


def test_many_findings_are_counted() -> None:
    """One fault in every disk does not fill the store."""
    sane = Sane.make()
    sane.of_ceph(osds=tuple(replace(osd, data_size=0) for osd in sane.ceph.osds), pools=(), rules=(), capacity=())
    for number in range(3):
        more = tuple(replace(osd, number=osd.number + 100 * (number + 1)) for osd in sane.ceph.osds[:48])
        sane.of_ceph(osds=(*sane.ceph.osds, *more))
    found = [finding for finding in sane.found() if finding.rule == "osd-without-size"]
    total = len(sane.ceph.osds)
    assert len(found) == MOST + 1
    assert sum(f"and {total - MOST} more findings of this rule" == finding.text for finding in found) == 1


def test_an_empty_layout_has_no_findings_of_the_layout() -> None:
    """A plan that only installs, or nothing, is not asked for clusters, Ceph or networks."""
    sane = Sane.make()
    empty = Sane.make().plan
    sane.plan = replace(empty, desired=type(empty.desired)())
    assert sane.rules() == set()


def test_a_stick_in_the_machine_is_not_an_unused_disk() -> None:
    sane = Sane.make()
    inventory = sane.machines[1].inventory
    assert inventory is not None
    sane.observe(1, disks=(*inventory.disks, replace(inventory.disks[1], serial="STICK", removable=True)))
    assert sane.rules() == set()


def test_our_own_osds_are_not_foreign() -> None:
    """A disk that carries an OSD of this cluster stays one, although it is neither blank nor granted."""
    sane = Sane.make()
    ours = disks.FOREIGN.__class__(
        signatures=(disks.FOREIGN.signatures[0].__class__(kind="ceph_bluestore", owner=sane.ceph.fsid),), in_use=True
    )
    sane.disk(1, 1, content=ours)
    sane.refer("HDD10", fingerprint="00")
    assert sane.rules() == set()


def test_a_grant_lets_foreign_data_go() -> None:
    sane = Sane.make()
    sane.disk(1, 1, content=disks.FOREIGN)
    assert sane.errors() == {"osd-foreign-data"}
    sane.of_site(erase=(disks.EraseGrant(serial="hdd10 ", reason="old"),))
    assert sane.rules() == set()


def test_a_site_without_racks_is_not_asked_for_them() -> None:
    sane = Sane.make()
    sane.of_site(racks=())
    assert sane.rules() == set()
