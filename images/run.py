"""The one door to processes of the builders: `run` of the agent, with the host's proxy settings and our own error."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.run import CommandError, Result
from agent.run import run as agent_run
from images.errors import ToolError

INHERITED = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "TMPDIR")
"""Environment that a download needs; nothing else of the host may change a build."""

LONGEST = 300
"""Characters of a command that an error shows."""


def run(
    argv: Sequence[str | Path],
    *,
    timeout: float = 900.0,
    check: bool = True,
    env: Mapping[str, str] | None = None,
    input: bytes | None = None,
) -> Result:
    """Run a command to its end. Raises `ToolError` with the last lines, and with the package when the tool is missing."""
    words = [str(word) for word in argv]
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    try:
        return agent_run(words, timeout=timeout, check=check, env={**inherited, **(env or {})}, input=input)
    except CommandError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise ToolError(f"{words[0]} is not installed: run `tests/packages.sh base lab`, or install it") from error
        raise ToolError(str(error).replace(" ".join(words), _short(words))) from error


def _short(words: Sequence[str]) -> str:
    text = " ".join(words)
    return text if len(text) < LONGEST else f"{text[:LONGEST]} ..."
