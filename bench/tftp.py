"""TFTP: server CPU seconds per 100 MB against atftpd, at the block and window sizes that boot firmware asks for.

The client is atftp for both. One file of 25 MB is read, and scaled; the wall time is the client's as much as the server's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.namespaces import SERVER as ADDRESS
from bench.namespaces import Pair, cpu_seconds, joined, running
from bench.row import Row

SIZE = 25_000_000
SHAPES = ((512, 1), (1468, 1), (1468, 4), (1468, 16))


def run() -> list[Row]:
    """One row per block and window size."""
    with tempfile.TemporaryDirectory(prefix="rackseed-bench") as folder:
        work = Path(folder)
        work.chmod(0o755)
        root = work / "root"
        root.mkdir(mode=0o755)
        (root / "image").write_bytes(os.urandom(SIZE))
        with joined("tftp") as pair:
            ours = _measure(pair, _ours(pair, work), work)
            theirs = _measure(pair, _atftpd(pair, root), work)
    return [
        Row(
            section="tftp",
            what=f"server CPU per 100 MB, blocks of {block}, window {window}",
            unit="s",
            ours=ours[block, window][0],
            against="atftpd",
            reference=theirs[block, window][0],
            better="lower",
            note=f"{ours[block, window][1]:.0f} / {theirs[block, window][1]:.0f} MB/s",
        )
        for block, window in SHAPES
    ]


def _measure(pair: Pair, argv: list[str], work: Path) -> dict[tuple[int, int], tuple[float, float]]:
    """CPU seconds per 100 MB and MB/s, by block and window size."""
    found = {}
    got = work / "got"
    with running(argv, work / "log", ready=2.0) as server:
        for block, window in SHAPES:
            options = ["--option", f"blksize {block}"]
            options += ["--option", f"windowsize {window}"] if window > 1 else []
            before, start = cpu_seconds(server), time.monotonic()
            command = pair.in_client("atftp", *options, "-g", "-r", "image", "-l", str(got), ADDRESS, "69")
            subprocess.run(command, check=True, capture_output=True, timeout=120, cwd=work)
            seconds = time.monotonic() - start
            time.sleep(0.3)  # atftpd's thread ends, and its time is counted
            assert got.stat().st_size == SIZE
            got.unlink()
            found[block, window] = ((cpu_seconds(server) - before) * 100e6 / SIZE, SIZE / 1e6 / seconds)
    return found


def _ours(pair: Pair, work: Path) -> list[str]:
    options = [
        "--pool",
        "10.98.0.1/16,10.98.1.1,10.98.1.9",
        "--database",
        str(work / "db"),
        "--root",
        str(work / "root"),
    ]
    return pair.in_server(sys.executable, "-m", "bench.boot_server", "eth0", *options, "--level", "WARNING")


def _atftpd(pair: Pair, root: Path) -> list[str]:
    if shutil.which("atftpd") is None or shutil.which("atftp") is None:
        raise RuntimeError("atftpd or atftp is not installed: tests/packages.sh net bench")
    flags = ["--daemon", "--no-fork", "--user", "root.root", "--logfile", "/dev/null", "--bind-address", ADDRESS]
    return pair.in_server("atftpd", *flags, str(root))
