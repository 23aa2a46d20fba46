"""The order in which a machine's story is told."""

from __future__ import annotations

from pathlib import Path

from appliance.store import events
from appliance.store.database import Store


def told(tmp_path: Path, *written: tuple[float, str]) -> list[str]:
    store = Store.open(f"sqlite:///{tmp_path / 'db'}")
    with store.write() as connection:
        for at, kind in written:
            events.add(connection, at=at, machine="m-1", kind=kind, text="")
    with store.read() as connection:
        found = [event.kind for event in events.of_machine(connection, "m-1")]
    store.close()
    return found


def test_a_batch_that_was_written_late_goes_before_what_came_after_it(tmp_path: Path) -> None:
    """Seen in a demo: the ACK was written after the script that followed it, and the boot was called stuck."""
    written = (100.0, "permit"), (103.4, "script"), (103.2, "dhcp-discover"), (103.2, "dhcp-offer"), (103.3, "dhcp-ack")
    assert told(tmp_path, *written) == ["permit", "dhcp-discover", "dhcp-offer", "dhcp-ack", "script"]


def test_a_clock_that_was_set_back_does_not_turn_the_story_round(tmp_path: Path) -> None:
    written = (5000.0, "seen"), (5001.0, "dhcp-ack"), (1000.0, "script"), (1001.0, "http-file")
    assert told(tmp_path, *written) == ["seen", "dhcp-ack", "script", "http-file"]
