"""What should come next in a boot, from what happened so far."""

from __future__ import annotations

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


def test_after_its_script_a_machine_fetches_what_it_says() -> None:
    assert story(Phase.APPROVED, 100.0, "script", 99.9) == "the fetch of the kernel"
    assert story(Phase.READY, 100.0, "local", 99.9) == ""


def test_a_second_boot_waits_for_its_script() -> None:
    assert story(Phase.READY, 100.0, "local", 130.0) == "the fetch of a boot loader or script"
