"""The committed description is the one of the code, and the application does what it says (schemathesis)."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings

from appliance.api import openapi
from tests.unit.operations.lab import Box
from tests.unit.web.conftest import HOST, Person

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

ROOT = Path(__file__).resolve().parents[3]
STREAM = "/api/v1/events/stream"


def test_the_committed_file_is_fresh(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert openapi.main(["--check", str(ROOT / "openapi.json")]) == 0
    stale = tmp_path / "openapi.json"
    stale.write_text("{}")
    assert openapi.main(["--check", str(stale)]) == 1
    assert "--write" in capsys.readouterr().err


def test_every_route_is_described(web: Flask) -> None:
    described = {(method.upper(), path) for path, item in openapi.document()["paths"].items() for method in item}
    for rule in web.url_map.iter_rules():
        if str(rule.rule).startswith("/api/"):
            path = str(rule.rule).replace("<", "{").replace(">", "}")
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                assert (method, path) in described


def test_bodies_say_that_they_take_nothing_else() -> None:
    document = openapi.document()
    for path, item in document["paths"].items():
        for operation in item.values():
            if "requestBody" in operation and path.startswith("/api/v1/m"):
                reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
                assert document["components"]["schemas"][reference.rsplit("/", 1)[1]]["additionalProperties"] is False


@pytest.fixture
def described(web: Flask, person: Callable[[str], Person], pending: Box) -> Iterator[Person]:
    """The application, with its description served by itself (only here)."""
    document = openapi.document()
    del document["paths"][STREAM]
    document["paths"] = {path: item for path, item in document["paths"].items() if path.startswith("/api/")}
    for item in document["paths"].values():
        for operation in item.values():
            for parameter in operation["parameters"]:
                if parameter["name"] == "machine":
                    parameter["schema"] = {"enum": ["n2", "nobody"]}
    web.add_url_rule("/described.json", view_func=lambda: json.dumps(document))
    yield person("admin")


def test_it_does_what_it_says(web: Flask, described: Person) -> None:
    schema = schemathesis.openapi.from_wsgi("/described.json", web)
    checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    asked = 0
    quick = settings(
        max_examples=4,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for result in schema.get_all_operations():
        operation = result.ok()

        @quick
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case) -> None:
            nonlocal asked
            asked += 1
            response = case.call(base_url=HOST, headers=described.headers)
            case.validate_response(response, checks=checks)

        ask()
    assert asked > 50
