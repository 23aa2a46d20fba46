"""``GET /healthz``: whether this process can do its work. Says nothing about machines or people."""

from __future__ import annotations

from flask import Response, current_app

from appliance.store.database import StoreError


def healthz() -> Response:
    """200 ``ok``, or 503 when the database does not answer."""
    try:
        with current_app.extensions["rackseed"].store.read():
            return Response("ok\n", 200, mimetype="text/plain")
    except StoreError:
        return Response("the database does not answer\n", 503, mimetype="text/plain")
