"""What can go wrong with a virtual rack::

RehearsalError
├── PrerequisiteError   something is missing on this computer (the message says what to install)
├── NamespaceError      the network namespace could not be made
├── MachineError        a virtual machine could not be started or died
├── WaitError           something did not happen in time (the message carries the last lines of the console)
└── ApplianceError      `rackseed serve` or a `rackseed` command failed
"""

from __future__ import annotations


class RehearsalError(Exception):
    """A virtual rack could not do what was asked of it."""


class PrerequisiteError(RehearsalError):
    """Something that the rack needs is missing on this computer; the message says what to install or to be."""


class NamespaceError(RehearsalError):
    """The network namespace, its bridge or a tap could not be made."""


class MachineError(RehearsalError):
    """A virtual machine could not be started, or ended by itself."""


class WaitError(RehearsalError):
    """What was waited for did not come in time."""


class ApplianceError(RehearsalError):
    """The appliance of the rack did not start, or one of its commands failed."""
