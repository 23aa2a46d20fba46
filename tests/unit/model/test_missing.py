"""What should come next in a boot, from what happened so far."""

from __future__ import annotations

import pytest

from appliance.model.machine import Machine, Phase, Policy
from appliance.model.missing import Happened, missing_step, silent_step

DHCP = ("dhcp-discover", "dhcp-offer", "dhcp-ack")


def story(phase: Phase, script_at: float, detail: str, dhcp_at: float) -> str:
    """The step that is missing after a script and the DHCP answers, in the order of their times."""
    found = [Happened(at=dhcp_at, kind=kind, detail="http://10.77.0.1:8080/autoexec.ipxe") for kind in DHCP]
    found.append(Happened(at=script_at, kind="script", detail=detail))
    machine = Machine(id="m-1", policy=Policy.USE, phase=phase, phase_since=0.0)
    missing = missing_step(machine, sorted(found, key=lambda event: event.at))
    return missing.step if missing else ""


def test_after_its_script_a_machine_fetches_what_it_says() -> None:
    assert story(Phase.APPROVED, 100.0, "script", 99.9) == "the fetch of the kernel"
    assert story(Phase.READY, 100.0, "local", 99.9) == ""


def test_a_second_boot_waits_for_its_script() -> None:
    assert story(Phase.READY, 100.0, "local", 130.0) == "the fetch of a boot loader or script"


def test_a_machine_that_boots_has_time_to_start() -> None:
    machine = Machine(id="m-1", policy=Policy.USE, phase=Phase.MEMBER, phase_since=0.0)
    assert silent_step(machine, 1000.0, "", 1290.0, boots=True) is None
    missing = silent_step(machine, 1000.0, "", 1310.0, boots=True)
    assert missing is not None
    assert missing.after == "its boot"


@pytest.mark.parametrize(
    ("phase", "doing", "quiet", "silent"),
    [
        (Phase.MEMBER, "", 80.0, False),
        (Phase.MEMBER, "", 100.0, True),
        (Phase.DEPLOYED, "", 100.0, True),
        (Phase.MEMBER, "mkfs of ceph-osd/c3/Z1", 50.0, False),
        (Phase.MEMBER, "mkfs of ceph-osd/c3/Z1", 70.0, True),
        (Phase.DEPLOYING, "image of install/m-1", 70.0, True),
        (Phase.DEPLOYING, "", 1000.0, False),
        (Phase.READY, "", 1000.0, False),
    ],
)
def test_a_machine_that_says_nothing_is_missed(phase: Phase, doing: str, quiet: float, silent: bool) -> None:
    machine = Machine(id="m-1", policy=Policy.USE, phase=phase, phase_since=0.0)
    missing = silent_step(machine, 1000.0, doing, 1000.0 + quiet)
    assert (missing is not None) is silent
    if missing is not None:
        assert missing.overdue(1000.0 + quiet)
        assert missing.since == 1000.0
        assert ("goes on when it is back" in missing.action) is bool(doing)
