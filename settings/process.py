"""What every process of this application is told: where it runs, who reaches it, and its master secret."""

import secrets
from collections.abc import Iterator
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from security.secrets.derived_key import derived_key
from security.secrets.signing_keys import key_bytes
from settings import types
from settings.section import Complaint, Environment, Place, Section, secret_texts

RAILWAY_HEALTH_CHECK_HOST: Final = "healthcheck.railway.app"
"""The `Host` of Railway's health checks (docs.railway.com, Healthchecks)."""


def _name(text: str) -> str:
    if len(text) > 100 or not text.isprintable():
        raise ValueError("must be at most 100 characters on one line")
    return text


class ProcessSection(Section):
    title: ClassVar = "Where it runs"
    in_example: ClassVar = frozenset({"flask_env", "secret_key"})

    flask_env: Annotated[Environment, types.LowerCase] = Field(examples=["development"])
    """`development`, `staging` or `production`. Default: `production` on Railway and Heroku."""
    flask_debug: bool = False
    """Flask's debugger. Refused outside development."""
    capabilities: types.Names = frozenset({"predict"})
    """The products to turn on, separated by commas. A product that is off has no routes and no jobs, and needs no settings."""
    project_name: Annotated[str, AfterValidator(_name)] = "MirrorOS Public API"
    """The name of your service: the title of the OpenAPI document and of the pages that explain it."""
    compat_routes: bool = True
    """`off` removes the deprecated paths that older apps call."""
    port: int = Field(default=8000, ge=1, le=65535)
    """The port that the web process listens on."""
    public_base_url: types.BaseUrl = Field(examples=["http://localhost:8000"])
    """The address where clients reach this API, such as `https://api.example.com`. All links are built from it."""
    trusted_hosts: types.HostNames = Field(default=frozenset(), examples=["api.example.com"])
    """The host names that requests may use, separated by commas. Default: the host of `PUBLIC_BASE_URL`."""
    trusted_proxy_hops: int = Field(ge=0, le=5, examples=["0"])
    """How many proxies in front append to `X-Forwarded-For`. Default: 1 on Railway and Heroku, otherwise 0."""
    cors_origins: types.Origins = Field(default=frozenset(), examples=["http://localhost:3000,http://localhost:5173"])
    """The origins of web apps that may call this API, separated by commas. Include hybrid apps, such as
    `capacitor://localhost`. Default in development: `localhost` and `127.0.0.1` with port 3000 or 5173."""
    secret_key: SecretStr = Field(examples=["development-only-master-secret-change-me-0b7f"])
    """The master secret. Keys that you do not set below are derived from it."""
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], types.UpperCase] = Field(
        examples=["INFO"]
    )
    """`DEBUG`, `INFO`, `WARNING`, `ERROR` or `CRITICAL`. Default: `DEBUG` in staging, otherwise `INFO`."""
    log_dir: types.LogFolder | None = Field(default=None, examples=["/var/log/mirroros"])
    """A folder for log files in addition to standard output: `app.log`, `access.log`, `error.log` and `security.log`."""
    sentry_dsn: types.SentryDsn | None = Field(default=None, examples=["https://key@errors.example.com/1"])
    """The Sentry DSN that unexpected errors are reported to. Without it nothing is sent."""
    security_contact: types.SecurityContact | None = Field(default=None, examples=["mailto:security@example.com"])
    """Whom to tell of a vulnerability: an address that begins with `mailto:` or `https:`. It is published at
    `/.well-known/security.txt`."""

    @staticmethod
    def defaults(place: Place) -> dict[str, str]:
        defaults = {
            "flask_env": str(place.environment),
            "trusted_proxy_hops": "0" if place.platform is None else "1",
            "log_level": "DEBUG" if place.environment is Environment.STAGING else "INFO",
        }
        if domain := place.environ.get("RAILWAY_PUBLIC_DOMAIN"):
            defaults["public_base_url"] = f"https://{domain}"
        if place.is_development:
            origins = (f"http://{host}:{port}" for host in ("localhost", "127.0.0.1") for port in (3000, 5173))
            defaults |= {
                "public_base_url": f"http://localhost:{place.texts.get('PORT', '8000')}",
                "cors_origins": ",".join(origins),
                "secret_key": secrets.token_urlsafe(48),
            }
        return defaults

    @staticmethod
    def stand_ins() -> dict[str, str]:
        return {"public_base_url": "https://stand-in.invalid"}

    def unsafe(self) -> Iterator[Complaint]:
        if self.flask_debug:
            yield "FLASK_DEBUG", "must be off, because the debugger lets anyone run any code"
        if urlsplit(self.public_base_url).scheme != "https":
            yield "PUBLIC_BASE_URL", "must begin with https://"

    def secrets(self) -> dict[str, str]:
        return secret_texts(secret_key=self.secret_key)

    def switched_off(self) -> dict[str, str]:
        return {} if self.security_contact else {"/.well-known/security.txt": "SECURITY_CONTACT"}

    def remarks(self) -> Iterator[str]:
        if self.sentry_dsn is None:
            yield "SENTRY_DSN is not set: unexpected errors appear only in the logs."
        if not self.cors_origins:
            yield "CORS_ORIGINS is empty: no web app can call this API."
        if self.trusted_proxy_hops == 0:
            yield "TRUSTED_PROXY_HOPS is 0: this is only right if clients connect to this server directly."

    @property
    def is_development(self) -> bool:
        return self.flask_env is Environment.DEVELOPMENT

    @property
    def require_https(self) -> bool:
        return not self.is_development

    @property
    def accepted_hosts(self) -> frozenset[str]:
        """What the `Host` header may name; empty for anything.

        Loopback is where the container's own health check asks.
        """
        if self.is_development and not self.trusted_hosts:
            return frozenset()
        named = self.trusted_hosts or {urlsplit(self.public_base_url).hostname or ""}
        return frozenset(named) | {"127.0.0.1", "localhost", RAILWAY_HEALTH_CHECK_HOST}

    @property
    def web_origins(self) -> frozenset[str]:
        """Pages that may keep a refresh token in a cookie. Hybrid apps keep theirs themselves."""
        return types.web_origins(self.cors_origins)

    def derived_key(self, label: str) -> bytes:
        """A key of its own for each label, from the master secret."""
        return derived_key(self.secret_key.get_secret_value().encode(), label)

    def key_or_derived(self, own: SecretStr | None, label: str) -> bytes:
        return self.derived_key(label) if own is None else key_bytes(own.get_secret_value())
