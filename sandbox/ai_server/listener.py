"""The stand-in's port on loopback, and the loop that serves it from a thread of its own."""

import asyncio
from threading import Thread

from sandbox.ai_server.connection import Answerer, Connection
from sandbox.http_listener import NotStarted

BACKLOG = 1024


class Listener:
    """Opens no socket before it is started."""

    def __init__(self, answer: Answerer, port: int = 0, *, largest_body: int) -> None:
        self._answer = answer
        self._port = port
        self._largest_body = largest_body
        self._open_ones: set[Connection] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Known once started: port 0 stands for any free one."""
        if self._server is None:
            raise NotStarted("Start the server before asking for its address.")
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Again on the port of the last start, if there was one."""
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    def stop(self) -> None:
        """Also when it was never started. Running answers end where they are."""
        if self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = None

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, "127.0.0.1", self._port, backlog=BACKLOG)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _hang_up(self) -> None:
        if self._server is not None:
            self._server.close()
        answering = [each.answering for each in self._open_ones if each.answering is not None]
        for connection in list(self._open_ones):
            connection.abort()
        await asyncio.gather(*answering, return_exceptions=True)

    def _connection(self) -> Connection:
        return Connection(self._answer, self._open_ones, largest_body=self._largest_body)
