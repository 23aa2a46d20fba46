"""The connection that a machine keeps while it is worked on: used again, and never in the way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agent import http as module
from agent.errors import RefusedError, UnavailableError
from agent.http import Http, Kept


@dataclass
class Server:
    """``connections`` are the ports of its clients, one for each request; ``leave``: it closes after so many answers."""

    connections: list[int] = field(default_factory=list)
    leave: int = 1000
    status: int = 200
    url: str = ""


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            state.connections.append(self.client_address[1])
            data = b"{}"
            self.send_response(state.status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            if state.connections.count(self.client_address[1]) >= state.leave:
                self.close_connection = True

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None: ...

    listening = Quiet(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield state
    listening.shutdown()
    listening.server_close()


@pytest.fixture
def kept() -> Iterator[Kept]:
    made = Kept()
    yield made
    made.close()


def test_without_keeping_each_request_has_its_own_connection(server: Server) -> None:
    client = Http(base_url=server.url)
    assert [client.request("GET", "/") for _ in range(3)] == [b"{}"] * 3
    assert len(set(server.connections)) == 3


def test_one_connection_serves_many_requests_also_refused_ones(server: Server, kept: Kept) -> None:
    client = Http(base_url=server.url, kept=kept)
    client.request("GET", "/")
    server.status = 409
    with pytest.raises(RefusedError):
        client.request("GET", "/")
    server.status = 503
    with pytest.raises(UnavailableError):
        client.request("GET", "/")
    server.status = 200
    client.request("GET", "/")
    assert len(server.connections) == 4
    assert len(set(server.connections)) == 1


def test_a_connection_that_the_other_end_has_closed_costs_nothing_but_a_new_one(server: Server, kept: Kept) -> None:
    server.leave = 2
    client = Http(base_url=server.url, kept=kept)
    for _ in range(6):
        client.request("GET", "/")
    assert len(server.connections) == 6
    assert len(set(server.connections)) == 3


def test_a_connection_is_not_kept_for_long(server: Server, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_SECONDS", 0.0)
    client = Http(base_url=server.url, kept=kept)
    client.request("GET", "/")
    client.request("GET", "/")
    assert len(set(server.connections)) == 2


def test_a_rest_closes_it(server: Server, kept: Kept) -> None:
    client = Http(base_url=server.url, kept=kept)
    client.request("GET", "/")
    kept.close()
    assert kept.connection is None
    client.request("GET", "/")
    assert len(set(server.connections)) == 2


def test_nobody_there_is_said_once(kept: Kept) -> None:
    client = Http(base_url="http://127.0.0.1:1", kept=kept, timeout=5)
    with pytest.raises(UnavailableError):
        client.request("GET", "/")
