"""Flask as this API uses it: no session cookie, no coroutines, one map of routes for every host.

What Flask and Werkzeug do for applications that need more cost a tenth of a prediction's processor time.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from flask import Flask
from flask.wrappers import Request
from werkzeug.routing import MapAdapter
from werkzeug.wsgi import get_host

KNOWN_HOSTS = 256


class ApiFlask(Flask):
    """Handlers are plain functions; `SECRET_KEY` stays unset, so Flask keeps no session."""

    def __init__(self, name: str) -> None:
        super().__init__(name, static_folder=None)
        self._accepted_host = lru_cache(KNOWN_HOSTS)(self._check_host)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """As in Flask, but a Host that was accepted is not checked again. Raises SecurityError for one that is not."""
        if request is None:
            return super().create_url_adapter(None)
        environ = request.environ
        request.host = self._accepted_host(
            request.scheme, environ.get("HTTP_HOST"), environ["SERVER_NAME"], environ["SERVER_PORT"]
        )
        return self.url_map.bind(
            request.host,
            subdomain="",
            script_name=_text(environ, "SCRIPT_NAME"),
            url_scheme=request.scheme,
            default_method=request.method,
            path_info=_text(environ, "PATH_INFO"),
            query_args=_text(environ, "QUERY_STRING"),
        )

    def _check_host(self, scheme: str, host: str | None, server_name: str, server_port: str) -> str:
        server = {"wsgi.url_scheme": scheme, "SERVER_NAME": server_name, "SERVER_PORT": server_port}
        return get_host(server if host is None else {**server, "HTTP_HOST": host}, self.config["TRUSTED_HOSTS"])


def _text(environ: dict[str, Any], name: str) -> str:
    """PEP 3333 gives text whose characters are the bytes of UTF-8."""
    value: str = environ.get(name, "")
    return value if value.isascii() else value.encode("latin-1").decode(errors="replace")
