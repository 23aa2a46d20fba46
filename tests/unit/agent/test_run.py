"""The door to processes."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import psutil
import pytest

from agent.run import CommandError, Pipeline, run


def until_gone(pid: int) -> bool:
    """Whether the process ends before its own 60 s are over. Who reaps the children of the killed is not our matter."""
    for _ in range(300):
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.1)
                continue
        return True
    return False


def test_result_and_input() -> None:
    result = run(["sh", "-c", "cat; echo oops >&2; exit 3"], input=b"in\xff", check=False)
    assert (result.code, result.stdout, result.stderr) == (3, "in�", "oops\n")


def test_error_names_command_code_and_last_lines() -> None:
    script = "for i in $(seq 20); do echo line $i >&2; done; exit 4"
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", script])
    text = str(caught.value)
    assert caught.value.code == 4
    assert text.startswith(f"`sh -c {script}` ended with 4\n  line 13\n") and text.endswith("line 20")


def test_absent_command() -> None:
    with pytest.raises(CommandError, match="could not be started: No such file"):
        run(["no-such-tool"])


def test_timeout_kills_the_whole_group(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    with pytest.raises(CommandError, match=r"did not end within 2 s"):
        run(["sh", "-c", f"sleep 60 & echo $! $$ > {pids}; wait"], timeout=2)
    assert [until_gone(int(pid)) for pid in pids.read_text().split()] == [True, True]


def test_pipeline(tmp_path: Path) -> None:
    with Pipeline(["tr", "a", "b"], ["sh", "-c", f"cat > {tmp_path / 'out'}"]) as pipe:
        pipe.feed(b"aXa" * 100_000)
        pipe.feed(b"end")
    assert (tmp_path / "out").read_bytes() == b"bXb" * 100_000 + b"end"


def test_pipeline_tells_who_died() -> None:
    with pytest.raises(CommandError, match="`sh -c echo full >&2; exit 7` ended with 7\n  full"):  # noqa: SIM117
        with Pipeline(["cat"], ["sh", "-c", "echo full >&2; exit 7"]) as pipe:
            for _ in range(1000):
                pipe.feed(bytes(65536))


def test_pipeline_is_killed_when_its_block_fails(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(ZeroDivisionError), Pipeline(["cat"], ["sh", "-c", f"echo $$ > {pid}; exec sleep 60"]):
        while not (pid.exists() and pid.read_text().endswith("\n")):
            time.sleep(0.01)
        raise ZeroDivisionError
    assert until_gone(int(pid.read_text()))


def test_pipeline_with_an_absent_command() -> None:
    with pytest.raises(CommandError, match="no-such-tool"), Pipeline(["cat"], ["no-such-tool"]):
        pass
