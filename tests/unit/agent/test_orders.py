"""Which orders are carried out."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from agent import wire
from agent.errors import OrderRefusedError
from agent.orders import Gate, verify
from appliance.effects.authority import Authority
from appliance.effects.clock import SystemClock

ORDER = wire.Order(
    id="o1", machine="m1", plan="p", step="reboot/m1", fence=5, nonce="n" * 32,
    kind=wire.OrderKind.REBOOT, reboot=wire.RebootOrder(),
)  # fmt: skip


def test_signed_order_is_read(authority: Authority) -> None:
    assert verify(authority.sign(ORDER), authority.order_key_pem) == ORDER


def test_every_changed_bit_is_noticed(authority: Authority) -> None:
    signed = authority.sign(ORDER)
    payload = base64.b64decode(signed.payload)
    for index in range(0, len(payload), 7):
        changed = bytearray(payload)
        changed[index] ^= 1
        with pytest.raises(OrderRefusedError, match="signature"):
            verify(replace(signed, payload=base64.b64encode(changed).decode()), authority.order_key_pem)


def test_another_appliance_may_not_give_orders(authority: Authority, tmp_path: Any) -> None:

    other = Authority.open(tmp_path, SystemClock(), "127.0.0.1")
    with pytest.raises(OrderRefusedError, match="does not come from our appliance"):
        verify(other.sign(ORDER), authority.order_key_pem)


def _signed(authority: Authority, payload: bytes) -> wire.SignedOrder:
    return wire.SignedOrder(
        payload=base64.b64encode(payload).decode(),
        signature=base64.b64encode(authority.order_key.sign(payload)).decode(),
    )


def test_signed_but_not_canonical(authority: Authority) -> None:
    loose = json.dumps(wire.to_data(ORDER)).encode()
    with pytest.raises(OrderRefusedError, match="canonical"):
        verify(_signed(authority, loose), authority.order_key_pem)


def test_signed_but_of_another_version(authority: Authority) -> None:
    data = {**wire.to_data(ORDER), "erase_everything": True}
    with pytest.raises(OrderRefusedError, match="erase_everything"):
        verify(_signed(authority, wire.canonical(data)), authority.order_key_pem)


@pytest.mark.parametrize("changes", [{"payload": "%%%"}, {"signature": "not base64"}, {"signature": "äöü"}])
def test_not_base64(authority: Authority, changes: dict[str, str]) -> None:
    with pytest.raises(OrderRefusedError, match="base64"):
        verify(replace(authority.sign(ORDER), **changes), authority.order_key_pem)


def test_wrong_kind_of_key(authority: Authority) -> None:
    with pytest.raises(OrderRefusedError, match="can't be read"):
        verify(authority.sign(ORDER), "no key")
    with pytest.raises(OrderRefusedError, match="can't be read"):
        verify(authority.sign(ORDER), authority.ca_pem)


def test_fences_only_rise() -> None:
    gate = Gate(machine="m1", nonce=ORDER.nonce)
    gate.admit(ORDER)
    gate.admit(replace(ORDER, id="o2"))
    gate.admit(replace(ORDER, id="o3", fence=6))
    with pytest.raises(OrderRefusedError, match="overtaken: fence 5, seen 6"):
        gate.admit(ORDER)


def test_a_refused_order_does_not_raise_the_fence() -> None:
    gate = Gate(machine="m1", nonce=ORDER.nonce)
    with pytest.raises(OrderRefusedError):
        gate.admit(replace(ORDER, nonce="x", fence=99))
    gate.admit(ORDER)
