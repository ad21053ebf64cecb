"""The application factory: the only place where the parts are put together.

`create_app()` reads the environment; `assemble(settings)` is the same with settings that were made elsewhere.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from flask import Flask
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from admin.analytics.jobs import ANALYTICS_JOBS
from admin.analytics.routes import analytics_routes
from admin.assembly import install_dashboard
from admin.check_production.commands import check_production_command
from admin.check_production.deployment import Deployment
from api_description import NAME, VERSION, api_description
from auth.assembly import Auth, auth_of
from auth.blueprints import auth_blueprints, auth_commands
from auth.jobs import auth_jobs
from auth.scopes import USAGE
from capabilities import CAPABILITIES
from check_settings import config_commands, judged_for_production
from compat import add_compat_routes
from config import PLANS, Settings, SettingsInvalid, exit_for, plans_on_offer, settings_of_this_process
from database import configure_database, db
from database.engine import EngineOptions, writer_connection
from database.figures import StoredFigures
from database.forget_failures import UPKEEP_JOBS
from database.jobs.commands import worker_commands
from database.jobs.declare import Jobs
from database.jobs.metrics import FAILED_JOBS
from database.metrics import POOL_IN_USE, POOL_SIZE
from database.redis.server import RedisAddress, RedisServer
from metering.assembly import Metering
from metering.capability import Capabilities, Capability, personal_data_of, scopes_of, switched_on
from metering.parts import Built, Parts
from metering.personal_data import METERING_DATA
from payments.assembly import Payments, payments_of
from payments.commands import payment_commands
from payments.personal_data import PAYMENTS_DATA
from payments.routes import payment_blueprints
from payments.subscriptions.grant_manually import grant_by_operator
from security.api.openapi import openapi_routes
from security.docs.docs_pages import docs_routes
from security.edge.api_flask import ApiFlask
from security.edge.cors import install_cors
from security.edge.edge import install_edge
from security.edge.switched_off import note_switched_off
from security.health.check import HealthCheck, health_check
from security.health.metrics import HealthMetrics
from security.health.routes import health_routes
from security.home.routes import home_routes
from security.logs.log import configure_logging
from security.logs.sentry import start_sentry
from security.metrics.exposition import METRICS, BuildInfo, Metrics
from security.metrics.listener import metrics_listener
from security.metrics.live import Live
from security.metrics.routes import metrics_routes
from security.security_txt.routes import security_txt_routes
from settings.check import switched_off
from settings.production_check import ProductionCheck
from settings.section import secret_text

ASSEMBLED = "assembled"


@dataclass(frozen=True)
class Assembled:
    """What an application is made of: `app.extensions[ASSEMBLED]`."""

    auth: Auth
    metering: Metering
    payments: Payments
    built: Mapping[Capability, Built]
    jobs: Jobs


def create_app() -> Flask:
    """The application of this process's environment. Wrong settings are printed and end the process with code 78."""
    try:
        return assemble(settings_of_this_process())
    except SettingsInvalid as refusal:
        exit_for(refusal)


def assemble(settings: Settings, capabilities: Capabilities = CAPABILITIES) -> Flask:
    """The application of these settings. Connects to nothing and starts no thread: a server may fork after it."""
    if settings.database_url is None:
        raise SettingsInvalid(("DATABASE_URL must be set",))
    database_url = settings.database_url.get_secret_value()
    direct_url = secret_text(settings.database_direct_url)
    app = ApiFlask(__name__)
    request_log = configure_logging(settings.log_level, pretty=settings.is_development, folder=settings.log_dir)
    if settings.sentry_dsn is not None:
        start_sentry(settings.sentry_dsn.get_secret_value(), settings.flask_env, VERSION)
    install_edge(
        app,
        require_https=settings.require_https,
        trusted_proxy_hops=settings.trusted_proxy_hops,
        trusted_hosts=settings.accepted_hosts,
        request_log=request_log,
    )
    options = EngineOptions(pool_size=settings.database_pool_size, pooled=direct_url is not None)
    replica_url = secret_text(settings.database_replica_url)
    configure_database(app, database_url, options, direct_url=direct_url, replica_url=replica_url)
    made = put_together(app, settings, writer_connection(database_url, options), capabilities)
    app.extensions[ASSEMBLED] = made

    own = made.built.values()
    own_health = {name: part for each in own for name, part in each.health.items()}
    health = health_check(database_url, redis_address(settings), own_health)
    metrics = metrics_of(app, settings, made, health)
    app.extensions[METRICS] = metrics
    token = secret_text(settings.metrics_token)
    for routes in (
        *auth_blueprints(made.auth, settings),
        *payment_blueprints(made.payments),
        *chain.from_iterable(each.routes for each in own),
        analytics_routes(made.auth),
        health_routes(health, version=VERSION, environment=settings.flask_env),
        *(() if token is None else (metrics_routes(metrics, token),)),
        openapi_routes(api_description(settings, made.built)),
        docs_routes(NAME),
        home_routes(NAME, VERSION, base_url=settings.public_base_url, mail_box_url=settings.mail_box_url),
    ):
        app.register_blueprint(routes)
    if settings.security_contact is not None:
        app.register_blueprint(security_txt_routes(settings.security_contact, base_url=settings.public_base_url))
    install_dashboard(app, made.auth, health, [page for each in own for page in each.admin_pages])
    if settings.compat_routes:
        add_compat_routes(app)
    install_cors(app, settings.cors_origins)
    note_switched_off(app, switched_off(settings), name_settings=settings.is_development)
    for command in (
        config_commands,
        *auth_commands(made.auth, settings, grant_by_operator),
        payment_commands(made.payments),
        *chain.from_iterable(each.commands for each in own),
        check_production_command(settings, partial(production_checks, app, settings, made)),
        worker_commands(
            made.jobs,
            direct_url or database_url,
            partial(served_metrics, metrics, token, settings.worker_metrics_port),
        ),
    ):
        app.cli.add_command(command)
    return app


def put_together(
    app: Flask, settings: Settings, connect: Callable[[], Connection], capabilities: Capabilities
) -> Assembled:
    on = switched_on(capabilities, settings.capabilities)
    with app.app_context():
        engine = db.engine
    redis = RedisServer(redis_address(settings))
    auth = auth_of(
        settings,
        redis=redis,
        requests_per_minute={tier: plan.requests_per_minute for tier, plan in PLANS.items()},
        scopes=scopes_of(on),
        personal_data=(METERING_DATA, PAYMENTS_DATA, *personal_data_of(capabilities)),
    )
    confirm = auth.metered(USAGE).renew  # whatever the scope, what is known of a caller is the same
    metering = Metering(engine, connect, redis, confirm)
    parts = Parts(auth, metering, engine, connect, settings.derived_key)
    payments = payments_of(settings, auth=auth, connect=connect, plans=plans_on_offer(on))
    built = {each: each.build(parts, settings) for each in on}
    own_jobs = chain.from_iterable(each.jobs for each in built.values())
    jobs = Jobs.of((*metering.jobs, *auth_jobs(auth), *payments.jobs, *own_jobs, *ANALYTICS_JOBS, *UPKEEP_JOBS))
    return Assembled(auth, metering, payments, built, jobs)


def metrics_of(app: Flask, settings: Settings, made: Assembled, health: HealthCheck) -> Metrics:
    with app.app_context():
        pool: Any = db.engine.pool
    own = made.built.values()
    figures = (FAILED_JOBS, *made.payments.figures, *chain.from_iterable(each.figures for each in own))
    assert settings.database_url is not None
    connect = writer_connection(settings.database_url.get_secret_value(), EngineOptions(statement_timeout=2))
    return Metrics(
        (BuildInfo(VERSION, settings.flask_env), HealthMetrics(health), StoredFigures(connect, figures)),
        (
            Live(POOL_IN_USE, pool.checkedout),
            Live(POOL_SIZE, pool.size),
            *made.metering.live,
            *chain.from_iterable(each.live for each in own),
        ),
    )


def served_metrics(metrics: Metrics, token: str | None, port: int | None) -> AbstractContextManager[object]:
    """Of a process that serves nothing else."""
    return nullcontext() if token is None or port is None else metrics_listener(metrics, token, port)


def production_checks(app: Flask, settings: Settings, made: Assembled) -> Iterator[ProductionCheck]:
    """For `flask check-production`."""
    own = tuple(chain.from_iterable(each.checks for each in made.built.values()))
    return Deployment(app, settings, settings, made.auth, made.payments, judged_for_production, own).checks()


def redis_address(settings: Settings) -> RedisAddress | None:
    if settings.redis_url is None:
        return None
    return RedisAddress(settings.redis_url.get_secret_value(), timeout=settings.redis_timeout_ms / 1000)
