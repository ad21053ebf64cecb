"""The server of realtime/app.py, from the first listening to the last socket."""

import asyncio
import random
import resource
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import structlog
import uvicorn

from metering.parts import Drain
from realtime.app import RealtimeApp
from realtime.client import Client
from realtime.clients import Clients
from realtime.closing import RESTART
from realtime.socket_io import LARGEST_MESSAGE
from realtime.wire import Wire

BACKLOG = 2048
SILENCE_MILLISECONDS = 30_000
"""A client that takes nothing of what was sent is given up by the system."""
CLOSE_SECONDS = 5
OTHER_OPEN_FILES = 1000
COMES_BACK_SECONDS = (0.5, 5.0)
"""Spread over these, so that not all clients come back at once."""


@dataclass(frozen=True)
class Process:
    """`clients`: those of each capability that has some. `started`: called on the loop before anybody can connect. `beside`: what
    runs beside the application. `drains`: what a process waits for before it ends, `drain_seconds` long.
    """

    app: RealtimeApp
    clients: Sequence[Clients[Any]]
    started: Sequence[Callable[[], None]]
    beside: Sequence[Callable[[], Coroutine[Any, Any, None]]]
    drains: Sequence[Drain]
    drain_seconds: float

    def all_clients(self) -> list[Client]:
        return [client for each in self.clients for client in each]


class Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, process: Process) -> None:
        super().__init__(config)
        self._process = process

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """uvicorn's own sends the process the signal once more at the end, which would end it with an error."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        for each in self._process.started:
            each()
        await super().startup(sockets)
        self._beside = [asyncio.ensure_future(beside()) for beside in self._process.beside]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """While it waits for what runs it still listens, and tells who comes to come again."""
        await self._drain()
        for each in self._beside:
            each.cancel()
        await super().shutdown(sockets)

    async def _drain(self) -> None:
        loop, process = asyncio.get_running_loop(), self._process
        process.app.draining = True
        structlog.get_logger().info("realtime_draining", sockets=len(process.all_clients()))
        for drain in process.drains:
            drain.drain()
        for client in process.all_clients():
            comes_back = round(random.uniform(*COMES_BACK_SECONDS), 2)  # noqa: S311
            client.tell_going_away(comes_back)
        until = loop.time() + process.drain_seconds
        while loop.time() < until and not self.force_exit and not all(drain.drained() for drain in process.drains):
            await asyncio.sleep(0.1)
        for client in process.all_clients():
            client.end(RESTART)
        until = loop.time() + CLOSE_SECONDS  # for what they are still to be told
        while loop.time() < until and not self.force_exit and self.server_state.tasks:
            await asyncio.sleep(0.02)


def serve(process: Process, listener: socket.socket, most_sockets: int) -> None:
    """Until SIGTERM or Ctrl-C; a second one waits for nothing."""
    _allow_open_files(most_sockets + OTHER_OPEN_FILES)
    config = uvicorn.Config(
        process.app,
        loop="uvloop",
        http="httptools",
        ws=Wire,
        ws_max_size=LARGEST_MESSAGE,
        ws_max_queue=8,
        ws_ping_interval=20,
        ws_ping_timeout=20,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        log_level="warning",  # its lines have the query
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=CLOSE_SECONDS,
    )
    Server(config, process).run([listener])


def listening_on(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return prepared(socket.create_server((host, port), family=family, backlog=BACKLOG))


def prepared(listener: socket.socket) -> socket.socket:
    """Connections have this of the socket that they came by."""
    option: Any = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
    if option is not None:
        listener.setsockopt(socket.IPPROTO_TCP, option, SILENCE_MILLISECONDS)
    return listener


def _allow_open_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
