"""Processor time per gigabyte over plain HTTP: our listener, whole as it ships, against nginx with sendfile, one file,
same client, same run. Our server looks the file up in the store for every request and writes down each download."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

import psutil

from appliance.model.settings import Settings
from appliance.operations import artefacts
from appliance.operations.context import Appliance
from bench.row import Row

SIZE = 64 << 20
ROUNDS = 24  # 1.5 GiB in each round of each server
REPEATS = 3  # the quietest of them counts
SMALL, SMALL_REQUESTS = 1024, 300

NGINX = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; root {folder}/files; }}
}}
"""


def run() -> list[Row]:
    """Two rows: a large file by volume, a small one by request."""
    with tempfile.TemporaryDirectory(prefix="rackseed-bench-") as name:
        folder = Path(name)
        (folder / "files").mkdir()
        large, small = folder / "files" / "large", folder / "files" / "small"
        large.write_bytes(os.urandom(1 << 20) * (SIZE >> 20))
        small.write_bytes(b"x" * SMALL)
        with ours(folder, large, small) as (our_process, our_urls), nginx(folder) as (their_process, their_urls):
            volume = SIZE * ROUNDS / 1e9
            for urls in (our_urls, their_urls):
                download(urls["large"], 1)
            best = {"ours": float("inf"), "nginx": float("inf")}
            for _ in range(REPEATS):
                best["ours"] = min(best["ours"], spent(our_process, our_urls["large"], ROUNDS) / volume)
                best["nginx"] = min(best["nginx"], spent(their_process, their_urls["large"], ROUNDS) / volume)
            each = {
                "ours": spent(our_process, our_urls["small"], SMALL_REQUESTS) / SMALL_REQUESTS * 1e3,
                "nginx": spent(their_process, their_urls["small"], SMALL_REQUESTS) / SMALL_REQUESTS * 1e3,
            }
    return [
        row("CPU per GB, one 64 MiB file", "s/GB", best, "ours also looks the file up and writes down the download"),
        row("CPU per request of a 1 KiB file", "ms", each, "a machine fetches four files per boot"),
    ]


def row(what: str, unit: str, figures: dict[str, float], note: str) -> Row:
    """One line of the table."""
    return Row(
        section="http",
        what=what,
        unit=unit,
        ours=figures["ours"],
        against="nginx",
        reference=figures["nginx"],
        better="lower",
        note=note,
    )


@contextmanager
def ours(folder: Path, large: Path, small: Path) -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    """`rackseed serve http` with both files registered."""
    settings = Settings(state=folder / "state", cache=folder / "cache", address=IPv4Address("127.0.0.1"))
    appliance = Appliance.open(settings)
    urls, port = {}, free_port()
    for path in (large, small):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        artefacts.register(appliance, "loader", path.name, path, sha256=digest, size=path.stat().st_size)
        urls[path.name] = f"http://127.0.0.1:{port}/artefacts/{digest}/{path.name}"
    appliance.close()
    argv = [sys.executable, "-m", "appliance.cli.main", "serve", "http", "--address", "127.0.0.1"]
    argv += ["--state", str(settings.state), "--cache", str(settings.cache), "--http-port", str(port)]
    with serving(argv, port) as process:
        yield process, urls


@contextmanager
def nginx(folder: Path) -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    """nginx on the same files."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise RuntimeError("nginx is not installed: tests/packages.sh bench")
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    with serving([program, "-p", str(folder), "-c", str(folder / "nginx.conf")], port) as process:
        yield process, {name: f"http://127.0.0.1:{port}/{name}" for name in ("large", "small")}


@contextmanager
def serving(argv: list[str], port: int) -> Iterator[psutil.Process]:
    """A server as a process, from its open port to its end."""
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 60
            while not is_open(port):
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError(f"{argv[0]} did not start")
                time.sleep(0.05)
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def spent(process: psutil.Process, url: str, times: int) -> float:
    """Processor seconds of a server and its children for so many downloads."""
    family = [process, *process.children(recursive=True)]
    before = sum(sum(item.cpu_times()[:2]) for item in family)
    download(url, times)
    return float(sum(sum(item.cpu_times()[:2]) for item in family) - before)


def download(url: str, times: int) -> None:
    """With curl, over one connection, to nowhere."""
    argv = ["curl", "-sS", "--fail", *(["-o", "/dev/null", url] * times)]
    subprocess.run(argv, check=True)


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
