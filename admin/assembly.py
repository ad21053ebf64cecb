"""What operators have, put together for one application: metrics, reports, checks and the dashboard."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain

import click
from flask import Blueprint, Flask
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class

from admin.analytics.routes import analytics_routes
from admin.assembled import Assembled
from admin.check_production.commands import check_production_command
from admin.check_production.deployment import Deployment
from admin.check_production.variables import Judge
from admin.dashboard import dashboard
from admin.metrics import metrics_of
from admin.operations_pages import operations_pages
from admin.settings import AdminSections
from admin.staff_api.routes import staff_routes
from admin.subject_pages import subject_pages
from auth.operators.accounts import SetTier
from database import db
from database.jobs.commands import job_commands, worker_commands
from metering.app_settings.commands import setting_commands
from security.metrics.exposition import METRICS, BuildInfo, Metrics
from security.metrics.listener import metrics_listener
from security.metrics.routes import metrics_routes
from settings.section import secret_text
from site_frame.assembly import SiteContent


@dataclass(frozen=True)
class Admin:
    site: SiteContent
    routes: Sequence[Blueprint]
    commands: Sequence[click.Command]


def admin_of(
    app: Flask,
    settings: AdminSections,
    made: Assembled,
    *,
    version: str,
    connect: Callable[[], Connection],
    judge: Judge,
    set_tier: SetTier,
) -> Admin:
    """`connect` opens a connection beside the pool for what metrics ask,
    `judge` reads the variables anew, `set_tier` keeps a tier that is given by hand.
    """
    with app.app_context():
        metrics = metrics_of(made, db.engine, connect, BuildInfo(version, settings.flask_env))
    app.extensions[METRICS] = metrics
    token = secret_text(settings.metrics_token)
    app_settings = tuple(chain.from_iterable(each.app_settings for each in made.built.values()))
    own_pages = chain.from_iterable(each.admin_pages for each in made.built.values())
    pages = (
        *subject_pages(made.auth, set_tier, made.built, app_settings, made.payments.periods),
        *operations_pages(made.auth, made.jobs, made.payments.inbox, settings.database_session_url),
        *own_pages,
    )
    deployment = Deployment(app, settings, made, judge)
    serve_metrics = partial(served_metrics, metrics, token, settings.worker_metrics_port)
    return Admin(
        dashboard(made.auth, made.health, pages),
        (
            analytics_routes(made.auth),
            staff_routes(made.auth, made.payments.periods, app_settings),
            *(() if token is None else (metrics_routes(metrics, token),)),
        ),
        (
            check_production_command(settings, deployment.checks),
            worker_commands(made.jobs, settings.database_session_url, serve_metrics),
            job_commands(made.jobs),
            setting_commands(app_settings, made.auth.clock),
        ),
    )


def served_metrics(metrics: Metrics, token: str | None, port: int | None) -> AbstractContextManager[object]:
    """Of a process that serves nothing else."""
    return nullcontext() if token is None or port is None else metrics_listener(metrics, token, port)
