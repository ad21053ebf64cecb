"""Where the process runs, and what that platform does to the variables."""

from collections.abc import Mapping

from settings.section import Environment, Place


def platform_of(environ: Mapping[str, str]) -> str | None:
    if environ.get("RAILWAY_ENVIRONMENT"):
        return "railway"
    return "heroku" if environ.get("DYNO") else None


def environment_of(environ: Mapping[str, str]) -> Environment | None:
    """What `FLASK_ENV` says; without it a platform counts as production, so that forgetting it is safe.

    None when neither says anything. A value that is no environment is judged as production; its form is
    reported elsewhere.
    """
    named = environ.get("FLASK_ENV", "").strip().lower()
    if named:
        return Environment(named) if named in set(Environment) else Environment.PRODUCTION
    return None if platform_of(environ) is None else Environment.PRODUCTION


def place_of(environ: Mapping[str, str], texts: Mapping[str, str]) -> Place:
    return Place(environment_of(environ) or Environment.DEVELOPMENT, platform_of(environ), environ, texts)


def adapted_to_platform(environ: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, str]:
    """Heroku's Redis presents a self-signed certificate, and its docs say to skip the check (Connecting to Heroku
    Key-Value Store). The add-on owns the variable, so nobody can add that to the URL by hand."""
    adapted = dict(texts)
    url = adapted.get("REDIS_URL", "")
    if platform_of(environ) == "heroku" and url.startswith("rediss:") and "ssl_cert_reqs" not in url:
        adapted["REDIS_URL"] = f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=none"
    return adapted
