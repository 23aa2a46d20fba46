"""The one door to processes: `run` for commands that end, `Pipeline` for commands that are fed bytes, `Conversation` for one
that stays and answers line by line."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self

from agent.errors import AgentError

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LAST_LINES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a process left behind. ``stdout`` and ``stderr`` are decoded as UTF-8, with broken bytes replaced."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str


class CommandError(AgentError):
    """A process could not be started, took too long, or failed: the command, its exit code and its last lines."""

    def __init__(self, argv: Sequence[str], reason: str, *, code: int | None = None, stderr: str = "") -> None:
        lines = [line for line in stderr.strip().splitlines() if line.strip()][-LAST_LINES:]
        said = "".join(f"\n  {line}" for line in lines)
        super().__init__(f"`{' '.join(argv)}` {reason}{said}")
        self.argv = tuple(argv)
        self.code = code
        self.stderr = stderr


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What processes see: no locale, a complete search path, and ``extra``."""
    return {"LC_ALL": "C.UTF-8", "PATH": SEARCH_PATH, "HOME": "/root", "TERM": "dumb", **(extra or {})}


def run(
    argv: Sequence[str],
    *,
    input: bytes | None = None,
    timeout: float = 120.0,
    check: bool = True,
    pass_fds: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
) -> Result:
    """Run a command to its end. Its whole process group is killed after ``timeout`` seconds.

    Raises `CommandError` when it can't be started, takes too long, or (unless ``check`` is false) exits other than 0.
    """
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=tuple(pass_fds),
            env=environment(env),
            process_group=0,
        )
    except OSError as error:
        raise CommandError(argv, f"could not be started: {error.strerror}") from error
    with process:
        try:
            out, err = process.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            _kill(process)
            out, err = process.communicate()
            text = err.decode("utf-8", "replace")
            raise CommandError(argv, f"did not end within {timeout:g} s", stderr=text) from error
        except BaseException:
            _kill(process)
            raise
    result = Result(
        argv=tuple(argv),
        code=process.returncode,
        stdout=out.decode("utf-8", "replace"),
        stderr=err.decode("utf-8", "replace"),
    )
    if check and result.code != 0:
        raise CommandError(argv, f"ended with {result.code}", code=result.code, stderr=result.stderr or result.stdout)
    return result


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class Pipeline:
    """Commands joined by pipes, fed from here: ``with Pipeline(["zstd", "-dc"], ["tar", "-x"]) as p: p.feed(data)``.

    `close` waits for all of them and raises the first failure. Leaving the block by an exception kills them.
    """

    def __init__(self, *commands: Sequence[str]) -> None:
        self._commands = commands
        self._errors: list[IO[bytes]] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._closed = False

    def __enter__(self) -> Self:
        source: int | IO[bytes] = subprocess.PIPE
        try:
            for index, argv in enumerate(self._commands):
                last = index == len(self._commands) - 1
                source = self._start(argv, source, subprocess.DEVNULL if last else subprocess.PIPE)
        except BaseException:
            self._abort()
            raise
        return self

    def _start(self, argv: Sequence[str], stdin: int | IO[bytes], stdout: int) -> int | IO[bytes]:
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in _finish
        self._errors.append(errors)
        try:
            process = subprocess.Popen(
                list(argv), stdin=stdin, stdout=stdout, stderr=errors, env=environment(), process_group=0
            )
        except OSError as error:
            raise CommandError(argv, f"could not be started: {error.strerror}") from error
        self._processes.append(process)
        if not isinstance(stdin, int):
            stdin.close()  # ours would keep the pipe alive when the reader dies
        return process.stdout or subprocess.DEVNULL

    def feed(self, data: bytes) -> None:
        """Give bytes to the first command; raises `CommandError` of the command that died when one did."""
        stream = self._processes[0].stdin
        assert stream is not None  # noqa: S101 - opened with PIPE
        try:
            stream.write(data)
        except BrokenPipeError:
            self._finish()
            raise CommandError(self._commands[0], "stopped reading") from None

    def close(self, timeout: float = 600.0) -> None:
        """End of input: wait for the commands. Raises `CommandError` of the last command that failed."""
        if not self._closed:
            self._finish(timeout)

    def _finish(self, timeout: float = 60.0) -> None:
        """The failure of the last command explains the broken pipes of the ones before it."""
        self._closed = True
        stream = self._processes[0].stdin
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        try:
            for process in self._processes:
                process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._abort()
            raise CommandError(self._commands[-1], f"did not end within {timeout:g} s") from None
        texts = [self._text(errors) for errors in self._errors]
        for argv, process, text in reversed(list(zip(self._commands, self._processes, texts, strict=True))):
            if process.returncode != 0:
                raise CommandError(argv, f"ended with {process.returncode}", code=process.returncode, stderr=text)

    def _text(self, errors: IO[bytes]) -> str:
        errors.seek(0)
        text = errors.read().decode("utf-8", "replace")
        errors.close()
        return text

    def _abort(self) -> None:
        self._closed = True
        for process in self._processes:
            _kill(process)
        for process in self._processes:
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
            process.wait()
        for errors in self._errors:
            errors.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._closed:
            return
        if kind is None:
            self.close()
        else:
            self._abort()


class Conversation:
    """A command that stays: for each line it is given it answers one. It ends when its standard input does, also when we are
    killed; so nothing of it outlives us. What it says on standard error is lost."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = list(argv)
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""

    def ask(self, line: bytes, *, timeout: float) -> bytes:
        """The answer to a line (without a line break), from the command that runs or a new one. After ``timeout`` seconds
        it is killed. Raises `CommandError`."""
        for again in (True, False):
            begun = self._process is not None and self._process.poll() is None
            process = self._process if begun and self._process else self._start()
            try:
                assert process.stdin is not None  # noqa: S101 - opened with PIPE
                process.stdin.write(line + b"\n")
                process.stdin.flush()
                return self._line(process, time.monotonic() + timeout)
            except (BrokenPipeError, EOFError) as error:
                self.close()
                if not (begun and again):  # one that had stayed may have gone meanwhile; a new one may not
                    raise CommandError(self._argv, "ended without an answer") from error
            except BaseException:
                self.close()
                raise
        raise CommandError(self._argv, "ended without an answer")

    def close(self) -> None:
        """Kill it. The next `ask` starts it anew."""
        process, self._process, self._rest = self._process, None, b""
        if process is None:
            return
        _kill(process)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        self.close()
        try:
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment(),
                process_group=0,
            )
        except OSError as error:
            raise CommandError(self._argv, f"could not be started: {error.strerror}") from error
        return self._process

    def _line(self, process: subprocess.Popen[bytes], end: float) -> bytes:
        assert process.stdout is not None  # noqa: S101 - opened with PIPE
        with selectors.DefaultSelector() as ready:
            ready.register(process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if not ready.select(max(0.0, end - time.monotonic())):
                    raise CommandError(self._argv, "did not answer in time")
                data = os.read(process.stdout.fileno(), 1 << 16)
                if not data:
                    raise EOFError
                self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line
