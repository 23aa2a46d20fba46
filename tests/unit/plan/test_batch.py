"""How devices are cut."""

from __future__ import annotations

import pytest

from appliance.plan.osd.batch import EXTENT, DoesNotFitError, FastDevice, data_sizes, fast_sizes, usable, volume


def device(size: int, slots: int, most: int, taken: int = 0, used: int = 0) -> FastDevice:
    return FastDevice(size=size, free=size - used, taken=taken, slots=slots, most=most)


@pytest.mark.parametrize(
    ("size", "left"), [(0, 0), (1 << 20, 0), (5 << 20, EXTENT), ((9 << 20) - 1, EXTENT), (9 << 20, 2 * EXTENT)]
)
def test_usable(size: int, left: int) -> None:
    """LVM keeps the first MiB, and gives whole extents."""
    assert usable(size) == left


def test_volumes_are_whole_extents() -> None:
    assert volume(EXTENT - 1) == 0
    assert volume(3 * EXTENT + 5) == 3 * EXTENT


def test_data_is_cut_evenly() -> None:
    assert data_sizes(100, 3) == (33, 33, 33)
    assert data_sizes(100, 1, 0.5) == (50,)


def test_devices_are_filled_one_after_the_other() -> None:
    assert fast_sizes([device(100, 5, 2), device(200, 5, 2)], 3) == [(0, 20), (0, 20), (1, 40)]


def test_slots_that_are_taken_count() -> None:
    assert fast_sizes([device(100, 5, 3, taken=2, used=40)], 9) == [(0, 20)]
    assert fast_sizes([device(100, 5, 5, taken=1, used=90)], 9) == []


def test_a_size_that_no_slot_has() -> None:
    with pytest.raises(DoesNotFitError, match="21 bytes were asked for, but a slot has 20") as caught:
        fast_sizes([device(100, 5, 5)], 1, 21)
    assert (caught.value.wanted, caught.value.has) == (21, 20)
