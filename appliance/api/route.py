"""The typed route layer: a handler's signature is its contract, and OpenAPI is generated from it.

A handler takes path parameters by name, ``body`` (a dataclass), ``query`` (a dataclass of arguments) and ``if_match`` (the
generation from an If-Match header), and returns a dataclass or a `Reply` of one. Bodies are checked strictly: wrong types,
unknown and missing keys are 422 with the place of each; another media type is 415, too many bytes are 413.
"""

from __future__ import annotations

import hashlib
import json
import typing
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from typing import Any, Generic, TypeVar

from flask import Blueprint, Response, current_app, g, request
from pydantic import TypeAdapter, ValidationError

from agent import wire
from appliance.api.problem import ApiError, Flaw
from appliance.operations.context import Actor, Appliance
from appliance.operations.errors import NotSignedIn

T = TypeVar("T")
Handler = Callable[..., Any]
FORBID: Any = {"extra": "forbid"}
"""``__pydantic_config__`` of every body: unknown keys are errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Generic[T]):
    """A result with what HTTP adds: the address of a new thing, and the generation for If-Match."""

    value: T
    status: int = 0
    location: str = ""
    generation: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation of the API as its decorator saw it. ``limit`` is the largest body in bytes."""

    rule: str
    method: str
    handler: Handler
    body: Any
    query: Any
    result: Any
    status: int
    errors: tuple[int, ...]
    parameters: dict[str, Any]
    if_match: bool
    idempotent: bool
    limit: int
    media_type: str = "application/json"


def appliance() -> Appliance:
    """The appliance that this process serves."""
    return typing.cast(Appliance, current_app.extensions["rackseed"])


def asking() -> Actor:
    """Who asks; `NotSignedIn` when nobody was recognised (`appliance.serve.access`)."""
    actor: Actor | None = g.get("actor")
    if actor is None:
        raise NotSignedIn("sign in at /login, or send a token as Authorization: Bearer …")
    return actor


class Api(Blueprint):
    """A blueprint that remembers its routes. ``remember`` keeps answers for Idempotency-Key (see `_replayed`)."""

    def __init__(self, name: str, import_name: str, *, url_prefix: str) -> None:
        super().__init__(name, import_name, url_prefix=url_prefix)
        self.routes: list[Route] = []

    def route_for(
        self,
        method: str,
        rule: str,
        *,
        status: int = 200,
        errors: tuple[int, ...] = (),
        limit: int = 64 * 1024,
        idempotent: bool = False,
        media_type: str = "application/json",
    ) -> Callable[[Handler], Handler]:
        """Register a handler; ``errors`` are the statuses that it may answer besides the general ones."""

        def register(handler: Handler) -> Handler:
            hints = typing.get_type_hints(handler)
            result = hints.pop("return")
            body, query = hints.pop("body", None), hints.pop("query", None)
            if_match = hints.pop("if_match", None) is not None
            if typing.get_origin(result) is Reply:
                (result,) = typing.get_args(result)
            route = Route(
                rule=rule,
                method=method,
                handler=handler,
                body=body,
                query=query,
                result=result,
                status=status,
                errors=errors,
                parameters=hints,
                if_match=if_match,
                idempotent=idempotent,
                limit=limit,
                media_type=media_type,
            )
            self.routes.append(route)
            self.add_url_rule(rule, handler.__name__, _view(route), methods=[method])
            return handler

        return register


def _view(route: Route) -> Callable[..., Response]:
    read_body: Callable[[bytes], Any] | None = _reader(route.body) if route.body is not None else None
    query = TypeAdapter(route.query) if route.query is not None else None
    write = _writer(route.result)

    def view(**arguments: Any) -> Response:
        request.max_content_length = route.limit
        if read_body is not None:
            if request.mimetype != "application/json":
                raise ApiError(415, "send the body as application/json")
            arguments["body"] = read_body(request.get_data())
        if query is not None:
            arguments["query"] = _checked(lambda: query.validate_python(request.args.to_dict()), "the query")
        if route.if_match:
            arguments["if_match"] = _generation(request.headers.get("If-Match", ""))
        if route.idempotent and (key := request.headers.get("Idempotency-Key", "")):
            return _replayed(route, key, lambda: _respond(route, write, route.handler(**arguments)))
        return _respond(route, write, route.handler(**arguments))

    return view


def _respond(route: Route, write: Callable[[Any], bytes], result: Any) -> Response:
    if isinstance(result, Response):
        return result
    reply = result if isinstance(result, Reply) else Reply(value=result)
    response = Response(write(reply.value), reply.status or route.status, mimetype=route.media_type)
    if reply.location:
        response.headers["Location"] = reply.location
    if reply.generation is not None:
        response.headers["ETag"] = f'"{reply.generation}"'
    return response


def _replayed(route: Route, key: str, run: Callable[[], Response]) -> Response:
    """The first answer to this key and actor again; `KeyReused` when the request differs (operations.idempotency)."""
    from appliance.operations import idempotency  # noqa: PLC0415 - only the people's API stores keys

    if not 8 <= len(key) <= 128 or not key.isascii() or not key.isprintable():
        raise ApiError(422, "Idempotency-Key must be 8 to 128 printable ASCII characters", ())
    digest = hashlib.sha256(f"{request.method} {request.full_path}\n".encode() + request.get_data()).hexdigest()
    kept = idempotency.recall(appliance(), asking(), key, digest)
    if kept is not None:
        return Response(kept.body, kept.status, mimetype=route.media_type, headers={"Idempotency-Replayed": "true"})
    response = run()
    idempotency.remember(
        appliance(),
        asking(),
        key,
        request_sha256=digest,
        status=response.status_code,
        body=response.get_data(as_text=True),
    )
    return response


def _reader(body: type[Any]) -> Callable[[bytes], Any]:
    """Bodies of machines are read by the wire contract's own strict decoder, the others by pydantic."""
    if body.__module__.startswith("agent."):
        return lambda raw: wire.decode(body, raw)
    if is_dataclass(body) and getattr(body, "__pydantic_config__", None) is not FORBID:
        raise TypeError(f"{body.__name__} must set __pydantic_config__ = FORBID")
    adapter = TypeAdapter(body)
    return lambda raw: _checked(lambda: adapter.validate_json(raw, strict=True), "the body")


def _writer(result: Any) -> Callable[[Any], bytes]:
    if getattr(result, "__module__", "").startswith("agent."):
        return wire.encode
    adapter = TypeAdapter(Any if result is Response else result)
    return adapter.dump_json


def _checked(validate: Callable[[], T], what: str) -> T:
    try:
        return validate()
    except ValidationError as error:
        flaws = tuple(
            Flaw(at="/".join(map(str, item["loc"])), message=item["msg"])
            for item in error.errors(include_url=False, include_context=False, include_input=False)
        )
        raise ApiError(422, f"{what} does not fit its schema", flaws) from error


def _generation(header: str) -> int | None:
    """The generation in an If-Match header (a strong ETag that is a number); None without one."""
    if not header or header == "*":
        return None
    try:
        return int(json.loads(header))
    except (ValueError, TypeError) as error:
        raise ApiError(422, 'If-Match must be an ETag that we gave, for example "7"') from error
