"""Commands to the monitors, answered in the order in which they were asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.act import cephfiles as files
from agent.errors import CephAnswerError, CephError
from agent.run import CommandError, Conversation, run
from agent.wire import MonAnswer, MonCommand

PYTHON = "/usr/bin/python3"
"""The system's: Debian's python3-rados is for no other."""

CLIENT_ADMIN, CLIENT_BOOTSTRAP = "client.admin", "client.bootstrap-osd"
ANSWERS_LIMIT = 900_000
"""Bytes of all answers of one order as JSON text: the appliance's agent listener takes bodies of 1 MiB."""
TOO_LARGE = 27  # EFBIG
SECRET = "{secret}"  # noqa: S105 - the placeholder, not a secret
PACKAGES = "install python3-rados, python3-rbd, python3-cephfs and ceph-common"


SCRIPT = Path(__file__).with_name("cephtalk.py")
_stays = Conversation([PYTHON, "-I", str(SCRIPT), "--stay"])
"""Of this process, for what is asked as client.admin again and again: the cluster is looked at every few seconds."""


def talk(task: Mapping[str, Any], *, timeout: float, stays: Conversation | None = None) -> dict[str, Any]:
    """Run `agent.act.cephtalk`. The task goes over standard input: it may hold secrets. Raises `CephError`."""
    line, errors = json.dumps({"conf": str(files.CONF), **task}).encode(), ""
    try:
        if stays is None:
            done = run([PYTHON, "-I", str(SCRIPT)], input=line, timeout=timeout)
            answer, errors = done.stdout, done.stderr
        else:
            answer = stays.ask(line, timeout=timeout).decode()
        said = json.loads(answer)
    except CommandError as error:
        raise CephError(f"the cluster can't be asked: {error}") from error
    except ValueError as error:
        raise CephError(f"the cluster can't be asked: {errors.strip()[-300:] or 'no answer'}") from error
    if "missing" in said:
        raise CephError(f"the cluster can't be asked ({said['missing']}): {PACKAGES}")
    if "error" in said:
        raise CephError(f"the cluster does not answer ({said['error']}): are its monitors up, does {files.CONF} fit?")
    return dict(said)


def send(commands: Sequence[MonCommand], *, entity: str = CLIENT_ADMIN, keyring: Path | None = None) -> list[MonAnswer]:
    """All answers up to the first that failed beyond its ``may_fail``; payloads as they are. Raises `CephError`."""
    items = [
        {
            "command": item.command,
            "payload": item.payload,
            "manager": item.manager,
            "may_fail": list(item.may_fail),
            "pool": item.pool,
        }
        for item in commands
    ]
    options = {"keyring": str(keyring)} if keyring else {}
    task = {"do": "commands", "entity": entity, "options": options, "commands": items}
    stays = _stays if entity == CLIENT_ADMIN and keyring is None else None
    said = talk(task, timeout=120.0 + 60.0 * len(items), stays=stays)
    return [MonAnswer(**answer) for answer in said["answers"]]


def fetch_monmap(path: Path, *, entity: str, keyring: Path, hosts: str = "") -> None:
    """The monitors' map into ``path``. Of the monitors ``hosts`` (as in ``mon_host``), by default those of ceph.conf. Not by
    the `ceph` command, which takes seconds of a slow processor to start. Raises `CephError`."""
    options = {"keyring": str(keyring), **({"mon_host": hosts} if hosts else {})}
    talk({"do": "monmap", "entity": entity, "options": options, "path": str(path)}, timeout=180)


def ask(commands: Sequence[MonCommand], secrets: Callable[[str], str]) -> tuple[MonAnswer, ...]:
    """An order's commands as client.admin. Raises `CephAnswerError` with what was answered when one failed."""
    filled = [
        MonCommand(
            command=item.command,
            payload=item.payload.replace(SECRET, secrets(item.secret).strip()) if item.secret else item.payload,
            manager=item.manager,
            may_fail=item.may_fail,
            pool=item.pool,
        )
        for item in commands
    ]
    answers = fit(send(filled))
    last = answers[-1] if answers else MonAnswer(code=0)
    asked = commands[len(answers) - 1] if answers else None
    if asked is not None and last.code and not asked.pool and last.code not in asked.may_fail:
        raise CephAnswerError(f"`{_named(asked)}`: {last.status or 'failed'} ({last.code})", answers)
    return answers


def fit(answers: Sequence[MonAnswer]) -> tuple[MonAnswer, ...]:
    """An answer that does not fit into the report any more becomes an error: half a JSON document helps nobody."""
    room, kept = ANSWERS_LIMIT, list[MonAnswer]()
    for answer in answers:
        size = len(json.dumps(answer.output)) + len(json.dumps(answer.status)) + 64
        if size > room:
            text = f"the answer has {size} bytes, {room} are left: ask for less in one order"
            kept.append(MonAnswer(code=TOO_LARGE, status=text))
            break
        room -= size
        kept.append(answer)
    return tuple(kept)


def question(entity: str, keyring: Path | None, prefix: str, payload: str = "", **arguments: Any) -> MonAnswer:
    """One command of our own."""
    command = MonCommand(command=json.dumps({"prefix": prefix, "format": "json", **arguments}), payload=payload)
    return send([command], entity=entity, keyring=keyring)[0]


def _named(command: MonCommand) -> str:
    """The command's words without its arguments: they may be long."""
    try:
        return str(json.loads(command.command)["prefix"])
    except (ValueError, KeyError, TypeError):
        return command.command[:80]
