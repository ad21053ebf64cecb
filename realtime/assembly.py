"""The process, put together."""

from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from auth.account_state import ACCOUNT_CHANGED
from auth.assembly import Auth
from database.blocking import Blocking
from metering.parts import Drain
from metering.sockets import SocketEvents
from realtime.app import Edge, RealtimeApp, SocketIoPart
from realtime.callers import Callers
from realtime.caps import Caps
from realtime.client import Client, Surroundings
from realtime.clients import Clients
from realtime.control import Control
from realtime.message_sockets import MessageSockets
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
CALLERS_THREADS = 4


@dataclass(frozen=True)
class Shared:
    """What the sockets of all capabilities have in common."""

    auth: Auth
    caps: Caps
    threads: Blocking
    callers_threads: Blocking


@dataclass(frozen=True)
class Part:
    """What one capability does with sockets, and those who use it."""

    offered: SocketEvents
    clients: Clients[Any]
    sign_in: SignIn
    surroundings: Surroundings

    def reconnected(self) -> None:
        self.sign_in.judge_all()
        self.offered.reconnected()


def process_of(
    settings: RealtimeSections,
    *,
    auth: Auth,
    health: HealthCheck,
    metrics: Metrics,
    offers: Sequence[SocketEvents],
    drains: Sequence[Drain],
) -> Process:
    """Needs the application's context, which its threads take. Without `offers` it serves its health alone."""
    caps = Caps(settings.realtime_max_sockets, settings.realtime_max_per_address)
    metrics.watch(Live(SOCKETS, lambda: len(caps)))
    shared = Shared(auth, caps, Blocking("sockets", THREADS), Blocking("socket-callers", CALLERS_THREADS))
    shared.threads.adopt()
    shared.callers_threads.adopt()
    parts = [_part_of(offered, shared) for offered in offers]
    edge = Edge(
        Origins((settings.public_base_url, settings.sockets_url), settings.cors_origins),
        TrustedProxies(settings.trusted_proxy_hops),
        require_https=settings.require_https,
        caps=caps,
        health=health,
        metrics=metrics,
        metrics_token=secret_text(settings.metrics_token),
        socket_io=next((_socket_io_of(part) for part in parts if part.offered.path is None), None),
        paths={
            part.offered.path: MessageSockets(part.offered, part.clients, part.sign_in, part.surroundings)
            for part in parts
            if part.offered.path is not None
        },
    )
    beside: list[Callable[[], Coroutine[Any, Any, None]]]
    beside = [partial(watch, part.clients, part.sign_in) for part in parts]
    if parts:
        beside.append(_control_of(parts, settings.database_session_url).listen)
    return Process(
        RealtimeApp(edge),
        [part.clients for part in parts],
        [partial(part.offered.started, part.clients) for part in parts],
        beside,
        drains,
        settings.realtime_drain_seconds,
    )


def _part_of(offered: SocketEvents, shared: Shared) -> Part:
    """Nobody opens a socket while looking through somebody else's account."""
    auth = shared.auth
    guard = auth.signed_in if offered.scope is None else auth.signed_in_or_key(offered.scope)
    guard = replace(guard, as_oneself=True, page=offered.page, metered=offered.metered)
    callers = Callers(guard, auth.states, shared.callers_threads)
    clients = Clients[Client](shared.caps, offered.sockets, shared.threads)

    def ended(client: Client) -> None:
        clients.ended(client)
        if client.admitted is not None:
            offered.ended(client)

    return Part(
        offered, clients, SignIn(callers, clients), Surroundings(shared.threads, ended, offered.sign_in_seconds)
    )


def _socket_io_of(part: Part) -> SocketIoPart:
    server = SocketIo(part.clients, part.sign_in, part.offered.events, part.surroundings)
    return SocketIoPart(server, part.clients)


def _control_of(parts: Sequence[Part], url: str) -> Control:
    """One listens for all of them."""
    heard: defaultdict[str, list[Callable[[str], None]]] = defaultdict(list)
    for part in parts:
        heard[ACCOUNT_CHANGED].append(part.sign_in.account_changed)
        for channel, hear in part.offered.heard.items():
            heard[channel].append(hear)

    def reconnected() -> None:
        for part in parts:
            part.reconnected()

    return Control(url, heard, reconnected)
