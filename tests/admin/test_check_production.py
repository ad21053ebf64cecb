"""`flask check-production` passes on a right deployment, and names each planted mistake in one line."""

import json
import os
import re
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from pydantic import SecretStr

from admin.check_production.run import Level, run_checks
from app import assemble
from auth.tiers import Tier
from database.jobs.declare import Urgency
from examples.private_server.mirror_verifier import Keys, MemoryNonceStore, RequestVerifier
from examples.private_server.switches import Fault, Switches
from payments.apply_stripe_event import HANDLERS
from payments.plans import PlanOffer
from settings.production_check import ProductionCheck, Shortcoming
from settings.section import Environment
from settings.types import SecretUrl
from tests.admin.public_front import Faults
from tests.admin.right_deployment import ADMIN, RightDeployment, right_deployment
from tests.databases import MigratedDatabases
from tests.whole.environment import WEB_ORIGIN

ROOT = Path(__file__).parents[2]


@dataclass
class Asked:
    """With which variables and settings the command is run; None takes a variable away."""

    environ: dict[str, str | None] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    deployment: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Mistake:
    """`line` is a pattern of the one line that is printed."""

    level: Level
    check: str
    line: str
    plant: Callable[[RightDeployment], AbstractContextManager[Asked]]


Plant = Callable[[RightDeployment], Iterator[Asked]]
MISTAKES: dict[str, Mistake] = {}


def mistake(check: str, line: str, level: Level = Level.FAILURE) -> Callable[[Plant], Plant]:
    def note(plant: Plant) -> Plant:
        MISTAKES[plant.__name__] = Mistake(level, check, line, contextmanager(plant))
        return plant

    return note


def warned(check: str, line: str) -> Callable[[Plant], Plant]:
    return mistake(check, line, Level.WARNING)


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory, migrated_databases: MigratedDatabases) -> Iterator[RightDeployment]:
    with (
        migrated_databases.one() as url,
        right_deployment(tmp_path_factory.mktemp("deployment"), url) as deployment,
    ):
        yield deployment


def complaints(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith(("failure ", "warning "))]


def test_a_right_deployment_passes(right: RightDeployment) -> None:
    done = right.check()
    lines = [line for line in done.output.splitlines() if line.startswith("ok ")]
    assert (done.exit_code, complaints(done.output)) == (0, []), done.output
    assert len(lines) == 17
    assert done.output.rstrip().endswith("0 failures, 0 warnings.")
    assert right.private.seen.predictions == right.private.seen.health_checks == 1  # a question without a goal
    assert right.mail.received.messages == []


# Variables


def variable(name: str, value: str | None) -> Plant:
    def plant(_: RightDeployment) -> Iterator[Asked]:
        yield Asked({name: value})

    plant.__name__ = f"{name}={'' if value is None else value[:20]}"
    return plant


mistake("variables", "SECRET_KEY must be at least 32 bytes long")(variable("SECRET_KEY", "short"))
mistake("variables", "SECRET_KEY contains a well-known")(
    variable("SECRET_KEY", "development-only-master-secret-change-me-0b7f")
)
mistake("variables", "FLASK_DEBUG must be off")(variable("FLASK_DEBUG", "on"))
mistake("variables", "PUBLIC_BASE_URL must begin with https://")(variable("PUBLIC_BASE_URL", "http://api.example.com"))
mistake("variables", "DATABASE_URL must be set")(variable("DATABASE_URL", None))
mistake("variables", "PRIVATE_API_URL must begin with https://")(
    variable("PRIVATE_API_URL", "http://predict.example.com")
)
mistake("variables", "STRIPE_WEBHOOK_SECRET must be set as well")(variable("STRIPE_WEBHOOK_SECRET", None))
mistake("variables", "STRIPE_API_BASE must not be set")(variable("STRIPE_API_BASE", "http://127.0.0.1:1"))
mistake("variables", "SENTRY_DSN is not set")(variable("SENTRY_DSN", None))
warned("variables", "METRICS_TOKEN is not set")(variable("METRICS_TOKEN", None))
mistake("variables", "EMAIL_HOST is not set")(variable("EMAIL_HOST", None))
warned("variables", "PASSWORD_PEPPER is not set")(variable("PASSWORD_PEPPER", None))
warned("variables", "CORS_ORIGINS is empty")(variable("CORS_ORIGINS", ""))
warned("variables", "TRUSTED_PROXY_HOPS is 0")(variable("TRUSTED_PROXY_HOPS", "0"))


@mistake("variables", "PRIVATE_API_SECRET is equal to SECRET_KEY")
def one_secret_for_two(right: RightDeployment) -> Iterator[Asked]:
    yield Asked({"PRIVATE_API_SECRET": right.environ["SECRET_KEY"]})


@mistake("variables", "This deployment runs as development.*FLASK_ENV=production")
def environment_was_forgotten(right: RightDeployment) -> Iterator[Asked]:
    """compose's default. The web processes say the same of themselves."""
    settings = right.settings.model_copy(update={"flask_env": Environment.DEVELOPMENT, "sentry_dsn": None})
    right.front.application = assemble(settings)
    try:
        yield Asked(settings={"flask_env": Environment.DEVELOPMENT})
    finally:
        right.front.application = right.app


# The public address


@contextmanager
def faulty(right: RightDeployment, **faults: Any) -> Iterator[Asked]:
    right.front.faults = Faults(**faults)
    try:
        yield Asked()
    finally:
        right.front.faults = Faults()


@mistake("https", "cannot be reached from here .* Check the domain's DNS")
def nobody_answers(right: RightDeployment) -> Iterator[Asked]:
    with faulty(right, hangs_up=True) as asked:
        yield asked


@mistake("https", "The certificate of .* is not valid")
def certificate_of_a_stranger(_: RightDeployment) -> Iterator[Asked]:
    yield Asked({"REQUESTS_CA_BUNDLE": ""})


@mistake("https", "is answered without TLS.*redirect http to https")
def plain_http_is_served(right: RightDeployment) -> Iterator[Asked]:
    with faulty(right, also_plain=True) as asked:
        yield asked


@mistake("https", "lack Strict-Transport-Security")
def proxy_drops_hsts(right: RightDeployment) -> Iterator[Asked]:
    with faulty(right, drops={"Strict-Transport-Security"}) as asked:
        yield asked


@mistake("https", "takes requests over https for plain http.*TRUSTED_PROXY_HOPS")
def proxy_does_not_say_https(right: RightDeployment) -> Iterator[Asked]:
    with faulty(right, forwards=False) as asked:
        yield asked


@mistake("https", "runs as staging, and this one as production.*FLASK_ENV")
def another_environment_answers(right: RightDeployment) -> Iterator[Asked]:
    settings = right.settings.model_copy(update={"flask_env": Environment.STAGING, "sentry_dsn": None})
    right.front.application = assemble(settings)
    try:
        yield Asked()
    finally:
        right.front.application = right.app


@mistake("https", "/health is not answered by this API")
def something_else_answers(right: RightDeployment) -> Iterator[Asked]:
    with faulty(right, blocks=("/health",)) as asked:
        yield asked


@mistake("cors", "A page of any origin may call the API")
def proxy_opens_cors(right: RightDeployment) -> Iterator[Asked]:
    with faulty(right, adds={"Access-Control-Allow-Origin": "*"}, drops={"Access-Control-Allow-Origin"}) as asked:
        asked.settings = {"cors_origins": frozenset()}
        yield asked


@mistake("cors", "Pages of https://other.example.com are refused")
def web_server_has_other_origins(_: RightDeployment) -> Iterator[Asked]:
    yield Asked(settings={"cors_origins": frozenset({"https://other.example.com"})})


@mistake("cors", "lists http://localhost:3000")
def origin_of_a_developer(_: RightDeployment) -> Iterator[Asked]:
    yield Asked(settings={"cors_origins": frozenset({WEB_ORIGIN, "http://localhost:3000"})})


@mistake("webhooks", "/api/payments/stripe/webhook answers 405")
def proxy_blocks_webhooks(right: RightDeployment) -> Iterator[Asked]:
    with faulty(right, blocks=("/api/payments/stripe/webhook",)) as asked:
        yield asked


# Limits


@mistake("limits", "Requests a minute are not limited.*RATE_LIMIT_GENERAL")
def no_general_limit(_: RightDeployment) -> Iterator[Asked]:
    yield Asked(settings={"rate_limit_general": False})


def with_plans(right: RightDeployment, change: Callable[[PlanOffer], PlanOffer]) -> Asked:
    made = right.deployment().made
    payments = replace(made.payments, plans=[change(plan) for plan in made.payments.plans])
    return Asked(deployment={"made": replace(made, payments=payments)})


@mistake("limits", "The plan pro allows less predict per_day than plus")
def dearer_plan_allows_less(right: RightDeployment) -> Iterator[Asked]:
    def change(plan: PlanOffer) -> PlanOffer:
        limits = {**plan.limits, "predict": {**plan.limits["predict"], "per_day": 20}}
        return replace(plan, limits=limits) if plan.tier is Tier.PRO else plan

    yield with_plans(right, change)


@mistake("limits", "The plan free has no limit of requests a minute")
def free_plan_is_unlimited(right: RightDeployment) -> Iterator[Asked]:
    def change(plan: PlanOffer) -> PlanOffer:
        return replace(plan, requests_per_minute=None)

    yield with_plans(right, change)


# PostgreSQL


def other_database(right: RightDeployment, old: str, new: str) -> Asked:
    assert right.settings.database_url is not None
    url = right.settings.database_url.get_secret_value()
    assert old in url
    return Asked(settings={"database_url": SecretUrl(url.replace(old, new))})


@contextmanager
def changed(right: RightDeployment, change: str, back: str) -> Iterator[Asked]:
    right.sql(change)
    try:
        yield Asked()
    finally:
        right.sql(back)


@mistake("database", "PostgreSQL cannot be asked: .*password authentication failed")
def wrong_database_password(right: RightDeployment) -> Iterator[Asked]:
    yield other_database(right, "@127.0.0.1", "wrong@127.0.0.1")


@mistake("database", "The password in DATABASE_URL contains a well-known word")
def well_known_database_password(right: RightDeployment) -> Iterator[Asked]:
    own = right.environ["DATABASE_URL"].partition("@")[0].rpartition(":")[2]
    with changed(
        right,
        f"ALTER ROLE {right.role} PASSWORD 'development-only-password'",
        f"ALTER ROLE {right.role} PASSWORD '{own}'",
    ):
        yield other_database(right, f":{own}@", ":development-only-password@")


@mistake("database", "crosses a public network without TLS.*sslmode=verify-full")
def database_without_tls(right: RightDeployment) -> Iterator[Asked]:
    """libpq connects to `hostaddr`, and the name is what an operator wrote."""
    asked = other_database(right, "@127.0.0.1", "@db.example.com")
    url = asked.settings["database_url"].get_secret_value()
    yield Asked(settings={"database_url": SecretUrl(f"{url}?hostaddr=127.0.0.1")})


@mistake("database", "need 30 connections, and PostgreSQL has 20.*DATABASE_POOL_SIZE")
def too_few_connections(right: RightDeployment) -> Iterator[Asked]:
    with changed(
        right, f"ALTER ROLE {right.role} CONNECTION LIMIT 20", f"ALTER ROLE {right.role} CONNECTION LIMIT -1"
    ) as asked:
        yield asked


@warned("database", "During a deployment .* need 60 connections")
def too_few_connections_for_a_deployment(right: RightDeployment) -> Iterator[Asked]:
    with changed(
        right, f"ALTER ROLE {right.role} CONNECTION LIMIT 40", f"ALTER ROLE {right.role} CONNECTION LIMIT -1"
    ) as asked:
        yield asked


@warned("database", "is a superuser")
def superuser(right: RightDeployment) -> Iterator[Asked]:
    with changed(right, f"ALTER ROLE {right.role} SUPERUSER", f"ALTER ROLE {right.role} NOSUPERUSER") as asked:
        yield asked


@mistake("migrations", "The database lacks migrations. Mend: Run: flask db upgrade")
def migrations_missing(right: RightDeployment) -> Iterator[Asked]:
    [(head,)] = right.sql("SELECT version_num FROM alembic_version")
    with changed(
        right,
        "UPDATE alembic_version SET version_num = '0001'",
        f"UPDATE alembic_version SET version_num = '{head}'",
    ) as asked:
        yield asked


@mistake("worker", "No worker has given a sign of life for 5 min.*flask worker run")
def worker_is_silent(right: RightDeployment) -> Iterator[Asked]:
    with changed(
        right, "UPDATE planted_silence SET silence = '5 min'", "UPDATE planted_silence SET silence = '0'"
    ) as asked:
        yield asked


@mistake("worker", "No worker runs")
def no_worker(right: RightDeployment) -> Iterator[Asked]:
    with changed(
        right,
        "DELETE FROM job_workers",
        "INSERT INTO job_workers (id, name, started_at, last_sign_at, running)"
        " VALUES (gen_random_uuid(), 'worker', now(), now(), 0)",
    ) as asked:
        yield asked


@mistake("worker", r"Due jobs have waited for up to 20 min \(payments: 1\)")
def queue_is_stuck(right: RightDeployment) -> Iterator[Asked]:
    with changed(
        right,
        "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, status, scheduled_at)"
        f" VALUES ('default', 'apply_event', {Urgency.PAYMENTS}, 'todo', now() - interval '20 min')",
        "DELETE FROM procrastinate_jobs",
    ) as asked:
        yield asked


@mistake("data keys", "Second factors that cannot be opened: 1 of 1; their keys: 0.*SECRET_KEY")
def secret_key_was_changed(right: RightDeployment) -> Iterator[Asked]:
    sealed = right.sql("SELECT encode(sealed_secret, 'hex') FROM totp_secrets")[0][0]
    with changed(
        right,
        r"UPDATE totp_secrets SET sealed_secret = '\x303a' || decode(repeat('00', 60), 'hex')",
        f"UPDATE totp_secrets SET sealed_secret = decode('{sealed}', 'hex')",
    ) as asked:
        yield asked


@mistake("staff", rf"{ADMIN} \(admin\) has no second factor")
def admin_without_second_factor(right: RightDeployment) -> Iterator[Asked]:
    with changed(
        right, "UPDATE totp_secrets SET confirmed_at = NULL", "UPDATE totp_secrets SET confirmed_at = now()"
    ) as asked:
        yield asked


@mistake("pgbouncer", "have no statement_timeout.*connect_query")
def pooler_without_time_limits(right: RightDeployment) -> Iterator[Asked]:
    """The server itself stands for one, as it sets no limit either."""
    yield Asked(settings={"database_direct_url": SecretUrl(f"{right.environ['DATABASE_URL']}?connect_timeout=3")})


@mistake("database", "The clock of PostgreSQL and that of this host differ by 60 seconds")
def clock_of_this_host_is_wrong(right: RightDeployment) -> Iterator[Asked]:
    auth = replace(right.made.auth, clock=lambda: datetime.now(UTC) + timedelta(minutes=1))
    yield Asked(settings={"redis_url": None}, deployment={"made": replace(right.made, auth=auth)})


@mistake("redis", "The clock of Redis and that of this host differ by 60 seconds")
def clock_of_redis_is_wrong(right: RightDeployment) -> Iterator[Asked]:
    auth = replace(right.made.auth, clock=lambda: datetime.now(UTC) + timedelta(minutes=1))
    yield Asked(settings={"database_url": None}, deployment={"made": replace(right.made, auth=auth)})


# Redis


def redis_at(url: str) -> Asked:
    return Asked(settings={"redis_url": SecretUrl(url)})


@mistake("redis", r"Redis cannot be asked \(ConnectionError\)")
def redis_is_down(_: RightDeployment) -> Iterator[Asked]:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    yield redis_at(f"redis://:{secrets.token_hex(8)}@127.0.0.1:{port}/0")


@mistake("redis", "Redis refuses the password")
def wrong_redis_password(right: RightDeployment) -> Iterator[Asked]:
    yield redis_at(f"redis://:{secrets.token_hex(8)}@127.0.0.1:{right.valkey.port}/0")


@mistake("redis", "crosses a public network without TLS.*rediss://")
def redis_without_tls(_: RightDeployment) -> Iterator[Asked]:
    yield redis_at(f"redis://:{secrets.token_hex(8)}@cache.example.com/0")


@warned("redis", "Redis asks for no password.*requirepass")
def redis_without_password(right: RightDeployment) -> Iterator[Asked]:
    password = right.redis.config_get("requirepass")["requirepass"] or ""
    right.redis.config_set("requirepass", "")
    try:
        yield redis_at(right.valkey.url)
    finally:
        right.redis.config_set("requirepass", password)


@warned("redis", r"drops keys \(allkeys-lru\).*CONFIG SET maxmemory-policy noeviction")
def redis_evicts(right: RightDeployment) -> Iterator[Asked]:
    right.redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        yield Asked()
    finally:
        right.redis.config_set("maxmemory-policy", "noeviction")


# The private server. The check of a capability is made with the application, so the other side is changed.


@contextmanager
def private_server(right: RightDeployment, **changes: Any) -> Iterator[Asked]:
    before = {name: getattr(right.private, name) for name in changes}
    for name, value in changes.items():
        setattr(right.private, name, value)
    try:
        yield Asked()
    finally:
        for name, value in before.items():
            setattr(right.private, name, value)


@mistake("private server", "refuses our signature.*PRIVATE_API_SECRET")
def other_key_at_the_private_server(right: RightDeployment) -> Iterator[Asked]:
    stranger = RequestVerifier(Keys({"k1": secrets.token_bytes(48)}), MemoryNonceStore())
    with private_server(right, verifier=stranger) as asked:
        yield asked


@mistake("private server", r"not proved to be its own \(response_not_signed\)")
def private_server_does_not_sign(right: RightDeployment) -> Iterator[Asked]:
    with private_server(right, switches=Switches(Fault.UNSIGNED)) as asked:
        yield asked


@mistake("private server", "does not know the path of predictions .*PRIVATE_API_PATH")
def private_server_has_another_path(right: RightDeployment) -> Iterator[Asked]:
    with private_server(right, path="/forecast") as asked:
        yield asked


@mistake("private server", r"The private server fails \(status 500\)")
def private_server_is_broken(right: RightDeployment) -> Iterator[Asked]:
    with private_server(right, switches=Switches(Fault.STATUS)) as asked:
        yield asked


@mistake("private server", r"The private server does not answer \(connection_lost\).*PRIVATE_API_URL")
def private_server_hangs_up(right: RightDeployment) -> Iterator[Asked]:
    with private_server(right, switches=Switches(Fault.CLOSE)) as asked:
        yield asked


# Stripe


@contextmanager
def endpoint_with(right: RightDeployment, **changes: Any) -> Iterator[Asked]:
    endpoint = next(right.stripe.books.all("webhook_endpoint"))
    before = dict(endpoint)
    endpoint.update(changes)
    try:
        yield Asked()
    finally:
        endpoint.update(before)


@mistake("stripe", "STRIPE_SECRET_KEY is a test key")
def stripe_test_key(right: RightDeployment) -> Iterator[Asked]:
    live, test = right.stripe.secret_key, f"sk_test_{secrets.token_hex(16)}"
    right.stripe._api.secret_key = test
    try:
        yield Asked(settings={"stripe_secret_key": SecretStr(test)})
    finally:
        right.stripe._api.secret_key = live


@mistake("stripe", "Stripe refuses STRIPE_SECRET_KEY")
def stripe_key_was_revoked(_: RightDeployment) -> Iterator[Asked]:
    yield Asked(settings={"stripe_secret_key": SecretStr(f"sk_live_{secrets.token_hex(16)}")})


@mistake("stripe", "Stripe cannot be reached")
def stripe_is_out_of_reach(_: RightDeployment) -> Iterator[Asked]:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    yield Asked(settings={"stripe_api_base": f"http://127.0.0.1:{port}"})


@mistake("stripe", "Stripe has no webhook endpoint for https://localhost")
def no_webhook_endpoint(right: RightDeployment) -> Iterator[Asked]:
    with endpoint_with(right, url="https://api.example.com/webhook") as asked:
        yield asked


@mistake("stripe", "The webhook endpoint is disabled at Stripe")
def webhook_endpoint_is_disabled(right: RightDeployment) -> Iterator[Asked]:
    with endpoint_with(right, status="disabled") as asked:
        yield asked


@mistake("stripe", "does not get events that are needed: invoice.paid")
def webhook_endpoint_lacks_an_event(right: RightDeployment) -> Iterator[Asked]:
    with endpoint_with(right, enabled_events=sorted(HANDLERS.keys() - {"invoice.paid"})) as asked:
        yield asked


@mistake("stripe", "sends version 2020-08-27, not ")
def webhook_endpoint_has_an_old_version(right: RightDeployment) -> Iterator[Asked]:
    with endpoint_with(right, api_version="2020-08-27") as asked:
        yield asked


@mistake("stripe", "Events of the last 24 hours that Stripe could not deliver: 1.*STRIPE_WEBHOOK_SECRET")
def webhook_secret_of_another_endpoint(right: RightDeployment) -> Iterator[Asked]:
    """The event arrives, and the web server finds it signed with another secret."""
    stripe, outbox = right.stripe, right.stripe.outbox
    own, outbox._secret = outbox._secret, f"whsec_{secrets.token_hex(16)}"
    outbox.url = f"http://localhost:{right.front.port}/api/payments/stripe/webhook"
    event = stripe.books.announce("customer.deleted", {"id": "cus_1", "object": "customer"})
    try:
        with faulty(right, also_plain=True):
            assert outbox.deliver_pending() == [400]
        event["created"] -= 3600
        yield Asked()
    finally:
        outbox.url, outbox._secret = None, own
        del stripe.books.objects[event["id"]]


@mistake("stripe", "price_pro_monthly: the price is not active")
def price_is_archived(right: RightDeployment) -> Iterator[Asked]:
    price = right.stripe.books.objects["price_pro_monthly"]
    price["active"] = False
    try:
        yield Asked()
    finally:
        price["active"] = True


# The App Store, e-mail, Sentry


@mistake("app store", "Apple refuses the In-App Purchase key")
def apple_key_was_revoked(_: RightDeployment) -> Iterator[Asked]:
    yield Asked(settings={"apple_api_key_id": "ABCDE12345"})


@warned("app store", "There is no In-App Purchase key")
def no_apple_key(_: RightDeployment) -> Iterator[Asked]:
    yield Asked(settings={"apple_api_key_id": None})


@mistake("e-mail", r"The mail server 127.0.0.1:\d+ cannot be asked \(ConnectionRefusedError\)")
def mail_server_is_down(_: RightDeployment) -> Iterator[Asked]:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    yield Asked(settings={"email_port": port})


@mistake("e-mail", "refuses the user or the password")
def wrong_mail_password(_: RightDeployment) -> Iterator[Asked]:
    yield Asked(settings={"email_host_password": SecretStr(secrets.token_hex(8))})


@mistake("e-mail", "The certificate of the mail server .* is not valid")
def mail_server_is_a_stranger(_: RightDeployment) -> Iterator[Asked]:
    yield Asked({"SSL_CERT_FILE": ""})


@mistake("monitoring", "Sentry refuses SENTRY_DSN")
def sentry_key_was_revoked(right: RightDeployment) -> Iterator[Asked]:
    keys = set(right.sentry_keys)
    right.sentry_keys.clear()
    try:
        yield Asked()
    finally:
        right.sentry_keys.update(keys)


QUICK = (
    "SENTRY_DSN=",
    "proxy_does_not_say_https",
    "other_key_at_the_private_server",
    "no_webhook_endpoint",
)
"""Some of each kind. The others are slow together."""


@pytest.mark.parametrize(
    "name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in MISTAKES if name not in QUICK)]
)
def test_a_planted_mistake_is_one_line(right: RightDeployment, name: str) -> None:
    mistake = MISTAKES[name]
    with mistake.plant(right) as asked:
        deployment = replace(right.deployment(**asked.settings), **asked.deployment)
        done = right.run(deployment, asked.environ)
    assert len(complaints(done.output)) == 1, done.output
    [line] = complaints(done.output)
    assert re.match(rf"{mistake.level:<9}{mistake.check}: .*{mistake.line}", line), line
    assert " Mend: " in line
    assert done.exit_code == (1 if mistake.level is Level.FAILURE else 0)
    assert [secret for secret in right.secrets() if secret in done.output] == []


@pytest.mark.slow
def test_what_cannot_be_asked_is_skipped(right: RightDeployment) -> None:
    """One failure, and not one for each thing that is in the database."""
    with MISTAKES["wrong_database_password"].plant(right) as asked:
        done = right.run(right.deployment(**asked.settings), asked.environ)
    skipped = [line.split()[1] for line in done.output.splitlines() if line.startswith("skipped ")]
    assert skipped == ["migrations:", "worker:", "data", "staff:"]


@pytest.mark.slow
def test_lines_can_be_json(right: RightDeployment) -> None:
    done = right.check({"PASSWORD_PEPPER": None}, "--json")
    lines = [json.loads(line) for line in done.output.splitlines() if line.startswith('{"level": ')]
    assert {line["level"] for line in lines} == {"ok", "warning"}
    assert lines[0].keys() == {"level", "check", "text", "mend"}


def test_a_secret_in_the_text_of_an_error_is_hidden(right: RightDeployment) -> None:
    """libpq quotes what it cannot decode."""
    password = f"{secrets.token_hex(12)}%zz"
    done = right.check(database_url=SecretUrl(f"postgresql://mirroros:{password}@127.0.0.1:1/mirroros"))
    assert 'invalid percent-encoded token: "***"' in done.output
    assert password[:-3] not in done.output


def test_a_check_that_hangs_is_a_failure_and_keeps_nobody_waiting() -> None:
    released = Event()

    def hang() -> Iterator[Shortcoming]:
        yield Shortcoming("Something is odd.", "Look at it.", fails=False)
        released.wait(60)

    checks = (
        ProductionCheck("slow", "It is quick.", hang),
        ProductionCheck("after", "Fine.", lambda: (), needs="slow"),
    )
    found = list(run_checks(checks, deadline=0.05))
    released.set()
    assert [(each.level, each.check) for each in found] == [
        (Level.WARNING, "slow"),
        (Level.FAILURE, "slow"),
        (Level.SKIPPED, "after"),
    ]
    assert found[1].text == "No answer within 0.05 seconds."


def test_a_check_that_breaks_is_a_failure_without_the_text_of_its_error() -> None:
    def fail() -> Iterator[Shortcoming]:
        raise ValueError("hunter2")

    [found] = run_checks((ProductionCheck("broken", "Fine.", fail),))
    assert (found.level, found.text) == (Level.FAILURE, "The check itself failed with ValueError.")


def test_the_command_is_one_of_the_application(right: RightDeployment) -> None:
    assert "check-production" in right.app.cli.commands


@pytest.mark.slow
def test_the_command_itself_passes(right: RightDeployment) -> None:
    """As operators run it, in a process of its own. Production takes no stand-in for a payment provider, so there is none."""
    sold = ("STRIPE_", "APPLE_")
    environ = {name: text for name, text in right.environ.items() if not name.startswith(sold)}
    environ |= {"PATH": os.environ["PATH"], "FLASK_APP": "app:create_app", "FLASK_SKIP_DOTENV": "1"}

    right.sql("UPDATE job_workers SET last_sign_at = now() + interval '1 min'")
    command = [sys.executable, "-m", "flask", "check-production"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, complaints(done.stdout)) == (0, []), done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "0 failures, 0 warnings."
