"""The agent's life against an appliance that restarts, refuses, and answers by halves; over real TLS."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from agent import wire
from agent.console import Console
from agent.errors import DiskRefusedError, InstallError
from agent.patience import Patience, StopRequest
from agent.session import Session, run_image, run_installed
from agent.trust import AgentKey, console_code
from appliance.effects.authority import Authority
from appliance.effects.clock import SystemClock

MACHINE = "m1"


@dataclass
class FakeActions:
    """Installs nothing; ``outcome`` is a message or an exception."""

    outcome: str | Exception = "installed"
    installs: list[str] = field(default_factory=list)
    reboots: int = 0
    on_reboot: Callable[[], None] = lambda: None

    def install(self, order: wire.Order, body: wire.InstallOrder, client: Any, reporter: Any, order_key: str) -> str:
        self.installs.append(order.id)
        reporter.running("partition", 0.1)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def prepare_reboot(self, body: wire.RebootOrder) -> str:
        return "rebooting"

    def ceph(
        self, order: wire.Order, body: wire.CephOrder, client: Any, reporter: Any
    ) -> tuple[str, tuple[wire.MonAnswer, ...]]:
        self.installs.append(order.id)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome, (wire.MonAnswer(code=0, output=client.secret("key", order.id)),)

    def reboot(self) -> None:
        self.reboots += 1
        self.on_reboot()


@dataclass
class Life:
    """One agent in a thread."""

    appliance: Any
    lines: Any
    inventory: wire.Inventory
    actions: FakeActions = field(default_factory=FakeActions)
    clock: list[float] = field(default_factory=list)
    key: AgentKey = field(default_factory=AgentKey.generate)
    session: Session | None = None
    thread: threading.Thread | None = None
    error: BaseException | None = None

    def start(self, run: Callable[[Session], None] | None = None) -> None:
        patience = Patience(scale=0.02)
        self.session = Session(
            site=self.appliance.site(),
            console=Console(sinks=[self.lines]),
            patience=patience,
            inspect=lambda: self.inventory,
            actions=self.actions,
        )
        self.actions.on_reboot = patience.stop.set
        life = run or (lambda session: run_image(session, self.key, floor=0, set_clock=self.clock.append))

        def body() -> None:
            try:
                assert self.session is not None
                life(self.session)
            except StopRequest:
                pass
            except BaseException as error:
                self.error = error

        self.thread = threading.Thread(target=body, daemon=True)
        self.thread.start()

    def until(self, condition: Callable[[], object], seconds: float = 15) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert self.error is None, self.error
            assert time.monotonic() < end, self.lines.text
            time.sleep(0.01)

    def stop(self) -> None:
        if self.session and self.thread:
            self.session.patience.stop.set()
            self.thread.join(10)
            assert not self.thread.is_alive()


@pytest.fixture
def life(appliance: Any, lines: Any, inventory: wire.Inventory) -> Any:
    made = Life(appliance=appliance, lines=lines, inventory=inventory)
    yield made
    made.stop()
    assert made.error is None


def order(life: Life, **changes: Any) -> wire.Order:
    assert life.session is not None
    grant = wire.DiskGrant(machine=MACHINE, plan="p", serial="S", wwn="", model="M", size=1, fingerprint="f")
    body = wire.InstallOrder(
        permit="6e1f7c52-34a8-4a57-9d0e-0f5a3a0e8f11",
        hostname="n1",
        grant=grant,
        partitions=(),
        image=wire.ImageRef(name="i", url="http://x/", size=1, sha256="", chunk_size=1, chunks=("",), unpacked=1),
        files=(),
    )
    return replace(
        wire.Order(
            id="o1",
            machine=MACHINE,
            plan="p",
            step="install/m1",
            fence=3,
            nonce=life.session.nonce,
            kind=wire.OrderKind.INSTALL,
            install=body,
        ),
        **changes,
    )


def give(life: Life, item: wire.Order) -> None:
    life.appliance.orders.append(life.appliance.authority.sign(item))


def test_from_power_on_to_done(life: Life) -> None:
    life.appliance.approve_after = 3
    life.appliance.time = time.time() + 820_000_000
    life.start()
    life.until(lambda: life.appliance.asked)
    code = console_code(life.key, life.appliance.authority.ca_pem)
    life.until(lambda: f"code: {code}" in life.lines.text)
    assert wire.enrolment_code(life.key.public_der(), life.appliance.authority.ca_key_der) == code
    assert not life.appliance.reports, "nothing may be reported before approval"
    life.until(lambda: life.appliance.reports)
    assert life.appliance.enrolments[0].clock_offset == pytest.approx(820_000_000, abs=5)
    assert life.clock == [pytest.approx(life.appliance.time, abs=5)]
    assert "off by 25 years 11 months" in life.lines.text
    assert life.appliance.reports[0].nonce == life.appliance.enrolments[0].nonce
    give(life, order(life))
    life.until(lambda: life.actions.reboots)
    assert [item.state for item in life.appliance.progress] == [wire.ProgressState.RUNNING, wire.ProgressState.DONE]
    assert life.appliance.progress[-1].fraction == 1.0


def test_restarting_appliance_is_waited_for(life: Life) -> None:
    life.appliance.approve_after = 2
    life.appliance.faults = ["drop", "503", "half", "drop", "half", "500", "drop"]
    life.start()
    life.until(lambda: life.appliance.reports)
    life.appliance.faults = ["drop", "half", "502", "half"]
    give(life, order(life))
    life.until(lambda: life.actions.reboots)
    assert life.actions.installs == ["o1"], "done once, whatever was repeated"


def test_forgotten_enrolment_enrols_again_with_the_same_key(life: Life) -> None:
    life.appliance.approve_after = 4
    life.appliance.forget = True
    life.start()
    life.until(lambda: life.appliance.reports)
    assert len(life.appliance.enrolments) == 2
    assert len({item.nonce for item in life.appliance.enrolments}) == 1


def test_refused_certificate_enrols_again(life: Life) -> None:
    life.appliance.refuse_certificates = 1
    life.start()
    life.until(lambda: life.appliance.reports)
    assert len(life.appliance.enrolments) == 2


def test_done_is_repeated_until_it_is_taken(life: Life) -> None:
    life.start()
    life.until(lambda: life.appliance.nonces)
    give(life, order(life))
    life.appliance.progress_status = 503
    life.until(lambda: sum(item.state is wire.ProgressState.DONE for item in life.appliance.progress) >= 3)
    assert life.actions.reboots == 0
    life.appliance.progress_status = 204
    life.until(lambda: life.actions.reboots)
    assert life.actions.installs == ["o1"]


def test_withdrawn_order_stops_before_the_end(life: Life) -> None:
    life.appliance.progress_status = 409
    life.start()
    life.until(lambda: life.appliance.nonces)
    give(life, order(life))
    life.until(lambda: "withdrew" in life.lines.text)
    life.appliance.orders.clear()
    assert life.actions.reboots == 0


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (DiskRefusedError("no-disk: none fits"), wire.ProgressState.REFUSED),
        (InstallError("the disk did not keep it"), wire.ProgressState.FAILED),
        (OSError(5, "Input/output error"), wire.ProgressState.FAILED),
        (ZeroDivisionError("bug"), wire.ProgressState.FAILED),
    ],
)
def test_failures_are_told_and_the_agent_stays(
    life: Life, outcome: Exception, state: wire.ProgressState, capsys: pytest.CaptureFixture[str]
) -> None:
    life.actions.outcome = outcome
    life.start()
    life.until(lambda: life.appliance.nonces)
    give(life, order(life))
    life.until(lambda: life.appliance.progress and life.appliance.progress[-1].state is state)
    assert str(outcome.args[-1]) in life.appliance.progress[-1].message
    polls = len(life.appliance.nonces)
    life.until(lambda: len(life.appliance.nonces) > polls + 1)
    assert life.actions.reboots == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"machine": "m2"}, "for machine m2"),
        ({"nonce": "0" * 32}, "another boot"),
        ({"plan": "q"}, "another plan"),
        ({"kind": wire.OrderKind.REBOOT}, "carries something else"),
    ],
)
def test_orders_that_are_not_ours_are_refused(life: Life, changes: dict[str, Any], reason: str) -> None:
    life.start()
    life.until(lambda: life.appliance.nonces)
    give(life, order(life, **changes))
    life.until(lambda: life.appliance.progress)
    assert life.appliance.progress[0].state is wire.ProgressState.REFUSED
    assert reason in life.appliance.progress[0].message
    assert life.actions.installs == []


def test_wrong_authority_is_never_enrolled_with(life: Life, tmp_path: Path) -> None:

    other = Authority.open(tmp_path, SystemClock(), "127.0.0.1")
    site = replace(life.appliance.site(), ca=other.ca_pem)
    life.appliance.site = lambda: site
    life.start()
    life.until(lambda: "is not the appliance of this site" in life.lines.text)
    assert life.appliance.enrolments == []
    assert life.appliance.seen == []


def test_installed_system_reports_its_permit_and_only_observes(life: Life, tmp_path: Path) -> None:
    key = AgentKey.generate()
    issued = life.appliance.authority.issue(key.csr("n1"), machine=MACHINE, environment="installed")
    (tmp_path / "agent.pem").write_text(issued.pem)
    (tmp_path / "agent.key").write_text(key.pem())
    (tmp_path / "agent.key").chmod(0o600)
    (tmp_path / "order-key.pem").write_text(life.appliance.authority.order_key_pem)
    life.appliance.time = time.time() + 7200

    def run(session: Session) -> None:
        session.permit = "p-1"
        run_installed(session, tmp_path)

    life.start(run)
    life.until(lambda: life.appliance.reports)
    assert life.appliance.reports[0].permit == "p-1"
    assert life.appliance.reports[0].clock_offset == pytest.approx(7200, abs=5)
    assert life.clock == []
    assert life.appliance.enrolments == []
    give(life, order(life, kind=wire.OrderKind.REBOOT, install=None, reboot=wire.RebootOrder()))
    life.until(lambda: life.actions.reboots)


def test_readable_key_is_refused(life: Life, tmp_path: Path) -> None:
    for name in ("agent.pem", "agent.key", "order-key.pem"):
        (tmp_path / name).write_text("x")
    (tmp_path / "agent.key").chmod(0o644)
    life.start()
    assert life.session is not None
    with pytest.raises(PermissionError, match="0600"):
        run_installed(life.session, tmp_path)
