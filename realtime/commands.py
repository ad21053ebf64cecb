"""`flask realtime`: the process that holds sockets. Nothing that it is made of is loaded before it runs."""

import socket
from collections.abc import Iterable

import click
import structlog
from flask import current_app
from flask.cli import AppGroup, with_appcontext

from auth.assembly import Auth
from metering.sockets import SocketEvents
from realtime.settings import RealtimeSections
from security.health.check import HealthCheck
from security.metrics.exposition import METRICS

EVERY_ADDRESS = "0.0.0.0"  # nosec B104 # noqa: S104 - as the web server in a container


def realtime_commands(
    settings: RealtimeSections, auth: Auth, health: HealthCheck, offers: Iterable[SocketEvents | None]
) -> AppGroup:
    """`offers`: what the capabilities that are on do with sockets. Raises ValueError when two have the same path, or Socket.IO."""
    offered = [each for each in offers if each is not None]
    paths = [each.path for each in offered]
    if len(set(paths)) < len(paths):
        raise ValueError("only one capability can have the events of Socket.IO, and only one each path")
    if wrong := [path for path in paths if path is not None and not path.startswith("/ws/")]:
        raise ValueError(f"proxies send only /ws/ and /socket.io/ to the realtime process: {wrong}")
    group = AppGroup("realtime", help="Run the process that holds sockets.")

    @group.command("run")
    @click.option("--host", default=EVERY_ADDRESS, show_default=True, help="Listen on this address.")
    @click.option("--fd", type=int, hidden=True, help="Listen on this open socket instead of REALTIME_PORT.")
    @with_appcontext
    def run(host: str, fd: int | None) -> None:
        """Hold sockets until SIGTERM or Ctrl-C. Replies in progress are finished first."""
        from realtime.assembly import process_of  # noqa: PLC0415
        from realtime.serve import listening_on, prepared, serve  # noqa: PLC0415

        listener = listening_on(host, settings.realtime_port) if fd is None else prepared(socket.socket(fileno=fd))
        if not offered:
            structlog.get_logger().warning("no_capability_uses_sockets")
        process = process_of(
            settings,
            auth=auth,
            health=health,
            metrics=current_app.extensions[METRICS],
            offers=offered,
            drains=current_app.extensions["drains"],
        )
        structlog.get_logger().info("realtime_listening", port=listener.getsockname()[1])
        serve(process, listener, settings.realtime_max_sockets)

    return group
