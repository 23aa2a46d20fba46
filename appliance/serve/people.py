"""The HTTPS listener's application: enrolment, the people's API and the pages. Never the API of the agents."""

from __future__ import annotations

from flask import Flask, Response, request

from appliance.api import ceph, enrolments, life, people, planning, problem, stream
from appliance.operations.context import Appliance
from appliance.serve import access
from appliance.serve.health import healthz
from appliance.ui import pages

BODY_LIMIT = 1024 * 1024
FORM_LIMIT = 64 * 1024


def make_app(appliance: Appliance) -> Flask:
    """The WSGI application, for gunicorn and for tests."""
    app = Flask("appliance.ui", static_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=BODY_LIMIT, MAX_FORM_MEMORY_SIZE=FORM_LIMIT, MAX_FORM_PARTS=100, TRAP_HTTP_EXCEPTIONS=False
    )
    app.extensions["rackseed"] = appliance
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    problem.register(app)
    access.install(app, appliance)
    app.register_blueprint(people.api)
    app.register_blueprint(planning.api)
    app.register_blueprint(ceph.api)
    app.register_blueprint(life.api)
    app.register_blueprint(stream.blueprint)
    app.register_blueprint(enrolments.api)
    app.register_blueprint(pages.blueprint)
    app.add_url_rule("/healthz", view_func=healthz)
    _errors_as_pages(app)
    return app


def _errors_as_pages(app: Flask) -> None:
    """A person who browses gets a page, a program gets a problem document."""

    @app.after_request
    def dress(response: Response) -> Response:
        if response.mimetype != problem.MEDIA_TYPE or request.path.startswith("/api/") or not _browses():
            return response
        return pages.error_page(response)


def _browses() -> bool:
    return request.accept_mimetypes.best_match(["application/json", "text/html"], default="") == "text/html"
