"""Carrying out orders: verified, admitted, done once, and answered with a last word."""

from __future__ import annotations

import base64
import contextlib
import sys
import traceback
from dataclasses import dataclass
from typing import Protocol

from agent import wire
from agent.client import AgentClient
from agent.console import Console
from agent.document import WireError, decode
from agent.errors import (
    AgentError,
    CephAnswerError,
    DiskRefusedError,
    OrderRefusedError,
    TransportError,
    UnauthorisedError,
)
from agent.orders import Gate, verify
from agent.patience import Patience, StopRequest
from agent.progress import Reporter

REBOOTS = frozenset({wire.OrderKind.INSTALL, wire.OrderKind.REBOOT})
"""Orders that end in a new boot. A machine of Ceph keeps running."""


class Actions(Protocol):
    """What this environment can do; `agent.act.actions` on machines."""

    def install(
        self, order: wire.Order, body: wire.InstallOrder, client: AgentClient, reporter: Reporter, order_key: str
    ) -> str:
        """Returns the message of success. Raises `OrderRefusedError`, `DiskRefusedError`, `AgentError`, OSError."""
        ...

    def prepare_reboot(self, body: wire.RebootOrder) -> str:
        """What must happen before; returns the message."""
        ...

    def ceph(
        self, order: wire.Order, body: wire.CephOrder, client: AgentClient, reporter: Reporter
    ) -> tuple[str, tuple[wire.MonAnswer, ...]]:
        """Returns the message of success and the monitors' answers. Raises like `install`."""
        ...

    def reboot(self) -> None:
        """Does not return on a machine."""
        ...


@dataclass(slots=True, kw_only=True)
class Worker:
    """Of one approved machine, one run of the agent."""

    gate: Gate
    order_key: str
    client: AgentClient
    console: Console
    patience: Patience
    actions: Actions

    def work(self, signed: wire.SignedOrder) -> None:
        """Raises `UnauthorisedError` when the certificate is no longer accepted; anything else ends as a last word."""
        try:
            order = verify(signed, self.order_key)
            done = self.gate.finished.get(order.id)
            if done is None:
                self.gate.admit(order)
        except OrderRefusedError as error:
            self._refuse(signed, str(error))
            return
        reporter = Reporter(order=order, client=self.client, console=self.console, patience=self.patience)
        if done is not None:
            reporter.deliver(done)
            return
        self.console.line(f"order={order.id} step={order.step} kind={order.kind} why=signed for this boot")
        with reporter.beating():
            last = self._perform(order, reporter)
        self.gate.finished[order.id] = last
        self.console.line(f"order={order.id} {last.state}: {last.message}")
        if reporter.deliver(last) and last.state is wire.ProgressState.DONE and order.kind in REBOOTS:
            self.actions.reboot()

    def _perform(self, order: wire.Order, reporter: Reporter) -> wire.Progress:
        answers: tuple[wire.MonAnswer, ...] = ()
        try:
            if order.ceph is not None:
                message, answers = self.actions.ceph(order, order.ceph, self.client, reporter)
            elif order.install is not None:
                message = self.actions.install(order, order.install, self.client, reporter, self.order_key)
            else:
                message = self.actions.prepare_reboot(order.reboot or wire.RebootOrder())
        except (UnauthorisedError, StopRequest):
            raise
        except (OrderRefusedError, DiskRefusedError) as error:
            return reporter.last(wire.ProgressState.REFUSED, str(error))
        except CephAnswerError as error:
            return reporter.last(wire.ProgressState.FAILED, str(error), error.answers)
        except AgentError as error:
            return reporter.last(wire.ProgressState.FAILED, str(error))
        except OSError as error:
            return reporter.last(wire.ProgressState.FAILED, f"{reporter.stage or 'start'}: {error}")
        except Exception as error:  # a bug of ours ends this order, not the agent
            traceback.print_exc(file=sys.stderr)
            return reporter.last(wire.ProgressState.FAILED, f"internal error: {type(error).__name__}: {error}")
        return reporter.last(wire.ProgressState.DONE, message, answers)

    def _refuse(self, signed: wire.SignedOrder, reason: str) -> None:
        """Say no. The id is read without trusting it: it only goes back to the appliance that sent it."""
        self.console.line(f"order refused: {reason}")
        try:
            order = decode(wire.Order, base64.b64decode(signed.payload))
        except (WireError, ValueError):
            return
        answer = wire.Progress(order=order.id, fence=order.fence, state=wire.ProgressState.REFUSED, message=reason)
        with contextlib.suppress(TransportError):
            self.client.progress(answer)
