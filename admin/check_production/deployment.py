"""Which checks a deployment has: those of the parts that are set up."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flask import Flask

from admin.check_production.app_store import NOTIFICATIONS, app_store_check
from admin.check_production.data_keys import data_keys_check
from admin.check_production.database import Processes, database_checks
from admin.check_production.limits import limits_check
from admin.check_production.mail import mail_check
from admin.check_production.monitoring import monitoring_check
from admin.check_production.public_address import public_address_checks
from admin.check_production.redis import redis_check
from admin.check_production.staff import staff_check
from admin.check_production.stripe import WEBHOOK, stripe_check
from admin.check_production.variables import Judge, variables_check
from admin.check_production.worker import worker_check
from auth.assembly import Auth
from auth.mail.transport import SmtpTransport, mail_transport_of
from auth.settings import AuthSections
from payments.assembly import Payments
from settings.database import DatabaseSection
from settings.production_check import ProductionCheck
from settings.section import secret_text


@dataclass(frozen=True)
class Deployment:
    """What is checked. `settings` and `servers` are sections of the same settings. `judge` reads the variables anew;
    `of_capabilities` are their own checks.
    """

    app: Flask
    settings: AuthSections
    servers: DatabaseSection
    auth: Auth
    payments: Payments
    judge: Judge
    of_capabilities: Sequence[ProductionCheck] = ()

    def checks(self) -> Iterator[ProductionCheck]:
        settings, clock = self.settings, self.auth.clock
        webhooks = [WEBHOOK] * bool(self.payments.stripe) + [NOTIFICATIONS] * bool(self.payments.apple)
        yield variables_check(self.judge, settings.flask_env)
        yield from public_address_checks(settings.public_base_url, settings.flask_env, settings.cors_origins, webhooks)
        yield limits_check(self.payments.plans, general_limit=settings.rate_limit_general)
        if database_url := secret_text(self.servers.database_url):
            processes = Processes(settings.web_concurrency, self.servers.database_pool_size)
            yield from database_checks(database_url, processes, clock)
            yield worker_check(database_url, clock)
            yield data_keys_check(self.app, self.auth.data_keys)
            yield staff_check(self.app)
        if redis_url := secret_text(self.servers.redis_url):
            yield redis_check(redis_url, clock)
        yield from self.of_capabilities
        if self.payments.stripe is not None:
            yield stripe_check(self.payments.stripe, settings.public_base_url)
        if self.payments.apple is not None:
            yield app_store_check(self.payments.apple)
        transport = mail_transport_of(settings)
        if isinstance(transport, SmtpTransport):
            yield mail_check(transport, settings.default_from_email)
        if dsn := secret_text(settings.sentry_dsn):
            yield monitoring_check(dsn)
