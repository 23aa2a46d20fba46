"""The clocks."""

from __future__ import annotations

import time

from appliance.effects.clock import Clock, FakeClock, SystemClock


def test_system_clock_tells_the_time() -> None:
    clock: Clock = SystemClock()
    assert abs(clock.now() - time.time()) < 5
    before = time.monotonic()
    clock.sleep(0.01)
    clock.sleep(-1)
    assert 0.01 <= time.monotonic() - before < 5


def test_fake_clock_moves_only_when_told() -> None:
    clock = FakeClock(100.0)
    assert clock.now() == clock.now() == 100.0
    clock.sleep(5)
    clock.advance(-2)
    assert clock.now() == 103.0
    assert clock.slept == [5]
