"""Which checks a deployment has: those of the parts that are set up."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from flask import Flask

from admin.assembled import Assembled
from admin.check_production.app_store import NOTIFICATIONS, app_store_check
from admin.check_production.data_keys import data_keys_check
from admin.check_production.database import Processes, database_checks, pooler_check
from admin.check_production.limits import limits_check
from admin.check_production.mail import mail_check
from admin.check_production.monitoring import monitoring_check
from admin.check_production.public_address import public_address_checks
from admin.check_production.redis import redis_check
from admin.check_production.staff import staff_check
from admin.check_production.statements import statements_check
from admin.check_production.stripe import WEBHOOK, stripe_check
from admin.check_production.variables import Judge, variables_check
from admin.check_production.worker import worker_check
from admin.settings import AdminSections
from auth.mail.transport import SmtpTransport, mail_transport_of
from settings.production_check import ProductionCheck
from settings.section import secret_text


@dataclass(frozen=True)
class Deployment:
    """What is checked. `judge` reads the variables anew."""

    app: Flask
    settings: AdminSections
    made: Assembled
    judge: Judge

    def checks(self) -> Iterator[ProductionCheck]:
        settings, made, clock = self.settings, self.made, self.made.auth.clock
        webhooks = [WEBHOOK] * bool(made.payments.stripe) + [NOTIFICATIONS] * bool(made.payments.apple)
        yield variables_check(self.judge, settings.flask_env)
        yield from public_address_checks(settings.public_base_url, settings.flask_env, settings.cors_origins, webhooks)
        yield limits_check(made.payments.plans, general_limit=settings.rate_limit_general)
        if database_url := settings.database_session_url:
            processes = Processes(settings.web_concurrency, settings.database_pool_size)
            yield from database_checks(database_url, processes, clock)
            yield worker_check(database_url, clock)
            yield data_keys_check(self.app, made.auth.data_keys)
            yield staff_check(self.app)
            if made.payments.stripe is None:
                yield statements_check(self.app)
        if settings.database_is_pooled:
            yield pooler_check(secret_text(settings.database_url) or "")
        if redis_url := secret_text(settings.redis_url):
            yield redis_check(redis_url, clock)
        yield from dict.fromkeys(chain.from_iterable(each.checks for each in made.built.values()))
        if made.payments.stripe is not None:
            yield stripe_check(made.payments.stripe, settings.public_base_url)
        if made.payments.apple is not None:
            yield app_store_check(made.payments.apple)
        transport = mail_transport_of(settings)
        if isinstance(transport, SmtpTransport):
            yield mail_check(transport, settings.default_from_email)
        if dsn := secret_text(settings.sentry_dsn):
            yield monitoring_check(dsn)
