"""A site file with a list of machines beside it: what is stored stands alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.operations import sites
from appliance.operations.context import Appliance
from appliance.operations.errors import Invalid
from tests.unit.operations.lab import OPERATOR, SITE, VIEWER


def test_the_list_is_stored_with_the_file(app: Appliance, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(SITE + "manifest: list.csv\n")
    (tmp_path / "list.csv").write_text("name,serial\nn1,s1\n")
    sites.load_site(app, OPERATOR, path)
    (tmp_path / "list.csv").unlink()
    site = sites.current_site(app)
    assert site is not None
    assert [machine.serial for machine in site.machines] == ["S1"]
    row = sites.current_text(app, VIEWER)
    assert row is not None
    assert row.text == SITE + "manifest: |2\n  name,serial\n  n1,s1\n"


def test_problems_of_the_list_have_its_places(app: Appliance, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(SITE + "manifest: list.csv\n")
    (tmp_path / "list.csv").write_text("name,serial\nn1,s1\nn2,s1\n")
    with pytest.raises(Invalid) as caught:
        sites.load_site(app, OPERATOR, path)
    assert caught.value.problems[0][0] == f"{tmp_path}/list.csv:3:2"
    assert sites.current_site(app) is None


def test_text_from_elsewhere_names_no_file(app: Appliance) -> None:
    """Whoever sends a site file must not make the appliance read its own files."""
    with pytest.raises(Invalid, match="this text stands alone"):
        sites.load_site_text(app, OPERATOR, SITE + "manifest: site.yaml\n", "site.yaml")
