"""What other processes tell this one: one connection to PostgreSQL that listens."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
import structlog
from psycopg import sql

from database.engine import libpq_url

RECONNECT_SECONDS = 1.0
CONNECT_SECONDS = 5.0
LIMITS: dict[str, Any] = {
    "application_name": "mirroros-realtime",
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,  # milliseconds
    "keepalives_idle": 10,  # it says nothing by itself, and a lost route must not pass for silence
    "keepalives_interval": 5,
    "keepalives_count": 3,
}


class Control:
    """`heard`: by channel, what to do with a payload. `reconnected`: nothing was heard for a while.

    `url` leads to PostgreSQL itself: PgBouncer in transaction mode lets nobody listen.
    """

    def __init__(
        self, url: str, heard: Mapping[str, Sequence[Callable[[str], None]]], reconnected: Callable[[], None]
    ) -> None:
        self._url, self._heard, self._reconnected = libpq_url(url), heard, reconnected

    async def listen(self) -> None:
        """For ever. A connection that is lost is opened anew."""
        missed = False
        while True:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True, **LIMITS)
                async with connection:
                    for channel in self._heard:
                        await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                    structlog.get_logger().info("control_listening", channels=sorted(self._heard))
                    if missed:
                        self._reconnected()
                    async for notice in connection.notifies():
                        self._hear(notice)
            except (psycopg.Error, OSError) as error:  # a time-out is an OSError
                structlog.get_logger().warning("control_lost", cause=type(error).__name__)
            missed = True
            await asyncio.sleep(RECONNECT_SECONDS)

    def _hear(self, notice: psycopg.Notify) -> None:
        for hear in self._heard[notice.channel]:
            try:
                hear(notice.payload)
            except Exception as error:  # one that cannot be read must not keep the others from being heard
                structlog.get_logger().error("notice_not_understood", channel=notice.channel, exc_info=error)
