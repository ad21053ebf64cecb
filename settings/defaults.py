"""Defaults that depend on where the process runs. The others stand beside their field."""

import os
import secrets
import sys
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

from settings.model import Environment

MOST_WEB_PROCESSES = 4
"""A container often sees all cores of its host.

Each process has its own database pool, so more must be asked for.
"""


def on_railway(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("RAILWAY_ENVIRONMENT"))


def on_heroku(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("DYNO"))


def environment_of(environ: Mapping[str, str]) -> Environment | None:
    """What `FLASK_ENV` says; without it a platform counts as production, so that forgetting it is safe.

    None when neither says anything. A value that is no environment is judged as production; its form is
    reported elsewhere.
    """
    named = environ.get("FLASK_ENV", "").strip().lower()
    if named:
        return Environment(named) if named in set(Environment) else Environment.PRODUCTION
    return Environment.PRODUCTION if on_railway(environ) or on_heroku(environ) else None


def defaults_for(environ: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, str]:
    """Field to text, for settings whose default is not a constant. `texts` are the variables that are set."""
    environment = environment_of(environ) or Environment.DEVELOPMENT
    behind_platform = on_railway(environ) or on_heroku(environ)
    over_https = texts.get("PRIVATE_API_URL", "").startswith("https:")
    defaults = {
        "flask_env": str(environment),
        "trusted_proxy_hops": "1" if behind_platform else "0",
        "registration_response": "private",
        "log_level": "DEBUG" if environment is Environment.STAGING else "INFO",
        "private_api_verify_response": "if_present" if over_https else "required",
        "predict_max_in_flight": _most_in_flight(texts.get("WEB_THREADS")),
        "web_concurrency": str(min(_usable_cores(), MOST_WEB_PROCESSES)),
    }
    if environ.get("RAILWAY_PUBLIC_DOMAIN"):
        defaults["public_base_url"] = f"https://{environ['RAILWAY_PUBLIC_DOMAIN']}"
    if environment is Environment.DEVELOPMENT:
        defaults |= development_defaults(texts)
    return defaults


def development_defaults(texts: Mapping[str, str]) -> dict[str, str]:
    """A server that works with nothing set.

    Its secrets live as long as the process: whoever wants sign-ins to outlive a
    restart, or a second process beside it, sets them."""
    defaults = {
        "registration_response": "classic",
        "public_base_url": f"http://localhost:{texts.get('PORT', '8000')}",
        "cors_origins": ",".join(
            f"http://{host}:{port}" for host in ("localhost", "127.0.0.1") for port in (3000, 5173)
        ),
        "secret_key": secrets.token_urlsafe(48),
        "private_api_url": "http://127.0.0.1:9000",
        "web_concurrency": "1",
        "email_folder": str(Path(".data") / "mail"),
    }
    if "PRIVATE_API_KEYS" not in texts:
        defaults["private_api_secret"] = secrets.token_urlsafe(48)
    return defaults


def adapted_to_platform(environ: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, str]:
    """Heroku's Redis presents a self-signed certificate, and its docs say to skip the check (Connecting to Heroku
    Key-Value Store). The add-on owns the variable, so nobody can add that to the URL by hand."""
    adapted = dict(texts)
    url = adapted.get("REDIS_URL", "")
    if on_heroku(environ) and url.startswith("rediss:") and "ssl_cert_reqs" not in url:
        adapted["REDIS_URL"] = f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=none"
    return adapted


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _most_in_flight(web_threads: str | None) -> str:
    """Seven eighths, so that health checks, sign-in and usage always find a thread."""
    threads = int(web_threads) if web_threads is not None and web_threads.isdecimal() else 600
    return str(max(1, threads - max(1, threads // 8)))


def safe_stand_ins() -> dict[str, str]:
    """A harmless value for each field that other fields are judged with, for when it is refused itself."""
    return {
        **defaults_for({}, {}),
        "public_base_url": "https://stand-in.invalid",
        "private_api_url": "https://stand-in.invalid",
        "private_api_keys": f"k1:msk_{b64encode(secrets.token_bytes(48)).decode()}",
    }
