"""The process, put together."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from auth.account_state import ACCOUNT_CHANGED
from auth.assembly import Auth
from database.blocking import Blocking
from metering.parts import Drain
from metering.sockets import SocketEvents, nothing
from realtime.answer_event import AnswerEvents
from realtime.app import Edge, RealtimeApp
from realtime.callers import Callers
from realtime.caps import Caps
from realtime.client import Client, Surroundings
from realtime.clients import Clients
from realtime.control import Control
from realtime.metrics import SOCKETS
from realtime.origin import Origins
from realtime.serve import Process
from realtime.settings import RealtimeSections
from realtime.sign_in import SignIn
from realtime.socket_io import SocketIo
from realtime.watch import watch
from security.edge.client_address import TrustedProxies
from security.health.check import HealthCheck
from security.metrics.exposition import Metrics
from security.metrics.live import Live
from settings.section import secret_text

THREADS = 8


def process_of(
    settings: RealtimeSections,
    *,
    auth: Auth,
    health: HealthCheck,
    metrics: Metrics,
    offered: SocketEvents | None,
    drains: Sequence[Drain],
) -> Process:
    """Needs the application's context, which its threads take. `offered` None: it serves its health alone."""
    caps = Caps(settings.realtime_max_sockets, settings.realtime_max_per_address, offered.sockets if offered else {})
    threads = Blocking("sockets", THREADS)
    clients = Clients(caps, threads)
    metrics.watch(Live(SOCKETS, lambda: len(clients)))
    socket_io, beside = (None, ()) if offered is None else _sockets_of(settings, auth, offered, clients, threads)
    edge = Edge(
        Origins((settings.public_base_url, settings.sockets_url), settings.cors_origins),
        TrustedProxies(settings.trusted_proxy_hops),
        require_https=settings.require_https,
        caps=caps,
        clients=clients,
        health=health,
        metrics=metrics,
        metrics_token=secret_text(settings.metrics_token),
        socket_io=socket_io,
    )
    started = nothing if offered is None else partial(offered.started, clients)
    return Process(RealtimeApp(edge), clients, started, beside, drains, settings.realtime_drain_seconds)


def _sockets_of(
    settings: RealtimeSections, auth: Auth, offered: SocketEvents, clients: Clients, threads: Blocking
) -> tuple[SocketIo, Sequence[Callable[[], Coroutine[Any, Any, None]]]]:
    guard = replace(auth.signed_in_or_key(offered.scope), as_oneself=True)
    callers = Callers(guard, auth.states)
    callers.adopt()
    threads.adopt()
    sign_in = SignIn(callers, clients)

    async def close(client_id: str) -> None:
        await socket_io.close(client_id)

    def ended(client: Client) -> None:
        clients.ended(client)
        if client.admitted is not None:
            offered.ended(client)

    def reconnected() -> None:
        sign_in.judge_all()
        offered.reconnected()

    events = AnswerEvents((*sign_in.events, *offered.events))
    socket_io = SocketIo(clients, sign_in, events, Surroundings(threads, close, ended))
    heard = {**offered.heard, ACCOUNT_CHANGED: sign_in.account_changed}
    control = Control(settings.database_session_url, heard, reconnected)
    return socket_io, (control.listen, partial(watch, clients, sign_in))
