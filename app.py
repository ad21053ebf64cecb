"""The application factory: the only place where the parts are put together.

`create_app()` reads the environment; `assemble(settings)` is the same with settings that were made elsewhere.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import chain

from flask import Flask
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from admin.analytics.jobs import ANALYTICS_JOBS
from admin.assembled import ASSEMBLED, Assembled
from admin.assembly import admin_of
from api_description import VERSION, public_routes
from auth.assembly import auth_of
from auth.blueprints import auth_blueprints, auth_commands
from auth.jobs import auth_jobs
from auth.scopes import USAGE
from capabilities import CAPABILITIES
from check_settings import config_commands, judged_for_production
from compat import add_compat_routes
from config import PLANS, Settings, SettingsInvalid, exit_for, plan_table, plans_on_offer, settings_of_this_process
from database import configure_database, db
from database.engine import EngineOptions, writer_connection
from database.forget_failures import UPKEEP_JOBS
from database.jobs.declare import Jobs
from database.redis.server import RedisAddress, RedisServer
from database.reset import reset_command
from metering.assembly import Metering
from metering.capability import Capabilities, personal_data_of, scopes_of, switched_on
from metering.parts import Parts
from metering.personal_data import METERING_DATA
from metering.usage.jobs import usage_jobs
from metering.usage.routes import usage_routes
from payments.assembly import payments_of
from payments.billing.purse import AccountPurse
from payments.commands import payment_commands
from payments.personal_data import PAYMENTS_DATA
from payments.routes import payment_blueprints
from payments.subscriptions.grant_manually import grant_by_hand
from portal.assembly import portal_of
from realtime.commands import realtime_commands
from security.edge.api_flask import ApiFlask
from security.edge.cors import install_cors
from security.edge.edge import install_edge
from security.edge.switched_off import note_switched_off
from security.health.check import health_check
from security.logs.log import configure_logging
from security.logs.sentry import start_sentry
from settings.check import switched_off
from settings.section import secret_text
from site_frame.assembly import install_sites


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
    options = EngineOptions(pool_size=settings.database_pool_size, pooled=settings.database_is_pooled)
    replica_url = secret_text(settings.database_replica_url)
    configure_database(app, database_url, options, direct_url=direct_url, replica_url=replica_url)
    made = put_together(app, settings, writer_connection(database_url, options), capabilities)
    app.extensions[ASSEMBLED] = made
    app.extensions["drains"] = [drain for each in made.built.values() for drain in each.drains]
    admin = admin_of(
        app,
        settings,
        made,
        version=VERSION,
        connect=writer_connection(database_url, replace(options, statement_timeout=2)),
        judge=judged_for_production,
        set_tier=grant_by_hand,
    )
    own, plans = made.built.values(), plan_table(tuple(made.built))
    for routes in (
        *auth_blueprints(made.auth, settings),
        usage_routes(made.auth, plans),
        *payment_blueprints(made.payments),
        *dict.fromkeys(chain.from_iterable(each.routes for each in own)),
        *admin.routes,
        *public_routes(settings, made.built, made.health),
    ):
        app.register_blueprint(routes)
    install_sites(
        app, made.auth, (admin.site, portal_of(made.auth, plans, made.built, made.payments)), settings.billing_currency
    )
    if settings.compat_routes:
        add_compat_routes(app, made.auth)
    install_cors(app, settings.cors_origins)
    note_switched_off(app, switched_off(settings), name_settings=settings.is_development)
    for command in (
        config_commands,
        reset_command(in_development=settings.is_development),
        *auth_commands(made.auth, settings, grant_by_hand, [each.demo for each in own if each.demo is not None]),
        *payment_commands(made.payments),
        *chain.from_iterable(each.commands for each in own),
        realtime_commands(settings, made.auth, made.health, [each.sockets for each in own]),
        *admin.commands,
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
        account_calls_per_minute={tier: plan.account_calls_per_minute for tier, plan in PLANS.items()},
        scopes=scopes_of(on),
        personal_data=(METERING_DATA, PAYMENTS_DATA, *personal_data_of(capabilities)),
    )
    confirm = auth.metered(USAGE).renew  # whatever the scope, what is known of a caller is the same
    metering = Metering(engine, connect, redis, confirm, request_log_days=settings.request_log_days)
    payments = payments_of(
        settings,
        auth=auth,
        connect=connect,
        plans=plans_on_offer(on),
        call_prices=lambda: {name: now() for each in built.values() for name, now in each.prices.items()},
        purchases=lambda: [kind for each in built.values() for kind in each.purchases],
    )
    purse = AccountPurse(payments.periods, engine)
    parts = Parts(auth, metering, purse, payments.one_off, engine, connect, settings.derived_key, settings.sockets_url)
    built = {each: each.build(parts, settings) for each in on}
    own_jobs = chain.from_iterable(each.jobs for each in built.values())
    jobs = Jobs.of(
        (*metering.jobs, *usage_jobs(auth), *auth_jobs(auth), *payments.jobs, *own_jobs, *ANALYTICS_JOBS, *UPKEEP_JOBS)
    )
    own_health = {name: part for each in built.values() for name, part in each.health.items()}
    health = health_check(secret_text(settings.database_url) or "", redis_address(settings), own_health)
    return Assembled(auth, metering, payments, built, jobs, health)


def redis_address(settings: Settings) -> RedisAddress | None:
    if settings.redis_url is None:
        return None
    return RedisAddress(settings.redis_url.get_secret_value(), timeout=settings.redis_timeout_ms / 1000)
