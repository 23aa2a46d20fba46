"""The demo's rack, while the appliance is killed again and again: every machine is deployed, nothing else is touched."""

from __future__ import annotations

import json
import time
from pathlib import Path

from appliance.rehearsal import scenario
from appliance.rehearsal.demo import BY_PERSON, BY_RULE, ENROL_SECONDS, INSTALL_SECONDS
from appliance.rehearsal.session import Session
from tests.vm.chaos import Chaos

FEWEST_KILLS = 5


def test_three_machines_are_deployed_while_the_appliance_is_killed(on_stage, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    foreign = scenario.make_foreign_disk(tmp_path / "foreign.img")
    with on_stage(scenario.demo_rack(foreign.path), by_rule=BY_RULE) as session:
        chaos = deploy(session)
        assert chaos.kills >= FEWEST_KILLS, f"only {chaos.kills} kills: the machines were too quick to prove anything"
        check_nothing_is_left_to_do(session)
        check_the_foreign_disk(session, foreign)
        check_the_dead_clock(session)
        check_disks_boot_without_us(session)


def deploy(session: Session) -> Chaos:
    session.appliance.start()
    session.appliance.wait_ready()
    session.rack.power_on()
    chaos = Chaos(session.appliance)

    def enrolled() -> bool:
        return session.phase(BY_PERSON) == "enrolled" and all(
            session.phase(n) in ("inspected", "ready") for n in BY_RULE
        )

    session.until("every machine has enrolled", ENROL_SECONDS, enrolled, tick=chaos.tick)
    chaos.command("machine", "approve", BY_PERSON, "--code", session.code(BY_PERSON))
    session.until("every machine is ready", ENROL_SECONDS, lambda: session.all_in("ready"), tick=chaos.tick)
    chaos.command("plan")
    session.appliance.wait_ready()
    chaos.command("apply", session.newest_plan(), "--no-wait")
    session.until("every machine is deployed", INSTALL_SECONDS, lambda: session.all_in("deployed"), tick=chaos.tick)
    session.appliance.wait_ready()
    return chaos


def check_nothing_is_left_to_do(session: Session) -> None:
    answer = session.appliance.command("plan", "--check", check=False)
    assert answer.code == 0, answer.output
    assert "no changes" in answer.output.lower()


def check_the_foreign_disk(session: Session, foreign: scenario.Foreign) -> None:
    disk = session.rack.machines[BY_PERSON].files.disks[scenario.FOREIGN_SERIAL]
    assert scenario.sha256_of(disk) == foreign.sha256


def check_the_dead_clock(session: Session) -> None:
    """The machine whose clock said 2000 said by how much it was off."""
    detail = json.loads(session.appliance.command("machine", "show", BY_PERSON, "--format", "json").output)
    offset = max(enrolment["clock_offset"] for enrolment in detail["enrolments"])
    since_2000 = time.time() - 946684800
    assert abs(offset - since_2000) < 3600, offset


def check_disks_boot_without_us(session: Session) -> None:
    """With the appliance switched off, one machine of each firmware starts from its disk after a power cut."""
    session.appliance.stop()
    for name in BY_RULE:
        session.rack.power_cut(name)
        session.rack.power_on(name)
    session.rack.power_cut(BY_PERSON)
    for name in BY_RULE:
        session.rack.wait_console(name, f"{name} login:", 900)
