"""Device filters, and what is wrong with drive groups."""

from __future__ import annotations

import pytest

from agent.wire import Disk
from appliance.model.ceph import DeviceFilter, DriveGroup, FilterLogic
from appliance.plan.osd.drivegroup import misfit, problems, select, size_range, take

AND, OR = FilterLogic.AND, FilterLogic.OR
DISK = Disk(
    path="/dev/sda", size=4_000_787_030_016, serial=" wd-1 ", model="WDC  WD40EFRX", vendor="ATA", rotational=True
)


@pytest.mark.parametrize(
    ("text", "size", "inside"),
    [
        ("4TB", 4_000_787_030_016, True),
        ("480GB", 480_103_981_056, True),
        ("480GB", 500_107_862_016, False),
        ("1TB:4TB", 4 * 10**12, True),
        ("1TB:4TB", 4_000_787_030_016, False),
        ("1TB:", 10**12, True),
        (":4TB", 4 * 10**12 + 1, False),
        ("4TiB", 4 << 40, True),
        ("4TiB", 4 * 10**12, False),
        (" 1TB : 2TB ", 15 * 10**11, True),
    ],
)
def test_sizes(text: str, size: int, inside: bool) -> None:
    """An exact size is the one on the box (1 %); the ends of a range count as inside."""
    assert (size in size_range(text)) is inside


@pytest.mark.parametrize("text", ["", "big", ":", "1TB:2TB:3TB", "2TB:1TB", "-1TB"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|ends before"):
        size_range(text)


@pytest.mark.parametrize(
    ("wanted", "logic", "why"),
    [
        (DeviceFilter(), AND, "nothing is asked for"),
        (DeviceFilter(limit=3), AND, "nothing is asked for"),
        (DeviceFilter(all=True), AND, ""),
        (DeviceFilter(all=True), OR, ""),
        (DeviceFilter(rotational=True, model="wd40"), AND, ""),
        (DeviceFilter(rotational=False, model="wd40"), AND, "spins"),
        (DeviceFilter(rotational=False, model="wd40"), OR, ""),
        (DeviceFilter(rotational=False, vendor="seagate"), OR, "spins and vendor 'ATA' has no 'seagate'"),
        (DeviceFilter(model="WDC WD40"), AND, ""),
        (DeviceFilter(size="8TB:"), AND, "4 TB is not 8TB:"),
        (DeviceFilter(serials=("WD-1",)), AND, ""),
        (DeviceFilter(serials=("WD-2",)), AND, "its serial is not listed"),
        (DeviceFilter(serials=("WD-2",), vendor="ata"), OR, ""),
    ],
)
def test_conditions(wanted: DeviceFilter, logic: FilterLogic, why: str) -> None:
    assert misfit(wanted, logic, DISK) == why


def test_the_limit_counts_what_is_taken_already() -> None:
    def even(number: int) -> bool:
        return number % 2 == 0

    assert take([1, 2, 3, 4, 6], even, 2) == [2, 4]
    assert take([1, 2, 3, 4, 6], even, 2, 1) == [2]
    assert take([1, 2], even, 2, 5) == []
    assert take([1, 2, 4], even) == [2, 4]


def test_a_source_does_not_see_what_another_took() -> None:
    found = select([1, 2, 3, 4, 5], data=lambda free: list(free[:2]), wal=lambda free: list(free[:1]), db=list)
    assert (found.data, found.wal, found.db) == ([1, 2], [3], [4, 5])


def test_problems() -> None:
    assert problems(DriveGroup(name="ok", data=DeviceFilter(size="1TB:", rotational=True, limit=4))) == ()
    assert problems(DriveGroup(name="roles")) == ()
    bad = DriveGroup(
        name="bad",
        data=DeviceFilter(all=True, size="x", rotational=False),
        db=DeviceFilter(limit=-2),
        osds_per_device=0,
        db_size=-1,
    )
    assert problems(bad) == (
        "data: all: true and size, rotational exclude each other",
        "data: expected a size such as 480GB or 512MiB, got 'x'",
        "db: limit is -2; 0 means no limit",
        "db: a limit alone chooses nothing; add all: true, or a condition",
        "osds_per_device is 0; at least 1",
        "db_slots and db_size are not negative; 0 means by kind of device",
    )
