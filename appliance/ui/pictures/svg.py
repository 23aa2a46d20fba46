"""SVG as text: elements with escaped attributes and text. The words that machines chose end up here; nothing else may."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

LETTER = 0.6
"""Width of an average letter in font sizes; labels are cut by this guess, their whole text is in the title."""


def element(name: str, *children: str, **attributes: object) -> str:
    """``<name attribute="…">children</name>``. ``class_`` is ``class``, other underscores are hyphens; None is left out.
    ``children`` are SVG already: text goes through `text`."""
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(shown(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(children)
    return f"<{name}{words}>{inner}</{name}>" if inner else f"<{name}{words}/>"


def shown(value: object) -> str:
    """Numbers with one digit behind the point at most, so that pictures are the same everywhere."""
    return f"{value:.1f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def text(words: str, x: float, y: float, class_: str = "label", anchor: str | None = None) -> str:
    """One line of text; ``y`` is its base line."""
    return element("text", escape(words), class_=class_, x=x, y=y, text_anchor=anchor)


def plate(words: str, x: float, y: float, class_: str, anchor: str = "middle") -> str:
    """Text on a plate that covers what lies below it; ``y`` is its middle."""
    width = len(words) * 11 * LETTER + 4
    left = x - width / 2 if anchor == "middle" else x
    return rect(left, y - 8, width, 16, "plate") + text(words, left + width / 2, y + 4, class_, "middle")


def title(words: str) -> str:
    """What a pointer shows, and a screen reader says."""
    return element("title", escape(words))


def rect(x: float, y: float, width: float, height: float, class_: str, *, radius: float = 3) -> str:
    """A box."""
    return element("rect", class_=class_, x=x, y=y, width=width, height=height, rx=radius)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    """A straight line."""
    return element("line", class_=class_, x1=x1, y1=y1, x2=x2, y2=y2)


def path(points: Iterable[tuple[float, float]], class_: str) -> str:
    """Straight lines from point to point."""
    d = "L".join(f"{shown(float(x))} {shown(float(y))}" for x, y in points)
    return element("path", class_=class_, d=f"M{d}")


def fit(words: str, width: float, size: float = 11) -> str:
    """As much of a label as fits into ``width`` pixels of letters of ``size``."""
    room = int(width / (size * LETTER))
    if len(words) <= room:
        return words
    return f"{words[: room - 1]}…" if room > 1 else ""


def picture(name: str, width: float, height: float, heading: str, description: str, *children: str) -> str:
    """The whole picture; ``name`` is its class and makes its ids unique in a page."""
    return element(
        "svg",
        element("title", escape(heading), id=f"{name}-title"),
        element("desc", escape(description), id=f"{name}-desc"),
        *children,
        xmlns="http://www.w3.org/2000/svg",
        class_=f"drawing {name}",
        viewBox=f"0 0 {shown(float(width))} {shown(float(height))}",
        width=float(width),
        height=float(height),
        role="group",
        aria_labelledby=f"{name}-title {name}-desc",
    )


def legend(entries: Iterable[tuple[str, str]], y: float, width: float) -> tuple[str, float]:
    """A line of swatches (class, words) that wraps; and where it ends. Swatches of a ``lamp`` are round, as lamps are."""
    drawn: list[str] = []
    x = 0.0
    for class_, words in entries:
        needed = 22 + len(words) * 11 * LETTER + 14
        if x and x + needed > width:
            x, y = 0.0, y + 20
        if class_.startswith("lamp"):
            drawn.append(element("circle", class_=f"swatch {class_}", cx=x + 6, cy=y + 6, r=4))
        else:
            drawn.append(rect(x, y, 12, 12, f"swatch {class_}", radius=2))
        drawn.append(text(words, x + 18, y + 10, "note"))
        x += needed
    return "".join(drawn), y + (20 if drawn else 0)
