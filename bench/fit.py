"""How a measurement grows: least squares through points, and a picture of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """``y = offset + slope · x`` with the share of the variance that it explains (1: all)."""

    offset: float
    slope: float
    r_squared: float

    def at(self, x: float) -> float:
        return self.offset + self.slope * x


def line(points: Points) -> Line:
    """The straight line with the least squares. At least two different ``x`` are needed."""
    if len({x for x, _ in points}) < 2:
        raise ValueError("a line needs two different points")
    count = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    offset = mean_y - slope * mean_x
    total = sum((y - mean_y) ** 2 for _, y in points)
    rest = sum((y - offset - slope * x) ** 2 for x, y in points)
    return Line(offset=offset, slope=slope, r_squared=1 - rest / total if total else 1.0)


def power(points: Points) -> Line:
    """The line through the logarithms: its slope is the exponent of growth, 1 for linear, 2 for quadratic."""
    return line([(math.log10(x), math.log10(y)) for x, y in points])


def ascii_plot(points: Points, fitted: Line, *, width: int = 56, height: int = 12) -> str:
    """Points (``o``) and the power law (``·``) on logarithmic axes, with numbers at both ends of each."""
    left, right = (math.log10(f(x for x, _ in points)) for f in (min, max))
    values = [math.log10(y) for _, y in points]
    values += [fitted.at(left), fitted.at(right)]
    low, high = min(values), max(values)
    grid = [[" "] * width for _ in range(height)]

    def put(x: float, y: float, mark: str) -> None:
        column = round((x - left) / (right - left) * (width - 1))
        row = round((high - y) / ((high - low) or 1) * (height - 1))
        grid[row][column] = mark

    for column in range(width):
        x = left + (right - left) * column / (width - 1)
        put(x, fitted.at(x), "·")
    for x, y in points:
        put(math.log10(x), math.log10(y), "o")
    labels = {0: f"{10**high:.3g}", height - 1: f"{10**low:.3g}"}
    rows = [f"{labels.get(index, ''):>8} │{''.join(row).rstrip()}" for index, row in enumerate(grid)]
    ends = f"{10**left:<{width // 2},.0f}{10**right:>{width - width // 2},.0f}"
    return "\n".join([*rows, f"{'':>8} └{'─' * width}", f"{'':>10}{ends}"])


_WIDTH, _HEIGHT, _MARGIN = 640, 360, 64


def svg_plot(points: Points, fitted: Line, *, title: str, across: str, up: str, target: float | None = None) -> str:
    """The same as a picture; ``target`` is a level that must not be passed at the right end."""
    highest = max([y for _, y in points] + ([target] if target else []))
    left, right = math.floor(math.log10(min(x for x, _ in points))), math.ceil(math.log10(max(x for x, _ in points)))
    low, high = math.floor(math.log10(min(y for _, y in points))), math.ceil(math.log10(highest))

    def place(x: float, y: float) -> tuple[float, float]:
        """From logarithms to the picture's units."""
        across_ = _MARGIN + (x - left) / (right - left) * (_WIDTH - 2 * _MARGIN)
        return across_, _HEIGHT - _MARGIN - (y - low) / (high - low) * (_HEIGHT - 2 * _MARGIN)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{_WIDTH / 2}" y="28" text-anchor="middle" font-size="14">{escape(title)}</text>',
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 16}" text-anchor="middle">{escape(across)}</text>',
        f'<text x="16" y="{_HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 16 {_HEIGHT / 2})">{escape(up)}</text>',
    ]
    for power_ in range(left, right + 1):
        (x, bottom), (_, top) = place(power_, low), place(power_, high)
        parts.append(f'<line x1="{x:.1f}" y1="{bottom:.1f}" x2="{x:.1f}" y2="{top:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{10**power_:,.0f}</text>')
    for power_ in range(low, high + 1):
        (start, y), (end, _) = place(left, power_), place(right, power_)
        parts.append(f'<line x1="{start:.1f}" y1="{y:.1f}" x2="{end:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{start - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{10.0**power_:g}</text>')
    if target:
        (start, y), (end, _) = place(left, math.log10(target)), place(right, math.log10(target))
        parts.append(
            f'<line x1="{start:.1f}" y1="{y:.1f}" x2="{end:.1f}" y2="{y:.1f}" stroke="#b00" stroke-dasharray="6 4"/>'
            f'<text x="{start + 6:.1f}" y="{y - 6:.1f}" fill="#b00">target {target:g}</text>'
        )
    (x1, y1), (x2, y2) = (place(x, fitted.at(x)) for x in (math.log10(points[0][0]), math.log10(points[-1][0])))
    parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#06c" stroke-width="2"/>')
    for point in points:
        x, y = place(math.log10(point[0]), math.log10(point[1]))
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#06c"/>')
    return "\n".join([*parts, "</svg>", ""])
