"""Laws of lint, on sites that are broken in several ways at once."""

from __future__ import annotations

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from appliance.plan.lint import ERROR, MOST, RULES
from tests.unit.plan.lintcases import ceph, clusters, disks, net
from tests.unit.plan.lintcases.case import CASES, Case
from tests.unit.plan.lintcases.sane import Sane

LAWS = settings(derandomize=True, deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])
MODULES = (ceph, clusters, disks, net)
"""Importing them makes the cases."""


def broken(cases: list[Case]) -> Sane:
    """A sane site with all of that done to it; what can't be done together is another example's."""
    sane = Sane.make()
    try:
        for case in cases:
            case.spoil(sane)
    except (AssertionError, IndexError, KeyError, StopIteration, ValueError):
        assume(False)
    return sane


@given(st.lists(st.sampled_from(CASES), min_size=2, max_size=6))
@LAWS
def test_it_never_fails_and_always_says_the_same(cases: list[Case]) -> None:
    sane = broken(cases)
    found = sane.found()
    assert found == sane.found()
    assert [finding.severity for finding in found] == sorted(finding.severity for finding in found)
    assert len(set(found)) == len(found)
    for finding in found:
        assert finding.severity == RULES[finding.rule].severity
        assert finding.about
        assert finding.text
        assert "\n" not in finding.text
    for name in RULES:
        assert sum(finding.rule == name for finding in found) <= MOST + 1


def shrinks(case: Case) -> bool:
    """Whether the site gets smaller, or the plan says that it waits: then another fault may be gone, or known."""
    before, after = Sane.make(), broken([case])
    same = len(after.ceph.osds) == len(before.ceph.osds) and len(after.ceph.pools) >= len(before.ceph.pools)
    return bool(after.plan.waits) or not same


ERRORS = [case for case in CASES if RULES[case.rule].severity == ERROR]
OTHERS = [case for case in CASES if not shrinks(case)]


@given(st.sampled_from(ERRORS), st.sampled_from(OTHERS))
@LAWS
def test_a_second_fault_never_makes_a_plan_good(first: Case, second: Case) -> None:
    """With one more fault anywhere the error is still found, or another one."""
    sane = broken([second, first])
    assert first.rule in sane.rules() or sane.errors()
