"""gunicorn with threads, configured in code: one listener per process, TLS ≥ 1.2, nothing that is read from files.

gunicorn asks for an SSL context for every connection through its ``ssl_context`` hook; `TlsWrapper` answers with one that
is made once per certificate file, sets timeouts, and leaves connections of the Unix socket as they are.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication

from appliance.serve import lifeline

SLOW_SECONDS = 30
"""A peer that sends or takes nothing for so long has lost its thread."""

WsgiApplication = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Files of a TLS listener. With ``client_ca`` only clients with a certificate of that authority get in."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """What to listen on. ``make`` builds the WSGI application, after the fork and so with its own connections."""

    name: str
    bind: tuple[str, ...]
    make: Callable[[], WsgiApplication]
    threads: int
    tls: Tls | None = None


class TlsWrapper:
    """Stands where gunicorn expects an ``ssl.SSLContext``. Reads the certificate again when its file was replaced."""

    def __init__(self, tls: Tls) -> None:
        self.tls = tls
        self._lock = threading.Lock()
        self._made: tuple[tuple[float, ...], ssl.SSLContext] | None = None

    def context(self) -> ssl.SSLContext:
        """The context for the files as they are now."""
        files = [self.tls.certificate, self.tls.key, *([self.tls.client_ca] if self.tls.client_ca else [])]
        stamp = tuple(path.stat().st_mtime for path in files)
        with self._lock:
            if self._made is None or self._made[0] != stamp:
                self._made = (stamp, make_context(self.tls))
            return self._made[1]

    def wrap_socket(self, connection: socket.socket, **_options: Any) -> socket.socket:
        """TLS for TCP, and the connection itself for AF_UNIX: there the kernel vouches for the peer."""
        if connection.family == socket.AF_UNIX:
            return connection
        return self.context().wrap_socket(connection, server_side=True)


def make_context(tls: Tls) -> ssl.SSLContext:
    """TLS 1.2 or later. A client's certificate, where one is asked for, must be for client authentication (OpenSSL looks
    at its extended key usage), so the appliance's own server certificate opens no agent API."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls.certificate, tls.key)
    if tls.client_ca is not None:
        context.load_verify_locations(tls.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


class Server(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    """One listener as gunicorn sees it."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        super().__init__()

    def load_config(self) -> None:
        for name, value in options(self.listener).items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> WsgiApplication:
        return self.listener.make()


def options(listener: Listener) -> dict[str, Any]:
    """gunicorn's settings. Nobody's X-Forwarded-* is believed; the control socket of newer versions stays off."""
    chosen: dict[str, Any] = {
        "bind": list(listener.bind),
        "workers": 1,
        "worker_class": "gthread",
        "threads": listener.threads,
        "worker_connections": 1000,
        "timeout": 120,
        "graceful_timeout": 3,
        "keepalive": 15,
        "do_handshake_on_connect": True,  # else gunicorn shakes hands by itself, also on the Unix socket
        "umask": 0o077,
        "proc_name": f"rackseed-{listener.name}",
        "forwarded_allow_ips": "",
        "proxy_allow_ips": "",
        "limit_request_line": 4094,
        "limit_request_fields": 50,
        "control_socket_disable": True,
        "accesslog": None,
        "errorlog": "-",
        "loglevel": "warning",
        "when_ready": _bound,
        "post_fork": _forked,
    }
    if listener.tls is not None:
        wrapper = TlsWrapper(listener.tls)
        chosen |= {
            "certfile": str(listener.tls.certificate),
            "keyfile": str(listener.tls.key),
            "ssl_context": lambda _config, _default: wrapper,
        }
    return chosen


def run(listener: Listener) -> None:
    """Serve until SIGTERM. Raises `SystemExit` when the address can't be had (gunicorn says which and why)."""
    sys.argv = sys.argv[:1]
    os.environ.pop("GUNICORN_CMD_ARGS", None)
    Server(listener).run()


def peer_uid(connection: socket.socket) -> int | None:
    """User id of the process at the other end of a Unix socket (SO_PEERCRED, unix(7)); None for other sockets."""
    if connection.family != socket.AF_UNIX:
        return None
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", raw)[1])


def _bound(arbiter: Any) -> None:
    """Accepted connections inherit these from the listening socket (Linux), so one place covers TLS and plain HTTP."""
    pause = struct.pack("ll", SLOW_SECONDS, 0)
    for listening in arbiter.LISTENERS:
        listening.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, pause)
        listening.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, pause)
        if listening.sock.family == socket.AF_INET:
            # A connection comes to us with its first bytes: one that says nothing costs no thread (tcp(7)).
            listening.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, SLOW_SECONDS)


def _forked(_arbiter: Any, _worker: Any) -> None:
    """The worker must not outlive the arbiter, whoever kills that."""
    lifeline.die_with(os.getppid())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
