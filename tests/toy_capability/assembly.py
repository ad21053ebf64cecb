"""Stands for the heavy part of a capability: nothing of it is loaded while it is off."""

import hmac
from datetime import datetime, timedelta
from functools import partial

import click
import orjson
from flask import Blueprint
from flask.cli import with_appcontext
from prometheus_client import Counter, Gauge
from sqlalchemy import func, select

from auth.page_sessions.pages import Subject
from auth.principal import Caller
from database import reading, transaction
from database.base import Clock, uuid7
from database.batch import purge
from database.figures import Figure
from database.jobs.declare import Job
from metering.app_settings.app_setting import AppSetting
from metering.breaker import Breaker
from metering.bulkhead import Bulkhead
from metering.limits import CALL, Burst, Draw
from metering.metered_calls import Allowance, MeteredCalls, Running, Tally, Work
from metering.money import MoneyRefused
from metering.parts import Built, Parts
from metering.rate_limit_headers import DAY, RateLimitExceeded
from metering.windows import day_of
from security.api.models import AnswerBody
from security.api.operation import Answer, operation
from security.health.check import Part
from security.metrics.live import Live
from settings.production_check import ProductionCheck
from tests.toy_capability import TOY_LIMITS, TOY_PRICE_MICROS, ToySection
from tests.toy_capability.models import Toy
from tests.toy_capability.pages import toy_pages


def toy_price(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("Enter a number of cents, 0 or more")
    return value


WOUND_UP = Counter("mirroros_toys_wound_up_total", "Toys that were wound up")
SPRINGS = Gauge("mirroros_toy_springs", "Springs of this process", multiprocess_mode="livesum")
TOY_PRICE = AppSetting(
    "toy_price_cents", "Price of a toy in cents", toy_price, hint="Toys are free unless this says otherwise."
)
KEPT_TOYS = Figure("mirroros_toys", "Toys that are kept", "SELECT count(*) FROM toys")


class WoundUp(AnswerBody):
    says: str


def build_toy(parts: Parts, settings: ToySection) -> Built:
    calls = parts.metering.calls("toy", breaker=Breaker(), bulkhead=Bulkhead(8), longest_call=60)
    clock = parts.auth.clock
    return Built(
        routes=(toy_routes(parts, calls, settings.toy_motto),),
        jobs=(Job("forget_toys", lambda: forget_toys(clock), cron="7 3 * * *"),),
        commands=(count_toys,),
        admin_pages=(Subject("toys", "Toys", partial(toy_pages, parts.auth)),),
        app_settings=(TOY_PRICE,),
        health={"toy_box": Part(lambda: None, required=False)},
        checks=(ProductionCheck("toy box", "It is shut.", lambda: ()),),
        live=(Live(SPRINGS, lambda: 8),),
        figures=(KEPT_TOYS,),
    )


def toy_routes(parts: Parts, calls: MeteredCalls, motto: str) -> Blueprint:
    fingerprint = hmac.digest(parts.derived_key("toy request hashes v1"), b"", "sha256").hex()
    routes = Blueprint("toy", __name__, url_prefix="/api/toy")

    def allowance(caller: Caller, now: datetime) -> Allowance:
        draws = (
            Draw(DAY, "toy", CALL, day_of(now), TOY_LIMITS[caller.tier].per_day),
            *parts.purse.draws(caller.user_id, TOY_PRICE_MICROS, now),
        )
        return Allowance(
            draws, Burst(100, 60), concurrency=8, failures_per_hour=None, shed_from=1.0, price_micros=TOY_PRICE_MICROS
        )

    @operation(
        routes,
        "POST",
        "/wind",
        operation_id="startToy",
        summary="Wind up a toy",
        guard=parts.auth.metered("toy"),
        answers={200: WoundUp},
        problems=(RateLimitExceeded, MoneyRefused),
        accepts_idempotency_key=True,
    )
    def wind(caller: Caller, idempotency_key: str | None) -> Answer:
        """It says its motto."""

        def perform(running: Running, _tally: Tally) -> bytes:
            with transaction() as session:
                WOUND_UP.inc()
                session.add(Toy(id=uuid7(), user_id=running.caller.user_id, wound_at=parts.auth.clock()))
            return orjson.dumps({"says": motto})

        work = Work(
            "toy", "toys", "POST /api/toy/wind", fingerprint, idempotency_key, lease_seconds=60, allowance=allowance
        )
        delivered = calls.once(caller, work, perform)
        return Answer(200, delivered.body, delivered.headers)

    return routes


def forget_toys(clock: Clock) -> int:
    return purge("forget_toys", select(Toy.id).where(Toy.wound_at < clock() - timedelta(days=1)))


@click.command("toys")
@with_appcontext
def count_toys() -> None:
    """Say how many toys were wound up."""
    with reading() as session:
        click.echo(session.scalars(select(func.count()).select_from(Toy)).one())
