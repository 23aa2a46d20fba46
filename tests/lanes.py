"""Read the lanes' JUnit reports: print the sum, and fail when a lane ran nothing or skipped what this machine could run.

The only reason that excuses a skip is an absent corpus (real data that is not part of the project).
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET  # our own reports, written by pytest a moment ago
from pathlib import Path

EXCUSED = ("the corpus is absent",)


def read(path: Path) -> tuple[int, int, list[str]]:
    """Tests that passed, tests that failed, and the skips that nothing excuses."""
    passed = failed = 0
    complaints = []
    for case in ET.parse(path).iter("testcase"):  # noqa: S314
        skipped = case.find("skipped")
        if skipped is not None:
            reason = skipped.get("message", "")
            if not any(text in reason for text in EXCUSED):
                complaints.append(f"{path.stem}: {case.get('classname')}::{case.get('name')} was skipped: {reason}")
        elif case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        else:
            passed += 1
    if passed + failed == 0:
        complaints.append(f"{path.stem}: no test ran")
    return passed, failed, complaints


def main(paths: list[str]) -> int:
    total_passed = total_failed = 0
    complaints: list[str] = []
    for path in map(Path, paths):
        passed, failed, skipped = read(path)
        print(f"{path.stem:10} {passed:5} passed {failed:4} failed {len(skipped):4} skipped without excuse")
        total_passed += passed
        total_failed += failed
        complaints += skipped
    for complaint in complaints:
        print(complaint)
    print(f"{total_passed} passed, {total_failed} failed, {len(complaints)} skipped")
    return 1 if total_failed or complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
