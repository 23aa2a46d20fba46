"""The agent on the boot server: runs while a monitor of Ceph is planned here, and not otherwise.

This process asks the appliance over its Unix socket whether it is needed, gets a certificate for a key that it makes itself,
and runs the agent as a process of its own (``python -m agent --arbiter``) over the same mutual TLS as every machine's. It is
the only one that needs root: the agent writes Ceph's files and tells systemd to start the monitor. It opens neither the
database nor the appliance's keys.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from agent.trust import AgentKey
from agent.wire import WireError, decode, encode
from appliance.effects import files
from appliance.model.settings import Settings
from appliance.operations.arbiter import ArbiterPlace
from appliance.serve import lifeline
from appliance.serve.prepare import PrepareError

LOOK_SECONDS, SOON_SECONDS = 15.0, 2.0
"""Until the next look: usually, and while the appliance does not answer."""
STOP_SECONDS = 5.0
PATH = "/api/v1/arbiter"

log = logging.getLogger(__name__)


class AskError(Exception):
    """The appliance does not answer on its socket, or says no."""


def run(settings: Settings) -> None:
    """Until SIGTERM. Raises `PrepareError` without root."""
    if os.geteuid() != 0:
        raise PrepareError(
            "a monitor on the appliance needs root: start rackseed serve arbiter as root, or leave it out"
        )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    keeper = Keeper(socket=settings.socket, folder=own_folder(settings))
    lifeline.notify("READY=1")
    try:
        while not stop.is_set():
            stop.wait(LOOK_SECONDS if keeper.look() else SOON_SECONDS)
    finally:
        keeper.end()


def own_folder(settings: Settings) -> Path:
    """Where the agent's key and certificate are: beside the state, not in it. The state belongs to the appliance's user, who
    must not be able to have root write somewhere."""
    return settings.state.with_name(f"{settings.state.name}-arbiter")


@dataclass(slots=True, kw_only=True)
class Keeper:
    """Keeps the agent running while it is wanted. Its key is made anew with every start of this process."""

    socket: Path
    folder: Path
    key: AgentKey = field(default_factory=AgentKey.generate)
    said: str = ""
    _given: ArbiterPlace | None = None
    _agent: subprocess.Popen[bytes] | None = None

    def look(self) -> bool:
        """Ask, and do what follows; whether there was an answer. Without one nothing changes: the agent waits, too."""
        try:
            place = ask(self.socket, self.key.csr("appliance"))
        except AskError as error:
            self._say(f"the appliance does not answer: {error}")
            return False
        if not place.wanted:
            self._say("no monitor is planned on the appliance: nothing to do")
            self.end()
            return True
        self._say(place.wanted)
        if place != self._given:
            self.end()
            write(self.folder, place, self.key)
            self._given = place
        self._start()
        return True

    def _start(self) -> None:
        if self._agent is not None and self._agent.poll() is not None:
            log.error(
                "machine=appliance step=arbiter why=its agent ended with %d; starts again", self._agent.returncode
            )
            self._agent = None
        if self._agent is None:
            argv = [sys.executable, "-m", "agent", "--arbiter", "--configuration", str(self.folder)]
            self._agent = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                cwd="/",
                preexec_fn=partial(lifeline.die_with, os.getpid()),  # noqa: PLW1509 - this process has no threads
            )

    def end(self) -> None:
        """End the agent; an order that it works on is given again later."""
        agent, self._agent, self._given = self._agent, None, None
        if agent is None or agent.poll() is not None:
            return
        agent.terminate()
        try:
            agent.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            agent.kill()
            agent.wait()

    def _say(self, text: str) -> None:
        if text != self.said:
            log.info("machine=appliance step=arbiter why=%s", text)
            self.said = text


def write(folder: Path, place: ArbiterPlace, key: AgentKey) -> None:
    """The files that the agent of an installed system has, too. Raises OSError."""
    if place.site is None:
        raise ValueError("an agent that is wanted is told where its appliance is")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    files.replace(folder / "agent.key", key.pem().encode("ascii"))
    files.replace(folder / "agent.pem", place.certificate.encode("ascii"))
    files.replace(folder / "order-key.pem", place.order_key.encode("ascii"))
    files.replace(folder / "site.json", encode(place.site))


class _Connection(http.client.HTTPConnection):
    """HTTP/1.1 over AF_UNIX."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("rackseed", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(path: Path, csr: str, timeout: float = 30.0) -> ArbiterPlace:
    """What the appliance behind the socket says. Raises `AskError`."""
    connection = _Connection(path, timeout)
    try:
        connection.request("POST", PATH, json.dumps({"csr": csr}), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise AskError(f"{answer.status} {body[:300].decode('utf-8', 'replace')}")
        return decode(ArbiterPlace, body)
    except (OSError, http.client.HTTPException, WireError) as error:
        raise AskError(f"{path}: {error}") from error
    finally:
        connection.close()
