"""Whom the agent believes, with a right clock and with a wrong one."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.client import EnrolmentClient
from agent.errors import UnauthorisedError, UnavailableError, UntrustedError
from agent.http import Http
from agent.tls import mutual_context, server_context
from agent.trust import AgentKey
from appliance.effects.authority import Authority
from appliance.effects.clock import FakeClock

YEAR_2000 = 946_684_800.0
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"time": 5.0'


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Keys made in 2000: their certificates have ended long ago (or, seen from there, ours are not valid yet)."""
    return Authority.open(tmp_path_factory.mktemp("old"), FakeClock(YEAR_2000), "127.0.0.1")


@contextmanager
def server(context: ssl.SSLContext, answer: bytes = ANSWER + b"}", host: str = "127.0.0.1") -> Iterator[str]:
    """Answers every connection with the same bytes."""
    with socket.create_server((host, 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    raw, _ = listener.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(raw, server_side=True) as secure:
                        secure.recv(4096)
                        secure.sendall(answer)
                except OSError:
                    raw.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://{host}:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def of(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.server_certificate_path, authority.server_key_path)
    return context


def ask(url: str, context: ssl.SSLContext) -> float:
    return EnrolmentClient(http=Http(base_url=url, context=context, timeout=5)).time()


def test_dates_are_ignored_only_when_said(old: Authority) -> None:
    with server(of(old)) as url:
        assert ask(url, server_context(old.ca_pem, check_dates=False)) == 5.0
        with pytest.raises(UntrustedError, match="expired"):
            ask(url, server_context(old.ca_pem))


def test_ignoring_dates_is_not_ignoring_the_authority(old: Authority, authority: Authority) -> None:
    with server(of(old)) as url, pytest.raises(UntrustedError, match="not the appliance of this site"):
        ask(url, server_context(authority.ca_pem, check_dates=False))


def test_a_machine_can_not_pose_as_the_appliance(authority: Authority, tmp_path: Path) -> None:
    """Its certificate comes from the right CA, but not for serving."""
    key = AgentKey.generate()
    (tmp_path / "chain.pem").write_text(
        key.pem() + authority.issue(key.csr("127.0.0.1"), machine="m1", environment="image").pem
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "chain.pem")
    with server(context) as url, pytest.raises(UntrustedError):
        ask(url, server_context(authority.ca_pem, check_dates=False))


def test_another_address_is_refused(authority: Authority) -> None:
    with server(of(authority), host="127.0.0.2") as url, pytest.raises(UntrustedError, match=r"mismatch"):
        ask(url, server_context(authority.ca_pem))


def test_a_certificate_that_tls_refuses_is_unauthorised(authority: Authority, old: Authority) -> None:
    context = of(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca_path)
    key = AgentKey.generate()
    foreign = old.issue(key.csr("x"), machine="m1", environment="image").pem
    with server(context) as url, pytest.raises((UnauthorisedError, UnavailableError)):
        ask(url, mutual_context(authority.ca_pem, foreign, key.pem()))


@pytest.mark.parametrize("length", [0, 10, 40, len(ANSWER)])
def test_half_answers_are_unavailable(authority: Authority, length: int) -> None:
    with server(of(authority), ANSWER[:length]) as url, pytest.raises(UnavailableError):
        ask(url, server_context(authority.ca_pem))


def test_the_key_leaves_no_file_and_no_descriptor(authority: Authority) -> None:
    key = AgentKey.generate()
    pem = authority.issue(key.csr("x"), machine="m1", environment="image").pem
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    mutual_context(authority.ca_pem, pem, key.pem())
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    assert "PRIVATE" not in repr(key)
