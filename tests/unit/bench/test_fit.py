"""The bench's arithmetic, on points whose answer is known."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from bench.fit import ascii_plot, line, power, svg_plot

SIZES = (100.0, 300.0, 1_000.0, 3_000.0, 10_000.0)
LINEAR = [(x, 0.0004 * x) for x in SIZES]
QUADRATIC = [(x, 1e-7 * x * x) for x in SIZES]


def test_a_straight_line_is_found() -> None:
    found = line([(x, 3 + 2 * x) for x in SIZES])
    assert (found.offset, found.slope, found.r_squared) == pytest.approx((3, 2, 1))
    assert found.at(10) == pytest.approx(23)


def test_what_does_not_fit_is_told() -> None:
    assert line([(0, 0), (1, 1), (2, 0), (3, 1)]).r_squared == pytest.approx(0.2)
    assert line([(0, 5), (1, 5)]).r_squared == 1
    with pytest.raises(ValueError, match="two different points"):
        line([(1, 1), (1, 2)])


def test_the_exponent_of_growth() -> None:
    assert power(LINEAR).slope == pytest.approx(1)
    assert power(QUADRATIC).slope == pytest.approx(2)
    assert power([(x, y + 0.05) for x, y in LINEAR]).slope < 0.9, "a constant part flattens it"


def test_the_plot_in_text_has_all_points_and_both_ends() -> None:
    text = ascii_plot(LINEAR, power(LINEAR))
    assert text.count("o") == len(SIZES)
    assert "10,000" in text
    assert "0.04" in text
    rows = text.splitlines()
    columns = [row.index("o") for row in rows if "o" in row]
    assert columns == sorted(columns, reverse=True), "more machines, more seconds"


def test_the_picture_is_sound_and_to_scale() -> None:
    text = svg_plot(LINEAR, power(LINEAR), title="a < b & c", across="machines", up="seconds", target=5.0)
    root = ElementTree.fromstring(text)  # noqa: S314 - we wrote it
    space = "{http://www.w3.org/2000/svg}"
    circles = [(float(c.get("cx", 0)), float(c.get("cy", 0))) for c in root.iter(f"{space}circle")]
    assert len(circles) == len(SIZES)
    assert circles == sorted(circles, key=lambda at: (at[0], -at[1]))
    (x1, y1), (x2, y2), (x3, y3) = circles[0], circles[2], circles[4]
    assert x3 - x2 == pytest.approx(x2 - x1, abs=0.2), "a decade is a decade"
    assert y2 - y3 == pytest.approx(y1 - y2, abs=0.2)
    assert "target 5" in text
