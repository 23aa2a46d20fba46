"""Reports of the long tests into the documentation: ``python -m docs.make_report_pictures``.

Takes what ``make test-nightly`` left in build/reports: text as it is, and pictures (SVG of the pages) as PNG in the pages'
light style.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from docs.make_layout_pictures import page
from docs.make_pictures import photograph

ROOT = Path(__file__).resolve().parent
SOURCE, TARGET = ROOT.parent / "build" / "reports", ROOT / "reports"
MARGIN = 80
"""Pixels of the page around a picture, above and below."""


def main() -> None:
    """Every report that is there."""
    for report in sorted(SOURCE.glob("*.md")):
        shutil.copyfile(report, TARGET / report.name)
    with tempfile.TemporaryDirectory() as folder:
        for picture in sorted(SOURCE.glob("*.svg")):
            drawn = picture.read_text(encoding="utf-8")
            size = re.search(r'<svg[^>]* height="([0-9.]+)"', drawn)
            source = Path(folder) / f"{picture.stem}.html"
            source.write_text(page(drawn), encoding="utf-8")
            photograph(source.as_uri(), TARGET / f"{picture.stem}.png", round(float(size[1]) if size else 600) + MARGIN)


if __name__ == "__main__":
    main()
