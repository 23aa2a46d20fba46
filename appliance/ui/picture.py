"""The rack as a picture: one machine per unit, coloured by phase, drawn as SVG by a template from these numbers. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.model.machine import Phase
from appliance.operations.machines import MachineView

UNIT = 26
WIDTH = 300
POST = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One machine: ``y`` is its upper edge, ``label`` and ``note`` are written on it, ``fraction`` 0..1 fills it."""

    y: int
    machine: str
    label: str
    note: str
    phase: str
    trouble: bool
    bar: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RackPicture:
    """Pixels. ``units`` from top to bottom."""

    width: int
    height: int
    units: tuple[Unit, ...]


def rack(views: Iterable[MachineView], fractions: dict[str, float]) -> RackPicture:
    """Machines that are not retired, by name; ``fractions`` says how far the busy ones are."""
    shown = [view for view in views if view.machine.phase is not Phase.RETIRED]
    shown.sort(key=lambda view: (view.machine.name or view.expected or "~", view.created))
    units = tuple(_unit(index, view, fractions.get(view.machine.id, 0.0)) for index, view in enumerate(shown))
    return RackPicture(width=WIDTH, height=POST * 2 + UNIT * max(1, len(units)), units=units)


def _unit(index: int, view: MachineView, fraction: float) -> Unit:
    machine = view.machine
    return Unit(
        y=POST + index * UNIT,
        machine=machine.id,
        label=machine.name or view.expected or machine.id,
        note=machine.phase.value,
        phase=machine.phase.value,
        trouble=machine.trouble is not None,
        bar=round(max(0.0, min(1.0, fraction)) * (WIDTH - 2 * POST)),
    )
