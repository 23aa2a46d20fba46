"""Commands to the monitors of a lab's Ceph, through one connection that is kept as long as it works."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from errno import ETIMEDOUT

from agent.cephorder import MonAnswer, MonCommand
from appliance.rehearsal.cephlab.host import Host

CONFIGURATION = "/etc/ceph/ceph.conf"
PATIENCE = 12.0
"""Seconds for an answer, longer than the asker's own."""


@dataclass(slots=True, kw_only=True)
class Monitors:
    """Asks from ``host`` as ``entity``, whose keyring is where Ceph looks for it."""

    host: Host
    configuration: str = CONFIGURATION
    entity: str = "client.admin"
    _asker: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def ask(self, commands: Iterable[MonCommand]) -> tuple[MonAnswer, ...] | None:
        """The answers in order; None when no monitor answers (or the connection broke: ask again)."""
        asker = self._running()
        answers: list[MonAnswer] = []
        try:
            for item in commands:
                line = json.dumps(
                    {"command": item.command, "payload": item.payload, "manager": item.manager, "pool": item.pool}
                )
                assert asker.stdin and asker.stdout  # noqa: S101 - opened with PIPE
                asker.stdin.write(f"{line}\n".encode())
                asker.stdin.flush()
                if not select.select([asker.stdout], [], [], PATIENCE)[0]:
                    raise OSError("no answer")
                answer = MonAnswer(**json.loads(asker.stdout.readline()))
                if answer.code == ETIMEDOUT and not answers:
                    raise OSError("no quorum")  # later ones may wait for something else, such as the first manager
                answers.append(answer)
        except (OSError, ValueError):
            self.close()
            return None
        return tuple(answers)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._asker is None or self._asker.poll() is not None:
            self.close()
            argv = ["python3", "/opt/rackseed/lab/asker.py", self.configuration, self.entity]
            self._asker = self.host.start(argv, stdin=subprocess.PIPE)
        return self._asker

    def close(self) -> None:
        """End the connection; the next question makes a new one."""
        asker, self._asker = self._asker, None
        if asker is None:
            return
        asker.kill()
        for stream in (asker.stdin, asker.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        asker.wait()
