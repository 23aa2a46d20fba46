"""Stands in for the module ``bcrypt`` in ceph-mgr, which can't load the real one. A file for ceph-mgr, not for the agent.

ceph-mgr runs each of its modules in a Python subinterpreter, all of them import ``bcrypt`` (`mgr_util`), and Debian 13's is
made with PyO3, which refuses subinterpreters: every module fails, so no balancer, no pg_autoscaler, no ``ceph fs volume``
(seen with Debian's 18.2.7; https://tracker.ceph.com/issues/64213). Here the few calls that Ceph makes are answered by
the real module in a process of its own. Ceph's units read ``/etc/default/ceph``: ``PYTHONPATH=<folder of this file>``.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

PYTHON = "/usr/bin/python3"
CODE = """
import bcrypt, json, sys
name, arguments = json.load(sys.stdin)
said = getattr(bcrypt, name)(*[item.encode("latin-1") if isinstance(item, str) else item for item in arguments])
json.dump(said.decode("latin-1") if isinstance(said, bytes) else said, sys.stdout)
"""


def gensalt(rounds: int = 12, prefix: bytes = b"2b") -> bytes:
    """A new salt."""
    return str(_ask("gensalt", rounds, prefix)).encode("latin-1")


def hashpw(password: bytes, salt: bytes) -> bytes:
    """The hash of a password, with its salt."""
    return str(_ask("hashpw", password, salt)).encode("latin-1")


def checkpw(password: bytes, hashed_password: bytes) -> bool:
    """Whether a password has this hash."""
    return bool(_ask("checkpw", password, hashed_password))


def _ask(name: str, *arguments: object) -> Any:
    """``-I``: without PYTHONPATH, or it would find this file again. Secrets go through a pipe, not the command line."""
    words = [item.decode("latin-1") if isinstance(item, bytes) else item for item in arguments]
    said = subprocess.run(
        [PYTHON, "-I", "-c", CODE],
        input=json.dumps([name, words]),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(said.stdout)
