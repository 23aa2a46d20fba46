"""Exit codes, and the error that carries one.

CommandError
├── UserError       2  what was typed, or a file that was named, is wrong
├── ServerError     1  the appliance refused or failed; its own words are the message
├── NotRunning      1  nobody listens on the socket or URL
└── Left          130  a person stopped looking at a plan that goes on (`appliance.cli.flow`)
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_USER = 2
EXIT_WAITS = 3
EXIT_CHANGES = 4
EXIT_INTERRUPTED = 130
"""A person pressed Ctrl-C, as shells count it."""


class CommandError(Exception):
    """A command did not succeed; the message goes to stderr as it is."""

    exit_code = EXIT_FAILURE


class UserError(CommandError):
    exit_code = EXIT_USER


class ServerError(CommandError):
    """``status`` is the HTTP status of the answer."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status
        # What the person named does not exist, or does not fit: input. The rest is ours, or the state of things.
        self.exit_code = EXIT_USER if status in (404, 413, 415, 422) else EXIT_FAILURE


class NotRunning(CommandError):
    pass
