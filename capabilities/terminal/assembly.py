"""The parts of this package, put together for one application."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

from auth.page_sessions.pages import Subject
from capabilities.terminal.commands import terminal_commands
from capabilities.terminal.history.purge import history_jobs
from capabilities.terminal.history.routes import history_routes
from capabilities.terminal.metrics import OPEN_SESSIONS
from capabilities.terminal.page.routes import terminal_door, terminal_pages
from capabilities.terminal.plan_limits import FEATURE
from capabilities.terminal.sessions.bodies import socket_address
from capabilities.terminal.sessions.purge import session_jobs
from capabilities.terminal.sessions.routes import session_routes
from capabilities.terminal.sessions.sockets import TerminalSockets
from capabilities.terminal.sessions.start_session import SessionStarts
from capabilities.terminal.settings import TerminalSection, port_ranges
from capabilities.terminal.ssh.allowed_addresses import AllowedAddresses
from capabilities.terminal.ssh.connect_limits import ConnectLimits
from capabilities.terminal.ssh.destinations import Destinations
from capabilities.terminal.ssh.host_name import Server
from capabilities.terminal.ssh.keys.routes import key_routes
from capabilities.terminal.ssh.known_hosts.routes import known_host_routes
from capabilities.terminal.ssh.known_hosts.seen import seen_jobs
from capabilities.terminal.ssh.profiles.routes import profile_routes
from capabilities.terminal.ssh.profiles.try_connection import Tries
from capabilities.terminal.sync.routes import sync_routes
from database.loop_thread import LoopThread
from metering.parts import Built, Parts
from settings.section import secret_text

USUAL_PORTS = {"redis": 6379, "rediss": 6379, "http": 80, "https": 443}
POSTGRES_PORT = 5432


def build_terminal(parts: Parts, settings: TerminalSection) -> Built:
    auth = parts.auth
    destinations = destinations_of(settings)
    limits, seconds = ConnectLimits(auth.redis), settings.terminal_connect_seconds
    tries = Tries(auth, LoopThread("ssh"), destinations, limits, seconds)
    sockets = TerminalSockets(auth, SessionStarts(auth, destinations, limits, seconds))
    # No API key opens any of it, and staff who look through an account see nothing of it.
    guard = replace(auth.signed_in, as_oneself=True, metered=True, page=FEATURE)
    ws_url = socket_address(parts.sockets_url)
    has_page = settings.terminal_page
    return Built(
        routes=(
            session_routes(auth, guard, ws_url),
            profile_routes(auth, guard, tries),
            key_routes(auth, guard, replace(guard, fresh=True)),
            known_host_routes(auth, guard),
            history_routes(auth, guard),
            sync_routes(auth, guard),
            *([terminal_door()] if has_page else []),
        ),
        jobs=(*seen_jobs(auth.clock), *history_jobs(auth.clock), *session_jobs(auth.clock)),
        commands=(terminal_commands(auth, in_development=settings.is_development),),
        figures=(OPEN_SESSIONS,),
        portal_pages=(Subject(FEATURE, "Terminal", partial(terminal_pages, ws_url)),) if has_page else (),
        sockets=sockets.events(),
        drains=(sockets.live,),
    )


def destinations_of(settings: TerminalSection) -> Destinations:
    """As the settings say."""
    return Destinations(
        AllowedAddresses(settings.terminal_allowed_networks, settings.terminal_denied_networks),
        port_ranges(settings.terminal_allowed_ports),
        _own_servers(settings),
    )


def _own_servers(settings: TerminalSection) -> Iterator[Server]:
    """The private server has a setting only where predictions are on."""
    for address in (
        secret_text(settings.database_url),
        secret_text(settings.database_direct_url),
        secret_text(settings.database_replica_url),
        secret_text(settings.redis_url),
        getattr(settings, "private_api_url", None),
    ):
        parts = urlsplit(address or "")
        if parts.hostname:
            yield Server(parts.hostname, parts.port or USUAL_PORTS.get(parts.scheme, POSTGRES_PORT))
