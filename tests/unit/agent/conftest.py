"""A fake appliance over real TLS: it answers like the product, and fails on demand."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from agent import wire
from agent.act import cephconfigure, cephfiles
from appliance.effects.authority import Authority
from appliance.effects.clock import SystemClock

MACHINE = "m1"
TOKEN = "token-1"


@dataclass
class FakeAppliance:
    """``faults`` are consumed one per request: ``drop``, ``half``, ``503``, or an HTTP status to refuse with."""

    authority: Authority
    approve_after: int = 0
    time: float | None = None
    faults: list[str] = field(default_factory=list)
    refuse_certificates: int = 0
    claims: list[str] = field(default_factory=list)
    claim_status: int = 200
    orders: list[wire.SignedOrder] = field(default_factory=list)
    enrolments: list[wire.EnrolmentRequest] = field(default_factory=list)
    reports: list[wire.Report] = field(default_factory=list)
    progress: list[wire.Progress] = field(default_factory=list)
    nonces: list[str] = field(default_factory=list)
    progress_status: int = 204
    certified: list[wire.CertificateRequest] = field(default_factory=list)
    asked: int = 0
    forget: bool = False
    seen: list[str] = field(default_factory=list)
    enrol_url: str = ""
    agent_url: str = ""
    public_url: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    serve_blob: Callable[[Any, bytes], None] | None = None

    def site(self) -> wire.SiteBundle:
        return wire.SiteBundle(
            enrol_url=self.enrol_url, agent_url=self.agent_url, public_url=self.public_url, ca=self.authority.ca_pem
        )

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        name = path.split("?", maxsplit=1)[0]
        self.seen.append(f"{method} {name}")
        if name == "/api/v1/time":
            now = self.authority.clock.now() if self.time is None else self.time
            return 200, wire.TimeReply(time=now)
        if name == "/api/v1/enrolments":
            self.enrolments.append(wire.decode(wire.EnrolmentRequest, body))
            return 201, self._state()
        if name.startswith("/api/v1/enrolments/"):
            if self.forget:
                self.forget = False
                return 404, {"title": "Not found", "status": 404, "detail": "no such enrolment"}
            self.asked += 1
            return 200, self._state()
        return self._agent(name, path, body)

    def _agent(self, name: str, path: str, body: bytes) -> tuple[int, Any]:
        if self.refuse_certificates:
            self.refuse_certificates -= 1
            return 403, {"title": "Forbidden", "status": 403, "detail": "this certificate is not accepted any more"}
        if name == "/agent/v1/report":
            self.reports.append(wire.decode(wire.Report, body))
            return 200, wire.ReportReply(machine=MACHINE, interval=0.2, report_interval=3600)
        if name == "/agent/v1/order":
            self.nonces.append(path.partition("nonce=")[2])
            return 200, wire.Poll(interval=0.2, order=self.orders[0] if self.orders else None)
        if name == "/agent/v1/progress":
            self.progress.append(wire.decode(wire.Progress, body))
            last = self.progress[-1]
            if last.state is not wire.ProgressState.RUNNING and self.progress_status < 300:
                self.orders = self.orders[1:]
            return self.progress_status, {"detail": "the order is void"}
        if name.endswith("/claim"):
            self.claims.append(name.split("/")[-2])
            return self.claim_status, {"detail": "the permit was spent"}
        if name == "/agent/v1/certificate":
            request = wire.decode(wire.CertificateRequest, body)
            self.certified.append(request)
            issued = self.authority.issue(request.csr, machine=MACHINE, environment="installed")
            return 200, wire.CertificateReply(certificate=issued.pem)
        return 404, {"detail": name}

    def _state(self) -> wire.EnrolmentReply:
        reply = wire.EnrolmentReply(token=TOKEN, state=wire.EnrolmentState.PENDING, interval=0.2)
        if self.asked < self.approve_after:
            return reply
        issued = self.authority.issue(self.enrolments[-1].csr, machine=MACHINE, environment="image")
        return replace(
            reply,
            state=wire.EnrolmentState.APPROVED,
            machine=MACHINE,
            certificate=issued.pem,
            order_key=self.authority.order_key_pem,
        )


def handler(appliance: FakeAppliance) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            if name in appliance.blobs and appliance.serve_blob:
                appliance.serve_blob(self, appliance.blobs[name])
            else:
                self.respond(b"")

        def do_POST(self) -> None:
            self.respond(self.rfile.read(int(self.headers["Content-Length"])))

        def respond(self, body: bytes) -> None:
            fault = appliance.faults.pop(0) if appliance.faults else ""
            if fault == "drop":
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if fault.isdigit():
                status, value = int(fault), {"detail": "on demand", "errors": [{"at": "x", "message": "why"}]}
            else:
                status, value = appliance.answer(self.command, self.path, body)
            data = json.dumps(value).encode() if isinstance(value, dict) else wire.encode(value)
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if fault == "half" else data)

    return Handler


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None: ...

    def shutdown_request(self, request: Any) -> None:
        request.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.open(tmp_path_factory.mktemp("authority"), SystemClock(), "127.0.0.1")


@pytest.fixture
def appliance(authority: Authority) -> Iterator[FakeAppliance]:
    fake = FakeAppliance(authority=authority)
    servers = []
    for mutual in (False, True, None):
        server = QuietServer(("127.0.0.1", 0), handler(fake))
        scheme = "http"
        if mutual is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(authority.server_certificate_path, authority.server_key_path)
            if mutual:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(authority.ca_path)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            scheme = "https"
        url = f"{scheme}://127.0.0.1:{server.server_port}"
        if mutual is None:
            fake.public_url = url
        elif mutual:
            fake.agent_url = url
        else:
            fake.enrol_url = url
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
    yield fake
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def inventory() -> wire.Inventory:
    return wire.Inventory(
        environment=wire.Environment.IMAGE,
        architecture="x86_64",
        firmware=wire.Firmware.UEFI,
        memory=wire.Memory(total=2**30),
        board=wire.Board(system_serial="S1"),
    )


class Lines:
    """A console sink that remembers."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def fake_root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ceph's folders below a temporary one, owned by whoever runs the test."""
    for name in ("ETC", "LIB", "RUN"):
        monkeypatch.setattr(cephfiles, name, tmp_path / name.lower())
    monkeypatch.setattr(cephfiles, "CONF", tmp_path / "etc/ceph.conf")
    monkeypatch.setattr(cephfiles, "ADMIN", tmp_path / "etc/ceph.client.admin.keyring")
    monkeypatch.setattr(cephfiles, "BOOTSTRAP", tmp_path / "lib/bootstrap-osd/ceph.keyring")
    monkeypatch.setattr(cephfiles, "NOTES", tmp_path / "lib/rackseed")
    me = cephfiles.Owner(uid=os.getuid(), gid=os.getgid())
    monkeypatch.setattr(cephfiles, "owner_of", lambda name: me)
    monkeypatch.setattr(cephfiles, "need_programs", list)
    monkeypatch.setattr(cephconfigure, "raise_limits", lambda: "")
    return tmp_path
