"""The TFTP server against curl, tftp-hpa and atftp, and clients that misbehave as boot ROMs do."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SERVER = "10.98.0.1"


def same(lab: Any, name: str, got: Path) -> bool:
    return bool(got.read_bytes() == (lab.root / name).read_bytes())


@pytest.mark.parametrize("name", ["block", "small", "big"])
def test_curl(served: Any, needs: Callable[..., None], name: str) -> None:
    needs("curl")
    out = served.work / f"curl-{name}"
    done = served.client("curl", "-sS", "-o", str(out), f"tftp://{SERVER}/{name}")
    assert done.returncode == 0, done.stderr + served.log
    assert same(served, name, out)


def test_tftp_hpa_and_its_default_mode(served: Any, needs: Callable[..., None]) -> None:
    needs("tftp")
    done = served.client("tftp", "-m", "binary", SERVER, "-c", "get", "big", "hpa")
    assert same(served, "big", served.work / "hpa"), done.stdout
    served.client("tftp", "-m", "binary", SERVER, "-c", "get", "empty", "nothing")
    assert same(served, "empty", served.work / "nothing")
    refused = served.client("tftp", SERVER, "-c", "get", "big", "text")
    assert "mode netascii is not served, use octet" in refused.stdout + refused.stderr


@pytest.mark.parametrize(("block", "window"), [(512, 1), (1468, 1), (1468, 4), (1468, 16), (1024, 64)])
def test_atftp(served: Any, needs: Callable[..., None], block: int, window: int) -> None:
    needs("atftp")
    out = served.work / f"atftp-{block}-{window}"
    options = ["--option", f"blksize {block}", "--option", f"windowsize {window}"]
    done = served.client("atftp", *options, "-g", "-r", "big", "-l", str(out), SERVER, "69")
    assert done.returncode == 0, done.stderr + served.log
    assert same(served, "big", out)
    assert f"blocks of {block}, window {window}" in served.log


def test_block_numbers_roll_over(served: Any, needs: Callable[..., None]) -> None:
    """75 000 blocks of 8 bytes."""
    needs("atftp")
    out = served.work / "rolled"
    options = ["--option", "blksize 8", "--option", "windowsize 32"]
    served.client("atftp", *options, "-g", "-r", "rolls", "-l", str(out), SERVER, "69", timeout=60)
    assert same(served, "rolls", out), served.log[-500:]


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        ("absent", 1, "no file absent"),
        ("../lease.db", 2, "leaves the folder"),
        ("a/..\\..\\lease.db", 2, "leaves the folder"),
    ],
)
def test_refusals(served: Any, name: str, code: int, text: str) -> None:
    source = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5)
s.sendto(b"\\0\\1" + sys.argv[1].encode() + b"\\0octet\\0", ("10.98.0.1", 69))
data = s.recv(600); print(data[1], data[3], data[4:].decode())
"""
    opcode, found, message = served.python(source, name).split(" ", 2)
    assert (int(opcode), int(found)) == (5, code)
    assert text in message


MISBEHAVE = """
import socket, struct, sys
def rrq(*options):
    return b"\\0\\1" + b"\\0".join((b"small", b"octet", *options)) + b"\\0"
def fresh():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5); return s
how = sys.argv[1]
if how == "abort":            # OVMF: ask for the size, end with error 8, ask again from another port
    s = fresh(); s.sendto(rrq(b"tsize", b"0"), ("10.98.0.1", 69)); data, peer = s.recvfrom(600)
    assert data == b"\\0\\6tsize\\x001000\\0", data
    s.sendto(b"\\0\\5\\0\\x08User aborted\\0", peer)
if how == "leave":            # close the port: the kernel answers with port unreachable
    s = fresh(); s.sendto(rrq(b"tsize", b"0"), ("10.98.0.1", 69)); s.recvfrom(600); s.close()
if how == "same-port":        # a ROM with a fixed port asks for the size and begins anew without a word
    s = fresh(); s.sendto(rrq(b"tsize", b"0"), ("10.98.0.1", 69)); s.recvfrom(600)
    s.sendto(rrq(), ("10.98.0.1", 69))
else:
    s = fresh(); s.sendto(rrq(), ("10.98.0.1", 69))
got = b""
number = 1
while True:
    data, peer = s.recvfrom(600)
    if struct.unpack("!HH", data[:4]) != (3, number):
        continue
    got += data[4:]
    s.sendto(struct.pack("!HH", 4, number), peer)
    s.sendto(struct.pack("!HH", 4, number), peer)   # every ACK twice
    if len(data) < 516:
        break
    number += 1
print(len(got))
"""


@pytest.mark.parametrize("how", ["abort", "leave", "same-port"])
def test_aborted_probes_are_no_errors(served: Any, how: str) -> None:
    assert served.python(MISBEHAVE, how).strip() == "1000", served.log[-500:]
    assert "size probe" in served.log


def test_a_lost_answer_is_sent_again(served: Any) -> None:
    source = """
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5)
s.sendto(b"\\0\\1small\\0octet\\0", ("10.98.0.1", 69))
first, _ = s.recvfrom(600); again, peer = s.recvfrom(600)
print(first == again); s.sendto(b"\\0\\5\\0\\0bye\\0", peer)
"""
    assert served.python(source).strip() == "True"


def test_twenty_at_once(served: Any, needs: Callable[..., None]) -> None:
    needs("curl")
    urls = [word for number in range(20) for word in (f"tftp://{SERVER}/big", "-o", f"at-once-{number}")]
    done = served.client("curl", "-sS", "-Z", "--parallel-immediate", *urls, timeout=60)
    assert done.returncode == 0, done.stderr
    assert all(same(served, "big", served.work / f"at-once-{number}") for number in range(20))


def test_a_clean_stop_says_what_was_done(lab: Any) -> None:
    with lab.server() as process:
        assert lab.udhcpc()["ip"]
        os.kill(process.pid, signal.SIGTERM)
        process.wait(10)
    assert "step=counters why=stopped ack=1 commits=1 offer=1" in lab.log
