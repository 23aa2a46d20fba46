"""From a fresh key to a certificate: ask, show the code, wait until a person or a rule approves."""

from __future__ import annotations

from dataclasses import dataclass

from agent.client import EnrolmentClient
from agent.console import Console
from agent.errors import RefusedError, TransportError
from agent.patience import Patience
from agent.trust import AgentKey, console_code
from agent.wire import EnrolmentReply, EnrolmentRequest, EnrolmentState, Inventory, SiteBundle

EXPLANATION = "Approve this machine by typing this code on the appliance (rackseed machine approve)."
REFUSED_PAUSE = 30.0
NOT_FOUND = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What an approved machine works with. ``machine`` is its id at the appliance; the rest is PEM."""

    machine: str
    certificate: str
    key: str
    order_key: str


@dataclass(slots=True, kw_only=True)
class Enrolment:
    """One key's way to its certificate. `run` may be called again when the certificate is refused later."""

    site: SiteBundle
    key: AgentKey
    nonce: str
    client: EnrolmentClient
    console: Console
    patience: Patience

    def run(self, inventory: Inventory, offset: float) -> Credentials:
        """Blocks until approved. Lost connections, a restarted or a reinstalled appliance are waited for."""
        name = inventory.board.system_serial or inventory.board.serial or inventory.hostname
        request = EnrolmentRequest(
            csr=self.key.csr(name), nonce=self.nonce, clock_offset=round(offset, 3), inventory=inventory
        )
        reply: EnrolmentReply | None = None
        shown = False
        while True:
            try:
                reply = self.client.state(reply.token) if reply else self.client.enrol(request)
            except RefusedError as error:
                lost = reply is not None and error.status == NOT_FOUND
                self.console.line("the appliance forgot us: enrolling again" if lost else str(error))
                reply = None
                self.patience.sleep(0 if lost else REFUSED_PAUSE)
                continue
            except TransportError as error:
                self.console.line(f"waiting for the appliance: {error}")
                self.patience.back_off()
                continue
            self.patience.reset()
            if reply.state is EnrolmentState.APPROVED and reply.certificate:
                self.console.line(f"approved as machine {reply.machine}")
                return Credentials(
                    machine=reply.machine,
                    certificate=reply.certificate,
                    key=self.key.pem(),
                    order_key=reply.order_key,
                )
            self._tell(reply, again=shown)
            shown = True
            self.patience.interval(reply.interval)

    def _tell(self, reply: EnrolmentReply, *, again: bool) -> None:
        if not again:
            self.console.code(console_code(self.key, self.site.ca), EXPLANATION)
        if reply.state is EnrolmentState.REFUSED:
            self.console.line(f"enrolment refused: {reply.reason or 'no reason given'}")
        else:
            self.console.line(f"enrolled, waiting for approval{': ' if reply.reason else ''}{reply.reason}")
