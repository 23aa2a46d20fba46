"""The serial console of a machine: kept as a log with times, and searched.

Firmware draws its screens with escape sequences and overprints lines with carriage returns; what is kept is the text.
"""

from __future__ import annotations

import os
import re
import threading
import time
from pathlib import Path
from typing import IO

ESCAPE = re.compile(rb"\x1b(?:\[[0-9;?=]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-Za-z]|[=>78cDEHM])")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
CODE = re.compile(r"\b([A-HJKMNP-Z1-9]{4}-[A-HJKMNP-Z1-9]{4}-[A-HJKMNP-Z1-9]{3})\b")
PANIC = re.compile(r"Kernel panic - not syncing")
TCG = re.compile(r"double fault|__kmalloc|this_cpu_cmpxchg|IO-APIC \+ timer doesn't work|cmpxchg16b")


def clean(line: bytes) -> str:
    """One line as a person would have read it: no escape sequences, no control characters, the last overprint."""
    text = ESCAPE.sub(b"", line).decode("utf-8", "replace").rstrip("\r\n ")
    return CONTROL.sub("", text.rsplit("\r", 1)[-1]).rstrip()


def find_code(text: str) -> str:
    """The newest enrolment code on a console, or the empty string. Only lines that speak of a code count."""
    for line in reversed(text.splitlines()):
        found = CODE.search(line)
        if found and "code" in line.lower():
            return found.group(1)
    return ""


def is_tcg_panic(text: str) -> bool:
    """Did the guest's kernel die of QEMU 7.2's emulation? Only then may a boot be tried once more."""
    found = PANIC.search(text)
    if found is None:
        return False
    return TCG.search(text, max(0, found.start() - 8000), found.end() + 4000) is not None


def gave_up(console: Console) -> bool:
    """Did the firmware run out of things to boot? OVMF then stops at its shell; servers begin anew."""
    return console.prompt().endswith("Shell>")


class Console:
    """Reads a machine's serial line in a thread of its own and appends to a log, one time-stamped line per line.

    Times are seconds since ``start`` (the rack's, so that logs of machines can be compared).
    """

    def __init__(self, stream: IO[bytes], log: Path, start: float) -> None:
        self._stream = stream
        self._log = log
        self._start = start
        self._lines: list[str] = []
        self._rest = b""
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._follow, name=f"console-{log.stem}", daemon=True)
        self._thread.start()

    def text(self) -> str:
        """Everything since this power-on, without times; the last line may have no end yet (a prompt)."""
        with self._lock:
            return "\n".join([*self._lines, clean(self._rest)] if self._rest else self._lines)

    def prompt(self) -> str:
        """The last line, if it has no end yet."""
        with self._lock:
            return clean(self._rest)

    def last(self) -> str:
        """The last line that says something, or the empty string."""
        with self._lock:
            return next((line for line in reversed(self._lines) if line.strip()), "")

    def tail(self, count: int = 15) -> str:
        """The last ``count`` lines."""
        with self._lock:
            return "\n".join(self._lines[-count:])

    def join(self) -> None:
        """Wait until the last byte was written to the log (after the machine ended)."""
        self._thread.join(timeout=5)

    def _follow(self) -> None:
        with self._log.open("a", encoding="utf-8") as log, self._stream:
            while chunk := os.read(self._stream.fileno(), 65536):
                *lines, rest = (self._rest + chunk).split(b"\n")
                with self._lock:
                    self._rest = rest
                for line in lines:
                    self._keep(line, log)
                log.flush()
            rest, self._rest = self._rest, b""
            if rest:
                self._keep(rest, log)

    def _keep(self, line: bytes, log: IO[str]) -> None:
        text = clean(line)
        log.write(f"{time.monotonic() - self._start:9.2f}  {text}\n")
        with self._lock:
            self._lines.append(text)
