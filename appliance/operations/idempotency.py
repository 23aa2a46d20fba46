"""Idempotency-Key: an answer that was given once is given again to the same request of the same actor."""

from __future__ import annotations

from appliance.operations.context import Actor, Appliance
from appliance.operations.errors import KeyReused
from appliance.store import idempotency
from appliance.store.idempotency import Answer

KEEP_SECONDS = 24 * 3600.0


def recall(app: Appliance, actor: Actor, key: str, request_sha256: str) -> Answer | None:
    """The answer that this actor got under this key. `KeyReused` when the request was another one."""
    with app.store.read() as connection:
        answer = idempotency.get(connection, key, actor.name)
    if answer is None or answer.at < app.clock.now() - KEEP_SECONDS:
        return None
    if answer.request_sha256 != request_sha256:
        raise KeyReused("this Idempotency-Key was used for another request: make a new key for a new request")
    return answer


def remember(app: Appliance, actor: Actor, key: str, *, request_sha256: str, status: int, body: str) -> None:
    """Keep an answer for a day; only answers that changed something are worth it, so errors are not kept."""
    now = app.clock.now()
    answer = Answer(key=key, actor=actor.name, request_sha256=request_sha256, status=status, body=body, at=now)
    with app.store.write() as connection:
        idempotency.remove_older(connection, now - KEEP_SECONDS)
        idempotency.put(connection, answer)
