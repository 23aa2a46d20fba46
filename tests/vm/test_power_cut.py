"""The power fails in the middle of an install, twice: the next boot goes on, and ends in a machine that works."""

from __future__ import annotations

import re

from appliance.rehearsal.demo import ENROL_SECONDS, INSTALL_SECONDS
from appliance.rehearsal.description import RackDescription
from appliance.rehearsal.scenario import bios_machine
from appliance.rehearsal.session import Session

NAME = "n4"


def test_an_install_goes_on_after_power_cuts(on_stage) -> None:  # type: ignore[no-untyped-def]
    rack = RackDescription(machines=(bios_machine(NAME, 4),))
    with on_stage(rack, by_rule=(NAME,)) as session:
        session.appliance.start()
        session.appliance.wait_ready()
        session.rack.power_on(NAME)
        session.until("the machine is ready", ENROL_SECONDS, lambda: session.all_in("ready"))
        session.appliance.command("plan")
        session.appliance.command("apply", session.newest_plan(), "--no-wait")
        cut_in(session, "image", 0.0)
        session.rack.power_on(NAME)
        cut_in(session, "image", 0.3)
        session.rack.power_on(NAME)
        session.until("the machine is deployed", INSTALL_SECONDS, lambda: session.all_in("deployed"))
        assert session.appliance.command("plan", "--check", check=False).code == 0
        assert session.rack.machines[NAME].starts == 3
        assert_resumed(session)


def cut_in(session: Session, stage: str, fraction: float) -> None:
    """Take the power away when the agent says on its console that it is in ``stage`` and so far."""
    console = session.rack.machines[NAME].console
    session.until(
        f"the install is in {stage}",
        INSTALL_SECONDS,
        lambda: progress_on(console.text(), stage) >= fraction,
        every=0.1,
    )
    session.rack.power_cut(NAME)


def progress_on(text: str, stage: str) -> float:
    """The newest fraction of ``stage`` on a console, -1 before it began. The whole order is 1."""
    found = re.findall(rf"\] +(\d+)% {stage}\b", text)
    return int(found[-1]) / 100 if found else -1.0


def assert_resumed(session: Session) -> None:
    """Both later boots took the disk because it carried the permit's marker, and said so."""
    log = session.rack.machines[NAME].log.read_text()
    assert log.count("resumed") >= 2, "the agent did not say that it resumed"
