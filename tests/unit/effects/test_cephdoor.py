"""The fake door does what a test says, with the rules of a real one."""

from __future__ import annotations

from agent.cephorder import CephAction, CephOrder
from appliance.effects.cephdoor import CephDoor, DoorResult, DoorState, FakeCephDoor, Started
from appliance.model.cephstate import CephState

ORDER = CephOrder(action=CephAction.MON, fsid="f", daemon="n1")


def test_an_order_has_no_effect_while_the_same_step_runs() -> None:
    door = FakeCephDoor(carry=lambda _door, _started: DoorResult(state=DoorState.RUNNING))
    real: CephDoor = door
    assert real.result("p", "s").state is DoorState.NONE
    real.start("m", "p", "s", ORDER)
    real.start("m", "p", "s", ORDER)
    real.start("m", "p", "other", ORDER)
    assert [started.step for started in door.started] == ["s", "other"]
    door.results["p", "s"] = DoorResult(state=DoorState.FAILED, message="no")
    real.start("m", "p", "s", ORDER)
    assert len(door.started) == 3


def test_what_is_carried_out_can_be_observed() -> None:
    def carry(door: FakeCephDoor, started: Started) -> DoorResult:
        door.state = CephState(fsid=started.order.fsid, monitors=(started.order.daemon,))
        return DoorResult(state=DoorState.DONE)

    door = FakeCephDoor(carry=carry)
    assert door.observe() is None
    door.start("m", "p", "s", ORDER)
    assert door.observe() == CephState(fsid="f", monitors=("n1",))
