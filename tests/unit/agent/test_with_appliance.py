"""The real agent and the real listeners, as processes: enrolled by code, killed with SIGKILL, half-sent bodies."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from agent import wire
from agent.console import Console
from agent.enrolment import Credentials, Enrolment
from agent.patience import Patience, StopRequest
from agent.session import Session
from agent.tls import mutual_context
from agent.trust import AgentKey
from appliance.model.settings import Settings
from appliance.operations import machines
from appliance.operations.context import Actor, Appliance, Role

ROOT = Path(__file__).resolve().parents[3]


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


class Listeners:
    """``serve https`` and ``serve agents``; `kill` is SIGKILL for their whole groups."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        places = ["--state", str(self.settings.state), "--cache", str(self.settings.cache)]
        places += ["--address", str(self.settings.address), "--http-port", str(self.settings.http_port)]
        places += ["--https-port", str(self.settings.https_port), "--agent-port", str(self.settings.agent_port)]
        for role in ("https", "agents"):
            argv = [sys.executable, "-c", "from appliance.cli.main import main; main()", "serve", role, *places]
            self.processes.append(
                subprocess.Popen(
                    argv, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            )

    def kill(self) -> None:
        for process in self.processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.processes.clear()


@pytest.fixture
def listeners(tmp_path: Path) -> Iterator[Listeners]:
    http, https, agents = free_ports(3)
    settings = Settings(
        state=tmp_path / "state",
        cache=tmp_path / "cache",
        address=IPv4Address("127.0.0.1"),
        http_port=http,
        https_port=https,
        agent_port=agents,
    )
    made = Listeners(settings)
    made.start()
    yield made
    made.kill()


class Agent:
    """A real session in a thread; its inventory and actions are not of this machine."""

    def __init__(self, app: Appliance, settings: Settings, lines: Any, inventory: wire.Inventory) -> None:
        self.lines, self.inventory = lines, inventory
        self.site = wire.SiteBundle(
            enrol_url=settings.enrol_url,
            agent_url=settings.agent_url,
            public_url=settings.public_url,
            ca=app.authority.ca_pem,
        )
        self.early = threading.Event()
        self.session = Session(
            site=self.site,
            console=Console(sinks=[lines]),
            patience=Patience(scale=0.1),
            inspect=lambda: inventory,
            actions=None,  # type: ignore[arg-type] # no order comes
            fresh=self._wants_to_report,
        )
        self.credentials: Credentials | None = None
        self.thread = threading.Thread(target=self._live, daemon=True)
        self.thread.start()

    def _wants_to_report(self) -> bool:
        wanted = self.early.is_set()
        self.early.clear()
        return wanted

    def _live(self) -> None:
        session = self.session
        with suppress(StopRequest):
            session.ask_time()
            enrolment = Enrolment(
                site=self.site,
                key=AgentKey.generate(),
                nonce=session.nonce,
                client=session.enrolment_client(check_dates=True),
                console=session.console,
                patience=session.patience,
            )
            self.credentials = enrolment.run(self.inventory, 0.0)
            session.serve(self.credentials)

    def until(self, text: str, times: int = 1, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while self.lines.text.count(text) < times:
            assert time.monotonic() < end and self.thread.is_alive(), self.lines.text
            time.sleep(0.05)

    def stop(self) -> None:
        self.session.patience.stop.set()
        self.thread.join(15)
        assert not self.thread.is_alive()


def half_a_report(agent: Agent, settings: Settings) -> None:
    """A body is promised, a part of it comes, then the line is dead: an agent that lost its power."""
    who = agent.credentials
    assert who is not None
    context = mutual_context(agent.site.ca, who.certificate, who.key)
    raw = socket.create_connection(("127.0.0.1", settings.agent_port), timeout=10)
    with closing(context.wrap_socket(raw, server_hostname="127.0.0.1")) as secure:
        secure.sendall(
            b"POST /agent/v1/report HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b'Content-Length: 5000\r\n\r\n{"nonce": "00", "inventory": {'
        )


def test_enrolled_by_code_killed_and_back(listeners: Listeners, lines: Any, inventory: wire.Inventory) -> None:
    app = Appliance.open(listeners.settings)
    agent = Agent(app, listeners.settings, lines, inventory)
    actor = Actor(name="test", role=Role.ADMIN, via="socket")
    try:
        agent.until("waiting for approval")
        code = re.search(r"code: (\S+)", lines.text)
        (view,) = machines.list_machines(app, actor)
        assert code is not None and not view.trusted
        machines.approve(app, actor, view.machine.id, code=code[1])
        agent.until("waiting for orders")
        (before,) = machines.list_machines(app, actor)
        assert before.trusted and before.serial == "S1"
        for _ in range(3):
            half_a_report(agent, listeners.settings)
        listeners.kill()
        agent.until("waiting for the appliance", lines.text.count("waiting for the appliance") + 1)
        listeners.start()
        agent.early.set()
        agent.session.console.line("restarted")
        agent.until("waiting for orders", 2)
        (after,) = machines.list_machines(app, actor)
        assert (after.machine.phase, after.machine.id, after.trusted) == (before.machine.phase, before.machine.id, True)
    finally:
        agent.stop()
        app.close()
