"""A way for a browser on this computer into the rack: 127.0.0.1 outside, the appliance's HTTPS port inside.

A thread that entered the namespace keeps it; sockets made by it live there, and may be used from anywhere.
"""

from __future__ import annotations

import contextlib
import socket
import threading

from pyroute2 import netns

from appliance.rehearsal.errors import NamespaceError


class Forwarder:
    """Copies bytes of each connection to ``target`` (address and port inside the namespace), both ways."""

    def __init__(self, namespace: str, target: tuple[str, int], port: int = 0) -> None:
        self._namespace = namespace
        self._target = target
        self._closed = threading.Event()
        try:
            self._listener = socket.create_server(("127.0.0.1", port))
        except OSError as error:
            raise NamespaceError(f"port {port} of 127.0.0.1 is taken: {error.strerror}") from error
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="forwarder", daemon=True).start()

    def close(self) -> None:
        """Take no more connections; open ones end with the namespace."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                outside, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(outside,), daemon=True).start()

    def _serve(self, outside: socket.socket) -> None:
        with outside:
            try:
                netns.setns(self._namespace)
                inside = socket.create_connection(self._target, timeout=10)
            except OSError:
                return  # the appliance is down just now; the browser says so
            with inside:
                inside.settimeout(None)
                back = threading.Thread(target=_copy, args=(inside, outside), daemon=True)
                back.start()
                _copy(outside, inside)
                back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
