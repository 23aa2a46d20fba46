"""``openapi.json``: the people's API, enrolment and the agents' API as OpenAPI 3.1, generated from the handlers.

``python -m appliance.api.openapi`` prints it, ``--write FILE`` writes it, ``--check FILE`` fails when FILE is stale.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
from dataclasses import fields
from http import HTTPStatus
from pathlib import Path
from typing import Any

from flask import Response
from pydantic import TypeAdapter

from appliance.api import agents, ceph, enrolments, life, people, planning
from appliance.api.problem import MEDIA_TYPE, Problem
from appliance.api.route import Api, Route

APIS = (people.api, planning.api, ceph.api, life.api, enrolments.api, agents.api)
PUBLIC = frozenset({"get_time", "enrol", "enrolment_state"})
REFERENCE = "#/components/schemas/{model}"
STREAM = {
    "operationId": "stream",
    "summary": "Events as server-sent events, resumed by Last-Event-ID.",
    "tags": ["people"],
    "security": [{"token": []}, {"session": []}],
    "parameters": [
        {"name": "Last-Event-ID", "in": "header", "schema": {"type": "integer", "minimum": 0}},
        {"name": "since", "in": "query", "schema": {"type": "integer", "minimum": 0}},
        {"name": "machine", "in": "query", "schema": {"type": "string"}},
    ],
}


def document() -> dict[str, Any]:
    """The whole description, as JSON data."""
    routes = [(api, route) for api in APIS for route in api.routes]
    schemas, definitions = _schemas([route for _, route in routes])
    paths: dict[str, dict[str, Any]] = {}
    for api, route in routes:
        path = str(api.url_prefix) + re.sub(r"<(?:path:)?([a-z_]+)>", r"{\1}", route.rule)
        paths.setdefault(path, {})[route.method.lower()] = _operation(api, route, schemas)
    problem = {"description": "refused", "content": {MEDIA_TYPE: {"schema": schemas["problem"]}}}
    answers = {"200": {"description": "a stream", "content": {"text/event-stream": {"schema": {"type": "string"}}}}}
    answers |= {str(status): problem for status in (401, 403, 404, 422, 429)}
    paths["/api/v1/events/stream"] = {"get": {**STREAM, "responses": answers}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "rackseed", "version": "1", "license": {"name": "MIT", "identifier": "MIT"}},
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(definitions.items())),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "__Host-rackseed"},
                "certificate": {"type": "mutualTLS"},
            },
        },
    }


def _schemas(routes: list[Route]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """Schema per (handler, direction), and the definitions that they refer to."""
    wanted: list[tuple[Any, Any, TypeAdapter[Any]]] = [("problem", "serialization", TypeAdapter(Problem))]
    for route in routes:
        if route.body is not None:
            wanted.append(((route.handler, "body"), "validation", TypeAdapter(route.body)))
        if route.result is not Response:
            wanted.append(((route.handler, "result"), "serialization", TypeAdapter(route.result)))
    made, definitions = TypeAdapter.json_schemas(
        [(str(index), mode, adapter) for index, (_, mode, adapter) in enumerate(wanted)], ref_template=REFERENCE
    )
    by_key = {key: made[str(index), mode] for index, (key, mode, _) in enumerate(wanted)}
    return by_key, definitions.get("$defs", {})


def _operation(api: Api, route: Route, schemas: dict[Any, Any]) -> dict[str, Any]:
    name = route.handler.__name__
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": " ".join((inspect.getdoc(route.handler) or "").split()),
        "tags": [api.name],
        "parameters": _parameters(route),
        "responses": _responses(route, schemas),
        "security": _security(api, name),
    }
    if route.body is not None:
        content = {"application/json": {"schema": schemas[route.handler, "body"]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _security(api: Api, name: str) -> list[dict[str, list[str]]]:
    if name in PUBLIC:
        return []
    return [{"certificate": []}] if api is agents.api else [{"token": []}, {"session": []}]


def _parameters(route: Route) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": TypeAdapter(type_).json_schema()}
        for name, type_ in route.parameters.items()
    ]
    if route.query is not None:
        schema = TypeAdapter(route.query).json_schema()
        required = schema.get("required", [])
        found += [
            {
                "name": item.name,
                "in": "query",
                "required": item.name in required,
                "schema": schema["properties"][item.name],
            }
            for item in fields(route.query)
        ]
    if route.if_match:
        found.append({"name": "If-Match", "in": "header", "schema": {"type": "string"}})
    if route.idempotent:
        schema = {"type": "string", "minLength": 8, "maxLength": 128}
        found.append({"name": "Idempotency-Key", "in": "header", "schema": schema})
    return found


def _responses(route: Route, schemas: dict[Any, Any]) -> dict[str, Any]:
    result = schemas.get((route.handler, "result"), {"type": "string"})
    content = {route.media_type: {"schema": result}}
    answers: dict[str, Any] = {str(route.status): {"description": HTTPStatus(route.status).phrase, "content": content}}
    statuses = {*route.errors, 503}
    if route.body is not None:
        statuses |= {413, 415, 422}
    if route.if_match or route.idempotent:
        statuses |= {409, 422}
    for status in sorted(statuses):
        content = {MEDIA_TYPE: {"schema": schemas["problem"]}}
        answers[str(status)] = {"description": HTTPStatus(status).phrase, "content": content}
    return answers


def text() -> str:
    """The document as it is committed."""
    return json.dumps(document(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Print, write or check; 1 when the file is stale."""
    parser = argparse.ArgumentParser(prog="python -m appliance.api.openapi", description=__doc__)
    parser.add_argument("--check", type=Path, metavar="FILE")
    parser.add_argument("--write", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    if options.write:
        options.write.write_text(text(), encoding="utf-8")
    elif options.check:
        if not options.check.exists() or options.check.read_text(encoding="utf-8") != text():
            again = f"python -m appliance.api.openapi --write {options.check}"
            print(f"{options.check} is stale: run {again} and review it", file=sys.stderr)
            return 1
    else:
        print(text(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
