"""What can go wrong in the agent.

::

    AgentError
    ├── CommandError               a process failed (run.py)
    ├── TransportError             talking to the appliance (http.py)
    │   ├── UnavailableError       not now: refused connection, time-out, 5xx, half an answer; try again
    │   ├── UntrustedError         the server's certificate is not signed by the site's CA
    │   └── RefusedError           a 4xx answer, with the appliance's reason
    │       └── UnauthorisedError 401/403: the certificate is not (or no longer) accepted
    ├── OrderRefusedError          an order that this agent must not carry out (orders.py)
    ├── OrderWithdrawnError        the appliance no longer wants what we are doing (progress.py)
    ├── DiskRefusedError           the disk guard says no (act/guard.py, act/disk.py)
    ├── InstallError               the install failed after it began (act/)
    │   └── ImageError             the root image could not be fetched, verified or unpacked
    └── CephError                  an order for Ceph could not be carried out (act/ceph*.py)
        └── CephAnswerError        a monitor said no; carries the answers up to there
"""

from __future__ import annotations

from agent.cephorder import MonAnswer


class AgentError(Exception):
    """The message says what happened and what to do about it."""


class TransportError(AgentError):
    """Talking to the appliance failed."""


class UnavailableError(TransportError):
    """The appliance did not answer, or not in full. Trying again is safe and right."""


class UntrustedError(TransportError):
    """The server is not who the site's CA says it is. Trying again only helps when the network was wrong."""


class RefusedError(TransportError):
    """The appliance understood and said no. ``status`` is the HTTP status, ``detail`` its reason."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"the appliance refused ({status}): {detail}")
        self.status = status
        self.detail = detail


class UnauthorisedError(RefusedError):
    """The appliance does not accept this machine's certificate."""


class OrderRefusedError(AgentError):
    """The order must not be carried out here and now."""


class OrderWithdrawnError(AgentError):
    """The appliance no longer wants this order done: stop where we are."""


class DiskRefusedError(AgentError):
    """No disk of this machine may be written for this order."""


class InstallError(AgentError):
    """An install that had begun could not go on. Starting it again is safe."""


class ImageError(InstallError):
    """The root image could not be fetched, verified or unpacked."""


class CephError(AgentError):
    """An order for Ceph could not be carried out. The same order again is safe, and goes on where it stopped."""


class CephAnswerError(CephError):
    """A command to the monitors failed. ``answers`` (`agent.cephorder.MonAnswer`) are all up to and with that one."""

    def __init__(self, message: str, answers: tuple[MonAnswer, ...]) -> None:
        super().__init__(message)
        self.answers = answers
