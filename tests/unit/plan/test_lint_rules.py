"""Every rule of lint finds what it is for, and nothing else in a sane site."""

from __future__ import annotations

import pytest

from tests.unit.plan.lintcases import ceph, clusters, disks, net
from tests.unit.plan.lintcases.case import CASES, Case
from tests.unit.plan.lintcases.sane import Sane

MODULES = (ceph, clusters, disks, net)


def test_a_sane_site_has_no_findings() -> None:
    assert Sane.make().found() == ()


@pytest.mark.parametrize("broken", CASES, ids=[f"{number}-{one.rule}" for number, one in enumerate(CASES)])
def test_rule(broken: Case) -> None:
    sane = Sane.make()
    broken.spoil(sane)
    found = {finding.rule: f"{finding.about}: {finding.text}" for finding in sane.found()}
    assert set(found) == {broken.rule, *broken.also}, found
