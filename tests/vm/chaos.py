"""Kills the appliance at random moments and starts it again."""

from __future__ import annotations

import os
import random
import time

from appliance.rehearsal.appliance_process import Answer, Appliance


class Chaos:
    """Called at every look (`tick`). The seed is printed, and taken from RACKSEED_SEED when that is set."""

    def __init__(self, appliance: Appliance, *, shortest: float = 12.0, longest: float = 75.0) -> None:
        self.seed = int(os.environ.get("RACKSEED_SEED", random.SystemRandom().randrange(1 << 32)))
        self.kills = 0
        self._appliance = appliance
        self._random = random.Random(self.seed)
        self._range = (shortest, longest)
        self._next = time.monotonic() + self._random.uniform(*self._range)
        print(f"random kills of the appliance: RACKSEED_SEED={self.seed}")

    def tick(self) -> None:
        """Kill and restart when the moment has come."""
        if time.monotonic() < self._next:
            return
        self._appliance.kill()
        self._appliance.start()
        self.kills += 1
        self._next = time.monotonic() + self._random.uniform(*self._range)

    def command(self, *words: str, tries: int = 20) -> Answer:
        """A command of a person who tries again while the appliance is down; it may be killed in the middle of it."""
        for attempt in range(tries):
            answer = self._appliance.command(*words, check=False)
            if answer.code != 1 or attempt == tries - 1:
                break
            time.sleep(2)
        assert answer.code in (0, 3, 4), answer.errors or answer.output
        return answer
