"""What one client can get of each pool: for writing and reading the bound as an outline, the expectation as a mark, and what
was measured as a bar, all on one scale, with their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.model.measured import Flow, Verdict
from appliance.operations.measurements import PoolSpeed
from appliance.ui.pictures import svg

LABEL = 52
BARS = 420
NUMBERS = 330
ROW, BAR = 30, 18
TITLE = 26
STEPS = (1, 2, 2.5, 5, 10)
"""Leading digits of what the marks of the scale may be apart."""
MARKS = 5
ODD = (
    (Verdict.LOW, "measured: less than half of what is expected"),
    (Verdict.ABOVE, "measured: above the bound, which is wrong then"),
)
UNITS = ((1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """One direction of one pool; bytes per second."""

    name: str
    bound: int
    expected: int
    flow: Flow | None
    verdict: Verdict | None

    @property
    def rate(self) -> float:
        return self.flow.rate if self.flow else 0.0


def speed_picture(pools: Sequence[PoolSpeed], cluster: str) -> str:
    """One group of two bars for each pool."""
    rows = [(one, way) for one in pools for way in _ways(one)]
    top = max((max(way.bound, way.rate) for _, way in rows), default=1.0) or 1.0
    step = _step(top)
    scale, unit = next(((number, name) for number, name in UNITS if step >= number / 10), UNITS[-1])
    per_byte = BARS / top
    drawn: list[str] = []
    y = 0.0
    for one in pools:
        drawn.append(svg.text(svg.fit(one.pool, LABEL + BARS, 13), 0, y + 17, "name"))
        y += TITLE
        for way in _ways(one):
            drawn.append(_row(way, y, per_byte, scale, unit))
            y += ROW
        y += 6
    axis = [_mark(number * step, y, per_byte, scale) for number in range(int(top / step) + 1)]
    axis.append(svg.text(unit, LABEL + BARS + 18, y + 16, "note"))
    seen = {way.verdict for _, way in rows}
    odd = [(f"speed-measured speed-{verdict}", words) for verdict, words in ODD if verdict in seen]
    entries = (
        ("speed-measured", "measured"),
        *odd,
        ("speed-expected", "expected"),
        ("speed-bound", "bound: never above"),
    )
    part, y = svg.legend(entries, y + 28, LABEL + BARS + NUMBERS)
    heading = f"Throughput of {cluster} for one client"
    return svg.picture(
        "speed", LABEL + BARS + NUMBERS, y, heading, _description(rows, scale, unit), *axis, *drawn, part
    )


def _ways(one: PoolSpeed) -> tuple[_Way, _Way]:
    """What was measured stands beside what was promised then."""
    found = one.measured
    promise = found.promise if found else one.promise
    return (
        _Way(
            name="write",
            bound=promise.write_bound,
            expected=promise.write_expected,
            flow=found.write if found else None,
            verdict=found.write_verdict if found else None,
        ),
        _Way(
            name="read",
            bound=promise.read_bound,
            expected=promise.read_expected,
            flow=found.read if found else None,
            verdict=found.read_verdict if found else None,
        ),
    )


def _row(way: _Way, y: float, per_byte: float, scale: float, unit: str) -> str:
    """The outline to the bound, the bar of what was measured in it, the mark of the expectation over both."""
    words = _words(way, scale, unit)
    drawn = [svg.title(f"{way.name}: {words}"), svg.text(way.name, LABEL - 8, y + 13, "note", "end")]
    drawn.append(svg.rect(LABEL, y, max(1.0, way.bound * per_byte), BAR, "speed-bound", radius=2))
    if way.flow is not None:
        state = f"speed-measured speed-{way.verdict}"
        drawn.append(svg.rect(LABEL, y + 4, max(1.0, way.rate * per_byte), BAR - 8, state, radius=1))
    if way.rate > way.bound:
        drawn.append(svg.line(LABEL + way.bound * per_byte, y, LABEL + way.bound * per_byte, y + BAR, "speed-edge"))
    x = LABEL + way.expected * per_byte
    drawn.append(svg.rect(x - 1, y - 2, 2, BAR + 4, "speed-expected", radius=0))
    end = LABEL + max(way.bound, way.rate) * per_byte
    drawn.append(svg.text(words, min(end, LABEL + BARS) + 10, y + 13, "label"))
    return svg.element("g", *drawn)


def _words(way: _Way, scale: float, unit: str) -> str:
    """The numbers of one direction, all in one unit."""
    bound, expected = _number(way.bound, scale), _number(way.expected, scale)
    if way.flow is None:
        return f"not measured; about {expected}, at most {bound} {unit}"
    return f"{_number(way.rate, scale)} of at most {bound} {unit}, {expected} expected"


def _number(rate: float, scale: float) -> str:
    return f"{rate / scale:.3g}" if rate / scale < 1000 else f"{rate / scale:.0f}"


def _step(top: float) -> float:
    """How far the marks of the scale are apart: at most `MARKS` of them, at round numbers."""
    power = 1.0
    while power * 10 * MARKS <= top:
        power *= 10
    return next(step * power for step in STEPS if step * power * MARKS >= top)


def _mark(rate: float, y: float, per_byte: float, scale: float) -> str:
    x = LABEL + rate * per_byte
    return svg.line(x, 0, x, y, "rule") + svg.text(_number(rate, scale), x, y + 16, "note", "middle")


def _description(rows: Sequence[tuple[PoolSpeed, _Way]], scale: float, unit: str) -> str:
    return " ".join(f"{one.pool}, {way.name}: {_words(way, scale, unit)}." for one, way in rows)
