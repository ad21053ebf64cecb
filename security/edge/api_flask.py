"""Flask as this API uses it: no session cookie, no coroutines, one map of routes for every host.

What each part saves is in docs/decisions/0017-what-stays-for-speed.md.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from flask import Flask, Response
from flask.globals import request_ctx
from flask.sansio.blueprints import Blueprint
from flask.sessions import NullSession, SessionInterface
from flask.typing import ResponseReturnValue
from flask.wrappers import Request
from werkzeug.exceptions import SecurityError
from werkzeug.routing import Map, MapAdapter, Rule
from werkzeug.wsgi import get_host

from security.edge.metrics import METRICS_PATH

KNOWN_HOSTS = 256

KnownRules = dict[tuple[str, str], Rule]


class ApiFlask(Flask):
    """Handlers are plain functions. The Host is checked against `TRUSTED_HOSTS`; one that was accepted is remembered."""

    def __init__(self, name: str) -> None:
        super().__init__(name, static_folder=None)
        self.session_interface = NoSessions()
        self._accepted_host = lru_cache(KNOWN_HOSTS)(self._check_host)
        self._known_rules: KnownRules = {}

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func

    def register_blueprint(self, blueprint: Blueprint, **options: Any) -> None:
        """Raises ValueError for one with hooks of its own: a request passes those of the application alone."""
        hooks = (blueprint.before_request_funcs, blueprint.after_request_funcs, blueprint.teardown_request_funcs)
        if any(hooks) or blueprint.url_value_preprocessors:
            raise ValueError(f"{blueprint.name}: the hooks of a request are the application's")
        super().register_blueprint(blueprint, **options)

    def preprocess_request(self) -> ResponseReturnValue | None:
        for hook in self.before_request_funcs.get(None, ()):
            answer: Any = hook()
            if answer is not None:
                return answer  # type: ignore[no-any-return]
        return None

    def process_response(self, response: Response) -> Response:
        for hook in (*request_ctx._after_request_functions, *reversed(self.after_request_funcs.get(None, ()))):
            finished: Any = hook(response)
            response = finished
        return response

    def do_teardown_request(self, exc: BaseException | None = None) -> None:
        """There is nothing to tear down: what a request opens, it closes."""

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Raises SecurityError for a Host that is not trusted. Scrapers address one process of many by its number."""
        if request is None:
            return super().create_url_adapter(None)
        environ = request.environ
        try:
            request.host = self._accepted_host(
                request.scheme, environ.get("HTTP_HOST"), environ["SERVER_NAME"], environ["SERVER_PORT"]
            )
        except SecurityError:
            if environ.get("PATH_INFO") != METRICS_PATH:
                raise
            request.host = environ["SERVER_NAME"]
        return _Adapter(request, self.url_map, self._known_rules)

    def _check_host(self, scheme: str, host: str | None, server_name: str, server_port: str) -> str:
        server = {"wsgi.url_scheme": scheme, "SERVER_NAME": server_name, "SERVER_PORT": server_port}
        return get_host(server if host is None else {**server, "HTTP_HOST": host}, self.config["TRUSTED_HOSTS"])


class NoSessions(SessionInterface):
    """Callers are known by their tokens. `flask.session` cannot be written to, so all requests may share it."""

    def __init__(self) -> None:
        self._none = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:
        return self._none


class _Adapter(MapAdapter):
    """Matches a request, and remembers the rules that are plain paths. Werkzeug's part of it is made when it is needed."""

    def __init__(self, request: Request, routes: Map, known: KnownRules) -> None:
        self._request, self._routes, self._known = request, routes, known

    def __getattr__(self, name: str) -> Any:
        if "map" in self.__dict__:
            raise AttributeError(name)
        request, environ = self._request, self._request.environ
        super().__init__(
            self._routes,
            server_name=request.host,
            script_name=_text(environ, "SCRIPT_NAME"),
            subdomain="",
            url_scheme=request.scheme,
            path_info=_text(environ, "PATH_INFO"),
            default_method=request.method,
            query_args=_text(environ, "QUERY_STRING"),
        )
        return getattr(self, name)

    def match(self, *arguments: Any, **options: Any) -> Any:
        """As Werkzeug's. Flask's own question about a request, `match(return_rule=True)`, is answered from memory."""
        if arguments or options != {"return_rule": True}:
            return super().match(*arguments, **options)
        asked = (self._request.method, self._request.environ.get("PATH_INFO", ""))
        rule = self._known.get(asked)
        if rule is None:
            rule, values = super().match(return_rule=True)
            if asked[1] != rule.rule or not rule.rule.isascii():  # it has arguments
                return rule, values
            self._known[asked] = rule
        return rule, {}


def _text(environ: dict[str, Any], name: str) -> str:
    """PEP 3333 gives text whose characters are the bytes of UTF-8."""
    value: str = environ.get(name, "")
    return value if value.isascii() else value.encode("latin-1").decode(errors="replace")
