"""The command line against the real application over a Unix socket: what it prints, and its exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.serving import make_server

from appliance.cli import ceph as ceph_command
from appliance.cli import colour, main
from appliance.operations import measurements
from appliance.operations.context import Appliance
from appliance.operations.errors import Conflict
from appliance.operations.measurements import SpeedView
from appliance.store.orders import OrderState
from tests.conftest import Golden
from tests.unit.operations.lab import Box
from tests.unit.web.conftest import PLANNED
from tests.unit.web.test_ceph_pages import view


@pytest.fixture
def served(app: Appliance, web: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The application on the appliance's socket."""

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        environ["gunicorn.socket"] = environ["werkzeug.socket"]
        return web(environ, start_response)

    path = app.settings.socket
    path.parent.mkdir(exist_ok=True)
    monkeypatch.setenv("RACKSEED_STATE", str(app.settings.state))
    monkeypatch.setenv("COLUMNS", "160")
    server = make_server(f"unix://{path}", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield
    server.shutdown()
    thread.join()
    server.server_close()


class Result:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def rackseed(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run one command line."""

    def run(*words: str) -> Result:
        capsys.readouterr()
        code = main.run(words)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Result(code, captured.out, captured.err)

    return run


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    """150 ms of a process of its own (CPU time: this machine may be busy with other tests)."""
    code = (
        "import resource, sys\n"
        "from appliance.cli.main import run\n"
        "run(['--help'])\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "heavy = {'sqlalchemy', 'flask', 'requests', 'pydantic', 'rich', 'cryptography'} & set(sys.modules)\n"
        "print(used.ru_utime + used.ru_stime, heavy, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, heavy = done.stderr.split(maxsplit=1)
    assert heavy.strip() == "set()"
    assert float(seconds) < 0.15


@pytest.mark.parametrize(
    "command", ["", "machine", "plan", "explain", "apply", "ceph", "ceph measure", "serve", "site", "timeline", "image"]
)
def test_help(command: str, rackseed: Callable[..., Result], golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RACKSEED_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "100")
    result = rackseed(*command.split(), "--help")
    assert result.code == 0
    golden.check(f"cli/help-{command.replace(' ', '-') or 'rackseed'}.txt", result.out)


WRONG = [
    ("no-such-command", ["explode"], 2),
    ("missing-argument", ["machine", "approve"], 2),
    ("approve-how", ["machine", "approve", "n1"], 2),
    ("approve-both", ["machine", "approve", "n1", "--code", "X", "--without-code"], 2),
    ("wrong-policy", ["machine", "policy", "n1", "enjoy"], 2),
    ("url-without-token", ["machine", "list", "--url", "https://10.0.0.1:8443"], 2),
    ("no-such-ca", ["machine", "list", "--url", "https://10.0.0.1:8443", "--token", "t", "--ca", "/nowhere.pem"], 2),
    ("nobody-there", ["machine", "list", "--url", "https://127.0.0.1:9", "--token", "t"], 1),
    ("plain-url", ["machine", "list", "--url", "http://127.0.0.1:9", "--token", "t"], 2),
    ("not-running", ["machine", "list", "--state", "/nowhere/state"], 1),
    ("serve-without-address", ["serve", "--state", "/nowhere/state"], 2),
    ("serve-bad-address", ["serve", "--state", "/nowhere/state", "--address", "10.0.0.999"], 2),
    ("serve-long-state", ["serve", "--state", f"/nowhere/{'state-' * 20}", "--address", "10.0.0.1"], 1),
    ("serve-bad-port", ["serve", "--http-port", "99999"], 2),
    ("no-such-file", ["site", "check", "/nowhere/site.yaml"], 2),
]


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case[0])
def test_mistakes(
    case: tuple[str, list[str], int],
    rackseed: Callable[..., Result],
    golden: Golden,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in os.environ if name.startswith("RACKSEED_")]:
        monkeypatch.delenv(name)
    name, words, code = case
    result = rackseed(*words)
    assert result.code == code
    assert result.out == ""
    golden.check(f"cli/error-{name}.txt", result.err)


def test_site(rackseed: Callable[..., Result], served: None, tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(rackseed("site", "init", "--name", "here").out)
    assert rackseed("site", "check", str(file)).code == 0
    file.write_text(PLANNED.replace("10.20.0.0/24", "10.20.0.0/99") + "  n3: {serial: WM21000001}\n")
    wrong = rackseed("site", "check", str(file))
    assert wrong.code == 2
    assert f"{file}:5:" in wrong.err
    as_json = rackseed("site", "check", str(file), "--format", "json")
    assert as_json.code == 2
    assert json.loads(as_json.out)["problems"][0]["line"] == 5
    refused = rackseed("site", "load", str(file))
    assert refused.code == 2
    assert f"{file}:5:" in refused.err
    file.write_text(PLANNED)
    assert rackseed("site", "load", str(file)).out == "site lab is loaded; next: rackseed plan\n"
    assert rackseed("site", "show").out == PLANNED


def test_machines(rackseed: Callable[..., Result], served: None, pending: Box) -> None:
    listed = rackseed("machine", "list")
    assert listed.code == 0
    assert "WM21000002" in listed.out
    assert "enrolled" in listed.out
    [machine] = json.loads(rackseed("machine", "list", "--format", "json").out)["machines"]
    wrong = rackseed("machine", "approve", machine["id"], "--code", "AAAA-AAAA-AAA")
    assert wrong.code == 2
    assert "read it again from its console" in wrong.err
    right = rackseed("machine", "approve", machine["id"], "--code", pending.code)
    assert right.code == 0
    assert right.out.startswith(f"{machine['id']} is approved\nnext: ")
    assert rackseed("machine", "approve", machine["id"], "--without-code").code == 1
    assert rackseed("machine", "hold", machine["id"]).out.startswith(f"{machine['id']}: policy hold\n")
    assert rackseed("machine", "policy", machine["id"], "use").code == 0
    shown = rackseed("machine", "show", machine["id"]).out
    assert "/dev/sda" in shown
    assert "only what the machine claims" in shown
    assert rackseed("machine", "split", machine["id"]).code == 1
    assert rackseed("machine", "show", "m-x").err == "rackseed: there is no machine 'm-x'; see: rackseed machine list\n"
    assert rackseed("machine", "retire", machine["id"]).code == 0
    assert "no machine was seen yet" in rackseed("machine", "list").out
    assert machine["id"] in rackseed("machine", "list", "--retired").out


def test_plan(rackseed: Callable[..., Result], served: None, ready: str) -> None:
    shown = rackseed("plan")
    assert shown.code == 0
    assert "Waiting" in shown.out
    assert rackseed("plan", "--check").code == 3, "no image is built, so everything waits"
    made = json.loads(rackseed("plan", "--format", "json").out)
    assert rackseed("plan", "show", made["hash"][:12]).code == 0
    assert made["hash"][:12] in rackseed("plan", "list").out
    assert rackseed("plan", "show", "ffffffffffff").code == 2
    assert rackseed("apply", "ffffffffffff").code == 2


def test_explain(rackseed: Callable[..., Result], served: None, ready: str) -> None:
    none = rackseed("explain", "n1")
    assert (none.code, none.err) == (2, "rackseed: no plan was made yet: rackseed plan\n")
    rackseed("plan")
    shown = rackseed("explain", "n1")
    assert shown.code == 0
    assert shown.out.startswith(f"n1 ({ready}): ready, policy use\n")
    assert "Why this profile" in shown.out
    disk = json.loads(rackseed("explain", "S00000001", "--format", "json").out)
    assert disk["lines"][0]["text"] == f"disk S00000001 of n1 ({ready})"
    assert json.loads(rackseed("plan", "layout").out).keys() >= {"nodes", "clusters", "ceph", "backbone"}
    none = rackseed("plan", "crush")
    assert none.code == 2
    assert "has no Ceph" in none.err
    wrong = rackseed("explain", "n11")
    assert wrong.code == 2
    assert "did you mean n1?" in wrong.err
    assert rackseed("explain", "n1", "--plan", "ffffffffffff").code == 2


@pytest.mark.parametrize(
    ("terminal", "variable", "coloured"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_colours_of_a_plan(
    terminal: bool,
    variable: str,
    coloured: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    monkeypatch.setenv("NO_COLOR", variable)
    monkeypatch.setenv("TERM", "xterm")
    text = "Plan\n  + comes\n  - ERASE disk D1\n  ~ changes\n      why: so\n"
    colour.print_plan(text)
    shown = capsys.readouterr().out
    assert ("\x1b[32m  + comes" in shown, "\x1b[31m\x1b[1m  - ERASE" in shown) == (coloured, coloured)
    if not coloured:
        assert shown == text


def test_timeline(rackseed: Callable[..., Result], served: None, ready: str) -> None:
    shown = rackseed("timeline", ready)
    assert shown.code == 0
    assert "approval" in shown.out
    document = json.loads(rackseed("timeline", ready, "--format", "json").out)
    assert document["machine"]["id"] == ready


def test_following_a_timeline(app: Appliance, served: None, ready: str) -> None:
    """What happens is printed as it happens; the stream of the test ends after 0.3 s and is taken up again."""
    argv = [sys.executable, "-m", "appliance.cli.main", "timeline", ready, "--follow", "--format", "json"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        seen = [json.loads(process.stdout.readline())["text"]]
        time.sleep(1.0)
        assert main.run(["machine", "hold", ready, "--format", "json"]) == 0
        with contextlib.closing(process.stdout):
            while "policy use → hold" not in seen[-1]:
                seen.append(json.loads(process.stdout.readline())["text"])
        process.terminate()
    assert len(seen) == len(set(seen)), "nothing is told twice"


def test_ceph_is_measured_to_the_end(
    rackseed: Callable[..., Result], served: None, monkeypatch: pytest.MonkeyPatch, golden: Golden
) -> None:
    said = [view(OrderState.RUNNING, "vms"), view(OrderState.RUNNING, "shares_data"), view(OrderState.DONE, "")]
    asked: list[tuple[str, ...]] = []

    def measure(_app: object, _actor: object, names: tuple[str, ...]) -> SpeedView:
        asked.append(names)
        return said[0]

    monkeypatch.setattr(ceph_command, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(measurements, "measure", measure)
    rest = iter(said[1:])
    monkeypatch.setattr(measurements, "show_speed", lambda _app, _actor: next(rest))
    result = rackseed("ceph", "measure", "vms")
    assert result.code == 0, result.err
    golden.check("cli/ceph-measure.txt", result.out)
    assert asked == [("vms",)]
    monkeypatch.setattr(measurements, "show_speed", lambda _app, _actor: said[2])
    found = json.loads(rackseed("ceph", "throughput", "--format", "json").out)
    assert found["pools"][0]["pool"] == "vms"


def test_a_measurement_that_fails_is_a_failure(
    rackseed: Callable[..., Result], served: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurements, "measure", lambda *_: view(OrderState.FAILED, "pool vms can't be measured"))
    result = rackseed("ceph", "measure")
    assert result.code == 1
    assert "not measured to the end: pool vms can't be measured" in result.err

    def refuse(*_: object) -> SpeedView:
        raise Conflict("plan c is being carried out: measure when it is done")

    monkeypatch.setattr(measurements, "measure", refuse)
    result = rackseed("ceph", "measure", "--no-wait")
    assert result.code == 1
    assert "measure when it is done" in result.err
