"""What should come next in a boot, from what two processes have written of it."""

from __future__ import annotations

import pytest

from appliance.model.machine import Machine, Phase, Policy
from appliance.model.missing import Happened, missing_step

DHCP = ("dhcp-discover", "dhcp-offer", "dhcp-ack")


def story(phase: Phase, script_at: float, detail: str, dhcp_at: float) -> str:
    """The step that is missing after a script and the DHCP answers, in the order of their times."""
    found = [Happened(at=dhcp_at, kind=kind, detail="http://10.77.0.1:8080/autoexec.ipxe") for kind in DHCP]
    found.append(Happened(at=script_at, kind="script", detail=detail))
    machine = Machine(id="m-1", policy=Policy.USE, phase=phase, phase_since=0.0)
    missing = missing_step(machine, sorted(found, key=lambda event: event.at))
    return missing.step if missing else ""


@pytest.mark.parametrize("late", [-0.3, -0.05, 0.0, 0.05, 0.3])
def test_dhcp_that_was_written_late_came_before_the_script(late: float) -> None:
    assert story(Phase.APPROVED, 100.0, "script", 100.0 + late) == "the fetch of the kernel"
    assert story(Phase.READY, 100.0, "local", 100.0 + late) == ""


def test_a_second_boot_waits_for_its_script() -> None:
    assert story(Phase.READY, 100.0, "local", 130.0) == "the fetch of a boot loader or script"
