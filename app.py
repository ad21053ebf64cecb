"""The application factory: the only place where the parts are put together.

`create_app()` reads the environment; `assemble(settings)` is the same with settings that were made elsewhere.
"""

import os
import sys
from datetime import timedelta
from importlib.util import find_spec

from flask import Flask
from pydantic import SecretStr

from api_description import DESCRIPTION, NAME, TAGS, VERSION
from auth.accounts.routes import profile_routes
from auth.api_keys.routes import api_key_routes
from auth.apple_tokens.client import AppleSignInKey, AppleTokens
from auth.assembly import Auth, AuthSettings, assemble_auth
from auth.audit.routes import event_routes
from auth.email.pages import account_pages
from auth.email.routes import email_routes
from auth.exports.routes import export_routes
from auth.identity_providers.id_token import APPLE, GOOGLE, IdTokens
from auth.identity_providers.jwks import ProviderKeys
from auth.identity_providers.routes import identity_routes, provider_routes
from auth.impersonation.routes import impersonation_routes
from auth.invites.commands import invite_commands
from auth.jobs import auth_jobs
from auth.mail.transport import FolderTransport, MailTransport, SmtpTransport
from auth.operators.commands import user_commands
from auth.operators.demo import demo_command
from auth.password_hashing.breached import PwnedPasswords
from auth.password_hashing.worker_pool import usable_cores
from auth.passwords.routes import password_routes
from auth.routes import auth_routes
from auth.scopes import Scope
from auth.second_factor.passkeys.routes import passkey_routes
from auth.second_factor.passkeys.webauthn import PasskeySite
from auth.second_factor.routes import second_factor_routes
from auth.sessions.routes import session_routes
from auth.tokens.commands import key_commands
from auth.tokens.jwks_routes import jwks_routes
from check_settings import config_commands
from config import ENV_FILE, PLANS, SettingsInvalid, exit_for, load_settings
from database import db, migrate
from database.base import utc_now
from database.engine import EngineOptions, engine_options, sqlalchemy_url
from database.forget_failures import upkeep_jobs
from database.jobs.commands import worker_commands
from database.jobs.declare import Job, Jobs
from database.jobs.worker_status import worker_status
from database.redis.server import RedisAddress, RedisServer, redis_check
from database.schema import schema_check
from database.writer_connection import writer_connection
from gateway.assembly import GatewaySettings, assemble_gateway
from gateway.private_server.client import PrivateServerAddress, VerifyResponse
from gateway.routes import Gateway, gateway_routes
from metering.personal_data import METERING_DATA
from metering.purge import purge_idempotency_keys, purge_request_logs, purge_usage_counters, sweep_reservations
from payments.apple.purchase import AppleEnvironment
from payments.apple.rules import SandboxPolicy
from payments.apple_validator import AppleApiKey
from payments.assembly import AppleSettings, Payments, PaymentSettings, StripeSettings, assemble_payments
from payments.commands import payment_commands
from payments.personal_data import PAYMENTS_DATA
from payments.plans import PlanOffer
from payments.product_table import ProductTable
from payments.routes import payment_blueprints
from payments.stripe.redirects import Redirects
from payments.stripe_handler import StripeAddress
from payments.subscriptions.grant_manually import grant_by_operator
from security.api.openapi import ApiDescription, openapi_routes
from security.docs.docs_pages import docs_routes
from security.edge.api_flask import ApiFlask
from security.edge.cors import install_cors
from security.edge.edge import install_edge
from security.edge.switched_off import note_switched_off
from security.health.check import HealthCheck, Part
from security.health.routes import health_routes
from security.home.routes import home_routes
from security.logs.log import configure_logging
from security.logs.sentry import start_sentry
from security.secrets.derived_key import derived_key
from settings.defaults import environment_of
from settings.environment import with_env_file
from settings.model import Environment, Settings


def create_app() -> Flask:
    """The application of this process's environment. Wrong settings are printed and end the process with code 78."""
    try:
        return assemble(settings_of_this_process())
    except SettingsInvalid as refusal:
        exit_for(refusal)


def settings_of_this_process() -> Settings:
    """In development with servers and secrets for what is not set. Raises SettingsInvalid.

    Servers for development that cannot be started end the process with one line.
    """
    if environment_of(os.environ) not in {None, Environment.DEVELOPMENT}:
        return load_settings()
    environ = with_env_file(os.environ, ENV_FILE)
    if find_spec("sandbox") is None:  # as in the container image
        return load_settings(environ)
    load_settings(environ)  # before servers are started for settings that are refused
    from sandbox.cannot_start import CannotStart  # noqa: PLC0415
    from sandbox.development import ensure_services  # noqa: PLC0415

    try:
        return load_settings({**environ, **ensure_services(environ)})
    except CannotStart as problem:
        sys.stderr.write(f"{problem}\n")
        raise SystemExit(1) from None


def assemble(settings: Settings) -> Flask:
    """The application of these settings. Connects to nothing and starts no thread: a server may fork after it."""
    if settings.database_url is None:
        raise SettingsInvalid(("DATABASE_URL must be set",))
    database_url = settings.database_url.get_secret_value()
    app = ApiFlask(__name__)
    request_log = configure_logging(settings.log_level, pretty=settings.is_development)
    if settings.sentry_dsn is not None:
        start_sentry(settings.sentry_dsn.get_secret_value(), settings.flask_env, VERSION)
    install_edge(
        app,
        require_https=settings.require_https,
        trusted_proxy_hops=settings.trusted_proxy_hops,
        trusted_hosts=settings.accepted_hosts,
        request_log=request_log,
    )
    connect_database(app, settings, database_url)
    redis = RedisServer(redis_address(settings))
    auth = accounts_of(settings, redis)
    gateway = gateway_of(app, settings, database_url, auth, redis)
    payments = payments_of(settings, database_url, auth)
    api = ApiDescription(
        NAME,
        VERSION,
        server=settings.public_base_url,
        tags=TAGS,
        description=DESCRIPTION,
        requires_https=settings.require_https,
    )
    for routes in (
        auth_routes(auth),
        api_key_routes(auth),
        event_routes(auth),
        impersonation_routes(auth),
        session_routes(auth),
        password_routes(auth),
        profile_routes(auth),
        export_routes(auth),
        email_routes(auth),
        account_pages(),
        jwks_routes(settings.access_keys),
        provider_routes(auth, identity_providers(settings)),
        identity_routes(auth),
        second_factor_routes(auth),
        passkey_routes(auth),
        gateway_routes(gateway),
        *payment_blueprints(payments),
        health_routes(health_of(settings, database_url), version=VERSION, environment=settings.flask_env),
        openapi_routes(api),
        docs_routes(NAME),
        home_routes(NAME, VERSION, base_url=settings.public_base_url, mail_box_url=settings.mail_box_url),
    ):
        app.register_blueprint(routes)
    install_cors(app, settings.cors_origins)
    note_switched_off(app, switched_off(settings), name_settings=settings.is_development)
    app.cli.add_command(config_commands)
    app.cli.add_command(key_commands(settings.access_keys))
    app.cli.add_command(invite_commands(auth))
    app.cli.add_command(user_commands(auth, grant_by_operator))
    app.cli.add_command(demo_command(auth, production=settings.flask_env is Environment.PRODUCTION))
    app.cli.add_command(payment_commands(payments))
    app.cli.add_command(worker_commands(background_jobs(auth, payments), database_url))
    return app


def switched_off(settings: Settings) -> dict[str, str]:
    """Beginnings of paths to the setting without which there is no route."""
    needed = {
        "/api/payments/stripe/webhook": ("STRIPE_WEBHOOK_SECRET", settings.stripe_webhook_secret),
        "/api/payments/stripe": ("STRIPE_SECRET_KEY", settings.stripe_secret_key),
        "/api/payments/apple": ("APPLE_BUNDLE_ID", settings.apple_bundle_id),
        "/api/auth/apple": ("APPLE_CLIENT_IDS", settings.apple_client_ids),
        "/api/auth/identities/apple": ("APPLE_CLIENT_IDS", settings.apple_client_ids),
        "/api/auth/google": ("GOOGLE_CLIENT_IDS", settings.google_client_ids),
        "/api/auth/identities/google": ("GOOGLE_CLIENT_IDS", settings.google_client_ids),
    }
    return {beginning: name for beginning, (name, value) in needed.items() if not value}


def connect_database(app: Flask, settings: Settings, url: str) -> None:
    app.config["SQLALCHEMY_DATABASE_URI"] = sqlalchemy_url(url)
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(EngineOptions(pool_size=settings.database_pool_size))
    db.init_app(app)
    migrate.init_app(app, db)


def redis_address(settings: Settings) -> RedisAddress | None:
    if settings.redis_url is None:
        return None
    return RedisAddress(settings.redis_url.get_secret_value(), timeout=settings.redis_timeout_ms / 1000)


def accounts_of(settings: Settings, redis: RedisServer) -> Auth:
    auth_settings = AuthSettings(
        issuer=settings.public_base_url,
        access_lifetime=timedelta(minutes=settings.jwt_access_token_expire_minutes),
        bcrypt_cost=settings.bcrypt_cost,
        password_threads=max(1, usable_cores() // settings.web_concurrency),
        registration_response=settings.registration_response.value,
        registration_mode=settings.registration_mode.value,
        mail_sender=settings.default_from_email,
        passkey_site=PasskeySite(settings.passkey_domain, settings.accepted_passkey_origins),
        web_origins=settings.web_origins,
        deletion_grace=timedelta(days=settings.account_deletion_grace_days),
        requests_per_minute=(
            {tier: plan.requests_per_minute for tier, plan in PLANS.items()} if settings.rate_limit_general else {}
        ),
    )
    return assemble_auth(
        auth_settings,
        access_keys=settings.access_keys,
        refresh_key=settings.refresh_key,
        redis=redis,
        throttle_key=derived_key(settings.secret_key.get_secret_value().encode(), "mirroros sign-in counts v1"),
        one_time_key=derived_key(settings.secret_key.get_secret_value().encode(), "mirroros one-time codes v1"),
        invite_key=derived_key(settings.secret_key.get_secret_value().encode(), "mirroros invite codes v1"),
        data_keys=settings.data_key_ring,
        transport=mail_transport_of(settings),
        pepper=settings.pepper,
        pwned_passwords=(
            frozenset() if settings.pwned_passwords_file is None else PwnedPasswords(settings.pwned_passwords_file)
        ),
        personal_data=(METERING_DATA, PAYMENTS_DATA),
        apple_tokens=apple_tokens_of(settings),
    )


def apple_tokens_of(settings: Settings) -> AppleTokens | None:
    key_id, team_id = settings.apple_sign_in_key_id, settings.apple_sign_in_team_id
    private_key = secret_text(settings.apple_sign_in_private_key)
    if key_id is None or team_id is None or private_key is None:
        return None
    return AppleTokens(AppleSignInKey(key_id, team_id, private_key), settings.apple_sign_in_url, utc_now)


def mail_transport_of(settings: Settings) -> MailTransport | None:
    if settings.email_host is not None:
        return SmtpTransport(
            settings.email_host,
            settings.email_port,
            settings.email_host_user,
            secret_text(settings.email_host_password),
            settings.email_use_tls,
        )
    return None if settings.email_folder is None else FolderTransport(settings.email_folder)


def identity_providers(settings: Settings) -> list[IdTokens]:
    """Those that have an audience."""
    offered = (
        (APPLE, settings.apple_client_ids, settings.apple_keys_url),
        (GOOGLE, settings.google_client_ids, settings.google_keys_url),
    )
    return [
        IdTokens(provider, audiences, ProviderKeys(url, utc_now), utc_now)
        for provider, audiences, url in offered
        if audiences
    ]


def gateway_of(app: Flask, settings: Settings, database_url: str, auth: Auth, redis: RedisServer) -> Gateway:
    with app.app_context():
        engine = db.engine
    return assemble_gateway(
        gateway_settings(settings),
        private_server_keys=settings.private_server_keys,
        hash_key=derived_key(settings.secret_key.get_secret_value().encode(), "mirroros request hashes v1"),
        engine=engine,
        connect=writer_connection(database_url, EngineOptions()),
        redis=redis,
        confirm=auth.signed_in_metered.renew,
        metered=auth.signed_in_metered,
        usage_reader=auth.signed_in_or_key(Scope.USAGE),
    )


def gateway_settings(settings: Settings) -> GatewaySettings:
    return GatewaySettings(
        PrivateServerAddress(settings.private_api_url, settings.private_api_path, settings.private_api_timeout),
        VerifyResponse(settings.private_api_verify_response),
        plans={tier: plan.limits for tier, plan in PLANS.items()},
        most_in_flight=settings.predict_max_in_flight,
    )


def payments_of(settings: Settings, database_url: str, auth: Auth) -> Payments:
    payment_settings = PaymentSettings(
        plans=[
            PlanOffer(
                tier,
                plan.title,
                predictions_per_day=plan.limits.per_day,
                requests_per_minute=plan.requests_per_minute,
                features=tuple(sorted(plan.limits.features)),
                benefits=plan.benefits,
            )
            for tier, plan in PLANS.items()
        ],
        grace=timedelta(days=settings.payment_grace_days),
        apple=apple_settings(settings),
        stripe=stripe_settings(settings),
    )
    return assemble_payments(
        payment_settings,
        announce=auth.states.changed,
        signed_in=auth.signed_in,
        owner=auth.signed_in_as_oneself,
        connect=writer_connection(database_url, EngineOptions()),
    )


def apple_settings(settings: Settings) -> AppleSettings | None:
    """None when no app is set up."""
    if settings.apple_bundle_id is None or settings.apple_app_id is None:
        return None
    root, api_key = settings.apple_root_certificate, None
    if settings.apple_api_key_id and settings.apple_api_issuer_id and settings.apple_api_private_key:
        private_key = settings.apple_api_private_key.get_secret_value().encode()
        api_key = AppleApiKey(settings.apple_api_key_id, settings.apple_api_issuer_id, private_key)
    urls = {
        AppleEnvironment.PRODUCTION: settings.apple_production_url,
        AppleEnvironment.SANDBOX: settings.apple_sandbox_url,
    }
    return AppleSettings(
        bundle_id=settings.apple_bundle_id,
        app_id=settings.apple_app_id,
        products=ProductTable.read(settings.apple_products),
        sandbox=SandboxPolicy(
            everybody=settings.flask_env is not Environment.PRODUCTION, accounts=settings.apple_sandbox_accounts
        ),
        online_checks=settings.apple_online_checks and root is None,
        shared_secret=secret_text(settings.apple_shared_secret),
        api_key=api_key,
        root_certificate=None if root is None else root.read_bytes(),
        urls={environment: url for environment, url in urls.items() if url is not None},
    )


def stripe_settings(settings: Settings) -> StripeSettings | None:
    """None without a key."""
    if settings.stripe_secret_key is None:
        return None
    secrets = secret_text(settings.stripe_webhook_secret)
    return StripeSettings(
        address=StripeAddress(settings.stripe_secret_key.get_secret_value(), settings.stripe_api_base),
        prices=ProductTable.read(settings.stripe_prices),
        redirects=Redirects(
            settings.checkout_return_url or settings.public_base_url,
            settings.redirect_origins,
            own_pages=settings.checkout_return_url is None,
        ),
        trial=timedelta(days=settings.stripe_trial_days),
        webhook_secrets=() if secrets is None else tuple(each.strip() for each in secrets.split(",")),
    )


def health_of(settings: Settings, database_url: str) -> HealthCheck:
    parts = {
        "database": Part(schema_check(database_url)),
        "worker": Part(worker_status(database_url), required=False),
    }
    if (address := redis_address(settings)) is not None:
        parts["redis"] = Part(redis_check(address), required=False)
    return HealthCheck(parts)


def background_jobs(auth: Auth, payments: Payments) -> Jobs:
    """Every job of the workers. What each takes from the database is bounded, and the next turn takes the rest."""
    return Jobs.of(
        (
            Job("sweep_reservations", sweep_reservations, cron="*/5 * * * *"),
            Job("purge_request_logs", purge_request_logs, cron="27 * * * *"),
            Job("purge_usage_counters", purge_usage_counters, cron="37 3 * * *"),
            Job("purge_idempotency_keys", purge_idempotency_keys, cron="7 * * * *"),
            *auth_jobs(auth),
            *payments.jobs,
            *upkeep_jobs(utc_now),
        )
    )


def secret_text(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
