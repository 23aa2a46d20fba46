"""What a person sees on the screens of the machine: short lines, a header, the code, a progress bar.

In the agent image every line goes to all active consoles (a rack has both a KVM and serial-over-LAN); as a service it
goes to standard output, and so to the journal. Plain ASCII and CR LF: some serial consoles do nothing else.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from agent.glyphs import large

ACTIVE = Path("/sys/class/tty/console/active")
WIDTH = 78
BAR = 30


class Sink(Protocol):
    def write(self, text: str) -> None: ...


class Terminal:
    """A console device, opened for every line without waiting: a serial line whose cable is pulled must not stop us."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            fd = os.open(self.path, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                _write_all(fd, text.replace("\n", "\r\n").encode("ascii", "replace"))
            finally:
                os.close(fd)


def _write_all(fd: int, data: bytes, patience: float = 2.0) -> None:
    """A slow line (9600 baud) fills its buffer: wait a little, then give the rest up."""
    end = time.monotonic() + patience
    while data and time.monotonic() < end:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            time.sleep(0.02)


class Standard:
    """Standard output."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            sys.stdout.write(text)
            sys.stdout.flush()


@dataclass(slots=True)
class Console:
    """``prefix`` of lines is the time since the start in the image; the journal has its own."""

    sinks: Sequence[Sink] = field(default_factory=lambda: [Standard()])
    timed: bool = False
    _last: str = ""
    _step: int = -1

    @classmethod
    def of_image(cls, active: Path = ACTIVE) -> Console:
        """All active consoles; standard output when the kernel names none."""
        try:
            names = active.read_text(encoding="ascii").split()
        except OSError:
            names = []
        terminals = [Terminal(Path("/dev") / name) for name in names if (Path("/dev") / name).exists()]
        return cls(sinks=terminals or [Standard()], timed=True)

    def line(self, text: str) -> None:
        """One status line; a repetition of the last one is not shown again."""
        if text == self._last:
            return
        self._last = text
        stamp = f"[{time.monotonic():8.1f}] " if self.timed else ""
        first, *rest = text.splitlines() or [""]
        self._write("".join([f"{stamp}rackseed: {first}\n", *(f"{' ' * len(stamp)}  {line}\n" for line in rest)]))

    def header(self, facts: Sequence[tuple[str, str]]) -> None:
        """A box of facts about this machine and its appliance; empty ones are left out."""
        rule = "=" * WIDTH
        rows = [f"  {name:<10} {value}" for name, value in facts if value]
        self._write("\n".join(["", rule, *rows, rule, ""]))

    def code(self, code: str, explanation: str) -> None:
        """The enrolment code, large and small."""
        rule = "-" * WIDTH
        self._write(
            "\n".join(
                ["", rule, *(f" {row}" for row in large(code)), "", f"  code: {code}", f"  {explanation}", rule, ""]
            )
        )

    def progress(self, stage: str, fraction: float, message: str = "") -> None:
        """A bar, at most one line per two percent."""
        step = int(fraction * 50)
        filled = round(fraction * BAR)
        bar = "#" * filled + "." * (BAR - filled)
        if step != self._step or message:
            self._step = step
            self.line(f"[{bar}] {fraction:4.0%} {stage}{': ' if message else ''}{message}")

    def _write(self, text: str) -> None:
        for sink in self.sinks:
            sink.write(text)
