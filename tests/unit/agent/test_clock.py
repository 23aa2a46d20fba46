"""Clock first."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.clock import Correction, correction, duration, image_date

YEAR = 365.2425 * 86400
IMAGE, NOW = 1_780_000_000.0, 1_795_000_000.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (26 * YEAR + 10.5 * YEAR / 12, "26 years 10 months"),
        (-86400, "1 day"),
        (3661, "1 hour 1 minute"),
        (59.9, "59 seconds"),
        (0.4, "0.4 seconds"),
        (2 * 86400 + 5, "2 days 5 seconds"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_machine_from_2000() -> None:
    found = correction(appliance=NOW, machine=946_684_800, floor=IMAGE)
    assert (found.target, found.needed, found.limited) == (NOW, True, False)
    assert found.text() == "the clock was off by 26 years 10 months (behind); now 2026-11-18 11:06:40 UTC"


def test_never_below_the_image() -> None:
    found = correction(appliance=1000.0, machine=946_684_800, floor=IMAGE)
    assert found.target == IMAGE
    assert "its clock is wrong too" in found.text()


def test_a_right_clock_is_left_alone() -> None:
    found = correction(appliance=NOW + 0.3, machine=NOW, floor=IMAGE)
    assert not found.needed
    assert found.text().startswith("the clock is right")


def test_ahead() -> None:
    assert "(ahead)" in Correction(offset=-3600, target=NOW).text()


@pytest.mark.parametrize(
    ("text", "date"), [('{"created": 5}', 5.0), ('{"created": "x"}', 0.0), ("[]", 0.0), ("{", 0.0), ("{}", 0.0)]
)
def test_image_date(tmp_path: Path, text: str, date: float) -> None:
    path = tmp_path / "image.json"
    path.write_text(text)
    assert image_date(path) == date
    assert image_date(tmp_path / "absent") == 0.0
