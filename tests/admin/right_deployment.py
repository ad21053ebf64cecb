"""A deployment on loopback in which everything is as it should be, with a real part for each check."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
from click.testing import CliRunner, Result
from flask import Flask

from admin.assembled import ASSEMBLED, Assembled
from admin.check_production.commands import check_production_command
from admin.check_production.deployment import Deployment
from app import assemble
from auth.email_address import parse_email
from auth.operators.accounts import create_user
from auth.principal import Role
from auth.second_factor.models import TotpSecret
from capabilities import CAPABILITIES
from check_settings import judged_for_production
from config import Settings, load_settings, plans_on_offer
from database import db, transaction
from database.engine import EngineOptions, writer_connection
from examples.private_server.server import PrivateServer
from payments.apply_stripe_event import HANDLERS
from payments.assembly import payments_of
from sandbox.ai_server.server import AIServer
from sandbox.apple_server.server import AppleServer
from sandbox.http_listener import Listener, Reply, Request
from sandbox.stripe_server.development_prices import add_development_prices
from sandbox.stripe_server.server import StripeServer
from sandbox.valkey import EmbeddedValkey
from tests.admin.public_front import PublicFront
from tests.auth.smtp_server import HOST, PASSWORD, USER, SmtpServer, own_certificate, smtp_server
from tests.databases import ask
from tests.whole.environment import private_server, production_environment

ADMIN = "alice@example.com"
ONLY_FOR_TESTS = ("stripe_api_base", "apple_root_certificate", "apple_production_url", "apple_sandbox_url")
"""Settings that production refuses: the addresses of stand-ins."""
HIDDEN = ("SECRET", "KEY", "PASSWORD", "DSN")


@dataclass
class RightDeployment:
    app: Flask
    settings: Settings
    environ: dict[str, str]
    """As an operator would set it, without the addresses of stand-ins."""
    front: PublicFront
    database_url: str
    """Of a superuser, for what a test does to the database."""
    role: str
    valkey: EmbeddedValkey
    redis: redis.Redis
    private: PrivateServer
    stripe: StripeServer
    apple: AppleServer
    mail: SmtpServer
    sentry: Listener
    sentry_keys: set[str]
    """Those that Sentry takes."""

    @property
    def made(self) -> Assembled:
        found: Assembled = self.app.extensions[ASSEMBLED]
        return found

    def check(self, environ: dict[str, str | None] | None = None, *args: str, **settings: Any) -> Result:
        """Run the command, with other variables or other settings."""
        return self.run(self.deployment(**settings), environ or {}, *args)

    def deployment(self, **changes: Any) -> Deployment:
        settings = self.settings.model_copy(update=changes)
        auth, url = self.made.auth, self.settings.database_url
        assert url is not None
        payments = payments_of(
            settings,
            auth=auth,
            connect=writer_connection(url.get_secret_value(), EngineOptions()),
            plans=plans_on_offer(CAPABILITIES),
            call_prices=dict,
        )
        made = replace(self.made, payments=payments)
        return Deployment(self.app, settings, made, judged_for_production)

    def run(self, deployment: Deployment, environ: dict[str, str | None], *args: str) -> Result:
        """The worker gives its sign of life first."""
        ask(self.database_url, "UPDATE job_workers SET last_sign_at = now() - silence FROM planted_silence")
        return CliRunner().invoke(
            check_production_command(deployment.settings, deployment.checks), args, env={**self.environ, **environ}
        )

    def sql(self, *statements: str) -> list[Any]:
        return ask(self.database_url, *statements)

    def secrets(self) -> list[str]:
        """What no line may show."""
        password = urlsplit(self.environ["DATABASE_URL"]).password, urlsplit(self.environ["REDIS_URL"]).password
        named = [text for name, text in self.environ.items() if any(part in name for part in HIDDEN)]
        return [*filter(None, password), *(text for text in named if len(text) > 8)]


@contextmanager
def right_deployment(folder: Path, database_url: str) -> Iterator[RightDeployment]:
    """`database_url`: a migrated database, as a superuser reaches it."""
    with ExitStack() as running:
        certificate = own_certificate(folder, "localhost")
        front = PublicFront(certificate)
        front.start()
        running.callback(front.stop)
        valkey, password = EmbeddedValkey(folder / "valkey"), secrets.token_urlsafe(24)
        valkey.start()
        running.callback(valkey.stop)
        client = redis.Redis.from_url(valkey.url)
        client.config_set("requirepass", password)
        client.close()
        client = redis.Redis(port=valkey.port, password=password)
        running.callback(client.close)
        private = running.enter_context(private_server())
        ai = AIServer()
        ai.start()
        running.callback(ai.stop)
        stripe = live_stripe(front.url)
        running.callback(stripe.stop)
        apple = AppleServer()
        apple.start()
        running.callback(apple.stop)
        (folder / "apple.der").write_bytes(apple.root_certificate)
        (folder / "mail").mkdir()
        mail = running.enter_context(smtp_server(folder / "mail"))
        keys = {secrets.token_hex(16)}
        sentry = Listener(sentry_with(keys))
        sentry.start()
        running.callback(sentry.stop)
        role, role_password = f"mos_{secrets.token_hex(4)}", secrets.token_urlsafe(24)
        ask(
            database_url,
            f"CREATE ROLE {role} LOGIN PASSWORD '{role_password}'",
            f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}",
            "CREATE TABLE planted_silence (silence interval NOT NULL)",
            "INSERT INTO planted_silence VALUES ('0 s')",
            "INSERT INTO job_workers (id, name, started_at, last_sign_at, running)"
            " VALUES (gen_random_uuid(), 'worker', now(), now(), 0)",
        )
        running.callback(ask, database_url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")
        host = urlsplit(database_url)
        own_url = f"postgresql://{role}:{role_password}@127.0.0.1:{host.port}{host.path}"
        environ = {
            **production_environment(own_url, private.url, f"redis://:{password}@127.0.0.1:{valkey.port}/0"),
            "OPENAI_API_KEY": ai.keys["openai"],
            "OPENAI_BASE_URL": ai.base_url("openai"),
            **apple.settings(folder / "apple.der"),
            "PUBLIC_BASE_URL": front.url,
            "PRIVATE_API_VERIFY_RESPONSE": "required",
            "RATE_LIMIT_GENERAL": "on",
            "WEB_CONCURRENCY": "1",
            "METRICS_TOKEN": secrets.token_urlsafe(48),
            "PASSWORD_PEPPER": secrets.token_urlsafe(48),
            "STRIPE_SECRET_KEY": stripe.secret_key,
            "STRIPE_WEBHOOK_SECRET": stripe.webhook_secret,
            "STRIPE_PRICES": "price_pro_monthly:pro:monthly",
            "EMAIL_HOST": HOST,
            "EMAIL_PORT": str(mail.port),
            "EMAIL_HOST_USER": USER,
            "EMAIL_HOST_PASSWORD": PASSWORD,
            "DEFAULT_FROM_EMAIL": "MirrorOS <no-reply@example.com>",
            "SENTRY_DSN": f"http://{next(iter(keys))}@{urlsplit(sentry.url).netloc}/1",
            "REQUESTS_CA_BUNDLE": str(certificate),
            "SSL_CERT_FILE": str(mail.trust),
        }
        stand_ins = {name: environ.pop(name.upper(), None) for name in ONLY_FOR_TESTS}
        settings = load_settings(environ).model_copy(
            update={
                **stand_ins,
                "stripe_api_base": stripe.url,
                "apple_root_certificate": folder / "apple.der",
            }
        )
        app = assemble(settings.model_copy(update={"sentry_dsn": None}))  # one Sentry a process, and this one has none
        front.application = app
        made: Assembled = app.extensions[ASSEMBLED]
        with app.app_context():
            running.callback(db.engine.dispose)
            admin = create_user(made.auth, parse_email(ADMIN), secrets.token_urlsafe(18), Role.ADMIN)
            now = made.auth.clock()
            with transaction() as session:
                sealed = made.auth.data_keys.seal(b"a secret of an app", admin.bytes)
                session.add(TotpSecret(user_id=admin, sealed_secret=sealed, created_at=now, confirmed_at=now))
        yield RightDeployment(
            app,
            settings,
            environ,
            front,
            database_url,
            role,
            valkey,
            client,
            private,
            stripe,
            apple,
            mail,
            sentry,
            keys,
        )


def live_stripe(base_url: str) -> StripeServer:
    stripe = StripeServer(livemode=True)
    add_development_prices(stripe)
    stripe.books.keep(
        "webhook_endpoint",
        "we",
        url=f"{base_url}/api/payments/stripe/webhook",
        enabled_events=sorted(HANDLERS),
        api_version=stripe.books.api_version,
        metadata={},
        status="enabled",
    )
    stripe.start()
    return stripe


def sentry_with(keys: set[str]) -> Callable[[Request], Reply]:
    def answer(request: Request) -> Reply:
        given = request.headers.get("x-sentry-auth", "")
        known = request.path == "/api/1/envelope/" and any(f"sentry_key={key}" in given for key in keys)
        return Reply(200, {}) if known else Reply(403, {"detail": "event submission rejected with_reason: ProjectId"})

    return answer
