"""Memory and threads of a machine for its OSDs."""

from __future__ import annotations

import pytest

from appliance.plan.osd.budget import FLOOR, GIB, budget


@pytest.mark.parametrize(
    ("memory", "count", "hyperconverged", "fits", "target"),
    [
        (64, 3, True, True, 4.266),
        (64, 4, True, False, 4),
        (80, 4, True, True, 4),
        (1024, 4, True, True, 8),
        (64, 11, False, True, 4.072),
        (64, 12, False, False, 4),
        (1024, 4, False, True, 179.2),
        (0, 1, False, False, 4),
    ],
)
def test_memory(memory: int, count: int, hyperconverged: bool, fits: bool, target: float) -> None:
    """20 % beside virtual machines (and then at most 8 GiB each), 70 % alone, never below 4 GiB each."""
    found = budget("m-1", memory * GIB, 64, ["hdd"] * count, hyperconverged=hyperconverged)
    assert found.fits is fits
    assert found.memory_target / GIB == pytest.approx(target, abs=0.001)
    assert found.memory_needed >= count * FLOOR
    enough = budget("m-1", found.memory_needed + 100, 64, ["hdd"] * count, hyperconverged=hyperconverged)
    assert enough.fits


def test_what_is_needed_is_needed() -> None:
    """A MiB less than ``memory_needed`` does not do."""
    found = budget("m-1", 64 * GIB, 0, ["ssd"] * 4, hyperconverged=True)
    assert not budget("m-1", found.memory_needed - (1 << 20), 0, ["ssd"] * 4, hyperconverged=True).fits


def test_threads_are_advice() -> None:
    found = budget("m-1", 512 * GIB, 8, ["nvme", "nvme", "hdd"], hyperconverged=False)
    assert found.fits
    assert found.threads_needed == 9
    assert "8 threads are few for 3 OSDs, 9 are advised" in found.text
    assert "threads" not in budget("m-1", 512 * GIB, 0, ["nvme"] * 9, hyperconverged=False).text


def test_the_numbers_are_said() -> None:
    text = budget("m-1", 64 * GIB, 64, ["nvme"] * 4, hyperconverged=True).text
    for number in ("4 OSDs", "16 GiB", "12.8 GiB", "80 GiB", "at most 3 OSDs"):
        assert number in text
