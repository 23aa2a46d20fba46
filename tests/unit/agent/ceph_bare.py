"""A machine without Ceph, and orders for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent.act import ceph, cephkeyrings
from agent.wire import CephOrder

FSID, OTHER = "6e1f7c52-34a8-4a57-9d0e-0f5a3a0e8f11", "6e1f7c52-34a8-4a57-9d0e-0f5a3a0e8f12"
OSD = "00000000-0000-4000-8000-000000000001"
KEY = "AQD3bgdrAAAAABAAuEXSPXnbSuten4CpGXmTQQ=="
"""A cephx key that opens nothing."""


class NoDaemons:
    def start(self, kind: str, daemon: str) -> None:
        raise AssertionError("nothing may be started")

    def stop(self, kind: str, daemon: str) -> None: ...

    def running(self, kind: str, daemon: str) -> bool:
        return False


def silent(stage: str, fraction: float, message: str) -> None: ...


def perform(order: CephOrder, secrets: Callable[[str], str] = lambda name: cephkeyrings.new_key()) -> Any:
    return ceph.perform(order, "m1", "p1", lambda: (), secrets, NoDaemons(), silent)
