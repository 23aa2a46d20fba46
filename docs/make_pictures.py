"""Pictures of the pages of a running appliance, by headless Chromium: ``python docs/make_pictures.py STATE [OUTPUT]``.

Run it while `rackseed demo --keep` waits; STATE is the folder ``state`` below the demo's. The picture of the terminal is
made by the demo itself (``rackseed demo --picture docs/pictures/demo.svg``). Chromium sees the pages through a small proxy
to the appliance's Unix socket, where the kernel vouches for who asks; the stream of events is left out, as it never ends.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from appliance.rehearsal.local_api import get

PAGES = Path(__file__).resolve().parent / "pictures"
KEPT = ("content-type", "location", "cache-control")


class Proxy(BaseHTTPRequestHandler):
    """GET only; ``server.state`` is the appliance's socket."""

    def do_GET(self) -> None:
        if "text/event-stream" in self.headers.get("Accept", ""):
            self.send_response(204)
            self.end_headers()
            return
        status, headers, body = fetch(self.server.appliance, self.path)  # type: ignore[attr-defined]
        self.send_response(status)
        for name, value in headers:
            if name.lower() in KEPT:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:
        """Silent."""


def fetch(path: Path, resource: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """One GET over the Unix socket."""
    connection = http.client.HTTPConnection("localhost", timeout=30)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.connect(str(path))
    connection.request("GET", resource)
    answer = connection.getresponse()
    result = (answer.status, answer.getheaders(), answer.read())
    connection.close()
    return result


def photograph(url: str, target: Path, height: int) -> None:
    """One page as PNG."""
    with tempfile.TemporaryDirectory() as profile:
        argv = [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--force-device-scale-factor=1",
        ]
        argv += [f"--user-data-dir={profile}", f"--window-size=1280,{height}", "--virtual-time-budget=4000"]
        subprocess.run([*argv, f"--screenshot={target}", url], check=True, capture_output=True, timeout=180)
    print(target)


def main() -> None:
    state = Path(sys.argv[1])
    output = Path(sys.argv[2]) if len(sys.argv) > 2 else PAGES
    output.mkdir(parents=True, exist_ok=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.appliance = state / "run" / "api.sock"  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    machines = get(state / "run" / "api.sock", "machines")["machines"]
    plans = get(state / "run" / "api.sock", "plans")["plans"]
    named = {item["name"]: item["id"] for item in machines}
    print(json.dumps(named))
    photograph(f"{url}/machines", output / "machines.png", 620)
    photograph(f"{url}/machines/{named['n3']}", output / "machine.png", 1500)
    accepted = next(plan for plan in plans if plan["steps"] or plan["state"] != "draft") if plans else None
    if accepted:
        photograph(f"{url}/plans/{accepted['hash']}", output / "plan.png", 1300)


if __name__ == "__main__":
    main()
