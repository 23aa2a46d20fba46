"""An installed system that hears of new hardware."""

from __future__ import annotations

import builtins
import os
import subprocess
import time
from typing import Any

import pytest

from agent.probe.changes import Changes


def test_a_new_port_is_heard_and_told_once() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to make a network port")
    changes = Changes(source="kernel")
    assert not changes.fresh(), "the first question only begins to listen"
    name = f"rs{os.getpid() % 100000}"
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p"], check=True)
    try:
        deadline = time.monotonic() + 10
        while not (heard := changes.fresh()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert heard
        while changes.fresh():
            time.sleep(0.1)
        assert not changes.fresh()
    finally:
        subprocess.run(["ip", "link", "del", name], check=True)


def test_without_pyudev_it_reports_at_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name == "pyudev":
            raise ImportError("No module named 'pyudev'")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    changes = Changes()
    assert not changes.fresh()
    assert not changes.fresh()
