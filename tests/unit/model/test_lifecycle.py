"""The table of phases: every phase can be reached and left, and the graph in the documentation is made from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.model.graph import arrows, dot, reachable
from appliance.model.machine import (
    DEADLINE_SECONDS,
    LIFECYCLE,
    NEXT_ACTION,
    LifecycleError,
    MachineEvent,
    Phase,
    TroubleKind,
    move,
)
from appliance.store import lifecycle, machines
from appliance.store.database import Store


def test_every_phase_is_reached_and_none_is_a_trap() -> None:
    assert reachable(Phase.SEEN) == frozenset(Phase)
    assert [phase for phase in Phase if Phase.RETIRED not in reachable(phase)] == []


def test_every_phase_has_one_next_action_and_every_deadline_a_phase_that_can_end() -> None:
    assert set(NEXT_ACTION) == set(Phase)
    for phase in DEADLINE_SECONDS:
        assert any(before is phase and after is not phase for (before, _), after in LIFECYCLE.items())


def test_graph_in_the_documentation_is_current() -> None:
    """The picture is made from docs/lifecycle.dot: python -m appliance.model.graph > docs/lifecycle.dot, then dot -Tsvg."""
    docs = Path(__file__).resolve().parents[3] / "docs"
    assert (docs / "lifecycle.dot").read_text(encoding="utf-8") == dot()
    picture = (docs / "pictures" / "lifecycle.svg").read_text(encoding="utf-8")
    for before, after in arrows():
        assert f"{before}&#45;&gt;{after}" in picture


def test_a_move_that_there_is_not_says_which_there_are() -> None:
    with pytest.raises(LifecycleError, match="a machine in phase wiping cannot retire; possible here: wiped"):
        move(Phase.WIPING, MachineEvent.RETIRE)


def test_moves_raise_the_generation_write_an_event_and_end_old_troubles(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'x.db'}")
    with store.write() as connection:
        key = machines.add(connection, at=1.0)
        assert lifecycle.set_trouble(connection, key, TroubleKind.BOOT, "late", at=2.0)
        assert not lifecycle.set_trouble(connection, key, TroubleKind.BOOT, "late", at=3.0)
        before = machines.get(connection, key)
        after = lifecycle.advance(connection, key, MachineEvent.ENROL, at=4.0, why="it asked")
        assert before and before.machine.trouble and before.machine.trouble.since == 2.0
        assert (after.phase, after.phase_since, after.trouble) == (Phase.ENROLLED, 4.0, None)
        assert after.generation > before.machine.generation
        again = lifecycle.advance(connection, key, MachineEvent.ENROL, at=5.0)
        assert (again.phase_since, again.generation) == (4.0, after.generation)
        with pytest.raises(lifecycle.UnknownMachine):
            lifecycle.advance(connection, "m-none", MachineEvent.ENROL, at=5.0)
    store.close()


def test_an_identity_conflict_is_not_hidden_by_another_trouble(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'x.db'}")
    with store.write() as connection:
        key = machines.add(connection, at=1.0)
        lifecycle.set_trouble(connection, key, TroubleKind.IDENTITY_CONFLICT, "two", at=2.0)
        assert not lifecycle.set_trouble(connection, key, TroubleKind.BOOT, "late", at=3.0)
        assert not lifecycle.clear_trouble(connection, key, TroubleKind.BOOT, at=3.0, why="x")
        assert lifecycle.clear_trouble(connection, key, TroubleKind.IDENTITY_CONFLICT, at=3.0, why="decided")
    store.close()
