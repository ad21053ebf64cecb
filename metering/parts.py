"""What a capability is made of, and what it is handed for that."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import click
from flask import Blueprint
from psycopg2.extensions import connection as Connection  # noqa: N812 - it is a class
from sqlalchemy import Engine

from auth.assembly import Auth
from auth.operators.demo import Demo
from auth.page_sessions.pages import Subject
from auth.tiers import Tier
from database.figures import Figure
from database.jobs.declare import Job
from metering.app_settings.app_setting import AppSetting
from metering.assembly import Metering
from metering.money import Purse
from metering.purchase import OneOffPayments, Purchases
from metering.sockets import SocketEvents
from security.health.check import Part
from security.metrics.live import Live
from settings.production_check import ProductionCheck

Settings = TypeVar("Settings")
Made = TypeVar("Made")


class Shared:
    """What several capabilities of an application use together, such as the AI providers: the first that asks has it made."""

    def __init__(self) -> None:
        self._made: dict[Callable[..., Any], Any] = {}

    def __call__(self, make: Callable[[Settings], Made], settings: Settings) -> Made:
        if make not in self._made:
            self._made[make] = make(settings)
        made: Made = self._made[make]
        return made


@dataclass(frozen=True)
class Parts:
    """`auth` has the guards (`auth.metered(scope)` for what is metered, `auth.signed_in_or_key(scope)` for the rest), e-mail
    and the clock; `metering` makes metered calls of an upstream, and what they cost is drawn from `purse`. `payments` ends and
    refunds the payments of what a capability sells once. `derived_key` gives a key of its own for a label. Clients open sockets at
    `sockets_url`. `connect` opens a connection beside the engine's pool. `shared(make, settings)` gives what `make` made of the
    settings, the same to each capability.
    """

    auth: Auth
    metering: Metering
    purse: Purse
    payments: OneOffPayments
    engine: Engine
    connect: Callable[[], Connection]
    derived_key: Callable[[str], bytes]
    sockets_url: str
    shared: Shared = field(default_factory=Shared)


class Drain(Protocol):
    """Work that outlives the request that began it, and may not be cut off when its process is told to stop."""

    def drain(self) -> None:
        """Take on nothing more, and see that what runs ends in time. Waits for nothing."""

    def drained(self) -> bool: ...


@dataclass(frozen=True)
class Built:
    """`health` are parts of `GET /health/ready`, `admin_pages` those of the dashboard, `portal_pages` those for customers, `checks`
    lines of `flask check-production`, `app_settings` what staff change while the service runs. The names of its blueprints are the
    tags of the OpenAPI document. Routes and checks of what is shared are handed on by each capability that uses it, and are taken
    once. `live` and `figures` are metrics that are looked up when somebody asks; counters and histograms are only defined, as
    module-level values. `prices`: by feature, what a call costs now in each plan, in cents.
    `drains`: work that a web process waits for before it ends. `sockets`: what clients may do over Socket.IO, or over a
    WebSocket of its own. `purchases`: the kinds of things that are sold once. `demo` adds to `flask bootstrap-demo`, and gives the
    lines that it prints.
    """

    routes: Sequence[Blueprint] = ()
    jobs: Sequence[Job] = ()
    commands: Sequence[click.Command] = ()
    health: Mapping[str, Part] = field(default_factory=dict)
    checks: Sequence[ProductionCheck] = ()
    live: Sequence[Live] = ()
    figures: Sequence[Figure] = ()
    admin_pages: Sequence[Subject] = ()
    portal_pages: Sequence[Subject] = ()
    app_settings: Sequence[AppSetting[object]] = ()
    prices: Mapping[str, Callable[[], Mapping[Tier, int]]] = field(default_factory=dict)
    drains: Sequence[Drain] = ()
    sockets: SocketEvents | None = None
    purchases: Sequence[Purchases] = ()
    demo: Demo | None = None
