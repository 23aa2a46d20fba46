"""The appliance as the agent sees it: one method per request, `agent.wire` types in and out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

from agent import wire
from agent.document import WireError, decode, encode
from agent.errors import UnavailableError
from agent.http import Http

T = TypeVar("T")


def _decoded(type_: type[T], raw: bytes) -> T:
    """An answer that does not fit is taken for half an answer: asking again is safe."""
    try:
        return decode(type_, raw)
    except WireError as error:
        raise UnavailableError(f"the answer is not a {type_.__name__}: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentClient:
    """Before approval: only the appliance proves who it is."""

    http: Http

    def time(self) -> float:
        """The appliance's clock, in seconds since the epoch."""
        return _decoded(wire.TimeReply, self.http.request("GET", "/api/v1/time")).time

    def enrol(self, request: wire.EnrolmentRequest) -> wire.EnrolmentReply:
        return _decoded(wire.EnrolmentReply, self.http.request("POST", "/api/v1/enrolments", encode(request)))

    def state(self, token: str) -> wire.EnrolmentReply:
        path = f"/api/v1/enrolments/{quote(token, safe='')}"
        return _decoded(wire.EnrolmentReply, self.http.request("GET", path))


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentClient:
    """After approval: mutual TLS. Every request may be repeated; the appliance takes a repetition for the same one."""

    http: Http

    def rest(self) -> None:
        """Nothing is asked for a while: no connection stays."""
        if self.http.kept is not None:
            self.http.kept.close()

    def report(self, report: wire.Report) -> wire.ReportReply:
        return _decoded(wire.ReportReply, self.http.request("POST", "/agent/v1/report", encode(report)))

    def poll(self, nonce: str) -> wire.Poll:
        return _decoded(wire.Poll, self.http.request("GET", f"/agent/v1/order?nonce={quote(nonce, safe='')}"))

    def progress(self, progress: wire.Progress) -> None:
        self.http.request("POST", "/agent/v1/progress", encode(progress))

    def claim(self, permit: str, claim: wire.PermitClaim) -> None:
        """Returns when granted; `RefusedError` means: do not write."""
        self.http.request("POST", f"/agent/v1/permits/{quote(permit, safe='')}/claim", encode(claim))

    def certify(self, request: wire.CertificateRequest) -> str:
        """Certificate (PEM) for the key of the installed system."""
        answer = self.http.request("POST", "/agent/v1/certificate", encode(request))
        return _decoded(wire.CertificateReply, answer).certificate

    def secret(self, name: str, order: str) -> str:
        """A secret that the active order ``order`` names. `RefusedError` when it names no such one (any more)."""
        path = f"/agent/v1/secrets/{quote(name, safe='')}?order={quote(order, safe='')}"
        return _decoded(wire.SecretReply, self.http.request("GET", path)).secret
