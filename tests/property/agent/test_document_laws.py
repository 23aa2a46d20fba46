"""Documents are read in a quick way that knows no paths, and in a careful one for what is wrong: they must agree, on real
documents and on every way to break them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import document
from agent.wire import EnrolmentRequest, Inventory, Order, WireError, canonical, decode, encode, from_data, to_data
from appliance.model.machine import Phase
from appliance.model.plan import Plan
from appliance.plan.make import plan
from appliance.rehearsal.fleet import fleet
from appliance.rehearsal.fleetparts import HARDWARE
from hwprofiles.loader import load_profiles

LAWS = settings(derandomize=True, deadline=None, max_examples=200)
SCENE = fleet(racks=2, per_rack=5, hardware=HARDWARE, broken=0.4, seed=2)
PLAN = plan(SCENE.site, load_profiles(), SCENE.observed, None)
DOCUMENTS: list[tuple[type, Any]] = [
    (Plan, to_data(PLAN)),
    *((Inventory, to_data(machine.inventory)) for machine in SCENE.observed.machines if machine.inventory),
]


def places(data: Any) -> Iterator[tuple[Any, Any]]:
    """Every value of a document, as its container and key."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield data, key
        yield from places(value)


def broken(seed: int) -> tuple[type, Any]:
    """One document with up to two things that are not as they should be."""
    random = Random(seed)
    kind, data = random.choice(DOCUMENTS)
    data = json.loads(json.dumps(data))
    for _ in range(random.choice([1, 1, 2])):
        container, key = random.choice(list(places(data)))
        change = random.randrange(4)
        if change == 0 and isinstance(container, dict):
            del container[key]
        elif change == 1 and isinstance(container, dict):
            container[random.choice(["unknown", "size", "path"])] = random.choice([0, "x"])
        else:
            container[key] = random.choice([None, True, 0, 1.5, "", "uefi", [], {}, [1], {"a": 1}])
    return kind, data


def careful(kind: type, data: Any) -> Any:
    return document._convert(kind, data, "")


def outcome(read: Any, kind: type, data: Any) -> tuple[str, Any]:
    """What came out, or what it complained about."""
    try:
        return "read", read(kind, data)
    except WireError as error:
        return "refused", (error.at, error.message)


@LAWS
@given(st.integers(0, 2**32))
def test_both_ways_agree_on_broken_documents(seed: int) -> None:
    kind, data = broken(seed)
    assert outcome(from_data, kind, data) == outcome(careful, kind, data)


def test_the_broken_documents_are_worth_it() -> None:
    outcomes = [outcome(careful, *broken(seed)) for seed in range(300)]
    refused = [what for how, what in outcomes if how == "refused"]
    assert 100 < len(refused) < 300, "some are still sound: optional keys that are gone, values that are allowed"
    assert len({message.split(" ")[0] for _, message in refused}) >= 3


@pytest.mark.parametrize("index", range(len(DOCUMENTS)))
def test_there_and_back(index: int) -> None:
    kind, data = DOCUMENTS[index]
    value = from_data(kind, data)
    assert value == careful(kind, data)
    assert to_data(value) == data
    assert decode(kind, encode(value)) == value
    assert encode(value) == canonical(data)


def test_what_is_no_object_is_refused_with_words() -> None:
    for kind in (Inventory, Order, EnrolmentRequest):
        with pytest.raises(WireError, match="expected an object, got list"):
            from_data(kind, [])


def test_plain_values_and_enums_stay_what_they_are() -> None:
    assert to_data({"a": (1, None, True, 2.5, Phase.READY)}) == {"a": [1, None, True, 2.5, "ready"]}
    assert type(to_data(Phase.READY)) is str
    assert to_data(Phase) is Phase, "a class is no document"
