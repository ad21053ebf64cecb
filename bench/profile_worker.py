"""Where a worker's processor time goes: requests served in this process by the WSGI callable, sampled while they run.

Sampling, because a tracing profiler charges every Python call and so makes code of many small functions look dear.
"""

import io
import multiprocessing
import os
import secrets
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from importlib import import_module
from itertools import cycle, islice
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from auth.tiers import Tier
from bench.callers import GOALS, HOST, prediction_body
from bench.processors import Processors
from bench.services import FOLDER, ROOT, Services, private_server
from bench.targets import FLOOR, GATEWAY, Addresses, Target, floor_target, gateway_target

REQUESTS = 6000
WARM_UP_REQUESTS = 600
CALLERS = 100
SAMPLE_SECONDS = 0.001
PARTS = 12
LONGEST_SECONDS = 12.0

PACKAGES = {
    "redis": "redis-py",
    "sqlalchemy": "SQLAlchemy",
    "flask_sqlalchemy": "SQLAlchemy",
    "flask": "Flask",
    "werkzeug": "Werkzeug",
    "jwt": "PyJWT",
    "pydantic": "pydantic",
    "pydantic_core": "pydantic",
    "structlog": "log line",
    "sentry_sdk": "Sentry",
}
STANDARD_LIBRARY = {"http": "http.client", "email": "http.client", "logging": "log line"}
"""Parts of the standard library that are components. The rest is charged to the code that called it."""

WsgiCallable = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def profile(services: Services, processors: Processors) -> bool:
    """Print the parts of the floor and of ours, each with microseconds for one request."""
    secret = secrets.token_urlsafe(48)
    processors.move_to_gateway()
    try:
        with private_server(secret=secret, delay_ms=0) as private_url:
            floor_database = services.postgres.ensure_database("profile_floor")
            floor_addresses = Addresses(floor_database, services.redis_url(5), private_url, secret)
            floor = profile_in_child(FLOOR, floor_target(floor_addresses))
            database = services.postgres.ensure_database("profile_gateway")
            addresses = Addresses(database, services.redis_url(6), private_url, secret)
            gateway = profile_in_child(GATEWAY, gateway_target(addresses))
    finally:
        processors.keep_to_others()
    return floor and gateway


def profile_in_child(wsgi: str, target: Target) -> bool:
    """In a process of its own, so that neither callable meets what the other one imported and started."""

    def work() -> None:
        sys.exit(0 if profile_one(wsgi, target) else 1)

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join()
    return child.exitcode == 0


def profile_one(wsgi: str, target: Target) -> bool:
    tokens = target.tokens(CALLERS, Tier.ENTERPRISE)
    os.environ.update(target.environment)
    application: WsgiCallable = import_wsgi(wsgi)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / f"profile-{target.name}.log").open("w") as log, redirect_stdout(log):
        environs = [wsgi_environ(token, GOALS[number % len(GOALS)], log) for number, token in enumerate(tokens)]
        serve(application, islice(cycle(environs), WARM_UP_REQUESTS))
        began = time.process_time()
        served = serve(application, islice(cycle(environs), REQUESTS))
        microseconds = (time.process_time() - began) * 1_000_000 / served.total()
        samples = sampled(lambda: serve(application, islice(cycle(environs), REQUESTS)))
    total = samples.total()
    print(f"{target.name}: {microseconds:.0f} µs of processor time for one request without gunicorn ({total} samples)")
    for part, count in samples.most_common(PARTS):
        print(f"  {part:<60} {count / total:>6.1%}  {microseconds * count / total:>5.0f} µs")
    if served.keys() != {"200"}:
        print(f"  not accepted: {dict(served)}")
    return served.keys() == {"200"}


def import_wsgi(name: str) -> WsgiCallable:
    """ "module:callable" or "module:factory()", as gunicorn reads them."""
    module, _, attribute = name.partition(":")
    found = getattr(import_module(module), attribute.removesuffix("()"))
    callable_: WsgiCallable = found() if attribute.endswith("()") else found
    return callable_


def wsgi_environ(token: str, goal: str, errors: io.TextIOBase | Any) -> dict[str, Any]:
    """PEP 3333's dictionary as gunicorn makes it. `wsgi.input` is put in for each request."""
    body = prediction_body(goal)
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/api/gateway/predict",
        "RAW_URI": "/api/gateway/predict",
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": HOST,
        "HTTP_AUTHORIZATION": f"Bearer {token}",
        "HTTP_ACCEPT": "application/json",
        "HTTP_USER_AGENT": "MirrorOS/1.0 (iOS)",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": errors,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "bench.body": body,
    }


def serve(application: WsgiCallable, environs: Iterable[dict[str, Any]]) -> Counter[str]:
    """Serve them one after another, or as many as LONGEST_SECONDS allow. The answers by status; "500" for an exception."""
    statuses: Counter[str] = Counter()
    ends = time.monotonic() + LONGEST_SECONDS
    status = ""

    def start_response(line: str, headers: list[tuple[str, str]], error: object = None) -> None:
        nonlocal status
        status = line[:3]

    for environ in environs:
        try:
            answer = application({**environ, "wsgi.input": io.BytesIO(environ["bench.body"])}, start_response)
            b"".join(answer)
            if (close := getattr(answer, "close", None)) is not None:
                close()
        except Exception:
            traceback.print_exc(file=environ["wsgi.errors"])
            status = "500"
        statuses[status] += 1
        if time.monotonic() > ends:
            break
    return statuses


def sampled(work: Callable[[], object]) -> Counter[str]:
    """Which part was running at each tick of this process's own processor time."""
    parts: Counter[str] = Counter()

    def tick(_number: int, frame: FrameType | None) -> None:
        parts[component(frame)] += 1

    earlier = signal.signal(signal.SIGPROF, tick)
    signal.setitimer(signal.ITIMER_PROF, SAMPLE_SECONDS, SAMPLE_SECONDS)
    try:
        work()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, earlier)
    return parts


def component(frame: FrameType | None) -> str:
    """The innermost component on the stack: a library, a part of the standard library, or a function of ours."""
    while frame is not None:
        name = component_of_code(frame.f_code)
        if name is not None:
            return name
        frame = frame.f_back
    return "other"


def component_of_code(code: CodeType) -> str | None:
    """None for code that is charged to its caller. What is written in C (psycopg2, orjson, hmac) always is."""
    path = Path(code.co_filename)
    if "site-packages" in path.parts:
        package = path.parts[path.parts.index("site-packages") + 1].removesuffix(".py")
        return PACKAGES.get(package, package)
    if path.is_relative_to(ROOT):
        return f"{path.relative_to(ROOT).as_posix()} {code.co_qualname}"
    parents = {path.stem, path.parent.name}
    return next((name for part, name in STANDARD_LIBRARY.items() if part in parents), None)
