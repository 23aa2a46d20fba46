"""Answers of the rack's time server, read as RFC 4330 has it."""

from __future__ import annotations

import struct

from appliance.rehearsal.timeserver import EPOCH, answer

UNIX_2024 = 1704067200.25
CLIENT = bytes([0x23, 0, 6]) + bytes(37) + b"sentwhen"


def test_an_answer_has_the_question_s_time_and_ours() -> None:
    said = answer(CLIENT, UNIX_2024, UNIX_2024 + 0.5)
    assert len(said) == 48
    leap, version, mode = said[0] >> 6, said[0] >> 3 & 7, said[0] & 7
    assert (leap, version, mode) == (0, 4, 4)
    assert said[1] == 1, "stratum"
    assert said[2] == 6, "the asker's poll interval"
    assert said[24:32] == b"sentwhen"
    came, came_part, went, went_part = struct.unpack("!IIII", said[32:48])
    assert came - EPOCH == 1704067200
    assert came_part == 1 << 30
    assert (went - came, went_part) == (0, 3 << 30)


def test_the_era_that_ends_in_2036_wraps() -> None:
    assert struct.unpack("!I", answer(CLIENT, 0xFFFFFFFF - EPOCH + 1.0, 0.0)[32:36]) == (0,)
