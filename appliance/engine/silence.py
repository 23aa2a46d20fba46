"""Machines that say nothing any more: what was heard of them last, from everything that is written down."""

from __future__ import annotations

from sqlalchemy import Connection

from appliance.engine.orders import ASK
from appliance.model.machine import APPLIANCE, Machine
from appliance.model.missing import BOOT_KINDS, WORKING_SECONDS, Missing, silent_step
from appliance.store import events, orders
from appliance.store.orders import OrderState

RECENT = 10
"""Of so many events the newest of a boot is looked for."""
TOGETHER_SECONDS = 5.0
"""A contact so close to an event of a boot is that boot."""


def silence(connection: Connection, machine: Machine, *, now: float) -> Missing | None:
    """What is missing of a machine that was not heard of for too long; what it told of its order counts, and how far its
    boot came."""
    heard, doing = machine.last_contact, ""
    if now - heard <= WORKING_SECONDS:
        return None
    order = orders.active_of_machine(connection, machine.id)
    if order is not None and order.state is OrderState.RUNNING and order.updated >= heard:
        heard = order.updated
        if order.step != ASK:
            doing = f"{order.stage} of {order.step}" if order.stage else order.step
    elif order is not None and machine.id == APPLIANCE:  # its agent only runs while it is needed
        doing = order.step
    boots = not doing and any(
        event.kind in BOOT_KINDS and event.at >= heard - TOGETHER_SECONDS
        for event in events.of_machine(connection, machine.id, RECENT)
    )
    return silent_step(machine, heard, doing, now, boots=boots)
