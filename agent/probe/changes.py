"""What udev says while the installed system runs: disks and ports that come and go are worth an early report.

pyudev is imported at the first question, after the first report: under emulation its import costs a second of a boot.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger(__name__)

WATCHED = (("block", "disk"), ("net", None))
"""udev's (subsystem, device type): whole disks and network ports. Partitions come with their disks."""

WORTH_TELLING = frozenset({"add", "remove", "change", "move"})


@dataclass(slots=True)
class Changes:
    """Hears udev's events (``source`` is ``udev``, or ``kernel`` where no udevd runs)."""

    source: str = "udev"
    _monitor: Any = field(default=None, repr=False)
    _deaf: bool = field(default=False, repr=False)

    def fresh(self) -> bool:
        """Whether a disk or port came, went or changed since the last question. Never blocks; false for ever on a system
        without pyudev or netlink (it reports at its interval all the same)."""
        if self._deaf:
            return False
        if self._monitor is None:
            self._listen()
            return False
        heard = False
        while (device := self._monitor.poll(timeout=0)) is not None:
            heard = heard or device.action in WORTH_TELLING
        return heard

    def _listen(self) -> None:
        try:
            import pyudev  # noqa: PLC0415 - see above

            self._monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source=self.source)
            for subsystem, kind in WATCHED:
                self._monitor.filter_by(subsystem, kind)
            self._monitor.start()
        except (ImportError, OSError) as error:
            self._deaf = True
            log.info("step=watch why=no word from udev, reports come at their interval only: %s", error)
