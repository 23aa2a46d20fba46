"""The shape of one measurement: ours beside a reference, taken in the same run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """``section`` is the file, ``what`` the measurement. ``ours`` and ``reference`` are in ``unit``; ``against`` names the
    reference, empty when there is none. ``better`` is ``higher`` or ``lower``. ``note`` says what makes it not quite alike.
    """

    section: str
    what: str
    unit: str
    ours: float
    against: str = ""
    reference: float | None = None
    better: str = "higher"
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours ÷ reference; None without a reference."""
        if self.reference is None or self.reference == 0:
            return None
        return self.ours / self.reference
