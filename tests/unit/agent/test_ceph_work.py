"""A ceph order through the worker: answered, its secrets fetched for it, and no reboot afterwards."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from agent import progress, wire
from agent.act import ceph
from agent.act.actions import InstalledActions
from agent.client import AgentClient
from agent.console import Console
from agent.errors import CephAnswerError, CephError, DiskRefusedError
from agent.orders import Gate
from agent.patience import Patience
from agent.work import Worker
from appliance.effects.authority import Authority

FSID = "6e1f7c52-34a8-4a57-9d0e-0f5a3a0e8f11"
ANSWERS = (wire.MonAnswer(code=0, output='{"fsid": "x"}'), wire.MonAnswer(code=2, status="gone"))


@dataclass
class FakeHttp:
    """Answers secrets, and keeps what is sent."""

    sent: list[tuple[str, str, bytes]] = field(default_factory=list)

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        self.sent.append((method, path, body or b""))
        return wire.encode(wire.SecretReply(secret="the key")) if "/secrets/" in path else b""

    @property
    def last(self) -> wire.Progress:
        return wire.decode(wire.Progress, self.sent[-1][2])


@dataclass
class Rebooting(InstalledActions):
    reboots: int = 0

    def reboot(self) -> None:
        self.reboots += 1


def worker(authority: Authority, http: FakeHttp, actions: Rebooting) -> Worker:
    return Worker(
        gate=Gate(machine="m1", nonce="n"),
        order_key=authority.order_key_pem,
        client=AgentClient(http=http),  # type: ignore[arg-type]
        console=Console(sinks=[]),
        patience=Patience(),
        actions=actions,
    )


def signed(authority: Authority, **changes: Any) -> wire.SignedOrder:
    body = wire.CephOrder(action=wire.CephAction.ASK, fsid=FSID)
    order = wire.Order(
        id="o1", machine="m1", plan="p1", step="s", fence=1, nonce="n", kind=wire.OrderKind.CEPH, ceph=body, **changes
    )
    return authority.sign(order)


def test_it_is_answered_and_nothing_reboots(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def perform(order: wire.CephOrder, machine: str, plan: str, *rest: Any) -> Any:
        secrets, tell = rest[1], rest[3]
        asked.append(f"{machine} {plan} {secrets('ceph/x client.admin')}")
        tell("ask", 0.5, "half")
        return "2 commands answered", ANSWERS

    monkeypatch.setattr(ceph, "perform", perform)
    http, actions = FakeHttp(), Rebooting()
    at_work = worker(authority, http, actions)
    at_work.work(signed(authority))
    assert asked == ["m1 p1 the key"]
    assert http.sent[0][:2] == ("GET", "/agent/v1/secrets/ceph%2Fx%20client.admin?order=o1")
    assert (http.last.state, http.last.answers) == (wire.ProgressState.DONE, ANSWERS)
    assert actions.reboots == 0
    at_work.work(signed(authority))  # the same order again is answered, not done again
    assert len(asked) == 1 and http.last.answers == ANSWERS and actions.reboots == 0


def test_a_machine_that_works_long_says_that_it_does(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    http = FakeHttp()
    beats = threading.Event()

    def perform(order: wire.CephOrder, machine: str, plan: str, *rest: Any) -> Any:
        rest[3]("mkfs", 0.6, "making osd.3")
        while len(http.sent) < 4:
            assert not beats.wait(0.01)
        return "made", ()

    monkeypatch.setattr(ceph, "perform", perform)
    monkeypatch.setattr(progress, "BEAT", 0.01)
    worker(authority, http, Rebooting()).work(signed(authority))
    said = [wire.decode(wire.Progress, body) for _, _, body in http.sent]
    assert {(one.stage, one.fraction, one.message, one.state) for one in said[:-1]} == {
        ("mkfs", 0.6, "making osd.3", wire.ProgressState.RUNNING)
    }
    assert said[-1].state is wire.ProgressState.DONE
    assert threading.active_count() == len([one for one in threading.enumerate() if not one.name.startswith("beat ")])


@pytest.mark.parametrize(
    ("error", "state", "answers"),
    [
        (CephAnswerError("`df`: no", ANSWERS), wire.ProgressState.FAILED, ANSWERS),
        (CephError("not up"), wire.ProgressState.FAILED, ()),
        (DiskRefusedError("in-use: /dev/sda"), wire.ProgressState.REFUSED, ()),
    ],
)
def test_failures_keep_what_was_answered(
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    state: wire.ProgressState,
    answers: tuple[wire.MonAnswer, ...],
) -> None:
    def perform(*arguments: Any) -> Any:
        raise error

    monkeypatch.setattr(ceph, "perform", perform)
    http, actions = FakeHttp(), Rebooting()
    worker(authority, http, actions).work(signed(authority))
    assert (http.last.state, http.last.message, http.last.answers) == (state, str(error), answers)
    assert actions.reboots == 0
