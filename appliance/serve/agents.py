"""The mutual-TLS listener's application: the API of approved machines, and nothing else."""

from __future__ import annotations

from flask import Flask

from appliance.api import agents, problem
from appliance.operations.context import Appliance
from appliance.serve import access
from appliance.serve.health import healthz

BODY_LIMIT = 1024 * 1024


def make_app(appliance: Appliance) -> Flask:
    """The WSGI application, for gunicorn and for tests."""
    app = Flask("appliance.serve.agents", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=BODY_LIMIT)
    app.extensions["rackseed"] = appliance
    problem.register(app)
    app.after_request(access.protect)
    app.register_blueprint(agents.api)
    app.add_url_rule("/healthz", view_func=healthz)
    return app
