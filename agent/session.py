"""The agent's life in both environments, as loops that only a `StopRequest` ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, TypeVar

from agent import clock
from agent.client import AgentClient, EnrolmentClient
from agent.console import Console
from agent.document import WireError, decode
from agent.enrolment import Credentials, Enrolment
from agent.errors import RefusedError, TransportError, UnauthorisedError
from agent.http import KEEP_SECONDS, Http, Kept
from agent.orders import Gate
from agent.patience import Patience
from agent.tls import mutual_context, read_secret, server_context
from agent.trust import AgentKey, new_nonce
from agent.wire import Inventory, Report, SiteBundle
from agent.work import Actions, Worker

T = TypeVar("T")

CONFIGURATION = Path("/etc/rackseed")
SITE_PAUSE = 10.0
REFUSED_PAUSE = 60.0
UNAUTHORISED_PAUSE = 3.0
SAME_CERTIFICATE_TRIES = 3
"""How often a refused certificate is tried again before the key is given up (and with it the approval)."""
WRONG_CLOCK = 60.0
"""Seconds by which an installed system's clock may be off before certificate dates are ignored."""


def read_site(path: Path, console: Console, patience: Patience) -> SiteBundle:
    """Waits until the file is there and whole: it may come on a second medium."""
    while True:
        try:
            return decode(SiteBundle, path.read_bytes())
        except (OSError, WireError) as error:
            console.line(f"no usable {path} (the appliance sends it as site.cpio): {error}")
            patience.sleep(SITE_PAUSE)


@dataclass(slots=True, kw_only=True)
class Session:
    """What both environments share: report, poll, work. ``inspect`` takes an inventory, ``permit`` is the install permit
    that the running system carries, ``fresh`` says that the inventory has something new worth an early report, ``keeps``
    that a connection may stay open while there is work."""

    site: SiteBundle
    console: Console
    patience: Patience
    inspect: Callable[[], Inventory]
    actions: Actions
    nonce: str = field(default_factory=new_nonce)
    permit: str = ""
    fresh: Callable[[], bool] = lambda: False
    keeps: bool = False
    offset: float = 0.0
    gate: Gate | None = None

    def enrolment_client(self, *, check_dates: bool) -> EnrolmentClient:
        return EnrolmentClient(
            http=Http(base_url=self.site.enrol_url, context=server_context(self.site.ca, check_dates=check_dates))
        )

    def ask_time(self, floor: float = 0.0) -> clock.Correction:
        """Blocks until the appliance has told the time."""
        client = self.enrolment_client(check_dates=False)
        while True:
            try:
                answer = clock.ask(client, floor)
            except TransportError as error:
                self.console.line(f"waiting for the appliance: {error}")
                self.patience.back_off()
            else:
                self.patience.reset()
                return answer

    def serve(self, credentials: Credentials, *, check_dates: bool = True) -> NoReturn:
        """Report, then poll and work. Raises `UnauthorisedError` when the certificate is not accepted (any more)."""
        context = mutual_context(self.site.ca, credentials.certificate, credentials.key, check_dates=check_dates)
        kept = Kept() if self.keeps else None
        client = AgentClient(http=Http(base_url=self.site.agent_url, context=context, kept=kept))
        self.gate = self.gate or Gate(machine=credentials.machine, nonce=self.nonce)
        self.gate.machine = credentials.machine or self.gate.machine
        worker = Worker(
            gate=self.gate,
            order_key=credentials.order_key,
            client=client,
            console=self.console,
            patience=self.patience,
            actions=self.actions,
        )
        try:
            self._serve(client, worker)
        finally:
            client.rest()

    def _serve(self, client: AgentClient, worker: Worker) -> NoReturn:
        due = 0.0
        while True:
            try:
                if time.monotonic() >= due or self.fresh():
                    due = time.monotonic() + self._report(client) * self.patience.scale
                poll = self._patiently(lambda: client.poll(self.nonce))
            except UnauthorisedError:
                raise
            except RefusedError as error:
                self.console.line(str(error))
                self.patience.sleep(REFUSED_PAUSE)
                continue
            if poll.order is not None:
                worker.work(poll.order)
            if poll.interval > KEEP_SECONDS / 2:
                client.rest()
            self.patience.interval(poll.interval)

    def _report(self, client: AgentClient) -> float:
        """Seconds until the next report."""
        report = Report(
            nonce=self.nonce, inventory=self.inspect(), permit=self.permit, clock_offset=round(self.offset, 3)
        )
        for failure in report.inventory.failures:
            self.console.line(f"probe {failure.probe}: {failure.message}")
        reply = self._patiently(lambda: client.report(report))
        if self.gate is not None:
            self.gate.machine = reply.machine
        self.console.line(f"reported to {self.site.agent_url} as {reply.machine}; waiting for orders")
        return reply.report_interval

    def _patiently(self, request: Callable[[], T]) -> T:
        """Until it was answered: a restarted appliance is waited for. Raises `RefusedError`."""
        while True:
            try:
                answer = request()
            except RefusedError:
                raise
            except TransportError as error:
                self.console.line(f"waiting for the appliance: {error}")
                self.patience.back_off()
            else:
                self.patience.reset()
                return answer


def run_image(session: Session, key: AgentKey, *, floor: float, set_clock: Callable[[float], None]) -> NoReturn:
    """The agent image: clock, inventory, enrolment, work; from enrolment on again when the certificate is refused."""
    corrected = session.ask_time(floor)
    if corrected.needed:
        set_clock(corrected.target)
    session.offset = corrected.offset
    session.console.line(corrected.text())
    enrolment = Enrolment(
        site=session.site,
        key=key,
        nonce=session.nonce,
        client=session.enrolment_client(check_dates=True),
        console=session.console,
        patience=session.patience,
    )
    refused, times = "", 0
    while True:
        credentials = enrolment.run(session.inspect(), session.offset)
        times = times + 1 if credentials.certificate == refused else 0
        if times >= SAME_CERTIFICATE_TRIES:
            session.console.line("the certificate stays refused: enrolling anew with another key")
            enrolment.key, times = AgentKey.generate(), 0
            continue
        try:
            session.serve(credentials)
        except UnauthorisedError as error:
            refused = credentials.certificate
            session.console.line(f"the certificate is not accepted, enrolling again: {error.detail}")
            session.patience.sleep(UNAUTHORISED_PAUSE * (times + 1))


def run_installed(session: Session, configuration: Path = CONFIGURATION) -> NoReturn:
    """The installed system: it has its certificate, sets no clock and enrols nowhere. A wrong clock is reported, and
    makes certificate dates meaningless until somebody sets it."""
    credentials = installed_credentials(configuration)
    while True:
        session.offset = session.ask_time().offset
        try:
            session.serve(credentials, check_dates=abs(session.offset) < WRONG_CLOCK)
        except UnauthorisedError as error:
            session.console.line(f"the certificate is not accepted; a person has to decide: {error.detail}")
            session.patience.sleep(REFUSED_PAUSE)


def installed_credentials(configuration: Path) -> Credentials:
    """Raises OSError when a file is missing or the key could be read by others."""
    return Credentials(
        machine="",
        certificate=(configuration / "agent.pem").read_text(encoding="ascii"),
        key=read_secret(configuration / "agent.key"),
        order_key=(configuration / "order-key.pem").read_text(encoding="ascii"),
    )
